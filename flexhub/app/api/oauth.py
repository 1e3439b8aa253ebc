"""OAuth 2.0 where the hub is the issuer: a key (`flexhub keys`) is exchanged for a token of minutes (RFC 6749 4.4)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_plus

import msgspec
from aiohttp import web

from flexhub.app.access.audit import Access
from flexhub.app.access.gate import Gate
from flexhub.app.access.jwt import Issuer
from flexhub.app.api.calls import Service
from flexhub.app.api.problems import HttpError, response
from flexhub.app.api.route import Route
from flexhub.app.hub.tokens import Bearer, token_hash
from flexhub.core.registry import Role

FORM: Final = "application/x-www-form-urlencoded"
MOST_BYTES: Final = 16_384
MOST_FIELDS: Final = 20
TOKEN: Final = "/oauth/token"  # noqa: S105 - a path
KEYS: Final = "/.well-known/jwks.json"
METADATA: Final = "/.well-known/oauth-authorization-server"
HEADERS: Final = {"Content-Type": "application/json", "Cache-Control": "no-store"}


class OauthError(Exception):
    """What the client did wrong, in the words of RFC 6749 section 5.2."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error


def scopes_of(role: Role, routes: Iterable[Route]) -> frozenset[str]:
    """All that a role may do."""
    return frozenset(route.scope for route in routes if role in route.roles)


def mount(app: web.Application, service: Service, issuer: Issuer, routes: Iterable[Route]) -> None:
    """Serve tokens, the keys that sign them, and where both are; who asked for a token is in the audit log."""
    listed, gate, clock = tuple(routes), service.gate, service.clock
    keys = msgspec.json.encode({"keys": [issuer.jwk]})
    base = issuer.name.rstrip("/")
    metadata = msgspec.json.encode(
        {
            "issuer": issuer.name,
            "token_endpoint": base + TOKEN,
            "jwks_uri": base + KEYS,
            "grant_types_supported": ["client_credentials"],
            "response_types_supported": [],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "scopes_supported": sorted({route.scope for route in listed if route.scope}),
        }
    )

    def noted(request: web.Request, bearer: Bearer | None, status: int) -> None:
        party, role = ("", "") if bearer is None else (bearer.party, str(bearer.role))
        service.hub.note(Access(clock(), party, role, request.method, TOKEN, status, request.remote or ""))

    async def token(request: web.Request) -> web.Response:
        bearer: Bearer | None = None
        try:
            fields = await _form(request)
            bearer, key = await _client(gate, request, fields)
            if fields.get("grant_type") != "client_credentials":
                raise OauthError("unsupported_grant_type", "grant_type is client_credentials")  # noqa: TRY301 - one table
            granted = scopes_of(bearer.role, listed)
            wanted = frozenset(fields.get("scope", "").split()) or granted
            if not wanted <= granted:
                beyond = ", ".join(sorted(wanted - granted))
                raise OauthError("invalid_scope", f"not for the role {bearer.role}: {beyond}"[:200])  # noqa: TRY301 - as above
        except OauthError as error:
            refusal = _refuse(error)
            noted(request, bearer, refusal.status)
            return refusal
        except HttpError as error:
            return response(error, request)
        noted(request, bearer, HTTPStatus.OK)
        told: dict[str, Any] = {
            "access_token": issuer.issue(bearer.party, bearer.role, wanted, key, clock()),
            "token_type": "Bearer",
            "expires_in": int(issuer.lifetime.total_seconds()),
            "scope": " ".join(sorted(wanted)),
        }
        return web.Response(body=msgspec.json.encode(told), headers=HEADERS)

    async def jwks(_request: web.Request) -> web.Response:
        return web.Response(body=keys, headers={"Content-Type": "application/json", "Cache-Control": "max-age=300"})

    async def about(_request: web.Request) -> web.Response:
        return web.Response(body=metadata, headers={"Content-Type": "application/json"})

    app.router.add_post(TOKEN, token)
    app.router.add_get(KEYS, jwks)
    app.router.add_get(METADATA, about)


async def _form(request: web.Request) -> dict[str, str]:
    if request.content_type != FORM or request.headers.get("Content-Encoding", "identity") != "identity":
        raise OauthError("invalid_request", f"the body is {FORM}")
    if request.content_length is None or request.content_length > MOST_BYTES:
        raise OauthError("invalid_request", f"at most {MOST_BYTES} bytes, their number announced")
    try:
        text = (await request.read()).decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise OauthError("invalid_request", f"not a form: {error}"[:200].replace("\n", " ")) from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise OauthError("invalid_request", "a field stands twice")
    return fields


async def _client(gate: Gate, request: web.Request, fields: dict[str, str]) -> tuple[Bearer, str]:
    """Whose key was shown, and the key's hash. The client's id is its party's."""
    scheme, _, basic = request.headers.get("Authorization", "").partition(" ")
    if scheme and "client_secret" in fields:
        raise OauthError("invalid_request", "one way to authenticate, not two")
    if scheme:
        try:
            if scheme.lower() != "basic":
                raise OauthError("invalid_client", "HTTP Basic, or client_id and client_secret")
            pair = base64.b64decode(basic.strip(), validate=True).decode()
        except (binascii.Error, ValueError) as error:
            raise OauthError("invalid_client", "HTTP Basic, or client_id and client_secret") from error
        id_, _, secret = (unquote_plus(part) for part in pair.partition(":"))
    else:
        id_, secret = fields.get("client_id", ""), fields.get("client_secret", "")
    bearer = await gate.key(request, secret) if secret else None
    if bearer is None or bearer.party != id_:
        raise OauthError("invalid_client", "no such client, or not its secret")
    return bearer, token_hash(secret)


def _refuse(error: OauthError) -> web.Response:
    body = msgspec.json.encode({"error": error.error, "error_description": str(error)})
    if error.error != "invalid_client":
        return web.Response(status=HTTPStatus.BAD_REQUEST, body=body, headers=HEADERS)
    headers = HEADERS | {"WWW-Authenticate": 'Basic realm="flexhub"'}
    return web.Response(status=HTTPStatus.UNAUTHORIZED, body=body, headers=headers)
