"""The endpoint of UFTP: POST of a signed message, answered 200 once its XML is valid and it is on disk.

``POST /shapeshifter/api/v3/message`` (older texts: ``/USEF/2019/SignedMessage``), ``text/xml``, where ``[uftp] listen``
says. Who may speak here is decided by signatures, so no token is asked for. A refusal is a line of text: which rule,
where and why.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from flexhub.app.endpoints import Limits, Refusal, bear, body_of, plain, refused, submitted, too_often
from flexhub.app.hub.contract import Answer, Message
from flexhub.app.hub.ids import fresh_id
from flexhub.app.uftp.handlers import Arrival, Arrived, conversation
from flexhub.app.uftp.lookup import Lookup, Participant
from flexhub.app.uftp.participants import Participants
from flexhub.core.documents import encode
from flexhub.core.errors import FlexhubError
from flexhub.core.registry import Role
from flexhub.protocols.uftp import envelope as env
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.codec import UftpCodec
from flexhub.protocols.uftp.messages import SignedMessage

PATHS: Final = ("/shapeshifter/api/v3/message", "/USEF/2019/SignedMessage")

SPEAKS_AS: Final = {
    wire.Role.AGR: Role.AGGREGATOR,
    wire.Role.CRO: Role.MARKET_OPERATOR,
    wire.Role.DSO: Role.GRID_OPERATOR,
}
"""UFTP's roles in the hub's words; a CRO runs the market's register."""


class Endpoint:
    """Takes messages for a hub.

    Args:
        submit: hands a message to the hub.
        participants: who the hub is.
        lookup: finds senders' keys.
        codec: reads messages; its `max_bytes` is the largest body.
        limits: how often one may call.
        barred: domains whose messages are rejected.
        registered: domains that a CRO in closed mode hears.
    """

    def __init__(  # noqa: PLR0913 - the parts it is composed of
        self,
        submit: Callable[[Message], Awaitable[Answer]],
        participants: Participants,
        lookup: Lookup,
        *,
        codec: UftpCodec,
        limits: Limits,
        barred: frozenset[str] = frozenset(),
        registered: frozenset[str] = frozenset(),
    ) -> None:
        self._submit = submit
        self._participants = participants
        self._lookup = lookup
        self._codec = codec
        self.limits = limits
        self._barred = barred
        self._registered = registered

    def application(self) -> web.Application:
        """What an HTTP server runs."""
        app = web.Application(middlewares=[plain], client_max_size=self._codec.max_bytes)
        for path in PATHS:
            app.router.add_post(path, self.post)
        return app

    async def post(self, request: web.Request) -> web.StreamResponse:
        """One delivery."""
        try:
            await self._take(request)
        except Refusal as refusal:
            return refused(request, refusal, self.limits.failures)
        return web.Response()

    async def _take(self, request: web.Request) -> None:
        bear(self.limits.failures, request.remote or "", "UFTP-04: ")
        body = await self._body(request)
        envelope = _passed(env.enveloped(body, self._codec.max_bytes))
        sender, inner = await self._sender(envelope)
        wait = self.limits.messages.take(envelope.sender_domain)
        if wait:
            raise too_often(wait, "UFTP-04: ")
        opened = _passed(env.inside(envelope, inner, self._codec))
        arrival = Arrival(
            envelope=body.decode("utf-8-sig"),
            roles=tuple(sorted(sender.roles)),
            barred=envelope.sender_domain in self._barred,
            registered=envelope.sender_domain in self._registered,
        )
        own = self._participants.recipient(opened.message)
        message = Message(
            peer=envelope.sender_domain,
            id=f"uftp {opened.message.message_id} {fresh_id()}",
            kind="uftp.receive",
            conversation=conversation(own.domain, opened.message),
            body=encode(arrival),
            role=SPEAKS_AS[envelope.sender_role],
            value=Arrived(arrival, opened),
        )
        await submitted(self._submit, message, envelope.sender_domain)

    async def _body(self, request: web.Request) -> bytes:
        """The body, by rules 1 to 3; never more than is allowed, and never longer than `BODY_S`."""
        length = request.content_length
        kind = request.headers.get("Content-Type", "")
        failed = env.headers(env.Delivery(content_type=kind, content_length=length, body=b""))
        if failed is not None:
            raise _refused(failed)
        if request.headers.get("Content-Encoding", "identity") != "identity":
            raise Refusal(HTTPStatus.BAD_REQUEST, "UFTP-02 Content-Encoding: no encodings")
        if length is None or length > self._codec.max_bytes:
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{length} bytes, allowed: {self._codec.max_bytes}")
        return await body_of(request)

    async def _sender(self, envelope: SignedMessage) -> tuple[Participant, bytes]:
        """Who signed it, and what (rules 6 and 7). A key that does not fit may have been changed: it is asked again."""
        domain, role = envelope.sender_domain, envelope.sender_role
        try:
            found = self._lookup.known(domain, role) or await self._lookup.find(domain, role)
        except FlexhubError as error:
            raise _refused(_failed(env.signed(envelope, (), str(error)))) from error
        inner = env.signed(envelope, found.keys)
        if isinstance(inner, env.Failed):
            changed = await self._lookup.again(domain, role)
            if changed is None or changed.keys == found.keys:
                raise _refused(inner)
            found, inner = changed, env.signed(envelope, changed.keys)
        return found, _passed(inner)


def _passed(found: Any) -> Any:  # noqa: ANN401 - whatever it is, but for a failure
    if isinstance(found, env.Failed):
        raise _refused(found)
    return found


def _failed(found: bytes | env.Failed) -> env.Failed:
    assert isinstance(found, env.Failed)  # noqa: S101 - without keys it is one
    return found


def _refused(failed: env.Failed) -> Refusal:
    where = f" {failed.path}" if failed.path else ""
    return Refusal(failed.status, f"{failed.rule}{where}: {failed.message}")
