"""A day of trading between two real hubs that are killed at every step: it comes to the same cent on both sides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import TypeVar

import aiohttp
import msgspec
import pytest

from flexhub.adapters.store import open_store
from flexhub.adapters.store.interface import Query, Store
from flexhub.app.hub.tokens import add_token
from flexhub.app.uftp.papers import UftpMessage
from flexhub.app.uftp.trading.papers import Subject, UftpReckoned
from flexhub.core.documents import decode, encode
from flexhub.core.flexoffer import FlexOffer, State
from flexhub.core.registry import Role
from flexhub.core.trading import Basis
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.session import Entry, Stage
from tests import programs
from tests.app.uftp import stage as s
from tests.app.uftp import trade as t
from tests.app.uftp.test_kills import Program
from tests.ports import free_port

T = TypeVar("T", bound=msgspec.Struct)

KEYS: dict[str, t.Keys] = {
    "agr": {"prognosis_before": "PT10H", "metering_after": "PT1H"},
    "dso": {"reserve": "2 kW", "choose_after": "PT1H", "settle_after": "PT2H"},
}
START = t.MIDNIGHT - timedelta(days=1)
"""First instant of the day that is traded."""
EARLY = START - timedelta(hours=12)
RECKONED = {
    "agr": Subject("AGR.agr.example.com", "dso.example.com", t.DAY, "").reckoned.id,
    "dso": Subject("DSO.dso.example.com", "agr.example.com", t.DAY, "").reckoned.id,
}


class Clocked(Program):
    """`flexhub run` with a clock that both programs share."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder, name)
        self._clock = folder / "clock"

    def start(self) -> None:
        self.running = programs.start(self._clock, "run", self.file, "--json", module="tests.app.uftp.clocked")
        assert self.running.stdout is not None
        self.url = msgspec.json.decode(self.running.stdout.readline())["url"]


class Scene:
    """Both programs, their stores, and tokens of the prosumers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ports = {name: free_port() for name in ("agr", "dso")}
        s.publish(folder, ports)
        for name, port in ports.items():
            (folder / f"{name}.toml").write_text(t.text(folder, name, port, KEYS[name]))
        self.stores = {name: open_store(f"sqlite:///{folder}/{name}.db") for name in ports}
        self.tokens = {one: add_token(self.stores["agr"], one, Role.PROSUMER, EARLY) for one in t.CARS}
        self.programs = {name: Clocked(folder, name) for name in ports}
        self._dice = Random(11)  # noqa: S311 - when and whom to kill, not a secret

    def at(self, now: datetime) -> None:
        """Set both clocks; they go on from there."""
        staged = self.folder / "clock.new"
        staged.write_text(str((now - datetime.now(UTC)).total_seconds()))
        staged.rename(self.folder / "clock")

    async def kill(self, *names: str) -> None:
        """Kill these at any moment from now, and start them again."""
        for name in names:
            await asyncio.sleep(self._dice.uniform(0, 0.3))  # the kill may fall between any two steps
            self.programs[name].kill()
            self.programs[name].start()

    async def post(self, party: str, path: str, value: msgspec.Struct) -> int:
        """What a prosumer says to the aggregator."""
        headers = {"Authorization": f"Bearer {self.tokens[party]}", "Content-Type": "application/json"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.programs["agr"].url + path, data=encode(value), headers=headers) as response,
        ):
            return response.status

    def all(self, name: str, kind: type[T], state: str | None = None) -> list[T]:
        """Documents of a hub."""
        states = None if state is None else (state,)
        query = Query(kind=kind.__name__, owner=None, states=states, overlapping=None, after=None, limit=1000)
        return [decode(kind, row.body) for row in self.stores[name].documents(query)]

    def entries(self, name: str, kind: type[wire.Payload]) -> list[Entry]:
        """Messages of a type, as a hub keeps them."""
        return [m.entry() for m in self.all(name, UftpMessage, wire.element(kind))]

    def reckoned(self, name: str) -> UftpReckoned | None:
        """What the day came to."""
        row = self.stores[name].document("UftpReckoned", RECKONED[name])
        return None if row is None else decode(UftpReckoned, row.body)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    made.at(EARLY)
    try:
        for program in made.programs.values():
            program.start()
        yield made
    finally:
        for program in made.programs.values():
            program.kill()
        for store in made.stores.values():
            store.close()


async def met(found: Callable[[], object]) -> None:
    """Wait for it; a hub that was killed takes its time."""
    await s.until(found, 60)


@pytest.mark.timeout(300)
def test_killed_at_every_step_of_a_day_both_come_to_the_same_cent_and_a_replay_to_the_same(
    scene: Scene, tmp_path: Path
) -> None:
    async def day() -> None:
        for i, name in enumerate(t.CARS):
            assert await scene.post(name, "/flexoffer", t.offer(i, name, created=EARLY)) == 201
        await scene.kill("agr", "dso")
        scene.at(START - timedelta(hours=10))
        await scene.kill("agr")
        await met(lambda: any(e.stage is Stage.ACCEPTED for e in scene.entries("dso", wire.DPrognosis)))
        await scene.kill("dso", "agr")
        await met(lambda: any(e.stage is Stage.ACCEPTED for e in scene.entries("agr", wire.FlexOffer)))
        assert len(scene.entries("agr", wire.FlexOffer)[0].message.offer_options) > 1  # type: ignore[attr-defined] # it is one
        scene.at(START - timedelta(hours=9))
        await scene.kill("dso", "agr")
        await met(lambda: {o.state for o in scene.all("agr", FlexOffer)} == {State.ASSIGNED})
        await met(lambda: any(e.stage is Stage.ACCEPTED for e in scene.entries("dso", wire.FlexOrder)))
        scene.at(t.MIDNIGHT + timedelta(minutes=30))
        await met(lambda: {o.state for o in scene.all("agr", FlexOffer)} == {State.EXECUTED})
        for one in scene.all("agr", FlexOffer):
            assert one.schedule is not None
            share = 0.9 if one.issuer == "cat" else 1.0
            assert await scene.post(one.issuer, "/flexoffer/measurement", t.reading(one, one.schedule, share)) == 201
        scene.at(t.MIDNIGHT + timedelta(hours=1))
        await scene.kill("agr", "dso")
        await met(lambda: len(scene.entries("dso", wire.Metering)) == len(t.CARS))
        await met(lambda: scene.reckoned("agr"))
        scene.at(t.MIDNIGHT + timedelta(hours=2))
        await scene.kill("dso", "agr")
        await met(lambda: (found := scene.reckoned("dso")) is not None and found.answered)

    asyncio.run(day())
    for program in scene.programs.values():
        program.kill()
    ours, theirs = scene.reckoned("agr"), scene.reckoned("dso")
    assert ours is not None
    assert theirs is not None
    assert ours.items == theirs.items
    assert theirs.disputes == ()
    (item,) = ours.items
    assert item.net_settlement > Decimal(0)
    assert ours.bill.total(Basis.FACTUAL) == theirs.bill.total(Basis.FACTUAL) == item.net_settlement
    for name, ordered in (("agr", False), ("dso", True)):
        (entry,) = scene.entries(name, wire.FlexOrder)
        assert isinstance(entry.message, wire.FlexOrder)
        assert entry.ours is ordered
        assert entry.message.activation_factor < 1, "a part of it is activated"
        assert len(scene.entries(name, wire.FlexOffer)) == 1
        assert len(scene.entries(name, wire.FlexSettlement)) == 1
    assert {o.schedule.update for o in scene.all("agr", FlexOffer) if o.schedule is not None} == {0}
    for name in ("agr", "dso"):
        assert refused(scene.stores[name]) == []
        done = programs.run("replay", "--config", f"{tmp_path}/{name}.toml", "--json")
        assert done.code == 0, done.out + done.err


def refused(store: Store) -> list[tuple[str, bytes]]:
    """What a hub refused of its own, which it never should."""
    rows = store.journal(0, 2000)
    return [(row.kind, row.answer) for row in rows if row.status >= 400 or row.kind.endswith(".failed")]
