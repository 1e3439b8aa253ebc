"""Posts UFTP's messages to where their recipients are, over connections that are kept."""

from __future__ import annotations

import ssl
from http import HTTPStatus
from typing import Final

import aiohttp

from flexhub.adapters.http.oauth import Credentials, TokenError
from flexhub.adapters.http.sender import Connections, Poster, failed
from flexhub.adapters.store.interface import SendRow
from flexhub.app.hub.outbox import Outcome
from flexhub.app.uftp.handlers import PEER
from flexhub.app.uftp.lookup import Lookup
from flexhub.core.errors import FlexhubError
from flexhub.protocols.uftp.messages import Role
from flexhub.protocols.uftp.session import Attempt, outcome

NO_ENDPOINT: Final = "no endpoint of it is published"


class UftpSender(Poster):
    """Posts to participants; an async context manager, since connections are kept.

    Args:
        lookup: finds endpoints.
        tls: trusts whom.
        credentials: gets the bearer token that goes with each message; None: none does.
    """

    def __init__(self, lookup: Lookup, tls: ssl.SSLContext, credentials: Credentials | None = None) -> None:
        super().__init__(Connections(tls))
        self._lookup = lookup
        self._credentials = credentials

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
        if self._credentials is None:
            return await self._post(url, body, headers)
        session = self._connections.session
        try:
            token = await self._credentials.token(session)
            found = await self._post(url, body, headers | {"Authorization": f"Bearer {token}"})
            if found.status != HTTPStatus.UNAUTHORIZED:
                return found
            # A gateway says of a token that has lapsed what a participant says of a wrong signature.
            self._credentials.refused(token)
            token = await self._credentials.token(session)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, TokenError) as error:
            return Outcome(*failed(error))
        return await self._post(url, body, headers | {"Authorization": f"Bearer {token}"})

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> Outcome:
        found = await self._connections.post(url, body, headers)
        if not found.status:
            return Outcome(*found)
        attempt = outcome(found.status)
        if attempt is Attempt.TAKEN:
            return Outcome(found.status)
        said = found.reply[:500]
        why = f"HTTP {found.status}: {said.decode(errors='replace').strip()}"
        return Outcome(found.status, said, why=why, final=attempt is Attempt.REFUSED, again_s=found.again_s)
