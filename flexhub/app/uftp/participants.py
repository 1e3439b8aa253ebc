"""Who a hub is in UFTP: its domains and roles, their private keys, and the metadata of what they send."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from hashlib import sha1
from pathlib import Path
from typing import Any, Final, NamedTuple

from flexhub.app.config import Config, UftpParticipantSection, UftpSection
from flexhub.app.uftp.papers import UftpAgreed
from flexhub.core.errors import ConfigError, FlexhubError, InvalidError, NotFoundError
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.checks import roles
from flexhub.protocols.uftp.envelope import PrivateKey, private_key
from flexhub.protocols.uftp.session import Policy
from flexhub.protocols.uftp.times import text_of

_NAMESPACE: Final = uuid.UUID("4c2f6f0e-8f39-5a55-9a6c-3f5a4f6f7c1e").bytes


def derived_id(*parts: str) -> str:
    """A UUID that follows from what it is derived from, so that a replay comes to the same."""
    made = bytearray(sha1(_NAMESPACE + "/".join(parts).encode(), usedforsecurity=False).digest()[:16])
    made[6] = made[6] & 0x0F | 0x50  # as `uuid.uuid5` does (RFC 9562 section 5.5), in a third of the time
    made[8] = made[8] & 0x3F | 0x80
    told = made.hex()
    return f"{told[:8]}-{told[8:12]}-{told[12:16]}-{told[16:20]}-{told[20:]}"


class Own(NamedTuple):
    """One of our domains in one role. `party` is whose notices and documents its messages become."""

    domain: str
    role: wire.Role
    party: str
    key: PrivateKey

    @property
    def name(self) -> str:
        """What its agreement is kept by."""
        return f"{self.role}.{self.domain}"


class Participants:
    """All that a hub is in UFTP."""

    def __init__(self, own: Iterable[Own], policy: Policy) -> None:
        self.own: Final = tuple(own)
        self.policy: Final = policy
        self._by_domain: dict[str, tuple[Own, ...]] = {}
        for one in self.own:
            self._by_domain[one.domain] = (*self._by_domain.get(one.domain, ()), one)

    def recipient(self, message: wire.Payload) -> Own:
        """Who of us a message is for: of its RecipientDomain's roles the one that takes it.

        Interpretation: a message for a domain that is not ours is answered (Unknown Recipient) by the one of us that
        would have taken it, in its own name: nobody signs for another.
        """
        _, takers = roles(type(message))
        mine = self._by_domain.get(message.recipient_domain)
        fitting = [one for one in mine or self.own if one.role in takers]
        return fitting[0] if fitting else (mine or self.own)[0]

    def sender(self, message: wire.Payload) -> Own:
        """Who of us sends a message.

        Raises:
            NotFoundError: its SenderDomain is not ours.
            InvalidError: no role of ours sends this type.
        """
        mine = self._by_domain.get(message.sender_domain)
        name = wire.element(type(message))
        if mine is None:
            raise NotFoundError("not one of ours", path=f"{name}/@SenderDomain", value=message.sender_domain)
        return self.sending(type(message), mine)

    def sending(self, kind: type[wire.Payload], among: Iterable[Own] | None = None) -> Own:
        """Who of us (or of these) sends messages of a type.

        Raises:
            InvalidError: none does.
        """
        senders, _ = roles(kind)
        fitting = [one for one in among or self.own if one.role in senders]
        if not fitting:
            raise InvalidError(f"no role of ours sends {wire.element(kind)}", path=wire.element(kind), clause="UFTP-27")
        return fitting[0]

    def by_domain(self, domain: str) -> tuple[Own, ...]:
        """Our roles in a domain."""
        return self._by_domain.get(domain, ())


def takes(kind: type[wire.Payload], told: wire.Role | None = None) -> wire.Role:
    """The role that takes messages of a type.

    Raises:
        InvalidError: several do (TestMessage) and none was told, or the one that was told does not.
    """
    _, takers = roles(kind)
    if told is None and len(takers) == 1:
        return next(iter(takers))
    if told is None or told not in takers:
        allowed = ", ".join(sorted(takers))
        raise InvalidError(f"the recipient's role is needed, one of {allowed}", path=wire.element(kind))
    return told


def metadata(  # noqa: PLR0913 - what a message says of itself
    own: str, to: str, now: datetime, *, seed: str, conversation: str | None = None, version: str = wire.VERSIONS[-1]
) -> dict[str, Any]:
    """The metadata of a message of ours, as fields of a wire type (and as `mappings.uftp.context.Context.kept`).

    Args:
        own: our domain.
        to: the recipient's.
        now: the time.
        seed: what its ids follow from: the id of the journalled message that it comes of, and what tells several apart.
        conversation: ConversationID that it belongs to; a new one without.
        version: of UFTP.
    """
    return {
        "version": version,
        "sender_domain": own,
        "recipient_domain": to,
        "time_stamp": text_of(now),
        "message_id": derived_id("message", own, to, seed),
        "conversation_id": conversation or derived_id("conversation", own, to, seed),
    }


def participants_of(config: Config) -> Participants | None:
    """Who the configured hub is; None where it is nobody.

    Raises:
        ConfigError: a key that cannot be read.
    """
    if config.uftp is None:
        return None
    own = [Own(p.domain, p.role, p.party or config.hub.name, key_of(p.key)) for p in config.uftp.participant]
    return Participants(own, policy_of(config.uftp))


def policy_of(section: UftpSection) -> Policy:
    """How long is tried and waited."""
    give_up, reply = section.give_up_after, section.reply_within
    return Policy(
        give_up_after=timedelta(seconds=give_up.total_seconds()),
        reply_within=timedelta(seconds=reply.total_seconds()),
    )


def key_of(path: Path, where: str = "uftp/participant/key") -> PrivateKey:
    """The private key in a file that `where` names.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return private_key(path.read_text("ascii"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"no private key: {error}", path=where, value=str(path)) from error
    except ConfigError:
        raise
    except FlexhubError as error:
        raise ConfigError(error.message, path=where, value=str(path)) from error


def agreements(section: UftpSection) -> Mapping[str, UftpAgreed]:
    """What was agreed, by `Own.name`."""
    return {f"{p.role}.{p.domain}": _agreed(p) for p in section.participant}


def _agreed(p: UftpParticipantSection) -> UftpAgreed:
    release = p.release_before
    return UftpAgreed(
        domain=p.domain,
        role=p.role,
        versions=p.versions,
        isp_minutes=int(p.isp_duration.total_seconds()) // 60,
        time_zone=p.time_zone,
        congestion_points=p.congestion_points,
        max_power_w=None if p.max_power is None else round(1000 * p.max_power),
        currencies=p.currencies,
        mutex_offers=p.mutex_offers,
        prognoses=p.prognoses,
        release_minutes=None if release is None else int(release.total_seconds()) // 60,
        closed=p.closed,
        zoned_times=p.zoned_times,
    )
