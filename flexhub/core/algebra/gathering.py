"""Offers of any kind sorted into what can be aggregated together, and what had to be given up for it.

A group holds one kind, on one grid. Slice flex-offers keep their window of starts (`aggregator`); of storage-like and
dependency-based ones each starts in one slot, so that they can be summed. What is of no such kind is reduced to one
first (`reducing`), with its loss; what cannot be stays alone, with the reason.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

import msgspec
import numpy as np

from flexhub.core.algebra.coupling import Coupled, couple
from flexhub.core.algebra.optimum import Prices
from flexhub.core.algebra.oracle import blend
from flexhub.core.algebra.packing import packs
from flexhub.core.algebra.polygons import Polygons
from flexhub.core.algebra.reducing import GivenUp, Reduced, reduced, restored
from flexhub.core.algebra.shape import NOT_CONVEX, Trait, traits
from flexhub.core.algebra.storage import Storage
from flexhub.core.batch import FlexOfferBatch, Floats
from flexhub.core.errors import FlexhubError, InfeasibleError, InvalidError
from flexhub.core.flexoffer import FlexOffer, Schedule, ScheduleSlice
from flexhub.core.timegrid import instant_of, slot_of


class Form(enum.StrEnum):
    """What a group can be aggregated as."""

    SLICES = "slices"
    STORAGE = "storage-like"
    DEPENDENT = "dependency-based"


ALWAYS_ALONE: Final = frozenset({Trait.WITHDRAWN, Trait.QUANTITY, Trait.COST})
"""No reduction makes these summable."""

_PLAIN: Final = NOT_CONVEX | {Trait.POLYTOPE, Trait.DURATION}
"""What is reduced."""


def form_of(offer: FlexOffer) -> Form | None:
    """What the offer is as it stands; None where it must be reduced first, or stay alone."""
    found = traits(offer)
    if found & (_PLAIN | ALWAYS_ALONE):
        return None
    if Trait.POLYGON in found:
        rows = [row for piece in offer.profiles[0].slices for row in piece.polygon]
        ranged = all(piece.energy_kwh for piece in offer.profiles[0].slices)
        running = ranged and all(row.a in {0.0, row.b} for row in rows)
        return Form.STORAGE if running else Form.DEPENDENT
    return Form.STORAGE if found & {Trait.TOTAL, Trait.SUBTOTAL} else Form.SLICES


class Member(NamedTuple):
    """An offer and what stands for it."""

    original: FlexOffer
    stand_in: Reduced


@dataclass(frozen=True, slots=True)
class Group:
    """Members of one kind on one grid."""

    form: Form
    resolution_s: int
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Gathered:
    """Groups, the offers that stay alone with the reason, and why there is more than one group, where there is."""

    groups: tuple[Group, ...]
    alone: Mapping[str, str]
    parted: tuple[str, ...]


def gather(
    offers: Sequence[FlexOffer], now: datetime, *, threshold: float | None = None, prices: Prices | None = None
) -> Gathered:
    """Every offer in one group, or alone; arguments as of `reducing.reduced`.

    Raises:
        InvalidError: an offer twice.
    """
    if len({offer.id for offer in offers}) != len(offers):
        raise InvalidError("an offer stands twice", path="offers")
    found: dict[tuple[Form, int], list[Member]] = {}
    alone: dict[str, str] = {}
    for offer in offers:
        try:
            member = Member(offer, _stand_in(offer, now, threshold, prices))
        except FlexhubError as error:
            alone[offer.id] = str(error)
            continue
        form = form_of(member.stand_in.offer)
        slots = {piece.min_duration for piece in member.stand_in.offer.profiles[0].slices}
        if form is None or (form is not Form.SLICES and slots != {1}):
            alone[offer.id] = "slices longer than a slot share one energy, which running totals do not tell apart"
            continue
        if form is not Form.SLICES:
            try:
                member = _started(member, form, now, prices)
            except FlexhubError as error:
                alone[offer.id] = str(error)
                continue
        found.setdefault((form, offer.resolution_s), []).append(member)
    for key in [key for key in found if key[0] is not Form.SLICES]:
        found[key] = _feasible(key[0], found[key], now, alone)
    found = {key: members for key, members in found.items() if members}
    parted = []
    for place, what in ((0, "kinds"), (1, "resolutions")):
        several = sorted({str(key[place]) for key in found})
        if len(several) > 1:
            parted.append(f"{what} {', '.join(several)} are not summed")
    groups = tuple(Group(form, step, tuple(members)) for (form, step), members in found.items())
    return Gathered(groups, alone, tuple(parted))


def _feasible(form: Form, members: list[Member], now: datetime, alone: dict[str, str]) -> list[Member]:
    """Those of which anything is feasible; usually all, so they are asked together first."""
    try:
        _laid(form, members, now)
    except FlexhubError as error:
        if len(members) == 1:
            alone[members[0].original.id] = str(error)
            return []
        half = len(members) // 2
        return [*_feasible(form, members[:half], now, alone), *_feasible(form, members[half:], now, alone)]
    return members


def _stand_in(offer: FlexOffer, now: datetime, threshold: float | None, prices: Prices | None) -> Reduced:
    if form_of(offer) is not None:
        return Reduced(offer, 0, ())
    if traits(offer) & ALWAYS_ALONE:
        reasons = ", ".join(sorted(trait.value for trait in traits(offer) & ALWAYS_ALONE))
        raise InvalidError(reasons, path="FlexOffer", value=offer.id)
    return reduced(offer, now, threshold=threshold, prices=prices)


def _started(member: Member, form: Form, now: datetime, prices: Prices | None) -> Member:
    """The same with one start: that of its default schedule, or the first; at prices a storage-like one's cheapest."""
    offer = member.stand_in.offer
    first, last = offer.start_slots(now, sum(piece.min_duration for piece in offer.profiles[0].slices))
    if first > last:
        raise InfeasibleError("no start is left", path="FlexOffer/start_before", value=offer.id)
    start = first
    if prices is not None and form is Form.STORAGE and first < last:
        starts = np.arange(first, last + 1)
        each = FlexOfferBatch.from_offers([offer], now).take(np.zeros(len(starts), dtype=np.int64))
        storage, at_first = Storage.from_batch(each, starts)
        price = prices.of_slots(at_first, storage.slots, offer.resolution_s)
        start = int(starts[np.argmin(price @ blend(storage, price[None], np.ones(1), compiled=False))])
    elif offer.default_schedule is not None:
        start = min(max(slot_of(offer.default_schedule.start, offer.resolution_s), first), last)
    losses = member.stand_in.losses
    if first < last:
        losses = (*losses, GivenUp(f"{last - first} slots of time flexibility", 1 / (last - first + 1)))
    at = instant_of(start, offer.resolution_s)
    fixed = msgspec.structs.replace(
        offer, start_after=at, start_before=at, start_before_duration_s=None, end_after=None, end_before=None
    )
    return Member(member.original, Reduced(fixed, member.stand_in.profile, losses))


def _laid(form: Form, members: Sequence[Member], now: datetime) -> tuple[Storage | Polygons, int]:
    batch = FlexOfferBatch.from_offers([member.stand_in.offer for member in members], now)
    return Storage.from_batch(batch) if form is Form.STORAGE else Polygons.from_batch(batch)


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """Members and the DFO that stands for them from slot `first` (since the epoch) on."""

    members: tuple[Member, ...]
    first: int
    coupled: Coupled

    def schedules(self, energies_kwh: Floats) -> dict[str, Schedule]:
        """Schedules of the original offers, by id, that add up to one of the DFO (float64[t] kWh).

        Raises:
            InvalidError: it breaks the DFO's bounds.
        """
        energies = self.coupled.disaggregate(energies_kwh)
        result = {}
        for k, (original, stand_in) in enumerate(self.members):
            offer = stand_in.offer
            start = offer.start_slots(offer.created, len(offer.profiles[0].slices))[0]
            mine = energies[start - self.first : start - self.first + len(offer.profiles[0].slices), k]
            slices = tuple(ScheduleSlice(energy_kwh=energy) for energy in mine.tolist())
            schedule = Schedule(start=instant_of(start, offer.resolution_s), slices=slices)
            result[original.id] = restored(original, stand_in, schedule)
        return result


def stand(group: Group, now: datetime, size: int) -> list[Standing]:
    """The group as DFOs of so many members at most.

    Raises:
        InvalidError: slice flex-offers, which keep their starts in an `Aggregator` instead.
    """
    if group.form is Form.SLICES:
        raise InvalidError("slice flex-offers are aligned, not coupled", path="Group/form")
    laid, first = _laid(group.form, group.members, now)
    if isinstance(laid, Storage):
        groups = packs(laid, size)
    else:
        groups = [np.arange(i, min(i + size, len(laid))) for i in range(0, len(laid), size)]
    return [Standing(tuple(group.members[k] for k in rows.tolist()), first, couple(laid.take(rows))) for rows in groups]
