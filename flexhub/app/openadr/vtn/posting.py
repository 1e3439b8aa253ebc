"""Pushes messages to VENs that do not poll, over connections that are kept."""

from __future__ import annotations

import ssl
import uuid
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from types import TracebackType
from typing import Self

from flexhub.adapters.http.sender import Connections
from flexhub.adapters.store.interface import SendRow
from flexhub.app.hub.outbox import Outcome
from flexhub.app.openadr.vtn.handlers import CODEC
from flexhub.protocols.openadr2b.signature import SigningKey, sign


class VtnSender:
    """Posts to VENs; an async context manager, since connections are kept.

    Args:
        tls: trusts whom, and shows which certificate.
        key: signs what is pushed; None: nothing is.
        clock: what time signatures tell.
    """

    def __init__(self, tls: ssl.SSLContext, key: SigningKey | None, clock: Callable[[], datetime]) -> None:
        self._connections = Connections(tls)
        self._key = key
        self._clock = clock

    async def __aenter__(self) -> Self:
        await self._connections.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connections.__aexit__(kind, error, trace)

    async def send(self, row: SendRow) -> Outcome:
        """One try; it is signed anew each time, since no two messages share a nonce."""
        body = row.body
        if self._key is not None:
            body = sign(CODEC.decode(body), self._key, now=self._clock(), nonce=uuid.uuid4().hex)
        found = await self._connections.post(row.path, body, {"Content-Type": row.media_type})
        if found.why or found.status == HTTPStatus.OK:
            return Outcome(*found)
        return Outcome(found.status, found.reply[:500], why=f"HTTP {found.status}", final=False)
