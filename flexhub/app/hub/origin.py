"""What a replay begins with, where messages before it are no longer in the journal: all that there was at one moment.

Its parts are rows of the store (`OriginRow`), by what they are: "document", "timer", "ask", "send" (those that wait);
"gone" names a document of that moment that is about to be removed, which a replay neither makes nor misses; and
"ends", which is written last, says up to where journal, notices and outbox had come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from flexhub.adapters.store.interface import (
    AskRow,
    DocumentRow,
    OriginRow,
    SendRow,
    Store,
    TimerRow,
    Transaction,
    numbered,
)
from flexhub.adapters.store.whole import Whole

PAGE: Final = 1000

Gone = tuple[str, str, int]
"""Kind, id and version of a document that is to be removed as it was then."""


def parts(whole: Whole, gone: Callable[[DocumentRow], bool] = lambda _: False) -> Iterator[OriginRow]:
    """All that there is, but for what is `gone`."""
    encode = msgspec.msgpack.encode
    for row in whole.every_document():
        if gone(row):
            named: Gone = (row.kind, row.id, row.version)
            yield OriginRow("gone", encode(named))
        else:
            yield OriginRow("document", encode(row))
    for what, rows in (
        ("timer", whole.every_timer()),
        ("ask", whole.every_question()),
        ("send", whole.every_send("waiting")),
    ):
        for one in rows:
            yield OriginRow(what, encode(one))


def ends(whole: Whole) -> OriginRow:
    """Where that was."""
    return OriginRow("ends", msgspec.msgpack.encode(whole.ends()))


def gone(row: OriginRow) -> Gone:
    """Which document a row says is gone."""
    named: Gone = msgspec.msgpack.decode(row.body, type=Gone)
    return named


class Begun:
    """Where a replay begins. Numbers are of the last message, notice and message for a peer that came before it.

    `sends` are the messages for peers (peer, message id) that waited then, `gone` the documents (kind, id).
    """

    def __init__(self) -> None:
        self.journal = self.notice = self.outbox = 0
        self.sends: set[tuple[str, str]] = set()
        self.gone: set[tuple[str, str]] = set()

    def take(self, row: OriginRow, into: Transaction) -> None:
        """Put one part into a store."""
        match row.what:
            case "document":
                found = msgspec.msgpack.decode(row.body, type=DocumentRow)
                into.put_documents([found._replace(version=0)])
            case "timer":
                timer = msgspec.msgpack.decode(row.body, type=TimerRow)
                into.set_timers({(timer.subject, timer.event): timer.due})
            case "ask":
                into.add_asks([msgspec.msgpack.decode(row.body, type=AskRow)])
            case "send":
                send = msgspec.msgpack.decode(row.body, type=SendRow)
                self.sends.add((send.peer, send.message_id))
                into.add_sends([send])
            case "gone":
                self.gone.add(gone(row)[:2])
            case "ends":
                # Before version 0006 of the tables there were two numbers, and all messages for peers were kept.
                self.journal, self.notice, *outbox = msgspec.msgpack.decode(row.body, type=tuple[int, ...])
                self.outbox = outbox[0] if outbox else 0


def begin(stored: Store, again: Store) -> Begun:
    """Put what `stored` says a replay begins with into `again`."""
    begun = Begun()
    with again.begin() as transaction:
        for row in numbered(lambda after: stored.origin(after, PAGE)):
            begun.take(row, transaction)
    return begun
