"""Two-mode conditional operation as mutually exclusive profiles: the intervention with its payback, and nothing.

With E the energy of the intervention's slices, payback before and after is ``-portion * E``, so two more slices and the
rows ``e_payback + portion * sum e = 0`` say all of it. Beside it stands a profile of zeros.
"""

from __future__ import annotations

import msgspec
import numpy as np

from flexhub.core.algebra.shape import joint_rows
from flexhub.core.feasibility import BIG_KWH
from flexhub.core.flexoffer import EnergyRange, FlexOffer, Polytope, Profile, Schedule, Slice, TwoMode


def expanded(offer: FlexOffer) -> tuple[FlexOffer, bool]:
    """The offer without two-mode operations, and whether it says the same.

    It does but for a default schedule that is not zero, which leaves the intervention out as well; only the zeros, at
    any start, are a profile. A schedule of the result that names no profile is one of the offer.
    """
    found: list[Profile] = []
    exact = True
    for profile in offer.profiles:
        if profile.two_mode is None:
            found.append(profile)
            continue
        carried, zero = _carried_out(profile, profile.two_mode, offer.resolution_s)
        found += [carried, zero]
        default = offer.default_schedule
        if default is not None:
            exact &= _rests(default)
    return msgspec.structs.replace(offer, profiles=tuple(found), schedule=None), exact


def _rests(schedule: Schedule) -> bool:
    return all(piece.energy_kwh == 0 for piece in schedule.slices)


def _carried_out(profile: Profile, mode: TwoMode, resolution_s: int) -> tuple[Profile, Profile]:
    """The slices with payback before and after, tied to their sum by a polytope; and as many slices of nothing."""
    before, after = mode.payback_slots(resolution_s)
    n = len(profile.slices)
    spans = np.clip([piece.span_kwh() for piece in profile.slices], -BIG_KWH, BIG_KWH)
    lo, hi = (float(side) for side in spans.sum(axis=0))
    rows, lower, upper = joint_rows(msgspec.structs.replace(profile, two_mode=None))
    matrix = np.vstack((rows[np.isfinite(upper)], -rows[np.isfinite(lower)]))
    limit = np.concatenate((upper[np.isfinite(upper)], -lower[np.isfinite(lower)]))
    slices = list(profile.slices)
    for slots, portion, at in ((before, mode.prior_portion, 0), (after, mode.after_portion, None)):
        if not slots:
            continue
        place = 0 if at == 0 else len(slices)
        ends = sorted((-portion * lo, -portion * hi))
        payback = Slice(energy_kwh=(EnergyRange(*ends),), min_duration=slots, max_duration=slots)
        slices.insert(place, payback)
        matrix = np.insert(matrix, place, 0.0, axis=1)
        tie = np.insert(np.zeros(len(slices) - 1), place, 1.0)
        own = slice(1 if before else 0, (1 if before else 0) + n)
        tie[own] = portion
        matrix, limit = np.vstack((matrix, tie, -tie)), np.concatenate((limit, np.zeros(2)))
    # Polygons count what was used before, payback not included: they are rows now.
    anything = (EnergyRange(-BIG_KWH, BIG_KWH),)
    bare = tuple(
        msgspec.structs.replace(
            piece, polygon=(), energy_kwh=piece.energy_kwh if piece.energy_kwh or piece.amounts_kwh else anything
        )
        for piece in slices
    )
    polytope = Polytope(a=tuple(map(tuple, matrix.tolist())), b_kwh=tuple(limit.tolist())) if len(matrix) else None
    zeros = tuple(
        Slice(energy_kwh=(EnergyRange(0.0, 0.0),), min_duration=p.min_duration, max_duration=p.max_duration)
        for p in slices
    )
    return Profile(slices=bare, polytope=polytope), Profile(slices=zeros)
