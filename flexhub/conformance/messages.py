"""Suites of a protocol's messages: every rule, and the laws of the codec, over a corpus; no network.

A file of the corpus comes with what is to be looked up (``seen``): the rules of a conversation are judged, too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from flexhub.conformance.corpora import Accepted, Corpus, Rejected
from flexhub.conformance.suite import Case, Mutant, Requirement, Suite
from flexhub.conformance.verdicts import just, refused, said
from flexhub.core.errors import ConfigError, FlexhubError
from flexhub.protocols.codec import Codec
from flexhub.protocols.rules import Broken, Rule, broken

File = Accepted | Rejected


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What a suite is about.

    Args:
        name, title, prefix: of the suite, and of the ids of its laws.
        files: the corpus.
        codec, rules: the protocol's.
        judge: every rule that a file breaks, given how it is read and which rules are off; looks up what `seen` tells.
        stamped: a message with another TimeStamp.
        is_message: whether a file is a bare message; others are judged only.
    """

    name: str
    title: str
    prefix: str
    files: Corpus
    codec: Codec[Any]
    rules: tuple[Rule[Any], ...]
    judge: Callable[[File, Callable[[bytes], Any], frozenset[str]], list[Broken]]
    stamped: Callable[[Any, str], Any]
    root: Callable[[type], str] = lambda kind: kind.__name__
    is_message: Callable[[File], bool] = lambda _: True


class Speaker(msgspec.Struct, frozen=True, kw_only=True):
    """The target: what reads, writes and judges."""

    kind: Kind
    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]
    too_strict: bool = False
    off: frozenset[str] = frozenset()

    def judged(self, file: File) -> list[Broken]:
        """Every rule that a file breaks, given what it is to be looked up with."""
        return self.kind.judge(file, self.decode, self.off) or ([_TOO_STRICT] if self.too_strict else [])


_TOO_STRICT: Final = Broken(rule="?", clause="", path="", message="refused for no reason")


def suite_of(kind: Kind) -> Suite[Speaker]:
    """The suite: each rule switched off, and each law broken in its own way, turns exactly its own cases red."""
    read, again, accepts = (f"{kind.prefix}-L{n}" for n in (1, 2, 3))
    laws = (
        Requirement(read, "codec", "What is no message is refused, with its code and path."),
        Requirement(again, "codec", "decode(encode(m)) == m, and what is written is canonical."),
        Requirement(accepts, "rules", "Every accepted message breaks no rule, in its conversation and alone."),
    )

    def connect(target: str | None = None, transports: Mapping[str, Any] | None = None) -> Speaker:  # noqa: ARG001 - as Suite
        if target is not None:
            told = f"the {kind.name} suite judges the installed library; it takes no target"
            raise ConfigError(told, value=target)
        return Speaker(kind=kind, decode=kind.codec.decode, encode=kind.codec.encode)

    return Suite(
        name=kind.name,
        title=kind.title,
        requirements=(*laws, *(Requirement(rule.id, rule.clause, rule.reject) for rule in kind.rules)),
        cases=tuple(_cases(kind, read, again, accepts)),
        mutants=(
            Mutant(requirement=read, breaks=_lenient, all_cases=True),
            Mutant(requirement=again, breaks=_forgetful, all_cases=True),
            Mutant(requirement=accepts, breaks=_strict),
            *(Mutant(requirement=r.id, breaks=partial(_switched_off, r.id), all_cases=True) for r in kind.rules),
        ),
        connect=connect,
    )


def _cases(kind: Kind, read: str, again: str, accepts: str) -> Iterator[Case[Speaker]]:
    laws: dict[str, tuple[Callable[[Accepted, Speaker], Awaitable[str | None]], str]] = {
        again: (_same_again, "the same message, the same bytes"),
        accepts: (_unbroken, "no finding"),
    }
    for law, (check, expected) in laws.items():
        for accepted in kind.files.accepted:
            if law == again and not kind.is_message(accepted):
                continue
            yield Case(
                id=f"{law}/{accepted.name}",
                requirement=law,
                sent=accepted.shows,
                expected=expected,
                check=partial(check, accepted),
            )
    for rejected in kind.files.rejected:
        requirement = rejected.rule or read
        yield Case(
            id=f"{requirement}/{rejected.name}",
            requirement=requirement,
            sent=rejected.shows,
            expected=f"{rejected.rule or rejected.code} at {rejected.path or 'the whole'}",
            check=partial(_breaks if rejected.rule else refused, rejected),
        )


async def _breaks(file: Rejected, target: Speaker) -> str | None:
    return just(target.judged(file), file)


async def _same_again(file: Accepted, target: Speaker) -> str | None:
    message = target.decode(file.data)
    written = target.encode(message)
    if target.decode(written) != message:
        return f"another message: {target.decode(written)}"
    return None if target.encode(target.decode(written)) == written else "other bytes the second time"


async def _unbroken(file: Accepted, target: Speaker) -> str | None:
    found, kind = target.judged(file), target.kind
    if not found and kind.is_message(file):
        message = target.decode(file.data)
        found = broken(kind.rules, message, off=target.off, at=kind.root(type(message)))
    return said(found) if found else None


def _lenient(speaker: Speaker) -> Speaker:
    def decode(data: bytes) -> Any:  # noqa: ANN401 - a message of any protocol
        try:
            return speaker.decode(data)
        except FlexhubError:
            return speaker.decode(speaker.kind.files.accepted[0].data)

    return msgspec.structs.replace(speaker, decode=decode)


def _forgetful(speaker: Speaker) -> Speaker:
    def encode(message: Any) -> bytes:  # noqa: ANN401 - a message of any protocol
        return speaker.encode(speaker.kind.stamped(message, "2000-01-01T00:00:00Z"))

    return msgspec.structs.replace(speaker, encode=encode)


def _switched_off(rule: str, speaker: Speaker) -> Speaker:
    return msgspec.structs.replace(speaker, off=speaker.off | {rule})


def _strict(speaker: Speaker) -> Speaker:
    return msgspec.structs.replace(speaker, too_strict=True)
