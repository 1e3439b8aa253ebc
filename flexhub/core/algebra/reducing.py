"""Any flex-offer as a convex one that it can always stand in for, so that it can be aggregated, with what that loses.

A reduced offer has one profile, one energy range in a slice, and fixed durations. **Law**: every schedule that keeps
the reduced offer's bounds keeps the original's, slice by slice as it is. Each step only takes possibilities away:

- *Uncertainty*: an energy whose probability reaches the threshold, exactly; nothing is lost at the offer's own.
- *Exclusive profiles, several ranges, amounts, durations*: one of them is chosen, the cheapest that can be kept.
- *Two-mode operation*: carried out with one total, so that the payback is fixed; or left out, as the default schedule.
- *Polytopes*: what is storage-like exactly, anything else by what lies within (`inner`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import msgspec
import numpy as np

from flexhub.core import linear
from flexhub.core.algebra.inner import of_polytope
from flexhub.core.algebra.optimum import Prices
from flexhub.core.algebra.shape import bounds, joint_rows
from flexhub.core.batch import Floats
from flexhub.core.errors import InfeasibleError, InvalidError
from flexhub.core.feasibility import BIG_KWH, alternatives, timing_of
from flexhub.core.flexoffer import EnergyRange, FlexOffer, HalfPlane, Polytope, Profile, Schedule, Slice, Uncertainty
from flexhub.core.judge import violations
from flexhub.core.timegrid import slot_of


class GivenUp(NamedTuple):
    """What was taken away, in words, and the share of the width that is kept where that is one number."""

    what: str
    kept: float | None = None


@dataclass(frozen=True, slots=True)
class Reduced:
    """A convex offer of the same id; `profile` is the one of the original that it stands for, None where it is off."""

    offer: FlexOffer
    profile: int | None
    losses: tuple[GivenUp, ...]


class _Choice(NamedTuple):
    cost: float
    profile: Profile
    of: int | None
    losses: tuple[GivenUp, ...]


def reduced(
    offer: FlexOffer, now: datetime, *, threshold: float | None = None, prices: Prices | None = None
) -> Reduced:
    """The convex offer that is cheapest at prices; without prices the one of the widest ranges.

    Args:
        offer: of active energy, without a bound on its cost.
        now: for implicit time flexibility.
        threshold: least probability of an uncertain energy, where it is above the offer's own.
        prices: of all slots that the offer may be in from its earliest start on.
            Interpretation: alternatives are compared at the earliest start.

    Raises:
        InfeasibleError: nothing is left of the offer, which the error names.
        InvalidError: the offer is withdrawn, of another quantity or bounded in cost; or a slot has no price.
    """
    if offer.withdrawn or offer.quantity.value != "active_energy" or offer.total_cost_eur is not None:
        raise InvalidError("only active energy with bounds of its own is reduced", path="FlexOffer", value=offer.id)
    choices: list[_Choice] = []
    for index, profile in enumerate(offer.profiles):
        choices += _carried_out(offer, index, _likely(profile, threshold), now, prices)
        choices += _left_out(offer, profile, now, prices)
    if not choices:
        raise InfeasibleError("nothing that this offer allows can be kept", path="FlexOffer/profiles", value=offer.id)
    best = min(choices, key=lambda choice: choice.cost)
    profile, losses = best.profile, list(best.losses)
    if threshold is not None and any(
        s.uncertainty is not None and s.uncertainty.threshold < threshold for p in offer.profiles for s in p.slices
    ):
        losses.append(GivenUp(f"energies of a probability under {threshold:g}"))
    if len(offer.profiles) > 1:
        losses.append(GivenUp(f"{len(offer.profiles) - 1} of {len(offer.profiles)} profiles"))
    if profile.polytope is not None:
        profile, kept = _inside(offer, profile)
        if kept < 1:
            losses.append(GivenUp("what of the polytope is not storage-like", kept))
    default = offer.default_schedule
    if default is not None:
        same = len(default.slices) == len(profile.slices)
        default = msgspec.structs.replace(default, profile=None) if same else None
    new = msgspec.structs.replace(offer, profiles=(profile,), default_schedule=default)
    return Reduced(new, best.of, tuple(losses))


def restored(original: FlexOffer, one: Reduced, schedule: Schedule) -> Schedule:
    """A schedule of the reduced offer as one of the original.

    Raises:
        InvalidError: it breaks the reduced offer's bounds.
    """
    broken = violations(one.offer, schedule)
    if broken:
        raise InvalidError(str(broken[0]), path="Schedule", value=original.id)
    return msgspec.structs.replace(schedule, profile=one.profile)


def nearest_likely(uncertainty: Uncertainty, energy_kwh: float) -> float:
    """The energy next to this one whose probability reaches the threshold: the second step of a plan that ignored it.

    Raises:
        InfeasibleError: no energy's does.
    """
    likely = uncertainty.likely_kwh()
    if not likely:
        raise InfeasibleError(f"no energy is feasible with {uncertainty.threshold:g}", path="Uncertainty/threshold")
    return min((min(max(energy_kwh, lo), hi) for lo, hi in likely), key=lambda e: abs(e - energy_kwh))


def _likely(profile: Profile, threshold: float | None) -> Profile:
    if threshold is None:
        return profile
    slices = []
    for piece in profile.slices:
        uncertain = piece.uncertainty
        if uncertain is not None and uncertain.threshold < threshold:
            raised = msgspec.structs.replace(uncertain, threshold=threshold)
            slices.append(msgspec.structs.replace(piece, uncertainty=raised))
        else:
            slices.append(piece)
    return msgspec.structs.replace(profile, slices=tuple(slices))


def _carried_out(offer: FlexOffer, index: int, profile: Profile, now: datetime, prices: Prices | None) -> list[_Choice]:
    """The profile with the options of each slice that hold its cheapest energies, if there are any."""
    timing = timing_of(offer, profile, now)
    options = [alternatives(piece) for piece in profile.slices]
    if timing is None or not all(options):
        return []
    start, durations = timing
    mode = profile.two_mode
    before, after = (0, 0) if mode is None else mode.payback_slots(offer.resolution_s)
    price: Floats = np.zeros(0)
    if prices is not None:
        pieces = [*(before * [1]), *durations, *(after * [1])]
        price = prices.of_pieces(slot_of(start, offer.resolution_s), pieces, offer.resolution_s)
        back = 0.0
        if mode is not None:  # a kWh of the intervention brings so much payback with it
            back += mode.prior_portion * float(price[:before].mean()) if before else 0.0
            back += mode.after_portion * float(price[len(price) - after :].mean()) if after else 0.0
        price = price[before : len(price) - after] - back
    energies = linear.energies(profile, options, BIG_KWH, price.tolist())
    if energies is None:
        return []
    chosen = [
        min(some, key=lambda option: (max(option[0] - energy, energy - option[1], 0.0), option[0] - option[1]))
        for some, energy in zip(options, energies, strict=True)
    ]
    slices = tuple(
        msgspec.structs.replace(
            piece,
            energy_kwh=() if lo <= -BIG_KWH and hi >= BIG_KWH else (EnergyRange(lo, hi),),
            amounts_kwh=(),
            uncertainty=None,
            min_duration=duration,
            max_duration=duration,
        )
        for piece, (lo, hi), duration in zip(profile.slices, chosen, durations, strict=True)
    )
    losses = []
    several = sum(len(some) > 1 for some in options)
    if several:
        width = sum(hi - lo for some in options for lo, hi in some)
        kept = sum(hi - lo for lo, hi in chosen) / width if width else 0.0
        losses.append(GivenUp(f"other ranges or amounts of {several} slices", kept))
    if any(piece.min_duration != piece.max_duration for piece in profile.slices):
        losses.append(GivenUp("other durations"))
    new = msgspec.structs.replace(profile, slices=slices, two_mode=None)
    if mode is not None:
        total = sum(min(max(e, lo), hi) for e, (lo, hi) in zip(energies, chosen, strict=True))
        losses.append(GivenUp("other totals of the intervention"))
        prior, later = mode.prior_portion * total, mode.after_portion * total
        new = _with_payback(new, total, (prior, before), (later, after))
    cost = float(price @ energies) if prices is not None else -sum(hi - lo for lo, hi in chosen)
    return [_Choice(cost, new, index, tuple(losses))]


def _with_payback(profile: Profile, total: float, prior: tuple[float, int], later: tuple[float, int]) -> Profile:
    """The intervention of this total between slots of payback, whose energy is known with it.

    What was used before a slice counts from the beginning of the intervention; in the new profile the payback is used
    before, so that rows move by it.
    """
    shift = -prior[0]
    sub = profile.subtotal_energy_kwh
    bound = () if sub is None else (HalfPlane(1.0, 1.0, sub.hi_kwh), HalfPlane(-1.0, -1.0, -sub.lo_kwh))

    def moved(piece: Slice) -> Slice:
        rows = (*piece.polygon, *bound)
        return msgspec.structs.replace(
            piece, polygon=tuple(HalfPlane(row.a, row.b, row.c_kwh + row.a * shift) for row in rows)
        )

    def payback(energy: float, slots: int) -> tuple[Slice, ...]:
        each = -energy / slots if slots else 0.0
        return (Slice(energy_kwh=(EnergyRange(each, each),)),) * slots

    whole = total - prior[0] - later[0]
    polytope = profile.polytope
    if polytope is not None:
        rows = tuple((*(0.0,) * prior[1], *row, *(0.0,) * later[1]) for row in polytope.a)
        polytope = Polytope(a=rows, b_kwh=polytope.b_kwh)
    return Profile(
        slices=(*payback(*prior), *map(moved, profile.slices), *payback(*later)),
        total_energy_kwh=EnergyRange(whole, whole),
        polytope=polytope,
    )


def _left_out(offer: FlexOffer, profile: Profile, now: datetime, prices: Prices | None) -> list[_Choice]:
    """The default schedule of an offer of two modes, as a profile of which nothing can be changed."""
    default = offer.default_schedule
    if profile.two_mode is None or default is None or violations(offer, default, now=now):
        return []
    slices = tuple(
        Slice(
            energy_kwh=(EnergyRange(piece.energy_kwh, piece.energy_kwh),),
            min_duration=piece.duration,
            max_duration=piece.duration,
        )
        for piece in default.slices
    )
    cost = 0.0
    if prices is not None:
        cost = prices.cost_eur(default, offer.resolution_s)
    return [_Choice(cost, Profile(slices=slices), None, (GivenUp("the intervention"),))]


def _inside(offer: FlexOffer, profile: Profile) -> tuple[Profile, float]:
    """The profile with running totals in place of its polytope."""
    matrix, lower, upper = joint_rows(profile)
    rows = np.vstack((matrix[np.isfinite(upper)], -matrix[np.isfinite(lower)]))
    limits = np.concatenate((upper[np.isfinite(upper)], -lower[np.isfinite(lower)]))
    try:
        (lo, hi, floor, ceiling), kept = of_polytope(*bounds(profile), rows, limits)
    except (InfeasibleError, InvalidError) as error:
        raise type(error)(error.message, path="FlexOffer/profiles/polytope", value=offer.id) from error
    slices = []
    sides = (side[:, 0].tolist() for side in (lo, hi, floor, ceiling))
    for piece, least, most, low, high in zip(profile.slices, *sides, strict=True):
        polygon = [HalfPlane(-1.0, -1.0, -low)] if low > -np.inf else []
        polygon += [HalfPlane(1.0, 1.0, high)] if high < np.inf else []
        energy = (EnergyRange(least, max(least, most)),)
        slices.append(msgspec.structs.replace(piece, energy_kwh=energy, polygon=tuple(polygon)))
    return Profile(slices=tuple(slices)), kept
