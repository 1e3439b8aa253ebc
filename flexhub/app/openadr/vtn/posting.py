"""Pushes messages to VENs that do not poll, over connections that are kept: of HTTP, or the one of XMPP."""

from __future__ import annotations

import ssl
import uuid
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from flexhub.adapters.http.sender import Connections, Poster
from flexhub.adapters.store.interface import SendRow
from flexhub.app.hub.outbox import Outcome
from flexhub.app.openadr.vtn.handlers import CODEC
from flexhub.app.openadr.vtn.stanzas import push
from flexhub.protocols.openadr2b.identity import XMPP
from flexhub.protocols.openadr2b.signature import SigningKey, sign

if TYPE_CHECKING:
    from flexhub.adapters.xmpp.client import XmppClient


class VtnSender(Poster):
    """Sends to VENs; an async context manager, since connections are kept.

    Args:
        tls: trusts whom, and shows which certificate.
        key: signs what is pushed; None: nothing is.
        clock: what time signatures tell.
        xmpp: the way to VENs that speak XMPP; whoever serves it connects it.
    """

    def __init__(
        self,
        tls: ssl.SSLContext,
        key: SigningKey | None,
        clock: Callable[[], datetime],
        xmpp: XmppClient | None = None,
    ) -> None:
        super().__init__(Connections(tls))
        self.xmpp = xmpp
        self._key = key
        self._clock = clock

    async def send(self, row: SendRow) -> Outcome:
        """One try; it is signed anew each time, since no two messages share a nonce."""
        body = row.body
        if row.path.startswith(XMPP):
            return await push(self.xmpp, row, body)
        if self._key is not None:
            body = sign(CODEC.decode(body), self._key, now=self._clock(), nonce=uuid.uuid4().hex)
        found = await self._connections.post(row.path, body, {"Content-Type": row.media_type})
        if found.why or found.status == HTTPStatus.OK:
            return Outcome(*found)
        return Outcome(found.status, found.reply[:500], why=f"HTTP {found.status}", final=False)
