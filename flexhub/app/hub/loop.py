"""The hub loop: nothing acknowledged is lost.

Messages wait in one queue. While a batch is being committed the next one gathers, so that durability costs one fsync
per batch, not per message (group commit). A batch is one transaction (`batch`); answers leave
after its commit. Questions to engines and timers are rows of the same transactions, so a restart finds them; what
comes of them enters as messages of the peers `ENGINE` and `TIMER`, journalled like any other.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import math
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from time import monotonic
from typing import Final, NamedTuple

import msgspec

from flexhub.adapters.store.interface import ConflictError, SendRow, Store, TimerRow
from flexhub.app.access import audit
from flexhub.app.access.audit import Access
from flexhub.app.hub.batch import Batch, Beside, Office, Outcome, question
from flexhub.app.hub.clock import ForwardClock
from flexhub.app.hub.contract import (
    ENGINE,
    TIMER,
    Answer,
    Asker,
    Decision,
    Due,
    Handler,
    Key,
    Message,
    Question,
    View,
)
from flexhub.app.hub.keeping import Keeper
from flexhub.app.hub.outbox import Outbox, Sender
from flexhub.app.hub.readiness import Limits, Readiness
from flexhub.app.hub.reading import Front
from flexhub.app.hub.tokens import add_token
from flexhub.app.logs import about
from flexhub.app.metrics import Work, memory
from flexhub.core import documents
from flexhub.core.errors import FlexhubError, InternalError, ReusedError, UnavailableError
from flexhub.core.registry import Role

log = logging.getLogger(__name__)

MAX_BATCH: Final = 256
TIMERS_AT_ONCE: Final = 1000
RACES: Final = 50
"""So often a batch is decided again because another process wrote first what it depends on."""

BEAT_S: Final = 1.0
LEASE_S: Final = 3.0
"""How long a process that has gone silent is waited for, before others take over what it held."""

SOON_S: Final = 0.002

LONGEST_SLEEP_S: Final = 1.0
"""How late a jump of the clock, or a store that works again, is noticed at most."""

STOPPING: Final = "the hub is stopping; send the message again"
UNSTORED: Final = "the store cannot be written just now; send the message again"
PROBE: Final = ("flexhub", "probe")
"""Subject and event of a timer that is written only to see whether one can, and never kept."""


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """What the hub has done since its start. `queue` is the number of messages waiting or being worked."""

    messages: int
    batches: int
    largest_batch: int
    queue: int
    asks: int

    @property
    def mean_batch(self) -> float:
        """Messages per commit."""
        return self.messages / self.batches if self.batches else 0.0


class _Job(NamedTuple):
    message: Message
    answer: asyncio.Future[Answer]


class _Noted:
    """Handles ``<question>.failed`` where nobody else does: it is journalled, and that is all."""

    def needs(self, _message: Message) -> Iterable[Key]:
        return ()

    def decide(self, _message: Message, _view: View, _now: datetime) -> Decision:
        return Decision(answer=Answer(status=204))


def office(handlers: Mapping[str, Handler], askers: Iterable[str], holder: str) -> Office:
    """What a hub's batches work with; `askers` names the questions that are answered, as ``<slot>.<question>``."""
    questions = [_question(name) for name in askers]
    noted: dict[str, Handler] = {f"{question}.failed": _Noted() for _, question in questions}
    noted |= {"send.done": _Noted(), "send.failed": _Noted()}
    return Office(handlers=noted | dict(handlers), questions=frozenset(questions), holder=holder, recent={})


class Hub(Front):
    """Works messages, asks engines, fires timers, and lets others read.

    Args:
        store: where everything is kept; the hub is its only user of write transactions while it runs.
        handlers: who decides about messages, by kind; ``timer.<event>`` and ``<question>.result`` are kinds too.
        askers: who answers questions, by ``<slot>.<question>``.
        clock: the time, as an aware instant.
        max_batch: most messages in one commit; 1 switches group commit off.
        monotonic: as for `Front`.
        sender: carries what is sent to peers; None: it stays in the outbox.
        pause: waits for so many seconds between tries to send.
    """

    def __init__(  # noqa: PLR0913 - the parts it is composed of
        self,
        store: Store,
        handlers: Mapping[str, Handler],
        askers: Mapping[str, Asker],
        clock: Callable[[], datetime],
        *,
        max_batch: int = MAX_BATCH,
        monotonic: Callable[[], float] = monotonic,
        sender: Sender | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(store, monotonic=monotonic)
        self._askers = dict(askers)
        self._holder = uuid.uuid4().hex
        self._office = office(handlers, askers, self._holder)
        self._clock = ForwardClock(clock)
        self._max_batch = max_batch
        self._changed = False
        self._queue: deque[_Job] = deque()
        self._waiting = asyncio.Event()
        self._working = 0
        self._idle = asyncio.Event()
        self._open_asks: dict[str, asyncio.Task[None]] = {}
        self._asked_at: dict[str, float] = {}
        self._next_due: datetime | None = None
        self._sooner = asyncio.Event()
        self._firing = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._accepting = self._leaving = False
        self._unstored: str | None = None
        self.limits = Limits()
        self.work = Work()
        self.readiness = Readiness()
        self.readiness.add(
            "stopping", lambda: "the hub is stopping" if self._leaving or not self._accepting else None, vital=True
        )
        self.readiness.add("store", lambda: self._unstored, vital=True)
        self.readiness.add("queue", self._crowded, vital=True)
        self.readiness.add("engines", self._stuck)
        self.readiness.add("clock", self._clock.behind)
        self._outbox: Outbox | None = None
        self._to_send = asyncio.Event()
        self.keeper = Keeper(self._to_send.set)
        if sender is not None:
            self._outbox = Outbox(self._unsent, self._submit, self._ended, sender, self._clock, pause=pause)
            self.readiness.add("outbox", self._outbox.trouble)
        self._beside = Beside()
        self._messages = self._batches = self._largest = 0
        self._writer = ThreadPoolExecutor(1, "hub-write")
        self._pulse = ThreadPoolExecutor(1, "hub-lease")  # a question that takes long may keep no lease from renewal
        self._engines = ThreadPoolExecutor(2, "hub-engine")

    # -- life ---------------------------------------------------------------------------------------------------------

    async def start(self, *, timers: bool = True) -> None:
        """Take messages; put again what was asked before the last stop.

        Args:
            timers: fire timers as the clock goes; without, only `tick` fires them.
        """
        self._accepting = True
        self._tasks.append(asyncio.create_task(self._work(), name="hub-work"))
        await self._beat()
        self._clock.not_before(await self._read(self.store.last_received))
        self._next_due = await self._read(self.store.next_due)
        self._loop = asyncio.get_running_loop()
        self.store.listen(self._hear)
        if timers:
            self._tasks.append(asyncio.create_task(self._watch(), name="hub-timers"))
        self._tasks.append(asyncio.create_task(self._mind(), name="hub-mind"))
        if self._outbox is not None:
            self._tasks.append(asyncio.create_task(self._post(self._outbox), name="hub-outbox"))

    def leave(self) -> None:
        """Say that the hub is about to stop; it still takes messages."""
        self._leaving = True

    def drain(self) -> None:
        """Take no more messages, and end the streams."""
        self._accepting = False
        self.end_notices()

    async def stop(self) -> None:
        """Finish what was taken in, then stop. Questions being answered stay in the store for the next start."""
        self._accepting = False
        if self._outbox is not None:
            await self._outbox.stop()
        for task in self._open_asks.values():
            task.cancel()
        while self._queue or self._working:
            self._idle.clear()
            await self._idle.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._open_asks.values(), return_exceptions=True)
        self._tasks.clear()
        try:
            await self.flush()
        except Exception:
            log.exception("the last %d requests are not in the audit log", len(self._beside.accesses))
        self.keeper.turn(on=False)
        with contextlib.suppress(Exception):  # leases lapse by themselves
            await self._read(self.store.let_go, self._holder)
        self.close()
        self._pulse.shutdown()
        self._engines.shutdown(wait=False, cancel_futures=True)
        self._writer.shutdown()

    # -- messages -----------------------------------------------------------------------------------------------------

    async def handle(self, message: Message) -> Answer:
        """As `Front.handle`."""
        return await self.submit(message)

    def submit(self, message: Message) -> asyncio.Future[Answer]:
        """`handle` for those who wait in their own way.

        Raises:
            UnavailableError: the hub is stopped.
        """
        if not self._accepting:
            raise UnavailableError(STOPPING)
        return self._submit(message)

    def _submit(self, message: Message) -> asyncio.Future[Answer]:
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue.append(_Job(message, answer))
        self._waiting.set()
        return answer

    def note(self, access: Access) -> None:
        """As `Front.note`: it is in the audit log with the next commit, within `LONGEST_SLEEP_S` where none comes."""
        if len(self._beside.accesses) < audit.MOST:
            self._beside.accesses.append(access)
        else:
            self._beside.dropped += 1

    def _ended(self, row: SendRow, state: str) -> None:
        """What was sent to a peer, and is journalled no more, is marked with the next commit, which is soon."""
        self._beside.delivered[row.peer, row.message_id] = state
        self._waiting.set()

    async def flush(self) -> None:
        """Write down what was noted; it need not wait for a message.

        Raises:
            UnavailableError: the store cannot be written.
        """
        if self._beside and self._unstored is None:
            await self._write([])

    async def _write(self, messages: list[Message]) -> Outcome:
        """Commit these messages, and what was noted since the last commit.

        Raises:
            UnavailableError: the store cannot be written; what was noted waits for the next commit.
        """
        loop = asyncio.get_running_loop()
        beside, self._beside = self._beside, Beside()
        try:
            return await loop.run_in_executor(self._writer, self._commit, messages, loop, beside)
        except Exception:
            self._beside = beside.and_then(self._beside)
            raise

    async def _work(self) -> None:
        while True:
            await self._waiting.wait()
            jobs = [self._queue.popleft() for _ in range(min(len(self._queue), self._max_batch))]
            if not self._queue:
                self._waiting.clear()
            if not jobs and not self._beside:
                continue
            self._working = len(jobs)
            try:
                outcome = await self._write([job.message for job in jobs])
            except UnavailableError as error:
                self._failed_to_store(error)
                for job in jobs:
                    _fail(job, UnavailableError(UNSTORED))
                self._heard(None)  # should it be stored after all, what waits for it is not left waiting
            except Exception:
                log.exception("a batch of %d messages could not be stored", len(jobs))
                for job in jobs:
                    _fail(job, InternalError("the message could not be stored; send it again"))
            else:
                self._release(jobs, outcome)
            self._working = 0
            self._idle.set()

    def _commit(self, messages: list[Message], loop: asyncio.AbstractEventLoop, beside: Beside) -> Outcome:
        """In the writer's thread, which waits while the event loop's decides."""
        unsure = False
        for _ in range(RACES):
            try:
                begun = self._monotonic()
                with self.store.begin() as transaction:
                    transaction.claim({message.conversation for message in messages})
                    # The time only now: whoever worked one of these conversations meanwhile did so before.
                    batch = Batch(self._office, self._clock(), beside)
                    batch.look_up(messages, transaction)
                    while not asyncio.run_coroutine_threadsafe(batch.decide(), loop).result():
                        batch.look_up_more(transaction)
                    outcome = batch.write(transaction)
            except ConflictError as error:
                log.info("another process was first (%s); deciding %d messages again", error, len(messages))
            except UnavailableError as error:
                if unsure or self._unstored is not None:
                    raise
                # Perhaps it was only the connection, and perhaps it was lost after the commit: then the journal knows
                # these messages, and they are answered as repeats.
                log.warning("%s; deciding %d messages again", error.value, len(messages))
                unsure = True
            else:
                self.work.commits.add(self._monotonic() - begun)
                if unsure:
                    loop.call_soon_threadsafe(self._heard, None)
                return outcome
        raise InternalError(f"other processes were first {RACES} times")

    def _release(self, jobs: list[_Job], outcome: Outcome) -> None:
        if not jobs:
            return
        self._messages += len(jobs)
        self._batches += 1
        self.work.batches.add(len(jobs))
        self._count(jobs, outcome)
        self._largest = max(self._largest, len(jobs))
        # Before the answers: who waits for an answer and then for `settled` must find its questions open.
        for asked in outcome.asks:
            self._ask(asked)
        self._come_up(outcome.earliest)
        if outcome.sends:
            self._to_send.set()
        for job, answer in zip(jobs, outcome.answers, strict=True):
            if isinstance(answer, Exception):
                _fail(job, answer)
            elif not job.answer.done():
                job.answer.set_result(answer)
        self.told(tuple(outcome.parties))

    def _count(self, jobs: list[_Job], outcome: Outcome) -> None:
        said = log.isEnabledFor(logging.DEBUG)
        counted, known = self.work.messages, self._office.handlers
        for (message, _), answer in zip(jobs, outcome.answers, strict=True):
            if isinstance(answer, FlexhubError):
                word = "failed" if answer.fault == "ours" else "refused"
            else:
                word = "done" if isinstance(answer, Answer) and answer.status < 400 else "refused"
            counted[message.kind if message.kind in known else "unknown", word] += 1
            if said:
                with about(message.peer, message.id, message.kind, message.conversation):
                    log.debug("%s", word)

    # -- what is wrong, and what to do once it no longer is ------------------------------------------------------------

    def _failed_to_store(self, error: UnavailableError) -> None:
        if self._unstored is None:  # said once, not for every message while it lasts
            log.error("the store cannot be written: %s", " ".join(str(error.__cause__ or error.value).split()))
        self.keeper.turn(on=False)
        self._unstored = f"the store cannot be written: {error.value}"

    async def _mind(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            try:
                await (self._beat() if self._unstored is None else self.recover())
                await self.flush()
            except UnavailableError as error:
                self._failed_to_store(error)
            except Exception:
                self.keeper.turn(on=False)
                log.exception("no lease could be had; trying again")

    async def recover(self) -> None:
        """Where the store could not be written, see whether it can again, and put the questions that got lost."""
        if self._unstored is None:
            return
        try:
            await asyncio.get_running_loop().run_in_executor(self._writer, self._probe)
            await self._beat()
        except UnavailableError as error:
            self._failed_to_store(error)
            return
        log.warning("the store can be written again")
        self._unstored = None

    def _probe(self) -> None:
        with self.store.begin() as transaction:
            transaction.set_timers({PROBE: datetime.max.replace(tzinfo=UTC)})
            transaction.set_timers({PROBE: None})

    def _going(self) -> str | None:
        return "the hub is stopping" if self._leaving or not self._accepting else None

    def _crowded(self) -> str | None:
        waiting = len(self._queue) + self._working
        return None if waiting <= self.limits.queue else f"{waiting} messages wait, allowed: {self.limits.queue}"

    def _stuck(self) -> str | None:
        longest = self._monotonic() - min(self._asked_at.values(), default=math.inf)
        allowed = self.limits.question.total_seconds()
        return None if longest <= allowed else f"a question is open for {longest:.0f} s, allowed: {allowed:g} s"

    async def report(self, what: str) -> bytes:
        """As `Front.report`."""
        if what == "ready":
            return msgspec.json.encode(self.readiness.look())
        from flexhub.app.exposition import text  # noqa: PLC0415 - only where somebody asks

        return text(self.work, await self._measured(), self.readiness.look())

    async def _measured(self) -> dict[str, float]:
        """What is measured as it is asked for; the names are those of the metrics."""
        doors = self.work.doors.values()
        measured: dict[str, float] = {
            "queue_messages": len(self._queue) + self._working,
            "open_questions": len(self._open_asks),
            "streams": self.work.http.streams + sum(door.streams for door in doors),
            "memory_bytes": memory(),
            "doors": len(doors),
            "doors_memory_bytes": sum(door.memory for door in doors),
        }
        with contextlib.suppress(UnavailableError):
            due = await self._read(self.store.next_due)
            lag = 0.0 if due is None else (self._clock() - due).total_seconds()
            measured |= {"timers_lag_seconds": max(lag, 0.0), "store_bytes": await self._read(self.store.size)}
        return measured

    # -- questions ----------------------------------------------------------------------------------------------------

    def _ask(self, question: Question) -> None:
        task = asyncio.create_task(self._answer(question), name=f"hub-ask-{question.id}")
        self._open_asks[question.id] = task
        self._asked_at[question.id] = self._monotonic()
        task.add_done_callback(lambda _: self._asked(question))

    def _asked(self, question: Question) -> None:
        self._open_asks.pop(question.id, None)
        self._asked_at.pop(question.id, None)
        self._idle.set()

    async def _answer(self, question: Question) -> None:
        with about(ENGINE, question.id, question.question, question.subject):
            await self._put(question)

    async def _put(self, question: Question) -> None:
        name = f"{question.slot}.{question.question}"
        asker = self._askers.get(name)
        loop = asyncio.get_running_loop()
        value: object
        try:
            if asker is None:
                gone = f"nobody answers {question.question} in slot {question.slot} any more"
                raise InternalError(gone)  # noqa: TRY301 - told as any failure
            arguments = await asker.gather(question, self, self._clock())
            begun = self._monotonic()
            try:
                inside = contextvars.copy_context()  # an engine's lines, too, say which question they are about
                value = await loop.run_in_executor(self._engines, inside.run, asker.answer, arguments)
            finally:
                self.work.answered(name, self._monotonic() - begun)
            body = documents.encode(value)
            kind = f"{question.question}.result"
        except UnavailableError as error:  # it has failed at nothing of its own: it is put again
            self._failed_to_store(error)
            return
        except Exception as error:
            log.exception("a question failed")
            code = error.code if isinstance(error, FlexhubError) else "engine"
            value = {"code": code, "message": str(error)}
            body = documents.encode(value)
            kind = f"{question.question}.failed"
        message = Message(
            peer=ENGINE,
            id=question.id,
            kind=kind,
            conversation=question.subject,
            body=body,
            role=Role.ADMIN,
            value=value,
        )
        # Not stored: the question stays, and is put again. Reused: another process had taken it over meanwhile.
        with contextlib.suppress(InternalError, UnavailableError, ReusedError):
            await self._submit(message)

    # -- sharing the store with other processes ----------------------------------------------------------------------

    async def _beat(self) -> None:
        """Say that this process is there, and put what lies there: left by one that is gone, or not answered so far."""
        await self._hold(f"hub/{self._holder}")
        keeper = self.keeper.on
        self.keeper.turn(on=await self._hold("timers"))
        if self.keeper.on and not keeper:
            self._come_up(await self._read(self.store.next_due))
        # In the writer's thread: when its list is here, the questions of every commit before it are open here, too.
        for row in await asyncio.get_running_loop().run_in_executor(self._writer, self.store.adopt, self._holder):
            if row.id not in self._open_asks:
                self._ask(question(row))

    async def _hold(self, name: str) -> bool:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pulse, self.store.hold, name, self._holder, LEASE_S)

    def _hear(self, parties: tuple[str, ...] | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: this process is done
            self._loop.call_soon_threadsafe(self._heard, parties)

    def _heard(self, parties: tuple[str, ...] | None) -> None:
        """Another process has committed something."""
        self.told(parties)
        self._changed = True
        self._sooner.set()
        self._to_send.set()

    # -- sending ------------------------------------------------------------------------------------------------------

    async def _unsent(self, after: int, limit: int) -> list[SendRow]:
        return await self._read(self.store.sends, after, limit, "waiting")

    async def _post(self, outbox: Outbox) -> None:
        """Send while this process holds the lease for it, the timers' own; one process sends, so that order is kept."""
        while True:
            await self._to_send.wait()
            self._to_send.clear()
            try:
                await (outbox.look() if self.keeper.on else outbox.stop())
            except Exception:
                log.exception("the outbox could not be read; trying again")
                await asyncio.sleep(BEAT_S)
                self._to_send.set()

    # -- timers -------------------------------------------------------------------------------------------------------

    async def tick(self) -> None:
        """Fire all timers that are due by the clock, in order, and wait for what they ask; then those due since."""
        while await self._fire():
            await self._quiet()

    async def settled(self) -> None:
        """Wait until no message is being worked, no question is open and no timer is due.

        Needs a clock that goes, or a `tick`, where timers are due: it does not fire them itself.
        """
        while True:
            await self._quiet()
            due = await self._read(self.store.next_due)
            if not (self._queue or self._working or self._open_asks) and (due is None or due > self._clock()):
                return
            await asyncio.sleep(0)

    async def _quiet(self) -> None:
        while self._queue or self._working or self._open_asks:
            self._idle.clear()
            await self._idle.wait()

    async def _fire(self) -> int:
        async with self._firing:
            timers = await self._read(self.store.due_timers, self._clock(), TIMERS_AT_ONCE)
            answers = [self._submit(_due(timer)) for timer in timers]
            results = await asyncio.gather(*answers, return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException):
                    raise result
            return len(timers)

    def _come_up(self, due: datetime | None) -> None:
        if due is not None and (self._next_due is None or due < self._next_due):
            self._next_due = due
            self._sooner.set()

    async def _watch(self) -> None:
        while True:
            self._sooner.clear()
            now = self._clock()
            try:
                if self._changed:
                    self._changed = False
                    self._come_up(await self._read(self.store.next_due))
                if self.keeper.on and self._next_due is not None and self._next_due <= now:
                    self._next_due = None  # a batch that sets an earlier one meanwhile is not overwritten
                    await self._fire()
                    self._come_up(await self._read(self.store.next_due))
                    continue
            except Exception as error:
                if not isinstance(error, UnavailableError):
                    log.exception("timers could not be fired; trying again")
                self._changed = True
                await asyncio.sleep(LONGEST_SLEEP_S)
                continue
            due = self._next_due if self.keeper.on else None
            wait = LONGEST_SLEEP_S if due is None else (due - now).total_seconds()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._sooner.wait(), min(wait, LONGEST_SLEEP_S))

    async def sent(self) -> None:
        """Wait until every message for a peer has its answer, or its time is over."""
        while await self._unsent(0, 1):  # noqa: ASYNC110 - other processes may send it, and tell nobody
            await asyncio.sleep(SOON_S)

    async def add_token(self, party: str, role: Role) -> str:
        """A new token of a party in a role; only its hash is kept."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._writer, add_token, self.store, party, role, self._clock())

    @property
    def stats(self) -> Stats:
        """Counters since the start."""
        return Stats(
            messages=self._messages,
            batches=self._batches,
            largest_batch=self._largest,
            queue=len(self._queue) + self._working,
            asks=len(self._open_asks),
        )


def _question(name: str) -> tuple[str, str]:
    slot, _, question = name.partition(".")
    return slot, question


def _fail(job: _Job, error: Exception) -> None:
    if not job.answer.done():
        job.answer.set_exception(error)


def _due(timer: TimerRow) -> Message:
    value = Due(subject=timer.subject, event=timer.event, due=timer.due)
    return Message(
        peer=TIMER,
        id=f"{timer.event}:{timer.subject}@{timer.due.isoformat()}",
        kind=f"timer.{timer.event}",
        conversation=timer.subject,
        body=documents.encode(value),
        role=Role.ADMIN,
        value=value,
    )
