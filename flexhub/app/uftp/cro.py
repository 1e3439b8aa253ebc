"""A common reference operator: which connections lie at which congestion point, and which AGR stands for them.

Everything is kept by connection, so that what one message changes or asks is found by what it names:
``UftpConnection`` by ``<cro>||<connection>`` says where it lies and whose it is, from day to day; ``UftpPoint`` and
``UftpPortfolio`` only list connections, of a congestion point and of an AGR.

Interpretation: an update says nothing about connections that it doesn't name; EndPeriod, the last day, ends one. Of two
AGRs that name a connection, it is the later one's from its StartPeriod on; at two congestion points it cannot be.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Final, TypeVar

import msgspec

from flexhub.app.hub.contract import Key, Put, View
from flexhub.app.uftp.hooks import Case, Hook, Work
from flexhub.app.uftp.papers import place
from flexhub.app.uftp.participants import Own
from flexhub.core.errors import ForbiddenError, InvalidError
from flexhub.protocols.uftp import messages as wire

LAST: Final = "9999-12-31"


class _Span(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """From a day to another, both included."""

    start: str
    end: str = LAST


class Located(_Span, frozen=True, kw_only=True):
    """At a congestion point, of which its DSO says how it trades there."""

    point: str
    dso: str
    mutex: bool
    day_ahead: wire.RedispatchBy
    intraday: wire.RedispatchBy | None = None


class Represented(_Span, frozen=True, kw_only=True):
    """An AGR stands for it."""

    agr: str


class UftpConnection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A connection."""

    located: tuple[Located, ...] = ()
    represented: tuple[Represented, ...] = ()


class UftpPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A congestion point: whose it is, and its connections of all times."""

    dso: str
    connections: tuple[str, ...]


class UftpPortfolio(msgspec.Struct, frozen=True, kw_only=True):
    """An AGR's connections of all times."""

    connections: tuple[str, ...]


S = TypeVar("S", bound=_Span)


def _on(spans: Iterable[S], day: str) -> S | None:
    """The one that holds on a day."""
    return next((span for span in spans if span.start <= day <= span.end), None)


def _key(own: Own, kind: type, name: str) -> Key:
    return Key(kind, place(own.domain, "", name))


def _connections(own: Own, names: Iterable[str]) -> list[Key]:
    return [_key(own, UftpConnection, name) for name in dict.fromkeys(names)]


def _connection(own: Own, name: str, view: View) -> UftpConnection:
    return view.get(UftpConnection, place(own.domain, "", name)) or UftpConnection()


def _merged(known: tuple[str, ...], more: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*known, *more)))


def _days(told: wire.DatedConnection | wire.UpdatedCongestionPoint) -> tuple[str, str]:
    """First and last day.

    Raises:
        InvalidError: the last is before the first.
    """
    start, end = told.start_period[:10], LAST if told.end_period is None else told.end_period[:10]
    if end < start:
        raise InvalidError(f"{end} is before StartPeriod {start}", path="Connection/@EndPeriod", value=end)
    return start, end


def cut(spans: Iterable[S], start: str, end: str) -> list[S]:
    """What is left of spans outside of [start, end]."""
    left: list[S] = []
    for span in spans:
        if span.start < start:
            before = (date.fromisoformat(start) - timedelta(days=1)).isoformat()
            left.append(msgspec.structs.replace(span, end=min(span.end, before)))
        if span.end > end:
            after = (date.fromisoformat(end) + timedelta(days=1)).isoformat()
            left.append(msgspec.structs.replace(span, start=max(span.start, after)))
    return left


class AgrUpdate(Hook):
    """AGRPortfolioUpdate: an AGR says which connections it stands for."""

    def needs(self, own: Own, message: wire.Payload) -> Iterable[Key]:
        """Its connections, and its list."""
        assert isinstance(message, wire.AGRPortfolioUpdate)  # noqa: S101 - hooks are by type
        named = _connections(own, (c.entity_address for c in message.connections))
        return [*named, _key(own, UftpPortfolio, message.sender_domain)]

    def work(self, case: Case) -> Work:
        """They are its own from now on."""
        message, own = case.message, case.own
        assert isinstance(message, wire.AGRPortfolioUpdate)  # noqa: S101 - hooks are by type
        changed: dict[str, UftpConnection] = {}
        for told in message.connections:
            name, (start, end) = told.entity_address, _days(told)
            known = changed.get(name) or _connection(own, name, case.view)
            mine = Represented(start=start, end=end, agr=message.sender_domain)
            changed[name] = msgspec.structs.replace(known, represented=(*cut(known.represented, start, end), mine))
        listed = _key(own, UftpPortfolio, message.sender_domain)
        before = case.view.get(UftpPortfolio, listed.id)
        portfolio = UftpPortfolio(connections=_merged(before.connections if before else (), changed))
        puts = [*_filed(own, changed), Put(key=listed, value=portfolio, owner=message.sender_domain)]
        return Work(puts=tuple(puts))


def _filed(own: Own, changed: dict[str, UftpConnection]) -> list[Put]:
    return [Put(key=_key(own, UftpConnection, name), value=value, owner=own.domain) for name, value in changed.items()]


class DsoUpdate(Hook):
    """DSOPortfolioUpdate: a DSO says at which congestion points it trades, and which connections lie there."""

    def needs(self, own: Own, message: wire.Payload) -> Iterable[Key]:
        """The points and their connections."""
        assert isinstance(message, wire.DSOPortfolioUpdate)  # noqa: S101 - hooks are by type
        points = [_key(own, UftpPoint, point.entity_address) for point in message.congestion_points]
        return [
            *points,
            *_connections(own, (c.entity_address for point in message.congestion_points for c in point.connections)),
        ]

    def places(self, own: Own, message: wire.Payload, view: View) -> dict[str, str]:
        """Where its connections lie so far, in the time that they are named for."""
        assert isinstance(message, wire.DSOPortfolioUpdate)  # noqa: S101 - hooks are by type
        found: dict[str, str] = {}
        for point in message.congestion_points:
            for told in point.connections:
                start, end = told.start_period[:10], (told.end_period or LAST)[:10]
                for span in _connection(own, told.entity_address, view).located:
                    if span.start <= end and start <= span.end and span.point != point.entity_address:
                        found[told.entity_address] = span.point
        return found

    def work(self, case: Case) -> Work:
        """They lie there from now on.

        Raises:
            ForbiddenError: the point is another DSO's.
        """
        message, own = case.message, case.own
        assert isinstance(message, wire.DSOPortfolioUpdate)  # noqa: S101 - hooks are by type
        changed: dict[str, UftpConnection] = {}
        puts: list[Put] = []
        for i, point in enumerate(message.congestion_points):
            key = _key(own, UftpPoint, point.entity_address)
            before = case.view.get(UftpPoint, key.id)
            if before is not None and before.dso != message.sender_domain:
                path = f"DSOPortfolioUpdate/CongestionPoint[{i}]/@EntityAddress"
                raise ForbiddenError("the congestion point is another DSO's", path=path, value=point.entity_address)
            first, last = _days(point)
            for told in point.connections:
                start, end = _days(told)
                start, end = max(start, first), min(end, last)
                known = changed.get(told.entity_address) or _connection(own, told.entity_address, case.view)
                here = Located(
                    start=start,
                    end=end,
                    point=point.entity_address,
                    dso=message.sender_domain,
                    mutex=point.mutex_offers_supported,
                    day_ahead=point.day_ahead_redispatch_by,
                    intraday=point.intraday_redispatch_by,
                )
                there = [here] if start <= end else []
                changed[told.entity_address] = msgspec.structs.replace(
                    known, located=(*cut(known.located, start, LAST), *there)
                )
            names = _merged(before.connections if before else (), (c.entity_address for c in point.connections))
            value = UftpPoint(dso=message.sender_domain, connections=names)
            puts.append(Put(key=key, value=value, owner=message.sender_domain))
        return Work(puts=(*puts, *_filed(own, changed)))


class AgrQuery(Hook):
    """AGRPortfolioQuery: an AGR asks for its connections of a day, by DSO and congestion point."""

    def needs(self, own: Own, message: wire.Payload) -> Iterable[Key]:
        """Its list."""
        return (_key(own, UftpPortfolio, message.sender_domain),)

    def further(self, own: Own, message: wire.Payload, view: View) -> Iterable[Key]:
        """The connections on it."""
        listed = view.get(UftpPortfolio, place(own.domain, "", message.sender_domain))
        return () if listed is None else _connections(own, listed.connections)

    def _mine(self, own: Own, message: wire.Payload, view: View) -> dict[str, Located | None]:
        assert isinstance(message, wire.AGRPortfolioQuery)  # noqa: S101 - hooks are by type
        listed = view.get(UftpPortfolio, place(own.domain, "", message.sender_domain))
        day, found = message.period[:10], dict[str, Located | None]()
        for name in () if listed is None else listed.connections:
            known = _connection(own, name, view)
            whose = _on(known.represented, day)
            if whose is not None and whose.agr == message.sender_domain:
                found[name] = _on(known.located, day)
        return found

    def places(self, own: Own, message: wire.Payload, view: View) -> dict[str, str]:
        """Its connections."""
        mine = self._mine(own, message, view)
        return {name: "" if located is None else located.point for name, located in mine.items()}

    def work(self, case: Case) -> Work:
        """The view.

        Raises:
            InvalidError: none of them lies at a congestion point, and the schema demands one.
        """
        mine = self._mine(case.own, case.message, case.view)
        points: dict[str, dict[str, list[tuple[str, Located]]]] = {}
        for name, located in mine.items():
            if located is not None:
                points.setdefault(located.dso, {}).setdefault(located.point, []).append((name, located))
        if not points:
            raise InvalidError("none of its connections lies at a congestion point", path="AGRPortfolioQuery")
        portfolios = tuple(
            wire.DSOPortfolio(dso_domain=dso, congestion_points=tuple(_viewed(p, at) for p, at in found.items()))
            for dso, found in points.items()
        )
        free = tuple(wire.BareConnection(entity_address=name) for name, located in mine.items() if located is None)
        return Work(content={"dso_views": (wire.DSOView(dso_portfolios=portfolios, connections=free),)})


def _viewed(point: str, at: list[tuple[str, Located]]) -> wire.PortfolioCongestionPoint:
    located = at[-1][1]
    return wire.PortfolioCongestionPoint(
        entity_address=point,
        mutex_offers_supported=located.mutex,
        day_ahead_redispatch_by=located.day_ahead,
        intraday_redispatch_by=located.intraday,
        connections=tuple(wire.BareConnection(entity_address=name) for name, _ in at),
    )


class DsoQuery(Hook):
    """DSOPortfolioQuery: a DSO asks who stands for the connections of one of its congestion points on a day."""

    def needs(self, own: Own, message: wire.Payload) -> Iterable[Key]:
        """The point."""
        assert isinstance(message, wire.DSOPortfolioQuery)  # noqa: S101 - hooks are by type
        return (_key(own, UftpPoint, message.entity_address),)

    def further(self, own: Own, message: wire.Payload, view: View) -> Iterable[Key]:
        """Its connections."""
        assert isinstance(message, wire.DSOPortfolioQuery)  # noqa: S101 - hooks are by type
        point = view.get(UftpPoint, place(own.domain, "", message.entity_address))
        return () if point is None else _connections(own, point.connections)

    def _there(self, own: Own, message: wire.Payload, view: View) -> dict[str, str | None]:
        """Connections of that day, and the AGR of each."""
        assert isinstance(message, wire.DSOPortfolioQuery)  # noqa: S101 - hooks are by type
        point = view.get(UftpPoint, place(own.domain, "", message.entity_address))
        day, found = message.period[:10], dict[str, str | None]()
        if point is None or point.dso != message.sender_domain:
            return found
        for name in point.connections:
            known = _connection(own, name, view)
            located, whose = _on(known.located, day), _on(known.represented, day)
            if located is not None and located.point == message.entity_address:
                found[name] = None if whose is None else whose.agr
        return found

    def places(self, own: Own, message: wire.Payload, view: View) -> dict[str, str]:
        """The connections that lie there."""
        assert isinstance(message, wire.DSOPortfolioQuery)  # noqa: S101 - hooks are by type
        return dict.fromkeys(self._there(own, message, view), message.entity_address)

    def work(self, case: Case) -> Work:
        """The point with its connections."""
        assert isinstance(case.message, wire.DSOPortfolioQuery)  # noqa: S101 - hooks are by type
        there = self._there(case.own, case.message, case.view)
        connections = tuple(wire.AgrConnection(entity_address=name, agr_domain=agr) for name, agr in there.items())
        point = wire.QueriedCongestionPoint(entity_address=case.message.entity_address, connections=connections)
        return Work(content={"congestion_points": (point,)} if there else {})


def hooks() -> dict[type[wire.Payload], Hook]:
    """Type -> what is made of it."""
    return {
        wire.AGRPortfolioUpdate: AgrUpdate(),
        wire.AGRPortfolioQuery: AgrQuery(),
        wire.DSOPortfolioUpdate: DsoUpdate(),
        wire.DSOPortfolioQuery: DsoQuery(),
    }
