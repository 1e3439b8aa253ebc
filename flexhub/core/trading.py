"""What parties ask of each other, agree on and pay: requests, orders, bids, trades, contracts, bills, and the grid."""

from __future__ import annotations

import enum
import math
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec

from flexhub.core.base import Id, Instant, Model, ResolutionS, finite, in_utc
from flexhub.core.errors import InvalidError
from flexhub.core.flexoffer import FlexOffer, Schedule
from flexhub.core.timegrid import QUARTER_HOUR_S, check_on_grid
from flexhub.core.units import MOST_SLOTS, money

Currency = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}$", max_length=3)]
"""ISO 4217."""

NonNegative = Annotated[float, msgspec.Meta(ge=0)]
SlotIndex = Annotated[int, msgspec.Meta(ge=0, le=MOST_SLOTS)]


class Disposition(enum.StrEnum):
    """Whether the grid operator asks for a change in the interval, or states the room it leaves."""

    REQUESTED = "requested"
    AVAILABLE = "available"


class Reference(enum.StrEnum):
    """What a request's bounds are counted from."""

    ABSOLUTE = "absolute"
    BASELINE = "baseline"


class RequestInterval(Model, frozen=True, kw_only=True, gc=False):
    """``lo_kwh <= energy per slot <= hi_kwh`` in slot `slot` (counted from the request's start); None is no bound.

    Raises:
        InvalidError: lo above hi, or not finite.
    """

    slot: SlotIndex
    disposition: Disposition = Disposition.REQUESTED
    lo_kwh: float | None = None
    hi_kwh: float | None = None

    def __post_init__(self) -> None:
        finite(self, ("lo_kwh", "hi_kwh"))
        if self.lo_kwh is not None and self.hi_kwh is not None and self.lo_kwh > self.hi_kwh:
            raise InvalidError(f"lo {self.lo_kwh} exceeds hi {self.hi_kwh} kWh", path="lo_kwh", clause="UFTP-34")


class FlexRequest(Model, frozen=True, kw_only=True):
    """What a grid operator wants at a congestion point, slot by slot.

    `price_eur_per_kwh` is what it pays at most per kWh of change in the requested direction.

    Raises:
        InvalidError: start off the grid, expiry before creation, slots out of order or twice, or no requested slot.
    """

    id: Id
    issuer: Id
    recipient: Id
    congestion_point: Id
    created: Instant
    expires: Instant
    start: Instant
    intervals: Annotated[tuple[RequestInterval, ...], msgspec.Meta(min_length=1, max_length=MOST_SLOTS)]
    reference: Reference = Reference.BASELINE
    resolution_s: ResolutionS = QUARTER_HOUR_S
    revision: Annotated[int, msgspec.Meta(ge=0)] = 0
    price_eur_per_kwh: float | None = None
    contract: Id | None = None
    service_type: str | None = None
    extras: dict[str, str] = {}

    def __post_init__(self) -> None:
        in_utc(self, ("created", "expires", "start"))
        finite(self, ("price_eur_per_kwh",))
        check_on_grid(self.start, self.resolution_s, "start")
        if self.expires < self.created:
            raise InvalidError(f"{self.expires:%FT%TZ} is before created", path="expires", clause="UFTP-25")
        last = -1
        for i, interval in enumerate(self.intervals):
            if interval.slot <= last:
                raise InvalidError(
                    f"slot {interval.slot} follows {last}: slots rise, each once",
                    path=f"intervals[{i}]/slot",
                    clause="UFTP-23",
                )
            last = interval.slot
        if all(i.disposition is Disposition.AVAILABLE for i in self.intervals):
            raise InvalidError("no interval is requested", path="intervals", clause="UFTP-32")


class Order(Model, frozen=True, kw_only=True):
    """A buyer's order of flexibility: energy per slot relative to the baseline, positive = consume more.

    Of an `offer` of several options it takes `option`, by its reference; the deviations are those of the part that
    `activation_factor` takes.
    """

    id: Id
    issuer: Id
    recipient: Id
    start: Instant
    deviation_kwh: Annotated[tuple[float, ...], msgspec.Meta(min_length=1)]
    resolution_s: ResolutionS = QUARTER_HOUR_S
    request: Id | None = None
    offer: Id | None = None
    option: Annotated[str, msgspec.Meta(max_length=1000)] | None = None
    activation_factor: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    price: Decimal = Decimal(0)
    currency: Currency = "EUR"

    def __post_init__(self) -> None:
        in_utc(self, ("start",))
        check_on_grid(self.start, self.resolution_s, "start")
        if not all(map(math.isfinite, self.deviation_kwh)):
            raise InvalidError("deviations are finite numbers", path="deviation_kwh")


class Activation(Model, frozen=True, kw_only=True):
    """What an order came to for one member: its schedule."""

    order: Id
    offer: Id
    schedule: Schedule


class Member(Model, frozen=True, gc=False):
    """A member of an aggregate: it starts `offset` slots after the aggregate does."""

    offer: Id
    offset: SlotIndex = 0


class Aggregate(Model, frozen=True, kw_only=True):
    """A flex-offer that stands for many, and how they were aligned in it.

    Raises:
        InvalidError: a member twice.
    """

    offer: FlexOffer
    members: Annotated[tuple[Member, ...], msgspec.Meta(min_length=1)]
    method: str

    def __post_init__(self) -> None:
        if len({member.offer for member in self.members}) != len(self.members):
            raise InvalidError("a member stands twice", path="members")


class Side(enum.StrEnum):
    """Which way a bid goes."""

    BUY = "buy"
    SELL = "sell"


class Bid(Model, frozen=True, kw_only=True):
    """A quantity at a price for one slot; what is bought or sold is energy, or a deviation, as the market says.

    `min_share` is the least share that may be accepted (1: all or nothing); of an `exclusive_group` one is taken.
    """

    id: Id
    party: Id
    side: Side
    start: Instant
    quantity_kwh: Annotated[float, msgspec.Meta(gt=0)]
    price_eur_per_kwh: float
    resolution_s: ResolutionS = QUARTER_HOUR_S
    zone: Id = "all"
    min_share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    exclusive_group: Id | None = None
    offer: Id | None = None

    def __post_init__(self) -> None:
        in_utc(self, ("start",))
        check_on_grid(self.start, self.resolution_s, "start")
        finite(self, ("quantity_kwh", "price_eur_per_kwh"))


class Trade(Model, frozen=True, kw_only=True):
    """What a market made of one bid: the accepted quantity at the price that is paid or earned."""

    bid: Id
    party: Id
    side: Side
    start: Instant
    quantity_kwh: NonNegative
    price_eur_per_kwh: float
    resolution_s: ResolutionS = QUARTER_HOUR_S
    zone: Id = "all"

    def __post_init__(self) -> None:
        in_utc(self, ("start",))
        check_on_grid(self.start, self.resolution_s, "start")
        finite(self, ("quantity_kwh", "price_eur_per_kwh"))


class Scope(enum.StrEnum):
    """A use of a prosumer's data that its contract may grant."""

    PLANNING = "planning"
    SETTLEMENT = "settlement"
    GRID = "grid"
    MARKET = "market"
    RESEARCH = "research"


class Contract(Model, frozen=True, kw_only=True):
    """What an aggregator pays a prosumer for, and which uses of its data it grants.

    reward = fixed + per_time_flexibility * sum(tf) + per_energy_flexibility * sum(hi - lo)
    + per_activation * activations + per_start_shift * sum|start - default start|
    + per_deviation * sum|scheduled - default|,
    paid only where sum|measured - scheduled| / slices <= imbalance_limit [GOFLEX manager].
    Time flexibility and shifts count slots.
    """

    id: Id
    prosumer: Id
    aggregator: Id
    valid_from: Instant
    valid_until: Instant | None = None
    currency: Currency = "EUR"
    fixed_eur: NonNegative = 0.0
    per_time_flexibility_eur: NonNegative = 0.0
    per_energy_flexibility_eur_per_kwh: NonNegative = 0.0
    per_activation_eur: NonNegative = 0.0
    per_start_shift_eur: NonNegative = 0.0
    per_deviation_eur_per_kwh: NonNegative = 0.0
    imbalance_limit_kwh: NonNegative = 0.0
    scopes: tuple[Scope, ...] = (Scope.PLANNING, Scope.SETTLEMENT)

    def __post_init__(self) -> None:
        in_utc(self, ("valid_from", "valid_until"))
        finite(self, TERMS)
        if self.valid_until is not None and self.valid_until <= self.valid_from:
            raise InvalidError("valid_until is not after valid_from", path="valid_until")

    def covers(self, instant: datetime) -> bool:
        """Whether the contract is in force."""
        return self.valid_from <= instant and (self.valid_until is None or instant < self.valid_until)


TERMS = tuple(name for name in Contract.__struct_fields__ if name.endswith(("_eur", "_eur_per_kwh", "_kwh")))
"""The contract's numbers."""


class Basis(enum.StrEnum):
    """Whether an amount follows from measurements, or from the schedule because those are not there yet."""

    FACTUAL = "factual"
    PREDICTED = "predicted"


class Verdict(enum.StrEnum):
    """What became of a line: paid, not paid (imbalance over the limit), or unverified (readings are missing)."""

    PAID = "paid"
    REFUSED = "refused"
    UNVERIFIED = "unverified"


class BillLine(Model, frozen=True, kw_only=True):
    """One amount; positive is paid to the prosumer. `offer` is None for what the contract pays as such."""

    item: str
    quantity: float
    unit: str
    unit_price_eur: float
    amount: Decimal
    basis: Basis
    verdict: Verdict = Verdict.PAID
    offer: Id | None = None

    def __post_init__(self) -> None:
        finite(self, ("quantity", "unit_price_eur"))
        if not self.amount.is_finite():
            raise InvalidError(f"{self.amount} is not an amount of money", path="amount", value=str(self.amount))


class Bill(Model, frozen=True, kw_only=True):
    """What a prosumer earned in a period. Each line is rounded to the cent; totals add rounded lines."""

    id: Id
    contract: Id
    party: Id
    start: Instant
    end: Instant
    lines: tuple[BillLine, ...]
    currency: Currency = "EUR"

    def __post_init__(self) -> None:
        in_utc(self, ("start", "end"))
        if self.end <= self.start:
            raise InvalidError(f"{self.end:%FT%TZ} is not after start", path="end", value=f"{self.end:%FT%TZ}")

    def total(self, basis: Basis) -> Decimal:
        """Sum of the paid lines with this basis."""
        return money(sum((x.amount for x in self.lines if x.basis is basis and x.verdict is Verdict.PAID), Decimal(0)))


class CongestionPoint(Model, frozen=True, kw_only=True):
    """A place of the grid that can be overloaded."""

    id: Id
    limit_kw: NonNegative | None = None


class Line(Model, frozen=True, kw_only=True):
    """A line between two places: its limit, and the cost of using it."""

    id: Id
    source: Id
    sink: Id
    limit_kw: NonNegative
    cost_eur_per_kwh: NonNegative = 0.0


class GridModel(Model, frozen=True, kw_only=True):
    """Congestion points and the lines between them.

    Raises:
        InvalidError: a line that ends nowhere or where it begins, or an id twice.
    """

    points: tuple[CongestionPoint, ...]
    lines: tuple[Line, ...] = ()

    def __post_init__(self) -> None:
        known = {p.id for p in self.points}
        if len(known) != len(self.points) or len({x.id for x in self.lines}) != len(self.lines):
            raise InvalidError("an id stands twice", path="points" if len(known) != len(self.points) else "lines")
        for i, line in enumerate(self.lines):
            if line.source == line.sink:
                raise InvalidError(f"{line.source!r} is both ends", path=f"lines[{i}]", value=line.source)
            for end in (line.source, line.sink):
                if end not in known:
                    raise InvalidError(f"{end!r} is not a congestion point", path=f"lines[{i}]", value=end)
