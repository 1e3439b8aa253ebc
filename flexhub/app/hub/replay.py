"""Work a journal again, and compare: the same messages at the same times must come to the same states and bytes.

What decides is pure, and whatever is not (engines, providers, timers) entered as a message. So a store can be made
again from its journal alone: documents, answers, notices, open questions and timers. A difference means that something
decided by what it should not know, that code has changed its mind, or that the journal or the store was tampered with.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby
from typing import Final, NamedTuple

from flexhub.adapters.store.interface import (
    DocumentRow,
    JournalRow,
    NoticeRow,
    SendRow,
    Store,
    numbered,
)
from flexhub.app.access.audit import ERASURE, journal
from flexhub.app.hub import origin
from flexhub.app.hub.batch import Batch, Office
from flexhub.app.hub.contract import TIMER, Answer, Due, Message
from flexhub.app.hub.origin import Begun
from flexhub.core.documents import decode
from flexhub.core.errors import FlexhubError
from flexhub.core.registry import Role
from flexhub.core.watch import Watch, unseen

PAGE: Final = 1000
_END: Final = datetime.max.replace(tzinfo=UTC)
MOST: Final = 100
"""So many differences are told at most."""


class Difference(NamedTuple):
    """What came out otherwise: what it is, which one, and both sides."""

    what: str
    which: str
    stored: str
    again: str


class Replayed(NamedTuple):
    """What a replay saw."""

    messages: int
    documents: int
    notices: int
    differences: list[Difference]


def replay(stored: Store, again: Store, office: Office, watch: Watch = unseen) -> Replayed:
    """Work the journal of `stored` (from its last erasure on) into `again`, which is empty, and compare the two.

    Messages that were decided together are decided together again.
    """
    differences: list[Difference] = []
    done = 0
    begun = origin.begin(stored, again)
    # What says that others were trimmed decided nothing.
    worked = (row for row in watch(journal(stored, begun.journal), "messages") if row.kind != ERASURE)
    for now, rows in groupby(worked, key=lambda row: row.received):
        batch = list(rows)
        differences += _work(batch, now, office, again)
        done += len(batch)
    documents, notices = _compare(stored, again, begun, differences)
    return Replayed(done, documents, notices, differences[:MOST])


def _work(rows: list[JournalRow], now: datetime, office: Office, store: Store) -> Iterator[Difference]:
    batch = Batch(office, now)
    with store.begin() as transaction:
        batch.look_up([_message(row) for row in rows], transaction)
        while not asyncio.run(batch.decide()):
            batch.look_up_more(transaction)
        outcome = batch.write(transaction)
    for row, answer in zip(rows, outcome.answers, strict=True):
        before, after = (row.status, row.answer), _told(answer)
        if before != after:
            yield Difference("answer", f"{row.peer} {row.message_id}", repr(before), repr(after))


def _told(answer: Answer | Exception) -> tuple[int, bytes]:
    if isinstance(answer, Answer):
        return answer.status, answer.body
    return 0, (str(answer) if isinstance(answer, FlexhubError) else repr(answer)).encode()


def _message(row: JournalRow) -> Message:
    return Message(
        peer=row.peer,
        id=row.message_id,
        kind=row.kind,
        conversation=row.conversation,
        body=row.body,
        role=Role(row.role),
        value=decode(Due, row.body) if row.peer == TIMER else None,
    )


def _compare(stored: Store, again: Store, begun: Begun, differences: list[Difference]) -> tuple[int, int]:
    """Documents that `stored` has, and notices since the replay began."""
    documents, others = _documents(stored), _documents(again)
    for key in begun.gone - others.keys():
        documents.pop(key, None)
    for key in sorted({*documents, *others}):
        _differ(differences, "document", "/".join(key), documents.get(key), others.get(key))
    notices, told = list(_notices(stored, begun.notice)), list(_notices(again, 0))
    for n in range(max(len(notices), len(told))):
        _differ(differences, "notice", str(n + 1), *(found[n] if n < len(found) else None for found in (notices, told)))
    sends, sent = list(_sends(stored, begun)), list(_sends(again, Begun()))
    for n in range(max(len(sends), len(sent))):
        _differ(differences, "outbox", str(n + 1), *(found[n] if n < len(found) else None for found in (sends, sent)))
    asks, asked = ({row.id: row._replace(holder="") for row in store.asks()} for store in (stored, again))
    for id_ in sorted({*asks, *asked}):
        _differ(differences, "question", id_, asks.get(id_), asked.get(id_))
    timers, set_ = ({row[:2]: row for row in store.due_timers(_END, sys.maxsize)} for store in (stored, again))
    for pair in sorted({*timers, *set_}):
        _differ(differences, "timer", "/".join(pair), timers.get(pair), set_.get(pair))
    return len(documents), len(notices)


def _documents(store: Store) -> dict[tuple[str, str], DocumentRow]:
    """All documents, without how often each was written: that depends on what shared a commit."""
    found: dict[tuple[str, str], DocumentRow] = {}
    after = ("", "")
    while rows := store.all_documents(after, PAGE):
        found |= {(row.kind, row.id): row._replace(version=0) for row in rows}
        after = (rows[-1].kind, rows[-1].id)
    return found


def _notices(store: Store, after: int) -> Iterator[NoticeRow]:
    """All notices, without their numbers: a transaction that failed may have used one up."""
    found = numbered(lambda behind: store.notices(None, behind, PAGE), after)
    return (row._replace(seq=0) for row in found)


def _sends(store: Store, begun: Begun) -> Iterator[SendRow]:
    """Messages for peers, without their numbers; what had ended before the replay began is not in it.

    Nor is what became of those that nobody asks about: the journal doesn't say.
    """
    for row in numbered(lambda behind: store.sends(behind, PAGE)):
        if row.seq > begun.outbox or (row.peer, row.message_id) in begun.sends:
            yield row._replace(seq=0, state=row.state if row.reply_kind else "")


def _differ(into: list[Difference], what: str, which: str, stored: object, again: object) -> None:
    if stored != again:
        into.append(Difference(what, which, repr(stored), repr(again)))
