"""Agent, manager, market and grid operator as four processes: the same day as in one, though one is killed."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import ssl
from collections.abc import Coroutine, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import aiohttp
import msgspec
import pytest

from flexhub.adapters.store import open_store
from flexhub.adapters.store.interface import Store
from flexhub.app.agent.charger import Behaviour
from flexhub.app.config import load
from flexhub.app.demo.apart import Apart
from flexhub.app.demo.builtin import DAY
from flexhub.app.demo.day import Day, direct_stations
from flexhub.app.demo.hub import Site
from flexhub.app.demo.openadr import ven_stations
from flexhub.app.demo.processes import AgentProcess
from flexhub.app.demo.results import Papers, Result, dump
from flexhub.app.demo.scene import POWER_KW, Scene, set_scene
from flexhub.app.erasure import erase
from flexhub.app.hub.loop import office
from flexhub.app.hub.replay import replay
from flexhub.app.wiring import deciders, engine_of
from tests import programs
from tests.app.demo.play import LOOPBACK_HEX, listening, usual_day

pytestmark = pytest.mark.timeout(300)  # the first of them waits for the day of four processes

T = TypeVar("T")

ZONE: Final = "America/Los_Angeles"
SEED: Final = 1
OFFER: Final = re.compile(rb"garage-\d{8}T\d{6}-\d\d")
STATION: Final = re.compile(rb"garage-\d\d(?!\d)")

DEATHS: Final = (timedelta(hours=6, minutes=45), timedelta(hours=8, minutes=30), timedelta(hours=17))
"""When the agent's hub is killed, from midnight on: in the morning's peak, and when cars leave."""


class Mortal(Apart):
    """Kills the agent's hub while it works, and lets the others go on without it before it is back."""

    deaths = 0
    heard: set[str] = set()
    urls: tuple[str, ...] = ()
    refused = False

    async def at(self, now: datetime) -> None:
        due = [at for at in DEATHS[self.deaths :] if now >= self._scene.start + at]
        if due:
            self.deaths += 1
            await self._die(now)
        await super().at(now)

    async def _die(self, now: datetime) -> None:
        process = self.agent_hub.process
        assert process is not None
        working = asyncio.create_task(self.agent_hub.at(now, dict(self._marks)))
        for _ in range(3):
            for hub in (self.operator_hub, self.manager_hub, self.market_hub):
                self._marks |= (await hub.at(now, {})).marks
        await process.kill()
        await asyncio.gather(working, return_exceptions=True)
        await self.start(self.agent_hub)

    async def look(self) -> None:
        """Where they listen, and whether somebody who trusts another authority gets in."""
        self.urls = tuple(hub.url for hub in self.hubs)
        pids = [hub.process.pid for hub in self.hubs if hub.process is not None]
        self.heard = set().union(*map(listening, pids))
        async with aiohttp.ClientSession() as http:
            try:
                await http.get(f"{self.agent_hub.url}/health", ssl=ssl.create_default_context())
            except aiohttp.ClientConnectorCertificateError:
                self.refused = True


class Played(NamedTuple):
    """A day of four processes, and its stores."""

    scene: Scene
    world: Mortal
    result: Result
    papers: Papers
    agent: Papers
    manager: Papers
    stores: dict[str, Store]


def run(work: Coroutine[Any, Any, T]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(250):
            return await work

    return asyncio.run(bounded())


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    scene = set_scene(None, DAY, ZONE, SEED)
    site = Site(sessions=None, day=DAY, zone=ZONE, seed=SEED, power_kw=POWER_KW)
    world = Mortal(tmp_path_factory.mktemp("apart") / "world", scene, site, scene.start - timedelta(hours=9))

    async def story() -> tuple[Result, Papers, Papers, Papers]:
        agents = [await AgentProcess.start() for _ in range(2)]
        try:
            for hub in world.hubs:
                await world.start(hub)
            await world.look()
            day = Day(scene, world, seed=SEED, behaviour=Behaviour())
            result = await day.play(agents, lambda _now, _share: None)
            hubs = (world.agent_hub, world.manager_hub)
            return result, await world.papers(), *[await world.papers_of(hub) for hub in hubs]  # type: ignore[return-value] # two
        finally:
            for process in agents:
                await process.stop()
            await world.stop()

    told = run(story())
    stores = {hub.name: open_store(hub.store) for hub in world.hubs}
    yield Played(scene, world, *told, stores)
    for store in stores.values():
        store.close()


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    day = usual_day(tmp_path_factory)
    return day.result, day.dump


def test_four_processes_come_to_what_one_comes_to(
    apart: Played, together: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    told, folder = together
    ours = msgspec.to_builtins(apart.result)
    timing = ("seconds", "messages")
    assert {k: v for k, v in told.items() if k not in timing} == {
        k: list(v) if isinstance(v, tuple) else v for k, v in ours.items() if k not in timing
    }
    dump(apart.papers, tmp_path)
    files = sorted(file.name for file in folder.iterdir())
    assert files == sorted(file.name for file in tmp_path.iterdir())
    for name in files:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


def test_the_agent_was_killed_and_went_on(apart: Played) -> None:
    assert apart.world.deaths == len(DEATHS)
    events = [row.message_id for row in journal(apart.stores["agent"]) if row.peer == "flexhub:followed"]
    assert len(events) == len(set(events)) > 100


def journal(store: Store) -> Any:
    return store.journal(0, 1_000_000)


def test_they_are_reached_over_tls_on_this_machine_alone(apart: Played) -> None:
    assert {url.partition(":")[0] for url in apart.world.urls} == {"https"}
    assert len(set(apart.world.urls)) == 4
    assert apart.world.heard == {LOOPBACK_HEX}
    assert apart.world.refused
    keys = [(hub.folder / "hub.key").read_bytes() for hub in apart.world.hubs]
    assert len(set(keys)) == 4


def test_both_ways_of_trading_sell_and_what_is_sold_is_left_out(apart: Played) -> None:
    r = apart.result
    assert 0 < r.direct_kwh < r.sold_kwh
    assert 0 < r.direct_eur < r.sold_eur
    assert r.sold_missed_kwh == 0
    # The market's own book says the same.
    assert {s.portfolio for s in apart.agent.sold} == {"agent"}
    assert {s.portfolio for s in apart.manager.sold} == {"aggregator"}


def test_aggregator_and_grid_operator_hold_the_same_messages_and_come_to_the_same_cent(apart: Played) -> None:
    ours, theirs = apart.papers.traded, apart.papers.bought
    assert ours.lines == theirs.lines
    assert len(ours.lines) > 50
    assert ours.ordered_kwh == theirs.ordered_kwh > 0
    (reckoned,), (paid,) = ours.reckoned, theirs.reckoned
    assert reckoned.items == paid.items
    assert (paid.answered, paid.disputes) == (True, ())
    assert apart.result.grid_pays_eur == apart.result.grid_paid_eur > 0


def test_what_the_agent_says_of_offers_is_what_their_manager_says(apart: Played) -> None:
    direct = set(direct_stations(apart.scene))
    mirrored = [o for o in apart.agent.offers if o.issuer not in direct]
    vens = set(ven_stations(apart.scene))  # they speak to the manager by themselves
    assert mirrored == [o for o in apart.manager.offers if o.issuer not in vens]
    assert {o.issuer for o in apart.manager.offers} & vens
    assert [m for m in apart.agent.measurements if m.subject not in direct] == [
        m for m in apart.manager.measurements if m.subject not in vens
    ]
    assert [b for b in apart.agent.bills if b.party not in direct] == [
        b for b in apart.manager.bills if b.party not in vens
    ]


def everything(store: Store) -> bytes:
    """All that a hub has of others: documents, journal and notices."""
    rows = [*store.all_documents(("", ""), 1_000_000), *store.notices(None, 0, 1_000_000), *journal(store)]
    return repr(rows).encode()


def test_each_has_what_is_its_own(apart: Played) -> None:
    direct = {name.encode() for name in direct_stations(apart.scene)}
    stations = {name.encode() for name in apart.scene.stations}
    offers = {o.id.encode(): o.issuer.encode() for o in apart.papers.offers}
    offers |= {o.extras.get("ei_report_id", o.id).encode(): o.issuer.encode() for o in apart.papers.offers}
    vens = {name.encode() for name in ven_stations(apart.scene)}
    seen = {name: everything(store) for name, store in apart.stores.items()}
    # The market: bids of two portfolios, and of nobody behind them.
    assert set(STATION.findall(seen["market"])) == set(OFFER.findall(seen["market"])) == set()
    kinds = {row.kind for row in apart.stores["market"].all_documents(("", ""), 1_000_000)}
    assert kinds == {"Round", "Entry", "Deal"}
    # The manager: nothing of those who trade directly.
    assert set(STATION.findall(seen["aggregator"])) == stations - direct
    assert {offers[id_] for id_ in OFFER.findall(seen["aggregator"])} & direct == set()
    # The grid operator: messages of the aggregator, and of nobody behind it.
    assert set(STATION.findall(seen["grid-operator"])) == set(OFFER.findall(seen["grid-operator"])) == set()
    # The agent: its stations, and nothing of VENs, of the grid operator's or of what others bid.
    assert set(STATION.findall(seen["agent"])) == stations - vens
    kinds = {row.kind for row in apart.stores["agent"].all_documents(("", ""), 1_000_000)}
    assert kinds & {"FlexRequest", "Entry", "Round", "Deal"} == set()
    assert b"aggregator.1" not in seen["agent"]


def test_each_journal_leads_to_what_is_stored(apart: Played, tmp_path: Path) -> None:
    for hub in apart.world.hubs:
        again = open_store(f"sqlite:///{tmp_path / hub.name}.db")
        config = load(hub.folder / "hub.toml", {})
        seen = replay(apart.stores[hub.name], again, office(*deciders(config, engine_of(config)), holder=""))
        again.close()
        assert seen.messages > 0
        assert seen.differences == []


def test_the_command_says_so_of_the_managers(apart: Played) -> None:
    file = apart.world.manager_hub.folder / "hub.toml"
    done = programs.run("replay", "-c", file, "--json", timeout=100)
    told = json.loads(done.out)
    assert (done.code, told["same"], told["differences"]) == (0, True, []), done.err
    assert told["messages"] > len(apart.manager.offers)
    assert told["documents"] > len(apart.manager.offers)


def test_a_token_is_good_at_one_hub_only(apart: Played) -> None:
    tokens = [set(hub.tokens.values()) for hub in apart.world.hubs]
    assert not tokens[0] & tokens[1] | tokens[1] & tokens[2] | tokens[0] & tokens[2]
    assert all((hub.folder / "aggregator").is_dir() is (hub.name == "agent") for hub in apart.world.hubs)


def test_an_agents_hub_forgets_a_prosumer_and_what_others_told_it(apart: Played, tmp_path: Path) -> None:
    station = next(o.issuer for o in apart.agent.offers if o.issuer not in direct_stations(apart.scene))
    offers = [o.id.encode() for o in apart.agent.offers if o.issuer == station]
    file = tmp_path / "agent.db"
    with closing(sqlite3.connect(apart.world.agent_hub.folder / "hub.db")) as connection:
        connection.execute("VACUUM INTO ?", (str(file),))
    before = file.read_bytes()
    assert all(id_ in before for id_ in offers)
    done = erase(f"sqlite:///{file}", station, "erased-1", apart.world.now + timedelta(days=1), years=10)
    assert done.accounts > 0
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("DROP TABLE account")  # where it is kept, for the law of accounts
        connection.execute("DROP TABLE audit")
        connection.execute("VACUUM")
    left = file.read_bytes()
    assert [name for name in (station.encode(), *offers) if name in left] == []
    others = {o.id.encode() for o in apart.agent.offers if o.issuer != station}
    assert {name for name in others if name not in left} == set()
