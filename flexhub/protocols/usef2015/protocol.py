"""USEF 2015's entry in the registry."""

from __future__ import annotations

from typing import Final

from flexhub.protocols.registry import Protocol
from flexhub.protocols.usef2015 import messages as wire
from flexhub.protocols.usef2015.codec import UsefCodec
from flexhub.protocols.usef2015.rules import RULES

_REGISTER: Final = "the register of connections keeps it as it is"
UNMAPPED: Final[dict[type, str]] = {
    **dict.fromkeys(
        (k for k in wire.RESPONSES.values() if k is not wire.MeterDataQueryResponse),
        "an answer: the session's business",
    ),
    wire.TestMessage: "it has no content",
    wire.FlexOfferRevocation: "an event in the life of the offer, not a value",
    wire.CommonReferenceUpdate: _REGISTER,
    wire.CommonReferenceQuery: _REGISTER,
    wire.MeterDataQuery: "a question: its answer is mapped",
}
"""Messages that no mapping to the core is about, and why."""

PROTOCOL: Final = Protocol(
    name="usef2015",
    title="USEF 2015, XML schema 1.03",
    messages=wire.MESSAGES,
    codec=UsefCodec(),
    rules=RULES,
    unmapped=UNMAPPED,
)
