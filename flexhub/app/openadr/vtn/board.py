"""What polls are answered by, in memory: VENs as they were last read, and all events that are not over.

Whatever changes a VEN or an event tells it by a notice in the same transaction; the board follows them, also those of
other processes, and reads again what they name. The endpoint forgets by itself what it had changed, so that a VEN finds
at its next message what came of the one before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final, NamedTuple

from flexhub.adapters.store.interface import Store
from flexhub.app.hub.reading import Front
from flexhub.app.openadr.vtn.papers import agenda
from flexhub.protocols.openadr2b.session.events import FAR_FUTURE, ends, over
from flexhub.protocols.openadr2b.session.state import VtnAgenda, VtnEvent, VtnVen

log = logging.getLogger(__name__)

PAGE: Final = 1000
MOST: Final = 200_000
"""So many VENs are kept; the one that was read longest ago goes first."""


class Quiet(NamedTuple):
    """A poll that found nothing: of whom, with which events and certificate, until when, and what was answered."""

    ven: VtnVen
    events: dict[str, VtnEvent]
    shown: str | None
    until: datetime
    answer: bytes


class Board:
    """Reads a hub's VENs and events, with a memory.

    Args:
        hub: where they are.
        party: to whom changes are told.
        clock: what time it is.
    """

    def __init__(self, hub: Front, party: str, clock: Callable[[], datetime]) -> None:
        self._hub = hub
        self._party = party
        self._clock = clock
        self._vens: dict[str, VtnVen] = {}
        self._forgotten: dict[str, int] = {}
        self._turns: dict[str, int] = {}
        self._count = 0
        self._quiet: dict[bytes, Quiet] = {}
        self.events: dict[str, VtnEvent] = {}
        self.heard: dict[str, datetime] = {}
        """venID -> when it was last heard of by this process."""
        self._at = 0
        self._moved = asyncio.Event()

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Keep up with what changes, for as long as the block lasts."""
        self._at = after = await self._hub.last_notice()
        await self._read_events()
        task = asyncio.create_task(self._follow(after), name="openadr-board")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _follow(self, after: int) -> None:
        async for row in self._hub.notices(self._party, after):
            try:
                if row.topic == "vtn.ven":
                    self.forget(row.subject)
                elif row.topic == "vtn.event":
                    await self._read_event(row.subject)
            except Exception:
                log.exception("the board could not read %s again", row.subject)
            self._at = row.seq
            self._moved.set()

    async def caught_up(self, store: Store) -> None:
        """Wait until it knows all that has been told until now."""
        while rows := await asyncio.to_thread(store.notices, self._party, self._at, PAGE):
            while self._at < rows[-1].seq:
                self._moved.clear()
                await self._moved.wait()

    async def _read_events(self) -> None:
        known = await self._hub.get(VtnAgenda, agenda().id)
        for id_ in () if known is None else known.events:
            await self._read_event(id_)

    async def _read_event(self, id_: str) -> None:
        event = await self._hub.get(VtnEvent, id_)
        if event is not None:
            now = self._clock()
            self.events = {k: one for k, one in self.events.items() if not over(one, now)} | {id_: event}

    def forget(self, ven_id: str) -> None:
        """It changed: read it again when it is next asked for."""
        self._count += 1
        self._vens.pop(ven_id, None)
        self._forgotten.pop(ven_id, None)
        self._forgotten[ven_id] = self._count
        if len(self._forgotten) > MOST:  # whoever asks for venIDs that there are not fills no memory
            del self._forgotten[next(iter(self._forgotten))]

    async def ven(self, ven_id: str) -> VtnVen | None:
        """A VEN, as of the last commit."""
        known = self._vens.get(ven_id)
        if known is not None:
            return known
        before = self._forgotten.get(ven_id)
        found = await self._hub.get(VtnVen, ven_id)
        if found is not None and self._forgotten.get(ven_id) == before:  # it did not change meanwhile
            self._vens[ven_id] = found
            if len(self._vens) > MOST:
                del self._vens[next(iter(self._vens))]
        return found

    def quiet(self, body: bytes, shown: str | None) -> Quiet | None:
        """What a poll of these very bytes was answered with, where it would be answered so again; else None."""
        found = self._quiet.get(body)
        if found is None or found.shown != shown or self._clock() >= found.until:
            return None
        return found if self._vens.get(found.ven.id) is found.ven and self.events is found.events else None

    def hush(self, body: bytes, shown: str | None, ven: VtnVen, answer: bytes) -> None:
        """Remember that a poll of these bytes found nothing, and its answer: as long as nothing changes, it won't.

        Time changes nothing until an event is over, which may have stood before another [rule 18].
        """
        if self._vens.get(ven.id) is not ven:
            return
        until = min((ends(event) for event in self.events.values()), default=FAR_FUTURE)
        self._quiet[body] = Quiet(ven, self.events, shown, until, answer)
        if len(self._quiet) > MOST:
            del self._quiet[next(iter(self._quiet))]

    def turn(self, ven_id: str) -> int:
        """Whose turn it is of what waits for a VEN."""
        turn = self._turns.get(ven_id, 0)
        self._turns[ven_id] = turn + 1
        return turn

    def hear(self, ven_id: str) -> None:
        """It sent a message."""
        self.heard[ven_id] = self._clock()
