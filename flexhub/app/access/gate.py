"""The one check that every request passes: who calls, and whether it may."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from aiohttp import web

from flexhub.app.access.jwt import Claims, Issuer, Verifier, looks_like_one
from flexhub.app.access.limits import Buckets
from flexhub.app.api.problems import HttpError
from flexhub.app.hub.reading import Front
from flexhub.app.hub.tokens import Bearer, token_hash
from flexhub.core.errors import ForbiddenError, UnauthorizedError
from flexhub.core.registry import Role

MOST_TOKENS: Final = 10_000
"""So many verified tokens are kept, so that a signature is checked once."""


BOUNDLESS: Final = 1e9
"""More requests a second than any machine takes."""


class Holder(NamedTuple):
    """Whom a client certificate stands for."""

    party: str
    roles: tuple[Role, ...]


class Visitor(NamedTuple):
    """Who calls, and the scopes that its token is for; None: all of its role's."""

    bearer: Bearer
    scopes: frozenset[str] | None


class Limits(NamedTuple):
    """Requests of a party, and failed attempts from an address: so many a second, and so many at once."""

    requests: Buckets
    failures: Buckets


def no_limits() -> Limits:
    """Everybody as often as they can."""
    return Limits(Buckets(BOUNDLESS, BOUNDLESS), Buckets(BOUNDLESS, BOUNDLESS))


class Gate:
    """Admits requests by bearer token (the hub's own keys, or JWT) or by client certificate.

    Args:
        hub: where keys are looked up.
        clock: what time it is.
        verifier: takes JWTs; None: none are taken.
        issuer: gives the hub's own JWTs; None: another one does, or nobody.
        certificates: SHA-256 of a client certificate (DER, hex) -> whom it stands for.
        limits: how often one may call. Each process counts for itself.
    """

    def __init__(  # noqa: PLR0913 - each is one way in
        self,
        hub: Front,
        clock: Callable[[], datetime],
        *,
        verifier: Verifier | None = None,
        issuer: Issuer | None = None,
        certificates: Mapping[str, Holder] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.issuer = issuer
        self._hub = hub
        self._clock = clock
        self._verifier = verifier
        self._certificates = certificates or {}
        self._limits = limits or no_limits()
        self._verified: dict[str, Claims] = {}

    def change(self, certificates: Mapping[str, Holder], limits: Limits) -> None:
        """Go on with these; everybody's count begins anew."""
        self._certificates = certificates
        self._limits = limits

    async def who(self, request: web.Request, roles: tuple[Role, ...]) -> Visitor:
        """Who calls; one who may appear in several roles does so in one of these.

        Raises:
            UnauthorizedError: nobody that is known.
            HttpError: too many failed attempts (429).
        """
        header, *others = request.headers.getall("Authorization", [None])
        if others:  # whoever stands between may have looked at another one
            self._failed(request)
            raise UnauthorizedError("it stands twice", path="header/Authorization", clause="RFC 9110 section 5.3")
        if header is None:
            holder = self._certificates.get(_fingerprint(request)) if self._certificates else None
            if holder is None:
                self._failed(request)
                raise UnauthorizedError("a bearer token is needed", path="header/Authorization", clause="RFC 6750")
            if request.headers.get("Origin", _own_origin(request)) != _own_origin(request):
                # A browser shows the certificate whichever page has it call.
                raise ForbiddenError("not from a page of another site", path="header/Origin", clause="RFC 6454")
            fitting = [role for role in holder.roles if role in roles] or list(holder.roles)
            return Visitor(Bearer(holder.party, fitting[0]), None)
        scheme, _, token = header.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            self._failed(request)
            raise UnauthorizedError("a bearer token is needed", path="header/Authorization", clause="RFC 6750")
        if self._verifier is not None and looks_like_one(token):
            claims = await self._claims(request, token)
            return Visitor(Bearer(claims.party, claims.role), claims.scopes)
        found = await self.key(request, token)
        if found is None:
            raise UnauthorizedError("an unknown token", path="header/Authorization", clause="RFC 6750")
        return Visitor(found, None)

    def admit(self, visitor: Visitor, roles: tuple[Role, ...], scope: str) -> None:
        """Let in who is one of these roles, with a token for this scope.

        Raises:
            ForbiddenError: a role or a scope that may not do this.
            HttpError: too often (429).
        """
        bearer = visitor.bearer
        if bearer.role not in roles:
            raise ForbiddenError(f"not for the role {bearer.role}", path="header/Authorization", value=bearer.role)
        if visitor.scopes is not None and scope not in visitor.scopes:
            challenge = f'Bearer realm="flexhub", error="insufficient_scope", scope="{scope}"'
            raise HttpError(
                HTTPStatus.FORBIDDEN,
                f"the token is not for {scope}",
                path="header/Authorization",
                headers={"WWW-Authenticate": challenge},
            )
        wait = self._limits.requests.take(bearer.party)
        if wait:
            raise too_often(wait)

    async def still(self, request: web.Request, bearer: Bearer) -> bool:
        """Whether the caller of a request that goes on, such as a stream, would still be admitted."""
        try:
            return (await self.who(request, (bearer.role,))).bearer == bearer
        except (UnauthorizedError, HttpError):
            return False

    async def key(self, request: web.Request, presented: str) -> Bearer | None:
        """Whom a key stands for; a failed attempt counts.

        Raises:
            HttpError: too many failed attempts from this address (429).
        """
        hashed = token_hash(presented)
        found = self._hub.known_token(hashed)
        if found is None:
            # Others may guess at the same address, behind one proxy: who was let in lately isn't held up for them.
            if not self._hub.met_token(hashed):
                self._patience(request)
            found = await self._hub.find_token(hashed)
        if found is None:
            self._limits.failures.take(request.remote or "")
        return found

    def _failed(self, request: web.Request) -> None:
        """Count an attempt that shows nothing to look up; by itself, so that it holds up nobody who shows something.

        Raises:
            HttpError: too many of them from this address (429).
        """
        wait = self._limits.failures.take(f"{request.remote} with nothing")
        if wait:
            raise too_often(wait)

    def _patience(self, request: web.Request) -> None:
        wait = self._limits.failures.empty(request.remote or "")
        if wait:
            raise too_often(wait)

    async def _claims(self, request: web.Request, token: str) -> Claims:
        assert self._verifier is not None  # noqa: S101 - asked only where there is one
        known = self._verified.get(token)
        if known is None or self._clock() >= known.expires:
            self._patience(request)
            try:
                known = await asyncio.to_thread(self._verifier.verify, token)  # may fetch keys
            except UnauthorizedError:
                self._limits.failures.take(request.remote or "")
                raise
            self._verified.pop(token, None)
            if len(self._verified) >= MOST_TOKENS:
                del self._verified[next(iter(self._verified))]
            self._verified[token] = known
        if known.key is None:
            return known
        # From memory where that will do, without a coroutine for each request.
        holder = self._hub.known_token(known.key) or await self._hub.find_token(known.key)
        if holder is None or holder.party != known.party or holder.role is not known.role:
            raise UnauthorizedError("its key was taken away", path="header/Authorization", clause="RFC 6750")
        return known


def too_often(wait: int) -> HttpError:
    """The answer to who calls too often: when to come again."""
    seconds = min(wait, 3600)
    return HttpError(
        HTTPStatus.TOO_MANY_REQUESTS, f"too often; again in {seconds} s", headers={"Retry-After": str(seconds)}
    )


def _own_origin(request: web.Request) -> str:
    """The origin of pages that the hub itself serves, as the client knows it."""
    return f"{request.scheme}://{request.host}"


def _fingerprint(request: web.Request) -> str:
    """SHA-256 of the client's certificate, in hex; empty without one. TLS has checked who signed it."""
    connection: Any = request.transport and request.transport.get_extra_info("ssl_object")
    certificate: bytes | None = connection and connection.getpeercert(binary_form=True)
    return hashlib.sha256(certificate).hexdigest() if certificate else ""
