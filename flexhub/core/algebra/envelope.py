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
    corners = [np.array([[least, least]]), *(_hull(*lines, least) for lines in blocks if len(lines.at_0))]
    points = np.concatenate(corners)
    u, v = _hull(points[:, 0], points[:, 1], least).T
    fall, rise = u[:-1] - u[1:], v[1:] - v[:-1]
    crossing = np.maximum.accumulate(fall / (fall + rise))
    x = np.concatenate(([0.0], crossing, [1.0]))
    return Chain(x, np.concatenate((u[:1], u[:-1] + (v - u)[:-1] * crossing, v[-1:])))


def _hull(u: Floats, v: Floats, least: float) -> Floats:
    """Corners to the upper right, from greatest u to greatest v, of these and (least, least): float64[c, 2].

    No two are the same. With that one as an end where all lie below it, no number is far larger than what matters.
    """
    first, last = int(np.argmax(u)), int(np.argmax(v))
    start = (float(u[first]), float(v[first])) if u[first] >= least else (least, least)
    end = (float(u[last]), float(v[last])) if v[last] >= least else (least, least)
    found = [start]
    todo = [(u, v, *start, *end)] if start != end else []
    while todo:
        u, v, from_u, from_v, to_u, to_v = todo.pop()
        fall, rise = from_u - to_u, to_v - from_v
        beyond = u * rise
        beyond += v * fall
        keep = np.flatnonzero(beyond > from_u * rise + from_v * fall + NEAR * (fall + rise))
        top = keep[int(np.argmax(beyond[keep]))] if len(keep) else 0
        at_u, at_v = float(u[top]), float(v[top])
        if not len(keep) or (at_u, at_v) in {(from_u, from_v), (to_u, to_v)}:
            found.append((to_u, to_v))
            continue
        u, v = u[keep], v[keep]
        todo += [(u, v, at_u, at_v, to_u, to_v), (u, v, from_u, from_v, at_u, at_v)]
    return np.array(found)
