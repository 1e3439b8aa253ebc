"""Puts the UFTP side of a hub together from ``[uftp]``: keys, directory, endpoint, sender and handlers.

    [uftp]
    listen = "127.0.0.1:8081"          # its own listener; TLS as [tls] says

    [uftp.directory]
    file = "participants.toml"         # flexhub.adapters.directories.file shows its form

    [[uftp.participant]]               # who this hub is; one section for each domain and role
    domain = "agr.example.com"
    role = "AGR"
    key = "agr.key"                    # as `flexhub keys uftp` writes it
    party = "agr"                      # whose notices and documents; the hub's name unless told

All keys of the sections are those of `flexhub.app.config.UftpSection` and its neighbours.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager

from flexhub.adapters import schemas
from flexhub.adapters.directories.address_book import AddressBook
from flexhub.adapters.directories.file import FileDirectory
from flexhub.adapters.directories.interface import Directory
from flexhub.adapters.http.oauth import Credentials
from flexhub.adapters.tls import trusting
from flexhub.app.api import server
from flexhub.app.config import ClientSection, Config, UftpSection
from flexhub.app.connections import Connections, Runner, Site
from flexhub.app.endpoints import limits
from flexhub.app.hub.contract import Asker, Handler
from flexhub.app.hub.loop import Hub
from flexhub.app.hub.outbox import Carrier, Sender
from flexhub.app.serving import BACKLOG, listening, tls_context
from flexhub.app.uftp import roles
from flexhub.app.uftp.endpoint import Endpoint
from flexhub.app.uftp.handlers import PEER, Nobody, build
from flexhub.app.uftp.hooks import Hook
from flexhub.app.uftp.lookup import Lookup
from flexhub.app.uftp.papers import UftpAgreed
from flexhub.app.uftp.participants import Participants, agreements, participants_of
from flexhub.app.uftp.posting import UftpSender
from flexhub.app.uftp.trading import running as trading
from flexhub.core.errors import ConfigError
from flexhub.engines import plugins
from flexhub.engines.slots import ManagerEngine
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.codec import UftpCodec

log = logging.getLogger(__name__)


Hooks = Mapping[type[wire.Payload], Hook]
"""What is made of messages, by their type."""


def hooks_of(config: Config) -> Hooks:
    """The hooks that the configuration names; they go before our own.

    Raises:
        ConfigError: none of that name is installed, or it holds no hooks.
        EngineError: it cannot be imported.
    """
    name = None if config.uftp is None else config.uftp.hooks
    if name is None:
        return {}
    try:
        found = plugins.load("uftp", name)
    except ConfigError as error:
        raise ConfigError(error.message, path="uftp/hooks", value=name) from error
    if not isinstance(found, Mapping) or not all(isinstance(hook, Hook) for hook in found.values()):
        raise ConfigError("it holds no hooks by type of message", path="uftp/hooks", value=name)
    return found


def handlers(config: Config, off: Collection[str] = (), hooks: Hooks | None = None) -> dict[str, Handler]:
    """Kind -> handler; where the hub is nobody in UFTP, one that says so.

    Args:
        config: the configuration.
        off: rules that are not judged.
        hooks: instead of those that the configuration names.

    Raises:
        ConfigError: a key that cannot be read, or as `hooks_of`.
    """
    participants = participants_of(config)
    if participants is None:
        return {"uftp.send": Nobody(), "uftp.run": Nobody()}
    made = roles.hooks() | trading.hooks() | dict(hooks_of(config) if hooks is None else hooks)
    return build(participants, made, off) | trading.handlers(participants)


def askers(config: Config, engine: ManagerEngine) -> dict[str, Asker]:
    """``<slot>.<question>`` -> who answers it."""
    return {} if config.uftp is None else trading.askers(engine)


def directory_of(section: UftpSection) -> Directory:
    """Where others are looked up.

    Raises:
        ConfigError: it cannot be used.
    """
    told = section.directory
    if told.file is not None:
        return FileDirectory(told.file)
    if told.dns is not None:
        from flexhub.adapters.directories.dns import DnsDirectory  # noqa: PLC0415 - of an extra

        dns = told.dns
        return DnsDirectory(dns.servers, dnssec=dns.dnssec, scheme=dns.scheme, port=dns.port)
    assert told.address_book is not None  # noqa: S101 - the section has one of the three
    book = told.address_book
    return AddressBook(book.url, token=book.token, credentials=credentials_of(book.oauth))


def credentials_of(section: ClientSection | None) -> Credentials | None:
    """Who gets tokens for us."""
    return None if section is None else Credentials(section.url, section.client, section.secret, scope=section.scope)


def sender_of(section: UftpSection, lookup: Lookup) -> UftpSender:
    """What posts.

    Raises:
        ConfigError: no certificates.
    """
    try:
        tls = trusting(section.ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"no certificates: {error}", path="uftp/ca", value=str(section.ca)) from error
    return UftpSender(lookup, tls, credentials_of(section.oauth))


def codec_of(section: UftpSection) -> UftpCodec:
    """What reads messages.

    Raises:
        InvalidError: the folder of schemas does not hold them.
    """
    extra = {} if section.schemas is None else {"3.1.0": schemas.uftp(str(section.schemas))}
    return UftpCodec(section.max_bytes, extra)


class Uftp:
    """What stays of a hub's UFTP side while it runs."""

    def __init__(self, section: UftpSection, participants: Participants, lookup: Lookup, sender: UftpSender) -> None:
        self.section = section
        self.participants = participants
        self.lookup = lookup
        self.sender = sender

    def carrier(self, others: Sender | None) -> Carrier:
        """Carries UFTP's rows of the outbox, and leaves all others to others."""
        return Carrier(PEER, self.sender, others)


@asynccontextmanager
async def speaking(config: Config) -> AsyncIterator[Uftp | None]:
    """The side that sends and looks up, for as long as the block lasts; None where the hub is nobody in UFTP.

    Raises:
        ConfigError: keys, directory or schemas that cannot be read.
    """
    participants = participants_of(config)
    if config.uftp is None or participants is None:
        yield None
        return
    lookup = Lookup(directory_of(config.uftp), config.uftp.directory.cache.total_seconds())
    try:
        async with sender_of(config.uftp, lookup) as sender:
            yield Uftp(config.uftp, participants, lookup, sender)
    finally:
        await lookup.close()


@asynccontextmanager
async def listening_to(config: Config, uftp: Uftp | None, hub: Hub) -> AsyncIterator[str | None]:
    """The endpoint, for as long as the block lasts; what comes out is its address.

    Raises:
        ConfigError: TLS or schemas that cannot be read.
        OSError: the address cannot be bound.
    """
    if uftp is None:
        yield None
        return
    told = config.limits
    bounds = limits((told.requests, told.requests_at_once), (told.failures, told.failures_at_once))
    endpoint = Endpoint(
        hub.submit,
        uftp.participants,
        uftp.lookup,
        codec=codec_of(uftp.section),
        limits=bounds,
        barred=frozenset(uftp.section.barred),
        registered=frozenset(uftp.section.registered),
    )
    runner = Runner(endpoint.application(), Connections(told.connections), **server.SERVER_OPTIONS)
    await runner.setup()
    with listening(uftp.section.listen) as bound:
        try:
            context = tls_context(config)
            await Site(runner, bound, ssl_context=context, backlog=BACKLOG).start()
            host, port = bound.getsockname()[:2]
            scheme = "http" if context is None else "https"
            yield f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
        finally:
            await runner.cleanup()


def agreed(config: Config) -> Mapping[str, UftpAgreed]:
    """What was agreed, by the name that it is kept by."""
    return {} if config.uftp is None else agreements(config.uftp)
