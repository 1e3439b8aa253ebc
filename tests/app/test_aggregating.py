"""Aggregation on bytes: what `flexhub aggregate` and `disaggregate` do, without the processes."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from flexhub.app.aggregating import aggregate, disaggregate, read_lines, read_offers, tolerances
from flexhub.app.demo.sessions import read_sessions
from flexhub.core.algebra.conversions import Kind
from flexhub.core.algebra.grouping import Dimension
from flexhub.core.algebra.loads import Car
from flexhub.core.algebra.losses import Weather
from flexhub.core.algebra.market import Shape
from flexhub.core.algebra.optimum import Prices, cheapest
from flexhub.core.documents import encode
from flexhub.core.errors import FlexhubError, InvalidError
from flexhub.core.flexoffer import EnergyRange, FlexOffer, Profile, Schedule, ScheduleSlice, Slice
from flexhub.core.judge import violations
from flexhub.engines.slots import Assignment
from tests.conftest import need
from tests.core.algebra.columns import at
from tests.core.algebra.test_optimum import box, with_profile

OFFERS = [
    box("a", 4, 8, [(1, 2), (0, 4)], location="north"),
    box("b", 5, 7, [(0, 2), (1, 1)], location="north"),
    box("c", 4, 8, [(-2, -1)], location="south"),
    with_profile(box("d", 4, 4, [(0, 2)] * 4, location="north"), total_energy_kwh=EnergyRange(3, 3)),
]
BY_LOCATION = {Dimension.LOCATION: 0.0}


def schedule_of(offer: FlexOffer, seed: int = 0) -> Schedule:
    begin = offer.window(offer.created)[0]
    return cheapest(offer, Prices(begin, 900, np.random.default_rng(seed).uniform(-0.1, 0.3, 4000)))


@pytest.mark.parametrize(
    ("kind", "balanced", "shape"),
    [
        (None, False, None),
        (None, True, None),
        (Kind.TIME, False, None),
        (Kind.DFO, False, None),
        (None, False, Shape(block_s=1800)),
        (Kind.SLICE, False, Shape(block_s=1800)),
    ],
)
def test_what_is_aggregated_comes_apart_again(kind: Kind | None, balanced: bool, shape: Shape | None) -> None:
    done = aggregate(OFFERS, "agg", BY_LOCATION, kind=kind, balanced=balanced, shape=shape)
    written = read_lines(b"".join(encode(line) + b"\n" for line in done.lines) + b'{"losses": null}\n')
    assert written == list(done.lines)
    plans = [Assignment(offer=line.offer().id, schedule=schedule_of(line.offer())) for line in written]
    parts = disaggregate(written, OFFERS, plans)
    by_id = {offer.id: offer for offer in OFFERS}
    assert sorted([part.offer for part in parts] + list(done.left)) == sorted(by_id)
    for part in parts:
        assert violations(by_id[part.offer], part.schedule) == []


def test_a_schedule_that_breaks_its_aggregate_is_refused_and_its_twin_is_not() -> None:
    done = aggregate(OFFERS, "agg", BY_LOCATION)
    group = done.lines[0].offer().id

    def plan(name: str, energy: float) -> list[Assignment]:
        pieces = tuple(ScheduleSlice(energy_kwh=e) for e in (energy, 4.0, 1.0))
        return [Assignment(offer=name, schedule=Schedule(start=at(5), slices=pieces))]

    assert [part.offer for part in disaggregate(done.lines, OFFERS, plan(group, 1.5))] == ["a", "b"]
    with pytest.raises(InvalidError, match=r"outside 1\.\.2 kWh") as caught:
        disaggregate(done.lines, OFFERS, plan(group, 9.0))
    assert group in str(caught.value)
    with pytest.raises(InvalidError, match="no aggregate") as caught:
        disaggregate(done.lines, OFFERS, plan("nobody", 1.5))
    assert "nobody" in str(caught.value)
    with pytest.raises(InvalidError, match="not among the offers") as caught:
        disaggregate(done.lines, OFFERS[1:], plan(group, 1.5))
    assert "a" in caught.value.path


def test_dimensions_are_read_with_their_tolerances() -> None:
    assert tolerances([]) is None
    assert tolerances(["start_after=PT1H", "location", "slices=2", "total_energy=5 MWh", "tariff=1 ct/kWh"]) == {
        Dimension.START_AFTER: 3600.0,
        Dimension.LOCATION: 0.0,
        Dimension.SLICES: 2.0,
        Dimension.TOTAL_ENERGY: 5000.0,
        Dimension.TARIFF: 0.01,
    }
    for bad, says in (
        ("colour", "no dimension"),
        ("start_after=soon", "ISO 8601"),
        ("start_after=-PT1H", "no tolerance"),
        ("location=PT1H", "no tolerance"),
        ("slices=-1", "no tolerance"),
        ("total_energy=5 kW", "unit of energy"),
    ):
        with pytest.raises(InvalidError, match=says):
            tolerances([bad])


def test_offers_that_cannot_be_read_are_named_and_their_twins_are_read() -> None:
    good = [encode(offer) for offer in OFFERS]
    flat = msgspec.json.decode(good[1])
    flat["id"] = "e"
    assert len(read_offers(b"\n".join([*good, msgspec.json.encode(flat)]))) == 5
    flat["profiles"][0]["slices"][0]["energy_kwh"][0]["lo_kwh"] = 7
    for data, says in (
        ([*good, msgspec.json.encode(flat)], "FlexOffer[4]/profiles[0]/slices[0]/energy_kwh[0]"),
        ([*good, good[0]], "FlexOffer[a]"),
        ([], "not JSON"),
    ):
        with pytest.raises(FlexhubError) as caught:
            read_offers(b"\n".join(data))
        assert says in str(caught.value)


def test_profiles_of_alternatives_and_withdrawn_offers_stay_alone() -> None:
    several = Profile(slices=(Slice(amounts_kwh=(0.0, 1.0)),))
    odd = msgspec.structs.replace(OFFERS[0], id="odd", profiles=(several,))
    gone = msgspec.structs.replace(OFFERS[0], id="gone", profiles=())
    done = aggregate([OFFERS[0], odd, gone], "agg", BY_LOCATION, seeds={Weather.NOISY: 1})
    assert len(done.lines) == 3
    assert done.losses is not None
    assert done.losses.unpriced == ("gone",)
    assert aggregate([], "agg", BY_LOCATION, seeds={Weather.NOISY: 1}).losses is None


@pytest.mark.parametrize(("kind", "couple"), [(Kind.TIME, None), (None, 20)])
def test_a_month_of_real_sessions_is_aggregated_with_its_losses_and_comes_apart(
    shared: Path, kind: Kind | None, couple: int | None
) -> None:
    file = shared / "data" / "acn" / "caltech_2020-02-01_2020-05-31.csv.gz"
    need(file.is_file(), "the charging sessions are not there")
    cars = []
    for session in read_sessions(file):
        if (session.arrival.year, session.arrival.month) == (2020, 4):
            one = Car(
                id=session.id, issuer="site", arrival=session.arrival, departure=session.departure, power_kw=6.6,
                need_kwh=session.energy_kwh, location="caltech",
            )  # fmt: skip
            *_, full = one.offers()
            cars.append(full)
    assert len(cars) > 20
    offers = read_offers(b"".join(encode(car) + b"\n" for car in cars))
    by = None if couple else tolerances(["start_after=PT2H", "time_flexibility=PT4H"])
    done = aggregate(offers, "agg", by, kind=kind, couple=couple, seeds=dict.fromkeys(Weather, 1))
    assert done.losses is not None
    assert done.losses.offers == len(cars) > done.losses.instead
    assert all(0 < kept.kept_eur <= kept.saving_eur for kept in done.losses.savings)
    plans = [Assignment(offer=line.offer().id, schedule=schedule_of(line.offer())) for line in done.lines]
    parts = {part.offer: part.schedule for part in disaggregate(done.lines, offers, plans)}
    assert len(parts) == len(cars)
    for car in cars:
        assert violations(car, parts[car.id]) == []


def test_storage_like_offers_are_coupled_with_their_like_and_come_apart() -> None:
    cars = [
        with_profile(box(f"car-{i}", i % 3, i % 3, [(0, 2)] * 6), total_energy_kwh=EnergyRange(3.0 + i, 3.0 + i))
        for i in range(6)
    ]
    offers = [*cars, OFFERS[0], OFFERS[1]]
    done = aggregate(offers, "agg", BY_LOCATION, couple=4, seeds=dict.fromkeys(Weather, 1))
    methods = sorted((line.aggregate.method, len(line.aggregate.members)) for line in done.lines)
    assert [size for method, size in methods if method == "coupled"] == [2, 4]
    assert sum(size for _, size in methods) == 8
    assert done.losses is not None
    assert all(kept.kept_eur <= kept.saving_eur + 1e-6 for kept in done.losses.savings)
    by_id = {offer.id: offer for offer in offers}
    plans: list[Assignment] = []
    for seed in range(3):
        plans = [Assignment(offer=line.offer().id, schedule=schedule_of(line.offer(), seed)) for line in done.lines]
        parts = disaggregate(done.lines, offers, plans)
        assert sorted(part.offer for part in parts) == sorted(by_id)
        total = sum(part.schedule.energy_kwh() for part in parts)
        assert total == pytest.approx(sum(plan.schedule.energy_kwh() for plan in plans))
        for part in parts:
            assert violations(by_id[part.offer], part.schedule) == []
    other = [*cars[:-1], with_profile(cars[-1], total_energy_kwh=EnergyRange(1.0, 1.0)), *offers[6:]]
    with pytest.raises(InvalidError):
        disaggregate(done.lines, other[:3] + other[4:], plans)
    with pytest.raises(InvalidError, match="at least 1"):
        aggregate(offers, "agg", BY_LOCATION, couple=0)
