"""A hub that sends what it is told, to be killed: python -m tests.soak.sender STORE PEER

Each of its writers hands in messages of its own, 0, 1, 2, ..., always from the start; each is to be sent to the peer.
What is acknowledged is said on stdout, one line each: writer, number.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys

from flexhub.adapters.http.sender import HttpSender, Peer
from flexhub.adapters.store import open_store
from flexhub.app.hub.loop import Hub
from flexhub.app.serving import utc_now
from flexhub.app.wiring import Post
from tests.app.hub.shop import message
from tests.app.hub.test_outbox import HANDLERS

WRITERS = 8
AHEAD = 200
"""So many messages each writer hands in; then it waits for its end."""


async def main(store: str, peer: str) -> None:
    async with HttpSender({"one": Peer(peer)}) as http:
        hub = Hub(open_store(store), HANDLERS, {}, utc_now, sender=Post(http))
        await hub.start(timers=False)
        os.write(1, b"up\n")

        async def write(writer: int) -> None:
            for n in itertools.count():
                if n >= AHEAD:
                    await asyncio.Event().wait()
                await hub.handle(message("tell", f"one/{writer}", f"{writer} {n}", id=f"{writer}-{n}"))
                os.write(1, f"{writer} {n}\n".encode())

        await asyncio.gather(*(write(w) for w in range(WRITERS)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
