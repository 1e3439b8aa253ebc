"""Stream fan-out: a thousand subscribers, each told of every one of a hundred changes a second.

The whole program serves; subscribers and the one who makes changes are another process on the same cores. All subscribe
to one party's stream, so every change goes to every one of them. A change's latency is from when its request is sent to
when a subscriber has read it.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import cast

import msgspec
import uvloop

from benchmarks import intake
from benchmarks.figure import Figure

SUBSCRIBERS = 1000
PER_SECOND = 100
SECONDS = 10
WARM_UP_S = 2
PATIENCE_S = 60.0
ID = re.compile(rb'"id":"(offer-\d+)"')


class Listener(asyncio.Protocol):
    """One subscriber: notes when it has read what."""

    def __init__(self, token: str, sent: dict[bytes, float], latencies: list[float]) -> None:
        self.open: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._head = (
            f"GET /flexoffer/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n"
        ).encode()
        self._sent = sent
        self._latencies = latencies
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Subscribe."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._head)

    def data_received(self, data: bytes) -> None:
        """Some events; the last one may be cut."""
        now = perf_counter()
        if not self.open.done():
            self.open.set_result(None)
        whole, _, self._rest = (self._rest + data).rpartition(b"\n\n")
        for id_ in ID.findall(whole):
            self._latencies.append(now - self._sent[id_])


async def listen(port: int, tokens: list[str]) -> tuple[list[float], int]:
    """Subscribe, make changes at their pace, and wait until all have been seen: latencies, and how many were missed."""
    loop = asyncio.get_running_loop()
    sent: dict[bytes, float] = {}
    latencies: list[float] = []
    made = [
        (await loop.create_connection(lambda: Listener(tokens[0], sent, latencies), "127.0.0.1", port))[1]
        for _ in range(SUBSCRIBERS)
    ]
    await asyncio.gather(*(one.open for one in made))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    posts = [
        r
        for n, r in enumerate(intake.requests(tokens, intake.PROSUMERS * (SECONDS + WARM_UP_S) * PER_SECOND, 0))
        if n % intake.PROSUMERS == 0
    ]  # those of the first party
    begun, timed = perf_counter(), 0
    async with asyncio.timeout(PATIENCE_S):
        for n, post in enumerate(posts):
            await asyncio.sleep(max(0.0, begun + n / PER_SECOND - perf_counter()))
            if n == WARM_UP_S * PER_SECOND:
                timed = len(latencies)
            sent[re.search(rb"Idempotency-Key: (\S+)", post).group(1)] = perf_counter()  # type: ignore[union-attr] # all have one
            writer.write(post)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 201 "):
                raise RuntimeError(head.decode())
            await reader.readexactly(int(re.search(rb"(?i)content-length: (\d+)", head).group(1)))  # type: ignore[union-attr] # as above
        while len(latencies) < len(posts) * SUBSCRIBERS:  # noqa: ASYNC110 - a thousand listeners add to it
            await asyncio.sleep(0.05)
    for one in made:
        one.transport.close()
    writer.close()
    return latencies[timed:], len(posts) * SUBSCRIBERS - len(latencies)


def measure() -> list[float]:
    """Serve, listen, and give the latencies in order."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'hub.db'}"
        command = [sys.executable, "-m", "benchmarks.fanout", url]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
            assert server.stdout is not None  # noqa: S101 - a pipe
            ready = msgspec.json.decode(server.stdout.readline(), type=intake.Ready)
            try:
                latencies, missed = uvloop.run(listen(ready.port, ready.tokens))
            finally:
                server.communicate()
        if missed:
            raise RuntimeError(f"{missed} changes were not seen")
    return sorted(latencies)


def _p99_ms(ordered: list[float]) -> float:
    return ordered[int(len(ordered) * 0.99)] * 1e3


def run() -> list[Figure]:
    """What 99 of 100 changes are seen within."""
    return [
        Figure(
            name="stream fan-out, 1,000 subscribers x 100 changes/s, latency p99",
            value=_p99_ms(measure()),
            unit="ms",
            target=500,
            at_most=True,
            note="every change to every subscriber; load generator on the same cores",
        )
    ]


if __name__ == "__main__":
    uvloop.run(intake.serve(sys.argv[1], 256, 0))
