"""A station that is a VEN of its aggregator: the same visits as over REST, in OpenADR 2.0b.

It offers by an availability (when its charging may begin) and a Projected report (what it takes then), learns its
schedule from the event that dispatches it, opts in, and reports what its meter read. It polls when it is due to know.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from flexhub.app.exchange.papers import Change
from flexhub.app.openadr.ven.posting import Answered, VtnClient
from flexhub.app.openadr.ven.section import VenSection
from flexhub.core.errors import FlexhubError, InternalError
from flexhub.core.flexoffer import EnergyRange, FlexOffer, Profile, Schedule, ScheduleSlice, Slice, State
from flexhub.core.timegrid import EPOCH, QUARTER_HOUR, QUARTER_HOUR_S
from flexhub.core.timeseries import Measurement
from flexhub.core.units import TOLERANCE_KWH
from flexhub.mappings.openadr2b import events, opts, reports
from flexhub.mappings.openadr2b.context import KW, KWH, Context, Point
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.elements import (
    EiEvent,
    EiTarget,
    Message,
    OadrEvent,
    OadrReport,
    OadrReportDescription,
    OadrSamplingRate,
)
from flexhub.protocols.openadr2b.names import METADATA_REQUEST, OptType, ResponseCode, ResponseRequired
from flexhub.protocols.openadr2b.session import ven as session
from flexhub.protocols.openadr2b.session import ven_reports
from flexhub.protocols.openadr2b.session.ven_state import Heard, Judge, Refusal, Setup
from flexhub.protocols.openadr2b.session.ven_state import State as Known

_OK: Final = ResponseCode.OK.value
OFFERED: Final = "offered"
USED: Final = "used"
"""Specifiers of the two reports: what can be had, and what was taken."""
_RATE: Final = OadrSamplingRate(oadr_min_period="PT15M", oadr_max_period="PT1H", oadr_on_change=True)
_PROJECTED: Final = (reports.UP, reports.DOWN, reports.BASELINE)


class Ven:
    """One station; an async context manager, since its connection is kept. `now` is told by who steps the time.

    Args:
        station: the prosumer, which its readings are of.
        vtn: what the paths of the VTN's services begin with.
        ven_id: the venID that it was allocated.
        ca: a file with the certificates that the VTN's is signed by; by default the system's.
    """

    def __init__(self, station: str, vtn: str, ven_id: str, ca: str | None) -> None:
        self.now = EPOCH
        self._station = station
        section = VenSection(
            name=station, vtn=vtn, ven_name=station, ven_id=ven_id, ca=None if ca is None else Path(ca)
        )
        self._client = VtnClient(section, lambda: self.now)
        self._setup = Setup(ven_name=station, ven_id=ven_id, reports=_metadata(station))
        self._judge = Judge(_refuse, lambda _: OptType.OPT_IN)
        self._known = Known()
        self._numbers = itertools.count(1)
        self._offers: dict[str, FlexOffer] = {}

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def register(self, now: datetime) -> None:
        """Register, tell what can be reported, and hear what of it is wanted.

        Raises:
            InternalError: the VTN does not take it.
            FlexhubError: it cannot be reached.
        """
        self.now = now
        await self._say(session.register(self._known, self._setup, seed=self._seed()))
        if not self._known.registered:
            raise InternalError(f"{self._station} was not registered: {self._known.why}")
        await self._say(ven_reports.register(self._known, self._setup, now, seed=self._seed()))
        await self._poll()

    # -- a visit's side of the exchange -------------------------------------------------------------------------------

    async def post_offer(self, draft: FlexOffer) -> FlexOffer:
        """Offer it, as far as OpenADR can say it (`block`). What the aggregator thinks of it, only an event tells."""
        offer = block(draft)
        kept: dict[str, Any] = {"request_id": self._seed(), "opt_id": draft.id, "ven_id": self._known.ven_id}
        opt = opts.availability_to_wire(offer, Context(kept=kept, now=self.now)).value
        self._known = msgspec.structs.replace(self._known, opts={**self._known.opts, opt.opt_id: opt})
        await self._say(opt)
        points = {kind: Point(subject=self._station, report_type=kind) for kind in _PROJECTED}
        kept = self._report(OFFERED) | {"ei_report_id": draft.id}
        await self._say(reports.projected_to_wire(offer, Context(kept=kept, now=self.now, points=points)).value)
        self._offers[draft.id] = offer
        return msgspec.structs.replace(draft, state=State.OFFERED)

    async def post_measurements(self, batch: Sequence[Measurement]) -> None:
        """Report readings, all of them in one message."""
        points = {USED: Point(subject=self._station, report_type="usage")}
        written = [
            reports.telemetry_to_wire(one, Context(kept=self._report(USED), now=self.now, points=points)).value
            for one in batch
        ]
        whole = tuple(report for one in written for report in one.oadr_reports)
        await self._say(msgspec.structs.replace(written[0], oadr_reports=whole))

    async def wait(self, offer: str, wanted: Callable[[Change], bool]) -> Change:
        """What the VTN's events say of the offer by now; without one it is taken not to be wanted.

        Raises:
            InternalError: it is not as wanted, though it should be by now.
        """
        await self._poll()
        change = self._change(offer)
        if not wanted(change):
            raise InternalError(f"no news of {offer}; known: {change}")
        return change

    def _change(self, offer: str) -> Change:
        own = self._offers[offer]
        first, last = own.window(self.now)
        heard = [one for one in self._known.events.values() if first <= one.starts() <= last and _stands(one)]
        if not heard:
            return Change(id=offer, state=State.EXPIRED)
        schedule = _schedule(heard[-1].event.ei_event)
        return Change(
            id=offer, state=State.EXECUTING if schedule.start <= self.now else State.ASSIGNED, schedule=schedule
        )

    # -- messages -----------------------------------------------------------------------------------------------------

    def _seed(self) -> str:
        return f"{self._station}-{next(self._numbers)}"

    def _report(self, specifier: str) -> dict[str, Any]:
        """What a report of this kind names: the request that it is wanted by.

        Raises:
            InternalError: nobody wants it.
        """
        for id_, one in self._known.wanted.items():
            if one.request.report_specifier.report_specifier_id == specifier:
                return {
                    "request_id": self._seed(),
                    "ven_id": self._known.ven_id,
                    "report_request_id": id_,
                    "report_specifier_id": specifier,
                    "report_name": "TELEMETRY_USAGE",
                }
        raise InternalError(f"{self._station} was not asked for {specifier!r}")

    async def _poll(self) -> None:
        while True:
            answer = await self._ask(session.poll(self._known))
            said = answer.message
            if said is None or (isinstance(said, wire.OadrResponse) and said.ei_response.response_code == _OK):
                return
            await self._heard(answer)

    async def _ask(self, message: Message) -> Answered:
        return await self._client.ask(session.SERVICE[type(message)].value, message)

    async def _say(self, message: Message) -> None:
        await self._heard(await self._ask(message))

    async def _heard(self, answer: Answered) -> None:
        """What the VTN said, and what has to be said to that.

        Raises:
            InternalError: it refused something of ours.
        """
        if answer.message is None:
            return
        response = getattr(answer.message, "ei_response", None)
        if response is not None and response.response_code != _OK:
            raise InternalError(
                f"{self._station} was refused: {response.response_code} {response.response_description}"
            )
        step = session.receive(self._known, answer.message, self.now, self._setup, self._judge, seed=self._seed())
        self._known = step.state
        for message in step.sends:
            await self._say(message)


def block(draft: FlexOffer) -> FlexOffer:
    """Of an offer what a report and an availability can say: its default schedule, which may begin later.

    What couples its slices, such as a total, has no place in a report; so what is left is when all of it is taken. It
    may begin as late as it still ends within the slots in which as much can be had as in the best one.
    """
    default = draft.default_schedule
    if default is None:
        raise InternalError(f"{draft.id} has no default schedule")
    energies = default.per_slot_kwh()
    while energies and energies[-1] <= TOLERANCE_KWH:
        energies.pop()
    most = [max(r.hi_kwh for r in piece.energy_kwh) for piece in draft.profiles[0].slices]
    whole = sum(kwh >= max(most) - TOLERANCE_KWH for kwh in most)
    start = default.start
    return FlexOffer(
        id=draft.id,
        issuer=draft.issuer,
        created=draft.created,
        start_after=start,
        start_before=start + max(0, whole - len(energies)) * QUARTER_HOUR,
        profiles=(Profile(slices=tuple(Slice(energy_kwh=(EnergyRange(kwh, kwh),)) for kwh in energies)),),
        default_schedule=Schedule(start=start, slices=tuple(ScheduleSlice(energy_kwh=kwh) for kwh in energies)),
    )


def _metadata(station: str) -> tuple[OadrReport, ...]:
    """What can be reported: capacities around what is projected, and usage."""
    source = EiTarget(resource_ids=(station,))

    def point(r_id: str, kind: str, *, projected: bool) -> OadrReportDescription:
        return OadrReportDescription(
            r_id=r_id,
            report_data_source=source,
            report_type=kind,
            item_base=KW if projected else KWH,
            reading_type="Projected" if projected else "Direct Read",
            oadr_sampling_rate=_RATE,
        )

    def report(specifier: str, points: tuple[OadrReportDescription, ...]) -> OadrReport:
        return OadrReport(
            duration="P1D",
            oadr_report_descriptions=points,
            report_request_id=METADATA_REQUEST,
            report_specifier_id=specifier,
            report_name="METADATA_TELEMETRY_USAGE",
            created_date_time="1970-01-01T00:00:00Z",  # the session says when it is told
        )

    return (
        report(OFFERED, tuple(point(kind, kind, projected=True) for kind in _PROJECTED)),
        report(USED, (point(USED, "usage", projected=False),)),
    )


def _alone(event: EiEvent) -> wire.OadrDistributeEvent:
    one = OadrEvent(ei_event=event, oadr_response_required=ResponseRequired.NEVER)
    return wire.OadrDistributeEvent(request_id="", vtn_id="", oadr_events=(one,))


def _refuse(event: EiEvent) -> Refusal | None:
    try:
        events.schedule_to_core(_alone(event), Context())
    except FlexhubError as error:
        return ResponseCode.SIGNAL_NOT_SUPPORTED, error.message
    return None


def _stands(heard: Heard) -> bool:
    return heard.opt is OptType.OPT_IN and heard.cancelled is None


def _schedule(event: EiEvent) -> Schedule:
    """The set-points, as energies."""
    series = events.schedule_to_core(_alone(event), Context()).value
    slots = series.resolution_s // QUARTER_HOUR_S
    slices = tuple(ScheduleSlice(energy_kwh=kwh or 0.0, duration=slots) for kwh in series.values_kwh)
    return Schedule(start=series.start, slices=slices)
