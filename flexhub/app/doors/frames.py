"""What a door and the hub say to each other: frames of MessagePack over a socket that only the two of them hold.

Each side gathers what it has to say during one turn of its event loop into one frame, so that under load a frame
carries dozens of messages and costs one system call.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar, cast

import msgspec

from flexhub.app.access.audit import Access
from flexhub.app.hub.contract import Answer, Message
from flexhub.app.hub.tags import Only
from flexhub.app.metrics import Served
from flexhub.core.errors import BY_CODE, FlexhubError, InternalError
from flexhub.core.registry import Role

T = TypeVar("T")

CLOSE: Final = signal.SIGUSR1
"""How the hub tells a door to close. What else ends programs may reach a whole group of processes at once, and then the
hub is to close its doors in its own time."""

LENGTH: Final = 4
"""Bytes before each frame that say how long it is, most significant first."""


class Asked(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """A message, on its way to the hub; `number` is the door's own for it."""

    number: int
    peer: str
    id: str
    kind: str
    conversation: str
    role: Role
    body: bytes
    only_if: Only | None = None

    @classmethod
    def of(cls, number: int, message: Message) -> Asked:
        """As it travels: without `value`, which the hub reads from the body."""
        m = message
        return cls(number, m.peer, m.id, m.kind, m.conversation, m.role, m.body, m.only_if)

    def message(self) -> Message:
        """As the hub works it."""
        return Message(
            peer=self.peer,
            id=self.id,
            kind=self.kind,
            conversation=self.conversation,
            body=self.body,
            role=self.role,
            only_if=self.only_if,
        )


class Wanted(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """A question about the hub's process itself (`Front.report`); it is `Answered` like a message."""

    number: int
    what: str


class Answered(msgspec.Struct, frozen=True, array_like=True, tag="answered"):
    """What the hub answers to the message of that number."""

    number: int
    status: int
    body: bytes

    def outcome(self) -> Answer:
        """As the hub gave it."""
        return Answer(status=self.status, body=self.body)


class Refused(msgspec.Struct, frozen=True, array_like=True, tag="refused"):
    """Why the hub refuses the message of that number."""

    number: int
    code: str
    message: str
    path: str
    value: str
    clause: str

    @classmethod
    def of(cls, number: int, error: BaseException) -> Refused:
        """An error as it travels."""
        if not isinstance(error, FlexhubError):
            error = InternalError(str(error))
        return cls(number, error.code, error.message, error.path, error.value, error.clause)

    def outcome(self) -> FlexhubError:
        """The error again."""
        kind = BY_CODE.get(self.code, InternalError)
        return kind(self.message, path=self.path, value=self.value, clause=self.clause)


class Told(msgspec.Struct, frozen=True, array_like=True, tag="told"):
    """A commit brought notices for these parties; None: for whoever."""

    parties: tuple[str, ...] | None


class Changed(msgspec.Struct, frozen=True, array_like=True, tag="changed"):
    """A changed configuration, pickled as the one that the door was started with."""

    config: bytes


class Noted(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """A request that the door has answered, for the audit log."""

    access: Access


ToHub = list[Asked | Wanted | Served | Noted]
ToDoor = list[Answered | Refused | Told | Changed]


class Frames(asyncio.Protocol, Generic[T]):
    """One end of the socket.

    Args:
        kind: what comes in: a list of this.
        received: called with each frame's content.
        lost: called once the other end is gone.
    """

    def __init__(self, kind: object, received: Callable[[list[T]], None], lost: Callable[[], None]) -> None:
        self._decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(cast("Any", kind))
        self._encoder = msgspec.msgpack.Encoder()
        self._received = received
        self._lost = lost
        self._buffer = bytearray()
        self._waiting: list[object] = []
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        """The other process is gone, or closed its end."""
        self._lost()

    def data_received(self, data: bytes) -> None:
        """Take whole frames off the buffer."""
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) >= at + LENGTH:
            begin = at + LENGTH
            end = begin + int.from_bytes(buffer[at:begin], "big")
            if len(buffer) < end:
                break
            content = self._decoder.decode(bytes(buffer[begin:end]))
            at = end
            self._received(content)
        del buffer[:at]

    def say(self, item: object) -> None:
        """Send this with whatever else is said in this turn of the event loop; nothing once the other end is gone."""
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(item)

    def _flush(self) -> None:
        said, self._waiting = self._waiting, []
        if self._transport.is_closing():
            return
        content = self._encoder.encode(said)
        self._transport.write(len(content).to_bytes(LENGTH, "big") + content)

    def close(self) -> None:
        """Hang up."""
        self._transport.close()
