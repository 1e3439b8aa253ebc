"""Flex-offers from physics: a battery, a car with a departure, a thermal store, an appliance that can be shifted.

A load says what it is in its own terms (kW, kWh, degrees, efficiencies), and `offers` models it in the order of GOFLEX
D2.1 section 7.1, from slice energy on, as far as the order adds anything. Every model is an inner one: what it allows
the load can do. `worth` is what the load itself saves at prices, of which `simplest` asks each model a share.

**A store.** With e_t the energy from the grid, s(e) what of it is stored, and a the share that is left after a slot,
``S_t = a S_{t-1} + s(e_t) + g_t``, which has to stay in [S_min_t, S_max_t]. Charging stores ``s(e) = c e`` and giving
takes ``s(e) = e / d`` for e < 0, with efficiencies c, d <= 1.

- c = d = 1 and a = 1: total and sub-total energy say all of it.
- a < 1 and one way only (e >= 0): S is linear in e, so a polytope says all of it; a DFO is the largest box of running
  totals in it (`conversions`).
- both ways with losses: s is concave, so ``S_t >= S_min`` is convex and ``S_t <= S_max`` is not. Each tangent at 0
  lies above s: ``s(e) <= k e`` for c <= k <= 1 / d. So ``k (e_1 + ... + e_t) <= S_max - S_0`` is safe for any one such
  k, and k = c allows most. And ``s(e) = m e - h |e|`` with m, h = (1/d +- c) / 2; while no slot moves more than P,
  ``m (e_1 + ... + e_t) - h t P >= S_min - S_0`` is safe. The power P is the one of a few that leaves most.

What a load does untold is the default schedule of its offers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, Protocol

import msgspec
import numpy as np

from flexhub.core.algebra.conversions import SEEDS, Kind, convert, kind_of
from flexhub.core.algebra.losses import NOTHING_EUR, Weather, prices
from flexhub.core.algebra.optimum import Prices, horizon, least_cost_eur
from flexhub.core.algebra.program import Limits, solve
from flexhub.core.algebra.shape import Cumulative, Floats, tighten
from flexhub.core.errors import EngineError, InfeasibleError, InvalidError
from flexhub.core.flexoffer import EnergyRange, FlexOffer, HalfPlane, Polytope, Profile, Schedule, ScheduleSlice, Slice
from flexhub.core.timegrid import QUARTER_HOUR_S, check_on_grid, instant_of, slot_from, slot_of

THROTTLES: Final = (1.0, 0.5, 0.25, 0.125)
"""Shares of its power that a lossy battery is tried with; more power loses more on the way in and out."""


class _Named(Protocol):
    """What an offer takes over from its load."""

    @property
    def id(self) -> str: ...
    @property
    def issuer(self) -> str: ...
    @property
    def resolution_s(self) -> int: ...
    def usual(self) -> Schedule: ...


class Load(Protocol):
    """Something that uses, gives or stores energy."""

    @property
    def id(self) -> str:
        """Of its offers."""

    def offers(self) -> Iterator[FlexOffer]:
        """Models of it, in the modelling order; every schedule of each is one that the load can keep."""

    def usual(self) -> Schedule:
        """What it does untold."""

    def least_cost_eur(self, prices: Prices) -> float:
        """What it pays at least: a bound that no model can be below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Battery:
    """A battery from `start` on for `slots` slots.

    Args:
        power_kw, give_kw: greatest power from the grid, and to it.
        capacity_kwh, charge_kwh: what it holds at most, and at the start.
        target_kwh: what it holds at the end at least.
        charging, giving: efficiencies, within (0, 1].

    Raises:
        InvalidError: numbers that no battery has, or a target that it can't reach.
    """

    id: str
    issuer: str
    start: datetime
    slots: int
    power_kw: float
    give_kw: float
    capacity_kwh: float
    charge_kwh: float
    target_kwh: float = 0.0
    charging: float = 1.0
    giving: float = 1.0
    resolution_s: int = QUARTER_HOUR_S

    def __post_init__(self) -> None:
        _numbers(self.id, power_kw=self.power_kw, give_kw=self.give_kw, capacity_kwh=self.capacity_kwh)
        check_on_grid(self.start, self.resolution_s, f"Battery[{self.id}]/start")
        if not (0 < self.charging <= 1 and 0 < self.giving <= 1) or self.slots < 1:
            _refuse(self.id, "efficiencies are within 0 to 1, above 0, and there is a slot at least")
        if not (0 <= self.charge_kwh <= self.capacity_kwh and 0 <= self.target_kwh <= self.capacity_kwh):
            _refuse(self.id, f"charge and target are within 0 to the capacity, {self.capacity_kwh} kWh")
        if self.charge_kwh + self.charging * self.slots * self._most() < self.target_kwh:
            _refuse(self.id, f"{self.target_kwh} kWh cannot be reached in {self.slots} slots")

    def _most(self) -> float:
        return self.power_kw * self.resolution_s / 3600

    def _least(self) -> float:
        return -self.give_kw * self.resolution_s / 3600

    @property
    def lossless(self) -> bool:
        """Whether nothing is lost on the way in and out, or energy goes one way only, which then counts as stored."""
        return self.charging == self.giving == 1 or self.give_kw == 0

    def offers(self) -> Iterator[FlexOffer]:
        """As of `Load`: total and sub-total energy where lossless, otherwise running totals; slices before either."""
        full = self._lossless() if self.lossless else self._lossy()
        yield convert(full, Kind.SLICE).offer
        yield full

    def _offer(self, profile: Profile) -> FlexOffer:
        return _at(self, self.start, profile)

    def _lossless(self) -> FlexOffer:
        share = self.charging if self.give_kw == 0 else 1.0
        room = (self.capacity_kwh - self.charge_kwh) / share
        floor = -self.charge_kwh / share
        slices = (Slice(energy_kwh=(EnergyRange(self._least(), self._most()),)),) * self.slots
        return self._offer(
            Profile(
                slices=slices,
                subtotal_energy_kwh=EnergyRange(floor, room),
                total_energy_kwh=EnergyRange((self.target_kwh - self.charge_kwh) / share, room),
            )
        )

    def _lossy(self) -> FlexOffer:
        """The throttle of `THROTTLES` at which slices reach most; at any the schedules are kept by the battery."""
        best: tuple[float, FlexOffer] | None = None
        for throttle in THROTTLES:
            try:
                profile, reach = self._throttled(throttle)
            except InvalidError:
                continue  # too little power for the target
            if best is None or reach > best[0]:
                best = reach, self._offer(profile)
        if best is None:
            raise InfeasibleError("no throttle of it reaches the target", path="Battery", value=self.id)
        return best[1]

    def _throttled(self, throttle: float) -> tuple[Profile, float]:
        lo, hi = (np.full(self.slots, throttle * side) for side in (self._least(), self._most()))
        t = np.arange(1, self.slots + 1)
        middle, half = (1 / self.giving + self.charging) / 2, (1 / self.giving - self.charging) / 2
        moved = half * t * max(hi[0], -lo[0])
        ceiling = np.full(self.slots, (self.capacity_kwh - self.charge_kwh) / self.charging)
        floor = (moved - self.charge_kwh) / middle
        floor[-1] = max(floor[-1], (moved[-1] + self.target_kwh - self.charge_kwh) / middle)
        tight = tighten(lo, hi, Cumulative(floor, ceiling))
        slices = tuple(
            Slice(energy_kwh=(EnergyRange(a, b),), polygon=(HalfPlane(1.0, 1.0, most), HalfPlane(-1.0, -1.0, -least)))
            for a, b, least, most in zip(lo.tolist(), hi.tolist(), tight.lo.tolist(), tight.hi.tolist(), strict=True)
        )
        return Profile(slices=slices), float((tight.hi - tight.lo).sum())

    def usual(self) -> Schedule:
        """It rests, or charges at once up to its target."""
        energies, held = [], self.charge_kwh
        for _ in range(self.slots):
            energy = min(self._most(), max(0.0, (self.target_kwh - held) / self.charging))
            held += energy * self.charging
            energies.append(energy)
        return _schedule(self.start, energies)

    def least_cost_eur(self, prices: Prices) -> float:
        """By the relaxation that may charge and give at once, which only negative prices make worth while."""
        price = prices.of_slots(slot_of(self.start, self.resolution_s), self.slots, self.resolution_s)
        n = self.slots
        # Columns are what is taken, what is given and what is held in each slot.
        held = np.eye(n) - np.eye(n, k=-1)
        rows = np.hstack((-self.charging * np.eye(n), np.eye(n) / self.giving, held))
        begun = np.append(self.charge_kwh, np.zeros(n - 1))
        most = np.repeat([self._most(), -self._least(), self.capacity_kwh], n)
        least = np.zeros(3 * n)
        least[-1] = self.target_kwh
        cost = np.concatenate((price, -price, np.zeros(n)))
        found = solve(cost, rows, Limits(begun, begun), Limits(least, most))
        if found is None:
            raise EngineError("the solver found no optimum of the battery", path=f"Load[{self.id}]", value=self.id)
        return float(cost @ found.values)

    def held_kwh(self, energies_kwh: Floats) -> Floats:
        """What it holds at the end of each slot: float64[slots]; for checking schedules."""
        stored = np.where(energies_kwh > 0, self.charging * energies_kwh, energies_kwh / self.giving)
        held: Floats = self.charge_kwh + np.cumsum(stored)
        return held


@dataclass(frozen=True, slots=True, kw_only=True)
class Car:
    """A car that is plugged in from `arrival` to `departure` and needs energy by then.

    Args:
        power_kw: of the charger.
        need_kwh: that it takes from the grid until it leaves, at least; less where its stay allows less.
        room_kwh: that it takes at most; by default what it needs.

    Slots that it is not there for the whole of are not used.

    Raises:
        InvalidError: numbers that no car has, or a stay without a whole slot.
    """

    id: str
    issuer: str
    arrival: datetime
    departure: datetime
    power_kw: float
    need_kwh: float
    room_kwh: float | None = None
    location: str | None = None
    resolution_s: int = QUARTER_HOUR_S

    def __post_init__(self) -> None:
        _numbers(self.id, power_kw=self.power_kw, need_kwh=self.need_kwh)
        if self.room_kwh is not None and not self.need_kwh <= self.room_kwh < math.inf:
            _refuse(self.id, f"room for {self.room_kwh} kWh where {self.need_kwh} kWh are needed")
        if self._slots() < 1:
            _refuse(self.id, f"no whole slot from {self.arrival:%FT%TZ} to {self.departure:%FT%TZ}")

    def _first(self) -> int:
        return slot_from(self.arrival, self.resolution_s)

    def _slots(self) -> int:
        return slot_of(self.departure, self.resolution_s) - self._first()

    def _most(self) -> float:
        return self.power_kw * self.resolution_s / 3600

    def _total(self) -> tuple[float, float]:
        reach = self._most() * self._slots()
        return min(self.need_kwh, reach), min(self.room_kwh if self.room_kwh is not None else self.need_kwh, reach)

    def offers(self) -> Iterator[FlexOffer]:
        """As of `Load`: slices at one start; a block that can be shifted; a total energy, which says all."""
        full = self._full()
        yield convert(full, Kind.SLICE).offer
        yield convert(full, Kind.TIME).offer
        yield full

    def _full(self) -> FlexOffer:
        slices = (Slice(energy_kwh=(EnergyRange(0.0, self._most()),)),) * self._slots()
        profile = Profile(slices=slices, total_energy_kwh=EnergyRange(*self._total()))
        start = instant_of(self._first(), self.resolution_s)
        return msgspec.structs.replace(_at(self, start, profile), location=self.location)

    def _at_once(self, energy: float) -> list[float]:
        energies = []
        while energy > 0:
            energies.append(min(energy, self._most()))
            energy -= energies[-1]
        return energies[: self._slots()]

    def usual(self) -> Schedule:
        """It charges on arrival, at full power."""
        energies = self._at_once(self._total()[0])
        energies += [0.0] * (self._slots() - len(energies))
        return _schedule(instant_of(self._first(), self.resolution_s), energies)

    def least_cost_eur(self, prices: Prices) -> float:
        """As of its total energy, which says all of it."""
        return float(least_cost_eur([self._full()], prices)[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class ThermalStore:
    """A building or a tank with one temperature, heated by up to `power_kw` of electricity.

    ``C dT/dt = cop * P - (T - T_outside) / R``, exactly in slots of constant power: with a = exp(-dt / (R C)),
    ``T' = T_outside + a (T - T_outside) + (1 - a) R cop P``.

    Args:
        resistance: R, K per kW of heat.
        capacitance: C, kWh of heat per K.
        cop: heat per electricity.
        outside: temperature of each slot, as many as there are slots.
        temperature, least, most: at the start, and between which it stays at the end of each slot.

    Raises:
        InvalidError: numbers that no store has.
    """

    id: str
    issuer: str
    start: datetime
    power_kw: float
    resistance: float
    capacitance: float
    cop: float
    outside: tuple[float, ...]
    temperature: float
    least: float
    most: float
    resolution_s: int = QUARTER_HOUR_S

    def __post_init__(self) -> None:
        _numbers(self.id, power_kw=self.power_kw)
        check_on_grid(self.start, self.resolution_s, f"ThermalStore[{self.id}]/start")
        positive = all(0 < x < math.inf for x in (self.resistance, self.capacitance, self.cop))
        if not positive or not self.outside or not all(map(math.isfinite, (*self.outside, self.temperature))):
            _refuse(self.id, "resistance, capacitance and COP are above 0, and temperatures are numbers, one at least")
        if not self.least <= self.most:
            _refuse(self.id, f"between {self.least} and {self.most} degrees there is nothing")

    def _left(self) -> float:
        return math.exp(-self.resolution_s / 3600 / (self.resistance * self.capacitance))

    def _per_kwh(self) -> float:
        """Degrees that a kWh of electricity in a slot makes at its end."""
        return (1 - self._left()) * self.resistance * self.cop * 3600 / self.resolution_s

    def temperatures(self, energies_kwh: Floats) -> Floats:
        """Temperature at the end of each slot: float64[slots]; for checking schedules."""
        found, now = np.empty(len(self.outside)), self.temperature
        for t, (outside, energy) in enumerate(zip(self.outside, energies_kwh.tolist(), strict=True)):
            now = outside + self._left() * (now - outside) + self._per_kwh() * energy
            found[t] = now
        return found

    def offers(self) -> Iterator[FlexOffer]:
        """As of `Load`: slices, running totals, and the polytope that says all of it."""
        full = self._full()
        yield convert(full, Kind.SLICE).offer
        yield convert(full, Kind.DFO).offer
        yield full

    def _full(self) -> FlexOffer:
        n = len(self.outside)
        idle = self.temperatures(np.zeros(n))
        age = np.subtract.outer(np.arange(n), np.arange(n))
        rows = np.where(age >= 0, self._per_kwh() * self._left() ** np.maximum(age, 0), 0.0)
        a, b = np.vstack((rows, -rows)), np.concatenate((self.most - idle, idle - self.least))
        most = self.power_kw * self.resolution_s / 3600
        profile = Profile(
            slices=(Slice(energy_kwh=(EnergyRange(0.0, most),)),) * n,
            polytope=Polytope(a=tuple(map(tuple, a.tolist())), b_kwh=tuple(b.tolist())),
        )
        return _at(self, self.start, profile)

    def usual(self) -> Schedule:
        """It heats in each slot as little as keeps it warm enough: a thermostat at the least temperature."""
        most, now, energies = self.power_kw * self.resolution_s / 3600, self.temperature, []
        for outside in self.outside:
            idle = outside + self._left() * (now - outside)
            energy = min(most, max(0.0, (self.least - idle) / self._per_kwh()))
            now = idle + self._per_kwh() * energy
            energies.append(energy)
        return _schedule(self.start, energies)

    def least_cost_eur(self, prices: Prices) -> float:
        """As of its polytope, which says all of it."""
        return float(least_cost_eur([self._full()], prices)[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Appliance:
    """An appliance whose programme, once begun, runs through: it can only be shifted.

    Args:
        programme_kwh: energy of each slot.
        earliest, latest: between which it begins, and may end.

    Raises:
        InvalidError: no programme, or no time for it.
    """

    id: str
    issuer: str
    programme_kwh: tuple[float, ...]
    earliest: datetime
    latest: datetime
    resolution_s: int = QUARTER_HOUR_S

    def __post_init__(self) -> None:
        if not self.programme_kwh or not all(map(math.isfinite, self.programme_kwh)):
            _refuse(self.id, "a programme is of numbers, one at least")
        if self._last() < self._first():
            _refuse(self.id, f"{len(self.programme_kwh)} slots do not fit before {self.latest:%FT%TZ}")

    def _first(self) -> int:
        return slot_from(self.earliest, self.resolution_s)

    def _last(self) -> int:
        return slot_of(self.latest, self.resolution_s) - len(self.programme_kwh)

    def offers(self) -> Iterator[FlexOffer]:
        """As of `Load`: the programme at once; and at any time, which says all."""
        start, last = (instant_of(slot, self.resolution_s) for slot in (self._first(), self._last()))
        slices = tuple(Slice(energy_kwh=(EnergyRange(e, e),)) for e in self.programme_kwh)
        fixed = _at(self, start, Profile(slices=slices))
        yield fixed
        if last > start:
            yield msgspec.structs.replace(fixed, start_before=last)

    def usual(self) -> Schedule:
        """It begins at once."""
        return _schedule(instant_of(self._first(), self.resolution_s), list(self.programme_kwh))

    def least_cost_eur(self, prices: Prices) -> float:
        """As of its window, which says all of it."""
        *_, full = self.offers()
        return float(least_cost_eur([full], prices)[0])


class Choice(NamedTuple):
    """A model of a load: its kind, the offer, and the share of the load's saving that it keeps."""

    kind: Kind
    offer: FlexOffer
    share: float


def choices(load: Load, seeds: Mapping[Weather, int] = SEEDS) -> list[Choice]:
    """Every model of the load with the share that it keeps of what the load saves at these prices together.

    Where the load cannot save anything, every model keeps all of it.
    """
    offers = list(load.offers())
    begin, end = horizon(offers)
    step = offers[0].resolution_s
    saving, kept = 0.0, np.zeros(len(offers))
    for weather, seed in seeds.items():
        look = prices(weather, begin, end, seed, step)
        usually = look.cost_eur(load.usual(), step)
        saving += usually - load.least_cost_eur(look)
        kept += usually - least_cost_eur(offers, look)
    shares = kept / saving if saving > NOTHING_EUR else np.ones(len(offers))
    return [Choice(kind_of(offer), offer, share) for offer, share in zip(offers, shares.tolist(), strict=True)]


def simplest(load: Load, share: float = 0.95, seeds: Mapping[Weather, int] = SEEDS) -> Choice:
    """The first model in the modelling order that keeps this share of what the load can save; else the one of most.

    Raises:
        InvalidError: a share outside 0 to 1.
    """
    if not 0 <= share <= 1:
        raise InvalidError(f"a share of {share}; it is within 0 to 1", path="share", value=str(share))
    tried = choices(load, seeds)
    return next((one for one in tried if one.share >= share), max(tried, key=lambda one: one.share))


def _numbers(name: str, **values: float) -> None:
    for field, value in values.items():
        if not 0 <= value < math.inf:
            _refuse(name, f"{field} is {value}; it is a number, not below 0")


def _refuse(name: str, message: str) -> None:
    raise InvalidError(message, path=f"Load[{name}]", value=name)


def _at(load: _Named, start: datetime, profile: Profile) -> FlexOffer:
    return FlexOffer(
        id=load.id,
        issuer=load.issuer,
        created=start,
        start_after=start,
        start_before=start,
        resolution_s=load.resolution_s,
        profiles=(profile,),
        default_schedule=load.usual(),
    )


def _schedule(start: datetime, energies: list[float]) -> Schedule:
    return Schedule(start=start, slices=tuple(ScheduleSlice(energy_kwh=e) for e in energies))
