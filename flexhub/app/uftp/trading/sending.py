"""What an engine's or our own answer leads to: messages that are sent in the decision's own transaction."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from flexhub.app.hub.contract import Answer, Decision, Further, Key, Message, Put, View
from flexhub.app.uftp.handlers import Desk
from flexhub.app.uftp.papers import UftpRevision, place
from flexhub.app.uftp.participants import Own, Participants, metadata
from flexhub.app.uftp.trading.papers import Subject
from flexhub.core.effects import Ask, Effect
from flexhub.core.errors import NotFoundError
from flexhub.core.timegrid import EPOCH
from flexhub.mappings.fates import Mapped, refuse_serious
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.seen import revision_key

T = TypeVar("T")
P = TypeVar("P", bound=wire.Payload)

SLOT: Final = "trading"
"""Who is asked: the manager engine, or what chooses and reckons as a grid operator does."""

NOTHING: Final = Decision(answer=Answer(status=204))
"""There is nothing to be done any more."""


class Head(NamedTuple):
    """Who sends, to whom, when, and in which conversation; None: a new one."""

    own: Own
    partner: str
    now: datetime
    conversation: str | None = None

    def kept(self, about: str, **more: object) -> dict[str, Any]:
        """Metadata of a message and other fields of it, as `mappings.uftp.context.Context.kept`.

        Its ids follow from what it is `about`, of which there is one message only: so none is sent twice.
        """
        told = metadata(self.own.domain, self.partner, self.now, seed=about, conversation=self.conversation)
        return {**told, **more}


def plain(mapped: Mapped[T]) -> T:
    """What was mapped, if nothing that matters was lost.

    Raises:
        LossError: a bound or a price was.
    """
    refuse_serious(mapped.losses)
    return mapped.value


class Sending(Further):
    """Decides about a message of the hub's own whose conversation is a `Subject`, by sending messages of ours."""

    def __init__(self, participants: Participants) -> None:
        self._participants = participants
        self._desk = Desk(participants)

    def outgoing(self, head: Head, message: Message, view: View | None) -> Iterable[wire.Payload]:
        """Every message that may be sent, but for its Revision; without a view as far as it is known."""
        raise NotImplementedError

    def papers(self, message: Message) -> Iterable[Key]:
        """Other documents."""
        raise NotImplementedError

    @staticmethod
    def subject(message: Message) -> Subject:
        """What it is about."""
        return Subject.of(message.conversation)

    def conversation(self, message: Message) -> str | None:  # noqa: ARG002 - for those that go on with one
        """The conversation that what is sent belongs to; None: a new one."""
        return None

    def head(self, message: Message, now: datetime) -> Head:
        """Who sends.

        Raises:
            NotFoundError: we are no longer who was asked.
        """
        about = self.subject(message)
        own = next((one for one in self._participants.own if one.name == about.own), None)
        if own is None:
            raise NotFoundError("not one of ours any more", path="Subject/own", value=about.own)
        return Head(own, about.partner, now, self.conversation(message))

    def needs(self, message: Message) -> Iterable[Key]:
        """Other documents, and what says which Revision is due."""
        yield from self.papers(message)
        head = self.head(message, EPOCH)
        for sent in self.outgoing(head, message, None):
            yield from self._desk.needed(head.own, head.partner, sent)

    def further(self, message: Message, view: View) -> Iterable[Key]:
        """What judges what is sent, now that its id is known."""
        head = self.head(message, EPOCH)
        for sent in self.outgoing(head, message, view):
            due = revised(head, sent, view)
            yield from self._desk.needed(head.own, head.partner, due)
            yield from self._desk.further(head.own, head.partner, due, view)

    def send(self, head: Head, sent: Iterable[wire.Payload], view: View) -> tuple[list[Put], list[Effect]]:
        """What sends these, each with the Revision that is due.

        Raises:
            FlexhubError: as `Desk.sending`.
        """
        puts: list[Put] = []
        effects: list[Effect] = []
        for one in sent:
            more = self._desk.sending(head.own, revised(head, one, view), view, head.now)
            puts += more[0]
            effects += more[1]
        return puts, effects


def revised(head: Head, message: P, view: View) -> P:
    """The message with the Revision that is due, and with ids of its own."""
    key = revision_key(message)
    if key is None:
        return message
    counted = view.get(UftpRevision, place(head.own.domain, head.partner, key))
    revision = 1 if counted is None else counted.revision + 1
    kept = head.kept(f"{key} {revision}")
    ids = {name: kept[name] for name in ("message_id", "conversation_id")}
    return msgspec.structs.replace(message, revision=revision, **ids)


def ask(question: str, subject: str) -> Ask:
    """A question of trading; its answer is a message of kind ``<question>.result``."""
    return Ask(slot=SLOT, question=question, subject=subject)


def asked_again(question: str, subject: str) -> Decision:
    """What was found meanwhile is not so any more."""
    return Decision(answer=Answer(status=202), effects=(ask(question, subject),))
