"""Every field of a flex-offer is validated: each refused document stands beside its accepted twin."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexhub.core import documents
from flexhub.core.errors import InvalidError
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
from flexhub.core.price import Price
from tests.core.reject import REMOVE, Reject, changed, check
from tests.core.test_judge import NOON, QUARTER, UP_TO_TWO, offer
from tests.strategies import flex_offers

RANGE = {"lo_kwh": 0.0, "hi_kwh": 2.0}
EXPLICIT: dict[str, Any] = {
    "id": "o-1",
    "issuer": "p",
    "created": "2026-03-29T08:00:00Z",
    "accept_before": "2026-03-29T09:00:00Z",
    "assign_before": "2026-03-29T10:00:00Z",
    "start_after": "2026-03-29T12:00:00Z",
    "start_before": "2026-03-29T13:00:00Z",
    "end_after": "2026-03-29T12:30:00Z",
    "end_before": "2026-03-29T13:15:00Z",
    "profiles": [
        {
            "slices": [{"energy_kwh": [RANGE]}, {"energy_kwh": [RANGE, {"lo_kwh": 3.0, "hi_kwh": 4.0}]}],
            "total_energy_kwh": {"lo_kwh": 1.0, "hi_kwh": 3.0},
            "subtotal_energy_kwh": {"lo_kwh": 0.0, "hi_kwh": 4.0},
            "polytope": {"a": [[1.0, -1.0]], "b_kwh": [1.0]},
            "two_mode": {"prior_time_s": 900, "prior_portion": 0.5, "after_time_s": 0, "after_portion": 0.0},
        },
        {
            "slices": [
                {
                    "amounts_kwh": [0.0, 1.0],
                    "min_duration": 1,
                    "max_duration": 2,
                    "polygon": [{"a": 1.0, "b": 0.0, "c_kwh": 3.0}],
                    "uncertainty": {"energies_kwh": [0.0, 1.0], "probabilities": [1.0, 0.5], "threshold": 0.5},
                    "price": {"slopes_eur_per_kwh": [0.1, 0.3], "knots_kwh": [0.0]},
                }
            ]
        },
    ],
    "price": {"slopes_eur_per_kwh": [0.1, 0.2, 0.3], "knots_kwh": [-1.0, 1.0]},
    "total_cost_eur": {"lo_eur": -1.0, "hi_eur": 5.0},
    "default_schedule": {
        "start": "2026-03-29T12:00:00Z",
        "profile": 0,
        "slices": [{"energy_kwh": 1.0, "duration": 1, "price_eur_per_kwh": 0.2}],
    },
    "extras": {"vendor": {"any": [1, "thing"]}},
}
IMPLICIT = {
    "id": "o-1",
    "issuer": "p",
    "created": "2026-03-29T08:00:00Z",
    "assign_before_start_s": 600,
    "start_before_duration_s": 3600,
    "end_before": "2026-03-29T08:30:00Z",
    "profiles": [{"slices": [{"energy_kwh": [RANGE]}, {"energy_kwh": [RANGE]}]}],
}
FIRST: tuple[str | int, ...] = ("profiles", 0)
SECOND: tuple[str | int, ...] = ("profiles", 1, "slices", 0)
P0, P1 = "FlexOffer/profiles[0]", "FlexOffer/profiles[1]/slices[0]"


def explicit(name: str, at: tuple[str | int, ...], bad: Any, path: str, clause: str = "") -> Reject:
    return Reject(name, FlexOffer, EXPLICIT, at, bad, path, clause)


def implicit(name: str, at: tuple[str | int, ...], bad: Any, path: str, clause: str = "") -> Reject:
    return Reject(name, FlexOffer, IMPLICIT, at, bad, path, clause)


REJECTS = [
    explicit("no id", ("id",), REMOVE, "FlexOffer"),
    explicit("an empty id", ("id",), "", "FlexOffer/id"),
    explicit("an id with a space", ("id",), "o 1", "FlexOffer/id"),
    explicit("an id with a slash", ("id",), "o/1", "FlexOffer/id"),
    explicit("an id that ends in a newline", ("id",), "o-1\n", "FlexOffer/id"),
    explicit("an id of 129 characters", ("id",), "o" * 129, "FlexOffer/id"),
    explicit("an id that is a number", ("id",), 1, "FlexOffer/id"),
    explicit("no issuer", ("issuer",), REMOVE, "FlexOffer"),
    explicit("an unknown field", ("colour",), "red", "FlexOffer"),
    explicit("an unknown state", ("state",), "happy", "FlexOffer/state"),
    explicit("an unknown quantity", ("quantity",), "heat", "FlexOffer/quantity"),
    explicit("a label without end", ("label",), "x" * 1001, "FlexOffer/label"),
    explicit("an instant without a zone", ("created",), "2026-03-29T08:00:00", "FlexOffer/created"),
    explicit("a year before all clocks", ("created",), "1969-12-31T23:59:59Z", "FlexOffer/created"),
    explicit("the first year", ("created",), "0001-01-01T00:00:00+14:00", "FlexOffer/created"),
    explicit("the last year", ("end_before",), "9999-12-31T23:59:59-14:00", "FlexOffer/end_before"),
    explicit("starts over more than a year", ("start_before",), "2027-03-31T12:00:00Z", "FlexOffer/start_before"),
    explicit(
        "more slots than a year of quarter-hours",
        ("profiles", 1, "slices"),
        [{"energy_kwh": [RANGE]}, {"energy_kwh": [RANGE], "max_duration": 35_136}],
        "FlexOffer/profiles[1]/slices",
    ),
    explicit("a date that is none", ("created",), "2026-02-30T08:00:00Z", "FlexOffer/created"),
    explicit(
        "accepted before it was created",
        ("accept_before",),
        "2026-03-29T07:00:00Z",
        "FlexOffer/accept_before",
        "V1 acceptBeforeTime",
    ),
    explicit(
        "assigned before it is accepted",
        ("assign_before",),
        "2026-03-29T08:30:00Z",
        "FlexOffer/assign_before",
        "V1 assignmentBeforeTime",
    ),
    explicit(
        "two deadlines of assignment",
        ("assign_before_start_s",),
        60,
        "FlexOffer/assign_before_start_s",
        "V1 assignmentBeforeTime",
    ),
    implicit("a negative time", ("assign_before_start_s",), -1, "FlexOffer/assign_before_start_s"),
    explicit("no earliest start", ("start_after",), REMOVE, "FlexOffer/start_after", "V1 startBeforeTime"),
    explicit("no latest start", ("start_before",), REMOVE, "FlexOffer/start_before", "V1 startBeforeTime"),
    explicit(
        "the latest start before the earliest",
        ("start_before",),
        "2026-03-29T11:45:00Z",
        "FlexOffer/start_before",
        "V1 startBeforeTime",
    ),
    explicit(
        "no slot in the start window",
        ("start_after",),
        "2026-03-29T12:50:00Z",
        "FlexOffer/start_before",
        "V1 startBeforeTime",
    )._replace(good=changed(EXPLICIT, ("start_before",), "2026-03-29T12:55:00Z")),
    implicit(
        "explicit and implicit at once",
        ("start_after",),
        "2026-03-29T12:00:00Z",
        "FlexOffer/start_before_duration_s",
        "GOFLEX startBeforeDuration",
    ),
    implicit(
        "no time flexibility", ("start_before_duration_s",), REMOVE, "FlexOffer/start_after", "V1 startBeforeTime"
    ),
    explicit(
        "ends the wrong way round", ("end_after",), "2026-03-29T13:30:00Z", "FlexOffer/end_after", "V1 endAfterTime"
    ),
    explicit(
        "an end that no start reaches in time",
        ("end_before",),
        "2026-03-29T12:10:00Z",
        "FlexOffer/end_before",
        "V1 endBeforeTime",
    )._replace(good=changed(EXPLICIT, ("end_after",), "2026-03-29T12:05:00Z")),
    explicit(
        "an end that no start is late enough for",
        ("end_after",),
        "2026-03-29T14:00:00Z",
        "FlexOffer/end_after",
        "V1 endAfterTime",
    )._replace(good=changed(EXPLICIT, ("end_before",), "2026-03-29T18:00:00Z")),
    implicit(
        "an end before the first start that can be",
        ("end_before",),
        "2026-03-29T08:15:00Z",
        "FlexOffer/end_before",
        "V1 endBeforeTime",
    ),
    explicit("a slot of no length", ("resolution_s",), 0, "FlexOffer/resolution_s"),
    explicit("a profile without slices", (*FIRST, "slices"), [], f"{P0}/slices"),
    explicit("a slice without a bound", (*FIRST, "slices", 0), {}, f"{P0}/slices[0]", "V1 energyConstraintList"),
    explicit(
        "lo above hi",
        (*FIRST, "slices", 1, "energy_kwh", 0, "lo_kwh"),
        2.5,
        f"{P0}/slices[1]/energy_kwh[0]",
        "V1 energyConstraint",
    ),
    explicit(
        "an energy that is text",
        (*FIRST, "slices", 1, "energy_kwh", 0, "lo_kwh"),
        "0",
        f"{P0}/slices[1]/energy_kwh[0]/lo_kwh",
    ),
    explicit("no hi", (*FIRST, "slices", 0, "energy_kwh", 0, "hi_kwh"), REMOVE, f"{P0}/slices[0]/energy_kwh[0]"),
    explicit("ranges beside amounts", (*SECOND, "energy_kwh"), [RANGE], f"{P1}/amounts_kwh"),
    explicit("a duration of no slot", (*SECOND, "min_duration"), 0, f"{P1}/min_duration"),
    explicit("min over max duration", (*SECOND, "min_duration"), 3, P1, "V1 minDuration, maxDuration"),
    explicit("a row that bounds nothing", (*SECOND, "polygon", 0, "a"), 0.0, f"{P1}/polygon[0]", "DFO"),
    explicit(
        "a polygon of 65 rows",
        (*SECOND, "polygon"),
        [{"a": 1.0, "b": 0.0, "c_kwh": 3.0}] * 65,
        f"{P1}/polygon",
    ),
    explicit(
        "probabilities that do not match",
        (*SECOND, "uncertainty", "probabilities"),
        [1.0],
        f"{P1}/uncertainty/probabilities",
    ),
    explicit(
        "energies that fall", (*SECOND, "uncertainty", "energies_kwh"), [1.0, 0.0], f"{P1}/uncertainty/energies_kwh"
    ),
    explicit(
        "a probability over one",
        (*SECOND, "uncertainty", "probabilities", 0),
        1.5,
        f"{P1}/uncertainty/probabilities[0]",
    ),
    explicit("a threshold under zero", (*SECOND, "uncertainty", "threshold"), -0.1, f"{P1}/uncertainty/threshold"),
    explicit(
        "prices that are not convex",
        (*SECOND, "price", "slopes_eur_per_kwh"),
        [0.3, 0.1],
        f"{P1}/price/slopes_eur_per_kwh",
    ),
    explicit("knots that do not rise", ("price", "knots_kwh"), [1.0, 1.0], "FlexOffer/price/knots_kwh"),
    explicit("a knot missing", ("price", "knots_kwh"), [1.0], "FlexOffer/price/knots_kwh"),
    explicit(
        "a total over what the slices allow",
        (*FIRST, "total_energy_kwh"),
        {"lo_kwh": 7.0, "hi_kwh": 8.0},
        f"{P0}/total_energy_kwh",
        "V1 totalEnergyConstraint",
    ),
    explicit(
        "a total under what the slices allow",
        (*FIRST, "total_energy_kwh"),
        {"lo_kwh": -2.0, "hi_kwh": -1.0},
        f"{P0}/total_energy_kwh",
        "V1 totalEnergyConstraint",
    ),
    explicit(
        "a reservoir too small for the slices",
        (*FIRST, "subtotal_energy_kwh"),
        {"lo_kwh": -2.0, "hi_kwh": -1.0},
        f"{P0}/slices[0]",
        "V1 subTotalEnergyConstraint",
    ),
    explicit("a polytope of another width", (*FIRST, "polytope", "a"), [[1.0]], f"{P0}/polytope/a"),
    explicit("a polytope without rows", (*FIRST, "polytope"), {"a": [], "b_kwh": []}, f"{P0}/polytope/b_kwh"),
    explicit("a row without its bound", (*FIRST, "polytope", "b_kwh"), [], f"{P0}/polytope/b_kwh"),
    explicit("ragged rows", (*FIRST, "polytope"), {"a": [[1.0, 1.0], [1.0]], "b_kwh": [1.0, 1.0]}, f"{P0}/polytope/a"),
    explicit(
        "a portion without its time",
        (*FIRST, "two_mode", "after_portion"),
        0.5,
        f"{P0}/two_mode/after_time_s",
        "GOFLEX two-mode operation",
    ),
    explicit("a negative portion", (*FIRST, "two_mode", "prior_portion"), -0.5, f"{P0}/two_mode/prior_portion"),
    explicit(
        "a cost range the wrong way round",
        ("total_cost_eur", "lo_eur"),
        6.0,
        "FlexOffer/total_cost_eur",
        "V1 totalCostConstraint",
    ),
    explicit("a default without slices", ("default_schedule", "slices"), [], "FlexOffer/default_schedule/slices"),
    explicit(
        "a default off the grid",
        ("default_schedule", "start"),
        "2026-03-29T12:00:01Z",
        "FlexOffer/default_schedule/start",
        "V1 numSecondsPerInterval",
    ),
    explicit("a default of no profile", ("default_schedule", "profile"), 2, "FlexOffer/default_schedule/profile"),
    explicit(
        "a slice of no duration",
        ("default_schedule", "slices", 0, "duration"),
        0,
        "FlexOffer/default_schedule/slices[0]/duration",
    ),
    explicit("extras that are a list", ("extras",), [], "FlexOffer/extras"),
]


@pytest.mark.parametrize("case", REJECTS, ids=lambda case: case.name)
def test_a_document_is_refused_for_one_field_and_its_twin_is_not(case: Reject) -> None:
    check(case)


NAN, INF = float("nan"), math.inf
NOT_FINITE: dict[str, tuple[Any, Any]] = {
    # JSON has no such numbers, Python has: what is built, with a good and with a bad number
    "energy range": (lambda x: EnergyRange(-1.0, x), 1.0),
    "cost range": (lambda x: CostRange(-1.0, x), 1.0),
    "half-plane": (lambda x: HalfPlane(x, 1.0, 1.0), 1.0),
    "amount": (lambda x: Slice(amounts_kwh=(x,)), 1.0),
    "uncertainty": (lambda x: Uncertainty(energies_kwh=(0.0, x), probabilities=(0.0, 1.0), threshold=1.0), 1.0),
    "polytope coefficient": (lambda x: Polytope(a=((x,),), b_kwh=(1.0,)), 1.0),
    "polytope bound": (lambda x: Polytope(a=((1.0,),), b_kwh=(x,)), 1.0),
    "portion": (lambda x: TwoMode(prior_time_s=900, prior_portion=x), 1.0),
    "price": (lambda x: Price(slopes_eur_per_kwh=(x,)), 1.0),
    "knot": (lambda x: Price(slopes_eur_per_kwh=(0.1, 0.2), knots_kwh=(x,)), 1.0),
    "scheduled energy": (lambda x: ScheduleSlice(energy_kwh=x), 1.0),
    "agreed price": (lambda x: ScheduleSlice(energy_kwh=1.0, price_eur_per_kwh=x), 1.0),
}


@pytest.mark.parametrize("bad", [NAN, INF, -INF], ids=str)
@pytest.mark.parametrize("name", NOT_FINITE)
def test_only_finite_numbers_are_taken(name: str, bad: float) -> None:
    build, good = NOT_FINITE[name]
    build(good)
    with pytest.raises(InvalidError):
        build(bad)


def test_a_range_as_wide_as_the_numbers_is_one() -> None:
    assert EnergyRange(-1.7e308, 1.7e308).hi_kwh == 1.7e308


def test_instants_are_held_in_utc() -> None:
    paris = timezone(timedelta(hours=2))
    shifted = msgspec.structs.replace(offer(), start_after=NOON.astimezone(paris))
    assert shifted == offer()
    assert shifted.start_after is not None
    assert shifted.start_after.tzinfo is UTC
    with pytest.raises(InvalidError, match="time zone"):
        Schedule(start=datetime(2026, 3, 29, 12), slices=(ScheduleSlice(energy_kwh=1.0),))  # noqa: DTZ001 - that is it


@given(flex_offers())
def test_offers_survive_json(drawn: FlexOffer) -> None:
    assert documents.decode(FlexOffer, documents.encode(drawn)) == drawn


def test_extras_are_written_back() -> None:
    read = documents.decode(FlexOffer, msgspec.json.encode(EXPLICIT))
    assert msgspec.json.decode(documents.encode(read))["extras"] == EXPLICIT["extras"]


def test_an_offer_is_assigned_until_its_deadline() -> None:
    base = offer()
    assert base.assign_deadline(NOON) == base.start_after
    assert offer(assign_before=NOON + QUARTER).assign_deadline(NOON) == NOON + QUARTER
    assert offer(assign_before_start_s=600).assign_deadline(NOON) == NOON + 4 * QUARTER - timedelta(seconds=600)
    assert offer(start_before_duration_s=1800).assign_deadline(NOON) == NOON + 2 * QUARTER


def test_an_implicit_window_opens_now() -> None:
    assert offer(start_before_duration_s=1800).window(NOON) == (NOON, NOON + 2 * QUARTER)
    assert offer().window(NOON - QUARTER) == (NOON, NOON + 4 * QUARTER)


def test_no_profiles_is_withdrawn() -> None:
    assert offer(profiles=()).withdrawn
    assert not offer().withdrawn


def test_spans_and_lengths() -> None:
    two = Slice(energy_kwh=(EnergyRange(0.0, 1.0), EnergyRange(-3.0, -2.0)), min_duration=1, max_duration=3)
    listed = Slice(amounts_kwh=(4.0, -1.0), min_duration=2, max_duration=2)
    assert (two.span_kwh(), listed.span_kwh(), UP_TO_TWO.span_kwh()) == ((-3.0, 1.0), (-1.0, 4.0), (0.0, 2.0))
    assert Slice(polygon=(HalfPlane(0.0, 1.0, 1.0),)).span_kwh() == (-INF, INF)
    profile = Profile(slices=(two, listed), two_mode=TwoMode(prior_time_s=901, after_time_s=900))
    assert profile.duration_slots() == (3, 5)
    assert profile.span_slots(900) == (6, 8)


def test_a_schedule_adds_up() -> None:
    schedule = Schedule(
        start=NOON, slices=(ScheduleSlice(energy_kwh=3.0, duration=2), ScheduleSlice(energy_kwh=-1.0, duration=1))
    )
    assert (schedule.energy_kwh(), schedule.slots(), schedule.per_slot_kwh()) == (2.0, 3, [1.5, 1.5, -1.0])


def test_uncertainty_is_linear_between_its_points_and_zero_outside() -> None:
    ufo = Uncertainty(energies_kwh=(0.0, 1.0, 3.0, 4.0), probabilities=(0.0, 1.0, 1.0, 0.0), threshold=0.5)
    assert [ufo.probability(e) for e in (-0.1, 0.0, 0.25, 2.0, 3.75, 4.0, 4.1)] == [0, 0, 0.25, 1, 0.25, 0, 0]
    assert ufo.likely_kwh() == [(0.5, 3.5)]
    dip = Uncertainty(energies_kwh=(0.0, 1.0, 2.0), probabilities=(1.0, 0.0, 1.0), threshold=0.5)
    assert dip.likely_kwh() == [(0.0, 0.5), (1.5, 2.0)]
    peak = Uncertainty(energies_kwh=(0.0, 1.0, 2.0), probabilities=(0.0, 0.5, 0.0), threshold=0.5)
    assert {lo for lo, hi in peak.likely_kwh()} == {hi for lo, hi in peak.likely_kwh()} == {1.0}
    never = Uncertainty(energies_kwh=(0.0, 1.0), probabilities=(0.1, 0.4), threshold=0.5)
    assert never.likely_kwh() == []


@given(st.floats(-1, 5))
def test_likely_energies_are_those_that_reach_the_threshold(energy: float) -> None:
    ufo = Uncertainty(energies_kwh=(0.0, 1.0, 3.0, 4.0), probabilities=(0.25, 0.75, 0.25, 1.0), threshold=0.5)
    inside = any(lo <= energy <= hi for lo, hi in ufo.likely_kwh())
    assert inside == (ufo.probability(energy) >= 0.5) or math.isclose(ufo.probability(energy), 0.5)
