"""Suite ``openadr2b-messages``: every rule about one message of OpenADR 2.0b, and the laws of its codec; no network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from flexhub.conformance.corpora import corpus
from flexhub.conformance.messages import File, Kind, Speaker, suite_of
from flexhub.conformance.suite import Suite
from flexhub.protocols.openadr2b.elements import Message
from flexhub.protocols.openadr2b.protocol import PROTOCOL
from flexhub.protocols.openadr2b.rules import RULES, element_of, findings
from flexhub.protocols.rules import Broken


def _judge(file: File, decode: Callable[[bytes], Message], off: frozenset[str]) -> list[Broken]:
    return findings(decode(file.data), off=off)


def _stamped(message: Message, _: str) -> Message:
    """These messages have no common time: one of another version of the profile."""
    return msgspec.structs.replace(message, schema_version="2.0a")


SUITE: Final[Suite[Speaker]] = suite_of(
    Kind(
        name="openadr2b-messages",
        title="OpenADR 2.0b's messages: every rule about one alone, and the laws of the codec",
        prefix="OADR",
        files=corpus(PROTOCOL.name),
        codec=PROTOCOL.codec,
        rules=RULES,
        judge=_judge,
        stamped=_stamped,
        root=element_of,
    )
)
