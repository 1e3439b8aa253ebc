"""Suite ``uftp-messages``: every rule of UFTP, and the laws of its codec, over a corpus; no network.

A file of the corpus comes with what is to be looked up (``seen``): the rules of a conversation are judged, too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec

from flexhub.conformance.corpora import Accepted, Corpus, Rejected, corpus
from flexhub.conformance.suite import Case, Mutant, Requirement, Suite
from flexhub.conformance.verdicts import just, refused, said
from flexhub.core.errors import ConfigError, FlexhubError
from flexhub.protocols.rules import Broken, broken
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.checks import roles
from flexhub.protocols.uftp.codec import UftpCodec
from flexhub.protocols.uftp.envelope import Delivery, public_key
from flexhub.protocols.uftp.rules import RULES, findings
from flexhub.protocols.uftp.seen import Market, Past, Peer, Seen, alone

PROTOCOL: Final = "uftp"
_CODEC: Final = UftpCodec()

LAWS: Final = (
    Requirement("UFTP-L1", "codec", "What is no message is refused, with its code and path."),
    Requirement("UFTP-L2", "codec", "decode(encode(m)) == m, and what is written is canonical."),
    Requirement("UFTP-L3", "rules", "Every accepted message breaks no rule, in its conversation and alone."),
)
"""The laws; beside them every rule of the protocol is a requirement."""


class Speaker(msgspec.Struct, frozen=True, kw_only=True):
    """The target: what reads, writes and judges."""

    decode: Callable[[bytes], wire.Payload] = _CODEC.decode
    encode: Callable[[wire.Payload], bytes] = _CODEC.encode
    too_strict: bool = False
    off: frozenset[str] = frozenset()

    def judged(self, file: Accepted | Rejected) -> list[Broken]:
        """Every rule that a file breaks, given what it is to be looked up with."""
        if file.name.endswith(".http"):
            found = broken(RULES, delivery(file), off=self.off)
        else:
            message = self.decode(file.data)
            found = findings(message, seen(message, file.seen, _FILES), off=self.off)
        return found or ([_TOO_STRICT] if self.too_strict else [])


_TOO_STRICT: Final = Broken(rule="?", clause="", path="", message="refused for no reason")


def ours(target: str | None = None, transports: Mapping[str, Any] | None = None) -> Speaker:  # noqa: ARG001 - as Suite
    """The target: flexhub itself; this suite judges a library, so it takes no address.

    Raises:
        ConfigError: an address is given.
    """
    if target is not None:
        raise ConfigError("the uftp-messages suite judges the installed library; it takes no target", value=target)
    return Speaker()


def delivery(file: Accepted | Rejected) -> Delivery:
    """A file of HTTP as a delivery."""
    head, _, body = file.data.partition(b"\r\n\r\n")
    lines = (line.partition(":") for line in head.decode("ascii").split("\r\n")[1:])
    headers = {name.strip().lower(): value.strip() for name, _, value in lines}
    length = headers.get("content-length")
    key = file.seen.get("key")
    return Delivery(
        content_type=headers.get("content-type", ""),
        content_length=None if length is None else int(length),
        body=body,
        too_many=bool(file.seen.get("too_many")),
        key=None if key is None else public_key(key),
    )


_PLACES: Final = ("ean.871685900012636543",)


def seen(message: wire.Payload, told: Mapping[str, Any], files: Corpus) -> Seen:
    """What the index tells to look up; what it does not tell is as the message itself has it."""

    def past(name: str, **state: bool) -> Past:
        data = next(file.data for file in files.accepted if file.name == name)
        return Past(message=_CODEC.decode(data), **state)

    frm, to = (min(of) for of in roles(type(message)))
    market = {
        "domain": message.recipient_domain,
        "role": to,
        "time_zone": "Europe/Amsterdam",
        "congestion_points": _PLACES,
        "max_power_w": 10_000_000,
        "currencies": ("EUR",),
        **told.get("market", {}),
    }
    envelope = {"sender_domain": message.sender_domain, "sender_role": frm, **told.get("envelope", {})}
    known = {name: past(name, **state) for name, state in told.get("past", {}).items()}
    return Seen(
        now=datetime.fromisoformat(told["now"]) if "now" in told else alone(message).now,
        envelope=wire.SignedMessage(
            sender_domain=envelope["sender_domain"], sender_role=wire.Role(envelope["sender_role"]), body=""
        ),
        market=msgspec.convert(market, Market),
        peer=msgspec.convert({"roles": [envelope["sender_role"]], **told.get("peer", {})}, Peer),
        same=past(told["same"]) if "same" in told else None,
        past={one.message.message_id: one for one in known.values()},
        revision=told.get("revision"),
        orders=frozenset(told["orders"]) if "orders" in told else None,
        places=told.get("places"),
    )


_FILES: Final = corpus(PROTOCOL)


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
    if not found and not file.name.endswith(".http"):
        found = broken(RULES, target.decode(file.data), off=target.off)
    return said(found) if found else None


def _cases() -> Iterator[Case[Speaker]]:
    laws: dict[str, tuple[Callable[[Accepted, Speaker], Awaitable[str | None]], str]] = {
        "UFTP-L2": (_same_again, "the same message, the same bytes"),
        "UFTP-L3": (_unbroken, "no finding"),
    }
    for law, (check, expected) in laws.items():
        for accepted in _FILES.accepted:
            if law == "UFTP-L2" and accepted.name.endswith(".http"):
                continue
            yield Case(
                id=f"{law}/{accepted.name}",
                requirement=law,
                sent=accepted.shows,
                expected=expected,
                check=partial(check, accepted),
            )
    for rejected in _FILES.rejected:
        requirement = rejected.rule or "UFTP-L1"
        yield Case(
            id=f"{requirement}/{rejected.name}",
            requirement=requirement,
            sent=rejected.shows,
            expected=f"{rejected.rule or rejected.code} at {rejected.path or 'the whole'}",
            check=partial(_breaks if rejected.rule else refused, rejected),
        )


def _lenient(speaker: Speaker) -> Speaker:
    def decode(data: bytes) -> wire.Payload:
        try:
            return speaker.decode(data)
        except FlexhubError:
            return _CODEC.decode(_FILES.accepted[0].data)

    return msgspec.structs.replace(speaker, decode=decode)


def _forgetful(speaker: Speaker) -> Speaker:
    def encode(message: wire.Payload) -> bytes:
        return speaker.encode(msgspec.structs.replace(message, time_stamp="2000-01-01T00:00:00Z"))

    return msgspec.structs.replace(speaker, encode=encode)


def _switched_off(rule: str, speaker: Speaker) -> Speaker:
    return msgspec.structs.replace(speaker, off=speaker.off | {rule})


def _strict(speaker: Speaker) -> Speaker:
    return msgspec.structs.replace(speaker, too_strict=True)


SUITE: Final[Suite[Speaker]] = Suite(
    name="uftp-messages",
    title="UFTP's messages: every rule, and the laws of the codec",
    requirements=(*LAWS, *(Requirement(rule.id, rule.clause, rule.reject) for rule in RULES)),
    cases=tuple(_cases()),
    mutants=(
        Mutant(requirement="UFTP-L1", breaks=_lenient, all_cases=True),
        Mutant(requirement="UFTP-L2", breaks=_forgetful, all_cases=True),
        Mutant(requirement="UFTP-L3", breaks=_strict),
        *(Mutant(requirement=r.id, breaks=partial(_switched_off, r.id), all_cases=True) for r in RULES),
    ),
    connect=ours,
)
"""Each rule switched off, and each law broken in its own way, turns exactly its own cases red."""
