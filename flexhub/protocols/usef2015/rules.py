"""The rules of USEF 2015 that its schema tells in words, one row each; what UFTP took over is judged as there.

Rejections of rows 1 to 5 are the schema's (MessageStatus), the others have no prescribed words; these are UFTP's where
it has such a rule, and ours where it hasn't.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

from flexhub.protocols.rules import Broken, Finding, Judged, judged
from flexhub.protocols.usef2015 import checks
from flexhub.protocols.usef2015 import messages as wire
from flexhub.protocols.usef2015.seen import Need, Seen, alone


def _row(
    number: int,
    place: str,
    of: type[Any] | tuple[type[Any], ...],
    judge: Callable[[Any, Seen], Iterator[Finding]],
    reject: str,
    *needs: Need,
) -> Judged[Any]:
    def check(message: wire.Payload) -> Iterator[Finding]:
        return judge(message, alone(message))

    clause = f"XSD 1.03 {place}"
    return Judged(id=f"USEF-{number:02}", clause=clause, of=of, check=check, judge=judge, reject=reject, needs=needs)


_DAILY: Final = (wire.Prognosis, wire.Flex)
_GRID: Final = (*_DAILY, wire.SettlementMessage)
_PTUS: Final = (*_GRID, wire.MeterDataQueryResponse)
_RANGE: Final = (wire.SettlementMessage, wire.MeterDataQuery, wire.MeterDataQueryResponse)
_REFERRING: Final = (wire.FlexRequest, wire.FlexOffer, wire.FlexOrder)
_PRICED: Final = (wire.FlexOffer, wire.FlexOrder, wire.SettlementMessage)

RULES: Final[tuple[Judged[Any], ...]] = (
    _row(1, "MessageStatus", wire.Payload, checks.invalid_sender, "InvalidSender", Need.ENVELOPE),
    _row(2, "MessageStatus", wire.Payload, checks.unknown_recipient, "UnknownRecipient", Need.MARKET),
    _row(3, "MessageStatus", wire.Payload, checks.barred_sender, "BarredSender", Need.PEER),
    _row(4, "MessageStatus", wire.Payload, checks.duplicate_identifier, "DuplicateIdentifier", Need.SAME),
    _row(5, "MessageStatus", wire.Payload, checks.already_submitted, "AlreadySubmitted", Need.SAME),
    _row(6, "@ConversationID", wire.Payload, checks.invalid_message, "InvalidMessage", Need.ASKED),
    _row(7, "@Message", (wire.Response, wire.QueryResponse), checks.message_missing, "Message missing"),
    _row(8, "USEF-Role", wire.Payload, checks.role, "Role rejected"),
    _row(9, "FlexOrderResponse", wire.FlexOrderResponse, checks.precedence, "Precedence rejected"),
    _row(10, "@ValidUntil", wire.Payload, checks.message_expired, "Message expired"),
    _row(11, "@TimeStamp", wire.Payload, checks.times, "Time zone missing"),
    _row(12, "@PTU-Duration", _GRID, checks.ptu_duration, "PTU duration rejected", Need.MARKET),
    _row(13, "@TimeZone", _GRID, checks.time_zone, "Time zone rejected", Need.MARKET),
    _row(14, "@CongestionPoint", _DAILY, checks.congestion_point, "Invalid congestion point", Need.MARKET),
    _row(15, "PrognosisType", wire.Prognosis, checks.prognosis_type, "Prognosis type rejected"),
    _row(16, "CommonReferenceUpdate", wire.CommonReferenceUpdate, checks.entity, "Entity rejected"),
    _row(17, "@Start", _PTUS, checks.ptus_out_of_bounds, "PTUs out of bounds", Need.MARKET),
    _row(18, "@Duration", _PTUS, checks.ptu_conflict, "PTU conflict"),
    _row(19, "Period", _PTUS, checks.period_out_of_bounds, "Period out of bounds"),
    _row(20, "Period", _RANGE, checks.range_rejected, "Period rejected"),
    _row(21, "@ExpirationDateTime", wire.Flex, checks.expiration_out_of_bounds, "ExpirationDateTime out of bounds"),
    _row(22, "FlexOffer", wire.Flex, checks.no_ptus, "No PTUs"),
    _row(23, "Prognosis", wire.Prognosis, checks.lacking_ptus, "Lacking PTUs"),
    _row(24, "@Disposition", _DAILY, checks.disposition, "Disposition rejected"),
    _row(25, "@Price", _DAILY, checks.price, "Price rejected"),
    _row(26, "PrognosisResponse", _DAILY, checks.power_value, "Power value rejection", Need.MARKET),
    _row(
        27,
        "PrognosisResponse and FlexRequestResponse",
        (wire.Prognosis, wire.FlexRequest),
        checks.subordinate,
        "Subordinate sequence number",
        Need.SEQUENCE,
    ),
    _row(28, "FlexRequestResponse", wire.FlexRequest, checks.lacking_requested, "Lacking Requested Disposition"),
    _row(29, "FlexRequestResponse", wire.FlexRequest, checks.lacking_available, "Lacking Available Disposition"),
    _row(30, "FlexRequestResponse", wire.FlexRequest, checks.not_latest, "Not the latest prognosis", Need.PROGNOSIS),
    _row(31, "FlexRequest, FlexOffer and FlexOrder", _REFERRING, checks.origin, "Reference origin rejected"),
    _row(
        32,
        "FlexOfferResponse and FlexOrderResponse",
        (*_REFERRING, wire.FlexOfferRevocation),
        checks.unknown_reference,
        "Unknown reference",
        Need.PAST,
    ),
    _row(33, "Period", _REFERRING, checks.reference_period, "Reference Period mismatch", Need.PAST),
    _row(
        34,
        "@ExpirationDateTime",
        (wire.FlexOffer, wire.FlexOrder),
        checks.reference_expired,
        "Reference message expired",
        Need.PAST,
    ),
    _row(
        35,
        "FlexOfferRevocation",
        (wire.FlexOrder, wire.FlexOfferRevocation),
        checks.reference_revoked,
        "Reference message revoked",
        Need.PAST,
    ),
    _row(36, "FlexOrderResponse", wire.FlexOrder, checks.procured, "Flexibility procured", Need.PAST),
    _row(37, "FlexOfferRevocation", wire.FlexOfferRevocation, checks.in_operation, "Operate phase", Need.PAST),
    _row(38, "FlexOfferResponse", wire.FlexOffer, checks.request_mismatch, "Request mismatch", Need.PAST),
    _row(39, "ISO4217Currency", _PRICED, checks.currency, "Currency rejected", Need.MARKET),
    _row(40, "FlexOrder", wire.FlexOrder, checks.ptu_mismatch, "PTU mismatch", Need.PAST),
    _row(41, "FlexOrder", wire.FlexOrder, checks.power_mismatch, "Power mismatch", Need.PAST),
    _row(42, "FlexOrder", wire.FlexOrder, checks.price_mismatch, "Price mismatch", Need.PAST),
    _row(43, "PTU-Settlement", wire.SettlementMessage, checks.net_settlement, "Net settlement rejected"),
    _row(
        44, "SettlementMessage", wire.SettlementMessage, checks.missing_items, "Missing Settlement Items", Need.ORDERS
    ),
    _row(45, "ConnectionMeterData", wire.MeterDataQueryResponse, checks.meter_data, "Meter data rejected"),
    _row(46, "EntityAddress", wire.Payload, checks.entity_address, "Entity address rejected"),
)
"""Every rule.

Interpretation: the schema's "should", "expected" and "rejection is allowed" are taken as rules; a revision with an
equal Sequence is refused ("incremented each time"); an order's list is the same where it says the same of every PTU;
the flex messages that may be without a CongestionPoint are all those between AGR and BRP.
"""


def findings(message: wire.Payload, seen: Seen, *, off: Collection[str] = ()) -> list[Broken]:
    """Every place where the message breaks a rule, given what was looked up, in the order of the table."""
    return judged(RULES, message, seen, off=off, at=type(message).__name__)
