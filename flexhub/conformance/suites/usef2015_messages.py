"""Suite ``usef2015-messages``: every rule of USEF 2015, and the laws of its codec, over a corpus."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import msgspec

from flexhub.conformance.corpora import corpus
from flexhub.conformance.messages import File, Kind, Speaker, suite_of
from flexhub.conformance.suite import Suite
from flexhub.protocols.rules import Broken
from flexhub.protocols.usef2015 import messages as wire
from flexhub.protocols.usef2015.codec import UsefCodec
from flexhub.protocols.usef2015.rules import RULES, findings
from flexhub.protocols.usef2015.seen import Market, Past, Peer, Reference, Seen, alone

_CODEC: Final = UsefCodec()
_FILES: Final = corpus("usef2015")
_PLACES: Final = ("ean.871685900012636543", "ea1.2013-11.com.example.dso:station.7")


def seen(message: wire.Payload, told: dict[str, Any]) -> Seen:
    """What the index tells to look up; what it does not tell is as the message itself has it."""
    meta = message.message_metadata

    def past(name: str, **state: bool) -> Past:
        data = next(file.data for file in _FILES.accepted if file.name == name)
        return Past(message=_CODEC.decode(data), **state)

    market = {
        "domain": meta.recipient_domain,
        "role": meta.recipient_role,
        "time_zone": "Europe/Amsterdam",
        "congestion_points": _PLACES,
        "max_power_w": 10_000_000,
        "currencies": ("EUR",),
        **told.get("market", {}),
    }
    envelope = {"sender_domain": meta.sender_domain, "sender_role": meta.sender_role, **told.get("envelope", {})}
    known = [past(name, **state) for name, state in told["past"].items()] if "past" in told else None
    return Seen(
        now=datetime.fromisoformat(told["now"]) if "now" in told else alone(message).now,
        envelope=wire.SignedMessage(
            sender_domain=envelope["sender_domain"], sender_role=wire.Role(envelope["sender_role"]), body=""
        ),
        market=msgspec.convert(market, Market),
        peer=msgspec.convert(told.get("peer", {}), Peer),
        same=past(told["same"]) if "same" in told else None,
        past=None if known is None else {_reference(one.message): one for one in known},
        asked=tuple(past(name).message for name in told["asked"]) if "asked" in told else None,
        sequence=told.get("sequence"),
        prognosis=told.get("prognosis"),
        orders=frozenset(told["orders"]) if "orders" in told else None,
    )


def _reference(message: wire.Payload) -> Reference:
    return Reference(type(message).__name__, message.message_metadata.sender_domain, getattr(message, "sequence", 0))


def _judge(file: File, decode: Callable[[bytes], wire.Payload], off: frozenset[str]) -> list[Broken]:
    message = decode(file.data)
    return findings(message, seen(message, file.seen), off=off)


def _stamped(message: wire.Payload, text: str) -> wire.Payload:
    meta = msgspec.structs.replace(message.message_metadata, time_stamp=text)
    return msgspec.structs.replace(message, message_metadata=meta)


SUITE: Final[Suite[Speaker]] = suite_of(
    Kind(
        name="usef2015-messages",
        title="USEF 2015's messages: every rule, and the laws of the codec",
        prefix="USEF",
        files=_FILES,
        codec=_CODEC,
        rules=RULES,
        judge=_judge,
        stamped=_stamped,
    )
)
