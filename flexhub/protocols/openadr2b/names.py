"""Namespaces of OpenADR 2.0b, and the enumerations of its schema; of the open ones, ``x-...`` is a value, too."""

from __future__ import annotations

import enum
from typing import Final

NAMESPACES: Final = {
    "oadr": "http://openadr.org/oadr-2.0b/2012/07",
    "ei": "http://docs.oasis-open.org/ns/energyinterop/201110",
    "pyld": "http://docs.oasis-open.org/ns/energyinterop/201110/payloads",
    "xcal": "urn:ietf:params:xml:ns:icalendar-2.0",
    "strm": "urn:ietf:params:xml:ns:icalendar-2.0:stream",
    "emix": "http://docs.oasis-open.org/ns/emix/2011/06",
    "power": "http://docs.oasis-open.org/ns/emix/2011/06/power",
    "scale": "http://docs.oasis-open.org/ns/emix/2011/06/siscale",
    "gml": "http://www.opengis.net/gml/3.2",
    "atom": "http://www.w3.org/2005/Atom",
    "ds": "http://www.w3.org/2000/09/xmldsig#",
    "dsp": "http://openadr.org/oadr-2.0b/2012/07/xmldsig-properties",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
}
"""The prefixes that are written, and what they stand for."""

_PREFIXES: Final = {space: prefix for prefix, space in NAMESPACES.items()}


def tag(name: str) -> str:
    """A prefixed name as lxml has it: ``ei:venID`` becomes its namespace in braces, and ``venID``."""
    prefix, _, local = name.partition(":")
    return f"{{{NAMESPACES[prefix]}}}{local}"


def prefixed(tag: str) -> str:
    """The inverse of `tag`; a name of another namespace stays as it is."""
    space, _, local = tag.removeprefix("{").rpartition("}")
    return f"{_PREFIXES[space]}:{local}" if space in _PREFIXES else tag


class ResponseCode(enum.StrEnum):
    """The response codes of 2.0b that flexhub gives; others are read, too."""

    OK = "200"
    OUT_OF_SEQUENCE = "450"
    NOT_ALLOWED = "451"
    INVALID_ID = "452"
    NOT_RECOGNIZED = "453"
    INVALID_DATA = "454"
    COMPLIANCE_ERROR = "459"
    SIGNAL_NOT_SUPPORTED = "460"
    REPORT_NOT_SUPPORTED = "461"
    TARGET_MISMATCH = "462"
    NOT_REGISTERED_OR_AUTHORIZED = "463"
    DEPLOYMENT_ERROR = "469"


class EventStatus(enum.StrEnum):
    """EventStatusEnumeratedType: none, far or near ahead, under way, over, or called off."""

    NONE = "none"
    FAR = "far"
    NEAR = "near"
    ACTIVE = "active"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class SignalType(enum.StrEnum):
    """SignalTypeEnumeratedType: what the numbers of a signal are."""

    DELTA = "delta"
    LEVEL = "level"
    MULTIPLIER = "multiplier"
    PRICE = "price"
    PRICE_MULTIPLIER = "priceMultiplier"
    PRICE_RELATIVE = "priceRelative"
    SETPOINT = "setpoint"
    LOAD_CONTROL_CAPACITY = "x-loadControlCapacity"
    LOAD_CONTROL_LEVEL_OFFSET = "x-loadControlLevelOffset"
    LOAD_CONTROL_PERCENT_OFFSET = "x-loadControlPercentOffset"
    LOAD_CONTROL_SETPOINT = "x-loadControlSetpoint"


class OptType(enum.StrEnum):
    """OptTypeType."""

    OPT_IN = "optIn"
    OPT_OUT = "optOut"


class ResponseRequired(enum.StrEnum):
    """ResponseRequiredType."""

    ALWAYS = "always"
    NEVER = "never"


class ProfileName(enum.StrEnum):
    """oadrProfileType."""

    A = "2.0a"
    B = "2.0b"


class TransportName(enum.StrEnum):
    """oadrTransportType."""

    SIMPLE_HTTP = "simpleHttp"
    XMPP = "xmpp"


class ServiceName(enum.StrEnum):
    """oadrServiceNameType."""

    EI_EVENT = "EiEvent"
    EI_OPT = "EiOpt"
    EI_REPORT = "EiReport"
    EI_REGISTER_PARTY = "EiRegisterParty"
    OADR_POLL = "OadrPoll"


class Scale(enum.StrEnum):
    """SiScaleCodeType: the power of ten that a unit is multiplied with; none is 1."""

    PICO = "p"
    NANO = "n"
    MICRO = "micro"
    MILLI = "m"
    CENTI = "c"
    DECI = "d"
    KILO = "k"
    MEGA = "M"
    GIGA = "G"
    TERA = "T"
    NONE = "none"


class CurrencyItem(enum.StrEnum):
    """currencyItemDescriptionType."""

    CURRENCY = "currency"
    PER_KW = "currencyPerKW"
    PER_KWH = "currencyPerKWh"


class TemperatureUnit(enum.StrEnum):
    """temperatureUnitType."""

    CELSIUS = "celsius"
    FAHRENHEIT = "fahrenheit"


class RealPowerUnit(enum.StrEnum):
    """The units of powerReal."""

    WATT = "W"
    JOULE_PER_SECOND = "J/s"


SIMPLE: Final = ("SIMPLE", "simple")
"""The names of the signal that every VEN knows: levels from 0, normal, to 3; the second is that of 2.0a."""

SIGNAL_NAMES: Final = (
    *SIMPLE,
    "ELECTRICITY_PRICE",
    "ENERGY_PRICE",
    "DEMAND_CHARGE",
    "BID_PRICE",
    "BID_LOAD",
    "BID_ENERGY",
    "CHARGE_STATE",
    "LOAD_DISPATCH",
    "LOAD_CONTROL",
)
"""SignalNameEnumeratedType; open."""

OPT_REASONS: Final = (
    "economic",
    "emergency",
    "mustRun",
    "notParticipating",
    "outageRunStatus",
    "overrideStatus",
    "participating",
    "x-schedule",
)
"""OptReasonEnumeratedType; open."""

METADATA: Final = "METADATA_"
"""What the name of a report begins with that says what can be reported."""

METADATA_SPECIFIER: Final = "METADATA"
"""reportSpecifierID of a request for metadata [rule 306]."""
METADATA_REQUEST: Final = "0"
"""reportRequestID of metadata that nobody asked for by one [rule 311]."""
METADATA_RID: Final = "0"
"""rID of a request for metadata."""
NOT_APPLICABLE: Final = "x-notApplicable"
"""readingType of every request, and of what is no reading."""

REPORT_NAMES: Final = tuple(
    prefix + name
    for name in ("HISTORY_USAGE", "HISTORY_GREENBUTTON", "TELEMETRY_USAGE", "TELEMETRY_STATUS")
    for prefix in (METADATA, "")
)
"""reportNameEnumeratedType; open."""

REPORT_TYPES: Final = (
    "reading",
    "usage",
    "demand",
    "setPoint",
    "deltaUsage",
    "deltaSetPoint",
    "deltaDemand",
    "baseline",
    "deviation",
    "avgUsage",
    "avgDemand",
    "operatingState",
    "upRegulationCapacityAvailable",
    "downRegulationCapacityAvailable",
    "regulationSetpoint",
    "storedEnergy",
    "targetEnergyStorage",
    "availableEnergyStorage",
    "price",
    "level",
    "powerFactor",
    "percentUsage",
    "percentDemand",
    "x-resourceStatus",
)
"""ReportEnumeratedType; open."""

READING_TYPES: Final = (
    "Direct Read",
    "Net",
    "Allocated",
    "Estimated",
    "Summed",
    "Derived",
    "Mean",
    "Peak",
    "Hybrid",
    "Contract",
    "Projected",
    "x-RMS",
    "x-notApplicable",
)
"""ReadingTypeEnumeratedType; open."""

DATA_QUALITIES: Final = (
    "No Quality - No Value",
    "No New Value - Previous Value Used",
    "Quality Bad - Non Specific",
    "Quality Bad - Configuration Error",
    "Quality Bad - Not Connected",
    "Quality Bad - Device Failure",
    "Quality Bad - Sensor Failure",
    "Quality Bad - Last Known Value",
    "Quality Bad - Comm Failure",
    "Quality Bad - Out of Service",
    "Quality Uncertain - Non Specific",
    "Quality Uncertain - Last Usable Value",
    "Quality Uncertain - Sensor Not Accurate",
    "Quality Uncertain - EU Units Exceeded",
    "Quality Uncertain - Sub Normal",
    "Quality Good - Non Specific",
    "Quality Good - Local Override",
    "Quality Limit - Field/Not",
    "Quality Limit - Field/Low",
    "Quality Limit - Field/High",
    "Quality Limit - Field/Constant",
)
"""oadrDataQualityType; open."""
