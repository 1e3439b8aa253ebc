"""An HTTP client: whole answers, and streams until enough was heard. It knows nothing of what it carries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Final, NamedTuple, Self

import aiohttp

MAX_ANSWER: Final = 64 << 20
"""Most bytes of an answer that are read."""


class Answer(NamedTuple):
    """What came back; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient:
    """Requests to one address; an async context manager, since connections are kept between requests."""

    def __init__(self, base_url: str, *, timeout_s: float = 30.0) -> None:
        self._base = base_url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=self._timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the client is used outside of its context")
        return self._session

    async def request(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """Send one request and read its whole answer; redirects are not followed.

        Raises:
            aiohttp.ClientError, TimeoutError: no answer came.
        """
        async with self._open().request(
            method, self._base + path, headers=dict(headers), data=body, allow_redirects=False
        ) as response:
            return await whole(response)

    async def listen(
        self, path: str, headers: Mapping[str, str], heard: Callable[[bytes], bool], opened: asyncio.Event
    ) -> Answer:
        """Read a stream until `heard` says that the body so far is enough, or the time is over.

        `opened` is set as soon as the answer has begun.
        """
        body = b""
        async with self._open().get(self._base + path, headers=dict(headers), allow_redirects=False) as response:
            opened.set()
            with suppress(TimeoutError):
                async for chunk in response.content.iter_any():
                    body += chunk
                    if heard(body) or len(body) > MAX_ANSWER:
                        break
            return Answer(response.status, _lower(response.headers), body)


async def whole(response: aiohttp.ClientResponse) -> Answer:
    """An answer, read to its end."""
    body = await response.content.read(MAX_ANSWER)
    while len(body) < MAX_ANSWER and (more := await response.content.read(MAX_ANSWER - len(body))):
        body += more
    return Answer(response.status, _lower(response.headers), body)


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
