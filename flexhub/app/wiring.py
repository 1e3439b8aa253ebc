"""Puts a hub together from its configuration: store, handlers, engines, REST, and its first parties."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import ssl
import threading
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Final, NamedTuple

import msgspec

from flexhub.adapters.http.sender import HttpSender, Peer
from flexhub.adapters.store import open_store, store_folder
from flexhub.adapters.store.interface import SendRow, Store
from flexhub.app import logs, retention
from flexhub.app.config import Config, PartySection
from flexhub.app.doors.keeper import doors
from flexhub.app.exchange import auction, bidding, handlers, passing, portfolio, selling
from flexhub.app.exchange.market import Registration
from flexhub.app.exchange.running import Cadence
from flexhub.app.following import Followers, following, parties_of, portfolios_of
from flexhub.app.hub.contract import Asker, Handler, Message
from flexhub.app.hub.loop import Hub
from flexhub.app.hub.outbox import Outcome, Sender
from flexhub.app.hub.readiness import Limits, disk
from flexhub.app.hub.told import stream_id
from flexhub.app.openadr.ven import running as openadr_ven
from flexhub.app.openadr.ven.polling import Poller
from flexhub.app.openadr.vtn import running as vtn
from flexhub.app.pages import Settings
from flexhub.app.reloading import reloaded
from flexhub.app.serving import (
    Apply,
    address,
    issuer_of,
    listening,
    service_of,
    serving_http,
    share_interpreter,
    spare_collector,
    tls_context,
    utc_now,
)
from flexhub.app.uftp import running as uftp
from flexhub.app.uftp.papers import UftpAgreed
from flexhub.app.uftp.trading.papers import UftpTrade
from flexhub.app.uftp.trading.running import trades
from flexhub.core.documents import encode
from flexhub.core.errors import ConfigError, FlexhubError, UnavailableError
from flexhub.core.registry import Connection, Party, Resource, Role
from flexhub.core.timegrid import TimeGrid
from flexhub.core.trading import Contract
from flexhub.core.units import format_duration
from flexhub.engines import plugins
from flexhub.engines.slots import ManagerEngine, MarketEngine

log = logging.getLogger(__name__)

CONFIG: Final = "flexhub:config"
"""The peer that messages of the configuration come from."""


class Running(NamedTuple):
    """A hub at work: its loop, the address that it is bound to, what brings a changed configuration in, and UFTP's."""

    hub: Hub
    host: str
    port: int
    url: str
    reload: Callable[[Config], Awaitable[Config]]
    followers: Followers
    uftp_url: str | None = None
    vtn: vtn.Open | None = None
    vens: Mapping[str, Poller] = {}

    @property
    def vtn_url(self) -> str | None:
        """Where VENs speak to the VTN."""
        return None if self.vtn is None else self.vtn.url


def new_id() -> str:
    """A fresh identifier."""
    return uuid.uuid4().hex


def engine_of(config: Config) -> ManagerEngine:
    """The manager engine that the configuration names; it speaks for the hub, by its name.

    Raises:
        ConfigError: none of that name is installed.
        EngineError: it cannot be used.
    """
    try:
        engine = plugins.load("manager", config.plan.engine, party=config.hub.name)
    except ConfigError as error:
        raise ConfigError(error.message, path="plan/engine", value=config.plan.engine) from error
    if not isinstance(engine, ManagerEngine):  # `load` has seen to it; said again for the type checker
        raise ConfigError("it is no manager engine", path="plan/engine", value=config.plan.engine)
    return engine


def market_of(config: Config) -> MarketEngine:
    """The market engine that the configuration names.

    Raises:
        ConfigError: none of that name is installed.
        EngineError: it cannot be used.
    """
    try:
        engine = plugins.load("market", config.market.engine)
    except ConfigError as error:
        raise ConfigError(error.message, path="market/engine", value=config.market.engine) from error
    if not isinstance(engine, MarketEngine):  # as in `engine_of`
        raise ConfigError("it is no market engine", path="market/engine", value=config.market.engine)
    return engine


def manages(config: Config) -> bool:
    """Whether the hub has portfolios: a manager's, or that of the prosumers whom an agent trades for directly."""
    return Role.AGGREGATOR in config.hub.roles or Role.PROSUMER in config.hub.roles


def deciders(config: Config, engine: ManagerEngine) -> tuple[dict[str, Handler], dict[str, Asker]]:
    """Who decides what in a hub of this configuration, by the roles that it serves, and who answers its questions."""
    decided: dict[str, Handler] = handlers.common() | retention.HANDLERS | uftp.handlers(config)
    decided |= vtn.handlers(config)
    decided |= openadr_ven.handlers(config, managing=manages(config))
    askers: dict[str, Asker] = {retention.QUESTION: retention.Trimmer(config.retention)} | uftp.askers(config, engine)
    askers |= vtn.askers(config)
    askers |= openadr_ven.askers(config, engine, managing=manages(config))
    if manages(config):
        elsewhere = {p.id for p in config.peer if p.tokens is not None} if Role.PROSUMER in config.hub.roles else ()
        decided |= handlers.build(
            engine, aggregator=config.hub.name, grace=config.settle.grace, elsewhere=frozenset(elsewhere)
        )
        askers |= portfolio.build(engine, TimeGrid(zone=config.hub.zone))
        if Role.PROSUMER in config.hub.roles:
            decided |= passing.handlers()
        if config.trade.market is not None:
            decided |= selling.handlers()
            askers |= bidding.askers(engine, float(config.trade.margin))
    if Role.MARKET_OPERATOR in config.hub.roles:
        market = market_of(config)
        decided |= auction.handlers(market)
        askers |= auction.askers(market)
    return vtn.chained(config, decided), askers


def assemble(  # noqa: PLR0913 - the parts it is composed of
    config: Config,
    store: Store,
    clock: Callable[[], datetime],
    engine: ManagerEngine,
    sender: Sender | None = None,
    *,
    off: Collection[str] | None = None,
    hooks: uftp.Hooks | None = None,
) -> Hub:
    """The hub loop with the exchange's handlers and askers; `off` and `hooks` are as of `running`."""
    decided, askers = deciders(config, engine)
    if hooks is not None:
        decided |= uftp.handlers(config, (), hooks)
    if off is not None:
        decided |= uftp.handlers(config, off, hooks) | openadr_ven.handlers(config, managing=manages(config), off=off)
        decided |= vtn.handlers(config, off)
    return Hub(store, decided, askers, clock, max_batch=config.store.max_batch, sender=sender)


class Post:
    """Carries what the outbox holds over HTTP, and bids to the hub's own market straight in.

    Args:
        http: the way to peers.
        own: id of the stream that the hub itself is, to a portfolio -> the portfolio.
    """

    def __init__(self, http: HttpSender, own: Mapping[str, str] | None = None) -> None:
        self._http = http
        self._own = own or {}
        self.hub: Hub | None = None

    async def send(self, row: SendRow) -> Outcome:
        """One try."""
        if row.peer in self._own and self.hub is not None:
            return await bid_here(self.hub, self._own[row.peer], row)
        return Outcome(*await self._http.post(row.peer, row.path, row.message_id, row.media_type, row.body))


async def bid_here(hub: Hub, portfolio: str, row: SendRow) -> Outcome:
    """Hand a portfolio's bid to the hub that is the market, too."""
    session = row.path.removeprefix("/market/").removesuffix("/bid")
    message = Message(
        peer=portfolio,
        id=row.message_id,
        kind="bid.post",
        conversation=session,
        body=row.body,
        role=Role.AGGREGATOR,
    )
    try:
        answer = await hub.submit(message)
    except UnavailableError as error:
        return Outcome(0, why=str(error), final=False)
    except FlexhubError as error:
        return Outcome(422, encode({"code": error.code, "message": str(error)}), why=error.code)
    return Outcome(answer.status, answer.body)


def peers_of(config: Config) -> dict[str, Peer]:
    """Where the hub's peers are; under the id of a stream, where they are to the party that it tells."""
    found = {}
    for p in config.peer:
        peer = Peer(p.url, p.token, p.ca, None if p.cert is None or p.key is None else (p.cert, p.key))
        found[p.id] = peer
        for party in parties_of(p.tokens):
            assert p.tokens is not None  # noqa: S101 - it has parties
            found[stream_id(p.id, party)] = peer._replace(token=p.tokens / party)
    return found


@asynccontextmanager
async def posting(config: Config) -> AsyncIterator[Post | None]:
    """What carries messages to the hub's peers; None where it has none.

    Raises:
        ConfigError: files of certificates that cannot be read.
    """
    if not config.peer and config.trade.market is None:
        yield None
        return
    try:
        http = HttpSender(peers_of(config))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"no certificates: {error}", path="peer/ca") from error
    here = portfolios_of(config) if config.trade.market == config.hub.name else ()
    async with http:
        yield Post(http, {stream_id(config.hub.name, name): name for name in here})


@asynccontextmanager
async def running(  # noqa: PLR0913 - what may be given instead of what is configured
    config: Config,
    *,
    clock: Callable[[], datetime] = utc_now,
    engine: ManagerEngine | None = None,
    timers: bool = True,
    page: Settings | None = None,
    off: Collection[str] | None = None,
    hooks: uftp.Hooks | None = None,
) -> AsyncIterator[Running]:
    """A hub that serves for as long as the block lasts.

    Args:
        config: the configuration.
        clock: what time it is; everything goes by it (doors, where configured, go by the machine's).
        engine: the manager engine, instead of the one that the configuration names.
        timers: fire timers as the clock goes; without, only `Hub.tick` does.
        page: what the page is told, where the configuration has pages; by default the hub's name and zone.
        off: rules that are not judged, for the conformance suites' self-check; it may change meanwhile.
        hooks: what is made of UFTP's messages, instead of the hooks that the configuration names.

    Raises:
        ConfigError: an unknown engine or store, or files that cannot be read.
        OSError: the address cannot be bound.
    """
    page = page or Settings(name=config.hub.name, zone=config.hub.zone, version=version("flexhub"))
    tls_context(config)  # a wrong certificate or key is told before anything is opened
    issuer_of(config.oauth)
    async with AsyncExitStack() as outside:
        bound = outside.enter_context(listening(config.hub.listen))
        store = open_store(config.store.url)
        try:
            post = await outside.enter_async_context(posting(config))
            speaking = await outside.enter_async_context(uftp.speaking(config))
            sender: Sender | None = post if speaking is None else speaking.carrier(post)
            pushing = await outside.enter_async_context(vtn.pushing(config, clock))
            sender = sender if pushing is None else pushing.carrier(sender)
            vens = await outside.enter_async_context(openadr_ven.speaking(config, clock, managing=manages(config)))
            sender = vens.carrier(sender)
            hub = assemble(config, store, clock, engine or engine_of(config), sender, off=off, hooks=hooks)
            if post is not None:
                post.hub = hub
            watch(hub, config)
            await hub.start(timers=timers)
            try:
                await seed(hub, config)
                async with AsyncExitStack() as serving:
                    if config.hub.doors:
                        apply = await serving.enter_async_context(doors(hub, config, page, bound))
                    else:
                        service = service_of(config, hub, clock, page.version, hub.work.http)
                        apply = await serving.enter_async_context(serving_http(service, config, page, bound))
                    uftp_url = await serving.enter_async_context(uftp.listening_to(config, speaking, hub))
                    vtn_open = await serving.enter_async_context(
                        vtn.listening_to(config, hub, clock, () if off is None else off, pushing)
                    )
                    pollers = await serving.enter_async_context(openadr_ven.polling(config, vens, hub, timers=timers))
                    followers = await serving.enter_async_context(following(hub, config, peers_of(config)))
                    spare_collector()
                    share_interpreter()
                    try:
                        yield Running(
                            hub,
                            *address(config, bound),
                            _Reload(hub, config, apply),
                            followers,
                            uftp_url,
                            vtn_open,
                            pollers,
                        )
                    finally:
                        hub.drain()
            finally:
                await hub.stop()
        finally:
            store.close()


class _Reload:
    """Brings a changed configuration in, as far as a running hub can.

    Raises:
        FlexhubError: it is no good, or a message of it was refused; the sentence says why, and what is not a party or
            contract is as it was.
    """

    def __init__(self, hub: Hub, config: Config, apply: Apply) -> None:
        self._hub = hub
        self._config = config
        self._apply = apply

    async def __call__(self, wanted: Config) -> Config:
        config, fresh, stale = reloaded(self._config, wanted)
        tls_context(config)
        await seed(self._hub, config)
        watch(self._hub, config)
        self._apply(config)
        self._config = config
        log.info("the configuration was read again; new: %s", ", ".join(fresh) or "nothing")
        if stale:
            log.warning("only a restart would bring in: %s", ", ".join(stale))
        return config


def watch(hub: Hub, config: Config) -> None:
    """Add the checks of what is around the hub, and set the limits of all."""
    limits = config.ready
    hub.limits = Limits(queue=limits.queue, question=limits.question, free_disk_mib=limits.free_disk_mib)
    folder = store_folder(config.store.url)
    if folder is not None:
        hub.readiness.add("disk", disk(folder, lambda: hub.limits), vital=True)


async def seed(hub: Hub, config: Config) -> None:
    """Bring the cadence of runs, parties and contracts of the configuration in, where they are not so already."""
    every = (config.plan.every, config.settle.every)
    plan, settle = (None if e is None else timedelta(seconds=e.total_seconds()) for e in every)  # JSON knows no other
    managing, trims = manages(config), config.retention.trims
    for name in dict.fromkeys((config.hub.name, *portfolios_of(config))):
        trim = trims if name == config.hub.name else None
        cadence = Cadence(plan=plan, settle=settle, trim=trim) if managing else Cadence(trim=trim)
        known = await hub.get(Cadence, name)
        if known != cadence and (managing or trim or known):
            await _say(hub, "cadence.put", name, cadence)
    for name, agreed in uftp.agreed(config).items():
        if await hub.get(UftpAgreed, name) != agreed:
            await _say(hub, "uftp.agreed", name, agreed)
    for name, trade in trades(config).items():
        if await hub.get(UftpTrade, name) != trade:
            await _say(hub, "uftp.trade.put", name, trade)
    for section in config.party:
        entry, contract = registration(section), contract_of(section, config.hub.name)
        same = await hub.get(Party, entry.party.id) == entry.party
        for c in entry.connections:
            same = same and await hub.get(Connection, c.id) == c
        for r in entry.resources:
            same = same and await hub.get(Resource, r.id) == r
        if not same:
            await _say(hub, "registry.put", entry.party.id, entry)
        if managing and contract is not None and await hub.get(Contract, contract.id) != contract:
            await _say(hub, "contract.put", contract.id, contract)


async def _say(hub: Hub, kind: str, conversation: str, value: msgspec.Struct) -> None:
    await hub.handle(
        Message(
            peer=CONFIG,
            id=new_id(),
            kind=kind,
            conversation=conversation,
            body=encode(value),
            role=Role.ADMIN,
            value=value,
        )
    )


def registration(section: PartySection) -> Registration:
    """The registry's entry of a configured party."""
    return Registration(
        party=Party(id=section.id, name=section.name or section.id, roles=section.roles, domain=section.domain),
        connections=tuple(
            Connection(id=c.id, party=section.id, ean=c.ean, congestion_point=c.congestion_point, location=c.location)
            for c in section.connection
        ),
        resources=tuple(
            Resource(
                id=r.id,
                connection=r.connection,
                kind=r.kind,
                max_consumption_kw=float(r.max_consumption),
                max_production_kw=float(r.max_production),
                ven_id=r.ven_id,
                contract=section.contract.id if section.contract else None,
            )
            for r in section.resource
        ),
    )


def contract_of(section: PartySection, aggregator: str) -> Contract | None:
    """The contract of a configured party with this hub's aggregator."""
    terms = section.contract
    if terms is None:
        return None
    return Contract(
        id=terms.id,
        prosumer=section.id,
        aggregator=aggregator,
        valid_from=terms.valid_from,
        valid_until=terms.valid_until,
        fixed_eur=float(terms.fixed),
        per_time_flexibility_eur=float(terms.per_time_flexibility),
        per_energy_flexibility_eur_per_kwh=float(terms.per_energy_flexibility),
        per_activation_eur=float(terms.per_activation),
        per_start_shift_eur=float(terms.per_start_shift),
        per_deviation_eur_per_kwh=float(terms.per_deviation),
        imbalance_limit_kwh=float(terms.imbalance_limit),
        scopes=terms.scopes,
    )


STOP_S: Final = 20.0
"""Within so many seconds, once it no longer takes messages, a hub has stopped or is ended."""


def serve(
    config: Config, *, ready: Callable[[Running], None] | None = None, reread: Callable[[], Config] | None = None
) -> None:
    """Run a hub until it is interrupted or terminated; a second time ends it at once.

    Args:
        config: the configuration.
        ready: called once it listens.
        reread: reads the configuration again, when a hangup (SIGHUP) asks for it.
    """
    import uvloop  # noqa: PLC0415 - not on every platform, and only where a hub runs

    logs.begin(config.log.form, config.log.level)

    async def until_told() -> None:
        stop = asyncio.Event()
        reloads: asyncio.Queue[None] = asyncio.Queue(1)
        loop = asyncio.get_running_loop()

        def told(signum: int) -> None:
            if stop.is_set():
                os._exit(128 + signum)  # what was acknowledged is on disk
            stop.set()

        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signum, told, signum)

        def asked() -> None:
            if reloads.empty():
                reloads.put_nowait(None)

        if reread is not None:
            loop.add_signal_handler(signal.SIGHUP, asked)
        async with running(config) as hub:
            if ready is not None:
                ready(hub)
            reloading = asyncio.create_task(_reload(hub, reloads, reread)) if reread is not None else None
            await stop.wait()
            if reloading is not None:
                reloading.cancel()
            hub.hub.leave()
            if config.hub.drain is not None:
                log.info("stopping in %s", format_duration(config.hub.drain))
                await asyncio.sleep(config.hub.drain.total_seconds())
            last = threading.Timer(STOP_S, _too_late)
            last.daemon = True
            last.start()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(until_told())
    log.debug("stopped")
    if any(thread.name.startswith("hub-engine") for thread in threading.enumerate()):
        # An engine that computes on would keep the process; its question is in the store, and put again at the start.
        logging.shutdown()
        os._exit(0)


async def _reload(hub: Running, asked: asyncio.Queue[None], reread: Callable[[], Config]) -> None:
    while True:
        await asked.get()
        try:
            await hub.reload(await asyncio.to_thread(reread))
        except (FlexhubError, OSError) as error:
            log.error("the configuration stays as it was: %s", error)  # noqa: TRY400 - a sentence for who wrote it


def _too_late() -> None:
    log.error("not stopped within %g s; ending", STOP_S)
    logging.shutdown()
    os._exit(1)
