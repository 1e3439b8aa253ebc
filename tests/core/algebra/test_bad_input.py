"""Input that is odd or wrong: a clear error that names the offer, or the right result, each beside its twin."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import date, timedelta

import msgspec
import numpy as np
import pytest

from flexhub.core.algebra.aggregator import Aggregator
from flexhub.core.algebra.coupling import couple
from flexhub.core.algebra.gathering import Gathered, gather, stand
from flexhub.core.algebra.members import Members
from flexhub.core.algebra.polygons import Polygons
from flexhub.core.algebra.scheduling import cheapest
from flexhub.core.algebra.storage import Storage
from flexhub.core.batch import FlexOfferBatch
from flexhub.core.errors import InvalidError
from flexhub.core.flexoffer import EnergyRange, FlexOffer, HalfPlane, Profile, Slice
from flexhub.core.judge import violations
from flexhub.core.timegrid import TimeGrid
from tests.core.algebra.columns import T0, at

HALF = Slice(energy_kwh=(EnergyRange(0, 1),))


def car(name: str = "car", total: float = 1.0, **more: object) -> FlexOffer:
    """Three slots of 0..1 kWh with a total."""
    fields: dict[str, object] = {
        "start_after": at(0),
        "start_before": at(0),
        "profiles": (Profile(slices=(HALF,) * 3, total_energy_kwh=EnergyRange(total, total)),),
    }
    return FlexOffer(id=name, issuer="p", created=T0, **(fields | more))  # type: ignore[arg-type]  # fields by name


def batch(*offers: FlexOffer) -> FlexOfferBatch:
    return FlexOfferBatch.from_offers(offers, T0)


def dependent(limit: float) -> FlexOffer:
    """The last slice has nothing left where the limit is under 0."""
    last = msgspec.structs.replace(HALF, polygon=(HalfPlane(1, 1, limit),))
    return car("dfo", profiles=(Profile(slices=(HALF, last)),))


def spoiled(name: str) -> FlexOfferBatch:
    """Columns of two offers; one bound of the second is no number."""
    good = batch(car("one"), car("two"))
    column = getattr(good, name).copy()
    column[-1] = np.nan
    return dataclasses.replace(good, **{name: column})


def members(of: FlexOfferBatch) -> Members:
    return Members(batch=of, anchor=of.first_start, default_kwh=None, given={})


CASES: dict[str, tuple[Callable[[], object], Callable[[], object], str]] = {
    "no numbers in slots of slices": (
        lambda: Aggregator({}).put(members(spoiled("lo_kwh"))), lambda: Aggregator({}).put(members(batch(car()))), "two"
    ),
    "no numbers in slots of a storage": (
        lambda: Storage.from_batch(spoiled("hi_kwh")), lambda: Storage.from_batch(batch(car("one"), car("two"))), "two"
    ),
    "no numbers in totals of a storage": (
        lambda: Storage.from_batch(spoiled("total_lo_kwh")), lambda: Storage.from_batch(batch(car("one"))), "two"
    ),
    "no numbers in totals of a polygon": (
        lambda: Polygons.from_batch(spoiled("total_hi_kwh")), lambda: Polygons.from_batch(batch(car("one"))), "two"
    ),
    "no numbers in slots of a polygon": (
        lambda: Polygons.from_batch(spoiled("lo_kwh")), lambda: Polygons.from_batch(batch(car("one"))), "two"
    ),
    "an empty slice of a DFO": (
        lambda: Polygons.from_batch(batch(dependent(-0.1))), lambda: Polygons.from_batch(batch(dependent(0.0))), "dfo"
    ),
    "two resolutions in columns": (
        lambda: batch(car("one"), car("two", resolution_s=1800)), lambda: batch(car("one"), car("two")), "two"
    ),
    "several starts of a storage": (
        lambda: Storage.from_batch(batch(car("one"), car("two", start_before=at(1)))),
        lambda: Storage.from_batch(batch(car("one"), car("two", start_after=at(1), start_before=at(1)))),
        "two",
    ),
    "a start outside of the window": (
        lambda: Storage.from_batch(batch(car()), np.array([0])),
        lambda: Storage.from_batch(batch(car()), batch(car()).first_start),
        "car",
    ),
    "a storage with a polygon of another kind": (
        lambda: Storage.from_batch(batch(car("dfo", profiles=(Profile(slices=(
            msgspec.structs.replace(HALF, polygon=(HalfPlane(1, -1, 1),)),)),)))),
        lambda: Storage.from_batch(batch(dependent(0.5))),
        "dfo",
    ),
    "a group of nobody": (
        lambda: couple(Storage.from_batch(batch())[0]), lambda: couple(Storage.from_batch(batch(car()))[0]), ""
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_is_named_and_its_twin_passes(name: str) -> None:
    bad, twin, culprit = CASES[name]
    twin()
    with pytest.raises(InvalidError) as caught:
        bad()
    assert caught.value.value == culprit
    assert caught.value.message


def test_nothing_comes_to_nothing() -> None:
    assert gather([], T0) == Gathered((), {}, ())
    assert len(Aggregator().aggregates()) == 0
    assert len(Storage.from_batch(batch())[0]) == 0


def test_ranges_of_no_width_are_kept_exactly() -> None:
    fixed = (Slice(energy_kwh=(EnergyRange(0.4, 0.4),)), HALF, Slice(energy_kwh=(EnergyRange(-0.1, -0.1),)))
    still = car("still", profiles=(Profile(slices=(fixed[0], fixed[2]), total_energy_kwh=EnergyRange(0.3, 0.3)),))
    some = car("some", profiles=(Profile(slices=fixed, total_energy_kwh=EnergyRange(0.5, 0.5)),))
    storage, _ = Storage.from_batch(batch(still, some))
    energies = couple(storage).disaggregate(np.array([0.8, 0.1, -0.1]))
    assert energies.T.tolist() == [pytest.approx([0.4, -0.1, 0.0]), pytest.approx([0.4, 0.2, -0.1])]
    alone = couple(storage.take(slice(0, 1)))
    assert cheapest(alone.dfo, np.array([5.0, -5.0, 1.0])).tolist() == pytest.approx([0.4, -0.1, 0.0])
    with pytest.raises(InvalidError, match="polygons"):
        alone.disaggregate(np.array([0.4, 0.0, 0.0]))


@pytest.mark.parametrize(("day", "slots"), [("2026-03-29", 92), ("2026-10-25", 100), ("2026-06-01", 96)])
def test_offers_across_a_clock_change_are_summed_in_the_slots_that_there_are(day: str, slots: int) -> None:
    start, end = TimeGrid(zone="Europe/Amsterdam").day(date.fromisoformat(day))
    whole = car("day", profiles=(Profile(slices=(HALF,) * slots, total_energy_kwh=EnergyRange(10, 10)),),
                start_after=start, start_before=start)  # fmt: skip
    # From two hours after midnight, which is a quarter of an hour before or after the clocks change.
    night = start + timedelta(hours=2, minutes=-15)
    short = car("night", start_after=night, start_before=night)
    (group,) = gather([whole, short], T0).groups
    (standing,) = stand(group, T0, 5)
    wanted = cheapest(standing.coupled.dfo, np.cos(np.arange(float(slots))))
    found = standing.schedules(wanted)
    for offer in (whole, short):
        assert violations(offer, found[offer.id]) == []
    assert found["day"].end(900) == end
    summed = np.array(found["day"].per_slot_kwh())
    summed[7:10] += found["night"].per_slot_kwh()
    assert summed == pytest.approx(wanted, abs=1e-6)
