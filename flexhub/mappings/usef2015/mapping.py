"""USEF 2015's mappings' entry in the registry."""

from __future__ import annotations

from typing import Final

from flexhub.core import flexoffer, timeseries, trading
from flexhub.mappings.registry import Mapping
from flexhub.mappings.usef2015 import core, fates
from flexhub.protocols.usef2015 import messages as wire

MAPPINGS: Final[tuple[Mapping, ...]] = (
    Mapping(
        message=wire.Prognosis,
        core=timeseries.TimeSeries,
        read=fates.PROGNOSIS_READ,
        written=fates.PROGNOSIS_WRITTEN,
        to_core=core.prognosis_to_core,
        to_wire=core.prognosis_to_wire,
    ),
    Mapping(
        message=wire.FlexRequest,
        core=trading.FlexRequest,
        read=fates.REQUEST_READ,
        written=fates.REQUEST_WRITTEN,
        to_core=core.request_to_core,
        to_wire=core.request_to_wire,
    ),
    Mapping(
        message=wire.FlexOffer,
        core=flexoffer.FlexOffer,
        read=fates.OFFER_READ,
        written=fates.OFFER_WRITTEN,
        to_core=core.offer_to_core,
        to_wire=core.offer_to_wire,
    ),
    Mapping(
        message=wire.FlexOrder,
        core=trading.Order,
        read=fates.ORDER_READ,
        written=fates.ORDER_WRITTEN,
        to_core=core.order_to_core,
        to_wire=core.order_to_wire,
    ),
    Mapping(
        message=wire.SettlementMessage,
        core=trading.Bill,
        read=fates.SETTLEMENT_READ,
        written=fates.SETTLEMENT_WRITTEN,
        to_core=core.settlement_to_core,
        to_wire=core.settlement_to_wire,
    ),
    Mapping(
        message=wire.MeterDataQueryResponse,
        core=timeseries.Measurement,
        read=fates.METER_DATA_READ,
        written=fates.METER_DATA_WRITTEN,
        to_core=core.meter_data_to_core,
        to_wire=core.meter_data_to_wire,
    ),
)
