"""The grid operator's side: from a forecast and a limit to a request, and from the options offered to an order.

All figures are those of the wire: bounds in whole watts, factors in hundredths, prices of 4 decimals. What an order
comes to is reckoned in `mappings.uftp.settlement`, since both sides do so from messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Final, NamedTuple

import numpy as np

from flexhub.core.algebra.shape import Floats
from flexhub.core.base import Id, Instant, Model
from flexhub.core.errors import InvalidError
from flexhub.core.options import HUNDREDTH, Option, Options, wanted_kwh
from flexhub.core.timegrid import instant_of, slot_of
from flexhub.core.timeseries import TimeSeries
from flexhub.core.trading import Disposition, FlexRequest, Order, Reference, RequestInterval

PRICE_STEP: Final = Decimal("0.0001")


class Ask(Model, frozen=True, kw_only=True):
    """Whom a request goes to, about what, and until when it can be answered."""

    id: Id
    issuer: Id
    recipient: Id
    congestion_point: Id
    created: Instant
    expires: Instant
    revision: int = 1


def request(
    ask: Ask, prognosis: TimeSeries, limit_kw: float, others: Mapping[datetime, float] | None = None
) -> FlexRequest | None:
    """What is to change so that the load stays within the limit in both directions; None where nothing is.

    Args:
        ask: the request's identity.
        prognosis: the aggregator's D-Prognosis, kWh per slot of one local day; slots of which it says nothing are not
            asked about.
        limit_kw: of the congestion point.
        others: what is expected of everyone else there, kWh by the slot's first instant.

    Slots beyond the limit are requested, all others are available. Bounds are deviations from the baseline that keep
    the limit, ``-limit - load`` to ``limit - load``, rounded inwards to whole watts.
    """
    watt_kwh = prognosis.resolution_s / 3.6e6
    intervals = []
    for slot, (at, own) in enumerate(prognosis.items()):
        if own is None:
            continue
        load_w = (own + (others or {}).get(at, 0.0)) / watt_kwh
        # A millionth of a watt is what floats have added to bounds that were whole.
        lo = int(np.ceil(-1000 * limit_kw - load_w - 1e-6))
        hi = max(lo, int(np.floor(1000 * limit_kw - load_w + 1e-6)))
        asked = Disposition.REQUESTED if hi < 0 or lo > 0 else Disposition.AVAILABLE
        intervals.append(RequestInterval(slot=slot, disposition=asked, lo_kwh=lo * watt_kwh, hi_kwh=hi * watt_kwh))
    if all(i.disposition is Disposition.AVAILABLE for i in intervals):
        return None
    return FlexRequest(
        id=ask.id,
        issuer=ask.issuer,
        recipient=ask.recipient,
        congestion_point=ask.congestion_point,
        created=ask.created,
        expires=ask.expires,
        start=prognosis.start,
        intervals=tuple(intervals),
        reference=Reference.BASELINE,
        resolution_s=prognosis.resolution_s,
        revision=ask.revision,
    )


class Choice(NamedTuple):
    """An option of an offer, and the share of it that is taken. `unmet_kwh` is how far the request stays unmet."""

    offer: str
    options: Options
    option: Option
    factor: Decimal
    unmet_kwh: float

    @property
    def price(self) -> Decimal:
        """What the share costs, to 4 decimals; half up, as rule UFTP-44 reckons it."""
        return (self.option.price * self.factor).quantize(PRICE_STEP, ROUND_HALF_UP).normalize()


def choose(
    request: FlexRequest,
    offers: Mapping[str, Options],
    now: datetime,
    unmet_eur_per_kwh: float | None = None,
) -> Choice | None:
    """The option and share that serve the request at least cost; None where none does, or none is best.

    Every hundredth from the option's least factor to 1 is looked at. Without `unmet_eur_per_kwh` only what keeps every
    bound of the request counts, to the watt; with it, each kWh outside of them costs as much, and doing nothing has its
    cost, too. Ties go to the least energy that is moved, then to the first offer, option and factor in their order.

    Args:
        request: ours, of deviations from the baseline.
        offers: by id; those that have expired by `now` are left out.
        now: the instant of the choice.
        unmet_eur_per_kwh: what a kWh outside the bounds costs the grid.

    Raises:
        InvalidError: options on another grid, in another currency, or a request of absolute bounds.
    """
    if request.reference is not Reference.BASELINE:
        raise InvalidError("options are deviations from the baseline", path="FlexRequest/reference")
    bounds = np.array([wanted_kwh(i) for i in request.intervals], dtype=np.float64)
    slots = np.array([slot_of(request.start, request.resolution_s) + i.slot for i in request.intervals])
    nothing = float(_unmet(np.zeros((1, len(slots))), bounds, request.resolution_s)[0])
    if nothing == 0.0:
        return None
    best: tuple[tuple[Decimal, float, str, str, Decimal], Choice] | None = None
    for offer, options in offers.items():
        if options.resolution_s != request.resolution_s or options.currency != "EUR":
            raise InvalidError("options are of the request's slots, and in EUR", path=f"Options/{offer}")
        for option in options.options if options.expires >= now else ():
            hundredths = range(int(option.min_activation_factor / HUNDREDTH), 101)
            factors = np.array(hundredths) / 100
            deviation = _at(option, options, slots)
            unmet = _unmet(np.outer(factors, deviation), bounds, request.resolution_s)
            moved = float(np.abs(option.deviation_kwh).sum())
            for share, outside in zip(hundredths, unmet.tolist(), strict=True):
                if outside and unmet_eur_per_kwh is None:
                    continue
                choice = Choice(offer, options, option, share * HUNDREDTH, outside)
                cost = choice.option.price * choice.factor + _eur(outside, unmet_eur_per_kwh)
                key = (cost, moved * share, offer, option.reference, choice.factor)
                if best is None or key < best[0]:
                    best = key, choice
    if best is None or (unmet_eur_per_kwh is not None and best[0][0] >= _eur(nothing, unmet_eur_per_kwh)):
        return None
    return best[1]


def _eur(unmet_kwh: float, eur_per_kwh: float | None) -> Decimal:
    return Decimal(repr(round(unmet_kwh * (eur_per_kwh or 0.0), 9)))


def _at(option: Option, options: Options, slots: Floats) -> Floats:
    """The option's deviation in these slots (since the epoch), kWh: float64[n]; 0 outside of its day."""
    index = slots - slot_of(options.start, options.resolution_s)
    inside = (index >= 0) & (index < len(option.deviation_kwh))
    return np.where(inside, np.array(option.deviation_kwh)[np.where(inside, index, 0)], 0.0)


def _unmet(deviation: Floats, bounds: Floats, resolution_s: int) -> Floats:
    """How far deviations[k, n] are outside bounds[n, 2], in sum, kWh: float64[k]; less than a watt is nothing."""
    outside = np.maximum(deviation - bounds[:, 1], 0) + np.maximum(bounds[:, 0] - deviation, 0)
    return np.where(outside < resolution_s / 3.6e6, 0.0, outside).sum(axis=1)  # type: ignore[no-any-return]  # numpy's sum


def order(choice: Choice, request: FlexRequest, order_id: str) -> Order:
    """The order of a choice: deviations of the share that is taken, from the first slot that moves to the last."""
    moving = [i for i, kwh in enumerate(choice.option.deviation_kwh) if kwh]
    first = slot_of(choice.options.start, choice.options.resolution_s) + moving[0]
    return Order(
        id=order_id,
        issuer=request.issuer,
        recipient=request.recipient,
        start=instant_of(first, choice.options.resolution_s),
        deviation_kwh=choice.option.at(choice.factor)[moving[0] : moving[-1] + 1],
        resolution_s=choice.options.resolution_s,
        request=request.id,
        offer=choice.offer,
        option=choice.option.reference,
        activation_factor=float(choice.factor),
        price=choice.price,
        currency=choice.options.currency,
    )
