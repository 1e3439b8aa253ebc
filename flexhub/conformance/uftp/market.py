"""Who is who in a market, for a suite of UFTP endpoints: whom it judges, as whom it speaks, and what was agreed."""

from __future__ import annotations

from typing import Final

import msgspec

from flexhub.protocols.uftp.envelope import PrivateKey, PublicKey
from flexhub.protocols.uftp.messages import Role

MALFORMED_POINT: Final = "ea1.2020-13.com.example:point.1"
"""A congestion point that the schema takes and rule 50 doesn't: there is no month 13."""


class Agreed(msgspec.Struct, frozen=True, kw_only=True):
    """What was agreed with the target. What is None was not, and what would be judged by it is exempt.

    Args:
        congestion_point: one at which it is active.
        time_zone: whose offset it demands.
        isp_minutes: length of an ISP.
        currency: one that it takes.
        max_power_w: power beyond it is refused (rule 29).
        release_minutes: until how long before the day reserved power can be released (rule 28).
        prognoses: whether baselines are D-Prognoses (true), or agreed otherwise (false; rule 35).
        mutex_offers: whether it takes offers of several options (rule 37).
        closed: whether a CRO hears registered participants only (rule 49).
        zoned_times: whether times must say their time zone (rule 10).
        rate: so many messages at once it takes; one more it may refuse (rule 4).
    """

    congestion_point: str
    time_zone: str = "Europe/Amsterdam"
    isp_minutes: int = 15
    currency: str = "EUR"
    max_power_w: int | None = None
    release_minutes: int | None = None
    prognoses: bool | None = None
    mutex_offers: bool = True
    closed: bool = False
    zoned_times: bool = True
    rate: int | None = None


class Speaker(msgspec.Struct, frozen=True, kw_only=True):
    """A participant as whom the suite speaks; its key and the suite's inbox are published where the target looks."""

    domain: str
    role: Role
    key: PrivateKey


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """Everybody.

    Args:
        role, domain, keys: the target's, and what it signs with.
        agreed: what was agreed with it.
        dso, agr: who speaks to it.
        other: another participant of the role that speaks most: a DSO to an AGR, else an AGR (rules 9, 41 and 49).
        barred: one that the target bars (rule 12).
        stranger: one that a CRO in closed mode has not registered (rule 49).
        busy: one that may use up what it may send (rule 4).
    """

    role: Role
    domain: str
    keys: tuple[PublicKey, ...]
    agreed: Agreed
    dso: Speaker
    agr: Speaker
    other: Speaker | None = None
    barred: Speaker | None = None
    stranger: Speaker | None = None
    busy: Speaker | None = None

    @property
    def main(self) -> Speaker:
        """Who speaks most."""
        return self.dso if self.role is Role.AGR else self.agr

    def published(self) -> dict[str, Speaker]:
        """Domain -> speaker, of all."""
        told = (self.dso, self.agr, self.other, self.barred, self.stranger, self.busy)
        return {one.domain: one for one in told if one is not None}
