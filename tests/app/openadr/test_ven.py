"""The hub as a VEN of a VTN on 127.0.0.1: what is said, what is filed, and what is there after a restart."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from flexhub.app.config import Config, parse
from flexhub.app.hub.contract import Message
from flexhub.app.openadr.ven.handlers import ASKED, Opt
from flexhub.app.openadr.ven.papers import OpenadrVen
from flexhub.app.openadr.ven.settings import document_id
from flexhub.app.wiring import Running, running
from flexhub.core.documents import encode
from flexhub.core.errors import ConfigError, FlexhubError
from flexhub.core.flexoffer import EnergyRange, FlexOffer, Profile, Schedule, ScheduleSlice, Slice
from flexhub.core.registry import Role
from flexhub.core.tariff import Tariff
from flexhub.core.timeseries import Measurement
from flexhub.core.trading import FlexRequest
from flexhub.mappings.openadr2b import events
from flexhub.mappings.openadr2b.context import Context, Form
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.elements import EiResponse, OadrEvent, SpecifierPayload
from flexhub.protocols.openadr2b.names import EventStatus, OptType, ResponseRequired
from flexhub.protocols.openadr2b.session.ven_state import Stage, State
from tests.app.again import replayed
from tests.app.market import Clock
from tests.app.openadr.vtn import Vtn, ran, serving
from tests.protocols.test_openadr2b_ven import asks, event, request

NOW = datetime(2026, 3, 29, 10, tzinfo=UTC)
SOON = NOW + timedelta(hours=1)
MARKET = "http://market.example/dispatch"


def config(vtn: Vtn, folder: Path, more: str = "", roles: str = '"aggregator"') -> Config:
    return parse(f"""
pages = false
[hub]
name = "agr"
roles = [{roles}]
listen = "127.0.0.1:0"
[plan]
every = "P1D"
[store]
url = "sqlite:///{folder}/hub.db"
[[party]]
id = "anna"
roles = ["prosumer"]
contract = {{ id = "c-1" }}
[[party.connection]]
id = "home"
congestion_point = "feeder"
[[party.resource]]
id = "boiler"
connection = "home"
kind = "heat"
max_consumption = "50 kW"
[[openadr.ven]]
name = "utility"
vtn = "{vtn.url}"
congestion_point = "feeder"
markets = ["{MARKET}"]
levels = ["4 kW", "8 kW", "16 kW"]
answer_within = "PT1M"
{more}
""")


@asynccontextmanager
async def staged(
    folder: Path,
    more: str = 'opt = "in"',
    *,
    vtn: Vtn | None = None,
    clock: Callable[[], datetime] | None = None,
    tls: ssl.SSLContext | None = None,
    replays: bool = False,
    **options: Any,
) -> AsyncIterator[tuple[Vtn, Running]]:
    """A VTN and a hub that is its VEN; rounds are the test's to begin."""
    async with serving(vtn or Vtn(), tls) as served:
        told = config(served, folder, more, **options)
        async with running(told, clock=clock or Clock(NOW), timers=False) as hub:
            yield served, hub
        if replays:
            await asyncio.to_thread(replayed, told, f"sqlite:///{folder}/hub.db")


async def go(hub: Running) -> State:
    """One round, and what is known then."""
    await hub.vens["utility"].round()
    await hub.hub.settled()
    await hub.hub.sent()
    return await known(hub)


async def known(hub: Running) -> State:
    kept = await hub.hub.get(OpenadrVen, "utility")
    assert kept is not None
    return kept.state


async def request_of(hub: Running, name: str = "e-1") -> FlexRequest | None:
    return await hub.hub.get(FlexRequest, document_id("event", "utility", name))


async def binding(hub: Running) -> list[str]:
    """Requests that bind plans at the hub's time."""
    page = await hub.hub.documents(FlexRequest, states=("",))
    return [r.extras["event_id"] for r in page.items if r.expires > hub.hub._clock()]  # noqa: SLF001 - the test's own clock


def answers(vtn: Vtn) -> list[tuple[str, int, str, str]]:
    return [
        (r.qualified_event_id.event_id, r.qualified_event_id.modification_number, r.response_code, r.opt_type.value)
        for created in vtn.of(wire.OadrCreatedEvent)
        for r in created.ei_created_event.event_responses or ()
    ]


@ran
async def test_it_registers_and_catches_up_before_the_first_poll(tmp_path: Path) -> None:
    async with staged(tmp_path) as (vtn, hub):
        state = await go(hub)
        assert (state.stage, state.ven_id, state.registration_id, state.poll_s) == (
            Stage.REGISTERED, "ven-1", "reg-1", 10
        )  # fmt: skip
        kinds = [type(message) for message in vtn.heard]
        assert kinds == [wire.OadrQueryRegistration, wire.OadrCreatePartyRegistration, wire.OadrRequestEvent]
        await go(hub)
        assert len(vtn.heard) == 3
        assert vtn.polls == 2


@ran
async def test_an_event_becomes_a_request_and_its_cancellation_ends_it(tmp_path: Path) -> None:
    async with staged(tmp_path, replays=True) as (vtn, hub):
        await go(hub)
        vtn.tell(event(level=2.0, start=SOON))
        await go(hub)
        made = await request_of(hub)
        assert made is not None
        assert (made.start, made.congestion_point, made.issuer, made.recipient) == (SOON, "feeder", "utility", "agr")
        assert [i.hi_kwh for i in made.intervals] == [-2.0] * 4
        assert await binding(hub) == ["e-1"]
        vtn.tell(event(number=1, level=3.0, start=SOON))
        await go(hub)
        assert [i.hi_kwh for i in (await request_of(hub)).intervals] == [-4.0] * 4  # type: ignore[union-attr]  # it is there
        vtn.tell(event(number=2, level=3.0, start=SOON, status=EventStatus.CANCELLED))
        await go(hub)
        assert await binding(hub) == []
        assert answers(vtn) == [(*one, "200", "optIn") for one in (("e-1", 0), ("e-1", 1), ("e-1", 2))]


@ran
async def test_an_event_that_is_no_longer_told_is_cancelled(tmp_path: Path) -> None:
    async with staged(tmp_path) as (vtn, hub):
        await go(hub)
        vtn.tell(event(start=SOON))
        await go(hub)
        assert await binding(hub) == ["e-1"]
        vtn.tell()
        await go(hub)
        assert await binding(hub) == []
        assert len(answers(vtn)) == 1


@pytest.mark.parametrize(
    ("one", "code"),
    [
        (event(start=SOON, market="http://other.example"), "453"),
        (event(start=SOON, level=9.0), "454"),
    ],
)
@ran
async def test_what_is_refused_is_opted_out_of_and_files_nothing(tmp_path: Path, one: OadrEvent, code: str) -> None:
    async with staged(tmp_path) as (vtn, hub):
        await go(hub)
        vtn.tell(one, event("e-2", start=SOON + timedelta(hours=2)))
        await go(hub)
        assert answers(vtn) == [("e-1", 0, code, "optOut"), ("e-2", 0, "200", "optIn")]
        assert await request_of(hub) is None
        assert await binding(hub) == ["e-2"]


@ran
async def test_a_test_event_is_answered_and_files_nothing(tmp_path: Path) -> None:
    async with staged(tmp_path) as (vtn, hub):
        await go(hub)
        vtn.tell(event(start=SOON, test="true"))
        await go(hub)
        assert answers(vtn) == [("e-1", 0, "200", "optIn")]
        assert await request_of(hub) is None


@ran
async def test_a_policy_of_out_files_nothing_and_an_operator_may_say_otherwise(tmp_path: Path) -> None:
    async with staged(tmp_path, 'opt = "out"') as (vtn, hub):
        await go(hub)
        vtn.tell(event(start=SOON))
        await go(hub)
        assert answers(vtn) == [("e-1", 0, "200", "optOut")]
        assert await binding(hub) == []
        word = Message(
            peer="ops", id="1", kind="openadr.ven.opt", conversation="utility",
            body=encode(Opt(event_id="e-1", opt=OptType.OPT_IN)), role=Role.ADMIN,
        )  # fmt: skip
        await hub.hub.handle(word)
        await hub.hub.sent()
        assert await binding(hub) == ["e-1"]
        (said,) = vtn.of(wire.OadrCreateOpt)
        assert (said.opt_type, said.qualified_event_id.event_id) == (OptType.OPT_IN, "e-1")
        with pytest.raises(FlexhubError, match="no such event"):
            await hub.hub.handle(
                Message(
                    peer="ops",
                    id="2",
                    kind="openadr.ven.opt",
                    conversation="utility",
                    body=encode(Opt(event_id="other", opt=OptType.OPT_IN)),
                    role=Role.ADMIN,
                )
            )


# -- the engine's answer ----------------------------------------------------------------------------------------------


async def offered(hub: Running, least_kwh: float) -> None:
    """Anna's boiler: by default 2 kWh a quarter-hour for an hour from the event's start, and at least so much."""
    pieces = tuple(Slice(energy_kwh=(EnergyRange(least_kwh, 2.0),)) for _ in range(4))
    made = FlexOffer(
        id="o-1", issuer="anna", recipient="agr", contract="c-1", location="boiler", created=NOW,
        accept_before=SOON, assign_before=SOON, start_after=SOON, start_before=SOON,
        profiles=(Profile(slices=pieces),),
        default_schedule=Schedule(start=SOON, slices=(ScheduleSlice(energy_kwh=2.0),) * 4),
    )  # fmt: skip
    message = Message(
        peer="anna", id="o-1", kind="flexoffer.post", conversation="o-1", body=encode(made), role=Role.PROSUMER
    )
    answer = await hub.hub.handle(message)
    assert answer.status in (200, 201)


@pytest.mark.parametrize(("least", "opt"), [(0.0, "optIn"), (1.9, "optOut")])
@ran
async def test_the_engine_says_whether_it_can_be_done_before_the_next_poll(
    tmp_path: Path, least: float, opt: str
) -> None:
    async with staged(tmp_path, 'opt = "engine"', replays=True) as (vtn, hub):
        await go(hub)
        await offered(hub, least)
        vtn.tell(event(level=1.0, start=SOON))
        await go(hub)
        assert answers(vtn) == [("e-1", 0, "200", opt)]
        assert await binding(hub) == (["e-1"] if opt == "optIn" else [])
        page = await hub.hub.documents(FlexRequest, states=(ASKED,))
        assert page.items == ()
        offer = await hub.hub.get(FlexOffer, "o-1")
        assert offer is not None
        if opt == "optIn":
            assert offer.schedule is not None
            assert sum(s.energy_kwh for s in offer.schedule.slices) == pytest.approx(8.0 - 4.0)


@ran
async def test_nothing_to_move_is_opted_out_of(tmp_path: Path) -> None:
    async with staged(tmp_path, 'opt = "engine"') as (vtn, hub):
        await go(hub)
        vtn.tell(event(level=1.0, start=SOON))
        await go(hub)
        assert answers(vtn) == [("e-1", 0, "200", "optOut")]
        (created,) = vtn.of(wire.OadrCreatedEvent)
        assert "cannot be done" in created.ei_created_event.event_responses[0].response_description


# -- tariffs ----------------------------------------------------------------------------------------------------------


def priced(*prices: float, number: int = 0, status: EventStatus = EventStatus.FAR) -> OadrEvent:
    kept = {
        "event_id": "p-1", "ei_market_context": MARKET, "request_id": "d", "vtn_id": "vtn-1",
        "modification_number": number, "event_status": status,
        "id": "t", "issuer": "utility", "recipient": "agr",
    }  # fmt: skip
    tariff = Tariff(id="t", issuer="utility", recipient="agr", created=NOW, start=SOON, prices_eur_per_kwh=prices)
    return events.tariff_to_wire(tariff, Context(kept=kept, now=NOW)).value.oadr_events[0]


@ran
async def test_prices_move_the_plan_and_no_longer_do_when_they_are_called_off(tmp_path: Path) -> None:
    async with staged(tmp_path, 'opt = "engine"', replays=True) as (vtn, hub):
        await go(hub)
        pieces = (Slice(energy_kwh=(EnergyRange(0.0, 4.0),)),) * 2
        made = FlexOffer(
            id="o-1", issuer="anna", recipient="agr", contract="c-1", location="boiler", created=NOW,
            accept_before=SOON, assign_before=SOON, start_after=SOON, start_before=SOON,
            profiles=(Profile(slices=pieces, total_energy_kwh=EnergyRange(4.0, 4.0)),),
            default_schedule=Schedule(start=SOON, slices=(ScheduleSlice(energy_kwh=2.0),) * 2),
        )  # fmt: skip
        message = Message(
            peer="anna", id="o-1", kind="flexoffer.post", conversation="o-1", body=encode(made), role=Role.PROSUMER
        )
        await hub.hub.handle(message)
        vtn.tell(priced(0.30, 0.05))
        await go(hub)
        tariff = await hub.hub.get(Tariff, document_id("event", "utility", "p-1"))
        assert tariff is not None
        assert tariff.prices_eur_per_kwh == (0.30, 0.05)
        assert answers(vtn) == [("p-1", 0, "200", "optIn")]
        offer = await hub.hub.get(FlexOffer, "o-1")
        assert offer is not None
        assert [s.energy_kwh for s in offer.schedule.slices] == [pytest.approx(0.0), pytest.approx(4.0)]  # type: ignore[union-attr]  # it is planned
        vtn.tell(priced(0.30, 0.05, number=1, status=EventStatus.CANCELLED))
        await go(hub)
        tariff = await hub.hub.get(Tariff, document_id("event", "utility", "p-1"))
        assert tariff is not None
        assert tariff.prices_eur_per_kwh == (None, None)


# -- reports ----------------------------------------------------------------------------------------------------------

REPORTS = """opt = "in"
[[openadr.ven.report]]
subject = "home"
point = "usage"
[[openadr.ven.report]]
subject = "boiler"
demand = true
"""


async def measured(hub: Running, subject: str, *values: float | None) -> None:
    taken = Measurement(subject=subject, start=NOW, values_kwh=values)
    message = Message(
        peer="anna", id=f"{subject}-{values}", kind="measurement.post", conversation="anna",
        body=encode(taken), role=Role.PROSUMER,
    )  # fmt: skip
    await hub.hub.handle(message)


@ran
async def test_reports_are_registered_asked_for_and_sent_until_they_are_cancelled(tmp_path: Path) -> None:
    clock = Clock(NOW)
    async with staged(tmp_path, REPORTS, clock=clock, replays=True) as (vtn, hub):
        assert (await go(hub)).reported
        (registered,) = vtn.of(wire.OadrRegisterReport)
        assert [r.report_specifier_id for r in registered.oadr_reports] == ["telemetry", "history", "status"]
        vtn.queue.append(asks(request(point="usage", back="PT30M"), request("q-2", point="boiler", back="PT0S")))
        await go(hub)
        (created,) = vtn.of(wire.OadrCreatedReport)
        assert created.oadr_pending_reports == ("q-1", "q-2")
        await measured(hub, "home", 1.0, 2.0, None, 4.0)
        await measured(hub, "boiler", 0.5)
        for minutes in (15, 30, 60):
            clock.now = NOW + timedelta(minutes=minutes)
            await hub.hub.tick()
            await hub.hub.sent()
        told = [
            (r.report_request_id, r.dtstart, [
                (p.r_id, p.payload_base.value, (p.oadr_data_quality or "")[:12])
                for i in r.intervals for p in i.stream_payload_base
            ])
            for m in vtn.of(wire.OadrUpdateReport) for r in m.oadr_reports
        ]  # fmt: skip
        assert told == [
            ("q-2", "2026-03-29T10:00:00Z", [("boiler", 2.0, "Quality Good")]),
            ("q-1", "2026-03-29T10:00:00Z", [("usage", 1.0, "Quality Good"), ("usage", 2.0, "Quality Good")]),
            ("q-1", "2026-03-29T10:30:00Z", [("usage", 0.0, "No Quality -"), ("usage", 4.0, "Quality Good")]),
        ]
        vtn.queue.append(wire.OadrCancelReport(request_id="c", report_request_ids=("q-1",), report_to_follow=False))
        assert (await go(hub)).wanted == {}
        clock.now = NOW + timedelta(hours=3)
        await hub.hub.tick()
        assert len(vtn.of(wire.OadrUpdateReport)) == 3


@ran
async def test_a_report_of_status_says_who_was_measured_lately(tmp_path: Path) -> None:
    clock = Clock(NOW)
    async with staged(tmp_path, REPORTS, clock=clock) as (vtn, hub):
        await go(hub)
        asked = request("q-3", "status", point="usage", back="PT0S")
        both = msgspec.structs.replace(
            asked.report_specifier,
            specifier_payloads=(
                *asked.report_specifier.specifier_payloads,
                SpecifierPayload(r_id="boiler", reading_type="x-notApplicable"),
            ),
        )
        vtn.queue.append(asks(msgspec.structs.replace(asked, report_specifier=both)))
        await go(hub)
        await measured(hub, "home", 1.0)
        clock.now = NOW + timedelta(minutes=15)
        await hub.hub.tick()
        await hub.hub.sent()
        (update,) = vtn.of(wire.OadrUpdateReport)
        (interval,) = update.oadr_reports[0].intervals
        assert [(p.r_id, p.payload_base.oadr_online) for p in interval.stream_payload_base] == [
            ("usage", True), ("boiler", False)
        ]  # fmt: skip


# -- outages and restarts ---------------------------------------------------------------------------------------------


@ran
async def test_after_an_outage_it_catches_up_first(tmp_path: Path) -> None:
    async with staged(tmp_path) as (vtn, hub):
        await go(hub)
        vtn.status = 503
        with pytest.raises(FlexhubError, match="HTTP 503"):
            await go(hub)
        hub.vens["utility"].lost()
        vtn.status = 200
        vtn.events = (event(start=SOON),)
        await go(hub)
        assert await binding(hub) == ["e-1"]
        assert len(vtn.of(wire.OadrRequestEvent)) == 2
        assert len(vtn.of(wire.OadrCreatePartyRegistration)) == 1


@ran
async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    vtn = Vtn()
    async with staged(tmp_path, REPORTS, vtn=vtn) as (_, hub):
        await go(hub)
        vtn.tell(event(start=SOON))
        vtn.queue.append(asks(request(point="usage")))
        before = await go(hub)
        assert before.wanted.keys() == {"q-1"}
    async with staged(tmp_path, REPORTS, vtn=vtn) as (_, hub):
        assert await known(hub) == before
        assert await binding(hub) == ["e-1"]
        await go(hub)
        assert len(vtn.of(wire.OadrCreatePartyRegistration)) == 1
        assert len(vtn.of(wire.OadrRegisterReport)) == 1
        assert await binding(hub) == ["e-1"]


@ran
async def test_who_is_forgotten_registers_again_with_its_registration(tmp_path: Path) -> None:
    async with staged(tmp_path) as (vtn, hub):
        await go(hub)
        vtn.queue.append(wire.OadrRequestReregistration(ven_id="ven-1"))
        assert (await go(hub)).stage is Stage.AGAIN
        assert (await go(hub)).registered
        first, second = vtn.of(wire.OadrCreatePartyRegistration)
        assert (first.registration_id, second.registration_id, second.ven_id) == (None, "reg-1", "ven-1")


@ran
async def test_a_cancelled_registration_ends_what_it_asked_for(tmp_path: Path) -> None:
    async with staged(tmp_path) as (vtn, hub):
        await go(hub)
        vtn.tell(event(start=SOON))
        await go(hub)
        cancel = wire.OadrCancelPartyRegistration(request_id="c", registration_id="reg-1", ven_id="ven-1")
        vtn.queue.append(cancel)
        assert (await go(hub)).stage is Stage.CANCELLED
        assert await binding(hub) == []
        polls = vtn.polls
        await go(hub)
        assert vtn.polls == polls


@ran
async def test_a_refused_registration_is_not_tried_again_and_says_why(tmp_path: Path) -> None:
    vtn = Vtn()

    def refuse(message: wire.OadrCreatePartyRegistration) -> wire.OadrCreatedPartyRegistration:
        told = vtn.answer(wire.OadrQueryRegistration(request_id=message.request_id))
        assert isinstance(told, wire.OadrCreatedPartyRegistration)
        return wire.OadrCreatedPartyRegistration(
            ei_response=EiResponse(response_code="463", response_description="who?", request_id=message.request_id),
            vtn_id="vtn-1",
            oadr_profiles=told.oadr_profiles,
        )

    vtn.replies[wire.OadrCreatePartyRegistration] = refuse
    async with staged(tmp_path, vtn=vtn) as (_, hub):
        state = await go(hub)
        assert (state.stage, state.why) == (Stage.REFUSED, "463 who?")
        await go(hub)
        assert len(vtn.of(wire.OadrCreatePartyRegistration)) == 1


@ran
async def test_an_event_without_an_answer_is_followed_and_not_answered(tmp_path: Path) -> None:
    async with staged(tmp_path) as (vtn, hub):
        await go(hub)
        vtn.tell(event(start=SOON, required=ResponseRequired.NEVER))
        await go(hub)
        assert await binding(hub) == ["e-1"]
        assert answers(vtn) == []
        assert Form.LEVEL.value == (await request_of(hub)).extras["form"]  # type: ignore[union-attr]  # it is there


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('sign = true', "fingerprint"),
        ('cert = "a.pem"', "go together"),
        ('rating = "3 m"', "unit"),
        ('poll = "PT0S"', "above zero"),
        ('listen = "127.0.0.1:0"', "go together"),
        ('opt = "maybe"', "in"),
    ],
)  # fmt: skip
def test_a_wrong_configuration_is_told(tmp_path: Path, more: str, said: str) -> None:
    vtn = Vtn()
    vtn.url = "http://127.0.0.1:1"
    with pytest.raises(ConfigError, match=said):
        config(vtn, tmp_path, more)
    assert config(vtn, tmp_path).openadr is not None
