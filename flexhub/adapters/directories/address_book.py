"""A directory that one authority keeps, as GOPACS does: ``GET .../participants/{domain}``, JSON, bearer token.

Its third version answers ``{"domain": ..., "publicKey": ..., "endpoint": ...}``; what else it says is not looked at.
Interpretation: it says no roles, so a participant counts in whichever it speaks.
"""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import quote

import aiohttp
import msgspec

from flexhub.adapters.directories.interface import Listing
from flexhub.adapters.http.oauth import Credentials, TokenError
from flexhub.core.errors import UnavailableError

MOST: Final = 1 << 16
TIMEOUT_S: Final = 10.0


class _Participant(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    domain: str
    public_key: str
    endpoint: str | None = None


class AddressBook:
    """Asks an authority.

    Args:
        url: what ``/{domain}`` is put behind; it ends in ``uftp-participants/v3/participants``.
        token: a file with the bearer token, read for each question, so that it may be renewed.
        credentials: gets tokens instead (OAuth2).
    """

    def __init__(self, url: str, *, token: Path | None = None, credentials: Credentials | None = None) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._credentials = credentials
        self._session: aiohttp.ClientSession | None = None

    async def find(self, domain: str, role: str) -> Listing | None:  # noqa: ARG002 - the directory's signature
        """What the authority says.

        Raises:
            UnavailableError: it does not answer, does not know us, or says something else.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        url = f"{self._url}/{quote(domain, safe='')}"
        try:
            headers = {"Accept": "application/json", **await self._bearer(self._session)}
            async with self._session.get(url, headers=headers, allow_redirects=False) as response:
                body, status = await response.content.read(MOST), response.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, TokenError) as error:
            raise UnavailableError(f"the address book does not answer: {type(error).__name__}: {error}") from error
        if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
            return None
        if status != HTTPStatus.OK:
            raise UnavailableError(f"the address book answers HTTP {status} about {domain}", value=domain)
        try:
            told = msgspec.json.decode(body, type=_Participant)
        except msgspec.DecodeError as error:
            raise UnavailableError(f"the address book cannot be read: {error}", value=domain) from error
        if told.domain != domain:
            raise UnavailableError(f"the address book was asked for {domain} and tells of {told.domain}", value=domain)
        return Listing((told.public_key,), told.endpoint)

    async def _bearer(self, session: aiohttp.ClientSession) -> dict[str, str]:
        if self._credentials is not None:
            return {"Authorization": f"Bearer {await self._credentials.token(session)}"}
        if self._token is not None:
            return {"Authorization": f"Bearer {self._token.read_text('ascii').strip()}"}
        return {}

    async def close(self) -> None:
        """Let go of connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
