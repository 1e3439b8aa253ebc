"""Sums over what a viewer sees, and sums in which nobody can be told who has not granted it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flexhub.app.exchange import figures
from flexhub.app.exchange.figures import Part, spread
from flexhub.app.exchange.places import Places
from flexhub.app.exchange.sight import Data, Sight
from flexhub.core.flexoffer import FlexOffer
from flexhub.core.timegrid import QUARTER_HOUR_S, ceil_to_grid, floor_to_grid
from flexhub.core.timeseries import Measurement, SeriesKind


def portfolio(
    seen: Sight, offers: Iterable[FlexOffer], readings: Iterable[Measurement], kind: SeriesKind, subject: str | None
) -> list[Part]:
    """What a portfolio's series is the sum of: schedules, or readings under its offers; of one subject as it is seen.

    So a subject that goes by a pseudonym is not found by its name.
    """
    if kind is not SeriesKind.MEASUREMENT:
        return figures.planned(map(seen.offer, offers), kind, subject)
    by_id = {offer.id: offer for offer in offers}
    parts: list[Part] = []
    for reading in readings:
        offer = by_id.get(reading.offer or "")
        if offer is not None:
            # Two prosumers may call their meters the same.
            found = figures.measured((seen.reading(reading, offer),), subject)
            parts += (part._replace(subject=f"{offer.issuer}/{part.subject}") for part in found)
    return parts


class Share(NamedTuple):
    """What one prosumer adds to a sum at a place; `granted`: by name, if it must be."""

    prosumer: str
    place: str | None
    granted: bool
    part: Part


def shares(  # noqa: PLR0913 - what is summed, of whom, and who looks
    seen: Sight,
    offers: Iterable[FlexOffer],
    readings: Iterable[Measurement],
    places: Places,
    *,
    kind: SeriesKind,
    subject: str | None,
) -> Iterator[Share]:
    """What each offer adds to a series. `subject` may be a congestion point, or what was granted by name."""
    measured = kind is SeriesKind.MEASUREMENT
    under: dict[str | None, list[Measurement]] = defaultdict(list)
    for reading in readings:
        under[reading.offer].append(reading)
    for offer in offers:
        granted = seen.granted(offer.contract, Data.READINGS if measured else Data.OFFERS)
        place = places.point_of(offer)
        wanted = None if subject == place else subject
        if wanted is not None and not granted:
            continue
        if measured:
            wanted = None if wanted in (offer.issuer, offer.location) else wanted
            parts = figures.measured(under[offer.id], wanted)
        else:
            parts = figures.planned((offer,), kind, wanted)
        yield from (Share(offer.issuer, place, granted, part) for part in parts)


def sums(shares: Iterable[Share], since: datetime, until: datetime, smallest_group: int) -> list[Part]:
    """One part per place, on the quarter-hours of [since, until), in which nobody who granted nothing can be told.

    Who granted nothing counts only in slots in which at least `smallest_group` such prosumers count at the same place;
    in others they are left out, and what was granted stays. Sums over several places are made of these parts, so what
    is left out at one place cannot be had as the difference of two sums.

    Cost: O(shares * slots); no more than two rows of slots per place and prosumer are held.
    """
    start = floor_to_grid(since, QUARTER_HOUR_S)
    slots = (ceil_to_grid(until, QUARTER_HOUR_S) - start) // timedelta(seconds=QUARTER_HOUR_S)
    subjects: dict[tuple[str | None, bool, str, str], NDArray[np.float64]] = {}
    for place, granted, prosumer, part in ((s.place, s.granted, s.prosumer, s.part) for s in shares):
        values = spread(part, start, slots, QUARTER_HOUR_S)
        key = (place, granted, prosumer, part.subject)
        before = subjects.get(key)
        # As in `figures.total`: a slot of one subject is counted once, and the last word counts.
        subjects[key] = values if before is None else np.where(np.isnan(values), before, values)
    people: dict[tuple[str | None, bool], dict[str, NDArray[np.float64]]] = defaultdict(dict)
    for (place, granted, prosumer, _), values in subjects.items():
        known = people[place, granted]
        known[prosumer] = values if prosumer not in known else _plus(known[prosumer], values)
    parts: dict[str | None, NDArray[np.float64]] = {}
    for (place, granted), rows in people.items():
        total = np.full(slots, np.nan)
        for values in rows.values():
            total = _plus(total, values)
        if not granted:
            counted = np.sum([~np.isnan(values) for values in rows.values()], axis=0)
            total[counted < smallest_group] = np.nan
        parts[place] = total if place not in parts else _plus(parts[place], total)
    return [
        Part(f"place {i}", start, QUARTER_HOUR_S, [None if np.isnan(v) else v for v in values.tolist()])
        for i, values in enumerate(parts.values())
    ]


def _plus(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum where both are known, else the one that is."""
    return np.where(np.isnan(one), other, np.where(np.isnan(other), one, one + other))
