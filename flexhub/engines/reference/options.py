"""Options: what a portfolio can do for a request, as deviations of which any part can be ordered.

Three answers are looked for. ``full`` meets the request as far as it can be met, by the linear program of a plan with
every start as it is. ``part`` moves only the members of it that give most for their cost, up to half of the effect.
``shifted`` is a plan that may also choose other starts; it is offered as a whole only.

**Law**: for every factor a in [min, 1] members have schedules that the judge accepts and that add up to
``baseline + a * option``. Let c_k be the course of member k (what it does if nothing is ordered) and s_k its schedule
behind the option, with the same start and the same durations. Both keep every bound of the offer. Those bounds that a
member may have here (slice ranges, totals, sub-totals, polygons, polytopes: `shape.NOT_CONVEX` names the others) are
linear inequalities in the energies of its slices, so ``e_k = c_k + a (s_k - c_k) = (1 - a) c_k + a s_k`` keeps them as
well, and sums are linear: ``sum e_k = sum c_k + a sum (s_k - c_k)``. Timing is that of c_k. Members that are not convex
in this sense stay on their course. Where starts differ nothing lies between the two schedules, so there ``min = 1``.

An option is rounded to whole watts per slot, the least that the wire can say: members are off it by half of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from typing import Final, NamedTuple

import msgspec
import numpy as np

from flexhub.core.algebra import alignment
from flexhub.core.algebra.grouping import Dimension, group
from flexhub.core.algebra.shape import Floats, default_energies, energies, joint_rows
from flexhub.core.base import renewed
from flexhub.core.errors import ExpiredError, InvalidError, NotFoundError
from flexhub.core.flexoffer import FlexOffer, Schedule, ScheduleSlice
from flexhub.core.judge import violations
from flexhub.core.options import HUNDREDTH, Option, Options, check_factor, wanted_kwh
from flexhub.core.timegrid import check_on_grid, slot_from, slot_of
from flexhub.core.trading import Aggregate, Contract, FlexRequest, Reference
from flexhub.core.units import TOLERANCE_KWH
from flexhub.engines.reference import planning
from flexhub.engines.reference.planning import Unit, Weights, lay
from flexhub.engines.reference.settlement import requested_kwh, rewards
from flexhub.engines.reference.stage import Stage, add_schedule, known, set_stage
from flexhub.engines.reference.units import numbered, price_eur, rounded, schedule_of, unit_of
from flexhub.engines.slots import Assignment, Offering, Plan, Portfolio, Terms

SHARE: Final = 0.5
"""How much of the full effect ``part`` is to have."""
EPS_KWH: Final = 1e-9
"""Less than this is the solver's rounding."""
_PRICE_STEP: Final = Decimal("0.0001")


class Means(NamedTuple):
    """What the manager works with; `plan` is its planning, starts included."""

    resolution_s: int
    horizon: timedelta
    tolerances: Mapping[Dimension, float]
    party: str
    weights: Weights
    plan: Callable[[Portfolio], Plan]


def course(offer: FlexOffer) -> Schedule | None:
    """What the offer does if nothing more is asked of it: its schedule, or else its default schedule."""
    return offer.schedule or offer.default_schedule


def baseline_kwh(portfolio: Portfolio, terms: Terms, resolution_s: int) -> Floats:
    """What is committed and all courses, per slot of the day of `terms`: float64[t]; what a D-Prognosis says."""
    origin = slot_of(terms.start, resolution_s)
    load = np.zeros(slot_of(terms.end, resolution_s) - origin)
    if portfolio.committed is not None:
        lay(load, slot_of(portfolio.committed.start, resolution_s) - origin, known(portfolio.committed))
    for offer in portfolio.offers:
        add_schedule(load, origin, offer, course(offer), resolution_s)
    return load


def offering(
    portfolio: Portfolio, request: FlexRequest, terms: Terms, usable: Sequence[FlexOffer], means: Means
) -> Offering:
    """The options of `usable` offers, which are those that can be planned and stay open as long as the options.

    Raises:
        ExpiredError: the request has expired.
        InvalidError: a day or request off the grid.
    """
    if request.expires < portfolio.now:
        raise ExpiredError(f"expired on {request.expires:%FT%TZ}", path="FlexRequest/expires", clause="UFTP-20")
    for name in ("start", "end"):
        check_on_grid(getattr(terms, name), means.resolution_s, f"Terms/{name}")
    crowd = _Crowd.of(portfolio, request, terms, usable, means)
    found: dict[str, tuple[Option, dict[str, Schedule]]] = {}
    if crowd.members:
        full = crowd.full()
        for name, schedules in (("full", full), ("part", crowd.part(full)), ("shifted", crowd.shifted())):
            option = crowd.option(name, schedules, convex=name != "shifted") if schedules else None
            whole = found.get("full") if name == "part" else None
            if option is not None and not (whole is not None and crowd.dominated(option, whole[0])):
                found[name] = option, schedules
    return Offering(
        options=Options(
            start=terms.start,
            baseline_kwh=tuple(baseline_kwh(portfolio, terms, means.resolution_s).tolist()),
            options=tuple(option for option, _ in found.values()),
            expires=terms.until,
            request=request.id,
            resolution_s=means.resolution_s,
        ),
        courses=_assignments({i: crowd.courses[i] for i in crowd.members}),
        behind={name: _assignments(schedules) for name, (_, schedules) in found.items()},
    )


def _assignments(schedules: Mapping[str, Schedule]) -> tuple[Assignment, ...]:
    return tuple(Assignment(offer=i, schedule=schedule) for i, schedule in sorted(schedules.items()))


def activate(offering: Offering, offers: Iterable[FlexOffer], reference: str, factor: Decimal) -> list[Assignment]:
    """The schedules ``(1 - a) course + a target`` of all members (see the module's law).

    Raises:
        NotFoundError: no such option, or a member that is not among the offers.
        InvalidError: a factor that the option does not allow.
    """
    option = offering.options.option(reference)
    check_factor(factor, option.min_activation_factor, "activation_factor")
    by_id = {o.id: o for o in offers}
    targets = {a.offer: a.schedule for a in offering.behind[reference]}
    result = []
    for member in offering.courses:
        if member.offer not in by_id:
            raise NotFoundError("a member is not among the offers", path="Offering/courses", value=member.offer)
        schedule = member.schedule
        if member.offer in targets:
            schedule = between(member.schedule, targets[member.offer], float(factor))
        result.append(Assignment(offer=member.offer, schedule=numbered(schedule, by_id[member.offer])))
    return result


def between(one: Schedule, other: Schedule, factor: float) -> Schedule:
    """``(1 - factor) * one + factor * other``, of schedules with the same start and durations; exact at factor 1."""
    if factor == 1.0:
        return other
    pairs = zip(one.slices, other.slices, strict=True)
    slices = tuple(
        ScheduleSlice(energy_kwh=(1 - factor) * a.energy_kwh + factor * b.energy_kwh, duration=b.duration)
        for a, b in pairs
    )
    return msgspec.structs.replace(other, slices=slices)


class _Crowd(NamedTuple):
    """Members that can move, and the stage on which they do.

    `offers` are all offers as if their course were their default, `real` as they are. `need` is the change that is
    asked of the baseline in each slot of the stage, `window` the slots in which members may move.
    """

    members: tuple[str, ...]
    offers: dict[str, FlexOffer]
    real: dict[str, FlexOffer]
    courses: dict[str, Schedule]
    contracts: dict[str, Contract]
    placed: list[tuple[Aggregate, Unit]]
    can_shift: bool
    stage: Stage
    need: Floats
    window: tuple[int, int]
    portfolio: Portfolio
    terms: Terms
    means: Means

    @staticmethod
    def of(
        portfolio: Portfolio, request: FlexRequest, terms: Terms, usable: Sequence[FlexOffer], means: Means
    ) -> _Crowd:
        """Who can move, laid out; the request's bounds as they are meant (`wanted_kwh`)."""
        offers = {o.id: renewed(o, default_schedule=course(o), schedule=None) for o in portfolio.offers}
        members = {o.id: offers[o.id] for o in usable if _convex(offers[o.id], portfolio.now, terms.until)}
        step = means.resolution_s
        window = max(slot_of(terms.start, step), slot_from(terms.until, step)), slot_of(terms.end, step)
        contracts = {c.id: c for c in portfolio.contracts}

        def rate(offer: FlexOffer) -> float:
            return contracts[offer.contract].per_deviation_eur_per_kwh if offer.contract in contracts else 0.0

        placed, units = [], []
        for like in group(list(members.values()), rate):
            for aggregate in alignment.aggregate(like, means.party, means.tolerances, terms.until):
                unit = unit_of(aggregate.offer, terms.until, step, means.horizon)
                units.append(unit)
                unit = _pinned(replace(unit, reward=rate(like[0])), window)
                if _movable(unit):
                    placed.append((aggregate, unit))
        asked = _meant(request, terms.until)
        stood = msgspec.structs.replace(portfolio, offers=tuple(offers.values()), requests=(asked,))
        moving = {m.offer for aggregate, _ in placed for m in aggregate.members}
        still = [o for o in stood.offers if o.id not in moving]
        stage = set_stage(stood, units, still, step)  # with room for other starts, too
        need = requested_kwh(stage.baseline, stage.asked_lo, stage.asked_hi)
        return _Crowd(
            members=tuple(members),
            offers=offers,
            real={o.id: o for o in portfolio.offers},
            courses={i: s for i, o in offers.items() if (s := o.default_schedule) is not None},
            contracts=contracts,
            placed=placed,
            can_shift=any(u.last > u.first for u in units),
            stage=stage,
            need=need,
            window=window,
            portfolio=stood,
            terms=terms,
            means=means,
        )

    def full(self) -> dict[str, Schedule]:
        """Schedules of the members that leave their course, by the plan's program with every start as it is.

        Raises:
            InvalidError: the program has no solution.
        """
        if not self.need.any() or not self.placed:
            return {}
        units = [unit for _, unit in self.placed]
        program = planning.build([(u, u.first) for u in units], self.stage.slots, self.stage.origin, self.means.weights)
        values = planning.solve(program, few_move=True)
        if values is None:
            # Every course keeps its own rows (`_movable`), and rows of one offer concern no other.
            raise InvalidError("the options have no solution", path="Portfolio")
        found: dict[str, Schedule] = {}
        wishes = planning.read(units, values, self.means.weights)
        for (aggregate, unit), wish in zip(self.placed, wishes, strict=True):
            if np.abs(wish - unit.default).max() <= EPS_KWH:
                continue
            schedule = schedule_of(unit, unit.first, rounded(unit, wish), self.means.resolution_s)
            found |= alignment.split(aggregate, self.offers, schedule)
        return {i: self._profiled(s) for i, s in found.items() if self._leaves(i, s)}

    def _profiled(self, schedule: Schedule) -> Schedule:
        return msgspec.structs.replace(schedule, profile=0)

    def _leaves(self, member: str, schedule: Schedule) -> bool:
        before = self.courses[member]
        moved = np.abs(energies(schedule) - energies(before)).max()
        return schedule.start != before.start or bool(moved > EPS_KWH)

    def part(self, full: Mapping[str, Schedule]) -> dict[str, Schedule]:
        """Of a full answer the members that give most for their cost, until they have `SHARE` of its effect.

        Each member may take its part in full or not at all, whatever the others do; only the sum is another. So nothing
        has to be solved again. None where it would fill room that the full answer leaves.
        """
        effects = {i: self.effect(self.moved({i: s})) for i, s in full.items()}
        costs = {i: sum(self.costs(i, full[i])) for i in full}
        giving = sorted((i for i in full if effects[i] > EPS_KWH), key=lambda i: (costs[i] / effects[i], i))
        goal, reached, chosen = SHARE * sum(effects.values()), 0.0, {}
        for member in giving:
            if reached >= goal:
                break
            chosen[member] = full[member]
            reached += effects[member]
        if len(chosen) == len(full) or self._crowds(self.moved(chosen)) > self._crowds(self.moved(full)) + 1e-6:
            return {}
        return chosen

    def shifted(self) -> dict[str, Schedule]:
        """Schedules of the members that leave their course in a plan that may choose other starts.

        None where no start is another, or something would be moved out of the day.
        """
        if not self.can_shift or not self.need.any():
            return {}
        plan = self.means.plan(msgspec.structs.replace(self.portfolio, now=self.terms.until))
        found = {a.offer: a.schedule for a in plan.assignments if a.offer in self.members}
        found = {i: s for i, s in found.items() if self._leaves(i, s)}
        if all(s.start == self.courses[i].start for i, s in found.items()):
            return {}
        moved = self.moved(found)
        first, end = (slot - self.stage.origin for slot in self.window)
        outside = np.concatenate((moved[: max(0, first)], moved[max(0, end) :]))
        return {} if np.abs(outside).max(initial=0.0) > TOLERANCE_KWH else found

    def moved(self, schedules: Mapping[str, Schedule]) -> Floats:
        """What schedules add to their courses, per slot of the stage, kWh: float64[t]."""
        load, step = np.zeros(len(self.need)), self.means.resolution_s
        for i, schedule in schedules.items():
            add_schedule(load, self.stage.origin, self.offers[i], schedule, step)
        before = np.zeros(len(self.need))
        for i in schedules:
            add_schedule(before, self.stage.origin, self.offers[i], self.courses[i], step)
        return load - before

    def effect(self, moved: Floats) -> float:
        """Energy in kWh that is moved in the direction that is asked, in the slots in which something is asked."""
        return float((np.sign(self.need) * moved).sum())

    def _crowds(self, moved: Floats) -> float:
        """How far a load is outside the bounds of slots that are merely available, kWh."""
        slots, load = self.stage.slots, self.stage.baseline + moved
        outside = np.maximum(load - slots.hi, 0) + np.maximum(slots.lo - load, 0)
        return float(outside[~(np.isfinite(self.stage.asked_lo) | np.isfinite(self.stage.asked_hi))].sum())

    def costs(self, member: str, schedule: Schedule) -> tuple[float, float]:
        """EUR that the member's schedule costs over its course: for moving at all, and in proportion to the energy."""
        offer, before = self.real[member], self.courses[member]
        prices = self.stage.slots.price
        by_energy = price_eur(offer, schedule) - price_eur(offer, before)
        if prices.any():
            by_energy += float(prices @ self.moved({member: schedule}))
        contract = self.contracts.get(offer.contract or "")
        if contract is None:
            return 0.0, by_energy
        after, already = (
            [quantity * each for _, quantity, _, each in rewards(offer, s, contract)] for s in (schedule, before)
        )
        activation, shift, deviation = (a - b for a, b in zip(after, already, strict=True))
        return max(0.0, activation + shift), by_energy + deviation

    def option(self, name: str, schedules: Mapping[str, Schedule], *, convex: bool) -> Option | None:
        """The option of these schedules, in whole watts; None where they do nothing of what is asked.

        Its price is what it costs and the margin on it, rounded up. Of a part a the members get the same for moving at
        all and a of the rest (prices are convex, so not more): the least factor is where a of the price still pays it.
        """
        moved = self.moved(schedules)
        step = self.means.resolution_s
        watts = np.rint(moved * 3.6e6 / step)
        if self.effect(moved) <= 0 or not watts[self.need != 0].any():
            return None
        each = [self.costs(i, s) for i, s in schedules.items()]
        fixed, variable = sum(f for f, _ in each), sum(v for _, v in each)
        cost = max(0.0, (fixed + variable) * (1 + self.terms.margin))
        price = Decimal(repr(round(cost, 9))).quantize(_PRICE_STEP, ROUND_CEILING)
        least = HUNDREDTH
        if not convex:
            least = Decimal(1)
        elif fixed > 0:
            left = float(price) - variable
            share = fixed / left if left > fixed else 1.0
            least = max(least, Decimal(repr(round(share, 9))).quantize(HUNDREDTH, ROUND_CEILING))
        first = slot_of(self.terms.start, step)
        day = np.zeros(slot_of(self.terms.end, step) - first)
        lay(day, self.stage.origin - first, watts * step / 3.6e6)
        return Option(reference=name, deviation_kwh=tuple(day.tolist()), price=price, min_activation_factor=least)

    def dominated(self, part: Option, full: Option) -> bool:
        """Whether as much can be had of the full option, for no more."""
        origin = slot_of(self.terms.start, self.means.resolution_s) - self.stage.origin
        sums = []
        for option in (part, full):
            load = np.zeros(len(self.need))
            lay(load, origin, np.array(option.deviation_kwh))
            sums.append(self.effect(load))
        share = Decimal(repr(round(sums[0] / sums[1], 9))).quantize(HUNDREDTH, ROUND_CEILING)
        return full.min_activation_factor <= share and part.price >= full.price * share


def _convex(offer: FlexOffer, now: datetime, until: datetime) -> bool:
    """Whether the offer's default schedule is feasible, and stays so until the options expire."""
    default = offer.default_schedule
    if default is None or default.start < until or default_energies(offer) is None:
        return False
    moments = (now, until) if offer.start_before_duration_s is not None else (now,)
    return not any(violations(offer, default, now=moment) for moment in moments)


def _pinned(unit: Unit, window: tuple[int, int]) -> Unit:
    """The unit at its default start, with every slice at its default that is not wholly within the window."""
    begin = unit.default_start + np.cumsum(unit.slots) - unit.slots
    inside = (begin >= window[0]) & (begin + unit.slots <= window[1])
    return replace(
        unit,
        first=unit.default_start,
        last=unit.default_start,
        lo=np.where(inside, unit.lo, unit.default),
        hi=np.where(inside, unit.hi, unit.default),
    )


def _movable(unit: Unit) -> bool:
    """Whether the unit has room, and its default keeps its rows exactly, so that the program has a solution."""
    if not (unit.hi - unit.lo > TOLERANCE_KWH).any():
        return False
    rows, lower, upper = joint_rows(unit.profile)
    value = rows @ unit.default
    return bool(((value >= lower - EPS_KWH) & (value <= upper + EPS_KWH)).all())


def _meant(request: FlexRequest, until: datetime) -> FlexRequest:
    """The request with bounds as they are meant, in force until the options expire."""
    intervals = []
    for interval in request.intervals:
        lo, hi = (None if np.isinf(x) else x for x in wanted_kwh(interval))
        if request.reference is Reference.BASELINE:
            intervals.append(msgspec.structs.replace(interval, lo_kwh=lo, hi_kwh=hi))
        else:
            intervals.append(interval)
    return msgspec.structs.replace(request, intervals=tuple(intervals), expires=max(request.expires, until))
