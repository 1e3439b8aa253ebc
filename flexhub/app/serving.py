"""Serves HTTP on a socket that is bound already: the exchange interface and the pages, with TLS where configured."""

from __future__ import annotations

import gc
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Final

from aiohttp import web

from flexhub.app.api import server
from flexhub.app.api.calls import Service
from flexhub.app.config import Config, host_port
from flexhub.app.pages import Settings
from flexhub.core.errors import ConfigError

log = logging.getLogger(__name__)

BACKLOG: Final = 1024


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


@asynccontextmanager
async def serving_http(service: Service, config: Config, page: Settings, bound: socket.socket) -> AsyncIterator[None]:
    """Serve for as long as the block lasts.

    Raises:
        ConfigError: the files of TLS are no certificate and key.
    """
    app = server.build(service)
    if config.pages:
        add_pages(app, page)
    runner = web.AppRunner(app, **server.SERVER_OPTIONS)
    await runner.setup()
    try:
        await web.SockSite(runner, bound, ssl_context=tls_context(config), backlog=BACKLOG).start()
        yield
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
    return context


def spare_collector() -> None:
    """Keep the garbage collector from walking the program's own objects again and again.

    What is loaded by now stays for good; what messages leave behind is freed by counting references, and the rest is
    collected less often. A full collection would hold every answer up for tens of milliseconds.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
