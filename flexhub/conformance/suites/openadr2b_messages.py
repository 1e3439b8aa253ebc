"""Suite ``openadr2b-messages``: every rule about one message of OpenADR 2.0b, and the laws of its codec; no network."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from flexhub.conformance.corpora import Accepted, Rejected, corpus
from flexhub.conformance.suite import Case, Mutant, Requirement, Suite
from flexhub.conformance.verdicts import just, refused, said
from flexhub.core.errors import ConfigError, FlexhubError
from flexhub.protocols.openadr2b.elements import Message
from flexhub.protocols.openadr2b.protocol import PROTOCOL
from flexhub.protocols.openadr2b.rules import RULES, findings
from flexhub.protocols.rules import Broken

NAME: Final = "openadr2b-messages"

LAWS: Final = (
    Requirement("OADR-L1", "codec", "What is no message is refused, with its code and path."),
    Requirement("OADR-L2", "codec", "decode(encode(m)) == m, and what is written is canonical."),
    Requirement("OADR-L3", "rules", "Every accepted message breaks no rule."),
)
"""The laws; beside them every rule of the protocol is a requirement."""


class Speaker(msgspec.Struct, frozen=True, kw_only=True):
    """The target: what reads, writes and judges."""

    decode: Callable[[bytes], Message] = PROTOCOL.codec.decode
    encode: Callable[[Message], bytes] = PROTOCOL.codec.encode
    too_strict: bool = False
    off: frozenset[str] = frozenset()

    def judged(self, file: Accepted | Rejected) -> list[Broken]:
        """Every rule that a file breaks."""
        return findings(self.decode(file.data), off=self.off) or ([_TOO_STRICT] if self.too_strict else [])


_TOO_STRICT: Final = Broken(rule="?", clause="", path="", message="refused for no reason")
_FILES: Final = corpus(PROTOCOL.name)


def ours(target: str | None = None, transports: Mapping[str, Any] | None = None) -> Speaker:  # noqa: ARG001 - as Suite
    """The target: flexhub itself; this suite judges a library, so it takes no address.

    Raises:
        ConfigError: an address is given.
    """
    if target is not None:
        raise ConfigError(f"the {NAME} suite judges the installed library; it takes no target", value=target)
    return Speaker()


async def _breaks(file: Rejected, target: Speaker) -> str | None:
    return just(target.judged(file), file)


async def _same_again(file: Accepted, target: Speaker) -> str | None:
    message = target.decode(file.data)
    written = target.encode(message)
    if target.decode(written) != message:
        return f"another message: {target.decode(written)}"
    return None if target.encode(target.decode(written)) == written else "other bytes the second time"


async def _unbroken(file: Accepted, target: Speaker) -> str | None:
    found = target.judged(file)
    return said(found) if found else None


def _cases() -> Iterator[Case[Speaker]]:
    laws: dict[str, tuple[Callable[[Accepted, Speaker], Awaitable[str | None]], str]] = {
        "OADR-L2": (_same_again, "the same message, the same bytes"),
        "OADR-L3": (_unbroken, "no finding"),
    }
    for law, (check, expected) in laws.items():
        for accepted in _FILES.accepted:
            name = f"{law}/{accepted.name}"
            yield Case(id=name, requirement=law, sent=accepted.shows, expected=expected, check=partial(check, accepted))
    for rejected in _FILES.rejected:
        requirement = rejected.rule or "OADR-L1"
        yield Case(
            id=f"{requirement}/{rejected.name}",
            requirement=requirement,
            sent=rejected.shows,
            expected=f"{rejected.rule or rejected.code} at {rejected.path or 'the whole'}",
            check=partial(_breaks if rejected.rule else refused, rejected),
        )


def _lenient(speaker: Speaker) -> Speaker:
    def decode(data: bytes) -> Message:
        try:
            return speaker.decode(data)
        except FlexhubError:
            return speaker.decode(_FILES.accepted[0].data)

    return msgspec.structs.replace(speaker, decode=decode)


def _forgetful(speaker: Speaker) -> Speaker:
    def encode(message: Message) -> bytes:
        return speaker.encode(msgspec.structs.replace(message, schema_version="2.0a"))

    return msgspec.structs.replace(speaker, encode=encode)


def _switched_off(rule: str, speaker: Speaker) -> Speaker:
    return msgspec.structs.replace(speaker, off=speaker.off | {rule})


def _strict(speaker: Speaker) -> Speaker:
    return msgspec.structs.replace(speaker, too_strict=True)


SUITE: Final[Suite[Speaker]] = Suite(
    name=NAME,
    title="OpenADR 2.0b's messages: every rule about one alone, and the laws of the codec",
    requirements=(*LAWS, *(Requirement(rule.id, rule.clause, rule.reject) for rule in RULES)),
    cases=tuple(_cases()),
    mutants=(
        Mutant(requirement="OADR-L1", breaks=_lenient, all_cases=True),
        Mutant(requirement="OADR-L2", breaks=_forgetful, all_cases=True),
        Mutant(requirement="OADR-L3", breaks=_strict),
        *(Mutant(requirement=r.id, breaks=partial(_switched_off, r.id), all_cases=True) for r in RULES),
    ),
    connect=ours,
)
"""Each rule switched off, and each law broken in its own way, turns exactly its own cases red."""
