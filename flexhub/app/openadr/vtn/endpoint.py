"""The VTN's endpoint: POST of a payload to the path of its service, answered by a payload; or an IQ of XMPP.

Who speaks is told by the client certificate, where TLS asks for one, or by the JID, and by the venID. A poll that has
nothing new is answered from the board and writes nothing; all that changes something goes through the hub. What is no
payload is refused with a status of HTTP's and a line of text; what breaks a rule, with an answer of its own kind and a
code.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import msgspec
from aiohttp import web
from lxml import etree

from flexhub.app.endpoints import AGAIN_S, Limits, Refusal, bear, payload_of, plain, refused, submitted, too_often
from flexhub.app.hub.contract import Answer, Message
from flexhub.app.hub.ids import fresh_id
from flexhub.app.openadr.simple_http import MEDIA_TYPE, MEDIA_TYPES, PREFIX
from flexhub.app.openadr.vtn.board import Board
from flexhub.app.openadr.vtn.handlers import RECEIVE, SERVICE_OF, Answered, Arrival, Came, place
from flexhub.core.documents import decode, encode
from flexhub.core.errors import FlexhubError, UnauthorizedError, UnavailableError
from flexhub.core.registry import Role
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.codec import OadrCodec, read
from flexhub.protocols.openadr2b.elements import Message as Wire
from flexhub.protocols.openadr2b.fingerprint import fingerprint_of
from flexhub.protocols.openadr2b.messages import SERVICES
from flexhub.protocols.openadr2b.session import vtn
from flexhub.protocols.openadr2b.session.book import Arrived, Settings, Step, ven_id_of
from flexhub.protocols.openadr2b.signature import Replays, SigningKey, sign, verify

_HEADERS: Final = {"Content-Type": MEDIA_TYPE, "Server": "flexhub"}
_POLL: Final = "OadrPoll"


class Speaker(NamedTuple):
    """Who sends.

    Args:
        shown: the fingerprint of the certificate that was shown, or the JID (`identity`); None without either.
        remote: what failures are counted against.
        jid: the full JID, over XMPP.
    """

    shown: str | None
    remote: str
    jid: str | None = None

    def completed(self, message: Wire) -> Wire:
        """Interpretation: a VEN that registers over XMPP and tells no address is at the JID that it sends from."""
        if self.jid is None or not isinstance(message, wire.OadrCreatePartyRegistration):
            return message
        if message.oadr_transport_address:
            return message
        return msgspec.structs.replace(message, oadr_transport_address=self.jid)


class Endpoint:
    """Takes messages for a hub.

    Args:
        submit: hands a message to the hub.
        board: what polls are answered by.
        settings: who the VTN is.
        clock: what time it is.
        limits: how often one may call.
        codec: reads and judges by the XSD; its `max_bytes` is the largest body.
        key: signs what is answered, and has what comes be signed; None: neither.
        off: rules that are not judged, as for the handlers.
    """

    def __init__(  # noqa: PLR0913 - the parts it is composed of
        self,
        submit: Callable[[Message], Awaitable[Answer]],
        board: Board,
        settings: Settings,
        clock: Callable[[], datetime],
        *,
        limits: Limits,
        codec: OadrCodec,
        key: SigningKey | None = None,
        off: Collection[str] = (),
    ) -> None:
        self._submit = submit
        self._board = board
        self._settings = settings
        self._clock = clock
        self.limits = limits
        self._codec = codec
        self._key = key
        self._off = off
        self._replays = Replays()
        self._since = clock()

    def application(self) -> web.Application:
        """What an HTTP server runs."""
        app = web.Application(middlewares=[plain], client_max_size=self._codec.max_bytes)
        for service in SERVICES:
            app.router.add_post(f"{PREFIX}/{service}", self.post)
        return app

    async def post(self, request: web.Request) -> web.StreamResponse:
        """One message."""
        try:
            body = await self._take(request)
        except Refusal as refusal:
            return refused(request, refusal, self.limits.failures)
        return web.Response(body=body, headers=_HEADERS)

    async def _take(self, request: web.Request) -> bytes:
        who = Speaker(_shown(request), request.remote or "")
        self.bear(who)
        body = await payload_of(request, self._codec.max_bytes, MEDIA_TYPES)  # [rule 53]
        return await self.take(body, who, request.path.rpartition("/")[2])

    def bear(self, who: Speaker) -> None:
        """Slow who had too much refused.

        Raises:
            Refusal: it did.
        """
        bear(self.limits.failures, who.remote)

    async def take(self, body: bytes, who: Speaker, service: str | None = None) -> bytes:
        """One payload to a service, or where they all have one address; what comes out is the answer's.

        Raises:
            Refusal: it is no payload, not signed as it has to be, too often, or cannot be worked now.
        """
        shown = who.shown
        quiet = self._board.quiet(body, shown) if service in {None, _POLL} else None
        if quiet is not None:
            # These very bytes were judged before, and nothing has changed since.
            self._admit(who, quiet.ven.id)
            self._board.hear(quiet.ven.id)
            return quiet.answer
        try:
            root = self._codec.root(body)
            message: Wire = read(root, checked=self._codec.check).oadr_signed_object.message
        except FlexhubError as error:
            raise Refusal(HTTPStatus.BAD_REQUEST, str(error)) from error
        if service is not None and SERVICE_OF.get(type(message), service) != service:
            raise Refusal(HTTPStatus.BAD_REQUEST, f"{vtn_name(message)} is not a message of {service}")
        ven_id = ven_id_of(message)
        self._admit(who, ven_id)
        await self._signed(root, ven_id, shown)
        completed = who.completed(message)
        if completed is not message:
            message, body = completed, self._codec.encode(completed)
        return await self._answered(message, ven_id, shown, body)

    def _admit(self, who: Speaker, ven_id: str | None) -> None:
        """Slow who floods; nobody can slow another VEN by its name alone: addresses and certificates count apart."""
        wait = self.limits.messages.take(who.shown or f"{who.remote} {ven_id}")
        if wait:
            raise too_often(wait)

    async def _answered(self, message: Wire, ven_id: str | None, shown: str | None, body: bytes) -> bytes:
        turn = 0
        arrived = Arrived(
            message,
            self._clock(),
            self._settings,
            _fresh,
            ven=None if ven_id is None else await self._board.ven(ven_id),
            fingerprint=shown,
            events=self._board.events,
            off=self._off,
        )
        refused = vtn.barred(arrived)
        if refused is not None:
            return self._written(refused.answer)
        if arrived.ven is not None:
            self._board.hear(arrived.ven.id)
            if isinstance(message, wire.OadrPoll):
                arrived = arrived._replace(turn=self._board.turn(arrived.ven.id))
        if isinstance(message, vtn.READING):
            step, turn = vtn.receive(arrived), arrived.turn
            if not step.changed:
                answer_xml = self._written(step.answer)
                if arrived.ven is not None and self._may_hush(arrived, step):
                    self._board.hush(body, shown, arrived.ven, answer_xml)
                return answer_xml
        arrival = Arrival(xml=body.decode("utf-8-sig"), fingerprint=shown, turn=turn)
        said = Message(
            peer=ven_id or shown or "openadr:nobody",
            id=f"openadr {fresh_id()}",
            kind=RECEIVE,
            conversation=place(ven_id or shown),
            body=encode(arrival),
            role=Role.PROSUMER,
            value=Came(arrival, message),
        )
        answer = await submitted(self._submit, said, ven_id)
        if ven_id is not None:
            self._board.forget(ven_id)
        xml = decode(Answered, answer.body).xml.encode()
        return xml if self._key is None else self._written(self._codec.decode(xml))

    def _may_hush(self, arrived: Arrived, step: Step) -> bool:
        """Whether the same poll would be answered so again: it found nothing, and is not signed, as each is anew."""
        assert arrived.ven is not None  # noqa: S101 - the caller has seen to it
        found_nothing = isinstance(step.answer, wire.OadrResponse) and not step.broken
        signed = self._key is not None or arrived.ven.xml_signature
        return isinstance(arrived.message, wire.OadrPoll) and found_nothing and not signed and not self._off

    def _written(self, message: Wire) -> bytes:
        if self._key is None:
            return self._codec.encode(message)
        return sign(message, self._key, now=self._clock(), nonce=uuid.uuid4().hex)

    async def _signed(self, root: etree._Element, ven_id: str | None, shown: str | None) -> None:
        """Refuse what has to be signed and is not, or not by whom it is of, or was sent before.

        Interpretation: what was signed before this process began is refused, since whether it came before is no longer
        known; who sends it again signs it anew.
        """
        ven = None if ven_id is None else await self._board.ven(ven_id)
        if self._key is None and (ven is None or not ven.xml_signature):
            return
        mine = ven.fingerprint if ven is not None else None
        now = self._clock()
        try:
            proof = verify(root, trusted={one for one in (mine, shown) if one is not None}, now=now)
            if proof.timestamp < self._since:
                raise Refusal(HTTPStatus.UNAUTHORIZED, "it was signed before this VTN began; sign it anew")
            self._replays.admit(proof, now)
        except UnauthorizedError as error:
            raise Refusal(HTTPStatus.UNAUTHORIZED, str(error)) from error
        except UnavailableError as error:
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, str(error), {"Retry-After": AGAIN_S}) from error


def vtn_name(message: Wire) -> str:
    """A message's element, for people."""
    return type(message).__name__


def _fresh(_: str) -> str:
    return uuid.uuid4().hex


def _shown(request: web.Request) -> str | None:
    """The fingerprint of the client certificate; None without one."""
    transport: Any = request.transport
    tls = None if transport is None else transport.get_extra_info("ssl_object")
    der = None if tls is None else tls.getpeercert(binary_form=True)
    return None if der is None else fingerprint_of(der)
