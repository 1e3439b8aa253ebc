"""The mapping suite's laws of OpenADR 2.0b: from its corpus to the core and back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import msgspec

from flexhub.conformance.corpora import Accepted, corpus
from flexhub.conformance.suite import Case, Requirement
from flexhub.core import documents
from flexhub.core.flexoffer import EnergyRange, FlexOffer, Profile, Slice
from flexhub.core.lifecycle import AnyEvent, Event
from flexhub.core.tariff import Tariff
from flexhub.core.timeseries import Measurement, TimeSeries
from flexhub.core.trading import FlexRequest
from flexhub.mappings.fates import SERIOUS, Mapped
from flexhub.mappings.openadr2b import events, reports
from flexhub.mappings.openadr2b.context import Context, Form, Point
from flexhub.mappings.registry import Mapping, mappings
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.codec import OadrCodec

LAWS: Final = (
    Requirement("MAP-11", "mapping", "A message of OpenADR 2.0b comes back from the core as it was; nothing is lost."),
    Requirement("MAP-12", "mapping", "Its powers over intervals are the core's energies, positive = consumption."),
)
NAME: Final = "openadr2b"
NOW: Final = datetime(2026, 3, 29, 9, tzinfo=UTC)
START: Final = datetime(2026, 3, 29, 10, tzinfo=UTC)
_CODEC: Final = OadrCodec(check=False)
_LEVELS: Final = (0.0, 8.0, 16.0, 40.0)
_IDS: Final = {"id": "r-1", "issuer": "utility", "recipient": "agr", "congestion_point": "feeder"}
_POINTS: Final = {
    "p": Point(subject="meter", report_type="usage"),
    "up": Point(subject="site", report_type=reports.UP),
    "down": Point(subject="site", report_type=reports.DOWN),
    "base": Point(subject="site", report_type=reports.BASELINE),
}
_OFFER: Final = FlexOffer(
    id="o-1",
    issuer="site",
    created=NOW,
    start_after=START,
    start_before=START,
    profiles=(Profile(slices=(Slice(energy_kwh=(EnergyRange(0.0, 1.0),)),)),),
)
ABOUT: Final[tuple[tuple[str, type, Form, tuple[float, ...]], ...]] = (
    ("event-dispatch.xml", TimeSeries, Form.SETPOINT, (2.0, 2.0, -0.5, 0.0)),
    ("event-dispatch.xml", FlexRequest, Form.SETPOINT, (2.0, 2.0, -0.5, 0.0)),
    ("event-delta.xml", FlexRequest, Form.DELTA, (-2.5, -2.5, 1.0)),
    ("event-charge.xml", TimeSeries, Form.CHARGE, (2.5, 0.0, 1.25)),
    ("event-charge.xml", FlexRequest, Form.CHARGE, (2.5, 0.0, 1.25)),
    ("event-levels.xml", FlexRequest, Form.LEVEL, (-2.0, -4.0)),
    ("event-tariff.xml", Tariff, Form.SETPOINT, ()),
    ("update-report-usage.xml", Measurement, Form.SETPOINT, (1.5, 0.0, -0.25)),
    ("update-report-projected.xml", FlexOffer, Form.SETPOINT, (0.5, 2.0, -1.0, 1.0)),
    ("create-opt-window.xml", FlexOffer, Form.SETPOINT, ()),
    ("created-event-one.xml", Event, Form.SETPOINT, ()),
)
"""File, core type, signal that it is written in, and the energies (kWh) that it is about."""

Row = tuple[Mapping, ...]


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What maps: the mapping suite's target has these rows."""

    openadr: Row


def rows() -> Row:
    """The mappings of OpenADR 2.0b."""
    return mappings(NAME)


def _context(m: Any, form: Form) -> Context:  # noqa: ANN401 - of any mapped type
    kept: dict[str, Any] = dict(_IDS)
    if isinstance(m, wire.OadrDistributeEvent):
        kept |= events.kept_of(m)
    elif isinstance(m, wire.OadrUpdateReport):
        kept |= reports.kept_of(m)
    elif isinstance(m, wire.OadrCreateOpt):
        names = ("schema_version", "opt_id", "opt_reason", "market_context", "ven_id", "created_date_time", "ei_target")
        kept |= {name: getattr(m, name) for name in (*names, "request_id")}
    elif isinstance(m, wire.OadrCreatedEvent):
        one = (m.ei_created_event.event_responses or ())[0]
        kept |= {
            "request_id": one.request_id,
            "event_id": one.qualified_event_id.event_id,
            "modification_number": one.qualified_event_id.modification_number,
            "ven_id": m.ei_created_event.ven_id,
        }
    return Context(kept=kept, now=NOW, form=form, levels_kw=_LEVELS, points=_POINTS, offer=_OFFER)


def _row(of: Row, m: Any, core: type) -> Mapping:  # noqa: ANN401 - as above
    return next(row for row in of if row.message is type(m) and row.core is core)


async def _there_and_back(file: Accepted, core: type, form: Form, target: Target) -> str | None:
    m = _CODEC.decode(file.data)
    row, ctx = _row(target.openadr, m, core), _context(m, form)
    there = row.to_core(m, ctx)
    stored: Any = AnyEvent if core is Event else core
    if documents.decode(stored, documents.encode(there.value)) != there.value:
        return "another value from storage"
    back = row.to_wire(there.value, ctx)
    grave = [loss for loss in (*there.losses, *back.losses) if loss.kind in SERIOUS]
    if grave:
        return f"lost: {grave}"
    return None if back.value == m else f"another message: {back.value}"


async def _conserved(file: Accepted, core: type, form: Form, want: tuple[float, ...], target: Target) -> str | None:
    m = _CODEC.decode(file.data)
    value = _row(target.openadr, m, core).to_core(m, _context(m, form)).value
    got = tuple(_energies(value))
    same = len(got) == len(want) and all(abs(a - b) < 1e-9 for a, b in zip(got, want, strict=True))
    return None if same else f"{got} kWh, from {want} in the message"


def _energies(value: object) -> Iterator[float]:
    if isinstance(value, TimeSeries | Measurement):
        parts = value.resolution_s // 900
        yield from ((kwh or 0.0) / parts for kwh in value.values_kwh for _ in range(parts))
    elif isinstance(value, FlexRequest):
        yield from (i.hi_kwh or 0.0 for i in value.intervals)
    elif isinstance(value, FlexOffer):
        for piece in value.profiles[0].slices:
            yield from piece.span_kwh()


def cases() -> Iterator[Case[Any]]:
    """A case for each law, file and core type that it can be."""
    files = {file.name: file for file in corpus(NAME).accepted}
    for name, core, form, want in ABOUT:
        file = files[name]
        yield Case(
            id=f"MAP-11/{name}/{core.__name__}",
            requirement="MAP-11",
            sent=file.shows,
            expected="the same message",
            check=partial(_there_and_back, file, core, form),
        )
        if want:
            yield Case(
                id=f"MAP-12/{name}/{core.__name__}",
                requirement="MAP-12",
                sent=file.shows,
                expected="the same energy in every interval",
                check=partial(_conserved, file, core, form, want),
            )


def restamped(of: Row) -> Row:
    """A mutant: what comes back is of another version of the profile."""

    def other(row: Mapping) -> Mapping:
        def to_wire(value: Any, ctx: Context) -> Mapped[Any]:  # noqa: ANN401 - of the row's type
            done = row.to_wire(value, ctx)
            return Mapped(msgspec.structs.replace(done.value, schema_version="2.0a"), done.losses)

        return msgspec.structs.replace(row, to_wire=to_wire)

    return tuple(map(other, of))


def inverted(of: Row) -> Row:
    """A mutant: it takes consumption for production, both ways."""

    def other(row: Mapping) -> Mapping:
        def to_core(m: Any, ctx: Context) -> Mapped[Any]:  # noqa: ANN401 - of the row's type
            done = row.to_core(m, ctx)
            return Mapped(_negated(done.value), done.losses)

        return msgspec.structs.replace(
            row, to_core=to_core, to_wire=lambda value, ctx: row.to_wire(_negated(value), ctx)
        )

    return tuple(map(other, of))


def _negated(value: Any) -> Any:  # noqa: ANN401 - of any row's type
    if isinstance(value, TimeSeries | Measurement):
        told = tuple(None if kwh is None else -kwh for kwh in value.values_kwh)
        return msgspec.structs.replace(value, values_kwh=told)
    if isinstance(value, FlexRequest):
        intervals = tuple(
            msgspec.structs.replace(
                i,
                lo_kwh=None if i.hi_kwh is None else -i.hi_kwh if i.lo_kwh is not None else None,
                hi_kwh=None if i.hi_kwh is None else -(i.hi_kwh if i.lo_kwh is None else i.lo_kwh),
            )
            for i in value.intervals
        )
        return msgspec.structs.replace(value, intervals=intervals)
    if isinstance(value, FlexOffer) and value.default_schedule is not None:
        slices = tuple(
            msgspec.structs.replace(s, energy_kwh=tuple(EnergyRange(-r.hi_kwh, -r.lo_kwh) for r in s.energy_kwh))
            for s in value.profiles[0].slices
        )
        default = value.default_schedule
        turned = tuple(msgspec.structs.replace(s, energy_kwh=-s.energy_kwh) for s in default.slices)
        return msgspec.structs.replace(
            value,
            profiles=(msgspec.structs.replace(value.profiles[0], slices=slices),),
            default_schedule=msgspec.structs.replace(default, slices=turned),
        )
    return value
