"""The rules of UFTP: one row each, with the words of the rejection that the standard prescribes.

Rows 1 to 8 are about a delivery by HTTP, all others about a message. A row's `judge` sees what was looked up (`Seen`);
what was not looked up it lets pass. So `check`, which sees the message alone with its TimeStamp as now, is the same
row. Several rejections are joined by ";" (`reason`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import cache
from typing import Any, Final

from flexhub.protocols.rules import Broken, Finding, Judged, judged
from flexhub.protocols.uftp import checks
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.codec import UftpCodec
from flexhub.protocols.uftp.envelope import Delivery, Failed, open_delivery
from flexhub.protocols.uftp.seen import Need, Seen, alone

Judge = Callable[[Any, Seen], Iterator[Finding]]


_CODEC: Final = UftpCodec()


def _delivery(number: int, reject: str, clause: str) -> Judged[Any]:
    """A row about a delivery: broken where opening it fails at this rule."""
    name = f"UFTP-{number:02}"

    def judge(delivery: Delivery, seen: Seen | None = None) -> Iterator[Finding]:  # noqa: ARG001 - as every check
        found = open_delivery(delivery, _CODEC)
        if isinstance(found, Failed) and found.rule == name:
            yield Finding(found.path, found.message)

    return Judged(
        id=f"UFTP-{number:02}", clause=f"3.1.0 {clause}", of=Delivery, check=judge, judge=judge, reject=reject
    )


def _row(
    number: int | str,
    clause: str,
    of: type[Any] | tuple[type[Any], ...],
    judge: Judge,
    reject: str,
    *needs: Need,
) -> Judged[Any]:
    def check(message: wire.Payload) -> Iterator[Finding]:
        return judge(message, alone(message))

    name = f"UFTP-{number:02}" if isinstance(number, int) else f"UFTP-{number}"
    return Judged(id=name, clause=f"3.1.0 {clause}", of=of, check=check, judge=judge, reject=reject, needs=needs)


_ISPS: Final = (wire.Flex, wire.Metering, wire.FlexSettlement)
_ZONED: Final = (
    wire.Flex,
    wire.Metering,
    wire.AGRPortfolioUpdate,
    wire.AGRPortfolioQuery,
    wire.AGRPortfolioQueryResponse,
    wire.DSOPortfolioUpdate,
    wire.DSOPortfolioQuery,
    wire.DSOPortfolioQueryResponse,
)
_REFERRING: Final = (wire.FlexOffer, wire.FlexOfferRevocation, wire.FlexOrder)
_PRICED: Final = (wire.FlexOffer, wire.FlexOrder, wire.FlexSettlement, wire.Metering)
_TO_CRO: Final = (wire.AGRPortfolioUpdate, wire.AGRPortfolioQuery, wire.DSOPortfolioUpdate, wire.DSOPortfolioQuery)

RULES: Final[tuple[Judged[Any], ...]] = (
    _delivery(1, "411 Length Required", "Appendix 4, error handling"),
    _delivery(2, "400 Bad Request: not text/xml", "Appendix 4, error handling"),
    _delivery(3, "400 Bad Request: not utf-8", "Appendix 4, error handling"),
    _delivery(4, "429 Too Many Requests", "Appendix 4, error handling"),
    _delivery(5, "400 Bad Request: not an envelope", "Appendix 4, error handling"),
    _delivery(6, "419 Authentication Timeout", "Appendix 4, error handling"),
    _delivery(7, "401 Unauthorized", "Appendix 4, error handling"),
    _delivery(8, "400 Bad Request: not a message", "Appendix 4, error handling"),
    _row(9, "section 3.5", wire.Payload, checks.invalid_sender, "Invalid Sender"),
    _row(10, "section 3.5", wire.Payload, checks.invalid_message, "Invalid Message", Need.MARKET, Need.PAST),
    _row(11, "section 3.5", wire.Payload, checks.unknown_recipient, "Unknown Recipient", Need.MARKET),
    _row(12, "section 3.5", wire.Payload, checks.barred_sender, "Barred Sender", Need.PEER),
    _row(13, "section 3.5", wire.Payload, checks.duplicate_identifier, "Duplicate Identifier", Need.SAME),
    _row(14, "section 3.5", wire.Payload, checks.already_submitted, "Already Submitted", Need.SAME),
    _row(15, "section 3.5", (wire.Flex, wire.Metering), checks.isp_duration, "ISP duration rejected", Need.MARKET),
    _row(16, "section 3.5", _ZONED, checks.time_zone, "Time zone rejected", Need.MARKET),
    _row(17, "section 3.5", wire.Flex, checks.congestion_point, "Invalid congestion point", Need.MARKET),
    _row(18, "section 3.5", _REFERRING, checks.unknown_reference, "Unknown reference {path}", Need.PAST),
    _row(19, "section 3.5", wire.Flex, checks.reference_period, "Reference Period mismatch", Need.PAST),
    _row(
        20,
        "section 3.5",
        (wire.FlexOffer, wire.FlexOrder),
        checks.reference_expired,
        "Reference message expired",
        Need.PAST,
    ),
    _row(21, "section 3.5", _REFERRING, checks.reference_revoked, "Reference message revoked", Need.PAST),
    _row(22, "section 3.5", _ISPS, checks.isps_out_of_bounds, "ISPs out of bounds"),
    _row(23, "section 3.5", _ISPS, checks.isp_conflict, "ISP conflict"),
    _row(24, "section 3.5", _ISPS, checks.period_out_of_bounds, "Period out of bounds"),
    _row(
        25,
        "section 3.5",
        (wire.FlexRequest, wire.FlexOffer),
        checks.expiration_out_of_bounds,
        "ExpirationDateTime out of bounds",
    ),
    _row(26, "Appendix 4, versions", wire.Payload, checks.version, "Version rejected", Need.MARKET),
    _row(27, "section 3.6 to 3.10", wire.Payload, checks.role, "Role rejected", Need.MARKET, Need.PEER),
    _row(28, "section 3.7.3", wire.FlexReservationUpdate, checks.deadline_expired, "Deadline expired", Need.MARKET),
    _row(29, "section 3.8", wire.Flex, checks.power_value, "Power value rejection", Need.MARKET),
    _row(30, "section 3.8.1", wire.DPrognosis, checks.lacking_isps, "Lacking ISPs"),
    _row(
        31,
        "section 3.8.1",
        (wire.DPrognosis, wire.FlexRequest, wire.Metering),
        checks.subordinate,
        "Subordinate sequence number",
        Need.REVISION,
    ),
    _row(32, "section 3.8.2", wire.FlexRequest, checks.lacking_requested, "Lacking Requested Disposition"),
    _row(33, "section 3.8.2", wire.FlexRequest, checks.requested_power, "Requested Power discrepancy"),
    _row(34, "section 3.8.2", wire.FlexRequest, checks.power_discrepancy, "Power discrepancy"),
    _row(35, "section 3.8.3", wire.FlexOffer, checks.no_baseline, "No baseline", Need.MARKET),
    _row(36, "section 3.8.3", wire.FlexOffer, checks.request_mismatch, "Request mismatch", Need.PAST),
    _row(37, "section 3.8.3", wire.FlexOffer, checks.mutex_offers, "No MutEx offer support", Need.MARKET),
    _row(
        38,
        "sections 4.2.18 and 4.2.21",
        (wire.FlexOffer, wire.FlexOrder),
        checks.solicited,
        "Unsolicited and reference exclude each other",
    ),
    _row(39, "section 4.2 ISO4217Currency", _PRICED, checks.currency, "Currency rejected", Need.MARKET),
    _row(
        40,
        "sections 3.8.4 and 3.8.5",
        (wire.FlexOfferRevocation, wire.FlexOrder),
        checks.procured,
        "Flexibility procured",
        Need.PAST,
    ),
    _row(41, "section 4.2.20", wire.FlexOfferRevocation, checks.own_offer, "Not the sender of the offer", Need.PAST),
    _row(42, "section 3.8.5", wire.FlexOrder, checks.isp_mismatch, "ISP mismatch", Need.PAST),
    _row(43, "section 3.8.5", wire.FlexOrder, checks.power_mismatch, "Power mismatch", Need.PAST),
    _row(44, "section 3.8.5", wire.FlexOrder, checks.price_mismatch, "Price mismatch", Need.PAST),
    _row(45, "section 4.2.21", wire.FlexOrder, checks.activation_factor, "ActivationFactor rejected", Need.PAST),
    _row(46, "section 4.2.21", wire.FlexOrder, checks.option_reference, "Unknown reference {path}", Need.PAST),
    _row(47, "section 3.10.1", wire.FlexSettlement, checks.missing_items, "Missing Settlement Items", Need.ORDERS),
    _row(48, "section 3.10.1", wire.FlexSettlement, checks.settlement_period, "{path} rejected", Need.MARKET),
    _row("49a", "sections 3.6 and 3.7", _TO_CRO, checks.unauthorized, "Unauthorized", Need.MARKET, Need.PEER),
    _row(
        "49b",
        "section 3.7",
        (wire.AGRPortfolioQuery, wire.DSOPortfolioQuery),
        checks.no_connections,
        "No connections available",
        Need.PLACES,
    ),
    _row(
        "49c",
        "section 3.6.1",
        wire.DSOPortfolioUpdate,
        checks.connection_conflict,
        "Connection conflict: {message}",
        Need.PLACES,
    ),
    _row(50, "Appendix 4, EA1 addressing scheme", wire.Payload, checks.entity_address, "Entity address rejected"),
)
"""Every rule. Rows 26, 27, 38, 39, 41, 45 and 50 have no words in the standard; these are ours."""


@cache
def _rows(kind: type) -> tuple[Judged[Any], ...]:
    return tuple(rule for rule in RULES if issubclass(kind, rule.of))


def findings(message: wire.Payload, seen: Seen, *, off: Collection[str] = ()) -> list[Broken]:
    """Every place where the message breaks a rule, given what was looked up, in the order of the table."""
    return judged(_rows(type(message)), message, seen, off=off, at=wire.element(type(message)))


MOST_DETAILS: Final = 10
"""Findings that a RejectionReason tells in full."""
_REJECTS: Final = {rule.id: rule.reject for rule in RULES}


def reason(broken: list[Broken]) -> str:
    """The RejectionReason of some findings: the words of the standard, each once, then what and where, with ";".

    Interpretation: the standard prescribes words and lets others follow, and words some rules not at all; so those of
    the standard come first, and a reason of somebody else's is looked through for them, in any case.
    """
    words = (_REJECTS[found.rule].format(path=found.path.rpartition("@")[2], message=found.message) for found in broken)
    told = [f"{found.path}: {found.message}" for found in broken[:MOST_DETAILS]]
    if len(broken) > MOST_DETAILS:
        told.append(f"and {len(broken) - MOST_DETAILS} more")
    return "; ".join(dict.fromkeys((*dict.fromkeys(words), *told)))
