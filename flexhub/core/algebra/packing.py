"""Which storage-like members share a DFO, so that coupling costs little.

Coupled members stand at the same share of what each can reach, so it costs least where they reach alike. What counts
most is how long a member takes to be full at full power, as a ratio: one that takes half as long waits for the other.
Then come its times, and where it begins. Members are parted at the median of what they differ in most, again and again,
until no group is larger than wanted.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from flexhub.core.algebra.storage import Storage
from flexhub.core.batch import Floats, Ints
from flexhub.core.errors import InvalidError

OPEN_KWH: Final = 1e-6
"""A total that may vary by less is settled."""


PER_OCTAVE: Final = 16.0
PER_RANGE: Final = 4.0
"""Slots of time that count as much as twice the duration, and as the whole range: found by trial on mixed fleets."""


def settled(storage: Storage, share: float = 1.0) -> Storage:
    """The members with one total each, that lies so far between the least and the greatest; an inner approximation.

    What is lost is the freedom of the total. By default a car is charged as far as it may be.

    Raises:
        InvalidError: a share outside 0..1.
    """
    if not 0 <= share <= 1:
        raise InvalidError(f"a share of {share}", path="share")
    floor, ceiling = storage.floor_kwh.copy(), storage.ceiling_kwh.copy()
    if storage.slots:
        floor[-1] = ceiling[-1] = floor[-1] + share * (ceiling[-1] - floor[-1])
    return Storage.tightened(storage.lo_kwh, storage.hi_kwh, floor, ceiling)


def features(storage: Storage) -> Floats:
    """What tells members apart, weighted by how much it counts: float64[m, 5].

    First and last slot in which anything may be taken; from the least to the greatest running total, in slots of full
    power, as `PER_OCTAVE` times the logarithm to base 2; and where in this range a member begins and must end at least.
    """
    power = np.maximum(np.abs(storage.lo_kwh), np.abs(storage.hi_kwh))
    there = power > 0
    last = storage.slots - 1 - np.argmax(there[::-1], axis=0)
    unit = np.maximum(power.max(axis=0), OPEN_KWH)
    low = np.minimum(storage.floor_kwh.min(axis=0), 0.0)
    width = np.maximum(np.maximum(storage.ceiling_kwh.max(axis=0), 0.0) - low, OPEN_KWH)
    return np.column_stack([
        np.argmax(there, axis=0),
        np.where(there.any(axis=0), last, 0),
        PER_OCTAVE * np.log2(width / unit),
        PER_RANGE * -low / width,
        PER_RANGE * (storage.floor_kwh[-1] - low) / width,
    ])  # fmt: skip


def packs(storage: Storage, size: int) -> list[Ints]:
    """Groups of so many members at most, alike within each; members that are done while open only with their like.

    Raises:
        InvalidError: a size below 1.
    """
    if size < 1:
        raise InvalidError(f"groups of {size}", path="size")
    if not storage.slots or not len(storage):
        return []
    told = features(storage)
    last = told[:, 1].astype(np.int64)
    open_at_end = storage.ceiling_kwh[-1] - storage.floor_kwh[-1] > OPEN_KWH
    done = np.where(open_at_end & (last < storage.slots - 1), last, -1)
    groups: list[Ints] = []
    for key in np.unique(done).tolist():
        rows = np.flatnonzero(done == key)
        groups += [rows[part] for part in halves(told[rows], size)]
    return groups


def halves(told: Floats, size: int) -> list[Ints]:
    """Rows of features in groups of so many at most, by parting them at the median of what they differ in most."""
    groups: list[Ints] = []
    todo = [np.arange(len(told))]
    while todo:
        rows = todo.pop()
        if len(rows) <= size:
            groups.append(rows)
            continue
        part = told[rows]
        widest = int(np.argmax(np.quantile(part, 0.9, axis=0) - np.quantile(part, 0.1, axis=0)))
        rows = rows[np.argsort(part[:, widest], kind="stable")]
        half = size * max(1, round(len(rows) / size / 2))  # so that groups are full
        todo += [rows[half:], rows[:half]]
    return groups
