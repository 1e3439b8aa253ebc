"""UFTP's entry in the registry."""

from __future__ import annotations

from typing import Final

from flexhub.protocols.registry import Protocol
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.codec import UftpCodec
from flexhub.protocols.uftp.messages import MESSAGES, RESPONSES
from flexhub.protocols.uftp.rules import RULES

_REGISTER: Final = "the register of connections keeps it as it is"
UNMAPPED: Final[dict[type, str]] = {
    **dict.fromkeys(RESPONSES.values(), "an answer: the session's business"),
    wire.TestMessage: "it has no content",
    wire.FlexReservationUpdate: "the core has no type for what a contract reserves",
    wire.FlexOfferRevocation: "an event in the life of the offer, not a value",
    wire.AGRPortfolioUpdate: _REGISTER,
    wire.AGRPortfolioQuery: _REGISTER,
    wire.DSOPortfolioUpdate: _REGISTER,
    wire.DSOPortfolioQuery: _REGISTER,
}
"""Messages that no mapping is about, and why."""

PROTOCOL: Final = Protocol(
    name="uftp",
    title="USEF Flex Trading Protocol (Shapeshifter) 3.0.0 and 3.1.0",
    messages=MESSAGES,
    codec=UftpCodec(),
    rules=RULES,
    unmapped=UNMAPPED,
)
