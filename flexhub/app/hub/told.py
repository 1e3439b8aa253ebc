"""What peers tell on their streams, as messages: each event is journalled once, and with it how far the stream is read.

An event enters as a message of the peer `FOLLOWED`, whose id is the stream and the event's number. The number is stored
in the same transaction, so that whoever goes on after a crash begins behind what was worked, and hears nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from flexhub.app.hub.contract import FOLLOWED, Answer, Decision, Handler, Key, Message, Put, View
from flexhub.core.base import Id, Model
from flexhub.core.documents import decode, encode
from flexhub.core.errors import FlexhubError
from flexhub.core.registry import Role


def stream_id(peer: str, party: str) -> str:
    """What the peer tells this party; also the name under which the peer is sent what the party says."""
    return f"{peer}:{party}"


class Cursor(Model, frozen=True, kw_only=True):
    """How far a stream was read: its last event that was worked."""

    id: str
    seq: int


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """Event `seq` of what a peer tells a party of ours. The value of a message of kind ``told.<topic>``."""

    peer: Id
    party: Id
    seq: int
    topic: str
    body: msgspec.Raw

    @property
    def stream(self) -> str:
        """The stream's id."""
        return stream_id(self.peer, self.party)

    def message(self) -> Message:
        """The event as a message; those of one stream are worked in order."""
        return Message(
            peer=FOLLOWED,
            id=f"{self.stream}/{self.seq}",
            kind=f"told.{self.topic}",
            conversation=self.stream,
            body=encode(self),
            role=Role.ADMIN,
        )


def told_of(message: Message) -> Told:
    """The event that a message is.

    Raises:
        MalformedError, InvalidError: as `core.documents.decode`.
    """
    return decode(Told, message.body)


class Heard:
    """Has another handler decide about an event, and notes that the stream was read so far, whatever it decides.

    What is refused changes nothing else: a peer's stream goes on behind it.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    def needs(self, message: Message) -> Iterable[Key]:
        """What the other handler needs."""
        return self._handler.needs(message)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Its decision, and the cursor."""
        told = told_of(message)
        try:
            decision = self._handler.decide(message, view, now)
        except FlexhubError as error:
            refused = encode({"code": error.code, "message": str(error)})
            decision = Decision(answer=Answer(status=422, body=refused))
        cursor = Cursor(id=told.stream, seq=told.seq)
        put = Put(key=Key(Cursor, cursor.id), value=cursor, owner=told.party)
        return msgspec.structs.replace(decision, puts=(*decision.puts, put))
