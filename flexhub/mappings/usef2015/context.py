"""What USEF 2015's mappings must be told, and how its messages are referred to.

UFTP refers to a message by its MessageID, USEF 2015 by type, origin and Sequence (or Reference, or by conversation).
`ids_of` is the ledger from one to the other. Without it a name stands for itself: as a UUID that holds the Sequence,
and as a Sequence that is made of a UUID; a loss says so.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final, NamedTuple

import msgspec

from flexhub.core.errors import InvalidError
from flexhub.mappings.fates import Kind, Loss
from flexhub.mappings.uftp.context import Context as UftpContext
from flexhub.protocols.uftp import messages as uftp
from flexhub.protocols.uftp.times import instant
from flexhub.protocols.usef2015 import messages as wire
from flexhub.protocols.usef2015.checks import metered, spread
from flexhub.protocols.usef2015.messages import Role

STEP: Final = Decimal("0.0001")
"""Of an amount in either protocol."""


class Name(NamedTuple):
    """By what USEF 2015 refers to a message: type, domain of who sent it, and its Sequence or Reference as text."""

    kind: str
    origin: str
    key: str


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """Choices of one conversion, and what the other side has no place for.

    Args:
        kept: fields of the written message by name (`kept_of` takes them from one).
        ids: name of a message -> its MessageID (`ids_of` takes them from a conversation).
        uftp: what UFTP's mapping is told: grid, places, baseline; `uftp.kept` is for messages of UFTP that are written.
    """

    kept: dict[str, Any] = {}
    ids: dict[Name, str] = {}
    uftp: UftpContext = UftpContext()

    def id_of(self, name: Name, path: str, losses: list[Loss]) -> str:
        """The MessageID of a message that is referred to."""
        if name in self.ids:
            return self.ids[name]
        losses.append(Loss(path=path, kind=Kind.DEFAULTED, value=name.key, why="which message that is, is not at hand"))
        return _id_holding(name)

    def key_of(self, kind: str, origin: str, message_id: str, path: str, losses: list[Loss]) -> str:
        """The inverse of `id_of`: the Sequence or Reference of the message that has this MessageID."""
        for name, told in self.ids.items():
            if name.kind == kind and told.lower() == message_id.lower():
                return name.key
        held = _held(kind, origin, message_id)
        if kind == "SettlementMessage":
            held = message_id  # a Reference is any text
        if held is None:
            why = "which message that is, is not at hand"
            losses.append(Loss(path=path, kind=Kind.DEFAULTED, value=message_id, why=why))
        return held or str(uuid.UUID(message_id).int % _MOST)


_MOST: Final = 10**18
"""Sequences that are made of an id have 18 digits at most, as all that the codec reads."""
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch


def _tag(kind: str, origin: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{kind} {origin}".encode()).digest()[:7], "big")


def _id_holding(name: Name) -> str:
    """A UUID of version 8 [RFC 9562, 5.8] of 56 bits that tell type and origin, and 64 that are the Sequence."""
    try:
        number = int(name.key) & (2**64 - 1)
    except ValueError:  # a Reference, or a conversation
        return name.key if _UUID(name.key) else str(uuid.uuid5(uuid.NAMESPACE_URL, f"flexhub:{' '.join(name)}"))
    bits = _tag(name.kind, name.origin) << 64 | number
    high, low = bits >> 62, bits & (2**62 - 1)
    return str(uuid.UUID(int=(high >> 12) << 80 | 0x8 << 76 | (high & 0xFFF) << 64 | 0b10 << 62 | low))


def _held(kind: str, origin: str, message_id: str) -> str | None:
    """The Sequence that a MessageID of `_id_holding` holds."""
    whole = uuid.UUID(message_id).int
    bits = (((whole >> 80) << 12 | (whole >> 64) & 0xFFF) << 62) | whole & (2**62 - 1)
    number = bits & (2**64 - 1)
    key = str(number - 2**64 if number >= 2**63 else number)
    return key if _id_holding(Name(kind, origin, key)) == str(uuid.UUID(message_id)) else None


def name_of(m: wire.Payload) -> Name:
    """By what a message is referred to: its Sequence, its Reference, or else its conversation."""
    meta = m.message_metadata
    key = getattr(m, "sequence", None)
    if key is None:
        key = getattr(m, "reference", meta.conversation_id.lower())
    return Name(type(m).__name__, meta.sender_domain, str(key))


def ids_of(messages: Iterable[wire.Payload]) -> dict[Name, str]:
    """Name -> MessageID of some messages, for `Context.ids`."""
    return {name_of(m): m.message_metadata.message_id for m in messages}


def kept_of(m: wire.Payload) -> dict[str, Any]:
    """Every field of a message that is no list of elements, and prices by PTU number, for `Context.kept`."""
    told = {name: getattr(m, name) for name in m.__struct_fields__}
    found = {name: value for name, value in told.items() if not isinstance(value, tuple)}
    if isinstance(m, wire.FlexOffer | wire.FlexOrder):
        found["prices"] = {number: price for number, (_, price) in spread(m.ptus).items()}
    if isinstance(m, wire.SettlementMessage):
        found["flex_order_settlements"] = m.flex_order_settlements
    if isinstance(m, wire.MeterDataQueryResponse):
        for group in m.meter_data_sets[:1]:
            found["parent"] = group.entity_address
        for _, _, data in metered(m):
            found |= {"entity_count": data.entity_count, "agr_domain": data.agr_domain}
    return found


def dropped(path: str, value: object, why: str, losses: list[Loss], kind: Kind = Kind.DROPPED) -> None:
    """Tell a loss, where there is something to lose."""
    if value is not None and value != ():
        losses.append(Loss(path=path, kind=kind, value=str(value), why=why))


def identity(m: wire.Payload, losses: list[Loss]) -> dict[str, Any]:
    """What every message of UFTP has."""
    meta, root = m.message_metadata, type(m).__name__
    path = f"{root}/MessageMetadata/@"
    dropped(f"{path}ValidUntil", meta.valid_until, "UFTP's messages do not expire", losses)
    if meta.precedence is not precedence(type(m)):
        dropped(f"{path}Precedence", meta.precedence, "UFTP knows no precedence", losses)
    dropped(f"{root}/*", getattr(m, "extensions", ()), "UFTP's messages hold nothing else", losses)
    return {
        "version": uftp.VERSIONS[-1],
        "sender_domain": meta.sender_domain,
        "recipient_domain": meta.recipient_domain,
        "time_stamp": meta.time_stamp,
        "message_id": meta.message_id,
        "conversation_id": meta.conversation_id,
    }


def precedence(kind: type[wire.Payload]) -> wire.Precedence:
    """Of a written message.

    Interpretation: only FlexOrderResponse's is prescribed; else tests are routine, and all others transactional.
    """
    if kind is wire.FlexOrderResponse:
        return wire.Precedence.CRITICAL
    routine = kind in (wire.TestMessage, wire.TestMessageResponse)
    return wire.Precedence.ROUTINE if routine else wire.Precedence.TRANSACTIONAL


def metadata(
    u: uftp.Payload, kind: type[wire.Payload], ways: Iterable[tuple[Role, Role]], ctx: Context, losses: list[Loss]
) -> wire.MessageMetadata:
    """MessageMetadata of a written message; roles are the first of the ways that it goes, where none are kept."""
    if u.version != uftp.VERSIONS[-1]:
        dropped(f"{uftp.element(type(u))}/@Version", u.version, "USEF 2015's messages have no version", losses)
    kept = ctx.kept.get("message_metadata")
    if isinstance(kept, wire.MessageMetadata):
        held = {name: getattr(kept, name) for name in ("sender_role", "recipient_role", "precedence", "valid_until")}
    else:
        frm, to = next(iter(ways))
        held = {"sender_role": frm, "recipient_role": to, "precedence": precedence(kind)}
        if kind in (wire.TestMessage, wire.TestMessageResponse):
            path, why = f"{kind.__name__}/MessageMetadata/@SenderRole", "UFTP's TestMessage tells no roles"
            losses.append(Loss(path=path, kind=Kind.DEFAULTED, value=str(frm), why=why))
    return wire.MessageMetadata(
        sender_domain=u.sender_domain,
        recipient_domain=u.recipient_domain,
        time_stamp=u.time_stamp,
        message_id=u.message_id,
        conversation_id=u.conversation_id,
        **held,
    )


def own_sequence(u: uftp.Payload, kind: str, ctx: Context, losses: list[Loss]) -> int:
    """The Sequence of a written message that has none in UFTP: as kept, or TimeStamp as the schema recommends."""
    kept = ctx.kept.get("sequence")
    if isinstance(kept, int):
        return kept
    known = next((n.key for n, told in ctx.ids.items() if told == u.message_id and n.kind == kind), None)
    if known is not None:
        return int(known)
    number = int(f"{instant(u.time_stamp):%Y%m%d%H%M%S%f}"[:18] or 0)
    why = "UFTP numbers no such message; it is TimeStamp, as the schema recommends"
    losses.append(Loss(path=f"{kind}/@Sequence", kind=Kind.DEFAULTED, value=number, why=why))
    return number


def split(total: Decimal, weights: Mapping[int, float | int]) -> dict[int, Decimal]:
    """An amount of 4 decimals over PTUs by weight, evenly where all are zero; the sum is the amount exactly."""
    whole = [Decimal(repr(w)) for w in weights.values()]
    if not any(whole):
        whole = [Decimal(1)] * len(whole)
    found, upto, before = {}, Decimal(0), Decimal(0)
    for number, weight in zip(weights, whole, strict=True):
        upto += weight
        now = (total * upto / sum(whole)).quantize(STEP, ROUND_HALF_EVEN)
        found[number] = now - before
        before = now
    return found


def domain_of_brp(meta: wire.MessageMetadata) -> str | None:
    """The BRP's domain, of a message from it or to it."""
    if meta.sender_role is Role.BRP:
        return meta.sender_domain
    return meta.recipient_domain if meta.recipient_role is Role.BRP else None


def placed(m: wire.Prognosis | wire.Flex) -> str:
    """Where a message is about.

    Interpretation: without a CongestionPoint it is about all connections of the BRP, and the place is the BRP's domain.

    Raises:
        InvalidError: neither is there.
    """
    place = m.congestion_point or domain_of_brp(m.message_metadata)
    if place is None:
        raise InvalidError("is missing", path=f"{type(m).__name__}/@CongestionPoint", clause="USEF-14")
    return place


def is_address(place: str) -> bool:
    """Whether a place is a congestion point, and no BRP's domain."""
    return place.startswith(("ea1.", "ean."))
