"""The declared fate of every field, message to core and core to message."""

from __future__ import annotations

from typing import Final

from flexhub.core import flexoffer, timeseries, trading
from flexhub.core.price import Price
from flexhub.mappings.fates import fates
from flexhub.protocols.uftp import messages as wire

_META: Final = ("Version", "ConversationID")
_PARTIES: Final = ("SenderDomain", "RecipientDomain", "MessageID")
_GRID: Final = {
    "ISP-Duration": "resolution in seconds",
    "TimeZone": "into the time grid: ISP 1 begins at local midnight, on days of 92, 96 and 100",
    "Period": "first instant of the local day",
    "TimeStamp": "instant in UTC",
}
_PLACE: Final = "a congestion point is a location; its name may be another (`Context.places`)"
_ISPS: Final = "W over each ISP -> kWh per slot; equal ones in a row are written together"
_UNTIL: Final = "instant in UTC"
_ISP: Final = {"Power": "W -> kWh", "Start": "slot", "Duration": "that many slots"}

REQUEST_READ: Final = (
    fates(
        wire.FlexRequest,
        exact=(*_PARTIES, "ContractID", "ServiceType", "Revision"),
        converted={**_GRID, "CongestionPoint": _PLACE, "ISP": _ISPS, "ExpirationDateTime": _UNTIL},
        kept=_META,
    ),
    fates(
        wire.FlexRequestIsp,
        exact=("Disposition",),
        converted={"MinPower": "W -> kWh", "MaxPower": "W -> kWh", "Start": "slot", "Duration": "that many slots"},
    ),
)
REQUEST_WRITTEN: Final = (
    fates(
        trading.FlexRequest,
        exact=("id", "issuer", "recipient", "revision", "contract", "service_type"),
        converted={
            "congestion_point": _PLACE,
            "created": "TimeStamp, as the context has it",
            "expires": _UNTIL,
            "start": "Period and Start",
            "intervals": "kWh -> W, the nearest",
            "resolution_s": "ISP-Duration",
        },
        kept=("extras",),
        dropped={
            "reference": "UFTP asks for deviations from the baseline; another is refused",
            "price_eur_per_kwh": "FlexRequest has no price: a lost price",
        },
    ),
    fates(
        trading.RequestInterval,
        exact=("disposition",),
        converted={"slot": "Start", "lo_kwh": "MinPower", "hi_kwh": "MaxPower"},
    ),
)
OFFER_READ: Final = (
    fates(
        wire.FlexOffer,
        exact=(*_PARTIES, "ContractID"),
        converted={
            **_GRID,
            "CongestionPoint": _PLACE,
            "ExpirationDateTime": "one becomes two: accepted and assigned before it",
            "OfferOption": "one alternative profile each",
        },
        kept=(*_META, "Unsolicited", "FlexRequestMessageID", "D-PrognosisMessageID", "BaselineReference", "Currency"),
    ),
    fates(
        wire.OfferOption,
        converted={
            "Price": "EUR per kWh moved, up or down; restored exactly where it still says the same",
            "MinActivationFactor": "ranges, and rows of a polytope that keep all powers in proportion",
            "ISP": "baseline plus W over each ISP; ISPs that are not named stay at the baseline",
        },
        kept=("OptionReference",),
    ),
    fates(wire.Isp, converted=_ISP),
)
_NO_PLACE: Final = "FlexOffer has no place for it"
OFFER_WRITTEN: Final = (
    fates(
        flexoffer.FlexOffer,
        exact=("id", "issuer", "recipient", "contract"),
        converted={
            "location": _PLACE,
            "created": "TimeStamp, as the context has it",
            "accept_before": "the earlier of the two is ExpirationDateTime",
            "assign_before": "the earlier of the two is ExpirationDateTime",
            "assign_before_start_s": "the earlier of the two is ExpirationDateTime",
            "start_after": "one option per start",
            "start_before": "one option per start, within one local day; the rest is a lost bound",
            "start_before_duration_s": "one option per start, counted from creation",
            "end_after": "options that break it are left out",
            "end_before": "options that break it are left out",
            "resolution_s": "ISP-Duration",
            "profiles": "rays from the baseline: to the most, to the least; between them a bound is lost",
            "price": "one price per option",
            "total_cost_eur": "options that break it are left out",
            "default_schedule": "the baseline, where the context has none",
        },
        kept=("extras",),
        dropped={
            "label": _NO_PLACE,
            "state": _NO_PLACE,
            "state_reason": _NO_PLACE,
            "quantity": "active power only",
            "obligatory": _NO_PLACE,
            "schedule": "an order says it",
        },
    ),
    fates(
        flexoffer.Profile,
        converted={
            "slices": "W per ISP at full activation",
            "total_energy_kwh": "options that break it are left out",
            "subtotal_energy_kwh": "options that break it are left out",
            "polytope": "options that break it are left out",
            "two_mode": "options that break it are left out",
        },
    ),
    fates(
        flexoffer.Slice,
        converted={
            "energy_kwh": "W at the ends of the range",
            "amounts_kwh": "the least and the greatest; others are a lost bound",
            "min_duration": "that many ISPs",
            "max_duration": "a longer one is a lost bound",
            "price": "into the option's price",
            "polygon": "options that break it are left out",
            "uncertainty": "options that break it are left out",
        },
        dropped={"extras": _NO_PLACE},
    ),
    fates(
        Price,
        converted={"slopes_eur_per_kwh": "the cost at full activation", "knots_kwh": "the cost at full activation"},
    ),
)
ORDER_READ: Final = (
    fates(
        wire.FlexOrder,
        exact=(*_PARTIES, "Price", "Currency", "FlexOfferMessageID", "OptionReference", "ActivationFactor"),
        converted={**_GRID, "ISP": "W over each ISP -> kWh, times the factor where they were copied"},
        kept=(
            *_META,
            "CongestionPoint",
            "Unsolicited",
            "ServiceType",
            "ContractID",
            "D-PrognosisMessageID",
            "BaselineReference",
            "OrderReference",
        ),
    ),
    fates(wire.Isp, converted=_ISP),
)
ORDER_WRITTEN: Final = (
    fates(
        trading.Order,
        exact=("id", "issuer", "recipient", "offer", "option", "activation_factor", "price", "currency"),
        converted={
            "start": "Period and Start",
            "deviation_kwh": "kWh -> W, the nearest; over the factor where powers are copied",
            "resolution_s": "ISP-Duration",
        },
        dropped={"request": "the offer refers to it"},
    ),
)
PROGNOSIS_READ: Final = (
    fates(
        wire.DPrognosis,
        converted={**_GRID, "CongestionPoint": _PLACE, "ISP": _ISPS},
        kept=(*_META, *_PARTIES, "Revision"),
    ),
    fates(wire.PrognosisIsp, converted=_ISP),
)
PROGNOSIS_WRITTEN: Final = (
    fates(
        timeseries.TimeSeries,
        converted={
            "subject": _PLACE,
            "start": "Period",
            "values_kwh": "kWh -> W, the nearest",
            "resolution_s": "ISP-Duration",
        },
        dropped={"kind": "a baseline; others are refused"},
    ),
)
METERING_READ: Final = (
    fates(
        wire.Metering,
        converted={**_GRID, "EAN": _PLACE, "Profile": "Power, else import minus export; None where nothing is said"},
        kept=(*_META, *_PARTIES, "Revision", "Currency"),
    ),
    fates(
        wire.MeteringProfile,
        converted={"ProfileType": "kWh; readings are dropped", "Unit": "kW or kWh -> kWh", "ISP": "kWh per slot"},
    ),
    fates(wire.MeteringIsp, converted={"Start": "slot", "Value": "kWh"}),
)
METERING_WRITTEN: Final = (
    fates(
        timeseries.Measurement,
        converted={
            "subject": "EAN",
            "start": "Period",
            "values_kwh": "kWh -> kW",
            "resolution_s": "ISP-Duration",
            "quality": "missing readings are left out",
        },
        dropped={"offer": "Metering knows no orders"},
    ),
)
SETTLEMENT_READ: Final = (
    fates(
        wire.FlexSettlement,
        exact=("MessageID", "RecipientDomain", "Currency"),
        converted={
            "PeriodStart": "first instant of the local day",
            "PeriodEnd": "first instant of the next local day",
            "FlexOrderSettlement": "one line each, and one for its penalty",
        },
        kept=(*_META, "SenderDomain", "TimeStamp", "Result", "RejectionReason"),
        dropped={"ContractSettlement": "it carries no amount"},
    ),
    fates(
        wire.FlexOrderSettlement,
        exact=("OrderReference",),
        converted={
            "Price": "amount of a line, to the cent",
            "Penalty": "amount of a line, negative, to the cent",
            "NetSettlement": "sum of the lines",
            "ISP": "kWh delivered, and kWh that lacked",
            "ContractID": "the bill's contract",
        },
        kept=("Period", "D-PrognosisMessageID", "BaselineReference", "CongestionPoint"),
    ),
    fates(
        wire.SettlementIsp,
        converted={"DeliveredFlexPower": "kWh", "PowerDeficiency": "kWh", "Duration": "that many slots"},
        kept=("Start", "BaselinePower", "OrderedFlexPower", "ActualPower"),
    ),
)
SETTLEMENT_WRITTEN: Final = (
    fates(
        trading.Bill,
        exact=("id", "party", "currency"),
        converted={
            "contract": "ContractID",
            "start": "PeriodStart",
            "end": "PeriodEnd",
            "lines": "compared with the items that the message is made of, to the cent",
        },
    ),
)
