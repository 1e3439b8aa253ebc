"""Aggregates of slice flex-offers in columns, kept while offers come, change and go; a million without a Python loop.

**Alignment.** Every member k has an anchor r_k within its window [tes_k, tls_k]: its first start (`Alignment.START`),
or the start of its default schedule (`Alignment.DEFAULT`). Members move together: at shift s each starts at r_k + s,
for all s that every window allows,

    max_k (tes_k - r_k) <= s <= min_k (tls_k - r_k),

a range that holds 0. So slice i of a member always meets the same slice of the aggregate, which begins at
``r_a = min r_k`` and sums them: ``lo_a[j] = sum_k lo_k[j - (r_k - r_a)]``, hi_a and the default energies m_a likewise.

**Disaggregation.** ``start_k = r_k + (start_a - r_a)``, and with p_j = (e_j - lo_a[j]) / (hi_a[j] - lo_a[j]), which is
0 where 0 / 0, ``e_k = lo_k + p (hi_k - lo_k)``. At the default schedules the segment is cut at m: below it
``e_k = lo_k + p (m_k - lo_k)`` with p = (e - lo_a) / (m_a - lo_a), above it ``e_k = m_k + p (hi_k - m_k)``; an
aggregate at its default leaves each member at its own.

**Law.** Every schedule that keeps an aggregate's bounds becomes schedules that keep all of every member's.

- Start: with s = start_a - r_a, tes_k <= r_k + s <= tls_k is the range above. End constraints are folded into windows.
- Energy: lo_a <= e_a <= hi_a gives p in [0, 1], so e_k lies on the segment [lo_k, hi_k]. There is nothing else to
  keep: an offer with more bounds, or whose slices differ in length, is an aggregate by itself, with all of its bounds.
- Sum: ``sum_k lo_k + p sum_k (hi_k - lo_k) = lo_a + p (hi_a - lo_a) = e_a``, slice by slice, as all slices of a group
  are of one length d and anchors differ by multiples of d.
- Every feasible prefix can be completed: bounds of later slices do not depend on earlier ones, and none is empty. A
  prefix of an offer that stands alone is one of that offer.

**Sums are exact.** They are kept in whole 2**-36 kWh, 64 bits wide. So they do not depend on the order of the members,
and taking a member out leaves exactly what would have been without it: whatever happened before, the aggregates are
those of one run over the offers that are there. Rounding a bound moves it by 2**-37 kWh at most, so lo_a <= e_a <= hi_a
differs from the exact sum by 4e-8 kWh for 5,000 members; members' own bounds are kept as they are.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Final, NamedTuple

import numpy as np

from flexhub.core.algebra.grid import Bins, Key, cells, greatest_energy, pack
from flexhub.core.algebra.grouping import DEFAULT, Dimension
from flexhub.core.algebra.members import Members
from flexhub.core.algebra.sums import LIMIT_KWH, PER_KWH, Extents, Reach, blocks, extents, places, sum_up
from flexhub.core.batch import FlexOfferBatch, Floats, Ints, spans
from flexhub.core.errors import InvalidError, NotFoundError
from flexhub.core.timegrid import EPOCH

GONE: Final = -1
NEW: Final = -2

GREATEST_KWH: Final = 1 << 20
"""An offer that may take or give more in a slice (a GWh) is not merged, so that sums stay exact."""

MOST_BLOCKS: Final = 32
"""So many blocks of members are kept before all but the largest are joined."""


class Alignment(enum.StrEnum):
    """What a group's members are aligned by."""

    START = "start-aligned"
    DEFAULT = "default-aligned"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Aggregates:
    """g aggregates, in the order of their keys.

    Args:
        batch: their bounds.
        anchor: int64[g]; the slot that each starts in where its members start at their anchors.
        default_kwh: float64[n]; sums of the default energies, with `Alignment.DEFAULT`; otherwise None.
        keys: cell and bin of each.
        sizes: int64[g]; number of members.
    """

    batch: FlexOfferBatch
    anchor: Ints
    default_kwh: Floats | None
    keys: tuple[Key, ...]
    sizes: Ints

    def __len__(self) -> int:
        return len(self.batch)


class Parts(NamedTuple):
    """Schedules of m members: the slot that each starts in (int64[m]) and its energies (float64[n] kWh)."""

    members: Members
    starts: Ints
    energies_kwh: Floats


@dataclass(slots=True, eq=False)
class _Block:
    """Members that came together. ``group`` is `GONE` where a member has gone, and `NEW` before it has one."""

    members: Members
    unit: Ints
    reach: Reach
    cell: Ints
    group: Ints
    energy: Ints
    most: Ints

    def live(self) -> Ints | None:
        """The members that are there; None for all."""
        there = np.flatnonzero(self.group != GONE)
        return None if len(there) == len(self.group) else there

    def take(self, rows: Ints | None) -> _Block:
        """These members alone."""
        if rows is None:
            return self
        return _Block(
            self.members.take(rows),
            self.unit[rows],
            self.reach.of(rows),
            self.cell[rows],
            self.group[rows],
            self.energy[rows],
            self.most[rows],
        )


@dataclass(slots=True, eq=False)
class _Group:
    """One aggregate: sums from slot `origin` on, a value for each `unit` slots, in the order lo, hi, default."""

    key: Key
    unit: int
    size: int = 0
    most: int = 0  # a bound of every slice's size, in kWh rounded up for each member
    origin: int = 0
    sums: Ints | None = None

    def add(self, origin: int, sums: Ints) -> None:
        """Add sums that begin at another slot, and grow to hold them."""
        if self.sums is None:
            self.origin, self.sums = origin, sums.copy()
            return
        before = max(0, self.origin - origin) // self.unit
        shift = max(0, origin - self.origin) // self.unit
        after = max(0, shift + sums.shape[1] - self.sums.shape[1] - before)
        if before or after:
            self.sums = np.pad(self.sums, ((0, 0), (before, after)))
            self.origin -= before * self.unit
        self.sums[:, shift : shift + sums.shape[1]] += sums


class _Numbers:
    """Small numbers of keys; that of a key which is gone is given again."""

    def __init__(self) -> None:
        self.of: dict[Key, int] = {}
        self.key: dict[int, Key] = {}
        self.size = 0
        self._free: list[int] = []

    def give(self, key: Key) -> int:
        """The key's number, a new one where it has none."""
        number = self.of.get(key)
        if number is None:
            if self._free:
                number = self._free.pop()
            else:
                number, self.size = self.size, self.size + 1
            self.of[key], self.key[number] = number, key
        return number

    def drop(self, key: Key) -> None:
        """The key is gone."""
        number = self.of.pop(key)
        del self.key[number]
        self._free.append(number)


class Aggregator:
    """Aggregates of the offers that were put and not withdrawn.

    Args:
        tolerances: the grid (`grouping.Dimension`); beside it, what alignment needs is equal in a group.
        alignment: what members are aligned by.
        bins: bounds that cells of the grid are cut by.

    Grouping costs O(1) for each offer that is put and, with bins, O(c log c) for a touched cell of c offers; sums cost
    what the changed offers have of slices; and a scan of one integer per offer finds the windows of touched groups.
    """

    def __init__(
        self,
        tolerances: Mapping[Dimension, float] = DEFAULT,
        *,
        alignment: Alignment = Alignment.START,
        bins: Bins = Bins(),  # noqa: B008 - immutable
    ) -> None:
        self.tolerances = dict(tolerances)
        self.alignment = alignment
        self.bins = bins
        self._blocks: list[_Block] = []
        self._rows: dict[str, int] = {}
        self._cells = _Numbers()
        self._numbers = _Numbers()
        self._groups: dict[int, _Group] = {}
        self._extents = Extents(*(np.zeros(0, dtype=np.int64) for _ in range(4)))
        self._latest: Aggregates | None = None

    def __len__(self) -> int:
        """Number of offers."""
        return len(self._rows)

    def put(self, members: Members) -> tuple[Key, ...]:
        """Add these offers, or replace those of the same id: keys of the aggregates that this changed or ended.

        Raises:
            InvalidError: an id twice, another resolution than before, or a dimension that was not given; then nothing
                has changed.
        """
        ids = members.batch.ids
        fresh = dict(zip(ids, range(len(ids)), strict=True))
        if len(fresh) != len(ids):
            raise InvalidError("an offer stands twice", path="Members/batch/ids")
        if self._blocks and self._blocks[0].members.batch.resolution_s != members.batch.resolution_s:
            raise InvalidError(
                f"slots of {members.batch.resolution_s} s beside others", path="Members/batch/resolution_s"
            )
        if not ids:
            return ()
        block, keys = self._block(members)
        known = [row for name in ids if (row := self._rows.get(name)) is not None] if self._rows else []
        return self._change(np.array(known, dtype=np.int64), block, keys, fresh)

    def withdraw(self, ids: Collection[str]) -> tuple[Key, ...]:
        """Take these offers out: keys of the aggregates that this changed or ended.

        Raises:
            NotFoundError: an offer that is not there; then nothing has changed.
        """
        for name in ids:
            if name not in self._rows:
                raise NotFoundError("no such offer is aggregated", path="Aggregator", value=name)
        rows = np.array([self._rows[name] for name in set(ids)], dtype=np.int64)
        return self._change(rows, None, [], {})

    def members(self) -> Members:
        """The offers, in the order in which they came; one that was replaced stands where its last version came."""
        parts = [block.take(block.live()).members for block in self._blocks]
        if not parts:
            return Members.from_offers([], EPOCH)
        return parts[0] if len(parts) == 1 else Members.join(parts)

    def aggregates(self) -> Aggregates:
        """All aggregates."""
        if self._latest is None:
            self._latest = self._gather(list(self._groups))
        return self._latest

    def some(self, keys: Collection[Key]) -> Aggregates:
        """The aggregates of these keys that there are, as `put` and `withdraw` tell them."""
        wanted = {key for key in keys if key in self._numbers.of}
        return self._gather([self._numbers.of[key] for key in wanted])

    def disaggregate(self, aggregates: Aggregates, starts: Ints, energies_kwh: Floats) -> Parts:
        """Schedules of all members, each within its bounds, that add up to those of the aggregates.

        Args:
            aggregates: as `aggregates` last told them.
            starts: int64[g]; the slot that each aggregate starts in.
            energies_kwh: float64[n]; energies of its slices.

        Raises:
            InvalidError: the aggregates are no longer these, or a schedule breaks their bounds.
        """
        if aggregates is not self._latest:
            raise InvalidError("offers have changed since these were the aggregates", path="Aggregates")
        broken = np.flatnonzero(aggregates.batch.violations_mask(starts, energies_kwh))
        if len(broken):
            name = aggregates.batch.ids[int(broken[0])]
            raise InvalidError(f"the schedules of {len(broken)} aggregates break bounds", path="Schedule", value=name)
        index = np.full(self._numbers.size + 1, -1, dtype=np.int64)
        index[[self._numbers.of[key] for key in aggregates.keys]] = np.arange(len(aggregates))
        parts = [_spread(block, index[block.group], aggregates, starts, energies_kwh) for block in self._blocks]
        if not parts:
            return Parts(self.members(), starts, energies_kwh)
        starts_of, energies_of = zip(*parts, strict=True)
        return Parts(self.members(), np.concatenate(starts_of), np.concatenate(energies_of))

    def _block(self, members: Members) -> tuple[_Block, list[Key]]:
        batch, first = members.batch, members.batch.offsets[:-1]
        anchor = batch.first_start if self.alignment is Alignment.START else members.anchor
        most = np.maximum(-np.minimum.reduceat(batch.lo_kwh, first), np.maximum.reduceat(batch.hi_kwh, first))
        unit = np.where(most <= GREATEST_KWH, members.unit_slots(), 0)
        index, keys = cells(members, anchor, unit, self.tolerances)
        reach = Reach(anchor, anchor + unit * batch.counts(), batch.first_start - anchor, batch.last_start - anchor)
        nothing = np.zeros(len(batch), dtype=np.int64)
        block = _Block(
            members=members,
            unit=unit,
            reach=reach,
            cell=index,
            group=nothing + NEW,
            energy=greatest_energy(batch) if self.bins.cut else nothing,
            most=np.ceil(np.where(unit > 0, np.abs(most), 0.0)).astype(np.int64),
        )
        return block, keys

    def _change(
        self, gone: Ints, block: _Block | None, keys: Sequence[Key], fresh: Mapping[str, int]
    ) -> tuple[Key, ...]:
        """Take rows out, put a block in, and bring up to date the groups that this touches."""
        self._latest = None
        stale: set[int] = set()
        cells_touched: set[int] = set()
        for old, rows in self._by_block(gone):
            cells_touched |= set(old.cell[rows].tolist())
            stale |= self._apply(old, rows, old.group[rows], -1)
            old.group[rows] = GONE
            for row in rows.tolist():
                del self._rows[old.members.batch.ids[row]]
        if block is not None:
            numbers = np.array([self._cells.give(key) for key in keys], dtype=np.int64)
            block.cell = numbers[block.cell]
            cells_touched |= set(numbers.tolist())
            base = sum(len(b.group) for b in self._blocks)
            self._rows.update(fresh if not base else {name: base + row for name, row in fresh.items()})
            self._blocks.append(block)
        stale |= self._regroup(cells_touched)
        told = tuple(self._groups[number].key for number in sorted(stale))
        self._settle(stale)
        self._drop_cells(cells_touched)
        self._compact()
        return told

    def _by_block(self, rows: Ints) -> Iterator[tuple[_Block, Ints]]:
        """Rows counted over all blocks, as rows of each."""
        base = 0
        for block in self._blocks:
            size = len(block.group)
            inside = rows[(rows >= base) & (rows < base + size)] - base
            if len(inside):
                yield block, inside
            base += size

    def _group_of(self, cell: int, number: int) -> int:
        """Number of the group that is bin `number` of the cell."""
        return self._numbers.give((*self._cells.key[cell], number))

    def _regroup(self, touched: Collection[int]) -> set[int]:
        """Give every offer of these cells its group: numbers of the groups that this changes."""
        stale: set[int] = set()
        mask = np.zeros(self._cells.size, dtype=np.bool_)
        mask[list(touched)] = True
        if not self.bins.cut:  # what was there keeps its group
            for block in self._blocks[-1:]:
                if len(block.group) and block.group[0] == NEW:
                    number = np.zeros(self._cells.size, dtype=np.int64)
                    distinct = np.flatnonzero(np.bincount(block.cell, minlength=self._cells.size))
                    number[distinct] = [self._group_of(cell, 0) for cell in distinct.tolist()]
                    block.group = number[block.cell]
                    stale |= self._apply(block, None, block.group, 1)
            return stale
        there = [(b, rows) for b in self._blocks if len(rows := np.flatnonzero(mask[b.cell] & (b.group != GONE)))]
        if not there:
            return stale
        cell, earliest, latest, energy = (
            np.concatenate(columns)
            for columns in zip(
                *((b.cell[r], b.reach.earliest[r], b.reach.latest[r], b.energy[r]) for b, r in there), strict=True
            )
        )
        packed = cell + self._cells.size * pack(cell, earliest, latest, energy, self.bins)
        distinct, inverse = np.unique(packed, return_inverse=True)
        numbers = [self._group_of(p % self._cells.size, p // self._cells.size) for p in distinct.tolist()]
        groups = np.array(numbers, dtype=np.int64)[inverse]
        at = 0
        for block, rows in there:
            old, new = block.group[rows], groups[at : at + len(rows)]
            at += len(rows)
            left, moved = (old != new) & (old != NEW), old != new
            stale |= self._apply(block, rows[left], old[left], -1) | self._apply(block, rows[moved], new[moved], 1)
            block.group[rows] = new
        return stale

    def _apply(self, block: _Block, rows: Ints | None, groups: Ints, sign: int) -> set[int]:
        """Add members of a block (None: all) to their groups, or take them out: numbers of the groups."""
        if not len(groups):
            return set()
        everyone = rows is None
        at = np.arange(len(groups)) if rows is None else rows
        sizes = np.bincount(groups, minlength=self._numbers.size)
        distinct = np.flatnonzero(sizes)
        local = np.zeros(self._numbers.size, dtype=np.int64)
        local[distinct] = np.arange(len(distinct))
        local = local[groups]
        unit = block.unit if everyone else block.unit[at]
        units = np.ones(len(distinct), dtype=np.int64)
        units[local] = np.maximum(unit, 1)
        reach = block.reach if everyone else block.reach.of(at)
        found = extents(local, len(distinct), reach)
        widths = (found.end - found.origin) // units  # 0 for an offer alone, whose profile is not summed
        ends = np.cumsum(widths)
        place = (ends - widths)[local] + (reach.anchor - found.origin[local]) // units[local]
        merged = unit > 0
        if not merged.all():
            rows, place = at[merged], place[merged]
        batch, default = block.members.batch, block.members.default_kwh
        columns = [batch.lo_kwh, batch.hi_kwh]
        if self.alignment is Alignment.DEFAULT:
            columns.append(np.clip(0.0, batch.lo_kwh, batch.hi_kwh) if default is None else default)
        sums = sign * sum_up(columns, batch.offsets, rows, place, int(ends[-1]))
        most = np.bincount(local, weights=block.most if everyone else block.most[at]).astype(np.int64)
        for number, size, bound, origin, end, width, step in zip(
            distinct.tolist(), sizes[distinct].tolist(), most.tolist(), found.origin.tolist(), ends.tolist(),
            widths.tolist(), units.tolist(), strict=True,
        ):  # fmt: skip
            group = self._groups.get(number)
            if group is None:
                group = self._groups[number] = _Group(self._numbers.key[number], step)
            group.size += sign * size
            group.most += sign * bound
            if width:
                group.add(origin, sums[:, end - width : end])
        return set(distinct.tolist())

    def _settle(self, stale: Collection[int]) -> None:
        """Drop groups that are empty, and find the extents of the others."""
        size = self._numbers.size
        short = size - len(self._extents.origin)
        if short > 0:
            self._extents = Extents(*(np.append(column, np.zeros(short, np.int64)) for column in self._extents))
        local = np.full(size + 2, -1, dtype=np.int64)  # two more for GONE and NEW, which count from the end
        live = [number for number in stale if self._groups[number].size]
        local[live] = np.arange(len(live))
        for number in stale:
            if not self._groups[number].size:
                self._numbers.drop(self._groups.pop(number).key)
        if not live:
            return
        found: list[tuple[Ints, Reach]] = []
        for block in self._blocks:
            group = local[block.group]
            rows = np.flatnonzero(group >= 0)
            found.append((group[rows], block.reach.of(rows)))
        reach = Reach(*(np.concatenate(columns) for columns in zip(*(r for _, r in found), strict=True)))
        fresh = extents(np.concatenate([g for g, _ in found]), len(live), reach)
        for column, values in zip(self._extents, fresh, strict=True):
            column[live] = values

    def _drop_cells(self, touched: Collection[int]) -> None:
        for cell in touched:
            key = self._cells.key[cell]
            if (*key, 0) not in self._numbers.of:
                self._cells.drop(key)

    def _compact(self) -> None:
        """Join blocks where they are many or mostly gone; a step for each offer that moves, which others paid for."""
        if not self._blocks:
            return
        live = [block.live() for block in self._blocks]
        counts = [len(b.group) if rows is None else len(rows) for b, rows in zip(self._blocks, live, strict=True)]
        total = sum(len(b.group) for b in self._blocks)
        everything = sum(counts) * 2 < total or sum(counts[1:]) > counts[0]
        if len(self._blocks) <= MOST_BLOCKS and sum(counts) * 2 >= total:
            return
        kept = 0 if everything else 1
        parts = [block.take(rows) for block, rows in zip(self._blocks[kept:], live[kept:], strict=True)]
        parts = [part for part in parts if len(part.group)]
        base = len(self._blocks[0].group) if kept else 0
        self._blocks = self._blocks[:kept] + ([_joined(parts)] if parts else [])
        for block in self._blocks[kept:]:
            self._rows.update(zip(block.members.batch.ids, range(base, base + len(block.group)), strict=True))

    def _gather(self, numbers: Sequence[int]) -> Aggregates:
        """These groups as columns, in the order of their keys."""
        groups = sorted((self._groups[n] for n in numbers), key=lambda g: (len(g.key) == 2, g.key))
        merged = [g for g in groups if g.sums is not None]
        for group in merged:
            if group.most >= LIMIT_KWH:
                raise InvalidError(f"slices of up to {group.most} kWh add up", path="Aggregator", value=str(group.key))
        alone = [g for g in groups if g.sums is None]
        at = np.array([self._numbers.of[g.key] for g in groups], dtype=np.int64)
        found = Extents(*(column[at] for column in self._extents))
        parts = [_summed(merged, Extents(*(c[: len(merged)] for c in found)), self._resolution_s())]
        if alone:
            rows = np.array([self._rows[str(g.key[0])] for g in alone], dtype=np.int64)
            parts.append(self._as_they_are(rows))
        batch = FlexOfferBatch.join([part for part, _ in parts])
        default = np.concatenate([d for _, d in parts]) if self.alignment is Alignment.DEFAULT else None
        return Aggregates(
            batch=replace(batch, ids=tuple(_identity(g.key) for g in groups)),
            anchor=found.origin,
            default_kwh=default,
            keys=tuple(g.key for g in groups),
            sizes=np.array([g.size for g in groups], dtype=np.int64),
        )

    def _resolution_s(self) -> int:
        return self._blocks[0].members.batch.resolution_s if self._blocks else 900

    def _as_they_are(self, rows: Ints) -> tuple[FlexOfferBatch, Floats]:
        """The offers of these rows, counted over all blocks, and their default energies."""
        order = np.argsort(rows)
        parts = [block.members.take(inside) for block, inside in self._by_block(rows[order])]
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        members = Members.join(parts).take(back)
        batch = members.batch
        default = members.default_kwh
        return batch, np.clip(0.0, batch.lo_kwh, batch.hi_kwh) if default is None else default


def aggregate(
    members: Members,
    tolerances: Mapping[Dimension, float] = DEFAULT,
    *,
    alignment: Alignment = Alignment.START,
    bins: Bins = Bins(),  # noqa: B008 - immutable
) -> Aggregator:
    """An aggregator of these offers."""
    aggregator = Aggregator(tolerances, alignment=alignment, bins=bins)
    aggregator.put(members)
    return aggregator


def _identity(key: Key) -> str:
    """The same cell and bin give the same id, so that an aggregate keeps its name while members come and go."""
    return "agg-" + blake2b(repr(key).encode(), digest_size=12).hexdigest()


def _joined(parts: Sequence[_Block]) -> _Block:
    return _Block(
        Members.join([part.members for part in parts]),
        np.concatenate([part.unit for part in parts]),
        Reach(*(np.concatenate(columns) for columns in zip(*(part.reach for part in parts), strict=True))),
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("cell", "group", "energy", "most")),
    )


def _summed(groups: Sequence[_Group], found: Extents, resolution_s: int) -> tuple[FlexOfferBatch, Floats]:
    """Columns of merged groups, cut to their members' extents, and their default energies (lo where there are none)."""
    pieces = [
        group.sums[:, (origin - group.origin) // group.unit : (end - group.origin) // group.unit] / PER_KWH
        for group, origin, end in zip(groups, found.origin.tolist(), found.end.tolist(), strict=True)
        if group.sums is not None
    ]
    counts = np.array([piece.shape[1] for piece in pieces], dtype=np.int64)
    sums = np.concatenate(pieces, axis=1) if pieces else np.zeros((2, 0))
    units = np.array([group.unit for group in groups], dtype=np.int64)
    open_end = np.full(len(groups), np.inf)
    none = np.zeros(0)
    batch = FlexOfferBatch(
        ids=("",) * len(groups),
        resolution_s=resolution_s,
        first_start=found.origin + found.earliest,
        last_start=found.origin + found.latest,
        offsets=np.concatenate((np.zeros(1, np.int64), np.cumsum(counts))),
        duration=np.repeat(units, counts),
        lo_kwh=sums[0],
        hi_kwh=sums[1],
        total_lo_kwh=-open_end,
        total_hi_kwh=open_end,
        subtotal_lo_kwh=-open_end,
        subtotal_hi_kwh=open_end,
        row_slice=none.astype(np.int64),
        row_a=none,
        row_b=none,
        row_c_kwh=none,
    )
    return batch, sums[-1]


def _spread(block: _Block, of: Ints, aggregates: Aggregates, starts: Ints, energies_kwh: Floats) -> tuple[Ints, Floats]:
    """Starts (int64[live]) and energies (float64[slices of live]) of a block's members, by the formulas above."""
    live = block.live()
    batch, total = block.members.batch, aggregates.batch
    unit, anchor = (block.unit, block.reach.anchor) if live is None else (block.unit[live], block.reach.anchor[live])
    of = of if live is None else of[live]
    place = total.offsets[of] + (anchor - aggregates.anchor[of]) // np.maximum(unit, 1)
    lo_a, hi_a, middle_a = total.lo_kwh, total.hi_kwh, aggregates.default_kwh
    middle_a = lo_a if middle_a is None else middle_a
    down, up = _share(energies_kwh - lo_a, middle_a - lo_a), _share(energies_kwh - middle_a, hi_a - middle_a)
    defaults = block.members.default_kwh if aggregates.default_kwh is not None else None
    counts = batch.counts() if live is None else batch.counts()[live]
    result = np.empty(int(counts.sum()))
    done = 0
    for part in blocks(batch.offsets, live):
        where = places(place, part)
        out = result[done : done + len(where)]
        done += len(where)
        lo, hi = batch.lo_kwh[part.at], batch.hi_kwh[part.at]
        if aggregates.default_kwh is None:
            np.subtract(hi, lo, out=out)
            out *= up[where]
            out += lo
        else:
            middle = np.clip(0.0, lo, hi) if defaults is None else defaults[part.at]
            np.add(lo, down[where] * (middle - lo), out=out)
            out += up[where] * (hi - middle)
        np.clip(out, lo, hi, out=out)  # what rounding has put outside
    alone = np.flatnonzero(unit == 0)
    if len(alone):
        ends = np.cumsum(counts)
        mine = spans((ends - counts)[alone], ends[alone])
        result[mine] = energies_kwh[spans(total.offsets[of[alone]], total.offsets[of[alone] + 1])]
    return anchor + (starts - aggregates.anchor)[of], result


def _share(part: Floats, whole: Floats) -> Floats:
    """Part / whole within [0, 1], and 0 where the whole is 0."""
    with np.errstate(over="ignore"):  # beyond 1 is 1
        return np.clip(np.divide(part, whole, out=np.zeros_like(part), where=whole > 0), 0.0, 1.0)
