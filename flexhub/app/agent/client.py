"""A participant's side of the exchange interface: REST calls with its own token, and its stream of changes."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import aiohttp
import msgspec

from flexhub.adapters.http import idempotency
from flexhub.core import documents
from flexhub.core.errors import BY_CODE, FlexhubError, InternalError, MalformedError
from flexhub.core.flexoffer import FlexOffer
from flexhub.core.timeseries import Measurement

T = TypeVar("T")

TRIES: Final = 4
FIRST_PAUSE_S: Final = 0.2
JSON: Final = {"Content-Type": "application/json"}


class ServerEvent(NamedTuple):
    """One event of a stream: its id (to resume after), its kind, and its data."""

    id: str
    event: str
    data: str


class Client:
    """Calls of one participant.

    Args:
        http: shared by all participants of a process.
        url: the hub's address.
        token: the participant's bearer token.
    """

    def __init__(self, http: aiohttp.ClientSession, url: str, token: str) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"}

    async def post_offer(self, offer: FlexOffer) -> FlexOffer:
        """Offer it; the answer is the offer as the hub holds it, accepted or rejected.

        Raises:
            FlexhubError: the hub's refusal.
        """
        return await self.call("POST", "/flexoffer", FlexOffer, offer)

    async def post_measurements(self, batch: Sequence[Measurement]) -> None:
        """Hand readings in.

        Raises:
            FlexhubError: the hub's refusal.
        """
        await self.call("POST", "/flexoffer/measurement", Any, batch)

    async def call(  # noqa: PLR0913 - a request, and how it is known again
        self,
        method: str,
        path: str,
        kind: type[T],
        body: object = None,
        *,
        query: dict[str, str] | None = None,
        key: str | None = None,
    ) -> T:
        """One REST call; what the hub did not acknowledge is sent again, with the same bytes.

        The message id (`key`, or a new one) stays the same, so that the hub works the message once.

        Raises:
            FlexhubError: the hub's refusal, by its code, or InternalError where it cannot be reached.
        """
        data = None if body is None else documents.encode(body)
        headers = (
            self._headers
            | {idempotency.HEADER: idempotency.written(key or uuid.uuid4().hex)}
            | ({} if body is None else JSON)
        )
        pause_s = FIRST_PAUSE_S
        for left in range(TRIES - 1, -1, -1):
            try:
                async with self._http.request(
                    method, self._url + path, data=data, headers=headers, params=query
                ) as answer:
                    content = await answer.read()
                    if answer.status < 400:
                        return documents.decode(kind, content or b"null")
                    if answer.status < 500 or not left:
                        raise refusal(answer.status, content)
            except aiohttp.ClientError as error:
                if not left:
                    raise InternalError(f"{method} {path}: {error}") from error
            await asyncio.sleep(pause_s)
            pause_s *= 2
        raise AssertionError  # the last try returns or raises

    async def stream(
        self, path: str, after: str | None = None, opened: asyncio.Event | None = None
    ) -> AsyncIterator[ServerEvent]:
        """Events of a stream of server-sent events, from `after` on, until the hub ends it.

        `opened` is set when the hub has taken the connection: what happens from then on is told.

        Raises:
            FlexhubError: the hub's refusal.
            aiohttp.ClientError: the connection broke.
        """
        headers = self._headers | {"Accept": "text/event-stream"} | ({"Last-Event-ID": after} if after else {})
        never = aiohttp.ClientTimeout(total=None, sock_read=None)
        async with self._http.get(self._url + path, headers=headers, timeout=never) as answer:
            if answer.status >= 400:
                raise refusal(answer.status, await answer.read())
            if opened is not None:
                opened.set()
            fields: dict[str, str] = {}
            async for raw in answer.content:
                line = raw.decode().rstrip("\r\n")
                if not line:
                    if "data" in fields:
                        yield ServerEvent(fields.get("id", ""), fields.get("event", "message"), fields["data"])
                    fields = {}
                    continue
                name, _, value = line.partition(":")
                value = value.removeprefix(" ")
                fields[name] = f"{fields[name]}\n{value}" if name == "data" and name in fields else value


class _Problem(msgspec.Struct):
    code: str = "error"
    detail: str = ""
    path: str = ""
    value: str = ""
    clause: str = ""


def refusal(status: int, body: bytes) -> FlexhubError:
    """The error that a problem document stands for."""
    try:
        problem = msgspec.json.decode(body, type=_Problem)
    except msgspec.DecodeError:
        return MalformedError(f"the hub answered {status} without a problem document", clause="RFC 9457")
    kind = BY_CODE.get(problem.code, FlexhubError)
    return kind(problem.detail or f"status {status}", path=problem.path, value=problem.value, clause=problem.clause)
