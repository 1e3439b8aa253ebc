"""Sends what the outbox holds, in order within a conversation, until the peer answers or the time is over.

A message goes out with the same id and the same bytes as often as it takes; a receiver that drops repeats by (peer,
message id), as ours does, works it once. What came of it enters the hub as a journalled message of the peer `OUTBOX`,
whose transaction marks it as sent or failed. How often something was tried is nobody's business but this process's:
after a restart it is tried again at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from random import Random
from typing import Final, NamedTuple, Protocol

from flexhub.adapters.pauses import doubling
from flexhub.adapters.store.interface import SendRow
from flexhub.app.hub.contract import OUTBOX, Answer, Delivery, Message
from flexhub.core.documents import encode
from flexhub.core.registry import Role

log = logging.getLogger(__name__)

PAGE: Final = 500
AT_ONCE: Final = 64
"""Messages of different conversations that are on their way to one peer at the same time."""

UNKNOWN: Final = "no such peer is configured"

FIRST_S: Final = 1.0
LONGEST_S: Final = 60.0
"""Pauses between tries double from the first to the longest; each is cut by up to a half at random."""


class Outcome(NamedTuple):
    """What came of one try: answered (`status`, `reply`), refused for good (`final`), or to be tried again.

    `again_s`: the peer says when to come again.
    """

    status: int
    reply: bytes = b""
    why: str = ""
    final: bool = True
    again_s: float = 0.0


class Sender(Protocol):
    """Carries messages to peers. One whose peer is not its own is never asked to."""

    async def send(self, row: SendRow) -> Outcome:
        """One try. Raises nothing: what goes wrong is an outcome that is not final."""


class Carrier:
    """Gives rows for peers whose names begin with `mine` to one sender, and all others to another."""

    def __init__(self, mine: str, sender: Sender, others: Sender | None) -> None:
        self._mine = mine
        self._sender = sender
        self._others = others

    async def send(self, row: SendRow) -> Outcome:
        """One try."""
        if row.peer.startswith(self._mine):
            return await self._sender.send(row)
        if self._others is None:
            return Outcome(0, why=UNKNOWN, final=False)
        return await self._others.send(row)


class Outbox:
    """The lanes of a hub's outbox: one per peer and conversation.

    Args:
        read: waiting rows behind a number, so many at most.
        submit: hands a message to the hub.
        ended: notes that a message whose outcome nobody asks for is "sent" or "failed".
        sender: carries them.
        clock: what time it is.
        pause: waits for so many seconds.
        dice: where the random part of pauses comes from.
    """

    def __init__(  # noqa: PLR0913 - the parts it is composed of
        self,
        read: Callable[[int, int], Awaitable[list[SendRow]]],
        submit: Callable[[Message], Awaitable[Answer]],
        ended: Callable[[SendRow, str], None],
        sender: Sender,
        clock: Callable[[], datetime],
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        dice: Random | None = None,
    ) -> None:
        self._read = read
        self._submit = submit
        self._ended = ended
        self._sender = sender
        self._clock = clock
        self._pause = pause
        self._dice = dice or Random()  # noqa: S311 - so that peers aren't called in step, not a secret
        self._lanes: dict[tuple[str, str], deque[SendRow]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns: dict[str, asyncio.Semaphore] = {}
        self._failing: dict[tuple[str, str], str] = {}
        self._seen = 0

    async def look(self) -> None:
        """Take up what has come since the last look."""
        while rows := await self._read(self._seen, PAGE):
            for row in rows:
                self._seen = row.seq
                lane = (row.peer, row.conversation)
                if lane in self._lanes:
                    self._lanes[lane].append(row)
                    continue
                self._lanes[lane] = deque((row,))
                self._begin(self._drive(lane))

    async def stop(self) -> None:
        """Stop sending; what has no answer yet is sent again by whoever goes on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._lanes.clear()
        self._failing.clear()
        self._seen = 0

    @property
    def waiting(self) -> int:
        """Messages without an answer."""
        return sum(map(len, self._lanes.values()))

    def trouble(self) -> str | None:
        """How many peers cannot be reached, if any."""
        peers = {peer for peer, _ in self._failing}
        return f"{len(peers)} of the peers can't be reached; {self.waiting} messages wait" if peers else None

    async def _drive(self, lane: tuple[str, str]) -> None:
        rows = self._lanes[lane]
        turn = self._turns.setdefault(lane[0], asyncio.Semaphore(AT_ONCE))
        try:
            while rows:
                outcome = await self._deliver(lane, rows[0], turn)
                self._failing.pop(lane, None)
                # The peer has it, so the next one need not wait for that to be on disk.
                self._begin(self._tell(rows.popleft(), outcome))
        finally:
            self._lanes.pop(lane, None)
            self._failing.pop(lane, None)

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work, name="hub-outbox")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, lane: tuple[str, str], row: SendRow, turn: asyncio.Semaphore) -> Outcome:
        """Try until there is an answer."""
        pauses = doubling(FIRST_S, LONGEST_S, self._dice)
        while self._clock() < row.expires:
            async with turn:
                outcome = await self._sender.send(row)
            if outcome.final:
                return outcome
            if lane not in self._failing:
                log.warning("a message for %s is not delivered: %s; trying again", row.peer, outcome.why)
            self._failing[lane] = outcome.why
            await self._pause(max(outcome.again_s, next(pauses)))
        return Outcome(0, why="its time is over, and there was no answer")

    async def _tell(self, row: SendRow, outcome: Outcome) -> None:
        """Have the outcome journalled, however often it takes; after a stop before that, the message is sent again."""
        if not row.reply_kind:
            if outcome.why:
                log.warning("an answer to %s is given up: %s", row.peer, outcome.why)
            self._ended(row, "failed" if outcome.why else "sent")
            return
        delivery = Delivery(
            peer=row.peer,
            message_id=row.message_id,
            status=outcome.status,
            reply=outcome.reply.decode(errors="replace"),
            why=outcome.why or None,
        )
        kind = f"{row.reply_kind}.{'failed' if outcome.why else 'done'}"
        message = Message(
            peer=OUTBOX,
            id=f"{row.peer}/{row.message_id}/{row.seq}",
            kind=kind,
            conversation=row.conversation,
            body=encode(delivery),
            role=Role.ADMIN,
            value=delivery,
        )
        pauses = doubling(FIRST_S, LONGEST_S, self._dice)
        while True:
            try:
                await self._submit(message)
            except Exception:
                log.exception("what came of a message for %s could not be stored; trying again", row.peer)
                await self._pause(next(pauses))
            else:
                return
