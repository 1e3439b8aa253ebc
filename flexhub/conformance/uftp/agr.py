"""What is tried with an AGR: requests, reservations, orders of its own offers, settlements."""

from __future__ import annotations

from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from flexhub.conformance.suite import NotJudged
from flexhub.conformance.uftp import common
from flexhub.conformance.uftp.drafts import (
    FIRST_ISP,
    LAST_ISP,
    SOON,
    ahead,
    base,
    day,
    flex_order,
    flex_request,
    in_time,
    offered,
    order_of,
    past,
    reservation,
    settlement,
    short_day,
)
from flexhub.conformance.uftp.probe import VALID, Make, Probe, Spoil, at, put, refused, without
from flexhub.conformance.uftp.target import CODEC, Draft, Uftp
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.codec import parsed

CENT: Final = Decimal("0.01")


async def reserved(x: Uftp) -> Draft:
    """FlexReservationUpdate."""
    return x.draft(reservation(x))


async def ordered_freely(x: Uftp) -> Draft:
    """FlexOrder without an offer."""
    return x.draft(flex_order(x))


async def ordered(x: Uftp) -> Draft:
    """FlexOrder of an offer of the target."""
    return x.draft(order_of(x, await offered(x)))


def _reference(period: str) -> str:
    """OrderReference of orders of a day that are settled: the same in every run, so that none misses another's."""
    return f"conformance-{period}"


async def settled(x: Uftp) -> Draft:
    """FlexSettlement of an order of today, which was accepted before."""
    period = await in_time(x)
    reference = _reference(period)
    last = (wire.Isp(power_w=-1000, start=LAST_ISP - 4),)
    await x.give(flex_order(x, period=period, order_reference=reference, isps=last))
    return x.draft(settlement(x, reference, period_end=period, period_start=period))


async def settled_nothing(x: Uftp) -> Draft:
    """FlexSettlement of the day before yesterday, when nothing was ordered, unless by a run of then."""
    return x.draft(settlement(x, _reference(day(x, -2)), period_start=day(x, -2), period_end=day(x, -2)))


async def on_the_short_day(x: Uftp) -> Draft:
    """FlexRequest for a day with 92 ISPs."""
    return x.draft(flex_request(x, period=short_day(x)))


async def revised(x: Uftp) -> Draft:
    """FlexRequest of a second revision."""
    await x.give(flex_request(x))
    return x.draft(flex_request(x))


async def old(x: Uftp) -> Draft:
    """FlexRequest of 3.0.0."""
    return x.draft(flex_request(x, version="3.0.0"))


async def ordered_in_part(x: Uftp) -> Draft:
    """FlexOrder of as little of an offer as may be."""
    offer = await offered(x)
    first = offer.offer_options[0]
    factor = first.min_activation_factor
    price = (first.price * factor).quantize(CENT, ROUND_HALF_UP)
    return x.draft(order_of(x, offer, activation_factor=factor, price=price))


def _isp(name: str, value: str, number: int = 1) -> Spoil:
    return put(name, value, f"ISP[{number}]")


async def _beyond(x: Uftp, draft: Draft) -> None:
    limit = x.market.agreed.max_power_w
    if limit is None:
        raise NotJudged("no greatest power was agreed")
    at(draft, "ISP").set("Power", str(limit + 1))


async def _late(x: Uftp, draft: Draft) -> None:
    if x.market.agreed.release_minutes is None:
        raise NotJudged("until when reserved power can be released was not agreed")
    draft.root.set("Period", await in_time(x))
    for element, start in zip(draft.root.findall("ISP"), (LAST_ISP - 5, LAST_ISP - 4), strict=True):
        element.set("Start", str(start))


async def _revision_again(_x: Uftp, draft: Draft) -> None:
    draft.root.set("Revision", "1")


def _of(offer: wire.FlexOffer, draft: Draft) -> None:
    draft.root.set("FlexOfferMessageID", offer.message_id)
    draft.root.set("ConversationID", offer.conversation_id)


async def _of_expired(x: Uftp, draft: Draft) -> None:
    offer = await offered(x, x.net.now() + SOON)
    _of(offer, draft)
    await past(x, offer.expiration_date_time)


async def _of_revoked(x: Uftp, draft: Draft) -> None:
    offer = await offered(x)
    revocation = x.make(
        wire.FlexOfferRevocation,
        x.market.domain,
        x.market.dso.domain,
        conversation_id=offer.conversation_id,
        flex_offer_message_id=offer.message_id,
    )
    if x.prompt is None:
        raise NotJudged("nothing can make the target revoke an offer (--prompt)")
    came = await x.get(wire.FlexOfferRevocation, revocation, offer.conversation_id)
    await x.tell(x.answer(came))
    _of(offer, draft)


async def _answered_elsewhere(x: Uftp, draft: Draft) -> None:
    """An offer that was answered in no conversation of it, so that nobody waits for that answer."""
    offer = await offered(x, answered=False)
    await x.tell(x.answer(offer, conversation_id=x.new_id()))
    _of(offer, draft)


async def _ordered_before(x: Uftp, draft: Draft) -> None:
    first = x.draft(CODEC.decode(draft.inner_xml()))
    why = x.accepted(first, await x.ask(first))
    if why is not None:
        raise AssertionError(f"the first order: {why}")
    draft.root.set("MessageID", x.new_id())
    draft.root.set("OrderReference", x.new_id())


async def _less(_x: Uftp, draft: Draft) -> None:
    found = draft.root.findall("ISP")
    if len(found) < 2:
        found[0].set("Duration", str(int(found[0].get("Duration", "1")) + 1))
    else:
        draft.root.remove(found[-1])


async def _a_watt(_x: Uftp, draft: Draft) -> None:
    element = at(draft, "ISP")
    element.set("Power", str(int(element.get("Power", "0")) + 1))


async def _a_cent(_x: Uftp, draft: Draft) -> None:
    draft.root.set("Price", str(Decimal(draft.root.get("Price", "0")) - CENT))


async def _factor_below(x: Uftp, draft: Draft) -> None:
    offer = await offered(x)
    first = offer.offer_options[0]
    factor = first.min_activation_factor - CENT
    if factor < CENT:
        raise NotJudged(f"of the target's offer any part may be ordered, from {first.min_activation_factor} on")
    price = (first.price * factor).quantize(CENT, ROUND_HALF_UP)
    draft.root = parsed(CODEC.encode(order_of(x, offer, activation_factor=factor, price=price)))


async def _no_item(x: Uftp, draft: Draft) -> None:
    at(draft, "FlexOrderSettlement").set("OrderReference", x.new_id())


def _row(name: str, rule: str, sent: str, make: Make, spoil: Spoil) -> Probe:
    return Probe(name=name, rule=rule, sent=sent, make=make, spoil=spoil)


def _request(name: str, rule: str, sent: str, spoil: Spoil) -> Probe:
    return _row(name, rule, f"FlexRequest: {sent}", base, spoil)


def _order(name: str, rule: str, sent: str, spoil: Spoil) -> Probe:
    return _row(name, rule, f"FlexOrder: {sent}", ordered, spoil)


PROBES: Final = (
    *common.DELIVERY,
    *common.address("CongestionPoint"),
    _request("no-revision", "UFTP-08", "without Revision", put("Revision", None)),
    _request("start-zero", "UFTP-08", "ISP 0", _isp("Start", "0")),
    _request("no-isp", "UFTP-08", "no ISP", without("ISP")),
    _request("disposition", "UFTP-08", "a Disposition that the schema does not know", _isp("Disposition", "Banana")),
    *common.METADATA,
    *common.by_wrong_role(),
    _row(
        "net-settlement",
        "UFTP-10",
        "FlexSettlement: NetSettlement is not Price minus Penalty",
        settled_nothing,
        put("NetSettlement", "1", "FlexOrderSettlement"),
    ),
    Probe(
        name="answer-nobody-waits-for",
        rule="UFTP-10",
        sent="FlexOfferResponse outside of its conversation, which nobody waits for, then a FlexOrder of the offer",
        make=ordered,
        spoil=_answered_elsewhere,
        expected="Rejected: Unknown reference",
        judge=refused("UFTP-18"),
    ),
    _request("duration-other", "UFTP-15", "another ISP-Duration than agreed", put("ISP-Duration", "PT30M")),
    common.zone_other(),
    _request(
        "place-unknown",
        "UFTP-17",
        "a congestion point at which the target is not active",
        put("CongestionPoint", "ean.000000000000000000"),
    ),
    _order("offer-unknown", "UFTP-18", "of an offer that nobody made", put("FlexOfferMessageID", lambda x: x.new_id())),
    _order("other-day", "UFTP-19", "for another day than the offer", put("Period", lambda x: day(x, 4))),
    _order("offer-revoked", "UFTP-21", "of an offer that was revoked", _of_revoked),
    _row("isp-97", "UFTP-22", "FlexRequest: ISP 97 of a day with 92", on_the_short_day, _isp("Start", "97")),
    _request("overlap", "UFTP-23", "an ISP twice", _isp("Start", str(FIRST_ISP), 2)),
    _request("period-past", "UFTP-24", "for yesterday", put("Period", lambda x: day(x, -1))),
    _request(
        "expired",
        "UFTP-25",
        "expired before it was sent",
        put("ExpirationDateTime", lambda x: ahead(x, timedelta(minutes=-1))),
    ),
    _request(
        "expires-late",
        "UFTP-25",
        "expires after its last ISP",
        put("ExpirationDateTime", lambda x: ahead(x, timedelta(days=9))),
    ),
    _row("released-late", "UFTP-28", "FlexReservationUpdate: for today", reserved, _late),
    _row("power-beyond", "UFTP-29", "FlexReservationUpdate: more power than agreed", reserved, _beyond),
    _row("revision-lower", "UFTP-31", "FlexRequest: a lower Revision than before", revised, _revision_again),
    _row(
        "none-requested",
        "UFTP-32",
        "FlexRequest: no ISP is requested",
        base,
        common.every("ISP", "Disposition", "Available"),
    ),
    _request("both-ways", "UFTP-33", "a requested ISP from -300 kW to 1 W", _isp("MaxPower", "1")),
    _request("min-over-max", "UFTP-34", "MinPower above MaxPower", _isp("MinPower", "1")),
    Probe(
        name="neither-nor",
        rule="UFTP-38",
        sent="FlexOrder: neither unsolicited nor of an offer",
        make=ordered_freely,
        spoil=put("Unsolicited", None),
        expected="Rejected, or HTTP 400",
        judge=refused("UFTP-38", 400),
    ),
    _row("currency", "UFTP-39", "FlexOrder: a currency that does not exist", ordered_freely, put("Currency", "ZZZ")),
    _order("ordered-again", "UFTP-40", "of an offer that was ordered before", _ordered_before),
    _order("isp-less", "UFTP-42", "other ISPs than offered", _less),
    _order("power", "UFTP-43", "a watt more than offered", _a_watt),
    _order("price", "UFTP-44", "a cent less than asked", _a_cent),
    _row("factor-low", "UFTP-45", "FlexOrder: less than the option allows", ordered_in_part, _factor_below),
    _order("option-unknown", "UFTP-46", "an option that was not offered", put("OptionReference", "banana")),
    _row("item-missing", "UFTP-47", "FlexSettlement: an order of the day is missing", settled, _no_item),
    _row(
        "period-backwards",
        "UFTP-48",
        "FlexSettlement: ends before it begins",
        settled_nothing,
        put("PeriodStart", lambda x: day(x, -1)),
    ),
    _row(
        "period-ahead",
        "UFTP-48",
        "FlexSettlement: ends in the future",
        settled_nothing,
        put("PeriodEnd", lambda x: day(x, 2)),
    ),
    _order("offer-expired", "UFTP-20", "of an offer that has expired", _of_expired),
    *common.LAST,
)

VALIDS: Final = (
    *common.VALIDS,
    Probe(name="request-3-0", rule=VALID, sent="FlexRequest of 3.0.0", make=old),
    Probe(name="reservation", rule=VALID, sent="FlexReservationUpdate", make=reserved),
    Probe(name="order-in-part", rule=VALID, sent="FlexOrder of the least part of an offer", make=ordered_in_part),
)
