"""Errors as RFC 9457 problem documents: one table from error code to HTTP status, one form of body."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import web

from flexhub.core.documents import encode
from flexhub.core.errors import BY_CODE, FlexhubError, UnavailableError

log = logging.getLogger(__name__)

CONTENT_TYPE: Final = "application/problem+json"

STATUS: Final[dict[str, HTTPStatus]] = {
    "malformed": HTTPStatus.BAD_REQUEST,
    "unauthorized": HTTPStatus.UNAUTHORIZED,
    "forbidden": HTTPStatus.FORBIDDEN,
    "not-found": HTTPStatus.NOT_FOUND,
    "duplicate": HTTPStatus.CONFLICT,
    "reused": HTTPStatus.UNPROCESSABLE_ENTITY,  # draft-ietf-httpapi-idempotency-key-header section 2.7
    "illegal-transition": HTTPStatus.CONFLICT,
    "precondition-failed": HTTPStatus.PRECONDITION_FAILED,
    "invalid": HTTPStatus.UNPROCESSABLE_ENTITY,
    # Not 410: that says the addressed resource is gone, while here what was sent comes too late.
    "expired": HTTPStatus.UNPROCESSABLE_ENTITY,
    "infeasible": HTTPStatus.UNPROCESSABLE_ENTITY,
    "loss": HTTPStatus.UNPROCESSABLE_ENTITY,
    # What follows is our fault.
    "unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "error": HTTPStatus.INTERNAL_SERVER_ERROR,
    "engine": HTTPStatus.INTERNAL_SERVER_ERROR,
    "config": HTTPStatus.INTERNAL_SERVER_ERROR,
    "internal": HTTPStatus.INTERNAL_SERVER_ERROR,
}
"""Error code -> HTTP status, for every code of `core.errors` (a test compares)."""

RETRY_AFTER_S: Final = 5
"""When to come back where the hub cannot answer now."""

TITLES: Final = {code: (kind.__doc__ or code).partition("\n")[0] for code, kind in BY_CODE.items()}


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem document (RFC 9457), and beside it our code, where the fault is, and which clause demands otherwise."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    path: str = ""
    value: str = ""
    clause: str = ""


class HttpError(FlexhubError):
    """What HTTP itself refuses, before any message is read."""

    code = "http"

    def __init__(
        self, status: HTTPStatus, message: str, *, path: str = "", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message, path=path, clause="RFC 9110")
        self.status = status
        self.headers = headers or {}


def of(error: FlexhubError, instance: str) -> Problem:
    """The problem document of an error; what is our fault is not told in detail."""
    if isinstance(error, HttpError):
        code = error.status.phrase.lower().replace(" ", "-")
        status, title = error.status, error.status.phrase
    else:
        code, title = error.code, TITLES.get(error.code, error.code)
        status = STATUS.get(code, HTTPStatus.INTERNAL_SERVER_ERROR)
    ours = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return Problem(
        type=f"/docs#problem-{code}",
        title=title,
        status=status,
        detail=_detail(error) if ours else error.message,
        instance=instance.encode(errors="replace").decode(),
        code=code,
        path="" if ours else error.path,
        # A header may hold bytes that are no UTF-8.
        value="" if ours else error.value[:200].encode(errors="replace").decode(),
        clause="" if ours else error.clause,
    )


def _detail(error: FlexhubError) -> str:
    if isinstance(error, UnavailableError):
        return f"{error.message[:1].upper()}{error.message[1:]}."
    return "The hub failed on this message; nothing of it was stored."


def response(error: FlexhubError, request: web.BaseRequest) -> web.Response:
    """The answer that tells of an error."""
    problem = of(error, request.path)
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        known = isinstance(error, UnavailableError)  # many are told so while it lasts; what happened is logged once
        level = logging.DEBUG if known else logging.ERROR
        log.log(level, "%s %s: %s", request.method, request.path, error, exc_info=None if known else error)
    headers = {"Content-Type": CONTENT_TYPE}
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    if isinstance(error, HttpError):
        headers |= error.headers
    if problem.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="flexhub", error="invalid_token"'
    return web.Response(status=problem.status, body=encode(problem), headers=headers)
