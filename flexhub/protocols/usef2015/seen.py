"""What USEF 2015's rules must know beyond the message.

What is None was not looked up, and rules that need it are silent: so a message can be judged alone, too.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from flexhub.protocols.uftp.times import instant
from flexhub.protocols.usef2015 import messages as wire


class Need(enum.StrEnum):
    """A kind of look-up."""

    ENVELOPE = "envelope"  # the envelope that the message came in
    MARKET = "market"  # what the parties agreed, and who we are
    PEER = "peer"  # what is known of the sender
    SAME = "same"  # an earlier message of the same MessageID by the same sender
    PAST = "past"  # the message that is referred to, by type, origin and sequence
    ASKED = "asked"  # what we sent in this conversation
    SEQUENCE = "sequence"  # the greatest Sequence that was accepted: type, sender, day and place
    PROGNOSIS = "prognosis"  # the Sequence of the latest accepted prognosis: receiver, day and place
    ORDERS = "orders"  # accepted orders of a settlement's period


class Reference(NamedTuple):
    """By what a message is referred to: its type's name, who sent it, and its Sequence."""

    kind: str
    origin: str
    sequence: int


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """What the parties of a market agreed, and who we are in it. None: nothing was agreed about it."""

    domain: str
    role: wire.Role
    ptu_minutes: int = 15
    time_zone: str | None = None
    congestion_points: frozenset[str] | None = None
    max_power_w: int | None = None
    currencies: frozenset[str] | None = None


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the sender."""

    barred: bool = False


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """A message of before, and what became of it."""

    message: wire.Payload
    accepted: bool = True
    revoked: bool = False
    ordered: bool = False


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was looked up, by the names of `Need`.

    Args:
        now: the instant of judging.
        past: by reference; what is not in it is unknown.
        sequence, prognosis: -1 where there is none.
        orders: OrderReference of every accepted order of the period.
    """

    now: datetime
    envelope: wire.SignedMessage | None = None
    market: Market | None = None
    peer: Peer | None = None
    same: Past | None = None
    past: dict[Reference, Past] | None = None
    asked: tuple[wire.Payload, ...] | None = None
    sequence: int | None = None
    prognosis: int | None = None
    orders: frozenset[str] | None = None


def alone(message: wire.Payload) -> Seen:
    """Nothing but the message: its TimeStamp is now."""
    return Seen(now=instant(message.message_metadata.time_stamp))


REFERENCES: Final[dict[type[wire.Payload], tuple[str, str, str]]] = {
    wire.FlexRequest: ("Prognosis", "prognosis_origin", "prognosis_sequence"),
    wire.FlexOffer: ("FlexRequest", "flex_request_origin", "flex_request_sequence"),
    wire.FlexOrder: ("FlexOffer", "flex_offer_origin", "flex_offer_sequence"),
}
"""Message -> (type that it refers to, field of the origin, field of the sequence)."""


def references(message: wire.Payload) -> Iterator[tuple[str, Reference]]:
    """(name of the attribute, what it refers to); a revocation refers to an offer of its own sender."""
    if isinstance(message, wire.FlexOfferRevocation):
        yield "@Sequence", Reference("FlexOffer", message.message_metadata.sender_domain, message.sequence)
    elif type(message) in REFERENCES:
        kind, origin, sequence = REFERENCES[type(message)]
        yield f"@{kind}Sequence", Reference(kind, getattr(message, origin), getattr(message, sequence))
