"""What orders came to, and what was metered: USEF 2015's messages as UFTP's, and back.

USEF 2015 settles PTU by PTU, UFTP order by order: amounts are added up, and back split over PTUs by what was delivered,
and penalties by what lacked, so that every sum stays to the last of four decimals.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

import msgspec

from flexhub.core.errors import InvalidError
from flexhub.mappings.fates import Kind, Loss, Mapped
from flexhub.mappings.uftp.context import day, decimal, runs
from flexhub.mappings.uftp.requests import metered_kwh
from flexhub.mappings.usef2015.context import Context, domain_of_brp, dropped, identity, is_address, metadata, split
from flexhub.protocols.uftp import messages as uftp
from flexhub.protocols.uftp.spans import MOST
from flexhub.protocols.usef2015 import messages as wire
from flexhub.protocols.usef2015.checks import metered
from flexhub.protocols.usef2015.messages import Role

_NOISE: Final = Decimal("0.000001")
"""Watts below which a difference is one of arithmetic."""
_POWERS: Final = ("ordered_flex_power_w", "actual_power_w", "delivered_flex_power_w", "power_deficiency_w")


def settlement_to_uftp(m: wire.SettlementMessage, ctx: Context) -> Mapped[uftp.FlexSettlement]:  # noqa: ARG001 - as every mapping
    """What orders came to, each as a whole; that no contract reserved anything stands in for what UFTP demands."""
    losses: list[Loss] = []
    path = "SettlementMessage/@"
    dropped(f"{path}Reference", m.reference, "UFTP refers to a settlement by its MessageID", losses)
    dropped(f"{path}TimeZone", m.time_zone, "FlexSettlement has none", losses)
    dropped(f"{path}PTU-Duration", m.ptu_duration, "FlexSettlement has none", losses)
    items = items_to_uftp(m.flex_order_settlements, m.message_metadata, losses)
    nothing = uftp.ContractSettlementIsp(start=items[0].isps[0].start, reserved_power_w=0)
    day_ = uftp.ContractSettlementPeriod(period=items[0].period, isps=(nothing,))
    why = "USEF 2015 knows no contracts, and UFTP demands one: it reserved nothing"
    losses.append(Loss(path="FlexSettlement/ContractSettlement", kind=Kind.DEFAULTED, value=0, why=why))
    message = uftp.FlexSettlement(
        **identity(m, losses),
        result=uftp.Result.ACCEPTED,
        period_start=m.period_start,
        period_end=m.period_end,
        currency=m.currency,
        flex_order_settlements=items,
        contract_settlements=(uftp.ContractSettlement(periods=(day_,)),),
    )
    return Mapped(message, tuple(losses))


def items_to_uftp(
    items: Iterable[wire.FlexOrderSettlement], meta: wire.MessageMetadata, losses: list[Loss] | None = None
) -> tuple[uftp.FlexOrderSettlement, ...]:
    """What each order came to, as a whole.

    Raises:
        InvalidError: an item about no congestion point, in a message that is neither from a BRP nor to one.
    """
    return tuple(_item(i, item, meta, [] if losses is None else losses) for i, item in enumerate(items))


def _item(
    i: int, item: wire.FlexOrderSettlement, meta: wire.MessageMetadata, losses: list[Loss]
) -> uftp.FlexOrderSettlement:
    path = f"SettlementMessage/FlexOrderSettlement[{i}]"
    dropped(f"{path}/*", item.extensions, "UFTP's messages hold nothing else", losses)
    price = sum((p.price * p.duration for p in item.ptu_settlements), Decimal(0))
    penalty = sum((p.penalty * p.duration for p in item.ptu_settlements), Decimal(0))
    place = item.congestion_point or domain_of_brp(meta)
    if place is None:
        raise InvalidError("is missing", path=f"{path}/@CongestionPoint", clause="USEF-14")
    return uftp.FlexOrderSettlement(
        order_reference=item.order_reference,
        period=item.period,
        congestion_point=place,
        price=price,
        penalty=penalty,
        net_settlement=price - penalty,
        isps=tuple(
            uftp.SettlementIsp(
                start=p.start,
                duration=p.duration,
                baseline_power_w=p.prognosis_power_w,
                **{name: getattr(p, name) for name in _POWERS},
            )
            for p in item.ptu_settlements
        ),
    )


def settlement_to_usef(u: uftp.FlexSettlement, ctx: Context) -> Mapped[wire.SettlementMessage]:
    """What orders came to, PTU by PTU: as kept where amounts and powers are the same, else split.

    Raises:
        InvalidError: an item that is of no order.
    """
    losses: list[Loss] = []
    for i, contract in enumerate(u.contract_settlements):
        if any(isp.reserved_power_w for period in contract.periods for isp in period.isps):
            path = f"FlexSettlement/ContractSettlement[{i}]"
            dropped(path, contract.contract_id or "reserved", "USEF 2015 knows no contracts", losses)
    dropped("FlexSettlement/@RejectionReason", u.rejection_reason, "a SettlementMessage rejects nothing", losses)
    kept = ctx.kept.get("flex_order_settlements", ())
    told = {item.order_reference: item for item in kept}
    found = (_split(i, item, told, losses) for i, item in enumerate(u.flex_order_settlements))
    items = tuple(
        msgspec.structs.replace(item, congestion_point=None) if item.congestion_point == u.sender_domain else item
        for item in found
    )
    ways = ((Role.BRP if items[0].congestion_point is None else Role.DSO, Role.AGR),)
    for name in ("time_zone", "ptu_duration"):
        if name not in ctx.kept:
            why = "FlexSettlement has none"
            path = f"SettlementMessage/@{wire.wire_name(name)}"
            losses.append(Loss(path=path, kind=Kind.DEFAULTED, value=None, why=why))
    message = wire.SettlementMessage(
        message_metadata=metadata(u, wire.SettlementMessage, ways, ctx, losses),
        time_zone=ctx.kept.get("time_zone", ctx.uftp.time_zone),
        period_start=u.period_start,
        period_end=u.period_end,
        reference=ctx.kept.get("reference", u.message_id),
        ptu_duration=ctx.kept.get("ptu_duration", f"PT{ctx.uftp.isp_minutes}M"),
        currency=u.currency,
        flex_order_settlements=items,
    )
    return Mapped(message, tuple(losses))


def _split(
    i: int, item: uftp.FlexOrderSettlement, kept: dict[str, wire.FlexOrderSettlement], losses: list[Loss]
) -> wire.FlexOrderSettlement:
    path = f"FlexSettlement/FlexOrderSettlement[{i}]"
    if item.order_reference is None:
        raise InvalidError("is missing; USEF 2015 settles orders", path=f"{path}/@OrderReference")
    dropped(f"{path}/@ContractID", item.contract_id, "USEF 2015 knows no contracts", losses)
    dropped(f"{path}/@D-PrognosisMessageID", item.d_prognosis_message_id, "a settlement names no prognosis", losses)
    dropped(f"{path}/@BaselineReference", item.baseline_reference, "a settlement names no baseline", losses)
    each = {n: isp for isp in item.isps for n in range(isp.start, isp.start + min(isp.duration, MOST))}
    prices = split(item.price, {n: abs(isp.delivered_flex_power_w) for n, isp in each.items()})
    penalties = split(item.penalty, {n: isp.power_deficiency_w for n, isp in each.items()})
    before = kept.get(item.order_reference)
    was = {} if before is None else _amounts(before)
    if was.keys() == each.keys() and _sums(was) == (item.price, item.penalty):
        prices = {n: price for n, (price, _) in was.items()}
        penalties = {n: penalty for n, (_, penalty) in was.items()}
    pairs = {n: (isp.baseline_power_w, isp, prices[n], penalties[n]) for n, isp in each.items()}
    return wire.FlexOrderSettlement(
        period=item.period,
        order_reference=item.order_reference,
        congestion_point=item.congestion_point,
        ptu_settlements=tuple(
            wire.PtuSettlement(
                start=start,
                duration=length,
                prognosis_power_w=power,
                **{name: getattr(isp, name) for name in _POWERS},
                price=price,
                penalty=penalty,
                net_settlement=price - penalty,
            )
            for start, length, (power, isp, price, penalty) in runs(pairs)
        ),
    )


def _amounts(item: wire.FlexOrderSettlement) -> dict[int, tuple[Decimal, Decimal]]:
    return {
        n: (p.price, p.penalty) for p in item.ptu_settlements for n in range(p.start, p.start + min(p.duration, MOST))
    }


def _sums(amounts: dict[int, tuple[Decimal, Decimal]]) -> tuple[Decimal, Decimal]:
    return sum((a for a, _ in amounts.values()), Decimal(0)), sum((b for _, b in amounts.values()), Decimal(0))


def parts(m: wire.MeterDataQueryResponse) -> Iterator[wire.MeterDataQueryResponse]:
    """The answer in parts, each of one connection, or connections together, on one day: as the mappings take it.

    Events have no place on the other side of a mapping, and are in no part.
    """
    for group in m.meter_data_sets:
        for one in group.meter_data:
            for data in one.connection_meter_data:
                day_ = msgspec.structs.replace(one, connection_meter_data=(data,), connection_meter_events=())
                whole = msgspec.structs.replace(group, meter_data=(day_,))
                yield msgspec.structs.replace(m, meter_data_sets=(whole,))


def _only(m: wire.MeterDataQueryResponse, losses: list[Loss]) -> tuple[str, wire.ConnectionMeterData]:
    """(day, what was metered) of an answer of one part.

    Raises:
        InvalidError: it has another number of parts.
    """
    found = list(metered(m))
    if len(found) != 1:
        told = f"holds {len(found)} days of connections; one is mapped at a time"
        raise InvalidError(told, path="MeterDataQueryResponse/MeterDataSet")
    for k, group in enumerate(m.meter_data_sets):
        for i, one in enumerate(group.meter_data):
            path = f"MeterDataQueryResponse/MeterDataSet[{k}]/MeterData[{i}]"
            dropped(f"{path}/ConnectionMeterEvent", one.connection_meter_events, "events are not energy", losses)
            dropped(f"{path}/*", one.extensions, "the other side holds nothing else", losses)
    path, period, data = found[0]
    dropped(f"MeterDataQueryResponse/{path}/*", data.extensions, "the other side holds nothing else", losses)
    return period, data


def meter_data_to_uftp(m: wire.MeterDataQueryResponse, ctx: Context) -> Mapped[uftp.Metering]:
    """What one connection used on one day: kW, negated, since in PTU-MeterData negative power is consumption.

    Raises:
        InvalidError: several connections or days, none, or an address that is no EAN.
    """
    found = metering(m, ctx)
    address = found.value.ean
    if not address.startswith("ean.") or len(address) not in (20, 22):
        path = "MeterDataQueryResponse/MeterDataSet"
        raise InvalidError(f"{address!r} is no EAN of 16 or 18 digits, of which Metering is", path=path)
    return Mapped(msgspec.structs.replace(found.value, ean=f"E{address.removeprefix('ean.')}"), found.losses)


def metering(m: wire.MeterDataQueryResponse, ctx: Context) -> Mapped[uftp.Metering]:
    """As `meter_data_to_uftp`; EAN is the place: a connection, else the aggregator of several, else their parent.

    Raises:
        InvalidError: several connections or days, or none; a PTU that the day does not have on the context's grid.
    """
    losses: list[Loss] = []
    period, data = _only(m, losses)
    parent, path = m.meter_data_sets[0].entity_address, "MeterDataQueryResponse/MeterDataSet[0]"
    place = data.entity_address or data.agr_domain or parent
    for name, told in (("EntityAddress", parent), ("AGR-Domain", data.agr_domain), ("EntityCount", data.entity_count)):
        if told != place:
            dropped(f"{path}/@{name}", told, "Metering names one place", losses)
    for name in ("Revision", "TimeZone", "ISP-Duration"):
        why = "MeterDataQueryResponse has none"
        losses.append(Loss(path=f"Metering/@{name}", kind=Kind.DEFAULTED, value=None, why=why))
    count = day(period, ctx.uftp.time_zone, f"PT{ctx.uftp.isp_minutes}M").count
    for i, ptu in enumerate(data.ptu_meter_data):
        if ptu.start < 1 or ptu.duration < 1 or ptu.start + ptu.duration - 1 > count:
            told = f"{ptu.start} and {ptu.duration} in all is not within the {count} of {period}"
            raise InvalidError(told, path=f"{path}/PTU-MeterData[{i}]", clause="USEF-17")
    isps = tuple(
        uftp.MeteringIsp(start=n, value=decimal(-ptu.power_w / 1000))
        for ptu in data.ptu_meter_data
        for n in range(ptu.start, ptu.start + ptu.duration)
    )
    if not isps:
        raise InvalidError("there is no reading", path=path)
    message = uftp.Metering(
        **identity(m, losses),
        revision=ctx.uftp.kept.get("revision", 1),
        isp_duration=f"PT{ctx.uftp.isp_minutes}M",
        time_zone=ctx.uftp.time_zone,
        period=period,
        ean=place,
        profiles=(uftp.MeteringProfile(profile_type=uftp.ProfileType.POWER, unit=uftp.Unit.KW, isps=isps),),
    )
    return Mapped(message, tuple(losses))


def meter_data_to_usef(u: uftp.Metering, ctx: Context) -> Mapped[wire.MeterDataQueryResponse]:
    """An answer of one connection on one day; powers to the nearest watt, negated.

    Raises:
        InvalidError: readings only, or a unit of another profile.
    """
    return metered_answer(msgspec.structs.replace(u, ean=f"ean.{u.ean[1:]}"), ctx)


def metered_answer(u: uftp.Metering, ctx: Context) -> Mapped[wire.MeterDataQueryResponse]:
    """The inverse of `metering`."""
    losses: list[Loss] = []
    whole = day(u.period, u.time_zone, u.isp_duration)
    watts = {n: kwh * 60_000 / whole.minutes for n, kwh in sorted(metered_kwh(u, whole).items())}
    rounded = {n: int(w.to_integral_value(ROUND_HALF_EVEN)) for n, w in watts.items()}
    if any(abs(rounded[n] - w) > _NOISE for n, w in watts.items()):
        losses.append(Loss(path="Metering/Profile", kind=Kind.CONVERTED, value=None, why="rounded to whole watts"))
    for i, profile in enumerate(u.profiles):
        if "Reading" in profile.profile_type:
            dropped(f"Metering/Profile[{i}]", profile.profile_type, "USEF 2015 has no readings", losses)
    dropped("Metering/@Currency", u.currency, "USEF 2015 meters no money", losses)
    dropped("Metering/@Revision", u.revision, "USEF 2015 numbers no answers", losses)
    kept, period = ctx.kept, u.period[:10]
    data = wire.ConnectionMeterData(
        entity_address=u.ean if is_address(u.ean) else None,
        entity_count=kept.get("entity_count"),
        agr_domain=kept.get("agr_domain"),
        ptu_meter_data=tuple(
            wire.PtuMeterData(power_w=-power, start=start, duration=length) for start, length, power in runs(rounded)
        ),
    )
    metered_day = wire.MeterData(period=period, connection_meter_data=(data,))
    message = wire.MeterDataQueryResponse(
        message_metadata=metadata(u, wire.MeterDataQueryResponse, ((Role.MDC, Role.DSO),), ctx, losses),
        result=wire.Outcome.SUCCESS,
        date_range_start=kept.get("date_range_start", period),
        date_range_end=kept.get("date_range_end", period),
        query_type=kept.get("query_type", wire.QueryType.USAGE),
        meter_data_sets=(wire.MeterDataSet(entity_address=kept.get("parent", u.ean), meter_data=(metered_day,)),),
    )
    return Mapped(message, tuple(losses))


def statuses_to_uftp(found: Iterable[wire.FlexOrderSettlementStatus]) -> tuple[uftp.FlexOrderSettlementStatus, ...]:
    """Verdicts per order."""
    return tuple(
        uftp.FlexOrderSettlementStatus(order_reference=s.order_reference, disposition=s.disposition) for s in found
    )


def statuses_to_usef(
    found: Iterable[uftp.FlexOrderSettlementStatus], losses: list[Loss]
) -> tuple[wire.FlexOrderSettlementStatus, ...]:
    """Verdicts per order; why one is disputed is lost.

    Raises:
        InvalidError: an item that is of no order.
    """
    told: list[wire.FlexOrderSettlementStatus] = []
    for i, status in enumerate(found):
        path = f"FlexSettlementResponse/FlexOrderSettlementStatus[{i}]/@"
        if status.order_reference is None:
            raise InvalidError("is missing; USEF 2015 settles orders", path=f"{path}OrderReference")
        dropped(f"{path}DisputeReason", status.dispute_reason, "disputes are settled outside of USEF 2015", losses)
        told.append(
            wire.FlexOrderSettlementStatus(order_reference=status.order_reference, disposition=status.disposition)
        )
    return tuple(told)
