"""USEF 2015 and UFTP, message for message: which has which counterpart, and what has none.

A row of `MAPPINGS` is one message of each; ``core`` is UFTP's. Several rows of one message differ in the role that it
comes from or goes to.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from flexhub.core.errors import InvalidError
from flexhub.mappings.fates import Mapped
from flexhub.mappings.registry import Mapping
from flexhub.mappings.usef2015 import bridge_fates as told
from flexhub.mappings.usef2015 import reference, settlement, trade
from flexhub.mappings.usef2015.context import Context
from flexhub.protocols.uftp import messages as uftp
from flexhub.protocols.usef2015 import messages as wire
from flexhub.protocols.usef2015.messages import Role

To = Callable[[Any, Context], Mapped[Any]]


def _row(message: type[wire.Payload], core: type[uftp.Payload], pair: told.Pair, to_uftp: To, to_usef: To) -> Mapping:
    return Mapping(message=message, core=core, read=pair[0], written=pair[1], to_core=to_uftp, to_wire=to_usef)


def _somewhere(to_uftp: To) -> To:
    """Refuses what is about no congestion point: in UFTP everything is about one."""

    @wraps(to_uftp)
    def checked(m: Any, ctx: Context) -> Mapped[Any]:  # noqa: ANN401 - of the row's types
        if m.congestion_point is None:
            name = "A-Plan" if isinstance(m, wire.Prognosis) else f"{type(m).__name__} without a congestion point"
            raise InvalidError(f"UFTP has no {name}", path=f"{type(m).__name__}/@CongestionPoint")
        return to_uftp(m, ctx)

    return checked


MAPPINGS: Final[tuple[Mapping, ...]] = (
    _row(wire.TestMessage, uftp.TestMessage, told.TEST, reference.probe_to_uftp, reference.probe_to_usef),
    _row(
        wire.TestMessageResponse,
        uftp.TestMessageResponse,
        told.TEST_ANSWER,
        reference.probed_to_uftp,
        reference.probed_to_usef,
    ),
    _row(
        wire.Prognosis,
        uftp.DPrognosis,
        told.PROGNOSIS,
        _somewhere(trade.prognosis_to_uftp),
        trade.prognosis_to_usef,
    ),
    _row(wire.FlexRequest, uftp.FlexRequest, told.REQUEST, _somewhere(trade.request_to_uftp), trade.request_to_usef),
    _row(wire.FlexOffer, uftp.FlexOffer, told.OFFER, _somewhere(trade.offer_to_uftp), trade.offer_to_usef),
    _row(
        wire.FlexOfferRevocation,
        uftp.FlexOfferRevocation,
        told.REVOCATION,
        trade.revocation_to_uftp,
        trade.revocation_to_usef,
    ),
    _row(wire.FlexOrder, uftp.FlexOrder, told.ORDER, _somewhere(trade.order_to_uftp), trade.order_to_usef),
    _row(
        wire.SettlementMessage,
        uftp.FlexSettlement,
        told.SETTLEMENT,
        settlement.settlement_to_uftp,
        settlement.settlement_to_usef,
    ),
    _row(
        wire.MeterDataQueryResponse,
        uftp.Metering,
        told.METER_DATA,
        settlement.meter_data_to_uftp,
        settlement.meter_data_to_usef,
    ),
    _row(
        wire.CommonReferenceUpdate,
        uftp.AGRPortfolioUpdate,
        told.CUSTOMERS,
        reference.customers_to_uftp,
        reference.customers_to_usef,
    ),
    _row(
        wire.CommonReferenceUpdate,
        uftp.DSOPortfolioUpdate,
        told.POINT,
        reference.point_to_uftp,
        reference.point_to_usef,
    ),
    _row(
        wire.CommonReferenceQuery,
        uftp.AGRPortfolioQuery,
        told.AGR_QUERY,
        reference.agr_query_to_uftp,
        reference.agr_query_to_usef,
    ),
    _row(
        wire.CommonReferenceQuery,
        uftp.DSOPortfolioQuery,
        told.DSO_QUERY,
        reference.dso_query_to_uftp,
        reference.dso_query_to_usef,
    ),
    *(_row(row.usef, row.uftp, told.answer(row.usef, row.uftp), *reference.answer(row)) for row in reference.ANSWERS),
)

NO_UFTP: Final[dict[type[wire.Payload], str]] = {
    wire.CommonReferenceQueryResponse: "it counts connections by aggregator; UFTP lists them, with redispatch and days",
    wire.MeterDataQuery: "in UFTP aggregators send what was metered unasked",
}
"""Messages of USEF 2015 that UFTP has no counterpart of, and why."""
_NO_CONTRACTS: Final = "USEF 2015 knows no contracts"
NO_USEF: Final[dict[type[uftp.Payload], str]] = {
    uftp.FlexReservationUpdate: _NO_CONTRACTS,
    uftp.FlexReservationUpdateResponse: _NO_CONTRACTS,
    uftp.MeteringResponse: "in USEF 2015 the answer to a query is not answered",
    uftp.AGRPortfolioQueryResponse: "it lists connections with redispatch; USEF 2015 counts them by aggregator",
    uftp.DSOPortfolioQueryResponse: "it lists connections; USEF 2015 counts them by aggregator",
}
"""Messages of UFTP that USEF 2015 has no counterpart of, and why."""


def _sides(m: wire.Payload) -> set[Role]:
    return {m.message_metadata.sender_role, m.message_metadata.recipient_role}


def to_uftp(m: wire.Payload, ctx: Context) -> Mapped[uftp.Payload]:
    """A message of USEF 2015 as one of UFTP.

    Raises:
        InvalidError: it has no counterpart, or a value in it hasn't.
    """
    rows = [row for row in MAPPINGS if row.message is type(m)]
    if len(rows) > 1:
        rows = [row for row in rows if Role(row.core.__name__[:3]) in _sides(m)]
    if not rows:
        why = NO_UFTP.get(type(m), "UFTP has no BRP")
        raise InvalidError(f"has no counterpart in UFTP: {why}", path=type(m).__name__)
    return rows[0].to_core(m, ctx)


def to_usef(u: uftp.Payload, ctx: Context) -> Mapped[wire.Payload]:
    """A message of UFTP as one of USEF 2015.

    Raises:
        InvalidError: it has no counterpart, or a value in it hasn't.
    """
    row = next((row for row in MAPPINGS if row.core is type(u)), None)
    if row is None:
        raise InvalidError(f"has no counterpart in USEF 2015: {NO_USEF[type(u)]}", path=uftp.element(type(u)))
    return row.to_wire(u, ctx)
