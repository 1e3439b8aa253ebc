"""How much flexibility an offer holds. Measures of the first profile; time flexibility in slots, energy in kWh."""

from __future__ import annotations

import math

import numpy as np

from flexhub.core.algebra.shape import bounds, starts
from flexhub.core.flexoffer import FlexOffer


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
