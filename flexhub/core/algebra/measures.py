"""How much flexibility an offer holds. Measures of the first profile; time flexibility in slots, energy in kWh.

Where durations vary, slices are as short as they can be. The area of an assignment lies between its energies and the
axis, one slot wide; an absolute area is what all assignments cover together, over what none can do without.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from flexhub.core.algebra.shape import Floats, Trait, bounds, cumulative, starts, tighten, traits
from flexhub.core.base import Model
from flexhub.core.errors import InfeasibleError, InvalidError
from flexhub.core.feasibility import BIG_KWH, alternatives
from flexhub.core.flexoffer import FlexOffer

SOLVED: Final = frozenset({Trait.POLYGON, Trait.POLYTOPE, Trait.GAPS, Trait.UNCERTAIN})
"""Traits of profiles whose reach a program tells."""


def time_flexibility(offer: FlexOffer) -> int:
    """``tf = tls - tes`` in slots of the offer's resolution; 0 where the offer cannot start at all."""
    if offer.withdrawn:
        return 0
    window = starts(offer, offer.profiles[0].duration_slots()[0])
    return max(0, window.last - window.first)


def energy_flexibility_kwh(offer: FlexOffer) -> float:
    """``ef = sum(hi - lo)`` over slices, kWh; infinite where only a polygon bounds a slice."""
    if offer.withdrawn:
        return 0.0
    lo, hi = bounds(offer.profiles[0])
    return float((hi - lo).sum())


def product(offer: FlexOffer) -> float:
    """``tf * ef``: slots times kWh; 0 as soon as one of them is."""
    return time_flexibility(offer) * energy_flexibility_kwh(offer)


def vector(offer: FlexOffer) -> float:
    """``|(tf, ef)|``: Euclidean length, of slots and kWh."""
    return math.hypot(time_flexibility(offer), energy_flexibility_kwh(offer))


def time_series(offer: FlexOffer) -> float:
    """``|maxA - minA|_2`` in kWh: distance between the highest and the lowest assignment, slice by slice."""
    if offer.withdrawn:
        return 0.0
    lo, hi = bounds(offer.profiles[0])
    return float(np.linalg.norm(hi - lo))


def log_assignments(offer: FlexOffer) -> float:
    """Natural logarithm of ``(tf + 1) * prod(hi - lo + 1)``, the number of assignments with whole kWh."""
    if offer.withdrawn:
        return -math.inf
    lo, hi = bounds(offer.profiles[0])
    counts = np.maximum(np.floor(hi) - np.ceil(lo) + 1, 0)
    return -math.inf if (counts == 0).any() else math.log(time_flexibility(offer) + 1) + float(np.log(counts).sum())


def reachable_kwh(offer: FlexOffer) -> tuple[Floats, Floats]:
    """Least and greatest energy of each slice in any feasible schedule: float64[n] each, of the first profile.

    Totals narrow a slice's range, ``[max(lo_t, a_t - b_{t-1}), min(hi_t, b_t - a_{t-1})]`` with a, b as `tighten` has
    them; of polygons, polytopes and alternatives a linear program tells the ends.

    Raises:
        InfeasibleError: nothing is feasible.
    """
    if offer.withdrawn:
        return np.zeros(0), np.zeros(0)
    profile, found = offer.profiles[0], traits(offer)
    if found & SOLVED:
        return _spans_kwh(offer, running=False)
    lo, hi = bounds(profile)
    if not found & {Trait.TOTAL, Trait.SUBTOTAL}:
        return lo, hi
    try:
        tight = tighten(lo, hi, cumulative(profile))
    except InvalidError as error:
        raise InfeasibleError(error.message, path=f"FlexOffer[{offer.id}]", value=offer.id) from error
    before_lo, before_hi = (np.concatenate((np.zeros(1), side[:-1])) for side in tight)
    lo, hi = np.maximum(lo, tight.lo - before_hi), np.minimum(hi, tight.hi - before_lo)
    return np.minimum(lo, hi), hi


def running_reach_kwh(offer: FlexOffer) -> tuple[Floats, Floats]:
    """Least and greatest running total after each slice in any feasible schedule: float64[n] each.

    Raises:
        InfeasibleError: nothing is feasible.
    """
    return _spans_kwh(offer, running=True)


def _spans_kwh(offer: FlexOffer, *, running: bool) -> tuple[Floats, Floats]:
    from flexhub.core import linear  # noqa: PLC0415 - the solver is slow to import

    profile = offer.profiles[0]
    spans = linear.spans_kwh(profile, [alternatives(piece) for piece in profile.slices], BIG_KWH, running=running)
    if spans is None:
        raise InfeasibleError("nothing keeps all bounds", path=f"FlexOffer[{offer.id}]", value=offer.id)
    return np.array([lo for lo, _ in spans]), np.array([hi for _, hi in spans])


def reachable_energy_kwh(offer: FlexOffer) -> float:
    """Sum of the ranges that slices can reach, kWh; the energy flexibility where nothing couples them."""
    lo, hi = reachable_kwh(offer)
    return float((hi - lo).sum())


def absolute_area(offer: FlexOffer) -> float:
    """What all assignments cover together, over the inflexible minimum, in kWh times slots (of one slot: kWh).

    A slice of several slots spreads its energy over them. A slot is covered from the least to the greatest that any
    assignment has there, and between that and 0.

    Interpretation: the inflexible minimum is the area that no assignment can do without: of each slice the energy
    nearest to 0, or the total nearest to 0 where that is more. For consumption that is the profile's minimum.
    """
    if offer.withdrawn:
        return 0.0
    lo, hi = reachable_kwh(offer)
    durations = np.array([piece.min_duration for piece in offer.profiles[0].slices])
    shape = (np.minimum(np.repeat(lo / durations, durations), 0.0), np.maximum(np.repeat(hi / durations, durations), 0))
    window = np.lib.stride_tricks.sliding_window_view
    slack = time_flexibility(offer)
    down, up = (np.pad(side, slack) for side in shape)
    covered = float((window(up, slack + 1).max(axis=1) - window(down, slack + 1).min(axis=1)).sum())
    return covered - _inflexible_kwh(offer, lo, hi)


def relative_area(offer: FlexOffer) -> float:
    """``2 absolute_area / (|c_min| + |c_max|)`` with the least and the greatest energy in all; 0 where both are 0.

    Interpretation: magnitudes, so that it is defined for a battery, whose mean (c_min + c_max) / 2 is 0.
    """
    if offer.withdrawn:
        return 0.0
    least, most = totals_kwh(offer)
    size = abs(least) + abs(most)
    return 2 * absolute_area(offer) / size if size > 0 else 0.0


def totals_kwh(offer: FlexOffer) -> tuple[float, float]:
    """Least and greatest energy in all of any feasible schedule of the first profile, kWh.

    Raises:
        InfeasibleError: nothing is feasible.
    """
    if offer.withdrawn:
        return 0.0, 0.0
    profile = offer.profiles[0]
    if traits(offer) & SOLVED:
        from flexhub.core import linear  # noqa: PLC0415 - the solver is slow to import

        options = [alternatives(piece) for piece in profile.slices]
        ends = [linear.energies(profile, options, BIG_KWH, [sign] * len(options)) for sign in (1.0, -1.0)]
        if ends[0] is None or ends[1] is None:
            raise InfeasibleError("nothing keeps all bounds", path=f"FlexOffer[{offer.id}]", value=offer.id)
        return math.fsum(ends[0]), math.fsum(ends[1])
    lo, hi = bounds(profile)
    tight = tighten(lo, hi, cumulative(profile))
    return float(tight.lo[-1]), float(tight.hi[-1])


def _inflexible_kwh(offer: FlexOffer, lo: Floats, hi: Floats) -> float:
    least, most = totals_kwh(offer)
    return max(float(np.maximum(0.0, np.maximum(lo, -hi)).sum()), least, -most, 0.0)


class Measures(Model, frozen=True, kw_only=True):
    """All measures of one offer. What is not finite is None."""

    id: str
    time_flexibility_slots: int
    energy_flexibility_kwh: float | None
    reachable_energy_kwh: float
    product: float | None
    vector: float | None
    time_series_kwh: float | None
    log_assignments: float | None
    absolute_area: float
    relative_area: float


def measure(offer: FlexOffer) -> Measures:
    """All measures of the offer.

    Raises:
        InfeasibleError: nothing is feasible.
    """

    def number(value: float) -> float | None:
        return value if math.isfinite(value) else None

    return Measures(
        id=offer.id,
        time_flexibility_slots=time_flexibility(offer),
        energy_flexibility_kwh=number(energy_flexibility_kwh(offer)),
        reachable_energy_kwh=reachable_energy_kwh(offer),
        product=number(product(offer)),
        vector=number(vector(offer)),
        time_series_kwh=number(time_series(offer)),
        log_assignments=number(log_assignments(offer)),
        absolute_area=absolute_area(offer),
        relative_area=relative_area(offer),
    )
