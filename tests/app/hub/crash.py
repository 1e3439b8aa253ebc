"""A hub under load, to be killed: python -m tests.app.hub.crash URL

Each of its writers fills a box of its own with 0, 1, 2, ..., always from the start, so that a second run sends again
what the first one sent. What is acknowledged is said on stdout, one line each: box, number.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys

from flexhub.app.hub.loop import Hub
from tests.app.hub.shop import hub_at, message

WRITERS = 24


async def write(a_hub: Hub, box: str) -> None:
    for n in itertools.count():
        await a_hub.handle(message("fill", box, str(n), id=f"{box}-{n}"))
        os.write(1, f"{box} {n}\n".encode())


async def main(address: str) -> None:
    a_hub = hub_at(address)
    await a_hub.start()
    await asyncio.gather(*(write(a_hub, f"box{n}") for n in range(WRITERS)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
