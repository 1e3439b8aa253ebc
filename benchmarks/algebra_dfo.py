"""One DFO for 200,000 members, and how much of the value of a population is kept in DFOs of groups.

The peer of the speed is coupling as one writes it down in numpy: every member's step at 33 samples of r, of which the
narrowest counts; on a tenth of the members, scaled up. What is kept is held against what members can do exactly.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

import numpy as np

from benchmarks.algebra_slices import timed
from benchmarks.algebra_storage import SLOTS, fleet
from benchmarks.figure import Figure
from flexhub.core.algebra.coupling import couple
from flexhub.core.algebra.oracle import respond
from flexhub.core.algebra.packing import packs
from flexhub.core.algebra.scheduling import cheapest
from flexhub.core.algebra.storage import Bounds, Storage
from flexhub.core.batch import Floats

MEMBERS: Final = 200_000
ROUNDS: Final = 3


def batteries(members: int, random: np.random.Generator) -> Storage:
    """Mixed units of half an hour to four hours at full power, charged to any degree."""
    power = random.uniform(0.5, 3, members)
    capacity = power * random.uniform(2, 16, members)
    charge = capacity * random.uniform(0, 1, members)
    shape = (SLOTS, members)
    sides = (-power, power, -charge, capacity - charge)
    return Storage.tightened(*Bounds(*(np.broadcast_to(side, shape) for side in sides)))


def cars(members: int, random: np.random.Generator) -> Storage:
    """From noon to noon: cars that come home in the evening, leave in the morning, and need 5 to 40 kWh."""
    arrival = np.clip(random.normal(24, 6, members), 0, 44).astype(np.int64)
    departure = np.clip(random.normal(76, 4, members), 60, SLOTS).astype(np.int64)
    power = random.choice([0.925, 1.85, 2.75], members)
    total = np.minimum(random.uniform(5, 40, members), 0.95 * power * (departure - arrival))
    t = np.arange(SLOTS)[:, None]
    hi = np.where((t >= arrival) & (t < departure), power, 0.0)
    floor, ceiling = np.full(hi.shape, -np.inf), np.full(hi.shape, np.inf)
    floor[-1] = ceiling[-1] = total
    return Storage.tightened(np.zeros(hi.shape), hi, floor, ceiling)


class Case(NamedTuple):
    """A population in groups of a size, and the least shares (%) at random, smooth and noisy prices."""

    name: str
    make: Callable[[int, np.random.Generator], Storage]
    members: int
    size: int
    least: tuple[float, float, float]


CASES: Final = (
    Case("1,200 batteries", batteries, 1_200, 60, (80, 95, 91)),
    Case("1,200 batteries", batteries, 1_200, 15, (90, 98, 95)),
    Case("1,200 batteries", batteries, 1_200, 3, (97, 99, 99)),
    Case("60 batteries", batteries, 60, 15, (63, 91, 82)),
    Case("1,200 cars (the saving)", cars, 1_200, 20, (70, 97, 70)),
)


def kept(case: Case) -> list[float]:
    """Shares of the optimum, %; of cars, of what the optimum saves of charging at once; smooth prices peak at night."""
    random = np.random.default_rng(1)
    storage = case.make(case.members, random)
    t = np.arange(SLOTS)
    wave = 0.2 + 0.1 * np.sin(2 * np.pi * t / 48)
    smooth = wave if case.make is batteries else 0.2 + 0.15 * np.exp(-(((t - 28) / 8) ** 2))
    groups = [couple(storage.take(rows)) for rows in packs(storage, case.size)]
    at_once = np.zeros(SLOTS)
    if case.make is cars:
        at_once = np.diff(storage.ceiling_kwh, axis=0, prepend=0.0).sum(axis=1)
    shares = []
    for price in (random.normal(0.2, 0.1, SLOTS), smooth, smooth + random.normal(0, 0.03, SLOTS)):
        best = float(price @ (respond(storage, price) - at_once))
        found = sum(float(price @ cheapest(group.dfo, price)) for group in groups) - float(price @ at_once)
        shares.append(100 * found / best)
    return shares


def sketch(storage: Storage) -> list[tuple[Floats, Floats]]:
    """What a slot leaves of q at samples of r: members times samples at once."""
    samples = np.linspace(0, 1, 33)[:, None]
    found = []
    before, most = np.zeros(len(storage)), np.zeros(len(storage))
    for lo, hi, a, b in zip(storage.lo_kwh, storage.hi_kwh, storage.floor_kwh, storage.ceiling_kwh, strict=True):
        x = before + samples * (most - before)
        with np.errstate(divide="ignore", invalid="ignore"):
            found.append((((x + lo - a) / (b - a)).max(axis=1), ((x + hi - a) / (b - a)).min(axis=1)))
        before, most = a, b
    return found


def run() -> list[Figure]:
    """The time for one large group, up and down, and the shares kept."""
    storage = fleet(MEMBERS)
    seconds = min(timed(partial(couple, storage))[0] for _ in range(ROUNDS))
    coupled = couple(storage)
    tenth = storage.take(slice(None, None, 10))
    peer = 10 * min(timed(partial(sketch, tenth))[0] for _ in range(ROUNDS))
    price = np.random.default_rng(2).normal(size=SLOTS)
    wanted = cheapest(coupled.dfo, price)
    down, energies = timed(partial(coupled.disaggregate, wanted))
    figures = [
        Figure(
            name=f"one DFO for {MEMBERS:,} batteries and cars",
            value=seconds,
            unit="s",
            target=1.0,
            at_most=True,
            peer=peer,
            peer_name="33 samples of each member in numpy",
            note=f"{max(len(p.rows()) for p in coupled.dfo.polygons)} rows in a slot at most",
        ),
        Figure(
            name=f"a schedule of that DFO handed down to {MEMBERS:,} members",
            value=down,
            unit="s",
            note=f"bounds broken by {storage.excess_kwh(energies).max():.1e} kWh at most",
        ),
    ]
    for case in CASES:
        began = time.perf_counter()
        shares = kept(case)
        figures += _shares(case, shares, time.perf_counter() - began)
    return figures


def _shares(case: Case, shares: Sequence[float], seconds: float) -> list[Figure]:
    kinds = ("random", "smooth", "noisy")
    return [
        Figure(
            name=f"kept of {case.name} in DFOs of {case.size}, {kind} prices",
            value=share,
            unit="%",
            target=least,
            note=f"all three prices in {seconds:.1f} s" if kind == "random" else "",
        )
        for kind, share, least in zip(kinds, shares, case.least, strict=True)
    ]
