"""Offers of all kinds sorted and converted, balanced, shaped for a market, measured, and the loss of aggregation told.

These work on flex-offers as objects, one by one, as they come from messages. The peers are plain methods: what one
would write down first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from benchmarks.algebra_slices import timed
from benchmarks.figure import Figure
from flexhub.core.algebra import alignment, balance, market
from flexhub.core.algebra.gathering import gather
from flexhub.core.algebra.grouping import DEFAULT, Dimension
from flexhub.core.algebra.losses import Weather, aggregation_loss, prices
from flexhub.core.algebra.measures import energy_flexibility_kwh, measure, time_flexibility
from flexhub.core.algebra.optimum import cheapest, horizon, least_cost_eur
from flexhub.core.algebra.shape import traits
from flexhub.core.flexoffer import EnergyRange, FlexOffer, Polytope, Profile, Slice
from flexhub.core.trading import Aggregate

START: Final = datetime(2026, 3, 2, tzinfo=UTC)
QUARTER: Final = timedelta(minutes=15)
GATHERED: Final = 20_000
BALANCED: Final = 1_000
SHAPED: Final = 1_000
MEASURED: Final = 500
TOLD: Final = 1_000
SOLVED: Final = 20
TOGETHER: Final = {Dimension.START_AFTER: 3600.0, Dimension.LOCATION: 0.0}


def offer(i: int, random: np.random.Generator) -> FlexOffer:
    """Of ten, six of slices that can be shifted, half of which produce; two cars, a battery, and one to be converted.

    That has exclusive profiles or amounts to choose from, and in one of a hundred a polytope.
    """
    first = int(random.integers(0, 72))
    count = int(random.integers(4, 12))
    power = round(float(random.uniform(0.5, 2)), 3)
    window, kind = int(random.integers(0, 8)), i % 10
    slices = (Slice(energy_kwh=(EnergyRange(0.2 * power, power),)),) * count
    profiles: tuple[Profile, ...] = (Profile(slices=slices),)
    if kind < 3:
        profiles = (Profile(slices=(Slice(energy_kwh=(EnergyRange(-power, -0.2 * power),)),) * count),)
    elif kind in (6, 7):
        free = (Slice(energy_kwh=(EnergyRange(0, power),)),) * count
        need = round(power * count * float(random.uniform(0.2, 0.9)), 3)
        profiles, window = (Profile(slices=free, total_energy_kwh=EnergyRange(need, need)),), 0
    elif kind == 8:
        both = (Slice(energy_kwh=(EnergyRange(-power, power),)),) * count
        profiles, window = (Profile(slices=both, subtotal_energy_kwh=EnergyRange(-power, 2 * power)),), 0
    elif kind == 9 and i % 100 == 9:
        rows = tuple(tuple(float(t in (k, k + 2)) for t in range(count)) for k in range(count - 2))
        profiles = (Profile(slices=slices, polytope=Polytope(a=rows, b_kwh=(1.5 * power,) * len(rows))),)
    elif kind == 9 and i % 20 == 9:
        profiles = (Profile(slices=(Slice(amounts_kwh=(0.0, power)),) * count),)
    elif kind == 9:
        profiles = (profiles[0], Profile(slices=slices[1:]))
    return FlexOffer(
        id=f"o{i}",
        issuer="p",
        created=START,
        location=f"place-{i // 10 % 4}",
        start_after=START + first * QUARTER,
        start_before=START + (first + window) * QUARTER,
        profiles=profiles,
    )


def offers(count: int, seed: int, *, plain: bool = False) -> list[FlexOffer]:
    """So many; plain ones of slices alone."""
    random = np.random.default_rng(seed)
    return [offer(10 * (i // 6) + i % 6 if plain else i, random) for i in range(count)]


def _gathered() -> Figure:
    mixed = offers(GATHERED, 1)
    gather(mixed[:100], START)  # imports the solver
    seconds, found = timed(lambda: gather(mixed, START))
    peer_s, _ = timed(lambda: [traits(one) for one in mixed])
    kinds = Counter({group.form: len(group.members) for group in found.groups})
    less = sum(bool(member.stand_in.losses) for group in found.groups for member in group.members)
    return Figure(
        name=f"{GATHERED:,} offers of all kinds sorted and converted",
        value=seconds,
        unit="s",
        peer=peer_s,
        peer_name="their bounds looked at, and no more",
        note=f"{', '.join(f'{n:,} {kind}' for kind, n in kinds.items())}, {len(found.alone):,} alone; "
        f"{less:,} gave something up",
    )


def _balanced() -> Figure:
    members = offers(BALANCED, 2, plain=True)
    by_id = {one.id: one for one in members}

    def left(found: Sequence[Aggregate]) -> float:
        return sum(balance.absolute_kwh(one, [by_id[m.offer] for m in one.members]) for one in found)

    seconds, found = timed(lambda: balance.aggregate(members, "agg"))
    peer_s, plain = timed(lambda: alignment.aggregate(members, "agg", TOGETHER))
    return Figure(
        name=f"{BALANCED:,} offers balanced",
        value=seconds,
        unit="s",
        peer=peer_s,
        peer_name="aligned where they start in one hour",
        note=f"{left(found):,.0f} kWh are left in {len(found):,} aggregates; the peer leaves {left(plain):,.0f} kWh in "
        f"{len(plain):,}",
    )


def _shaped() -> Figure:
    members = offers(SHAPED, 3, plain=True)
    shape = market.Shape(block_s=3600, least_kw=20.0)
    seconds, found = timed(lambda: market.aggregate(members, "agg", shape))
    peer_s, plain = timed(lambda: alignment.aggregate(members, "agg", DEFAULT))
    return Figure(
        name=f"{SHAPED:,} offers shaped as blocks of an hour from 20 kW",
        value=seconds,
        unit="s",
        peer=peer_s,
        peer_name="aligned alone, without blocks",
        note=f"{len(found.aggregates):,} blocks of {sum(len(s.aggregate.members) for s in found.aggregates):,} offers, "
        f"{len(found.left):,} left; {len(plain):,} aggregates without",
    )


def _measured() -> Figure:
    mixed = offers(MEASURED, 4)
    measure(mixed[9])  # imports the solver
    seconds, _ = timed(lambda: [measure(one) for one in mixed])
    peer_s, _ = timed(lambda: [(time_flexibility(one), energy_flexibility_kwh(one)) for one in mixed])
    return Figure(
        name=f"{MEASURED:,} offers of all kinds measured",
        value=seconds,
        unit="s",
        peer=peer_s,
        peer_name="time and energy as they stand, without what can be reached",
        note=f"{1000 * seconds / MEASURED:.2f} ms each",
    )


def _told() -> Figure:
    members = offers(TOLD, 5, plain=True)
    made = alignment.aggregate(members, "agg", DEFAULT)
    seeds = dict.fromkeys(Weather, 1)
    seconds, lost = timed(lambda: aggregation_loss(members, made, seeds))
    begin, end = horizon(members)
    look = prices(Weather.RANDOM, begin, end, 1)
    few = members[:SOLVED]
    peer_s, found = timed(lambda: [look.cost_eur(cheapest(one, look), one.resolution_s) for one in few])
    off = float(np.abs(np.array(found) - least_cost_eur(few, look)).max())
    kept = ", ".join(f"{100 * (one.share or 0):.0f} % at {one.prices}" for one in lost.savings)
    return Figure(
        name=f"what {len(made):,} aggregates of {TOLD:,} offers lose at three prices",
        value=seconds,
        unit="s",
        peer=peer_s / SOLVED * (TOLD + len(made)) * len(seeds),
        peer_name=f"HiGHS, {SOLVED} offers start by start, scaled up",
        note=f"{lost.time_kept_slots:,} of {lost.time_slots:,} slots of time kept; of the saving {kept} prices; "
        f"costs differ from HiGHS's by {off:.0e} EUR at most",
    )


def run() -> list[Figure]:
    """Each once."""
    return [_gathered(), _balanced(), _shaped(), _measured(), _told()]
