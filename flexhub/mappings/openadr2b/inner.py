"""The greatest box within an offer: what can be said of it by a least and a most of each slice, and nothing more.

OpenADR tells up and down of each interval by itself. Totals, dependencies between slices, alternatives and starts have
no place there, so of what an offer allows a box is told in which every choice is allowed: nothing that a utility may
dispatch within it breaks the offer. What this takes from the offer is told in kWh.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from flexhub.core.algebra.measures import energy_flexibility_kwh, time_flexibility
from flexhub.core.algebra.shape import joint_rows
from flexhub.core.errors import InfeasibleError
from flexhub.core.feasibility import feasible_schedule
from flexhub.core.flexoffer import FlexOffer, Profile, Schedule, Slice
from flexhub.core.judge import violations
from flexhub.mappings.fates import Kind, Loss

Floats = NDArray[np.float64]
_SAFE = 1 - 1e-9
"""Of what would reach a bound exactly a billionth is left, so that rounding reaches no further."""


class Box(NamedTuple):
    """Least and most energy of each slice around a schedule that the offer allows, and what was lost."""

    schedule: Schedule
    lo_kwh: tuple[float, ...]
    hi_kwh: tuple[float, ...]
    losses: tuple[Loss, ...]

    @property
    def flexibility_kwh(self) -> float:
        """Sum of most minus least."""
        return sum(self.hi_kwh) - sum(self.lo_kwh)


def box(offer: FlexOffer, now: datetime) -> Box:
    """The box of the profile that leaves the most.

    It begins with the schedule that the default is, where the offer allows that, or else one that was found.

    Raises:
        InfeasibleError: no profile has a schedule that can be found.
    """
    found: list[tuple[float, int, Box]] = []
    for index, profile in enumerate(offer.profiles):
        alone = msgspec.structs.replace(offer, profiles=(profile,), default_schedule=None)
        center = _center(offer, alone, now)
        if center is not None:
            lo, hi = _grown(offer, profile, center)
            one = Box(center, lo, hi, ())
            found.append((one.flexibility_kwh, -index, one))
    if not found:
        raise InfeasibleError("no schedule of it was found", path="FlexOffer/profiles")
    _, index, best = max(found)
    return best._replace(losses=tuple(_lost(offer, -index, best)))


def _center(offer: FlexOffer, alone: FlexOffer, now: datetime) -> Schedule | None:
    default = offer.default_schedule
    if default is not None:
        own = msgspec.structs.replace(default, profile=0)
        if not violations(alone, own, now=now):
            return own
    return feasible_schedule(alone, now)


def _grown(offer: FlexOffer, profile: Profile, center: Schedule) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Least and most of the schedule's slices: as far up and down at once as rows allow, then each way alone."""
    at = np.array([piece.energy_kwh for piece in center.slices])
    if profile.two_mode is not None or offer.total_cost_eur is not None:
        return tuple(at.tolist()), tuple(at.tolist())
    ranges = [_range(piece, energy) for piece, energy in zip(profile.slices, at.tolist(), strict=True)]
    full_down = at - np.array([lo for lo, _ in ranges])
    full_up = np.array([hi for _, hi in ranges]) - at
    rows, lower, upper = joint_rows(profile)
    positive, negative = np.maximum(rows, 0.0), np.maximum(-rows, 0.0)
    above, below = upper - rows @ at, rows @ at - lower
    up, down = np.zeros(len(at)), np.zeros(len(at))
    for way_up, way_down in ((full_up, full_down), (full_up, 0 * full_down), (0 * full_up, full_down)):
        more_up, more_down = np.minimum(way_up, full_up - up), np.minimum(way_down, full_down - down)
        share = min(
            _room(above - positive @ up - negative @ down, positive @ more_up + negative @ more_down),
            _room(below - positive @ down - negative @ up, positive @ more_down + negative @ more_up),
        )
        up, down = up + share * more_up, down + share * more_down
    return tuple((at - down).tolist()), tuple((at + up).tolist())


def _room(left: Floats, wanted: Floats) -> float:
    """The share of what is wanted that every row has room for."""
    tight = wanted > np.maximum(left, 0.0)
    if not tight.any():
        return 1.0
    return float(np.min(np.maximum(left[tight], 0.0) / wanted[tight])) * _SAFE


def _range(piece: Slice, energy: float) -> tuple[float, float]:
    """The one range of a slice that holds an energy; of amounts and where only a polygon bounds, the energy alone."""
    choices = [(r.lo_kwh, r.hi_kwh) for r in piece.energy_kwh]
    if piece.uncertainty is not None:
        likely = piece.uncertainty.likely_kwh()
        choices = [(max(a, lo), min(b, hi)) for a, b in choices or [(-np.inf, np.inf)] for lo, hi in likely]
    holding = [(lo, hi) for lo, hi in choices if lo <= energy <= hi]
    return max(holding, key=lambda r: r[1] - r[0], default=(energy, energy))


def _lost(offer: FlexOffer, index: int, best: Box) -> list[Loss]:
    profile, losses = offer.profiles[index], list[Loss]()
    alone = msgspec.structs.replace(offer, profiles=(profile,), default_schedule=None)
    path = f"FlexOffer/profiles[{index}]"
    # Where only a polygon bounds a slice there is no box around it to compare with: so much is unknown.
    whole = energy_flexibility_kwh(alone)
    lost = whole - best.flexibility_kwh if np.isfinite(whole) else None
    if lost is None or lost > 1e-6:
        why = "what couples slices has no place in a report: the greatest box within is told; kWh of flexibility lost"
        losses.append(Loss(path=path, kind=Kind.BOUND, value=lost, why=why))
    if len(offer.profiles) > 1:
        others = [
            energy_flexibility_kwh(msgspec.structs.replace(offer, profiles=(p,), default_schedule=None))
            for i, p in enumerate(offer.profiles)
            if i != index
        ]
        known = sum(kwh for kwh in others if np.isfinite(kwh))
        why = "of alternatives one is told; kWh of flexibility of the others"
        losses.append(Loss(path="FlexOffer/profiles", kind=Kind.BOUND, value=known, why=why))
    slots = time_flexibility(alone)
    if slots:
        why = "a report has one start; slot-kWh of flexibility lost (an availability tells the window)"
        value = slots * best.flexibility_kwh
        losses.append(Loss(path="FlexOffer/start_before", kind=Kind.BOUND, value=value, why=why))
    return losses
