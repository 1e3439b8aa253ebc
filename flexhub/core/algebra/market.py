"""Market-shaped aggregation: blocks of one power, large enough to be traded, from offers of one location.

A market takes blocks: so many slots of constant power, on its own grid, of a least size. With lo_j and hi_j what an
aggregate of slice flex-offers may take in slot j, the powers that all slots of a block can keep are

    [max over j in the block of lo_j,  min over j in the block of hi_j],

where a slot that no member reaches has 0. A group is built so that none of these ranges is empty: it begins with an
offer, takes the offers and starts that make the gaps ``max(0, max lo - min hi)`` least until there are none, and goes
on with such that leave none until it is large enough. An offer from which no such group can be built is left, with the
reason.

**Law.** A schedule of blocks becomes a schedule of the aggregate by spreading each block evenly over its slots. Each
of these energies is within [lo_j, hi_j] by the above; before the first slot and after the last the range is {0}. A
start of the market's grid is a shift of whole blocks, which the members' common window holds. So it is a schedule of
the aggregate, and disaggregates as any (`alignment`). Blocks do not depend on each other: every feasible prefix can be
completed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec
import numpy as np

from flexhub.core.algebra import alignment
from flexhub.core.algebra.grouping import group
from flexhub.core.algebra.shape import Starts, bounds
from flexhub.core.batch import Floats, Ints
from flexhub.core.errors import InvalidError
from flexhub.core.flexoffer import EnergyRange, FlexOffer, Profile, Schedule, ScheduleSlice, Slice
from flexhub.core.judge import violations
from flexhub.core.timegrid import instant_of, slot_of
from flexhub.core.trading import Aggregate
from flexhub.core.units import TOLERANCE_KWH

SHAPED: Final = "market-shaped"
MOST_CANDIDATES: Final = 256
"""So many offers are looked at in each step, in the order of their starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a market takes.

    Args:
        block_s: length of a block, in seconds since the epoch's grid.
        least_kw: power, taken or given, that some block of an aggregate reaches at least.
        most_members: of an aggregate.

    Interpretation: no document says what the minimum size is of; here it is of the greatest power of a block.

    Raises:
        InvalidError: a block or a size that is none.
    """

    block_s: int = 3600
    least_kw: float = 0.0
    most_members: int = 1000

    def __post_init__(self) -> None:
        if not 1 <= self.block_s <= 86_400:
            raise InvalidError(f"a block of {self.block_s} s", path="Shape/block_s", value=str(self.block_s))
        if not 0 <= self.least_kw < np.inf or self.most_members < 1:
            raise InvalidError(f"at least {self.least_kw} kW of up to {self.most_members} members", path="Shape")


class Shaped(NamedTuple):
    """What is offered on the market, and the aggregate behind it."""

    offer: FlexOffer
    aggregate: Aggregate


class Shapes(NamedTuple):
    """Aggregates that fit the market, and the offers that are in none, with the reason."""

    aggregates: tuple[Shaped, ...]
    left: Mapping[str, str]


class _Candidate(NamedTuple):
    """An offer with the starts that it may take, in steps of its slices, and its bounds."""

    offer: FlexOffer
    window: Starts
    lo: Floats
    hi: Floats


def aggregate(offers: Sequence[FlexOffer], issuer: str, shape: Shape) -> Shapes:
    """Aggregates of such blocks; an offer is a member of one, or left.

    O(g c w n) for g offers, c candidates of w starts, and n slots of a group.
    """
    left: dict[str, str] = {}
    candidates: list[_Candidate] = []
    for offer in offers:
        reason, candidate = _candidate(offer, shape)
        if candidate is None:
            left[offer.id] = reason
        else:
            candidates.append(candidate)
    found = []
    for pool in group(candidates, lambda c: (c.offer.location, c.offer.resolution_s, _unit(c.offer))):
        waiting = sorted(pool, key=lambda c: (c.window.first, c.window.last, c.offer.id))
        per_block = shape.block_s // (waiting[0].offer.resolution_s * _unit(waiting[0].offer))
        while waiting:
            seed = waiting.pop(0)
            built, reason = _build(seed, waiting[:MOST_CANDIDATES], per_block, shape)
            if built is None:
                left[seed.offer.id] = reason
                continue
            taken = {candidate.offer.id for candidate, _ in built}
            waiting = [candidate for candidate in waiting if candidate.offer.id not in taken]
            found.append(_shaped(built, issuer, shape))
    return Shapes(tuple(found), left)


def unshape(shaped: Shaped, schedule: Schedule) -> Schedule:
    """The schedule of the aggregate behind a schedule of blocks.

    Raises:
        InvalidError: the schedule breaks the bounds of what was offered.
    """
    broken = violations(shaped.offer, schedule)
    if broken:
        raise InvalidError(str(broken[0]), path="Schedule", value=shaped.offer.id, clause=broken[0].clause)
    below = shaped.aggregate.offer
    step, slices = below.resolution_s, below.profiles[0].slices
    unit = slices[0].min_duration
    per_block = shaped.offer.resolution_s // (step * unit)
    lo, hi = bounds(below.profiles[0])
    start = slot_of(schedule.start, step)
    # Blocks begin at or before the aggregate, by the same number of slots whatever the start.
    (behind, _), (ahead, _) = below.window(below.created), shaped.offer.window(shaped.offer.created)
    lead = (slot_of(behind, step) - slot_of(ahead, step)) // unit
    spread = np.repeat([piece.energy_kwh / per_block for piece in schedule.slices], per_block)
    energies = np.clip(spread[lead : lead + len(slices)], lo, hi)
    return Schedule(
        start=instant_of(start + lead * unit, step),
        slices=tuple(ScheduleSlice(energy_kwh=e, duration=unit) for e in energies.tolist()),
    )


def _unit(offer: FlexOffer) -> int:
    return offer.profiles[0].slices[0].min_duration


def _candidate(offer: FlexOffer, shape: Shape) -> tuple[str, _Candidate | None]:
    window = alignment.mergeable(offer)
    if window is None:
        return "not slices of one duration with nothing beside them", None
    if offer.price is not None:
        return "a price that its default schedule anchors", None
    unit = _unit(offer)
    if shape.block_s % (offer.resolution_s * unit):
        return f"slices of {offer.resolution_s * unit} s do not fill blocks of {shape.block_s} s", None
    steps = Starts(-(-window.first // unit), window.last // unit)
    if steps.first > steps.last:
        return "no start on the grid of its slices", None
    return "", _Candidate(offer, steps, *bounds(offer.profiles[0]))


def _build(
    seed: _Candidate, others: Sequence[_Candidate], per_block: int, shape: Shape
) -> tuple[list[tuple[_Candidate, int]] | None, str]:
    """Members and their anchors, in steps; or None and the reason."""
    first = seed.window.first // per_block * per_block
    last = -(-(seed.window.last + len(seed.lo)) // per_block) * per_block
    lo, hi, owner, anchor = _placements([seed, *others], first, last)
    free = np.ones(len(owner), dtype=np.bool_)
    total_lo, total_hi = np.zeros(last - first), np.zeros(last - first)
    built: list[tuple[_Candidate, int]] = []
    gap = np.inf
    while len(built) < shape.most_members:
        allowed = np.flatnonzero(free if built else owner == 0)
        if not len(allowed):
            break
        gaps, sizes = _blocks(total_lo + lo[allowed], total_hi + hi[allowed], per_block)
        i = int(np.lexsort((-sizes, gaps))[0])
        if built and not (gaps[i] < gap - TOLERANCE_KWH or gaps[i] <= TOLERANCE_KWH):
            break
        row = allowed[i]
        gap = float(gaps[i])
        total_lo, total_hi = total_lo + lo[row], total_hi + hi[row]
        built.append((([seed, *others])[int(owner[row])], int(anchor[row])))
        free &= owner != owner[row]
        if gap <= TOLERANCE_KWH and _kw(float(sizes[i]), shape) >= shape.least_kw and sizes[i] > 0:
            return built, ""
    if gap > TOLERANCE_KWH:
        return None, f"{gap:.3g} kWh keep its slots, and those of others beside it, from being blocks of one power"
    reached = _kw(float(_blocks(total_lo[None], total_hi[None], per_block)[1][0]), shape)
    return None, f"with all that fit beside it {reached:.3g} kW, and at least {shape.least_kw:g} kW are asked"


def _kw(block_kwh: float, shape: Shape) -> float:
    return block_kwh * 3600 / shape.block_s


def _placements(candidates: Sequence[_Candidate], first: int, last: int) -> tuple[Floats, Floats, Ints, Ints]:
    """Each candidate at each start within first..last: bounds float64[r, slots], its number and its start int64[r]."""
    lo, hi, owner, anchors = [], [], [], []
    for i, candidate in enumerate(candidates):
        n = len(candidate.lo)
        for start in range(max(candidate.window.first, first), min(candidate.window.last, last - n) + 1):
            after = last - start - n
            lo.append(np.pad(candidate.lo, (start - first, after)))
            hi.append(np.pad(candidate.hi, (start - first, after)))
            owner.append(i)
            anchors.append(start)
    return np.array(lo), np.array(hi), np.array(owner, dtype=np.int64), np.array(anchors, dtype=np.int64)


def _blocks(lo: Floats, hi: Floats, per_block: int) -> tuple[Floats, Floats]:
    """Of each row: the sum of its gaps, and the greatest energy that a block of it takes or gives; float64[r] each."""
    least = lo.reshape(len(lo), -1, per_block).max(axis=2)
    most = hi.reshape(len(hi), -1, per_block).min(axis=2)
    gaps: Floats = np.maximum(0.0, least - most).sum(axis=1)
    sizes: Floats = per_block * np.maximum(-least, most).max(axis=1)
    return gaps, np.where(gaps <= TOLERANCE_KWH, sizes, np.maximum(np.abs(lo), np.abs(hi)).max(axis=1))


def _shaped(built: Sequence[tuple[_Candidate, int]], issuer: str, shape: Shape) -> Shaped:
    members = [candidate.offer for candidate, _ in built]
    step, unit = members[0].resolution_s, _unit(members[0])
    per_block = shape.block_s // (step * unit)
    below = alignment.merge(members, [anchor * unit for _, anchor in built], issuer, method=SHAPED)
    first = min(anchor for _, anchor in built)
    lead = first % per_block
    lo, hi = bounds(below.offer.profiles[0])
    after = -(lead + len(lo)) % per_block
    lo, hi = (np.pad(side, (lead, after)).reshape(-1, per_block) for side in (lo, hi))
    least, most = lo.max(axis=1), hi.min(axis=1)
    middle = (least + most) / 2  # of a range that rounding has turned
    least, most = np.where(least > most, middle, least), np.where(least > most, middle, most)
    # Shifts of the aggregate are counted from where its members stand now; whole blocks of them are left.
    earliest, latest = (slot_of(edge, step) - first * unit for edge in below.offer.window(below.offer.created))
    block = per_block * unit
    origin = first * unit // block
    earliest, latest = -(-earliest // block), latest // block
    below = msgspec.structs.replace(
        below,
        offer=msgspec.structs.replace(
            below.offer,
            start_after=instant_of(first * unit + earliest * block, step),
            start_before=instant_of(first * unit + latest * block, step),
        ),
    )
    offer = msgspec.structs.replace(
        below.offer,
        id=f"{below.offer.id}-{shape.block_s}",
        resolution_s=shape.block_s,
        start_after=instant_of(origin + earliest, shape.block_s),
        start_before=instant_of(origin + latest, shape.block_s),
        default_schedule=None,
        profiles=(
            Profile(
                slices=tuple(
                    Slice(energy_kwh=(EnergyRange(per_block * a, per_block * b),))
                    for a, b in zip(least.tolist(), most.tolist(), strict=True)
                )
            ),
        ),
    )
    return Shaped(offer, below)
