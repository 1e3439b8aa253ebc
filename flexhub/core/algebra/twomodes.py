"""Two-mode conditional operation as mutually exclusive profiles: the intervention with its payback, and nothing.

With E the energy of the intervention's slices, payback is ``-portion * E`` before and after, spread evenly. So a slice
and the row ``e_j + portion / slots * sum e = 0`` for each slot j of payback say all of it. Beside it stands a profile
of zeros.
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
    totals = spans.sum(axis=0)
    rows, lower, upper = joint_rows(msgspec.structs.replace(profile, two_mode=None))
    own = np.vstack((rows[np.isfinite(upper)], -rows[np.isfinite(lower)]))
    limit = np.concatenate((upper[np.isfinite(upper)], -lower[np.isfinite(lower)], np.zeros(2 * (before + after))))
    each = [mode.prior_portion / before] * before if before else []
    each += [0.0] * n + ([mode.after_portion / after] * after if after else [])
    ties = np.eye(len(each))
    ties[:, before : before + n] += np.array(each)[:, None]
    ties = np.delete(ties, slice(before, before + n), axis=0)
    matrix = np.vstack((np.pad(own, ((0, 0), (before, after))), ties, -ties))
    payback = [Slice(energy_kwh=(EnergyRange(*sorted((-share * totals).tolist())),)) for share in each]
    slices = [*payback[:before], *profile.slices, *payback[before + n :]]
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
