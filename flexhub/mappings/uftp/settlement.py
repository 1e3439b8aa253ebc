"""What orders come to, and FlexSettlement as a bill.

For each ISP, with everything relative to the baseline (mirrored where less was ordered):
``delivered = clip(actual - baseline, 0, ordered)`` and ``deficiency = max(0, ordered - (actual - baseline))``; the
order's price is split over its ISPs by |ordered power|, and what was delivered of an ISP is paid in that share.

Interpretation: the standard gives Price, Penalty and NetSettlement per order and no way to round. Here the price that
delivery earns, and the penalty, are each rounded once, to the cent, half to even (`core.units.money`), and the net is
the difference of the rounded amounts: so bill and settlement agree to the cent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final, NamedTuple

import msgspec

from flexhub.core.errors import InvalidError
from flexhub.core.trading import Basis, Bill, BillLine
from flexhub.core.units import money
from flexhub.mappings.fates import Kind, Loss, Mapped
from flexhub.mappings.uftp.context import META, Context, day, day_of, runs
from flexhub.mappings.uftp.requests import metered_kwh, was_copied
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.checks import powers
from flexhub.protocols.uftp.times import bounds, instant

DELIVERY: Final = "flexibility delivered"
PENALTY: Final = "flexibility not delivered"


def isp_result(baseline_w: int, ordered_w: int, actual_w: int) -> tuple[int, int]:
    """(delivered, deficiency) of one ISP in W; delivered has the sign of the order, the deficiency none.

    Section 2.6: baseline 10, ordered -2, actual 7, 8, 9, 10, 11 (MW) deliver -2, -2, -1, 0, 0 and lack 0, 0, 1, 2, 3.
    """
    sign = -1 if ordered_w < 0 else 1
    moved = sign * (actual_w - baseline_w)
    ordered = abs(ordered_w)
    return sign * max(0, min(moved, ordered)), max(0, ordered - moved) if ordered else 0


def settle(
    order: wire.FlexOrder,
    baseline_w: Mapping[int, int],
    actual_w: Mapping[int, int],
    penalty_per_mw: Decimal = Decimal(0),
) -> wire.FlexOrderSettlement:
    """What an order comes to.

    Args:
        order: with the powers to be delivered (scaled already, where it is of a part of an option).
        baseline_w: by ISP number, for every ISP of the order.
        actual_w: as measured, for the same.
        penalty_per_mw: for a deficiency of one MW over one ISP.

    Raises:
        InvalidError: an ISP of the order without baseline or actual power.
    """
    ordered = powers(order.isps)
    total = sum(map(abs, ordered.values()))
    isps = []
    paid = lacking = Decimal(0)
    for number in sorted(ordered):
        if number not in baseline_w or number not in actual_w:
            raise InvalidError(f"ISP {number} has no baseline or no actual power", path="FlexSettlement")
        delivered, deficiency = isp_result(baseline_w[number], ordered[number], actual_w[number])
        paid += order.price * abs(delivered) / total if total else Decimal(0)
        lacking += penalty_per_mw * deficiency / 1_000_000
        isps.append(
            wire.SettlementIsp(
                start=number,
                baseline_power_w=baseline_w[number],
                ordered_flex_power_w=ordered[number],
                actual_power_w=actual_w[number],
                delivered_flex_power_w=delivered,
                power_deficiency_w=deficiency,
            )
        )
    price, penalty = money(paid), money(lacking)
    return wire.FlexOrderSettlement(
        order_reference=order.order_reference,
        period=order.period[:10],
        contract_id=order.contract_id,
        d_prognosis_message_id=order.d_prognosis_message_id,
        baseline_reference=order.baseline_reference,
        congestion_point=order.congestion_point,
        price=price,
        penalty=penalty,
        net_settlement=price - penalty,
        isps=tuple(isps),
    )


def as_delivered(order: wire.FlexOrder, offer: wire.FlexOffer | None) -> wire.FlexOrder:
    """The order with the powers that are to be delivered: where it copies an option's, the factor's share of them.

    Interpretation: shares are rounded to whole watts, half to even (`requests.was_copied` tells the two kinds apart).
    """
    if not was_copied(order, offer):
        return order
    told = {
        n: int((w * order.activation_factor).to_integral_value(ROUND_HALF_EVEN)) for n, w in powers(order.isps).items()
    }
    isps = tuple(wire.Isp(power_w=w, start=start, duration=length) for start, length, w in runs(told))
    return msgspec.structs.replace(order, isps=isps)


def allocation_w(meterings: Iterable[wire.Metering]) -> dict[int, int]:
    """ISP number -> watts of all meters of one day together, where every one of them has a value.

    Of each meter the message with the greatest Revision counts. Sums are rounded to whole watts once, half to even.
    """
    newest: dict[str, wire.Metering] = {}
    for m in meterings:
        meter = m.ean.upper()
        if meter not in newest or m.revision > newest[meter].revision:
            newest[meter] = m
    sums: dict[int, Decimal] = {}
    counts: Counter[int] = Counter()
    for m in newest.values():
        whole = day(m.period, m.time_zone, m.isp_duration)
        for number, kwh in metered_kwh(m, whole).items():
            sums[number] = sums.get(number, Decimal(0)) + kwh * 60_000 / whole.minutes
            counts[number] += 1
    return {n: int(watts.to_integral_value(ROUND_HALF_EVEN)) for n, watts in sums.items() if counts[n] == len(newest)}


class Record(NamedTuple):
    """The messages about one day at one congestion point that a settlement is reckoned from; either side holds them.

    Offers and prognoses are by MessageID. Of the meterings those count that are about the order's day.
    """

    orders: Sequence[wire.FlexOrder]
    offers: Mapping[str, wire.FlexOffer]
    prognoses: Mapping[str, wire.DPrognosis]
    meterings: Sequence[wire.Metering]


def reckon(record: Record, penalty_per_mw: Decimal = Decimal(0)) -> tuple[wire.FlexOrderSettlement, ...]:
    """What all orders come to, in the order in which they were sent.

    Interpretation: orders of the same ISP, on the same prognosis, stack: the baseline of a later one is what the
    earlier ones leave of the prognosis. So nothing that was delivered is paid twice.

    Raises:
        InvalidError: an order whose prognosis is not at hand, or an ISP of it without prognosis or measured power.
    """
    found = []
    before: dict[tuple[str, int], int] = {}
    for order in sorted(record.orders, key=lambda o: (instant(o.time_stamp), o.message_id)):
        prognosis = record.prognoses.get(order.d_prognosis_message_id or "")
        if prognosis is None:
            raise InvalidError(f"the prognosis of order {order.order_reference} is not at hand", path="FlexSettlement")
        ordered = as_delivered(order, record.offers.get(order.flex_offer_message_id or ""))
        baseline = {n: w + before.get((prognosis.message_id, n), 0) for n, w in powers(prognosis.isps).items()}
        actual = allocation_w(m for m in record.meterings if m.period[:10] == order.period[:10])
        found.append(settle(ordered, baseline, actual, penalty_per_mw))
        for n, w in powers(ordered.isps).items():
            before[prognosis.message_id, n] = before.get((prognosis.message_id, n), 0) + w
    return tuple(found)


def lines(item: wire.FlexOrderSettlement, minutes: int) -> tuple[BillLine, ...]:
    """An order's lines on a bill: what delivery earns, and what is taken off; amounts to the cent."""
    found = [_line(item, DELIVERY, minutes, item.price)]
    if item.penalty:
        found.append(_line(item, PENALTY, minutes, -item.penalty))
    return tuple(found)


def _line(item: wire.FlexOrderSettlement, name: str, minutes: int, amount: Decimal) -> BillLine:
    each = (
        abs(isp.delivered_flex_power_w if name == DELIVERY else isp.power_deficiency_w) * isp.duration
        for isp in item.isps
    )
    kwh = sum(each) * minutes / 60_000
    return BillLine(
        item=name,
        quantity=kwh,
        unit="kWh",
        unit_price_eur=float(amount) / kwh if kwh else 0.0,
        amount=money(amount),
        basis=Basis.FACTUAL,
        offer=item.order_reference,
    )


def bill_of(
    items: Sequence[wire.FlexOrderSettlement], ctx: Context, bill_id: str, party: str, days: tuple[str, str]
) -> Bill:
    """The aggregator's bill of some items, in EUR: `party` is paid for the days from the first to the last.

    Raises:
        InvalidError: no such time zone.
    """
    first, last = (bounds(one, ctx.time_zone) for one in days)
    if first is None or last is None:
        raise InvalidError(f"{ctx.time_zone!r} is not a time zone", path="Context/time_zone")
    return Bill(
        id=bill_id,
        contract=next((i.contract_id for i in items if i.contract_id), "none"),
        party=party,
        start=first[0],
        end=last[1],
        lines=tuple(line for item in items for line in lines(item, ctx.isp_minutes)),
    )


def settlement_to_core(m: wire.FlexSettlement, ctx: Context) -> Mapped[Bill]:
    """A settlement as the bill of the aggregator: its lines are those of its orders."""
    losses = []
    for i, item in enumerate(m.flex_order_settlements):
        for name, amount in (("Price", item.price), ("Penalty", item.penalty)):
            if money(amount) != amount:
                path = f"FlexSettlement/FlexOrderSettlement[{i}]/@{name}"
                losses.append(Loss(path=path, kind=Kind.CONVERTED, value=str(amount), why="rounded to the cent"))
    why = "a bill has no place for what a contract reserved; it carries no amount"
    losses.append(Loss(path="FlexSettlement/ContractSettlement", kind=Kind.DROPPED, why=why))
    days = m.period_start, m.period_end
    bill = bill_of(m.flex_order_settlements, ctx, m.message_id, m.recipient_domain, days)
    bill = msgspec.structs.replace(bill, currency=m.currency)
    return Mapped(bill, tuple(losses))


def settlement_to_wire(bill: Bill, ctx: Context) -> Mapped[wire.FlexSettlement]:
    """A bill as a settlement of `Context.items`, if it is theirs to the cent.

    Interpretation: the schema demands a ContractSettlement; where none is kept, one that reserved nothing stands in.

    Raises:
        InvalidError: no items, a line that is not theirs, or an identity that was not told.
    """
    if not ctx.items:
        raise InvalidError("a settlement is made of items", path="Context/items")
    want = [line.amount for item in ctx.items for line in lines(item, ctx.isp_minutes)]
    if want != [line.amount for line in bill.lines]:
        raise InvalidError("bill and settlement do not agree", path="Bill/lines")
    for name in META:
        if name not in ctx.kept:
            raise InvalidError("is needed to write a message", path=f"Context/kept/{name}")
    first = ctx.items[0]
    nothing = wire.ContractSettlementPeriod(
        period=first.period, isps=(wire.ContractSettlementIsp(start=first.isps[0].start, reserved_power_w=0),)
    )
    local = [day_of(moment, ctx).period for moment in (bill.start, bill.end - timedelta(seconds=1))]
    message = wire.FlexSettlement(
        **{name: ctx.kept[name] for name in META},
        result=wire.Result.ACCEPTED,
        period_start=local[0],
        period_end=local[1],
        currency=bill.currency,
        flex_order_settlements=ctx.items,
        contract_settlements=ctx.contracts or (wire.ContractSettlement(contract_id=bill.contract, periods=(nothing,)),),
    )
    return Mapped(message)


def judged(m: wire.FlexSettlement, own: Mapping[str, wire.FlexOrderSettlement]) -> list[wire.FlexOrderSettlementStatus]:
    """The aggregator's answer, item by item: accepted where its own reckoning has the same net to the cent."""
    found = []
    for item in m.flex_order_settlements:
        mine = own.get(item.order_reference or "")
        if mine is not None and money(mine.net_settlement) == money(item.net_settlement):
            status = wire.FlexOrderSettlementStatus(
                order_reference=item.order_reference, disposition=wire.Verdict.ACCEPTED
            )
        else:
            why = "no such order" if mine is None else f"we reckon {mine.net_settlement} {m.currency}"
            status = wire.FlexOrderSettlementStatus(
                order_reference=item.order_reference, disposition=wire.Verdict.DISPUTED, dispute_reason=why
            )
        found.append(status)
    return found
