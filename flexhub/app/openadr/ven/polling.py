"""Keeps a VEN in touch with its VTN: registers, asks for all events once it is there, and polls.

What the VTN says enters the hub as a journalled message before anything else is said. An empty poll writes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

from flexhub.app.hub.contract import Answer, Message
from flexhub.app.hub.ids import fresh_id
from flexhub.app.hub.loop import Hub
from flexhub.app.openadr.ven.handlers import PEER, Received, Said
from flexhub.app.openadr.ven.papers import OpenadrVen
from flexhub.app.openadr.ven.posting import Answered, VtnClient
from flexhub.app.openadr.ven.settings import Ven
from flexhub.core.documents import decode, encode
from flexhub.core.errors import FlexhubError
from flexhub.core.registry import Role
from flexhub.core.timegrid import floor_to_grid
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.codec import OadrCodec
from flexhub.protocols.openadr2b.elements import Message as Oadr
from flexhub.protocols.openadr2b.names import ResponseCode
from flexhub.protocols.openadr2b.session import ven as session
from flexhub.protocols.openadr2b.session import ven_events, ven_reports
from flexhub.protocols.openadr2b.session.ven_state import Stage, State

log = logging.getLogger(__name__)

LONGEST_PAUSE_S: Final = 300.0
SOON_S: Final = 0.05
PAGE: Final = 1000
MOST: Final = 100
"""So many messages are fetched in one round at most."""
_CODEC: Final = OadrCodec(check=False)


class Poller:
    """Speaks for us with one VTN for as long as it runs.

    Args:
        hub: who is told what the VTN says.
        ven: who we are.
        client: the way there.
        clock: what time it is.
        pause: waits for so many seconds.
    """

    def __init__(
        self,
        hub: Hub,
        ven: Ven,
        client: VtnClient,
        clock: Callable[[], datetime],
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._hub = hub
        self._ven = ven
        self._client = client
        self._clock = clock
        self._pause = pause
        self._synced = False
        self._there = asyncio.Event()
        self._due: datetime | None = None
        self.failing = False

    async def tick(self) -> None:
        """A round, where by the clock one is due, on the grid of the interval: for who steps the time.

        Raises:
            FlexhubError: as `round`.
        """
        now = self._clock()
        if self._due is None or now >= self._due:
            await self.round()
            every = max(1, int(await self._every()))
            self._due = floor_to_grid(now, every) + timedelta(seconds=every)

    async def run(self) -> None:
        """Round after round; after one that failed, later and later."""
        self._synced, failed_s = False, 0.0
        while True:
            try:
                await self.round()
                failed_s, self.failing = 0.0, False
            except Exception as error:
                self.lost()
                failed_s = min(LONGEST_PAUSE_S, 2 * failed_s or 1.0)
                if isinstance(error, FlexhubError):
                    log.warning("the VTN %s can't be spoken with: %s; again in %g s", self._ven.name, error, failed_s)
                else:
                    log.exception("a round with the VTN %s failed; again in %g s", self._ven.name, failed_s)
            await self._rest(failed_s or await self._every())

    async def _rest(self, seconds: float) -> None:
        """Pause, until it is over or the way to the VTN is there again."""
        waits = [asyncio.ensure_future(self._pause(seconds)), asyncio.ensure_future(self._there.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
        self._there.clear()

    def told(self, there: bool) -> None:
        """A connection to the VTN that is kept began, or ended."""
        if there:
            self._there.set()
        else:
            self.lost()

    def lost(self) -> None:
        """After an outage, the next round begins by catching up."""
        self._synced, self.failing = False, True

    async def _every(self) -> float:
        """How long until the next round: as the VTN wants it, or slower where so configured."""
        wanted = float((await self.state()).poll_s)
        own = self._ven.section.poll
        return wanted if own is None else max(wanted, self._ven.section.length("poll").total_seconds())

    async def state(self) -> State:
        """What is known of the VTN."""
        kept = await self._hub.get(OpenadrVen, self._ven.name)
        return State() if kept is None else kept.state

    async def round(self) -> None:
        """Register where we are not, catch up after a start or an outage, and fetch all that there is for us.

        Raises:
            FlexhubError: the VTN cannot be reached, or what it says is no message.
        """
        state = await self.state()
        if state.stage in (Stage.NONE, Stage.AGAIN):
            await self._register(state)
            state = await self.state()
        if not state.registered:
            return
        if not self._synced:
            await self._catch_up(state)
        if self._ven.setup.push_to is None:
            await self._poll()

    async def _register(self, state: State) -> None:
        if state.stage is Stage.NONE:
            await self._said(await self._ask(session.query(seed=_seed())))
        await self._said(await self._ask(session.register(state, self._ven.setup, seed=_seed())))
        self._synced = False

    async def _catch_up(self, state: State) -> None:
        """All events as they are now, and our metadata, where the VTN has not taken them yet."""
        answer = await self._ask(session.request_events(state, seed=_seed()))
        await self._said(answer)
        if not state.reported and self._ven.setup.reports:
            await self._said(await self._ask(ven_reports.register(state, self._ven.setup, self._clock(), seed=_seed())))
        self._synced = True

    async def _poll(self) -> None:
        for _ in range(MOST):
            state = await self.state()
            if not state.registered:
                return
            answer = await self._ask(session.poll(state))
            if answer.message is None or _is_empty(answer.message):
                return
            await self._said(answer)

    async def _ask(self, message: Oadr) -> Answered:
        return await self._client.ask(session.SERVICE[type(message)].value, message)

    async def _said(self, answer: Answered) -> None:
        """Hand in what the VTN said; what has to be answered before the next poll is waited for [rule 64]."""
        if answer.message is None:
            return
        found = await self._hub.submit(self.received(answer.message, answer.xml))
        if found.body and decode(Said, found.body).undecided and not await self._within(self._decided):
            log.warning("what events of %s ask for is not decided in time: opted out", self._ven.name)
            await self._hub.submit(self._message("openadr.ven.late", b"{}"))
        if not await self._within(self._sent):
            log.warning("answers to %s are still on their way", self._ven.name)

    async def _within(self, done: Callable[[], Awaitable[bool]]) -> bool:
        """Whether it is done in the time that an answer may take."""
        try:
            async with asyncio.timeout(self._ven.section.length("answer_within").total_seconds()):
                while not await done():  # noqa: ASYNC110 - another process may do it, and tell nobody
                    await asyncio.sleep(SOON_S)
        except TimeoutError:
            return False
        return True

    async def _decided(self) -> bool:
        return not ven_events.undecided(await self.state())

    async def _sent(self) -> bool:
        rows = await asyncio.to_thread(self._hub.store.sends, 0, PAGE, "waiting")
        own = (PEER + self._ven.name, self._ven.name)  # reports may take their time
        return not any((row.peer, row.conversation) == own for row in rows)

    def received(self, message: Oadr, xml: bytes | None = None) -> Message:
        """What the VTN said, for the hub."""
        text = (_CODEC.encode(message) if xml is None else xml).decode()
        made = self._message("openadr.ven.receive", encode(Received(xml=text)))
        return Message(
            peer=made.peer,
            id=made.id,
            kind=made.kind,
            conversation=made.conversation,
            body=made.body,
            role=made.role,
            value=message,
        )

    def _message(self, kind: str, body: bytes) -> Message:
        return Message(
            peer=PEER + self._ven.name,
            id=fresh_id(),
            kind=kind,
            conversation=self._ven.name,
            body=body,
            role=Role.ADMIN,
        )

    async def submit(self, message: Oadr) -> Answer:
        """Hand in what was pushed."""
        return await self._hub.submit(self.received(message))


def _is_empty(message: Oadr) -> bool:
    """Whether a poll came back with nothing for us: an error is something, since it may end the registration."""
    return isinstance(message, wire.OadrResponse) and message.ei_response.response_code == ResponseCode.OK


def _seed() -> str:
    return uuid.uuid4().hex
