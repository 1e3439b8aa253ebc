"""Carries a VEN's messages to its VTN: HTTP POST or an IQ of XMPP with one payload, whose answer is one, too.

TLS shows our client certificate; the VTN's has to be of the fingerprint that is configured, where one is. Signatures
are made when a message is sent, since their timestamps have to be of then: what is sent again is the same message.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import NamedTuple, Self

from flexhub.adapters.http.sender import MAX_REPLY
from flexhub.adapters.store.interface import SendRow
from flexhub.app.hub.outbox import Outcome
from flexhub.app.openadr.ven.section import VenSection
from flexhub.app.openadr.ven.ways import HttpWay, XmppWay
from flexhub.core.errors import ConfigError, FlexhubError, UnauthorizedError, UnavailableError
from flexhub.protocols.openadr2b.codec import OadrCodec, read
from flexhub.protocols.openadr2b.elements import Message
from flexhub.protocols.openadr2b.fingerprint import normal
from flexhub.protocols.openadr2b.schema import installed
from flexhub.protocols.openadr2b.signature import Replays, SigningKey, sign, signing_key, verify


class Answered(NamedTuple):
    """The VTN's answer, None where it is empty, and its bytes without a signature."""

    message: Message | None
    xml: bytes


class VtnClient:
    """Talks to one VTN; an async context manager, since connections are kept.

    Args:
        section: where it is, and how it knows us.
        clock: what time it is, for signatures.

    Raises:
        ConfigError: files of certificates that cannot be read.
    """

    def __init__(self, section: VenSection, clock: Callable[[], datetime]) -> None:
        self._section = section
        self._clock = clock
        self._fingerprint = None if section.fingerprint is None else normal(section.fingerprint)
        self._codec = OadrCodec(MAX_REPLY, check=installed())
        self._replays = Replays()
        self.way = HttpWay(section) if section.xmpp is None else XmppWay(section.vtn, section.xmpp)
        self._key = _key(section)

    async def __aenter__(self) -> Self:
        await self.way.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.way.__aexit__(kind, error, trace)

    async def ask(self, service: str, message: Message) -> Answered:
        """One request, and what the VTN says to it.

        Raises:
            UnavailableError: no answer, or a refusal by HTTP.
            FlexhubError: the answer is no message, or not signed by the VTN where it has to be.
        """
        outcome, answered = await self._post(service, self._codec.encode(message), message)
        if answered is None:
            raise UnavailableError(outcome.why, path=self._section.name)
        return answered

    async def send(self, row: SendRow) -> Outcome:
        """One try of a row of the outbox. What the VTN answers by a message is an answer, also where it refuses."""
        try:
            message = self._codec.decode(row.body) if self._key is not None else None
            outcome, answered = await self._post(row.path, row.body, message)
        except FlexhubError as error:
            return Outcome(0, why=str(error), final=False)
        return outcome if answered is None else Outcome(200, answered.xml)

    async def _post(self, service: str, body: bytes, message: Message | None) -> tuple[Outcome, Answered | None]:
        if self._key is not None and message is not None:
            body = sign(message, self._key, now=self._clock(), nonce=uuid.uuid4().hex)
        found = await self.way.say(service, body)
        if found.why:
            return Outcome(*found), None
        return Outcome(found.status), self._read(found.reply)

    def _read(self, reply: bytes) -> Answered:
        if not reply.strip():
            return Answered(None, b"")
        root = self._codec.root(reply)
        payload = read(root, checked=self._codec.check)
        if self._section.sign:
            assert self._fingerprint is not None  # noqa: S101 - the section sees to it
            proof = verify(root, trusted=(self._fingerprint,), now=self._clock())
            self._replays.admit(proof, self._clock())
        message: Message = payload.oadr_signed_object.message
        return Answered(message, self._codec.encode(message))

    def opened(self, data: bytes) -> Message:
        """What the VTN pushes.

        Raises:
            FlexhubError: it is no message, or not signed by the VTN where it has to be.
        """
        found = self._read(data).message
        if found is None:
            raise UnauthorizedError("nothing", path="oadrPayload")
        return found

    def signed(self, message: Message) -> bytes:
        """An answer to what was pushed."""
        if self._key is None:
            return self._codec.encode(message)
        return sign(message, self._key, now=self._clock(), nonce=uuid.uuid4().hex)


def _key(section: VenSection) -> SigningKey | None:
    if not section.sign or section.cert is None or section.key is None:
        return None
    try:
        return signing_key(section.key.read_bytes(), section.cert.read_bytes())
    except OSError as error:
        raise ConfigError(f"no key: {error}", path="openadr/ven/key", value=str(section.key)) from error
    except FlexhubError as error:
        raise ConfigError(error.message, path="openadr/ven/key", value=str(section.key)) from error
