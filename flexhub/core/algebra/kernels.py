"""The price oracle compiled, for the extra `fast`; `oracle` says what it computes.

Members are worked on a few at a time, lane by lane, so that one instruction moves a point of several. Kept are the
slopes that are left between a_t and b_t of any of them, which are few (a battery that is full after n slots has n / 2
or so), each with its rank among all; slots in which none of them has a choice add none. The points between slopes are
moved by the same subtractions and cuts, so the answers are the same, bit by bit.
"""

from __future__ import annotations

from typing import Final

import numba
import numpy as np

from flexhub.core.algebra.storage import Storage
from flexhub.core.batch import Floats, Ints

CHUNK: Final = 256
"""Members that one thread works on before it takes more; sums are taken chunk by chunk, whatever the threads."""

FEW: Final = 1024
"""Members that answer sooner than threads are woken."""

LANES: Final = 16
"""Members that are worked on side by side: their points stay in the first cache."""


def blend(storage: Storage, prices: Floats, weights: Floats) -> Floats:
    """As `oracle.blend`, with weights of each member: float64[c, m]."""
    ranks = np.array([_ranks(price) for price in prices], dtype=np.int64).reshape(len(prices), storage.slots + 1)
    result = np.zeros(storage.lo_kwh.shape)
    _blend(storage.lo_kwh, storage.hi_kwh, storage.floor_kwh, storage.ceiling_kwh, ranks, weights, result)
    return result


def answers(storage: Storage, prices: Floats, edges: Ints, sizes: Floats) -> Floats:
    """As `oracle.answers`."""
    parts = -(-np.diff(edges) // CHUNK)
    first = np.cumsum(parts) - parts
    group = np.repeat(np.arange(len(parts)), parts)
    begin = edges[group] + CHUNK * (np.arange(len(group)) - first[group])
    end = np.minimum(begin + CHUNK, edges[group + 1])
    sums = np.zeros((len(group), storage.slots))
    ranks = _ranks(prices)
    asked = _respond if len(storage) > FEW else _respond_alone
    asked(storage.lo_kwh, storage.hi_kwh, storage.floor_kwh, storage.ceiling_kwh, ranks, sizes, begin, end, sums)
    total = np.zeros((len(parts), storage.slots))
    np.add.at(total, group, sums)
    return total


def _ranks(prices: Floats) -> Ints:
    """int64[t + 1]; rank of each slope -p_t, and of the slope 0 of the end, among all; of equal ones by slot."""
    ranks = np.empty(len(prices) + 1, dtype=np.int64)
    ranks[np.argsort(np.append(-prices, 0.0), kind="stable")] = np.arange(len(prices) + 1)
    return ranks


@numba.njit(cache=True, inline="always")
def _within(value: float, least: float, most: float) -> float:
    """The value, cut to the bounds: comparisons, since `min` and `max` are not vectorised by numba."""
    above = least if value < least else value  # noqa: FURB136 - as above
    return most if above > most else above  # noqa: FURB136 - as above


@numba.njit(cache=True)
def _answer(  # noqa: PLR0913, PLR0917, C901, PLR0912 - a kernel takes columns, and has its loops in sight of each other
    lo: Floats,
    hi: Floats,
    a: Floats,
    b: Floats,
    rank: Ints,
    begin: int,
    width: int,
    wish: Floats,
    points: Floats,
    here: Floats,
    slopes: Ints,
) -> None:
    """Energies of the members from `begin` on, `width` of them, into wish: float64[t, LANES].

    points, here and slopes are room: float64[t + 3, LANES], float64[4, LANES] and int64[t + 3]. Slope j, of rank
    slopes[j], holds between points[j] and points[j + 1], for j from first to last - 1.
    """
    slots = lo.shape[0]
    first, last = 0, 1
    for lane in range(width):
        member = np.uintp(begin + lane)  # an index that may be negative is not vectorised
        points[0, lane], points[1, lane] = a[slots - 1, member], b[slots - 1, member]
    slopes[0] = rank[slots]
    for back in range(slots):
        t = slots - 1 - back
        k = first
        while k < last and slopes[k] < rank[t]:
            k += 1
        for lane in range(width):
            wish[t, lane] = points[k, lane]
        if not t:
            break
        choice = 0
        for lane in range(width):
            member = np.uintp(begin + lane)
            here[0, lane], here[1, lane] = lo[t, member], hi[t, member]
            here[2, lane], here[3, lane] = a[t - 1, member], b[t - 1, member]
            choice |= here[0, lane] != here[1, lane]
        if choice:
            for j in range(last, k - 1, -1):
                for lane in range(width):
                    points[j + 1, lane] = _within(points[j, lane] - here[0, lane], here[2, lane], here[3, lane])
                slopes[j + 1] = slopes[j]
            slopes[k] = rank[t]
            last += 1
        else:
            k = last
        for j in range(first, k + 1):
            for lane in range(width):
                points[j, lane] = _within(points[j, lane] - here[1, lane], here[2, lane], here[3, lane])
        while first < last:
            apart = 0
            for lane in range(width):
                apart |= points[first + 1, lane] != here[2, lane]
            if apart:
                break
            first += 1
        while first < last:
            apart = 0
            for lane in range(width):
                apart |= points[last - 1, lane] != here[3, lane]
            if apart:
                break
            last -= 1
    for lane in range(width):
        points[0, lane] = 0.0
    for t in range(slots):
        for lane in range(width):
            member = np.uintp(begin + lane)
            energy = _within(wish[t, lane] - points[0, lane], lo[t, member], hi[t, member])
            wish[t, lane] = energy
            points[0, lane] += energy


@numba.njit(parallel=True, cache=True)
def _blend(  # noqa: PLR0913, PLR0917 - a kernel takes columns
    lo: Floats, hi: Floats, a: Floats, b: Floats, ranks: Ints, weights: Floats, result: Floats
) -> None:
    slots, members = lo.shape
    for chunk in numba.prange((members + CHUNK - 1) // CHUNK):
        wish, points, here = np.empty((slots, LANES)), np.empty((slots + 3, LANES)), np.empty((4, LANES))
        slopes = np.empty(slots + 3, np.int64)
        for begin in range(chunk * CHUNK, min(members, (chunk + 1) * CHUNK), LANES):
            width = min(LANES, members - begin)
            for c in range(len(weights)):
                used = 0
                for lane in range(width):
                    used |= weights[c, np.uintp(begin + lane)] != 0
                if not used:
                    continue
                _answer(lo, hi, a, b, ranks[c], begin, width, wish, points, here, slopes)
                for t in range(slots):
                    for lane in range(width):
                        member = np.uintp(begin + lane)
                        result[t, member] += weights[c, member] * wish[t, lane]


@numba.njit(parallel=True, cache=True)
def _respond(  # noqa: PLR0913, PLR0917 - a kernel takes columns
    lo: Floats, hi: Floats, a: Floats, b: Floats, rank: Ints, sizes: Floats, begins: Ints, ends: Ints, sums: Floats
) -> None:
    slots, members = lo.shape
    for chunk in numba.prange(len(begins)):
        wish, points, here = np.empty((slots, LANES)), np.empty((slots + 3, LANES)), np.empty((4, LANES))
        slopes = np.empty(slots + 3, np.int64)
        for begin in range(begins[chunk], ends[chunk], LANES):
            width = min(LANES, ends[chunk] - begin)
            whole = min((width + 3) // 4 * 4, members - begin)  # what is next does no harm, and lanes go by four
            _answer(lo, hi, a, b, rank, begin, whole, wish, points, here, slopes)
            for t in range(slots):
                for lane in range(width):
                    sums[chunk, t] += sizes[begin + lane] * wish[t, lane]


_respond_alone = numba.njit(cache=True)(_respond.py_func)
"""The same by one thread."""
