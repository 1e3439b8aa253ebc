"""OpenADR 2.0b's entry in the registry."""

from __future__ import annotations

from typing import Final

from flexhub.protocols.openadr2b.codec import OadrCodec
from flexhub.protocols.openadr2b.messages import (
    MESSAGES,
    OadrCreatedEvent,
    OadrCreateOpt,
    OadrDistributeEvent,
    OadrUpdateReport,
)
from flexhub.protocols.openadr2b.rules import RULES
from flexhub.protocols.openadr2b.schema import installed
from flexhub.protocols.registry import Protocol

_MAPPED: Final = (OadrDistributeEvent, OadrCreatedEvent, OadrUpdateReport, OadrCreateOpt)
UNMAPPED: Final[dict[type, str]] = {
    message: "belongs to the conversation; it says nothing of energy" for message in MESSAGES if message not in _MAPPED
}
"""Messages that no mapping is about, and why."""

PROTOCOL: Final = Protocol(
    name="openadr2b",
    title="OpenADR 2.0b",
    messages=MESSAGES,
    codec=OadrCodec(check=installed()),
    rules=RULES,
    unmapped=UNMAPPED,
)
"""Where the XSDs are not installed, our own reader is the only one."""
