"""What is tried with a DSO: prognoses, offers to its own requests and unasked, revocations, metering."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from flexhub.conformance.suite import NotJudged
from flexhub.conformance.uftp import common
from flexhub.conformance.uftp.drafts import (
    SOON,
    ahead,
    base,
    baseline,
    d_prognosis,
    day,
    flex_offer,
    isps,
    metering,
    option,
    order_of,
    past,
    requested,
    short_day,
    unsolicited,
)
from flexhub.conformance.uftp.probe import VALID, Make, Probe, Spoil, at, put, refused, speaker, without
from flexhub.conformance.uftp.target import Draft, Uftp
from flexhub.protocols.uftp import messages as wire

_ISP: Final = "OfferOption/ISP"


async def forecast(x: Uftp) -> Draft:
    """D-Prognosis."""
    return x.draft(d_prognosis(x))


async def forecast_again(x: Uftp) -> Draft:
    """D-Prognosis of a second revision."""
    await x.give(d_prognosis(x))
    return x.draft(d_prognosis(x))


async def forecast_of_the_short_day(x: Uftp) -> Draft:
    """D-Prognosis of a day with 92 ISPs."""
    return x.draft(d_prognosis(x, period=short_day(x)))


async def to_request(x: Uftp, request: wire.FlexRequest | None = None, **fields: Any) -> Draft:  # noqa: ANN401 - of any field
    """FlexOffer to a request of the target."""
    asked = request or await requested(x)
    named = await baseline(x, asked.period[:10])
    told: dict[str, Any] = {
        "conversation_id": asked.conversation_id,
        "flex_request_message_id": asked.message_id,
        "period": asked.period,
        "congestion_point": asked.congestion_point,
        "offer_options": (option("a", isps=isps(asked.isps[0].start)),),
    }
    return x.draft(flex_offer(x, **told | named | fields))


async def unasked(x: Uftp) -> wire.FlexOffer:
    """An unsolicited offer that the target accepted."""
    offer = await unsolicited(x)
    await x.give(offer)
    return offer


def revocation(x: Uftp, offer: wire.FlexOffer) -> wire.FlexOfferRevocation:
    """It is taken back."""
    return x.make(
        wire.FlexOfferRevocation,
        x.market.agr.domain,
        conversation_id=offer.conversation_id,
        flex_offer_message_id=offer.message_id,
    )


async def revoked(x: Uftp) -> Draft:
    """FlexOfferRevocation."""
    return x.draft(revocation(x, await unasked(x)))


async def metered(x: Uftp) -> Draft:
    """Metering."""
    return x.draft(metering(x))


async def _revoked_before(x: Uftp, draft: Draft) -> None:
    first = x.draft(x.make(wire.FlexOfferRevocation, flex_offer_message_id=draft.root.get("FlexOfferMessageID", "")))
    why = x.accepted(first, await x.ask(first))
    if why is not None:
        raise AssertionError(f"the first revocation: {why}")


async def _ordered_before(x: Uftp, draft: Draft) -> None:
    """The target orders what is then revoked."""
    if x.prompt is None:
        raise NotJudged("nothing can make the target order (--prompt)")
    offer = await unasked(x)
    order = order_of(x, offer, frm=x.market.domain, to=x.market.agr.domain)
    came = await x.get(wire.FlexOrder, order, offer.conversation_id)
    await x.tell(x.answer(came))
    draft.root.set("FlexOfferMessageID", offer.message_id)


async def _of_another(x: Uftp, draft: Draft) -> None:
    draft.said_by(speaker(x.market.other, "[other]"))


async def _prognosis_of_another_day(x: Uftp, draft: Draft) -> None:
    if x.market.agreed.prognoses is not True:
        raise NotJudged("baselines are no D-Prognoses here")
    told = d_prognosis(x, period=day(x, 4))
    await x.give(told)
    draft.root.set("D-PrognosisMessageID", told.message_id)


async def _to_expired(x: Uftp, draft: Draft) -> None:
    request = await requested(x, x.net.now() + SOON)
    draft.root.set("FlexRequestMessageID", request.message_id)
    draft.root.set("ConversationID", request.conversation_id)
    await past(x, request.expiration_date_time)


async def _answered_elsewhere(x: Uftp, draft: Draft) -> None:
    """A request that was answered in no conversation of it, so that nobody waits for that answer."""
    request = await requested(x, answered=False)
    await x.tell(x.answer(request, conversation_id=x.new_id()))
    draft.root.set("FlexRequestMessageID", request.message_id)
    draft.root.set("ConversationID", request.conversation_id)


async def _no_baseline(x: Uftp, draft: Draft) -> None:
    if x.market.agreed.prognoses is None:
        raise NotJudged("what baselines are was not agreed")
    for name in ("D-PrognosisMessageID", "BaselineReference"):
        draft.root.attrib.pop(name, "")


async def _two_options(x: Uftp, draft: Draft) -> None:
    first = at(draft, "OfferOption")
    second = common.copied(first)
    if not x.market.agreed.mutex_offers:
        second.set("OptionReference", "b")
    first.addnext(second)


async def _beyond(x: Uftp, draft: Draft) -> None:
    limit = x.market.agreed.max_power_w
    if limit is None:
        raise NotJudged("no greatest power was agreed")
    at(draft, "ISP").set("Power", str(limit + 1))


async def _one_less(_x: Uftp, draft: Draft) -> None:
    whole = at(draft, "ISP")
    whole.set("Duration", str(int(whole.get("Duration", "1")) - 1))


async def _one_more(_x: Uftp, draft: Draft) -> None:
    whole = at(draft, "ISP")
    extra = common.copied(whole)
    extra.set("Start", "97")
    extra.set("Duration", "1")
    whole.addnext(extra)


def _row(name: str, rule: str, sent: str, make: Make, spoil: Spoil) -> Probe:
    return Probe(name=name, rule=rule, sent=sent, make=make, spoil=spoil)


def _offer(name: str, rule: str, sent: str, spoil: Spoil) -> Probe:
    return _row(name, rule, f"FlexOffer: {sent}", base, spoil)


PROBES: Final = (
    *common.DELIVERY,
    *common.address("CongestionPoint", make=forecast),
    _row("no-revision", "UFTP-08", "D-Prognosis: without Revision", forecast, put("Revision", None)),
    _offer("start-zero", "UFTP-08", "ISP 0", put("Start", "0", _ISP)),
    _offer("no-option", "UFTP-08", "no option", without("OfferOption")),
    _offer("price-decimals", "UFTP-08", "a price of 5 decimals", put("Price", "12.50001", "OfferOption")),
    *common.METADATA,
    *common.by_wrong_role(metered),
    Probe(
        name="answer-nobody-waits-for",
        rule="UFTP-10",
        sent="FlexRequestResponse outside of its conversation, which nobody waits for, then a FlexOffer to the request",
        make=to_request,
        spoil=_answered_elsewhere,
        expected="Rejected: Unknown reference",
        judge=refused("UFTP-18"),
    ),
    _offer("duration-other", "UFTP-15", "another ISP-Duration than agreed", put("ISP-Duration", "PT30M")),
    common.zone_other(),
    _offer(
        "place-unknown",
        "UFTP-17",
        "a congestion point that is not the target's",
        put("CongestionPoint", "ean.000000000000000000"),
    ),
    _row(
        "offer-unknown",
        "UFTP-18",
        "FlexOfferRevocation: of an offer that nobody made",
        revoked,
        put("FlexOfferMessageID", lambda x: x.new_id()),
    ),
    _row(
        "request-unknown",
        "UFTP-18",
        "FlexOffer: to a request that was not made",
        to_request,
        put("FlexRequestMessageID", lambda x: x.new_id()),
    ),
    _offer("other-day", "UFTP-19", "from a prognosis of another day", _prognosis_of_another_day),
    _row("offer-revoked", "UFTP-21", "FlexOfferRevocation: of an offer that was revoked", revoked, _revoked_before),
    _row("isp-97", "UFTP-22", "D-Prognosis: ISP 97 of a day with 92", forecast_of_the_short_day, _one_more),
    _offer("overlap", "UFTP-23", "an ISP twice", put("Duration", "2", _ISP)),
    _offer("period-past", "UFTP-24", "for yesterday", put("Period", lambda x: day(x, -1))),
    _offer(
        "expired",
        "UFTP-25",
        "expired before it was sent",
        put("ExpirationDateTime", lambda x: ahead(x, timedelta(minutes=-1))),
    ),
    _offer(
        "expires-late",
        "UFTP-25",
        "expires after its last ISP",
        put("ExpirationDateTime", lambda x: ahead(x, timedelta(days=9))),
    ),
    _row("power-beyond", "UFTP-29", "D-Prognosis: more power than agreed", forecast, _beyond),
    _row("isp-lacking", "UFTP-30", "D-Prognosis: the last ISP is missing", forecast, _one_less),
    _row(
        "revision-lower", "UFTP-31", "D-Prognosis: a lower Revision than before", forecast_again, put("Revision", "1")
    ),
    _offer("no-baseline", "UFTP-35", "no baseline", _no_baseline),
    _row(
        "not-requested",
        "UFTP-36",
        "FlexOffer: none of the requested ISPs",
        to_request,
        common.every(_ISP, "Start", "61", step=1),
    ),
    _offer("options", "UFTP-37", "two options that are not told apart, or not supported", _two_options),
    Probe(
        name="neither-nor",
        rule="UFTP-38",
        sent="FlexOffer: neither unsolicited nor to a request",
        make=base,
        spoil=put("Unsolicited", None),
        expected="Rejected, or HTTP 400",
        judge=refused("UFTP-38", 400),
    ),
    _offer("currency", "UFTP-39", "a currency that does not exist", put("Currency", "ZZZ")),
    _row("revoked-late", "UFTP-40", "FlexOfferRevocation: of what was ordered", revoked, _ordered_before),
    _row("of-another", "UFTP-41", "FlexOfferRevocation: of another's offer", revoked, _of_another),
    _row("request-expired", "UFTP-20", "FlexOffer: to a request that has expired", to_request, _to_expired),
    *common.LAST,
)

VALIDS: Final = (
    *common.VALIDS,
    Probe(name="metering", rule=VALID, sent="Metering", make=metered),
    Probe(name="to-request", rule=VALID, sent="FlexOffer to a request of the target", make=to_request),
)
