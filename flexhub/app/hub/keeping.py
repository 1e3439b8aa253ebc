"""What only one of a hub's processes does at a time: fire timers, send, follow other hubs, poll a VTN."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine


class Keeper:
    """Whether this process is the one; `turned` hears whenever that changes. The hub loop says so, by a lease."""

    def __init__(self, turned: Callable[[], None]) -> None:
        self.on = False
        self._turned = turned
        self._begun, self._ended = asyncio.Event(), asyncio.Event()

    def turn(self, *, on: bool) -> None:
        """It is from now on, or is not."""
        if self.on is on:
            return
        self.on = on
        now, before = (self._begun, self._ended) if on else (self._ended, self._begun)
        before.clear()
        now.set()
        self._turned()

    async def while_on(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Run `work` while it is; cancelled when another process has taken over, and begun anew should it be again."""
        while True:
            await self._begun.wait()
            running, ended = asyncio.ensure_future(work()), asyncio.ensure_future(self._ended.wait())
            try:
                await asyncio.wait((running, ended), return_when=asyncio.FIRST_COMPLETED)
                if running.done():
                    return running.result()
            finally:
                running.cancel()
                ended.cancel()
                await asyncio.gather(running, ended, return_exceptions=True)
