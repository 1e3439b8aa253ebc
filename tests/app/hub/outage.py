"""A hub that takes one offer at noon and then does nothing more, to be killed: python -m tests.app.hub.outage FOLDER"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from flexhub.app import wiring
from flexhub.app.hub.contract import Message
from flexhub.core.documents import encode
from flexhub.core.registry import Role
from tests.app.api.live import config
from tests.app.market import NOON, Clock, Greedy, make_offer


async def main(folder: Path) -> None:
    async with wiring.running(config(folder), clock=Clock(NOON), engine=Greedy()) as running:
        body = encode(make_offer("o", "ann"))
        message = Message(peer="ann", id="m", kind="flexoffer.post", conversation="o", body=body, role=Role.PROSUMER)
        answer = await running.hub.handle(message)
        os.write(1, f"{answer.status}\n".encode())
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
