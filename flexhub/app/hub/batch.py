"""One batch of messages: what is known is looked up, each is decided in turn, and all outcomes are written at once.

The database is the writer's thread's, the decisions are the event loop's: they are pure and short, and two threads of
Python that hand the interpreter's lock to and fro take a third longer for the same work. A message that is refused
leaves nothing behind; later messages of the batch see what earlier ones wrote.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import Final, NamedTuple, TypeVar

import msgspec

from flexhub.adapters.store.interface import AskRow, DocumentRow, JournalRow, NoticeRow, SendRow, Transaction
from flexhub.app.access import audit
from flexhub.app.access.audit import Access
from flexhub.app.hub.contract import (
    ENGINE,
    FOLLOWED,
    OUTBOX,
    TIMER,
    Answer,
    Decision,
    Delivery,
    Due,
    Further,
    Handler,
    Key,
    Message,
    Put,
    Question,
)
from flexhub.app.hub.tags import tag
from flexhub.app.logs import about
from flexhub.core import documents
from flexhub.core.effects import Ask, Effect, Notify, Reply, Send, SetTimer
from flexhub.core.errors import ConfigError, FlexhubError, InternalError, PreconditionError, ReusedError

T = TypeVar("T")

log = logging.getLogger(__name__)

STALE: Final = Answer(status=410)
"""The answer to a timer's message whose timer was moved or cleared meanwhile; nothing is journalled."""


TURN: Final = 16
"""So many messages are decided before others have their turn on the event loop."""


OURS: Final = (TIMER, ENGINE, OUTBOX, FOLLOWED)
"""Peers whose messages nobody sends again: what is refused of theirs is journalled as refused."""

PATIENCE: Final = timedelta(hours=1)
"""How long something is sent again, unless it says otherwise."""

RECENT: Final = 1024
"""So many decoded documents are kept for later batches."""

_QUESTIONS: Final = uuid.UUID("0c3f1a52-5d0e-5c8f-9c5e-9f3f0b0f8f61")

Recent = dict[tuple[str, str], tuple[bytes, object]]
"""Decoded documents by (kind, id), each with the body that it was read from: only that says what it is."""


class Outcome(NamedTuple):
    """What came of a batch: answers or errors in the order of its messages, and what to do after the commit."""

    answers: list[Answer | Exception]
    asks: list[Question]
    answered: list[str]
    parties: set[str]
    sends: bool
    earliest: datetime | None


class Beside(msgspec.Struct):
    """What no message says, and is written with the next commit.

    Args:
        accesses: requests that were answered since the last one, for the audit log.
        dropped: how many more there were.
        delivered: (peer, id) of what was sent and nobody asks about -> "sent" or "failed".
    """

    accesses: list[Access] = []
    dropped: int = 0
    delivered: dict[tuple[str, str], str] = {}

    def __bool__(self) -> bool:
        return bool(self.accesses or self.dropped or self.delivered)

    def and_then(self, later: Beside) -> Beside:
        """Both, what came `later` behind."""
        return Beside(self.accesses + later.accesses, self.dropped + later.dropped, self.delivered | later.delivered)


def question(row: AskRow) -> Question:
    """A stored question, to be put."""
    return Question(id=row.id, slot=row.slot, question=row.question, subject=row.subject, asked=row.asked)


def question_id(message: Message, number: int) -> str:
    """The id of the question that a message raised: the same whenever the message is decided, also in a replay."""
    return uuid.uuid5(_QUESTIONS, f"{message.peer} {message.id} {number}").hex


class BatchView:
    """Documents by key, decoded when first looked at; `named` are the keys that the current message may see."""

    def __init__(
        self, keys: AbstractSet[tuple[str, str]], rows: Mapping[tuple[str, str], DocumentRow], recent: Recent
    ) -> None:
        self._keys = keys
        self._rows = rows
        self._recent = recent
        self._values: dict[Key, object] = {}
        self.named: frozenset[Key] = frozenset()

    def get(self, kind: type[T], id: str) -> T | None:  # noqa: A002 - the documents' own word
        """The document, or None where there is none.

        Raises:
            KeyError: the handler's `needs` did not name it.
        """
        key = Key(kind, id)
        if key not in self.named:
            raise KeyError(key)
        if key not in self._values:
            row = self._rows.get((kind.__name__, id))
            self._values[key] = None if row is None else self._decoded(kind, row)
        value = self._values[key]
        assert value is None or isinstance(value, kind)  # noqa: S101 - only `put` and `upcast` fill it
        return value

    def _decoded(self, kind: type[T], row: DocumentRow) -> object:
        body, value = self._recent.get((row.kind, row.id), (None, None))
        if body != row.body:
            value = documents.upcast(kind, row.schema_version, row.body)
            if len(self._recent) >= RECENT:
                self._recent.clear()
            self._recent[row.kind, row.id] = row.body, value
        return value

    def unwritten(self, written: AbstractSet[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Versions (0: there was none) of what was looked up and is not written."""
        return {key: self._rows[key].version if key in self._rows else 0 for key in self._keys - written}

    def add(self, keys: AbstractSet[tuple[str, str]], rows: Mapping[tuple[str, str], DocumentRow]) -> None:
        """Also these were looked up."""
        fresh = keys - self._keys
        self._rows = {**self._rows, **{key: row for key, row in rows.items() if key in fresh}}
        self._keys = self._keys | fresh

    def next_version(self, kind: str, id: str) -> int:  # noqa: A002 - the documents' own word
        """The version that follows the one that was looked up; 0 where nobody looked."""
        if (kind, id) not in self._keys:
            return 0
        row = self._rows.get((kind, id))
        return 1 if row is None else row.version + 1

    def put(self, put: Put) -> None:
        """Later messages of the batch see this."""
        self._values[put.key] = put.value


class Office(NamedTuple):
    """What all batches of a hub work with: who decides, which questions are answered, and who puts them (`holder`)."""

    handlers: Mapping[str, Handler]
    questions: frozenset[tuple[str, str]]
    holder: str
    recent: Recent


class Batch:
    """The work on one batch. `now` is the same for all of its messages.

    `beside` is written with it.
    """

    def __init__(self, office: Office, now: datetime, beside: Beside | None = None) -> None:
        self._office = office
        self._beside = beside or Beside()
        self._now = now
        self._journal: dict[tuple[str, str], tuple[Message, Answer]] = {}
        self._documents: dict[tuple[str, str], DocumentRow] = {}
        self._notices: list[NoticeRow] = []
        self._asks: list[AskRow] = []
        self._sends: list[SendRow] = []
        self._delivered: dict[tuple[str, str], str] = {}
        self._answered: list[str] = []
        self._timers: dict[tuple[str, str], datetime | None] = {}
        self._messages: Sequence[Message] = ()
        self._needed: list[frozenset[Key] | Exception] = []
        self._more: frozenset[Key] = frozenset()
        self._settled: set[int] = set()  # messages that named no more once they saw what they need
        self._written: set[Key] = set()
        self._known: Mapping[tuple[str, str], JournalRow] = {}
        self._due: Mapping[tuple[str, str], datetime] = {}
        self._view = BatchView(frozenset(), {}, office.recent)
        self._answers: list[Answer | Exception] = []

    def look_up(self, messages: Sequence[Message], transaction: Transaction) -> None:
        """Take these messages, whose conversations are claimed, and read what is known. In the writer's thread."""
        self._messages = messages
        self._needed = [self._needs(message) for message in messages]
        self._known = transaction.journalled([(message.peer, message.id) for message in self._messages])
        self._due = transaction.timers([_timer(message) for message in self._messages if message.peer == TIMER])
        keys = {(kind.__name__, id_) for named in self._needed if isinstance(named, frozenset) for kind, id_ in named}
        if keys:
            rows = transaction.documents(keys)
            self._view = BatchView(keys, rows, self._office.recent)
            more = {(kind.__name__, id_) for kind, id_ in self._further()} - keys
            if more:
                self._view = BatchView(keys | more, rows | transaction.documents(more), self._office.recent)

    def _further(self) -> set[Key]:
        """The documents that follow from those that were looked up, of handlers that want some."""
        found: set[Key] = set()
        for i, (message, needs) in enumerate(zip(self._messages, self._needed, strict=True)):
            handler = self._office.handlers.get(message.kind)
            if isinstance(needs, Exception) or not isinstance(handler, Further):
                continue
            try:
                self._view.named = needs
                more = frozenset(handler.further(message, self._view))
            except Exception as error:
                self._needed[i] = _ours(error, message)
            else:
                if more <= needs:
                    self._settled.add(i)
                self._needed[i] = needs | more
                found |= more
        return found

    async def decide(self) -> bool:
        """Decide all messages, in order. On the event loop.

        False: the next one needs documents that an earlier one of the batch made it name; `look_up_more`, then go on.
        """
        while len(self._answers) < len(self._messages):
            at = len(self._answers)
            message, needs = self._messages[at], self._needed[at]
            handler = self._office.handlers.get(message.kind)
            if isinstance(needs, frozenset) and isinstance(handler, Further) and self._lacks(handler, message, needs):
                return False
            self._answers.append(self._answer(message, needs))
            if (at + 1) % TURN == 0:
                await asyncio.sleep(0)
        return True

    def _lacks(self, handler: Further, message: Message, needs: frozenset[Key]) -> bool:
        if len(self._answers) in self._settled and needs.isdisjoint(self._written):
            return False  # it would see what it saw then
        self._view.named = needs
        try:
            self._more = frozenset(handler.further(message, self._view)) - needs
        except Exception as error:
            self._needed[len(self._answers)] = _ours(error, message)
            return False
        return bool(self._more)

    def look_up_more(self, transaction: Transaction) -> None:
        """Read what the next message lacks. In the writer's thread."""
        at = len(self._answers)
        needs = self._needed[at]
        assert isinstance(needs, frozenset)  # noqa: S101 - `decide` has seen to it
        self._needed[at] = needs | self._more
        keys = {(kind.__name__, id_) for kind, id_ in self._more}
        self._view.add(keys, transaction.documents(keys))

    def write(self, transaction: Transaction) -> Outcome:
        """Write what the messages change. In the writer's thread."""
        parties = {row.party for row in self._notices}
        transaction.put_documents(
            [row._replace(version=self._view.next_version(row.kind, row.id)) for row in self._documents.values()]
        )
        transaction.add_asks(self._asks)
        transaction.remove_asks(self._answered)
        transaction.set_timers(self._timers)
        if self._journal:
            transaction.unchanged(self._view.unwritten(self._documents.keys()))
        journalled = [self._journal_row(*entry) for entry in self._journal.values()]
        transaction.add_journal(journalled)
        transaction.add_notices(self._notices)
        transaction.add_sends(self._sends)
        transaction.mark_sends(self._beside.delivered | self._delivered)
        accesses, dropped = self._beside.accesses, self._beside.dropped
        if journalled or accesses or dropped:
            before = transaction.last_audit() or audit.BEGIN
            transaction.add_audit(audit.block_row(self._now, before, accesses, dropped, journalled))
        if parties or self._timers:
            transaction.announce(parties)
        return Outcome(
            answers=self._answers,
            sends=bool(self._sends),
            asks=[question(row) for row in self._asks],
            answered=self._answered,
            parties=parties,
            earliest=min((at for at in self._timers.values() if at is not None), default=None),
        )

    def _needs(self, message: Message) -> frozenset[Key] | Exception:
        try:
            return frozenset(self._handler(message.kind).needs(message))
        except Exception as error:
            # One message's failure is not the batch's.
            return _ours(error, message)

    def _handler(self, kind: str) -> Handler:
        handler = self._office.handlers.get(kind)
        if handler is None:
            raise ConfigError(f"no handler for messages of kind {kind}", path="Message/kind", value=kind)
        return handler

    def _answer(self, message: Message, needs: frozenset[Key] | Exception) -> Answer | Exception:
        if message.peer == TIMER and not self._still_due(message):
            # Asked before whether it is known: what another process has fired meanwhile may be set again already.
            return STALE
        before = self._before(message)
        if before is not None:
            self._consume(message)
            return before
        try:
            if isinstance(needs, Exception):
                raise needs  # noqa: TRY301 - refused here as if by `decide`
            self._view.named = needs
            decision = self._office.handlers[message.kind].decide(message, self._view, self._now)
            # Only now: who may not have it is told the same as without a condition (RFC 9110 section 13.2.1).
            self._check(message, decision)
            rows = [_document_row(put) for put in decision.puts]
            kept = self._effects(message, decision.effects)
        except Exception as error:
            refusal = _ours(error, message)
            if message.peer not in OURS:
                return refusal
            # Nobody would send it again, and it would come up again for ever: the refusal is what happened.
            with about(message.peer, message.id, message.kind, message.conversation):
                decision, rows, kept = _refused(refusal), [], ([], [], {}, [])
        self._keep(message, decision, rows, kept)
        for put in decision.puts:
            self._view.put(put)
            self._written.add(put.key)
        return decision.answer

    def _before(self, message: Message) -> Answer | Exception | None:
        """The answer that this message got when it first came; None if it comes for the first time."""
        key = (message.peer, message.id)
        earlier = self._journal.get(key)
        row = self._known.get(key)
        if earlier is not None:
            kind, conversation, body, answer = earlier[0].kind, earlier[0].conversation, earlier[0].body, earlier[1]
        elif row is not None:
            kind, conversation, body = row.kind, row.conversation, row.body
            answer = Answer(status=row.status, body=row.answer)
        else:
            return None
        if (kind, conversation, body) == (message.kind, message.conversation, message.body):
            return answer
        return ReusedError(
            f"{message.peer} has sent a message with this id before, with other content",
            path="Message/id",
            value=message.id,
        )

    def _check(self, message: Message, decision: Decision) -> None:
        """Compare the message's condition with the document as it was before the decision, earlier messages included.

        Raises:
            PreconditionError: it is in another state.
        """
        if message.only_if is None or not decision.puts:
            return
        key = decision.puts[0].key
        before: object | None = self._view.get(*key)
        if not message.only_if.passes(None if before is None else tag(documents.encode(before))):
            raise PreconditionError(
                "it is not as the request says; read it again" if before is not None else "there is none yet",
                path=f"{key.kind.__name__}/id",
                value=key.id,
                clause="RFC 9110 section 13.1",
            )

    def _still_due(self, message: Message) -> bool:
        key = _timer(message)
        return isinstance(message.value, Due) and self._timers.get(key, self._due.get(key)) == message.value.due

    def _consume(self, message: Message) -> None:
        """A timer that fired, or a question that is answered, is over."""
        if message.peer == TIMER:
            self._timers[_timer(message)] = None
        elif message.peer == ENGINE:
            self._answered.append(message.id)
        elif message.peer == OUTBOX:
            told = message.value if isinstance(message.value, Delivery) else documents.decode(Delivery, message.body)
            self._delivered[told.peer, told.message_id] = "sent" if told.why is None else "failed"

    def _effects(self, message: Message, effects: Sequence[Effect]) -> _Kept:
        notices: list[NoticeRow] = []
        asks: list[AskRow] = []
        sends: list[SendRow] = []
        timers: dict[tuple[str, str], datetime | None] = {}
        told, text = None, b""  # several are often told the same
        for effect in effects:
            match effect:
                case Notify(party=party, topic=topic, subject=subject, body=body):
                    if body is not told or not text:
                        told, text = body, documents.encode(body)
                    notices.append(NoticeRow(party, topic, subject, text, self._now))
                case SetTimer(subject=subject, event=event, due=due):
                    timers[subject, event] = due
                case Ask(slot=slot, question=name, subject=subject):
                    if (slot, name) not in self._office.questions:
                        raise ConfigError(f"nobody answers {name} in slot {slot}", path="Ask/slot", value=slot)
                    id_ = question_id(message, len(asks))
                    asks.append(AskRow(id_, slot, name, subject, self._now, self._office.holder))
                case Send():
                    sends.append(_send_row(effect, self._now))
                case Reply():
                    pass  # the decision's answer is the reply
                case _:
                    raise TypeError(f"no way to carry out {type(effect).__name__}")
        return notices, asks, timers, sends

    def _keep(self, message: Message, decision: Decision, rows: Sequence[DocumentRow], kept: _Kept) -> None:
        self._consume(message)
        self._journal[message.peer, message.id] = (message, decision.answer)
        for row in rows:
            self._documents[row.kind, row.id] = row
        notices, asks, timers, sends = kept
        self._sends += sends
        self._notices += notices
        self._asks += asks
        self._timers |= timers

    def _journal_row(self, message: Message, answer: Answer) -> JournalRow:
        return JournalRow(
            message.peer,
            message.id,
            message.kind,
            message.conversation,
            message.role,
            message.body,
            self._now,
            answer.status,
            answer.body,
        )


_Kept = tuple[list[NoticeRow], list[AskRow], dict[tuple[str, str], datetime | None], list[SendRow]]


def _send_row(send: Send, now: datetime) -> SendRow:
    return SendRow(
        send.peer,
        send.message_id,
        send.conversation,
        send.path,
        send.media_type,
        send.body,
        send.reply_kind,
        now,
        send.expires or now + PATIENCE,
    )


def _timer(message: Message) -> tuple[str, str]:
    return message.conversation, message.kind.removeprefix("timer.")


def _ours(error: Exception, message: Message) -> FlexhubError:
    """The error as it is, if it is one of the tree; else it is our fault, and the log says what happened."""
    if isinstance(error, FlexhubError):
        return error
    with about(message.peer, message.id, message.kind, message.conversation):
        log.error("a handler failed", exc_info=error)
    return InternalError("the hub failed on this message; nothing of it was stored")


def _refused(error: FlexhubError) -> Decision:
    if error.fault == "ours":
        log.error("%s: %s", error.code, error)
    body = {"code": error.code, "message": str(error)}
    return Decision(answer=Answer(status=500 if error.fault == "ours" else 422, body=msgspec.json.encode(body)))


def _document_row(put: Put) -> DocumentRow:
    return DocumentRow(
        put.key.kind.__name__,
        put.key.id,
        put.owner,
        put.state,
        put.starts,
        put.ends,
        documents.VERSION,
        documents.encode(put.value) if put.body is None else put.body,
    )
