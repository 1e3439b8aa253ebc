"""Every message of USEF 2015 (schema 1.03), named as in the standard (snake_case of its own words).

Power is whole watts (``..._w``), positive = consumption but in `PtuMeterData`; times, days and durations are text in
the sender's spelling. A field without a default is mandatory, None is an absent attribute. An attribute's name on the
wire is the field's encoded name. Most messages may end with elements of other namespaces; they are kept.
"""

from __future__ import annotations

import enum
from decimal import Decimal
from typing import Annotated, Final

import msgspec

from flexhub.protocols.uftp import messages as uftp
from flexhub.protocols.uftp.messages import Disposition, Result, Verdict, Wire
from flexhub.protocols.uftp.simple import (
    Amount,
    Base64,
    Boolean,
    Currency,
    Date,
    DateTime,
    Domain,
    Duration,
    EntityAddress,
    Integer,
    Long,
    Text,
    TimeZoneName,
    Uuid,
    one_of,
)
from flexhub.protocols.usef2015.simple import AddressText, Foreign


class Role(enum.StrEnum):
    """USEF-Role: aggregator, balance responsible party, common reference operator, DSO, meter data company."""

    AGR = "AGR"
    BRP = "BRP"
    CRO = "CRO"
    DSO = "DSO"
    MDC = "MDC"


class Outcome(enum.StrEnum):
    """Disposition-SuccessFailure."""

    SUCCESS = "Success"
    FAILURE = "Failure"


class Status(enum.StrEnum):
    """MessageStatus: why an envelope was taken or refused."""

    INVALID_MESSAGE = "InvalidMessage"
    INVALID_SENDER = "InvalidSender"
    UNKNOWN_RECIPIENT = "UnknownRecipient"
    BARRED_SENDER = "BarredSender"
    DUPLICATE_IDENTIFIER = "DuplicateIdentifier"
    ALREADY_SUBMITTED = "AlreadySubmitted"
    SUBMITTED = "Submitted"


class Precedence(enum.StrEnum):
    """MessagePrecedence."""

    CRITICAL = "Critical"
    ROUTINE = "Routine"
    TRANSACTIONAL = "Transactional"


class Entity(enum.StrEnum):
    """CommonReferenceEntityType."""

    CONGESTION_POINT = "CongestionPoint"
    AGGREGATOR = "Aggregator"
    BRP = "BRP"


class PrognosisType(enum.StrEnum):
    """PrognosisType: of an AGR to its BRP (A-Plan) or to a DSO (D-Prognosis)."""

    A_PLAN = "A-Plan"
    D_PROGNOSIS = "D-Prognosis"


class QueryType(enum.StrEnum):
    """MeterDataQueryType."""

    ANY = "Any"
    USAGE = "Usage"
    EVENTS = "Events"


class EventType(enum.StrEnum):
    """MeterEventType."""

    CAPACITY_MANAGEMENT = "CapacityManagement"
    CONNECTION_INTERRUPTION = "ConnectionInterruption"
    CONNECTION_RESUMPTION = "ConnectionResumption"


_NAMES: Final = {
    "ptus": "PTU",
    "ptu_duration": "PTU-Duration",
    "ptu_settlements": "PTU-Settlement",
    "ptu_meter_data": "PTU-MeterData",
    "brp_domain": "BRP-Domain",
    "aggregators": "Aggregator",
    "connection_entity_addresses": "ConnectionEntityAddress",
    "connection_groups": "Connections",
    "connection_meter_events": "ConnectionMeterEvent",
    "meter_data_sets": "MeterDataSet",
    "extensions": "*",
}


def wire_name(field: str) -> str:
    """The standard's name of a field: as in UFTP, but for what `_NAMES` says."""
    return _NAMES.get(field) or uftp.wire_name(field)


class Element(Wire, frozen=True, kw_only=True, rename=wire_name, omit_defaults=True, gc=False):
    """Base of elements: fields of simple types are attributes, structs are child elements, in order."""


class Extension(Element, frozen=True, kw_only=True):
    """An element of another namespace, with all that is in it."""

    xml: Foreign


Extensions = tuple[Extension, ...]
_ONE: Final = msgspec.Meta(min_length=1)


class SignedMessage(Element, frozen=True, kw_only=True):
    """The envelope: `body` is base64 of the signed inner message."""

    sender_domain: Domain
    sender_role: Annotated[Role, one_of(Role)]
    body: Base64


class SignedMessageReply(Element, frozen=True, kw_only=True):
    """Whether an envelope's message was put into the queue of who got it; in UFTP an HTTP status says so."""

    message_id: Uuid
    result: Annotated[Result, one_of(Result)]
    status: Annotated[Status, one_of(Status)]


class MessageMetadata(Element, frozen=True, kw_only=True):
    """Who writes to whom, when and how urgently; after `valid_until` nobody needs to read it."""

    sender_domain: Domain
    sender_role: Annotated[Role, one_of(Role)]
    recipient_domain: Domain
    recipient_role: Annotated[Role, one_of(Role)]
    time_stamp: DateTime
    message_id: Uuid
    conversation_id: Uuid
    precedence: Annotated[Precedence, one_of(Precedence)]
    valid_until: DateTime | None = None


class Payload(Element, frozen=True, kw_only=True):
    """What every inner message has."""

    message_metadata: MessageMetadata


class Open(Payload, frozen=True, kw_only=True):
    """What every inner message but CommonReferenceQuery has."""

    extensions: Extensions = ()


class Response(Open, frozen=True, kw_only=True):
    """What answers have that accept or reject; `message` says why."""

    result: Annotated[Result, one_of(Result)]
    message: Text | None = None


class QueryResponse(Open, frozen=True, kw_only=True):
    """What answers to queries have; `message` says why one failed."""

    result: Annotated[Outcome, one_of(Outcome)]
    message: Text | None = None


class TestMessage(Open, frozen=True, kw_only=True):
    """Asks whether anybody is there."""


class TestMessageResponse(Open, frozen=True, kw_only=True):
    """Says yes."""


class Connection(Element, frozen=True, kw_only=True):
    """A connection; `is_customer` is whether the AGR that sends the update stands for it."""

    entity_address: EntityAddress
    is_customer: Boolean = False
    brp_domain: Domain | None = None
    agr_domain: Domain | None = None


class CommonReferenceUpdate(Open, frozen=True, kw_only=True):
    """Which connections belong to a congestion point (DSO), or to whom (BRP, AGR); none deletes the point."""

    entity: Annotated[Entity, one_of(Entity)]
    entity_address: EntityAddress | None = None
    connections: tuple[Connection, ...] = ()


class CommonReferenceUpdateResponse(Response, frozen=True, kw_only=True):
    """Answer to CommonReferenceUpdate."""

    entity_address: EntityAddress | None = None


class ConnectionAddress(Element, frozen=True, kw_only=True):
    """A connection, by nothing but its address."""

    entity_address: AddressText


class CommonReferenceQuery(Payload, frozen=True, kw_only=True):
    """Asks who stands for which connections; the one message that the schema lets nobody extend."""

    entity: Annotated[Entity, one_of(Entity)] = Entity.CONGESTION_POINT
    entity_address: EntityAddress | None = None
    connection_entity_addresses: tuple[ConnectionAddress, ...] = ()


class Aggregator(Element, frozen=True, kw_only=True):
    """For how many connections an AGR stands; without a domain, for how many nobody does."""

    domain: Domain | None = None
    connection_count: Integer


class CongestionPoint(Element, frozen=True, kw_only=True):
    """A congestion point with its connections."""

    entity_address: EntityAddress
    dso_domain: Domain | None = None
    connections: tuple[Connection, ...] = ()
    aggregators: tuple[Aggregator, ...] = ()
    extensions: Extensions = ()


class CommonReferenceQueryResponse(QueryResponse, frozen=True, kw_only=True):
    """Answer to CommonReferenceQuery."""

    congestion_points: tuple[CongestionPoint, ...] = ()
    connections: tuple[Connection, ...] = ()


class Ptu(Element, frozen=True, kw_only=True):
    """`duration` PTUs from number `start` on (the first of a day is 1); `disposition` in requests, `price` in offers.

    The schema lets the numbers be zero or negative.
    """

    disposition: Annotated[Disposition, one_of(Disposition)] | None = None
    power_w: Integer
    start: Integer
    duration: Integer = 1
    price: Amount | None = None


class Prognosis(Open, frozen=True, kw_only=True):
    """What an AGR expects of all PTUs of a day: an A-Plan, or at a congestion point a D-Prognosis."""

    type: Annotated[PrognosisType, one_of(PrognosisType)]
    ptu_duration: Duration
    period: Date
    time_zone: TimeZoneName
    congestion_point: EntityAddress | None = None
    sequence: Long
    ptus: Annotated[tuple[Ptu, ...], _ONE]


class FlexOrderStatus(Element, frozen=True, kw_only=True):
    """Whether a prognosis reflects an order."""

    sequence: Long
    is_validated: Boolean = False


class PrognosisResponse(Response, frozen=True, kw_only=True):
    """Answer to Prognosis."""

    prognosis_sequence: Long
    flex_order_statuses: tuple[FlexOrderStatus, ...] = ()


class Flex(Open, frozen=True, kw_only=True):
    """FlexBase: what messages about the PTUs of one local day have; `sequence` grows with every revision."""

    ptu_duration: Duration
    period: Date
    time_zone: TimeZoneName
    congestion_point: EntityAddress | None = None
    sequence: Long
    expiration_date_time: DateTime
    ptus: tuple[Ptu, ...] = ()


class FlexRequest(Flex, frozen=True, kw_only=True):
    """What a DSO or BRP asks for, on a prognosis."""

    prognosis_origin: Domain
    prognosis_sequence: Long


class FlexOffer(Flex, frozen=True, kw_only=True):
    """What an AGR offers on a request; without PTUs: nothing."""

    flex_request_origin: Domain
    flex_request_sequence: Long
    currency: Currency


class FlexOrder(Flex, frozen=True, kw_only=True):
    """What a DSO or BRP buys: the PTUs of an offer as they stand there."""

    flex_offer_origin: Domain
    flex_offer_sequence: Long
    currency: Currency
    order_reference: Text


class SequenceResponse(Response, frozen=True, kw_only=True):
    """What answers to requests, offers, revocations and orders have: the sequence that they are about."""

    sequence: Long


class FlexRequestResponse(SequenceResponse, frozen=True, kw_only=True):
    """Answer to FlexRequest."""


class FlexOfferResponse(SequenceResponse, frozen=True, kw_only=True):
    """Answer to FlexOffer."""


class FlexOfferRevocation(Open, frozen=True, kw_only=True):
    """Takes the offer of this sequence back, even if it is ordered."""

    sequence: Long


class FlexOfferRevocationResponse(SequenceResponse, frozen=True, kw_only=True):
    """Answer to FlexOfferRevocation; the sequence is the offer's."""


class FlexOrderResponse(SequenceResponse, frozen=True, kw_only=True):
    """Answer to FlexOrder."""


class PtuSettlement(Element, frozen=True, kw_only=True):
    """What was ordered and delivered in some PTUs; `net_settlement` is `price` minus `penalty`."""

    start: Integer
    duration: Integer = 1
    prognosis_power_w: Integer
    ordered_flex_power_w: Integer
    price: Amount
    actual_power_w: Integer
    delivered_flex_power_w: Integer
    power_deficiency_w: Integer = 0
    penalty: Amount = Decimal(0)
    net_settlement: Amount


class FlexOrderSettlement(Element, frozen=True, kw_only=True):
    """What one order came to."""

    period: Date
    order_reference: Text
    congestion_point: EntityAddress | None = None
    ptu_settlements: Annotated[tuple[PtuSettlement, ...], _ONE]
    extensions: Extensions = ()


class SettlementMessage(Open, frozen=True, kw_only=True):
    """What a DSO or BRP pays for, from the first day of a period to its last."""

    time_zone: TimeZoneName
    period_start: Date
    period_end: Date
    reference: Text
    ptu_duration: Duration
    currency: Currency
    flex_order_settlements: Annotated[tuple[FlexOrderSettlement, ...], _ONE]


class FlexOrderSettlementStatus(Element, frozen=True, kw_only=True):
    """Whether the AGR accepts what one order came to."""

    order_reference: Text
    disposition: Annotated[Verdict, one_of(Verdict)]


class SettlementMessageResponse(Response, frozen=True, kw_only=True):
    """Answer to SettlementMessage."""

    reference: Text
    flex_order_settlement_statuses: Annotated[tuple[FlexOrderSettlementStatus, ...], _ONE]


class ConnectionGroup(Element, frozen=True, kw_only=True):
    """The element Connections: those that belong to a congestion point or BRP, the `parent`."""

    parent: Text
    connections: tuple[ConnectionAddress, ...] = ()


class MeterDataQuery(Open, frozen=True, kw_only=True):
    """Asks an MDC what was metered, from the first day of a range to its last."""

    date_range_start: Date
    date_range_end: Date
    query_type: Annotated[QueryType, one_of(QueryType)] = QueryType.USAGE
    connection_groups: tuple[ConnectionGroup, ...] = ()


class PtuMeterData(Element, frozen=True, kw_only=True):
    """What was metered in some PTUs.

    Here, says the schema's text, negative power is consumption: the other way round than in every other element.
    """

    power_w: Integer
    start: Integer
    duration: Integer = 1


class ConnectionMeterData(Element, frozen=True, kw_only=True):
    """What was metered at a connection, or at `entity_count` connections of one AGR together."""

    entity_address: EntityAddress | None = None
    entity_count: Integer | None = None
    agr_domain: Domain | None = None
    ptu_meter_data: tuple[PtuMeterData, ...] = ()
    extensions: Extensions = ()


class ConnectionMeterEvent(Element, frozen=True, kw_only=True):
    """What befell a connection; `event_data` is the power in watts to which it is held, None: no longer held."""

    entity_address: EntityAddress
    event_type: Annotated[EventType, one_of(EventType)]
    event_data: Integer | None = None
    event_date_time: DateTime


class MeterData(Element, frozen=True, kw_only=True):
    """What was metered on one day."""

    period: Date
    connection_meter_data: tuple[ConnectionMeterData, ...] = ()
    connection_meter_events: tuple[ConnectionMeterEvent, ...] = ()
    extensions: Extensions = ()


class MeterDataSet(Element, frozen=True, kw_only=True):
    """Days of a congestion point or BRP; its `entity_address` may be any text, as the parent's of a query."""

    entity_address: Text
    meter_data: tuple[MeterData, ...] = ()


class MeterDataQueryResponse(QueryResponse, frozen=True, kw_only=True):
    """Answer to MeterDataQuery."""

    date_range_start: Date
    date_range_end: Date
    query_type: Annotated[QueryType, one_of(QueryType)]
    meter_data_sets: tuple[MeterDataSet, ...] = ()


RESPONSES: Final[dict[type[Payload], type[Payload]]] = {
    TestMessage: TestMessageResponse,
    CommonReferenceUpdate: CommonReferenceUpdateResponse,
    CommonReferenceQuery: CommonReferenceQueryResponse,
    Prognosis: PrognosisResponse,
    FlexRequest: FlexRequestResponse,
    FlexOffer: FlexOfferResponse,
    FlexOfferRevocation: FlexOfferRevocationResponse,
    FlexOrder: FlexOrderResponse,
    SettlementMessage: SettlementMessageResponse,
    MeterDataQuery: MeterDataQueryResponse,
}
"""Message -> its answer."""

MESSAGES: Final[tuple[type[Payload], ...]] = (*RESPONSES, *RESPONSES.values())
"""Every inner message."""

ENVELOPES: Final[tuple[type[Element], ...]] = (SignedMessage, SignedMessageReply)
"""What stands around an inner message, and what is said of it at once."""

_FLEX: Final = "AGR-BRP AGR-DSO"
_BUYING: Final = "BRP-AGR DSO-AGR"
WAYS: Final[dict[type[Payload], frozenset[tuple[Role, Role]]]] = {
    kind: frozenset((Role(way[:3]), Role(way[4:])) for way in ways.split())
    for kind, ways in (
        (TestMessage, " ".join(f"{frm}-{to}" for frm in Role for to in Role)),
        (CommonReferenceUpdate, "AGR-CRO BRP-CRO DSO-CRO"),
        (CommonReferenceQuery, "AGR-CRO BRP-CRO DSO-CRO MDC-CRO"),
        (Prognosis, _FLEX),
        (FlexRequest, _BUYING),
        (FlexOffer, _FLEX),
        (FlexOfferRevocation, _FLEX),
        (FlexOrder, _BUYING),
        (SettlementMessage, _BUYING),
        (MeterDataQuery, "AGR-MDC BRP-MDC DSO-MDC"),
    )
}
"""Message -> (sender's role, recipient's role) of each way that it goes; its answer goes the other way.

Interpretation: customers of a Meter Data Company are AGR, BRP and DSO.
"""
