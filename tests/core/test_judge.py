"""The judge: beside each schedule that keeps an offer's bounds, one that differs in one thing and breaks just that."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given

from flexhub.core.flexoffer import (
    CostRange,
    EnergyRange,
    FlexOffer,
    HalfPlane,
    Polytope,
    Profile,
    Schedule,
    ScheduleSlice,
    Slice,
    TwoMode,
    Uncertainty,
)
from flexhub.core.judge import Kind, Violation, violations
from flexhub.core.price import Price
from tests.strategies import Witnessed, witnessed

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
UP_TO_TWO = Slice(energy_kwh=(EnergyRange(0.0, 2.0),))
ANY = Slice(polygon=(HalfPlane(0.0, 1.0, 1e308), HalfPlane(0.0, -1.0, 1e308)))


def offer(*slices: Slice, profiles: tuple[Profile, ...] | None = None, **fields: Any) -> FlexOffer:
    """An offer to start between noon and one o'clock, with these slices, or these profiles."""
    if profiles is None:
        in_profile = {k: fields.pop(k) for k in ("total_energy_kwh", "subtotal_energy_kwh", "polytope") if k in fields}
        profiles = (Profile(slices=slices or (UP_TO_TWO,) * 3, **in_profile),)
    if "start_before_duration_s" not in fields:
        fields = {"start_after": NOON, "start_before": NOON + 4 * QUARTER, **fields}
    return FlexOffer(id="o", issuer="p", created=NOON - 8 * QUARTER, profiles=profiles, **fields)


def plan(
    *energies: float, start: datetime = NOON, durations: tuple[int, ...] = (), profile: int | None = 0
) -> Schedule:
    pieces = zip(energies, durations or (1,) * len(energies), strict=True)
    return Schedule(
        start=start, profile=profile, slices=tuple(ScheduleSlice(energy_kwh=e, duration=d) for e, d in pieces)
    )


class Case(NamedTuple):
    name: str
    kind: Kind
    offer: FlexOffer
    good: Schedule
    bad: Schedule
    path: str
    excess: float = 0.0


TWO_MODE = Profile(
    slices=(UP_TO_TWO,) * 2,
    two_mode=TwoMode(prior_time_s=1800, prior_portion=0.5, after_time_s=900, after_portion=0.25),
)
PRICED = offer(
    price=Price.of_tariffs(0.1, 0.3),
    total_cost_eur=CostRange(-0.1, 0.3),
    default_schedule=plan(1.0, 1.0, 1.0),
)
CASES = [
    Case("an unknown profile", Kind.PROFILE, offer(), plan(1, 1, 1), plan(1, 1, 1, profile=1), "Schedule/profile"),
    Case(
        "before the earliest start",
        Kind.START_EARLY,
        offer(),
        plan(1, 1, 1),
        plan(1, 1, 1, start=NOON - QUARTER),
        "Schedule/start",
        900.0,
    ),
    Case(
        "after the latest start",
        Kind.START_LATE,
        offer(),
        plan(1, 1, 1, start=NOON + 4 * QUARTER),
        plan(1, 1, 1, start=NOON + 5 * QUARTER),
        "Schedule/start",
        900.0,
    ),
    Case(
        "before now, time flexibility implicit",
        Kind.START_EARLY,
        offer(start_before_duration_s=3600),
        plan(1, 1, 1, start=NOON - 8 * QUARTER),
        plan(1, 1, 1, start=NOON - 9 * QUARTER),
        "Schedule/start",
        900.0,
    ),
    Case(
        "later than the duration from now",
        Kind.START_LATE,
        offer(start_before_duration_s=3600),
        plan(1, 1, 1, start=NOON - 4 * QUARTER),
        plan(1, 1, 1, start=NOON - 3 * QUARTER),
        "Schedule/start",
        900.0,
    ),
    Case(
        "between two edges of the grid",
        Kind.OFF_GRID,
        offer(),
        plan(1, 1, 1, start=NOON + QUARTER),
        plan(1, 1, 1, start=NOON + QUARTER + timedelta(seconds=1)),
        "Schedule/start",
        1.0,
    ),
    Case(
        "ends too early",
        Kind.END_EARLY,
        offer(end_after=NOON + 4 * QUARTER),
        plan(1, 1, 1, start=NOON + QUARTER),
        plan(1, 1, 1, start=NOON),
        "Schedule/slices",
        900.0,
    ),
    Case(
        "ends too late",
        Kind.END_LATE,
        offer(end_before=NOON + 4 * QUARTER),
        plan(1, 1, 1, start=NOON + QUARTER),
        plan(1, 1, 1, start=NOON + 2 * QUARTER),
        "Schedule/slices",
        900.0,
    ),
    Case("a slice missing", Kind.SLICE_COUNT, offer(), plan(1, 1, 1), plan(1, 1), "Schedule/slices", 1.0),
    Case("a slice too many", Kind.SLICE_COUNT, offer(), plan(1, 1, 1), plan(1, 1, 1, 1), "Schedule/slices", 1.0),
    Case(
        "a slice too short",
        Kind.DURATION,
        offer(Slice(energy_kwh=(EnergyRange(0.0, 2.0),), min_duration=2, max_duration=4)),
        plan(1, durations=(2,)),
        plan(1, durations=(1,)),
        "Schedule/slices[0]/duration",
        1.0,
    ),
    Case(
        "a slice too long",
        Kind.DURATION,
        offer(Slice(energy_kwh=(EnergyRange(0.0, 2.0),), min_duration=2, max_duration=4)),
        plan(1, durations=(4,)),
        plan(1, durations=(6,)),
        "Schedule/slices[0]/duration",
        2.0,
    ),
    Case("too much", Kind.ENERGY, offer(), plan(0, 0, 2), plan(0, 0, 2.5), "Schedule/slices[2]/energy_kwh", 0.5),
    Case("too little", Kind.ENERGY, offer(), plan(0, 0, 2), plan(0, -0.5, 2), "Schedule/slices[1]/energy_kwh", 0.5),
    Case(
        "between two ranges",
        Kind.ENERGY,
        offer(Slice(energy_kwh=(EnergyRange(0.0, 1.0), EnergyRange(3.0, 4.0)))),
        plan(3.5),
        plan(2.75),
        "Schedule/slices[0]/energy_kwh",
        0.25,
    ),
    Case(
        "none of the amounts",
        Kind.AMOUNT,
        offer(Slice(amounts_kwh=(0.0, 1.5, 3.0))),
        plan(1.5),
        plan(1.25),
        "Schedule/slices[0]/energy_kwh",
        0.25,
    ),
    Case(
        "too much in total",
        Kind.TOTAL,
        offer(total_energy_kwh=EnergyRange(2.0, 3.0)),
        plan(1, 1, 1),
        plan(1, 1, 1.5),
        "Schedule/slices",
        0.5,
    ),
    Case(
        "too little in total",
        Kind.TOTAL,
        offer(total_energy_kwh=EnergyRange(2.0, 3.0)),
        plan(1, 1, 0),
        plan(1, 0, 0),
        "Schedule/slices",
        1.0,
    ),
    Case(
        "the reservoir overflows on the way, though not at the end",
        Kind.SUBTOTAL,
        offer(
            *(Slice(energy_kwh=(EnergyRange(-2.0, 2.0),)),) * 3,
            subtotal_energy_kwh=EnergyRange(-1.0, 2.0),
        ),
        plan(1, 1, -1),
        plan(2, 1, -2),
        "Schedule/slices[1]/energy_kwh",
        1.0,
    ),
    Case(
        "the reservoir runs dry on the way",
        Kind.SUBTOTAL,
        offer(
            *(Slice(energy_kwh=(EnergyRange(-2.0, 2.0),)),) * 3,
            subtotal_energy_kwh=EnergyRange(-1.0, 2.0),
        ),
        plan(-1, 1, -1),
        plan(-2, 1, 1),
        "Schedule/slices[0]/energy_kwh",
        1.0,
    ),
    Case(
        "a slice depends on what was used before it",
        Kind.POLYGON,
        offer(UP_TO_TWO, Slice(energy_kwh=(EnergyRange(0.0, 2.0),), polygon=(HalfPlane(1.0, 1.0, 2.0),))),
        plan(1, 1),
        plan(1.5, 1),
        "Schedule/slices[1]/energy_kwh",
        0.5,
    ),
    Case(
        "joint bounds",
        Kind.POLYTOPE,
        offer(polytope=Polytope(a=((1.0, 0.0, -1.0), (0.0, 1.0, 1.0)), b_kwh=(0.5, 3.0))),
        plan(1, 1, 0.5),
        plan(1, 1, 0.25),
        "Schedule/slices",
        0.25,
    ),
    Case(
        "too unlikely",
        Kind.PROBABILITY,
        offer(
            Slice(
                energy_kwh=(EnergyRange(0.0, 2.0),),
                uncertainty=Uncertainty(energies_kwh=(0.0, 1.0, 2.0), probabilities=(1.0, 1.0, 0.0), threshold=0.5),
            )
        ),
        plan(1.5),
        plan(1.75),
        "Schedule/slices[0]/energy_kwh",
        0.25,
    ),
    Case(
        "payback before the intervention is short",
        Kind.TWO_MODE,
        offer(profiles=(TWO_MODE,)),
        plan(-0.5, -0.5, 1, 1, -0.5),
        plan(-0.5, -0.25, 1, 1, -0.5),
        "Schedule/slices[1]/energy_kwh",
        0.25,
    ),
    Case(
        "payback after the intervention is missing",
        Kind.TWO_MODE,
        offer(profiles=(TWO_MODE,)),
        plan(-1, 1, 1, -0.5, durations=(2, 1, 1, 1)),
        plan(-1, 1, 1, 0, durations=(2, 1, 1, 1)),
        "Schedule/slices[3]/energy_kwh",
        0.5,
    ),
    Case(
        "payback slices straddle the intervention",
        Kind.TWO_MODE,
        offer(profiles=(TWO_MODE,)),
        plan(-1, 1, 1, -0.5, durations=(2, 1, 1, 1)),
        plan(-1, 1, 1, -0.5, durations=(3, 1, 1, 1)),
        "Schedule/slices",
    ),
    Case("dearer than allowed", Kind.COST, PRICED, plan(1, 1, 2), plan(1, 1.5, 2), "Schedule/slices", 0.15),
    Case("cheaper than allowed", Kind.COST, PRICED, plan(1, 0.5, 0.5), plan(0.5, 0.5, 0.5), "Schedule/slices", 0.05),
    Case(
        "a shift costs by what changes in time",
        Kind.COST,
        PRICED,  # one slot later: 1 kWh less in the first slot (-0.1 EUR), 1 kWh more in the fourth (0.3 EUR)
        plan(1, 1, 1, start=NOON + QUARTER),
        plan(1, 1, 1, start=NOON + 2 * QUARTER),
        "Schedule/slices",
        0.1,
    ),
    Case(
        "energies that add up beyond all numbers",
        Kind.NON_FINITE,
        offer(ANY, ANY),
        plan(1e308, -1e308),
        plan(1e308, 1e308),
        "Schedule/slices",
        1.7976931348623157e308,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_schedule_breaks_just_the_bound_its_twin_keeps(case: Case) -> None:
    assert violations(case.offer, case.good) == []
    (found,) = violations(case.offer, case.bad)
    assert (found.kind, found.path) == (case.kind, case.path)
    assert found.excess == pytest.approx(case.excess)
    assert found.message
    assert found.clause
    assert str(found) == f"{case.path}: {found.message} [{found.clause}]"


def test_a_withdrawn_offer_allows_no_schedule() -> None:
    withdrawn = offer(profiles=())
    (found,) = violations(withdrawn, plan(1, 1, 1))
    assert (found.kind, found.path) == (Kind.WITHDRAWN, "FlexOffer/profiles")


def test_every_kind_has_a_case() -> None:
    assert {case.kind for case in CASES} | {Kind.WITHDRAWN} == set(Kind)


def test_now_moves_the_implicit_window() -> None:
    implicit = offer(start_before_duration_s=1800)
    schedule = plan(1, 1, 1, start=NOON)
    assert [v.kind for v in violations(implicit, schedule)] == [Kind.START_LATE]
    assert violations(implicit, schedule, now=NOON - QUARTER) == []
    assert [v.kind for v in violations(implicit, schedule, now=NOON + QUARTER)] == [Kind.START_EARLY]


def test_a_schedule_without_a_profile_is_judged_by_the_one_it_breaks_least_of() -> None:
    far = Profile(slices=(Slice(energy_kwh=(EnergyRange(8.0, 9.0),)),) * 2)
    near = Profile(slices=(Slice(energy_kwh=(EnergyRange(3.0, 4.0),)), UP_TO_TWO))
    xor = offer(profiles=(far, near))
    assert violations(xor, plan(3, 1, profile=None)) == []
    (found,) = violations(xor, plan(2, 1, profile=None))
    assert (found.kind, found.profile) == (Kind.ENERGY, 1)
    assert len(violations(xor, plan(2, 1, profile=0))) == 2


def test_everything_broken_is_reported() -> None:
    strict = offer(total_energy_kwh=EnergyRange(0.0, 3.0), end_before=NOON + 4 * QUARTER)
    late = plan(3, 2.5, 0, start=NOON + 5 * QUARTER + timedelta(minutes=1))
    kinds = [v.kind for v in violations(strict, late)]
    assert kinds == [Kind.START_LATE, Kind.OFF_GRID, Kind.END_LATE, Kind.ENERGY, Kind.ENERGY, Kind.TOTAL]


def test_the_tolerance_is_an_argument() -> None:
    schedule = plan(0, 0, 2.01)
    assert violations(offer(), schedule, tolerance_kwh=0.02) == []
    assert [v.kind for v in violations(offer(), schedule)] == [Kind.ENERGY]
    assert violations(offer(), plan(0, 0, 2 + 1e-9)) == []
    assert violations(offer(), plan(0, 0, 2 + 1e-9), tolerance_kwh=0.0) != []


def test_rows_of_any_scale_are_judged_alike() -> None:
    for scale in (1e-6, 1.0, 1e6):
        rows = Polytope(a=((scale, scale, scale),), b_kwh=(3.0 * scale,))
        assert violations(offer(polytope=rows), plan(1, 1, 1 + 1e-9)) == []
        assert [v.kind for v in violations(offer(polytope=rows), plan(1, 1, 1.001))] == [Kind.POLYTOPE]


def test_not_a_number_is_never_within_bounds() -> None:
    """The types refuse NaN; should one get past them, no comparison may let it through."""
    schedule = plan(1, 1, 1)
    msgspec.structs.force_setattr(schedule.slices[1], "energy_kwh", float("nan"))
    kinds = [v.kind for v in violations(offer(total_energy_kwh=EnergyRange(0.0, 9.0)), schedule)]
    assert kinds == [Kind.ENERGY, Kind.NON_FINITE]


def test_a_two_mode_schedule_may_leave_the_intervention_out() -> None:
    default = plan(0.2, 0.2, 0.2)
    two_mode = offer(profiles=(TWO_MODE,), default_schedule=default)
    assert violations(two_mode, default) == []
    assert violations(two_mode, plan(0, 0)) == []
    assert [v.kind for v in violations(two_mode, plan(0.2, 0.2, 0.1))] == [Kind.TWO_MODE]


def test_what_holds_for_the_profile_holds_inside_the_payback() -> None:
    schedule = plan(-1.5, 3, 1, -1, durations=(2, 1, 1, 1))
    kinds = {v.kind: v.path for v in violations(offer(profiles=(TWO_MODE,)), schedule)}
    assert kinds[Kind.ENERGY] == "Schedule/slices[1]/energy_kwh"


def test_cost_without_any_price_is_that_of_the_prices_agreed() -> None:
    agreed = tuple(ScheduleSlice(energy_kwh=1.0, price_eur_per_kwh=p) for p in (0.1, 0.2, 0.3))
    schedule = Schedule(start=NOON, slices=agreed)
    assert violations(offer(total_cost_eur=CostRange(0.5, 0.6)), schedule) == []
    (found,) = violations(offer(total_cost_eur=CostRange(0.0, 0.5)), schedule)
    assert found.kind is Kind.COST
    assert found.excess == pytest.approx(0.1)


def test_a_price_of_a_slice_goes_before_that_of_the_offer() -> None:
    dear = Slice(energy_kwh=(EnergyRange(0.0, 2.0),), price=Price(slopes_eur_per_kwh=(1.0,)))
    priced = offer(UP_TO_TWO, dear, price=Price(slopes_eur_per_kwh=(0.1,)), total_cost_eur=CostRange(0.0, 1.0))
    assert violations(priced, plan(2, 0.5)) == []
    (found,) = violations(priced, plan(0, 1.5))
    assert (found.kind, round(found.excess, 9)) == (Kind.COST, 0.5)


def test_violations_read_as_sentences() -> None:
    assert [str(v) for v in violations(offer(), plan(0, 0, 2.5))] == [
        "Schedule/slices[2]/energy_kwh: 2.5 is outside 0..2 kWh [V1 energyConstraintList]"
    ]
    assert msgspec.json.decode(
        msgspec.json.encode(violations(offer(), plan(0, 0, 2.5))[0]), type=Violation
    ).excess == pytest.approx(0.5)


@given(witnessed())
def test_offers_of_every_kind_accept_a_schedule_they_were_built_around(drawn: Witnessed) -> None:
    assert violations(drawn.offer, drawn.schedule, now=drawn.now) == []
    unnamed = msgspec.structs.replace(drawn.schedule, profile=None)
    assert violations(drawn.offer, unnamed, now=drawn.now) == []
