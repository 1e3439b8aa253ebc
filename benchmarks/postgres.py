"""Several hub processes on one database: intake on PostgreSQL beside SQLite, two processes beside one, and failover.

The server is the tests' own: a cluster in a temporary folder, on 127.0.0.1, with every commit on disk before it is
answered. Server, hub processes and load generator share the machine's cores.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from time import perf_counter

from benchmarks import intake
from benchmarks.figure import Figure
from tests.app.hub.shop import Box, hub_at
from tests.postgres import Cluster, cluster

OFFERS = 6_000
PATIENCE_S = 30


def failover_s(url: str) -> float:
    """Seconds from the death of a process that holds a question to the answer by another one."""

    async def wait(other: subprocess.Popen[bytes]) -> float:
        hub = hub_at(url)
        await hub.start(timers=False)
        other.kill()
        killed = perf_counter()
        async with asyncio.timeout(PATIENCE_S):
            while not ((box := await hub.get(Box, "box")) and "told 1" in box.items):  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.02)
        took = perf_counter() - killed
        await hub.stop()
        hub.store.close()
        return took

    command = [sys.executable, "-m", "tests.app.hub.wonder", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None  # noqa: S101 - a pipe
        other.stdout.readline()
        return asyncio.run(wait(other))


def _intake(server: Cluster, *, processes: int, doors: int) -> float:
    return intake.measure(OFFERS, url=server.database(), processes=processes, doors=doors)[0].per_second


def run() -> list[Figure]:
    """Throughput, and the time in which another process takes over."""
    beside, _ = intake.measure(OFFERS)
    with cluster() as server:
        one = _intake(server, processes=1, doors=1)
        two = _intake(server, processes=2, doors=0)
        took = max(failover_s(server.database()) for _ in range(3))
    where = "server and load generator on the same two cores"
    return [
        Figure(
            name="durable intake on PostgreSQL, one hub process and its door",
            value=one,
            unit="offers/s",
            peer=beside.per_second,
            peer_name="SQLite",
            note=where,
        ),
        Figure(
            name="durable intake on PostgreSQL, two hub processes",
            value=two,
            unit="offers/s",
            peer=one,
            peer_name="one, and its door",
            note=where,
        ),
        Figure(
            name="work of a killed hub process taken over",
            value=took,
            unit="s",
            target=5,
            at_most=True,
            note="longest of three",
        ),
    ]
