"""Prognoses, requests, offers, orders and revocations: USEF 2015's as UFTP's, and back.

A PTU is an ISP. Where USEF 2015 has one power of a PTU that is requested or available, UFTP has bounds: from nothing to
that power. Where it has a price per PTU, UFTP has one of the whole, the sum; back it is split by |power|.

Interpretation: the Price of an element that stands for several PTUs is that of each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from flexhub.core.errors import InvalidError
from flexhub.mappings.fates import Kind, Loss, Mapped
from flexhub.mappings.uftp.context import runs
from flexhub.mappings.uftp.settlement import as_delivered
from flexhub.mappings.usef2015.context import (
    Context,
    Name,
    dropped,
    identity,
    metadata,
    own_sequence,
    placed,
    split,
)
from flexhub.protocols.uftp import messages as uftp
from flexhub.protocols.uftp.checks import powers
from flexhub.protocols.uftp.times import start_of, text_of
from flexhub.protocols.usef2015 import messages as wire
from flexhub.protocols.usef2015.checks import spread
from flexhub.protocols.usef2015.messages import PrognosisType, Role

_BASELINE: Final = "USEF 2015's offers deviate from the prognosis of their request"


def _ways(u: uftp.Flex, *, selling: bool) -> tuple[tuple[Role, Role]]:
    buyer = Role.BRP if _point(u) is None else Role.DSO
    return ((Role.AGR, buyer) if selling else (buyer, Role.AGR),)


def _grid(m: wire.Prognosis | wire.Flex) -> dict[str, Any]:
    return {
        "isp_duration": m.ptu_duration,
        "time_zone": m.time_zone,
        "period": m.period,
        "congestion_point": placed(m),
    }


def _point(u: uftp.Flex) -> str | None:
    """The congestion point; None, where the place is the domain of a party: the BRP (`placed`)."""
    return None if u.congestion_point in (u.sender_domain, u.recipient_domain) else u.congestion_point


def _day(u: uftp.Flex) -> dict[str, Any]:
    return {
        "ptu_duration": u.isp_duration,
        "time_zone": u.time_zone,
        "period": u.period,
        "congestion_point": _point(u),
    }


def prognosis_to_uftp(m: wire.Prognosis, ctx: Context) -> Mapped[uftp.DPrognosis]:  # noqa: ARG001 - as every mapping
    """A D-Prognosis; an A-Plan has no counterpart in UFTP, and is one of the BRP's domain on its way to the core."""
    losses: list[Loss] = []
    isps = tuple(uftp.PrognosisIsp(power_w=p.power_w, start=p.start, duration=p.duration) for p in m.ptus)
    message = uftp.DPrognosis(**identity(m, losses), **_grid(m), revision=m.sequence, isps=isps)
    return Mapped(message, tuple(losses))


def prognosis_to_usef(u: uftp.DPrognosis, ctx: Context) -> Mapped[wire.Prognosis]:
    """A prognosis for a DSO; an A-Plan, where the place is a BRP's domain."""
    losses: list[Loss] = []
    ptus = tuple(wire.Ptu(power_w=p.power_w, start=p.start, duration=p.duration) for p in u.isps)
    message = wire.Prognosis(
        message_metadata=metadata(u, wire.Prognosis, _ways(u, selling=True), ctx, losses),
        type=PrognosisType.A_PLAN if _point(u) is None else PrognosisType.D_PROGNOSIS,
        **_day(u),
        sequence=u.revision,
        ptus=ptus,
    )
    return Mapped(message, tuple(losses))


def request_to_uftp(m: wire.FlexRequest, ctx: Context) -> Mapped[uftp.FlexRequest]:  # noqa: ARG001 - as every mapping
    """A request: between nothing and the power of each PTU."""
    losses: list[Loss] = []
    told = f"{m.prognosis_origin} {m.prognosis_sequence}"
    dropped("FlexRequest/@PrognosisSequence", told, "UFTP's FlexRequest names no prognosis", losses)
    message = uftp.FlexRequest(
        **identity(m, losses),
        **_grid(m),
        revision=m.sequence,
        expiration_date_time=m.expiration_date_time,
        isps=tuple(
            uftp.FlexRequestIsp(
                disposition=p.disposition,
                min_power_w=min(0, p.power_w),
                max_power_w=max(0, p.power_w),
                start=p.start,
                duration=p.duration,
            )
            for p in m.ptus
        ),
    )
    return Mapped(message, tuple(losses))


def request_to_usef(u: uftp.FlexRequest, ctx: Context) -> Mapped[wire.FlexRequest]:
    """A request of one power per PTU: the bound that is farther from zero. Where the other is not zero, it is lost."""
    losses: list[Loss] = []
    ptus = []
    for i, isp in enumerate(u.isps):
        far, near = sorted((isp.min_power_w, isp.max_power_w), key=abs, reverse=True)
        if near:
            why = "USEF 2015 has one power of a PTU, and what is between nothing and that"
            dropped(f"FlexRequest/ISP[{i}]", f"{near} W", why, losses, Kind.BOUND)
        word = isp.disposition or uftp.Disposition.AVAILABLE
        ptus.append(wire.Ptu(disposition=word, power_w=far, start=isp.start, duration=isp.duration))
    sequence = ctx.kept.get("prognosis_sequence")
    if sequence is None:
        why = "UFTP's FlexRequest names no prognosis"
        losses.append(Loss(path="FlexRequest/@PrognosisSequence", kind=Kind.DEFAULTED, value=0, why=why))
    dropped("FlexRequest/@ContractID", u.contract_id, "USEF 2015 knows no contracts", losses)
    dropped("FlexRequest/@ServiceType", u.service_type, "USEF 2015 knows no service types", losses)
    message = wire.FlexRequest(
        message_metadata=metadata(u, wire.FlexRequest, _ways(u, selling=False), ctx, losses),
        **_day(u),
        sequence=u.revision,
        expiration_date_time=u.expiration_date_time,
        prognosis_origin=ctx.kept.get("prognosis_origin", u.recipient_domain),
        prognosis_sequence=sequence or 0,
        ptus=tuple(ptus),
    )
    return Mapped(message, tuple(losses))


def _isps(ptus: Iterable[wire.Ptu]) -> tuple[uftp.Isp, ...]:
    return tuple(uftp.Isp(power_w=p.power_w, start=p.start, duration=p.duration) for p in ptus)


def _total(m: wire.FlexOffer | wire.FlexOrder, losses: list[Loss]) -> Decimal:
    """The price of all; a loss tells prices that are not in proportion to power."""
    each = {number: (power, price or Decimal(0)) for number, (power, price) in spread(m.ptus).items()}
    total = sum((price for _, price in each.values()), Decimal(0))
    if split(total, {n: abs(power) for n, (power, _) in each.items()}) != {n: price for n, (_, price) in each.items()}:
        told = ", ".join(str(p.price) for p in m.ptus)
        why = "UFTP has one price of the whole: their sum"
        dropped(f"{type(m).__name__}/PTU/@Price", told, why, losses, Kind.CONVERTED)
    return total


def _ptus(told: Mapping[int, int], total: Decimal, ctx: Context) -> tuple[wire.Ptu, ...]:
    """PTUs of these powers with their prices: as kept where they still come to the total, else split.

    By `ctx.kept["weights"]` where the conversion knows better, else by |power|.
    """
    prices = ctx.kept.get("prices") or {}
    if prices.keys() >= told.keys() and sum(p or Decimal(0) for p in prices.values()) == total:
        told = {number: told.get(number, 0) for number in sorted(prices)}  # PTUs of no power are not on the other side
    else:
        prices = split(total, ctx.kept.get("weights") or {n: abs(power) for n, power in told.items()})
    pairs = {number: (power, prices[number]) for number, power in told.items()}
    return tuple(
        wire.Ptu(power_w=power, start=start, duration=length, price=price)
        for start, length, (power, price) in runs(pairs)
    )


def offer_to_uftp(m: wire.FlexOffer, ctx: Context) -> Mapped[uftp.FlexOffer]:
    """An offer of one option, which is taken as a whole; OptionReference is the Sequence.

    Raises:
        InvalidError: an offer of nothing, which only a BRP gets.
    """
    if not m.ptus:
        raise InvalidError("UFTP has no offer of nothing", path="FlexOffer/PTU")
    losses: list[Loss] = []
    name = Name("FlexRequest", m.flex_request_origin, str(m.flex_request_sequence))
    dropped("FlexOffer/@Sequence", m.sequence, "UFTP refers to an offer by its MessageID", losses)
    message = uftp.FlexOffer(
        **identity(m, losses),
        **_grid(m),
        expiration_date_time=m.expiration_date_time,
        unsolicited=False,
        flex_request_message_id=ctx.id_of(name, "FlexOffer/@FlexRequestSequence", losses),
        currency=m.currency,
        offer_options=(
            uftp.OfferOption(option_reference=str(m.sequence), price=_total(m, losses), isps=_isps(m.ptus)),
        ),
    )
    return Mapped(message, tuple(losses))


def offer_to_usef(u: uftp.FlexOffer, ctx: Context) -> Mapped[wire.FlexOffer]:
    """An offer of the first option, at full activation; other options and partial activation are lost bounds."""
    losses: list[Loss] = []
    option, *others = u.offer_options
    for i, other in enumerate(others, 1):
        why = "USEF 2015 has no offers that exclude each other; only the first option is written"
        dropped(f"FlexOffer/OfferOption[{i}]", other.option_reference, why, losses, Kind.BOUND)
    if option.min_activation_factor != 1:
        why = "USEF 2015 orders the whole of an offer"
        dropped("FlexOffer/OfferOption[0]/@MinActivationFactor", option.min_activation_factor, why, losses, Kind.BOUND)
    dropped("FlexOffer/@ContractID", u.contract_id, "USEF 2015 knows no contracts", losses)
    dropped("FlexOffer/@D-PrognosisMessageID", u.d_prognosis_message_id, _BASELINE, losses)
    dropped("FlexOffer/@BaselineReference", u.baseline_reference, _BASELINE, losses)
    origin = ctx.kept.get("flex_request_origin", u.recipient_domain)
    message = wire.FlexOffer(
        message_metadata=metadata(u, wire.FlexOffer, _ways(u, selling=True), ctx, losses),
        **_day(u),
        sequence=own_sequence(u, "FlexOffer", ctx, losses),
        expiration_date_time=u.expiration_date_time,
        flex_request_origin=origin,
        flex_request_sequence=_referred(u.flex_request_message_id, Name("FlexRequest", origin, ""), ctx, losses),
        currency=u.currency,
        ptus=_ptus(powers(option.isps), option.price, ctx),
    )
    return Mapped(message, tuple(losses))


def _referred(message_id: str | None, name: Name, ctx: Context, losses: list[Loss]) -> int:
    """The Sequence of what an offer or order follows; 0 where it follows nothing."""
    path = f"{'FlexOffer' if name.kind == 'FlexRequest' else 'FlexOrder'}/@{name.kind}Sequence"
    kept = ctx.kept.get("flex_request_sequence" if name.kind == "FlexRequest" else "flex_offer_sequence")
    if isinstance(kept, int):
        return kept
    if message_id is None:
        why = "USEF 2015 has nothing unsolicited"
        losses.append(Loss(path=path, kind=Kind.DEFAULTED, value=0, why=why))
        return 0
    return int(ctx.key_of(name.kind, name.origin, message_id, path, losses))


def order_to_uftp(m: wire.FlexOrder, ctx: Context) -> Mapped[uftp.FlexOrder]:
    """An order of the whole of the offer's one option."""
    losses: list[Loss] = []
    name = Name("FlexOffer", m.flex_offer_origin, str(m.flex_offer_sequence))
    dropped("FlexOrder/@Sequence", m.sequence, "UFTP refers to an order by its MessageID", losses)
    dropped("FlexOrder/@ExpirationDateTime", m.expiration_date_time, "UFTP's orders do not expire", losses)
    message = uftp.FlexOrder(
        **identity(m, losses),
        **_grid(m),
        unsolicited=False,
        flex_offer_message_id=ctx.id_of(name, "FlexOrder/@FlexOfferSequence", losses),
        price=_total(m, losses),
        currency=m.currency,
        order_reference=m.order_reference,
        option_reference=str(m.flex_offer_sequence),
        isps=_isps(m.ptus),
    )
    return Mapped(message, tuple(losses))


def order_to_usef(u: uftp.FlexOrder, ctx: Context) -> Mapped[wire.FlexOrder]:
    """An order of an offer; of a part of one, it has the powers of that part, and that it is one is a lost bound.

    Interpretation: an order that says no expiration expires at the end of its last PTU.
    """
    losses: list[Loss] = []
    if u.activation_factor != 1:
        why = "USEF 2015 orders the whole of an offer"
        dropped("FlexOrder/@ActivationFactor", u.activation_factor, why, losses, Kind.BOUND)
    for name, value in (("ContractID", u.contract_id), ("ServiceType", u.service_type)):
        dropped(f"FlexOrder/@{name}", value, "USEF 2015 knows neither contracts nor service types", losses)
    dropped("FlexOrder/@D-PrognosisMessageID", u.d_prognosis_message_id, _BASELINE, losses)
    dropped("FlexOrder/@BaselineReference", u.baseline_reference, _BASELINE, losses)
    told = powers(as_delivered(u, ctx.uftp.offer).isps)
    until = ctx.kept.get("expiration_date_time")
    if until is None:
        end = start_of(u.period, u.time_zone, u.isp_duration, max(told) + 1)
        until = u.time_stamp if end is None else text_of(end)
        why = "UFTP's orders do not expire; it is the end of the last PTU"
        losses.append(Loss(path="FlexOrder/@ExpirationDateTime", kind=Kind.DEFAULTED, value=until, why=why))
    origin = ctx.kept.get("flex_offer_origin", u.recipient_domain)
    message = wire.FlexOrder(
        message_metadata=metadata(u, wire.FlexOrder, _ways(u, selling=False), ctx, losses),
        **_day(u),
        sequence=own_sequence(u, "FlexOrder", ctx, losses),
        expiration_date_time=until,
        flex_offer_origin=origin,
        flex_offer_sequence=_referred(u.flex_offer_message_id, Name("FlexOffer", origin, ""), ctx, losses),
        currency=u.currency,
        order_reference=u.order_reference,
        ptus=_ptus(told, u.price, ctx),
    )
    return Mapped(message, tuple(losses))


def revocation_to_uftp(m: wire.FlexOfferRevocation, ctx: Context) -> Mapped[uftp.FlexOfferRevocation]:
    """An offer is taken back; in USEF 2015 even one that was ordered."""
    losses: list[Loss] = []
    name = Name("FlexOffer", m.message_metadata.sender_domain, str(m.sequence))
    told = ctx.id_of(name, "FlexOfferRevocation/@Sequence", losses)
    return Mapped(uftp.FlexOfferRevocation(**identity(m, losses), flex_offer_message_id=told), tuple(losses))


def revocation_to_usef(u: uftp.FlexOfferRevocation, ctx: Context) -> Mapped[wire.FlexOfferRevocation]:
    """An offer is taken back."""
    losses: list[Loss] = []
    path = "FlexOfferRevocation/@Sequence"
    key = ctx.key_of("FlexOffer", u.sender_domain, u.flex_offer_message_id, path, losses)
    ways = ((Role.AGR, Role.DSO),)
    meta = metadata(u, wire.FlexOfferRevocation, ways, ctx, losses)
    return Mapped(wire.FlexOfferRevocation(message_metadata=meta, sequence=int(key)), tuple(losses))
