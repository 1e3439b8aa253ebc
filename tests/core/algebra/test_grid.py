"""The grid in columns puts together what the grid of objects does; bins keep their bounds."""

from __future__ import annotations

import math
from collections import defaultdict

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexhub.core.algebra import grid
from flexhub.core.algebra.grid import PACKED_PER_KWH, Bins, Key, cells, greatest_energy, pack
from flexhub.core.algebra.grouping import Dimension, cell
from flexhub.core.algebra.members import SIGNS, Column, Members
from flexhub.core.errors import InvalidError
from flexhub.core.flexoffer import EnergyRange, FlexOffer, HalfPlane, Profile, Slice
from tests.core.algebra.columns import T0, at, many_offers

TOLERANCES: dict[Dimension, float] = {
    Dimension.START_AFTER: 3600.0,
    Dimension.START_BEFORE: 1800.0,
    Dimension.TIME_FLEXIBILITY: 2700.0,
    Dimension.ASSIGN_BEFORE: 3600.0,
    Dimension.DURATION: 900.0,
    Dimension.SLICES: 2.0,
    Dimension.TOTAL_ENERGY: 25.0,
    Dimension.TARIFF: 0.05,
    Dimension.LOCATION: 0.0,
    Dimension.CONTRACT: 0.0,
    Dimension.SIGN: 0.0,
    Dimension.KIND: 0.0,
}


@st.composite
def grids(draw: st.DrawFn) -> dict[Dimension, float]:
    """Some dimensions in some order, some without a tolerance."""
    chosen = draw(st.lists(st.sampled_from(sorted(TOLERANCES)), unique=True, max_size=4))
    return {d: draw(st.sampled_from((0.0, TOLERANCES[d]))) for d in chosen}


def test_knows_every_dimension() -> None:
    assert set(TOLERANCES) == set(Dimension)


@settings(max_examples=150)
@given(many_offers(), grids())
def test_puts_together_what_the_grid_of_objects_does(
    offers: list[FlexOffer], tolerances: dict[Dimension, float]
) -> None:
    members = Members.from_offers(offers, T0)
    unit = members.unit_slots()
    index, keys = cells(members, members.batch.first_start, unit, tolerances)
    assert sorted(set(index.tolist())) == list(range(len(keys)))
    words = {number: word for word, number in SIGNS.items()}
    for i, offer in enumerate(offers):
        key = keys[int(index[i])]
        if not unit[i]:
            assert key == (offer.id,)
            continue
        told = [
            words[value] if dimension is Dimension.SIGN and isinstance(value, int) else value
            for dimension, value in zip(tolerances, key[2:], strict=True)
        ]
        # Sums of many numbers may differ in their last digit, as they are added in another order.
        assert [pytest.approx(v, rel=1e-12) if isinstance(v, float) else v for v in told] == list(
            cell(offer, tolerances)
        )
        assert key[:2] == (unit[i], members.batch.first_start[i] % unit[i])


@pytest.mark.parametrize("narrow", [1, grid.NARROW])
def test_numbers_codes_alike_by_table_and_by_sorting(monkeypatch: pytest.MonkeyPatch, narrow: int) -> None:
    monkeypatch.setattr(grid, "NARROW", narrow)
    random = np.random.default_rng(7)
    columns = [random.choice(values, 200) for values in ([5, -(2**61), 2**61], [1, 2], [0, 2**40], [-(2**59), 2**60])]
    index, examples = grid._numbered([c.astype(np.int64) for c in columns], 200)  # noqa: SLF001 - both ways of one function
    rows = list(zip(*(c.tolist() for c in columns), strict=True))
    assert [rows[i] for i in examples[index].tolist()] == rows
    assert len(examples) == len(set(rows))


def test_leaves_alone_what_cannot_be_merged() -> None:
    both = Slice(energy_kwh=(EnergyRange(0, 2),)), Slice(energy_kwh=(EnergyRange(0, 1),))
    profiles = {
        0: Profile(slices=both, total_energy_kwh=EnergyRange(0, 2.5)),
        1: Profile(slices=both, total_energy_kwh=EnergyRange(0, 3)),
        2: Profile(slices=both, subtotal_energy_kwh=EnergyRange(0, 3)),
        3: Profile(slices=(both[0], msgspec.structs.replace(both[1], polygon=(HalfPlane(1, 1, 3),)))),
        4: Profile(slices=(both[0], msgspec.structs.replace(both[1], min_duration=2, max_duration=2))),
    }
    offers = [
        FlexOffer(id=f"o{i}", issuer="p", created=T0, start_after=at(0), start_before=at(1), profiles=(profile,))
        for i, profile in profiles.items()
    ]
    assert Members.from_offers(offers, T0).unit_slots().tolist() == [0, 1, 0, 0, 0]


def test_refuses_what_was_not_given_and_what_is_no_number() -> None:
    members = Members.from_offers(offers_of(1), T0)
    tolerances = {Dimension.TARIFF: 0.1}

    def run(**given: list[float]) -> list[Key]:
        columns: dict[Dimension, Column] = {Dimension(name): np.array(column) for name, column in given.items()}
        some = Members(batch=members.batch, anchor=members.anchor, default_kwh=None, given=columns)
        return cells(some, members.anchor, np.ones(1, np.int64), tolerances)[1]

    assert run(tariff=[0.25]) == [(1, 0, 2)]
    with pytest.raises(InvalidError, match="tariff"):
        run()
    with pytest.raises(InvalidError, match="too large"):
        run(tariff=[math.nan])
    with pytest.raises(InvalidError, match="2 values for 1"):
        run(tariff=[0.25, 0.25])


def test_refuses_an_anchor_outside_the_window() -> None:
    batch = Members.from_offers(offers_of(1), T0).batch
    first, last = int(batch.first_start[0]), int(batch.last_start[0])
    for anchor in (first, last):
        Members(batch=batch, anchor=np.array([anchor]), default_kwh=None, given={})
    for anchor in (first - 1, last + 1):
        with pytest.raises(InvalidError, match="anchor"):
            Members(batch=batch, anchor=np.array([anchor]), default_kwh=None, given={})


offered = st.tuples(st.integers(0, 2), st.integers(-3, 0), st.integers(0, 3), st.integers(0, 40))
bounds = st.builds(
    Bins,
    most_members=st.none() | st.integers(1, 4),
    most_energy_kwh=st.none() | st.integers(1, 60).map(float),
    least_time_flexibility=st.integers(0, 4),
)


@given(st.lists(offered, max_size=40), bounds)
def test_bins_keep_their_bounds_and_are_full(rows: list[tuple[int, int, int, int]], bins: Bins) -> None:
    cell, earliest, latest, energy = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    number = pack(cell, earliest, latest, energy * PACKED_PER_KWH, bins)
    packed: defaultdict[tuple[int, int], list[tuple[int, int, int]]] = defaultdict(list)
    order = sorted(range(len(rows)), key=lambda i: (rows[i][1] - rows[i][2], i))
    for i in order:
        packed[rows[i][0], int(number[i])].append(rows[i][1:])

    def kept(inside: list[tuple[int, int, int]]) -> bool:
        return (
            (bins.most_members is None or len(inside) <= bins.most_members)
            and (bins.most_energy_kwh is None or sum(e for *_, e in inside) <= bins.most_energy_kwh)
            and min(b for _, b, _ in inside) - max(a for a, *_ in inside) >= bins.least_time_flexibility
        )

    for (where, which), inside in packed.items():
        assert kept(inside) or len(inside) == 1
        if which:
            before = packed[where, which - 1]
            assert not kept([*before, inside[0]])  # next fit: it was opened only since its first did not fit


def test_a_long_bin_is_looked_through_to_its_end() -> None:
    n = 1000
    earliest, latest = np.full(n, -9), np.full(n, 9)
    earliest[700], latest[701] = -2, 1  # a bin can hold either with all others, but both have only 3 slots in common
    number = pack(np.zeros(n, np.int64), earliest, latest, np.zeros(n, np.int64), Bins(least_time_flexibility=4))
    assert (np.flatnonzero(number).tolist(), int(number.max())) == ([701], 1)


def test_an_offer_takes_of_a_bin_what_it_may_take_or_give_at_most() -> None:
    slices = tuple(Slice(energy_kwh=(EnergyRange(*r),)) for r in ((-2, 1), (0, 0.25)))
    offers = [msgspec.structs.replace(o, profiles=(Profile(slices=slices),)) for o in offers_of(2)]
    batch = Members.from_offers(offers, T0).batch
    assert (greatest_energy(batch) / PACKED_PER_KWH).tolist() == [2.25, 2.25]


def offers_of(count: int) -> list[FlexOffer]:
    """Plain offers of one slice, 0..1 kWh, that may start in five slots."""
    profile = Profile(slices=(Slice(energy_kwh=(EnergyRange(0, 1),)),))
    return [
        FlexOffer(id=f"o{i}", issuer="p", created=T0, start_after=at(0), start_before=at(4), profiles=(profile,))
        for i in range(count)
    ]


@pytest.mark.parametrize(("good", "bad"), [({"most_members": 1}, {"most_members": 0}),
                                           ({"most_energy_kwh": 0.1}, {"most_energy_kwh": 0.0})])  # fmt: skip
def test_bounds_that_nothing_keeps_are_refused(good: dict[str, float], bad: dict[str, float]) -> None:
    assert Bins(**good).cut  # type: ignore[arg-type]  # fields by name
    assert not Bins().cut
    with pytest.raises(InvalidError):
        Bins(**bad)  # type: ignore[arg-type]  # fields by name
