"""Durable intake over HTTP: flex-offers of 16 slices, posted by a load generator on the same machine.

    python -m benchmarks.intake [--seconds 5] [--connections 64]

The hub is a process of its own with SQLite (synchronous=FULL), token check, lifecycle and the manager's acceptance.
The generator keeps `connections` requests in flight and times each one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO, cast

import uvloop

from flexhub.core.documents import encode
from flexhub.core.flexoffer import EnergyRange, FlexOffer, Profile, Schedule, ScheduleSlice, Slice
from flexhub.core.registry import Role

SLICES = 16
CONFIG = """
[hub]
name = "agr"
listen = "127.0.0.1:0"
[store]
url = "sqlite:///{folder}/hub.db"
[[party]]
id = "ann"
roles = ["prosumer"]
contract = {{ id = "c-ann" }}
"""


def serve(path: str) -> None:
    """The hub's process: prints its address and a token, then serves until its input ends."""
    from flexhub.app import config, wiring  # noqa: PLC0415 - the generator's process does not need them

    async def run() -> None:
        async with wiring.running(config.load(path)) as hub:
            token = await hub.hub.add_token("ann", Role.PROSUMER)
            print(json.dumps({"host": hub.host, "port": hub.port, "token": token}), flush=True)
            begun = time.process_time()
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
            stats, cpu = hub.hub.stats, time.process_time() - begun
            print(json.dumps({"messages": stats.messages, "mean_batch": stats.mean_batch, "cpu_s": cpu}), flush=True)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def bodies(count: int, now: datetime) -> list[bytes]:
    """Offers to post; they differ in id and energies."""
    start = (now + timedelta(hours=6)).replace(minute=0, second=0, microsecond=0)
    made = []
    for n in range(count):
        hi = 1.0 + (n % 100) / 100
        slices = tuple(Slice(energy_kwh=(EnergyRange(0.0, hi),)) for _ in range(SLICES))
        default = Schedule(start=start, slices=tuple(ScheduleSlice(energy_kwh=hi) for _ in range(SLICES)))
        offer = FlexOffer(
            id=f"o{n}",
            issuer="ann",
            created=now,
            start_after=start,
            start_before=start + timedelta(hours=4),
            profiles=(Profile(slices=slices, total_energy_kwh=EnergyRange(hi, SLICES * hi)),),
            default_schedule=default,
        )
        made.append(encode(offer))
    return made


class Client(asyncio.Protocol):
    """One connection with one request in flight at a time; the least a client can do, to leave the hub the machine."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._buffer = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._next()

    def _next(self) -> None:
        request = self._load.take()
        if request is None:
            self._transport.close()
            return
        self._sent = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Count an answer when it is whole."""
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        at = head.lower().index(b"content-length:") + 15
        length = int(head[at:].split(b"\r\n", 1)[0])
        if len(rest) < length:
            return
        self._buffer = b""
        self._load.done(head[9:12], rest, time.perf_counter() - self._sent)
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that this connection is over."""
        self._load.left(exc)


class Load:
    """What is to be sent, and what came back."""

    def __init__(self, head: bytes, offers: list[bytes], connections: int) -> None:
        self._head = head
        self._offers = iter(offers)
        self._open = connections
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.until = float("inf")
        self.latencies: list[float] = []
        self.wrong: list[bytes] = []

    def take(self) -> bytes | None:
        """The next request; None at the end."""
        body = None if time.perf_counter() > self.until else next(self._offers, None)
        return None if body is None else self._head + b"Content-Length: %d\r\n\r\n" % len(body) + body

    def done(self, status: bytes, body: bytes, seconds: float) -> None:
        """One answer."""
        self.latencies.append(seconds)
        if status != b"201" or b'"accepted"' not in body:
            self.wrong.append(status + b" " + body[:300])

    def left(self, exc: Exception | None) -> None:
        """One connection ended."""
        self._open -= 1
        if exc is not None:
            self.wrong.append(repr(exc).encode())
        if self._open == 0:
            self.over.set_result(None)


async def generate(address: dict[str, Any], offers: list[bytes], connections: int, seconds: float) -> Load:
    """Post for so many seconds."""
    head = (
        f"POST /flexoffer HTTP/1.1\r\nHost: {address['host']}\r\nAuthorization: Bearer {address['token']}\r\n"
        "Content-Type: application/json\r\n"
    ).encode()
    load = Load(head, offers, connections)
    load.until = time.perf_counter() + seconds
    loop = asyncio.get_running_loop()
    for _ in range(connections):
        await loop.create_connection(lambda: Client(load), address["host"], address["port"])
    await load.over
    return load


def measure(seconds: float, connections: int) -> dict[str, Any]:
    """Start a hub, post to it, and return the figures."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "hub.toml")
        path.write_text(CONFIG.format(folder=folder))
        command = [sys.executable, "-m", "benchmarks.intake", "--serve", str(path)]
        hub = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        address = json.loads(cast("TextIO", hub.stdout).readline())
        offers = bodies(int(seconds * 8000), datetime.now(UTC))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            begun = time.perf_counter()
            load = runner.run(generate(address, offers, connections, seconds))
            took = time.perf_counter() - begun
        out, _ = hub.communicate("")
    if load.wrong:
        raise SystemExit(f"{len(load.wrong)} wrong answers, the first: {load.wrong[0].decode()}")
    stats = json.loads(out)
    latencies = sorted(load.latencies)
    return {
        "what": "durable flex-offer intake over HTTP",
        "offers_per_s": round(len(latencies) / took),
        "p50_ms": round(latencies[len(latencies) // 2] * 1000, 1),
        "p99_ms": round(latencies[int(len(latencies) * 0.99)] * 1000, 1),
        "offers": len(latencies),
        "connections": connections,
        "mean_batch": round(stats["mean_batch"], 1),
        "hub_cpu_us": round(stats["cpu_s"] / len(latencies) * 1e6),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


def main() -> None:
    """Measure, or be the hub that is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve)
    else:
        print(json.dumps(measure(args.seconds, args.connections), indent=2))


if __name__ == "__main__":
    main()
