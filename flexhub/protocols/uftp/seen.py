"""What rules must know beyond the message: looked up by whoever judges, never fetched here.

What is None was not looked up, and rules that need it are silent: so a message can be judged alone, too.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.times import instant


class Need(enum.StrEnum):
    """A kind of look-up, and what `Key.id` is for it."""

    MARKET = "market"  # what the parties agreed: the recipient's domain
    PEER = "peer"  # what is known of the sender: its domain
    SAME = "same"  # an earlier message of the same id by the same sender: the MessageID
    PAST = "past"  # a message that is referred to: its MessageID
    REVISION = "revision"  # the greatest Revision that was accepted: type, sender, day and place
    ORDERS = "orders"  # accepted orders that a settlement must hold: from PeriodStart to PeriodEnd
    PLACES = "places"  # where connections are registered, and whose: the sender


class Key(NamedTuple):
    """One look-up."""

    need: Need
    id: str


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """What the parties of a market agreed, and who we are in it. None: nothing was agreed about it."""

    domain: str
    role: wire.Role
    versions: tuple[str, ...] = wire.VERSIONS
    isp_minutes: int = 15
    time_zone: str | None = None
    congestion_points: frozenset[str] | None = None
    max_power_w: int | None = None
    currencies: frozenset[str] | None = None
    mutex_offers: bool = True
    prognoses: bool | None = None
    """Whether baselines are D-Prognoses (true), or agreed otherwise (false)."""
    release_minutes: int | None = None
    """Until how long before the day reserved power can be released."""
    closed: bool = False
    """Whether a CRO takes messages of registered participants only."""
    zoned_times: bool = True
    """Whether times must say their time zone (a policy)."""


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the sender."""

    roles: frozenset[wire.Role]
    barred: bool = False
    registered: bool = True


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """A message of before, and what became of it."""

    message: wire.Payload
    accepted: bool = True
    revoked: bool = False
    ordered: bool = False


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was looked up.

    Args:
        now: the instant of judging.
        envelope: the envelope that the message came in.
        market, peer: as of `Need`.
        same: the earlier message of the same id.
        past: by MessageID; what is not in it is unknown.
        revision: the greatest accepted one; -1 where there is none.
        orders: OrderReference of every accepted order of the period.
        places: connection -> congestion point that it is registered at ("" for none), of those that matter.
    """

    now: datetime
    envelope: wire.SignedMessage | None = None
    market: Market | None = None
    peer: Peer | None = None
    same: Past | None = None
    past: dict[str, Past] | None = None
    revision: int | None = None
    orders: frozenset[str] | None = None
    places: dict[str, str] | None = None


def alone(message: wire.Payload) -> Seen:
    """Nothing but the message: its TimeStamp is now."""
    return Seen(now=instant(message.time_stamp))


REFERENCES: Final[dict[type[wire.Payload], dict[str, str]]] = {
    wire.FlexOffer: {
        "flex_request_message_id": "FlexRequestMessageID",
        "d_prognosis_message_id": "D-PrognosisMessageID",
    },
    wire.FlexOfferRevocation: {"flex_offer_message_id": "FlexOfferMessageID"},
    wire.FlexOrder: {"flex_offer_message_id": "FlexOfferMessageID", "d_prognosis_message_id": "D-PrognosisMessageID"},
}
"""Message -> fields that hold the MessageID of another, and their names."""

ANSWERS: Final[dict[type[wire.Payload], str]] = {
    answer: next(name for name in answer.__struct_fields__ if name.endswith("message_id") and name != "message_id")
    for answer in wire.RESPONSES.values()
    if answer is not wire.TestMessageResponse
}
"""Answer -> the field that holds the MessageID of what is answered."""


def references(message: wire.Payload) -> Iterator[tuple[str, str]]:
    """(name of the attribute, MessageID) of everything that the message refers to."""
    for field, name in REFERENCES.get(type(message), {}).items():
        told: str | None = getattr(message, field)
        if told is not None:
            yield name, told


def answered(message: wire.Payload) -> str | None:
    """MessageID of what an answer is about; None where it is none, or says nothing."""
    field = ANSWERS.get(type(message))
    return None if field is None else str(getattr(message, field))


def revision_key(message: wire.Payload) -> str | None:
    """What revisions are counted by: type, sender, day, and place or meter."""
    if isinstance(message, wire.DPrognosis | wire.FlexRequest):
        place = message.congestion_point
    elif isinstance(message, wire.Metering):
        place = message.ean.upper()
    else:
        return None
    return f"{type(message).__name__} {message.sender_domain} {message.period[:10]} {place}"


def needs(message: wire.Payload) -> tuple[Key, ...]:
    """What to look up before the message is judged."""
    found = [
        Key(Need.MARKET, message.recipient_domain),
        Key(Need.PEER, message.sender_domain),
        Key(Need.SAME, message.message_id),
    ]
    found += [Key(Need.PAST, told) for _, told in references(message)]
    about = answered(message)
    if about is not None:
        found.append(Key(Need.PAST, about))
    counted = revision_key(message)
    if counted is not None:
        found.append(Key(Need.REVISION, counted))
    if isinstance(message, wire.FlexSettlement):
        found.append(Key(Need.ORDERS, f"{message.period_start[:10]}/{message.period_end[:10]}"))
    if isinstance(message, wire.AGRPortfolioQuery | wire.DSOPortfolioQuery | wire.DSOPortfolioUpdate):
        found.append(Key(Need.PLACES, message.sender_domain))
    return tuple(found)
