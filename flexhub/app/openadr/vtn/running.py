"""Puts a hub's VTN together from ``[openadr.vtn]``: handlers, endpoint, board and what pushes.

    [openadr.vtn]
    listen = "127.0.0.1:8082"          # its own listener
    id = "FLEXHUB-VTN"                 # vtnID
    cert = "vtn.crt"                   # with them it speaks TLS, and with client_ca to those only
    key = "vtn.key"                    # who show a certificate of these authorities
    client_ca = "vens.crt"

All keys are those of `flexhub.app.openadr.sections.VtnSection`.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from flexhub.adapters.tls import trusting
from flexhub.app.api import server
from flexhub.app.config import Config
from flexhub.app.connections import Connections, Runner, Site
from flexhub.app.endpoints import limits
from flexhub.app.exchange.portfolio import every
from flexhub.app.hub.contract import Asker, Handler
from flexhub.app.hub.loop import Hub
from flexhub.app.hub.outbox import Carrier, Sender
from flexhub.app.openadr.sections import VtnSection
from flexhub.app.openadr.vtn.board import Board
from flexhub.app.openadr.vtn.dispatch import QUESTION, SLOT, DispatchAsker, chain
from flexhub.app.openadr.vtn.endpoint import Endpoint
from flexhub.app.openadr.vtn.handlers import PEER, Desk
from flexhub.app.openadr.vtn.posting import VtnSender
from flexhub.app.openadr.vtn.silence import Watch
from flexhub.app.openadr.vtn.stanzas import Stanzas, vtn_client
from flexhub.app.openadr.vtn.utility import build, nobody
from flexhub.app.serving import BACKLOG, listening
from flexhub.core.errors import ConfigError, InvalidError
from flexhub.protocols.openadr2b.codec import OadrCodec
from flexhub.protocols.openadr2b.names import TransportName
from flexhub.protocols.openadr2b.schema import installed
from flexhub.protocols.openadr2b.session.book import Settings
from flexhub.protocols.openadr2b.session.events import seconds
from flexhub.protocols.openadr2b.session.state import VtnVen
from flexhub.protocols.openadr2b.signature import SigningKey, signing_key

CIPHERS: Final = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-SHA256:AES128-SHA256:@SECLEVEL=1"
)
"""Of TLS 1.2: the profile's two (ECDHE-ECDSA-AES128-SHA256 and AES128-SHA256) [rule 67], and their better kin first."""


def vtn_of(config: Config) -> VtnSection | None:
    """The section; None where the hub is no VTN."""
    return None if config.openadr is None else config.openadr.vtn


def settings_of(section: VtnSection) -> Settings:
    """Who the VTN is."""
    spoken = (TransportName.SIMPLE_HTTP,) if section.xmpp is None else (TransportName.SIMPLE_HTTP, TransportName.XMPP)
    return Settings(vtn_id=section.id, poll=section.poll, anyone=section.anyone, transports=spoken)


def handlers(config: Config, off: Collection[str] = ()) -> Mapping[str, Handler]:
    """Kind -> handler; where the hub is no VTN, one that says so. Rules that are `off` are not judged."""
    section = vtn_of(config)
    return nobody() if section is None else build(Desk(settings_of(section), config.hub.name), off)


def chained(config: Config, decided: Mapping[str, Handler], off: Collection[str] = ()) -> dict[str, Handler]:
    """All handlers of the hub, with prosumers' VENs in the exchange, where the VTN dispatches.

    Raises:
        ConfigError: the hub has no portfolio that they could offer to.
    """
    section = vtn_of(config)
    if section is None or section.dispatch is None:
        return dict(decided)
    if "flexoffer.post" not in decided:
        raise ConfigError("a hub with the role aggregator dispatches", path="openadr/vtn/dispatch")
    return chain(Desk(settings_of(section), config.hub.name), decided, section.dispatch, off)


def key_of(section: VtnSection) -> SigningKey | None:
    """What signs.

    Raises:
        ConfigError: it cannot be read.
    """
    if not section.sign or section.cert is None or section.key is None:
        return None
    try:
        return signing_key(section.key.read_bytes(), section.cert.read_bytes())
    except (OSError, InvalidError) as error:
        raise ConfigError(
            f"no certificate and key: {error}", path="openadr/vtn/cert", value=str(section.cert)
        ) from error


def tls_of(section: VtnSection) -> ssl.SSLContext | None:
    """TLS 1.2 or newer with the profile's ciphers [rule 67]; None where no certificate is configured.

    Raises:
        ConfigError: files that cannot be read.
    """
    if section.cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    try:
        context.load_cert_chain(section.cert, section.key)
        if section.client_ca is not None:
            context.load_verify_locations(section.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"no certificates: {error}", path="openadr/vtn/cert", value=str(section.cert)) from error
    return context


def _pushing_tls(section: VtnSection) -> ssl.SSLContext:
    try:
        return trusting(section.ca, None if section.cert is None else (section.cert, section.key))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"no certificates: {error}", path="openadr/vtn/ca", value=str(section.ca)) from error


def askers(config: Config) -> dict[str, Asker]:
    """``<slot>.<question>`` -> who answers it."""
    section = vtn_of(config)
    return {} if section is None or section.dispatch is None else {f"{SLOT}.{QUESTION}": DispatchAsker()}


class Vtn:
    """What stays of a hub's VTN while it runs."""

    def __init__(self, section: VtnSection, sender: VtnSender) -> None:
        self.section = section
        self.sender = sender

    def carrier(self, others: Sender | None) -> Carrier:
        """Carries the outbox's rows for VENs, and leaves all others to others."""
        return Carrier(PEER, self.sender, others)


@asynccontextmanager
async def pushing(config: Config, clock: Callable[[], datetime]) -> AsyncIterator[Vtn | None]:
    """The side that pushes, for as long as the block lasts; None where the hub is no VTN.

    Raises:
        ConfigError: files that cannot be read.
    """
    section = vtn_of(config)
    if section is None:
        yield None
        return
    xmpp = None if section.xmpp is None else vtn_client(section.xmpp)
    async with VtnSender(_pushing_tls(section), key_of(section), clock, xmpp) as sender:
        yield Vtn(section, sender)


class Open(NamedTuple):
    """A VTN that listens: its address, and what polls are answered by."""

    url: str
    board: Board


@asynccontextmanager
async def listening_to(
    config: Config,
    hub: Hub,
    clock: Callable[[], datetime],
    off: Collection[str] | None = None,
    pushing_: Vtn | None = None,
) -> AsyncIterator[Open | None]:
    """The endpoint, for as long as the block lasts; None where the hub is no VTN. Of `pushing_` it serves the XMPP.

    Raises:
        ConfigError: files that cannot be read.
        OSError: the address cannot be bound.
    """
    section = vtn_of(config)
    if section is None:
        yield None
        return
    told = config.limits
    allowed = limits((section.requests, section.requests_at_once), (told.failures, told.failures_at_once))
    board = Board(hub, config.hub.name, clock)
    endpoint = Endpoint(
        hub.submit,
        board,
        settings_of(section),
        clock,
        limits=allowed,
        codec=OadrCodec(section.max_bytes, check=installed()),
        key=key_of(section),
        off=() if off is None else off,
    )
    context = tls_of(section)
    runner = Runner(endpoint.application(), Connections(told.connections), **server.SERVER_OPTIONS)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(board.following())
        watch = Watch(board, hub.submit, clock, timedelta(seconds=seconds(section.offline)))
        watch.begin(await every(hub, VtnVen))
        await stack.enter_async_context(watch.looking())
        bound = stack.enter_context(listening(section.listen))
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await Site(runner, bound, ssl_context=context, backlog=BACKLOG).start()
        xmpp = None if pushing_ is None else pushing_.sender.xmpp
        if xmpp is not None:
            hub.readiness.add("xmpp", lambda: xmpp.trouble)
            await stack.enter_async_context(xmpp.connected(Stanzas(endpoint)))
        host, port = bound.getsockname()[:2]
        scheme = "http" if context is None else "https"
        yield Open(f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}", board)
