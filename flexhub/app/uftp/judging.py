"""What the suites of UFTP endpoints are handed: the way to a target, an inbox of their own, and who is who."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

import aiohttp
from aiohttp import web

from flexhub.adapters.http.client import whole
from flexhub.app.serving import listening, utc_now
from flexhub.conformance.exchange import Whole
from flexhub.conformance.uftp.inbox import Inbox
from flexhub.protocols.uftp.codec import MAX_BYTES

TIMEOUT_S: Final = 30.0
PATIENCE_S: Final = 10.0
"""How long an answer is waited for, unless the market says otherwise."""


class Net:
    """The way to a target over HTTP, by the machine's clock.

    Args:
        session: connections.
        url: the target's endpoint.
        token: a bearer token that a gateway before it wants.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str | None = None) -> None:
        self._session = session
        self._url = url
        self._shown = bearer(token)

    def now(self) -> datetime:
        """What time it is."""
        return utc_now()

    async def until(self, instant: datetime) -> None:
        """Wait for it."""
        await asyncio.sleep(max(0.0, (instant - self.now()).total_seconds()))

    async def request(
        self, method: str, path: str, headers: dict[str, str], body: bytes, *, chunked: bool = False
    ) -> Whole:
        """One request; of `chunked` the body is sent in pieces, without a length.

        Raises:
            aiohttp.ClientError, TimeoutError: no answer came.
        """
        data: Any = _pieces(body) if chunked else body
        async with self._session.request(
            method, self._url + path, headers=headers | self._shown, data=data, allow_redirects=False
        ) as response:
            return await whole(response)


def bearer(token: str | None) -> dict[str, str]:
    """The header that shows a token."""
    return {} if token is None else {"Authorization": f"Bearer {token}"}


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    yield body


@asynccontextmanager
async def inbox_at(listen: str, inbox: Inbox) -> AsyncIterator[str]:
    """The inbox over HTTP, for as long as the block lasts; what comes out is its address.

    Raises:
        OSError: the address cannot be bound.
    """

    async def post(request: web.Request) -> web.Response:
        return web.Response(status=inbox.take(await request.read()))

    app = web.Application(client_max_size=MAX_BYTES)
    app.router.add_post("/{path:.*}", post)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    with listening(listen) as bound:
        try:
            await web.SockSite(runner, bound).start()
            host, port = bound.getsockname()[:2]
            yield f"http://{f'[{host}]' if ':' in host else host}:{port}/shapeshifter/api/v3/message"
        finally:
            await runner.cleanup()


@asynccontextmanager
async def connections(*, kept: bool) -> AsyncIterator[aiohttp.ClientSession]:
    """What requests go over; connections that are not kept are not met half closed, after a target failed."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    connector = aiohttp.TCPConnector(force_close=not kept)
    async with aiohttp.ClientSession(
        timeout=timeout, connector=connector, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        yield session
