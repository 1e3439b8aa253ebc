"""The audit log: who did what, on whose data, when, from where and with what outcome; a chain that shows changes.

Each commit adds one block. It holds the requests that were answered since the last one (reads and refusals), the
digests of the messages that the commit journalled, and the hash of the block before. Whoever changes, removes or
reorders anything, in the log or in the journal, breaks the chain from there on; who keeps the newest hash elsewhere
notices even a log that was cut off or made anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from flexhub.adapters.store.interface import AuditRow, JournalRow, Store, numbered

PAGE: Final = 500
MOST: Final = 100_000
"""So many requests wait to be written; what comes beyond them is only counted (`dropped`)."""

BEGIN: Final = ""
"""What the first block names as the one before it."""


ERASED: Final = "erased"
"""Kind of what stands in the journal for a message that was erased; its body names the erasure and its digest."""

ERASURE: Final = "party.erase"
"""Kind of the message that says what was erased."""

ERASER: Final = "flexhub:erasure"
"""Whose message that is."""


class Access(msgspec.Struct, frozen=True, array_like=True):
    """One request that was answered. Who is unknown has no party and role; `path` names what, and so whose, it was."""

    at: datetime
    party: str
    role: str
    method: str
    path: str
    status: int
    address: str


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """What one commit adds. `before` is the hash of the block before, `messages` are digests in the journal's order."""

    before: str
    accesses: tuple[Access, ...] = ()
    messages: tuple[str, ...] = ()
    dropped: int = 0


class Audited(NamedTuple):
    """What a look at the whole log found: how much there is, the newest hash, and what is wrong."""

    blocks: int
    accesses: int
    messages: int
    head: str
    faults: list[str]


def digest(row: JournalRow) -> str:
    """SHA-256 of all that a journalled message says, without its place."""
    return hashlib.sha256(msgspec.msgpack.encode(row._replace(seq=0))).hexdigest()


def seal(block: bytes) -> str:
    """The hash of a block."""
    return hashlib.sha256(block).hexdigest()


def block_row(
    now: datetime, before: str, accesses: Sequence[Access], dropped: int, journalled: Sequence[JournalRow]
) -> AuditRow:
    """The row of a new block behind the one with this hash."""
    block = Block(before=before, accesses=tuple(accesses), messages=tuple(map(digest, journalled)), dropped=dropped)
    body = msgspec.json.encode(block)
    return AuditRow(now, body, seal(body))


def blocks(store: Store) -> Iterator[tuple[AuditRow, Block | None]]:
    """All blocks, oldest first; None where one cannot be read."""
    for row in numbered(lambda behind: store.audit(behind, PAGE)):
        try:
            yield row, msgspec.json.decode(row.body, type=Block)
        except msgspec.DecodeError:
            yield row, None


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """What an erasure journals: how much it took away, and a hash over the digests of the messages, in order."""

    documents: int
    notices: int
    messages: int
    tokens: int
    kept: int
    seal: str


class Erasures:
    """The messages that are said to be erased, against the erasures that the chain holds."""

    def __init__(self) -> None:
        self._found: dict[str, hashlib._Hash] = {}
        self._told: dict[str, str] = {}

    def take(self, row: JournalRow, expected: str) -> bool:
        """Whether the journal holds what the chain expects, or says that it was erased."""
        if row.kind == ERASED:
            name, _, told = row.body.decode("ascii", "replace").partition(" ")
            self._found.setdefault(name, hashlib.sha256()).update(told.encode())
            return told == expected
        if (row.kind, row.peer) == (ERASURE, ERASER):
            self._told[row.message_id] = msgspec.json.decode(row.body, type=Erasure).seal
        return digest(row) == expected

    def faults(self) -> Iterator[str]:
        """Where messages are gone that no erasure names."""
        for name, found in self._found.items():
            if self._told.get(name) != found.hexdigest():
                yield f"messages that are said to be erased ({name}) are not those that the journal tells of"


def verify(store: Store, head: str | None = None) -> Audited:
    """Walk the chain, and the journal beside it.

    Args:
        store: the store.
        head: the newest hash when somebody wrote it down; it must be in the chain.
    """
    faults: list[str] = []
    count = accesses = messages = 0
    before, seen = BEGIN, head is None
    journalled, erasures = journal(store), Erasures()
    for row, block in blocks(store):
        count += 1
        if block is None or seal(row.body) != row.hash:
            faults.append(f"block {row.seq} is not what its hash was made of")
        elif block.before != before:
            faults.append(f"block {row.seq} does not follow the one before it")
        before = row.hash
        seen = seen or row.hash == head
        if block is None:
            continue
        accesses += len(block.accesses)
        for expected in block.messages:
            messages += 1
            found = next(journalled, None)
            if found is None or not erasures.take(found, expected):
                what = (
                    "is missing" if found is None else f"(seq {found.seq}, {found.peer} {found.message_id}) was changed"
                )
                faults.append(f"message {messages} of the journal {what}")
                break
    if not faults:
        faults += erasures.faults()
    extra = next(journalled, None)
    if extra is not None and not faults:
        faults.append(f"message {extra.message_id} of {extra.peer} is in the journal, and in no block")
    if not seen:
        faults.append(f"no block has the hash {head}")
    return Audited(count, accesses, messages, before, faults)


def journal(store: Store, after: int = 0) -> Iterator[JournalRow]:
    """All messages behind `after`, in order."""
    return numbered(lambda behind: store.journal(behind, PAGE), after)


def told(row: AuditRow, block: Block) -> list[dict[str, Any]]:
    """A block's requests, one mapping each, for people."""
    names = Access.__struct_fields__
    return [{"block": row.seq} | dict(zip(names, msgspec.structs.astuple(a), strict=True)) for a in block.accesses]
