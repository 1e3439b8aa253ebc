"""Draws the pictures of the page on the flexibility algebra, from what the algebra computes, as SVG."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Final

import numpy as np

from flexhub.core.algebra import alignment, coupled
from flexhub.core.algebra.columns import Squares, optimise
from flexhub.core.algebra.conversions import Kind, convert
from flexhub.core.algebra.coupling import couple
from flexhub.core.algebra.dfo import Polygon
from flexhub.core.algebra.loads import Car
from flexhub.core.algebra.losses import Loss, Weather, loss
from flexhub.core.algebra.scheduling import cheapest
from flexhub.core.algebra.shape import Floats, bounds
from flexhub.core.algebra.storage import Storage
from flexhub.core.batch import FlexOfferBatch
from flexhub.core.flexoffer import EnergyRange, FlexOffer, Profile, Slice
from flexhub.core.timegrid import slot_of
from flexhub.core.trading import Aggregate

T0: Final = datetime(2026, 3, 2, 18, tzinfo=UTC)
TEAL: Final = "#0d9488"
PALE: Final = "#99f6e4"
GREY: Final = "#64748b"
LINE: Final = "#cbd5e1"
ORANGE: Final = "#ea580c"
VIOLET: Final = "#7c3aed"
SLOT: Final = 26
WIDE: Final = 720


def picture(width: float, height: float, parts: Iterable[str]) -> str:
    """The parts on white."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'font-family="system-ui, sans-serif" font-size="13"><rect width="{width:g}" height="{height:g}" '
        'fill="#ffffff"/>' + "".join(parts) + "</svg>\n"
    )


def text(  # noqa: PLR0913 - what a text is
    x: float, y: float, words: str, *, anchor: str = "start", colour: str = "#0f172a", size: int = 13
) -> str:
    """Words at a place."""
    style = f'text-anchor="{anchor}" fill="{colour}" font-size="{size}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(words)}</text>'


def bar(at: tuple[float, float], size: tuple[float, float], fill: str, *, stroke: str = "none") -> str:
    """A rectangle, from its upper left corner."""
    width, height = size[0], max(size[1], 0.0)
    place = f'x="{at[0]:.1f}" y="{at[1]:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect {place} fill="{fill}" stroke="{stroke}"/>'


def line(points: Sequence[tuple[float, float]], colour: str, *, dash: str = "", fill: str = "none") -> str:
    """A line, or an area, through points."""
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + ("Z" if fill != "none" else "")
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<path d="{path}" fill="{fill}" stroke="{colour}" stroke-width="2"{dashes}/>'


def profile(x: float, ground: float, offer: FlexOffer, per_kwh: float) -> list[str]:
    """Slices from an x on, over the ground: what must be taken dark, what may be taken pale."""
    lo, hi = bounds(offer.profiles[0])
    found = []
    for i, (least, most) in enumerate(zip(lo.tolist(), hi.tolist(), strict=True)):
        found += [
            bar((x + i * SLOT, ground - most * per_kwh), (SLOT - 2, (most - least) * per_kwh), PALE, stroke=TEAL),
            bar((x + i * SLOT, ground - least * per_kwh), (SLOT - 2, least * per_kwh), TEAL),
        ]
    return found


def axis(x: float, ground: float, slots: int, first: datetime) -> list[str]:
    """The ground with an hour at every fourth slot."""
    found = [line([(x, ground), (x + slots * SLOT, ground)], GREY)]
    for slot in range(0, slots + 1, 4):
        at = first + timedelta(minutes=15 * slot)
        found.append(line([(x + slot * SLOT, ground), (x + slot * SLOT, ground + 4)], GREY))
        found.append(text(x + slot * SLOT, ground + 18, f"{at:%H:%M}", anchor="middle", colour=GREY, size=11))
    return found


def window(x: float, y: float, offer: FlexOffer) -> list[str]:
    """How far the profile may be shifted."""
    after, before = offer.window(offer.created)
    start, end = (slot_of(edge, 900) - slot_of(T0, 900) for edge in (after, before))
    return [
        line([(x + start * SLOT, y), (x + end * SLOT, y)], ORANGE),
        line([(x + end * SLOT - 6, y - 4), (x + end * SLOT, y), (x + end * SLOT - 6, y + 4)], ORANGE),
        line([(x + start * SLOT, y - 5), (x + start * SLOT, y + 5)], ORANGE),
        text(x + end * SLOT + 6, y + 4, f"starts {after:%H:%M} to {before:%H:%M}", colour=ORANGE, size=12),
    ]


def dishes(name: str, first: int, last: int, ranges: Sequence[tuple[float, float]]) -> FlexOffer:
    """An offer that starts so many slots after six in the evening."""
    return FlexOffer(
        id=name,
        issuer="anna",
        created=T0 - timedelta(hours=3),
        start_after=T0 + first * timedelta(minutes=15),
        start_before=T0 + last * timedelta(minutes=15),
        profiles=(Profile(slices=tuple(Slice(energy_kwh=(EnergyRange(*r),)) for r in ranges)),),
    )


FIRST: Final = dishes("dishwasher", 1, 9, [(0.8, 1.0), (0.4, 0.6), (0.2, 0.8), (0.9, 1.1)])
SECOND: Final = dishes("washer", 3, 8, [(0.3, 1.2), (0.5, 0.9), (0.1, 0.2)])


def offer_picture() -> str:
    """One flex-offer."""
    left, ground = 50.0, 150.0
    parts = [
        *profile(left + SLOT, ground, FIRST, 90),
        *axis(left, ground, 16, T0),
        *window(left, 30, FIRST),
        text(left + 6 * SLOT, 80, "pale: may be taken, within lo..hi of each slice"),
        text(left + 6 * SLOT, 98, "dark: must be taken (lo)"),
        text(left, 190, "A slice lasts a quarter of an hour. All of them move together, to any start of the window."),
    ]
    return picture(WIDE, 205, parts)


def aggregate_picture() -> str:
    """Two offers and what start alignment makes of them."""
    (one,) = alignment.aggregate([FIRST, SECOND], "agg", {})
    parts: list[str] = []
    left = 110.0
    for i, (offer, name, start) in enumerate(((FIRST, "dishwasher", 1), (SECOND, "washer", 3), (one.offer, "both", 1))):
        ground = 120 + 135.0 * i
        parts += [
            text(10, ground - 20, name),
            *profile(left + start * SLOT, ground, offer, 42),
            *axis(left, ground, 16, T0),
            *window(left, ground - 100, offer),
        ]
    flexible = [offer.window(offer.created) for offer in (FIRST, SECOND)]
    least = min(before - after for after, before in flexible)
    parts.append(
        text(10, 440, f"Energies are summed slice by slice; the least window is left: {least.seconds // 60} minutes.")
    )
    return picture(WIDE, 455, parts)


def fleet(count: int, seed: int = 7) -> list[FlexOffer]:
    """Cars that arrive in the evening and leave in the morning, each with what it needs."""
    random = np.random.default_rng(seed)
    cars = []
    for i in range(count):
        arrival, stay = int(random.integers(0, 12)), int(random.integers(24, 36))
        car = Car(
            id=f"car-{i}",
            issuer="site",
            arrival=T0 + arrival * timedelta(minutes=15),
            departure=T0 + (arrival + stay) * timedelta(minutes=15),
            power_kw=11,
            need_kwh=float(random.uniform(5, 35)),
        )
        *_, full = car.offers()
        cars.append(full)
    return cars


def storage_of(cars: Sequence[FlexOffer]) -> Storage:
    """The cars in columns."""
    return Storage.from_batch(FlexOfferBatch.from_offers(cars, T0))[0]


def corners(polygon: Polygon) -> list[tuple[float, float]]:
    """Around the polygon."""
    low = list(zip(polygon.least.x.tolist(), polygon.least.y.tolist(), strict=True))
    high = list(zip(polygon.most.x.tolist(), polygon.most.y.tolist(), strict=True))
    return low + high[::-1]


def polygons_picture() -> str:
    """Slices of the DFO of a few cars: what a slot may take, given what was used before."""
    dfo = couple(storage_of(fleet(8))).dfo
    shown = [i for i in (2, 8, 14, 20, 26, 32) if i < dfo.slots]
    room, size = WIDE / len(shown), 86.0
    far = max(float(dfo.polygons[i].most.x.max()) for i in shown)
    high = max(float(dfo.polygons[i].most.y.max()) for i in shown)
    parts = []
    for k, i in enumerate(shown):
        left, ground = 16 + k * room, 130.0

        def place(x: float, e: float, left: float = left, ground: float = ground) -> tuple[float, float]:
            return left + size * x / far, ground - size * e / high

        points = [place(x, e) for x, e in corners(dfo.polygons[i])]
        parts += [
            line([place(0, high), place(0, 0), place(far, 0)], LINE),
            line(points, TEAL, fill=PALE),
            text(left + size / 2, 30, f"{T0 + i * timedelta(minutes=15):%H:%M}", anchor="middle"),
        ]
        if k == 0:
            parts.append(text(left, ground + 18, f"used before, up to {far:.0f} kWh →", colour=GREY, size=11))
            parts.append(text(left, 48, f"↑ in this slot, up to {high:.0f} kWh", colour=GREY, size=11))
    parts.append(text(16, 180, "Eight cars as one DFO: what a slot may take depends on what was used before it."))
    return picture(WIDE, 195, parts)


def losses() -> Mapping[str, Loss]:
    """What is lost of twenty-four cars, by what stands for them."""
    cars = fleet(24)
    seeds = dict.fromkeys(Weather, 7)
    blocks = [convert(car, Kind.TIME).offer for car in cars]
    ways = {
        "a block each": [(one, [one.id]) for one in blocks],
        "blocks, aligned by the hour": _pairs(alignment.aggregate(blocks, "agg")),
        "DFOs of 12": _pairs(coupled.aggregate(cars, "agg", 12).aggregates),
        "DFOs of 4": _pairs(coupled.aggregate(cars, "agg", 4).aggregates),
        "exactly, by columns": [(car, [car.id]) for car in cars],
    }
    return {name: loss(cars, instead, seeds) for name, instead in ways.items()}


def _pairs(aggregates: Iterable[Aggregate]) -> list[tuple[FlexOffer, list[str]]]:
    return [(one.offer, [member.offer for member in one.members]) for one in aggregates]


def losses_picture() -> str:
    """Shares of the saving that are kept."""
    colours = {Weather.RANDOM: GREY, Weather.SMOOTH: TEAL, Weather.NOISY: ORANGE}
    parts = []
    for i, (weather, colour) in enumerate(colours.items()):
        parts += [bar((220 + 130 * i, 14), (12, 12), colour), text(238 + 130 * i, 25, f"{weather} prices")]
    found = losses()
    for k, (name, lost) in enumerate(found.items()):
        top = 44 + 58.0 * k
        parts.append(text(210, top + 26, f"{name} ({lost.instead})", anchor="end"))
        for i, (kept, colour) in enumerate(zip(lost.savings, colours.values(), strict=True)):
            share = kept.share or 0.0
            parts += [
                bar((220, top + 15 * i), (400 * max(share, 0.0), 13), colour),
                text(226 + 400 * max(share, 0.0), top + 11 + 15 * i, f"{100 * share:.0f} %", size=11, colour=GREY),
            ]
    parts.append(
        text(10, 350, "Share of what forty cars save at prices that is left, and the number of offers it takes.")
    )
    return picture(WIDE, 365, parts)


def exact_picture() -> str:
    """A target followed by forty cars: exactly, and by the one DFO that stands for them."""
    storage = storage_of(fleet(40))
    slots = np.arange(storage.slots)
    need = float(storage.floor_kwh[-1].sum())
    wish = np.where((slots >= 8) & (slots < 40), np.random.default_rng(5).uniform(0, 1, storage.slots) ** 2, 0.0)
    target = need * wish / wish.sum()
    exact = optimise(storage, Squares.follow(target), compiled=False).total_kwh
    dfo = couple(storage).dfo
    rough = cheapest(dfo, np.zeros(storage.slots), target_kwh=target, penalty=1.0)
    left, ground, high = 50.0, 230.0, float(max(target.max(), exact.max(), rough.max()))

    def curve(values: Floats) -> list[tuple[float, float]]:
        step = (WIDE - 90) / storage.slots
        return [
            (left + (i + side) * step, ground - 180 * value / high)
            for i, value in enumerate(values.tolist())
            for side in (0, 1)
        ]

    def miss(values: Floats) -> str:
        return f"{np.abs(values - target).sum():.1f} kWh beside it"

    area = [(left, ground), *curve(target), (WIDE - 40, ground)]
    parts = [
        line(area, LINE, fill="#f1f5f9"),
        line(curve(rough), ORANGE, dash="5 3"),
        line(curve(exact), TEAL),
        line([(left, ground), (WIDE - 40, ground)], GREY),
        text(left, 24, f"target: {need:.0f} kWh of forty cars", colour=GREY),
        text(245, 24, f"exact, by columns: {miss(exact)}", colour=TEAL),
        text(510, 24, f"one DFO: {miss(rough)}", colour=ORANGE),
    ]
    for slot in range(0, storage.slots + 1, 8):
        at = T0 + timedelta(minutes=15 * slot)
        x = left + slot * (WIDE - 90) / storage.slots
        parts.append(text(x, ground + 18, f"{at:%H:%M}", anchor="middle", colour=GREY, size=11))
    return picture(WIDE, 260, parts)


PICTURES: Final[Mapping[str, Callable[[], str]]] = {
    "algebra-offer.svg": offer_picture,
    "algebra-aggregate.svg": aggregate_picture,
    "algebra-polygons.svg": polygons_picture,
    "algebra-losses.svg": losses_picture,
    "algebra-exact.svg": exact_picture,
}
"""File -> what draws it."""
