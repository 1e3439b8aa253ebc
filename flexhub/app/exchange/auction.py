"""Decisions of a market operator: sessions are opened, bids come in until the gate closes, and then it is cleared.

Interpretation: GOFLEX D2.1 names the market's operations, not its paths. A session is one round of the market engine;
what it demands and the price of each slot are open to every participant, bids and trades are each party's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from flexhub.app.exchange.market import value_of
from flexhub.app.exchange.portfolio import every
from flexhub.app.hub.contract import Answer, Asker, Decision, Handler, Key, Message, Put, Question, Reads, View
from flexhub.core.base import Id, Model
from flexhub.core.documents import encode
from flexhub.core.effects import Ask, Notify, SetTimer
from flexhub.core.errors import DuplicateError, EngineError, ExpiredError, ForbiddenError, NotFoundError
from flexhub.core.registry import Role
from flexhub.core.trading import Bid, Trade
from flexhub.engines.slots import Book, Clearing, MarketEngine, MarketSession

MARKET = "market"
OPEN, CLEARED = "open", "cleared"

PARTICIPANTS = "flexhub:participants"
"""Whose notices go to everyone who may bid: sessions, when they open and when they are cleared."""


class Round(Model, frozen=True, kw_only=True):
    """A session as everyone sees it: what is wanted, and once it is cleared what each slot costs (None: no trade)."""

    session: MarketSession
    operator: Id
    cleared: bool = False
    prices_eur_per_kwh: tuple[float | None, ...] = ()
    unserved_kwh: tuple[float, ...] = ()

    @property
    def id(self) -> str:
        """The session's."""
        return self.session.id


class Entry(Model, frozen=True, kw_only=True):
    """A bid in a session."""

    session: Id
    bid: Bid

    @property
    def id(self) -> str:
        """Unique among all sessions."""
        return entry_id(self.session, self.bid.id)


class Deal(Model, frozen=True, kw_only=True):
    """A trade in a session."""

    session: Id
    trade: Trade


def entry_id(session: str, bid: str) -> str:
    """Where a bid is filed."""
    return f"{session}/{bid}"


def _ends(session: MarketSession) -> datetime:
    return session.start + timedelta(seconds=session.resolution_s * len(session.demand_kwh))


def _file_round(round_: Round) -> Put:
    session = round_.session
    return Put(
        key=Key(Round, session.id),
        value=round_,
        owner=round_.operator,
        state=CLEARED if round_.cleared else OPEN,
        starts=session.start,
        ends=_ends(session),
    )


def _announce(round_: Round) -> tuple[Notify, Notify]:
    """The session as it is now, to its operator and to all who may bid."""
    told = Notify(party=round_.operator, topic="session", subject=round_.id, body=round_)
    return told, msgspec.structs.replace(told, party=PARTICIPANTS)


class OpenSession:
    """``session.post``: the operator opens a session; its gate closes by timer."""

    def __init__(self, engine: MarketEngine) -> None:
        self._engine = engine

    def needs(self, message: Message) -> Iterable[Key]:
        """The session of that id."""
        return (Key(Round, message.conversation),)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Open, and announced to the operator and all who may bid; the same session again changes nothing."""
        session = value_of(message, MarketSession)
        known = view.get(Round, session.id)
        if known is not None:
            if known.session != session or known.operator != message.peer:
                raise DuplicateError("this id is taken by another session", path="MarketSession/id", value=session.id)
            return Decision(answer=Answer(status=200, body=encode(known)))
        if now >= session.closes:
            raise ExpiredError(f"closes at {session.closes:%FT%TZ}", path="MarketSession/closes")
        round_ = Round(session=self._engine.open(session).session, operator=message.peer)
        gate = SetTimer(subject=session.id, event="clear", due=session.closes)
        return Decision(
            answer=Answer(status=201, body=encode(round_)),
            puts=(_file_round(round_),),
            effects=(gate, *_announce(round_)),
        )


class PostBid:
    """``bid.post``: a participant bids until the gate closes; the same bid again changes nothing."""

    def __init__(self, engine: MarketEngine) -> None:
        self._engine = engine

    def needs(self, message: Message) -> Iterable[Key]:
        """The session, and the bid of that id."""
        bid = value_of(message, Bid)
        return Key(Round, message.conversation), Key(Entry, entry_id(message.conversation, bid.id))

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Taken into the book."""
        bid = value_of(message, Bid)
        if bid.party != message.peer:
            raise ForbiddenError(f"{message.peer} may not bid for {bid.party}", path="Bid/party", value=bid.party)
        round_ = _round(view, message)
        entry = Entry(session=round_.id, bid=bid)
        known = view.get(Entry, entry.id)
        self._engine.submit(Book(session=round_.session, bids=() if known is None else (known.bid,)), bid, now)
        status = 200 if known is not None else 201
        put = Put(key=Key(Entry, entry.id), value=entry, owner=bid.party, state=round_.id, starts=bid.start)
        return Decision(answer=Answer(status=status, body=encode(bid)), puts=(put,))


class Withdrawn(Model, frozen=True, kw_only=True):
    """Which bid is taken back."""

    bid: Id


class DeleteBid:
    """``bid.delete``: a participant takes its bid back while the gate is open."""

    def needs(self, message: Message) -> Iterable[Key]:
        """The session and the bid."""
        bid = value_of(message, Withdrawn).bid
        return Key(Round, message.conversation), Key(Entry, entry_id(message.conversation, bid))

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Out of the book."""
        round_ = _round(view, message)
        id_ = entry_id(round_.id, value_of(message, Withdrawn).bid)
        entry = view.get(Entry, id_)
        if entry is None or entry.bid.party != message.peer:
            raise NotFoundError("no such bid", path="Bid/id", value=id_)
        if now >= round_.session.closes:
            raise ExpiredError(f"closed at {round_.session.closes:%FT%TZ}", path="Bid")
        put = Put(key=Key(Entry, id_), value=entry, owner=message.peer, state="withdrawn", starts=entry.bid.start)
        return Decision(answer=Answer(status=200, body=encode(entry.bid)), puts=(put,))


def _round(view: View, message: Message) -> Round:
    round_ = view.get(Round, message.conversation)
    if round_ is None:
        raise NotFoundError("no such session", path="MarketSession/id", value=message.conversation)
    return round_


class CloseGate:
    """``timer.clear``: the gate closes; the market engine is asked."""

    def needs(self, message: Message) -> Iterable[Key]:
        """The session."""
        return (Key(Round, message.conversation),)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:  # noqa: ARG002 - the handler's signature
        """The question."""
        round_ = view.get(Round, message.conversation)
        if round_ is None or round_.cleared:
            return Decision(answer=Answer(status=204))
        return Decision(answer=Answer(status=202), effects=(Ask(slot=MARKET, question="clear", subject=round_.id),))


class ClearResult:
    """``clear.result``: prices are published, and every party is told of its own trades."""

    def needs(self, message: Message) -> Iterable[Key]:
        """The session, and the bids that were taken."""
        clearing = value_of(message, Clearing)
        entries = (Key(Entry, entry_id(message.conversation, t.bid)) for t in clearing.trades)
        return [Key(Round, message.conversation), *entries]

    def decide(self, message: Message, view: View, now: datetime) -> Decision:  # noqa: ARG002 - the handler's signature
        """Trades, if each fits its bid: an engine is anyone's code."""
        clearing, round_ = value_of(message, Clearing), _round(view, message)
        for trade in clearing.trades:
            entry = view.get(Entry, entry_id(round_.id, trade.bid))
            if entry is None or entry.bid.party != trade.party or trade.quantity_kwh > entry.bid.quantity_kwh + 1e-9:
                raise EngineError("a trade is none of its bid's", path="Clearing/trades", value=trade.bid)
        done = Round(
            session=round_.session,
            operator=round_.operator,
            cleared=True,
            prices_eur_per_kwh=clearing.prices_eur_per_kwh,
            unserved_kwh=clearing.unserved_kwh,
        )
        deals = [Deal(session=round_.id, trade=trade) for trade in clearing.trades]
        puts = [_file_round(done), *(_file_deal(deal) for deal in deals)]
        # Before the session: who hears that it is cleared has heard of its own trades.
        effects = [Notify(party=d.trade.party, topic="trade", subject=d.trade.bid, body=d) for d in deals]
        effects += _announce(done)
        return Decision(answer=Answer(status=200, body=encode(done)), puts=tuple(puts), effects=tuple(effects))


def _file_deal(deal: Deal) -> Put:
    trade = deal.trade
    return Put(
        key=Key(Deal, entry_id(deal.session, trade.bid)),
        value=deal,
        owner=trade.party,
        state=deal.session,
        starts=trade.start,
        ends=trade.start + timedelta(seconds=trade.resolution_s),
    )


class ClearAsker:
    """Answers ``market.clear``: the book as it was when the gate closed."""

    def __init__(self, engine: MarketEngine) -> None:
        self._engine = engine

    async def gather(self, question: Question, reads: Reads, now: datetime) -> Book:  # noqa: ARG002 - the asker's signature
        """The session's bids that were not taken back."""
        round_ = await reads.get(Round, question.subject)
        if round_ is None:
            raise NotFoundError("no such session", path="MarketSession/id", value=question.subject)
        entries = await every(reads, Entry, states=(question.subject,))
        return Book(session=round_.session, bids=tuple(entry.bid for entry in entries))

    def answer(self, arguments: Book) -> Clearing:
        """The engine's clearing."""
        return self._engine.clear(arguments)


def handlers(engine: MarketEngine) -> dict[str, Handler]:
    """Kind -> handler, for a market operator's hub."""
    return {
        "session.post": OpenSession(engine),
        "bid.post": PostBid(engine),
        "bid.delete": DeleteBid(),
        "timer.clear": CloseGate(),
        "clear.result": ClearResult(),
    }


def askers(engine: MarketEngine) -> dict[str, Asker]:
    """``<slot>.<question>`` -> who answers it."""
    return {"market.clear": ClearAsker(engine)}


BIDDERS = (Role.PROSUMER, Role.AGGREGATOR)
"""Who trades: an agent directly, or an aggregator for its portfolio."""
