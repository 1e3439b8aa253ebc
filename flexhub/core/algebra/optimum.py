"""What flex-offers do best at prices, and what they would do untold: the measure of what their flexibility is worth.

An offer that answers to prices alone pays ``sum p_t e_t`` at least over its starts and energies. Boxes of slices take
lo where the price is above 0 and hi below, at the best of their starts; storage-like offers answer by `oracle`, for
each start; what else a mixed-integer linear program can hold is asked of HiGHS. All of these are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from flexhub.core.algebra.oracle import blend
from flexhub.core.algebra.shape import Trait, bounds, cumulative, settle_into, starts, tighten, traits
from flexhub.core.algebra.storage import Storage
from flexhub.core.algebra.twomodes import expanded
from flexhub.core.batch import FlexOfferBatch, Floats, Ints
from flexhub.core.errors import InfeasibleError, InvalidError
from flexhub.core.feasibility import BIG_KWH, alternatives, feasible_schedule
from flexhub.core.flexoffer import FlexOffer, Profile, Schedule, ScheduleSlice
from flexhub.core.judge import violations
from flexhub.core.timegrid import instant_of, slot_from, slot_of

SPAN: Final = 96
"""Storage-like offers that start within so many slots are asked together."""

LARGE: Final = 1 << 26
"""From so many steps of the oracle on (a tenth of a second in numpy) compiling pays, where it can be had."""

STORAGE: Final = frozenset({Trait.TOTAL, Trait.SUBTOTAL, Trait.IMPLICIT})
UNASKED: Final = (Trait.WITHDRAWN, Trait.QUANTITY, Trait.COST, Trait.DURATION)
"""Traits of offers that answer no prices here; `conversions` turns most into others that do."""


@dataclass(frozen=True, slots=True, eq=False)
class Prices:
    """Prices of equal intervals, one after the other.

    Args:
        start: of the first.
        resolution_s: length of each.
        eur_per_kwh: float64[n].

    Raises:
        InvalidError: none, or not finite.
    """

    start: datetime
    resolution_s: int
    eur_per_kwh: Floats

    def __post_init__(self) -> None:
        if not len(self.eur_per_kwh) or not np.isfinite(self.eur_per_kwh).all():
            raise InvalidError("prices are finite numbers, one at least", path="Prices/eur_per_kwh")

    def mean(self, begin_s: Ints, end_s: Ints) -> Floats:
        """Mean price between instants, seconds since the epoch, begin < end: float64 of their shape.

        Raises:
            InvalidError: a time without a price.
        """
        first = self.start.timestamp()
        edges = first + self.resolution_s * np.arange(len(self.eur_per_kwh) + 1, dtype=np.float64)
        if begin_s.size and (begin_s.min() < edges[0] or end_s.max() > edges[-1]):
            raise InvalidError("prices are needed for all the time that offers may use", path="Prices")
        area = np.concatenate((np.zeros(1), np.cumsum(self.eur_per_kwh)))
        mean: Floats = (np.interp(end_s, edges, area) - np.interp(begin_s, edges, area)) / (
            (end_s - begin_s) / self.resolution_s
        )
        return mean

    def of_slots(self, first: int, count: int, resolution_s: int) -> Floats:
        """Price of each of these slots of another resolution: float64[count]."""
        at = np.arange(first, first + count, dtype=np.int64) * resolution_s
        return self.mean(at, at + resolution_s)

    def of_pieces(self, first: int, durations: Sequence[int], resolution_s: int) -> Floats:
        """Mean price of consecutive pieces of so many slots, from slot `first` on: float64[pieces]."""
        edges = (first + np.cumsum([0, *durations])) * resolution_s
        return self.mean(edges[:-1], edges[1:])

    def cost_eur(self, schedule: Schedule, resolution_s: int) -> float:
        """EUR that a schedule of slots of this resolution costs."""
        energies = np.array(schedule.per_slot_kwh())
        return float(self.of_slots(slot_of(schedule.start, resolution_s), len(energies), resolution_s) @ energies)


def horizon(offers: Sequence[FlexOffer]) -> tuple[datetime, datetime]:
    """From when until when any of these offers may use or give energy, usual schedules included.

    Raises:
        InvalidError: no offers, or one that is withdrawn.
    """
    if not offers:
        raise InvalidError("no offers", path="offers")
    begins, ends = [], []
    for offer in offers:
        if offer.withdrawn:
            raise InvalidError("the flexibility is withdrawn", path=f"FlexOffer[{offer.id}]", value=offer.id)
        step = offer.resolution_s
        earliest, latest = offer.window(offer.created)
        longest = max(profile.span_slots(step)[1] for profile in offer.profiles)
        begins.append(instant_of(slot_from(earliest, step), step))
        ends.append(instant_of(slot_of(latest, step) + longest, step))
        if offer.default_schedule is not None:
            begins.append(offer.default_schedule.start)
            ends.append(offer.default_schedule.end(step))
    return min(begins), max(ends)


def least_cost_eur(offers: Sequence[FlexOffer], prices: Prices) -> Floats:
    """What each offer pays at least: float64[m] EUR, exactly. Implicit windows count from the offer's creation.

    O(n w) for n slices of boxes with w starts; as the oracle, for each start, for storage-like offers; a program for
    each start of any other.

    Raises:
        InvalidError: an offer of a kind that is not asked here, one without a start, or a time without a price; the
            offer is named.
        InfeasibleError: an offer of which nothing is feasible.
    """
    cost = np.zeros(len(offers))
    boxes: dict[int, list[int]] = {}
    stores: dict[int, list[int]] = {}
    for i, offer in enumerate(offers):
        found = traits(offer)
        _check(offer, found)
        units = all(piece.min_duration == 1 for piece in offer.profiles[0].slices)
        if found <= {Trait.IMPLICIT}:
            boxes.setdefault(offer.resolution_s, []).append(i)
        elif found <= STORAGE and units:
            stores.setdefault(offer.resolution_s, []).append(i)
        else:
            cost[i] = prices.cost_eur(cheapest(offer, prices), offer.resolution_s)
    for kind, ask in ((boxes, _of_boxes), (stores, _of_stores)):
        for rows in kind.values():
            cost[rows] = ask(_columns([offers[i] for i in rows]), prices)
    return cost


def answers(offer: FlexOffer) -> bool:
    """Whether prices settle what the offer does at best, so that `least_cost_eur` and `cheapest` can be asked."""
    return _unasked(offer, traits(offer)) is None


def _unasked(offer: FlexOffer, found: frozenset[Trait]) -> Trait | None:
    if any(p.duration_slots()[0] != p.duration_slots()[1] for p in offer.profiles[1:]):
        return Trait.DURATION
    return next((trait for trait in UNASKED if trait in found), None)


def _check(offer: FlexOffer, found: frozenset[Trait]) -> None:
    trait = _unasked(offer, found)
    if trait is not None:
        raise InvalidError(
            f"{trait.value}: prices alone do not say what is best", path=f"FlexOffer[{offer.id}]", value=offer.id
        )


def _columns(offers: Sequence[FlexOffer]) -> FlexOfferBatch:
    if any(offer.start_before_duration_s is not None for offer in offers):  # a window counts from its own creation
        batch = FlexOfferBatch.join([FlexOfferBatch.from_offers([offer], offer.created) for offer in offers])
    else:
        batch = FlexOfferBatch.from_offers(offers, offers[0].created)
    nowhere = np.flatnonzero(batch.first_start > batch.last_start)
    if len(nowhere):
        raise InvalidError("there is no start that ends in time", path=f"FlexOffer[{batch.ids[int(nowhere[0])]}]")
    return batch


def _of_boxes(batch: FlexOfferBatch, prices: Prices) -> Floats:
    owners, step = batch.owners(), batch.resolution_s
    ends = np.cumsum(batch.duration)
    begins = ends - batch.duration
    begins, ends = (side - begins[batch.offsets[:-1]][owners] for side in (begins, ends))
    best = np.full(len(batch), np.inf)
    for shift in range(int((batch.last_start - batch.first_start).max(initial=0)) + 1):
        rows = np.flatnonzero(batch.first_start + shift <= batch.last_start)
        at = batch.slices_of(rows)
        start = batch.first_start[owners[at]] + shift
        price = prices.mean((start + begins[at]) * step, (start + ends[at]) * step)
        cost = np.where(price > 0, batch.lo_kwh[at], batch.hi_kwh[at]) * price
        edges = np.concatenate((np.zeros(1, np.int64), np.cumsum(batch.counts()[rows])))[:-1]
        best[rows] = np.minimum(best[rows], np.add.reduceat(cost, edges))
    return best


def _of_stores(batch: FlexOfferBatch, prices: Prices) -> Floats:
    """Each start of each offer is a member of a `Storage`; those that begin near each other are asked together."""
    windows = batch.last_start - batch.first_start + 1
    owner = np.repeat(np.arange(len(batch)), windows)
    first = np.cumsum(windows) - windows
    start = batch.first_start[owner] + np.arange(len(owner)) - first[owner]
    cost = np.empty(len(owner))
    order = np.lexsort((batch.counts()[owner], start // SPAN))
    for rows in np.split(order, np.flatnonzero(np.diff(start[order] // SPAN)) + 1):
        storage, at = Storage.from_batch(batch.take(owner[rows]), start[rows])
        price = prices.of_slots(at, storage.slots, batch.resolution_s)
        compiled = None if len(storage) * storage.slots**2 > LARGE else False
        cost[rows] = price @ blend(storage, price[None], np.ones(1), compiled=compiled)
    best: Floats = np.minimum.reduceat(cost, first)
    return best


def cheapest(offer: FlexOffer, prices: Prices) -> Schedule:
    """The cheapest schedule of one offer, of any kind but those of `UNASKED`; a program for each profile and start.

    Raises:
        InvalidError: a kind that is not asked here, or no start.
        InfeasibleError: nothing is feasible.
    """
    from flexhub.core import linear  # noqa: PLC0415 - the solver is slow to import

    _check(offer, traits(offer))
    two_mode = any(profile.two_mode is not None for profile in offer.profiles)
    best: tuple[float, Schedule] | None = None
    default, somewhere = offer.default_schedule, False
    if two_mode and default is not None and not violations(offer, default):  # it leaves the intervention out
        best = prices.cost_eur(default, offer.resolution_s), default
    for index, profile in enumerate(expanded(offer)[0].profiles if two_mode else offer.profiles):
        durations = [piece.min_duration for piece in profile.slices]
        window = starts(offer, sum(durations))
        ends = np.cumsum(np.array(durations, dtype=np.int64))
        options = [alternatives(piece) for piece in profile.slices]
        for start in range(window.first, window.last + 1):
            somewhere = True
            begin_s, end_s = ((start + side) * offer.resolution_s for side in (ends - durations, ends))
            price = prices.mean(begin_s, end_s)
            energies = linear.energies(profile, options, BIG_KWH, price.tolist())
            if energies is None:
                break  # energies do not know the start
            cost = float(price @ np.array(energies))
            if best is None or cost < best[0]:
                best = cost, _schedule(offer, profile, start, energies, None if two_mode else index)
    if best is None:
        if not somewhere:
            raise InvalidError("there is no start that ends in time", path=f"FlexOffer[{offer.id}]", value=offer.id)
        raise InfeasibleError("nothing keeps all bounds", path=f"FlexOffer[{offer.id}]", value=offer.id)
    return best[1]


def usual(offer: FlexOffer) -> Schedule:
    """What the offer does when nobody asks for anything.

    Interpretation: its default schedule; without one it starts at once and takes what it has to, as soon as it can: the
    total that is nearest to nothing, reached as early as its bounds allow. So a car charges on arrival, a battery
    rests, and a box takes in each slice the energy nearest to 0. Kinds that are neither boxes nor storage-like take any
    schedule that is feasible.

    Raises:
        InvalidError: the offer is withdrawn, or cannot start.
        InfeasibleError: nothing is feasible.
    """
    if offer.default_schedule is not None:
        return offer.default_schedule
    if offer.withdrawn:
        raise InvalidError("the flexibility is withdrawn", path=f"FlexOffer[{offer.id}]", value=offer.id)
    if not traits(offer) <= STORAGE:
        found = feasible_schedule(offer, offer.created)
        if found is None:
            raise InfeasibleError("nothing keeps all bounds", path=f"FlexOffer[{offer.id}]", value=offer.id)
        return found
    profile = offer.profiles[0]
    window = starts(offer, profile.duration_slots()[0])
    if window.first > window.last:
        raise InvalidError("there is no start that ends in time", path=f"FlexOffer[{offer.id}]", value=offer.id)
    lo, hi = bounds(profile)
    tight = tighten(lo, hi, cumulative(profile))
    target = min(max(0.0, float(tight.lo[-1])), float(tight.hi[-1]))
    wish, used = np.empty(len(lo)), 0.0
    for t in range(len(lo)):
        wish[t] = min(max(target - used, lo[t], tight.lo[t] - used), hi[t], tight.hi[t] - used)
        used += wish[t]
    if not traits(offer) - {Trait.IMPLICIT}:  # nothing couples its slices
        wish = np.clip(0.0, lo, hi)
    return _schedule(offer, profile, window.first, settle_into(wish, lo, hi, tight).tolist(), 0)


def _schedule(offer: FlexOffer, profile: Profile, start: int, energies: Sequence[float], index: int | None) -> Schedule:
    pieces = zip(profile.slices, energies, strict=True)
    return Schedule(
        start=instant_of(start, offer.resolution_s),
        slices=tuple(ScheduleSlice(energy_kwh=e, duration=piece.min_duration) for piece, e in pieces),
        profile=index,
    )
