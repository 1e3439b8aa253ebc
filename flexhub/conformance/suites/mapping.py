"""Suite ``mapping``: the flex-offer message's rules, the laws of its codec and mapping, and others' mappings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import UNSET

from flexhub.conformance.corpora import Accepted, Rejected, corpus
from flexhub.conformance.suite import Case, Mutant, Requirement, Status, Suite
from flexhub.conformance.suites import mapping_openadr as openadr
from flexhub.conformance.suites import mapping_usef as usef
from flexhub.conformance.verdicts import just, refused, said
from flexhub.core import documents
from flexhub.core import flexoffer as core
from flexhub.core.errors import ConfigError, FlexhubError
from flexhub.mappings.fates import SERIOUS, Mapped
from flexhub.mappings.flexoffer import Context, Form, Sign
from flexhub.mappings.registry import mappings
from flexhub.protocols.flexoffer import messages as wire
from flexhub.protocols.flexoffer import reading as read
from flexhub.protocols.flexoffer.rules import MULTIPLIERS
from flexhub.protocols.registry import protocol
from flexhub.protocols.rules import Broken, Finding, Rule, broken

PROTOCOL: Final = "flexoffer"
ROOT: Final = "FlexOffer"
NOW: Final = datetime(2026, 3, 14, 6, tzinfo=UTC)

LAWS: Final = (
    Requirement("MAP-1", "codec", "What is no message of the format is refused, with its code and path."),
    Requirement("MAP-2", "codec", "decode(encode(m)) == m, for every accepted message."),
    Requirement("MAP-3", "rules", "Every accepted message breaks no rule."),
    Requirement("MAP-4", "mapping", "Every accepted message maps to the core and survives its storage as JSON."),
    Requirement("MAP-5", "mapping", "Exact and kept fields come back as they were; no bound or price is lost."),
    Requirement("MAP-6", "mapping", "Energy bounds are conserved in sum, in either sign, on the way in and back."),
    Requirement("MAP-7", "mapping", "What is written in either form breaks no rule and reads as the same offer."),
)
"""The laws; beside them every rule of the protocol is a requirement."""

STATUS: Final[dict[str, Status]] = {}
"""Requirement -> why it is not judged. Absent: done."""


class Speaker(msgspec.Struct, frozen=True, kw_only=True):
    """The target: what reads, judges, maps and writes."""

    decode: Callable[[bytes], wire.Document]
    encode: Callable[[wire.Document], bytes]
    rules: tuple[Rule[Any], ...]
    to_core: Callable[[wire.FlexOffer, Context], Mapped[core.FlexOffer]]
    to_wire: Callable[[core.FlexOffer, Context], Mapped[wire.FlexOffer]]
    rows: usef.Rows
    openadr: openadr.Row
    off: frozenset[str] = frozenset()

    def broken(self, document: wire.Document) -> list[Broken]:
        """Every rule that the document's offers break."""
        return [
            found
            for i, offer in enumerate(document.offers)
            for found in broken(self.rules, offer, off=self.off, at=f"{ROOT}[{i}]" if document.wrapper else ROOT)
        ]


def ours(target: str | None = None, transports: Mapping[str, Any] | None = None) -> Speaker:  # noqa: ARG001 - as Suite
    """The target: flexhub itself; this suite judges a library, so it takes no address.

    Raises:
        ConfigError: an address is given.
    """
    if target is not None:
        raise ConfigError("the mapping suite judges the installed library; it takes no target", value=target)
    entry, mapping = protocol(PROTOCOL), mappings(PROTOCOL)[0]
    return Speaker(
        decode=entry.codec.decode,
        encode=entry.codec.encode,
        rules=entry.rules,
        to_core=mapping.to_core,
        to_wire=mapping.to_wire,
        rows=usef.rows(),
        openadr=openadr.rows(),
    )


def _context(sign: Sign = Sign.CONSUMPTION, form: Form = Form.GOFLEX) -> Context:
    return Context(sign=sign, form=form, new_id="given-1", now=NOW, null_ids=True)


async def _breaks(file: Rejected, target: Speaker) -> str | None:
    return just(target.broken(target.decode(file.data)), file)


async def _same_again(file: Accepted, target: Speaker) -> str | None:
    document = target.decode(file.data)
    again = target.decode(target.encode(document))
    if again != document:
        return f"another message: {again}"
    want, got = msgspec.json.decode(file.data), msgspec.json.decode(target.encode(document))
    return None if want == got else f"other JSON: {got}"


async def _unbroken(file: Accepted, target: Speaker) -> str | None:
    found = target.broken(target.decode(file.data))
    return said(found) if found else None


async def _maps(file: Accepted, target: Speaker) -> str | None:
    for sign in Sign:
        for offer in target.decode(file.data).offers:
            value = target.to_core(offer, _context(sign)).value
            if documents.decode(core.FlexOffer, documents.encode(value)) != value:
                return f"another offer from storage, {sign}-positive"
    return None


async def _exact(file: Accepted, target: Speaker) -> str | None:
    for offer in target.decode(file.data).offers:
        context = _context()
        inward = target.to_core(offer, context)
        outward = target.to_wire(inward.value, context)
        serious = [loss for loss in (*inward.losses, *outward.losses) if loss.kind in SERIOUS]
        if serious:
            return f"lost: {serious}"
        changed = list(_changed(offer, outward.value))
        if changed:
            return f"changed: {'; '.join(changed)}"
    return None


def _changed(before: msgspec.Struct, after: msgspec.Struct, path: str = "") -> Iterator[str]:
    """Fields declared exact or kept that differ, here and in the structs below."""
    declared = {fate.of: fate for fate in mappings(PROTOCOL)[0].read}[type(before)]
    for field in msgspec.structs.fields(before):
        was, now = getattr(before, field.name), getattr(after, field.name)
        if was is UNSET or was is None:
            continue
        if field.encode_name in declared.exact | declared.kept:
            if was != now:
                yield f"{path}{field.encode_name}: {was!r}, then {now!r}"
        elif isinstance(was, msgspec.Struct) and isinstance(now, msgspec.Struct):
            yield from _changed(was, now, f"{path}{field.encode_name}/")
        elif isinstance(was, tuple) and was and isinstance(was[0], msgspec.Struct):
            for i, (one, other) in enumerate(zip(was, now, strict=True)):
                yield from _changed(one, other, f"{path}{field.encode_name}[{i}]/")


def _sums(offer: wire.FlexOffer, sign: Sign) -> tuple[float, float]:
    """(sum of lower, sum of upper) over all ranges of a message, as kWh of consumption."""
    low = high = 0.0
    for piece in read.slices(offer):
        for b in read.first(piece.energy_constraint_list) or ():
            lower, upper = read.bounds(b)
            low, high = low + (lower or 0.0), high + (upper or 0.0)
    up, down = MULTIPLIERS[offer.multiplier] if isinstance(offer.multiplier, str) else (1.0, 1.0)
    low, high = low * up / down, high * up / down
    return (-high, -low) if sign is Sign.PRODUCTION else (low, high)


def _core_sums(offer: core.FlexOffer) -> tuple[float, float]:
    ranges = [r for p in offer.profiles for s in p.slices if s.uncertainty is None for r in s.energy_kwh]
    return sum(r.lo_kwh for r in ranges), sum(r.hi_kwh for r in ranges)


def _near(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return all(abs(a - b) <= 1e-9 * max(1.0, abs(a)) for a, b in zip(one, other, strict=True))


async def _conserved(file: Accepted, target: Speaker) -> str | None:
    for sign in Sign:
        for offer in target.decode(file.data).offers:
            want = _sums(offer, sign)
            value = target.to_core(offer, _context(sign)).value
            if not _near(want, _core_sums(value)):
                return f"{_core_sums(value)} kWh from {want} in the message, {sign}-positive"
            for back in Sign:
                written = target.to_wire(value, _context(back)).value
                if any(s.uncertainty is not None for p in value.profiles for s in p.slices):
                    continue  # its range stands in the functions on the wire, and in the ranges in the core
                if not _near(want, _sums(written, back)):
                    return f"{_sums(written, back)} kWh written from {want}, {back}-positive"
    return None


def _bare(offer: core.FlexOffer) -> core.FlexOffer:
    return msgspec.structs.replace(offer, extras={})


async def _stable(file: Accepted, target: Speaker) -> str | None:
    for offer in target.decode(file.data).offers:
        value = target.to_core(offer, _context()).value
        for form in Form:
            for sign in Sign:
                written = target.to_wire(value, _context(sign, form)).value
                found = broken(target.rules, written, off=target.off)
                if found:
                    return f"{form} {sign}-positive breaks {said(found)}"
                again = target.to_core(written, _context(sign, form)).value
                if not _alike(_bare(value), _bare(again)):
                    return f"{form} {sign}-positive reads as {documents.encode(again).decode()}"
    return None


def _alike(one: object, other: object) -> bool:
    """Equal, but for one rounding of each number."""
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= 1e-12 * max(1.0, abs(one))
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, msgspec.Struct) and type(one) is type(other):
        return _alike(msgspec.structs.astuple(one), msgspec.structs.astuple(other))
    return one == other


Check = Callable[[Any, Speaker], Awaitable[str | None]]

_BY_LAW: Final[dict[str, tuple[Check, str]]] = {
    "MAP-2": (_same_again, "the same message again"),
    "MAP-3": (_unbroken, "no finding"),
    "MAP-4": (_maps, "a core flex-offer that survives storage"),
    "MAP-5": (_exact, "exact and kept fields as they were"),
    "MAP-6": (_conserved, "the same sums of energy bounds"),
    "MAP-7": (_stable, "the same offer from what was written"),
}


def _cases() -> Iterator[Case[Speaker]]:
    files = corpus(PROTOCOL)
    for law, (check, expected) in _BY_LAW.items():
        for accepted in files.accepted:
            yield Case(
                id=f"{law}/{accepted.name}",
                requirement=law,
                sent=accepted.shows,
                expected=expected,
                check=partial(check, accepted),
            )
    for rejected in files.rejected:
        requirement = rejected.rule or "MAP-1"
        yield Case(
            id=f"{requirement}/{rejected.name}",
            requirement=requirement,
            sent=rejected.shows or f"{rejected.name}, otherwise as {rejected.twin}",
            expected=f"{rejected.rule or rejected.code} at {rejected.path}",
            check=partial(_breaks if rejected.rule else refused, rejected),
        )


def _replaced(name: str, make: Callable[[Speaker], Any]) -> Callable[[Speaker], Speaker]:
    return lambda speaker: msgspec.structs.replace(speaker, **{name: make(speaker)})


def _lenient(speaker: Speaker) -> Callable[[bytes], wire.Document]:
    def decode(data: bytes) -> wire.Document:
        try:
            return speaker.decode(data)
        except FlexhubError:
            return wire.Document(offers=())

    return decode


def _forgetful(speaker: Speaker) -> Callable[[wire.Document], bytes]:
    """Writes the last offer twice."""

    def encode(document: wire.Document) -> bytes:
        return speaker.encode(
            msgspec.structs.replace(document, offers=(*document.offers, *document.offers[-1:]), wrapper="list")
        )

    return encode


def _too_strict(speaker: Speaker) -> tuple[Rule[Any], ...]:
    """Refuses a creationInterval without a creationTime."""

    def needless(m: wire.FlexOffer) -> Iterator[Finding]:
        if m.creation_time is UNSET and m.creation_interval is not UNSET:
            yield Finding("creationTime", "is missing")

    rule = Rule(id="FO-00", clause="none", of=wire.FlexOffer, check=needless, reject="No creationTime")
    return (*speaker.rules, rule)


def _reads(
    speaker: Speaker, change: Callable[[core.FlexOffer], core.FlexOffer]
) -> Callable[[wire.FlexOffer, Context], Mapped[core.FlexOffer]]:
    def to_core(offer: wire.FlexOffer, context: Context) -> Mapped[core.FlexOffer]:
        mapped = speaker.to_core(offer, context)
        return Mapped(change(mapped.value), mapped.losses)

    return to_core


def _unstorable(offer: core.FlexOffer) -> core.FlexOffer:
    """Keeps a tuple in the extras, which JSON gives back as a list."""
    ours_ = {**offer.extras.get("flexoffer", {}), "pair": (1, 2)}
    return msgspec.structs.replace(offer, extras={**offer.extras, "flexoffer": ours_})


def _unlabelled(offer: core.FlexOffer) -> core.FlexOffer:
    return msgspec.structs.replace(offer, label=None)


def _without_deadline(speaker: Speaker) -> Callable[[core.FlexOffer, Context], Mapped[wire.FlexOffer]]:
    def to_wire(offer: core.FlexOffer, context: Context) -> Mapped[wire.FlexOffer]:
        return speaker.to_wire(msgspec.structs.replace(offer, assign_before=None), context)

    return to_wire


def _inverted(speaker: Speaker) -> Speaker:
    """Takes each sign for the other, both ways."""

    def other(context: Context) -> Context:
        sign = Sign.PRODUCTION if context.sign is Sign.CONSUMPTION else Sign.CONSUMPTION
        return msgspec.structs.replace(context, sign=sign)

    return msgspec.structs.replace(
        speaker,
        to_core=lambda offer, context: speaker.to_core(offer, other(context)),
        to_wire=lambda offer, context: speaker.to_wire(offer, other(context)),
    )


def _switched_off(rule: str, speaker: Speaker) -> Speaker:
    return msgspec.structs.replace(speaker, off=speaker.off | {rule})


_MUTANTS: Final[tuple[Mutant[Speaker], ...]] = (
    Mutant(requirement="MAP-1", breaks=_replaced("decode", _lenient), all_cases=True),
    Mutant(requirement="MAP-2", breaks=_replaced("encode", _forgetful), all_cases=True),
    Mutant(requirement="MAP-3", breaks=_replaced("rules", _too_strict)),
    Mutant(requirement="MAP-4", breaks=_replaced("to_core", partial(_reads, change=_unstorable)), all_cases=True),
    Mutant(requirement="MAP-5", breaks=_replaced("to_core", partial(_reads, change=_unlabelled))),
    Mutant(requirement="MAP-6", breaks=_inverted),
    Mutant(requirement="MAP-7", breaks=_replaced("to_wire", _without_deadline)),
    Mutant(requirement="MAP-8", breaks=_replaced("rows", lambda s: usef.restamped(usef.CORE, s.rows)), all_cases=True),
    Mutant(requirement="MAP-9", breaks=_replaced("rows", lambda s: usef.restamped(usef.UFTP, s.rows)), all_cases=True),
    Mutant(requirement="MAP-11", breaks=_replaced("openadr", lambda s: openadr.restamped(s.openadr)), all_cases=True),
    Mutant(requirement="MAP-12", breaks=_replaced("openadr", lambda s: openadr.inverted(s.openadr)), all_cases=True),
    Mutant(requirement="MAP-10", breaks=_replaced("rows", lambda s: usef.inverted(s.rows)), all_cases=True),
)

_RULES: Final = protocol(PROTOCOL).rules

SUITE: Final[Suite[Speaker]] = Suite(
    name="mapping",
    title="The flex-offer message: its rules, the laws of its codec and mapping; USEF 2015's and OpenADR's mappings",
    requirements=(
        *LAWS,
        *usef.LAWS,
        *openadr.LAWS,
        *(Requirement(rule.id, rule.clause, rule.reject) for rule in _RULES),
    ),
    cases=(*_cases(), *usef.cases(), *openadr.cases()),
    mutants=(
        *_MUTANTS,
        *(Mutant(requirement=r.id, breaks=partial(_switched_off, r.id), all_cases=True) for r in _RULES),
    ),
    connect=ours,
    status=STATUS,
)
"""Each rule switched off, and each law broken in its own way, turns exactly its own cases red."""
