"""The configuration: TOML, typed. An error says the line, the key, and what is allowed there.

Durations are ISO 8601 ("PT15M"), quantities strings with units ("11 kW"). Environment variables go before the file:
``FLEXHUB__STORE__URL`` is ``url`` in ``[store]``.
"""

from __future__ import annotations

import enum
import os
import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, get_args

import msgspec

from flexhub.app.logs import Form, Level
from flexhub.app.openadr.sections import OpenadrSection
from flexhub.core.base import Id, Instant
from flexhub.core.errors import ConfigError, InvalidError
from flexhub.core.registry import Ean, Role
from flexhub.core.timegrid import TimeGrid
from flexhub.core.trading import Scope
from flexhub.core.units import parse_duration, parse_quantity
from flexhub.protocols.uftp import messages as uftp

PREFIX: Final = "FLEXHUB__"


class Duration(timedelta):
    """A length of time above zero, written as in ISO 8601."""


class Power(float):
    """kW, written with a unit."""


class Energy(float):
    """kWh, written with a unit."""


class EnergyPrice(float):
    """EUR/kWh, written with a unit."""


class Money(float):
    """EUR, written with a unit."""


_DIMENSIONS: Final[dict[type[float], tuple[str, str]]] = {
    Power: ("power", "11 kW"),
    Energy: ("energy", "0.5 kWh"),
    EnergyPrice: ("price", "0.10 EUR/kWh"),
    Money: ("money", "1.50 EUR"),
}


def host_port(listen: str) -> tuple[str, int]:
    """Host and port of "127.0.0.1:8080"; port 0 takes a free one.

    Raises:
        InvalidError: it is no such address.
    """
    host, separator, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not host or not port.isdecimal() or int(port) > 65535:
        raise InvalidError(f"{listen!r} is not host:port such as '127.0.0.1:8080'", path="listen", value=listen)
    return host, int(port)


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the sections."""


SERVED: Final = (Role.PROSUMER, Role.AGGREGATOR, Role.MARKET_OPERATOR)
"""What a hub can be: an agent (FOA), a manager (FMAN), a market (FMAR), or several of them."""

_SERVED: Final = f"{', '.join(SERVED[:-1])} and {SERVED[-1]}"


class HubSection(Section, frozen=True, kw_only=True):
    """``[hub]``: who this hub is, which roles it serves, and where it listens. `zone` has the local days of bills.

    A hub that only takes part in UFTP, as a grid operator does, serves no role: `roles` is empty.

    `doors` is the number of processes that speak HTTP for it; with 0 its own process does. `drain` is how long, once it
    is told to stop, it goes on serving while ``/ready`` says so, for those who send it work to go elsewhere.
    """

    name: Id = "flexhub"
    roles: tuple[Role, ...] = (Role.AGGREGATOR,)
    listen: str = "127.0.0.1:8080"
    zone: str = "UTC"
    doors: Annotated[int, msgspec.Meta(ge=0, le=64)] = 0
    drain: Duration | None = None

    def __post_init__(self) -> None:
        unserved = [str(role) for role in self.roles if role not in SERVED]
        if unserved:
            raise InvalidError(f"this version serves {_SERVED}, not {', '.join(unserved)}", path="roles")
        host_port(self.listen)
        TimeGrid(zone=self.zone)


class StoreSection(Section, frozen=True, kw_only=True):
    """``[store]``: where everything is kept, and how many messages share one commit at most (1: none do)."""

    url: str = "sqlite:///flexhub.db"
    max_batch: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 256


class PlanSection(Section, frozen=True, kw_only=True):
    """``[plan]``: how often to plan, and with which manager engine."""

    every: Duration | None = Duration(minutes=15)
    engine: str = "reference"


class SettleSection(Section, frozen=True, kw_only=True):
    """``[settle]``: how often to settle, and how long to wait for readings."""

    every: Duration | None = Duration(hours=1)
    grace: Duration = Duration(hours=1)


class MarketSection(Section, frozen=True, kw_only=True):
    """``[market]``: with which market engine sessions are cleared."""

    engine: str = "pool"


class TradeSection(Section, frozen=True, kw_only=True):
    """``[trade]``: on which market the hub sells what its portfolios can leave out, and what it wants for that on top.

    `market` is the id of a peer, or the hub's own name where it is the market itself. `portfolios` are those that it
    trades for, by the aggregator that contracts name; its own unless told.
    """

    market: Id | None = None
    portfolios: tuple[Id, ...] = ()
    margin: EnergyPrice = EnergyPrice(0)


class ReadySection(Section, frozen=True, kw_only=True):
    """``[ready]``: from when on ``/ready`` says that something is wrong.

    More messages waiting than `queue`, a question to an engine open for longer than `question`, or less free space on
    the store's disk than `free_disk_mib`.
    """

    queue: Annotated[int, msgspec.Meta(ge=1)] = 10_000
    question: Duration = Duration(minutes=10)
    free_disk_mib: Annotated[int, msgspec.Meta(ge=0)] = 64


class PrivacySection(Section, frozen=True, kw_only=True):
    """``[privacy]``: over how many prosumers at least a sum is told to those to whom they granted nothing."""

    smallest_group: Annotated[int, msgspec.Meta(ge=2)] = 5


class RetentionSection(Section, frozen=True, kw_only=True):
    """``[retention]``: how long things are kept; what has no length here is kept for ever.

    A running hub takes away what is older `every` so often (counted from 1970 UTC: once a day is at midnight), unless
    nothing has a length; ``flexhub db trim`` does so on a hub that stands still. `accounts_years` is for bills of a
    party that is erased: so many whole years after the one that the bill is of.
    """

    journal: Duration | None = None
    notices: Duration | None = None
    measurements: Duration | None = None
    every: Duration | None = Duration(days=1)
    accounts_years: Annotated[int, msgspec.Meta(ge=0, le=100)] = 10

    @property
    def trims(self) -> timedelta | None:
        """How often a running hub trims; None: it doesn't."""
        lengths = (self.journal, self.notices, self.measurements)
        return None if self.every is None or not any(lengths) else timedelta(seconds=self.every.total_seconds())


class LogSection(Section, frozen=True, kw_only=True):
    """``[log]``: how lines on stderr are written, ``console`` or ``json``, and which: this `level` and graver ones."""

    form: Form = Form.CONSOLE
    level: Level = Level.INFO


class ClientAuth(enum.StrEnum):
    """Whether clients show a certificate, too (mutual TLS)."""

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"


class TlsSection(Section, frozen=True, kw_only=True):
    """``[tls]``: certificate chain and private key, PEM files.

    `client_ca` has the authorities whose clients' certificates are taken. Whom one stands for is `certificate` in
    ``[[party]]``; others need a token besides.
    """

    cert: Path
    key: Path
    client_ca: Path | None = None
    client_auth: ClientAuth = ClientAuth.NONE

    def __post_init__(self) -> None:
        if (self.client_auth is ClientAuth.NONE) is not (self.client_ca is None):
            raise InvalidError("client_auth and client_ca go together", path="client_auth", value=self.client_auth)


class OauthSection(Section, frozen=True, kw_only=True):
    """``[oauth]``: whose JWTs are taken.

    With `key`, a private key in a PEM file, the hub issues them itself, in exchange for keys of ``flexhub keys``; with
    `jwks`, a file or https address of a set of public keys, somebody else does. `issuer` is `iss`, `audience` `aud`.
    """

    issuer: str
    audience: str = "flexhub"
    key: Path | None = None
    jwks: str | None = None
    lifetime: Duration = Duration(minutes=15)

    def __post_init__(self) -> None:
        if (self.key is None) is (self.jwks is None):
            raise InvalidError("either key (tokens of our own) or jwks (another issuer's)", path="key")


class LimitsSection(Section, frozen=True, kw_only=True):
    """``[limits]``: requests of one party, and failed attempts from one address, a second and at once.

    `connections` is how many one address (of IPv6, its first 64 bits) may have open; set it higher behind a proxy.

    Each process that speaks HTTP (``doors``) counts for itself.
    """

    requests: Annotated[float, msgspec.Meta(gt=0)] = 2000.0
    requests_at_once: Annotated[float, msgspec.Meta(ge=1)] = 10_000.0
    failures: Annotated[float, msgspec.Meta(gt=0)] = 50.0
    failures_at_once: Annotated[float, msgspec.Meta(ge=1)] = 2000.0
    connections: Annotated[int, msgspec.Meta(ge=1)] = 2000


class PeerSection(Section, frozen=True, kw_only=True):
    """``[[peer]]``: another system that this hub sends to.

    `token` is a file with the bearer token to show. `tokens` is a folder of such files, each named after the party of
    this hub that it is of: what that party says there is passed on, and what it is told there is followed; the peer's
    `id` is then the name that its hub has. `ca` one with the certificates that its own must be signed by (the
    system's unless told), `cert` and `key` are this hub's own, for mutual TLS.
    """

    id: Id
    url: Annotated[str, msgspec.Meta(pattern="^https?://[^\\s?#]+$")]
    token: Path | None = None
    tokens: Path | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        if (self.cert is None) is not (self.key is None):
            raise InvalidError("cert and key go together", path="cert")


class ConnectionSection(Section, frozen=True, kw_only=True):
    """``[[party.connection]]``: a metering point."""

    id: Id
    ean: Ean | None = None
    congestion_point: Id | None = None
    location: Id | None = None


class ResourceSection(Section, frozen=True, kw_only=True):
    """``[[party.resource]]``: a load or source behind a connection of the party."""

    id: Id
    connection: Id
    kind: str
    max_consumption: Power = Power(0)
    max_production: Power = Power(0)
    ven_id: str | None = None


class ContractSection(Section, frozen=True, kw_only=True):
    """``[party.contract]``: what this hub's aggregator pays the party for, and which uses of its data it grants."""

    id: Id
    valid_from: Instant = datetime(2000, 1, 1, tzinfo=UTC)
    valid_until: Instant | None = None
    fixed: Money = Money(0)
    per_time_flexibility: Money = Money(0)
    per_energy_flexibility: EnergyPrice = EnergyPrice(0)
    per_activation: Money = Money(0)
    per_start_shift: Money = Money(0)
    per_deviation: EnergyPrice = EnergyPrice(0)
    imbalance_limit: Energy = Energy(0)
    scopes: tuple[Scope, ...] = (Scope.PLANNING, Scope.SETTLEMENT)


Fingerprint = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
"""SHA-256 of a certificate (DER), in hexadecimal."""


class PartySection(Section, frozen=True, kw_only=True):
    """``[[party]]``: a participant that is there from the start; `certificate` is that of its client."""

    id: Id
    roles: tuple[Role, ...]
    name: str = ""
    domain: str | None = None
    certificate: Fingerprint | None = None
    connection: tuple[ConnectionSection, ...] = ()
    resource: tuple[ResourceSection, ...] = ()
    contract: ContractSection | None = None


Domain = Annotated[str, msgspec.Meta(pattern=r"^([a-z0-9]+(-[a-z0-9]+)*\.)+[a-z]{2,}$(?!\n)")]
"""An Internet domain in lower case, as UFTP names participants."""


class UftpParticipantSection(Section, frozen=True, kw_only=True):
    """``[[uftp.participant]]``: who this hub is in UFTP; a domain in several roles stands once for each.

    `key` is the file that ``flexhub keys uftp`` writes, `party` whose notices and documents they are (the hub's name
    unless told). The rest is what the parties of the market agreed; what is left out was not.
    """

    domain: Domain
    role: uftp.Role
    key: Path
    party: Id | None = None
    versions: tuple[str, ...] = uftp.VERSIONS
    isp_duration: Duration = Duration(minutes=15)
    time_zone: str | None = None
    currencies: tuple[str, ...] = ()
    congestion_points: tuple[str, ...] = ()
    max_power: Power | None = None
    mutex_offers: bool = True
    prognoses: bool | None = None
    release_before: Duration | None = None
    closed: bool = False
    zoned_times: bool = True


class ClientSection(Section, frozen=True, kw_only=True):
    """OAuth2 client credentials: where tokens are had, for whom, with the secret in a file, and for what (`scope`)."""

    url: Annotated[str, msgspec.Meta(pattern="^https?://[^\\s?#]+$")]
    client: str
    secret: Path
    scope: str = ""


class DnsSection(Section, frozen=True, kw_only=True):
    """``[uftp.directory.dns]``: keys and hosts in DNS.

    `servers` are resolvers as ``host`` or ``host:port``, the system's unless told. With `dnssec` only answers count
    that the resolver vouches for. `scheme` and `port` are those of endpoints.
    """

    servers: tuple[str, ...] = ()
    dnssec: bool = True
    scheme: Annotated[str, msgspec.Meta(pattern="^https?$")] = "https"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None


class AddressBookSection(Section, frozen=True, kw_only=True):
    """``[uftp.directory.address_book]``: one authority's, as GOPACS keeps; `token` is a file, `oauth` gets tokens."""

    url: Annotated[str, msgspec.Meta(pattern="^https?://[^\\s?#]+$")]
    token: Path | None = None
    oauth: ClientSection | None = None

    def __post_init__(self) -> None:
        if self.token is not None and self.oauth is not None:
            raise InvalidError("either a token or oauth", path="token")


class UftpDirectorySection(Section, frozen=True, kw_only=True):
    """``[uftp.directory]``: where the keys and endpoints of others are found, and how long they are remembered.

    One of: `file`, a list of them (`flexhub.adapters.directories.file` shows its form), `dns`, or `address_book`.
    """

    file: Path | None = None
    dns: DnsSection | None = None
    address_book: AddressBookSection | None = None
    cache: Duration = Duration(minutes=5)

    def __post_init__(self) -> None:
        if [self.file, self.dns, self.address_book].count(None) != 2:
            raise InvalidError("one of file, dns and address_book", path="file")


class UftpTradeSection(Section, frozen=True, kw_only=True):
    """``[[uftp.trade]]``: what one of us trades by itself at a congestion point, and with whom.

    With a `limit` it is a DSO, without one an AGR; `domain` says which of us, where several are. `penalty` is for a MW
    that lacks over an ISP, and agreed. An AGR adds `margin` (a share) to what its options cost, which can be ordered
    for `offer_for`; it sends its prognosis so long before a day, and its metering so long after it. A DSO asks for
    `reserve` beyond its limit, and orders what the limit needs when it chooses: at every offer, or `choose_after` the
    request. It pays `highest_price` at most for what is above the limit, has requests answered within `answer_within`,
    and settles so long after a day. Moments that are left out are asked for.
    """

    congestion_point: str
    partners: Annotated[tuple[Domain, ...], msgspec.Meta(min_length=1)]
    domain: Domain | None = None
    penalty: Money = Money(0)
    margin: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    offer_for: Duration = Duration(hours=1)
    prognosis_before: Duration | None = None
    metering_after: Duration | None = None
    limit: Power | None = None
    reserve: Power = Power(0)
    highest_price: EnergyPrice | None = None
    answer_within: Duration = Duration(hours=1)
    choose_after: Duration | None = None
    settle_after: Duration | None = None

    @property
    def role(self) -> uftp.Role:
        """As above."""
        return uftp.Role.AGR if self.limit is None else uftp.Role.DSO

    def __post_init__(self) -> None:
        if (self.limit is None) is not (self.highest_price is None):
            raise InvalidError("limit and highest_price go together", path="highest_price")
        if self.limit is None and len(self.partners) > 1:
            raise InvalidError("an AGR has one DSO at a congestion point", path="partners")
        if self.limit is not None and not 0 <= self.reserve < self.limit:
            raise InvalidError("a reserve is less than the limit", path="reserve")
        if self.choose_after is not None and self.choose_after > self.answer_within:
            raise InvalidError("offers can no longer be ordered then", path="choose_after")


class UftpSection(Section, frozen=True, kw_only=True):
    """``[uftp]``: the hub as participants of UFTP, with a listener of their own, since signatures admit there.

    `barred` are domains whose messages are rejected, `registered` those that a CRO in closed mode hears, `schemas` is a
    folder of XSDs that messages are checked by besides. For `give_up_after` something is sent again, for
    `reply_within` its answer is waited for. `oauth` gets the bearer token that what is sent carries, where a gateway
    wants one; `ca` are authorities whose servers are trusted, the system's unless told. `hooks` names a plugin of the
    slot ``uftp`` that makes something of messages in their own transaction.
    """

    participant: Annotated[tuple[UftpParticipantSection, ...], msgspec.Meta(min_length=1)]
    directory: UftpDirectorySection
    listen: str = "127.0.0.1:8081"
    barred: tuple[Domain, ...] = ()
    registered: tuple[Domain, ...] = ()
    schemas: Path | None = None
    max_bytes: Annotated[int, msgspec.Meta(ge=1024, le=1 << 26)] = 1 << 22
    give_up_after: Duration = Duration(hours=1)
    reply_within: Duration = Duration(hours=6)
    oauth: ClientSection | None = None
    ca: Path | None = None
    trade: tuple[UftpTradeSection, ...] = ()
    hooks: str | None = None

    def trader(self, trade: UftpTradeSection) -> UftpParticipantSection:
        """Who of us trades there.

        Raises:
            InvalidError: nobody, or several could; or its local days are not known, or ISPs are no quarter-hours.
        """
        own = [p for p in self.participant if p.role is trade.role and trade.domain in (None, p.domain)]
        if len(own) != 1:
            raise InvalidError(f"{len(own) or 'no'} participants could be meant, each a {trade.role}", path="trade")
        if own[0].time_zone is None or own[0].isp_duration != timedelta(minutes=15):
            raise InvalidError(f"{own[0].domain} needs a time_zone, and ISPs of PT15M, to trade", path="trade")
        return own[0]

    def __post_init__(self) -> None:
        host_port(self.listen)
        points = [(self.trader(t).domain, t.role, t.congestion_point) for t in self.trade]
        if len(set(points)) < len(points):
            raise InvalidError("one of us stands twice at a congestion point", path="trade")
        names = [(p.domain, p.role) for p in self.participant]
        if len(set(names)) < len(names):
            raise InvalidError("a domain stands twice in one role", path="participant")


class Config(Section, frozen=True, kw_only=True):
    """A whole configuration; every section has defaults, so that an empty file is one."""

    hub: HubSection = HubSection()
    store: StoreSection = StoreSection()
    plan: PlanSection = PlanSection()
    settle: SettleSection = SettleSection()
    privacy: PrivacySection = PrivacySection()
    retention: RetentionSection = RetentionSection()
    market: MarketSection = MarketSection()
    trade: TradeSection = TradeSection()
    ready: ReadySection = ReadySection()
    log: LogSection = LogSection()
    tls: TlsSection | None = None
    oauth: OauthSection | None = None
    limits: LimitsSection = LimitsSection()
    party: tuple[PartySection, ...] = ()
    peer: tuple[PeerSection, ...] = ()
    pages: bool = True
    uftp: UftpSection | None = None
    openadr: OpenadrSection | None = None

    def __post_init__(self) -> None:
        if not self.hub.roles and self.uftp is None and self.openadr is None:
            raise InvalidError(f"this version serves {_SERVED}, not nothing", path="hub/roles")
        trades = self.uftp.trade if self.uftp is not None else ()
        managing = Role.AGGREGATOR in self.hub.roles or Role.PROSUMER in self.hub.roles
        if not managing and any(trade.role is uftp.Role.AGR for trade in trades):
            raise InvalidError("an AGR trades what a manager has: the role aggregator is needed", path="hub/roles")


def load(path: str | Path, environ: Mapping[str, str] | None = None) -> Config:
    """Read a configuration file; environment variables go before it.

    Raises:
        ConfigError: with the line, the key, and what is allowed.
        OSError: the file cannot be read.
    """
    try:
        text = Path(path).read_text("utf-8")
    except UnicodeDecodeError as error:
        sentence = f"not UTF-8: {error.reason} at byte {error.start}"
        raise ConfigError(sentence, path=str(path), clause="TOML 1.0") from error
    return parse(text, str(path), os.environ if environ is None else environ)


def parse(text: str, name: str = "configuration", environ: Mapping[str, str] | None = None) -> Config:
    """Read a configuration from text.

    Raises:
        ConfigError: with the line, the key, and what is allowed.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not TOML: {error}", path=name, clause="TOML 1.0") from error
    overridden = _override(raw, environ or {})
    try:
        return msgspec.convert(raw, Config, dec_hook=_read)
    except msgspec.ValidationError as error:
        keys, sentence = _explain(error)
        variable = overridden.get(tuple(str(k) for k in keys))
        where = variable or f"{name}:{_line(text, keys)}"
        raise ConfigError(sentence, path=f"{where}: {_dotted(keys)}".rstrip(": ")) from error


def _override(raw: dict[str, Any], environ: Mapping[str, str]) -> dict[tuple[str, ...], str]:
    """Put variables into `raw`; which key came from which variable."""
    seen: dict[tuple[str, ...], str] = {}
    for variable, text in sorted(environ.items()):
        if not variable.startswith(PREFIX):
            continue
        *sections, key = variable.removeprefix(PREFIX).lower().split("__")
        place = raw
        for section in sections:
            below = place.setdefault(section, {})
            if not isinstance(below, dict):
                raise ConfigError("variables reach single values only, not lists", path=variable, value=text)
            place = below
        try:
            place[key] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            place[key] = text
        seen[*sections, key] = variable
    return seen


def _read(kind: type, value: Any) -> Any:  # noqa: ANN401 - what TOML holds
    """Durations and quantities, from their text."""
    if kind is Duration:
        if not isinstance(value, str):
            raise InvalidError("a duration is a string such as 'PT15M'")
        length = parse_duration(value)
        if length <= timedelta(0):
            raise InvalidError(f"{value!r} is not above zero")
        return Duration(seconds=length.total_seconds())
    if kind in _DIMENSIONS:
        dimension, example = _DIMENSIONS[kind]
        if not isinstance(value, str):
            raise InvalidError(f"a quantity is a string with a unit such as {example!r}")
        return kind(parse_quantity(value, dimension))
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise InvalidError(f"{value!r} is not a {kind.__name__}")


Keys = tuple[str | int, ...]

_AT: Final = re.compile(r" - at `\$?(?P<path>[^`]*)`$")
_STEP: Final = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<field>[^`]*)`")


def _explain(error: msgspec.ValidationError) -> tuple[Keys, str]:
    """Which key is wrong, and one sentence that says what is allowed."""
    text = str(error)
    at = _AT.search(text)
    keys: list[str | int] = []
    for word, index in _STEP.findall(at["path"] if at else ""):
        keys.append(int(index) if index else word)
    sentence = text[: at.start()] if at else text
    unknown = _UNKNOWN.search(sentence)
    cause = error.__cause__
    if isinstance(cause, InvalidError) and cause.path:
        keys += cause.path.split("/")[-1:]
    kind = _kind_at(keys)
    if unknown and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        allowed = ", ".join(kind.__struct_encode_fields__)
        return (*keys, unknown["field"]), f"unknown key {unknown['field']!r}; allowed: {allowed}"
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        sentence += f"; allowed: {', '.join(str(member.value) for member in kind)}"
    return tuple(keys), sentence


def _kind_at(keys: list[str | int]) -> Any:  # noqa: ANN401 - a type
    kind: Any = Config
    for key in keys:
        if isinstance(key, int) or key == "...":
            kind = next((arg for arg in get_args(kind) if arg is not Ellipsis), None)
        else:
            structs = [k for k in (kind, *get_args(kind)) if isinstance(k, type) and issubclass(k, msgspec.Struct)]
            fields = {f.encode_name: f.type for s in structs for f in msgspec.structs.fields(s)}
            kind = fields.get(key)
    options = [arg for arg in get_args(kind) if arg is not type(None)]
    return options[0] if len(options) == 1 and type(None) in get_args(kind) else kind


def _dotted(keys: Keys) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).lstrip(".")


_HEADER: Final = re.compile(r"^\s*\[(?P<array>\[)?\s*(?P<name>[^\[\]]+?)\s*\]")
_KEY: Final = re.compile(r"^\s*(?P<name>[A-Za-z0-9_.\-\"']+)\s*=")


def _line(text: str, keys: Keys) -> int:
    """The line where this key stands; where it is missing, that of its section (1 for the whole file)."""
    places: dict[Keys, int] = {}
    counts: dict[str, int] = {}
    section: Keys = ()
    for number, line in enumerate(text.splitlines(), 1):
        header, key = _HEADER.match(line), _KEY.match(line)
        if header:
            section = _section(header, counts)
            places.setdefault(section, number)
        elif key:
            places.setdefault((*section, *key["name"].replace('"', "").split(".")), number)
    while keys and keys not in places:
        keys = keys[:-1]
    return places.get(keys, 1)


def _section(header: re.Match[str], counts: dict[str, int]) -> Keys:
    """The key of a section's header; in lists of sections the last one so far is meant."""
    names = [name.strip().strip("\"'") for name in header["name"].split(".")]
    if header["array"]:
        full = ".".join(names)
        counts[full] = counts.get(full, -1) + 1
        for nested in [name for name in counts if name.startswith(f"{full}.")]:
            del counts[nested]
    keys: list[str | int] = []
    for i, name in enumerate(names):
        keys.append(name)
        index = counts.get(".".join(names[: i + 1]))
        if index is not None:
            keys.append(index)
    return tuple(keys)
