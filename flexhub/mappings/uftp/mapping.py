"""UFTP's mappings' entry in the registry."""

from __future__ import annotations

from typing import Final

from flexhub.core import flexoffer, timeseries, trading
from flexhub.mappings.registry import Mapping
from flexhub.mappings.uftp import fates, offers, requests, settlement
from flexhub.protocols.uftp import messages as wire

MAPPINGS: Final[tuple[Mapping, ...]] = (
    Mapping(
        message=wire.FlexRequest,
        core=trading.FlexRequest,
        read=fates.REQUEST_READ,
        written=fates.REQUEST_WRITTEN,
        to_core=requests.request_to_core,
        to_wire=requests.request_to_wire,
    ),
    Mapping(
        message=wire.FlexOffer,
        core=flexoffer.FlexOffer,
        read=fates.OFFER_READ,
        written=fates.OFFER_WRITTEN,
        to_core=offers.offer_to_core,
        to_wire=offers.offer_to_wire,
    ),
    Mapping(
        message=wire.FlexOrder,
        core=trading.Order,
        read=fates.ORDER_READ,
        written=fates.ORDER_WRITTEN,
        to_core=requests.order_to_core,
        to_wire=requests.order_to_wire,
    ),
    Mapping(
        message=wire.DPrognosis,
        core=timeseries.TimeSeries,
        read=fates.PROGNOSIS_READ,
        written=fates.PROGNOSIS_WRITTEN,
        to_core=requests.prognosis_to_core,
        to_wire=requests.prognosis_to_wire,
    ),
    Mapping(
        message=wire.Metering,
        core=timeseries.Measurement,
        read=fates.METERING_READ,
        written=fates.METERING_WRITTEN,
        to_core=requests.metering_to_core,
        to_wire=requests.metering_to_wire,
    ),
    Mapping(
        message=wire.FlexSettlement,
        core=trading.Bill,
        read=fates.SETTLEMENT_READ,
        written=fates.SETTLEMENT_WRITTEN,
        to_core=settlement.settlement_to_core,
        to_wire=settlement.settlement_to_wire,
    ),
)
