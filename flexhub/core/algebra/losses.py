"""What is lost where other offers stand for some: of their time, of their energy, and of what prices let them save.

The law says that what stands for offers can do nothing that they can't, so at no prices does it pay less than they do.
How much more it pays is the loss:

    saving = what the offers usually pay - what they pay at best
    kept   = what the offers usually pay - what stands for them pays at best

and the share ``kept / saving`` says what is left at such prices. It is below 0 where all that is left is dearer than
the usual.
"""

from __future__ import annotations

import enum
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

import numpy as np

from flexhub.core.algebra.measures import reachable_energy_kwh, time_flexibility
from flexhub.core.algebra.optimum import Prices, answers, horizon, least_cost_eur, usual
from flexhub.core.base import Model
from flexhub.core.errors import InvalidError
from flexhub.core.flexoffer import FlexOffer
from flexhub.core.timegrid import QUARTER_HOUR_S, floor_to_grid
from flexhub.core.trading import Aggregate
from flexhub.core.watch import Watch, unseen


class Weather(enum.StrEnum):
    """What prices look like."""

    RANDOM = "random"
    SMOOTH = "smooth"
    NOISY = "noisy"


DAY_S: Final = 86_400
MIDDLE: Final = 0.15
SWING: Final = 0.1
NOISE: Final = 0.03
"""EUR/kWh: about which prices move, how far they swing in a day, and the standard deviation of their noise."""

NOTHING_EUR: Final = 1e-9
"""A saving below this is none."""


def prices(weather: Weather, start: datetime, end: datetime, seed: int, resolution_s: int = QUARTER_HOUR_S) -> Prices:
    """Prices from start to end; the same seed gives the same.

    Random ones are independent and uniform between `MIDDLE` +- `SWING`; smooth ones a sine of a day about it, whose
    dearest hour the seed chooses; noisy ones that sine and normal noise.
    """
    first = floor_to_grid(start, resolution_s)
    count = max(1, math.ceil((end - first).total_seconds() / resolution_s))
    random = np.random.default_rng(seed)
    turn = random.uniform(0, 2 * math.pi)
    if weather is Weather.RANDOM:
        values = random.uniform(MIDDLE - SWING, MIDDLE + SWING, count)
    else:
        seconds = first.timestamp() + resolution_s * (np.arange(count) + 0.5)
        values = MIDDLE + SWING * np.sin(2 * math.pi * seconds / DAY_S + turn)
        if weather is Weather.NOISY:
            values += random.normal(0.0, NOISE, count)
    return Prices(first, resolution_s, values)


class Kept(Model, frozen=True, kw_only=True):
    """What the offers save at such prices, and what is left of it; `share` is None where there is nothing to save."""

    prices: str
    saving_eur: float
    kept_eur: float
    share: float | None


class Loss(Model, frozen=True, kw_only=True):
    """What is left of the flexibility of `offers` offers where `instead` others stand for them.

    `time_slots` sums the offers' time flexibility, and `time_kept_slots` what each has left of it; `energy_kwh` sums
    the ranges of energy that their slices can reach, and `energy_kept_kwh` those of what stands for them. `unpriced`
    names offers that prices alone do not settle, which are left out of the savings.
    """

    offers: int
    instead: int
    time_slots: int
    time_kept_slots: int
    energy_kwh: float
    energy_kept_kwh: float
    savings: tuple[Kept, ...]
    unpriced: tuple[str, ...] = ()


def loss(
    offers: Sequence[FlexOffer],
    instead: Sequence[tuple[FlexOffer, Sequence[str]]],
    seeds: Mapping[Weather, int],
    *,
    markets: Mapping[str, Prices] | None = None,
    watch: Watch = unseen,
) -> Loss:
    """What is lost where each of `instead` stands for the offers that it names.

    Args:
        offers: with distinct ids.
        instead: an offer, and the ids of those that it stands for; each of the offers once.
        seeds: of which prices to look at, and the seed of each.
        markets: further prices to look at, by name.
        watch: sees the work go by.

    Raises:
        InvalidError: an offer that nothing, or more than one, stands for; or one of which nothing is feasible.
    """
    by_id = {offer.id: offer for offer in offers}
    named = Counter(name for _, names in instead for name in names)
    named.subtract(offer.id for offer in offers)
    astray = [name for name, count in named.items() if count]
    if astray:
        raise InvalidError("not stood for exactly once", path="instead", value=", ".join(astray[:3]))
    groups = [(one, [by_id[n] for n in names]) for one, names in instead]
    priced = [(one, members) for one, members in groups if all(map(answers, (one, *members)))]
    befores, afters = [o for _, members in priced for o in members], [one for one, _ in priced]
    unpriced = by_id.keys() - {offer.id for offer in befores}
    looks = dict(markets or {}) if priced else {}
    if priced:
        begin, end = horizon([*befores, *afters])
        looks = {weather.value: prices(weather, begin, end, seed) for weather, seed in seeds.items()} | looks
    schedules = [(usual(offer), offer.resolution_s) for offer in befores]
    savings = []
    for name, look in watch(list(looks.items()), "pricing"):
        usually = math.fsum(look.cost_eur(schedule, step) for schedule, step in schedules)
        best, left = (math.fsum(least_cost_eur(side, look)) for side in (befores, afters))
        saving, kept = usually - best, usually - left
        share = kept / saving if saving > NOTHING_EUR else None
        savings.append(Kept(prices=name, saving_eur=saving, kept_eur=kept, share=share))
    times = [(time_flexibility(one) * one.resolution_s, names) for one, names in instead]
    return Loss(
        offers=len(offers),
        instead=len(instead),
        time_slots=sum(map(time_flexibility, offers)),
        time_kept_slots=sum(seconds // by_id[n].resolution_s for seconds, names in times for n in names),
        energy_kwh=math.fsum(map(reachable_energy_kwh, offers)),
        energy_kept_kwh=math.fsum(reachable_energy_kwh(one) for one, _ in instead),
        savings=tuple(savings),
        unpriced=tuple(sorted(unpriced)),
    )


def aggregation_loss(
    offers: Sequence[FlexOffer], aggregates: Iterable[Aggregate], seeds: Mapping[Weather, int], *, watch: Watch = unseen
) -> Loss:
    """What is lost where aggregates stand for their members; as `loss`."""
    return loss(offers, [(a.offer, [m.offer for m in a.members]) for a in aggregates], seeds, watch=watch)
