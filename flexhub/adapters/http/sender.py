"""Carries messages to peers over HTTP(S): one POST each, with the message id as its Idempotency-Key."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

import aiohttp

from flexhub.adapters.http import idempotency
from flexhub.adapters.tls import trusting

MAX_REPLY: Final = 1 << 20
"""Most bytes of an answer that are read; a longer one is none."""

TEMPORARY: Final = frozenset((404, 408, 421, 425, 429))
"""Refusals that may pass: an address that is not there yet, or too much at once. So may every 5xx."""

LONGEST_AGAIN_S: Final = 3600.0
TIMEOUT_S: Final = 20.0


class Peer(NamedTuple):
    """Where a peer is, and how it knows us.

    Args:
        url: what its paths begin with.
        token: a file with the bearer token to show, read for each message, so that it may be renewed.
        ca: certificates of who may sign its own; by default those of the system.
        cert: our certificate and its key, for mutual TLS.
    """

    url: str
    token: Path | None = None
    ca: Path | None = None
    cert: tuple[Path, Path] | None = None


class Reply(NamedTuple):
    """What came of a POST: `final` unless it may be otherwise another time."""

    status: int
    reply: bytes = b""
    why: str = ""
    final: bool = True
    again_s: float = 0.0


class Connections:
    """Connections that are kept, to post over; an async context manager.

    Args:
        tls: trusts whom, and shows which certificate; by default as the system does.
        timeout_s: seconds that an answer may take.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, *, timeout_s: float = TIMEOUT_S) -> None:
        self._tls = tls
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=1000, ssl=True if self._tls is None else self._tls, keepalive_timeout=60
            ),
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """What it posts with, within its context."""
        assert self._session is not None  # noqa: S101 - used within its context
        return self._session

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, tls: ssl.SSLContext | None = None
    ) -> Reply:
        """One try, with other TLS than usual where some is given; whatever goes wrong on the way may pass."""
        try:
            async with self.session.post(
                url, data=body, headers=headers, ssl=True if tls is None else tls, allow_redirects=False
            ) as response:
                return _read(response, await response.content.read(MAX_REPLY + 1))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return failed(error)


def failed(error: Exception) -> Reply:
    """What came of a try that met this on the way."""
    return Reply(0, why=f"{type(error).__name__}: {error}".rstrip(": "), final=False)


class Poster:
    """What posts over connections of its own, which are kept for as long as its context lasts."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def __aenter__(self) -> Self:
        await self._connections.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connections.__aexit__(kind, error, trace)


class HttpSender(Poster):
    """Sends to the peers that it knows; an async context manager, since connections are kept.

    Args:
        peers: id -> where it is.
        timeout_s: seconds that an answer may take.

    Raises:
        OSError, ssl.SSLError: files of certificates that cannot be read.
    """

    def __init__(self, peers: Mapping[str, Peer], *, timeout_s: float = TIMEOUT_S) -> None:
        super().__init__(Connections(timeout_s=timeout_s))
        self._peers = dict(peers)
        self._tls = {id_: trusting(peer.ca, peer.cert) for id_, peer in peers.items()}

    async def post(self, peer: str, path: str, message_id: str, media_type: str, body: bytes) -> Reply:
        """One try; whatever goes wrong on the way may pass."""
        known = self._peers.get(peer)
        if known is None:
            return Reply(0, why="no such peer is configured", final=False)
        headers = {"Content-Type": media_type, idempotency.HEADER: idempotency.written(message_id)}
        if known.token is not None:
            try:
                headers["Authorization"] = f"Bearer {known.token.read_text('ascii').strip()}"
            except (OSError, ValueError) as error:
                return failed(error)
        return await self._connections.post(known.url.rstrip("/") + path, body, headers, tls=self._tls[peer])


def _read(response: aiohttp.ClientResponse, body: bytes) -> Reply:
    status = response.status
    if len(body) > MAX_REPLY:
        return Reply(status, why=f"an answer of more than {MAX_REPLY} bytes", final=False)
    if 200 <= status < 300:
        return Reply(status, body)
    again = response.headers.get("Retry-After", "")
    again_s = min(float(again), LONGEST_AGAIN_S) if again.isascii() and again.isdigit() else 0.0
    temporary = status in TEMPORARY or status >= 500
    return Reply(status, body, why=f"HTTP {status}", final=not temporary, again_s=again_s)
