"""Flex-offer messages into the core. Energies become kWh with positive = consumption, whatever the wire's sign."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from flexhub.core import flexoffer as core
from flexhub.core.errors import InvalidError, LossError
from flexhub.core.price import Price
from flexhub.core.units import LONGEST_S, MOST_SLOTS
from flexhub.mappings.fates import Kind, Loss, Mapped
from flexhub.mappings.flexoffer.context import KEPT, QUANTITIES, STATES, Context, Sign
from flexhub.protocols.flexoffer import messages as wire
from flexhub.protocols.flexoffer import reading as read
from flexhub.protocols.flexoffer.rules import IDENTIFIER, MULTIPLIERS

ROOT: Final = "FlexOffer"
PROFILE: Final = "flexOfferProfileConstraints"
CONSTRAINTS: Final = ("totalEnergyConstraint", "subTotalEnergyConstraint")

WIRE_NAMES: Final = {
    "created": "creationTime",
    "accept_before": "acceptBeforeTime",
    "assign_before": "assignmentBeforeTime",
    "assign_before_start_s": "assignmentBeforeStart",
    "start_after": "startAfterTime",
    "start_before": "startBeforeTime",
    "start_before_duration_s": "startBeforeDuration",
    "end_after": "endAfterTime",
    "end_before": "endBeforeTime",
    "total_energy_kwh": CONSTRAINTS[0],
    "slices": PROFILE,
}
"""Core field -> wire name, for the paths of errors."""

NULLABLE: Final = tuple((field.name, field.encode_name) for field in msgspec.structs.fields(wire.FlexOffer))
_WIRE: Final = tuple(name for _, name in NULLABLE)


class Scale:
    """Amounts of one message into kWh of consumption: their multiplier, and their sign."""

    __slots__ = ("down", "plain", "production", "up")

    def __init__(self, multiplier: object, sign: Sign) -> None:
        told = multiplier if isinstance(multiplier, str) else "k"
        if told not in MULTIPLIERS:
            path = f"{ROOT}/multiplier"
            raise InvalidError(f"{told!r} is none of {', '.join(MULTIPLIERS)}", path=path, clause="V1 Table 1.1")
        self.up, self.down = MULTIPLIERS[told]
        self.production = sign is Sign.PRODUCTION
        self.plain = not self.production and self.up == self.down

    def kwh(self, amount: float) -> float:
        """An amount of the wire in kWh."""
        if self.plain:
            return amount
        value = amount * self.up / self.down
        return 0.0 - value if self.production else value

    def amount(self, kwh: float) -> float:
        """The inverse of `kwh`."""
        if self.plain:
            return kwh
        value = kwh * self.down / self.up
        return 0.0 - value if self.production else value

    def pair(self, low: float, high: float) -> tuple[float, float]:
        """A lower and an upper amount as lowest and highest kWh; under production their roles are swapped."""
        low, high = self.kwh(low), self.kwh(high)
        return (high, low) if self.production else (low, high)


@lru_cache(maxsize=4096)
def price(low: float, high: float, production: bool) -> Price:
    """The core's price of a wire pair; cached, since slices of one offer mostly share theirs.

    Under production the wire's "up" is the core's "down", and what is received is the negative of what is paid:
    V1 Table 1.3 calls minprice "to be paid at consumption increase" and maxprice "to be received at production
    increase", so slopes are -maxprice below the default and -minprice above.
    """
    return Price.of_tariffs(0.0 - high, 0.0 - low) if production else Price.of_tariffs(low, high)


@contextlib.contextmanager
def at(path: str) -> Iterator[None]:
    """Errors of the core with the wire's path."""
    try:
        yield
    except InvalidError as error:
        raise _moved(error, path) from None


def _moved(error: InvalidError, path: str) -> InvalidError:
    return InvalidError(error.message, path=path, value=error.value, clause=error.clause)


def to_core(m: wire.FlexOffer, ctx: Context) -> Mapped[core.FlexOffer]:
    """One message as a core flex-offer; what the core has no place for is kept in its extras.

    Raises:
        InvalidError: what `protocols.flexoffer.rules` also finds, or something that `ctx` had to stand in for.
        LossError: a slice that is bounded by nothing that the core can hold.
    """
    return _Reader(m, ctx).offer()


class _Reader:
    """One conversion: the message, the choices, and what was kept and lost so far."""

    __slots__ = ("ctx", "kept", "losses", "m", "scale")

    def __init__(self, m: wire.FlexOffer, ctx: Context) -> None:
        self.m = m
        self.ctx = ctx
        self.scale = Scale(m.multiplier, ctx.sign)
        self.kept: dict[str, Any] = {}
        self.losses: list[Loss] = []

    def offer(self) -> Mapped[core.FlexOffer]:
        m = self.m
        self.kept = {name: None for name, told in zip(_WIRE, msgspec.structs.astuple(m), strict=True) if told is None}
        offer_id, issuer = self._id(), self._issuer()
        created = self._created()
        after, before, duration = self._window(created)
        accept = self._moment("accept_before") or self._moment("acceptance_before")
        profiles = self._profiles()
        fields: dict[str, Any] = {
            "location": self._location(),
            "state": self._state(),
            "quantity": self._quantity(),
            "obligatory": self._obligatory(),
            "accept_before": accept,
            "assign_before": self._moment("assignment_before"),
            "end_after": self._moment("end_after"),
            "end_before": self._moment("end_before"),
            "price": self._price(),
            "total_cost_eur": self._cost(),
            "default_schedule": self._schedule("defaultSchedule", m.default_schedule),
            "schedule": self._schedule("flexOfferSchedule", m.flex_offer_schedule),
        }
        if m.power_factor_constraint is not UNSET:
            self.kept["powerFactorConstraint"] = m.power_factor_constraint
        for name in ("unit", "multiplier"):
            if isinstance(getattr(m, name), str):
                self.kept[name] = getattr(m, name)
        extras: dict[str, Any] = {}
        if self.kept:
            extras["kept"] = self.kept
        if m.unknown is not UNSET:
            extras["unknown"] = m.unknown.tree
        try:
            value = core.FlexOffer(
                id=offer_id,
                issuer=issuer,
                label=read.first(m.label),
                state_reason=read.first(m.state_reason),
                created=created,
                assign_before_start_s=self._seconds("assignmentBeforeStart", m.assignment_before_start),
                start_after=after,
                start_before=before,
                start_before_duration_s=duration,
                resolution_s=self._resolution(),
                profiles=profiles,
                extras={KEPT: extras} if extras else {},
                **fields,
            )
        except InvalidError as error:
            raise _moved(error, f"{ROOT}/{WIRE_NAMES.get(error.path, error.path)}") from None
        return Mapped(value, tuple(self.losses))

    def _lose(self, path: str, kind: Kind, value: object, why: str) -> None:
        self.losses.append(Loss(path=f"{ROOT}/{path}", kind=kind, value=value, why=why))

    def _id(self) -> str:
        told = self.m.id
        if told is UNSET or told is None:
            if self.ctx.new_id is None:
                raise InvalidError("is missing", path=f"{ROOT}/id", clause="V1 Table 1.1 id")
            if told is None:
                self.kept["id"] = {"given": self.ctx.new_id}
            self._lose("id", Kind.DEFAULTED, None, f"given here: {self.ctx.new_id}")
            return self.ctx.new_id
        if isinstance(told, int):
            self.kept["id"] = told
        return _identifier("id", told)

    def _issuer(self) -> str:
        told = self.m.offered_by_id
        if told is UNSET or told is None:
            if self.ctx.issuer is None:
                raise InvalidError("is missing", path=f"{ROOT}/offeredById", clause="V1 Table 1.1 offeredById")
            self._lose("offeredById", Kind.DEFAULTED, None, f"given here: {self.ctx.issuer}")
            return self.ctx.issuer
        if isinstance(told, int):
            self.kept["offeredById"] = told
        return _identifier("offeredById", told)

    def _location(self) -> str | None:
        for name, told in (("locationId", self.m.location_id), ("locationID", self.m.location_id_v1)):
            if told is UNSET or told is None:
                continue
            if name == "locationId" and isinstance(told, str) and IDENTIFIER.fullmatch(told):
                return told
            self.kept[name] = told
            if isinstance(told, str | int) and not isinstance(told, bool) and IDENTIFIER.fullmatch(str(told)):
                return str(told)
        return None

    def _state(self) -> core.State:
        told = self.m.state
        if told is UNSET or told is None:
            raise InvalidError("is missing", path=f"{ROOT}/state", clause="V1 Table 1.1 state")
        state = STATES.get(told.lower())
        if state is None:
            raise InvalidError(
                f"{told!r} is not a state", path=f"{ROOT}/state", value=told, clause="V1 Table 1.1 state"
            )
        self.kept["state"] = told
        return state

    def _quantity(self) -> core.Quantity:
        told = self.m.flex_offer_profil_type
        if not isinstance(told, str):
            return core.Quantity.ACTIVE_ENERGY
        quantity = QUANTITIES.get(told.lower())
        if quantity is None:
            path = f"{ROOT}/flexOfferProfilType"
            raise InvalidError(f"{told!r} is not a kind of profile", path=path, clause="V1 Table 1.1")
        self.kept["flexOfferProfilType"] = told
        return quantity

    def _obligatory(self) -> bool:
        told = self.m.assignment
        if not isinstance(told, str):
            return True
        if told != "obligatory":
            self.kept["assignment"] = told
        return told.lower() == "obligatory"

    def _resolution(self) -> int:
        told = self.m.num_seconds_per_interval
        if not isinstance(told, int):
            return read.DEFAULT_SECONDS
        if not 1 <= told <= read.MAX_SECONDS:
            path = f"{ROOT}/numSecondsPerInterval"
            raise InvalidError(f"{told} is outside 1..{read.MAX_SECONDS}", path=path, clause="V1 Table 1.1")
        return told

    def _seconds(self, name: str, told: object) -> int | None:
        if not isinstance(told, int):
            return None
        if not 0 <= told <= LONGEST_S:
            raise InvalidError(f"{told} s is outside 0..{LONGEST_S}", path=f"{ROOT}/{name}", clause="GOFLEX")
        return told

    def _moment(self, stem: str) -> datetime | None:
        m = self.m
        text = getattr(m, f"{stem}_time")
        if text is UNSET or text is None:
            if not isinstance(getattr(m, f"{stem}_interval"), int):
                return None
            found = read.moment(m, stem)
            name = read.TIMES[stem][1]
        else:
            found = read.instant(text)
            name = read.TIMES[stem][0]
        if found is None:
            raise InvalidError(f"{text!r} is not an instant", path=f"{ROOT}/{name}", clause="V1 Table 1.1 Datetime")
        return found

    def _created(self) -> datetime:
        told = self._moment("creation")
        if told is not None:
            return told
        if self.ctx.now is None:
            raise InvalidError("is missing", path=f"{ROOT}/creationTime", clause="V1 Table 1.1 creationTime")
        self._lose("creationTime", Kind.DEFAULTED, None, f"taken as now: {self.ctx.now:%FT%TZ}")
        return self.ctx.now

    def _window(self, created: datetime) -> tuple[datetime | None, datetime | None, int | None]:
        """Earliest and latest start, or the length of implicit time flexibility."""
        after, before = self._moment("start_after"), self._moment("start_before")
        duration = self._seconds("startBeforeDuration", self.m.start_before_duration)
        if duration is None and after is None and before is None:
            self._lose("startBeforeTime", Kind.DEFAULTED, None, "a missing start window means now [GOFLEX]")
            return None, None, 0
        if duration is None and after is None:
            self._lose("startAfterTime", Kind.DEFAULTED, None, "taken as creationTime [V1 Table 1.1]")
            return created, before, None
        return after, before, duration

    def _profiles(self) -> tuple[core.Profile, ...]:
        m = self.m
        pieces = m.flex_offer_profile_constraints
        total = self._energy(CONSTRAINTS[0], m.total_energy_constraint)
        sub = self._energy(CONSTRAINTS[1], m.sub_total_energy_constraint)
        if not pieces:
            if pieces is not None and pieces is not UNSET:
                self.kept[PROFILE] = []
            for name, bound in zip(CONSTRAINTS, (total, sub), strict=True):
                if bound is not None:
                    self._lose(name, Kind.DROPPED, None, "the flexibility is withdrawn, so there is nothing to bound")
            return ()
        scale = self.scale
        slices = tuple([_common(piece, scale) or self._slice(i, piece) for i, piece in enumerate(pieces)])
        try:
            return (core.Profile(slices=slices, total_energy_kwh=total, subtotal_energy_kwh=sub),)
        except InvalidError as error:
            name = WIRE_NAMES.get(error.path, CONSTRAINTS[1])
            raise _moved(error, f"{ROOT}/{name}") from None

    def _slice(self, i: int, piece: wire.Slice) -> core.Slice:
        ranges: tuple[core.EnergyRange, ...] = ()
        pairs = piece.energy_constraint_list
        pair = read.first(piece.tariff_constraint, piece.price_constraint)
        shortest, longest = piece.min_duration, piece.max_duration
        low = shortest if isinstance(shortest, int) else 1
        high = longest if isinstance(longest, int) else max(low, 1)
        polygon: tuple[core.HalfPlane, ...] = ()
        uncertainty = None
        try:
            if pairs:
                ranges = tuple([self._range(b, i, k) for k, b in enumerate(pairs)])
            if piece.dependency_energy_constraint_list or piece.dependency_energy_constraint_list_v1:
                polygon = self._polygon(i, piece)
            functions = read.functions(piece)
            if functions is not None:
                uncertainty, reach = self._uncertainty(i, piece, functions)
                if reach is not None and not ranges and not polygon:
                    ranges = (reach,)
            return core.Slice(
                energy_kwh=ranges,
                min_duration=_duration(low),
                max_duration=_duration(high),
                price=self._pair(f"{PROFILE}[{i}]/tariffConstraint", pair) if pair is not None else None,
                polygon=polygon,
                uncertainty=uncertainty,
            )
        except InvalidError as error:
            if error.path.startswith(ROOT):
                raise
            raise _moved(error, f"{ROOT}/{PROFILE}[{i}]") from None

    def _range(self, b: wire.Bounds, i: int, k: int) -> core.EnergyRange:
        low, high = b.lower, b.upper
        if low.__class__ is not float or high.__class__ is not float:
            low, high = read.bounds(b)
        if low is None or high is None:
            path = f"{ROOT}/{PROFILE}[{i}]/energyConstraintList[{k}]"
            raise InvalidError("a bound is missing or not a number", path=path, clause="V1 Table 1.2")
        scale = self.scale
        if scale.plain:
            return core.EnergyRange(low, high)
        return core.EnergyRange(*scale.pair(low, high))

    def _energy(self, name: str, b: object) -> core.EnergyRange | None:
        if not isinstance(b, wire.Bounds):
            return None
        low, high = read.bounds(b)
        if low is None or high is None:
            raise InvalidError("a bound is missing or not a number", path=f"{ROOT}/{name}", clause="V1 Table 2.3")
        with at(f"{ROOT}/{name}"):
            return core.EnergyRange(*self.scale.pair(low, high))

    def _cost(self) -> core.CostRange | None:
        b = self.m.total_cost_constraint
        if not isinstance(b, wire.Bounds):
            return None
        low, high = read.bounds(b)
        if low is None or high is None:
            path = f"{ROOT}/totalCostConstraint"
            raise InvalidError("a bound is missing or not a number", path=path, clause="V1 Table 1.1")
        with at(f"{ROOT}/totalCostConstraint"):
            return core.CostRange(low, high)

    def _polygon(self, i: int, piece: wire.Slice) -> tuple[core.HalfPlane, ...]:
        """Rows a*x + b*e <= c; x and e change sign together, and c carries the unit."""
        sign = -1.0 if self.scale.production else 1.0
        rows = []
        for k, row in enumerate(read.rows(piece)):
            path = f"{ROOT}/{PROFILE}[{i}]/{read.rows_name(piece)}[{k}]"
            numbers = [read.number(value) for value in row]
            if len(numbers) != 3 or None in numbers:
                raise InvalidError("a row is three numbers [a, b, c]", path=path, clause="V1 section 2.4.1")
            a, b, c = (value for value in numbers if value is not None)
            with at(path):
                rows.append(core.HalfPlane(sign * a + 0.0, sign * b + 0.0, c * self.scale.up / self.scale.down))
        return tuple(rows)

    def _uncertainty(
        self, i: int, piece: wire.Slice, functions: object
    ) -> tuple[core.Uncertainty | None, core.EnergyRange | None]:
        """The slice's uncertainty, and the energies that it allows at all."""
        path = f"{PROFILE}[{i}]/{read.functions_name(piece)}"
        least = read.threshold(piece)
        points = read.points(functions)
        if points is None or least is None or not 0 <= least <= 1:
            why = "only points [energy, probability] with a threshold of 0..1 have a place in the core"
            if not piece.energy_constraint_list and not read.rows(piece):
                raise LossError(why, path=f"{ROOT}/{path}", clause="V1 Table 2.5")
            self.kept.setdefault("uncertain", {})[str(i)] = {"functions": functions, "threshold": least}
            self._lose(path, Kind.BOUND, functions, why)
            return None, None
        points = [(self.scale.kwh(energy), probability) for energy, probability in points]
        if self.scale.production:
            points.reverse()
        with at(f"{ROOT}/{path}"):
            found = core.Uncertainty(
                energies_kwh=tuple(energy for energy, _ in points),
                probabilities=tuple(probability for _, probability in points),
                threshold=least,
            )
            return found, core.EnergyRange(found.energies_kwh[0], found.energies_kwh[-1])

    def _pair(self, path: str, pair: wire.TariffConstraint | wire.PriceSeries) -> Price:
        low, high = read.prices(pair)
        if low is None or high is None:
            raise InvalidError("a price is missing or not a number", path=f"{ROOT}/{path}", clause="V1 Table 1.3")
        try:
            return price(low, high, self.scale.production)
        except InvalidError as error:
            raise _moved(error, f"{ROOT}/{path}") from None

    def _price(self) -> Price | None:
        """The offer's own price, where it is one pair for the whole of it."""
        found: Price | None = None
        for name, series in (
            ("flexOfferTariffConstraint", self.m.flex_offer_tariff_constraint),
            ("flexOfferPriceConstraints", self.m.flex_offer_price_constraints),
        ):
            if series is UNSET or series is None:
                continue
            self.kept[name] = msgspec.json.decode(msgspec.json.encode(series))
            pairs = [read.first(part.tariff_constraint, part.price_constraint) for part in read.price_slices(series)]
            prices = {self._pair(name, pair) for pair in pairs if pair is not None}
            if isinstance(series, wire.PriceSeries) and read.prices(series) != (None, None):
                prices.add(self._pair(name, series))
            if found is not None:
                prices.add(found)
            if len(prices) > 1:
                why = "a price of the whole offer that varies over time has no place in the core"
                self._lose(name, Kind.PRICE, self.kept[name], why)
                return None
            found = next(iter(prices), found)
        return found

    def _schedule(self, name: str, told: object) -> core.Schedule | None:
        if not isinstance(told, wire.Schedule):
            return None
        path = f"{ROOT}/{name}"
        if isinstance(told.schedule_id, int) and told.schedule_id != 0:
            self.kept[f"{name}/scheduleId"] = told.schedule_id
        start = self._start(told, path)
        length = told.num_seconds_per_interval
        if isinstance(length, int) and length != self._resolution():
            raise InvalidError(f"{length} differs from the offer's", path=f"{path}/numSecondsPerInterval")
        slices = []
        for i, piece in enumerate(read.first(told.schedule_slices) or ()):
            energy = read.number(piece.energy_amount)
            if energy is None:
                where = f"{path}/scheduleSlices[{i}]/energyAmount"
                raise InvalidError("is missing or not a number", path=where, clause="V1 Table 2.2")
            cost = piece.price if piece.tariff is UNSET or piece.tariff is None else piece.tariff
            duration = piece.duration if isinstance(piece.duration, int) else 1
            try:
                part = core.ScheduleSlice(
                    energy_kwh=self.scale.kwh(energy), duration=_duration(duration), price_eur_per_kwh=_cost(cost)
                )
            except InvalidError as error:
                raise _moved(error, f"{path}/scheduleSlices[{i}]") from None
            slices.append(part)
        update = read.first(told.update_id) or 0
        if update < 0:
            raise InvalidError(f"{update} is negative", path=f"{path}/updateId", clause="V1 section 2.2.2")
        if not slices:
            raise InvalidError("is missing or empty", path=f"{path}/scheduleSlices", clause="V1 section 2.2.2")
        told_id = read.first(told.schedule_id)
        return core.Schedule(
            start=start, slices=tuple(slices), id="0" if told_id is None else str(told_id), update=update
        )

    def _start(self, told: wire.Schedule, path: str) -> datetime:
        found: datetime | None = None
        if isinstance(told.start_time, str):
            found = read.instant(told.start_time)
        elif isinstance(told.start_interval, int):
            found = read.of_interval(told.start_interval, self._resolution())
        if found is None:
            raise InvalidError("is missing or not an instant", path=f"{path}/startTime", clause="V1 section 2.2.2")
        return found


def _common(piece: wire.Slice, scale: Scale) -> core.Slice | None:
    """The common slice on the quick way: one range and one pair of prices, all plain numbers; None for any other."""
    pairs, pair = piece.energy_constraint_list, piece.tariff_constraint
    shortest, longest = piece.min_duration, piece.max_duration
    if not (
        pairs.__class__ is tuple
        and len(pairs) == 1
        and pair.__class__ is wire.TariffConstraint
        and shortest.__class__ is int
        and longest.__class__ is int
        and 1 <= shortest <= longest <= MOST_SLOTS
        and piece.dependency_energy_constraint_list is UNSET
        and piece.dependency_energy_constraint_list_v1 is UNSET
        and piece.uncertain_functions is UNSET
        and piece.uncertain_functions_v1 is UNSET
    ):
        return None
    bounds = pairs[0]
    low, high = bounds.lower, bounds.upper
    down, up = pair.min_tariff, pair.max_tariff
    if not (low.__class__ is float is high.__class__ and down.__class__ is float is up.__class__):
        return None
    if low > high or down > up:
        return None  # the long way words the error
    if not scale.plain:
        low, high = scale.pair(low, high)
    return core.Slice(
        energy_kwh=(core.EnergyRange(low, high),),
        min_duration=shortest,
        max_duration=longest,
        price=price(down, up, scale.production),
    )


def _identifier(name: str, told: int | str) -> str:
    text = str(told)
    if not IDENTIFIER.fullmatch(text):
        raise InvalidError(f"{text!r} is not an identifier", path=f"{ROOT}/{name}", value=text, clause="V1 Table 1.1")
    return text


def _duration(slots: int) -> int:
    if not 1 <= slots <= MOST_SLOTS:
        raise InvalidError(f"{slots} intervals are outside 1..{MOST_SLOTS}", clause="V1 Table 2.1")
    return slots


def _cost(told: wire.Number | UnsetType | None) -> float | None:
    if told is None or told is UNSET:
        return None
    found = read.number(told)
    if found is None:
        raise InvalidError(f"{told!r} is not a number", clause="V1 Table 2.2")
    return found
