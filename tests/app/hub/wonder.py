"""A hub that has one item in a box, asks how many there are, and never learns it: python -m tests.app.hub.wonder URL"""

from __future__ import annotations

import asyncio
import os
import sys

from tests.app.hub.shop import Count, hub_at, message


async def main(url: str) -> None:
    count = Count()
    count.go.clear()
    hub = hub_at(url, askers={"test.count": count})
    await hub.start(timers=False)
    await hub.handle(message("fill", "box", "a", id="fill"))
    await hub.handle(message("wonder", "box", id="wonder"))
    os.write(1, b"asked\n")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
