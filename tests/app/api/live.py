"""A hub that serves on a free port of 127.0.0.1, in a thread of its own, and a client for it."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
import uvloop

from flexhub.app import wiring
from flexhub.app.config import (
    Config,
    ContractSection,
    HubSection,
    PartySection,
    PlanSection,
    SettleSection,
    StoreSection,
)
from flexhub.core.registry import Role
from flexhub.engines.slots import ManagerEngine
from tests.app.market import AGGREGATOR, NOON, Clock, Greedy

T = TypeVar("T")

PROSUMERS = ("ann", "bob")
TOKENS = {
    "ann": Role.PROSUMER,
    "bob": Role.PROSUMER,
    "eve": Role.PROSUMER,  # without a contract
    AGGREGATOR: Role.AGGREGATOR,
    "other-agr": Role.AGGREGATOR,
    "dso": Role.GRID_OPERATOR,
    "util": Role.UTILITY,
    "mo": Role.MARKET_OPERATOR,
    "root": Role.ADMIN,
}


class Response(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Live:
    """The running hub, as its clients see it; `call` reaches its event loop."""

    def __init__(self, running: wiring.Running, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        self.running = running
        self.clock = clock
        self.tokens: dict[str, str] = {}
        self._loop = loop

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def request(
        self,
        method: str,
        path: str,
        who: str | None = "ann",
        body: msgspec.Struct | bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Response:
        sent = {"Content-Type": "application/json"} if body is not None else {}
        if who is not None:
            sent["Authorization"] = f"Bearer {self.tokens.get(who, who)}"
        data = msgspec.json.encode(body) if isinstance(body, msgspec.Struct) else body
        connection = http.client.HTTPConnection(self.running.host, self.running.port, timeout=30)
        try:
            connection.request(method, path, data, sent | (headers or {}))
            answer = connection.getresponse()
            return Response(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def get(self, path: str, who: str | None = "ann") -> Any:
        answer = self.request("GET", path, who)
        assert answer.status == 200, answer
        return answer.json

    def quiet(self) -> None:
        """Fire what is due, and wait until all that follows is done."""
        self.call(self.running.hub.tick())
        self.call(self.running.hub.settled())

    def plan(self) -> None:
        """Have the portfolio planned now."""
        assert self.request("POST", "/plan", AGGREGATOR).status == 202
        self.quiet()

    def journal(self) -> int:
        """How many messages changed something so far."""
        return len(self.running.hub.store.journal(0, 1_000_000))


def config(folder: Path) -> Config:
    """A hub with two prosumers under contract, one without, and nothing that runs by itself."""
    parties = [
        PartySection(id=name, roles=(Role.PROSUMER,), contract=ContractSection(id=f"c-{name}")) for name in PROSUMERS
    ]
    return Config(
        hub=HubSection(name=AGGREGATOR, roles=(Role.AGGREGATOR, Role.MARKET_OPERATOR), listen="127.0.0.1:0"),
        store=StoreSection(url=f"sqlite:///{folder / 'hub.db'}"),
        plan=PlanSection(every=None),
        settle=SettleSection(every=None),
        party=tuple(parties),
    )


@contextmanager
def live(configured: Config, clock: Clock | None = None, engine: ManagerEngine | None = None) -> Iterator[Live]:
    """Serve in a thread until the block ends; the manager is a `Greedy` one unless told otherwise."""
    clock = clock or Clock(NOON)
    loop = uvloop.new_event_loop()
    up: list[Live] = []
    started, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        try:
            async with wiring.running(configured, clock=clock, engine=engine or Greedy(), timers=False) as running:
                hub = Live(running, loop, clock)
                for party, role in TOKENS.items():
                    hub.tokens[party] = await running.hub.add_token(party, role)
                up.append(hub)
                started.set()
                await stop.wait()
        finally:
            started.set()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert started.wait(30)
    assert up, "the hub did not start"
    try:
        yield up[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        assert not thread.is_alive(), "the hub did not stop"
        loop.close()
