"""The reference manager: group, start-align, one linear program, proportional disaggregation.

Offers that are plain boxes are merged (`core.algebra.alignment`). Offers with totals, sub-totals, polygons or polytopes
stay alone and enter the same program with their own rows: no flexibility is lost, and each gets a schedule that meets
its bounds because the bounds are rows. What the solver leaves of rounding is taken away in closed form
(`core.algebra.shape.settle_into`), never by trying again.

Interpretation: a portfolio is what stands behind one congestion point, so all its requests name the same one.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Final

import numpy as np

from flexhub.core.algebra import alignment
from flexhub.core.algebra.grouping import DEFAULT, Dimension
from flexhub.core.algebra.shape import (
    NOT_CONVEX,
    Trait,
    bounds,
    cumulative,
    starts,
    traits,
)
from flexhub.core.errors import InvalidError
from flexhub.core.flexoffer import FlexOffer, Profile, Schedule, State
from flexhub.core.timegrid import QUARTER_HOUR_S, instant_of, slot_of
from flexhub.core.trading import Aggregate, Bid, Bill, Contract, FlexRequest, Side
from flexhub.core.units import TOLERANCE_KWH
from flexhub.engines.reference import options, planning
from flexhub.engines.reference.options import Means
from flexhub.engines.reference.planning import Unit, Weights, lay
from flexhub.engines.reference.settlement import bill
from flexhub.engines.reference.stage import Stage, set_stage
from flexhub.engines.reference.units import durations_of, numbered, price_eur, rounded, schedule_of, unit_of
from flexhub.engines.slots import Acceptance, Account, Assignment, Offering, Plan, Portfolio, Refusal, Terms

WEIGHTS: Final = Weights(shift=1e-4, peak=1e-2)
"""Among plans of equal cost: no new peak, then little change. A kWh of peak is worth moving up to 100 kWh."""

FLAT: Final = WEIGHTS._replace(height=2e-2)
"""Among plans of equal cost: an even load, whatever has to be moved for it. A step up is worth more than a move."""


UNPLANNED: Final = frozenset({Trait.WITHDRAWN, Trait.QUANTITY})
GENERAL: Final = frozenset({Trait.POLYGON, Trait.POLYTOPE})
"""Bounds whose feasibility the solver must tell."""


class ReferenceManager:
    """A `ManagerEngine` that bids, and issues aggregates, as `party`.

    Plans have slots of `resolution_s`; offers may use multiples of it, and start up to `horizon` ahead. `weights`
    choose among plans of equal cost: as little change as possible, or an even load (`FLAT`), which suits offers that
    come while earlier ones are being carried out.
    """

    name = "reference"

    def __init__(
        self,
        *,
        resolution_s: int = QUARTER_HOUR_S,
        horizon: timedelta = timedelta(days=7),
        tolerances: Mapping[Dimension, float] = DEFAULT,
        party: str = "aggregator",
        weights: Weights = WEIGHTS,
    ) -> None:
        self.weights = weights
        self.party = party
        self.resolution_s = resolution_s
        self.horizon = horizon
        self.tolerances = tolerances

    def accept(self, offer: FlexOffer, contract: Contract, now: datetime) -> Acceptance:
        """Take what the contract covers and the planner can use."""
        reason = self._foreign(offer, contract, now) or self._unusable(offer) or self._too_late(offer, now)
        return Acceptance(accepted=not reason, reason=reason)

    def _foreign(self, offer: FlexOffer, contract: Contract, now: datetime) -> str:
        if offer.issuer != contract.prosumer or offer.contract not in (None, contract.id):
            return f"contract {contract.id} is not one of {offer.issuer} for this offer"
        if not contract.covers(now):
            return f"contract {contract.id} is not in force"
        return ""

    def _unusable(self, offer: FlexOffer) -> str:
        found = traits(offer)
        for trait in found & UNPLANNED:
            return f"{trait.value}, which cannot be planned"
        awkward = sorted(found & NOT_CONVEX)
        if awkward:
            return f"the planner cannot use {', '.join(awkward)}"
        if offer.resolution_s % self.resolution_s:
            return f"slots of {offer.resolution_s} s do not fit a plan in steps of {self.resolution_s} s"
        if found & GENERAL:
            if not np.isfinite(bounds(offer.profiles[0])).all():
                return "the planner needs an energy range beside each polygon"
            if not _solvable(offer.profiles[0]):
                return "no energies keep all of its bounds"
        return ""

    def _too_late(self, offer: FlexOffer, now: datetime) -> str:
        if offer.state not in (State.ASSIGNED, State.CONFIRMED) and offer.assign_deadline(now) < now:
            return "its assignment deadline has passed"
        if offer.schedule is not None and offer.schedule.start < now:
            return "it has started"
        length = sum(durations_of(offer))
        window = starts(offer, length, now)
        if window.first > window.last:
            return "no start is left"
        if length * offer.resolution_s > self.horizon.total_seconds():
            return f"it lasts longer than {self.horizon.days} days"
        if instant_of(window.first, offer.resolution_s) > now + self.horizon:
            return f"it starts more than {self.horizon.days} days ahead"
        return ""

    def aggregate(self, offers: Sequence[FlexOffer]) -> list[Aggregate]:
        """Start-aligned groups of plain boxes; every other offer alone."""
        return alignment.aggregate(offers, self.party, self.tolerances)

    def disaggregate(self, aggregate: Aggregate, members: Sequence[FlexOffer], schedule: Schedule) -> list[Assignment]:
        """Schedules of the members, by the law of `core.algebra.alignment`."""
        result = alignment.disaggregate(aggregate, members, schedule)
        return [Assignment(offer=o.id, schedule=numbered(result[o.id], o)) for o in members]

    def plan(self, portfolio: Portfolio) -> Plan:
        """One linear program for all offers; starts of shiftable ones are chosen before it, greedily.

        A request's price is what a kWh outside its bounds costs (without one, far more than energy); bounds of merely
        available slots count as much, but never below what the baseline already takes there. Offers that cannot be
        planned are refused and stay at their default.

        Raises:
            InvalidError: a request or series on another grid, or requests for several congestion points.
        """
        now = portfolio.now
        reasons = {o.id: self._unusable(o) or self._too_late(o, now) for o in portfolio.offers}
        usable = {o.id: o for o in portfolio.offers if not reasons[o.id]}
        refusals = [Refusal(offer=i, reason=reason) for i, reason in reasons.items() if reason]
        aggregates = alignment.aggregate(list(usable.values()), self.party, self.tolerances, now)
        units = [unit_of(a.offer, now, self.resolution_s, self.horizon) for a in aggregates]
        stage = set_stage(portfolio, units, [o for o in portfolio.offers if reasons[o.id]], self.resolution_s)
        if not units:
            return Plan(refusals=tuple(refusals), unserved_kwh=stage.unserved_kwh(stage.slots.fixed))
        start_of = _choose_starts(units, stage)
        program = planning.build(list(zip(units, start_of, strict=True)), stage.slots, stage.origin, self.weights)
        values = planning.solve(program)
        if values is None:
            # Rows of one offer concern no other, and each offer's own rows were found feasible, or are by its type.
            raise InvalidError("the plan has no solution", path="Portfolio")
        load = stage.slots.fixed.copy()
        schedules, assignments = [], []
        for aggregate, unit, start, wish in zip(
            aggregates, units, start_of, planning.read(units, values, self.weights), strict=True
        ):
            energy = rounded(unit, wish)
            schedule = schedule_of(unit, start, energy, self.resolution_s)
            lay(load, start - stage.origin, unit.spread(energy))
            schedules.append(schedule)
            for offer_id, part in alignment.split(aggregate, usable, schedule).items():
                assignments.append(Assignment(offer=offer_id, schedule=numbered(part, usable[offer_id])))
        paid = sum(price_eur(usable[a.offer], a.schedule) for a in assignments)
        return Plan(
            assignments=tuple(assignments),
            refusals=tuple(refusals),
            aggregates=tuple(aggregates),
            aggregate_schedules=tuple(schedules),
            cost_eur=paid + float(stage.slots.price @ (load - stage.slots.fixed)),
            unserved_kwh=stage.unserved_kwh(load),
        )

    def options(self, portfolio: Portfolio, request: FlexRequest, terms: Terms) -> Offering:
        """All that can be done, half of it by the cheapest, and other starts (`engines.reference.options`)."""
        usable = [o for o in portfolio.offers if not (self._unusable(o) or self._too_late(o, terms.until))]
        means = Means(self.resolution_s, self.horizon, self.tolerances, self.party, self.weights, self.plan)
        return options.offering(portfolio, request, terms, usable, means)

    def activate(
        self, offering: Offering, offers: Sequence[FlexOffer], reference: str, factor: Decimal
    ) -> list[Assignment]:
        """Between the members' courses and the option's schedules (`engines.reference.options`)."""
        return options.activate(offering, offers, reference, factor)

    def bid(self, portfolio: Portfolio) -> list[Bid]:
        """Consumption that can be left out, slot by slot, cheapest first; every part of every bid can be delivered.

        Of each offer at most ``default - lo`` per slice is sold, scaled down so that the running totals hold even if
        all of it is bought: what must be caught up (a fixed total) is, in later slots of which nothing is sold.
        """
        amounts: dict[tuple[int, float], float] = {}
        first = slot_of(portfolio.now, self.resolution_s) + 1
        for offer in portfolio.offers:
            if self._unusable(offer) or self._too_late(offer, portfolio.now):
                continue
            for slot, price, amount in _reductions(unit_of(offer, portfolio.now, self.resolution_s, self.horizon)):
                if slot >= first and amount > TOLERANCE_KWH:
                    amounts[slot, price] = amounts.get((slot, price), 0.0) + amount
        return [
            Bid(
                id=f"{self.party}-{instant_of(slot, self.resolution_s):%Y%m%dT%H%MZ}-{price:.6f}",
                party=self.party,
                side=Side.SELL,
                start=instant_of(slot, self.resolution_s),
                quantity_kwh=amount,
                price_eur_per_kwh=price,
                resolution_s=self.resolution_s,
            )
            for (slot, price), amount in sorted(amounts.items())
        ]

    def settle(self, account: Account, bill_id: str) -> Bill:
        """The contract's formula, line by line (`engines.reference.settlement`)."""
        return bill(account, bill_id)


def _solvable(profile: Profile) -> bool:
    """Whether the plan's own rows about this profile have a solution; one offer without would leave all unplanned."""
    from flexhub.core import linear  # noqa: PLC0415 - the solver is slow to import, and few offers need it here

    spans = [[(lo, hi)] for lo, hi in zip(*(side.tolist() for side in bounds(profile)), strict=True)]
    return linear.energies(profile, spans, math.inf) is not None


def _choose_starts(units: Sequence[Unit], stage: Stage) -> list[int]:
    """A start for every unit; those that can shift choose one by one, most energy first.

    Heuristic: each takes the start where its default energies (the middle of its bounds, where those are nothing) cost
    least on top of all others as placed so far; the unit's own default start wins ties. Energies are optimised after.
    """
    chosen = [min(max(u.default_start, u.first), u.last) for u in units]
    likely = [u.default if np.any(u.default) else (u.lo + u.hi) / 2 for u in units]
    load = stage.slots.fixed.copy()
    for unit, start, energy in zip(units, chosen, likely, strict=True):
        lay(load, start - stage.origin, unit.spread(energy))
    movable = [k for k, u in enumerate(units) if u.last > u.first]
    for k in sorted(movable, key=lambda k: (-float(np.abs(likely[k]).sum()), units[k].offer.id)):
        unit = units[k]
        lay(load, chosen[k] - stage.origin, -unit.spread(likely[k]))
        candidates = np.arange(unit.first, unit.last + 1, unit.step)
        extra = stage.extra_cost(load, candidates, unit.spread(likely[k]))
        extra += 1e-9 * np.abs(candidates - unit.default_start)
        chosen[k] = int(candidates[np.argmin(extra)])
        lay(load, chosen[k] - stage.origin, unit.spread(likely[k]))
    return chosen


def _reductions(unit: Unit) -> Iterator[tuple[int, float, float]]:
    """(slot, EUR/kWh, kWh) of what the unit can leave out, at its default start.

    Nothing is sold of slices that are at their least; of those, u_t is how far they can be raised. Leaving share * r_t
    out of the others, and catching it up as early as the u_t allow, is behind the default at t by the largest of
    ``sum_{j<=s<=t} (share * r_s - u_s)`` over all j. The running totals hold where that is at most ``room_t =
    sum_{s<=t} default_s - ymin_t``; any part of it then is, too, since it is behind by less. Being behind or level, it
    breaks no upper bound of a running total either.
    """
    profile = unit.profile
    if profile.polytope is not None or any(s.polygon for s in profile.slices):
        return
    amount = np.maximum(unit.default - unit.lo, 0.0)
    raised = np.where(amount > 0, 0.0, np.maximum(unit.hi - unit.default, 0.0))
    room = np.cumsum(unit.default) - cumulative(profile).lo
    # [j, t]: sums over the slices from j to t; O(n^2) for the n slices of one offer.
    left_out, caught_up = (np.triu(np.cumsum(x)[None, :] - (np.cumsum(x) - x)[:, None]) for x in (amount, raised))
    shares = np.divide(room[None, :] + caught_up, left_out, out=np.ones_like(left_out), where=left_out > TOLERANCE_KWH)
    share = float(np.clip(shares.min(), 0.0, 1.0))
    slot = unit.default_start
    for i, (piece, most) in enumerate(zip(profile.slices, amount.tolist(), strict=True)):
        length = int(unit.slots[i])
        price = piece.price or unit.offer.price or planning.FREE
        left = most * share
        # From the default downwards: marginal cost of one kWh less is minus the slope, and rises with the depth.
        edges = [0.0, *sorted(-k for k in price.knots_kwh if k < 0), math.inf]
        for near, far in pairwise(edges):
            part = min(left, far) - near
            if part > 0:
                slope = price.slopes_eur_per_kwh[bisect_left(price.knots_kwh, -near)]
                yield from ((slot + j, -slope, part / length) for j in range(length))
        slot += length
