"""Serves HTTP on a socket that is bound already: the exchange interface and the pages, with TLS where configured."""

from __future__ import annotations

import gc
import logging
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Final

from aiohttp import web

from flexhub.app import logs
from flexhub.app.access.gate import Gate, Holder, Limits
from flexhub.app.access.jwt import Issuer, Keys, Verifier
from flexhub.app.access.limits import Buckets
from flexhub.app.api import server
from flexhub.app.api.calls import Service
from flexhub.app.api.routes import served
from flexhub.app.config import ClientAuth, Config, OauthSection, host_port
from flexhub.app.connections import Connections, Runner, Site
from flexhub.app.hub.reading import Front
from flexhub.app.metrics import Http
from flexhub.app.pages import Settings
from flexhub.core.errors import ConfigError

log = logging.getLogger(__name__)

BACKLOG: Final = 1024

Apply = Callable[[Config], None]
"""Brings what may change of a configuration into a process that serves."""


SWITCH_S: Final = 0.0005
"""How long a thread that is busy keeps the interpreter from another one that asks for it."""


def utc_now() -> datetime:
    """The time of this machine."""
    return datetime.now(UTC)


def listening(listen: str) -> socket.socket:
    """A socket that listens on "host:port".

    Raises:
        OSError: the address cannot be bound.
    """
    host, port = host_port(listen)
    family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return socket.create_server(place[:2], family=family, backlog=BACKLOG)


def address(config: Config, bound: socket.socket) -> tuple[str, int, str]:
    """Host, port and URL of what is served on this socket."""
    host, port = bound.getsockname()[:2]
    scheme = "http" if config.tls is None else "https"
    return host, port, f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def gate_of(config: Config, hub: Front, clock: Callable[[], datetime]) -> Gate:
    """The gate that the configuration describes.

    Raises:
        ConfigError: a key that cannot be used.
    """
    issuer = issuer_of(config.oauth)
    verifier = None
    if config.oauth is not None:
        key = Keys(config.oauth.jwks).get if config.oauth.jwks is not None else issuer.get if issuer else None
        assert key is not None  # noqa: S101 - the section has one of the two
        verifier = Verifier(config.oauth.issuer, config.oauth.audience, key, clock)
    gate = Gate(hub, clock, verifier=verifier, issuer=issuer)
    _admit(gate, config)
    return gate


def _admit(gate: Gate, config: Config) -> None:
    """What of it may change while it serves."""
    told = config.limits
    limits = Limits(Buckets(told.requests, told.requests_at_once), Buckets(told.failures, told.failures_at_once))
    gate.change({p.certificate: Holder(p.id, p.roles) for p in config.party if p.certificate is not None}, limits)


def issuer_of(oauth: OauthSection | None) -> Issuer | None:
    """Who signs the hub's own tokens; None where nobody does.

    Raises:
        ConfigError: there is no such key.
    """
    if oauth is None or oauth.key is None:
        return None
    try:
        key = oauth.key.read_bytes()
    except OSError as error:
        raise ConfigError(f"no private key: {error.strerror}", path="oauth/key", value=str(oauth.key)) from error
    return Issuer(oauth.issuer, oauth.audience, key, oauth.lifetime)


def service_of(config: Config, hub: Front, clock: Callable[[], datetime], version: str, http: Http) -> Service:
    """What the routes work with."""
    return Service(
        hub, gate_of(config, hub, clock), clock, config.hub.name, version, http, config.privacy.smallest_group
    )


@asynccontextmanager
async def serving_http(service: Service, config: Config, page: Settings, bound: socket.socket) -> AsyncIterator[Apply]:
    """Serve for as long as the block lasts; what comes out brings a changed configuration in.

    Raises:
        ConfigError: the files of TLS are no certificate and key.
    """
    app = server.build(service, served(config.hub.roles))
    if config.pages:
        add_pages(app, page)
    connections = Connections(config.limits.connections)
    runner = Runner(app, connections, **server.SERVER_OPTIONS)
    context = tls_context(config)

    def apply(changed: Config) -> None:
        logs.begin(changed.log.form, changed.log.level)
        _admit(service.gate, changed)
        connections.most = changed.limits.connections
        if context is not None and changed.tls is not None:  # connections that are open keep the old certificate
            context.load_cert_chain(changed.tls.cert, changed.tls.key)

    await runner.setup()
    try:
        await Site(runner, bound, ssl_context=context, backlog=BACKLOG).start()
        yield apply
    finally:
        await runner.cleanup()


def add_pages(app: web.Application, page: Settings) -> None:
    """Serve the pages where their packages are installed (``flexhub[pages]``); REST needs none of them."""
    if find_spec("jinja2") is None or find_spec("plotly") is None:
        log.info("no pages: flexhub[pages] is not installed")
        return
    from flexhub.app.pages.site import mount  # noqa: PLC0415 - of an extra

    mount(app, page)


def tls_context(config: Config) -> ssl.SSLContext | None:
    """TLS 1.2 or newer with the configured certificate; None without one.

    Raises:
        ConfigError: the files are no certificate and key.
    """
    if config.tls is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(config.tls.cert, config.tls.key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"no certificate and key: {error}", path="tls/cert", value=str(config.tls.cert)) from error
    if config.tls.client_ca is not None:
        try:
            context.load_verify_locations(config.tls.client_ca)
        except (OSError, ssl.SSLError) as error:
            value = str(config.tls.client_ca)
            raise ConfigError(f"no certificates: {error}", path="tls/client_ca", value=value) from error
        required = config.tls.client_auth is ClientAuth.REQUIRED
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    return context


def spare_collector() -> None:
    """Keep the garbage collector from walking the program's own objects again and again.

    What is loaded by now stays for good; what messages leave behind is freed by counting references, and the rest is
    collected less often. A full collection would hold every answer up for tens of milliseconds.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def share_interpreter() -> None:
    """Let the writer's thread have the interpreter soon after each of its calls into the database.

    It leaves the interpreter to the event loop for each, a dozen times a commit, and would wait five milliseconds to
    have it back wherever the loop is busy; all that time the messages of the batch, and those behind it, would wait.
    """
    sys.setswitchinterval(SWITCH_S)
