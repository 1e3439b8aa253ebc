"""Every message of UFTP 3.0.0 and 3.1.0, named as in the standard (snake_case of its own words).

One set of types: where the versions differ, a field says so (`since` 3.1.0, or required `until` it). Power is whole
watts (``..._w``), positive = consumption; times, days and durations are text in the sender's spelling. A field without
a default is mandatory, None is an absent attribute. An attribute's name on the wire is the field's encoded name.
"""

from __future__ import annotations

import enum
from decimal import Decimal
from typing import Annotated, Final

import msgspec

from flexhub.protocols.uftp.simple import (
    ActivationFactor,
    Amount,
    Base64,
    Boolean,
    Currency,
    Date,
    DateTime,
    Domain,
    Duration,
    Ean,
    EntityAddress,
    Integer,
    Long,
    Number,
    PositiveInteger,
    Text,
    TimeZoneName,
    Uuid,
    Version,
    one_of,
)

VERSIONS: Final = ("3.0.0", "3.1.0")


class Column(enum.Enum):
    """Which versions know a field, or demand it."""

    SINCE_3_1 = "since 3.1.0"
    REQUIRED_UNTIL_3_1 = "mandatory in 3.0.0"


class Role(enum.StrEnum):
    """USEF-RoleType: aggregator, common reference operator, distribution system operator."""

    AGR = "AGR"
    CRO = "CRO"
    DSO = "DSO"


class RedispatchBy(enum.StrEnum):
    """Who answers for redispatch."""

    AGR = "AGR"
    DSO = "DSO"


class Result(enum.StrEnum):
    """AcceptedRejectedType."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"


class Disposition(enum.StrEnum):
    """AvailableRequestedType."""

    AVAILABLE = "Available"
    REQUESTED = "Requested"


class Verdict(enum.StrEnum):
    """AcceptedDisputedType."""

    ACCEPTED = "Accepted"
    DISPUTED = "Disputed"


class ProfileType(enum.StrEnum):
    """MeteringProfileEnum."""

    POWER = "Power"
    IMPORT_ENERGY = "ImportEnergy"
    EXPORT_ENERGY = "ExportEnergy"
    IMPORT_METER_READING = "ImportMeterReading"
    EXPORT_METER_READING = "ExportMeterReading"


class Unit(enum.StrEnum):
    """MeteringUnitType."""

    KW = "kW"
    KWH = "kWh"


_NAMES: Final = {
    "isps": "ISP",
    "isp_duration": "ISP-Duration",
    "ean": "EAN",
    "connections": "Connection",
    "congestion_points": "CongestionPoint",
    "dso_views": "DSO-View",
    "dso_portfolios": "DSO-Portfolio",
    "dso_domain": "DSO-Domain",
    "agr_domain": "AGR-Domain",
    "offer_options": "OfferOption",
    "profiles": "Profile",
    "periods": "Period",
    "flex_order_statuses": "FlexOrderStatus",
    "flex_order_settlements": "FlexOrderSettlement",
    "contract_settlements": "ContractSettlement",
    "flex_order_settlement_statuses": "FlexOrderSettlementStatus",
    "agr_portfolio_update_message_id": "AGRPortfolioUpdateMessageID",
    "agr_portfolio_query_message_id": "AGRPortfolioQueryMessageID",
    "dso_portfolio_update_response_message_id": "DSOPortfolioUpdateResponseMessageID",
    "dso_portfolio_query_message_id": "DSOPortfolioQueryMessageID",
    "d_prognosis_message_id": "D-PrognosisMessageID",
}


def wire_name(field: str) -> str:
    """The standard's name of a field: CamelCase without the unit, but for what `_NAMES` says."""
    words = field.removesuffix("_w").split("_")
    return _NAMES.get(field) or "".join("ID" if word == "id" else word.capitalize() for word in words)


class Wire(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name, omit_defaults=True, gc=False):
    """Base of elements: fields of simple types are attributes, tuples of structs are child elements, in order."""


_ONE: Final = msgspec.Meta(min_length=1)
_AT_MOST_ONE: Final = msgspec.Meta(max_length=1)


class SignedMessage(Wire, frozen=True, kw_only=True):
    """The envelope: `body` is base64 of the signed inner message."""

    sender_domain: Domain
    sender_role: Annotated[Role, one_of(Role)]
    body: Base64


class Payload(Wire, frozen=True, kw_only=True):
    """What every inner message has."""

    version: Version
    sender_domain: Domain
    recipient_domain: Domain
    time_stamp: DateTime
    message_id: Uuid
    conversation_id: Uuid


class Response(Payload, frozen=True, kw_only=True):
    """What every answer has, but for TestMessageResponse."""

    result: Annotated[Result, one_of(Result)]
    rejection_reason: Text | None = None


class TestMessage(Payload, frozen=True, kw_only=True):
    """Asks whether anybody is there."""


class TestMessageResponse(Payload, frozen=True, kw_only=True):
    """Says yes. Interpretation: it has no Result, as in the schema; so a TestMessage cannot be refused by one."""


class Flex(Payload, frozen=True, kw_only=True):
    """What messages about the ISPs of one local day at one congestion point have."""

    isp_duration: Duration
    time_zone: TimeZoneName
    period: Date
    congestion_point: EntityAddress


class Isp(Wire, frozen=True, kw_only=True):
    """`duration` ISPs from number `start` on (the first of a day is 1), each of this power."""

    power_w: Integer
    start: PositiveInteger
    duration: PositiveInteger = 1


class PrognosisIsp(Wire, frozen=True, kw_only=True):
    """As `Isp`; the schema lets the numbers be zero or negative here, the rules don't."""

    power_w: Integer
    start: Integer
    duration: Integer = 1


class DPrognosis(Flex, frozen=True, kw_only=True):
    """What an AGR expects at a congestion point."""

    revision: Long
    isps: Annotated[tuple[PrognosisIsp, ...], _ONE]


class FlexOrderStatus(Wire, frozen=True, kw_only=True):
    """Whether a prognosis reflects an order."""

    flex_order_message_id: Uuid
    is_validated: Boolean


class DPrognosisResponse(Response, frozen=True, kw_only=True):
    """Answer to D-Prognosis."""

    d_prognosis_message_id: Uuid
    flex_order_statuses: tuple[FlexOrderStatus, ...] = ()


class FlexReservationUpdate(Flex, frozen=True, kw_only=True):
    """Which power of a bilateral contract stays reserved."""

    contract_id: Text
    reference: Text
    isps: Annotated[tuple[Isp, ...], _ONE]


class FlexReservationUpdateResponse(Response, frozen=True, kw_only=True):
    """Answer to FlexReservationUpdate."""

    flex_reservation_update_message_id: Uuid


class FlexRequestIsp(Wire, frozen=True, kw_only=True):
    """Least and greatest deviation from the baseline that is requested, or available."""

    disposition: Annotated[Disposition, one_of(Disposition)] | None = None
    min_power_w: Integer
    max_power_w: Integer
    start: PositiveInteger
    duration: PositiveInteger = 1


class FlexRequest(Flex, frozen=True, kw_only=True):
    """What a DSO asks for."""

    revision: Long
    expiration_date_time: DateTime
    contract_id: Text | None = None
    service_type: Text | None = None
    isps: Annotated[tuple[FlexRequestIsp, ...], _ONE]


class FlexRequestResponse(Response, frozen=True, kw_only=True):
    """Answer to FlexRequest."""

    flex_request_message_id: Uuid


class OfferOption(Wire, frozen=True, kw_only=True):
    """One of the options of which at most one is ordered: a deviation from the baseline, at one price for all of it."""

    option_reference: Text
    price: Amount
    min_activation_factor: ActivationFactor = Decimal(1)
    isps: Annotated[tuple[Isp, ...], _ONE]


class FlexOffer(Flex, frozen=True, kw_only=True):
    """What an AGR offers."""

    expiration_date_time: DateTime
    unsolicited: Annotated[Boolean | None, Column.SINCE_3_1] = None
    flex_request_message_id: Uuid | None = None
    contract_id: Text | None = None
    d_prognosis_message_id: Uuid | None = None
    baseline_reference: Text | None = None
    currency: Currency
    offer_options: Annotated[tuple[OfferOption, ...], _ONE]


class FlexOfferResponse(Response, frozen=True, kw_only=True):
    """Answer to FlexOffer."""

    flex_offer_message_id: Uuid


class FlexOfferRevocation(Payload, frozen=True, kw_only=True):
    """Takes an offer back."""

    flex_offer_message_id: Uuid


class FlexOfferRevocationResponse(Response, frozen=True, kw_only=True):
    """Answer to FlexOfferRevocation."""

    flex_offer_revocation_message_id: Uuid


class FlexOrder(Flex, frozen=True, kw_only=True):
    """What a DSO buys: an option of an offer, or (unsolicited, 3.1.0) what a contract lets it order."""

    unsolicited: Annotated[Boolean | None, Column.SINCE_3_1] = None
    flex_offer_message_id: Annotated[Uuid | None, Column.REQUIRED_UNTIL_3_1] = None
    service_type: Annotated[Text | None, Column.SINCE_3_1] = None
    contract_id: Text | None = None
    d_prognosis_message_id: Uuid | None = None
    baseline_reference: Text | None = None
    price: Amount
    currency: Currency
    order_reference: Text
    option_reference: Text | None = None
    activation_factor: ActivationFactor = Decimal(1)
    isps: Annotated[tuple[Isp, ...], _ONE]


class FlexOrderResponse(Response, frozen=True, kw_only=True):
    """Answer to FlexOrder."""

    flex_order_message_id: Uuid


class SettlementIsp(Wire, frozen=True, kw_only=True):
    """What was ordered and delivered in some ISPs."""

    start: PositiveInteger
    duration: PositiveInteger = 1
    baseline_power_w: Integer
    ordered_flex_power_w: Integer
    actual_power_w: Integer
    delivered_flex_power_w: Integer
    power_deficiency_w: Integer = 0


class FlexOrderSettlement(Wire, frozen=True, kw_only=True):
    """What one order came to: `net_settlement` is `price` minus `penalty`."""

    order_reference: Text | None = None
    period: Date
    contract_id: Text | None = None
    d_prognosis_message_id: Uuid | None = None
    baseline_reference: Text | None = None
    congestion_point: EntityAddress
    price: Amount
    penalty: Amount = Decimal(0)
    net_settlement: Amount
    isps: Annotated[tuple[SettlementIsp, ...], _ONE]


class ContractSettlementIsp(Wire, frozen=True, kw_only=True):
    """What a contract reserved, and what came of it."""

    start: PositiveInteger
    duration: PositiveInteger = 1
    reserved_power_w: Integer
    requested_power_w: Integer | None = None
    available_power_w: Integer | None = None
    offered_power_w: Integer | None = None
    ordered_power_w: Integer | None = None


class ContractSettlementPeriod(Wire, frozen=True, kw_only=True):
    """One day of a contract."""

    period: Date
    isps: Annotated[tuple[ContractSettlementIsp, ...], _ONE]


class ContractSettlement(Wire, frozen=True, kw_only=True):
    """What one contract came to."""

    contract_id: Text | None = None
    periods: Annotated[tuple[ContractSettlementPeriod, ...], _ONE]


class FlexSettlement(Response, frozen=True, kw_only=True):
    """What a DSO pays for. Interpretation: the schema demands a Result of it; ours says Accepted."""

    period_start: Date
    period_end: Date
    currency: Currency
    flex_order_settlements: Annotated[tuple[FlexOrderSettlement, ...], _ONE]
    contract_settlements: Annotated[tuple[ContractSettlement, ...], _ONE]


class FlexOrderSettlementStatus(Wire, frozen=True, kw_only=True):
    """Whether the AGR accepts what one order came to."""

    order_reference: Text | None = None
    disposition: Annotated[Verdict, one_of(Verdict)]
    dispute_reason: Text | None = None


class FlexSettlementResponse(Response, frozen=True, kw_only=True):
    """Answer to FlexSettlement."""

    flex_settlement_message_id: Uuid
    flex_order_settlement_statuses: Annotated[tuple[FlexOrderSettlementStatus, ...], _ONE]


class MeteringIsp(Wire, frozen=True, kw_only=True):
    """The value of one ISP, in the profile's unit."""

    start: Integer
    value: Number


class MeteringProfile(Wire, frozen=True, kw_only=True):
    """Values of one kind."""

    profile_type: Annotated[ProfileType, one_of(ProfileType)]
    unit: Annotated[Unit, one_of(Unit)]
    isps: Annotated[tuple[MeteringIsp, ...], _ONE]


class Metering(Payload, frozen=True, kw_only=True):
    """What a meter told of one local day."""

    revision: Long
    isp_duration: Duration
    time_zone: TimeZoneName
    currency: Currency | None = None
    period: Date
    ean: Ean
    profiles: Annotated[tuple[MeteringProfile, ...], _ONE]


class MeteringResponse(Response, frozen=True, kw_only=True):
    """Answer to Metering."""

    metering_message_id: Uuid


class DatedConnection(Wire, frozen=True, kw_only=True):
    """A connection from one day to another, or for good."""

    entity_address: EntityAddress
    start_period: Date
    end_period: Date | None = None


class AGRPortfolioUpdate(Payload, frozen=True, kw_only=True):
    """Which connections an AGR stands for."""

    time_zone: TimeZoneName
    connections: Annotated[tuple[DatedConnection, ...], _ONE]


class AGRPortfolioUpdateResponse(Response, frozen=True, kw_only=True):
    """Answer to AGRPortfolioUpdate."""

    agr_portfolio_update_message_id: Uuid


class AGRPortfolioQuery(Payload, frozen=True, kw_only=True):
    """An AGR asks for its connections, by congestion point."""

    time_zone: TimeZoneName
    period: Date


class BareConnection(Wire, frozen=True, kw_only=True):
    """A connection."""

    entity_address: EntityAddress


class PortfolioCongestionPoint(Wire, frozen=True, kw_only=True):
    """A congestion point with connections of the AGR."""

    entity_address: EntityAddress
    mutex_offers_supported: Boolean
    day_ahead_redispatch_by: Annotated[RedispatchBy, one_of(RedispatchBy)]
    intraday_redispatch_by: Annotated[RedispatchBy, one_of(RedispatchBy)] | None = None
    connections: Annotated[tuple[BareConnection, ...], _ONE]


class DSOPortfolio(Wire, frozen=True, kw_only=True):
    """The congestion points of one DSO."""

    dso_domain: Domain
    congestion_points: Annotated[tuple[PortfolioCongestionPoint, ...], _ONE]


class DSOView(Wire, frozen=True, kw_only=True):
    """Connections by DSO, and those that belong to none."""

    dso_portfolios: Annotated[tuple[DSOPortfolio, ...], _ONE]
    connections: tuple[BareConnection, ...] = ()


class AGRPortfolioQueryResponse(Response, frozen=True, kw_only=True):
    """Answer to AGRPortfolioQuery."""

    time_zone: TimeZoneName
    agr_portfolio_query_message_id: Uuid
    period: Date
    dso_views: Annotated[tuple[DSOView, ...], _ONE]


class UpdatedCongestionPoint(Wire, frozen=True, kw_only=True):
    """A congestion point on which a DSO trades."""

    entity_address: EntityAddress
    start_period: Date
    end_period: Date | None = None
    mutex_offers_supported: Boolean
    day_ahead_redispatch_by: Annotated[RedispatchBy, one_of(RedispatchBy)]
    intraday_redispatch_by: Annotated[RedispatchBy, one_of(RedispatchBy)] | None = None
    connections: Annotated[tuple[DatedConnection, ...], _ONE]


class DSOPortfolioUpdate(Payload, frozen=True, kw_only=True):
    """On which congestion points a DSO trades."""

    time_zone: TimeZoneName
    congestion_points: Annotated[tuple[UpdatedCongestionPoint, ...], _ONE]


class DSOPortfolioUpdateResponse(Response, frozen=True, kw_only=True):
    """Answer to DSOPortfolioUpdate; the schema's name of the reference is as odd as it looks."""

    dso_portfolio_update_response_message_id: Uuid


class DSOPortfolioQuery(Payload, frozen=True, kw_only=True):
    """A DSO asks who stands for the connections of a congestion point."""

    time_zone: TimeZoneName
    period: Date
    entity_address: EntityAddress


class AgrConnection(Wire, frozen=True, kw_only=True):
    """A connection, and the AGR that stands for it."""

    entity_address: EntityAddress
    agr_domain: Domain | None = None


class QueriedCongestionPoint(Wire, frozen=True, kw_only=True):
    """The congestion point that was asked for."""

    entity_address: EntityAddress
    connections: Annotated[tuple[AgrConnection, ...], _ONE]


class DSOPortfolioQueryResponse(Response, frozen=True, kw_only=True):
    """Answer to DSOPortfolioQuery."""

    dso_portfolio_query_message_id: Uuid
    time_zone: TimeZoneName
    period: Date
    congestion_points: Annotated[tuple[QueriedCongestionPoint, ...], _AT_MOST_ONE] = ()


RESPONSES: Final[dict[type[Payload], type[Payload]]] = {
    TestMessage: TestMessageResponse,
    DPrognosis: DPrognosisResponse,
    FlexReservationUpdate: FlexReservationUpdateResponse,
    FlexRequest: FlexRequestResponse,
    FlexOffer: FlexOfferResponse,
    FlexOfferRevocation: FlexOfferRevocationResponse,
    FlexOrder: FlexOrderResponse,
    Metering: MeteringResponse,
    FlexSettlement: FlexSettlementResponse,
    AGRPortfolioUpdate: AGRPortfolioUpdateResponse,
    AGRPortfolioQuery: AGRPortfolioQueryResponse,
    DSOPortfolioUpdate: DSOPortfolioUpdateResponse,
    DSOPortfolioQuery: DSOPortfolioQueryResponse,
}
"""Message -> its answer. FlexSettlement is a message, though the schema gives it an answer's attributes."""

MESSAGES: Final[tuple[type[Payload], ...]] = (*RESPONSES, *RESPONSES.values())
"""Every inner message."""

SENDERS: Final[dict[type[Payload], tuple[frozenset[Role], frozenset[Role]]]] = {
    kind: (frozenset(map(Role, frm.split())), frozenset(map(Role, to.split())))
    for kind, frm, to in (
        (TestMessage, "AGR CRO DSO", "AGR CRO DSO"),
        (DPrognosis, "AGR", "DSO"),
        (FlexReservationUpdate, "DSO", "AGR"),
        (FlexRequest, "DSO", "AGR"),
        (FlexOffer, "AGR", "DSO"),
        (FlexOfferRevocation, "AGR", "DSO"),
        (FlexOrder, "DSO", "AGR"),
        (Metering, "AGR", "DSO"),
        (FlexSettlement, "DSO", "AGR"),
        (AGRPortfolioUpdate, "AGR", "CRO"),
        (AGRPortfolioQuery, "AGR", "CRO"),
        (DSOPortfolioUpdate, "DSO", "CRO"),
        (DSOPortfolioQuery, "DSO", "CRO"),
    )
}
"""Message -> (roles that send it, roles that take it); its answer goes the other way."""


def element(kind: type[msgspec.Struct]) -> str:
    """Name of the message's element."""
    return kind.__name__.replace("DPrognosis", "D-Prognosis")
