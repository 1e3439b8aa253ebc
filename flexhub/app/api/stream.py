"""The stream of changes, as server-sent events or over a WebSocket.

As events: `id` is the notice's number, `event` its topic, `data` its body; comments keep idle connections open. Over a
WebSocket: each text message is a JSON array of `{"seq", "topic", "data"}`. A client that comes back says the last
number that it has seen (``Last-Event-ID``, or `after`) and gets everything since; nothing is held in memory for it
meanwhile.
"""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import lru_cache
from typing import Final

from aiohttp import web

from flexhub.adapters.store.interface import NoticeRow
from flexhub.app.api import sights
from flexhub.app.api.calls import Call, Service, viewer_of
from flexhub.app.exchange.auction import BIDDERS, PARTICIPANTS
from flexhub.app.hub.feed import Audience, Subscription
from flexhub.core.errors import InvalidError
from flexhub.core.registry import Role

log = logging.getLogger(__name__)

TOGETHER_S: Final = 0.02
LONGEST_TOGETHER_S: Final = 0.25
FOR_EACH_S: Final = 0.0002
"""What comes within this time goes out together: some at least, for each subscriber some more, and some at most. With
many subscribers each is written to a few times a second, not for every notice; with few nobody waits for long."""

HEARTBEAT_S: Final = 15.0
RETRY_MS: Final = 2000
EVENTS: Final = 1024
"""So many encoded events are kept: one that many are told is made once."""

MOST_HEARD: Final = 4096
"""Bytes that a WebSocket's client may say at once; nothing of it is needed."""

WRITE_S: Final = 30.0
"""How long a client may take to read what it was sent."""


@lru_cache(EVENTS)
def event(row: NoticeRow) -> bytes:
    """One notice as an event; its body is one line of JSON."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (row.seq, row.topic.encode(), row.body)


def frame(row: NoticeRow) -> str:
    """One notice as an element of a WebSocket message; its body is JSON already."""
    return f'{{"seq":{row.seq},"topic":"{row.topic}","data":{row.body.decode()}}}'


class End(enum.Enum):
    """Why a stream ends."""

    GONE = enum.auto()
    ENDED = enum.auto()
    STOPPING = enum.auto()
    SLOW = enum.auto()
    FAILED = enum.auto()


CLOSED: Final = {
    End.GONE: (1000, b""),
    End.ENDED: (1008, b"the token has ended"),
    End.STOPPING: (1012, b"the hub is stopping; come back"),
    End.FAILED: (1011, b"the hub failed; come back"),
    End.SLOW: (1013, b"too slow; come back, and go on from the last seq"),
}
"""How a WebSocket is told (RFC 6455 section 7.4 and its registry)."""

Send = Callable[[list[NoticeRow]], Awaitable[None]]
"""Sends these notices; without any, a sign that the hub is still there."""


def begin_after(call: Call) -> int | None:
    """The notice after which to begin; None: from now on.

    Raises:
        InvalidError: a Last-Event-ID that is none of ours.
    """
    last = call.request.headers.get("Last-Event-ID")
    if last is None:
        after: int | None = call.args.after
        return after
    if not (last.isascii() and last.isdigit() and len(last) <= 18):
        raise InvalidError("not an event id of ours", path="header/Last-Event-ID", value=last)
    return int(last)


async def stream(service: Service, call: Call) -> web.StreamResponse:
    """Send what the party is told, until it leaves, its token is revoked or the hub stops.

    An admin is sent what anyone is told.
    """
    party: Audience = None if call.caller.role is Role.ADMIN else call.party
    if call.caller.role in BIDDERS:
        party = (call.party, PARTICIPANTS)
    # Before the answer begins: what a client does once it sees the stream open is on the stream.
    subscription = await service.hub.feed.subscribe(party, begin_after(call))
    try:
        upgrade = call.request.headers.get("Upgrade", "").lower() == "websocket"
        return await (_web_socket if upgrade else _events)(service, call, subscription)
    finally:
        service.hub.feed.leave(subscription)


async def _events(service: Service, call: Call, subscription: Subscription) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    await response.prepare(call.request)
    await response.write(b"retry: %d\n\n" % RETRY_MS)

    async def send(rows: list[NoticeRow]) -> None:
        await response.write(b"".join(map(event, rows)) or b": still here\n\n")

    # A client that has gone, or reads too slowly, ends its stream; it resumes where it was.
    with suppress(ConnectionError, TimeoutError):
        if await _pump(service, call, subscription, send) is End.STOPPING:
            await response.write(b": the hub is stopping; come back\nretry: %d\n\n" % RETRY_MS)
    return response


async def _web_socket(service: Service, call: Call, subscription: Subscription) -> web.StreamResponse:
    socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=MOST_HEARD, compress=False)
    if not socket.can_prepare(call.request):
        raise InvalidError("not a WebSocket handshake", path="header/Upgrade", clause="RFC 6455 section 4.2.1")
    await socket.prepare(call.request)

    async def send(rows: list[NoticeRow]) -> None:
        if rows:
            await socket.send_str("[" + ",".join(map(frame, rows)) + "]")

    pumping = asyncio.ensure_future(_pump(service, call, subscription, send))
    hearing = asyncio.ensure_future(_hear(socket))
    try:
        await asyncio.wait((pumping, hearing), return_when=asyncio.FIRST_COMPLETED)
        code, why = CLOSED[End.GONE]
        if pumping.done():
            code, why = CLOSED[_end(pumping)]
        await socket.close(code=code, message=why)
    finally:
        for task in (pumping, hearing):
            task.cancel()
        await asyncio.gather(pumping, hearing, return_exceptions=True)
    return socket


def _end(pumping: asyncio.Future[End]) -> End:
    error = pumping.exception()
    if error is None:
        return pumping.result()
    if isinstance(error, TimeoutError):
        return End.SLOW
    if not isinstance(error, ConnectionError):
        log.warning("a stream ended", exc_info=error)
    return End.FAILED


async def _hear(socket: web.WebSocketResponse) -> None:
    """Until the client leaves; what it says is nothing to us."""
    async for _ in socket:
        pass


async def _pump(service: Service, call: Call, subscription: Subscription, send: Send) -> End:
    """Send what comes until there is no more; what comes shortly after goes out with it.

    Raises:
        TimeoutError: the client reads too slowly.
        ConnectionError: it has gone.
    """
    viewer, clock = viewer_of(call), asyncio.get_running_loop().time
    look_again = clock() + HEARTBEAT_S
    while True:
        rows: list[NoticeRow] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, look_again - clock())):
                rows = await subscription.next()
            if not rows:
                return End.STOPPING
        # A stream outlives many a token, also one on which there is always more.
        if not rows or clock() >= look_again:
            if not await service.gate.still(call.request, call.caller):
                return End.ENDED
            look_again = clock() + HEARTBEAT_S
        if viewer.reach not in sights.PLAIN:
            rows = [await sights.notice(service.hub, viewer, row) for row in rows]
        async with asyncio.timeout(WRITE_S):
            await send(rows)
        if rows:
            together = TOGETHER_S + FOR_EACH_S * service.hub.feed.subscribers
            await asyncio.sleep(min(together, LONGEST_TOGETHER_S))
