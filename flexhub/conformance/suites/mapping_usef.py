"""The mapping suite's laws of USEF 2015: to the core and to UFTP, there and back, over its corpus."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, Final

import msgspec

from flexhub.conformance.corpora import Accepted, corpus
from flexhub.conformance.suite import Case, Requirement
from flexhub.conformance.verdicts import said
from flexhub.core import documents, timeseries, trading
from flexhub.mappings.fates import SERIOUS, Mapped
from flexhub.mappings.registry import Mapping, mappings
from flexhub.mappings.usef2015.context import Context, ids_of, kept_of
from flexhub.protocols.rules import broken
from flexhub.protocols.uftp.codec import UftpCodec
from flexhub.protocols.uftp.rules import RULES as UFTP_RULES
from flexhub.protocols.uftp.times import instant
from flexhub.protocols.usef2015 import messages as wire
from flexhub.protocols.usef2015.checks import metered
from flexhub.protocols.usef2015.codec import UsefCodec

LAWS: Final = (
    Requirement(
        "MAP-8", "mapping", "A message of USEF 2015 comes back from the core as it was; nothing grave is lost."
    ),
    Requirement("MAP-9", "mapping", "It comes back from UFTP as it was, and what it is there breaks no rule."),
    Requirement("MAP-10", "mapping", "Its powers over PTUs are the core's energies, positive = consumption."),
)
CORE: Final = "usef2015"
UFTP: Final = "usef2015-uftp"
_CODEC: Final = UsefCodec()
_UFTP: Final = UftpCodec()
_FILES: Final = {file.name: file for file in corpus("usef2015").accepted}
_MESSAGES: Final = {name: _CODEC.decode(file.data) for name, file in _FILES.items()}
_IDS: Final = ids_of(_MESSAGES.values())
_REFUSED: Final = frozenset(
    ("plan.xml", "request-plan.xml", "offer-nothing.xml", "update-brp.xml", "meter-response.xml", "query.xml")
)
"""Files that UFTP has no counterpart of, or not without a loss; their kinds of message have one."""
_ONE_PART: Final = frozenset(("offer-nothing.xml", "meter-response.xml"))
"""Files that the core has no counterpart of: an offer of nothing, and several connections in one answer."""

Rows = dict[str, tuple[Mapping, ...]]


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What maps: the mapping suite's target has these rows."""

    rows: Rows


def rows() -> Rows:
    """The mappings of USEF 2015: to the core, and to UFTP."""
    return {name: mappings(name) for name in (CORE, UFTP)}


def _row(of: Rows, name: str, m: wire.Payload) -> Mapping:
    found = [row for row in of[name] if row.message is type(m)]
    roles = {m.message_metadata.sender_role, m.message_metadata.recipient_role}
    return next((row for row in found if row.core.__name__[:3] in roles), found[0])


def _context(m: wire.Payload) -> Context:
    return Context(kept=kept_of(m), ids=_IDS)


def _bare(m: wire.Payload) -> wire.Payload:
    """Without elements of other namespaces, and instants in one spelling."""
    told: dict[str, Any] = {"extensions": ()} if hasattr(m, "extensions") else {}
    if isinstance(m, wire.Flex):
        told["expiration_date_time"] = instant(m.expiration_date_time).isoformat()
    return msgspec.structs.replace(m, **told)


def _back(m: wire.Payload, there: Mapped[Any], row: Mapping) -> str | None:
    back = row.to_wire(there.value, _context(m))
    grave = [loss for loss in (*there.losses, *back.losses) if loss.kind in SERIOUS]
    if grave:
        return f"lost: {grave}"
    return None if _bare(back.value) == _bare(m) else f"another message: {back.value}"


async def _from_core(file: Accepted, target: Target) -> str | None:
    m = _MESSAGES[file.name]
    row = _row(target.rows, CORE, m)
    there = row.to_core(m, _context(m))
    if documents.decode(row.core, documents.encode(there.value)) != there.value:
        return "another value from storage"
    return _back(m, there, row)


async def _from_uftp(file: Accepted, target: Target) -> str | None:
    m = _MESSAGES[file.name]
    row = _row(target.rows, UFTP, m)
    there = row.to_core(m, _context(m))
    found = broken(UFTP_RULES, _UFTP.decode(_UFTP.encode(there.value)))
    return said(found) if found else _back(m, there, row)


async def _conserved(file: Accepted, target: Target) -> str | None:
    m = _MESSAGES[file.name]
    value = _row(target.rows, CORE, m).to_core(m, _context(m)).value
    want = {number: watts / 4000 for number, watts in _watts(m).items() if watts}
    got = {number: kwh for number, kwh in _energies(value, min(want)) if kwh}
    return None if want == got else f"{got} kWh by PTU from {want} in the message"


def _watts(m: wire.Payload) -> dict[int, int]:
    """PTU number (of 15 minutes) -> watts, positive = consumption."""
    if isinstance(m, wire.MeterDataQueryResponse):
        spans = [(p.start, p.duration, -p.power_w) for _, _, data in metered(m) for p in data.ptu_meter_data]
    else:
        spans = [(p.start, p.duration, p.power_w) for p in getattr(m, "ptus", ())]
    return {number: watts for start, length, watts in spans for number in range(start, start + length)}


def _energies(value: object, first: int) -> Iterator[tuple[int, float]]:
    """(PTU number, kWh) of a core value; of an order, whose slots count from its own start, the first is `first`."""
    if isinstance(value, timeseries.TimeSeries | timeseries.Measurement):
        yield from ((number, kwh or 0.0) for number, kwh in enumerate(value.values_kwh, 1))
    elif isinstance(value, trading.Order):
        yield from enumerate(value.deviation_kwh, first)
    elif isinstance(value, trading.FlexRequest):
        yield from ((i.slot + 1, (i.lo_kwh or 0.0) + (i.hi_kwh or 0.0)) for i in value.intervals)


_BY_LAW: Final[dict[str, tuple[Callable[[Accepted, Target], Awaitable[str | None]], str]]] = {
    "MAP-8": (_from_core, "the same message"),
    "MAP-9": (_from_uftp, "the same message, and no finding between"),
    "MAP-10": (_conserved, "the same energy in every PTU"),
}
_SUMMED: Final = (wire.Prognosis, wire.FlexRequest, wire.FlexOrder, wire.MeterDataQueryResponse)


def _about(law: str, name: str) -> bool:
    kind = type(_MESSAGES[name])
    if law == "MAP-9":
        return name not in _REFUSED and any(row.message is kind for row in mappings(UFTP))
    told = name not in _ONE_PART and any(row.message is kind for row in mappings(CORE))
    return told and (law == "MAP-8" or issubclass(kind, _SUMMED))


def cases() -> Iterator[Case[Any]]:
    """A case for each law and each file that it is about."""
    for law, (check, expected) in _BY_LAW.items():
        for name, file in _FILES.items():
            if _about(law, name):
                yield Case(
                    id=f"{law}/{name}",
                    requirement=law,
                    sent=file.shows,
                    expected=expected,
                    check=partial(check, file),
                )


def restamped(name: str, of: Rows) -> Rows:
    """A mutant: what comes back begins another conversation."""

    def other(row: Mapping) -> Mapping:
        def to_wire(value: Any, ctx: Context) -> Mapped[Any]:  # noqa: ANN401 - of the row's type
            done = row.to_wire(value, ctx)
            meta = msgspec.structs.replace(done.value.message_metadata, conversation_id=_OTHER)
            return Mapped(msgspec.structs.replace(done.value, message_metadata=meta), done.losses)

        return msgspec.structs.replace(row, to_wire=to_wire)

    return {**of, name: tuple(map(other, of[name]))}


_OTHER: Final = "00000000-0000-4000-8000-00000000ffff"


def inverted(of: Rows) -> Rows:
    """A mutant: it takes consumption for production, both ways."""

    def other(row: Mapping) -> Mapping:
        def to_core(m: Any, ctx: Context) -> Mapped[Any]:  # noqa: ANN401 - of the row's type
            done = row.to_core(m, ctx)
            return Mapped(_negated(done.value), done.losses)

        return msgspec.structs.replace(
            row, to_core=to_core, to_wire=lambda value, ctx: row.to_wire(_negated(value), ctx)
        )

    return {**of, CORE: tuple(map(other, of[CORE]))}


def _negated(value: Any) -> Any:  # noqa: ANN401 - of any row's type
    if isinstance(value, timeseries.TimeSeries | timeseries.Measurement):
        told = tuple(None if kwh is None else -kwh for kwh in value.values_kwh)
        return msgspec.structs.replace(value, values_kwh=told)
    if isinstance(value, trading.Order):
        return msgspec.structs.replace(value, deviation_kwh=tuple(-kwh for kwh in value.deviation_kwh))
    if isinstance(value, trading.FlexRequest):
        intervals = tuple(
            msgspec.structs.replace(i, lo_kwh=-(i.hi_kwh or 0.0), hi_kwh=-(i.lo_kwh or 0.0)) for i in value.intervals
        )
        return msgspec.structs.replace(value, intervals=intervals)
    return value
