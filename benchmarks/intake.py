"""Durable flex-offer intake over HTTP: offers of 16 slices, each with token check, lifecycle and manager's verdict.

The whole program serves, on SQLite with synchronous=FULL: one process decides and stores, another speaks HTTP (a door).
The load generator is a third on the same cores: so many connections, each sending its next offer when the last one is
answered. Beside it the same program in a single process, and with one commit per message. Then offers go on coming
until 100,000 are live, and the hub's memory is read. After each run the store is read: every offer that was measured
must be in it.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import NamedTuple, cast

import msgspec
import uvloop

from benchmarks.figure import Figure
from flexhub.adapters.store import open_store
from flexhub.core.documents import encode
from flexhub.core.flexoffer import EnergyRange, FlexOffer, Profile, Slice
from flexhub.core.registry import Role

OFFERS = 12_000
LIVE_OFFERS = 100_000
NAIVE_OFFERS = 1_500
WARM_UP = 500
CONNECTIONS = 128
PROSUMERS = 50
SLICES = 16
LONGEST_S = 300


class Ready(msgspec.Struct):
    """What the server says once it listens."""

    port: int
    tokens: list[str]


class Load(NamedTuple):
    """What the load generator saw: answers other than 201, and each answer's latency."""

    seconds: float
    failures: int
    latencies_s: list[float]

    @property
    def per_second(self) -> float:
        """Offers acknowledged per second."""
        return len(self.latencies_s) / self.seconds

    @property
    def p99_ms(self) -> float:
        """Latency that 99 of 100 answers keep within."""
        ordered = sorted(self.latencies_s)
        return ordered[int(len(ordered) * 0.99)] * 1e3


# -- the server's process ---------------------------------------------------------------------------------------------


async def serve(url: str, max_batch: int, doors: int) -> None:
    """Serve until stdin closes."""
    from flexhub.app import config as c  # noqa: PLC0415 - the load generator doesn't need the hub
    from flexhub.app import wiring  # noqa: PLC0415 - as above
    from flexhub.engines.reference.manager import ReferenceManager  # noqa: PLC0415 - as above

    names = [f"prosumer-{n}" for n in range(PROSUMERS)]
    configured = c.Config(
        hub=c.HubSection(name="aggregator", listen="127.0.0.1:0", doors=doors),
        store=c.StoreSection(url=url, max_batch=max_batch),
        plan=c.PlanSection(every=None),
        settle=c.SettleSection(every=None),
        party=tuple(
            c.PartySection(id=name, roles=(Role.PROSUMER,), contract=c.ContractSection(id=f"contract-{name}"))
            for name in names
        ),
    )
    async with wiring.running(configured, engine=ReferenceManager(party="aggregator")) as running:
        tokens = [await running.hub.add_token(name, Role.PROSUMER) for name in names]
        sys.stdout.write(msgspec.json.encode(Ready(running.port, tokens)).decode() + "\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


# -- the load generator -----------------------------------------------------------------------------------------------


def requests(tokens: list[str], count: int, first: int) -> list[bytes]:
    """So many posts of an offer of its own each, from the prosumers in turn, as bytes."""
    now = datetime.now(UTC).replace(microsecond=0)
    made = []
    for n in range(first, first + count):
        offer = FlexOffer(
            id=f"offer-{n:08}",
            issuer=f"prosumer-{n % PROSUMERS}",
            created=now,
            accept_before=now + timedelta(hours=1),
            start_after=now + timedelta(hours=2),
            start_before=now + timedelta(hours=4),
            profiles=(
                Profile(slices=tuple(Slice(energy_kwh=(EnergyRange(0.25, 1.25 + i / 100),)) for i in range(SLICES))),
            ),
        )
        body = encode(offer)
        head = (
            "POST /flexoffer HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {tokens[n % PROSUMERS]}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nIdempotency-Key: {offer.id}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return made


class Client(asyncio.Protocol):
    """One connection: sends the next request when the last one is answered.

    It looks no further into an answer than its status and length, so that it leaves the cores to the server.
    """

    def __init__(self, todo: Iterator[bytes], latencies: list[float]) -> None:
        self.done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._todo = todo
        self._latencies = latencies
        self._failures = 0
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.WriteTransport", transport)
        self._next()

    def _next(self) -> None:
        request = next(self._todo, None)
        if request is None:
            self.done.set_result(self._failures)
            self._transport.close()
            return
        self._sent = perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """An answer, or part of one."""
        self._answer += data
        head, end, body = self._answer.partition(b"\r\n\r\n")
        if not end or len(body) < int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]):
            return
        self._latencies.append(perf_counter() - self._sent)
        self._failures += not self._answer.startswith(b"HTTP/1.1 201 ")
        self._answer = b""
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        """The server hung up too early."""
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("closed by the server"))


async def load(ports: list[int], todo: list[bytes]) -> Load:
    """Send all, over `CONNECTIONS` connections, to these ports in turn."""
    latencies: list[float] = []
    loop, rest = asyncio.get_running_loop(), iter(todo)
    begun = perf_counter()
    made = [
        await loop.create_connection(lambda: Client(rest, latencies), "127.0.0.1", ports[n % len(ports)])
        for n in range(CONNECTIONS)
    ]
    async with asyncio.timeout(LONGEST_S):
        failures = await asyncio.gather(*(client.done for _, client in made))
    return Load(perf_counter() - begun, sum(failures), latencies)


def peak_mib(pid: int) -> float:
    """The most memory that a process and those that it started have held so far."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024 + sum(peak_mib(int(child)) for child in children)


def measure(  # noqa: PLR0913 - what is compared
    count: int, *, max_batch: int = 256, doors: int = 1, live: int = 0, url: str | None = None, processes: int = 1
) -> tuple[Load, float]:
    """Serve from an empty store, warm up, send `count` offers, and look them up in the store.

    Args:
        count: how many offers are timed.
        max_batch: most messages in one commit.
        doors: processes for HTTP, of each hub process.
        live: so many offers are sent in all before the memory is read.
        url: an empty store; by default an SQLite file.
        processes: hub processes on the one store.

    Returns:
        The load, and the peak memory in MiB of the server's processes once `live` offers are in the store.

    Raises:
        RuntimeError: an offer was refused, or acknowledged and lost.
    """
    with tempfile.TemporaryDirectory() as name, ExitStack() as running:
        url = url or f"sqlite:///{Path(name) / 'hub.db'}"
        command = [sys.executable, "-m", "benchmarks.intake", url, str(max_batch), str(doors)]
        servers, ready = [], []
        for _ in range(processes):  # one after the other: the first one makes the tables
            server = running.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            assert server.stdout is not None  # noqa: S101 - a pipe
            servers.append(server)
            ready.append(msgspec.json.decode(server.stdout.readline(), type=Ready))
        ports, tokens = [r.port for r in ready], ready[0].tokens
        uvloop.run(load(ports, requests(tokens, WARM_UP, 0)))
        done = uvloop.run(load(ports, requests(tokens, count, WARM_UP)))
        failures = done.failures
        for first in range(WARM_UP + count, live, count):
            failures += uvloop.run(load(ports, requests(tokens, min(count, live - first), first))).failures
        peak = sum(peak_mib(server.pid) for server in servers)
        for server in servers:
            server.communicate()
        if failures:
            raise RuntimeError(f"{failures} offers were not answered with 201")
        store = open_store(url)
        stored = sum(store.document("FlexOffer", f"offer-{n:08}") is not None for n in range(WARM_UP + count))
        store.close()
        if stored != WARM_UP + count:
            raise RuntimeError(f"{WARM_UP + count - stored} acknowledged offers are not in the store")
    return done, peak


def run() -> list[Figure]:
    """Throughput and latency beside those of one commit per message, and the hub's memory."""
    (grouped, peak), (alone, _) = measure(OFFERS, live=LIVE_OFFERS), measure(OFFERS, doors=0)
    naive, _ = measure(NAIVE_OFFERS, max_batch=1, doors=0)
    beside = "one commit per message"
    where = f"{CONNECTIONS} connections, load generator on the same cores"
    return [
        Figure(
            name="durable flex-offer intake over HTTP",
            value=grouped.per_second,
            unit="offers/s",
            target=2500,
            peer=naive.per_second,
            peer_name=beside,
            note=where,
        ),
        Figure(
            name="durable flex-offer intake, latency p99",
            value=grouped.p99_ms,
            unit="ms",
            target=100,
            at_most=True,
            peer=naive.p99_ms,
            peer_name=beside,
            note=where,
        ),
        Figure(
            name="durable flex-offer intake over HTTP, single process",
            value=alone.per_second,
            unit="offers/s",
            peer=naive.per_second,
            peer_name=beside,
            note=where,
        ),
        Figure(
            name="memory of a hub with 100,000 live flex-offers in its store",
            value=peak,
            unit="MiB",
            target=1024,
            at_most=True,
            note="peak of both processes",
        ),
    ]


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
