"""Grouping in columns: the grid of `grouping` over a million offers, and cells cut into bins.

Which cell an offer falls into depends on nothing but the offer; which bin of the cell, on the offers of that cell. So
whatever is added, changed or withdrawn concerns the cells that it was or is in, and no other.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from flexhub.core.algebra.grouping import Dimension
from flexhub.core.algebra.members import Column, Members
from flexhub.core.batch import FlexOfferBatch, Floats, Ints
from flexhub.core.errors import InvalidError

Key = tuple[Hashable, ...]

NARROW: Final = 1 << 22
"""So many different codes are told apart by a table; more by sorting."""

PACKED_PER_KWH: Final = 1_000_000
"""Energies are packed in whole millionths of a kWh, so that sums of them do not depend on their order."""

GREATEST: Final = 2.0**41
"""2.2 GWh in those units: no offer counts for more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bins:
    """Bounds of every bin that a cell is cut into; by default a cell is one bin.

    Args:
        most_members: number of offers.
        most_energy_kwh: sum over the offers of the most that they may take or give, ``sum max(|lo|, |hi|)``.
        least_time_flexibility: slots between the first and the last start that the offers of a bin have in common.

    An offer that breaks a bound by itself is a bin by itself.

    Raises:
        InvalidError: bounds that nothing keeps.
    """

    most_members: int | None = None
    most_energy_kwh: float | None = None
    least_time_flexibility: int = 0

    def __post_init__(self) -> None:
        if self.most_members is not None and self.most_members < 1:
            raise InvalidError(f"{self.most_members} members; at least one", path="Bins/most_members")
        if self.most_energy_kwh is not None and not self.most_energy_kwh > 0:
            raise InvalidError(f"{self.most_energy_kwh} kWh; more than 0", path="Bins/most_energy_kwh")

    @property
    def cut(self) -> bool:
        """Whether there is any bound."""
        return self != Bins()


def cells(members: Members, anchor: Ints, unit: Ints, tolerances: Mapping[Dimension, float]) -> tuple[Ints, list[Key]]:
    """The cell of each offer: (int64[m]: index into the keys, keys in no particular order).

    A key holds what alignment needs to be equal (slots of a slice, and the phase of the anchor in them), then
    ``floor(value / tolerance)`` for each dimension, as `grouping.cell` has it; with tolerance 0 the value itself. An
    offer that cannot be merged (`unit` 0) has a cell of its own, whose key is its id. O(m) for each dimension, and a
    sort where its values are many.

    Raises:
        InvalidError: a dimension that was not given, or a value divided by its tolerance that is no number.
    """
    merged = np.flatnonzero(unit)
    units = unit[merged]
    columns: list[tuple[Ints, list[Hashable] | None]] = [(units, None), (anchor[merged] % units, None)]
    columns += [_coded(members.values(d), tolerance, merged, d) for d, tolerance in tolerances.items()]
    index = np.zeros(len(unit), dtype=np.int64)
    index[merged], examples = _numbered([codes for codes, _ in columns], len(merged))
    told = [
        codes[examples].tolist() if words is None else [words[i] for i in codes[examples].tolist()]
        for codes, words in columns
    ]
    keys: list[Key] = list(zip(*told, strict=True))
    alone = np.flatnonzero(unit == 0)
    index[alone] = len(keys) + np.arange(len(alone))
    return index, keys + [(members.batch.ids[i],) for i in alone.tolist()]


def _coded(column: Column, tolerance: float, rows: Ints, dimension: Dimension) -> tuple[Ints, list[Hashable] | None]:
    """Integers that are equal where the cells are, and what they stand for, if not for themselves."""
    if isinstance(column, tuple):
        numbers: dict[str, int] = {}
        codes = np.fromiter((numbers.setdefault(w, len(numbers)) for w in column), dtype=np.int64, count=len(column))
        return codes[rows], list(numbers)
    values = column[rows]
    if tolerance and dimension is not Dimension.SIGN:
        divided: Floats = np.floor(values / tolerance)
        if not (np.abs(divided) < 2.0**62).all():
            raise InvalidError(f"values divided by {tolerance} are too large", path=f"tolerances/{dimension}")
        return divided.astype(np.int64), None
    if values.dtype == np.int64:
        return values.astype(np.int64), None
    distinct, inverse = np.unique(values + 0.0, return_inverse=True)  # + 0.0: -0.0 is 0.0
    return inverse.astype(np.int64), distinct.tolist()


def _numbered(columns: list[Ints], m: int) -> tuple[Ints, Ints]:
    """(int64[m]: the same number where all columns are the same, from 0 on; int64[numbers]: a row that has each)."""
    packed, size = np.zeros(m, dtype=np.int64), 1
    for codes in columns:
        lowest, highest = (int(codes.min()), int(codes.max())) if m else (0, 0)
        span = highest - lowest + 1
        if size * span >= 1 << 62:
            packed, size = _dense(packed, size)
        if size * span >= 1 << 62:
            codes, span = _dense(codes - lowest, span)  # noqa: PLW2901 - the same column with fewer codes
            lowest = 0
        packed = packed * span + (codes - lowest)
        size *= span
    packed, size = _dense(packed, size)
    examples = np.zeros(size, dtype=np.int64)
    examples[packed] = np.arange(m)
    return packed, examples


def _dense(codes: Ints, size: int) -> tuple[Ints, int]:
    """The same codes without gaps, and how many there are; they were below `size`."""
    if size <= NARROW:
        there = np.zeros(size, dtype=np.bool_)
        there[codes] = True
        number = np.cumsum(there) - 1
        return number[codes], int(there.sum())
    distinct, inverse = np.unique(codes, return_inverse=True)
    return inverse, len(distinct)


def greatest_energy(batch: FlexOfferBatch) -> Ints:
    """int64[m]; ``sum max(|lo|, |hi|)`` of each offer in units of 1 / `PACKED_PER_KWH` kWh, rounded up.

    What is above `GREATEST` counts as that, so that the sum over four million offers fits.
    """
    most = np.maximum(np.abs(batch.lo_kwh), np.abs(batch.hi_kwh))
    sums = np.add.reduceat(most, batch.offsets[:-1]) * PACKED_PER_KWH
    rounded: Ints = np.ceil(np.minimum(sums, GREATEST)).astype(np.int64)
    return rounded


def pack(cell: Ints, earliest: Ints, latest: Ints, energy: Ints, bins: Bins) -> Ints:
    """The bin of each offer within its cell, from 0 on: int64[m].

    Next fit, in the order of falling time flexibility and then as the offers stand: a bin takes the next one as long as
    it keeps the bounds. So what an aggregate loses of its members' time flexibility stays small, and bins depend on
    nothing but the offers of the cell and their order. O(m log m), and a step for each bin.

    Args:
        cell: int64[m].
        earliest: int64[m]; first start, counted from the anchor.
        latest: int64[m]; last start, likewise.
        energy: int64[m]; as `greatest_energy` has it.
        bins: the bounds.
    """
    order = np.lexsort((earliest - latest, cell))
    ends = np.searchsorted(cell[order], cell[order], side="right")
    before = np.concatenate((np.zeros(1, np.int64), np.cumsum(energy[order])))
    earliest, latest = earliest[order], latest[order]
    limit = None if bins.most_energy_kwh is None else int(min(bins.most_energy_kwh * PACKED_PER_KWH, 2.0**62))
    number = np.zeros(len(cell), dtype=np.int64)
    start = 0
    while start < len(cell):
        end = int(ends[start])
        fresh = start == 0 or ends[start - 1] != end
        stop = end if bins.most_members is None else min(end, start + bins.most_members)
        if limit is not None:
            stop = min(stop, int(np.searchsorted(before, before[start] + limit, side="right")) - 1)
        stop = _common_until(earliest, latest, start, max(stop, start + 1), bins.least_time_flexibility)
        number[order[start:stop]] = 0 if fresh else number[order[start - 1]] + 1
        start = stop
    return number


def _common_until(earliest: Ints, latest: Ints, start: int, stop: int, least: int) -> int:
    """Up to which of start..stop the offers from `start` on have `least` slots in common; one at least."""
    ahead = 64
    first, last = int(earliest[start]), int(latest[start])
    at = start + 1
    while at < stop and least > 0:
        until = min(stop, at + ahead)
        firsts = np.maximum(np.maximum.accumulate(earliest[at:until]), first)
        lasts = np.minimum(np.minimum.accumulate(latest[at:until]), last)
        misses = np.flatnonzero(lasts - firsts < least)
        if len(misses):
            return at + int(misses[0])
        first, last, at, ahead = int(firsts[-1]), int(lasts[-1]), until, 2 * ahead
    return stop
