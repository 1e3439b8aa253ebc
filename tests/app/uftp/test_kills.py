"""Two real hubs, killed in the midst of conversations: these go on with the same bytes, and nothing is done twice."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import aiohttp
import msgspec
import pytest

from flexhub.adapters.store import open_store
from flexhub.adapters.store.interface import Store, numbered
from flexhub.app.hub.tokens import add_token
from flexhub.app.uftp.handlers import Arrival
from flexhub.app.uftp.outgoing import Outgoing
from flexhub.core.documents import decode, encode
from flexhub.core.registry import Role
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.envelope import open_envelope, unsigned
from tests import programs
from tests.app.uftp import stage as s
from tests.app.uftp.test_conversations import same_again
from tests.ports import free_port

MESSAGES = 30
KILLS = 8


class Program:
    """`flexhub run`, killed and started again."""

    def __init__(self, folder: Path, name: str) -> None:
        self.file = folder / f"{name}.toml"
        self.running: programs.Running | None = None
        self.url = ""

    def start(self) -> None:
        self.running = programs.start("run", self.file, "--json")
        assert self.running.stdout is not None
        self.url = msgspec.json.decode(self.running.stdout.readline())["url"]

    def kill(self) -> None:
        if self.running is not None:
            self.running.kill()
            self.running.wait(10)
            assert self.running.stdout is not None
            self.running.stdout.close()
            self.running = None


@pytest.fixture
def hubs(tmp_path: Path) -> Iterator[tuple[Program, Program, str]]:
    ports = {name: free_port() for name in ("agr", "dso")}
    s.publish(tmp_path, ports)
    for name, port in ports.items():
        (tmp_path / f"{name}.toml").write_text(s.text(tmp_path, name, port))
    store = open_store(f"sqlite:///{tmp_path}/dso.db")
    token = add_token(store, "root", Role.ADMIN, datetime.now(UTC))
    store.close()
    agr, dso = Program(tmp_path, "agr"), Program(tmp_path, "dso")
    try:
        agr.start()
        dso.start()
        yield agr, dso, token
    finally:
        agr.kill()
        dso.kill()


async def say(dso: Program, token: str, message: wire.Payload) -> bool:
    """Have the DSO's hub send it; under the same key as often as it takes."""
    body = encode(Outgoing(xml=s.CODEC.encode(message).decode()))
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    headers["Idempotency-Key"] = message.message_id
    with suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
            session.post(f"{dso.url}/uftp/message", data=body, headers=headers) as response,
        ):
            assert response.status == 202, await response.text()
            return True
    return False


def settled(store: Store) -> set[str]:
    return {row.subject for row in store.notices("dso", 0, 1000) if row.topic == "uftp.settled"}


@pytest.mark.timeout(120)
def test_killed_at_any_step_conversations_go_on_with_the_same_bytes_and_nothing_is_worked_twice(
    hubs: tuple[Program, Program, str], tmp_path: Path
) -> None:
    agr, dso, token = hubs
    dice = Random(7)  # noqa: S311 - when and whom to kill, not a secret
    asked = [s.request(f"k{n}", congestion_point=f"ean.8716859000126365{n:02}") for n in range(MESSAGES)]

    async def main() -> None:
        left = list(asked)
        for n in range(KILLS + 1):
            for message in left[: MESSAGES // KILLS]:
                if await say(dso, token, message):
                    left.remove(message)
            if n < KILLS:
                victim = dice.choice((agr, dso))
                await asyncio.sleep(dice.uniform(0, 0.05))  # the kill may fall between any two steps
                victim.kill()
                victim.start()
        for message in left:
            assert await say(dso, token, message)
        store = open_store(f"sqlite:///{tmp_path}/dso.db")
        try:
            await s.until(lambda: len(settled(store)) == MESSAGES, 60)
        finally:
            store.close()

    asyncio.run(main())
    agr.kill()
    dso.kill()
    stores = {name: open_store(f"sqlite:///{tmp_path}/{name}.db") for name in ("agr", "dso")}
    try:
        said: dict[str, dict[str, set[bytes]]] = {name: defaultdict(set) for name in stores}
        for name, store in stores.items():
            for row in numbered(lambda behind, store=store: store.journal(behind, 500)):  # type: ignore[misc] # bound at once
                if row.kind == "uftp.receive":
                    inner = unsigned(open_envelope(decode(Arrival, row.body).envelope.encode(), 1 << 20))
                    said[name][s.CODEC.decode(inner).message_id].add(row.body)
        assert set(said["agr"]) == {m.message_id for m in asked}
        assert {len(bodies) for bodies in said["agr"].values()} == {1}, "a repeat is the same to the byte"
        assert {len(bodies) for bodies in said["dso"].values()} == {1}
        assert len(said["dso"]) == MESSAGES, "one answer each"
        requests = [row for row in stores["agr"].notices("agr", 0, 1000) if row.topic == "flexrequest"]
        assert len(requests) == MESSAGES, "each worked once"
        assert len(settled(stores["dso"])) == MESSAGES
    finally:
        for store in stores.values():
            store.close()
    same_again(tmp_path, "agr")
    same_again(tmp_path, "dso")
