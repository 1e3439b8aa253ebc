"""Puts the VEN side of a hub together from ``[[openadr.ven]]``: handlers, askers, clients, pollers and listeners.

    [[openadr.ven]]
    name = "utility"                                         # the issuer of its requests
    vtn = "https://vtn.example.com/OpenADR2/Simple/2.0b"
    ven_name = "my-hub"
    cert = "ven.pem"                                         # our certificate; its key
    key = "ven.key"
    fingerprint = "00:11:22:33:44:55:66:77:88:99"            # of the VTN's
    congestion_point = "feeder-7"
    levels = ["50 kW", "100 kW", "200 kW"]                   # what SIMPLE asks for
    opt = "engine"

All keys are those of `flexhub.app.openadr.ven.section.VenSection`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime

from aiohttp import web

from flexhub.adapters.store.interface import SendRow
from flexhub.app.access.limits import Buckets
from flexhub.app.config import Config
from flexhub.app.connections import Connections, Runner, Site
from flexhub.app.hub.contract import Asker, Handler
from flexhub.app.hub.loop import Hub
from flexhub.app.hub.outbox import UNKNOWN, Carrier, Outcome, Sender
from flexhub.app.openadr.ven.handlers import PEER, SLOT, build, nobody
from flexhub.app.openadr.ven.opting import OptAsker
from flexhub.app.openadr.ven.polling import Poller
from flexhub.app.openadr.ven.posting import VtnClient
from flexhub.app.openadr.ven.pushed import Listener
from flexhub.app.openadr.ven.reporting import ReportAsker
from flexhub.app.openadr.ven.settings import Ven, vens_of
from flexhub.app.openadr.ven.ways import XmppWay
from flexhub.app.serving import BACKLOG, listening, tls_context
from flexhub.engines.slots import ManagerEngine


def handlers(config: Config, *, managing: bool, off: Collection[str] = ()) -> dict[str, Handler]:
    """Kind -> handler; where the hub is nobody's VEN, one that says so. Rules that are `off` are not kept to."""
    vens = vens_of(config, managing=managing, off=off)
    return build(vens) if vens else nobody()


def askers(config: Config, engine: ManagerEngine, *, managing: bool) -> dict[str, Asker]:
    """``<slot>.<question>`` -> who answers it."""
    vens = vens_of(config, managing=managing)
    if not vens:
        return {}
    return {f"{SLOT}.ven.opt": OptAsker(engine, vens), f"{SLOT}.ven.report": ReportAsker(vens)}


class Vens:
    """What stays of a hub's VEN side while it runs."""

    def __init__(
        self, vens: Mapping[str, Ven], clients: Mapping[str, VtnClient], clock: Callable[[], datetime]
    ) -> None:
        self.vens = vens
        self.clients = clients
        self.clock = clock

    def carrier(self, others: Sender | None) -> Sender | None:
        """Carries VENs' rows of the outbox, and leaves all others to others."""
        return Carrier(PEER, self, others) if self.vens else others

    async def send(self, row: SendRow) -> Outcome:
        """One try, by the client of the VTN that it is for."""
        client = self.clients.get(row.peer.removeprefix(PEER))
        return Outcome(0, why=UNKNOWN, final=False) if client is None else await client.send(row)


@asynccontextmanager
async def speaking(config: Config, clock: Callable[[], datetime], *, managing: bool) -> AsyncIterator[Vens]:
    """The clients, for as long as the block lasts.

    Raises:
        ConfigError: certificates or keys that cannot be read.
    """
    vens = vens_of(config, managing=managing)
    async with AsyncExitStack() as stack:
        clients = {name: await stack.enter_async_context(VtnClient(ven.section, clock)) for name, ven in vens.items()}
        yield Vens(vens, clients, clock)


@asynccontextmanager
async def polling(config: Config, vens: Vens, hub: Hub, *, timers: bool = True) -> AsyncIterator[Mapping[str, Poller]]:
    """A poller for each VTN, for as long as the block lasts; without `timers`, rounds are the caller's to begin.

    Raises:
        ConfigError: TLS that cannot be read.
        OSError: an address cannot be bound.
    """
    pollers = {name: Poller(hub, ven, vens.clients[name], vens.clock) for name, ven in vens.vens.items()}
    if pollers:
        hub.readiness.add("openadr", lambda: _trouble(pollers.values()))
    async with AsyncExitStack() as stack:
        for name, poller in pollers.items():
            listen, client = vens.vens[name].section.listen, vens.clients[name]
            limits = config.limits
            listener = Listener(poller, client, Buckets(limits.failures, limits.failures_at_once))
            if listen is not None:
                await stack.enter_async_context(_listening(config, listener.application(), listen))
            if isinstance(client.way, XmppWay):
                await stack.enter_async_context(client.way.connected(listener.stanza, poller.told))
        begun = ((name, hub.keeper.while_on(poller.run)) for name, poller in pollers.items() if timers)
        tasks = [asyncio.create_task(work, name=f"openadr-ven-{name}") for name, work in begun]
        try:
            yield pollers
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _trouble(pollers: Collection[Poller]) -> str | None:
    """How many VTNs cannot be spoken with, if any."""
    failing = sum(poller.failing for poller in pollers)
    return f"{failing} of {len(pollers)} VTNs can't be spoken with" if failing else None


@asynccontextmanager
async def _listening(config: Config, app: web.Application, listen: str) -> AsyncIterator[None]:
    runner = Runner(app, Connections(config.limits.connections))
    await runner.setup()
    with listening(listen) as bound:
        try:
            await Site(runner, bound, ssl_context=tls_context(config), backlog=BACKLOG).start()
            yield
        finally:
            await runner.cleanup()
