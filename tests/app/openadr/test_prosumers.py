"""A prosumer's VEN in the exchange: it offers, is dispatched, confirms, reports, and is billed like any other."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from flexhub.app.agent.ven import OFFERED, Ven, block
from flexhub.app.exchange.market import Registration
from flexhub.app.exchange.portfolio import every
from flexhub.app.hub.contract import Message
from flexhub.app.openadr.vtn.prosumers import by_offer, offer_id
from flexhub.app.openadr.vtn.spec import spec_of
from flexhub.core.documents import encode
from flexhub.core.errors import ConfigError, InternalError
from flexhub.core.flexoffer import EnergyRange, FlexOffer, Profile, Schedule, ScheduleSlice, Slice, State
from flexhub.core.judge import violations
from flexhub.core.registry import Connection, Party, Resource, Role
from flexhub.core.timeseries import Measurement
from flexhub.core.trading import Bill, Contract, Verdict
from flexhub.engines.slots import Assignment, Plan
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.elements import (
    EiTarget,
    Interval,
    OadrReport,
    OadrReportPayload,
    PayloadFloat,
    Properties,
    QualifiedEventID,
)
from flexhub.protocols.openadr2b.names import OptType
from flexhub.protocols.openadr2b.session.state import Target, VenSpec, VtnAnswer, VtnEvent, VtnReport, VtnVen
from tests.app.again import replayed
from tests.app.openadr import vtn_stage as s
from tests.app.openadr.test_vtn import opted
from tests.app.openadr.vtn_stage import Clock, Stage, stage

NOW: Final = datetime(2026, 3, 28, 10, 5, tzinfo=UTC)
START: Final = datetime(2026, 3, 28, 10, 15, tzinfo=UTC)
SLOT: Final = timedelta(minutes=15)
CONTEXT: Final = "http://aggregator.example/dispatch"
SETTINGS: Final = f"""
[hub]
name = "agr"
roles = ["aggregator"]
listen = "127.0.0.1:0"

[openadr.vtn]
listen = "127.0.0.1:0"
id = "VTN-1"
requests = 1000.0
requests_at_once = 2000.0
dispatch = "{CONTEXT}"
"""


class Chain:
    """A hub with prosumers anna and bob, each with a VEN and a contract."""

    def __init__(self, on: Stage, clock: Clock) -> None:
        self.on = on
        self.clock = clock
        self._numbers = itertools.count()

    async def say(self, kind: str, conversation: str, value: object, peer: str = "ops", role: Role = Role.ADMIN) -> Any:
        message = Message(
            peer=peer,
            id=f"m{next(self._numbers)}",
            kind=kind,
            conversation=conversation,
            body=b"" if value is None else encode(value),
            role=role,
        )
        answer = await self.on.hub.handle(message)
        await self.settled()
        return msgspec.json.decode(answer.body or b"null")

    async def settled(self) -> None:
        await self.on.hub.tick()
        await self.on.hub.settled()
        await self.on.told()

    async def program(self) -> str:
        """A utility's market context."""
        await self.say("vtn.program.put", "openadr events", {"market_context": "http://utility.example/peak"})
        return "http://utility.example/peak"

    async def enrol(self, party: str, ven_id: str, *, contract: bool = True, ven_id_in_registry: bool = False) -> None:
        meter, charger = f"{party}.meter", f"{party}.charger"
        entry = Registration(
            party=Party(id=party, name=party, roles=(Role.PROSUMER,)),
            connections=(Connection(id=meter, party=party),),
            resources=(
                Resource(
                    id=charger,
                    connection=meter,
                    kind="ev",
                    max_consumption_kw=11.0,
                    ven_id=ven_id if ven_id_in_registry else None,
                ),
            ),
        )
        await self.say("registry.put", party, entry)
        if contract:
            made = Contract(
                id=f"c-{party}",
                prosumer=party,
                aggregator="agr",
                valid_from=NOW - timedelta(days=1),
                per_time_flexibility_eur=1.0,
                imbalance_limit_kwh=0.1,
            )
            await self.say("contract.put", made.id, made)
        spec = VenSpec(name=party, found_by=Target(party_ids=(party,)))
        await self.say("vtn.ven.put", ven_id, {"id": ven_id, "ven": spec})

    @asynccontextmanager
    async def ven(self, party: str, ven_id: str) -> AsyncIterator[Ven]:
        async with Ven(party, f"{self.on.url}/OpenADR2/Simple/2.0b", ven_id, None) as ven:
            await ven.register(self.clock.now)
            yield ven

    async def offer(self, ven_id: str, name: str) -> FlexOffer:
        found = await self.on.hub.get(FlexOffer, offer_id(ven_id, name))
        assert found is not None
        return found

    async def assign(self, offer: str, schedule: Schedule) -> None:
        """As if a plan had come to it."""
        plan = Plan(assignments=(Assignment(offer=offer, schedule=schedule),))
        await self.say("plan.result", "agr", plan, peer="flexhub:engine")

    async def plan(self) -> None:
        await self.say("plan.ask", "agr", None)


def played(folder: Path, act: Callable[[Chain], Awaitable[None]], settings: str = SETTINGS) -> None:
    """Have it happen, then work the hub's journal again: the same must come of it."""

    async def main() -> None:
        clock = Clock(NOW)
        async with stage(folder, clock=clock, settings=settings) as on:
            await act(Chain(on, clock))

    asyncio.run(main())
    replayed(s.config(folder, settings=settings))


def draft(name: str = "visit-1", *, slots: int = 8, each_kwh: float = 1.0, taken: int = 3) -> FlexOffer:
    """A car that stays for so many slots, and by default charges at once in the first of them."""
    energies = [each_kwh] * taken + [0.0] * (slots - taken)
    return FlexOffer(
        id=name,
        issuer="anna",
        created=NOW,
        start_after=START,
        start_before=START,
        profiles=(
            Profile(
                slices=(Slice(energy_kwh=(EnergyRange(0.0, each_kwh),)),) * slots,
                total_energy_kwh=EnergyRange(each_kwh * taken, each_kwh * taken),
            ),
        ),
        default_schedule=Schedule(start=START, slices=tuple(ScheduleSlice(energy_kwh=kwh) for kwh in energies)),
    )


def test_a_visit_goes_from_a_projected_report_to_a_bill(tmp_path: Path) -> None:
    async def act(chain: Chain) -> None:
        await chain.enrol("anna", "ven-a")
        async with chain.ven("anna", "ven-a") as ven:
            await ven.post_offer(draft())
            offer = await chain.offer("ven-a", "visit-1")
            assert (offer.issuer, offer.contract, offer.recipient) == ("anna", "c-anna", "agr")
            assert offer.state is State.ACCEPTED
            assert (offer.start_after, offer.start_before) == (START, START + 5 * SLOT)
            assert [(r.lo_kwh, r.hi_kwh) for p in offer.profiles for x in p.slices for r in x.energy_kwh] == [
                (1, 1)
            ] * 3

            await chain.plan()
            offer = await chain.offer("ven-a", "visit-1")
            assert offer.schedule is not None
            (event,) = await every(chain.on.hub, VtnEvent)
            assert event.id == offer.id
            assert event.event == spec_of(offer, "ven-a", CONTEXT)
            assert [(x.duration, x.value) for x in event.event.signals[0].intervals] == [("PT45M", 4.0)]

            chain.clock.now = START
            change = await ven.wait("visit-1", lambda _: True)
            assert change.schedule is not None
            assert change.schedule.by_slot_kwh(900) == offer.schedule.by_slot_kwh(900)
            (answer,) = await every(chain.on.hub, VtnAnswer)
            assert answer.opt is OptType.OPT_IN

            chain.clock.now = START + 8 * SLOT
            ven.now = chain.clock.now
            await chain.settled()
            done = offer.schedule.by_slot_kwh(900)
            first = int(START.timestamp()) // 900
            taken = tuple(done.get(first + i, 0.0) for i in range(8))
            await ven.post_measurements([Measurement(subject="anna", start=START, values_kwh=taken)])
            measured = await every(chain.on.hub, Measurement)
            assert {m.offer for m in measured} == {offer.id}
            chain.clock.now += timedelta(hours=3)
            await chain.settled()
            await chain.say("settle.ask", "agr", None)
            (bill,) = await every(chain.on.hub, Bill)
            assert (bill.party, {x.verdict for x in bill.lines}) == ("anna", {Verdict.PAID})
            assert (await chain.offer("ven-a", "visit-1")).state is State.SETTLED

    played(tmp_path, act)


def test_an_answer_before_the_start_confirms_and_a_refusal_cancels_and_ends_the_event(tmp_path: Path) -> None:
    async def act(chain: Chain) -> None:
        await chain.enrol("anna", "ven-a")
        async with chain.ven("anna", "ven-a") as ven:
            await ven.post_offer(draft("in"))
            await chain.plan()
            await ven.wait("in", lambda _: True)
            offer = await chain.offer("ven-a", "in")
            assert offer.state is State.CONFIRMED
            raw = chain.on.ven("ven-a")
            out = wire.OadrCreateOpt(
                opt_id="o9", opt_type=OptType.OPT_OUT, opt_reason="notParticipating", ven_id="ven-a",
                created_date_time="2026-03-28T10:06:00Z", request_id="r9", ei_target=EiTarget(),
                qualified_event_id=QualifiedEventID(event_id=offer.id, modification_number=0),
            )  # fmt: skip
            assert (await raw.say(out)).ei_response.response_code == "200"
            await chain.settled()
            # A schedule that was confirmed is confirmed (`core.lifecycle`): the exchange refuses, and says so.
            assert (await chain.offer("ven-a", "in")).state is State.CONFIRMED
            assert [n.topic for n in refusals(chain)] == ["vtn.refused"]

        await chain.enrol("bob", "ven-b")
        async with chain.ven("bob", "ven-b") as ven:
            await ven.post_offer(msgspec.structs.replace(draft("out"), issuer="bob"))
            await chain.plan()
            offer = await chain.offer("ven-b", "out")
            raw = chain.on.ven("ven-b")
            assert (await raw.say(opted("ven-b", offer.id, opt=OptType.OPT_OUT))).ei_response.response_code == "200"
            await chain.settled()
            assert (await chain.offer("ven-b", "out")).state is State.CANCELED
            event = await chain.on.hub.get(VtnEvent, offer.id)
            assert event is not None
            assert event.cancelled

    played(tmp_path, act)


def refusals(chain: Chain) -> list[Any]:
    return [n for n in chain.on.hub.store.notices("agr", 0, 10_000) if n.topic == "vtn.refused"]


# -- whose it is ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("parties", "made"), [(("anna",), 1), ((), 0), (("anna", "bob"), 0)])
def test_only_a_ven_of_one_party_offers_for_it(tmp_path: Path, parties: tuple[str, ...], made: int) -> None:
    async def act(chain: Chain) -> None:
        await chain.enrol("anna", "ven-a")
        async with chain.ven("anna", "ven-a") as ven:  # it is asked for its reports while it is anna's
            await chain.say("vtn.ven.put", "ven-a", {"id": "ven-a", "ven": VenSpec(found_by=Target(party_ids=parties))})
            await ven.post_offer(draft())
            assert len(await every(chain.on.hub, FlexOffer)) == made
            assert len(await every(chain.on.hub, VtnReport)) == 1, "the report is taken either way"

    played(tmp_path, act)


def test_a_ven_without_a_party_is_not_asked_for_reports(tmp_path: Path) -> None:
    async def act(chain: Chain) -> None:
        await chain.say("vtn.ven.put", "ven-a", {"id": "ven-a", "ven": VenSpec(name="nobody's")})
        async with chain.ven("anna", "ven-a") as ven:
            with pytest.raises(InternalError, match="was not asked"):
                await ven.post_offer(draft())
        (found,) = await every(chain.on.hub, VtnVen)
        assert found.requests == {}

    played(tmp_path, act)


def test_without_a_contract_the_report_is_taken_and_the_hub_told_why_it_is_no_offer(tmp_path: Path) -> None:
    async def act(chain: Chain) -> None:
        await chain.enrol("anna", "ven-a", contract=False)
        async with chain.ven("anna", "ven-a") as ven:
            await ven.post_offer(draft())
            assert await every(chain.on.hub, FlexOffer) == []
            (told,) = refusals(chain)
            assert told.subject == "ven-a"
            assert b"no contract in force" in told.body
            await chain.enrol("anna", "ven-a")
            await ven.post_offer(draft())
            assert len(await every(chain.on.hub, FlexOffer)) == 1

    played(tmp_path, act)


def test_an_offer_that_says_it_is_of_anothers_ven_is_not_dispatched_to_it(tmp_path: Path) -> None:
    async def act(chain: Chain) -> None:
        await chain.enrol("anna", "ven-a")
        await chain.enrol("bob", "ven-b")
        for ven_id, name in (("ven-a", "mine"), ("ven-b", "forged")):
            made = msgspec.structs.replace(block(draft(name)), id=offer_id(ven_id, name), extras={"ven_id": ven_id})
            await chain.say("flexoffer.post", made.id, made, peer="anna", role=Role.PROSUMER)
        await chain.plan()
        assert {o.state for o in await every(chain.on.hub, FlexOffer)} == {State.ASSIGNED}
        assert [event.id for event in await every(chain.on.hub, VtnEvent)] == [offer_id("ven-a", "mine")]

    played(tmp_path, act)


# -- changes ----------------------------------------------------------------------------------------------------------


def test_an_availability_that_comes_later_moves_the_window_and_its_end_takes_the_offer_back(tmp_path: Path) -> None:
    async def act(chain: Chain) -> None:
        await chain.enrol("anna", "ven-a")
        async with chain.ven("anna", "ven-a") as ven:
            await ven.post_offer(draft())
            raw = chain.on.ven("ven-a")
            window = Properties(dtstart="2026-03-28T10:30:00Z", duration="PT2H")
            said = wire.OadrCreateOpt(
                opt_id="visit-1", opt_type=OptType.OPT_IN, opt_reason="participating", ven_id="ven-a",
                vavailability=(window,), created_date_time="2026-03-28T10:05:00Z", request_id="r", ei_target=EiTarget(),
            )  # fmt: skip
            assert (await raw.say(said)).ei_response.response_code == "200"
            offer = await chain.offer("ven-a", "visit-1")
            assert (offer.start_after, offer.start_before) == (START + SLOT, START + 6 * SLOT)
            cancel = wire.OadrCancelOpt(request_id="r2", opt_id="visit-1", ven_id="ven-a")
            assert (await raw.say(cancel)).ei_response.response_code == "200"
            assert (await chain.offer("ven-a", "visit-1")).state is State.CANCELED

    played(tmp_path, act)


def test_another_schedule_is_another_modification_and_answers_to_the_old_one_count_no_more(tmp_path: Path) -> None:
    async def act(chain: Chain) -> None:
        await chain.enrol("anna", "ven-a")
        async with chain.ven("anna", "ven-a") as ven:
            await ven.post_offer(draft())
            await chain.plan()
            before = await chain.offer("ven-a", "visit-1")
            assert before.schedule is not None
            moved = msgspec.structs.replace(before.schedule, start=before.schedule.start + SLOT)
            assert violations(before, moved) == []
            await chain.assign(before.id, moved)
            event = await chain.on.hub.get(VtnEvent, before.id)
            assert event is not None
            assert (event.modification_number, event.event.dtstart) == (1, moved.start)
            raw = chain.on.ven("ven-a")
            late = await raw.say(opted("ven-a", before.id, 0))
            assert late.ei_response.response_code != "200"
            assert (await chain.offer("ven-a", "visit-1")).state is State.ASSIGNED
            assert (await raw.say(opted("ven-a", before.id, 1))).ei_response.response_code == "200"
            assert (await chain.offer("ven-a", "visit-1")).state is State.CONFIRMED

    played(tmp_path, act)


def test_two_schedules_of_one_ven_at_one_time_cannot_both_be_told_so_the_second_is_declined(tmp_path: Path) -> None:
    async def act(chain: Chain) -> None:
        await chain.enrol("anna", "ven-a")
        async with chain.ven("anna", "ven-a") as ven:
            for name in ("one", "two"):
                await ven.post_offer(draft(name, slots=3))
            await chain.plan()
            states = {name: (await chain.offer("ven-a", name)).state for name in ("one", "two")}
            assert sorted(states.values()) == [State.ASSIGNED, State.CANCELED]
            assert len(await every(chain.on.hub, VtnEvent)) == 1

    played(tmp_path, act)


def test_a_hub_without_a_portfolio_cannot_dispatch(tmp_path: Path) -> None:
    async def act(_: Chain) -> None:
        raise AssertionError

    with pytest.raises(ConfigError, match="role aggregator"):
        played(tmp_path, act, SETTINGS.replace('roles = ["aggregator"]', "roles = []"))


# -- readings ---------------------------------------------------------------------------------------------------------


def test_readings_belong_to_the_offer_of_their_time_and_others_to_none() -> None:
    first = msgspec.structs.replace(draft("first", slots=4), created=NOW)
    second = msgspec.structs.replace(
        draft("second", slots=4), created=NOW + 8 * SLOT, start_after=START + 8 * SLOT, start_before=START + 8 * SLOT
    )
    taken = Measurement(subject="anna", start=NOW - timedelta(minutes=20), values_kwh=tuple(map(float, range(20))))
    found = list(by_offer(taken, (second, first)))
    assert [m.offer for m in found] == [None, "first", "second", None]
    assert [v for m in found for v in m.values_kwh] == list(taken.values_kwh)
    assert found[1].start == NOW - timedelta(minutes=5)
    assert found[2].start == NOW + 8 * SLOT - timedelta(minutes=5)
    assert found[3].start == START + 12 * SLOT + timedelta(hours=1), "what was missed is made up for by then"


def test_what_a_report_can_say_of_a_visit_is_its_charging_which_may_begin_later() -> None:
    visit = draft(slots=8, taken=3)
    said = block(visit)
    assert (said.start_after, said.start_before) == (START, START + 5 * SLOT)
    assert [piece.energy_kwh for piece in said.default_schedule.slices] == [1.0] * 3  # type: ignore[union-attr] # it has
    for later in range(6):
        energies = (0.0,) * later + (1.0,) * 3 + (0.0,) * (5 - later)
        slices = tuple(ScheduleSlice(energy_kwh=kwh) for kwh in energies)
        assert violations(visit, Schedule(start=START, slices=slices)) == []


# -- bad reports, and their twins -------------------------------------------------------------------------------------


def numbers(baseline: float = 4.0, up: float = 1.0, down: float = 2.0, **more: Any) -> Interval:
    """An interval of a Projected report: kW."""
    told = {"baseline": baseline, "upRegulationCapacityAvailable": up, "downRegulationCapacityAvailable": down}
    payloads = tuple(OadrReportPayload(r_id=k, payload_base=PayloadFloat(value=v)) for k, v in told.items())
    return Interval(**{"duration": "PT15M", "uid": "0"} | more, stream_payload_base=payloads)


REPORTS: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "as it should be": ({}, ""),
    "without an eiReportID": ({"ei_report_id": None}, ""),
    "a negative capacity": ({"intervals": (numbers(up=-1.0),)}, "a negative capacity"),
    "a gap": ({"intervals": (numbers(), numbers(dtstart="2026-03-28T11:15:00Z", uid="1"))}, "a gap"),
    "too many slots": (
        {"intervals": (numbers(duration="PT1S"), numbers(dtstart="2027-03-28T11:15:00Z", uid="1"))},
        "allowed: 35136",
    ),
    "of another age": ({"dtstart": "2199-12-31T23:45:00Z"}, "not in this age"),
    "over already": ({"dtstart": "2026-03-28T09:15:00Z"}, "has passed"),
}
"""What is bent of a report, and why it is no offer ("": it is one)."""


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_that_can_be_no_offer_is_taken_and_told_and_its_twin_is_one(tmp_path: Path, name: str) -> None:
    bent, why = REPORTS[name]

    async def act(chain: Chain) -> None:
        await chain.enrol("anna", "ven-a")
        async with chain.ven("anna", "ven-a"):
            (ven,) = await every(chain.on.hub, VtnVen)
            asked = next(
                k for k, r in ven.requests.items() if r.request.report_specifier.report_specifier_id == OFFERED
            )
            fields: dict[str, Any] = {
                "dtstart": "2026-03-28T10:15:00Z",
                "intervals": (numbers(),),
                "ei_report_id": "visit-1",
                "report_request_id": asked,
                "report_specifier_id": OFFERED,
                "report_name": "TELEMETRY_USAGE",
                "created_date_time": "2026-03-28T10:05:00Z",
            }
            report = OadrReport(**fields | bent)
            said = wire.OadrUpdateReport(request_id="u", oadr_reports=(report,), ven_id="ven-a")
            answer = await chain.on.ven("ven-a").say(said)
            assert answer.ei_response.response_code == "200"
            offers = await every(chain.on.hub, FlexOffer)
            assert len(offers) == (not why)
            assert len(await every(chain.on.hub, VtnReport)) == 1
            told = refusals(chain)
            assert len(told) == bool(why)
            assert all(why in n.body.decode() for n in told)
            if offers:
                (piece,) = offers[0].profiles[0].slices
                assert piece.energy_kwh == (EnergyRange(0.75, 1.5),), "up is less consumption, down is more"

    played(tmp_path, act)
