"""Which storage-like members share a DFO, so that coupling costs little.

Coupled members stand at the same share of what each can reach, so it costs least where they reach alike: where power,
energy and times are in the same proportion. Measured in slots of full power all of these have one unit, and members are
parted at the median of what they differ in most, again and again, until no group is larger than wanted.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from flexhub.core.algebra.storage import Storage
from flexhub.core.batch import Floats, Ints
from flexhub.core.errors import InvalidError

OPEN_KWH: Final = 1e-6
"""A total that may vary by less is settled."""


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
    """What tells members apart, in slots (of full power, where it is of energies): float64[m, 5].

    First and last slot in which anything may be taken; least and greatest total; and the most that may be in between.
    """
    power = np.maximum(np.abs(storage.lo_kwh), np.abs(storage.hi_kwh))
    there = power > 0
    last = storage.slots - 1 - np.argmax(there[::-1], axis=0)
    unit = np.maximum(power.max(axis=0), 1e-12)
    floor, ceiling = storage.floor_kwh, storage.ceiling_kwh
    return np.column_stack([
        np.argmax(there, axis=0),
        np.where(there.any(axis=0), last, 0),
        floor[-1] / unit,
        ceiling[-1] / unit,
        ceiling.max(axis=0) / unit,
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
        todo = [np.flatnonzero(done == key)]
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
