"""A day from the first offer to the last bill: a hub, its parties, agents in processes of their own, and the clock.

The clock is stepped, not awaited. For every quarter-hour: at each arrival the agents offer; a second before it begins
the manager plans what was accepted; when it begins, deadlines fire, and the agents charge and hand readings in. Each
step ends when everybody has done what was due, so a day is the same day every time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from time import perf_counter
from typing import Any, Final, TypeVar

import aiohttp

from flexhub.app.agent.charger import Behaviour
from flexhub.app.agent.client import Client
from flexhub.app.agent.program import Config as AgentConfig
from flexhub.app.agent.program import Station
from flexhub.app.demo.grid import request
from flexhub.app.demo.processes import AgentProcess, share
from flexhub.app.demo.results import Papers, Result, summarise
from flexhub.app.demo.scene import Scene
from flexhub.app.exchange.market import Registration
from flexhub.app.exchange.portfolio import every
from flexhub.app.hub.loop import Hub
from flexhub.core.flexoffer import FlexOffer, State
from flexhub.core.registry import Connection, Party, Resource, Role
from flexhub.core.timegrid import QUARTER_HOUR_S, ceil_to_grid
from flexhub.core.timeseries import Measurement
from flexhub.core.trading import Bill, Contract, FlexRequest

T = TypeVar("T")

AGGREGATOR: Final = "aggregator"
OPERATOR: Final = "grid-operator"
GATE: Final = timedelta(seconds=1)
"""Schedules are made this long before their first slot begins."""

SETTLE_AFTER: Final = timedelta(hours=2)

Report = Callable[[datetime, float], None]
"""Told the simulated time, and the share of the day's sessions that are over."""


class Clock:
    """A clock that goes where it is set."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """What time it is."""
        return self.now


class Day:
    """One day at a running hub.

    Args:
        scene: what is played.
        hub: the hub, at work without timers of its own; its manager is `AGGREGATOR`.
        url: where it serves REST.
        clock: the clock that it goes by.
        seed: of all chance.
        behaviour: how real the chargers are.
    """

    def __init__(  # noqa: PLR0913 - the parts it is composed of
        self, scene: Scene, hub: Hub, url: str, clock: Clock, *, seed: int, behaviour: Behaviour
    ) -> None:
        self.scene = scene
        self._hub = hub
        self._url = url
        self._clock = clock
        self._seed = seed
        self._behaviour = behaviour

    async def play(self, agents: Sequence[AgentProcess], report: Report) -> Result:
        """Play the day with these agents, which have been started, and tell what came of it."""
        begun = perf_counter()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            aggregator = Client(http, self._url, await self._hub.add_token(AGGREGATOR, Role.AGGREGATOR))
            tokens = await self._enrol(http, aggregator)
            await self._ask_for_less(http)
            hands = share(self.scene.stations, len(agents))
            working = agents[: len(hands)]
            await together([a.configure(self._config(hand, tokens)) for a, hand in zip(working, hands, strict=True)])
            await self._run(working, aggregator, report)
            self._clock.now += SETTLE_AFTER
            await self._hub.tick()
            await aggregator.call("POST", "/settlement", Any)
            await self._hub.settled()
        return summarise(
            await papers(self._hub),
            site=self.scene.site,
            day=self.scene.day,
            zone=self.scene.zone,
            messages=self._hub.stats.messages,
            seconds=round(perf_counter() - begun, 3),
            notes=self.scene.notes,
        )

    async def _enrol(self, http: aiohttp.ClientSession, aggregator: Client) -> dict[str, str]:
        """Register every station as a party with a contract; their tokens."""
        admin = Client(http, self._url, await self._hub.add_token("operator", Role.ADMIN))
        site = self.scene.site
        others = ((AGGREGATOR, Role.AGGREGATOR), (OPERATOR, Role.GRID_OPERATOR))
        entries = [Registration(party=Party(id=name, name=name, roles=(role,))) for name, role in others]
        contracts = []
        for name in self.scene.stations:
            connection = Connection(id=f"{name}.meter", party=name, congestion_point=site)
            resource = Resource(
                id=f"{name}.charger", connection=connection.id, kind="ev", max_consumption_kw=self.scene.power_kw
            )
            party = Party(id=name, name=f"Charging station {name}", roles=(Role.PROSUMER,))
            entries.append(Registration(party=party, connections=(connection,), resources=(resource,)))
            contracts.append(contract(name, self.scene.start - timedelta(days=1)))
        await together([admin.call("PUT", f"/party/{e.party.id}", Any, e) for e in entries])
        await together([aggregator.call("PUT", f"/contract/{c.id}", Any, c) for c in contracts])
        return {name: await self._hub.add_token(name, Role.PROSUMER) for name in self.scene.stations}

    async def _ask_for_less(self, http: aiohttp.ClientSession) -> None:
        operator = Client(http, self._url, await self._hub.add_token(OPERATOR, Role.GRID_OPERATOR))
        asked = request(
            self.scene.usual,
            request_id=f"{self.scene.site}-{self.scene.day}",
            issuer=OPERATOR,
            recipient=AGGREGATOR,
            congestion_point=self.scene.site,
            start=self.scene.start,
        )
        await operator.call("POST", "/flexrequest", FlexRequest, asked)

    def _config(self, stations: Sequence[str], tokens: dict[str, str]) -> AgentConfig:
        own = set(stations)
        return AgentConfig(
            hub=self._url,
            stations=tuple(Station(id=name, token=tokens[name]) for name in stations),
            sessions=tuple(s for s in self.scene.sessions if s.station in own),
            power_kw=self.scene.power_kw,
            behaviour=self._behaviour,
            seed=self._seed,
        )

    async def _run(self, agents: Sequence[AgentProcess], aggregator: Client, report: Report) -> None:
        last = max(s.departure for s in self.scene.sessions)
        while (due := _next(agents)) is not None:
            begins = max(ceil_to_grid(due, QUARTER_HOUR_S), ceil_to_grid(self._clock.now, QUARTER_HOUR_S))
            while due is not None and due < begins:
                self._clock.now = due
                await self._tell(agents, due)
                due = _next(agents)
            if (await self._hub.documents(FlexOffer, states=(State.ACCEPTED,), limit=1)).items:
                self._clock.now = max(self._clock.now, begins - GATE)
                await aggregator.call("POST", "/plan", Any)
                await self._hub.settled()
            self._clock.now = begins
            await self._hub.tick()
            await self._tell(agents, begins)
            report(begins, min(1.0, (begins - self.scene.start) / (last - self.scene.start)))

    @staticmethod
    async def _tell(agents: Sequence[AgentProcess], now: datetime) -> None:
        await together([a.at(now) for a in agents if a.next is not None and a.next <= now])


def contract(prosumer: str, valid_from: datetime) -> Contract:
    """What the aggregator pays: for offering, for being used, for energy moved; nothing for a schedule not kept."""
    return Contract(
        id=f"{prosumer}.contract",
        prosumer=prosumer,
        aggregator=AGGREGATOR,
        valid_from=valid_from,
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


async def papers(hub: Hub) -> Papers:
    """All documents of the hub."""
    return Papers(
        offers=tuple(await every(hub, FlexOffer)),
        measurements=tuple(await every(hub, Measurement)),
        bills=tuple(await every(hub, Bill)),
        contracts=tuple(await every(hub, Contract)),
        requests=tuple(await every(hub, FlexRequest)),
    )
