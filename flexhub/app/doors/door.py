"""A door: the process that speaks HTTP. It reads the store itself, and hands the hub what changes anything."""

from __future__ import annotations

import asyncio
import itertools
import pickle
import signal
import socket
import sys
from collections.abc import Callable
from typing import Final

from flexhub.adapters.store import open_store
from flexhub.adapters.store.interface import Store
from flexhub.app import logs
from flexhub.app.access.audit import Access
from flexhub.app.config import Config
from flexhub.app.doors.frames import CLOSE, Answered, Asked, Changed, Frames, Noted, Refused, ToDoor, Told, Wanted
from flexhub.app.hub.contract import Answer, Message
from flexhub.app.hub.reading import Front
from flexhub.app.metrics import Http
from flexhub.app.pages import Settings
from flexhub.app.serving import Apply, service_of, serving_http, spare_collector, utc_now
from flexhub.core.errors import UnavailableError

READY: Final = "ready\n"
TELL_S: Final = 1.0
"""How often a door tells the hub what it has counted."""

LOST: Final = "the hub went away before it answered; send the message again"


class Door(Front):
    """Takes the hub's place in a process of its own: messages go to the hub over the socket, questions to the store."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.http = Http()
        self.apply: Apply = lambda _config: None
        self.gone = asyncio.Event()
        """Set once the hub is gone; nothing can be handled any more."""
        self._numbers = itertools.count()
        self._open_messages: dict[int, asyncio.Future[Answer]] = {}
        self._frames: Frames[Answered | Refused | Told | Changed] = Frames(ToDoor, self._received, self._lost)

    async def connect(self, hub: socket.socket) -> None:
        """Speak with the hub over this socket."""
        await asyncio.get_running_loop().create_unix_connection(lambda: self._frames, sock=hub)

    async def handle(self, message: Message) -> Answer:
        """As `Hub.handle`.

        Raises:
            UnavailableError: also where the hub went away meanwhile; it may or may not have worked the message.
            FlexhubError: the hub's refusal.
        """
        return await self._ask(lambda number: Asked.of(number, message))

    async def report(self, what: str) -> bytes:
        """As `Hub.report`: the hub's process tells of all.

        Raises:
            UnavailableError: the hub is gone.
        """
        return (await self._ask(lambda number: Wanted(number, what))).body

    def note(self, access: Access) -> None:
        """As `Hub.note`."""
        self._frames.say(Noted(access))

    async def tell_served(self) -> None:
        """Tell the hub from time to time what was served."""
        while True:
            await asyncio.sleep(TELL_S)
            self._frames.say(self.http.served())

    async def _ask(self, item: Callable[[int], Asked | Wanted]) -> Answer:
        if self.gone.is_set():
            raise UnavailableError(LOST)
        number = next(self._numbers)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._open_messages[number] = answer
        self._frames.say(item(number))
        try:
            return await answer
        finally:
            self._open_messages.pop(number, None)

    def _received(self, items: list[Answered | Refused | Told | Changed]) -> None:
        for item in items:
            match item:
                case Told(parties=parties):
                    self.told(parties)
                case Changed(config=config):
                    self.apply(pickle.loads(config))  # noqa: S301 - written by the process that started this one
                case Answered(number=number):
                    answer = self._open_messages.get(number)
                    if answer is not None and not answer.done():
                        answer.set_result(item.outcome())
                case Refused(number=number):
                    answer = self._open_messages.get(number)
                    if answer is not None and not answer.done():
                        answer.set_exception(item.outcome())

    def _lost(self) -> None:
        self.gone.set()
        for answer in self._open_messages.values():
            if not answer.done():
                answer.set_exception(UnavailableError(LOST))


async def serve(config: Config, page: Settings, hub: socket.socket, bound: socket.socket) -> None:
    """Serve until told to stop, or until the hub is gone."""
    loop = asyncio.get_running_loop()
    store = open_store(config.store.url)
    try:
        door = Door(store)
        await door.connect(hub)
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(signum, lambda: None)
        loop.add_signal_handler(CLOSE, door.gone.set)
        telling = asyncio.create_task(door.tell_served(), name="door-tell")
        service = service_of(config, door, utc_now, page.version, door.http)
        async with serving_http(service, config, page, bound) as door.apply:
            spare_collector()
            sys.stdout.write(READY)
            sys.stdout.flush()
            await door.gone.wait()
            door.end_notices()
        telling.cancel()
        door.close()
    finally:
        store.close()


def main() -> None:
    """``python -m flexhub.app.doors.door HUB LISTEN``: two sockets by their numbers, and a configuration on stdin."""
    import uvloop  # noqa: PLC0415 - not on every platform, and only where a hub runs

    hub, bound = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
    config, page = pickle.load(sys.stdin.buffer)  # noqa: S301 - written by the process that started this one
    logs.begin(config.log.form, config.log.level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(config, page, hub, bound))


if __name__ == "__main__":
    main()
