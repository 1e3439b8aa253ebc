"""The price oracle compiled, for the extra `fast`; `oracle` says what it computes, in the same steps."""

from __future__ import annotations

from typing import Final

import numba  # type: ignore[import-untyped]  # has no types
import numpy as np

from flexhub.core.algebra import oracle
from flexhub.core.algebra.storage import Storage
from flexhub.core.batch import Floats, Ints

CHUNK: Final = 256
"""Members that one thread works on before it takes more; sums are taken chunk by chunk, whatever the threads."""


def blend(storage: Storage, prices: Floats, weights: Floats) -> Floats:
    """As `oracle.blend`."""
    below = np.array([oracle.slopes_below(price) for price in prices], dtype=np.int64).reshape(prices.shape)
    result = np.zeros(storage.lo_kwh.shape)
    _blend(storage.lo_kwh, storage.hi_kwh, storage.floor_kwh, storage.ceiling_kwh, below, weights, result)
    return result


def respond(storage: Storage, prices: Floats, sizes: Floats) -> Floats:
    """As `oracle.respond`."""
    chunks = -(-len(storage) // CHUNK)
    sums = np.zeros((chunks, storage.slots))
    below = oracle.slopes_below(prices)
    _respond(storage.lo_kwh, storage.hi_kwh, storage.floor_kwh, storage.ceiling_kwh, below, sizes, sums)
    total: Floats = sums.sum(axis=0)
    return total


@numba.njit(cache=True)  # type: ignore[untyped-decorator]  # numba has no types
def _answer(  # noqa: PLR0913, PLR0917 - a kernel takes columns
    lo: Floats, hi: Floats, a: Floats, b: Floats, below: Ints, member: int, wish: Floats, here: Floats, there: Floats
) -> None:
    """Energies of a member into wish: float64[t]; here and there: room for t + 2 points each."""
    slots = lo.shape[0]
    here[0], here[1] = a[slots - 1, member], b[slots - 1, member]
    for back in range(slots):
        t = slots - 1 - back
        k, n = below[t], slots - t
        wish[t] = here[k]
        if t:
            least, most = a[t - 1, member], b[t - 1, member]
            down, up = hi[t, member], lo[t, member]
            for j in range(k + 1):  # comparisons, since `min` and `max` of numba are not vectorised
                point = here[j] - down
                point = least if point < least else point
                there[j] = most if point > most else point
            for j in range(k, n + 1):
                point = here[j] - up
                point = least if point < least else point
                there[j + 1] = most if point > most else point
            here, there = there, here
    used = 0.0
    for t in range(slots):
        energy = min(max(wish[t] - used, lo[t, member]), hi[t, member])
        wish[t] = energy
        used += energy


@numba.njit(parallel=True, cache=True)  # type: ignore[untyped-decorator]  # numba has no types
def _blend(  # noqa: PLR0913, PLR0917 - a kernel takes columns
    lo: Floats, hi: Floats, a: Floats, b: Floats, below: Ints, weights: Floats, result: Floats
) -> None:
    slots, members = lo.shape
    for chunk in numba.prange((members + CHUNK - 1) // CHUNK):
        wish, here, there = np.empty(slots), np.empty(slots + 2), np.empty(slots + 2)
        for member in range(chunk * CHUNK, min(members, (chunk + 1) * CHUNK)):
            for c in range(len(weights)):
                _answer(lo, hi, a, b, below[c], member, wish, here, there)
                for t in range(slots):
                    result[t, member] += weights[c] * wish[t]


@numba.njit(parallel=True, cache=True)  # type: ignore[untyped-decorator]  # numba has no types
def _respond(  # noqa: PLR0913, PLR0917 - a kernel takes columns
    lo: Floats, hi: Floats, a: Floats, b: Floats, below: Ints, sizes: Floats, sums: Floats
) -> None:
    slots, members = lo.shape
    for chunk in numba.prange((members + CHUNK - 1) // CHUNK):
        wish, here, there = np.empty(slots), np.empty(slots + 2), np.empty(slots + 2)
        for member in range(chunk * CHUNK, min(members, (chunk + 1) * CHUNK)):
            _answer(lo, hi, a, b, below, member, wish, here, there)
            for t in range(slots):
                sums[chunk, t] += sizes[member] * wish[t]
