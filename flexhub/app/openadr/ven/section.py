"""``[[openadr.ven]]`` of the configuration: one VTN that the hub is a VEN of."""

from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import msgspec

from flexhub.app.openadr.xmpp import XmppSection
from flexhub.core.base import Id
from flexhub.core.errors import InvalidError
from flexhub.core.units import parse_duration, parse_quantity
from flexhub.protocols.openadr2b.identity import XMPP

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Url = Annotated[str, msgspec.Meta(pattern="^https?://[^\\s?#]+$")]
Where = Annotated[str, msgspec.Meta(pattern="^(https?://|xmpp:)[^\\s?#]+$")]


class Opting(enum.StrEnum):
    """How the hub opts: in always, out always, or as the manager engine says that it can do what is asked."""

    IN = "in"
    OUT = "out"
    ENGINE = "engine"


class VenReportSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[openadr.ven.report]]``: a data point, the readings of a metering subject: usage (kWh) or demand (kW)."""

    subject: Id
    point: Text | None = None
    demand: bool = False

    @property
    def r_id(self) -> str:
        """Its rID: the subject's name, unless told."""
        return self.point or self.subject

    @property
    def report_type(self) -> str:
        """The standard's word for what it is."""
        return "demand" if self.demand else "usage"


class VenSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[openadr.ven]]``: the hub as a VEN. `name` is what it calls the VTN's operator, who is the issuer of requests.

    `vtn` is what the paths of the services begin with. `ven_name`, `ven_id` (where one was allocated) and `vtn_id` are
    as agreed. `cert` and `key` are the client certificate, `ca` the authorities that the VTN's is of (the system's
    unless told), `fingerprint` that of the VTN's certificate; with `sign` what is sent is signed by the client
    certificate's key, and what is received has to be signed by that of `fingerprint`. What comes from other `markets`
    is refused. `groups` and `resources` are what targets call us.

    Requests are for the `portfolio` (the hub's own unless told) at `congestion_point`. `levels` are how much less the
    levels 1, 2 and 3 of SIMPLE ask for, `rating` is the power that LOAD_CONTROL is a share of, `base_price` what
    relative prices are counted from. With ``opt = "engine"`` the hub opts in where of what is asked at most the share
    `tolerance` stays unserved, and opts out where it is not known after `answer_within`. An event without an end is
    planned for `open_ended` ahead.

    Instead of polling, it listens at `listen`, and tells the VTN to push to `push_to`. With `xmpp` it speaks XMPP, and
    is pushed to there: `vtn` is then ``xmpp:`` and the VTN's full JID, or the domain that tells where its services are.
    """

    name: Id
    vtn: Where
    ven_name: Text = "flexhub"
    ven_id: Text | None = None
    vtn_id: Text | None = None
    cert: Path | None = None
    key: Path | None = None
    ca: Path | None = None
    fingerprint: Annotated[str, msgspec.Meta(pattern="^([0-9A-Fa-f]{2}[: ]?){9}[0-9A-Fa-f]{2}$")] | None = None
    sign: bool = False
    markets: tuple[Text, ...] = ()
    groups: tuple[Text, ...] = ()
    resources: tuple[Text, ...] = ()
    portfolio: Id | None = None
    congestion_point: Id | None = None
    levels: tuple[str, str, str] | None = None
    rating: str | None = None
    base_price: str | None = None
    opt: Opting = Opting.ENGINE
    tolerance: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.05
    answer_within: str = "PT10S"
    open_ended: str = "P1D"
    poll: str | None = None
    listen: str | None = None
    push_to: Url | None = None
    xmpp: XmppSection | None = None
    report: tuple[VenReportSection, ...] = ()

    def __post_init__(self) -> None:
        for name, read in _READ.items():
            try:
                read(self)
            except InvalidError as error:
                raise InvalidError(error.message, path=name, value=error.value) from error
        if (self.cert is None) is not (self.key is None):
            raise InvalidError("cert and key go together", path="cert")
        if self.sign and (self.cert is None or self.fingerprint is None):
            raise InvalidError("to sign, a cert and key are needed, and the VTN's fingerprint", path="sign")
        if (self.listen is None) is not (self.push_to is None):
            raise InvalidError("listen and push_to go together", path="listen")
        if self.vtn.startswith(XMPP) is not (self.xmpp is not None):
            raise InvalidError("an address of xmpp: goes together with the section xmpp", path="vtn")
        if self.xmpp is not None and (self.sign or self.listen is not None):
            wrong = "sign" if self.sign else "listen"
            why = "signatures do not pass XMPP servers" if self.sign else "over XMPP nothing else listens"
            raise InvalidError(why, path=wrong)
        points = [one.r_id for one in self.report]
        if len(set(points)) < len(points):
            raise InvalidError("a data point stands twice", path="report")

    def length(self, name: str) -> timedelta:
        """One of the durations.

        Raises:
            InvalidError: it is none, or not above zero.
        """
        length = parse_duration(getattr(self, name))
        if length <= timedelta(0):
            raise InvalidError(f"{getattr(self, name)!r} is not above zero", path=name)
        return length

    @property
    def levels_kw(self) -> tuple[float, float, float, float]:
        """How much less each level of SIMPLE asks for; nothing where it was not agreed."""
        if self.levels is None:
            return 0.0, 0.0, 0.0, 0.0
        one, two, three = (float(parse_quantity(level, "power")) for level in self.levels)
        return 0.0, one, two, three

    @property
    def rating_kw(self) -> float | None:
        """The power that LOAD_CONTROL is a share of."""
        return None if self.rating is None else float(parse_quantity(self.rating, "power"))

    @property
    def base_price_eur_per_kwh(self) -> float | None:
        """What relative prices are counted from."""
        return None if self.base_price is None else float(parse_quantity(self.base_price, "price"))

    @property
    def open_ended_s(self) -> int:
        """How far ahead an event without an end is planned."""
        return max(3600, int(self.length("open_ended").total_seconds()))


_READ: Final[dict[str, Callable[[VenSection], object]]] = {
    "levels": lambda told: told.levels_kw,
    "rating": lambda told: told.rating_kw,
    "base_price": lambda told: told.base_price_eur_per_kwh,
    "answer_within": lambda told: told.length("answer_within"),
    "open_ended": lambda told: told.length("open_ended"),
    "poll": lambda told: told.poll and told.length("poll"),
}
"""Keys that are text, and what reads them."""
