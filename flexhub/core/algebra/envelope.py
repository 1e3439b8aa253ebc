"""The highest of many lines over [0, 1], by its corners: what couples the members of a group (`coupling`).

A line is its two ends (u, v), the values at r = 0 and at r = 1. Its value at r is the product with (1 - r, r), so the
lines that are highest somewhere are the corners of the points' hull to the upper right: found by taking, between two
corners, the point that is farthest beyond the segment, and again on both sides (quickhull). All others are left out by
two comparisons each, mostly.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np

from flexhub.core.batch import Floats

NEAR: Final = 1e-13
"""A point that lies beyond a segment by less is on it, since rounding put it there."""


class Lines(NamedTuple):
    """Values at r = 0 and r = 1: float64[n] each."""

    at_0: Floats
    at_1: Floats


class Chain(NamedTuple):
    """A piecewise linear function by its corners, float64[n] each; x rises."""

    x: Floats
    y: Floats

    def __call__(self, x: Floats) -> Floats:
        """Its values: float64 of the shape of x, which lies between the first corner and the last."""
        return np.interp(x, self.x, self.y)


def highest(blocks: Iterable[Lines], least: float) -> Chain:
    """``max(least, lines)`` over [0, 1], which is convex; O(lines), and for each corner once more those near it."""
    corners = [np.array([[least, least]])]
    for at_0, at_1 in blocks:
        beyond = np.flatnonzero((at_0 > least) | (at_1 > least))
        if len(beyond):
            corners.append(_hull(at_0[beyond], at_1[beyond]))
    points = np.concatenate(corners)
    u, v = _hull(points[:, 0], points[:, 1]).T
    fall, rise = u[:-1] - u[1:], v[1:] - v[:-1]
    crossing = np.maximum.accumulate(fall / (fall + rise))
    x = np.concatenate(([0.0], crossing, [1.0]))
    return Chain(x, np.concatenate((u[:1], u[:-1] + (v - u)[:-1] * crossing, v[-1:])))


def _hull(u: Floats, v: Floats) -> Floats:
    """Corners to the upper right, from greatest u to greatest v: float64[c, 2]; u falls and v rises strictly."""
    first, last = _farthest(u, v), _farthest(v, u)
    if first == last:
        return np.array([[u[first], v[first]]])
    found = [(u[first], v[first])]
    todo = [(u, v, float(u[first]), float(v[first]), float(u[last]), float(v[last]))]
    while todo:
        u, v, from_u, from_v, to_u, to_v = todo.pop()
        beyond = (u - from_u) * (to_v - from_v) + (v - from_v) * (from_u - to_u)
        keep = np.flatnonzero(beyond > NEAR * (from_u - to_u + to_v - from_v))
        if not len(keep):
            found.append((to_u, to_v))
            continue
        top = keep[int(np.argmax(beyond[keep]))]
        at_u, at_v = float(u[top]), float(v[top])
        if not (from_u > at_u > to_u and from_v < at_v < to_v):
            found.append((to_u, to_v))
            continue
        u, v = u[keep], v[keep]
        todo += [(u, v, at_u, at_v, to_u, to_v), (u, v, from_u, from_v, at_u, at_v)]
    return np.array(found)


def _farthest(one: Floats, other: Floats) -> int:
    """The greatest by one, and of those by the other."""
    top = int(np.argmax(one))
    ties = np.flatnonzero(one == one[top])
    return int(ties[int(np.argmax(other[ties]))])
