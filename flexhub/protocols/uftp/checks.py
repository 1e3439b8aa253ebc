"""The checks of UFTP's rules: each yields a finding for every place that breaks it. `rules` adds clause and words.

A check sees the message and what was looked up. What was not looked up (None in `Seen`) it lets pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from typing import Any, Final, cast

import msgspec

from flexhub.protocols.rules import Finding
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.currencies import CURRENCIES
from flexhub.protocols.uftp.seen import ANSWERS, Seen, answered, references
from flexhub.protocols.uftp.spans import MOST as MOST_ISPS
from flexhub.protocols.uftp.spans import out_of_bounds, overlap
from flexhub.protocols.uftp.times import (
    bounds,
    day_of,
    has_zone,
    instant,
    isps_in,
    minutes_of,
    start_of,
    zone_of,
)

Isps = tuple[wire.Isp | wire.PrognosisIsp | wire.FlexRequestIsp, ...]
Dated = tuple[
    wire.Isp
    | wire.PrognosisIsp
    | wire.FlexRequestIsp
    | wire.MeteringIsp
    | wire.SettlementIsp
    | wire.ContractSettlementIsp,
    ...,
]
CENT: Final = Decimal("0.01")


def isp_lists(m: wire.Payload) -> Iterator[tuple[str, Isps]]:
    """(path, ISPs) of every list of a message that addresses each ISP of its day once at most."""
    if isinstance(m, wire.FlexOffer):
        for i, option in enumerate(m.offer_options):
            yield f"OfferOption[{i}]/", option.isps
    elif isinstance(m, wire.DPrognosis | wire.FlexReservationUpdate | wire.FlexRequest | wire.FlexOrder):
        yield "", m.isps


def dated(m: wire.Payload) -> Iterator[tuple[str, str, Dated]]:
    """(path, day, ISPs) of every list of ISPs."""
    if isinstance(m, wire.Flex):
        for path, isps in isp_lists(m):
            yield path, m.period, isps
    elif isinstance(m, wire.Metering):
        for k, profile in enumerate(m.profiles):
            yield f"Profile[{k}]/", m.period, profile.isps
    elif isinstance(m, wire.FlexSettlement):
        for k, item in enumerate(m.flex_order_settlements):
            yield f"FlexOrderSettlement[{k}]/", item.period, item.isps
        for k, contract in enumerate(m.contract_settlements):
            for n, day in enumerate(contract.periods):
                yield f"ContractSettlement[{k}]/Period[{n}]/", day.period, day.isps


def spans(isps: Dated) -> list[tuple[int, int]]:
    """(First ISP, number of ISPs) of each; those of one list are of one type."""
    if isps and isinstance(isps[0], wire.MeteringIsp):
        return [(isp.start, 1) for isp in isps]
    return [(isp.start, isp.duration) for isp in cast("tuple[wire.Isp, ...]", isps)]


def powers(isps: Isps) -> dict[int, int]:
    """ISP number -> watts, with durations written out; what no day can hold is left out. A request has no powers."""
    if isps and isinstance(isps[0], wire.FlexRequestIsp):
        return {}
    listed = cast("tuple[wire.Isp, ...]", isps[:MOST_ISPS])
    found = {isp.start: isp.power_w for isp in listed if isp.duration == 1}
    if len(found) == len(listed):
        return found  # what most messages are
    found = {}
    for isp in listed:
        for number in range(isp.start, isp.start + min(isp.duration, MOST_ISPS)):
            found[number] = isp.power_w
    return found


def invalid_sender(m: wire.Payload, seen: Seen) -> Iterator[Finding]:
    """Envelope and message name one sender.

    Interpretation: the table of section 3.5 has the causes of Invalid Sender and Invalid Message interchanged.
    """
    if seen.envelope is not None and seen.envelope.sender_domain != m.sender_domain:
        yield Finding("@SenderDomain", f"{m.sender_domain!r} came in an envelope of {seen.envelope.sender_domain!r}")


def invalid_message(m: wire.Payload, seen: Seen) -> Iterator[Finding]:
    """Answers belong to what we sent; amounts add up; times say their zone, where that is the policy."""
    if seen.market is not None and seen.market.zoned_times and not has_zone(m.time_stamp):
        yield Finding("@TimeStamp", f"{m.time_stamp!r} has no time zone [section 4.2.2]")
    about = answered(m)
    if about is not None and seen.past is not None:
        asked = seen.past.get(about)
        name = _answers(type(m))
        if asked is None or wire.RESPONSES.get(type(asked.message)) is not type(m):
            yield Finding(name, f"nobody waits for an answer to {about}")
        elif asked.message.conversation_id.lower() != m.conversation_id.lower():
            yield Finding("@ConversationID", f"is {asked.message.conversation_id} in what is answered")
    if isinstance(m, wire.FlexSettlement):
        yield from net_settlement(m)


@cache
def _answers(kind: type[wire.Payload]) -> str:
    return "@" + next(f.encode_name for f in msgspec.structs.fields(kind) if f.name == ANSWERS[kind])


def unknown_recipient(m: wire.Payload, seen: Seen) -> Iterator[Finding]:
    """The message is for us."""
    if seen.market is not None and m.recipient_domain != seen.market.domain:
        yield Finding("@RecipientDomain", f"{m.recipient_domain!r} is not {seen.market.domain}")


def barred_sender(m: wire.Payload, seen: Seen) -> Iterator[Finding]:
    """The sender is not barred."""
    if seen.peer is not None and seen.peer.barred:
        yield Finding("@SenderDomain", f"{m.sender_domain} is barred")


def duplicate_identifier(m: wire.Payload, seen: Seen) -> Iterator[Finding]:
    """The MessageID was not used for other content."""
    if seen.same is not None and seen.same.message != m:
        yield Finding("@MessageID", f"{m.message_id} was a {wire.element(type(seen.same.message))} of other content")


def already_submitted(m: wire.Payload, seen: Seen) -> Iterator[Finding]:
    """The very same message was not here before. It counts as submitted, so nothing is done again."""
    if seen.same is not None and seen.same.message == m:
        yield Finding("@MessageID", f"{m.message_id} was here before, with the same content")


def isp_duration(m: wire.Flex | wire.Metering, seen: Seen) -> Iterator[Finding]:
    """ISP-Duration is in minutes, and the one that was agreed."""
    minutes = minutes_of(m.isp_duration)
    if minutes is None:
        yield Finding("@ISP-Duration", f"{m.isp_duration!r} is not a number of minutes that cuts a day")
    elif seen.market is not None and minutes != seen.market.isp_minutes:
        yield Finding("@ISP-Duration", f"{m.isp_duration} is not PT{seen.market.isp_minutes}M")


def time_zone(m: Any, seen: Seen) -> Iterator[Finding]:  # noqa: ANN401 - every message with a TimeZone
    """TimeZone exists, and has the offset of the one that was agreed, on that day."""
    zone = zone_of(m.time_zone)
    if zone is None:
        yield Finding("@TimeZone", f"{m.time_zone!r} is not in the tz database")
    elif seen.market is not None and seen.market.time_zone not in (None, m.time_zone):
        agreed = str(seen.market.time_zone)
        day = getattr(m, "period", m.time_stamp)[:10]
        if bounds(day, m.time_zone) != bounds(day, agreed):
            yield Finding("@TimeZone", f"{m.time_zone} has another offset than {agreed} on {day}")


def congestion_point(m: wire.Flex, seen: Seen) -> Iterator[Finding]:
    """The congestion point is known, and we are active there."""
    known = seen.market.congestion_points if seen.market is not None else None
    if known is not None and m.congestion_point not in known:
        yield Finding("@CongestionPoint", f"{m.congestion_point!r} is unknown here")


def unknown_reference(m: wire.Payload, seen: Seen) -> Iterator[Finding]:
    """What is referred to was accepted before; an offer refers to a request, an order to an offer."""
    for name, told in references(m) if seen.past is not None else ():
        past = (seen.past or {}).get(told)
        if past is None or not past.accepted or wire.element(type(past.message)) != name.removesuffix("MessageID"):
            yield Finding(f"@{name}", f"no accepted {name.removesuffix('MessageID')} has the id {told}")


def reference_period(m: wire.Flex, seen: Seen) -> Iterator[Finding]:
    """What is referred to is about the same day, and the same congestion point."""
    for name, told in references(m) if seen.past is not None else ():
        past = (seen.past or {}).get(told)
        if past is not None and isinstance(past.message, wire.Flex):
            if day_of(past.message.period) != day_of(m.period):
                yield Finding(f"@{name}", f"is about {past.message.period}, this message about {m.period}")
            elif past.message.congestion_point != m.congestion_point:
                yield Finding(f"@{name}", f"is about {past.message.congestion_point}, this message is not")


def reference_expired(m: wire.FlexOffer | wire.FlexOrder, seen: Seen) -> Iterator[Finding]:
    """The request or offer that is referred to has not expired."""
    for name, told in references(m) if seen.past is not None else ():
        past = (seen.past or {}).get(told)
        if past is not None and isinstance(past.message, wire.FlexRequest | wire.FlexOffer):
            until = instant(past.message.expiration_date_time)
            if until < seen.now:
                yield Finding(f"@{name}", f"expired on {until:%FT%TZ}")


def reference_revoked(m: wire.Payload, seen: Seen) -> Iterator[Finding]:
    """The offer that is referred to was not revoked."""
    for name, told in references(m) if seen.past is not None else ():
        past = (seen.past or {}).get(told)
        if past is not None and past.revoked:
            yield Finding(f"@{name}", f"{told} was revoked")


def _clock(m: Any) -> tuple[str, str] | None:  # noqa: ANN401 - any message with ISPs
    """(zone, ISP-Duration) by which the message's ISPs are counted; a settlement says neither."""
    zone, duration = getattr(m, "time_zone", None), getattr(m, "isp_duration", None)
    return (zone, duration) if isinstance(zone, str) and isinstance(duration, str) else None


def isps_out_of_bounds(m: wire.Payload, seen: Seen) -> Iterator[Finding]:
    """Every ISP exists: 92, 96 or 100 of 15 minutes on a local day."""
    told = _clock(m)
    if told is None:
        if seen.market is None or seen.market.time_zone is None:
            return
        told = seen.market.time_zone, f"PT{seen.market.isp_minutes}M"
    for path, period, isps in dated(m):
        yield from out_of_bounds(f"{path}ISP", spans(isps), (period, *told), "ISP")


def isp_conflict(m: wire.Payload, seen: Seen) -> Iterator[Finding]:  # noqa: ARG001 - as every check
    """No ISP stands twice in one list."""
    for path, _, isps in dated(m):
        yield from overlap(f"{path}ISP", spans(isps), "ISP")


def period_out_of_bounds(m: wire.Payload, seen: Seen) -> Iterator[Finding]:
    """What is asked or offered lies ahead, what was measured lies behind, and items are within the settlement."""
    if isinstance(m, wire.FlexRequest | wire.FlexOffer | wire.FlexOrder | wire.FlexReservationUpdate | wire.DPrognosis):
        whole = bounds(m.period, m.time_zone)
        if whole is None and zone_of(m.time_zone) is not None:
            yield Finding("@Period", f"{m.period[:10]} is not in the years that are traded")
        elif whole is not None and whole[1] <= seen.now:
            yield Finding("@Period", f"{m.period[:10]} is over")
    elif isinstance(m, wire.Metering):
        whole = bounds(m.period, m.time_zone)
        if whole is not None and whole[0] > seen.now:
            yield Finding("@Period", f"{m.period[:10]} has not begun")
    elif isinstance(m, wire.FlexSettlement):
        first, last = day_of(m.period_start), day_of(m.period_end)
        for i, item in enumerate(m.flex_order_settlements):
            if first <= last and not first <= day_of(item.period) <= last:
                yield Finding(f"FlexOrderSettlement[{i}]/@Period", f"{item.period} is outside {first}..{last}")
        for i, contract in enumerate(m.contract_settlements):
            for k, part in enumerate(contract.periods):
                if first <= last and not first <= day_of(part.period) <= last:
                    path = f"ContractSettlement[{i}]/Period[{k}]/@Period"
                    yield Finding(path, f"{part.period} is outside {first}..{last}")


def expiration_out_of_bounds(m: wire.FlexRequest | wire.FlexOffer, seen: Seen) -> Iterator[Finding]:
    """ExpirationDateTime is not past, and not after the end of the last ISP."""
    until = instant(m.expiration_date_time)
    if until < seen.now:
        yield Finding("@ExpirationDateTime", f"{until:%FT%TZ} is past")
        return
    end = max(max(map(sum, spans(isps))) for _, _, isps in dated(m))
    last = start_of(m.period, m.time_zone, m.isp_duration, end) if end < 10_000 else None
    if last is not None and until > last:
        yield Finding("@ExpirationDateTime", f"{until:%FT%TZ} is after the last ISP's end, {last:%FT%TZ}")


def version(m: wire.Payload, seen: Seen) -> Iterator[Finding]:
    """The version is one that is spoken here."""
    spoken = seen.market.versions if seen.market is not None else wire.VERSIONS
    minors = {v.rpartition(".")[0] for v in spoken}
    if m.version.rpartition(".")[0] not in minors:
        yield Finding("@Version", f"{m.version} is not spoken here; these are: {', '.join(spoken)}")


def role(m: wire.Payload, seen: Seen) -> Iterator[Finding]:
    """The sender's role may send this type, the recipient's may take it, and the domain has the role."""
    frm, to = roles(type(m))
    if seen.envelope is not None:
        told = seen.envelope.sender_role
        if told not in frm:
            yield Finding("", f"{told} may not send {wire.element(type(m))}")
        elif seen.peer is not None and told not in seen.peer.roles:
            yield Finding("@SenderDomain", f"{m.sender_domain} is no {told}")
    if seen.market is not None and seen.market.role not in to:
        yield Finding("@RecipientDomain", f"{seen.market.role} does not take {wire.element(type(m))}")


@cache
def roles(kind: type[wire.Payload]) -> tuple[frozenset[wire.Role], frozenset[wire.Role]]:
    """(Roles that send a type, roles that take it); an answer goes the other way than what it answers."""
    if kind in wire.SENDERS:
        return wire.SENDERS[kind]
    asked = next(message for message, answer in wire.RESPONSES.items() if answer is kind)
    frm, to = wire.SENDERS[asked]
    return to, frm


def deadline_expired(m: wire.FlexReservationUpdate, seen: Seen) -> Iterator[Finding]:
    """Reserved power is released in time."""
    whole = bounds(m.period, m.time_zone)
    if whole is None or seen.market is None or seen.market.release_minutes is None:
        return
    until = whole[0] - timedelta(minutes=seen.market.release_minutes)
    if seen.now > until:
        yield Finding("@Period", f"reserved power of {m.period[:10]} can be released until {until:%FT%TZ}")


def power_value(m: wire.Flex, seen: Seen) -> Iterator[Finding]:
    """No power is beyond what the congestion point can be about."""
    limit = seen.market.max_power_w if seen.market is not None else None
    if limit is None:
        return
    for path, isps in isp_lists(m):
        for i, isp in enumerate(isps):
            if not isinstance(isp, wire.FlexRequestIsp) and abs(isp.power_w) > limit:
                yield Finding(f"{path}ISP[{i}]/@Power", f"{isp.power_w} W is beyond {limit} W")


def lacking_isps(m: wire.DPrognosis, seen: Seen) -> Iterator[Finding]:  # noqa: ARG001 - as every check
    """A prognosis says something of every ISP of its day."""
    count = isps_in(m.period, m.time_zone, m.isp_duration)
    if count is not None:
        missing = sorted(set(range(1, count + 1)) - powers(m.isps).keys())
        if missing:
            yield Finding("ISP", f"{len(missing)} of {count} are missing, the first is {missing[0]}")


def subordinate(m: wire.DPrognosis | wire.FlexRequest | wire.Metering, seen: Seen) -> Iterator[Finding]:
    """Revisions rise. Interpretation: "must be incremented each time", so an equal one is refused as well."""
    if seen.revision is not None and m.revision <= seen.revision:
        yield Finding("@Revision", f"{m.revision} is not above {seen.revision}")


def lacking_requested(m: wire.FlexRequest, seen: Seen) -> Iterator[Finding]:  # noqa: ARG001 - as every check
    """Some ISP is requested. Interpretation: without Disposition (the schema lets it be absent) it is available."""
    if all(isp.disposition is not wire.Disposition.REQUESTED for isp in m.isps):
        yield Finding("ISP", "none is requested")


def requested_power(m: wire.FlexRequest, seen: Seen) -> Iterator[Finding]:  # noqa: ARG001 - as every check
    """A requested ISP has a direction."""
    for i, isp in enumerate(m.isps):
        if isp.disposition is wire.Disposition.REQUESTED and isp.min_power_w < 0 < isp.max_power_w:
            yield Finding(f"ISP[{i}]/@MinPower", f"{isp.min_power_w} to {isp.max_power_w} W goes both ways")


def power_discrepancy(m: wire.FlexRequest, seen: Seen) -> Iterator[Finding]:  # noqa: ARG001 - as every check
    """MinPower is not above MaxPower."""
    for i, isp in enumerate(m.isps):
        if isp.min_power_w > isp.max_power_w:
            yield Finding(f"ISP[{i}]/@MinPower", f"{isp.min_power_w} W exceeds MaxPower {isp.max_power_w} W")


def no_baseline(m: wire.FlexOffer, seen: Seen) -> Iterator[Finding]:
    """An offer names the baseline that was agreed: a prognosis, or another by its reference."""
    if m.d_prognosis_message_id is not None and m.baseline_reference is not None:
        yield Finding("@BaselineReference", "stands beside D-PrognosisMessageID")
    elif seen.market is not None and seen.market.prognoses is True and m.d_prognosis_message_id is None:
        yield Finding("@D-PrognosisMessageID", "is missing; baselines are D-Prognoses here")
    elif seen.market is not None and seen.market.prognoses is False and m.baseline_reference is None:
        yield Finding("@BaselineReference", "is missing; baselines are not D-Prognoses here")


def _request_of(m: wire.FlexOffer, seen: Seen) -> wire.FlexRequest | None:
    past = (seen.past or {}).get(m.flex_request_message_id or "")
    return past.message if past is not None and isinstance(past.message, wire.FlexRequest) else None


def request_mismatch(m: wire.FlexOffer, seen: Seen) -> Iterator[Finding]:
    """Every option says something of at least one ISP that was requested."""
    request = _request_of(m, seen)
    if request is None:
        return
    requested = [isp for isp in request.isps if isp.disposition is wire.Disposition.REQUESTED]
    asked = {isp.start for isp in requested}
    for isp in requested:
        if isp.duration != 1:
            asked |= set(range(isp.start, isp.start + min(isp.duration, MOST_ISPS)))
    for i, option in enumerate(m.offer_options):
        if not asked & powers(option.isps).keys():
            yield Finding(f"OfferOption[{i}]/ISP", "none of the requested ISPs is among them")


def mutex_offers(m: wire.FlexOffer, seen: Seen) -> Iterator[Finding]:
    """Several options only where they are supported; references tell them apart."""
    if len(m.offer_options) > 1 and seen.market is not None and not seen.market.mutex_offers:
        yield Finding("OfferOption", f"{len(m.offer_options)} options; mutually exclusive offers are not supported")
    met: set[str] = set()
    for i, option in enumerate(m.offer_options):
        if option.option_reference in met:
            yield Finding(f"OfferOption[{i}]/@OptionReference", f"{option.option_reference!r} stands twice")
        met.add(option.option_reference)


def solicited(m: wire.FlexOffer | wire.FlexOrder, seen: Seen) -> Iterator[Finding]:  # noqa: ARG001 - as every check
    """Either unsolicited, or with the reference to what it follows.

    Interpretation: an absent Unsolicited is false in 3.1; 3.0 has no such attribute, and there an offer without
    FlexRequestMessageID is unsolicited.
    """
    name = "FlexRequestMessageID" if isinstance(m, wire.FlexOffer) else "FlexOfferMessageID"
    told = m.flex_request_message_id if isinstance(m, wire.FlexOffer) else m.flex_offer_message_id
    if m.unsolicited and told is not None:
        yield Finding(f"@{name}", "stands in an unsolicited message")
    elif not m.unsolicited and told is None and not m.version.startswith("3.0."):
        yield Finding(f"@{name}", "is missing, and Unsolicited is not true")


def currency(m: Any, seen: Seen) -> Iterator[Finding]:  # noqa: ANN401 - every message with a Currency
    """The currency is one of ISO 4217, and agreed. That amounts have 4 decimals at most is the schema's."""
    if m.currency is None:
        return
    agreed = seen.market.currencies if seen.market is not None else None
    if m.currency not in CURRENCIES:
        yield Finding("@Currency", f"{m.currency} is not a currency of ISO 4217")
    elif agreed is not None and m.currency not in agreed:
        yield Finding("@Currency", f"{m.currency} was not agreed")


def procured(m: wire.FlexOfferRevocation | wire.FlexOrder, seen: Seen) -> Iterator[Finding]:
    """An offer that was ordered is not revoked, and not ordered again (section 3.8.5: only once)."""
    past = (seen.past or {}).get(m.flex_offer_message_id or "")
    if past is not None and past.ordered:
        yield Finding("@FlexOfferMessageID", "its flexibility was ordered")


def own_offer(m: wire.FlexOfferRevocation, seen: Seen) -> Iterator[Finding]:
    """Only who made an offer revokes it."""
    past = (seen.past or {}).get(m.flex_offer_message_id)
    if past is not None and past.message.sender_domain != m.sender_domain:
        yield Finding("@SenderDomain", f"the offer is of {past.message.sender_domain}")


def option_of(m: wire.FlexOrder, seen: Seen) -> tuple[wire.FlexOffer, wire.OfferOption | None] | None:
    """The offer that is ordered, and its option: as referred to, or the only one. None where no offer is known."""
    past = (seen.past or {}).get(m.flex_offer_message_id or "")
    if past is None or not isinstance(past.message, wire.FlexOffer):
        return None
    options = past.message.offer_options
    if m.option_reference is None:
        return past.message, options[0] if len(options) == 1 else None
    return past.message, next((o for o in options if o.option_reference == m.option_reference), None)


def isp_mismatch(m: wire.FlexOrder, seen: Seen) -> Iterator[Finding]:
    """An order is about the ISPs of the option."""
    found = option_of(m, seen)
    if found is not None and found[1] is not None:
        wrong = sorted(powers(m.isps).keys() ^ powers(found[1].isps).keys())
        if wrong:
            yield Finding("ISP", f"ISP {wrong[0]} is not in both the order and the offer")


def power_mismatch(m: wire.FlexOrder, seen: Seen) -> Iterator[Finding]:
    """An order's powers are those of the option.

    Interpretation: the text wants the list copied without change (section 4.2.21) as well as scaled by the activation
    factor (section 2.4.4). Both are taken, all of one order in the same way; scaled powers may be off by 1 W.
    """
    found = option_of(m, seen)
    if found is None or found[1] is None:
        return
    offered = powers(found[1].isps)
    copied = next((i for i, p in enumerate(m.isps) if offered.get(p.start, p.power_w) != p.power_w), None)
    if copied is None:
        return
    factor = m.activation_factor
    scaled = next((i for i, p in enumerate(m.isps) if not _near(p.power_w, offered.get(p.start), factor)), None)
    if scaled is not None:
        at = m.isps[copied]
        yield Finding(f"ISP[{copied}]/@Power", f"{at.power_w} W, offered: {offered.get(at.start)} W, factor {factor}")


def _near(power: int, offered: int | None, factor: Decimal) -> bool:
    if offered is None or factor == 1:
        return offered is None or power == offered
    return abs(power - offered * factor) <= 1


def price_mismatch(m: wire.FlexOrder, seen: Seen) -> Iterator[Finding]:
    """An order's price is the option's times the activation factor (section 2.4.4), to the cent or to 4 decimals."""
    found = option_of(m, seen)
    if found is None or found[1] is None:
        return
    if m.currency != found[0].currency:
        yield Finding("@Currency", f"is {m.currency}, offered: {found[0].currency}")
    want = found[1].price * m.activation_factor
    allowed = {want.quantize(step, ROUND_HALF_UP) for step in (CENT, Decimal("0.0001"))}
    if m.price not in allowed:
        yield Finding("@Price", f"{m.price} is not {found[1].price} times {m.activation_factor}")


def activation_factor(m: wire.FlexOrder, seen: Seen) -> Iterator[Finding]:
    """An order activates at least what the option asks."""
    found = option_of(m, seen)
    if found is not None and found[1] is not None and m.activation_factor < found[1].min_activation_factor:
        yield Finding("@ActivationFactor", f"{m.activation_factor} is below {found[1].min_activation_factor}")


def option_reference(m: wire.FlexOrder, seen: Seen) -> Iterator[Finding]:
    """The option is one of the offer.

    Interpretation: the schema demands OptionReference of every option of an offer, the text where there are several;
    the schema is followed, and an order may leave the reference out where the offer has one option.
    """
    found = option_of(m, seen)
    if found is not None and found[1] is None:
        told = "is missing" if m.option_reference is None else f"{m.option_reference!r} is not an option of the offer"
        yield Finding("@OptionReference", told)


def missing_items(m: wire.FlexSettlement, seen: Seen) -> Iterator[Finding]:
    """Every accepted order of the period is settled."""
    missing = (seen.orders or frozenset()) - {item.order_reference for item in m.flex_order_settlements}
    if missing:
        yield Finding("FlexOrderSettlement", f"{len(missing)} orders are missing: {', '.join(sorted(missing))[:200]}")


def settlement_period(m: wire.FlexSettlement, seen: Seen) -> Iterator[Finding]:
    """The settlement's period has begun before it ends, and is not ahead: by the clock of the agreed zone, or UTC's."""
    first, last = day_of(m.period_start), day_of(m.period_end)
    zone = zone_of(seen.market.time_zone) if seen.market is not None and seen.market.time_zone else None
    today = seen.now.astimezone(zone or UTC).date()
    if first > last:
        yield Finding("@PeriodEnd", f"{last} is before PeriodStart {first}")
    elif first > today:
        yield Finding("@PeriodStart", f"{first} is ahead")
    elif last > today:
        yield Finding("@PeriodEnd", f"{last} is ahead")


def net_settlement(m: wire.FlexSettlement) -> Iterator[Finding]:
    """NetSettlement is Price minus Penalty."""
    for i, item in enumerate(m.flex_order_settlements):
        if item.net_settlement != item.price - item.penalty:
            path = f"FlexOrderSettlement[{i}]/@NetSettlement"
            yield Finding(path, f"{item.net_settlement} is not {item.price} minus {item.penalty}")


def unauthorized(m: wire.Payload, seen: Seen) -> Iterator[Finding]:
    """A CRO in closed mode hears registered participants only."""
    if seen.market is not None and seen.market.closed and seen.peer is not None and not seen.peer.registered:
        yield Finding("@SenderDomain", f"{m.sender_domain} is not registered")


def no_connections(m: wire.AGRPortfolioQuery | wire.DSOPortfolioQuery, seen: Seen) -> Iterator[Finding]:
    """Who asks has connections."""
    if seen.places is not None and not seen.places:
        yield Finding("@SenderDomain", f"{m.sender_domain} has no registered connections")


def connection_conflict(m: wire.DSOPortfolioUpdate, seen: Seen) -> Iterator[Finding]:
    """A connection lies at one congestion point."""
    known = dict(seen.places or {})
    for i, point in enumerate(m.congestion_points):
        for k, connection in enumerate(point.connections):
            at = known.setdefault(connection.entity_address, point.entity_address)
            if at and at != point.entity_address:
                path = f"CongestionPoint[{i}]/Connection[{k}]/@EntityAddress"
                yield Finding(path, f"[{connection.entity_address}] at [{at}]")


def entity_address(m: wire.Payload, seen: Seen) -> Iterator[Finding]:  # noqa: ARG001 - as every check
    """An ea1 address is at most 255 printable ASCII characters, and its date is a month."""
    for path, told in _addresses(m):
        yield from odd_address(path, told)


def odd_address(path: str, told: str) -> Iterator[Finding]:
    """What is wrong with an address beyond its pattern."""
    if len(told) > 255 or not told.isascii() or not told.isprintable():
        yield Finding(path, "is not printable ASCII of at most 255 characters")
    elif told.startswith("ea1.") and not "01" <= told[9:11] <= "12":
        yield Finding(path, f"{told[4:11]} is not a month")


def _addresses(m: wire.Payload) -> Iterator[tuple[str, str]]:
    if isinstance(m, wire.Flex):
        yield "@CongestionPoint", m.congestion_point
    elif isinstance(m, wire.AGRPortfolioUpdate):
        yield from _connections("", m.connections)
    elif isinstance(m, wire.DSOPortfolioQuery):
        yield "@EntityAddress", m.entity_address
    elif isinstance(m, wire.DSOPortfolioUpdate):
        for i, point in enumerate(m.congestion_points):
            yield f"CongestionPoint[{i}]/@EntityAddress", point.entity_address
            yield from _connections(f"CongestionPoint[{i}]/", point.connections)


def _connections(path: str, connections: tuple[wire.DatedConnection, ...]) -> Iterator[tuple[str, str]]:
    for i, connection in enumerate(connections):
        yield f"{path}Connection[{i}]/@EntityAddress", connection.entity_address
