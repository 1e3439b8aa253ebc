"""What a market operator's routes do: sessions for everyone, bids and trades each party's own."""

from __future__ import annotations

from flexhub.app.api import messages as m
from flexhub.app.api.calls import Call, Reply, Service, handle, linked, page_of
from flexhub.app.exchange.auction import Deal, Entry, Round, Withdrawn
from flexhub.core.documents import decode, encode
from flexhub.core.errors import NotFoundError
from flexhub.core.trading import Bid
from flexhub.engines.slots import MarketSession


async def post_session(service: Service, call: Call) -> Reply:
    """Open a session."""
    session = decode(MarketSession, call.body)
    return await handle(service, call, "session.post", session.id, session)


async def post_bid(service: Service, call: Call) -> Reply:
    """Bid."""
    return await handle(service, call, "bid.post", call.args.id, decode(Bid, call.body))


async def delete_bid(service: Service, call: Call) -> Reply:
    """Take a bid back."""
    withdrawn = Withdrawn(bid=call.args.bid)
    told = call._replace(body=encode(withdrawn))
    return await handle(service, told, "bid.delete", call.args.id, withdrawn)


async def get_sessions(service: Service, call: Call) -> Reply:
    """Sessions, by the start of what is traded."""
    page = await page_of(service, call, Round)
    return linked(call, m.Rounds(items=page.items, next=page.next))


async def get_session(service: Service, call: Call) -> Reply:
    """One session."""
    return Reply(encode(await _round(service, call)))


async def _round(service: Service, call: Call) -> Round:
    found = await service.hub.get(Round, call.args.id)
    if found is None:
        raise NotFoundError("no such session", path="MarketSession/id", value=call.args.id)
    return found


async def get_bids(service: Service, call: Call) -> Reply:
    """The caller's own bids in a session."""
    round_ = await _round(service, call)
    page = await page_of(service, call, Entry, owner=call.party, states=(round_.id,))
    return linked(call, m.Bids(items=tuple(entry.bid for entry in page.items), next=page.next))


async def get_trades(service: Service, call: Call) -> Reply:
    """The caller's own trades in a session."""
    round_ = await _round(service, call)
    page = await page_of(service, call, Deal, owner=call.party, states=(round_.id,))
    return linked(call, m.Trades(items=tuple(deal.trade for deal in page.items), next=page.next))
