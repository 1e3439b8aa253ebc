"""The slots that engines plug into, and what passes through them.

Engines are pure or compute-only and run off the event loop: they get all they need as arguments, `now` included, and
return values. An installed package adds one through an entry point of the slot's group (`GROUPS`); `engines.plugins`
finds them; every implementation passes the slot's one test set.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Final, Protocol, TypeVar, runtime_checkable

import msgspec

from flexhub.core.base import Id, Instant, Model, ResolutionS
from flexhub.core.flexoffer import FlexOffer, Schedule
from flexhub.core.options import Options
from flexhub.core.timegrid import QUARTER_HOUR_S
from flexhub.core.timeseries import Measurement, TimeSeries
from flexhub.core.trading import Aggregate, Bid, Bill, Contract, FlexRequest, Trade

GROUPS: Final = {
    "manager": "flexhub.manager",
    "market": "flexhub.market",
    "generator": "flexhub.generator",
    "baseline": "flexhub.baseline",
    "protocol": "flexhub.protocol",
    "provider": "flexhub.provider",
    "uftp": "flexhub.uftp",
}
"""Slot -> entry point group."""


class Acceptance(Model, frozen=True, kw_only=True):
    """Whether a manager takes an offer into its portfolio, and why not."""

    accepted: bool
    reason: str = ""


class Portfolio(Model, frozen=True, kw_only=True):
    """What a manager plans with, at one instant.

    `offers` are accepted, or assigned and not yet started. `committed` is the energy per slot that can no longer be
    moved; `prices` are EUR/kWh of energy bought, on the slots of `committed`. `contracts` are those of the offers,
    where rewards are to be reckoned with.
    """

    now: Instant
    offers: tuple[FlexOffer, ...]
    requests: tuple[FlexRequest, ...] = ()
    committed: TimeSeries | None = None
    prices_eur_per_kwh: tuple[float, ...] = ()
    contracts: tuple[Contract, ...] = ()


class Assignment(Model, frozen=True, kw_only=True):
    """A schedule for one offer."""

    offer: Id
    schedule: Schedule


class Refusal(Model, frozen=True, kw_only=True):
    """An offer that the planner cannot use, and why."""

    offer: Id
    reason: str


class Plan(Model, frozen=True, kw_only=True):
    """What a planning run decided: schedules of the aggregates and of every member.

    `unserved_kwh` is how far the requests stay unmet in sum.
    """

    assignments: tuple[Assignment, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    aggregates: tuple[Aggregate, ...] = ()
    aggregate_schedules: tuple[Schedule, ...] = ()
    cost_eur: float = 0.0
    unserved_kwh: float = 0.0


class Terms(Model, frozen=True, kw_only=True):
    """How options are offered: of the local day from `start` to `end`, to be taken until `until`.

    `margin` is added to what they cost, as a share of it.
    """

    until: Instant
    start: Instant
    end: Instant
    margin: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class Offering(Model, frozen=True, kw_only=True):
    """Options and what stands behind them.

    `courses` are of the members that the options count on: until one is taken, or they expire, each must keep that
    course, and stay open for another. `behind` has for each option (by its reference) the schedules, at full
    activation, of the members that leave their course.
    """

    options: Options
    courses: tuple[Assignment, ...] = ()
    behind: dict[str, tuple[Assignment, ...]] = {}


class Account(Model, frozen=True, kw_only=True):
    """What a settlement of [start, end) looks at: one contract, its offers, and all readings taken under them.

    The offers are those that the contract's aggregator took, in a state of `core.billing.BILLED`.
    """

    contract: Contract
    offers: tuple[FlexOffer, ...]
    measurements: tuple[Measurement, ...]
    start: Instant
    end: Instant


@runtime_checkable
class ManagerEngine(Protocol):
    """The flex-offer manager at the aggregator (FMAN)."""

    name: str

    def accept(self, offer: FlexOffer, contract: Contract, now: datetime) -> Acceptance:
        """Whether to take the offer; quick enough to be asked for every offer that comes in."""

    def aggregate(self, offers: Sequence[FlexOffer]) -> list[Aggregate]:
        """Group and merge offers; each offer is a member of at most one aggregate."""

    def plan(self, portfolio: Portfolio) -> Plan:
        """Schedules for all offers that are planned, feasible for each by the judge."""

    def disaggregate(self, aggregate: Aggregate, members: Sequence[FlexOffer], schedule: Schedule) -> list[Assignment]:
        """Schedules of the members that add up to the aggregate's, each feasible."""

    def options(self, portfolio: Portfolio, request: FlexRequest, terms: Terms) -> Offering:
        """Mutually exclusive answers to a request, each in whole watts; none where nothing can be done for it.

        Raises:
            ExpiredError: the request has expired.
        """

    def activate(
        self, offering: Offering, offers: Sequence[FlexOffer], reference: str, factor: Decimal
    ) -> list[Assignment]:
        """Schedules of all members, feasible by the judge, for an option of which this share is taken.

        They add up to the courses plus factor times the option, in each slot to the watt.

        Raises:
            NotFoundError: no such option, or a member that is not among the offers.
            InvalidError: a factor that the option does not allow.
        """

    def bid(self, portfolio: Portfolio) -> list[Bid]:
        """What the portfolio can sell on a market: deviations from the default schedules, slot by slot."""

    def settle(self, account: Account, bill_id: str) -> Bill:
        """What the prosumer earned; factual where measured, predicted where not yet."""


class Pricing(enum.StrEnum):
    """How a market sets what is paid."""

    UNIFORM = "uniform"
    PAY_AS_BID = "pay_as_bid"


class Capabilities(Model, frozen=True, kw_only=True):
    """What a market engine can do."""

    pricing: tuple[Pricing, ...]
    two_sided: bool = False
    blocks: bool = False
    network: bool = False
    continuous: bool = False


class MarketSession(Model, frozen=True, kw_only=True):
    """One round of a market: what is demanded per slot from `start`, up to which price.

    A one-sided pool fills `demand_kwh` from sell bids and stops at `cutoff_eur_per_kwh`.
    """

    id: Id
    opens: Instant
    closes: Instant
    start: Instant
    demand_kwh: tuple[float, ...]
    cutoff_eur_per_kwh: float
    pricing: Pricing = Pricing.UNIFORM
    resolution_s: ResolutionS = QUARTER_HOUR_S


class Book(Model, frozen=True, kw_only=True):
    """The bids of a session so far."""

    session: MarketSession
    bids: tuple[Bid, ...] = ()


class Clearing(Model, frozen=True, kw_only=True):
    """What came of a session: trades, the price of each slot (None: nothing traded), and what is unserved."""

    session: Id
    trades: tuple[Trade, ...]
    prices_eur_per_kwh: tuple[float | None, ...]
    unserved_kwh: tuple[float, ...]


@runtime_checkable
class MarketEngine(Protocol):
    """The flex-offer market at the market operator (FMAR)."""

    name: str
    capabilities: Capabilities

    def open(self, session: MarketSession) -> Book:
        """An empty book. Raises InvalidError for a session beyond the engine's capabilities."""

    def submit(self, book: Book, bid: Bid, now: datetime) -> Book:
        """The book with the bid. Raises ExpiredError after closing, InvalidError, DuplicateError."""

    def clear(self, book: Book) -> Clearing:
        """Accept bids; the result does not depend on the order in which they came."""

    def result(self, clearing: Clearing, party: str) -> list[Trade]:
        """The trades that this party may see: its own."""


class SetPoint(Model, frozen=True, kw_only=True):
    """From `at` on, this power (kW, positive = consumption); absolute, so that a repeat does no harm."""

    at: Instant
    power_kw: float


LoadT_contra = TypeVar("LoadT_contra", contravariant=True)


@runtime_checkable
class Generator(Protocol[LoadT_contra]):
    """Turns what is known of one kind of load into flex-offers, and schedules into set-points."""

    name: str

    def offer(self, load: LoadT_contra, offer_id: str, issuer: str, now: datetime) -> FlexOffer:
        """The load's flexibility, with its default schedule. Raises InfeasibleError where the load leaves none."""

    def set_points(self, offer: FlexOffer, schedule: Schedule) -> list[SetPoint]:
        """What to tell the device, ending with power 0."""


@runtime_checkable
class Baseline(Protocol):
    """What would have been consumed without intervention."""

    name: str

    def baseline(self, history: Sequence[TimeSeries], start: datetime, slots: int) -> TimeSeries:
        """Most probable energy of `slots` slots from `start`, from past series of the same subject.

        Raises:
            InfeasibleError: no history to tell from.
        """


@runtime_checkable
class Forecaster(Protocol):
    """Expected energy of a subject."""

    name: str

    def forecast(self, history: Sequence[TimeSeries], start: datetime, slots: int) -> TimeSeries:
        """Expected energy of `slots` slots from `start`, from past series of the same subject.

        Raises:
            InfeasibleError: no history to tell from.
        """


@runtime_checkable
class DataProvider(Protocol):
    """Weather, prices, meters, grid: data from outside, by name and time."""

    name: str

    def fetch(self, subject: str, start: datetime, slots: int) -> TimeSeries:
        """`slots` values of that subject from `start`, None where none is known.

        Raises:
            NotFoundError: an unknown subject.
        """


@runtime_checkable
class Notifier(Protocol):
    """Tells people."""

    name: str

    def notify(self, party: str, subject: str, text: str) -> None:
        """Send one notice."""
