"""What messages of OpenADR 2.0b are made of, named as in the standard (snake_case of its own words).

A struct's tag is the name of its element. A field says where it lies by `At`, `Within` or `Attr`, or else lies in the
element that its struct is named by. Without a default it is mandatory, None is an absent element, a tuple holds as many
as come; one that may be None tells an absent element from one without anything in it. Quantities are floats in the unit
and scale that an `ItemBase` tells beside them, with the sign that the signal or report has; instants and durations are
text in the sender's spelling.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import msgspec

from flexhub.protocols.openadr2b import names
from flexhub.protocols.openadr2b.simple import (
    AnyUri,
    At,
    Attr,
    Boolean,
    Code,
    CurrencyCode,
    DataQuality,
    DateTime,
    Duration,
    Float,
    Floats,
    Id,
    Number,
    OptReason,
    Percent,
    ReadingType,
    ReportName,
    ReportType,
    SchemaVersion,
    SignalName,
    Text,
    UnsignedInt,
    Within,
    Xml,
    fixed,
    token,
)

ONE: Final = msgspec.Meta(min_length=1)

RequestID: TypeAlias = Annotated[Text, At("pyld:requestID")]
VenID: TypeAlias = Annotated[Text, At("ei:venID")]
VtnID: TypeAlias = Annotated[Text, At("ei:vtnID")]
EventID: TypeAlias = Annotated[Text, At("ei:eventID")]
OptID: TypeAlias = Annotated[Text, At("ei:optID")]
RegistrationID: TypeAlias = Annotated[Text, At("ei:registrationID")]
ReportRequestID: TypeAlias = Annotated[Text, At("ei:reportRequestID")]
ReportSpecifierID: TypeAlias = Annotated[Text, At("ei:reportSpecifierID")]
RID: TypeAlias = Annotated[Text, At("ei:rID")]
ModificationNumber: TypeAlias = Annotated[UnsignedInt, At("ei:modificationNumber")]
MarketContext: TypeAlias = Annotated[AnyUri, At("emix:marketContext")]
CreatedDateTime: TypeAlias = Annotated[DateTime, At("ei:createdDateTime")]
Dtstart: TypeAlias = Annotated[DateTime, At("xcal:dtstart", "xcal:date-time")]
XcalDuration: TypeAlias = Annotated[Duration, At("xcal:duration", "xcal:duration")]
Opt: TypeAlias = Annotated[names.OptType, At("ei:optType"), token(names.OptType)]
ReadingTypeAt: TypeAlias = Annotated[ReadingType, At("ei:readingType")]
ScaleCode: TypeAlias = Annotated[names.Scale, At("scale:siScaleCode"), token(names.Scale)]


class Element(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Base of elements: fields in the order of the schema's sequence."""


class Message(Element, frozen=True, kw_only=True):
    """What stands in an oadrSignedObject; `schema_location` may stand at the root, and is written at the message."""

    schema_version: Annotated[SchemaVersion | None, Attr("ei:schemaVersion")] = None
    schema_location: Annotated[Text | None, Attr("xsi:schemaLocation")] = None


class EiResponse(Element, frozen=True, kw_only=True, tag="ei:eiResponse"):
    """Whether what was received is acceptable: 2xx where it is, 4xx the sender's fault, 5xx the receiver's."""

    response_code: Annotated[Code, At("ei:responseCode")]
    response_description: Annotated[Text | None, At("ei:responseDescription")] = None
    request_id: RequestID


class QualifiedEventID(Element, frozen=True, kw_only=True, tag="ei:qualifiedEventID"):
    """Which modification of which event."""

    event_id: EventID
    modification_number: ModificationNumber


# Targets


class Polygon(Element, frozen=True, kw_only=True, tag="gml:Polygon"):
    """An area: latitude and longitude in turn, in degrees."""

    id: Annotated[Id | None, Attr("gml:id")] = None
    pos_list: Annotated[Floats, At("gml:exterior", "gml:LinearRing", "gml:posList")]


class FeatureCollection(Element, frozen=True, kw_only=True, tag="gml:FeatureCollection"):
    """Where something is."""

    id: Annotated[Id | None, Attr("gml:id")] = None
    polygon: Annotated[Polygon, At("gml:location", "gml:Polygon")]


class TransportInterface(Element, frozen=True, kw_only=True, tag="power:transportInterface"):
    """The edges at either end of a transport segment."""

    point_of_receipt: Annotated[Text, At("power:pointOfReceipt")]
    point_of_delivery: Annotated[Text, At("power:pointOfDelivery")]


class EiTarget(Element, frozen=True, kw_only=True, tag="ei:eiTarget"):
    """Whom or what something is about: what meets any of the criteria; without one, whoever gets it."""

    aggregated_pnodes: Annotated[tuple[Text, ...], At("power:aggregatedPnode", "power:node")] = ()
    end_device_assets: Annotated[tuple[Text, ...], At("power:endDeviceAsset", "power:mrid")] = ()
    meter_assets: Annotated[tuple[Text, ...], At("power:meterAsset", "power:mrid")] = ()
    pnodes: Annotated[tuple[Text, ...], At("power:pnode", "power:node")] = ()
    service_areas: Annotated[tuple[FeatureCollection, ...], At("emix:serviceArea", "gml:FeatureCollection")] = ()
    service_delivery_points: Annotated[tuple[Text, ...], At("power:serviceDeliveryPoint", "power:node")] = ()
    service_locations: Annotated[
        tuple[FeatureCollection, ...], At("power:serviceLocation", "gml:FeatureCollection")
    ] = ()
    transport_interfaces: tuple[TransportInterface, ...] = ()
    group_ids: Annotated[tuple[Text, ...], At("ei:groupID")] = ()
    group_names: Annotated[tuple[Text, ...], At("ei:groupName")] = ()
    resource_ids: Annotated[tuple[Text, ...], At("ei:resourceID")] = ()
    ven_ids: Annotated[tuple[Text, ...], At("ei:venID")] = ()
    party_ids: Annotated[tuple[Text, ...], At("ei:partyID")] = ()


# Units: what is measured or asked for


class ItemBase(Element, frozen=True, kw_only=True):
    """A quantity: what it is, and the unit and scale of its numbers."""


class CustomUnit(ItemBase, frozen=True, kw_only=True, tag="oadr:customUnit"):
    """Whatever the parties agreed."""

    item_description: Annotated[Text, At("oadr:itemDescription")]
    item_units: Annotated[Text, At("oadr:itemUnits")]
    si_scale_code: ScaleCode


class Current(ItemBase, frozen=True, kw_only=True, tag="oadr:current"):
    """Current."""

    item_description: Annotated[str, At("oadr:itemDescription"), fixed("Current")] = "Current"
    item_units: Annotated[str, At("oadr:itemUnits"), fixed("A")] = "A"
    si_scale_code: ScaleCode


class Money(ItemBase, frozen=True, kw_only=True):
    """An amount of money, per whatever the element's name says."""

    item_description: Annotated[names.CurrencyItem, At("oadr:itemDescription"), token(names.CurrencyItem)]
    item_units: Annotated[CurrencyCode, At("oadr:itemUnits")]
    si_scale_code: ScaleCode


class Currency(Money, frozen=True, kw_only=True, tag="oadr:currency"):
    """Money."""


class CurrencyPerKWh(Money, frozen=True, kw_only=True, tag="oadr:currencyPerKWh"):
    """Money per kWh."""


class CurrencyPerKW(Money, frozen=True, kw_only=True, tag="oadr:currencyPerKW"):
    """Money per kW."""


class CurrencyPerThm(Money, frozen=True, kw_only=True, tag="oadr:currencyPerThm"):
    """Money per therm."""


class Frequency(ItemBase, frozen=True, kw_only=True, tag="oadr:frequency"):
    """Frequency."""

    item_description: Annotated[str, At("oadr:itemDescription"), fixed("Frequency")] = "Frequency"
    item_units: Annotated[str, At("oadr:itemUnits"), fixed("Hz")] = "Hz"
    si_scale_code: ScaleCode


class Therm(ItemBase, frozen=True, kw_only=True, tag="oadr:Therm"):
    """Heat of gas."""

    item_description: Annotated[str, At("oadr:itemDescription"), fixed("Therm")] = "Therm"
    item_units: Annotated[str, At("oadr:itemUnits"), fixed("thm")] = "thm"
    si_scale_code: ScaleCode


class Temperature(ItemBase, frozen=True, kw_only=True, tag="oadr:temperature"):
    """Temperature."""

    item_description: Annotated[str, At("oadr:itemDescription"), fixed("temperature")] = "temperature"
    item_units: Annotated[names.TemperatureUnit, At("oadr:itemUnits"), token(names.TemperatureUnit)]
    si_scale_code: ScaleCode


class PulseCount(ItemBase, frozen=True, kw_only=True, tag="oadr:pulseCount"):
    """Pulses of a meter, each of `pulse_factor` kWh."""

    item_description: Annotated[str, At("oadr:itemDescription"), fixed("pulse count")] = "pulse count"
    item_units: Annotated[str, At("oadr:itemUnits"), fixed("count")] = "count"
    pulse_factor: Annotated[Float, At("oadr:pulseFactor")]


class OadrGBDataDescription(ItemBase, frozen=True, kw_only=True, tag="oadr:oadrGBDataDescription"):
    """What a feed of Green Button describes, as the XML that it is."""

    feed: Annotated[Xml, At("atom:feed")]


class Voltage(ItemBase, frozen=True, kw_only=True, tag="power:voltage"):
    """Voltage."""

    item_description: Annotated[str, At("power:itemDescription"), fixed("Voltage")] = "Voltage"
    item_units: Annotated[str, At("power:itemUnits"), fixed("V")] = "V"
    si_scale_code: ScaleCode


class EnergyApparent(ItemBase, frozen=True, kw_only=True, tag="power:energyApparent"):
    """Apparent energy."""

    item_description: Annotated[str, At("power:itemDescription"), fixed("ApparentEnergy")] = "ApparentEnergy"
    item_units: Annotated[str, At("power:itemUnits"), fixed("VAh")] = "VAh"
    si_scale_code: ScaleCode


class EnergyReactive(ItemBase, frozen=True, kw_only=True, tag="power:energyReactive"):
    """Reactive energy."""

    item_description: Annotated[str, At("power:itemDescription"), fixed("ReactiveEnergy")] = "ReactiveEnergy"
    item_units: Annotated[str, At("power:itemUnits"), fixed("VARh")] = "VARh"
    si_scale_code: ScaleCode


class EnergyReal(ItemBase, frozen=True, kw_only=True, tag="power:energyReal"):
    """Active energy."""

    item_description: Annotated[str, At("power:itemDescription"), fixed("RealEnergy")] = "RealEnergy"
    item_units: Annotated[str, At("power:itemUnits"), fixed("Wh")] = "Wh"
    si_scale_code: ScaleCode


class PowerAttributes(Element, frozen=True, kw_only=True, tag="power:powerAttributes"):
    """Nominal frequency and voltage of a power."""

    hertz: Annotated[Number, At("power:hertz")]
    voltage: Annotated[Number, At("power:voltage")]
    ac: Annotated[Boolean, At("power:ac")]


class PowerApparent(ItemBase, frozen=True, kw_only=True, tag="power:powerApparent"):
    """Apparent power."""

    item_description: Annotated[str, At("power:itemDescription"), fixed("ApparentPower")] = "ApparentPower"
    item_units: Annotated[str, At("power:itemUnits"), fixed("VA")] = "VA"
    si_scale_code: ScaleCode
    power_attributes: PowerAttributes


class PowerReactive(ItemBase, frozen=True, kw_only=True, tag="power:powerReactive"):
    """Reactive power."""

    item_description: Annotated[str, At("power:itemDescription"), fixed("ReactivePower")] = "ReactivePower"
    item_units: Annotated[str, At("power:itemUnits"), fixed("VAR")] = "VAR"
    si_scale_code: ScaleCode
    power_attributes: PowerAttributes


class PowerReal(ItemBase, frozen=True, kw_only=True, tag="power:powerReal"):
    """Active power."""

    item_description: Annotated[str, At("power:itemDescription"), fixed("RealPower")] = "RealPower"
    item_units: Annotated[names.RealPowerUnit, At("power:itemUnits"), token(names.RealPowerUnit)]
    si_scale_code: ScaleCode
    power_attributes: PowerAttributes


Item: TypeAlias = (
    CustomUnit
    | Current
    | Currency
    | CurrencyPerKWh
    | CurrencyPerKW
    | CurrencyPerThm
    | Frequency
    | Therm
    | Temperature
    | PulseCount
    | OadrGBDataDescription
    | Voltage
    | EnergyApparent
    | EnergyReactive
    | EnergyReal
    | PowerApparent
    | PowerReactive
    | PowerReal
)
"""emix:itemBase and what may stand for it."""


# Intervals and what they hold


class PayloadFloat(Element, frozen=True, kw_only=True, tag="ei:payloadFloat"):
    """A quantity."""

    value: Annotated[Float, At("ei:value")]


class LoadControl(Element, frozen=True, kw_only=True):
    """oadrLoadControlStateTypeType: where a control is, and how far it goes."""

    oadr_min: Annotated[Float | None, At("oadr:oadrMin")] = None
    oadr_max: Annotated[Float | None, At("oadr:oadrMax")] = None
    oadr_current: Annotated[Float, At("oadr:oadrCurrent")]
    oadr_normal: Annotated[Float | None, At("oadr:oadrNormal")] = None


class OadrLoadControlState(Element, frozen=True, kw_only=True, tag="oadr:oadrLoadControlState"):
    """State of the controls of a load."""

    oadr_capacity: Annotated[LoadControl | None, At("oadr:oadrCapacity")] = None
    oadr_level_offset: Annotated[LoadControl | None, At("oadr:oadrLevelOffset")] = None
    oadr_percent_offset: Annotated[LoadControl | None, At("oadr:oadrPercentOffset")] = None
    oadr_set_point: Annotated[LoadControl | None, At("oadr:oadrSetPoint")] = None


class OadrPayloadResourceStatus(Element, frozen=True, kw_only=True, tag="oadr:oadrPayloadResourceStatus"):
    """Whether a resource is there, and whether somebody took over by hand."""

    oadr_online: Annotated[Boolean, At("oadr:oadrOnline")]
    oadr_manual_override: Annotated[Boolean, At("oadr:oadrManualOverride")]
    oadr_load_control_state: OadrLoadControlState | None = None


PayloadBase: TypeAlias = PayloadFloat | OadrPayloadResourceStatus
"""ei:payloadBase and what may stand for it."""


class SignalPayload(Element, frozen=True, kw_only=True, tag="ei:signalPayload"):
    """What a signal says of an interval."""

    payload_base: PayloadBase


class OadrReportPayload(Element, frozen=True, kw_only=True, tag="oadr:oadrReportPayload"):
    """What a report says of an interval: the data point, confidence in percent, accuracy in the unit of the value."""

    r_id: RID
    confidence: Annotated[Percent | None, At("ei:confidence")] = None
    accuracy: Annotated[Float | None, At("ei:accuracy")] = None
    payload_base: PayloadBase
    oadr_data_quality: Annotated[DataQuality | None, At("oadr:oadrDataQuality")] = None


class OadrGBPayload(Element, frozen=True, kw_only=True, tag="oadr:oadrGBPayload"):
    """A feed of Green Button, as the XML that it is."""

    feed: Annotated[Xml, At("atom:feed")]


class Interval(Element, frozen=True, kw_only=True, tag="ei:interval"):
    """A span of time and what is said of it. Without `dtstart` it follows the one before."""

    dtstart: Dtstart | None = None
    duration: XcalDuration | None = None
    uid: Annotated[Text | None, At("xcal:uid", "xcal:text")] = None
    stream_payload_base: Annotated[tuple[SignalPayload | OadrReportPayload | OadrGBPayload, ...], ONE]


Intervals: TypeAlias = Annotated[tuple[Interval, ...], Within("strm:intervals"), ONE]


# Events


class EventDescriptor(Element, frozen=True, kw_only=True, tag="ei:eventDescriptor"):
    """Which event this is; 1 is the highest priority, 0 is none. Any `test_event` but "false" is a test."""

    event_id: EventID
    modification_number: ModificationNumber
    modification_date_time: Annotated[DateTime | None, At("ei:modificationDateTime")] = None
    modification_reason: Annotated[Text | None, At("ei:modificationReason")] = None
    priority: Annotated[UnsignedInt | None, At("ei:priority")] = None
    ei_market_context: Annotated[AnyUri, At("ei:eiMarketContext", "emix:marketContext")]
    created_date_time: CreatedDateTime
    event_status: Annotated[names.EventStatus, At("ei:eventStatus"), token(names.EventStatus)]
    test_event: Annotated[Text | None, At("ei:testEvent")] = None
    vtn_comment: Annotated[Text | None, At("ei:vtnComment")] = None


class Tolerate(Element, frozen=True, kw_only=True, tag="xcal:tolerate"):
    """Up to how much later than told each recipient starts, by chance."""

    startafter: Annotated[Duration | None, At("xcal:startafter")] = None


class Properties(Element, frozen=True, kw_only=True, tag="xcal:properties"):
    """When something is, how long, and what goes before and after; a `duration` of 0 has no end."""

    dtstart: Dtstart
    duration: XcalDuration
    tolerance: Annotated[Tolerate | None, At("xcal:tolerance", "xcal:tolerate")] = None
    x_ei_notification: Annotated[Duration | None, At("ei:x-eiNotification", "xcal:duration")] = None
    x_ei_ramp_up: Annotated[Duration | None, At("ei:x-eiRampUp", "xcal:duration")] = None
    x_ei_recovery: Annotated[Duration | None, At("ei:x-eiRecovery", "xcal:duration")] = None


class Components(Element, frozen=True, kw_only=True, tag="xcal:components"):
    """Nothing: iCalendar wants the element."""


class EiActivePeriod(Element, frozen=True, kw_only=True, tag="ei:eiActivePeriod"):
    """When an event is."""

    properties: Properties
    components: Components = Components()


class EiEventSignal(Element, frozen=True, kw_only=True, tag="ei:eiEventSignal"):
    """One signal of an event, interval by interval; `ei_target` narrows the event's to kinds of devices."""

    intervals: Intervals
    ei_target: EiTarget | None = None
    signal_name: Annotated[SignalName, At("ei:signalName")]
    signal_type: Annotated[names.SignalType, At("ei:signalType"), token(names.SignalType)]
    signal_id: Annotated[Text, At("ei:signalID")]
    item_base: Item | None = None
    current_value: Annotated[Float | None, At("ei:currentValue", "ei:payloadFloat", "ei:value")] = None


class EiEventBaseline(Element, frozen=True, kw_only=True, tag="ei:eiEventBaseline"):
    """What is held against the signals."""

    dtstart: Dtstart
    duration: XcalDuration
    intervals: Intervals
    baseline_id: Annotated[Text, At("ei:baselineID")]
    resource_ids: Annotated[tuple[Text, ...], At("ei:resourceID")] = ()
    baseline_name: Annotated[Text, At("ei:baselineName")]
    item_base: Item | None = None


class EiEventSignals(Element, frozen=True, kw_only=True, tag="ei:eiEventSignals"):
    """All signals of an event."""

    ei_event_signals: Annotated[tuple[EiEventSignal, ...], ONE]
    ei_event_baseline: EiEventBaseline | None = None


class EiEvent(Element, frozen=True, kw_only=True, tag="ei:eiEvent"):
    """An event of demand response."""

    event_descriptor: EventDescriptor
    ei_active_period: EiActivePeriod
    ei_event_signals: EiEventSignals
    ei_target: EiTarget


class OadrEvent(Element, frozen=True, kw_only=True, tag="oadr:oadrEvent"):
    """An event, and whether it is to be answered."""

    ei_event: EiEvent
    oadr_response_required: Annotated[
        names.ResponseRequired, At("oadr:oadrResponseRequired"), token(names.ResponseRequired)
    ]


class EventResponse(Element, frozen=True, kw_only=True, tag="ei:eventResponse"):
    """optIn or optOut of one event; `request_id` is that of the oadrDistributeEvent."""

    response_code: Annotated[Code, At("ei:responseCode")]
    response_description: Annotated[Text | None, At("ei:responseDescription")] = None
    request_id: RequestID
    qualified_event_id: QualifiedEventID
    opt_type: Opt


# Reports


class OadrSamplingRate(Element, frozen=True, kw_only=True, tag="oadr:oadrSamplingRate"):
    """How often a data point can be sampled."""

    oadr_min_period: Annotated[Duration, At("oadr:oadrMinPeriod")]
    oadr_max_period: Annotated[Duration, At("oadr:oadrMaxPeriod")]
    oadr_on_change: Annotated[Boolean, At("oadr:oadrOnChange")]


class OadrReportDescription(Element, frozen=True, kw_only=True, tag="oadr:oadrReportDescription"):
    """A data point that can be reported."""

    r_id: RID
    report_subject: Annotated[EiTarget | None, At("ei:reportSubject")] = None
    report_data_source: Annotated[EiTarget | None, At("ei:reportDataSource")] = None
    report_type: Annotated[ReportType, At("ei:reportType")]
    item_base: Item | None = None
    reading_type: ReadingTypeAt
    market_context: MarketContext | None = None
    oadr_sampling_rate: OadrSamplingRate | None = None


class OadrReport(Element, frozen=True, kw_only=True, tag="oadr:oadrReport"):
    """A report: of metadata, with descriptions, or of data, with intervals."""

    dtstart: Dtstart | None = None
    duration: XcalDuration | None = None
    intervals: Intervals | None = None
    ei_report_id: Annotated[Text | None, At("ei:eiReportID")] = None
    oadr_report_descriptions: tuple[OadrReportDescription, ...] = ()
    report_request_id: ReportRequestID
    report_specifier_id: ReportSpecifierID
    report_name: Annotated[ReportName | None, At("ei:reportName")] = None
    created_date_time: CreatedDateTime


class SpecifierPayload(Element, frozen=True, kw_only=True, tag="ei:specifierPayload"):
    """A data point that is asked for."""

    r_id: RID
    item_base: Item | None = None
    reading_type: ReadingTypeAt


class ReportSpecifier(Element, frozen=True, kw_only=True, tag="ei:reportSpecifier"):
    """What is asked for: how fine, how often, and for how long; a `report_back_duration` of 0 is once."""

    report_specifier_id: ReportSpecifierID
    granularity: Annotated[Duration, At("xcal:granularity", "xcal:duration")]
    report_back_duration: Annotated[Duration, At("ei:reportBackDuration", "xcal:duration")]
    report_interval: Annotated[Properties | None, At("ei:reportInterval", "xcal:properties")] = None
    specifier_payloads: Annotated[tuple[SpecifierPayload, ...], ONE]


class OadrReportRequest(Element, frozen=True, kw_only=True, tag="oadr:oadrReportRequest"):
    """A report that is asked for."""

    report_request_id: ReportRequestID
    report_specifier: ReportSpecifier


# Opts


class EiOpt(Message, frozen=True, kw_only=True):
    """A schedule of availability: when and why a VEN opts in or out. Each of `vavailability` is a span of time."""

    opt_id: OptID
    opt_type: Opt
    opt_reason: Annotated[OptReason, At("ei:optReason")]
    market_context: MarketContext | None = None
    ven_id: VenID
    vavailability: Annotated[
        tuple[Properties, ...] | None,
        Within("xcal:vavailability", "xcal:components"),
        At("xcal:available", "xcal:properties"),
    ] = None
    created_date_time: CreatedDateTime


# Registration


class OadrProfile(Element, frozen=True, kw_only=True, tag="oadr:oadrProfile"):
    """A profile that is spoken, and over which transports."""

    oadr_profile_name: Annotated[names.ProfileName, At("oadr:oadrProfileName"), token(names.ProfileName)]
    oadr_transports: Annotated[
        tuple[Annotated[names.TransportName, token(names.TransportName)], ...],
        Within("oadr:oadrTransports"),
        At("oadr:oadrTransport", "oadr:oadrTransportName"),
        ONE,
    ]


class OadrInfo(Element, frozen=True, kw_only=True, tag="oadr:oadrInfo"):
    """A key and its value."""

    oadr_key: Annotated[Text, At("oadr:oadrKey")]
    oadr_value: Annotated[Text, At("oadr:oadrValue")]


class OadrService(Element, frozen=True, kw_only=True, tag="oadr:oadrService"):
    """What there is to know of a service."""

    oadr_service_name: Annotated[names.ServiceName, At("oadr:oadrServiceName"), token(names.ServiceName)]
    oadr_infos: Annotated[tuple[OadrInfo, ...], ONE]


class OadrExtension(Element, frozen=True, kw_only=True, tag="oadr:oadrExtension"):
    """What goes beyond the standard."""

    oadr_extension_name: Annotated[Text, At("oadr:oadrExtensionName")]
    oadr_infos: tuple[OadrInfo, ...] = ()
