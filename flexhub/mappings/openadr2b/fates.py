"""The declared fate of every field, message to core and core to message."""

from __future__ import annotations

from typing import Final

from flexhub.core import flexoffer, lifecycle, tariff, timeseries, trading
from flexhub.mappings.fates import Fates, fates
from flexhub.protocols.openadr2b import elements, messages

_LOCATION: Final = {"schema_location": "where a schema lies is not told [rule 45]"}
_INTERVALS: Final = "slots; equal numbers in a row are one interval when written"
_AROUND: Final = ("tolerance", "x_ei_notification", "x_ei_ramp_up", "x_ei_recovery")

_EVENT: Final[tuple[Fates, ...]] = (
    fates(
        messages.OadrDistributeEvent,
        converted={"oadr_events": "one event at a time"},
        kept=("schema_version", "request_id", "vtn_id", "ei_response"),
        dropped=_LOCATION,
    ),
    fates(elements.OadrEvent, converted={"ei_event": "by its signals"}, kept=("oadr_response_required",)),
    fates(
        elements.EiEvent,
        converted={"ei_active_period": "start and slots", "ei_event_signals": "the one that can be followed"},
        kept=("event_descriptor", "ei_target"),
    ),
    fates(
        elements.EventDescriptor,
        kept=elements.EventDescriptor.__struct_fields__,
    ),
    fates(
        elements.EiActivePeriod,
        converted={"properties": "start and slots"},
        defaulted={"components": "is empty"},
    ),
    fates(
        elements.Properties,
        converted={"dtstart": "instant in UTC, later by the recipient's offset", "duration": "slots"},
        kept=_AROUND,
    ),
    fates(
        elements.EiEventSignals,
        converted={"ei_event_signals": "the first of set-point, delta, capacity, charge, level; others are dropped"},
        dropped={"ei_event_baseline": "the baseline of a schedule is the context's"},
    ),
    fates(
        elements.EiEventSignal,
        converted={
            "intervals": _INTERVALS,
            "signal_name": "which quantity it is; `context.SIGNALS`",
            "signal_type": "what it is counted from",
            "item_base": "scale -> kW, kWh, EUR/kWh",
        },
        kept=("signal_id", "current_value"),
        dropped={"ei_target": "kinds of devices are not planned by"},
    ),
    fates(
        elements.Interval,
        converted={
            "dtstart": "slot",
            "duration": "that many slots",
            "stream_payload_base": "kW over each slot -> kWh = kW * seconds / 3600",
        },
        defaulted={"uid": "0, 1, 2, ... [rule 2]"},
    ),
)
EVENT_READ: Final = _EVENT
SCHEDULE_WRITTEN: Final = (
    fates(
        timeseries.TimeSeries,
        converted={
            "start": "dtstart",
            "values_kwh": "kWh per slot -> kW, or as `Form` says; what a level or a share cannot say is a lost bound",
            "resolution_s": "durations",
        },
        dropped={"kind": "a schedule; others are refused", "subject": "the event's target says whose it is"},
    ),
)
REQUEST_WRITTEN: Final = (
    fates(
        trading.FlexRequest,
        exact=("revision",),
        converted={
            "start": "dtstart",
            "intervals": "kWh -> kW; of two bounds that nearest to no intervention, the room is a lost bound",
            "resolution_s": "durations",
            "reference": "set-point or delta",
        },
        kept=("id", "issuer", "recipient", "congestion_point", "created", "extras"),
        dropped={
            "expires": "an event is answered before the next poll",
            "contract": "the market context says it",
            "service_type": "the signal's name says it",
            "price_eur_per_kwh": "an event has no price for what is asked: a lost price",
        },
    ),
    fates(
        trading.RequestInterval,
        converted={"slot": "intervals in a row", "lo_kwh": "kW", "hi_kwh": "kW"},
        dropped={"disposition": "an event asks; room that is left is no event"},
    ),
)
TARIFF_WRITTEN: Final = (
    fates(
        tariff.Tariff,
        converted={
            "start": "dtstart",
            "prices_eur_per_kwh": "ELECTRICITY_PRICE, price, EUR per kWh",
            "resolution_s": "durations",
        },
        kept=("id", "issuer", "recipient", "created"),
    ),
)
_REPORT: Final[tuple[Fates, ...]] = (
    fates(
        messages.OadrUpdateReport,
        converted={"oadr_reports": "one report at a time"},
        kept=("schema_version", "request_id", "ven_id"),
        dropped=_LOCATION,
    ),
    fates(
        elements.OadrReport,
        converted={
            "dtstart": "start, inherited by intervals [rule 314]",
            "duration": "slots",
            "intervals": "one number per slot and data point",
        },
        kept=("ei_report_id", "report_request_id", "report_specifier_id", "report_name", "created_date_time"),
        dropped={"oadr_report_descriptions": "the metadata told them before; `Context.points`"},
    ),
    fates(
        elements.Interval,
        converted={
            "dtstart": "slot",
            "duration": "that many slots",
            "stream_payload_base": "kW or kWh, by the data point -> kWh per slot",
        },
        defaulted={"uid": "0, 1, 2, ..."},
    ),
)
_NO_PLACE: Final = "a measurement has no place for it"
TELEMETRY_READ: Final = (
    *_REPORT,
    fates(
        elements.OadrReportPayload,
        converted={
            "r_id": "the data point's subject",
            "payload_base": "kW or kWh -> kWh",
            "oadr_data_quality": "good is measured, previous is estimated, none is missing, others are suspect",
        },
        dropped={"confidence": _NO_PLACE, "accuracy": _NO_PLACE},
    ),
)
TELEMETRY_WRITTEN: Final = (
    fates(
        timeseries.Measurement,
        converted={
            "subject": "the data point's",
            "start": "dtstart",
            "values_kwh": "kWh -> kW or kWh, by the data point",
            "quality": "as data quality",
            "resolution_s": "durations",
        },
        kept=("offer",),
    ),
)
PROJECTED_READ: Final = (
    *_REPORT,
    fates(
        elements.OadrReportPayload,
        converted={"r_id": "up, down or baseline", "payload_base": "kW -> kWh: bounds of a slice"},
        dropped={
            "confidence": "an offer is binding",
            "accuracy": "an offer is binding",
            "oadr_data_quality": "a projection is no reading",
        },
    ),
)
_OTHERWISE: Final = "a report of capacities has no place for it"
_OFFER_KEPT: Final = ("id", "issuer", "recipient", "contract", "location", "created", "accept_before", "assign_before")
_BOX: Final = "within the greatest box that the offer allows; what that takes is a lost bound, in kWh"
PROJECTED_WRITTEN: Final = (
    fates(
        flexoffer.FlexOffer,
        converted={
            "start_after": "one start: the default's, or the first; the others are a lost bound, in slot-kWh",
            "start_before": "as start_after",
            "start_before_duration_s": "as start_after",
            "end_after": _BOX,
            "end_before": _BOX,
            "resolution_s": "durations",
            "profiles": _BOX,
            "total_cost_eur": "no capacity beside the schedule: a lost bound, in kWh",
            "default_schedule": "baseline, where the offer allows it; else a schedule that it allows",
        },
        kept=_OFFER_KEPT,
        dropped={
            "assign_before_start_s": _OTHERWISE,
            "label": _OTHERWISE,
            "state": _OTHERWISE,
            "state_reason": _OTHERWISE,
            "quantity": "active power only",
            "obligatory": _OTHERWISE,
            "price": "a lost price",
            "schedule": "an event says it",
            "extras": _OTHERWISE,
        },
    ),
    fates(
        flexoffer.Profile,
        converted={
            "slices": "capacities around the baseline",
            "total_energy_kwh": _BOX,
            "subtotal_energy_kwh": _BOX,
            "polytope": _BOX,
            "two_mode": "no capacity beside the schedule: a lost bound, in kWh",
        },
    ),
    fates(
        flexoffer.Slice,
        converted={
            "energy_kwh": "the range that holds the baseline; others are a lost bound, in kWh",
            "amounts_kwh": "that of the baseline; others are a lost bound, in kWh",
            "min_duration": "that of the baseline",
            "max_duration": "that of the baseline",
            "polygon": _BOX,
            "uncertainty": _BOX,
        },
        dropped={"price": "a lost price", "extras": _OTHERWISE},
    ),
)
OPT_READ: Final = (
    fates(
        messages.OadrCreateOpt,
        converted={
            "vavailability": "starts from which the offer still ends within; of several the widest, a lost bound",
            "opt_type": "optOut withdraws the offer",
        },
        kept=(
            "schema_version",
            "opt_id",
            "opt_reason",
            "market_context",
            "ven_id",
            "created_date_time",
            "request_id",
            "ei_target",
            "oadr_device_class",
        ),
        dropped={**_LOCATION, "qualified_event_id": "an opt of an event is an answer; it is refused here"},
    ),
    fates(
        elements.Properties,
        converted={"dtstart": "start_after", "duration": "start_before, less the least duration"},
        dropped=dict.fromkeys(_AROUND, "an availability has none"),
    ),
)
_SAID: Final = "a report says it; the context's offer has it"
OPT_WRITTEN: Final = (
    fates(
        flexoffer.FlexOffer,
        converted={
            "start_after": "dtstart",
            "start_before": "duration, with that of the longest profile",
            "start_before_duration_s": "from now on",
            "end_before": "the window's end, where it is earlier",
            "end_after": "a lost bound",
            "resolution_s": "seconds of the duration",
            "profiles": "none is optOut",
        },
        dropped=dict.fromkeys(
            (
                *_OFFER_KEPT,
                "assign_before_start_s",
                "label",
                "state",
                "state_reason",
                "quantity",
                "obligatory",
                "price",
                "total_cost_eur",
                "default_schedule",
                "schedule",
                "extras",
            ),
            _SAID,
        ),
    ),
)
ANSWER_READ: Final = (
    fates(
        messages.OadrCreatedEvent,
        converted={"ei_created_event": "one answer at a time"},
        dropped={**_LOCATION, "schema_version": "of this one"},
    ),
    fates(
        messages.EiCreatedEvent,
        converted={"event_responses": "that of the event which is asked about"},
        dropped={"ei_response": "that it was received"},
        kept=("ven_id",),
    ),
    fates(
        elements.EventResponse,
        converted={
            "response_code": "2xx confirms; others decline, and begin the reason",
            "response_description": "the rest of the reason",
            "opt_type": "optIn confirms, optOut declines",
        },
        kept=("request_id", "qualified_event_id"),
    ),
)
ANSWER_WRITTEN: Final = (
    fates(lifecycle.Confirmed),
    fates(lifecycle.Declined, converted={"reason": "response code, where it begins with one, and description"}),
)
