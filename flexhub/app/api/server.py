"""The HTTP server: who calls, what they sent, and problem documents for all that goes wrong.

The path of a message is short: token (from memory), one decode, the hub, and the answer's bytes as the hub stored them.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from time import perf_counter
from typing import Any, Final

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from flexhub.adapters.http import idempotency
from flexhub.app.access.audit import Access
from flexhub.app.api import exports, goflex, oauth, problems
from flexhub.app.api.calls import Call, Reply, Service
from flexhub.app.api.docs import page
from flexhub.app.api.messages import Arguments
from flexhub.app.api.openapi import document
from flexhub.app.api.problems import HttpError
from flexhub.app.api.route import Route
from flexhub.app.api.routes import ROUTES, STREAM
from flexhub.app.exchange.offers import new_id
from flexhub.app.hub.ids import fresh_id
from flexhub.app.hub.tags import Only, listed, tag
from flexhub.app.hub.tokens import Bearer
from flexhub.app.logs import request_id
from flexhub.app.metrics import Http
from flexhub.core.base import Id
from flexhub.core.documents import encode, explain
from flexhub.core.errors import FlexhubError, InternalError, InvalidError, PreconditionError
from flexhub.core.registry import Role

log = logging.getLogger(__name__)

MAX_BODY: Final = 1 << 20
BODY_S: Final = 10.0
"""How long a body may take to come."""

GOFLEX_VARIANT: Final = "-goflex"
"""Ends the tag of a document in GOFLEX's words: tags differ where bytes do."""

MOST_NOTED: Final = 500
"""Characters of a path that the audit log keeps."""

JSON: Final = "application/json"
JSON_HEADERS: Final = {"Content-Type": JSON}
"""Fresh message ids: one random part per process, since reading randomness lets go of the interpreter's lock."""

REQUEST_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")
"""What is taken over from X-Request-Id: anything that can be seen and does not fill the logs."""

STREAMED: Final = web.RequestKey("streamed", int)
"""Where a request keeps the status that its stream began with."""

METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE"))

_NO_ARGUMENTS: Final = Arguments()
NOBODY: Final = Bearer("nobody", Role.PROSUMER)

SERVER_OPTIONS: Final[dict[str, Any]] = {
    "access_log": None,
    "keepalive_timeout": 30.0,
    "lingering_time": 2.0,
    "max_line_size": 16_380,  # a cursor may be long, and each of its letters written in three
    "max_field_size": 8190,
    "shutdown_timeout": 2.0,
    "handler_cancellation": True,
    "auto_decompress": False,
}
"""For the runner. Handlers of clients that have gone are stopped; what was handed to the hub is worked all the same."""


def build(service: Service, routes: Iterable[Route] = ROUTES) -> web.Application:
    """The application of the exchange interface, with its OpenAPI document and the page that shows it."""
    app = web.Application(middlewares=[_watched(service.http)], client_max_size=MAX_BODY)
    app[exports.UNDER_WAY] = set()
    app.on_response_prepare.append(_named(service.http))
    listed = tuple(routes)
    for route in listed:
        serve = _serve(service, route)
        app.router.add_route(route.method, route.path, serve)
        if route.method == "GET":
            # As GET, but without its body (RFC 9110 section 9.3.2); a stream has no end, and so no length to tell.
            app.router.add_route("HEAD", route.path, _get_only if route.streams else serve)
    if service.gate.issuer is not None:
        oauth.mount(app, service, service.gate.issuer, listed)
    described = document(listed, service.version)
    body, shown = encode(described), page(described).encode()

    async def openapi(_request: web.Request) -> web.Response:
        return web.Response(body=body, headers=JSON_HEADERS)

    async def docs(_request: web.Request) -> web.Response:
        headers = {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
        }
        return web.Response(body=shown, headers=headers)

    app.router.add_get("/openapi.json", openapi)
    app.router.add_get("/docs", docs)
    return app


def _watched(http: Http) -> Middleware:
    """Gives each request a name for the logs, and counts it; of a stream it counts no seconds."""

    @web.middleware
    async def watched(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("X-Request-Id")
        named = given if given is not None and REQUEST_ID.fullmatch(given) else fresh_id()
        request_id.set(named)
        resource = request.match_info.route.resource
        route = "other" if resource is None else resource.canonical
        begun = perf_counter()
        status = 0
        try:
            response = await _answered(request, handler)
            status = response.status
        finally:
            seconds = perf_counter() - begun
            streamed = request.get(STREAMED)
            if streamed is not None:
                http.streams -= 1
                status, seconds = streamed, 0.0
            method = request.method if request.method in METHODS else "other"
            http.add(method, route, status, seconds)
            if log.isEnabledFor(logging.DEBUG):
                log.debug("%s %s %d in %.1f ms", method, route, status, seconds * 1e3)
        return response

    return watched


def _named(http: Http) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Answers the request's name, and notices a stream when it begins."""

    async def named(request: web.Request, response: web.StreamResponse) -> None:
        response.headers["X-Request-Id"] = request_id.get()
        response.headers["Server"] = "flexhub"  # not what it is made of, and in which versions
        if not isinstance(response, web.Response | web.FileResponse):
            request[STREAMED] = response.status
            http.streams += 1

    return named


async def _get_only(_request: web.Request) -> web.StreamResponse:
    raise web.HTTPMethodNotAllowed("HEAD", ("GET",))


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What aiohttp itself refuses (no such route, no such method) is told as a problem document, too."""
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        refusal = HttpError(HTTPStatus.METHOD_NOT_ALLOWED, f"allowed: {allowed}", headers={"Allow": allowed})
        return problems.response(refusal, request)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        return problems.response(HttpError(HTTPStatus(error.status), error.reason), request)


def _serve(service: Service, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def serve(request: web.Request) -> web.StreamResponse:
        caller = NOBODY
        try:
            if route.roles:
                visitor = await service.gate.who(request, route.roles)
                caller = visitor.bearer
                service.gate.admit(visitor, route.roles, route.scope)
            if route.path == STREAM:  # it may go on for days
                _note(service, route, request, caller, HTTPStatus.OK)
            args = arguments(route.args, request)
            id_ = message_id(request)
            body = await read_body(request, goflex.MEDIA_TYPE if route.goflex else JSON) if route.body else b""
            if route.goflex and body and request.content_type == goflex.MEDIA_TYPE:
                given_id = getattr(args, "id", None) or new_id(caller.party, id_)
                now = service.clock()
                body = await goflex.read_again(body, service.hub, issuer=caller.party, new_id=given_id, now=now)
            only_if = conditions(request) if route.tagged else None
            reply = await route.call(service, Call(request, caller, args, body, id_, only_if))
            wants_goflex = route.goflex and goflex.MEDIA_TYPE in request.headers.get("Accept", "")
            if route.tagged and route.method == "GET" and isinstance(reply, Reply):
                reply = _tagged(reply, only_if, GOFLEX_VARIANT if wants_goflex else "")
            if wants_goflex and isinstance(reply, Reply) and reply.body:
                headers = {"Content-Type": goflex.MEDIA_TYPE} | (reply.headers or {})
                reply = Reply(goflex.write(reply.body), reply.status, headers)
        except FlexhubError as error:
            return _refused(service, route, request, caller, error)
        except (asyncio.CancelledError, web.HTTPException):
            raise
        except Exception as error:
            failure = InternalError(str(error))
            failure.__cause__ = error
            return _refused(service, route, request, caller, failure)
        if route.method == "GET" and route.path != STREAM:
            _note(service, route, request, caller, reply.status)
        if isinstance(reply, web.StreamResponse):
            return reply
        headers = JSON_HEADERS if reply.headers is None else JSON_HEADERS | reply.headers
        return web.Response(status=reply.status, body=reply.body, headers=headers)

    return serve


def conditions(request: web.Request) -> Only | None:
    """Which states the request is meant for; None: any.

    A tag of any variant names the document that it is of, except where a variant is asked for.

    Raises:
        MalformedError: a header that is no list of tags.
    """
    headers = request.headers
    if "If-Match" not in headers and "If-None-Match" not in headers:
        return None
    match = listed(headers.getall("If-Match", ()), "If-Match", weak=False)
    unless = listed(headers.getall("If-None-Match", ()), "If-None-Match", weak=True)
    if request.method not in ("GET", "HEAD"):
        match, unless = (
            None if tags is None else tuple(t.removesuffix(GOFLEX_VARIANT) for t in tags) for tags in (match, unless)
        )
    return Only(match, unless)


def _tagged(reply: Reply, only_if: Only | None, variant: str) -> Reply:
    """The answer with its tag; without a body where the reader has it already.

    Raises:
        PreconditionError: it is in another state than If-Match says.
    """
    current = tag(reply.body) + variant
    headers = {"ETag": f'"{current}"', "Vary": "Accept"} | (reply.headers or {})
    if only_if is not None and not only_if.matches(current):
        raise PreconditionError(
            "it is not as the request says", path="header/If-Match", clause="RFC 9110 section 13.1.1"
        )
    if only_if is not None and not only_if.passes(current):
        return Reply(b"", HTTPStatus.NOT_MODIFIED, headers)
    return reply._replace(headers=headers)


def _refused(
    service: Service, route: Route, request: web.Request, caller: Bearer, error: FlexhubError
) -> web.StreamResponse:
    answer = problems.response(error, request)
    _note(service, route, request, caller, answer.status)
    return answer


def _note(service: Service, route: Route, request: web.Request, caller: Bearer, status: int) -> None:
    """Have a read or a refusal in the audit log; what was accepted is in the journal, whose digests are there.

    Who calls too often is only counted (`/metrics`): nobody fills the log faster than the limits let them call.
    """
    if not route.roles or status == HTTPStatus.TOO_MANY_REQUESTS:
        return
    party, role = ("", "") if caller is NOBODY else (caller.party, str(caller.role))
    path = request.raw_path[:MOST_NOTED].encode("ascii", "replace").decode()
    access = Access(service.clock(), party, role, request.method, path, status, request.remote or "")
    service.hub.note(access)


def arguments(kind: type[msgspec.Struct], request: web.Request) -> msgspec.Struct:
    """Path and query parameters, typed.

    Raises:
        InvalidError: one is missing, unknown, repeated or of another type; the path names it.
    """
    if kind is Arguments and not request.query_string:
        return _NO_ARGUMENTS
    given: dict[str, str] = dict(request.query)
    if len(given) != len(request.query):
        raise InvalidError("a parameter stands twice", path="query")
    given |= request.match_info
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        broken = explain(kind, error)
        name = broken.path.removeprefix(kind.__name__).lstrip("/")
        where = "path" if name in request.match_info else "query"
        raise InvalidError(broken.message, path=f"{where}/{name}".rstrip("/"), value=given.get(name, "")) from error


async def read_body(request: web.Request, beside: str = JSON) -> bytes:
    """The body, which must be announced with its length and type: JSON, or another type `beside` it.

    Raises:
        HttpError: no length, too long, too slow, or another type.
    """
    length = request.content_length
    if length is None:
        raise HttpError(HTTPStatus.LENGTH_REQUIRED, "Content-Length is needed", path="header/Content-Length")
    if length > MAX_BODY:
        raise HttpError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{length} bytes, allowed: {MAX_BODY}", path="header/Content-Length"
        )
    if request.headers.get("Content-Type") != JSON and request.content_type not in (JSON, beside):
        allowed = ", ".join(sorted({JSON, beside}))
        raise HttpError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"allowed: {allowed}", path="header/Content-Type")
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise HttpError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "no encodings", path="header/Content-Encoding")
    if request.content.is_eof():  # it came with the headers: nothing to wait for
        return await request.read()
    try:
        async with asyncio.timeout(BODY_S):
            return await request.read()
    except TimeoutError:
        raise HttpError(HTTPStatus.REQUEST_TIMEOUT, f"the body took longer than {BODY_S:g} s") from None


def message_id(request: web.Request) -> str:
    """The id of the message: its ``Idempotency-Key``, otherwise a fresh one.

    The method and path go into it, so that a key used for two different things stands for two messages.

    Interpretation: the draft has a repeat refused with 409 while the first is being worked. Here messages are worked in
    order, and a repeat that comes meanwhile gets the first one's answer as soon as that is on disk: who repeats because
    no answer came wants nothing else, and no client takes the refusal for the outcome.

    Raises:
        InvalidError: a key that is no identifier, or several.
    """
    key = idempotency.read(request.headers.getall(idempotency.HEADER, ()))
    if key is None:
        return fresh_id()
    try:
        msgspec.convert(key, Id)
        key.encode()
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        raise InvalidError(str(error), path="header/Idempotency-Key", value=key) from error
    return f"{request.method} {request.path} {key}"
