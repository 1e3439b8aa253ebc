"""USEF 2015's messages and the core: by way of UFTP, so that there is one mapping of power, days and bills.

What UFTP cannot hold, and the core or the context can, goes around it: the price of each PTU, Sequences, and what is
about no congestion point.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

import msgspec

from flexhub.core import flexoffer, timeseries, trading
from flexhub.core.errors import InvalidError
from flexhub.core.price import Price
from flexhub.mappings.fates import Kind, Loss, Mapped
from flexhub.mappings.uftp import offers, requests
from flexhub.mappings.uftp import settlement as bills
from flexhub.mappings.uftp.context import Context as UftpContext
from flexhub.mappings.uftp.context import Day, day, day_of
from flexhub.mappings.usef2015 import settlement, trade
from flexhub.mappings.usef2015.context import Context, domain_of_brp
from flexhub.protocols.uftp import messages as uftp
from flexhub.protocols.uftp.times import minutes_of
from flexhub.protocols.usef2015 import messages as wire
from flexhub.protocols.usef2015.checks import spread

KEPT: Final = "usef2015"
"""Key of a flex-offer's extras: what the core has no place for, below it by the message's field names."""
FOLLOWED: Final = ("sequence", "flex_request_origin", "flex_request_sequence")
"""What of an offer is kept so, beside the prices by PTU number."""


def _left(losses: Iterable[Loss], *carried: str) -> tuple[Loss, ...]:
    """Losses but for those at paths that are carried around UFTP."""
    return tuple(loss for loss in losses if loss.path not in carried)


def _grid(ctx: Context, of: object = None) -> UftpContext:
    """UFTP's context with the grid of a message, or else the kept one."""
    zone, length = (getattr(of, name, None) or ctx.kept.get(name) for name in ("time_zone", "ptu_duration"))
    minutes = minutes_of(length) if length is not None else None
    return msgspec.structs.replace(
        ctx.uftp, time_zone=zone or ctx.uftp.time_zone, isp_minutes=minutes or ctx.uftp.isp_minutes
    )


def _writing(ctx: Context, **more: Any) -> UftpContext:  # noqa: ANN401 - fields of any message
    """UFTP's context to write a message on the way: its grid, identity and more that is kept.

    Raises:
        InvalidError: an identity that was not told.
    """
    meta = ctx.kept.get("message_metadata")
    if not isinstance(meta, wire.MessageMetadata):
        raise InvalidError("is needed to write a message", path="Context/kept/message_metadata")
    names = ("sender_domain", "recipient_domain", "time_stamp", "message_id", "conversation_id")
    kept = {"version": uftp.VERSIONS[-1], **{name: getattr(meta, name) for name in names}, **more}
    return msgspec.structs.replace(_grid(ctx), kept=kept)


def prognosis_to_core(m: wire.Prognosis, ctx: Context) -> Mapped[timeseries.TimeSeries]:
    """A prognosis as the baseline of its congestion point; an A-Plan as that of the BRP's domain."""
    inward = trade.prognosis_to_uftp(m, ctx)
    read = requests.prognosis_to_core(inward.value, ctx.uftp)
    return Mapped(read.value, (*inward.losses, *read.losses))


def prognosis_to_wire(series: timeseries.TimeSeries, ctx: Context) -> Mapped[wire.Prognosis]:
    """A baseline of one local day as a D-Prognosis; as an A-Plan, where its subject is no congestion point.

    Raises:
        InvalidError: as UFTP's mapping.
    """
    on_the_way = requests.prognosis_to_wire(series, _writing(ctx, revision=ctx.kept.get("sequence", 1)))
    outward = trade.prognosis_to_usef(on_the_way.value, ctx)
    return Mapped(outward.value, (*on_the_way.losses, *outward.losses))


def request_to_core(m: wire.FlexRequest, ctx: Context) -> Mapped[trading.FlexRequest]:
    """What a DSO or BRP asks, slot by slot, relative to the prognosis: between nothing and the power of each PTU.

    Raises:
        InvalidError: as UFTP's mapping.
    """
    inward = trade.request_to_uftp(m, ctx)
    read = requests.request_to_core(inward.value, ctx.uftp)
    told = {"prognosis_origin": m.prognosis_origin, "prognosis_sequence": str(m.prognosis_sequence)}
    value = msgspec.structs.replace(read.value, extras={**read.value.extras, **told})
    return Mapped(value, (*_left(inward.losses, "FlexRequest/@PrognosisSequence"), *read.losses))


def request_to_wire(r: trading.FlexRequest, ctx: Context) -> Mapped[wire.FlexRequest]:
    """A request of one power per PTU; a bound that is not zero beside a farther one is lost.

    Raises:
        InvalidError: as UFTP's mapping.
    """
    on_the_way = requests.request_to_wire(r, _writing(ctx))
    u = msgspec.structs.replace(on_the_way.value, revision=ctx.kept.get("sequence", on_the_way.value.revision))
    told = dict(ctx.kept)
    if "prognosis_sequence" in r.extras and "prognosis_sequence" not in told:
        told |= {
            "prognosis_origin": r.extras.get("prognosis_origin", u.recipient_domain),
            "prognosis_sequence": int(r.extras["prognosis_sequence"]),
        }
    outward = trade.request_to_usef(u, msgspec.structs.replace(ctx, kept=told))
    return Mapped(outward.value, (*on_the_way.losses, *outward.losses))


def offer_to_core(m: wire.FlexOffer, ctx: Context) -> Mapped[flexoffer.FlexOffer]:
    """An offer of one profile, with the price of each PTU on its slice.

    Raises:
        InvalidError: an offer of nothing, or a PTU that the day does not have.
    """
    inward = trade.offer_to_uftp(m, ctx)
    read = offers.offer_to_core(inward.value, ctx.uftp)
    offer = read.value
    losses = [
        msgspec.structs.replace(loss, path="FlexOffer/@FlexRequestSequence") if "Baseline" in loss.path else loss
        for loss in read.losses
    ]
    whole = day(m.period, m.time_zone, m.ptu_duration)
    if m.currency == "EUR":
        losses = [loss for loss in losses if loss.kind is not Kind.PRICE]  # of the sum; each PTU's is told here
        offer = msgspec.structs.replace(offer, profiles=(_priced(m, whole, offer.profiles[0], losses),))
    kept = {name: getattr(m, name) for name in FOLLOWED}
    kept["prices"] = {str(n): None if p is None else str(p) for n, (_, p) in spread(m.ptus).items()}
    offer = msgspec.structs.replace(offer, extras={**offer.extras, KEPT: kept})
    carried = ("FlexOffer/@Sequence", "FlexOffer/@FlexRequestSequence", "FlexOffer/PTU/@Price")
    return Mapped(offer, (*_left(inward.losses, *carried), *losses))


def _priced(m: wire.FlexOffer, whole: Day, profile: flexoffer.Profile, losses: list[Loss]) -> flexoffer.Profile:
    told = spread(m.ptus)
    slices = []
    for number, piece in enumerate(profile.slices, min(told)):
        power, amount = told.get(number, (0, None))
        price = None
        if amount and (power == 0 or amount < 0):
            why = "the core prices energy that is moved, at no less than nothing"
            losses.append(Loss(path=f"FlexOffer/PTU/{number}/@Price", kind=Kind.PRICE, value=str(amount), why=why))
        elif amount:
            each = float(amount) / abs(whole.kwh(power))
            price = Price.of_tariffs(-each, each)
        slices.append(msgspec.structs.replace(piece, price=price))
    return msgspec.structs.replace(profile, slices=tuple(slices))


def offer_to_wire(offer: flexoffer.FlexOffer, ctx: Context) -> Mapped[wire.FlexOffer]:
    """The first option of an offer: of its first profile and start, to the most that it allows; the rest is lost.

    Prices are as kept where they still come to the same, else what each slice costs.

    Raises:
        InvalidError: as UFTP's mapping.
    """
    told = offer.extras.get(KEPT)
    kept: dict[str, Any] = dict(told) if isinstance(told, dict) else {}
    if "prices" in kept:
        kept["prices"] = {int(n): None if p is None else Decimal(p) for n, p in kept["prices"].items()}
    kept |= ctx.kept
    uftp_kept = {"unsolicited": "flex_request_sequence" not in kept}
    on_the_way = offers.offer_to_wire(offer, _writing(ctx, **uftp_kept))
    weights = _weights(offer, msgspec.structs.replace(_grid(ctx), places=ctx.uftp.places))
    outward = trade.offer_to_usef(on_the_way.value, msgspec.structs.replace(ctx, kept={"weights": weights, **kept}))
    return Mapped(outward.value, (*on_the_way.losses, *outward.losses))


def _weights(offer: flexoffer.FlexOffer, grid: UftpContext) -> dict[int, float]:
    """What each ISP of the first profile costs at its most, from the earliest start on."""
    earliest, _ = offer.window(offer.created)
    whole = day_of(earliest, grid)
    number = whole.number(earliest)
    base = (
        {}
        if offer.default_schedule is None
        else offers.baseline_of(UftpContext(baseline=offer.default_schedule), whole)
    )
    found = {}
    for piece in offer.profiles[0].slices:
        low, high = piece.span_kwh()
        price = piece.price or offer.price
        for n in range(number, number + piece.min_duration):
            ends = (edge / piece.min_duration - base.get(n, 0.0) for edge in (low, high))
            found[n] = 0.0 if price is None else abs(price.cost_eur(max(ends, key=abs)))
        number += piece.min_duration
    return found


def order_to_core(m: wire.FlexOrder, ctx: Context) -> Mapped[trading.Order]:
    """What is ordered, from its first to its last PTU, at one price."""
    inward = trade.order_to_uftp(m, ctx)
    read = requests.order_to_core(inward.value, ctx.uftp)
    value = msgspec.structs.replace(read.value, option=None)
    carried = ("FlexOrder/@Sequence", "FlexOrder/@ExpirationDateTime", "FlexOrder/@FlexOfferSequence")
    return Mapped(value, (*_left(inward.losses, *carried), *read.losses))


def order_to_wire(order: trading.Order, ctx: Context) -> Mapped[wire.FlexOrder]:
    """An order of an offer as it was made; that it is of a part of one is a lost bound.

    Raises:
        InvalidError: as UFTP's mapping.
    """
    place = ctx.kept.get("congestion_point") or _brp(ctx)
    more = {"congestion_point": place, "unsolicited": False}
    if "order_reference" in ctx.kept:
        more["order_reference"] = ctx.kept["order_reference"]
    on_the_way = requests.order_to_wire(order, _writing(ctx, **more))
    outward = trade.order_to_usef(on_the_way.value, ctx)
    return Mapped(outward.value, (*on_the_way.losses, *outward.losses))


def _brp(ctx: Context) -> str | None:
    meta = ctx.kept.get("message_metadata")
    return None if not isinstance(meta, wire.MessageMetadata) else domain_of_brp(meta)


_SETTLED: Final = tuple(f"SettlementMessage/@{name}" for name in ("Reference", "TimeZone", "PTU-Duration"))
_STOOD_IN: Final = "FlexSettlement/ContractSettlement"


def settlement_to_core(m: wire.SettlementMessage, ctx: Context) -> Mapped[trading.Bill]:
    """A settlement as the bill of the aggregator: a line for each order, and one for its penalty."""
    inward = settlement.settlement_to_uftp(m, ctx)
    read = bills.settlement_to_core(inward.value, _grid(ctx, m))
    losses = (*_left(inward.losses, *_SETTLED, _STOOD_IN), *_left(read.losses, _STOOD_IN))
    return Mapped(read.value, losses)


def settlement_to_wire(bill: trading.Bill, ctx: Context) -> Mapped[wire.SettlementMessage]:
    """A bill as a settlement of the items that are kept, if it is theirs to the cent.

    Raises:
        InvalidError: no items, a line that is not theirs, or an identity that was not told.
    """
    uctx = _writing(ctx)
    items = settlement.items_to_uftp(ctx.kept.get("flex_order_settlements", ()), ctx.kept["message_metadata"])
    on_the_way = bills.settlement_to_wire(bill, msgspec.structs.replace(uctx, items=items))
    outward = settlement.settlement_to_usef(on_the_way.value, ctx)
    return Mapped(outward.value, (*on_the_way.losses, *outward.losses))


def meter_data_to_core(m: wire.MeterDataQueryResponse, ctx: Context) -> Mapped[timeseries.Measurement]:
    """What was metered at one place on one day, positive = consumption; the grid is the context's.

    Raises:
        InvalidError: several places or days, or none.
    """
    inward = settlement.metering(m, ctx)
    read = requests.metering_to_core(inward.value, ctx.uftp)
    return Mapped(read.value, (*_left(inward.losses, "Metering/@Revision"), *read.losses))


def meter_data_to_wire(taken: timeseries.Measurement, ctx: Context) -> Mapped[wire.MeterDataQueryResponse]:
    """Readings of one place on one local day; powers to the nearest watt, negated.

    Raises:
        InvalidError: as UFTP's mapping.
    """
    on_the_way = requests.metering_to_wire(taken, _writing(ctx))
    outward = settlement.metered_answer(on_the_way.value, ctx)
    return Mapped(outward.value, (*on_the_way.losses, *_left(outward.losses, "Metering/@Revision")))
