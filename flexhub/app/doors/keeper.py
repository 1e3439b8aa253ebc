"""The hub's side of its doors: starts them, works what they hand in, and opens a new one where one has died."""

from __future__ import annotations

import asyncio
import logging
import pickle
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from flexhub.app import logs
from flexhub.app.config import Config
from flexhub.app.doors.frames import CLOSE, Answered, Asked, Changed, Frames, Noted, Refused, ToHub, Told, Wanted
from flexhub.app.hub.contract import Answer
from flexhub.app.hub.loop import Hub
from flexhub.app.metrics import Served
from flexhub.app.pages import Settings
from flexhub.app.serving import Apply
from flexhub.core.errors import FlexhubError, InternalError

log = logging.getLogger(__name__)

START_S: Final = 30.0
"""How long a door may take to open."""

STOP_S: Final = 5.0
"""How long a door may take to close; then it is killed."""


@asynccontextmanager
async def doors(hub: Hub, config: Config, page: Settings, bound: socket.socket) -> AsyncIterator[Apply]:
    """As many doors as configured, on this socket, for as long as the block lasts.

    What comes out brings a changed configuration into all of them.

    Raises:
        InternalError: one does not open; its own words are on stderr.
    """
    kept = [_Kept(hub, pickle.dumps((config, page)), bound) for _ in range(config.hub.doors)]
    try:
        await asyncio.gather(*(door.open() for door in kept))
        watching = [asyncio.create_task(door.watch(), name="hub-door") for door in kept]

        def apply(changed: Config) -> None:
            logs.begin(changed.log.form, changed.log.level)
            for door in kept:
                door.tell(changed, page)

        try:
            yield apply
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
    finally:
        await asyncio.gather(*(door.shut() for door in kept))


class _Line:
    """The hub's end of the socket to one door. What is answered after the door has died is said to nobody."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.frames: Frames[Asked | Wanted | Served | Noted] = Frames(ToHub, self._received, self._hung_up)
        hub.tell(self._tell)

    def _received(self, items: list[Asked | Wanted | Served | Noted]) -> None:
        for item in items:
            if isinstance(item, Served):
                self._hub.work.served(self, item)
                continue
            if isinstance(item, Noted):
                self._hub.note(item.access)
                continue
            try:
                answer: asyncio.Future[Answer]
                if isinstance(item, Wanted):
                    answer = asyncio.ensure_future(self._report(item.what))
                else:
                    answer = self._hub.submit(item.message())
            except FlexhubError as error:
                self.frames.say(Refused.of(item.number, error))
            else:
                answer.add_done_callback(partial(self._answered, item.number))

    async def _report(self, what: str) -> Answer:
        return Answer(status=200, body=await self._hub.report(what))

    def _answered(self, number: int, done: asyncio.Future[Answer]) -> None:
        error = done.exception()
        if error is None:
            answer = done.result()
            self.frames.say(Answered(number, answer.status, answer.body))
        else:
            self.frames.say(Refused.of(number, error))

    def _tell(self, parties: tuple[str, ...] | None) -> None:
        self.frames.say(Told(parties))

    def _hung_up(self) -> None:
        self._hub.tell_no_more(self._tell)
        self._hub.work.closed(self)


class _Kept:
    """One door and, should it die, the next in its place."""

    def __init__(self, hub: Hub, told: bytes, bound: socket.socket) -> None:
        self._hub = hub
        self._told = told
        self._bound = bound
        self._process: asyncio.subprocess.Process | None = None
        self._line: _Line | None = None

    async def open(self) -> None:
        """Start the process, and wait until it serves.

        Raises:
            InternalError: it does not.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            numbers = theirs.fileno(), self._bound.fileno()
            self._process = process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "flexhub.app.doors.door"),
                *map(str, numbers),
                pass_fds=numbers,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
        line = self._line = _Line(self._hub)
        await asyncio.get_running_loop().create_unix_connection(lambda: line.frames, sock=ours)
        assert process.stdin is not None  # noqa: S101 - pipes, as asked for
        assert process.stdout is not None  # noqa: S101 - as above
        process.stdin.write(self._told)
        process.stdin.close()
        try:
            async with asyncio.timeout(START_S):
                said = await process.stdout.readline()
        except TimeoutError:
            said = b""
        if not said:
            raise InternalError("a process for HTTP did not start; its reason is in the log")

    def tell(self, config: Config, page: Settings) -> None:
        """Bring a changed configuration in, also into the doors that come after this one."""
        self._told = pickle.dumps((config, page))
        if self._line is not None:
            self._line.frames.say(Changed(pickle.dumps(config)))

    async def watch(self) -> None:
        """Open a new door whenever this one has died."""
        while self._process is not None:
            code = await self._process.wait()
            log.error("a process for HTTP ended with code %d; starting another", code)
            try:
                await self.open()
            except InternalError:
                log.exception("trying again")

    async def shut(self) -> None:
        """Let it finish what it serves, then end it."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(CLOSE)
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
