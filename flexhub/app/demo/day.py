"""A day from the first offer to the last bill: hubs, their parties, agents in processes of their own, and the clock.

The clock is stepped, not awaited. For every quarter-hour: at each arrival the agents offer; in the peak hours a session
of the market opens and closes seconds before it begins; a second before it begins the manager, and the agent's hub for
those who trade directly, plan what was accepted; when it begins, deadlines fire, and the agents charge and hand
readings in. Each step ends when everybody has done what was due, so a day is the same day every time.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import aiohttp
import msgspec

from flexhub.adapters.store import open_store
from flexhub.app.agent.charger import Behaviour
from flexhub.app.agent.client import Client
from flexhub.app.agent.program import Config as AgentConfig
from flexhub.app.agent.program import Station, VenOf
from flexhub.app.api.messages import Offers
from flexhub.app.demo.grid import limit_kwh, peak_hours
from flexhub.app.demo.openadr import (
    CALLED_AT,
    CALLS,
    UTILITY,
    call,
    call_kwh,
    call_window,
    planned_kwh,
    spoken,
    ven_stations,
)
from flexhub.app.demo.processes import AgentProcess, share
from flexhub.app.demo.results import Papers, Result, summarise
from flexhub.app.demo.scene import Scene
from flexhub.app.demo.trading import ANSWER_WITHIN, POINT, traded
from flexhub.app.exchange.market import Registration
from flexhub.app.exchange.portfolio import every
from flexhub.app.exchange.sold import Obligation
from flexhub.app.hub.reading import Reading
from flexhub.app.openadr.simple_http import PREFIX
from flexhub.app.uftp.outgoing import Run, What
from flexhub.app.wiring import Running
from flexhub.core.flexoffer import FlexOffer
from flexhub.core.registry import Connection, Party, Resource, Role
from flexhub.core.timegrid import QUARTER_HOUR, QUARTER_HOUR_S, ceil_to_grid
from flexhub.core.timeseries import Measurement
from flexhub.core.trading import Bill, Contract, FlexRequest
from flexhub.engines.slots import MarketSession
from flexhub.protocols.openadr2b.session.state import Target, VenSpec, VtnProgram

T = TypeVar("T")

AGGREGATOR: Final = "aggregator"
OPERATOR: Final = "grid-operator"
GATE: Final = timedelta(seconds=1)
"""Schedules are made this long before their first slot begins."""

SETTLE_AFTER: Final = timedelta(hours=2)

DIRECT: Final = "agent"
"""The portfolio of the prosumers who trade directly; their agent's hub plans for them."""

MARKET: Final = "market"
EVERY_DIRECT: Final = 8
"""Of so many stations one trades directly."""

ROUND: Final = timedelta(seconds=5)
"""The aggregator tells its prognosis this long before a quarter-hour of the peak begins."""

CALL: Final = "call"
"""The message id of the utility's event, from which its eventID follows: the same day has the same."""

OPENS, CLOSES = timedelta(seconds=3), timedelta(seconds=2)
"""A session opens and closes this long before the first slot that it is about."""

SESSION_SLOTS: Final = 8
"""Slots that a session is about; the next one begins a slot later, so that each slot is in so many sessions."""

CUTOFF_EUR_PER_KWH: Final = 0.20
MARGIN_EUR_PER_KWH: Final = 0.05
"""The highest price that the grid operator pays, and what sellers want at least."""

Report = Callable[[datetime, float], None]
"""Told the simulated time, and the share of the day's sessions that are over."""


class Clock:
    """A clock that goes where it is set."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """What time it is."""
        return self.now


class Door(NamedTuple):
    """Where a hub serves, and what gives a party in a role its token there."""

    url: str
    key: Callable[[str, Role], Awaitable[str]]


class World(Protocol):
    """The hubs of a day, and their time; one hub may be all three.

    `ca` is a file with the certificates that theirs are signed by; None where they serve without TLS.
    """

    @property
    def agent(self) -> Door:
        """The hub that stations speak to."""

    @property
    def manager(self) -> Door:
        """The hub of the aggregator."""

    @property
    def market(self) -> Door:
        """The hub of the market operator."""

    @property
    def grid(self) -> Door:
        """The hub of the grid operator, which speaks UFTP with the manager's."""

    @property
    def vtn(self) -> str:
        """Where the manager's VTN is, for stations that are VENs; the utility's is in the grid operator's hub."""

    @property
    def ca(self) -> Path | None:
        """As above."""

    @property
    def now(self) -> datetime:
        """What time it is."""

    async def at(self, now: datetime) -> None:
        """Make it that late, and wait until all hubs have done what is due."""

    async def messages(self) -> int:
        """How many messages the hubs have worked so far."""

    async def papers(self) -> Papers:
        """The documents of the day."""


class Elsewhere(Protocol):
    """A hub in a process of its own."""

    url: str
    messages: int

    @property
    def store(self) -> str:
        """Where everything of it is kept."""

    async def key(self, party: str, role: Role) -> str:
        """The token of a party."""

    async def step(self, now: datetime) -> bool:
        """Take it to this instant; whether it worked any message."""


class Together:
    """A world of one hub, beside the grid operator's."""

    ca: Path | None = None

    def __init__(self, running: Running, clock: Clock, operator: Elsewhere) -> None:
        self._running = running
        self._clock = clock
        self._operator = operator
        self.agent = self.manager = self.market = Door(running.url, running.hub.add_token)
        self.vtn = running.vtn_url or ""
        self.grid = Door(operator.url, operator.key)

    @property
    def now(self) -> datetime:
        """What time it is."""
        return self._clock.now

    async def at(self, now: datetime) -> None:
        """As `World.at`."""
        self._clock.now = now
        worked, spoken = True, True
        while worked or spoken:
            before = self._running.hub.stats.messages
            _, spoken = await asyncio.gather(quiet(self._running), self._operator.step(now))
            worked = self._running.hub.stats.messages != before

    async def messages(self) -> int:
        """As `World.messages`."""
        return self._running.hub.stats.messages + self._operator.messages

    async def papers(self) -> Papers:
        """As `World.papers`."""
        bought = await read_store(self._operator.store, traded)
        called = await read_store(self._operator.store, lambda hub: spoken(hub, UTILITY))
        return msgspec.structs.replace(await papers(self._running.hub), bought=bought, called=called)


async def read_store(url: str, read: Callable[[Reading], Awaitable[T]]) -> T:
    """What stands in the store of a hub in another process."""
    store = open_store(url)
    reading = Reading(store)
    try:
        return await read(reading)
    finally:
        reading.close()
        store.close()


async def quiet(running: Running) -> None:
    """Wait until a hub has done what is due, sent what it has to say, and heard what it tells itself."""
    hub = running.hub
    while True:
        worked = hub.stats.messages
        await hub.tick()
        await hub.settled()
        await hub.sent()
        await running.followers.reach_own(hub)
        if running.vtn is not None:
            await running.vtn.board.caught_up(hub.store)
        for poller in running.vens.values():
            await poller.tick()
        if hub.stats.messages == worked:
            return


class Callers(NamedTuple):
    """Who asks the hubs for what is due: both planners, the market, the manager's operator, and the utility."""

    planners: Sequence[Client]
    market: Client
    manager: Client
    utility: Client


class Day:
    """One day in a world.

    Args:
        scene: what is played.
        world: the hubs, at work without timers of their own; the manager is `AGGREGATOR`, and the agent `DIRECT`.
        seed: of all chance.
        behaviour: how real the chargers are.
    """

    def __init__(self, scene: Scene, world: World, *, seed: int, behaviour: Behaviour) -> None:
        self.scene = scene
        self._world = world
        self._seed = seed
        self._behaviour = behaviour
        self._peak = peak_slots(scene)
        self._call = call_window(scene)
        self._hears: datetime | None = None
        self._planned: list[float] = []

    async def play(self, agents: Sequence[AgentProcess], report: Report) -> Result:
        """Play the day with these agents, which have been started, and tell what came of it."""
        begun = perf_counter()
        world = self._world
        tls = ssl.create_default_context(cafile=world.ca)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, ssl=tls)) as http:
            planners = (
                Client(http, world.manager.url, await world.manager.key(AGGREGATOR, Role.AGGREGATOR)),
                Client(http, world.agent.url, await world.agent.key(DIRECT, Role.AGGREGATOR)),
            )
            market = Client(http, world.market.url, await world.market.key(MARKET, Role.MARKET_OPERATOR))
            managing, paying = [
                Client(http, door.url, await door.key("operator", Role.ADMIN)) for door in (world.manager, world.grid)
            ]
            await self._enrol(http, planners[0])
            await self._allocate(managing, paying)
            await world.at(world.now)
            hands = share(self.scene.stations, len(agents))
            working = agents[: len(hands)]
            vens = set(ven_stations(self.scene))
            stations = [name for name in self.scene.stations if name not in vens]
            tokens = {name: await world.agent.key(name, Role.PROSUMER) for name in stations}
            await together([a.configure(self._config(hand, tokens)) for a, hand in zip(working, hands, strict=True)])
            await self._run(working, Callers(planners, market, managing, paying), report)
            await world.at(world.now)  # the last readings arrive before so much time passes that nobody waits for them
            await world.at(world.now + SETTLE_AFTER)
            await together([planner.call("POST", "/settlement", Any) for planner in planners])
            await world.at(world.now)
            for who, what in ((managing, What.METERING), (paying, What.SETTLEMENT)):
                await self._trade_over_uftp(who, what)
        return summarise(
            await world.papers(),
            DIRECT,
            peak_hours(self.scene.usual, self.scene.start),
            site=self.scene.site,
            day=self.scene.day,
            zone=self.scene.zone,
            messages=await world.messages(),
            seconds=round(perf_counter() - begun, 3),
            notes=self.scene.notes,
            call_most_kwh=round(call_kwh(self.scene), 3),
            call_before_kwh=round(self._planned[0] if self._planned else 0.0, 3),
            call_after_kwh=round(self._planned[-1] if self._planned else 0.0, 3),
        )

    async def _enrol(self, http: aiohttp.ClientSession, aggregator: Client) -> None:
        """Register every station as a party with a contract: with the manager, or as one who trades directly.

        The stations' own hub learns of contracts with the manager from the manager.
        """
        world = self._world
        here, there = [
            Client(http, door.url, await door.key("operator", Role.ADMIN)) for door in (world.agent, world.manager)
        ]
        entries = [Registration(party=Party(id=AGGREGATOR, name=AGGREGATOR, roles=(Role.AGGREGATOR,)))]
        stations = [self._registration(name) for name in self.scene.stations]
        direct, vens = direct_stations(self.scene), ven_stations(self.scene)
        alone = world.agent is not world.manager
        since = self.scene.start - timedelta(days=1)
        for admin, known in (
            (here, [e for e in stations if not alone or e.party.id not in vens]),
            (there, [e for e in stations if e.party.id not in direct] if alone else []),
            (there, entries),
        ):
            await together([admin.call("PUT", f"/party/{e.party.id}", Any, e) for e in known])
        delegated = [contract(name, AGGREGATOR, since) for name in self.scene.stations if name not in direct]
        own = [contract(name, DIRECT, since) for name in direct]
        await together([aggregator.call("PUT", f"/contract/{c.id}", Any, c) for c in delegated])
        await together([here.call("PUT", f"/contract/{c.id}", Any, c) for c in own])

    async def _allocate(self, manager: Client, utility: Client) -> None:
        """Say which VENs there are: the stations' with the aggregator, and the aggregator with the utility."""
        await utility.call("PUT", "/vtn/program", Any, VtnProgram(market_context=CALLS, name="Calls"))
        await utility.call("PUT", f"/vtn/ven/{AGGREGATOR}", Any, VenSpec(name=AGGREGATOR))
        for name in ven_stations(self.scene):
            await manager.call("PUT", f"/vtn/ven/{name}", Any, VenSpec(name=name, found_by=Target(party_ids=(name,))))

    def _registration(self, name: str) -> Registration:
        connection = Connection(id=f"{name}.meter", party=name, congestion_point=POINT)
        resource = Resource(
            id=f"{name}.charger", connection=connection.id, kind="ev", max_consumption_kw=self.scene.power_kw
        )
        party = Party(id=name, name=f"Charging station {name}", roles=(Role.PROSUMER,))
        return Registration(party=party, connections=(connection,), resources=(resource,))

    async def _trade_over_uftp(self, who: Client, what: What) -> None:
        """Have this done now; messages go to and fro until all is said."""
        order = Run(what=what, congestion_point=POINT, day=self.scene.day.isoformat())
        await who.call("POST", "/uftp/run", Any, order)
        await self._world.at(self._world.now)

    def _config(self, stations: Sequence[str], tokens: dict[str, str]) -> AgentConfig:
        own = set(stations)
        return AgentConfig(
            hub=self._world.agent.url,
            ca=None if self._world.ca is None else str(self._world.ca),
            now=self._world.now,
            stations=tuple(
                Station(id=name, token=tokens[name])
                if name in tokens
                else Station(id=name, ven=VenOf(vtn=f"{self._world.vtn}{PREFIX}", ven_id=name))
                for name in stations
            ),
            sessions=tuple(s for s in self.scene.sessions if s.station in own),
            power_kw=self.scene.power_kw,
            behaviour=self._behaviour,
            seed=self._seed,
        )

    async def _run(self, agents: Sequence[AgentProcess], callers: Callers, report: Report) -> None:
        world = self._world
        last = max(s.departure for s in self.scene.sessions)
        while (due := _next(agents)) is not None:
            begins = max(ceil_to_grid(due, QUARTER_HOUR_S), ceil_to_grid(world.now, QUARTER_HOUR_S))
            new = False
            while due is not None and due < begins:
                await world.at(due)
                await self._tell(agents, due)
                due, new = _next(agents), True
            if new:
                await self._relieve(begins, callers.manager)
            await self._trade(begins, callers.market)
            if new:
                await world.at(max(world.now, begins - GATE))
                await together([planner.call("POST", "/plan", Any) for planner in callers.planners])
                await world.at(world.now)
            await self._hear(begins, callers.manager)
            await self._tell(agents, begins)
            if self._hears is None and begins >= self.scene.start + CALLED_AT:
                await self._utility_calls(begins, callers.utility)
            report(begins, min(1.0, (begins - self.scene.start) / (last - self.scene.start)))

    async def _utility_calls(self, now: datetime, utility: Client) -> None:
        """Have the utility make its event; the aggregator hears of it when it polls next, with the next slot."""
        await utility.call("POST", "/vtn/event", Any, call(self.scene), key=CALL)
        await self._world.at(now)
        self._hears = now + QUARTER_HOUR

    async def _hear(self, begins: datetime, manager: Client) -> None:
        """A slot begins; in that in which the aggregator hears of the utility's event, note what is planned for it."""
        now = begins == self._hears
        if now:
            self._planned.append(await self._plans(manager))
        await self._world.at(begins)
        if now:
            self._planned.append(await self._plans(manager))

    async def _plans(self, manager: Client) -> float:
        """What the aggregator, who hears of the utility's event, has planned for its time."""
        found = await manager.call("GET", "/flexoffer", Offers, query={"limit": "1000"})
        return planned_kwh((offer for offer in found.items if offer.recipient == AGGREGATOR), self._call)

    async def _relieve(self, begins: datetime, manager: Client) -> None:
        """In the peak hours, have the aggregator tell the grid operator what it is going to take.

        What is above the limit is asked for, offered, ordered and scheduled before this returns.
        """
        at = max(self._world.now, begins - ROUND)
        if begins not in self._peak or at > begins - ANSWER_WITHIN - GATE:
            return
        await self._world.at(at)
        await self._trade_over_uftp(manager, What.PROGNOSIS)

    async def _trade(self, begins: datetime, market: Client) -> None:
        """In the peak hours, have a session about the next slots, if there is time for one before they begin."""
        demand = tuple(self._peak.get(begins + i * QUARTER_HOUR, 0.0) / SESSION_SLOTS for i in range(SESSION_SLOTS))
        opens = max(self._world.now, begins - OPENS)
        if not any(demand) or opens >= begins - CLOSES:
            return
        await self._world.at(opens)
        session = MarketSession(
            id=f"{self.scene.site}-{begins:%Y%m%dT%H%MZ}",
            opens=opens,
            closes=begins - CLOSES,
            start=begins,
            demand_kwh=demand,
            cutoff_eur_per_kwh=CUTOFF_EUR_PER_KWH,
        )
        await market.call("POST", "/market", Any, session)
        await self._world.at(opens)
        await self._world.at(begins - CLOSES)

    @staticmethod
    async def _tell(agents: Sequence[AgentProcess], now: datetime) -> None:
        await together([a.at(now) for a in agents if a.next is not None and a.next <= now])


def direct_stations(scene: Scene) -> list[str]:
    """The stations that trade directly."""
    return scene.stations[EVERY_DIRECT // 2 :: EVERY_DIRECT]


def peak_slots(scene: Scene) -> dict[datetime, float]:
    """The quarter-hours whose usual load is above the limit, and by how much, kWh."""
    limit = limit_kwh(scene.usual)
    over = {scene.start + i * QUARTER_HOUR: load - limit for i, load in enumerate(scene.usual.load_kwh)}
    return {at: round(kwh, 3) for at, kwh in over.items() if kwh > 0}


def contract(prosumer: str, aggregator: str, valid_from: datetime) -> Contract:
    """What an aggregator pays: for offering, being used, energy or starts moved; nothing for a schedule not kept."""
    return Contract(
        id=f"{prosumer}.contract",
        prosumer=prosumer,
        aggregator=aggregator,
        valid_from=valid_from,
        per_time_flexibility_eur=0.02,
        per_start_shift_eur=0.01,
        per_energy_flexibility_eur_per_kwh=0.005,
        per_activation_eur=0.10,
        per_deviation_eur_per_kwh=0.02,
        imbalance_limit_kwh=0.15,
    )


def _next(agents: Sequence[AgentProcess]) -> datetime | None:
    return min((a.next for a in agents if a.next is not None), default=None)


async def together(what: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Do all at once; the first failure stops the others."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one) for one in what]
    return [task.result() for task in tasks]


async def papers(hub: Reading) -> Papers:
    """All documents of the hub; of bills those of prosumers, by their contracts."""
    contracts = await every(hub, Contract)
    known = {contract.id for contract in contracts}
    return Papers(
        offers=tuple(await every(hub, FlexOffer)),
        measurements=tuple(await every(hub, Measurement)),
        bills=tuple(bill for bill in await every(hub, Bill) if bill.contract in known),
        contracts=tuple(contracts),
        requests=tuple(await every(hub, FlexRequest)),
        sold=tuple(await every(hub, Obligation)),
        traded=await traded(hub),
        spoken=await spoken(hub, AGGREGATOR),
    )
