"""What was sold: it binds every later plan, until it is carried out.

Interpretation: what is sold is consumption left out in a slot, counted from the default schedules of the offers behind
the bid. To the planner it is what a grid operator's request is, with a price that no other one has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from flexhub.app.hub.contract import Key, Put
from flexhub.core.base import Id, Model
from flexhub.core.flexoffer import FlexOffer, State
from flexhub.core.timegrid import QUARTER_HOUR_S, instant_of, slot_of
from flexhub.core.trading import FlexRequest, Reference, RequestInterval, Trade
from flexhub.core.units import TOLERANCE_KWH

NOWHERE: Final = "flexhub:nowhere"
"""The congestion point of offers of which it isn't known."""

KEPT_EUR_PER_KWH: Final = 20.0
"""What a kWh that was sold and isn't delivered costs a plan: twice what one outside of a request does."""


class Obligation(Model, frozen=True, kw_only=True):
    """What was sold: a trade, and what stands behind it."""

    portfolio: Id
    session: Id
    trade: Trade
    offers: tuple[Id, ...]
    point: Id = NOWHERE

    @property
    def id(self) -> str:
        """The bid's, in its session."""
        return f"{self.portfolio}/{self.session}/{self.trade.bid}"


def file_obligation(obligation: Obligation) -> Put:
    """What was sold, filed under the portfolio."""
    trade = obligation.trade
    ends = trade.start + timedelta(seconds=trade.resolution_s)
    key = Key(Obligation, obligation.id)
    return Put(key=key, value=obligation, owner=obligation.portfolio, starts=trade.start, ends=ends)


def left_out_kwh(offer: FlexOffer, slot: int) -> float:
    """How much less than by default the offer takes in a quarter-hour (counted from the epoch), as it is scheduled."""
    if offer.default_schedule is None or offer.schedule is None:
        return 0.0
    default, schedule = (s.by_slot_kwh(QUARTER_HOUR_S) for s in (offer.default_schedule, offer.schedule))
    return default.get(slot, 0.0) - schedule.get(slot, 0.0)


def owed_kwh(sold: Iterable[Obligation], kept: Mapping[str, FlexOffer]) -> dict[str, dict[int, float]]:
    """What was sold and these offers don't leave out: point -> slot (counted from the epoch) -> kWh.

    What the offers behind one sale leave out beyond it keeps no other one.
    """
    sales: dict[tuple[str, int, tuple[str, ...]], float] = defaultdict(float)
    for obligation in sold:
        slot = slot_of(obligation.trade.start, QUARTER_HOUR_S)
        sales[obligation.point, slot, obligation.offers] += obligation.trade.quantity_kwh
    owed: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for (point, slot, behind), quantity_kwh in sales.items():
        left_out = sum(left_out_kwh(kept[id_], slot) for id_ in behind if id_ in kept)
        owed[point][slot] += max(0.0, quantity_kwh - left_out)
    return owed


def sold_requests(sold: Iterable[Obligation], offers: Iterable[FlexOffer], now: datetime) -> list[FlexRequest]:
    """What is still to be planned of what was sold, as a request at each point.

    Offers that are being executed have done their part; what they leave is asked of those not started yet.
    """
    begun = {o.id: o for o in offers if o.state is State.EXECUTING}
    owed = owed_kwh((o for o in sold if o.trade.start >= now), begun)
    found = []
    for point, by_slot in sorted(owed.items()):
        still = {slot: kwh for slot, kwh in sorted(by_slot.items()) if kwh > TOLERANCE_KWH}
        if not still:
            continue
        first, last = min(still), max(still)
        found.append(
            FlexRequest(
                id=f"sold@{point}",
                issuer="flexhub:market",
                recipient="flexhub:portfolio",
                congestion_point=point,
                created=now,
                expires=instant_of(last + 1, QUARTER_HOUR_S),
                start=instant_of(first, QUARTER_HOUR_S),
                reference=Reference.BASELINE,
                intervals=tuple(RequestInterval(slot=slot - first, hi_kwh=-kwh) for slot, kwh in still.items()),
                price_eur_per_kwh=KEPT_EUR_PER_KWH,
            )
        )
    return found
