"""Balance aggregation: production is put together with consumption, so that an aggregate comes to as little as it can.

Members are merged as by start alignment, but each at the start that suits the others: with v_k what a member is
expected to take in each slice (its default schedule; without one the middle of its ranges), and r_k its anchor,

    absolute energy of a group = sum over slots of | sum over k of v_k[slot - r_k] |,

and the sum of these over all groups is what is made small. It is a hard problem (partition is one of its cases), so it
is met by steps that each make it less: a group begins with the offer of most energy that is left, takes the offer and
the anchor that relieve it most as long as any does, and then moves its members, one at a time, as long as that helps.

Aggregates are those of `alignment.merge`, and so is the law: what one may do, its members can.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from flexhub.core.algebra import alignment
from flexhub.core.algebra.grouping import Dimension, cell, group
from flexhub.core.algebra.shape import bounds, default_energies
from flexhub.core.batch import Floats, Ints
from flexhub.core.flexoffer import FlexOffer
from flexhub.core.trading import Aggregate
from flexhub.core.units import TOLERANCE_KWH
from flexhub.core.watch import Watch, unseen

BALANCED: Final = "balanced"

TOGETHER: Final[Mapping[Dimension, float]] = {Dimension.LOCATION: 0.0}
"""What is balanced against each other lies at one location, unless told otherwise."""

MOST_CANDIDATES: Final = 512
"""So many offers, those of most energy, are looked at in each step."""

MOST_ROUNDS: Final = 20
"""So often at most every member of a group is moved."""


def expected_kwh(offer: FlexOffer) -> Floats:
    """What the offer is expected to take in each slice of its first profile, kWh: float64[n]."""
    default = default_energies(offer)
    if default is not None:
        return default
    lo, hi = bounds(offer.profiles[0])
    return (lo + hi) / 2


def absolute_kwh(aggregate: Aggregate, members: Sequence[FlexOffer]) -> float:
    """Absolute energy of an aggregate: of its members' expectation as they are aligned, kWh."""
    by_id = {offer.id: offer for offer in members}
    total: dict[int, float] = {}
    for member in aggregate.members:
        offer = by_id[member.offer]
        at = member.offset
        for piece, energy in zip(offer.profiles[0].slices, expected_kwh(offer).tolist(), strict=True):
            total[at] = total.get(at, 0.0) + energy
            at += piece.min_duration
    return sum(map(abs, total.values()))


def aggregate(
    offers: Sequence[FlexOffer],
    issuer: str,
    by: Mapping[Dimension, float] = TOGETHER,
    *,
    least_time_flexibility: int = 0,
    watch: Watch = unseen,
) -> list[Aggregate]:
    """Merge offers that relieve each other; each is a member of exactly one aggregate.

    What cannot be merged, has a price (which its default schedule anchors, so that it cannot move by itself) or finds
    nobody stays alone. Default schedules of merged offers are kept where they move alike.

    Args:
        offers: of distinct ids.
        issuer: of the aggregates.
        by: what offers of one group may differ by, as in `grouping`.
        least_time_flexibility: slots that an aggregate can be moved by, at least.
        watch: sees the groups of candidates go by.

    O(g c w n) for g merges, c candidates (`MOST_CANDIDATES` at most) of w starts and n slices.
    """
    windows = [None if offer.price is not None else alignment.mergeable(offer) for offer in offers]
    movable = [(offer, window) for offer, window in zip(offers, windows, strict=True) if window is not None]
    found = [alignment.alone(offer, issuer) for offer, window in zip(offers, windows, strict=True) if window is None]
    pools = group(
        movable,
        lambda pair: (
            pair[0].resolution_s,
            (unit := pair[0].profiles[0].slices[0].min_duration),
            pair[1].first % unit,
            cell(pair[0], by),
        ),
    )
    for pool in watch(pools, "balancing"):
        members = [offer for offer, _ in pool]
        unit = members[0].profiles[0].slices[0].min_duration
        base = min(window.first for _, window in pool)
        candidates = _Pool.of(
            [expected_kwh(offer) for offer in members],
            np.array([(window.first - base) // unit for _, window in pool], dtype=np.int64),
            np.array([(window.last - base) // unit for _, window in pool], dtype=np.int64),
        )
        least = -(-least_time_flexibility // unit)
        for rows, anchors in candidates.groups(least):
            chosen = [members[i] for i in rows]
            if len(rows) == 1:
                found.append(alignment.alone(chosen[0], issuer))
            else:
                slots = [base + unit * r for r in anchors]
                found.append(alignment.merge(chosen, slots, issuer, method=BALANCED))
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Pool:
    """m offers that may be merged, in steps of their slices.

    ``energies: float64[m, n]``, 0 after the end of each; ``size: int64[m]``, slices of each; ``first, last: int64[m]``.
    """

    energies: Floats
    size: Ints
    first: Ints
    last: Ints

    @classmethod
    def of(cls, energies: Sequence[Floats], first: Ints, last: Ints) -> _Pool:
        size = np.array([len(one) for one in energies], dtype=np.int64)
        padded = np.zeros((len(size), int(size.max())))
        for row, one in zip(padded, energies, strict=True):
            row[: len(one)] = one
        return cls(padded, size, first, last)

    def groups(self, least: int) -> list[tuple[list[int], list[int]]]:
        """Rows of each group, and their anchors; `least` is the time flexibility that each keeps."""
        weight = np.abs(self.energies).sum(axis=1)
        order = np.argsort(-weight, kind="stable")
        free = np.ones(len(order), dtype=np.bool_)
        found = []
        for seed in order.tolist():
            if not free[seed]:
                continue
            free[seed] = False
            one = _Group(self, least)
            one.put(seed, int(self.first[seed]))
            while True:
                rows = order[free[order]][:MOST_CANDIDATES]
                step = one.best(rows)
                if step is None:
                    break
                one.put(*step)
                free[step[0]] = False
            one.settle()
            earliest, latest = one.slack()
            shift = min(max(0, earliest), latest)
            found.append((list(one.anchors), [anchor + shift for anchor in one.anchors.values()]))
        return found


class _Group:
    """A group that grows: the sum of its members where they stand, and each one's anchor.

    Only how members stand to each other matters. So anchors may leave their windows as long as some shift of all brings
    all of them back, and the sum has room for that on both sides.
    """

    def __init__(self, pool: _Pool, least: int) -> None:
        self.pool = pool
        self.least = least
        self.room = int((pool.last - pool.first).max())
        self.total = np.zeros(int(pool.last.max()) + pool.energies.shape[1] + 2 * self.room)
        self.anchors: dict[int, int] = {}

    def put(self, row: int, anchor: int) -> None:
        """Add this offer at this anchor."""
        self.anchors[row] = anchor
        at = anchor + self.room
        self.total[at : at + self.pool.energies.shape[1]] += self.pool.energies[row]

    def take(self, row: int) -> int:
        """Take this one out: its anchor."""
        anchor = self.anchors.pop(row)
        at = anchor + self.room
        self.total[at : at + self.pool.energies.shape[1]] -= self.pool.energies[row]
        return anchor

    def slack(self) -> tuple[int, int]:
        """Shifts that all members allow, from - to."""
        rows, anchors = (np.array(list(side), dtype=np.int64) for side in (self.anchors, self.anchors.values()))
        return int((self.pool.first[rows] - anchors).max()), int((self.pool.last[rows] - anchors).min())

    def reliefs(self, rows: Ints) -> tuple[Floats, Ints]:
        """How much less the sum is than apart, at the best anchor of each row: (float64[rows] kWh, int64[rows])."""
        pool = self.pool
        first, last, energies = pool.first[rows], pool.last[rows], pool.energies[rows]
        earliest, latest = self.slack()
        apart = np.abs(energies)
        best, where = np.full(len(rows), -np.inf), first.copy()
        windows = np.lib.stride_tricks.sliding_window_view(self.total, energies.shape[1])
        for step in range(int((last - first).max(initial=-1)) + latest - earliest + 1):
            anchor = first - latest + step
            keeps = np.minimum(latest, last - anchor) - np.maximum(earliest, first - anchor)
            there = np.flatnonzero((anchor <= last - earliest) & (keeps >= self.least))
            if not len(there):
                continue
            stands = windows[anchor[there] + self.room]
            relief = (np.abs(stands) + apart[there] - np.abs(stands + energies[there])).sum(axis=1)
            better = relief > best[there]
            best[there[better]], where[there[better]] = relief[better], anchor[there[better]]
        return best, where

    def best(self, rows: Ints) -> tuple[int, int] | None:
        """The offer and the anchor that relieve most; None where none does."""
        if not len(rows):
            return None
        reliefs, where = self.reliefs(rows)
        i = int(np.argmax(reliefs))
        return (int(rows[i]), int(where[i])) if reliefs[i] > TOLERANCE_KWH else None

    def settle(self) -> None:
        """Move members one at a time as long as that makes the sum less."""
        for _ in range(MOST_ROUNDS if len(self.anchors) > 1 else 0):
            moved = False
            for row in list(self.anchors):
                before = float(np.abs(self.total).sum())
                anchor = self.take(row)
                reliefs, where = self.reliefs(np.array([row], dtype=np.int64))
                self.put(row, int(where[0]) if np.isfinite(reliefs[0]) else anchor)
                if float(np.abs(self.total).sum()) > before - TOLERANCE_KWH:
                    self.take(row)
                    self.put(row, anchor)
                else:
                    moved = True
            if not moved:
                return
