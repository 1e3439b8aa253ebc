"""A world of four hubs, a process each: agent, manager, market and grid operator, with store and certificate each.

They speak the exchange interface, and manager and grid operator UFTP, over TLS, and nothing else. What an operator
would do by hand is done here before they start: certificates (``flexhub certs``), tokens and keys (``flexhub keys``)
and configurations.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from flexhub.adapters.store import open_store
from flexhub.app.access.certificates import authority, issue
from flexhub.app.demo.day import (
    AGGREGATOR,
    DIRECT,
    MARGIN_EUR_PER_KWH,
    MARKET,
    OPERATOR,
    Door,
    direct_stations,
    papers,
    read_store,
)
from flexhub.app.demo.hub import Done, Setting, Site
from flexhub.app.demo.openadr import UTILITY, aggregator_toml, spoken, utility_toml, ven_stations
from flexhub.app.demo.processes import Process
from flexhub.app.demo.results import Papers
from flexhub.app.demo.scene import Scene
from flexhub.app.demo.trading import publish, told, traded
from flexhub.app.exchange.papers import file_bill, file_contract, file_measurement, file_offer
from flexhub.app.hub.contract import Put
from flexhub.app.hub.tokens import add_token
from flexhub.core.documents import decode, encode
from flexhub.core.errors import InternalError
from flexhub.core.registry import Role
from flexhub.core.timegrid import EPOCH

T = TypeVar("T")

LOOPBACK: Final = "127.0.0.1"

AGENT_TOML: Final = """\
[hub]
name = "{agent}"
roles = ["prosumer"]
listen = "{listen}"
zone = "{zone}"

[store]
url = "sqlite:///{folder}/hub.db"

[tls]
cert = "{folder}/hub.pem"
key = "{folder}/hub.key"

[[peer]]
id = "{aggregator}"
url = "{manager_url}"
ca = "{ca}"
tokens = "{folder}/{aggregator}"

[[peer]]
id = "{market}"
url = "{market_url}"
ca = "{ca}"
tokens = "{folder}/{market}"

[trade]
market = "{market}"
margin = "{margin} EUR/kWh"
"""

MANAGER_TOML: Final = """\
[hub]
name = "{aggregator}"
roles = ["aggregator"]
listen = "{listen}"
zone = "{zone}"

[store]
url = "sqlite:///{folder}/hub.db"

[tls]
cert = "{folder}/hub.pem"
key = "{folder}/hub.key"

[[peer]]
id = "{market}"
url = "{market_url}"
ca = "{ca}"
tokens = "{folder}/{market}"

[trade]
market = "{market}"
margin = "{margin} EUR/kWh"
{uftp}
{openadr}
"""

MARKET_TOML: Final = """\
[hub]
name = "{market}"
roles = ["market_operator"]
listen = "{listen}"
zone = "{zone}"

[store]
url = "sqlite:///{folder}/hub.db"

[tls]
cert = "{folder}/hub.pem"
key = "{folder}/hub.key"
"""


OPERATOR_TOML: Final = """\
[hub]
name = "{operator}"
roles = []
listen = "{listen}"
zone = "{zone}"

[store]
url = "sqlite:///{folder}/hub.db"
{tls}
{uftp}
{openadr}
"""

OPERATOR_TLS: Final = """
[tls]
cert = "{folder}/hub.pem"
key = "{folder}/hub.key"
"""


class Holder(NamedTuple):
    """Whose token, and as what."""

    party: str
    role: Role


class Hub:
    """One of them: its folder, its process, and the tokens that are good there."""

    def __init__(self, name: str, folder: Path, template: str, site: Site | None = None) -> None:
        self.name = name
        self.folder = folder
        self.listen = f"{LOOPBACK}:0"
        self.url = ""
        self.uftp_listen = f"{LOOPBACK}:0"
        self.uftp_url = ""
        self.vtn_url = ""
        self.messages = 0
        self.tokens: dict[Holder, str] = {}
        self.process: Process | None = None
        self._template = template
        self._site = site

    @property
    def store(self) -> str:
        """Where everything of it is kept."""
        return f"sqlite:///{self.folder}/hub.db"

    def prepare(self, keys: Iterable[Holder], now: datetime) -> None:
        """Make tokens, before it runs."""
        self.folder.mkdir(parents=True, exist_ok=True)
        store = open_store(self.store)
        try:
            for key in keys:
                self.tokens[key] = add_token(store, key.party, key.role, now)
        finally:
            store.close()

    def hand(self, other: Hub, keys: Iterable[Holder]) -> None:
        """Give the operator of another hub tokens for this one."""
        folder = other.folder / self.name
        folder.mkdir(parents=True, exist_ok=True)
        for key in keys:
            with os.fdopen(os.open(folder / key.party, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
                opened.write(self.tokens[key])

    async def start(self, now: datetime, **names: str) -> None:
        """Start it, the first time on a free port, later on the same one."""
        text = self._template.format(folder=self.folder, listen=self.listen, **names)
        config = self.folder / "hub.toml"
        config.write_text(text, "utf-8")
        self.process = await Process.start("flexhub.app.demo.hub")
        setting = Setting(config=str(config), now=now, site=self._site)
        self.url, self.uftp_url, self.vtn_url = (await self.process.ask(encode(setting).decode(), "ready")).split()
        self.listen, self.uftp_listen = (url.partition("://")[2] for url in (self.url, self.uftp_url))

    async def key(self, party: str, role: Role) -> str:
        """The token of a party."""
        return self.tokens[Holder(party, role)]

    async def at(self, now: datetime, marks: dict[str, int]) -> Done:
        """Take it to this instant; it waits for the events that are marked."""
        if self.process is None:
            raise InternalError(f"{self.name} does not run")
        line = f"now {now.isoformat()} {encode(marks).decode()}"
        return decode(Done, await self.process.ask(line, "done"))

    async def step(self, now: datetime) -> bool:
        """Take it to this instant, where it hears nobody's events; whether it worked any message."""
        done = await self.at(now, {})
        worked, self.messages = done.messages != self.messages, done.messages
        return worked

    async def stop(self) -> None:
        """End it."""
        if self.process is not None:
            await self.process.stop()


class Apart:
    """A `World` of four hubs."""

    def __init__(self, folder: Path, scene: Scene, site: Site, now: datetime) -> None:
        self.now = now
        self.ca = folder / "certs" / "ca.pem"
        self.agent_hub = Hub(DIRECT, folder / DIRECT, AGENT_TOML)
        self.manager_hub = Hub(AGGREGATOR, folder / AGGREGATOR, MANAGER_TOML, site)
        self.market_hub = Hub(MARKET, folder / MARKET, MARKET_TOML)
        self.operator_hub = Hub(OPERATOR, folder / OPERATOR, OPERATOR_TOML)
        self.hubs = (self.market_hub, self.operator_hub, self.manager_hub, self.agent_hub)
        self._traders = {"AGR": self.manager_hub, "DSO": self.operator_hub}
        self._scene = scene
        self._marks: dict[str, int] = {}
        self._prepare(folder)

    def _prepare(self, folder: Path) -> None:
        """Certificates, tokens, and who is who in UFTP, which is nobody so far."""
        self._uftp = folder / "uftp"
        self._uftp.mkdir(parents=True)
        publish(self._uftp, {})
        real = datetime.now(UTC)  # TLS goes by the machine's time, whatever the day's is
        certs = folder / "certs"
        authority(certs, real)
        for hub in self.hubs:
            made = issue(certs, hub.name, [LOOPBACK], real, client=False)
            hub.folder.mkdir(parents=True)
            made.cert.rename(hub.folder / "hub.pem")
            made.key.rename(hub.folder / "hub.key")
        stations = [Holder(name, Role.PROSUMER) for name in self._scene.stations]
        direct, vens = set(direct_stations(self._scene)), set(ven_stations(self._scene))
        stations = [key for key in stations if key.party not in vens]
        delegated = [key for key in stations if key.party not in direct]
        admin, manager = Holder("operator", Role.ADMIN), Holder(AGGREGATOR, Role.AGGREGATOR)
        trader = Holder(DIRECT, Role.PROSUMER)
        self.agent_hub.prepare([admin, Holder(DIRECT, Role.AGGREGATOR), *stations], self.now)
        self.manager_hub.prepare([admin, manager, *delegated], self.now)
        self.operator_hub.prepare([admin], self.now)
        self.market_hub.prepare([Holder(MARKET, Role.MARKET_OPERATOR), manager, trader], self.now)
        self.manager_hub.hand(self.agent_hub, delegated)
        self.market_hub.hand(self.agent_hub, [trader])
        self.market_hub.hand(self.manager_hub, [manager])

    @property
    def agent(self) -> Door:
        """As `World.agent`."""
        return Door(self.agent_hub.url, self.agent_hub.key)

    @property
    def manager(self) -> Door:
        """As `World.manager`."""
        return Door(self.manager_hub.url, self.manager_hub.key)

    @property
    def market(self) -> Door:
        """As `World.market`."""
        return Door(self.market_hub.url, self.market_hub.key)

    @property
    def grid(self) -> Door:
        """As `World.grid`."""
        return Door(self.operator_hub.url, self.operator_hub.key)

    @property
    def vtn(self) -> str:
        """As `World.vtn`."""
        return self.manager_hub.vtn_url

    async def start(self, hub: Hub) -> None:
        """Start one of them; the market and the utility's first, and the agent last, since they have to know of others.

        Where UFTP is spoken is published once it is.
        """
        role = next((role for role, trader in self._traders.items() if trader is hub), None)
        uftp = "" if role is None else told(self._scene, role, self._uftp, listen=hub.uftp_listen, ca=self.ca)
        await hub.start(
            self.now,
            agent=DIRECT,
            aggregator=AGGREGATOR,
            market=MARKET,
            zone=self._scene.zone,
            ca=str(self.ca),
            margin=repr(MARGIN_EUR_PER_KWH),
            market_url=self.market_hub.url,
            manager_url=self.manager_hub.url,
            operator=OPERATOR,
            tls=OPERATOR_TLS.format(folder=hub.folder),
            uftp=uftp,
            openadr=self._openadr(hub),
        )
        if role is not None:
            publish(self._uftp, {r: trader.uftp_url for r, trader in self._traders.items() if trader.uftp_url})

    def _openadr(self, hub: Hub) -> str:
        if hub is self.operator_hub:
            return utility_toml(hub.folder)
        return aggregator_toml(self._scene, AGGREGATOR, self.operator_hub.vtn_url, hub.folder, self.ca)

    async def at(self, now: datetime) -> None:
        """As `World.at`: take all of them there, again and again, until nobody has worked a message meanwhile."""
        self.now = now
        # First the clock of the VTN that the manager polls as soon as its own is there.
        self._marks |= (await self.operator_hub.at(now, dict(self._marks))).marks
        worked = True
        while worked:
            marks = dict(self._marks)
            answers = await asyncio.gather(*(hub.at(now, marks) for hub in self.hubs))
            worked = False
            for hub, done in zip(self.hubs, answers, strict=True):
                self._marks |= done.marks
                worked = worked or done.messages != hub.messages
                hub.messages = done.messages

    async def messages(self) -> int:
        """As `World.messages`."""
        return sum(hub.messages for hub in self.hubs)

    async def papers(self) -> Papers:
        """As `World.papers`: the agent's, those of VENs, and what only the manager has of requests and sales."""
        agent, manager = [await self.papers_of(hub) for hub in (self.agent_hub, self.manager_hub)]
        vens = set(ven_stations(self._scene))
        return Papers(
            offers=_merged(agent.offers, manager.offers, vens, file_offer),
            measurements=_merged(
                agent.measurements, manager.measurements, vens, lambda one: file_measurement(one.subject, one)
            ),
            bills=_merged(agent.bills, manager.bills, vens, file_bill),
            contracts=_merged(agent.contracts, manager.contracts, vens, lambda one: file_contract(one)[0]),
            requests=manager.requests,
            sold=tuple(sorted((*agent.sold, *manager.sold), key=lambda sale: (sale.trade.start, sale.id))),
            traded=manager.traded,
            bought=await read_store(self.operator_hub.store, traded),
            spoken=manager.spoken,
            called=await read_store(self.operator_hub.store, lambda hub: spoken(hub, UTILITY)),
        )

    async def papers_of(self, hub: Hub) -> Papers:
        """What stands in the store of one of them."""
        return await read_store(hub.store, papers)

    async def stop(self) -> None:
        """End all of them."""
        for hub in self.hubs:
            await hub.stop()


def _merged(
    ours: Iterable[T], theirs: Iterable[T], parties: AbstractSet[str], file: Callable[[T], Put]
) -> tuple[T, ...]:
    """One hub's documents and those of another that are these parties', in the order in which a store has them."""
    puts = [file(one) for one in ours]
    puts += [put for one in theirs if (put := file(one)).owner in parties]
    ordered = sorted(puts, key=lambda put: (put.starts or EPOCH, put.key.id))
    return tuple(put.value for put in ordered)  # type: ignore[misc]  # it is what was filed


@asynccontextmanager
async def apart(folder: Path, scene: Scene, site: Site, now: datetime) -> AsyncIterator[Apart]:
    """Four hubs for as long as the block lasts; all that is theirs is below the folder."""
    world = Apart(folder, scene, site, now)
    try:
        for hub in world.hubs:
            await world.start(hub)
        yield world
    finally:
        await world.stop()


@asynccontextmanager
async def beside(folder: Path, scene: Scene, now: datetime) -> AsyncIterator[Hub]:
    """The grid operator's hub alone, without TLS; its UFTP is published once its partner's is (`publish`)."""
    hub = Hub(OPERATOR, folder / OPERATOR, OPERATOR_TOML)
    hub.prepare([Holder("operator", Role.ADMIN)], now)
    try:
        uftp = told(scene, "DSO", folder, listen=hub.uftp_listen, ca=None)
        await hub.start(now, operator=OPERATOR, zone=scene.zone, tls="", uftp=uftp, openadr=utility_toml(None))
        yield hub
    finally:
        await hub.stop()
