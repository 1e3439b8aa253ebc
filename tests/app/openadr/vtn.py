"""A VTN on 127.0.0.1 that says what a test gives it, and keeps what it was told."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any, ParamSpec

from aiohttp import web
from msgspec.structs import replace

from flexhub.app.openadr.ven import judging
from flexhub.app.openadr.ven.judging import Counter
from flexhub.protocols.openadr2b.elements import Message, OadrEvent
from flexhub.protocols.openadr2b.rules import findings


class Vtn(Counter):
    """What a VEN talks to in tests; every message that comes has to be sound."""

    def __init__(self) -> None:
        super().__init__(poll="PT10S")
        self.vtn_id, self.ven_id, self.registration_id = "vtn-1", "ven-1", "reg-1"
        self.status = 200
        self.replies: dict[type[Message], Callable[[Any], Message]] = {}
        self.url = ""

    def tell(self, *events: OadrEvent) -> None:
        """These are all events now, and the next poll says so."""
        self.events = events
        self.queue.append(replace(self.distribute(""), ei_response=None))

    def of(self, kind: type[Message]) -> list[Any]:
        """What was heard of a kind."""
        return [message for message in self.heard if isinstance(message, kind)]

    def answer(self, message: Message) -> Message:
        """What is said to a message."""
        assert findings(message) == []
        reply = self.replies.get(type(message))
        return super().answer(message) if reply is None else reply(message)

    async def post(self, request: web.Request) -> web.Response:
        """One request."""
        return web.Response(status=self.status) if self.status != 200 else await super().post(request)


P = ParamSpec("P")


def ran(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """A test that waits, as one that pytest runs."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


@asynccontextmanager
async def serving(vtn: Vtn, tls: ssl.SSLContext | None = None) -> AsyncIterator[Vtn]:
    """The VTN, for as long as the block lasts."""
    async with judging.serving(vtn, tls=tls) as url:
        vtn.url = url
        yield vtn
    assert vtn.errors == []
