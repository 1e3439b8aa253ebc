"""The reference manager: what it takes, that every plan is feasible for every member, and that requests are met."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexhub.core.errors import InfeasibleError, InvalidError
from flexhub.core.flexoffer import (
    EnergyRange,
    FlexOffer,
    Polytope,
    Profile,
    Quantity,
    Schedule,
    ScheduleSlice,
    Slice,
    State,
)
from flexhub.core.judge import violations
from flexhub.core.price import Price
from flexhub.core.timeseries import SeriesKind, TimeSeries
from flexhub.core.trading import Contract, Disposition, FlexRequest, Reference, RequestInterval
from flexhub.engines.reference import planning
from flexhub.engines.reference.generator import ChargingSession, EvGenerator
from flexhub.engines.reference.manager import FLAT, ReferenceManager
from flexhub.engines.slots import Plan, Portfolio
from tests.conftest import examples
from tests.strategies import Witnessed, convex_offers, witnessed

T0 = datetime(2026, 1, 10, tzinfo=UTC)
MANAGER = ReferenceManager()
CONTRACT = Contract(
    id="c", prosumer="p", aggregator="agg", valid_from=T0 - timedelta(days=1), valid_until=T0 + timedelta(days=1)
)


def at(slot: int) -> datetime:
    return T0 + timedelta(minutes=15 * slot)


def schedule(start: int, energies: list[float]) -> Schedule:
    return Schedule(start=at(start), slices=tuple(ScheduleSlice(energy_kwh=e) for e in energies))


def offer(name: str = "o", first: int = 4, last: int = 4, **more: object) -> FlexOffer:
    fields: dict[str, object] = {
        "start_after": at(first),
        "start_before": at(last),
        "profiles": (Profile(slices=(Slice(energy_kwh=(EnergyRange(0, 2),)),) * 4),),
        "default_schedule": schedule(first, [2, 2, 0, 0]),
    }
    return FlexOffer(id=name, issuer="p", created=T0, **(fields | more))  # type: ignore[arg-type]  # fields by name


def charging(name: str, arrival: float, stay: float, kwh: float, kw: float = 8.0) -> FlexOffer:
    begin = T0 + timedelta(minutes=arrival)
    load = ChargingSession(
        id=name,
        station="s",
        arrival=begin,
        departure=begin + timedelta(minutes=stay),
        requested_kwh=kwh,
        max_power_kw=kw,
    )
    return EvGenerator().offer(load, name, "p", T0)


def request(*intervals: RequestInterval, **more: object) -> FlexRequest:
    fields: dict[str, object] = {"id": "r", "expires": at(96), "congestion_point": "cp"}
    return FlexRequest(issuer="dso", recipient="agg", created=T0, start=T0, intervals=intervals, **(fields | more))  # type: ignore[arg-type]  # fields by name


def load(plan: Plan, slots: int = 96) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    total = np.zeros(slots)
    for assignment in plan.assignments:
        first = (assignment.schedule.start - T0) // timedelta(minutes=15)
        for i, energy in enumerate(assignment.schedule.per_slot_kwh()):
            total[first + i] += energy
    return total


def check(portfolio: Portfolio, plan: Plan) -> None:
    """Every offer is either refused or assigned a feasible schedule."""
    by_id = {o.id: o for o in portfolio.offers}
    decided = [a.offer for a in plan.assignments] + [r.offer for r in plan.refusals]
    assert sorted(decided) == sorted(by_id)
    for assignment in plan.assignments:
        assert violations(by_id[assignment.offer], assignment.schedule, now=portfolio.now) == []


REFUSED = {
    "another's contract": (msgspec.structs.replace(offer(), issuer="q"), "contract"),
    "another contract": (offer(contract="d"), "contract"),
    "withdrawn": (offer(profiles=(), default_schedule=None), "withdrawn"),
    "reactive": (offer(quantity=Quantity.REACTIVE_ENERGY), "active energy"),
    "exclusive profiles": (offer(profiles=offer().profiles * 2), "exclusive"),
    "amounts": (offer(profiles=(Profile(slices=(Slice(amounts_kwh=(0, 2)),)),)), "ranges or amounts"),
    "deadline": (offer(assign_before=at(1)), "deadline"),
    "far ahead": (offer(first=9999, last=9999, assign_before=at(50)), "ahead"),
    "resolution": (offer(resolution_s=600, start_after=at(4), start_before=at(6), default_schedule=None), "600 s"),
    "contradicting polytope": (
        offer(
            profiles=(Profile(slices=offer().profiles[0].slices, polytope=Polytope(a=((1, 1, 1, 1),), b_kwh=(-1,))),)
        ),
        "no energies",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_with_the_reason(name: str) -> None:
    bad, reason = REFUSED[name]
    answer = MANAGER.accept(bad, CONTRACT, at(2))
    assert not answer.accepted
    assert reason in answer.reason
    assert MANAGER.accept(offer(contract="c"), CONTRACT, at(2)).accepted


def test_refuses_outside_the_contract_term() -> None:
    ended = msgspec.structs.replace(CONTRACT, valid_until=at(1))
    assert "not in force" in MANAGER.accept(offer(), ended, at(2)).reason
    assert MANAGER.accept(offer(), ended, at(0)).accepted


def test_moves_load_out_of_the_requested_slots_into_the_room() -> None:
    portfolio = Portfolio(
        now=T0,
        offers=tuple(charging(f"o{i}", 60, 120, 4) for i in range(5)),  # all charge 2 + 2 kWh in slots 4 and 5
        requests=(
            request(
                RequestInterval(slot=4, hi_kwh=-4),
                RequestInterval(slot=5, hi_kwh=-4),
                RequestInterval(slot=6, disposition=Disposition.AVAILABLE, hi_kwh=6),
                RequestInterval(slot=7, disposition=Disposition.AVAILABLE, hi_kwh=1),
            ),
        ),
    )
    plan = MANAGER.plan(portfolio)
    check(portfolio, plan)
    total = load(plan)
    assert total.sum() == pytest.approx(20)
    assert max(total[4], total[5], total[6]) <= 6 + 1e-6
    assert total[7] <= 1 + 1e-6
    assert plan.unserved_kwh == 0
    assert plan.refusals == ()


def test_says_what_stays_unserved() -> None:
    full = charging("o", 60, 15, 2)  # it must charge 2 kWh in slot 4
    plan = MANAGER.plan(Portfolio(now=T0, offers=(full,), requests=(request(RequestInterval(slot=4, hi_kwh=-0.5)),)))
    assert plan.unserved_kwh == pytest.approx(0.5)


def test_keeps_the_default_where_nothing_is_asked() -> None:
    offers = (offer(), charging("car", 60, 120, 4))
    plan = MANAGER.plan(Portfolio(now=T0, offers=offers))
    for one, assignment in zip(offers, plan.assignments, strict=True):
        assert one.default_schedule is not None
        assert assignment.schedule.per_slot_kwh() == pytest.approx(one.default_schedule.per_slot_kwh())
    assert plan.cost_eur == 0


def test_does_not_pile_up_what_it_moves() -> None:
    cars = tuple(charging(f"o{i}", 60, 120, 2) for i in range(4))  # 8 kWh in slot 4
    plan = MANAGER.plan(Portfolio(now=T0, offers=cars, requests=(request(RequestInterval(slot=4, hi_kwh=-6)),)))
    assert load(plan).max() == pytest.approx(2)


@pytest.mark.parametrize(("pays", "moved"), [(0.05, 0.0), (0.5, 2.0)])
def test_moves_only_for_more_than_the_prosumer_asks(pays: float, moved: float) -> None:
    dear = offer(price=Price.of_tariffs(-0.1, 0.1))
    asks = request(RequestInterval(slot=4, hi_kwh=-2), price_eur_per_kwh=pays)
    plan = MANAGER.plan(Portfolio(now=T0, offers=(dear,), requests=(asks,)))
    assert 2 - plan.assignments[0].schedule.slices[0].energy_kwh == pytest.approx(moved)
    assert plan.cost_eur == pytest.approx(0.1 * moved)


def test_buys_energy_when_it_is_cheap() -> None:
    committed = TimeSeries(subject="cp", kind=SeriesKind.SCHEDULE, start=at(4), values_kwh=(0.0,) * 8)
    car = charging("o", 60, 120, 6)
    prices = (0.4, 0.4, 0.1, 0.1, 0.1, 0.4, 0.4, 0.4)
    portfolio = Portfolio(now=T0, offers=(car,), committed=committed, prices_eur_per_kwh=prices)
    plan = MANAGER.plan(portfolio)
    assert load(plan)[6:9].tolist() == pytest.approx([2, 2, 2])
    assert plan.cost_eur == pytest.approx(0.6)


def test_shifts_a_start_out_of_the_way() -> None:
    wash = offer(first=4, last=12, profiles=(Profile(slices=(Slice(energy_kwh=(EnergyRange(1, 1),)),) * 2),),
                 default_schedule=schedule(4, [1, 1]))  # fmt: skip
    asks = request(*(RequestInterval(slot=i, hi_kwh=0, disposition=Disposition.REQUESTED) for i in range(4, 8)),
                   reference=Reference.ABSOLUTE)  # fmt: skip
    plan = MANAGER.plan(Portfolio(now=T0, offers=(wash,), requests=(asks,)))
    assert plan.assignments[0].schedule.start >= at(8)
    assert plan.unserved_kwh == 0


@pytest.mark.parametrize(("price", "eur"), [(None, 0.0), (Price.of_tariffs(-0.1, 0.3), 0.8)])
def test_a_plan_costs_what_the_offers_own_prices_ask_in_time(price: Price | None, eur: float) -> None:
    """2 kWh are left out where they were by default, and used where nothing was."""
    wash = offer(first=4, last=8, profiles=(Profile(slices=(Slice(energy_kwh=(EnergyRange(1, 1),)),) * 2),),
                 default_schedule=schedule(4, [1, 1]), price=price)  # fmt: skip
    asks = request(*(RequestInterval(slot=i, hi_kwh=0, disposition=Disposition.REQUESTED) for i in range(4, 8)),
                   reference=Reference.ABSOLUTE)  # fmt: skip
    plan = MANAGER.plan(Portfolio(now=T0, offers=(wash,), requests=(asks,)))
    assert plan.assignments[0].schedule.start == at(8)
    assert plan.cost_eur == pytest.approx(eur)


@pytest.mark.parametrize("kwh", [0.25, 0.333333])
def test_a_total_that_the_slices_miss_by_rounding_spoils_no_plan(kwh: float) -> None:
    """Four or three slices make 1 kWh, up to the sixth decimal."""
    slices = (Slice(energy_kwh=(EnergyRange(0.0, kwh),)),) * round(1 / kwh)
    profile = Profile(slices=slices, total_energy_kwh=EnergyRange(1.0, 1.0))
    portfolio = Portfolio(now=T0, offers=(offer("a", profiles=(profile,), default_schedule=None), offer("b")))
    plan = MANAGER.plan(portfolio)
    check(portfolio, plan)
    assert plan.refusals == ()


def test_numbers_a_replacement() -> None:
    assigned = offer(state=State.ASSIGNED, schedule=msgspec.structs.replace(schedule(4, [2, 2, 0, 0]), update=3))
    assert MANAGER.plan(Portfolio(now=T0, offers=(assigned,))).assignments[0].schedule.update == 4
    late = MANAGER.plan(Portfolio(now=at(5), offers=(assigned,)))
    assert [r.reason for r in late.refusals] == ["it has started"]


@pytest.mark.parametrize(
    ("bad", "path"),
    [
        ({"requests": (request(RequestInterval(slot=0), resolution_s=3600),)}, "requests"),
        ({"requests": (request(RequestInterval(slot=0)),
                       request(RequestInterval(slot=0), id="s", congestion_point="other"))}, "requests"),
        ({"prices_eur_per_kwh": (0.1,)}, "committed"),
    ],
)  # fmt: skip
def test_refuses_a_portfolio_it_would_misread(bad: dict[str, object], path: str) -> None:
    with pytest.raises(InvalidError) as refused:
        MANAGER.plan(Portfolio(now=T0, offers=(offer(),), **bad))  # type: ignore[arg-type]  # fields by name
    assert refused.value.path.endswith(path)
    assert MANAGER.plan(Portfolio(now=T0, offers=(offer(),))).assignments


def test_an_offer_that_outlasts_the_horizon_is_refused_and_stops_no_plan() -> None:
    manager = ReferenceManager(horizon=timedelta(hours=6))
    piece = Slice(energy_kwh=(EnergyRange(0, 2),))
    day, quarters = (offer(f"o{n}", profiles=(Profile(slices=(piece,) * n),), default_schedule=None) for n in (25, 24))
    assert not manager.accept(day, CONTRACT, T0).accepted
    assert manager.accept(quarters, CONTRACT, T0).accepted
    plan = manager.plan(Portfolio(now=T0, offers=(day, quarters)))
    assert [(r.offer, "lasts longer" in r.reason) for r in plan.refusals] == [("o25", True)]
    assert [a.offer for a in plan.assignments] == ["o24"]


def test_takes_the_newest_revision_and_none_that_expired() -> None:
    portfolio = Portfolio(
        now=at(2),
        offers=(charging("o", 60, 120, 4),),
        requests=(
            request(RequestInterval(slot=4, hi_kwh=-2), revision=1),
            request(RequestInterval(slot=4, hi_kwh=-1), revision=2),
            request(RequestInterval(slot=5, hi_kwh=-2), id="old", expires=at(1)),
        ),
    )
    total = load(MANAGER.plan(portfolio))
    assert total[4] == pytest.approx(1)
    assert total[5] > 1e-3


@settings(max_examples=60)
@given(st.data())
def test_every_plan_is_feasible_for_every_offer(data: st.DataObject) -> None:
    offers = [data.draw(convex_offers(f"o{i}", T0)) for i in range(data.draw(st.integers(0, 6)))]
    bounds = st.one_of(st.none(), st.floats(-10, 10))
    intervals = []
    for slot in range(4, 10):
        lo, hi = data.draw(bounds), data.draw(bounds)
        if lo is not None and hi is not None:
            lo, hi = min(lo, hi), max(lo, hi)
        disposition = data.draw(st.sampled_from(Disposition)) if slot > 4 else Disposition.REQUESTED
        intervals.append(RequestInterval(slot=slot, lo_kwh=lo, hi_kwh=hi, disposition=disposition))
    portfolio = Portfolio(now=T0, offers=tuple(offers), requests=(request(*intervals),))
    plan = MANAGER.plan(portfolio)
    check(portfolio, plan)
    assert plan.refusals == ()


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(0, 400), st.floats(5, 600), st.floats(0.1, 60)), min_size=1, max_size=12))
def test_every_car_gets_its_energy(stays: list[tuple[float, float, float]]) -> None:
    offers = []
    for i, (arrival, stay, kwh) in enumerate(stays):
        try:
            offers.append(charging(f"o{i}", arrival, stay, kwh))
        except InfeasibleError:
            continue
    asks = request(*(RequestInterval(slot=i, hi_kwh=1.0) for i in range(8, 16)), reference=Reference.ABSOLUTE)
    portfolio = Portfolio(now=T0, offers=tuple(offers), requests=(asks,))
    plan = MANAGER.plan(portfolio)
    check(portfolio, plan)
    wanted = {o.id: o.default_schedule.energy_kwh() for o in offers if o.default_schedule is not None}
    for assignment in plan.assignments:
        assert assignment.schedule.energy_kwh() == pytest.approx(wanted[assignment.offer], abs=1e-9)


def test_an_even_load_is_chosen_where_it_is_wished_for() -> None:
    car = charging("o", arrival=60, stay=60, kwh=4)
    hill = TimeSeries(subject="agg", kind=SeriesKind.SCHEDULE, start=at(4), values_kwh=(2.0, 1.0, 0.0, 1.0))
    portfolio = Portfolio(now=T0, offers=(car,), committed=hill)
    (least,) = MANAGER.plan(portfolio).assignments
    assert least.schedule.per_slot_kwh() == pytest.approx([2, 2, 0, 0], abs=1e-6)
    (even,) = ReferenceManager(weights=FLAT).plan(portfolio).assignments
    assert even.schedule.per_slot_kwh() == pytest.approx([0, 1, 2, 1], abs=0.2)
    assert violations(car, even.schedule) == []


def test_large_plans_are_as_good(monkeypatch: pytest.MonkeyPatch) -> None:
    cars = tuple(charging(f"o{i}", 60, 120, 3 + i % 4) for i in range(12))
    asks = request(
        *(RequestInterval(slot=i, hi_kwh=hi) for i, hi in ((4, 5), (5, 9), (6, 4))), reference=Reference.ABSOLUTE
    )
    portfolio = Portfolio(now=T0, offers=cars, requests=(asks,))
    small = MANAGER.plan(portfolio)
    monkeypatch.setattr(planning, "LARGE", 0)  # every plan counts as large now: the interior point method
    large = MANAGER.plan(portfolio)
    check(portfolio, large)
    assert large.unserved_kwh == pytest.approx(small.unserved_kwh, abs=1e-6)
    assert load(large).max() == pytest.approx(load(small).max(), abs=1e-6)


@settings(max_examples=examples(25))
@given(st.lists(witnessed(), min_size=1, max_size=5, unique_by=lambda w: w.offer.id))
def test_offers_of_every_kind_are_planned_or_refused_with_a_reason(drawn: list[Witnessed]) -> None:
    now = min(w.now for w in drawn)
    portfolio = Portfolio(now=now, offers=tuple(w.offer for w in drawn))
    plan = MANAGER.plan(portfolio)
    check(portfolio, plan)
    assert all(r.reason for r in plan.refusals)
    MANAGER.bid(portfolio)
