"""What a plan is made against: its slots, what the grid operator asks of them, energy prices and load that is fixed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np

from flexhub.core.algebra.shape import Floats
from flexhub.core.errors import InvalidError
from flexhub.core.flexoffer import FlexOffer, Schedule
from flexhub.core.timegrid import slot_of
from flexhub.core.timeseries import TimeSeries
from flexhub.core.trading import Disposition, FlexRequest, Reference
from flexhub.engines.reference.planning import Ints, Slots, Unit, lay
from flexhub.engines.slots import Portfolio

PENALTY_EUR_PER_KWH: Final = 10.0
"""What a kWh outside the asked bounds costs where the request names no price: more than any energy does."""


class Stage(NamedTuple):
    """Slots from slot `origin` (since the epoch) on; float64[t] in kWh.

    `baseline` is committed load and all default schedules; `asked_lo` and `asked_hi` are the requested bounds alone,
    while `slots` holds the room left in merely available slots, too.
    """

    origin: int
    baseline: Floats
    asked_lo: Floats
    asked_hi: Floats
    slots: Slots

    def unserved_kwh(self, load: Floats) -> float:
        """How far the load lies outside the requested bounds, in sum."""
        return float((np.maximum(load - self.asked_hi, 0) + np.maximum(self.asked_lo - load, 0)).sum())

    def extra_cost(self, load: Floats, starts: Ints, per_slot: Floats) -> Floats:
        """EUR that `per_slot` costs on top of `load`, started at each of `starts`: float64[starts].

        Penalties, energy, and a little for height, so that loads avoid each other.
        """
        at = (starts - self.origin)[:, None] + np.arange(len(per_slot))[None, :]
        lo, hi, penalty, price = (column[at] for column in self.slots[:4])

        def cost(x: Floats) -> Floats:
            outside = np.maximum(x - hi, 0) + np.maximum(lo - x, 0)
            return (penalty * outside + price * x + 1e-6 * x * x).sum(axis=1)  # type: ignore[no-any-return]  # numpy's sum

        return cost(load[at] + per_slot[None, :]) - cost(load[at])


def set_stage(portfolio: Portfolio, units: Sequence[Unit], refused: Iterable[FlexOffer], resolution_s: int) -> Stage:
    """The stage on which `units` are planned; `refused` offers run as their default schedules say.

    Raises:
        InvalidError: a request or series in other slots, requests for several congestion points, prices without slots.
    """
    requests = in_force(portfolio)
    committed = portfolio.committed
    grids = [("requests", r.resolution_s) for r in requests]
    if committed is not None:
        grids.append(("committed", committed.resolution_s))
    elif portfolio.prices_eur_per_kwh:
        raise InvalidError("prices stand on the slots of committed, which is missing", path="Portfolio/committed")
    for path, step in grids:
        if step != resolution_s:
            raise InvalidError(f"slots of {step} s in a plan of {resolution_s} s", path=f"Portfolio/{path}")
    spans = [(u.first, u.last + int(u.slots.sum())) for u in units]
    if committed is not None:
        first = slot_of(committed.start, resolution_s)
        spans.append((first, first + max(len(committed.values_kwh), len(portfolio.prices_eur_per_kwh))))
    spans += [
        (
            slot_of(r.start, resolution_s) + r.intervals[0].slot,
            slot_of(r.start, resolution_s) + r.intervals[-1].slot + 1,
        )
        for r in requests
    ]
    origin = min((a for a, _ in spans), default=0)
    t = max((b for _, b in spans), default=0) - origin
    fixed, price = np.zeros(t), np.zeros(t)
    if committed is not None:
        lay(fixed, slot_of(committed.start, resolution_s) - origin, known(committed))
        at = slot_of(committed.start, resolution_s) - origin
        price[at : at + len(portfolio.prices_eur_per_kwh)] = portfolio.prices_eur_per_kwh
    baseline = fixed.copy()
    for offer in portfolio.offers:
        add_schedule(baseline, origin, offer, offer.default_schedule, resolution_s)
    for offer in refused:
        add_schedule(fixed, origin, offer, offer.default_schedule, resolution_s)
    return _ask(origin, requests, baseline, fixed, price)


def in_force(portfolio: Portfolio) -> list[FlexRequest]:
    """The newest revision of each request that has not expired.

    Raises:
        InvalidError: they name several congestion points.
    """
    newest: dict[str, FlexRequest] = {}
    for request in portfolio.requests:
        if request.id not in newest or request.revision > newest[request.id].revision:
            newest[request.id] = request
    requests = [r for r in newest.values() if r.expires >= portfolio.now]
    points = sorted({r.congestion_point for r in requests})
    if len(points) > 1:
        raise InvalidError(
            f"requests for {', '.join(points)}: a portfolio is one congestion point", path="Portfolio/requests"
        )
    return requests


def known(series: TimeSeries) -> Floats:
    """Energies of a series, kWh: float64[t]; 0 where nothing is known."""
    return np.array([v or 0.0 for v in series.values_kwh], dtype=np.float64)


def add_schedule(load: Floats, origin: int, offer: FlexOffer, schedule: Schedule | None, resolution_s: int) -> None:
    """Add the offer's energies under a schedule to a load whose slots of `resolution_s` begin with slot `origin`."""
    if schedule is None:
        return
    factor = max(1, offer.resolution_s // resolution_s)
    per_slot = np.repeat(np.array(schedule.per_slot_kwh()) / factor, factor)
    lay(load, slot_of(schedule.start, resolution_s) - origin, per_slot)


def _ask(origin: int, requests: Iterable[FlexRequest], baseline: Floats, fixed: Floats, price: Floats) -> Stage:
    t = len(baseline)
    asked_lo, asked_hi, lo, hi = np.full(t, -np.inf), np.full(t, np.inf), np.full(t, -np.inf), np.full(t, np.inf)
    penalty = np.zeros(t)
    for request in requests:
        cost = PENALTY_EUR_PER_KWH if request.price_eur_per_kwh is None else request.price_eur_per_kwh
        for interval in request.intervals:
            i = slot_of(request.start, request.resolution_s) + interval.slot - origin
            zero = baseline[i] if request.reference is Reference.BASELINE else 0.0
            low = -np.inf if interval.lo_kwh is None else zero + interval.lo_kwh
            high = np.inf if interval.hi_kwh is None else zero + interval.hi_kwh
            if interval.disposition is Disposition.REQUESTED:
                asked_lo[i], asked_hi[i] = max(asked_lo[i], low), min(asked_hi[i], high)
                penalty[i] = max(penalty[i], cost)
            else:
                # Room: the load may fill it, but what the baseline takes beyond it nobody asked to remove.
                low, high = min(low, baseline[i]), max(high, baseline[i])
                penalty[i] = max(penalty[i], PENALTY_EUR_PER_KWH)
            lo[i], hi[i] = max(lo[i], low), min(hi[i], high)
    lo = np.minimum(lo, hi)  # where requests contradict each other, the upper bound protects the grid
    # What moves should not pile up elsewhere: above the peak that the bounds leave of the baseline, height costs.
    peak = float(np.clip(baseline, lo, hi).max(initial=0.0))
    top = float(baseline.max(initial=0.0))
    return Stage(origin, baseline, asked_lo, asked_hi, Slots(lo, hi, penalty, price, fixed, peak, top))
