"""Connections of HTTP clients: so many of one address at once, and none that says nothing for long."""

from __future__ import annotations

import asyncio
from collections import Counter
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address
from typing import Any, Final, cast

from aiohttp import web, web_protocol

from flexhub.app.api import problems
from flexhub.app.api.problems import HttpError

HEAD_S: Final = 10.0
"""How long a client may take to shake hands (TLS), and then to say its first request's head."""

TOO_MANY: Final = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 10\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
"""What a client is told that has too many connections; nothing is read of what it says."""


class Connections:
    """How many are open, by address; `most` of one may be.

    Interpretation: of an IPv6 address the first 64 bits count, since whoever has one has all behind them (RFC 4291).
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._open = Counter[str]()

    def begin(self, address: str) -> bool:
        """Whether one more may be."""
        place = _place(address)
        if self._open[place] >= self.most:
            return False
        self._open[place] += 1
        return True

    def end(self, address: str) -> None:
        """One that might be is over."""
        place = _place(address)
        self._open[place] -= 1
        if self._open[place] <= 0:
            del self._open[place]

    def __len__(self) -> int:
        return self._open.total()


def _place(address: str) -> str:
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:  # a socket that has none
        return address
    if not isinstance(found, IPv6Address):
        return address
    return str(found.ipv4_mapped or IPv6Address(int(found) >> 64 << 64))


class Handler(web_protocol.RequestHandler):
    """One connection. What is no request, or too long for one, is refused by a problem document, as everything is.

    Until its first request it may be silent for `HEAD_S`, and after one for as long as the server's options say.
    """

    connections: Connections
    _address: str | None = None
    _silent: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is one of its address's."""
        peer: Any = transport.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) else ""
        if not self.connections.begin(address):
            told = cast("asyncio.Transport", transport)
            told.write(TOO_MANY)
            told.close()
            return
        self._address = address
        super().connection_made(transport)
        self._silent = self._loop.call_later(HEAD_S, self.force_close)

    def data_received(self, data: bytes) -> None:
        """What a connection says that is one too many is not read."""
        if self._address is not None:
            super().data_received(data)

    def eof_received(self) -> None:
        """As `data_received`."""
        if self._address is not None:
            super().eof_received()

    def connection_lost(self, exc: BaseException | None) -> None:
        """It is none any more."""
        if self._address is None:
            return
        self.connections.end(self._address)
        self._address = None
        self.asked()
        super().connection_lost(exc)

    def asked(self) -> None:
        """A request has come, or what was none and is refused."""
        if self._silent is not None:
            self._silent.cancel()
            self._silent = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to bytes that cannot be read; the connection ends with it."""
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or request.writer.output_size:
            return super().handle_error(request, status, exc, message)
        said = (message or "").splitlines()
        answer = problems.response(HttpError(HTTPStatus(status), said[0] if said else "not HTTP"), request)
        answer.force_close()
        return answer


class Server(web.Server):
    """Makes a `Handler` of each connection, and a request of what it says."""

    counted: Connections

    def __call__(self) -> Handler:
        """The next connection's."""
        made = Handler(self, loop=self._loop, **self._kwargs)
        made.connections = self.counted
        return made

    def count(self, connections: Connections) -> None:
        """Count connections here, and tell each when its first request has come."""
        self.counted = connections
        make = self.request_factory

        def asked(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:  # noqa: ANN401 - aiohttp's own
            protocol.asked()
            return make(message, payload, protocol, writer, task)

        self.request_factory = asked


class Runner(web.AppRunner):
    """Runs an application behind a `Server`."""

    def __init__(self, app: web.Application, connections: Connections, **options: Any) -> None:  # noqa: ANN401 - aiohttp's own
        super().__init__(app, **options)
        self._counted = connections

    async def _make_server(self) -> Server:
        made = await super()._make_server()
        made.__class__ = Server  # aiohttp asks nobody which class it should be
        assert isinstance(made, Server)  # noqa: S101 - for the type checker
        made.count(self._counted)
        return made


class Site(web.SockSite):
    """Listens; who does not finish TLS's handshake is let go as soon as who says nothing."""

    async def start(self) -> None:
        """Begin."""
        await web.BaseSite.start(self)
        assert self._runner.server is not None  # noqa: S101 - for the type checker
        self._server = await asyncio.get_running_loop().create_server(
            self._runner.server,
            sock=self._sock,
            ssl=self._ssl_context,
            backlog=self._backlog,
            ssl_handshake_timeout=HEAD_S if self._ssl_context is not None else None,
        )
