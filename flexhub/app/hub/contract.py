"""What the hub loop and its handlers promise each other.

A `Message` that changes state goes to the `Handler` of its kind. The handler names the documents it must see, then
decides purely: an answer, documents to write, effects. The loop journals the message and stores documents, answer,
notices and timers in one transaction, then lets the answer out. A handler that raises a `FlexhubError` changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import msgspec

from flexhub.app.hub.tags import Only
from flexhub.core.effects import Effect
from flexhub.core.registry import Role

T = TypeVar("T")

TIMER = "flexhub:timer"
"""The peer that messages of the hub's own timers come from."""

ENGINE = "flexhub:engine"
"""The peer that results of engines and providers come from."""


OUTBOX = "flexhub:outbox"
"""The peer that outcomes of what was sent come from."""

FOLLOWED = "flexhub:followed"
"""The peer that what other hubs tell on their streams comes from."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a peer said. (peer, id) is unique; messages of one conversation are worked in order.

    `body` is what is journalled; `value` is the same, decoded by whoever received it (never journalled). `only_if` says
    which states of the document that the decision writes first it is meant for; what is journalled, met them.
    """

    peer: str
    id: str
    kind: str
    conversation: str
    body: bytes
    role: Role
    value: object = None
    only_if: Only | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the peer is told: an HTTP-like status and a JSON body."""

    status: int
    body: bytes = b""


class Key(NamedTuple):
    """A stored document: its core type, and its id."""

    kind: type
    id: str


class Put(msgspec.Struct, frozen=True, kw_only=True):
    """Write a document. `owner` is the party it belongs to; the rest is what it can be found by.

    `starts` and `ends` span the time that it is about, `state` is a word such as a flex-offer's state. `body` is the
    value's JSON, where the handler has made it already.
    """

    key: Key
    value: msgspec.Struct
    owner: str
    state: str = ""
    starts: datetime | None = None
    ends: datetime | None = None
    body: bytes | None = None


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What a handler makes of a message."""

    answer: Answer
    puts: tuple[Put, ...] = ()
    effects: tuple[Effect, ...] = ()


class View(Protocol):
    """The documents that a handler asked for, as they are after all earlier messages."""

    def get(self, kind: type[T], id: str) -> T | None:  # noqa: A002 - the documents' own word
        """The document, or None where there is none."""


class Handler(Protocol):
    """Decides about messages of one kind. Pure: `now` and new ids are in the arguments."""

    def needs(self, message: Message) -> Iterable[Key]:
        """The documents to look up."""

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """The decision. Raises a FlexhubError to refuse, which changes nothing."""


class Further(Handler):
    """A handler that, once it sees what `needs` named, names more."""

    def further(self, message: Message, view: View) -> Iterable[Key]:
        """More documents to look up; asked again as long as it names others, once earlier messages are decided."""
        raise NotImplementedError


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """The value of a timer's message, of kind ``timer.<event>`` and conversation `subject`."""

    subject: str
    event: str
    due: datetime


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a message that was sent: the peer's answer, or `why` there is none. Status 0: nobody answered.

    It is the body of a message of kind ``<reply_kind>.done`` or ``<reply_kind>.failed`` from `OUTBOX`.
    """

    peer: str
    message_id: str
    status: int
    reply: str = ""
    why: str | None = None


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """An `Ask` that is stored and waits for its answer; it is put again after a restart."""

    id: str
    slot: str
    question: str
    subject: str
    asked: datetime


class Page(NamedTuple, Generic[T]):
    """Part of a list, and the cursor of the next part; None where this was the last."""

    items: tuple[T, ...]
    next: str | None


class Reads(Protocol):
    """What is stored, as of the last commit."""

    async def get(self, kind: type[T], id: str) -> T | None:  # noqa: A002 - the documents' own word
        """One document."""

    async def documents(  # noqa: PLR0913 - each narrows the list in its own way
        self,
        kind: type[T],
        *,
        owner: str | None = None,
        states: Iterable[str] | None = None,
        overlapping: tuple[datetime, datetime] | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[T]:
        """Documents in order of start and id. Raises InvalidError for a cursor that is none."""


class Asker(Protocol):
    """Puts the questions of one kind to an engine or provider.

    Its answer comes back as a message of kind ``<question>.result`` from `ENGINE`, with the question's id and the
    subject as conversation; if it raises, as ``<question>.failed``, whose body is `{"code", "message"}`.
    """

    async def gather(self, question: Question, reads: Reads, now: datetime) -> Any:  # noqa: ANN401 - its own business
        """What the engine needs to know; all of its IO is here."""

    def answer(self, arguments: Any) -> object:  # noqa: ANN401 - what `gather` returned
        """Compute, off the event loop. What it returns is the message's `value`, and as JSON its `body`."""
