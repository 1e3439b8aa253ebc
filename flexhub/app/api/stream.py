"""The stream of changes as server-sent events: `id` is the notice's number, `event` its topic, `data` its body.

A client that comes back says ``Last-Event-ID`` and gets everything since; nothing is held in memory for it meanwhile.
Comments keep idle connections open.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Final

from aiohttp import web

from flexhub.adapters.store.interface import NoticeRow
from flexhub.app.api import sights
from flexhub.app.api.calls import Call, Service, viewer_of
from flexhub.core.errors import InvalidError
from flexhub.core.registry import Role

HEARTBEAT_S: Final = 15.0
RETRY_MS: Final = 2000
WRITE_S: Final = 30.0
"""How long a client may take to read what it was sent."""


def event(row: NoticeRow) -> bytes:
    """One notice as an event; its body is one line of JSON."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (row.seq, row.topic.encode(), row.body)


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
    party = None if call.caller.role is Role.ADMIN else call.party
    after = begin_after(call)
    if after is None:
        # Before the answer begins: what a client does once it sees the stream open is on the stream.
        after = await service.hub.last_notice()
    notices = service.hub.notices(party, after)
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    await response.prepare(call.request)
    await response.write(b"retry: %d\n\n" % RETRY_MS)
    # A client that has gone, or reads too slowly, ends its stream; it resumes where it was.
    with suppress(ConnectionError, TimeoutError):
        await _pump(response, notices, lambda: _admitted(service, call), lambda row: _seen(service, call, row))
    return response


async def _admitted(service: Service, call: Call) -> bool:
    """Whether the token still stands for the caller: a stream outlives many a token."""
    return await service.gate.still(call.request, call.caller)


async def _seen(service: Service, call: Call, row: NoticeRow) -> bytes:
    """The notice as the caller may see it."""
    return event(await sights.notice(service.hub, viewer_of(call), row))


async def _pump(
    response: web.StreamResponse,
    notices: AsyncIterator[NoticeRow],
    admitted: Callable[[], Awaitable[bool]],
    seen: Callable[[NoticeRow], Awaitable[bytes]],
) -> None:
    upcoming = asyncio.ensure_future(anext(notices, None))
    try:
        while True:
            await asyncio.wait((upcoming,), timeout=HEARTBEAT_S)
            if not await admitted():
                return
            data = b": still here\n\n"
            if upcoming.done():
                row = upcoming.result()
                if row is None:
                    await response.write(b": the hub is stopping; come back\nretry: %d\n\n" % RETRY_MS)
                    return
                data = await seen(row)
                upcoming = asyncio.ensure_future(anext(notices, None))
            async with asyncio.timeout(WRITE_S):
                await response.write(data)
    finally:
        upcoming.cancel()
        with suppress(asyncio.CancelledError):
            await upcoming
