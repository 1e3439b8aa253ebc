"""OAuth2 client credentials (RFC 6749 section 4.4): a token that is renewed before it lapses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from time import monotonic
from typing import Final
from urllib.parse import quote_plus

import aiohttp
import msgspec

EARLY_S: Final = 30.0
"""So long before it lapses a token is renewed."""

DEFAULT_S: Final = 300.0
"""How long a token is used whose lifetime is not told."""

MOST: Final = 1 << 16


class TokenError(Exception):
    """No token was given."""


class _Given(msgspec.Struct, frozen=True, kw_only=True):
    access_token: str
    expires_in: float | None = None


class Credentials:
    """Gets tokens for a client.

    Args:
        url: the token endpoint.
        client: the client's id.
        secret: a file with its secret, read whenever a token is got.
        scope: what it is for; unsaid where empty.
        clock: seconds that go on whatever the clock says.
    """

    def __init__(
        self, url: str, client: str, secret: Path, *, scope: str = "", clock: Callable[[], float] = monotonic
    ) -> None:
        self._url = url
        self._client = client
        self._secret = secret
        self._scope = scope
        self._clock = clock
        self._held: tuple[str, float] | None = None
        self._turn = asyncio.Lock()

    async def token(self, session: aiohttp.ClientSession) -> str:
        """A token that still holds.

        Raises:
            TokenError: none is given.
            aiohttp.ClientError, TimeoutError, OSError: nobody answers, or there is no secret.
        """
        async with self._turn:
            if self._held is None or self._clock() >= self._held[1]:
                self._held = await self._get(session)
            return self._held[0]

    def refused(self, token: str) -> None:
        """A token was not taken: the next one is a new one."""
        if self._held is not None and self._held[0] == token:
            self._held = None

    async def _get(self, session: aiohttp.ClientSession) -> tuple[str, float]:
        form = {"grant_type": "client_credentials"} | ({"scope": self._scope} if self._scope else {})
        secret = self._secret.read_text("utf-8").strip()
        # Both are written as in forms first (section 2.3.1).
        basic = aiohttp.encode_basic_auth(quote_plus(self._client), quote_plus(secret))
        headers = {"Authorization": basic}
        async with session.post(self._url, data=form, headers=headers, allow_redirects=False) as response:
            body = await response.content.read(MOST)
            if response.status != HTTPStatus.OK:
                raise TokenError(f"the token endpoint answers HTTP {response.status}")
        try:
            given = msgspec.json.decode(body, type=_Given)
        except msgspec.DecodeError as error:
            raise TokenError(f"the token endpoint says something else: {error}") from error
        lasts = DEFAULT_S if given.expires_in is None else given.expires_in
        return given.access_token, self._clock() + max(lasts - EARLY_S, lasts / 2)
