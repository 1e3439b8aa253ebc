"""Takes away what is older than ``[retention]`` says, in short transactions, beside a hub that runs or not.

Of a message stays a mark, so that the same again is not worked anew; a measurement stays as long as the flex-offer that
it was taken under is not settled. A replay must still come to what is stored, at every moment. So first all that there
is now is written down as what a replay begins with (`hub.origin`), from a look at one commit that holds nobody up; then
only what lies before that is taken away. What was begun and not finished is begun anew by the next run.

A running hub does so when its timer comes up: the timer asks a question, as it does for a plan, and a question is put
by one process and taken over where that is gone. The answer says how much was taken away.
"""

from __future__ import annotations

import hashlib
import logging
import math
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from threading import Lock
from typing import Concatenate, Final, ParamSpec, TypeVar

import msgspec

from flexhub.adapters.store.erasing import Erasing
from flexhub.adapters.store.interface import DocumentRow, OriginRow, Store
from flexhub.adapters.store.whole import Whole
from flexhub.app import erasure
from flexhub.app.access import audit
from flexhub.app.config import RetentionSection
from flexhub.app.exchange.papers import UNSETTLED
from flexhub.app.exchange.running import Run
from flexhub.app.hub import origin
from flexhub.app.hub.contract import Answer, Decision, Handler, Key, Message, Question, Reads, View
from flexhub.app.hub.reading import Reading
from flexhub.core import documents
from flexhub.core.errors import UnavailableError
from flexhub.core.flexoffer import FlexOffer
from flexhub.core.timeseries import Measurement

log = logging.getLogger(__name__)

T = TypeVar("T")
P = ParamSpec("P")

QUESTION: Final = "retention.trim"
AT_ONCE: Final = 256
"""Rows that one transaction takes away or writes."""

REST: Final = 3.0
"""After each transaction the store is left to others for so many times as long as it took."""

LEASE: Final = "retention"
LEASE_S: Final = 10.0
"""How long a process that has gone silent is waited for, before another one may trim."""

LONGEST_S: Final = 300.0
"""A run takes away for no longer than that; what is left is the next one's."""


class Trimmed(msgspec.Struct, frozen=True, kw_only=True):
    """What was taken away, and for how many seconds one transaction held the store at most."""

    documents: int = 0
    messages: int = 0
    notices: int = 0
    longest_hold_s: float = 0.0


class _Run:
    """One run: counts, and the steps that it is made of."""

    def __init__(  # noqa: PLR0913 - the parts it is composed of
        self,
        store: Store,
        lengths: RetentionSection,
        now: datetime,
        *,
        new_id: Callable[[], str],
        monotonic: Callable[[], float],
        pause: Callable[[float], None],
    ) -> None:
        self._store = store
        self._lengths = lengths
        self._now = now
        self._new_id = new_id
        self._monotonic = monotonic
        self._pause = pause
        self._holder = new_id()
        self._begun = monotonic()
        self._longest = 0.0
        self._documents = self._messages = self._notices = 0

    def trim(self) -> Trimmed:
        if not self._take_turn():
            log.info("another process is trimming")
            return Trimmed()
        try:
            self._documents += self._step(Erasing.remove_accounts, self._now)
            self._all_stale()
            with self._store.snapshot() as whole:
                ends = whole.ends()
                waiting = {row.seq for row in whole.every_send("waiting")}
                generation = self._begin_anew(whole) if self._anything(whole, ends) else None
            if generation is not None:
                self._all_stale()
                self._take_away(generation, ends, waiting)
        finally:
            self._store.let_go(self._holder)
        return Trimmed(
            documents=self._documents,
            messages=self._messages,
            notices=self._notices,
            longest_hold_s=round(self._longest, 6),
        )

    def _take_turn(self) -> bool:
        """Whether it is this run's; one whose process is gone is waited for, until its lease has lapsed."""
        for _ in range(math.ceil(LEASE_S)):
            if self._store.hold(LEASE, self._holder, LEASE_S):
                return True
            self._pause(1.0)
        return self._store.hold(LEASE, self._holder, LEASE_S)

    def _step(self, work: Callable[Concatenate[Erasing, P], T], *args: P.args, **more: P.kwargs) -> T:
        """One transaction, and then the store is others'.

        Raises:
            UnavailableError: another process has taken over.
        """
        if not self._store.hold(LEASE, self._holder, LEASE_S):
            raise UnavailableError("another process is trimming")
        with self._store.erasing() as store:
            begun = self._monotonic()
            store.claim([LEASE])
            done = work(store, *args, **more)
        took = self._monotonic() - begun
        self._longest = max(self._longest, took)
        self._pause(REST * took)
        return done

    def _all_stale(self) -> None:
        while self._step(Erasing.remove_stale_origin, AT_ONCE):
            pass

    # -- what a replay begins with ------------------------------------------------------------------------------------

    def _before(self, length: timedelta | None) -> datetime | None:
        return None if length is None else self._now - length

    def _anything(self, whole: Whole, ends: tuple[int, int, int]) -> bool:
        """Whether anything is old."""
        lengths, (journal, notice, outbox) = self._lengths, ends
        before = self._before(lengths.journal)
        if before is not None and whole.old_messages(before, journal, 0, 1, erasure.MARKS):
            return True
        before = self._before(lengths.notices)
        if before is not None and (whole.old_notices(before, notice, 0, 1) or whole.old_sends(before, outbox, 0, 1)):
            return True
        before = self._before(lengths.measurements)
        if before is None:
            return False
        gone = self._gone(whole)
        return any(gone(row) for row in whole.ended(Measurement.__name__, before))

    def _gone(self, whole: Whole) -> Callable[[DocumentRow], bool]:
        """Whether a document is one that goes: a reading that is old enough, of nothing that is not settled."""
        before = self._before(self._lengths.measurements)

        def gone(row: DocumentRow) -> bool:
            if before is None or row.kind != Measurement.__name__ or row.ends is None or row.ends > before:
                return False
            offer = documents.upcast(Measurement, row.schema_version, row.body).offer
            found = None if offer is None else whole.document(FlexOffer.__name__, offer)
            return found is None or found.state not in UNSETTLED

        return gone

    def _begin_anew(self, whole: Whole) -> int:
        """Write down all that there is, piece by piece; which origin it is.

        Raises:
            UnavailableError: another process has interfered.
        """
        generation = self._step(Erasing.begin_origin)
        count = 1
        for rows in _chunks(origin.parts(whole, self._gone(whole))):
            count += self._step(Erasing.add_origin, generation, rows)
        ends = [origin.ends(whole)]

        def finish(store: Erasing) -> None:
            if store.origin_rows(generation) != count:
                raise UnavailableError("another process is trimming")
            store.add_origin(generation, ends)

        self._step(finish)
        return generation

    # -- taking away --------------------------------------------------------------------------------------------------

    def _take_away(self, generation: int, ends: tuple[int, int, int], waiting: set[int]) -> None:
        lengths, (journal, notice, outbox) = self._lengths, ends
        before = self._before(lengths.journal)
        if before is not None:
            for seqs in self._old(Whole.old_messages, before, journal, erasure.MARKS):
                self._messages += self._step(self._blot, seqs)
        before = self._before(lengths.notices)
        if before is not None:
            for seqs in self._old(Whole.old_notices, before, notice):
                self._step(self._remove_notices, seqs)
                self._notices += len(seqs)
            for seqs in self._old(Whole.old_sends, before, outbox):
                # Those that waited are in what a replay begins with.
                self._step(Erasing.remove_sends, [seq for seq in seqs if seq not in waiting])
        with self._store.snapshot() as whole:
            for rows in _chunks(whole.gone(generation)):
                if self._late():
                    return
                self._documents += self._step(self._remove_documents, rows)

    def _late(self) -> bool:
        return self._monotonic() - self._begun > LONGEST_S

    def _old(
        self,
        page: Callable[Concatenate[Whole, datetime, int, int, int, P], list[int]],
        before: datetime,
        end: int,
        *args: P.args,
        **more: P.kwargs,
    ) -> Iterator[list[int]]:
        """Numbers of what is old, looked for while the store is others'."""
        after = 0
        while not self._late():
            with self._store.snapshot() as whole:
                seqs = page(whole, before, end, after, AT_ONCE, *args, **more)
            if not seqs:
                return
            yield seqs
            after = seqs[-1]

    def _blot(self, store: Erasing, seqs: list[int]) -> int:
        name, seal, marks = f"trimmed-{self._new_id()}", hashlib.sha256(), []
        for row in store.messages(seqs):
            if row.kind in erasure.MARKS:
                continue
            digest = audit.digest(row)
            seal.update(digest.encode())
            marks.append(erasure.mark(row, name, digest))
        store.replace_messages(marks)
        self._journal(store, name, messages=len(marks), seal=seal.hexdigest())
        return len(marks)

    def _remove_notices(self, store: Erasing, seqs: list[int]) -> None:
        store.remove_notices(seqs)
        self._journal(store, f"trimmed-{self._new_id()}", notices=len(seqs))

    def _remove_documents(self, store: Erasing, rows: list[OriginRow]) -> int:
        done = store.remove_documents(map(origin.gone, rows))
        store.remove_origin_rows([row.seq for row in rows])
        self._journal(store, f"trimmed-{self._new_id()}", documents=done)
        return done

    def _journal(  # noqa: PLR0913 - what may be told
        self,
        store: Erasing,
        name: str,
        *,
        documents: int = 0,
        messages: int = 0,
        notices: int = 0,
        seal: str | None = None,
    ) -> None:
        seal = hashlib.sha256().hexdigest() if seal is None else seal
        told = audit.Erasure(documents=documents, notices=notices, messages=messages, tokens=0, kept=0, seal=seal)
        # Times in the journal never go back, whoever has written to it since this run began.
        newest = store.last_received()
        erasure.journal(store, name, told, self._now if newest is None else max(self._now, newest))


def _chunks(rows: Iterable[T]) -> Iterator[list[T]]:
    given = iter(rows)
    while chunk := list(islice(given, AT_ONCE)):
        yield chunk


def trim(  # noqa: PLR0913 - what it goes by
    store: Store,
    lengths: RetentionSection,
    now: datetime,
    *,
    new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    monotonic: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Trimmed:
    """Take away what is older than these lengths of time; None keeps all.

    Args:
        store: the store; a hub may run on it meanwhile.
        lengths: how long things are kept.
        now: the time.
        new_id: gives fresh names.
        monotonic: seconds, by which a run is bounded and its transactions are measured.
        pause: waits for so many seconds, between transactions.

    Raises:
        UnavailableError: the store cannot be written, or another process has taken over.
    """
    return _Run(store, lengths, now, new_id=new_id, monotonic=monotonic, pause=pause).trim()


class Trimmer:
    """Answers ``retention.trim``."""

    def __init__(self, lengths: RetentionSection) -> None:
        self._lengths = lengths
        self._going = Lock()

    async def gather(self, question: Question, reads: Reads, now: datetime) -> tuple[Store, datetime]:  # noqa: ARG002 - the slot's signature
        """The hub's own store, and its time."""
        assert isinstance(reads, Reading)  # noqa: S101 - for the type checker: a hub is
        return reads.store, now

    def answer(self, arguments: tuple[Store, datetime]) -> Trimmed:
        """Trim, unless that is going on already. Off the event loop."""
        store, now = arguments
        if not self._going.acquire(blocking=False):
            return Trimmed()
        try:
            done = trim(store, self._lengths, now)
        finally:
            self._going.release()
        log.info("trimmed: %d documents, %d messages, %d notices", done.documents, done.messages, done.notices)
        return done


class TrimResult:
    """``trim.result``: journalled, and that is all."""

    def needs(self, message: Message) -> Iterable[Key]:  # noqa: ARG002 - the handler's signature
        """Nothing."""
        return ()

    def decide(self, message: Message, view: View, now: datetime) -> Decision:  # noqa: ARG002 - as above
        """Nothing to do."""
        return Decision(answer=Answer(status=204))


HANDLERS: Final[dict[str, Handler]] = {
    "timer.trim": Run("trim", repeats=True, slot="retention"),
    "trim.result": TrimResult(),
}
