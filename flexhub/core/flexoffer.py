"""The flex-offer: what may be consumed or produced, when, within which bounds and at what price.

Every field is validated when an object is built or decoded; an object that exists is well-formed. Whether a *schedule*
keeps an offer's bounds is the judge's business (`core.judge`), what may happen to an offer that of `core.lifecycle`.

Energies are kWh for the whole slice, positive = consumption. Durations count slots of ``resolution_s`` seconds.
Sources: FlexOffer specification V1 ("V1"), GOFLEX D2.1 ("GOFLEX"), dependency-based flex-offers ("DFO").
"""

from __future__ import annotations

import enum
import math
from datetime import datetime, timedelta
from itertools import pairwise
from operator import attrgetter
from typing import Annotated, Any

import msgspec

from flexhub.core.base import Id, Instant, Model, ResolutionS, Seconds, Slots, finite, in_utc
from flexhub.core.errors import InvalidError
from flexhub.core.price import Price
from flexhub.core.timegrid import QUARTER_HOUR_S, ceil_to_grid, check_on_grid, slot_from, slot_of
from flexhub.core.units import LONGEST_S, MOST_SLOTS, TOLERANCE_KWH

_INF = math.inf
Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]
Text = Annotated[str, msgspec.Meta(max_length=1000)]


class State(enum.StrEnum):
    """Where a flex-offer is in its life; what leads from one to another is in `core.lifecycle`."""

    INITIAL = "initial"
    OFFERED = "offered"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    ASSIGNED = "assigned"
    CONFIRMED = "confirmed"
    EXECUTING = "executing"
    EXECUTED = "executed"
    SETTLED = "settled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    INVALID = "invalid"


class Quantity(enum.StrEnum):
    """What a profile's amounts are (V1 flexOfferProfilType). Only active energy is planned."""

    ACTIVE_ENERGY = "active_energy"
    REACTIVE_ENERGY = "reactive_energy"
    VOLTAGE = "voltage"


class EnergyRange(Model, frozen=True, gc=False):
    """``lo_kwh <= energy <= hi_kwh``.

    Raises:
        InvalidError: lo above hi, or not finite.
    """

    lo_kwh: float
    hi_kwh: float

    def __post_init__(self) -> None:
        # One subtraction refuses nearly all that is wrong (NaN compares false); the rest is told apart only then.
        if not 0.0 <= self.hi_kwh - self.lo_kwh < _INF and not -_INF < self.lo_kwh <= self.hi_kwh < _INF:
            raise InvalidError(
                f"lo {self.lo_kwh} and hi {self.hi_kwh} kWh: lo must not exceed hi, both finite",
                value=f"{self.lo_kwh}..{self.hi_kwh}",
                clause="V1 energyConstraint",
            )


class CostRange(Model, frozen=True, gc=False):
    """``lo_eur <= total cost of the schedule <= hi_eur`` (V1 totalCostConstraint).

    Raises:
        InvalidError: lo above hi, or not finite.
    """

    lo_eur: float
    hi_eur: float

    def __post_init__(self) -> None:
        if not -math.inf < self.lo_eur <= self.hi_eur < math.inf:
            raise InvalidError(
                f"lo {self.lo_eur} and hi {self.hi_eur} EUR: lo must not exceed hi, both finite",
                value=f"{self.lo_eur}..{self.hi_eur}",
                clause="V1 totalCostConstraint",
            )


class HalfPlane(Model, frozen=True, gc=False):
    """One side of a slice's dependency polygon: ``a * x + b * e <= c_kwh`` with x the energy used before the slice.

    Raises:
        InvalidError: not finite, or both coefficients zero.
    """

    a: float
    b: float
    c_kwh: float

    def __post_init__(self) -> None:
        finite(self, ("a", "b", "c_kwh"))
        if self.a == 0 and self.b == 0:
            raise InvalidError("a and b are both zero, so the row bounds nothing", clause="DFO")


class Uncertainty(Model, frozen=True, kw_only=True, gc=False):
    """Probability that an energy is feasible, piecewise linear in the energy, and the least that is acceptable.

    ``energies_kwh`` rise; ``probabilities`` belong to them; outside them the probability is 0 (UFO).

    Raises:
        InvalidError: fewer than two points, energies not rising, or numbers not matching.
    """

    energies_kwh: tuple[float, ...]
    probabilities: tuple[Probability, ...]
    threshold: Probability

    def __post_init__(self) -> None:
        if len(self.energies_kwh) != len(self.probabilities) or len(self.energies_kwh) < 2:
            raise InvalidError("as many probabilities as energies, and at least two", path="probabilities")
        if not all(map(math.isfinite, self.energies_kwh)) or any(a >= b for a, b in pairwise(self.energies_kwh)):
            raise InvalidError("energies rise and are finite", path="energies_kwh")

    def probability(self, energy_kwh: float) -> float:
        """Probability that this energy is feasible."""
        points = list(zip(self.energies_kwh, self.probabilities, strict=True))
        for (left, p_left), (right, p_right) in pairwise(points):
            if left <= energy_kwh <= right:
                return p_left + (p_right - p_left) * (energy_kwh - left) / (right - left)
        return 0.0

    def likely_kwh(self) -> list[tuple[float, float]]:
        """The intervals of energy, rising, whose probability reaches the threshold."""
        likely: list[tuple[float, float]] = []
        points = list(zip(self.energies_kwh, self.probabilities, strict=True))
        for (left, p_left), (right, p_right) in pairwise(points):
            if max(p_left, p_right) < self.threshold:
                continue
            if min(p_left, p_right) >= self.threshold:
                lo, hi = left, right
            else:
                crossing = left + (right - left) * (self.threshold - p_left) / (p_right - p_left)
                lo, hi = (left, crossing) if p_left > p_right else (crossing, right)
            if likely and likely[-1][1] == lo:
                lo = likely.pop()[0]
            likely.append((lo, hi))
        return likely


class Slice(Model, frozen=True, kw_only=True, gc=False):
    """One step of a profile.

    Several `energy_kwh` ranges mean "within one of these"; `amounts_kwh` means "exactly one of these"; a dependency
    `polygon` bounds the energy given what was used before. Ranges or amounts exclude each other; a polygon may stand
    beside ranges or alone.

    Interpretation: the energy is that of the whole slice, also where its duration varies (V1 is silent).

    Raises:
        InvalidError: no bound at all, ranges beside amounts, or min_duration above max_duration.
    """

    energy_kwh: tuple[EnergyRange, ...] = ()
    amounts_kwh: tuple[float, ...] = ()
    min_duration: Slots = 1
    max_duration: Slots = 1
    price: Price | None = None
    polygon: Annotated[tuple[HalfPlane, ...], msgspec.Meta(max_length=64)] = ()
    uncertainty: Uncertainty | None = None
    extras: dict[str, Any] = {}

    def __post_init__(self) -> None:
        if self.energy_kwh and not self.amounts_kwh and self.min_duration <= self.max_duration:
            return  # the common case, at the price of one line: an offer of a day has 96 of these
        if self.min_duration > self.max_duration:
            raise InvalidError(
                f"min_duration {self.min_duration} exceeds max_duration {self.max_duration}",
                value=str(self.min_duration),
                clause="V1 minDuration, maxDuration",
            )
        if not self.energy_kwh and not self.polygon and not self.amounts_kwh:
            raise InvalidError("a slice needs energy ranges, amounts or a polygon", clause="V1 energyConstraintList")
        if self.amounts_kwh:
            if self.energy_kwh:
                raise InvalidError("either energy ranges or amounts, not both", path="amounts_kwh")
            if not all(map(math.isfinite, self.amounts_kwh)):
                raise InvalidError("amounts are finite numbers", path="amounts_kwh")

    def span_kwh(self) -> tuple[float, float]:
        """Lowest and highest energy that the ranges or amounts allow; infinite where only a polygon bounds."""
        if self.amounts_kwh:
            return min(self.amounts_kwh), max(self.amounts_kwh)
        if not self.energy_kwh:
            return -math.inf, math.inf
        if len(self.energy_kwh) == 1:
            return self.energy_kwh[0].lo_kwh, self.energy_kwh[0].hi_kwh
        return min(r.lo_kwh for r in self.energy_kwh), max(r.hi_kwh for r in self.energy_kwh)


_LONGEST = attrgetter("max_duration")


class Polytope(Model, frozen=True, kw_only=True, gc=False):
    """Joint bounds ``A e <= b_kwh`` on the vector of slice energies of one profile.

    ``a`` has one row per bound and one column per slice.

    Raises:
        InvalidError: no rows, rows of unequal length, not as many as `b_kwh`, or not finite.
    """

    a: tuple[tuple[float, ...], ...]
    b_kwh: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.a or len(self.a) != len(self.b_kwh):
            raise InvalidError(f"{len(self.a)} rows and {len(self.b_kwh)} bounds", path="b_kwh")
        if len({len(row) for row in self.a}) != 1:
            raise InvalidError("rows differ in length", path="a")
        if not all(map(math.isfinite, self.b_kwh)) or not all(math.isfinite(v) for row in self.a for v in row):
            raise InvalidError("coefficients and bounds are finite numbers", path="a")


class TwoMode(Model, frozen=True, kw_only=True, gc=False):
    """Two-mode conditional operation (GOFLEX): portions of the intervention's energy are given back around it.

    A schedule either leaves the intervention out (it is the default schedule, or all zero), or is laid out as
    ``prior_time_s`` of payback, the profile's slices with total energy E, and ``after_time_s`` of payback; payback
    slices hold ``-portion * E`` spread evenly over their slots.

    Raises:
        InvalidError: a portion without its time, or a negative or non-finite portion.
    """

    prior_time_s: Seconds = 0
    prior_portion: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    after_time_s: Seconds = 0
    after_portion: Annotated[float, msgspec.Meta(ge=0)] = 0.0

    def __post_init__(self) -> None:
        finite(self, ("prior_portion", "after_portion"))
        for portion, time_s, name in (
            (self.prior_portion, self.prior_time_s, "prior"),
            (self.after_portion, self.after_time_s, "after"),
        ):
            if portion and not time_s:
                raise InvalidError(
                    f"{name}_portion {portion} needs a {name}_time_s",
                    path=f"{name}_time_s",
                    clause="GOFLEX two-mode operation",
                )

    def payback_slots(self, resolution_s: int) -> tuple[int, int]:
        """Slots of payback before and after the intervention.

        Interpretation: a time that is no whole number of slots is rounded up to one.
        """
        return -(-self.prior_time_s // resolution_s), -(-self.after_time_s // resolution_s)


class Profile(Model, frozen=True, kw_only=True, gc=False):
    """Slices in order, and what bounds them together. Of several profiles of an offer exactly one is taken.

    ``subtotal_energy_kwh`` bounds the energy used up to the end of every slice (the room of a reservoir at start).

    Raises:
        InvalidError: no slices, more slots than a leap year of quarter-hours has, a polytope of another width, or
            totals that no choice of energies can meet.
    """

    slices: Annotated[tuple[Slice, ...], msgspec.Meta(min_length=1, max_length=MOST_SLOTS)]
    total_energy_kwh: EnergyRange | None = None
    subtotal_energy_kwh: EnergyRange | None = None
    polytope: Polytope | None = None
    two_mode: TwoMode | None = None

    def __post_init__(self) -> None:
        if not self.slices:
            raise InvalidError("a profile needs slices", path="slices")
        longest = sum(map(_LONGEST, self.slices))
        if longest > MOST_SLOTS:
            raise InvalidError(f"up to {longest} slots in all, allowed: {MOST_SLOTS}", path="slices")
        if self.polytope is not None and len(self.polytope.a[0]) != len(self.slices):
            raise InvalidError(f"{len(self.polytope.a[0])} columns for {len(self.slices)} slices", path="polytope/a")
        if self.total_energy_kwh is not None or self.subtotal_energy_kwh is not None:
            self._check_totals()

    def _check_totals(self) -> None:
        # The reachable totals are an interval when every slice is one; with gaps this stays a necessary condition.
        total, sub = self.total_energy_kwh, self.subtotal_energy_kwh
        lo = hi = 0.0
        for i, piece in enumerate(self.slices):
            ranges = piece.energy_kwh
            if len(ranges) == 1:  # span_kwh, written out: this loop is most of what decoding an offer takes
                lo += ranges[0].lo_kwh
                hi += ranges[0].hi_kwh
            else:
                low, high = piece.span_kwh()
                lo += low
                hi += high
            if sub is not None:
                lo, hi = max(lo, sub.lo_kwh), min(hi, sub.hi_kwh)
                if lo > hi + TOLERANCE_KWH:
                    raise InvalidError(
                        f"no energies keep the running total within {sub.lo_kwh}..{sub.hi_kwh} kWh",
                        path=f"slices[{i}]",
                        clause="V1 subTotalEnergyConstraint",
                    )
        if total is not None and (lo > total.hi_kwh + TOLERANCE_KWH or hi < total.lo_kwh - TOLERANCE_KWH):
            raise InvalidError(
                f"slices allow {lo:g}..{hi:g} kWh, the total asks {total.lo_kwh:g}..{total.hi_kwh:g}",
                path="total_energy_kwh",
                clause="V1 totalEnergyConstraint",
            )

    def duration_slots(self) -> tuple[int, int]:
        """Least and greatest number of slots of the slices together, without the payback of a two-mode operation."""
        least = most = 0
        for piece in self.slices:
            least += piece.min_duration
            most += piece.max_duration
        return least, most

    def span_slots(self, resolution_s: int) -> tuple[int, int]:
        """Least and greatest number of slots of a schedule, with the payback of a two-mode operation."""
        payback = 0 if self.two_mode is None else sum(self.two_mode.payback_slots(resolution_s))
        least, greatest = self.duration_slots()
        return least + payback, greatest + payback


class ScheduleSlice(Model, frozen=True, kw_only=True, gc=False):
    """`energy_kwh` over `duration` slots, and the price agreed for it."""

    energy_kwh: float
    duration: Slots = 1
    price_eur_per_kwh: float | None = None

    def __post_init__(self) -> None:
        finite(self, ("energy_kwh", "price_eur_per_kwh"))


class Schedule(Model, frozen=True, kw_only=True, gc=False):
    """What is to happen: a start and one energy per slice.

    `profile` names the profile taken, by its index; None leaves it to be recognised. `update` counts re-assignments.

    Raises:
        InvalidError: no slices.
    """

    start: Instant
    slices: Annotated[tuple[ScheduleSlice, ...], msgspec.Meta(min_length=1, max_length=MOST_SLOTS)]
    id: Text = "0"
    update: Annotated[int, msgspec.Meta(ge=0)] = 0
    profile: Annotated[int, msgspec.Meta(ge=0)] | None = None

    def __post_init__(self) -> None:
        in_utc(self, ("start",))
        if not self.slices:
            raise InvalidError("a schedule needs slices", path="slices", clause="V1 scheduleSlices")

    def energy_kwh(self) -> float:
        """Energy of all slices."""
        return sum(s.energy_kwh for s in self.slices)

    def slots(self) -> int:
        """Slots from start to end."""
        return sum(s.duration for s in self.slices)

    def per_slot_kwh(self) -> list[float]:
        """Energy of each slot, a slice's spread evenly over its duration."""
        return [s.energy_kwh / s.duration for s in self.slices for _ in range(s.duration)]

    def by_slot_kwh(self, resolution_s: int) -> dict[int, float]:
        """The same by slot, counted in whole resolutions since the epoch."""
        return dict(enumerate(self.per_slot_kwh(), slot_of(self.start, resolution_s)))

    def end(self, resolution_s: int) -> datetime:
        """First instant after the last slot."""
        return self.start + timedelta(seconds=self.slots() * resolution_s)


class FlexOffer(Model, frozen=True, kw_only=True, gc=False):
    """One party's flexibility.

    Time flexibility is explicit (`start_after` and `start_before`) or implicit (`start_before_duration_s`: any start
    between now and now plus that). No profiles means that the flexibility is withdrawn.

    Raises:
        InvalidError: a field or a combination of fields that no flex-offer can have; the path names it.
    """

    id: Id
    issuer: Id
    recipient: Id | None = None
    contract: Id | None = None
    location: Id | None = None
    label: Text | None = None
    state: State = State.INITIAL
    state_reason: Text | None = None
    quantity: Quantity = Quantity.ACTIVE_ENERGY
    obligatory: bool = True

    created: Instant
    accept_before: Instant | None = None
    assign_before: Instant | None = None
    assign_before_start_s: Seconds | None = None
    start_after: Instant | None = None
    start_before: Instant | None = None
    start_before_duration_s: Seconds | None = None
    end_after: Instant | None = None
    end_before: Instant | None = None
    resolution_s: ResolutionS = QUARTER_HOUR_S

    profiles: Annotated[tuple[Profile, ...], msgspec.Meta(max_length=1000)] = ()
    price: Price | None = None
    total_cost_eur: CostRange | None = None
    default_schedule: Schedule | None = None
    schedule: Schedule | None = None
    extras: dict[str, Any] = {}

    def __post_init__(self) -> None:
        in_utc(self, INSTANTS)
        self._check_deadlines()
        self._check_window()
        if self.default_schedule is not None:
            self._check_default(self.default_schedule)

    def _check_default(self, default: Schedule) -> None:
        # Whether it keeps the bounds is for the judge: a baseline may lie outside of what is offered.
        check_on_grid(default.start, self.resolution_s, "default_schedule/start", "V1 numSecondsPerInterval")
        if default.profile is not None and self.profiles and default.profile >= len(self.profiles):
            raise InvalidError(
                f"there is no profile {default.profile}; the offer has {len(self.profiles)}",
                path="default_schedule/profile",
                value=str(default.profile),
            )

    def _check_deadlines(self) -> None:
        accept, assign = self.accept_before, self.assign_before
        if assign is not None and self.assign_before_start_s is not None:
            raise InvalidError(
                "either assign_before or assign_before_start_s, not both",
                path="assign_before_start_s",
                clause="V1 assignmentBeforeTime",
            )
        if accept is not None and accept < self.created:
            raise InvalidError(
                f"{accept:%FT%TZ} is before created {self.created:%FT%TZ}",
                path="accept_before",
                clause="V1 acceptBeforeTime",
            )
        if assign is not None and assign < (accept or self.created):
            raise InvalidError(
                f"{assign:%FT%TZ} is before accept_before or created",
                path="assign_before",
                clause="V1 assignmentBeforeTime",
            )

    def _check_window(self) -> None:
        after, before = self.start_after, self.start_before
        if self.start_before_duration_s is not None:
            if after is not None or before is not None:
                raise InvalidError(
                    "either start_after and start_before, or start_before_duration_s",
                    path="start_before_duration_s",
                    clause="GOFLEX startBeforeDuration",
                )
        elif after is None or before is None:
            missing = "start_after" if after is None else "start_before"
            raise InvalidError(
                "start_after and start_before are needed, or start_before_duration_s",
                path=missing,
                clause="V1 startBeforeTime",
            )
        elif (before - after).total_seconds() < self.resolution_s and ceil_to_grid(after, self.resolution_s) > before:
            raise InvalidError(
                f"no slot starts between {after:%FT%TZ} and {before:%FT%TZ}",
                path="start_before",
                clause="V1 startBeforeTime",
            )
        elif (before - after).total_seconds() > LONGEST_S:
            raise InvalidError(
                f"starts from {after:%FT%TZ} to {before:%FT%TZ}, allowed: {LONGEST_S // 86_400} days",
                path="start_before",
                value=before.isoformat(),
            )
        if self.end_after is not None and self.end_before is not None and self.end_after > self.end_before:
            raise InvalidError(
                f"{self.end_after:%FT%TZ} is after end_before", path="end_after", clause="V1 endAfterTime"
            )
        if self.profiles and (self.end_after is not None or self.end_before is not None):
            self._check_ends()

    def _check_ends(self) -> None:
        resolution = timedelta(seconds=self.resolution_s)
        shortest = min(p.span_slots(self.resolution_s)[0] for p in self.profiles)
        longest = max(p.span_slots(self.resolution_s)[1] for p in self.profiles)
        # Implicit time flexibility moves on with now, so only its beginning is known: now is never before created.
        earliest = ceil_to_grid(self.start_after or self.created, self.resolution_s) + shortest * resolution
        latest = None if self.start_before is None else self.start_before + longest * resolution
        if self.end_before is not None and earliest > self.end_before:
            raise InvalidError(
                f"the shortest profile from the earliest start ends {earliest:%FT%TZ}",
                path="end_before",
                clause="V1 endBeforeTime",
            )
        if self.end_after is not None and latest is not None and latest < self.end_after:
            raise InvalidError(
                f"the longest profile from the latest start ends {latest:%FT%TZ}",
                path="end_after",
                clause="V1 endAfterTime",
            )

    def window(self, now: datetime) -> tuple[datetime, datetime]:
        """Earliest and latest start; `now` matters for implicit time flexibility only."""
        if self.start_after is not None and self.start_before is not None:
            return self.start_after, self.start_before
        return now, now + timedelta(seconds=self.start_before_duration_s or 0)

    def start_slots(self, now: datetime, length: int) -> tuple[int, int]:
        """First and last slot (since the epoch) that `length` slots may start in, so that they also end in time.

        The first is later than the last where there is no such start.
        """
        step = self.resolution_s
        earliest, latest = self.window(now)
        first, last = slot_from(earliest, step), slot_of(latest, step)
        if self.end_after is not None:
            first = max(first, slot_from(self.end_after, step) - length)
        if self.end_before is not None:
            last = min(last, slot_of(self.end_before, step) - length)
        return first, last

    def assign_deadline(self, now: datetime) -> datetime:
        """Until when a schedule may be assigned: as stated, or the earliest start (V1's default).

        With implicit time flexibility "now" moves on, so there the latest start counts.
        """
        if self.assign_before is not None:
            return self.assign_before
        earliest, latest = self.window(now)
        if self.assign_before_start_s is not None:
            return latest - timedelta(seconds=self.assign_before_start_s)
        return earliest if self.start_before_duration_s is None else latest

    @property
    def withdrawn(self) -> bool:
        """Whether the offer holds no flexibility any more."""
        return not self.profiles


INSTANTS = ("created", "accept_before", "assign_before", "start_after", "start_before", "end_after", "end_before")
