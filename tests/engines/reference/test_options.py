"""Options: what is offered can be delivered for every factor, to the watt, and is never sold below its cost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexhub.core import documents
from flexhub.core.algebra.shape import Floats
from flexhub.core.errors import ExpiredError, InvalidError, NotFoundError
from flexhub.core.flexoffer import EnergyRange, FlexOffer, Profile, Schedule, ScheduleSlice, Slice, State
from flexhub.core.judge import violations
from flexhub.core.options import Option
from flexhub.core.timeseries import SeriesKind, TimeSeries
from flexhub.core.trading import Contract, Disposition, FlexRequest, RequestInterval
from flexhub.engines.reference import planning
from flexhub.engines.reference.generator import ChargingSession, EvGenerator
from flexhub.engines.reference.manager import ReferenceManager
from flexhub.engines.reference.settlement import rewards
from flexhub.engines.reference.units import price_eur
from flexhub.engines.slots import Assignment, Offering, Portfolio, Terms
from tests.conftest import examples
from tests.strategies import ALL, convex_offers, witnessed

T0 = datetime(2026, 1, 10, tzinfo=UTC)
STEP = timedelta(minutes=15)
DAY = timedelta(days=1)
WATT_KWH = 0.25 / 1000
MANAGER = ReferenceManager()


def at(slot: int) -> datetime:
    return T0 + slot * STEP


def contract(name: str = "c", *, fee: float = 0.0, per_kwh: float = 0.0) -> Contract:
    return Contract(
        id=name,
        prosumer="p",
        aggregator="agg",
        valid_from=T0 - DAY,
        per_activation_eur=fee,
        per_deviation_eur_per_kwh=per_kwh,
    )


def car(name: str, arrival: int, stay: int, kwh: float, under: str = "c") -> FlexOffer:
    load = ChargingSession(
        id=name,
        station="s",
        arrival=at(arrival),
        departure=at(arrival + stay),
        requested_kwh=kwh,
        max_power_kw=8.0,
    )
    return msgspec.structs.replace(EvGenerator().offer(load, name, "p", T0), contract=under)


def schedule(start: int, energies: Sequence[float]) -> Schedule:
    return Schedule(start=at(start), slices=tuple(ScheduleSlice(energy_kwh=e) for e in energies))


def shifting(name: str, first: int, last: int, energies: Sequence[float]) -> FlexOffer:
    """A load that can only start at another time."""
    return FlexOffer(
        id=name,
        issuer="p",
        created=T0,
        start_after=at(first),
        start_before=at(last),
        profiles=(Profile(slices=tuple(Slice(energy_kwh=(EnergyRange(e, e),)) for e in energies)),),
        default_schedule=schedule(first, energies),
    )


def request(lo: float, hi: float, *slots: int, **more: object) -> FlexRequest:
    fields: dict[str, object] = {"id": "r", "expires": at(1), "created": T0, "start": T0}
    intervals = tuple(RequestInterval(slot=s, lo_kwh=lo, hi_kwh=hi) for s in slots)
    return FlexRequest(issuer="dso", recipient="agg", congestion_point="cp", intervals=intervals, **(fields | more))  # type: ignore[arg-type]  # fields by name


def terms(until: int = 2, margin: float = 0.0, start: datetime = T0) -> Terms:
    return Terms(until=start + until * STEP, start=start, end=start + DAY, margin=margin)


def total(assignments: Sequence[Assignment], start: datetime = T0, slots: int = 96) -> Floats:
    load = np.zeros(slots)
    for assignment in assignments:
        first = (assignment.schedule.start - start) // STEP
        for i, energy in enumerate(assignment.schedule.per_slot_kwh(), first):
            if 0 <= i < slots:
                load[i] += energy
    return load


def deviation(option: Option) -> dict[int, float]:
    return {i: round(kwh, 9) for i, kwh in enumerate(option.deviation_kwh) if kwh}


def named(offering: Offering) -> dict[str, Option]:
    return {o.reference: o for o in offering.options.options}


CARS = tuple(car(f"o{i}", 4, 16, 4, under=f"c{i}") for i in range(4))  # each charges 2 + 2 kWh in slots 4 and 5
CONTRACTS = tuple(contract(f"c{i}", per_kwh=0.1 * (i + 1)) for i in range(4))
PORTFOLIO = Portfolio(now=T0, offers=CARS, contracts=CONTRACTS)


def test_the_full_option_meets_the_request_and_a_part_of_it_costs_less_each_kwh() -> None:
    offering = MANAGER.options(PORTFOLIO, request(-8, -4, 4, 5), terms(margin=0.5))
    found = named(offering)
    assert offering.options.baseline_kwh[4:7] == (8, 8, 0)
    full, part = found["full"], found["part"]
    assert [full.deviation_kwh[i] for i in (4, 5)] == [-4, -4]
    assert sum(full.deviation_kwh) == pytest.approx(0)  # what is not charged then is charged later
    # the two cheapest cars move 4 kWh away and 4 back each: (0.1 + 0.2) EUR/kWh * 8 kWh, and the margin
    assert full.price == Decimal("3.6")
    assert part.price == Decimal("1.2")
    assert sum(part.deviation_kwh[4:6]) == -4
    assert full.min_activation_factor == part.min_activation_factor == Decimal("0.01")


def test_a_part_that_costs_as_much_each_kwh_is_left_out() -> None:
    alike = msgspec.structs.replace(PORTFOLIO, offers=tuple(msgspec.structs.replace(o, contract="c0") for o in CARS))
    assert set(named(MANAGER.options(alike, request(-8, -4, 4, 5), terms()))) == {"full"}
    assert set(named(MANAGER.options(PORTFOLIO, request(-8, -4, 4, 5), terms()))) == {"full", "part"}


def test_other_starts_are_offered_as_a_whole() -> None:
    loads = (shifting("dryer", 4, 12, [1, 1]), car("car", 4, 8, 4))
    offering = MANAGER.options(Portfolio(now=T0, offers=loads), request(-3, -2, 4, 5), terms())
    found = named(offering)
    assert found["shifted"].min_activation_factor == 1
    (moved,) = (a for a in offering.behind["shifted"] if a.offer == "dryer")
    assert moved.schedule.start > at(5)
    assert all(a.offer != "dryer" for a in offering.behind["full"])
    whole = MANAGER.activate(offering, loads, "shifted", Decimal(1))
    assert total(whole) == pytest.approx(np.add(offering.options.baseline_kwh, found["shifted"].deviation_kwh))
    with pytest.raises(InvalidError, match=r"0\.99"):
        MANAGER.activate(offering, loads, "shifted", Decimal("0.99"))
    rigid = (shifting("dryer", 4, 4, [1, 1]), loads[1])
    assert "shifted" not in named(MANAGER.options(Portfolio(now=T0, offers=rigid), request(-3, -2, 4, 5), terms()))


def test_a_start_later_than_anything_else_is_told_in_full() -> None:
    dryer = (shifting("dryer", 4, 12, [1, 2]),)
    offering = MANAGER.options(Portfolio(now=T0, offers=dryer), request(-3, -1, 4, 5, 6, 7, 8, 9, 10), terms())
    (option,) = offering.options.options
    assert deviation(option) == {4: -1, 5: -2, 11: 1, 12: 2}


def test_a_fee_for_moving_at_all_bounds_the_factor_unless_the_margin_pays_it() -> None:
    fee = contract("c0", fee=1.0, per_kwh=0.5)
    portfolio = Portfolio(now=T0, offers=CARS[:1], contracts=(fee,))
    asked = request(-2, -1, 4)
    # moves 1 kWh from slot 4 to a later one: 1 EUR at all, 2 * 0.5 EUR for the energy
    bare, paid = (named(MANAGER.options(portfolio, asked, terms(margin=m)))["full"] for m in (0.0, 1.0))
    assert (bare.price, bare.min_activation_factor) == (Decimal(2), Decimal(1))
    assert (paid.price, paid.min_activation_factor) == (Decimal(4), Decimal("0.34"))  # 1 + a <= 4 a
    free = msgspec.structs.replace(portfolio, contracts=(msgspec.structs.replace(fee, per_activation_eur=0.0),))
    assert named(MANAGER.options(free, asked, terms()))["full"].min_activation_factor == Decimal("0.01")


def test_energy_that_is_bought_at_another_time_is_part_of_the_price() -> None:
    prices = tuple(0.1 if slot < 8 else 0.3 for slot in range(96))
    load = TimeSeries(subject="s", kind=SeriesKind.SCHEDULE, start=T0, values_kwh=(5.0,) * 96)
    alone = msgspec.structs.replace(PORTFOLIO, offers=(car("o", 4, 8, 4),), contracts=(), committed=load)
    priced = msgspec.structs.replace(alone, prices_eur_per_kwh=prices)
    # room until slot 8 is forbidden, so 2 kWh are bought 0.2 EUR dearer
    full = (RequestInterval(slot=s, disposition=Disposition.AVAILABLE, lo_kwh=0, hi_kwh=0) for s in (5, 6, 7))
    asked = request(-2, -2, 4)
    asked = msgspec.structs.replace(asked, intervals=(*asked.intervals, *full))
    assert named(MANAGER.options(priced, asked, terms()))["full"].price == Decimal("0.4")
    assert named(MANAGER.options(alone, asked, terms()))["full"].price == 0


def test_nothing_moves_before_the_options_expire_or_beyond_the_day() -> None:
    night = car("night", 90, 20, 8)  # charges in slots 90 to 93, and could do so until slot 110
    early, late = car("early", 1, 20, 4), car("late", 4, 20, 4)
    portfolio = Portfolio(now=T0, offers=(night, early, late))
    offering = MANAGER.options(portfolio, request(-9, -7, 90, 91, 92, 93), terms(until=3))
    option = named(offering)["full"]
    assert {i for i, kwh in deviation(option).items() if kwh > 0} == {94, 95}
    assert sum(option.deviation_kwh) == 0
    assert {a.offer for a in offering.courses} == {"night", "late"}


def test_what_is_not_convex_keeps_its_course() -> None:
    odd = msgspec.structs.replace(CARS[0], profiles=CARS[0].profiles * 2)
    for offer, served in ((CARS[0], True), (odd, False)):
        offering = MANAGER.options(Portfolio(now=T0, offers=(offer,)), request(-2, -1, 4), terms())
        assert bool(offering.options.options) is served
        assert offering.options.baseline_kwh[4] == 2


def test_what_was_ordered_before_is_delivered_beside_what_is_ordered_now() -> None:
    first = MANAGER.options(PORTFOLIO, request(-8, -4, 4), terms())
    by_id = {a.offer: a.schedule for a in MANAGER.activate(first, CARS, "full", Decimal(1))}
    assigned = tuple(msgspec.structs.replace(o, state=State.ASSIGNED, schedule=by_id[o.id]) for o in CARS)
    again = MANAGER.options(
        msgspec.structs.replace(PORTFOLIO, offers=assigned), request(-8, -1, 4, id="second"), terms()
    )
    assert again.options.baseline_kwh[4] == 4
    more = MANAGER.activate(again, assigned, "full", Decimal(1))
    assert total(more)[4] == pytest.approx(3, abs=WATT_KWH)
    assert {a.schedule.update for a in more} == {1}


@pytest.mark.parametrize(("lo", "hi", "change"), [(-3, 0, -3), (-3, -1, -1), (0, 2, 2), (1, 2, 1)])
def test_the_bound_away_from_zero_is_what_is_requested(lo: float, hi: float, change: float) -> None:
    """A car that may charge less in slot 4, and one that may charge more there."""
    later = msgspec.structs.replace(car("later", 4, 16, 4), default_schedule=schedule(4, [0, 0, 2, 2] + [0.0] * 12))
    portfolio = Portfolio(now=T0, offers=(*CARS[:2], later))
    option = named(MANAGER.options(portfolio, request(lo, hi, 4), terms()))["full"]
    assert option.deviation_kwh[4] == change


def test_nothing_is_offered_where_nothing_is_needed_or_can_be_done() -> None:
    met = request(-8, 8, 4)
    for portfolio, asked in ((PORTFOLIO, met), (Portfolio(now=T0, offers=()), request(-8, -4, 4))):
        offering = MANAGER.options(portfolio, asked, terms())
        assert offering.options.options == ()
        assert offering.behind == {}
    assert MANAGER.options(PORTFOLIO, request(-8, -4, 4), terms()).options.options


def test_an_expired_request_is_refused() -> None:
    late = msgspec.structs.replace(PORTFOLIO, now=at(2))
    with pytest.raises(ExpiredError):
        MANAGER.options(late, request(-8, -4, 4), terms(until=3))
    assert MANAGER.options(late, request(-8, -4, 4, expires=at(2)), terms(until=3)).options.options


@pytest.mark.parametrize("factor", ["0", "0.005", "1.01", "0.125"])
def test_activates_by_allowed_factors_of_known_options_only(factor: str) -> None:
    offering = MANAGER.options(PORTFOLIO, request(-8, -4, 4), terms())
    assert MANAGER.activate(offering, CARS, "full", Decimal("0.12"))
    with pytest.raises(InvalidError):
        MANAGER.activate(offering, CARS, "full", Decimal(factor))
    with pytest.raises(NotFoundError):
        MANAGER.activate(offering, CARS, "half", Decimal("0.12"))
    with pytest.raises(NotFoundError):
        MANAGER.activate(offering, CARS[1:], "full", Decimal("0.12"))


@pytest.mark.parametrize("most", [0, planning.MOST_ITERATIONS])
def test_a_stalled_solver_is_cut_off_for_another_method(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(planning, "LARGE", 0)  # every program counts as large now
    monkeypatch.setattr(planning, "MOST_ITERATIONS", most)
    option = named(MANAGER.options(PORTFOLIO, request(-8, -4, 4, 5), terms()))["full"]
    assert [option.deviation_kwh[i] for i in (4, 5)] == [-4, -4]


def test_an_offering_is_kept_as_a_document() -> None:
    offering = MANAGER.options(PORTFOLIO, request(-8, -4, 4), terms())
    kept = documents.decode(Offering, documents.encode(offering))
    assert kept == offering
    assert MANAGER.activate(kept, CARS, "full", Decimal("0.5")) == MANAGER.activate(
        offering, CARS, "full", Decimal("0.5")
    )


def cost_eur(offer: FlexOffer, one: Schedule, terms_of: Contract) -> float:
    return price_eur(offer, one) + sum(quantity * each for _, quantity, _, each in rewards(offer, one, terms_of))


@settings(max_examples=examples(40))
@given(st.data())
def test_every_part_of_every_option_can_be_delivered_and_pays_its_cost(data: st.DataObject) -> None:
    """The law of the module, for offers of every kind, some of them assigned already."""
    drawn = data.draw(witnessed(ALL))
    now = drawn.now
    day = now.replace(hour=0, minute=0)
    offers = [data.draw(convex_offers(f"o{i}", now, planned=i > 0)) for i in range(data.draw(st.integers(1, 6)))]
    other = msgspec.structs.replace(drawn.offer, id="any", default_schedule=drawn.schedule)
    if offers[0].default_schedule is not None and data.draw(st.booleans()):
        offers[0] = msgspec.structs.replace(offers[0], state=State.ASSIGNED, schedule=offers[0].default_schedule)
    fees = contract("c", fee=data.draw(st.sampled_from([0.0, 0.2])), per_kwh=0.05)
    offers = [msgspec.structs.replace(o, contract=data.draw(st.sampled_from(["c", None]))) for o in offers] + [other]
    first = (now - day) // STEP
    asked = []
    for slot in range(first, first + 14):
        lo, hi = sorted((data.draw(st.floats(-4, 4)), data.draw(st.floats(-4, 4))))
        disposition = data.draw(st.sampled_from(Disposition)) if slot > first else Disposition.REQUESTED
        asked.append(RequestInterval(slot=slot, lo_kwh=lo, hi_kwh=hi, disposition=disposition))
    wanted = request(0, 0, 0, created=now, expires=now, start=day)
    wanted = msgspec.structs.replace(wanted, intervals=tuple(asked))
    until = now + data.draw(st.integers(0, 3)) * STEP
    portfolio = Portfolio(now=now, offers=tuple(offers), contracts=(fees,))
    offering = MANAGER.options(
        portfolio, wanted, Terms(until=until, start=day, end=day + DAY, margin=data.draw(st.sampled_from([0.0, 0.3])))
    )
    by_id = {o.id: o for o in offers}
    courses = {a.offer: a.schedule for a in offering.courses}
    assert {i: by_id[i].schedule or by_id[i].default_schedule for i in courses} == courses
    before = total(offering.courses, day)
    for option in offering.options.options:
        least = option.min_activation_factor
        for factor in {least, Decimal(data.draw(st.integers(int(least * 100), 100))) / 100, Decimal(1)}:
            parts = MANAGER.activate(offering, offers, option.reference, factor)
            assert {a.offer for a in parts} == courses.keys()
            cost = 0.0
            for part in parts:
                offer = by_id[part.offer]
                assert violations(offer, part.schedule, now=until) == []
                paid = fees if offer.contract == "c" else contract()
                cost += cost_eur(offer, part.schedule, paid) - cost_eur(offer, courses[offer.id], paid)
            moved = total(parts, day) - before
            assert np.abs(moved - float(factor) * np.array(option.deviation_kwh)).max() <= 0.5 * WATT_KWH + 1e-7
            assert cost <= float(option.price * factor) + 1e-4
            assert not moved[: (until - day) // STEP].any() or until <= day
