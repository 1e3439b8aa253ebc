"""What storage-like members do at prices: the optimum of each, exactly, without a solver.

Given prices p_t, a member minimises ``sum p_t e_t``. Let V_t(x) be what slots t to the last cost at least from a
running total of x, and V = 0 after the last. V_t is convex and piecewise linear: with ``W(y) = p_t y + V_{t+1}(y)``,

    V_t(x) = min W(y) - p_t x   over y in [x + lo_t, x + hi_t], y in [a_t, b_t].

W falls up to a point y*_t and rises from there, so the best is y*_t, or the nearest to it that can be reached: a
base-stock rule, ``e_t = min(max(y*_t - x, lo_t), hi_t)``. As a function of x the minimum has the falling part of W
moved left by hi_t, its rising part moved left by lo_t, and between them a flat piece of length hi_t - lo_t. Minus
p_t x, so V_t has the slopes of V_{t+1} and one more, -p_t, where y*_t was. Hence

- the slopes, {0, -p_s for s >= t}, are the same for all members; only the points between them differ, and
- with these points E_0 = a_t <= E_1 <= ... <= E_n = b_t and k the number of slopes below -p_t, y*_t = E_k, and the step
  to t - 1 is ``E' = (E_0 - hi, ..., E_k - hi, E_k - lo, ..., E_n - lo)``, cut to [a_{t-1}, b_{t-1}].

The cut is exact as bounds are tightened: a_t - hi_t <= a_{t-1} and b_{t-1} <= b_t - lo_t, so no point is missing.
Work is t**2 / 2 for each member, of which each step is one for many members. `compiled` does the same with numba.

Members of one price: the sum of their answers is what the aggregate does best at it, since the least of a sum over
independent members is the sum of the least. So no aggregate is needed to answer prices.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from flexhub.core.algebra.storage import Storage
from flexhub.core.batch import Floats, Ints
from flexhub.core.errors import InvalidError

BLOCK = 256
"""Members that are worked on at once: their points stay in the cache of a core."""


def has_compiler() -> bool:
    """Whether the extra `fast` is installed."""
    return find_spec("numba") is not None


def slopes_below(prices: Floats) -> Ints:
    """int64[t]; k of each slot: the number of slopes in {0, -p_s for s > t} that are below -p_t; float64[t] prices."""
    slots = len(prices)
    later = np.triu(np.ones((slots, slots), dtype=np.bool_), 1)
    below = (-prices[None, :] < -prices[:, None]) & later
    found: Ints = below.sum(axis=1) + (-prices > 0)
    return found


def blend(storage: Storage, prices: Floats, weights: Floats, *, compiled: bool | None = None) -> Floats:
    """Weighted sum of what each member does at each of c prices: float64[t, m] kWh.

    Weights that are not negative and add up to 1 make it a feasible schedule of each member. O(c t^2 m / 2).

    Args:
        storage: t slots, m members.
        prices: float64[c, t]; EUR/kWh, or any unit.
        weights: float64[c], or float64[c, m] where each member has its own.
        compiled: use the extra `fast`; by default where it is installed. Both ways give the same.

    Raises:
        InvalidError: prices of another shape, or not finite.
    """
    _check(storage, prices)
    each = np.broadcast_to(weights.reshape(len(prices), -1), (len(prices), len(storage)))
    if _compiled(compiled):
        from flexhub.core.algebra import kernels  # noqa: PLC0415 - an extra, and slow to import

        return kernels.blend(storage, prices, np.ascontiguousarray(each))
    result = np.zeros(storage.lo_kwh.shape)
    below = [slopes_below(price) for price in prices]
    for i in range(0, len(storage), BLOCK):
        block = slice(i, i + BLOCK)
        for k, weight in zip(below, each[:, block], strict=True):
            if weight.any():
                result[:, block] += weight * _answer(storage.take(block), k)
    return result


def respond(storage: Storage, prices: Floats, sizes: Floats | None = None, *, compiled: bool | None = None) -> Floats:
    """What all members together do at prices: float64[t] kWh, the sum of ``blend(storage, [prices], [1])``.

    Args:
        storage: t slots, m members.
        prices: float64[t]; EUR/kWh, or any unit.
        sizes: float64[m]; how often each member counts; by default once.
        compiled: as in `blend`; sums may differ by rounding.

    Raises:
        InvalidError: prices of another shape, or not finite.
    """
    total: Floats = answers(storage, prices, np.array([0, len(storage)]), sizes, compiled=compiled)[0]
    return total


def answers(
    storage: Storage, prices: Floats, edges: Ints, sizes: Floats | None = None, *, compiled: bool | None = None
) -> Floats:
    """What each of g groups of members does at prices: float64[g, t] kWh; as `respond`.

    Members of group i are those from ``edges[i]`` to ``edges[i + 1]``: int64[g + 1], from 0 to m, rising.
    """
    _check(storage, prices[None])
    sizes = np.ones(len(storage)) if sizes is None else sizes
    if _compiled(compiled):
        from flexhub.core.algebra import kernels  # noqa: PLC0415 - as above

        return kernels.answers(storage, prices, edges, sizes)
    total = np.zeros((len(edges) - 1, storage.slots))
    below = slopes_below(prices)
    for i in range(0, len(storage), BLOCK):
        j = min(i + BLOCK, len(storage))
        begins = np.append(i, edges[(edges > i) & (edges < j)])
        energies = _answer(storage.take(slice(i, j)), below) * sizes[i:j]
        total[np.searchsorted(edges, begins, side="right") - 1] += np.add.reduceat(energies, begins - i, axis=1).T
    return total


def _check(storage: Storage, prices: Floats) -> None:
    if prices.ndim != 2 or prices.shape[1] != storage.slots or not np.isfinite(prices).all():
        raise InvalidError(f"{prices.shape} prices for {storage.slots} slots, all finite", path="prices")


def _compiled(wanted: bool | None) -> bool:
    return has_compiler() if wanted is None else wanted


def _answer(block: Storage, below: Ints) -> Floats:
    """Energies at the price of these `slopes_below`: float64[t, members of the block]."""
    slots, members = block.slots, len(block)
    lo, hi, a, b = block.lo_kwh, block.hi_kwh, block.floor_kwh, block.ceiling_kwh
    wish = np.empty((slots, members))
    here, there = np.empty((slots + 1, members)), np.empty((slots + 1, members))
    if slots:
        here[0], here[1] = a[-1], b[-1]
    for t in range(slots - 1, -1, -1):
        k, n = int(below[t]), slots - t
        wish[t] = here[k]
        if t:
            np.subtract(here[: k + 1], hi[t], out=there[: k + 1])
            np.subtract(here[k : n + 1], lo[t], out=there[k + 1 : n + 2])
            np.maximum(there[: n + 2], a[t - 1], out=there[: n + 2])
            np.minimum(there[: n + 2], b[t - 1], out=there[: n + 2])
            here, there = there, here
    used = np.zeros(members)
    for t in range(slots):
        np.subtract(wish[t], used, out=wish[t])
        np.maximum(wish[t], lo[t], out=wish[t])
        np.minimum(wish[t], hi[t], out=wish[t])
        used += wish[t]
    return wish
