"""The price oracle compiled, for the extra `fast`; `oracle` says what it computes.

Here each member keeps only the slopes that are left of it between a_t and b_t, which are few (a battery that is full
after n slots has n / 2 or so), each with its rank among all. The points between them are moved by the same
subtractions and cuts, so the answers are the same, bit by bit.
"""

from __future__ import annotations

from typing import Final

import numba
import numpy as np

from flexhub.core.algebra.storage import Storage
from flexhub.core.batch import Floats, Ints

CHUNK: Final = 256
"""Members that one thread works on before it takes more; sums are taken chunk by chunk, whatever the threads."""


def blend(storage: Storage, prices: Floats, weights: Floats) -> Floats:
    """As `oracle.blend`."""
    ranks = np.array([_ranks(price) for price in prices], dtype=np.int64).reshape(len(prices), storage.slots + 1)
    result = np.zeros(storage.lo_kwh.shape)
    _blend(storage.lo_kwh, storage.hi_kwh, storage.floor_kwh, storage.ceiling_kwh, ranks, weights, result)
    return result


def respond(storage: Storage, prices: Floats, sizes: Floats) -> Floats:
    """As `oracle.respond`."""
    chunks = -(-len(storage) // CHUNK)
    sums = np.zeros((chunks, storage.slots))
    ranks = _ranks(prices)
    _respond(storage.lo_kwh, storage.hi_kwh, storage.floor_kwh, storage.ceiling_kwh, ranks, sizes, sums)
    total: Floats = sums.sum(axis=0)
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
def _answer(  # noqa: PLR0913, PLR0917 - a kernel takes columns
    lo: Floats, hi: Floats, a: Floats, b: Floats, rank: Ints, member: int, wish: Floats, points: Floats, slopes: Ints
) -> None:
    """Energies of a member into wish: float64[t].

    points and slopes are room: float64[2 t + 4] and int64[2 t + 4]. Slope j, of rank slopes[j], holds between points[j]
    and points[j + 1], for j from first to last - 1.
    """
    slots = lo.shape[0]
    first, last = 0, 1
    points[0], points[1], slopes[0] = a[slots - 1, member], b[slots - 1, member], rank[slots]
    for back in range(slots):
        t = slots - 1 - back
        k = first
        while k < last and slopes[k] < rank[t]:
            k += 1
        wish[t] = points[k]
        if not t:
            break
        least, most, down, up = a[t - 1, member], b[t - 1, member], hi[t, member], lo[t, member]
        for j in range(last, k - 1, -1):
            points[j + 1] = _within(points[j] - up, least, most)
            slopes[j + 1] = slopes[j]
        for j in range(first, k + 1):
            points[j] = _within(points[j] - down, least, most)
        slopes[k] = rank[t]
        last += 1
        while first < last and points[first + 1] == least:
            first += 1
        while first < last and points[last - 1] == most:
            last -= 1
    used = 0.0
    for t in range(slots):
        energy = _within(wish[t] - used, lo[t, member], hi[t, member])
        wish[t] = energy
        used += energy


@numba.njit(parallel=True, cache=True)
def _blend(  # noqa: PLR0913, PLR0917 - a kernel takes columns
    lo: Floats, hi: Floats, a: Floats, b: Floats, ranks: Ints, weights: Floats, result: Floats
) -> None:
    slots, members = lo.shape
    for chunk in numba.prange((members + CHUNK - 1) // CHUNK):
        wish, points, slopes = np.empty(slots), np.empty(2 * slots + 4), np.empty(2 * slots + 4, np.int64)
        for member in range(chunk * CHUNK, min(members, (chunk + 1) * CHUNK)):
            for c in range(len(weights)):
                _answer(lo, hi, a, b, ranks[c], member, wish, points, slopes)
                for t in range(slots):
                    result[t, member] += weights[c] * wish[t]


@numba.njit(parallel=True, cache=True)
def _respond(  # noqa: PLR0913, PLR0917 - a kernel takes columns
    lo: Floats, hi: Floats, a: Floats, b: Floats, ranks: Ints, sizes: Floats, sums: Floats
) -> None:
    slots, members = lo.shape
    for chunk in numba.prange((members + CHUNK - 1) // CHUNK):
        wish, points, slopes = np.empty(slots), np.empty(2 * slots + 4), np.empty(2 * slots + 4, np.int64)
        for member in range(chunk * CHUNK, min(members, (chunk + 1) * CHUNK)):
            _answer(lo, hi, a, b, ranks, member, wish, points, slopes)
            for t in range(slots):
                sums[chunk, t] += sizes[member] * wish[t]
