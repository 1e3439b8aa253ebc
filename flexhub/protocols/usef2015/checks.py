"""The checks of USEF 2015's rules: each yields a finding for every place that breaks it.

`rules` adds clause and words. What was not looked up (None in `Seen`) a check lets pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cache
from typing import Any, Final

from flexhub.protocols.rules import Finding
from flexhub.protocols.uftp.checks import odd_address
from flexhub.protocols.uftp.currencies import CURRENCIES
from flexhub.protocols.uftp.messages import Disposition, Result
from flexhub.protocols.uftp.spans import MOST, Spans, out_of_bounds, overlap
from flexhub.protocols.uftp.times import bounds, day_of, has_zone, instant, isps_in, minutes_of, start_of, zone_of
from flexhub.protocols.usef2015 import messages as wire
from flexhub.protocols.usef2015.messages import Entity, PrognosisType, Role
from flexhub.protocols.usef2015.seen import REFERENCES, Past, Reference, Seen, references

META: Final = "MessageMetadata/"


def dated(m: wire.Payload) -> Iterator[tuple[str, str, Spans]]:
    """(path, day, spans) of every list of PTUs that addresses each PTU of its day once at most."""
    if isinstance(m, wire.Prognosis | wire.Flex):
        yield "PTU", m.period, [(p.start, p.duration) for p in m.ptus]
    elif isinstance(m, wire.SettlementMessage):
        for k, item in enumerate(m.flex_order_settlements):
            path = f"FlexOrderSettlement[{k}]/PTU-Settlement"
            yield path, item.period, [(p.start, p.duration) for p in item.ptu_settlements]
    elif isinstance(m, wire.MeterDataQueryResponse):
        for path, day, data in metered(m):
            yield f"{path}/PTU-MeterData", day, [(p.start, p.duration) for p in data.ptu_meter_data]


def metered(m: wire.MeterDataQueryResponse) -> Iterator[tuple[str, str, wire.ConnectionMeterData]]:
    """(path, day, what was metered) of every connection, or connections together, on every day."""
    for k, group in enumerate(m.meter_data_sets):
        for n, day in enumerate(group.meter_data):
            for i, data in enumerate(day.connection_meter_data):
                yield f"MeterDataSet[{k}]/MeterData[{n}]/ConnectionMeterData[{i}]", day.period, data


def spread(ptus: tuple[wire.Ptu, ...]) -> dict[int, tuple[int, Decimal | None]]:
    """PTU number -> (watts, price), with durations written out; what no day can hold is left out."""
    return {
        number: (ptu.power_w, ptu.price)
        for ptu in ptus[:MOST]
        for number in range(ptu.start, ptu.start + min(ptu.duration, MOST))
    }


def _numbers(m: wire.FlexRequest, disposition: Disposition) -> set[int]:
    return set(spread(tuple(ptu for ptu in m.ptus if ptu.disposition is disposition)))


def invalid_sender(m: wire.Payload, seen: Seen) -> Iterator[Finding]:
    """Envelope and message name one sender, domain and role."""
    told, meta = seen.envelope, m.message_metadata
    if told is not None and told.sender_domain != meta.sender_domain:
        yield Finding(f"{META}@SenderDomain", f"{meta.sender_domain!r} came in an envelope of {told.sender_domain!r}")
    if told is not None and told.sender_role is not meta.sender_role:
        yield Finding(f"{META}@SenderRole", f"{meta.sender_role} came in an envelope of {told.sender_role}")


def unknown_recipient(m: wire.Payload, seen: Seen) -> Iterator[Finding]:
    """The message is for us, in our role."""
    meta = m.message_metadata
    if seen.market is not None and meta.recipient_domain != seen.market.domain:
        yield Finding(f"{META}@RecipientDomain", f"{meta.recipient_domain!r} is not {seen.market.domain}")
    elif seen.market is not None and meta.recipient_role is not seen.market.role:
        yield Finding(f"{META}@RecipientRole", f"{meta.recipient_domain} is {seen.market.role} here")


def barred_sender(m: wire.Payload, seen: Seen) -> Iterator[Finding]:
    """The sender is not barred."""
    if seen.peer is not None and seen.peer.barred:
        yield Finding(f"{META}@SenderDomain", f"{m.message_metadata.sender_domain} is barred")


def duplicate_identifier(m: wire.Payload, seen: Seen) -> Iterator[Finding]:
    """The MessageID was not used for other content."""
    if seen.same is not None and seen.same.message != m:
        yield Finding(f"{META}@MessageID", f"was that of a {type(seen.same.message).__name__} of other content")


def already_submitted(m: wire.Payload, seen: Seen) -> Iterator[Finding]:
    """The very same message was not here before. It counts as submitted, so nothing is done again."""
    if seen.same is not None and seen.same.message == m:
        yield Finding(f"{META}@MessageID", "was here before, with the same content")


def invalid_message(m: wire.Payload, seen: Seen) -> Iterator[Finding]:
    """An answer belongs to something that we sent in its conversation, and names its Sequence or Reference."""
    question = next((kind for kind, answer in wire.RESPONSES.items() if answer is type(m)), None)
    if question is None or seen.asked is None:
        return
    asked = [sent for sent in seen.asked if type(sent) is question]
    if not asked:
        yield Finding(f"{META}@ConversationID", f"no {question.__name__} waits for an answer in this conversation")
    for name, field, of in _REPEATED.get(type(m), ()):
        if asked and getattr(m, field) not in [getattr(sent, of) for sent in asked]:
            yield Finding(f"@{name}", f"{getattr(m, field)} is not that of what is answered")


_SEQUENCE: Final = (("Sequence", "sequence", "sequence"),)
_REPEATED: Final[dict[type[wire.Payload], tuple[tuple[str, str, str], ...]]] = {
    wire.CommonReferenceUpdateResponse: (("EntityAddress", "entity_address", "entity_address"),),
    wire.PrognosisResponse: (("PrognosisSequence", "prognosis_sequence", "sequence"),),
    wire.FlexRequestResponse: _SEQUENCE,
    wire.FlexOfferResponse: _SEQUENCE,
    wire.FlexOfferRevocationResponse: _SEQUENCE,
    wire.FlexOrderResponse: _SEQUENCE,
    wire.SettlementMessageResponse: (("Reference", "reference", "reference"),),
    wire.MeterDataQueryResponse: (
        ("DateRangeStart", "date_range_start", "date_range_start"),
        ("DateRangeEnd", "date_range_end", "date_range_end"),
        ("QueryType", "query_type", "query_type"),
    ),
}
"""Answer -> (attribute, its field, the field of the question that it repeats)."""


def message_missing(m: wire.Payload, seen: Seen) -> Iterator[Finding]:  # noqa: ARG001 - as every check
    """Who rejects says why, in words."""
    failed = (isinstance(m, wire.Response) and m.result is Result.REJECTED) or (
        isinstance(m, wire.QueryResponse) and m.result is wire.Outcome.FAILURE
    )
    if failed and not (getattr(m, "message", None) or "").strip():
        yield Finding("@Message", f"is missing, and the result is {getattr(m, 'result', '')}")


def role(m: wire.Payload, seen: Seen) -> Iterator[Finding]:  # noqa: ARG001 - as every check
    """The sender's role may send this type to the recipient's."""
    meta, allowed = m.message_metadata, roles(type(m))
    if allowed and (meta.sender_role, meta.recipient_role) not in allowed:
        yield Finding(
            f"{META}@SenderRole", f"no {type(m).__name__} goes from {meta.sender_role} to {meta.recipient_role}"
        )


@cache
def roles(kind: type[wire.Payload]) -> frozenset[tuple[Role, Role]]:
    """(Sender's role, recipient's role) of each way that a type goes; none: any way."""
    if kind in wire.WAYS:
        return wire.WAYS[kind]
    asked = next(message for message, answer in wire.RESPONSES.items() if answer is kind)
    return frozenset((to, frm) for frm, to in wire.WAYS[asked])


def precedence(m: wire.FlexOrderResponse, seen: Seen) -> Iterator[Finding]:  # noqa: ARG001 - as every check
    """An answer to an order is critical."""
    if m.message_metadata.precedence is not wire.Precedence.CRITICAL:
        yield Finding(f"{META}@Precedence", f"{m.message_metadata.precedence} is not Critical")


def message_expired(m: wire.Payload, seen: Seen) -> Iterator[Finding]:
    """The message is still to be processed."""
    until = m.message_metadata.valid_until
    if until is not None and instant(until) < seen.now:
        yield Finding(f"{META}@ValidUntil", f"{until} is past")


def times(m: wire.Payload, seen: Seen) -> Iterator[Finding]:  # noqa: ARG001 - as every check
    """Instants say their time zone."""
    meta = m.message_metadata
    told = {f"{META}@TimeStamp": meta.time_stamp, f"{META}@ValidUntil": meta.valid_until}
    if isinstance(m, wire.Flex):
        told["@ExpirationDateTime"] = m.expiration_date_time
    for path, text in told.items():
        if text is not None and not has_zone(text):
            yield Finding(path, f"{text!r} has no time zone")


def ptu_duration(m: Any, seen: Seen) -> Iterator[Finding]:  # noqa: ANN401 - every message with a PTU-Duration
    """PTU-Duration is in minutes, and the one that was agreed."""
    minutes = minutes_of(m.ptu_duration)
    if minutes is None:
        yield Finding("@PTU-Duration", f"{m.ptu_duration!r} is not a number of minutes that cuts a day")
    elif seen.market is not None and minutes != seen.market.ptu_minutes:
        yield Finding("@PTU-Duration", f"{m.ptu_duration} is not PT{seen.market.ptu_minutes}M")


def time_zone(m: Any, seen: Seen) -> Iterator[Finding]:  # noqa: ANN401 - every message with a TimeZone
    """TimeZone exists, and has the offset of the one that was agreed, on that day."""
    if zone_of(m.time_zone) is None:
        yield Finding("@TimeZone", f"{m.time_zone!r} is not in the tz database")
    elif seen.market is not None and seen.market.time_zone not in (None, m.time_zone):
        agreed, day = str(seen.market.time_zone), m.period_start if hasattr(m, "period_start") else m.period
        if bounds(day, m.time_zone) != bounds(day, agreed):
            yield Finding("@TimeZone", f"{m.time_zone} has another offset than {agreed} on {day[:10]}")


def congestion_point(m: wire.Prognosis | wire.Flex, seen: Seen) -> Iterator[Finding]:
    """The congestion point stands where one belongs, and is known."""
    parties = {m.message_metadata.sender_role, m.message_metadata.recipient_role}
    known = seen.market.congestion_points if seen.market is not None else None
    plan = isinstance(m, wire.Prognosis) and m.type is PrognosisType.A_PLAN
    if m.congestion_point is None and not plan and (isinstance(m, wire.Prognosis) or Role.BRP not in parties):
        yield Finding("@CongestionPoint", "is missing")
    elif m.congestion_point is not None and plan:
        yield Finding("@CongestionPoint", "stands in an A-Plan")
    elif m.congestion_point is not None and known is not None and m.congestion_point not in known:
        yield Finding("@CongestionPoint", f"{m.congestion_point!r} is unknown here")


def prognosis_type(m: wire.Prognosis, seen: Seen) -> Iterator[Finding]:  # noqa: ARG001 - as every check
    """An A-Plan goes to a BRP, a D-Prognosis to a DSO."""
    want = Role.BRP if m.type is PrognosisType.A_PLAN else Role.DSO
    if m.message_metadata.recipient_role is not want:
        yield Finding("@Type", f"{m.type} goes to a {want}")


def entity(m: wire.CommonReferenceUpdate, seen: Seen) -> Iterator[Finding]:  # noqa: ARG001 - as every check
    """A DSO updates a congestion point, an AGR and a BRP whom connections belong to."""
    want = {Role.DSO: Entity.CONGESTION_POINT, Role.AGR: Entity.AGGREGATOR, Role.BRP: Entity.BRP}
    told = m.message_metadata.sender_role
    if told in want and m.entity is not want[told]:
        yield Finding("@Entity", f"{m.entity} is not updated by a {told}")
    elif m.entity is Entity.CONGESTION_POINT and m.entity_address is None:
        yield Finding("@EntityAddress", "is missing")


def ptus_out_of_bounds(m: wire.Payload, seen: Seen) -> Iterator[Finding]:
    """Every PTU exists: 92, 96 or 100 of 15 minutes on a local day."""
    zone, length = getattr(m, "time_zone", None), getattr(m, "ptu_duration", None)
    if zone is None or length is None:
        if seen.market is None or seen.market.time_zone is None:
            return
        zone, length = seen.market.time_zone, f"PT{seen.market.ptu_minutes}M"
    for path, period, spans in dated(m):
        yield from out_of_bounds(path, spans, (period, zone, length), "PTU")


def ptu_conflict(m: wire.Payload, seen: Seen) -> Iterator[Finding]:  # noqa: ARG001 - as every check
    """No PTU stands twice in one list."""
    for path, _, spans in dated(m):
        yield from overlap(path, spans, "PTU")


def period_out_of_bounds(m: wire.Payload, seen: Seen) -> Iterator[Finding]:
    """What is asked or offered lies ahead, items lie within the settlement, days of a query within its range."""
    if isinstance(m, wire.Prognosis | wire.Flex):
        whole = bounds(m.period, m.time_zone)
        if whole is None and zone_of(m.time_zone) is not None:
            yield Finding("@Period", f"{m.period[:10]} is not in the years that are traded")
        elif whole is not None and whole[1] <= seen.now:
            yield Finding("@Period", f"{m.period[:10]} is over")
    elif isinstance(m, wire.SettlementMessage):
        for i, item in enumerate(m.flex_order_settlements):
            yield from _within(f"FlexOrderSettlement[{i}]/@Period", item.period, m.period_start, m.period_end)
    elif isinstance(m, wire.MeterDataQueryResponse):
        for k, group in enumerate(m.meter_data_sets):
            for i, day in enumerate(group.meter_data):
                path = f"MeterDataSet[{k}]/MeterData[{i}]/@Period"
                yield from _within(path, day.period, m.date_range_start, m.date_range_end)


def _within(path: str, period: str, start: str, end: str) -> Iterator[Finding]:
    first, last = day_of(start), day_of(end)
    if first <= last and not first <= day_of(period) <= last:
        yield Finding(path, f"{period} is outside {first}..{last}")


def range_rejected(m: Any, seen: Seen) -> Iterator[Finding]:  # noqa: ANN401 - every message about several days
    """A range of days ends after it begins; what is settled is not ahead."""
    name, start = (
        ("Period", "PeriodStart") if isinstance(m, wire.SettlementMessage) else ("DateRange", "DateRangeStart")
    )
    settled = isinstance(m, wire.SettlementMessage)
    first, last = (m.period_start, m.period_end) if settled else (m.date_range_start, m.date_range_end)
    if day_of(first) > day_of(last):
        yield Finding(f"@{name}End", f"{last} is before {start} {first}")
    elif settled and day_of(last) > seen.now.date():
        yield Finding(f"@{name}End", f"{last} is ahead")


def expiration_out_of_bounds(m: wire.Flex, seen: Seen) -> Iterator[Finding]:
    """ExpirationDateTime is not past, and not after the end of the last PTU."""
    until = instant(m.expiration_date_time)
    if until < seen.now:
        yield Finding("@ExpirationDateTime", f"{until:%FT%TZ} is past")
        return
    end = max((p.start + p.duration for p in m.ptus), default=(isps_in(m.period, m.time_zone, m.ptu_duration) or 0) + 1)
    last = start_of(m.period, m.time_zone, m.ptu_duration, end) if 0 < end < 10_000 else None
    if last is not None and until > last:
        yield Finding("@ExpirationDateTime", f"{until:%FT%TZ} is after the last PTU's end, {last:%FT%TZ}")


def no_ptus(m: wire.Flex, seen: Seen) -> Iterator[Finding]:  # noqa: ARG001 - as every check
    """Only an offer to a BRP may be empty."""
    empty = isinstance(m, wire.FlexOffer) and m.message_metadata.recipient_role is Role.BRP
    if not m.ptus and not empty:
        yield Finding("PTU", "none is there")


def lacking_ptus(m: wire.Prognosis, seen: Seen) -> Iterator[Finding]:  # noqa: ARG001 - as every check
    """A prognosis says something of every PTU of its day."""
    count = isps_in(m.period, m.time_zone, m.ptu_duration)
    if count is not None:
        missing = sorted(set(range(1, count + 1)) - spread(m.ptus).keys())
        if missing:
            yield Finding("PTU", f"{len(missing)} of {count} are missing, the first is {missing[0]}")


def disposition(m: wire.Prognosis | wire.Flex, seen: Seen) -> Iterator[Finding]:  # noqa: ARG001 - as every check
    """Each PTU of a request says whether it is requested or available, and no other does."""
    for i, ptu in enumerate(m.ptus):
        if isinstance(m, wire.FlexRequest) is not (ptu.disposition is not None):
            told = "is missing" if ptu.disposition is None else "stands outside a FlexRequest"
            yield Finding(f"PTU[{i}]/@Disposition", told)


def price(m: wire.Prognosis | wire.Flex, seen: Seen) -> Iterator[Finding]:  # noqa: ARG001 - as every check
    """Only offers and orders have prices."""
    if not isinstance(m, wire.FlexOffer | wire.FlexOrder):
        for i, ptu in enumerate(m.ptus):
            if ptu.price is not None:
                yield Finding(f"PTU[{i}]/@Price", f"stands in a {type(m).__name__}")


def power_value(m: wire.Prognosis | wire.Flex, seen: Seen) -> Iterator[Finding]:
    """No power is absurd."""
    limit = seen.market.max_power_w if seen.market is not None else None
    for i, ptu in enumerate(m.ptus) if limit is not None else ():
        if abs(ptu.power_w) > (limit or 0):
            yield Finding(f"PTU[{i}]/@Power", f"{ptu.power_w} W is beyond {limit} W")


def subordinate(m: wire.Prognosis | wire.FlexRequest, seen: Seen) -> Iterator[Finding]:
    """Sequences rise."""
    if seen.sequence is not None and m.sequence <= seen.sequence:
        yield Finding("@Sequence", f"{m.sequence} is not above {seen.sequence}")


def lacking_requested(m: wire.FlexRequest, seen: Seen) -> Iterator[Finding]:  # noqa: ARG001 - as every check
    """Some PTU is requested."""
    if m.ptus and not _numbers(m, Disposition.REQUESTED):
        yield Finding("PTU", "none is requested")


def lacking_available(m: wire.FlexRequest, seen: Seen) -> Iterator[Finding]:  # noqa: ARG001 - as every check
    """Some PTU is available, unless all of the day are requested."""
    requested, count = _numbers(m, Disposition.REQUESTED), isps_in(m.period, m.time_zone, m.ptu_duration)
    if requested and count is not None and len(requested) < count and not _numbers(m, Disposition.AVAILABLE):
        yield Finding("PTU", f"{len(requested)} of {count} are requested, and none is available")


def not_latest(m: wire.FlexRequest, seen: Seen) -> Iterator[Finding]:
    """A request is based on the latest prognosis."""
    if seen.prognosis is not None and m.prognosis_sequence < seen.prognosis:
        yield Finding("@PrognosisSequence", f"{m.prognosis_sequence} is not the latest, {seen.prognosis}")


def origin(m: wire.Payload, seen: Seen) -> Iterator[Finding]:  # noqa: ARG001 - as every check
    """What is referred to was sent by who gets this message."""
    kind, field, _ = REFERENCES[type(m)]
    if getattr(m, field) != m.message_metadata.recipient_domain:
        yield Finding(f"@{kind}Origin", f"{getattr(m, field)!r} is not {m.message_metadata.recipient_domain}")


def _pasts(m: wire.Payload, seen: Seen) -> Iterator[tuple[str, Reference, Past | None]]:
    past: Mapping[Reference, Past] | None = seen.past
    for name, told in references(m) if past is not None else ():
        yield name, told, (past or {}).get(told)


def unknown_reference(m: wire.Payload, seen: Seen) -> Iterator[Finding]:
    """What is referred to was accepted before."""
    for name, told, past in _pasts(m, seen):
        if past is None or not past.accepted:
            yield Finding(name, f"no accepted {told.kind} of {told.origin} has the sequence {told.sequence}")


def reference_period(m: wire.Flex, seen: Seen) -> Iterator[Finding]:
    """What is referred to is about the same day, and the same congestion point."""
    for name, _, past in _pasts(m, seen):
        if past is None or not isinstance(past.message, wire.Prognosis | wire.Flex):
            continue
        if day_of(past.message.period) != day_of(m.period):
            yield Finding(name, f"is about {past.message.period}, this message about {m.period}")
        elif past.message.congestion_point != m.congestion_point:
            yield Finding(name, f"is about {past.message.congestion_point}, this message is not")


def reference_expired(m: wire.FlexOffer | wire.FlexOrder, seen: Seen) -> Iterator[Finding]:
    """The request or offer that is referred to has not expired."""
    for name, _, past in _pasts(m, seen):
        if past is not None and isinstance(past.message, wire.Flex):
            until = instant(past.message.expiration_date_time)
            if until < seen.now:
                yield Finding(name, f"expired on {until:%FT%TZ}")


def reference_revoked(m: wire.FlexOrder | wire.FlexOfferRevocation, seen: Seen) -> Iterator[Finding]:
    """The offer that is referred to was not revoked."""
    for name, _, past in _pasts(m, seen):
        if past is not None and past.revoked:
            yield Finding(name, "was revoked")


def procured(m: wire.FlexOrder, seen: Seen) -> Iterator[Finding]:
    """An offer is ordered once."""
    for name, _, past in _pasts(m, seen):
        if past is not None and past.ordered:
            yield Finding(name, "its flexibility was ordered")


def in_operation(m: wire.FlexOfferRevocation, seen: Seen) -> Iterator[Finding]:
    """An offer is revoked before the first PTU of its day is carried out."""
    for name, _, past in _pasts(m, seen):
        if past is not None and isinstance(past.message, wire.FlexOffer):
            whole = bounds(past.message.period, past.message.time_zone)
            if whole is not None and whole[0] <= seen.now:
                yield Finding(name, f"{past.message.period[:10]} is carried out already")


def _referred(m: wire.Payload, seen: Seen) -> wire.Payload | None:
    return next((past.message for _, _, past in _pasts(m, seen) if past is not None), None)


def request_mismatch(m: wire.FlexOffer, seen: Seen) -> Iterator[Finding]:
    """An offer has a price for each PTU that was requested."""
    request = _referred(m, seen)
    if not isinstance(request, wire.FlexRequest) or not m.ptus:
        return
    priced = {number for number, (_, price) in spread(m.ptus).items() if price is not None}
    missing = sorted(_numbers(request, Disposition.REQUESTED) - priced)
    if missing:
        yield Finding("PTU", f"{len(missing)} that were requested have no price, the first is {missing[0]}")


def currency(m: Any, seen: Seen) -> Iterator[Finding]:  # noqa: ANN401 - every message with a Currency
    """The currency is one of ISO 4217, and agreed."""
    agreed = seen.market.currencies if seen.market is not None else None
    if m.currency not in CURRENCIES:
        yield Finding("@Currency", f"{m.currency} is not a currency of ISO 4217")
    elif agreed is not None and m.currency not in agreed:
        yield Finding("@Currency", f"{m.currency} was not agreed")


def ptu_mismatch(m: wire.FlexOrder, seen: Seen) -> Iterator[Finding]:
    """An order is about the PTUs of the offer."""
    offer = _referred(m, seen)
    wrong = sorted(spread(m.ptus).keys() ^ spread(offer.ptus).keys()) if isinstance(offer, wire.FlexOffer) else []
    if wrong:
        yield Finding("PTU", f"PTU {wrong[0]} is not in both the order and the offer")


def power_mismatch(m: wire.FlexOrder, seen: Seen) -> Iterator[Finding]:
    """An order's powers are those of the offer."""
    offer = _referred(m, seen)
    for i, ptu, (power, _) in _offered(m, offer) if isinstance(offer, wire.FlexOffer) else ():
        if power != ptu.power_w:
            yield Finding(f"PTU[{i}]/@Power", f"{ptu.power_w} W, offered: {power} W")
            return


def price_mismatch(m: wire.FlexOrder, seen: Seen) -> Iterator[Finding]:
    """An order's prices and currency are those of the offer."""
    offer = _referred(m, seen)
    if not isinstance(offer, wire.FlexOffer):
        return
    if m.currency != offer.currency:
        yield Finding("@Currency", f"is {m.currency}, offered: {offer.currency}")
    for i, ptu, (_, was) in _offered(m, offer):
        if was != ptu.price:
            yield Finding(f"PTU[{i}]/@Price", f"{ptu.price}, offered: {was}")
            return


def _offered(m: wire.FlexOrder, offer: wire.FlexOffer) -> Iterator[tuple[int, wire.Ptu, tuple[int, Decimal | None]]]:
    """(index, PTUs of the order, what was offered in one of them), for each that was."""
    offered = spread(offer.ptus)
    for i, ptu in enumerate(m.ptus[:MOST]):
        for number in range(ptu.start, ptu.start + min(ptu.duration, MOST)):
            if number in offered:
                yield i, ptu, offered[number]


def net_settlement(m: wire.SettlementMessage, seen: Seen) -> Iterator[Finding]:  # noqa: ARG001 - as every check
    """NetSettlement is Price minus Penalty."""
    for k, item in enumerate(m.flex_order_settlements):
        for i, ptu in enumerate(item.ptu_settlements):
            if ptu.net_settlement != ptu.price - ptu.penalty:
                path = f"FlexOrderSettlement[{k}]/PTU-Settlement[{i}]/@NetSettlement"
                yield Finding(path, f"{ptu.net_settlement} is not {ptu.price} minus {ptu.penalty}")


def missing_items(m: wire.SettlementMessage, seen: Seen) -> Iterator[Finding]:
    """Every order of the period is settled."""
    missing = (seen.orders or frozenset()) - {item.order_reference for item in m.flex_order_settlements}
    if missing:
        yield Finding("FlexOrderSettlement", f"{len(missing)} orders are missing: {', '.join(sorted(missing))[:200]}")


def meter_data(m: wire.MeterDataQueryResponse, seen: Seen) -> Iterator[Finding]:  # noqa: ARG001 - as every check
    """One connection or a number of them; a held power only where power is held."""
    for path, _, data in metered(m):
        if data.entity_address is not None and data.entity_count is not None:
            yield Finding(f"{path}/@EntityCount", "stands beside EntityAddress")
    for k, group in enumerate(m.meter_data_sets):
        for n, day in enumerate(group.meter_data):
            for i, event in enumerate(day.connection_meter_events):
                if event.event_data is not None and event.event_type is not wire.EventType.CAPACITY_MANAGEMENT:
                    path = f"MeterDataSet[{k}]/MeterData[{n}]/ConnectionMeterEvent[{i}]/@EventData"
                    yield Finding(path, f"stands in a {event.event_type}")


def entity_address(m: wire.Payload, seen: Seen) -> Iterator[Finding]:  # noqa: ARG001 - as every check
    """An ea1 address is at most 255 printable ASCII characters, and its date is a month."""
    for path, told in _addresses(m):
        yield from odd_address(path, told)


def _addresses(m: wire.Payload) -> Iterator[tuple[str, str]]:
    if isinstance(m, wire.Prognosis | wire.Flex) and m.congestion_point is not None:
        yield "@CongestionPoint", m.congestion_point
    elif isinstance(m, wire.CommonReferenceUpdate | wire.CommonReferenceQuery) and m.entity_address is not None:
        yield "@EntityAddress", m.entity_address
    if isinstance(m, wire.CommonReferenceUpdate):
        for i, connection in enumerate(m.connections):
            yield f"Connection[{i}]/@EntityAddress", connection.entity_address
    elif isinstance(m, wire.CommonReferenceQuery):
        for i, asked in enumerate(m.connection_entity_addresses):
            yield f"ConnectionEntityAddress[{i}]", asked.entity_address
