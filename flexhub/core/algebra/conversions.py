"""Flex-offers of one kind as another: always within what they may do, so that schedules fit back without a change.

Kinds stand in the modelling order of GOFLEX D2.1 section 7.1, each able to say what the one before can, and more. A
conversion into an earlier kind keeps a part; `losses.loss` tells how much, and `convert` does with it:

- into SLICE and TIME, the largest box of energies within all bounds (`boxes`), at one start or at all of the window,
  or what the offer usually takes as a block that can be shifted, whichever pays less;
- into TOTAL, slice ranges with a total and a sub-total, where that says all; otherwise the box again;
- into DFO, tightened running totals ``a_t <= x + e <= b_t`` beside the slice ranges, exactly for whatever is
  storage-like; the largest box of running totals for a polytope;
- into POLYTOPE, the rows of all bounds, exactly;
- of several profiles, ranges, amounts or durations the one is taken that leaves most; of uncertainty what is likely.

A schedule of the converted offer is one of the original, with zeros in the slots that it leaves out (`restored`).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from flexhub.core.algebra.boxes import Box, Within, largest_box
from flexhub.core.algebra.losses import Loss, Weather, loss, prices
from flexhub.core.algebra.measures import reachable_kwh, running_reach_kwh
from flexhub.core.algebra.optimum import horizon, least_cost_eur, usual
from flexhub.core.algebra.shape import (
    Cumulative,
    Floats,
    Trait,
    bounds,
    cumulative,
    energies,
    joint_rows,
    starts,
    tighten,
    traits,
)
from flexhub.core.algebra.twomodes import expanded
from flexhub.core.errors import InfeasibleError, InvalidError
from flexhub.core.feasibility import BIG_KWH, alternatives
from flexhub.core.flexoffer import EnergyRange, FlexOffer, HalfPlane, Polytope, Profile, Schedule, ScheduleSlice, Slice
from flexhub.core.judge import violations
from flexhub.core.timegrid import instant_of, slot_of
from flexhub.core.units import TOLERANCE_KWH


class Kind(enum.StrEnum):
    """What bounds an offer, in the modelling order: each can say what those before it can."""

    SLICE = "slice"
    TIME = "time"
    TOTAL = "total"
    DFO = "dfo"
    POLYTOPE = "polytope"
    TWO_MODE = "two-mode"
    XOR = "xor"


ORDER: Final = tuple(Kind)
"""Kinds, the simplest first."""

SHARES: Final = (0.5, 0.2, 0.1, 0.05)
"""Sizes that a box is tried with beside the largest."""

ROUNDING: Final = 1e-12
"""A coefficient below this share of the greatest of its row is rounding."""

SEEDS: Final[Mapping[Weather, int]] = {Weather.RANDOM: 1, Weather.SMOOTH: 1, Weather.NOISY: 1}
"""Prices that losses are told at, unless others are asked for."""


class Converted(NamedTuple):
    """The offer as the kind that was asked for, and whether it says the same as before."""

    offer: FlexOffer
    exact: bool


def kind_of(offer: FlexOffer) -> Kind:
    """The simplest kind that holds the offer; alternatives of energies, durations and uncertainty count as XOR.

    Raises:
        InvalidError: the flexibility is withdrawn, or is not of active energy.
    """
    found = traits(offer)
    for trait in (Trait.WITHDRAWN, Trait.QUANTITY, Trait.COST):
        if trait in found:
            raise InvalidError(trait.value, path=f"FlexOffer[{offer.id}]", value=offer.id)
    if found & {Trait.XOR, Trait.GAPS, Trait.UNCERTAIN, Trait.DURATION}:
        return Kind.XOR
    for trait, kind in (
        (Trait.TWO_MODE, Kind.TWO_MODE),
        (Trait.POLYTOPE, Kind.POLYTOPE),
        (Trait.POLYGON, Kind.DFO),
        (Trait.TOTAL, Kind.TOTAL),
        (Trait.SUBTOTAL, Kind.TOTAL),
    ):
        if trait in found:
            return kind
    window = starts(offer, offer.profiles[0].duration_slots()[0])
    return Kind.SLICE if window.first >= window.last else Kind.TIME


def convert(offer: FlexOffer, kind: Kind) -> Converted:
    """The offer as this kind; where that adds nothing to say, as a simpler one that says the same.

    Implicit time flexibility counts from the offer's creation. Prices and identity stay.

    Raises:
        InvalidError: an offer that has no such form: withdrawn, not of active energy, with a bound on its cost, or with
            alternatives that two-mode operation cannot state.
        InfeasibleError: nothing is feasible in it.
    """
    now = kind_of(offer)
    if kind is Kind.XOR:
        return Converted(*expanded(offer))
    if now is kind or kind is Kind.TWO_MODE:
        if now is Kind.XOR:
            raise InvalidError("alternatives are not two-mode operation", path=f"FlexOffer[{offer.id}]", value=offer.id)
        return Converted(offer, exact=True)
    one, exact = _single(offer) if now in (Kind.TWO_MODE, Kind.XOR) else (offer, True)
    try:
        done = _FORMS[kind](_explicit(one))
    except (InfeasibleError, InvalidError) as error:
        raise type(error)(error.message, path=f"FlexOffer[{offer.id}]", value=offer.id) from error
    return Converted(done.offer, exact and done.exact)


def lost(offer: FlexOffer, kind: Kind, seeds: Mapping[Weather, int] = SEEDS) -> tuple[Converted, Loss]:
    """As `convert`, with what it loses at such prices."""
    done = convert(offer, kind)
    return done, loss([offer], [(done.offer, [offer.id])], seeds)


def _with(offer: FlexOffer, profile: Profile) -> FlexOffer:
    return msgspec.structs.replace(offer, profiles=(profile,), schedule=None)


def _explicit(offer: FlexOffer) -> FlexOffer:
    """The same with an explicit window of starts."""
    if offer.start_before_duration_s is None:
        return offer
    after, before = offer.window(offer.created)
    return msgspec.structs.replace(offer, start_after=after, start_before=before, start_before_duration_s=None)


def _at_once(offer: FlexOffer) -> FlexOffer:
    """The same at one start: that of the default schedule, or else the first."""
    window = starts(offer, offer.profiles[0].duration_slots()[0])
    start = window.first
    if offer.default_schedule is not None:
        start = min(max(window.first, slot_of(offer.default_schedule.start, offer.resolution_s)), window.last)
    at = instant_of(start, offer.resolution_s)
    return msgspec.structs.replace(offer, start_after=at, start_before=at)


def _single(offer: FlexOffer) -> tuple[FlexOffer, bool]:
    """The offer with one profile of one range for each slice: that which leaves most energy, and whether it is all."""
    offer, whole = expanded(offer)
    best: tuple[float, FlexOffer, bool] | None = None
    for alternative in offer.profiles:
        for one, exact in _plain(_with(offer, alternative)):
            lo, hi = reachable_kwh(one)
            size = float((hi - lo).sum())
            if best is None or size > best[0]:
                best = size, one, whole and exact and len(offer.profiles) == 1
    if best is None:
        raise InfeasibleError("nothing keeps all bounds", path=f"FlexOffer[{offer.id}]", value=offer.id)
    return best[1], best[2]


def _plain(offer: FlexOffer) -> Iterator[tuple[FlexOffer, bool]]:
    """The offer of one profile with its widest ranges, or with those around a feasible schedule, if that is needed.

    Durations are the shortest. Nothing where nothing is feasible.
    """
    profile = offer.profiles[0]
    options = [alternatives(piece) for piece in profile.slices]
    if not all(options):
        return
    exact = all(len(found) == 1 for found in options)
    exact &= all(piece.min_duration == piece.max_duration for piece in profile.slices)
    widest = [max(found, key=lambda option: option[1] - option[0]) for found in options]
    one = _ranged(offer, widest)
    if one is None and not exact:
        from flexhub.core import linear  # noqa: PLC0415 - the solver is slow to import

        inside = linear.energies(profile, options, BIG_KWH)
        if inside is not None:
            near = [min(found, key=lambda o: _outside(e, o)) for found, e in zip(options, inside, strict=True)]
            one = _ranged(offer, near)
    if one is not None:
        yield one, exact


def _outside(energy: float, option: tuple[float, float]) -> tuple[float, float]:
    """How far the energy lies outside of the option; of such that hold it the widest is first."""
    miss = max(option[0] - energy, energy - option[1], 0.0)
    return (miss if miss > TOLERANCE_KWH else 0.0), option[0] - option[1]


def _ranged(offer: FlexOffer, options: Sequence[tuple[float, float]]) -> FlexOffer | None:
    """The offer with these ranges, shortest durations and no uncertainty; None where nothing is feasible in it."""
    profile = offer.profiles[0]
    slices = tuple(
        msgspec.structs.replace(
            piece,
            energy_kwh=(EnergyRange(lo, hi),) if lo > -BIG_KWH or hi < BIG_KWH or not piece.polygon else (),
            amounts_kwh=(),
            max_duration=piece.min_duration,
            uncertainty=None,
        )
        for piece, (lo, hi) in zip(profile.slices, options, strict=True)
    )
    try:
        one = _with(offer, msgspec.structs.replace(profile, slices=slices))
        reachable_kwh(one)
    except (InvalidError, InfeasibleError):
        return None
    return one


def _rows(profile: Profile) -> tuple[Floats, Floats]:
    """All bounds of slices of one range each as ``R e <= u``."""
    lo, hi = bounds(profile)
    matrix, lower, upper = joint_rows(profile)
    eye = np.eye(len(lo))
    rows, limits = np.vstack((eye, -eye, matrix, -matrix)), np.concatenate((hi, -lo, upper, -lower))
    kept = np.isfinite(limits)
    return rows[kept], limits[kept]


def _slices(offer: FlexOffer) -> Converted:
    """One start; slices alone."""
    window = starts(offer, offer.profiles[0].duration_slots()[0])
    boxed = _boxed(offer, shifted=False)
    return Converted(_at_once(boxed.offer), boxed.exact and window.first >= window.last)


def _times(offer: FlexOffer) -> Converted:
    """Slices alone, at any start of the window."""
    return _boxed(offer, shifted=True)


def _boxed(offer: FlexOffer, *, shifted: bool) -> Converted:
    """Slices alone: a box in the proportions of what each slice can reach, or perhaps a block that can be shifted."""
    if ORDER.index(kind_of(offer)) <= ORDER.index(Kind.TIME):
        return Converted(offer, exact=True)
    profile, wish = offer.profiles[0], _wish(offer)
    lo, hi = reachable_kwh(offer)
    rows, upper = _rows(profile)

    def boxed(box: Box) -> FlexOffer:
        return _with(offer, Profile(slices=_ranges(profile.slices, box.lo, box.hi)))

    found = _boxes(boxed, Within(rows, upper, hi - lo), wish, np.ones(len(lo)))
    return Converted(_cheapest(found + _shifted(offer, wish) if shifted else found), exact=False)


def _shifted(offer: FlexOffer, wish: Floats) -> list[FlexOffer]:
    """What the offer usually takes as one block that can be shifted, where it has one start and zeros beside it."""
    profile = offer.profiles[0]
    window, n = starts(offer, len(wish)), len(wish)
    used = np.flatnonzero(wish)
    priced = offer.price is not None or any(piece.price is not None for piece in profile.slices)
    if priced or window.first != window.last or not len(used):  # a price is of deviating from when it usually is
        return []
    if any(piece.min_duration != 1 for piece in profile.slices):
        return []
    first, block = int(used[0]), wish[used[0] : used[-1] + 1]
    rows, upper = _rows(profile)

    def feasible(shift: int) -> bool:
        moved = np.zeros(n)
        moved[shift : shift + len(block)] = block
        return bool((rows @ moved <= upper + ROUNDING).all())

    if not feasible(first):
        return []
    earliest = latest = first
    while earliest > 0 and feasible(earliest - 1):
        earliest -= 1
    while latest < n - len(block) and feasible(latest + 1):
        latest += 1
    if earliest == latest:
        return []
    step = offer.resolution_s
    slices = _ranges(profile.slices[: len(block)], block, block)
    at = instant_of(window.first + first, step)
    return [
        msgspec.structs.replace(
            _with(offer, Profile(slices=slices)),
            start_after=instant_of(window.first + earliest, step),
            start_before=instant_of(window.first + latest, step),
            default_schedule=Schedule(start=at, slices=tuple(ScheduleSlice(energy_kwh=e) for e in block.tolist())),
        )
    ]


def restored(offer: FlexOffer, schedule: Schedule) -> Schedule:
    """A schedule of the offer from one of what it was converted into: slots that were left out take nothing."""
    counts = {len(profile.slices) for profile in offer.profiles if profile.two_mode is None}
    if not counts or len(schedule.slices) in counts or len(offer.profiles) != 1:
        return schedule
    step, n = offer.resolution_s, len(offer.profiles[0].slices)
    start = starts(offer, n).first
    energies_kwh = schedule.by_slot_kwh(step)
    slices = tuple(ScheduleSlice(energy_kwh=energies_kwh.get(slot, 0.0)) for slot in range(start, start + n))
    return msgspec.structs.replace(schedule, start=instant_of(start, step), slices=slices)


def _wish(offer: FlexOffer) -> Floats:
    """Energies of what the offer usually does, where that is feasible; otherwise of anything that is."""
    schedule = usual(offer)
    if len(schedule.slices) != len(offer.profiles[0].slices) or violations(offer, schedule):
        schedule = usual(msgspec.structs.replace(offer, default_schedule=None))
    return energies(schedule)


def _boxes(made: Callable[[Box], FlexOffer], within: Within, holding: Floats, costs: Floats) -> list[FlexOffer]:
    """Offers of the largest box that holds what the offer usually does, the largest of all, and some that are smaller.

    Of the smaller ones the cheapest: a wide box may keep a store warmer than it needs to be.
    """
    found = [made(largest_box(within, holding=holding))]
    largest = largest_box(within)
    if float((largest.hi - largest.lo).max()) > TOLERANCE_KWH:
        found += [made(largest), *(made(largest_box(within, share=share, costs=costs)) for share in SHARES)]
    return found


def _cheapest(found: list[FlexOffer]) -> FlexOffer:
    """The one that pays least in all at prices of `SEEDS`."""
    if len(found) == 1:
        return found[0]
    begin, end = horizon(found)
    looks = [prices(weather, begin, end, seed, found[0].resolution_s) for weather, seed in SEEDS.items()]
    paid = sum(least_cost_eur(found, look) for look in looks)
    return found[int(np.argmin(np.asarray(paid)))]


def _ranges(pieces: Sequence[Slice], lo: Floats, hi: Floats, tight: Cumulative | None = None) -> tuple[Slice, ...]:
    """The slices with these ranges, perhaps polygons of running totals, and nothing else that bounds them."""
    running = [None] * len(pieces) if tight is None else list(zip(tight.lo.tolist(), tight.hi.tolist(), strict=True))
    return tuple(
        msgspec.structs.replace(
            piece,
            energy_kwh=(EnergyRange(min(a, b), b),),
            polygon=() if limits is None else (HalfPlane(1.0, 1.0, limits[1]), HalfPlane(-1.0, -1.0, -limits[0])),
        )
        for piece, a, b, limits in zip(pieces, lo.tolist(), hi.tolist(), running, strict=True)
    )


def _totals(offer: FlexOffer) -> Converted:
    """Slice ranges, a total and a sub-total, where that is all there is to say; otherwise slices alone.

    Running totals in [a_t, b_t] are a total in [a_n, b_n] and a sub-total in [min a, max b] exactly where these,
    tightened, are a and b again.
    """
    if ORDER.index(kind_of(offer)) <= ORDER.index(Kind.TOTAL):
        return Converted(offer, exact=True)
    profile = offer.profiles[0]
    found = _storage(profile)
    if found is not None:
        lo, hi, tight = found
        total = EnergyRange(float(tight.lo[-1]), float(tight.hi[-1]))
        subtotal = EnergyRange(float(tight.lo.min()), float(tight.hi.max()))
        simple = Profile(slices=_ranges(profile.slices, lo, hi), total_energy_kwh=total, subtotal_energy_kwh=subtotal)
        again = tighten(lo, hi, cumulative(simple))
        if max(np.abs(again.lo - tight.lo).max(), np.abs(again.hi - tight.hi).max()) <= TOLERANCE_KWH:
            return Converted(_with(offer, simple), exact=True)
    return _times(offer)


def _dfo(offer: FlexOffer) -> Converted:
    """Slice ranges, and polygons of running totals."""
    profile = offer.profiles[0]
    found = _storage(profile)
    if found is not None:
        lo, hi, tight = found
        return Converted(_with(offer, Profile(slices=_ranges(profile.slices, lo, hi, tight))), exact=True)
    lo, hi, in_running, upper, mine = _split(profile)
    least, most = running_reach_kwh(offer)
    reach = reachable_kwh(offer)
    lo, hi = (np.where(np.isfinite(side), side, end) for side, end in zip((lo, hi), reach, strict=True))

    def running(box: Box) -> FlexOffer:
        tight = tighten(lo, hi, Cumulative(box.lo, box.hi))
        return _with(offer, Profile(slices=_ranges(profile.slices, lo, hi, tight)))

    within = Within(in_running[~mine], upper[~mine], most - least, (in_running[mine], upper[mine]))
    in_all = np.zeros(len(lo))
    in_all[-1] = 1.0
    wish = np.cumsum(_wish(offer))
    return Converted(_cheapest(_boxes(running, within, wish, in_all)), exact=False)


def _split(profile: Profile) -> tuple[Floats, Floats, Floats, Floats, NDArray[np.bool_]]:
    """Ranges of slices (all rows of one slice counted in), and all rows in running totals.

    (lo, hi: float64[n]; rows float64[r, n], upper bounds float64[r]; bool[r]: rows of one slice). With Y the running
    totals, the energies are differences, ``R e = R (Y_t - Y_{t-1})``.
    """
    rows, upper = _rows(profile)
    n = rows.shape[1]
    mine = np.count_nonzero(rows, axis=1) == 1
    lo, hi = np.full(n, -np.inf), np.full(n, np.inf)
    for row, most in zip(rows[mine], upper[mine].tolist(), strict=True):
        _bound(row, most, lo, hi)
    return lo, hi, rows @ (np.eye(n) - np.eye(n, k=-1)), upper, mine


def _bound(row: Floats, most: float, lo: Floats, hi: Floats) -> None:
    """Move the bound that a row of one variable is."""
    t = int(np.argmax(np.abs(row)))
    by = float(row[t])
    if by > 0:
        hi[t] = min(hi[t], most / by)
    else:
        lo[t] = max(lo[t], most / by)


def _storage(profile: Profile) -> tuple[Floats, Floats, Cumulative] | None:
    """Ranges of slices and tightened running totals, where all bounds are such; otherwise None."""
    lo, hi, in_running, upper, mine = _split(profile)
    running = Cumulative(np.full(len(lo), -np.inf), np.full(len(lo), np.inf))
    for row, most in zip(in_running[~mine], upper[~mine].tolist(), strict=True):
        if np.count_nonzero(np.abs(row) > ROUNDING * np.abs(row).max()) != 1:
            return None
        _bound(row, most, *running)
    if not (np.isfinite(lo).all() and np.isfinite(hi).all()):
        return None
    return lo, hi, tighten(lo, hi, running)


def _polytope(offer: FlexOffer) -> Converted:
    """Slice ranges, and every other bound as a row."""
    profile = offer.profiles[0]
    matrix, lower, upper = joint_rows(profile)
    rows, limits = np.vstack((matrix, -matrix)), np.concatenate((upper, -lower))
    kept = np.isfinite(limits)
    polytope = None
    if kept.any():
        polytope = Polytope(a=tuple(map(tuple, rows[kept].tolist())), b_kwh=tuple(limits[kept].tolist()))
    slices = tuple(
        msgspec.structs.replace(piece, polygon=(), energy_kwh=piece.energy_kwh or (EnergyRange(-BIG_KWH, BIG_KWH),))
        for piece in profile.slices
    )
    return Converted(_with(offer, Profile(slices=slices, polytope=polytope)), exact=True)


_FORMS: Final[Mapping[Kind, Callable[[FlexOffer], Converted]]] = {
    Kind.SLICE: _slices,
    Kind.TIME: _times,
    Kind.TOTAL: _totals,
    Kind.DFO: _dfo,
    Kind.POLYTOPE: _polytope,
}
