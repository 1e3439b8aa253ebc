"""What the exchange interface says beyond the core's types: arguments in paths and queries, lists, and summaries."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec

from flexhub.app.exchange.auction import Round
from flexhub.core.base import Id, Instant, in_utc
from flexhub.core.flexoffer import FlexOffer, State
from flexhub.core.timeseries import SeriesKind, TimeSeries
from flexhub.core.trading import Bid, Bill, Contract, FlexRequest, Trade

OPEN_METRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
"""What metrics are written in, whatever was asked for: Prometheus reads it."""

Limit = Annotated[int, msgspec.Meta(ge=1, le=1000, description="Most items on a page.")]
Cursor = Annotated[
    str,
    msgspec.Meta(
        max_length=1000,
        pattern=r"^[A-Za-z0-9_=-]*$(?!\n)",
        description="Where the page begins: `next` of the page before.",
    ),
]
Since = Annotated[Instant, msgspec.Meta(description="First instant of the period (RFC 3339).")]
Until = Annotated[Instant, msgspec.Meta(description="First instant after the period (RFC 3339).")]


class Arguments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a path and a query hold; fields named in the path are its parameters."""


class SessionId(Arguments, frozen=True, kw_only=True):
    """Which session."""

    id: Id


class BidId(Arguments, frozen=True, kw_only=True):
    """Which bid of which session."""

    id: Id
    bid: Id


class OfferId(Arguments, frozen=True, kw_only=True):
    """Which flex-offer."""

    id: Id


class PartyId(Arguments, frozen=True, kw_only=True):
    """Which party."""

    id: Id


class Paging(Arguments, frozen=True, kw_only=True):
    """Which part of a list."""

    limit: Limit = 100
    cursor: Cursor | None = None


class SessionPaging(Paging, frozen=True, kw_only=True):
    """Which part of a list of a session."""

    id: Id


class Period(Arguments, frozen=True, kw_only=True):
    """A period [from, to).

    Raises:
        InvalidError: a year that we do not hold.
    """

    from_: Since = msgspec.field(name="from")
    to: Until

    def __post_init__(self) -> None:
        in_utc(self, ("from_", "to"))


class OptionalPeriod(Arguments, frozen=True, kw_only=True):
    """A period [from, to), open where not given.

    Raises:
        InvalidError: a year that we do not hold.
    """

    from_: Since | None = msgspec.field(name="from", default=None)
    to: Until | None = None

    def __post_init__(self) -> None:
        in_utc(self, ("from_", "to"))


class History(Period, frozen=True, kw_only=True):
    """A period, and which part of the list."""

    limit: Limit = 100
    cursor: Cursor | None = None


class Series(Period, frozen=True, kw_only=True):
    """Which kind of series, over which period, of which subject."""

    kind: SeriesKind
    subject: (
        Annotated[Id, msgspec.Meta(description="Only of this flex-offer, location, issuer or metering subject.")] | None
    ) = None


class Resume(Arguments, frozen=True, kw_only=True):
    """Where a stream begins."""

    after: (
        Annotated[
            int,
            msgspec.Meta(ge=0, lt=10**18, description="Event id after which to begin; `Last-Event-ID` goes before it."),
        ]
        | None
    ) = None


class Empty(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing to say."""


class Offers(msgspec.Struct, frozen=True, kw_only=True):
    """A page of flex-offers, in order of earliest start; `next` is the cursor of the next page."""

    items: tuple[FlexOffer, ...]
    next: str | None = None


class Requests(msgspec.Struct, frozen=True, kw_only=True):
    """A page of flex-requests, in order of start; `next` is the cursor of the next page."""

    items: tuple[FlexRequest, ...]
    next: str | None = None


class Contracts(msgspec.Struct, frozen=True, kw_only=True):
    """A page of contracts; `next` is the cursor of the next page."""

    items: tuple[Contract, ...]
    next: str | None = None


class Bills(msgspec.Struct, frozen=True, kw_only=True):
    """A page of bills, and the sums of what is paid on them in EUR.

    `factual_eur` follows from measurements, `predicted_eur` from schedules that are not measured yet.
    """

    items: tuple[Bill, ...]
    factual_eur: Decimal
    predicted_eur: Decimal
    next: str | None = None


class SeriesList(msgspec.Struct, frozen=True, kw_only=True):
    """Energy per slot, kWh, positive = consumption; null where nothing is known."""

    items: tuple[TimeSeries, ...]


class Kpi(msgspec.Struct, frozen=True, kw_only=True):
    """Key figures of a period: of the party's own offers, or of the aggregator's portfolio [GOFLEX D2.1 7.6].

    `adaptability` is one figure per hour from `from`: sum over the offers of (highest - lowest energy that they can
    take in that hour, over all feasible starts, each hour by itself and not jointly), divided by the baseline's
    highest hourly energy; null where there is no baseline.
    """

    from_: Instant = msgspec.field(name="from")
    to: Instant
    offers: dict[State, int]
    peak_baseline_kwh: float
    flexibility_kwh: tuple[float, ...]
    adaptability: tuple[float | None, ...]
    factual_eur: Decimal
    predicted_eur: Decimal


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """All that is stored about a party. `documents` are by kind; `index` says how many there are of each kind and part.

    Bodies are as they were stored; what is no JSON is text.
    """

    party: Id
    exported: Instant
    documents: dict[str, list[dict[str, Any]]]
    messages: list[dict[str, Any]]
    notices: list[dict[str, Any]]
    tokens: list[dict[str, Any]]
    accounts: list[dict[str, Any]]
    requests: list[dict[str, Any]]
    index: dict[str, int]


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """That the hub answers, who it is, and what time it goes by."""

    status: str
    name: str
    version: str
    now: Instant


class Rounds(msgspec.Struct, frozen=True, kw_only=True):
    """A page of sessions, in order of start; `next` is the cursor of the next page."""

    items: tuple[Round, ...]
    next: str | None = None


class Bids(msgspec.Struct, frozen=True, kw_only=True):
    """A page of bids, in order of start; `next` is the cursor of the next page."""

    items: tuple[Bid, ...]
    next: str | None = None


class Trades(msgspec.Struct, frozen=True, kw_only=True):
    """A page of trades, in order of start; `next` is the cursor of the next page."""

    items: tuple[Trade, ...]
    next: str | None = None


Page = Offers | Requests | Contracts | Bills | Rounds | Bids | Trades
"""A part of a list."""
