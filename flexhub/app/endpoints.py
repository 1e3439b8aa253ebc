"""What endpoints that take messages by POST do alike: refuse in a line of text, limit, hand to the hub."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from http import HTTPStatus
from time import monotonic
from typing import Final, NamedTuple, TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler

from flexhub.app.access.limits import Buckets
from flexhub.app.api.server import BODY_S
from flexhub.app.hub.contract import Answer
from flexhub.core.errors import FlexhubError, UnavailableError

log = logging.getLogger(__name__)

M = TypeVar("M")

AGAIN_S: Final = "5"
"""When to come back where something may be better then."""
NOT_AUTHENTIC: Final = 419
COUNTED: Final = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, NOT_AUTHENTIC)
"""Refusals that an address may have so many of."""


class Limits(NamedTuple):
    """Messages of a sender, and refused ones of an address: so many a second, and so many at once."""

    messages: Buckets
    failures: Buckets


def limits(messages: tuple[float, float], failures: tuple[float, float]) -> Limits:
    """Buckets of so many a second and so many at once."""
    return Limits(Buckets(*messages, monotonic), Buckets(*failures, monotonic))


class Refusal(Exception):  # noqa: N818 - it is what is answered
    """What is answered instead of 200."""

    def __init__(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        self.status = status
        self.text = text
        self.headers = headers or {}
        super().__init__(text)


def too_often(wait: int, rule: str = "") -> Refusal:
    """Come again in `wait` seconds, at most an hour; `rule` begins the text."""
    seconds = min(wait, 3600)
    text = f"{rule}too often; again in {seconds} s"
    return Refusal(HTTPStatus.TOO_MANY_REQUESTS, text, {"Retry-After": str(seconds)})


def bear(failures: Buckets, who: str, rule: str = "") -> None:
    """Slow who had too much refused; `rule` begins the text.

    Raises:
        Refusal: they did.
    """
    wait = failures.empty(who)
    if wait:
        raise too_often(wait, rule)


def refused(request: web.Request, refusal: Refusal, failures: Buckets) -> web.Response:
    """The answer; it counts against the address where it may have come of guessing."""
    if refusal.status in COUNTED:
        failures.take(request.remote or "")
    answer = web.Response(status=refusal.status, reason=_phrase(refusal.status), text=refusal.text + "\n")
    answer.headers.update(refusal.headers)
    if not request.content.is_eof():
        answer.force_close()  # the rest of the body is not waited for
    return answer


def _phrase(status: int) -> str:
    return "Authentication Timeout" if status == NOT_AUTHENTIC else HTTPStatus(status).phrase


async def body_of(request: web.Request) -> bytes:
    """A body whose length was allowed; it may take no longer than `BODY_S`.

    Raises:
        Refusal: it does.
    """
    if request.content.is_eof():
        return await request.read()
    try:
        async with asyncio.timeout(BODY_S):
            return await request.read()
    except TimeoutError:
        raise Refusal(HTTPStatus.REQUEST_TIMEOUT, f"the body took longer than {BODY_S:g} s") from None


async def payload_of(request: web.Request, max_bytes: int, media_types: Collection[str]) -> bytes:
    """A body of one of these media types; never more than is allowed, and never longer than `BODY_S`.

    Raises:
        Refusal: it is not so.
    """
    length = request.content_length
    if length is None:
        raise Refusal(HTTPStatus.LENGTH_REQUIRED, "Content-Length is needed")
    if length > max_bytes:
        raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{length} bytes, allowed: {max_bytes}")
    if request.content_type not in media_types:
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"allowed: {', '.join(media_types)}")
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "no encodings")
    return await body_of(request)


async def submitted(submit: Callable[[M], Awaitable[Answer]], message: M, sender: str | None) -> Answer:
    """What the hub answers.

    Raises:
        Refusal: it could not be worked.
    """
    try:
        return await submit(message)
    except UnavailableError as error:
        raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, error.message, {"Retry-After": AGAIN_S}) from error
    except FlexhubError as error:
        log.error("a message of %s could not be worked: %s", sender, error)  # noqa: TRY400 - the loop said more
        raise Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "the message could not be worked") from error


@web.middleware
async def plain(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What aiohttp refuses by itself (no such path, no such method), as text."""
    try:
        answer = await handler(request)
    except web.HTTPException as error:
        answer = web.Response(status=error.status, text=f"{error.reason}\n")
        if isinstance(error, web.HTTPMethodNotAllowed):
            answer.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
    answer.headers["Server"] = "flexhub"
    return answer
