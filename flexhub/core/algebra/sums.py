"""Exact sums of members' slices, in blocks that a cache holds.

A bound of x kWh counts as ``round(x * 2**36)``, an integer of 64 bits; sums of these are exact in any order, also where
they overflow on the way, as long as the result fits. It does while every slice of the sum is under 2**26 kWh (67 GWh).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from flexhub.core.batch import Floats, Ints, spans

PER_KWH: Final = 2.0**36
"""Whole units in a kWh; one is 1.5e-11 kWh."""

LIMIT_KWH: Final = 2.0**26
"""No slice of a sum may reach this."""

BLOCK: Final = 1 << 15
"""Slices that are worked on at once: a few arrays of them stay in the cache of a core."""


class Extents(NamedTuple):
    """int64[g] of each group: first anchor, end of the last profile, and the shifts from earliest to latest.

    Slots since the epoch; shifts in slots.
    """

    origin: Ints
    end: Ints
    earliest: Ints
    latest: Ints


class Reach(NamedTuple):
    """int64[m] of each member: anchor, end of its profile from there, and its own shifts from earliest to latest."""

    anchor: Ints
    end: Ints
    earliest: Ints
    latest: Ints

    def of(self, rows: Ints) -> Reach:
        """These rows."""
        return Reach(*(column[rows] for column in self))


class Block(NamedTuple):
    """Members i..j - 1 of those asked for; where their slices are in the columns, and how many each has."""

    i: int
    j: int
    at: slice | Ints
    counts: Ints


def nothing(size: int) -> Extents:
    """Extents of `size` groups without members."""
    most = np.iinfo(np.int64).max
    return Extents(*(np.full(size, value, dtype=np.int64) for value in (most, -most, -most, most)))


def widen(found: Extents, group: Ints, reach: Reach) -> None:
    """Let the extents of groups hold these members; ``group: int64[m]``; O(m)."""
    np.minimum.at(found.origin, group, reach.anchor)
    np.maximum.at(found.end, group, reach.end)
    np.maximum.at(found.earliest, group, reach.earliest)
    np.minimum.at(found.latest, group, reach.latest)


def blocks(offsets: Ints, rows: Ints | None) -> Iterator[Block]:
    """The members (all of them, or these rows) in blocks of about `BLOCK` slices."""
    counts = np.diff(offsets) if rows is None else offsets[rows + 1] - offsets[rows]
    after = np.cumsum(counts)
    total = int(after[-1]) if len(after) else 0
    edges = np.unique(np.append(np.searchsorted(after, np.arange(0, total, BLOCK), side="left"), len(counts))).tolist()
    for i, j in zip([0, *edges] if edges[0] else edges, edges[1:] if not edges[0] else edges, strict=False):
        if rows is None:
            yield Block(i, j, slice(int(offsets[i]), int(offsets[j])), counts[i:j])
        else:
            yield Block(i, j, spans(offsets[rows[i:j]], offsets[rows[i:j] + 1]), counts[i:j])


def places(place: Ints, block: Block) -> Ints:
    """Where each slice of the block belongs, if the first of member i belongs at ``place[i]``: int64[slices]."""
    after = np.cumsum(block.counts)
    return np.repeat(place[block.i : block.j] - (after - block.counts), block.counts) + np.arange(after[-1])


def sum_up(columns: Sequence[Floats], offsets: Ints, rows: Ints | None, place: Ints, width: int) -> Ints:
    """Sums of the columns' slices where they belong, in units: int64[columns, width]; O(slices), little memory.

    Args:
        columns: float64[n] each, kWh, finite where they are summed.
        offsets: int64[m + 1]; slices of member i are ``offsets[i]:offsets[i + 1]``.
        rows: the members to sum; None for all.
        place: int64[rows]; where the first slice of each belongs.
        width: of the result.
    """
    sums = np.zeros((len(columns), width), dtype=np.int64)
    for block in blocks(offsets, rows):
        where = places(place, block)
        for total, column in zip(sums, columns, strict=True):
            np.add.at(total, where, np.rint(column[block.at] * PER_KWH).astype(np.int64))
    return sums
