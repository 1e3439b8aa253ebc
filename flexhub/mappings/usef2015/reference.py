"""The common reference, tests and answers: USEF 2015's messages as UFTP's, and back.

Interpretation: in USEF 2015 a change takes effect at once, so what is registered begins on the day of TimeStamp, for
good; UFTP's other days are lost bounds. Congestion points take no mutually exclusive offers, and the DSO redispatches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from flexhub.core.errors import InvalidError
from flexhub.mappings.fates import Kind, Loss, Mapped
from flexhub.mappings.usef2015.context import Context, Name, dropped, identity, metadata
from flexhub.mappings.usef2015.settlement import statuses_to_uftp, statuses_to_usef
from flexhub.protocols.uftp import messages as uftp
from flexhub.protocols.usef2015 import messages as wire
from flexhub.protocols.usef2015.messages import Entity, Role

_AGR: Final = ((Role.AGR, Role.CRO),)
_DSO: Final = ((Role.DSO, Role.CRO),)


def _zone(name: str, ctx: Context, losses: list[Loss]) -> str:
    why = "USEF 2015's message has none"
    losses.append(Loss(path=f"{name}/@TimeZone", kind=Kind.DEFAULTED, value=ctx.uftp.time_zone, why=why))
    return ctx.uftp.time_zone


def _begins(path: str, start: str, end: str | None, stamp: str, losses: list[Loss]) -> None:
    if start[:10] != stamp[:10]:
        dropped(f"{path}/@StartPeriod", start, "in USEF 2015 it begins at once", losses, Kind.BOUND)
    dropped(f"{path}/@EndPeriod", end, "in USEF 2015 it has no end", losses, Kind.BOUND)


def _now(path: str, period: str, stamp: str, losses: list[Loss]) -> None:
    if period[:10] != stamp[:10]:
        dropped(f"{path}/@Period", period, "in USEF 2015 one asks how it is now", losses, Kind.BOUND)


def customers_to_uftp(m: wire.CommonReferenceUpdate, ctx: Context) -> Mapped[uftp.AGRPortfolioUpdate]:
    """For which connections an aggregator stands, from the day of TimeStamp on.

    Raises:
        InvalidError: connections for which it does no longer, or none.
    """
    losses: list[Loss] = []
    for i, connection in enumerate(m.connections):
        if not connection.is_customer:
            told = "is no customer; UFTP ends what began on a day, which is not told"
            raise InvalidError(told, path=f"CommonReferenceUpdate/Connection[{i}]/@IsCustomer")
        for name, value in (("BRP-Domain", connection.brp_domain), ("AGR-Domain", connection.agr_domain)):
            dropped(f"CommonReferenceUpdate/Connection[{i}]/@{name}", value, "UFTP has no place for it", losses)
    if not m.connections:
        raise InvalidError("UFTP's portfolio has a connection at least", path="CommonReferenceUpdate/Connection")
    dropped("CommonReferenceUpdate/@EntityAddress", m.entity_address, "it is to be ignored", losses)
    message = uftp.AGRPortfolioUpdate(
        **identity(m, losses),
        time_zone=_zone("AGRPortfolioUpdate", ctx, losses),
        connections=_dated(m),
    )
    return Mapped(message, tuple(losses))


def _dated(m: wire.CommonReferenceUpdate) -> tuple[uftp.DatedConnection, ...]:
    start = m.message_metadata.time_stamp[:10]
    return tuple(uftp.DatedConnection(entity_address=c.entity_address, start_period=start) for c in m.connections)


def customers_to_usef(u: uftp.AGRPortfolioUpdate, ctx: Context) -> Mapped[wire.CommonReferenceUpdate]:
    """For which connections an aggregator stands, at once."""
    losses: list[Loss] = []
    for i, one in enumerate(u.connections):
        _begins(f"AGRPortfolioUpdate/Connection[{i}]", one.start_period, one.end_period, u.time_stamp, losses)
    dropped("AGRPortfolioUpdate/@TimeZone", u.time_zone, "what is told holds at once, in any zone", losses)
    message = wire.CommonReferenceUpdate(
        message_metadata=metadata(u, wire.CommonReferenceUpdate, _AGR, ctx, losses),
        entity=Entity.AGGREGATOR,
        connections=tuple(wire.Connection(entity_address=c.entity_address, is_customer=True) for c in u.connections),
    )
    return Mapped(message, tuple(losses))


def point_to_uftp(m: wire.CommonReferenceUpdate, ctx: Context) -> Mapped[uftp.DSOPortfolioUpdate]:
    """Which connections belong to a congestion point, from the day of TimeStamp on.

    Raises:
        InvalidError: no connections, which deletes the point; UFTP ends what began on a day, which is not told.
    """
    losses: list[Loss] = []
    if not m.connections or m.entity_address is None:
        told = "UFTP ends a congestion point that began on a day, which is not told"
        raise InvalidError(told, path="CommonReferenceUpdate/Connection")
    for i, connection in enumerate(m.connections):
        for name, value in (("BRP-Domain", connection.brp_domain), ("AGR-Domain", connection.agr_domain)):
            dropped(f"CommonReferenceUpdate/Connection[{i}]/@{name}", value, "UFTP has no place for it", losses)
    for name in ("MutexOffersSupported", "DayAheadRedispatchBy"):
        path = f"DSOPortfolioUpdate/CongestionPoint[0]/@{name}"
        losses.append(Loss(path=path, kind=Kind.DEFAULTED, value=None, why="USEF 2015 does not tell"))
    message = uftp.DSOPortfolioUpdate(
        **identity(m, losses),
        time_zone=_zone("DSOPortfolioUpdate", ctx, losses),
        congestion_points=(
            uftp.UpdatedCongestionPoint(
                entity_address=m.entity_address,
                start_period=m.message_metadata.time_stamp[:10],
                mutex_offers_supported=False,
                day_ahead_redispatch_by=uftp.RedispatchBy.DSO,
                connections=_dated(m),
            ),
        ),
    )
    return Mapped(message, tuple(losses))


def point_to_usef(u: uftp.DSOPortfolioUpdate, ctx: Context) -> Mapped[wire.CommonReferenceUpdate]:
    """Which connections belong to a congestion point, at once.

    Raises:
        InvalidError: several congestion points; each is an update of its own.
    """
    losses: list[Loss] = []
    if len(u.congestion_points) > 1:
        told = f"{len(u.congestion_points)} points; USEF 2015 updates one at a time"
        raise InvalidError(told, path="DSOPortfolioUpdate/CongestionPoint")
    point, path = u.congestion_points[0], "DSOPortfolioUpdate/CongestionPoint[0]"
    _begins(path, point.start_period, point.end_period, u.time_stamp, losses)
    for i, one in enumerate(point.connections):
        _begins(f"{path}/Connection[{i}]", one.start_period, one.end_period, u.time_stamp, losses)
    why = "USEF 2015 has no place for it"
    dropped(f"{path}/@MutexOffersSupported", point.mutex_offers_supported or None, why, losses)
    if point.day_ahead_redispatch_by is not uftp.RedispatchBy.DSO:
        dropped(f"{path}/@DayAheadRedispatchBy", point.day_ahead_redispatch_by, why, losses)
    dropped(f"{path}/@IntradayRedispatchBy", point.intraday_redispatch_by, why, losses)
    dropped("DSOPortfolioUpdate/@TimeZone", u.time_zone, "what is told holds at once, in any zone", losses)
    message = wire.CommonReferenceUpdate(
        message_metadata=metadata(u, wire.CommonReferenceUpdate, _DSO, ctx, losses),
        entity=Entity.CONGESTION_POINT,
        entity_address=point.entity_address,
        connections=tuple(wire.Connection(entity_address=c.entity_address) for c in point.connections),
    )
    return Mapped(message, tuple(losses))


def _asked(m: wire.CommonReferenceQuery, losses: list[Loss]) -> None:
    if m.entity is not Entity.CONGESTION_POINT:
        raise InvalidError(f"UFTP's CRO is not asked about a {m.entity}", path="CommonReferenceQuery/@Entity")
    path = "CommonReferenceQuery/ConnectionEntityAddress"
    told = ", ".join(c.entity_address for c in m.connection_entity_addresses) or None
    dropped(path, told, "UFTP asks for all connections", losses, Kind.BOUND)


def agr_query_to_uftp(m: wire.CommonReferenceQuery, ctx: Context) -> Mapped[uftp.AGRPortfolioQuery]:
    """An aggregator asks where its connections are, on the day of TimeStamp.

    Raises:
        InvalidError: it asks about something else than congestion points.
    """
    losses: list[Loss] = []
    _asked(m, losses)
    dropped("CommonReferenceQuery/@EntityAddress", m.entity_address, "UFTP asks for all", losses, Kind.BOUND)
    zone = _zone("AGRPortfolioQuery", ctx, losses)
    day = m.message_metadata.time_stamp[:10]
    return Mapped(uftp.AGRPortfolioQuery(**identity(m, losses), time_zone=zone, period=day), tuple(losses))


def agr_query_to_usef(u: uftp.AGRPortfolioQuery, ctx: Context) -> Mapped[wire.CommonReferenceQuery]:
    """An aggregator asks where its connections are now."""
    losses: list[Loss] = []
    _now("AGRPortfolioQuery", u.period, u.time_stamp, losses)
    dropped("AGRPortfolioQuery/@TimeZone", u.time_zone, "what is asked holds now, in any zone", losses)
    meta = metadata(u, wire.CommonReferenceQuery, _AGR, ctx, losses)
    return Mapped(wire.CommonReferenceQuery(message_metadata=meta), tuple(losses))


def dso_query_to_uftp(m: wire.CommonReferenceQuery, ctx: Context) -> Mapped[uftp.DSOPortfolioQuery]:
    """A DSO asks who stands for the connections of a congestion point, on the day of TimeStamp.

    Raises:
        InvalidError: it asks about something else, or about all.
    """
    losses: list[Loss] = []
    _asked(m, losses)
    if m.entity_address is None:
        raise InvalidError("UFTP asks about one congestion point", path="CommonReferenceQuery/@EntityAddress")
    message = uftp.DSOPortfolioQuery(
        **identity(m, losses),
        time_zone=_zone("DSOPortfolioQuery", ctx, losses),
        period=m.message_metadata.time_stamp[:10],
        entity_address=m.entity_address,
    )
    return Mapped(message, tuple(losses))


def dso_query_to_usef(u: uftp.DSOPortfolioQuery, ctx: Context) -> Mapped[wire.CommonReferenceQuery]:
    """A DSO asks who stands for the connections of a congestion point now."""
    losses: list[Loss] = []
    _now("DSOPortfolioQuery", u.period, u.time_stamp, losses)
    dropped("DSOPortfolioQuery/@TimeZone", u.time_zone, "what is asked holds now, in any zone", losses)
    meta = metadata(u, wire.CommonReferenceQuery, _DSO, ctx, losses)
    return Mapped(wire.CommonReferenceQuery(message_metadata=meta, entity_address=u.entity_address), tuple(losses))


def probe_to_uftp(m: wire.TestMessage, ctx: Context) -> Mapped[uftp.TestMessage]:  # noqa: ARG001 - as every mapping
    """A message without content."""
    losses: list[Loss] = []
    return Mapped(uftp.TestMessage(**identity(m, losses)), tuple(losses))


def probe_to_usef(u: uftp.TestMessage, ctx: Context) -> Mapped[wire.TestMessage]:
    """A message without content; UFTP's says no roles."""
    losses: list[Loss] = []
    meta = metadata(u, wire.TestMessage, ((Role.AGR, Role.DSO),), ctx, losses)
    return Mapped(wire.TestMessage(message_metadata=meta), tuple(losses))


def probed_to_uftp(m: wire.TestMessageResponse, ctx: Context) -> Mapped[uftp.TestMessageResponse]:  # noqa: ARG001 - as every mapping
    """An answer without content."""
    losses: list[Loss] = []
    return Mapped(uftp.TestMessageResponse(**identity(m, losses)), tuple(losses))


def probed_to_usef(u: uftp.TestMessageResponse, ctx: Context) -> Mapped[wire.TestMessageResponse]:
    """An answer without content; UFTP's says no roles."""
    losses: list[Loss] = []
    meta = metadata(u, wire.TestMessageResponse, ((Role.DSO, Role.AGR),), ctx, losses)
    return Mapped(wire.TestMessageResponse(message_metadata=meta), tuple(losses))


class Answer(NamedTuple):
    """An answer in both protocols: what it answers, and the fields that say which; None: its conversation does."""

    usef: type[wire.Response]
    uftp: type[uftp.Response]
    about: type[wire.Payload]
    key: str | None
    message_id: str
    ways: tuple[tuple[Role, Role], ...]


_TO_AGR: Final = ((Role.DSO, Role.AGR),)
_TO_DSO: Final = ((Role.AGR, Role.DSO),)
ANSWERS: Final = (
    Answer(
        wire.PrognosisResponse,
        uftp.DPrognosisResponse,
        wire.Prognosis,
        "prognosis_sequence",
        "d_prognosis_message_id",
        _TO_AGR,
    ),
    Answer(
        wire.FlexRequestResponse,
        uftp.FlexRequestResponse,
        wire.FlexRequest,
        "sequence",
        "flex_request_message_id",
        _TO_DSO,
    ),
    Answer(
        wire.FlexOfferResponse, uftp.FlexOfferResponse, wire.FlexOffer, "sequence", "flex_offer_message_id", _TO_AGR
    ),
    Answer(
        wire.FlexOfferRevocationResponse,
        uftp.FlexOfferRevocationResponse,
        wire.FlexOfferRevocation,
        "sequence",
        "flex_offer_revocation_message_id",
        _TO_AGR,
    ),
    Answer(
        wire.FlexOrderResponse, uftp.FlexOrderResponse, wire.FlexOrder, "sequence", "flex_order_message_id", _TO_DSO
    ),
    Answer(
        wire.SettlementMessageResponse,
        uftp.FlexSettlementResponse,
        wire.SettlementMessage,
        "reference",
        "flex_settlement_message_id",
        _TO_DSO,
    ),
    Answer(
        wire.CommonReferenceUpdateResponse,
        uftp.AGRPortfolioUpdateResponse,
        wire.CommonReferenceUpdate,
        None,
        "agr_portfolio_update_message_id",
        ((Role.CRO, Role.AGR),),
    ),
    Answer(
        wire.CommonReferenceUpdateResponse,
        uftp.DSOPortfolioUpdateResponse,
        wire.CommonReferenceUpdate,
        None,
        "dso_portfolio_update_response_message_id",
        ((Role.CRO, Role.DSO),),
    ),
)
"""Every answer that both protocols have and that says more than yes."""

Both = tuple[Callable[[Any, Context], Mapped[Any]], Callable[[Any, Context], Mapped[Any]]]


def answer(row: Answer) -> Both:
    """(to UFTP, to USEF 2015) of an answer: what it is about is told by MessageID there, by Sequence or so here."""
    about, root = row.about.__name__, row.usef.__name__

    def to_uftp(m: Any, ctx: Context) -> Mapped[Any]:  # noqa: ANN401 - of the row's types
        """An answer to what UFTP names by its MessageID."""
        losses: list[Loss] = []
        meta = m.message_metadata
        key = meta.conversation_id.lower() if row.key is None else str(getattr(m, row.key))
        path = f"{root}/{'MessageMetadata/@ConversationID' if row.key is None else f'@{wire.wire_name(row.key)}'}"
        fields: dict[str, Any] = {
            row.message_id: ctx.id_of(Name(about, meta.recipient_domain, key), path, losses),
            "result": m.result,
            "rejection_reason": m.message,
        }
        if isinstance(m, wire.CommonReferenceUpdateResponse):
            dropped(f"{root}/@EntityAddress", m.entity_address, "UFTP's answer does not repeat it", losses)
        if isinstance(m, wire.PrognosisResponse):
            fields["flex_order_statuses"] = tuple(
                uftp.FlexOrderStatus(
                    flex_order_message_id=ctx.id_of(
                        Name("FlexOrder", meta.sender_domain, str(s.sequence)), f"{root}/FlexOrderStatus[{i}]", losses
                    ),
                    is_validated=s.is_validated,
                )
                for i, s in enumerate(m.flex_order_statuses)
            )
        if isinstance(m, wire.SettlementMessageResponse):
            fields["flex_order_settlement_statuses"] = statuses_to_uftp(m.flex_order_settlement_statuses)
        return Mapped(row.uftp(**identity(m, losses), **fields), tuple(losses))

    def to_usef(u: Any, ctx: Context) -> Mapped[Any]:  # noqa: ANN401 - of the row's types
        """An answer to what USEF 2015 names by its Sequence, its Reference or its conversation."""
        losses: list[Loss] = []
        fields: dict[str, Any] = {"result": u.result, "message": u.rejection_reason}
        if u.result is uftp.Result.REJECTED and not u.rejection_reason:
            fields["message"] = "rejected"
            why = "USEF 2015 wants a reason"
            losses.append(Loss(path=f"{root}/@Message", kind=Kind.DEFAULTED, value="rejected", why=why))
        if row.key is not None:
            key = ctx.key_of(
                about, u.recipient_domain, getattr(u, row.message_id), f"{root}/@{wire.wire_name(row.key)}", losses
            )
            fields[row.key] = key if row.key == "reference" else int(key)
        if isinstance(u, uftp.DPrognosisResponse):
            fields["flex_order_statuses"] = tuple(_statuses(u, ctx, losses))
        if isinstance(u, uftp.FlexSettlementResponse):
            fields["flex_order_settlement_statuses"] = statuses_to_usef(u.flex_order_settlement_statuses, losses)
        if row.usef is wire.CommonReferenceUpdateResponse:
            fields["entity_address"] = ctx.kept.get("entity_address")
        meta = metadata(u, row.usef, row.ways, ctx, losses)
        return Mapped(row.usef(message_metadata=meta, **fields), tuple(losses))

    return to_uftp, to_usef


def _statuses(u: uftp.DPrognosisResponse, ctx: Context, losses: list[Loss]) -> Iterable[wire.FlexOrderStatus]:
    for i, status in enumerate(u.flex_order_statuses):
        path = f"D-PrognosisResponse/FlexOrderStatus[{i}]/@FlexOrderMessageID"
        key = ctx.key_of("FlexOrder", u.sender_domain, status.flex_order_message_id, path, losses)
        yield wire.FlexOrderStatus(sequence=int(key), is_validated=status.is_validated)
