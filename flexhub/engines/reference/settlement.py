"""What a prosumer earned under its contract, and what a portfolio delivered of what was asked. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

import numpy as np

from flexhub.core.algebra.measures import energy_flexibility_kwh, time_flexibility
from flexhub.core.algebra.shape import Floats, energies, matches
from flexhub.core.billing import BILLED, billed_at
from flexhub.core.cost import unavoidable_kwh
from flexhub.core.flexoffer import FlexOffer, Schedule, State
from flexhub.core.timegrid import slot_of
from flexhub.core.timeseries import Measurement, Quality
from flexhub.core.trading import Basis, Bill, BillLine, Contract, Verdict
from flexhub.core.units import TOLERANCE_KWH, money
from flexhub.engines.slots import Account

ACTIVATION_KWH: Final = 1e-3
"""A deviation over this is an activation [GOFLEX manager]."""

PAID_ON: Final = frozenset({Quality.MEASURED, Quality.ESTIMATED})


def _default(offer: FlexOffer) -> Floats | None:
    if offer.default_schedule is None or not matches(offer, offer.default_schedule):
        return None
    return energies(offer.default_schedule)


def deviations_kwh(offer: FlexOffer, schedule: Schedule) -> Floats:
    """Scheduled minus default energy of each slice: float64[n], for the contract's formula, which pays shifts apart.

    What the offer's own prices ask is another question (`core.cost`); without a default schedule, the default is the
    same for both.
    """
    default = _default(offer)
    if default is None:
        default = np.array([unavoidable_kwh(s) for s in offer.profiles[schedule.profile or 0].slices])
    scheduled = energies(schedule)
    if len(scheduled) != len(default):  # another profile was taken: all of it is a deviation
        return np.concatenate((scheduled, -default))
    return scheduled - default


class Delivery(NamedTuple):
    """What became of an order, float64[t] each, kWh; all but `adjusted` are amounts of the ordered direction, >= 0."""

    requested: Floats
    delivered: Floats
    adjusted: Floats
    deficiency: Floats

    @property
    def requested_kwh(self) -> float:
        """Ordered change in sum."""
        return float(self.requested.sum())

    @property
    def delivered_kwh(self) -> float:
        """Delivered change in sum; more than was ordered in a slot counts as what was ordered."""
        return float(self.delivered.sum())


def delivered(baseline_kwh: Floats, ordered_kwh: Floats, allocation_kwh: Floats) -> Delivery:
    """Compare measured load (`allocation_kwh`) with baseline and order: float64[t] each, positive = consume more.

    Of a reduction: ``adjusted = baseline - |ordered|``, ``delivered = clip(baseline - allocation, 0, |ordered|)``,
    ``deficiency = max(0, allocation - adjusted)``; mirrored for an increase [USEF settlement]. Slots that were not
    ordered deliver nothing and lack nothing.
    """
    sign, asked = np.sign(ordered_kwh), np.abs(ordered_kwh)
    done = sign * (allocation_kwh - baseline_kwh)
    lacking = np.where(asked > 0, np.maximum(asked - done, 0.0), 0.0)
    return Delivery(asked, np.clip(done, 0.0, asked), baseline_kwh + ordered_kwh, lacking)


def net_eur(delivery: Delivery, price_eur_per_kwh: float, penalty_eur_per_kwh: float) -> float:
    """``delivered * price - deficiency * penalty`` [USEF settlement]."""
    earned = float(delivery.delivered.sum()) * price_eur_per_kwh
    return earned - float(delivery.deficiency.sum()) * penalty_eur_per_kwh


def requested_kwh(baseline_kwh: Floats, lo_kwh: Floats, hi_kwh: Floats) -> Floats:
    """The change that bounds ask of a baseline: float64[t], negative = less; 0 where it lies within lo..hi."""
    return np.clip(baseline_kwh, lo_kwh, np.maximum(lo_kwh, hi_kwh)) - baseline_kwh


class Reading(NamedTuple):
    """How a schedule was carried out, as far as it was measured.

    `slices_kwh` has the measured energy of each slice, None where a slot of it has no reading (yet); `bad` says that a
    reading is missing or suspect, `empty` that there is none at all.
    """

    slices_kwh: tuple[float | None, ...]
    bad: bool
    empty: bool


def read(offer: FlexOffer, schedule: Schedule, measurements: Iterable[Measurement]) -> Reading:
    """The offer's readings over its schedule; a later measurement of the same slot replaces an earlier one.

    Readings may be finer than the offer's slots, then they add up; others cannot be attributed and count as bad.
    """
    step = offer.resolution_s
    values: dict[tuple[int, int], float | None] = {}
    bad = False
    first, end = slot_of(schedule.start, step), slot_of(schedule.start, step) + schedule.slots()
    for m in (m for m in measurements if m.offer == offer.id):
        at = slot_of(m.start, m.resolution_s)
        if step % m.resolution_s:
            bad = True
            continue
        per_slot = step // m.resolution_s
        for i, value in enumerate(m.values_kwh):
            if first <= (at + i) // per_slot < end:
                values[m.resolution_s, at + i] = value if m.flag(i) in PAID_ON else None
    bad |= any(v is None for v in values.values())
    slots = [_measured(slot, step, values) for slot in range(first, end)]
    slices: list[float | None] = []
    at = 0
    for piece in schedule.slices:
        parts = slots[at : at + piece.duration]
        known = [p for p in parts if p is not None]
        slices.append(sum(known) if len(known) == len(parts) else None)
        at += piece.duration
    return Reading(tuple(slices), bad, not values)


def _measured(slot: int, step: int, values: Mapping[tuple[int, int], float | None]) -> float | None:
    """Energy of one slot from the finest readings that cover it; None where none do."""
    for resolution in sorted({r for r, _ in values}):
        k = step // resolution
        parts = [values.get((resolution, slot * k + j)) for j in range(k)]
        known = [p for p in parts if p is not None]
        if len(known) == k:
            return sum(known)
    return None


def imbalance_kwh(schedule: Schedule, reading: Reading) -> float:
    """``sum |measured - scheduled| / slices`` over the slices that were measured [GOFLEX manager]."""
    pairs = zip(schedule.slices, reading.slices_kwh, strict=True)
    return sum(abs(m - s.energy_kwh) for s, m in pairs if m is not None) / len(schedule.slices)


def judge(offer: FlexOffer, contract: Contract, measurements: Sequence[Measurement]) -> tuple[Basis, Verdict]:
    """Whether an offer is paid, and on what.

    Not needed, and expired: factual and paid, since nothing was to be carried out. Not carried out or not measured yet:
    predicted, as if it will be done. A bad reading, or a gap that stays after the
    execution: unverified, neither pay nor penalty. Otherwise factual: paid where the imbalance is within the limit.
    """
    if offer.schedule is None:
        return Basis.FACTUAL if offer.state is State.EXPIRED else Basis.PREDICTED, Verdict.PAID
    reading = read(offer, offer.schedule, measurements)
    over = offer.state is State.SETTLED or (offer.state is State.EXECUTED and not reading.empty)
    complete = all(e is not None for e in reading.slices_kwh)
    if reading.bad or (over and not complete):
        return Basis.FACTUAL, Verdict.UNVERIFIED
    if not complete:
        return Basis.PREDICTED, Verdict.PAID
    within = imbalance_kwh(offer.schedule, reading) <= contract.imbalance_limit_kwh + TOLERANCE_KWH
    return Basis.FACTUAL, Verdict.PAID if within else Verdict.REFUSED


Item = tuple[str, float, str, float]
"""Item, quantity, unit, EUR per unit."""


def amounts(offer: FlexOffer, contract: Contract) -> list[Item]:
    """What the contract pays for this offer, item by item.

    Interpretation: a shifted start is an activation, too; the GOFLEX manager looks at energies only.
    """
    items = [
        ("time flexibility", float(time_flexibility(offer)), "slot", contract.per_time_flexibility_eur),
        ("energy flexibility", energy_flexibility_kwh(offer), "kWh", contract.per_energy_flexibility_eur_per_kwh),
    ]
    if offer.schedule is not None:
        items += rewards(offer, offer.schedule, contract)
    return [item for item in items if item[1] and item[3]]


def rewards(offer: FlexOffer, schedule: Schedule, contract: Contract) -> list[Item]:
    """What the contract pays for this schedule, beside what it pays for the offer: also items of nothing.

    The first two are paid for moving the offer at all, or by slots; the last by the energy that is moved.
    """
    moved = float(np.abs(deviations_kwh(offer, schedule)).sum())
    shift = 0
    if offer.default_schedule is not None:
        step = offer.resolution_s
        shift = abs(slot_of(schedule.start, step) - slot_of(offer.default_schedule.start, step))
    active = 1.0 if moved > ACTIVATION_KWH or shift else 0.0
    return [
        ("activation", active, "activation", contract.per_activation_eur),
        ("start shift", float(shift), "slot", contract.per_start_shift_eur),
        ("deviation", moved, "kWh", contract.per_deviation_eur_per_kwh),
    ]


def bill(account: Account, bill_id: str) -> Bill:
    """The bill of one contract for [start, end): one line per item and offer, each rounded to the cent once.

    An offer belongs to the period in which it starts (`core.billing`). Lines that are refused or unverified show the
    quantity and price, and an amount of 0.
    """
    contract = account.contract
    lines = []
    if contract.fixed_eur:
        # Fixed amounts are owed for the period as such; no reading can change them.
        item = ("fixed", 1.0, "period", contract.fixed_eur)
        lines.append(_line(item, (Basis.FACTUAL, Verdict.PAID), None))
    for offer in account.offers:
        if offer.state not in BILLED or not account.start <= billed_at(offer) < account.end:
            continue
        outcome = judge(offer, contract, account.measurements)
        lines += [_line(item, outcome, offer.id) for item in amounts(offer, contract)]
    return Bill(
        id=bill_id,
        contract=contract.id,
        party=contract.prosumer,
        start=account.start,
        end=account.end,
        lines=tuple(lines),
        currency=contract.currency,
    )


def _line(item: Item, outcome: tuple[Basis, Verdict], offer: str | None) -> BillLine:
    name, quantity, unit, unit_price_eur = item
    basis, verdict = outcome
    return BillLine(
        item=name,
        quantity=quantity,
        unit=unit,
        unit_price_eur=unit_price_eur,
        amount=money(quantity * unit_price_eur) if verdict is Verdict.PAID else Decimal("0.00"),
        basis=basis,
        verdict=verdict,
        offer=offer,
    )
