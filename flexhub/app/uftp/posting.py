"""Posts UFTP's messages to where their recipients are, over connections that are kept."""

from __future__ import annotations

import ssl
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self

import aiohttp

from flexhub.adapters.http.oauth import Credentials, TokenError
from flexhub.adapters.http.sender import LONGEST_AGAIN_S, MAX_REPLY
from flexhub.adapters.store.interface import SendRow
from flexhub.app.hub.outbox import Outcome, Sender
from flexhub.app.uftp.handlers import PEER
from flexhub.app.uftp.lookup import Lookup
from flexhub.core.errors import FlexhubError
from flexhub.protocols.uftp.messages import Role
from flexhub.protocols.uftp.session import Attempt, outcome

TIMEOUT_S: Final = 20.0
NO_ENDPOINT: Final = "no endpoint of it is published"


class UftpSender:
    """Posts to participants; an async context manager, since connections are kept.

    Args:
        lookup: finds endpoints.
        tls: trusts whom.
        credentials: gets the bearer token that goes with each message; None: none does.
    """

    def __init__(self, lookup: Lookup, tls: ssl.SSLContext, credentials: Credentials | None = None) -> None:
        self._lookup = lookup
        self._tls = tls
        self._credentials = credentials
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
        """One try. A look-up that fails, and whatever goes wrong on the way, may pass."""
        domain, role = row.peer.removeprefix(PEER), Role(row.path)
        try:
            url = (self._lookup.known(domain, role) or await self._lookup.find(domain, role)).url
        except FlexhubError as error:
            return Outcome(0, why=str(error), final=False)
        if url is None:
            return Outcome(0, why=NO_ENDPOINT, final=False)
        return await self.post(url, row.body, row.media_type)

    async def post(self, url: str, body: bytes, media_type: str) -> Outcome:
        """One POST. 404, 419, 429, 5xx and no answer at all may pass; other refusals are final."""
        headers = {"Content-Type": media_type}
        try:
            if self._credentials is None:
                return await self._post(url, body, headers)
            token = await self._credentials.token(self._open())
            found = await self._post(url, body, headers | {"Authorization": f"Bearer {token}"})
            if found.status != HTTPStatus.UNAUTHORIZED:
                return found
            # A gateway says of a token that has lapsed what a participant says of a wrong signature.
            self._credentials.refused(token)
            token = await self._credentials.token(self._open())
            return await self._post(url, body, headers | {"Authorization": f"Bearer {token}"})
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, TokenError) as error:
            return Outcome(0, why=f"{type(error).__name__}: {error}".rstrip(": "), final=False)

    def _open(self) -> aiohttp.ClientSession:
        assert self._session is not None  # noqa: S101 - used within its context
        return self._session

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> Outcome:
        async with self._open().post(url, data=body, headers=headers, allow_redirects=False) as response:
            reply = await response.content.read(MAX_REPLY)
            again = response.headers.get("Retry-After", "")
        attempt = outcome(response.status)
        if attempt is Attempt.TAKEN:
            return Outcome(response.status)
        again_s = min(float(again), LONGEST_AGAIN_S) if again.isascii() and again.isdigit() else 0.0
        why = f"HTTP {response.status}: {reply[:500].decode(errors='replace').strip()}"
        return Outcome(response.status, reply[:500], why=why, final=attempt is Attempt.REFUSED, again_s=again_s)


class Carrier:
    """Gives UFTP's rows to one sender and all others to another."""

    def __init__(self, uftp: UftpSender, others: Sender | None) -> None:
        self._uftp = uftp
        self._others = others

    async def send(self, row: SendRow) -> Outcome:
        """One try."""
        if row.peer.startswith(PEER):
            return await self._uftp.send(row)
        if self._others is None:
            return Outcome(0, why="no such peer is configured", final=False)
        return await self._others.send(row)
