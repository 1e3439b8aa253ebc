"""Keeps the aggregates of slice flex-offers while offers come, change and go; `slices` says what they are.

Offers are held in the blocks that they came in, in columns that never change; beside them stand the group of each and,
for each group, its sums. A change takes what was there out of its sums, adds what is there now, and finds the extents
of the groups that this touched. Blocks are joined where they become many.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from flexhub.core.algebra.grid import Bins, Key, cells, greatest_energy, pack
from flexhub.core.algebra.grouping import DEFAULT, Dimension
from flexhub.core.algebra.members import Members
from flexhub.core.algebra.slices import Aggregates, Aligned, Alignment, Group, Parts, identity, spread, summed
from flexhub.core.algebra.sums import LIMIT_KWH, Extents, Reach, nothing, sum_up, widen
from flexhub.core.batch import FlexOfferBatch, Floats, Ints
from flexhub.core.errors import InvalidError, NotFoundError
from flexhub.core.timegrid import EPOCH

GONE: Final = -1
NEW: Final = -2

GREATEST_KWH: Final = 1 << 20
"""An offer that may take or give more in a slice (a GWh) is not merged, so that sums stay exact."""

EASY_KWH: Final = 1 << 22
"""Offers that may not take or give more than this in a slice even if all were as large as the largest."""

MOST_BLOCKS: Final = 32
"""So many blocks of members are kept before all but the largest are joined."""


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

    def aligned(self, index: Ints) -> Aligned:
        """The members that are there; ``index: int64[groups]`` is the aggregate of each group."""
        live = self.live()
        if live is None:
            return Aligned(self.members, None, index[self.group], self.unit, self.reach.anchor)
        return Aligned(self.members, live, index[self.group[live]], self.unit[live], self.reach.anchor[live])

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
        self._known: dict[str, int] | None = {}
        self._cells = _Numbers()
        self._numbers = _Numbers()
        self._groups: dict[int, Group] = {}
        self._extents = Extents(*(np.zeros(0, dtype=np.int64) for _ in range(4)))
        self._latest: Aggregates | None = None

    def __len__(self) -> int:
        """Number of offers."""
        return sum(group.size for group in self._groups.values())

    @property
    def _rows(self) -> dict[str, int]:
        """Offer -> its row, counted over all blocks; made when first asked for, as hashing a million ids takes long.

        Raises:
            InvalidError: an id twice.
        """
        if self._known is None:
            self._known = {}
            base = 0
            for block in self._blocks:
                self._known.update(zip(block.members.batch.ids, range(base, base + len(block.group)), strict=True))
                base += len(block.group)
            if len(self._known) != base:
                self._known = None
                raise InvalidError("an offer stands twice", path="Members/batch/ids")
        return self._known

    def put(self, members: Members) -> tuple[Key, ...]:
        """Add these offers, or replace those of the same id: keys of the aggregates that this changed or ended.

        The ids of the first offers of all are looked at when something changes, not before.

        Raises:
            InvalidError: an id twice, another resolution than before, a bound that is no number, or a dimension that
                was not given; then nothing has changed.
        """
        ids = members.batch.ids
        if self._blocks and self._blocks[0].members.batch.resolution_s != members.batch.resolution_s:
            raise InvalidError(
                f"slots of {members.batch.resolution_s} s beside others", path="Members/batch/resolution_s"
            )
        if not ids:
            return ()
        if self._blocks and len(set(ids)) != len(ids):
            raise InvalidError("an offer stands twice", path="Members/batch/ids")
        known = [row for name in ids if (row := self._rows.get(name)) is not None] if self._blocks else []
        block, keys = self._block(members)
        return self._change(np.array(known, dtype=np.int64), block, keys)

    def withdraw(self, ids: Collection[str]) -> tuple[Key, ...]:
        """Take these offers out: keys of the aggregates that this changed or ended.

        Raises:
            NotFoundError: an offer that is not there; then nothing has changed.
        """
        for name in ids:
            if name not in self._rows:
                raise NotFoundError("no such offer is aggregated", path="Aggregator", value=name)
        rows = np.array([self._rows[name] for name in set(ids)], dtype=np.int64)
        return self._change(rows, None, [])

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
        parts = [spread(block.aligned(index), aggregates, starts, energies_kwh) for block in self._blocks]
        if len(parts) == 1:
            return Parts(self.members(), *parts[0])
        return Parts(
            self.members(),
            np.concatenate([starts[:0], *(mine for mine, _ in parts)]),
            np.concatenate([energies_kwh[:0], *(mine for _, mine in parts)]),
        )

    def _block(self, members: Members) -> tuple[_Block, list[Key]]:
        batch, first = members.batch, members.batch.offsets[:-1]
        anchor: Ints = batch.first_start if self.alignment is Alignment.START else members.anchor
        most = np.full(len(batch), max(-float(batch.lo_kwh.min()), float(batch.hi_kwh.max())))
        if np.isnan(batch.lo_kwh.min() + batch.hi_kwh.max()):
            astray = int(np.argmax(np.isnan(batch.lo_kwh) | np.isnan(batch.hi_kwh)))
            name = batch.ids[int(np.searchsorted(batch.offsets, astray, side="right")) - 1]
            raise InvalidError("bounds are numbers", path="Members/batch/lo_kwh", value=name)
        if most[0] * len(batch) > EASY_KWH:  # only then it matters whose it is
            most = np.maximum(-np.minimum.reduceat(batch.lo_kwh, first), np.maximum.reduceat(batch.hi_kwh, first))
        unit: Ints = np.where(most <= GREATEST_KWH, members.unit_slots(), 0)
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

    def _change(self, gone: Ints, block: _Block | None, keys: Sequence[Key]) -> tuple[Key, ...]:
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
            if self._blocks:
                base = sum(len(b.group) for b in self._blocks)
                self._rows.update(zip(block.members.batch.ids, range(base, base + len(block.group)), strict=True))
            else:
                self._known = None
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
        found = nothing(len(distinct))
        widen(found, local, reach)
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
                group = self._groups[number] = Group(self._numbers.key[number], step)
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
        live = [number for number in stale if self._groups[number].size]
        local = np.full(size + 2, len(live), dtype=np.int64)  # two more for GONE and NEW, which count from the end
        local[live] = np.arange(len(live))
        for number in stale:
            if not self._groups[number].size:
                self._numbers.drop(self._groups.pop(number).key)
        if not live:
            return
        found = nothing(len(live) + 1)
        for block in self._blocks:
            group = local[block.group]
            rows = np.flatnonzero(group < len(live))
            if 2 * len(rows) > len(group):  # picking rows would cost more than it saves
                widen(found, group, block.reach)
            else:
                widen(found, group[rows], block.reach.of(rows))
        for column, values in zip(self._extents, found, strict=True):
            column[live] = values[:-1]

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
        parts = [summed(merged, Extents(*(c[: len(merged)] for c in found)), self._resolution_s())]
        if alone:
            rows = np.array([self._rows[str(g.key[0])] for g in alone], dtype=np.int64)
            parts.append(self._as_they_are(rows))
        batch = FlexOfferBatch.join([part for part, _ in parts])
        default = np.concatenate([d for _, d in parts]) if self.alignment is Alignment.DEFAULT else None
        return Aggregates(
            batch=replace(batch, ids=tuple(identity(g.key) for g in groups)),
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


def _joined(parts: Sequence[_Block]) -> _Block:
    return _Block(
        Members.join([part.members for part in parts]),
        np.concatenate([part.unit for part in parts]),
        Reach(*(np.concatenate(columns) for columns in zip(*(part.reach for part in parts), strict=True))),
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("cell", "group", "energy", "most")),
    )
