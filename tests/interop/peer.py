"""shapeshifter-uftp beside our hubs: a process in an environment of its own, which `make peer` makes."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from flexhub.protocols.uftp import messages as wire
from tests.app.uftp import stage as s
from tests.conftest import ROOT, need

PYTHON: Final = ROOT / "build" / "peers" / "shapeshifter-uftp" / "bin" / "python"
DRIVER: Final = Path(__file__).with_name("driver.py")
PATIENCE_S: Final = 20
LINE: Final = 1 << 20


class Told(msgspec.Struct, frozen=True):
    """One line of the driver's."""

    listens: tuple[str, ...] = ()
    received: str = ""
    xml: str = ""
    sent: str = ""
    failed: str = ""
    status: int = 0


class Peer:
    """The library as one participant."""

    def __init__(self, name: str, process: Process) -> None:
        self.name = name
        self.told: list[Told] = []
        self._process = process
        self._news = asyncio.Condition()
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            async with self._news:
                self.told.append(msgspec.json.decode(line, type=Told))
                self._news.notify_all()

    async def heard(self, **wanted: Any) -> Told:
        """What it told with these words, the latest; waited for."""

        def look() -> Told | None:
            fitting = (one for one in reversed(self.told) if all(getattr(one, k) == v for k, v in wanted.items()))
            return next(fitting, None)

        async with asyncio.timeout(PATIENCE_S), self._news:
            await self._news.wait_for(lambda: look() is not None)
        found = look()
        assert found is not None
        return found

    async def received(self, kind: type[wire.Payload], message_id: str) -> wire.Payload:
        """A message that came, as the library wrote it again; of an answer, `message_id` is what it answers."""

        def look() -> wire.Payload | None:
            for one in self.told:
                if one.xml and message_id in one.xml and one.received.lower() == kind.__name__.lower():
                    return s.CODEC.decode(one.xml.encode())
            return None

        async with asyncio.timeout(PATIENCE_S), self._news:
            await self._news.wait_for(lambda: look() is not None)
        found = look()
        assert found is not None
        return found

    async def command(self, **said: Any) -> None:
        """Tell it what to do."""
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(said) + b"\n")
        await self._process.stdin.drain()

    async def send(self, message: wire.Payload, to: str) -> None:
        """Have it send a message, and see that it is taken."""
        await self.command(send=s.CODEC.encode(message).decode(), role=s.ROLES[to])
        await self.heard(sent=message.message_id)

    async def close(self) -> None:
        """It ends by itself once nobody tells it anything any more."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        async with asyncio.timeout(PATIENCE_S):
            await self._process.wait()
        await self._listening
        assert self._process.returncode == 0


@asynccontextmanager
async def peer(folder: Path, name: str, port: int) -> AsyncIterator[Peer]:
    """The library as the participant of this name, as it stands in the folder's directory."""
    process = await asyncio.create_subprocess_exec(
        PYTHON,
        DRIVER,
        s.ROLES[name],
        s.domain(name),
        s.key(name).text(),
        folder / "participants.toml",
        str(port),
        stdin=PIPE,
        stdout=PIPE,
        stderr=(folder / f"{name}.log").open("wb"),
        limit=LINE,
    )
    made = Peer(name, process)
    try:
        assert (await made.heard(listens=("127.0.0.1",))).listens
        yield made
    finally:
        if sys.exc_info()[0] is not None:
            process.terminate()
            await process.wait()
        else:
            await made.close()


def needed() -> None:
    """Skip where the library is not installed; in CI that is a failure."""
    need(PYTHON.exists(), "no shapeshifter-uftp here; `make peer` installs it")
