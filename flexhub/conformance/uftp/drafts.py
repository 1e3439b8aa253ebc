"""Valid messages to the target, of every type: what probes spoil, and what they stand on."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple

from flexhub.conformance.suite import NotJudged
from flexhub.conformance.uftp.target import Draft, Uftp
from flexhub.core.errors import ConfigError
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.times import bounds, instant, isps_in, text_of, zone_of

AHEAD_DAYS: Final = 3
FIRST_ISP: Final = 41
LAST_ISP: Final = 96
SOON: Final = timedelta(seconds=5)
"""How far ahead something expires that the target is made to send."""
NEARLY: Final = timedelta(minutes=1)
"""How long a day lasts yet that is nearly over."""
LONGEST_WAIT: Final = timedelta(minutes=2)
"""How far ahead something may expire that is waited for."""
WATTS: Final = -200_000


# -- days -------------------------------------------------------------------------------------------------------------


def today(x: Uftp) -> date:
    """Today, where the target is.

    Raises:
        ConfigError: the market's time zone is none.
    """
    zone = zone_of(x.market.agreed.time_zone)
    if zone is None:
        raise ConfigError("no such time zone", path="target/time_zone", value=x.market.agreed.time_zone)
    return x.net.now().astimezone(zone).date()


def day(x: Uftp, ahead: int = AHEAD_DAYS) -> str:
    """A day so far ahead (behind, if negative)."""
    return (today(x) + timedelta(days=ahead)).isoformat()


def short_day(x: Uftp) -> str:
    """The next day with 92 ISPs.

    Raises:
        NotJudged: the time zone has none.
    """
    agreed = x.market.agreed
    days = (day(x, ahead) for ahead in range(1, 400))
    found = next((d for d in days if isps_in(d, agreed.time_zone, length(x)) == 23 * 60 // agreed.isp_minutes), None)
    if found is None:
        raise NotJudged(f"{agreed.time_zone} has no day of 23 hours")
    return found


async def in_time(x: Uftp) -> str:
    """Today; where that is nearly over, the next day, once it has begun."""
    whole = bounds(day(x, 0), x.market.agreed.time_zone)
    if whole is not None and whole[1] - x.net.now() < NEARLY:
        await x.net.until(whole[1])
    return day(x, 0)


def length(x: Uftp) -> str:
    """ISP-Duration."""
    return f"PT{x.market.agreed.isp_minutes}M"


def ahead(x: Uftp, by: timedelta = timedelta(hours=1)) -> str:
    """An instant ahead, as text."""
    return text_of(x.net.now() + by)


async def past(x: Uftp, expires: str) -> None:
    """Wait until something of the target has expired.

    Raises:
        NotJudged: it does not do so soon.
    """
    until = instant(expires) + timedelta(seconds=1)
    if until - x.net.now() > LONGEST_WAIT:
        raise NotJudged(f"it expires at {expires} only, which is not waited for")
    await x.net.until(until)


# -- between DSO and AGR ----------------------------------------------------------------------------------------------


def about(x: Uftp, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - of any message
    """Fields of messages about a day at the agreed congestion point."""
    told = {
        "isp_duration": length(x),
        "time_zone": x.market.agreed.time_zone,
        "period": day(x),
        "congestion_point": x.market.agreed.congestion_point,
    }
    return told | fields


def asked(*starts: int) -> tuple[wire.FlexRequestIsp, ...]:
    """Requested ISPs."""
    return tuple(
        wire.FlexRequestIsp(disposition=wire.Disposition.REQUESTED, min_power_w=-300_000, max_power_w=0, start=start)
        for start in starts or (FIRST_ISP, FIRST_ISP + 1)
    )


def isps(start: int = FIRST_ISP) -> tuple[wire.Isp, ...]:
    """Two ISPs of less consumption."""
    return (wire.Isp(power_w=WATTS, start=start), wire.Isp(power_w=WATTS, start=start + 1))


def flex_request(x: Uftp, **fields: Any) -> wire.FlexRequest:  # noqa: ANN401 - of any field
    """The DSO asks for less in two ISPs."""
    told = about(x, revision=x.number(), expiration_date_time=ahead(x), isps=asked())
    return x.make(wire.FlexRequest, **{"frm": x.market.dso.domain} | told | fields)


def option(name: str, **fields: Any) -> wire.OfferOption:  # noqa: ANN401 - of any field
    """An option of an offer, that may be activated by half."""
    told: dict[str, Any] = {
        "option_reference": name,
        "price": Decimal("12.5"),
        "min_activation_factor": Decimal("0.5"),
        "isps": isps(),
    }
    return wire.OfferOption(**told | fields)


def flex_offer(x: Uftp, **fields: Any) -> wire.FlexOffer:  # noqa: ANN401 - of any field
    """The AGR offers that."""
    told = about(x, expiration_date_time=ahead(x), currency=x.market.agreed.currency, offer_options=(option("a"),))
    return x.make(wire.FlexOffer, **{"frm": x.market.agr.domain} | told | fields)


def flex_order(x: Uftp, **fields: Any) -> wire.FlexOrder:  # noqa: ANN401 - of any field
    """The DSO orders without an offer."""
    told = about(
        x,
        unsolicited=True,
        baseline_reference="conformance",
        price=Decimal("12.5"),
        currency=x.market.agreed.currency,
        order_reference=x.new_id(),
        isps=isps(),
    )
    return x.make(wire.FlexOrder, **{"frm": x.market.dso.domain} | told | fields)


def order_of(x: Uftp, offer: wire.FlexOffer, **fields: Any) -> wire.FlexOrder:  # noqa: ANN401 - of any field
    """The DSO orders the offer's first option, whole."""
    first = offer.offer_options[0]
    told = {
        "unsolicited": None,
        "conversation_id": offer.conversation_id,
        "flex_offer_message_id": offer.message_id,
        "d_prognosis_message_id": None,
        "baseline_reference": offer.baseline_reference,
        "period": offer.period,
        "isp_duration": offer.isp_duration,
        "time_zone": offer.time_zone,
        "congestion_point": offer.congestion_point,
        "contract_id": offer.contract_id,
        "price": first.price,
        "currency": offer.currency,
        "option_reference": first.option_reference,
        "isps": first.isps,
    }
    return flex_order(x, **told | fields)


def d_prognosis(x: Uftp, **fields: Any) -> wire.DPrognosis:  # noqa: ANN401 - of any field
    """What the AGR expects of every ISP of a day."""
    period = fields.get("period", day(x))
    count = isps_in(period, x.market.agreed.time_zone, length(x)) or LAST_ISP
    whole = (wire.PrognosisIsp(power_w=500_000, start=1, duration=count),)
    told = about(x, revision=x.number(), isps=whole)
    return x.make(wire.DPrognosis, **{"frm": x.market.agr.domain} | told | fields)


def reservation(x: Uftp, **fields: Any) -> wire.FlexReservationUpdate:  # noqa: ANN401 - of any field
    """The DSO says what stays reserved."""
    told = about(x, contract_id="conformance", reference=x.new_id(), isps=isps())
    return x.make(wire.FlexReservationUpdate, **{"frm": x.market.dso.domain} | told | fields)


def metering(x: Uftp, **fields: Any) -> wire.Metering:  # noqa: ANN401 - of any field
    """What a meter told of yesterday."""
    values = tuple(wire.MeteringIsp(start=start, value=Decimal("1.5")) for start in (1, 2))
    profile = wire.MeteringProfile(profile_type=wire.ProfileType.POWER, unit=wire.Unit.KW, isps=values)
    told: dict[str, Any] = {
        "revision": x.number(),
        "isp_duration": length(x),
        "time_zone": x.market.agreed.time_zone,
        "period": day(x, -1),
        "ean": f"E{x.number() % 10**18:018d}",
        "profiles": (profile,),
    }
    return x.make(wire.Metering, **{"frm": x.market.agr.domain} | told | fields)


def settlement(x: Uftp, *references: str, **fields: Any) -> wire.FlexSettlement:  # noqa: ANN401 - of any field
    """The DSO settles orders of a day."""
    period = fields.get("period_end", day(x, -1))
    isp = wire.SettlementIsp(
        start=LAST_ISP - 4,
        baseline_power_w=0,
        ordered_flex_power_w=WATTS,
        actual_power_w=WATTS,
        delivered_flex_power_w=WATTS,
    )
    items = tuple(
        wire.FlexOrderSettlement(
            order_reference=reference,
            period=period,
            congestion_point=x.market.agreed.congestion_point,
            price=Decimal("12.5"),
            net_settlement=Decimal("12.5"),
            isps=(isp,),
        )
        for reference in references
    )
    reserved = wire.ContractSettlementIsp(start=LAST_ISP - 4, reserved_power_w=0)
    told = {
        "result": wire.Result.ACCEPTED,
        "period_start": period,
        "period_end": period,
        "currency": x.market.agreed.currency,
        "flex_order_settlements": items,
        "contract_settlements": (
            wire.ContractSettlement(periods=(wire.ContractSettlementPeriod(period=period, isps=(reserved,)),)),
        ),
    }
    return x.make(wire.FlexSettlement, **{"frm": x.market.dso.domain} | told | fields)


# -- to a CRO ---------------------------------------------------------------------------------------------------------


class Place(NamedTuple):
    """A congestion point and a connection that nobody has named before."""

    point: str
    connection: str


def place(x: Uftp) -> Place:
    """A new one."""
    return Place(f"ea1.2020-01.com.example:point.{x.number()}", f"ean.{x.number():018d}")


def agr_update(x: Uftp, at: Place, **fields: Any) -> wire.AGRPortfolioUpdate:  # noqa: ANN401 - of any field
    """The AGR stands for the connection from today on."""
    stands = wire.DatedConnection(entity_address=at.connection, start_period=day(x, 0))
    told = {"time_zone": x.market.agreed.time_zone, "connections": (stands,)}
    return x.make(wire.AGRPortfolioUpdate, **{"frm": x.market.agr.domain} | told | fields)


def dso_update(x: Uftp, at: Place, **fields: Any) -> wire.DSOPortfolioUpdate:  # noqa: ANN401 - of any field
    """The DSO trades at the point, and the connection lies there."""
    lies = wire.DatedConnection(entity_address=at.connection, start_period=day(x, 0))
    point = wire.UpdatedCongestionPoint(
        entity_address=at.point,
        start_period=day(x, 0),
        mutex_offers_supported=True,
        day_ahead_redispatch_by=wire.RedispatchBy.DSO,
        connections=(lies,),
    )
    told = {"time_zone": x.market.agreed.time_zone, "congestion_points": (point,)}
    return x.make(wire.DSOPortfolioUpdate, **{"frm": x.market.dso.domain} | told | fields)


def agr_query(x: Uftp, **fields: Any) -> wire.AGRPortfolioQuery:  # noqa: ANN401 - of any field
    """The AGR asks for its connections."""
    told = {"time_zone": x.market.agreed.time_zone, "period": day(x)}
    return x.make(wire.AGRPortfolioQuery, **{"frm": x.market.agr.domain} | told | fields)


def dso_query(x: Uftp, at: Place, **fields: Any) -> wire.DSOPortfolioQuery:  # noqa: ANN401 - of any field
    """The DSO asks who stands for the connections of the point."""
    told = {"time_zone": x.market.agreed.time_zone, "period": day(x), "entity_address": at.point}
    return x.make(wire.DSOPortfolioQuery, **{"frm": x.market.dso.domain} | told | fields)


# -- what the target sends ----------------------------------------------------------------------------------------


async def offered(x: Uftp, until: datetime | None = None, *, answered: bool = True) -> wire.FlexOffer:
    """An offer of the target (an AGR) to our request; accepted by us, unless `answered` is false.

    Raises:
        NotJudged: it makes none.
    """
    request = flex_request(x)
    await x.give(request)
    expires = ahead(x) if until is None else text_of(until)
    wanted = flex_offer(
        x,
        frm=x.market.domain,
        to=x.market.dso.domain,
        conversation_id=request.conversation_id,
        flex_request_message_id=request.message_id,
        expiration_date_time=expires,
        period=request.period,
        baseline_reference="conformance",
        offer_options=(option("a"), option("b", price=Decimal(11))),
    )
    offer = await x.get(wire.FlexOffer, wanted, request.conversation_id)
    if answered:
        await x.tell(x.answer(offer))
    return offer


async def requested(x: Uftp, until: datetime | None = None, *, answered: bool = True) -> wire.FlexRequest:
    """A request of the target (a DSO); accepted by us, unless `answered` is false.

    Raises:
        NotJudged: nothing makes it send one.
    """
    expires = ahead(x) if until is None else text_of(until)
    wanted = flex_request(x, frm=x.market.domain, to=x.market.agr.domain, expiration_date_time=expires)
    if x.prompt is None:
        raise NotJudged("nothing can make the target send a FlexRequest (--prompt)")
    request = await x.get(wire.FlexRequest, wanted, wanted.conversation_id)
    if answered:
        await x.tell(x.answer(request))
    return request


async def baseline(x: Uftp, period: str) -> dict[str, str]:
    """What an offer to the target names its baseline by: a prognosis that it accepted, where those were agreed."""
    if x.market.agreed.prognoses is not True:
        return {"baseline_reference": "conformance"}
    if period not in x.prognoses:
        told = d_prognosis(x, period=period)
        await x.give(told)
        x.prognoses[period] = told.message_id
    return {"d_prognosis_message_id": x.prognoses[period]}


async def unsolicited(x: Uftp, **fields: Any) -> wire.FlexOffer:  # noqa: ANN401 - of any field
    """An offer that the target (a DSO) did not ask for."""
    named = await baseline(x, fields.get("period", day(x)))
    return flex_offer(x, **{"unsolicited": True} | named | fields)


async def base(x: Uftp) -> Draft:
    """What the target is sent most: by its role a FlexRequest, an unsolicited FlexOffer, or an AGRPortfolioUpdate."""
    if x.market.role is wire.Role.AGR:
        return x.draft(flex_request(x))
    if x.market.role is wire.Role.DSO:
        return x.draft(await unsolicited(x))
    return x.draft(agr_update(x, place(x)))
