"""An AGR and a DSO that trade by themselves, in two hubs with a store each, from the prognosis to the settlement."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import numpy as np
import pytest

from flexhub.app.exchange.papers import BINDING, OFFERED, Held
from flexhub.app.exchange.portfolio import every
from flexhub.app.uftp.handlers import outgoing
from flexhub.app.uftp.outgoing import Run, What
from flexhub.app.uftp.participants import metadata
from flexhub.app.uftp.trading.papers import UftpTrade
from flexhub.core.errors import ForbiddenError, InvalidError, NotFoundError
from flexhub.core.flexoffer import FlexOffer, State
from flexhub.core.registry import Role
from flexhub.core.trading import Basis, Bill, FlexRequest, Order, Reference
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.session import Stage
from tests.app.again import replayed
from tests.app.uftp import stage as s
from tests.app.uftp import trade as t
from tests.app.uftp.trade import DAY, LATER, MORNING, Keys, Trade, all_offers, config, offer, trade

RESERVED: Keys = {"reserve": "2 kW", "choose_after": "PT1H"}
LOOKS = MORNING + timedelta(hours=1)
"""When a DSO with `RESERVED` chooses."""


def play(story: Coroutine[object, object, None]) -> None:
    asyncio.run(story)


def same_again(folder: Path, name: str, keys: Keys | None = None) -> None:
    """A replay of the hub's journal comes to what is stored."""
    replayed(config(folder, name, 1, keys))


def refused(there: Trade) -> list[tuple[str, bytes]]:
    """What a hub refused of its own, which it never should."""
    rows = (row for name in ("agr", "dso") for row in there.hub(name).store.journal(0, 1000))
    return [(row.kind, row.answer) for row in rows if row.status >= 400 or row.kind.endswith(".failed")]


async def load_kw(there: Trade) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """What the AGR's cars take by their schedules, by ISP."""
    load = np.zeros(96)
    first = t.MIDNIGHT - timedelta(days=1)
    for one in (await there.offers()).values():
        course = one.schedule or one.default_schedule
        assert course is not None
        at = int((course.start - first) / timedelta(minutes=15))
        load[at : at + course.slots()] += course.per_slot_kwh()
    return load * 4


def test_a_day_from_the_prognosis_to_the_settlement_and_both_sides_come_to_the_same_cent(tmp_path: Path) -> None:
    async def story() -> None:
        async with trade(tmp_path, dso=RESERVED) as there:
            await all_offers(there)
            assert (await load_kw(there)).max() == pytest.approx(14.8)
            await there.run("agr", What.PROGNOSIS)
            (offered,) = await there.said("dso", wire.FlexOffer)
            assert [o.option_reference for o in offered.offer_options] == ["full", "part"]
            assert await there.said("agr", wire.FlexOrder) == []
            await there.at(LOOKS)
            ((order, entry),) = await there.entries("dso", wire.FlexOrder)
            assert entry.stage is Stage.ACCEPTED
            assert offered.offer_options[0].min_activation_factor <= order.activation_factor < 1
            assert {o.state for o in (await there.offers()).values()} == {State.ASSIGNED}
            assert (await load_kw(there)).max() == pytest.approx(9, abs=0.09), "no more is ordered than the limit needs"
            ((offering),) = await there.offerings()
            assert (offering.state, offering.order, offering.faults) == ("taken", order.message_id, ())
            assert await there.agr.hub.get(Order, order.message_id) is not None
            await there.at(LATER)
            await there.meter({"cat": 0.8})
            await there.run("agr", What.METERING)
            assert len(await there.said("dso", wire.Metering)) == len(t.CARS)
            await there.run("dso", What.SETTLEMENT)
            ours, theirs = await there.reckoned("agr"), await there.reckoned("dso")
            assert ours is not None
            assert theirs is not None
            assert ours.items == theirs.items
            assert 0 < ours.items[0].net_settlement <= order.price
            assert ours.bill.total(Basis.FACTUAL) == theirs.bill.total(Basis.FACTUAL) == ours.items[0].net_settlement
            assert (theirs.answered, theirs.disputes) == (True, ())
            ((settlement, told),) = await there.entries("agr", wire.FlexSettlement)
            assert isinstance(told.answer, wire.FlexSettlementResponse)
            assert [x.disposition for x in told.answer.flex_order_settlement_statuses] == [wire.Verdict.ACCEPTED]
            filed = await there.agr.hub.get(Bill, settlement.message_id)
            assert filed is not None
            assert [line.amount for line in filed.lines] == [line.amount for line in ours.bill.lines]
            await there.run("dso", What.SETTLEMENT)
            assert len(await there.said("agr", wire.FlexSettlement)) == 1, "what is the same is told once"
            assert refused(there) == []

    play(story())
    same_again(tmp_path, "agr")
    same_again(tmp_path, "dso", RESERVED)


def test_within_the_limit_nothing_is_asked_and_a_request_binds_no_ordinary_plan(tmp_path: Path) -> None:
    async def story() -> None:
        async with trade(tmp_path, dso={"limit": "15 kW"}) as there:
            await all_offers(there)
            await there.run("agr", What.PROGNOSIS)
            assert len(await there.said("dso", wire.DPrognosis)) == 1
            assert await there.said("agr", wire.FlexRequest) == []
        async with trade(tmp_path, dso=RESERVED) as there:
            await there.run("agr", What.PROGNOSIS)
            (request,) = await there.said("agr", wire.FlexRequest)
            filed = await there.agr.hub.get(FlexRequest, request.message_id)
            assert filed is not None
            assert (filed.recipient, filed.reference) == ("agr", Reference.ABSOLUTE)
            assert {round(4 * (i.hi_kwh or 0.0), 3) for i in filed.intervals} == {7.0}, "the limit without the reserve"
            assert await every(there.agr.hub, FlexRequest, states=(BINDING,)) == []
            assert await every(there.agr.hub, FlexRequest, states=(OFFERED,)) == [filed]

    play(story())


def test_members_of_an_offering_keep_their_course_until_it_is_over_and_then_are_planned(tmp_path: Path) -> None:
    short: Keys = {"offer_for": "PT30M"}

    async def story() -> None:
        async with trade(tmp_path, agr=short, dso=RESERVED) as there:
            await all_offers(there)
            await there.run("agr", What.PROGNOSIS)
            await there.say("agr", "plan.ask", "agr", "agr", {}, Role.AGGREGATOR)
            await there.quiet()
            assert {o.state for o in (await there.offers()).values()} == {State.ACCEPTED}
            held = await there.agr.hub.get(Held, "agr")
            assert held is not None
            assert set(held.offers) == {f"ev-{name}" for name in t.CARS}
            (offering,) = await there.offerings()
            await there.at(offering.offering.options.expires)
            assert (await there.offerings())[0].state == "open", "an order of the last instant is in time"
            await there.at(there.clock.now + timedelta(seconds=2))
            assert (await there.offerings())[0].state == "over"
            assert await there.agr.hub.get(Held, "agr") == Held()
            await there.say("agr", "plan.ask", "agr", "agr", {"again": 1}, Role.AGGREGATOR)
            await there.quiet()
            assert {o.state for o in (await there.offers()).values()} == {State.ASSIGNED}
            await there.at(LOOKS)
            assert await there.said("agr", wire.FlexOrder) == [], "the DSO knows that it expired"
            assert refused(there) == []

    play(story())
    same_again(tmp_path, "agr", short)


def test_what_was_ordered_stays_as_it_is_when_the_portfolio_is_planned(tmp_path: Path) -> None:
    async def story() -> None:
        async with trade(tmp_path) as there:
            await all_offers(there)
            await there.run("agr", What.PROGNOSIS)
            before = {name: o.schedule for name, o in (await there.offers()).items()}
            assert None not in before.values()
            late = msgspec.structs.replace(offer(1, "bob", at=t.SIX + timedelta(hours=1)), id="ev-late")
            await there.post(late)
            await there.say("agr", "plan.ask", "agr", "agr", {}, Role.AGGREGATOR)
            await there.quiet()
            for name, one in before.items():
                found = await there.agr.hub.get(FlexOffer, f"ev-{name}")
                assert found is not None
                assert found.schedule == one
            planned = await there.agr.hub.get(FlexOffer, "ev-late")
            assert planned is not None
            assert planned.schedule is not None, "its twin, of which nothing was ordered, is planned"

    play(story())


async def order_by_hand(there: Trade, offered: wire.FlexOffer, seed: str) -> wire.FlexOrder:
    """An order of all of an offer's first option, as anyone might send it."""
    option = offered.offer_options[0]
    told = metadata("dso.example.com", "agr.example.com", there.clock.now, seed=seed)
    fields = {name: getattr(offered, name) for name in ("isp_duration", "time_zone", "period", "congestion_point")}
    return wire.FlexOrder(
        **told,
        **fields,
        flex_offer_message_id=offered.message_id,
        d_prognosis_message_id=offered.d_prognosis_message_id,
        price=option.price,
        currency="EUR",
        order_reference=seed,
        option_reference=option.option_reference,
        isps=option.isps,
    )


@pytest.mark.parametrize("why", ["revoked", "expired", None])
def test_an_order_of_an_offering_that_is_over_is_rejected_and_its_twin_taken(why: str | None, tmp_path: Path) -> None:
    async def story() -> None:
        async with trade(tmp_path, dso=RESERVED) as there:
            await all_offers(there)
            await there.run("agr", What.PROGNOSIS)
            (offered,) = await there.said("dso", wire.FlexOffer)
            if why == "revoked":
                told = metadata("agr.example.com", "dso.example.com", there.clock.now, seed="revoke")
                revocation = wire.FlexOfferRevocation(**told, flex_offer_message_id=offered.message_id)
                await there.agr.hub.handle(outgoing(revocation, peer="root", id="revoke"))
                await there.quiet()
                assert (await there.offerings())[0].state == "over"
            elif why == "expired":
                there.clock.now = MORNING + timedelta(hours=4, seconds=1)
            order = await order_by_hand(there, offered, "by-hand")
            assert await s.post(s_port(there), s.sealed(order, "dso")) == 200
            await there.quiet()
            ((_, entry),) = await there.entries("agr", wire.FlexOrder)
            assert entry.stage is (Stage.ACCEPTED if why is None else Stage.REJECTED)
            states = {o.state for o in (await there.offers()).values()}
            assert states == ({State.ASSIGNED} if why is None else {State.ACCEPTED})
            if why is not None:
                assert isinstance(entry.answer, wire.FlexOrderResponse)
                assert f"Reference message {why}" in (entry.answer.rejection_reason or "")

    play(story())


def s_port(there: Trade) -> int:
    """Where the AGR listens."""
    assert there.agr.uftp_url is not None
    return int(there.agr.uftp_url.rpartition(":")[2])


def test_the_same_order_again_is_answered_again_and_activates_nothing_twice(tmp_path: Path) -> None:
    async def story() -> None:
        async with trade(tmp_path, dso=RESERVED) as there:
            await all_offers(there)
            await there.run("agr", What.PROGNOSIS)
            (offered,) = await there.said("dso", wire.FlexOffer)
            order = await order_by_hand(there, offered, "by-hand")
            for _ in range(2):
                assert await s.post(s_port(there), s.sealed(order, "dso")) == 200
                await there.quiet()
            second = await order_by_hand(there, offered, "another")
            assert await s.post(s_port(there), s.sealed(second, "dso")) == 200
            await there.quiet()
            entries = {m.order_reference: e.stage for m, e in await there.entries("agr", wire.FlexOrder)}
            assert entries == {"by-hand": Stage.ACCEPTED, "another": Stage.REJECTED}
            assert {o.schedule.update for o in (await there.offers()).values() if o.schedule is not None} == {0}
            asked = [row.kind for row in there.agr.hub.store.journal(0, 1000) if row.kind == "uftp.activate.result"]
            assert len(asked) == 1

    play(story())


def test_where_courses_have_changed_a_new_prognosis_goes_before_the_offer(tmp_path: Path) -> None:
    async def story() -> None:
        async with trade(tmp_path, dso={**RESERVED, "limit": "12 kW"}) as there:
            await all_offers(there, t.CARS[:3])
            await there.run("agr", What.PROGNOSIS)
            assert await there.said("agr", wire.FlexRequest) != [], "11.1 kW are in the reserve"
            (first,) = await there.said("dso", wire.FlexOffer)
            await there.post(offer(3, "dan"))
            asked = (await there.said("agr", wire.FlexRequest))[-1]
            again = msgspec.structs.replace(
                asked, **metadata("dso.example.com", "agr.example.com", there.clock.now, seed="again"), revision=2
            )
            await there.dso.hub.handle(outgoing(again, peer="root", id="again"))
            await there.quiet()
            prognoses = await there.said("dso", wire.DPrognosis)
            assert [p.revision for p in prognoses] == [1, 2]
            assert prognoses[1].conversation_id == again.conversation_id
            (last,) = [m for m in await there.said("dso", wire.FlexOffer) if m.message_id != first.message_id]
            assert last.d_prognosis_message_id == prognoses[1].message_id
            stages = {m.message_id: e.stage for m, e in await there.entries("dso", wire.FlexOffer)}
            assert stages[first.message_id] is Stage.REVOKED, "the new offer is instead of it"
            assert stages[last.message_id] is Stage.ACCEPTED
            await there.at(LOOKS)
            ((order, entry),) = await there.entries("dso", wire.FlexOrder)
            assert (order.flex_offer_message_id, entry.stage) == (last.message_id, Stage.ACCEPTED)
            assert (await load_kw(there)).max() <= 12.1
            assert refused(there) == []

    play(story())
    same_again(tmp_path, "agr")
    same_again(tmp_path, "dso", {**RESERVED, "limit": "12 kW"})


def test_a_member_that_went_is_missing_in_what_is_delivered_and_both_reckon_so(tmp_path: Path) -> None:
    async def story() -> None:
        async with trade(tmp_path, dso=RESERVED) as there:
            await all_offers(there)
            await there.run("agr", What.PROGNOSIS)
            await there.say("agr", "flexoffer.delete", "ev-ann", "ann", {}, Role.PROSUMER)
            await there.at(LOOKS)
            (offering,) = await there.offerings()
            assert [(f.offer, f.code) for f in offering.faults] == [("ev-ann", "gone")]
            states = {name: o.state for name, o in (await there.offers()).items()}
            assert states == dict.fromkeys(t.CARS, State.ASSIGNED) | {"ann": State.CANCELED}
            await there.at(LATER)
            await there.meter({})
            await there.run("agr", What.METERING)
            await there.run("dso", What.SETTLEMENT)
            ours, theirs = await there.reckoned("agr"), await there.reckoned("dso")
            assert ours is not None
            assert theirs is not None
            assert ours.items == theirs.items
            assert theirs.disputes == ()
            assert refused(there) == []

    play(story())


@pytest.mark.parametrize("penalty", ["40 EUR", "90 EUR"])
def test_a_settlement_that_is_off_is_disputed_and_that_is_kept_and_its_twin_accepted(
    penalty: str, tmp_path: Path
) -> None:
    async def story() -> None:
        async with trade(tmp_path, dso={"penalty": penalty}) as there:
            await all_offers(there)
            await there.run("agr", What.PROGNOSIS)
            await there.at(LATER)
            await there.meter({"cat": 1.2, "dan": 1.2})
            await there.run("agr", What.METERING)
            await there.run("dso", What.SETTLEMENT)
            ours, theirs = await there.reckoned("agr"), await there.reckoned("dso")
            assert ours is not None
            assert theirs is not None
            same = ours.items[0].net_settlement == theirs.items[0].net_settlement
            assert same is (penalty == "40 EUR")
            assert theirs.answered
            (settled,) = await there.said("agr", wire.FlexSettlement)
            rows = there.dso.hub.store.notices("dso", 0, 1000)
            told = [row.subject for row in rows if row.topic == "uftp.disputed"]
            if same:
                assert (theirs.disputes, told) == ((), [])
            else:
                (dispute,) = theirs.disputes
                assert str(ours.items[0].net_settlement) in dispute.reason
                assert told == [settled.message_id]

    play(story())


def test_a_settlement_waits_for_readings_and_tries_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with trade(tmp_path, dso={"settle_after": "PT2H"}) as there:
            await all_offers(there)
            await there.run("agr", What.PROGNOSIS)
            await there.at(t.MIDNIGHT + timedelta(hours=2))
            assert await there.said("agr", wire.FlexSettlement) == []
            assert await there.reckoned("dso") is None
            await there.at(t.MIDNIGHT + timedelta(hours=3))
            await there.meter({})
            await there.run("agr", What.METERING)
            assert await there.said("agr", wire.FlexSettlement) == []
            await there.at(t.MIDNIGHT + timedelta(hours=4))
            assert len(await there.said("agr", wire.FlexSettlement)) == 1
            found = await there.reckoned("dso")
            assert found is not None
            assert found.answered
            assert refused(there) == []

    play(story())
    same_again(tmp_path, "dso", {"settle_after": "PT2H"})


def test_its_moments_come_by_themselves(tmp_path: Path) -> None:
    agr: Keys = {"prognosis_before": "PT10H", "metering_after": "PT1H"}
    start = t.MIDNIGHT - timedelta(days=1)

    async def story() -> None:
        early = start - timedelta(hours=12)
        async with trade(tmp_path, now=early, agr=agr, dso={"settle_after": "PT2H"}) as there:
            for i, name in enumerate(t.CARS):
                await there.post(offer(i, name, created=early))
            await there.at(start - timedelta(hours=10))
            assert [m.period for m in await there.said("dso", wire.DPrognosis)] == [DAY]
            assert {o.state for o in (await there.offers()).values()} == {State.ASSIGNED}
            await there.at(t.MIDNIGHT + timedelta(minutes=30))
            await there.meter({})
            await there.at(t.MIDNIGHT + timedelta(hours=1))
            assert len(await there.said("dso", wire.Metering)) == len(t.CARS)
            await there.at(t.MIDNIGHT + timedelta(hours=2))
            ours, theirs = await there.reckoned("agr"), await there.reckoned("dso")
            assert ours is not None
            assert theirs is not None
            assert theirs.answered
            assert ours.items == theirs.items

    play(story())
    same_again(tmp_path, "agr", agr)
    same_again(tmp_path, "dso", {"settle_after": "PT2H"})


def test_what_is_asked_for_by_hand_is_an_admins_and_of_a_point_that_is_traded(tmp_path: Path) -> None:
    async def story() -> None:
        async with trade(tmp_path) as there:
            assert (await there.run("agr", What.PROGNOSIS)).status == 202
            with pytest.raises(NotFoundError, match="nothing is traded"):
                await there.run("agr", What.SETTLEMENT)
            with pytest.raises(InvalidError, match="not a day"):
                await there.run("agr", What.PROGNOSIS, "2026-02-30")
            order = Run(what=What.PROGNOSIS, congestion_point=s.POINT, day=DAY)
            with pytest.raises(ForbiddenError):
                await there.say("agr", "uftp.run", "x", "ann", order, Role.PROSUMER)
            kept = await there.dso.hub.get(UftpTrade, f"DSO.dso.example.com|{s.POINT}")
            assert kept is not None
            assert (kept.limit_kw, kept.penalty_eur) == (9.0, Decimal(40))

    play(story())
