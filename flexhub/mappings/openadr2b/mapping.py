"""OpenADR 2.0b's mappings, message by message; what a message can be about in several ways stands once for each."""

from __future__ import annotations

from typing import Final

from flexhub.core.flexoffer import FlexOffer
from flexhub.core.lifecycle import Event
from flexhub.core.tariff import Tariff
from flexhub.core.timeseries import Measurement, TimeSeries
from flexhub.core.trading import FlexRequest
from flexhub.mappings.openadr2b import events, fates, opts, reports
from flexhub.mappings.registry import Mapping
from flexhub.protocols.openadr2b import messages as wire

MAPPINGS: Final = (
    Mapping(
        message=wire.OadrDistributeEvent,
        core=TimeSeries,
        read=fates.EVENT_READ,
        written=fates.SCHEDULE_WRITTEN,
        to_core=events.schedule_to_core,
        to_wire=events.schedule_to_wire,
    ),
    Mapping(
        message=wire.OadrDistributeEvent,
        core=FlexRequest,
        read=fates.EVENT_READ,
        written=fates.REQUEST_WRITTEN,
        to_core=events.request_to_core,
        to_wire=events.request_to_wire,
    ),
    Mapping(
        message=wire.OadrDistributeEvent,
        core=Tariff,
        read=fates.EVENT_READ,
        written=fates.TARIFF_WRITTEN,
        to_core=events.tariff_to_core,
        to_wire=events.tariff_to_wire,
    ),
    Mapping(
        message=wire.OadrUpdateReport,
        core=Measurement,
        read=fates.TELEMETRY_READ,
        written=fates.TELEMETRY_WRITTEN,
        to_core=reports.telemetry_to_core,
        to_wire=reports.telemetry_to_wire,
    ),
    Mapping(
        message=wire.OadrUpdateReport,
        core=FlexOffer,
        read=fates.PROJECTED_READ,
        written=fates.PROJECTED_WRITTEN,
        to_core=reports.projected_to_core,
        to_wire=reports.projected_to_wire,
    ),
    Mapping(
        message=wire.OadrCreateOpt,
        core=FlexOffer,
        read=fates.OPT_READ,
        written=fates.OPT_WRITTEN,
        to_core=opts.availability_to_core,
        to_wire=opts.availability_to_wire,
    ),
    Mapping(
        message=wire.OadrCreatedEvent,
        core=Event,
        read=fates.ANSWER_READ,
        written=fates.ANSWER_WRITTEN,
        to_core=opts.answer_to_core,
        to_wire=opts.answer_to_wire,
    ),
)
