"""What the hub keeps, and the slot of stores that keep it.

A store is synchronous: a transaction of the hub contains pure Python decisions between few statements, so an async
driver would only add a loop hop per statement. One thread writes (a batch of messages is one transaction), any number
of threads read, each seeing only what is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from flexhub.adapters.store.erasing import Erasing
    from flexhub.adapters.store.whole import Whole


class JournalRow(NamedTuple):
    """A message as it came, when, and the answer it got. `seq` is 0 until stored; (peer, message_id) is unique."""

    peer: str
    message_id: str
    kind: str
    conversation: str
    role: str
    body: bytes
    received: datetime
    status: int
    answer: bytes
    seq: int = 0


class DocumentRow(NamedTuple):
    """A document's current body and what it is found by. No `starts` or `ends`: unbounded on that side.

    `version` counts its writes; `schema_version` is that of the types it was written with. To be written, a version
    above 0 says which write this is: the store must hold the one before, or nothing where it is 1.
    """

    kind: str
    id: str
    owner: str
    state: str
    starts: datetime | None
    ends: datetime | None
    schema_version: int
    body: bytes
    version: int = 0


class NoticeRow(NamedTuple):
    """A line of the outbox: what a party is to be told. `seq` is 0 until stored, then rises in commit order."""

    party: str
    topic: str
    subject: str
    body: bytes
    created: datetime
    seq: int = 0


class AskRow(NamedTuple):
    """A question to an engine that is not answered yet; `holder` is the process that puts it."""

    id: str
    slot: str
    question: str
    subject: str
    asked: datetime
    holder: str = ""


class TimerRow(NamedTuple):
    """An event that comes up at `due`; (subject, event) is unique."""

    subject: str
    event: str
    due: datetime


class TokenRow(NamedTuple):
    """Who bears a token; of the token only its SHA-256 (hex) is kept."""

    hash: str
    party: str
    role: str
    created: datetime


class SendRow(NamedTuple):
    """A message for a peer; `state` is "waiting", "sent" or "failed". (peer, message_id) is unique.

    `seq` is 0 until stored, then rises in commit order.
    """

    peer: str
    message_id: str
    conversation: str
    path: str
    media_type: str
    body: bytes
    reply_kind: str
    created: datetime
    expires: datetime
    state: str = "waiting"
    seq: int = 0


class AuditRow(NamedTuple):
    """A block of the audit log and its hash. `seq` is 0 until stored, then rises in commit order."""

    at: datetime
    body: bytes
    hash: str
    seq: int = 0


class AccountRow(NamedTuple):
    """A document that the law of accounts keeps of a party that was erased, until then."""

    kind: str
    id: str
    party: str
    until: datetime
    body: bytes


class OriginRow(NamedTuple):
    """A part of what a replay begins with: a row of the kind `what`, in MessagePack."""

    what: str
    body: bytes
    seq: int = 0


class Position(NamedTuple):
    """A place in the order of documents: after the one with this start (None: unbounded) and id."""

    starts: datetime | None
    id: str


class Query(NamedTuple):
    """Documents of one kind, ordered by (starts, id).

    `overlapping` keeps those that share time with [from, to), or are an instant within it.
    """

    kind: str
    owner: str | None = None
    states: tuple[str, ...] | None = None
    overlapping: tuple[datetime, datetime] | None = None
    after: Position | None = None
    limit: int = 100


class ConflictError(Exception):
    """Another process wrote meanwhile what this transaction depends on. Nothing of it is stored; do it again."""


class Transaction(Protocol):
    """What one batch reads and writes; all of it is stored, or nothing.

    Where several processes write, any of it may raise `ConflictError`. Journal and notices come last: who numbers them
    holds all others up until it commits.
    """

    def claim(self, conversations: Iterable[str]) -> None:
        """Wait until no other process works on these conversations; they are this transaction's until it ends."""

    def journalled(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], JournalRow]:
        """Messages known by (peer, message_id)."""

    def documents(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], DocumentRow]:
        """Documents by (kind, id), without those that are not there."""

    def timers(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], datetime]:
        """When timers are due, by (subject, event), without those that are not set."""

    def add_journal(self, rows: Sequence[JournalRow]) -> None:
        """Append messages, in this order. A known (peer, message_id) fails the transaction."""

    def put_documents(self, rows: Sequence[DocumentRow]) -> None:
        """Write documents, new or not; each key at most once. The store counts versions up itself.

        Raises:
            ConflictError: a row says its version, and another one than that before it is there.
        """

    def unchanged(self, versions: Mapping[tuple[str, str], int]) -> None:
        """Make sure that documents (kind, id) that were read are still of these versions; 0: not there.

        Raises:
            ConflictError: one is not.
        """

    def add_notices(self, rows: Sequence[NoticeRow]) -> None:
        """Append to the outbox, in this order."""

    def add_asks(self, rows: Sequence[AskRow]) -> None:
        """Keep questions until they are removed."""

    def remove_asks(self, ids: Sequence[str]) -> None:
        """These questions are answered."""

    def set_timers(self, timers: Mapping[tuple[str, str], datetime | None]) -> None:
        """Set, move or (None) clear timers by (subject, event)."""

    def add_sends(self, rows: Sequence[SendRow]) -> None:
        """Keep messages for peers, in this order.

        One that is known by (peer, message_id) is kept once: it waits again, behind all others, or goes on waiting; but
        it never goes on where nobody asks what comes of it (`reply_kind` is "").
        """

    def mark_sends(self, states: Mapping[tuple[str, str], str]) -> None:
        """What has become of messages, by (peer, message_id)."""

    def last_audit(self) -> str | None:
        """The hash of the newest block of the audit log; no other comes between it and this transaction's."""

    def add_audit(self, row: AuditRow) -> None:
        """Append a block; it can never be changed or removed."""

    def announce(self, parties: Iterable[str]) -> None:
        """Once it is committed, tell other processes that there are notices for these parties (and timers maybe)."""

    def add_token(self, row: TokenRow) -> None:
        """Keep a token's hash."""

    def remove_tokens(self, party: str) -> int:
        """Forget all tokens of a party; how many there were."""


class Store(Protocol):
    """A place that keeps all of it. Reads are safe from any thread; writers take turns.

    `shared` says whether other processes may write to it as well.
    """

    shared: bool

    def begin(self) -> AbstractContextManager[Transaction]:
        """A write transaction: durable when the block ends, undone if it raises.

        Raises:
            ConflictError: another process was first.
            UnavailableError: the database cannot do it now. Where the connection was lost during the commit, what was
                written may be stored all the same.
        """

    def erasing(self) -> AbstractContextManager[Erasing]:
        """As `begin`; may also read all there is, and take it away for good."""

    def snapshot(self) -> AbstractContextManager[Whole]:
        """All that is stored, as of one commit, however long it is looked at. Holds no writer up."""

    def document(self, kind: str, id: str) -> DocumentRow | None:  # noqa: A002 - the documents' own word
        """One document."""

    def documents(self, query: Query) -> list[DocumentRow]:
        """A page of documents, in order."""

    def all_documents(self, after: tuple[str, str], limit: int, owner: str | None = None) -> list[DocumentRow]:
        """Documents of every kind behind this (kind, id), in order of both; only a party's."""

    def notices(self, party: str | tuple[str, ...] | None, after: int, limit: int) -> list[NoticeRow]:
        """The outbox of a party or several (None: of all) behind `after`, in order."""

    def last_notice(self) -> int:
        """The highest seq in the outbox so far, 0 if there is none."""

    def journal(self, after: int, limit: int, peer: str | None = None) -> list[JournalRow]:
        """Messages behind `after`, in order; only a peer's."""

    def last_received(self) -> datetime | None:
        """When the newest message of the journal was received."""

    def size(self) -> int:
        """Bytes that the database takes."""

    def sends(self, after: int, limit: int, state: str | None = None) -> list[SendRow]:
        """Messages for peers behind `after`, in order; only those in this state."""

    def audit(self, after: int, limit: int) -> list[AuditRow]:
        """Blocks of the audit log behind `after`, in order."""

    def accounts(self, party: str) -> list[AccountRow]:
        """What is kept of a party that was erased."""

    def origin(self, after: int, limit: int) -> list[OriginRow]:
        """What a replay begins with, behind `after`, in order; nothing where the journal is whole."""

    def asks(self) -> list[AskRow]:
        """Questions without an answer, oldest first."""

    def due_timers(self, until: datetime, limit: int) -> list[TimerRow]:
        """Timers due at `until` or before, in order of due, subject, event."""

    def next_due(self) -> datetime | None:
        """When the next timer is due."""

    def hold(self, name: str, holder: str, seconds: float) -> bool:
        """Take a lease, or keep it, for so long by the store's own clock; False while somebody else has it."""

    def let_go(self, holder: str) -> None:
        """Give all leases of this holder back."""

    def adopt(self, holder: str) -> list[AskRow]:
        """Take over the questions of holders that have no lease (any more); all that are this holder's now."""

    def listen(self, heard: Callable[[tuple[str, ...] | None], None]) -> None:
        """Call this, in a thread of its own, with the parties of each commit of another process.

        None: with whoever; also after a connection was lost, as something may have been missed.
        """

    def tokens_of(self, hashes: Collection[str]) -> list[TokenRow]:
        """Those of the tokens with these hashes that there are, in any order."""

    def tokens(self) -> list[TokenRow]:
        """All tokens, by party, oldest first."""

    def close(self) -> None:
        """Let go of all connections."""


class Numbered(Protocol):
    """A row that has a number."""

    @property
    def seq(self) -> int:
        """Its place."""


R = TypeVar("R", bound=Numbered)


def numbered(page: Callable[[int], Sequence[R]], after: int = 0) -> Iterator[R]:
    """All rows behind a number, page by page; `page` gives those behind the number that it is told, none at the end."""
    while rows := page(after):
        yield from rows
        after = rows[-1].seq
