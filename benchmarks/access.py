"""What the access check adds to intake: the same hub with the check, and with a stub that believes every caller.

One process serves one store on two ports. Behind one port stands the gate (key or token looked up, role, scope and
limits), behind the other a dictionary. Offers go to them in short turns, in every order; each turn is compared with its
neighbour, and the median of all is told, so that a moment in which the machine was busy elsewhere spoils one comparison
and not the figure. Keys are looked up again every few seconds of the clock, here for fewer requests than under steady
load: that counts against the check. Beside it the check by itself, per request.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

import msgspec
import uvloop

from benchmarks.figure import Figure
from benchmarks.intake import PROSUMERS, load, requests
from flexhub.core.registry import Role

TURNS = 90
OFFERS = 400
CHECKS = 20_000
WAYS = ("nothing", "key", "token")


class Ready(msgspec.Struct):
    """What the server says once it listens: ports with and without the check, each prosumer's key and token."""

    checked: int
    believed: int
    keys: list[str]
    tokens: list[str]
    micros: dict[str, float]


# -- the server's process ---------------------------------------------------------------------------------------------


async def serve(folder: Path) -> None:
    """Serve until stdin closes."""
    from aiohttp import web  # noqa: PLC0415 - the load generator doesn't need the hub
    from aiohttp.test_utils import make_mocked_request  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 - as above
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    from flexhub.app import config as c  # noqa: PLC0415 - as above
    from flexhub.app import serving, wiring  # noqa: PLC0415 - as above
    from flexhub.app.access.gate import Gate, Visitor  # noqa: PLC0415 - as above
    from flexhub.app.hub.tokens import Bearer, token_hash  # noqa: PLC0415 - as above
    from flexhub.app.pages import Settings  # noqa: PLC0415 - as above
    from flexhub.engines.reference.manager import ReferenceManager  # noqa: PLC0415 - as above

    names = [f"prosumer-{n}" for n in range(PROSUMERS)]
    key = folder / "oauth.key"
    private = ed25519.Ed25519PrivateKey.generate()
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    configured = c.Config(
        hub=c.HubSection(name="aggregator", listen="127.0.0.1:0"),
        store=c.StoreSection(url=f"sqlite:///{folder / 'hub.db'}"),
        plan=c.PlanSection(every=None),
        settle=c.SettleSection(every=None),
        oauth=c.OauthSection(issuer="https://hub.example", key=key),
        limits=c.LimitsSection(requests=1e6, requests_at_once=1e6),
        party=tuple(
            c.PartySection(id=name, roles=(Role.PROSUMER,), contract=c.ContractSection(id=f"contract-{name}"))
            for name in names
        ),
        pages=False,
    )

    class Believing(Gate):
        """Takes the caller for who the header says it is."""

        known: dict[str, Visitor]

        async def who(self, request: web.Request, roles: tuple[Role, ...]) -> Visitor:  # noqa: ARG002 - as the gate's
            return self.known[request.headers["Authorization"]]

        def admit(self, visitor: Visitor, roles: tuple[Role, ...], scope: str) -> None:
            pass

    async with wiring.running(configured, engine=ReferenceManager(party="aggregator")) as running:
        hub = running.hub
        keys = [await hub.add_token(name, Role.PROSUMER) for name in names]
        checked = serving.service_of(configured, hub, serving.utc_now, "0", hub.work.http)
        issuer = checked.gate.issuer
        assert issuer is not None  # noqa: S101 - it is configured
        now = datetime.now(UTC)
        tokens = [
            issuer.issue(name, Role.PROSUMER, ["flexoffer:write"], token_hash(secret), now)
            for name, secret in zip(names, keys, strict=True)
        ]
        believing = Believing(hub, serving.utc_now)
        believing.known = {
            f"Bearer {secret}": Visitor(Bearer(name, Role.PROSUMER), None)
            for name, secret in zip(names, keys, strict=True)
        }

        async def per_check(gate: Gate, secret: str) -> float:
            """Microseconds per request."""
            request = make_mocked_request("POST", "/flexoffer", headers={"Authorization": f"Bearer {secret}"})
            begun = perf_counter()
            for _ in range(CHECKS):
                visitor = await gate.who(request, (Role.PROSUMER,))
                gate.admit(visitor, (Role.PROSUMER,), "flexoffer:write")
            return (perf_counter() - begun) / CHECKS * 1e6

        micros = {
            way: await per_check(checked.gate, secret) for way, secret in (("key", keys[0]), ("token", tokens[0]))
        }
        micros["nothing"] = await per_check(believing, keys[0])
        bound = serving.listening("127.0.0.1:0")
        page = Settings(name="aggregator", zone="UTC", version="0")
        async with serving.serving_http(checked._replace(gate=believing), configured, page, bound):
            ready = Ready(running.port, bound.getsockname()[1], keys, tokens, micros)
            sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
            sys.stdout.flush()
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


# -- the load generator -----------------------------------------------------------------------------------------------


class Turns(NamedTuple):
    """Seconds of each turn, of the clock and of the hub's processor time, by the way in which callers were known."""

    clock: dict[str, list[float]]
    worked: dict[str, list[float]]

    def added(self, way: str) -> float:
        """Percent that the check adds to the time that the hub works on an offer; the median of all turns.

        Of its processor time, since a hub at its limit takes so much longer; what else runs on the machine moves the
        clock by more than the check does.
        """
        pairs = zip(self.worked[way], self.worked["nothing"], strict=True)
        return (median(checked / believed for checked, believed in pairs) - 1) * 100


def worked_s(pid: int) -> float:
    """Processor time that all threads of a process have had so far."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text("ascii").split()[0]) for thread in threads) / 1e9


def measure() -> tuple[Turns, dict[str, float]]:
    """Offers in turns, and microseconds per check.

    Raises:
        RuntimeError: an offer was refused.
    """
    with tempfile.TemporaryDirectory() as name, ExitStack() as running:
        command = [sys.executable, "-m", "benchmarks.access", name]
        server = running.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        assert server.stdout is not None  # noqa: S101 - a pipe
        ready = msgspec.json.decode(server.stdout.readline(), type=Ready)
        ports = {"nothing": ready.believed, "key": ready.checked, "token": ready.checked}
        shown = {"nothing": ready.keys, "key": ready.keys, "token": ready.tokens}
        turns = Turns({way: [] for way in WAYS}, {way: [] for way in WAYS})
        orders = list(permutations(WAYS))
        sent = 0
        for turn in range(TURNS + 1):
            for way in orders[turn % len(orders)]:
                todo = requests(shown[way], OFFERS, sent)
                before = worked_s(server.pid)
                done = uvloop.run(load([ports[way]], todo))
                worked = worked_s(server.pid) - before
                sent += OFFERS
                if done.failures:
                    raise RuntimeError(f"{done.failures} offers were not answered with 201")
                if turn:  # the first one warms up
                    turns.clock[way].append(done.seconds)
                    turns.worked[way].append(worked)
        server.communicate()
    return turns, ready.micros


def run() -> list[Figure]:
    """What the check adds to the intake time, and what it takes by itself."""
    turns, micros = measure()
    note = f"of the hub's processor time; {TURNS} turns of {OFFERS} offers each way, on one hub"
    figures = []
    for way, words in (("key", "by a key"), ("token", "by a JWT")):
        figures += [
            Figure(
                name=f"access check {words}, added to the intake time",
                value=turns.added(way),
                unit="%",
                target=5,
                at_most=True,
                note=note,
            ),
            Figure(
                name=f"access check {words}, per request",
                value=micros[way],
                unit="µs",
                peer=micros["nothing"],
                peer_name="a dictionary that believes every caller",
            ),
        ]
    return figures


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1])))
