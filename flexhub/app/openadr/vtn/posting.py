"""Pushes messages to VENs that do not poll, over connections that are kept."""

from __future__ import annotations

import ssl
import uuid
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self

import aiohttp

from flexhub.adapters.http.sender import LONGEST_AGAIN_S
from flexhub.adapters.store.interface import SendRow
from flexhub.app.hub.outbox import Outcome, Sender
from flexhub.app.openadr.vtn.handlers import CODEC, PEER
from flexhub.protocols.openadr2b.signature import SigningKey, sign

TIMEOUT_S: Final = 20.0
MAX_REPLY: Final = 1 << 20
PASSING: Final = (404, 408, 425, 429)
"""Refusals that may pass; so may whatever is 5xx, and no answer at all."""


class VtnSender:
    """Posts to VENs; an async context manager, since connections are kept.

    Args:
        tls: trusts whom, and shows which certificate.
        key: signs what is pushed; None: nothing is.
        clock: what time signatures tell.
    """

    def __init__(self, tls: ssl.SSLContext, key: SigningKey | None, clock: Callable[[], datetime]) -> None:
        self._tls = tls
        self._key = key
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1000, ssl=self._tls, keepalive_timeout=60.0),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, row: SendRow) -> Outcome:
        """One try; it is signed anew each time, since no two messages share a nonce."""
        assert self._session is not None  # noqa: S101 - used within its context
        body = row.body
        if self._key is not None:
            body = sign(CODEC.decode(body), self._key, now=self._clock(), nonce=uuid.uuid4().hex)
        try:
            async with self._session.post(
                row.path, data=body, headers={"Content-Type": row.media_type}, allow_redirects=False
            ) as response:
                reply = await response.content.read(MAX_REPLY)
                again = response.headers.get("Retry-After", "")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return Outcome(0, why=f"{type(error).__name__}: {error}".rstrip(": "), final=False)
        if response.status == HTTPStatus.OK:
            return Outcome(response.status, reply)
        again_s = min(float(again), LONGEST_AGAIN_S) if again.isascii() and again.isdigit() else 0.0
        final = 400 <= response.status < 500 and response.status not in PASSING
        why = f"HTTP {response.status}"
        return Outcome(response.status, reply[:500], why=why, final=final, again_s=again_s)


class Carrier:
    """Gives rows for VENs to one sender and all others to another."""

    def __init__(self, vtn: VtnSender, others: Sender | None) -> None:
        self._vtn = vtn
        self._others = others

    async def send(self, row: SendRow) -> Outcome:
        """One try."""
        if row.peer.startswith(PEER):
            return await self._vtn.send(row)
        if self._others is None:
            return Outcome(0, why="no such peer is configured", final=False)
        return await self._others.send(row)
