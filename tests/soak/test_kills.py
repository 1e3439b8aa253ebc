"""Fifty kills at random instants under load, on both stores: nothing is lost, nothing is done or said twice."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from time import perf_counter

import pytest
from aiohttp import web

from flexhub.adapters.http.idempotency import HEADER, read
from flexhub.adapters.store import open_store
from tests.app.hub.shop import url
from tests.app.hub.test_crash import check, kill_after, started
from tests.conftest import ROOT
from tests.postgres import Cluster
from tests.soak.sender import AHEAD, WRITERS

KILLS = 50
RESTART_S = 5.0
"""Within this a killed hub takes messages again."""

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]


@pytest.fixture(params=["sqlite", "postgres"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return url(tmp_path)
    server: Cluster = request.getfixturevalue("postgres")
    return server.database()


def test_what_was_acknowledged_is_there_after_fifty_kills(address: str) -> None:
    dice = Random(50)  # noqa: S311 - when to kill, not a secret
    acknowledged: set[tuple[str, str]] = set()
    for _ in range(KILLS):
        acknowledged |= kill_after(len(acknowledged) + dice.randrange(1, 400), started(address))
    check(address, acknowledged)


@contextmanager
def mailbox() -> Iterator[tuple[str, dict[str, set[bytes]]]]:
    """A peer in a thread of its own: its address, and which bytes came under which id."""
    got: dict[str, set[bytes]] = defaultdict(set)
    loop = asyncio.new_event_loop()
    up: list[str] = []
    ready, stop = threading.Event(), asyncio.Event()

    async def take(request: web.Request) -> web.Response:
        got[read(request.headers.getall(HEADER)) or ""].add(await request.read())
        return web.Response(status=201)

    async def serve() -> None:
        app = web.Application()
        app.router.add_post("/inbox", take)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        up.append(f"http://127.0.0.1:{runner.addresses[0][1]}")
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield up[0], got
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)


def test_what_is_sent_never_says_something_else_under_an_old_id(address: str) -> None:
    dice = Random(51)  # noqa: S311 - as above
    acknowledged: set[str] = set()
    longest = 0.0
    with mailbox() as (peer, got):
        command = [sys.executable, "-m", "tests.soak.sender", address, peer]
        for kill in range(KILLS):
            begun = perf_counter()
            with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as hub:
                assert hub.stdout is not None
                assert hub.stdout.readline() == b"up\n"
                longest = max(longest, perf_counter() - begun)
                said = [hub.stdout.readline() for _ in range(dice.randrange(1, 20 * (kill + 1)))]
                hub.kill()
                said += hub.stdout.readlines()
            acknowledged |= {line.decode().strip().replace(" ", "-") for line in said if line.endswith(b"\n")}
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as hub:  # and now in peace
            assert hub.stdout is not None
            for _ in range(WRITERS * AHEAD + 1):
                hub.stdout.readline()
            store = open_store(address)
            while store.sends(0, 1, "waiting"):
                assert hub.poll() is None
            hub.kill()
        sent = store.sends(0, 1_000_000)
        store.close()
    assert {i: len(bodies) for i, bodies in got.items() if len(bodies) != 1} == {}
    assert acknowledged <= set(got)
    assert {row.message_id: row.body for row in sent} == {i: next(iter(bodies)) for i, bodies in got.items()}
    assert longest < RESTART_S, "the longest restart"
