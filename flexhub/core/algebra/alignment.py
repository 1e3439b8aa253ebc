"""Start-aligned aggregation, and the disaggregation that always succeeds.

Only plain boxes are merged: one profile, one energy range per slice, all slices of the same fixed duration, explicit
starts. Any other offer (variable durations, several ranges, polygons, totals that bind, ...) stays alone in an
aggregate of one: merging it would either lose flexibility or promise what its members cannot keep.

Alignment, in slices of equal duration: ``tes_a = min tes_k``, ``tls_a = tes_a + min_k(tls_k - tes_k)``, offset
``o_k = tes_k - tes_a``, ``lo_a[i] = sum_k lo_k[i - o_k]``, ``hi_a`` likewise.

Disaggregation: ``start_k = tes_k + (start_a - tes_a)``. With m_k the default energy (lo_k where the group has no
default schedules) and m_a their sum, per slice::

    e_a >= m_a:  p = (e_a - m_a) / (hi_a - m_a),   e_k = m_k + p (hi_k - m_k)
    e_a <  m_a:  p = (e_a - lo_a) / (m_a - lo_a),  e_k = lo_k + p (m_k - lo_k)          (p = 0 where 0 / 0)

**Law**: every schedule that keeps the aggregate's bounds becomes schedules that keep every member's and add up to it.
Start: ``0 <= start_a - tes_a <= min_k(tls_k - tes_k)``, so ``tes_k <= start_k <= tls_k``. Energy: e_a within
[lo_a, hi_a] gives p in [0, 1], so e_k lies between two points of [lo_k, hi_k]. Sum: of the first line
``m_a + p (hi_a - m_a) = e_a``; the second likewise. Without defaults m = lo and this is the p_i formula of the GOFLEX
manager; with them a group that is not moved leaves each member at its default, and all members move the same way, so
that the two-segment price they share adds up exactly too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec
import numpy as np

from flexhub.core.algebra.grouping import DEFAULT, Dimension, cell, group
from flexhub.core.algebra.shape import Floats, Starts, bounds, default_energies, energies, starts, traits
from flexhub.core.errors import InvalidError
from flexhub.core.flexoffer import EnergyRange, FlexOffer, Profile, Schedule, ScheduleSlice, Slice, State
from flexhub.core.judge import violations
from flexhub.core.price import Price
from flexhub.core.timegrid import instant_of, slot_of
from flexhub.core.trading import Aggregate, Member

ALIGNED: Final = "start-aligned"
ALONE: Final = "alone"


def aggregate(
    offers: Sequence[FlexOffer],
    issuer: str,
    tolerances: Mapping[Dimension, float] = DEFAULT,
    now: datetime | None = None,
) -> list[Aggregate]:
    """Merge what fits together; each offer is a member of exactly one aggregate.

    `tolerances` bound how unlike merged offers may be; beside them, what start alignment itself needs must be equal
    (resolution, slice duration and its phase, price, shift of the default schedule). With `now`, starts that
    have passed are left out of every window.
    """
    return [_align(members, issuer, now) for members in group(offers, lambda o: _key(o, tolerances, now))]


def _key(offer: FlexOffer, tolerances: Mapping[Dimension, float], now: datetime | None) -> Hashable:
    box = _box(offer, now)
    if box is None:
        return ("alone", offer.id)
    return (offer.resolution_s, box.duration, box.window.first % box.duration, offer.price, box.shift, offer.quantity,
            cell(offer, tolerances))  # fmt: skip


class _Box(NamedTuple):
    """A mergeable offer: its window of starts, the common duration of its slices, the shift of its default start."""

    window: Starts
    duration: int
    shift: int | None
    lo: Floats
    hi: Floats
    default: Floats | None


def _box(offer: FlexOffer, now: datetime | None = None) -> _Box | None:
    if traits(offer):
        return None
    slices = offer.profiles[0].slices
    duration = slices[0].min_duration
    window = starts(offer, duration * len(slices), now)
    if window.first > window.last or any(s.min_duration != duration or s.price is not None for s in slices):
        return None
    lo, hi = bounds(offer.profiles[0])
    shift, default = None, default_energies(offer)
    if default is not None and offer.default_schedule is not None:
        shift = slot_of(offer.default_schedule.start, offer.resolution_s) - window.first
        if not 0 <= shift <= window.last - window.first:
            shift, default = None, None
    if offer.price is not None and (default is None or offer.price.tariffs() is None):
        return None  # a cost that is not two segments around the default does not add up over members
    return _Box(window, duration, shift, lo, hi, default)


def _identity(members: Sequence[FlexOffer]) -> str:
    """The same members give the same id, so that a repeated run names the same aggregate."""
    return "agg-" + hashlib.blake2b("\n".join(sorted(o.id for o in members)).encode(), digest_size=12).hexdigest()


def _common(values: Iterable[str | None]) -> str | None:
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else None


def _align(members: Sequence[FlexOffer], issuer: str, now: datetime | None) -> Aggregate:
    if len(members) == 1:
        return alone(members[0], issuer)
    boxes = [box for box in (_box(o, now) for o in members) if box is not None]
    return merge(members, [box.window.first for box in boxes], issuer, now=now)


def alone(offer: FlexOffer, issuer: str) -> Aggregate:
    """An aggregate of this offer, with all of its bounds."""
    same = msgspec.structs.replace(
        offer, id=_identity([offer]), issuer=issuer, state=State.INITIAL, state_reason=None, schedule=None
    )
    return Aggregate(offer=same, members=(Member(offer.id),), method=ALONE)


def mergeable(offer: FlexOffer, now: datetime | None = None) -> Starts | None:
    """The window of starts of an offer that can be merged with others of its slice duration; None of any other."""
    box = _box(offer, now)
    return None if box is None else box.window


def merge(
    members: Sequence[FlexOffer],
    anchors: Sequence[int],
    issuer: str,
    *,
    method: str = ALIGNED,
    now: datetime | None = None,
) -> Aggregate:
    """One aggregate of these offers, each of which starts at its anchor, or so many slots later or earlier as all do.

    Moved by s slots, member k starts at r_k + s, for all s with ``max (tes_k - r_k) <= s <= min (tls_k - r_k)``; all of
    the law above holds with r_k instead of tes_k. A default schedule is kept where all members' lie alike to their
    anchors.

    Args:
        members: mergeable ones, whose slices are of one duration.
        anchors: the slot of each, within its window.
        issuer: of the aggregate.
        method: what the aggregate is said to come from.
        now: starts before it are gone.

    Raises:
        InvalidError: a member that can't be merged, or not with these anchors, or different prices.
    """
    boxes = []
    for offer, anchor in zip(members, anchors, strict=True):
        box = _box(offer, now)
        if box is None or not box.window.first <= anchor <= box.window.last:
            raise InvalidError("an offer that cannot be merged there", path="members", value=offer.id)
        boxes.append(box)
    head = members[0]
    duration, step = boxes[0].duration, head.resolution_s
    first = min(anchors)
    earliest = max(b.window.first - r for b, r in zip(boxes, anchors, strict=True))
    latest = min(b.window.last - r for b, r in zip(boxes, anchors, strict=True))
    offsets = [r - first for r in anchors]
    for o, box, offset in zip(members, boxes, offsets, strict=True):
        if (o.resolution_s, box.duration, o.price) != (step, duration, head.price) or offset % duration:
            raise InvalidError("an offer of other slots, slices or prices", path="members", value=o.id)
    n = max(o // duration + len(b.lo) for o, b in zip(offsets, boxes, strict=True))
    lo, hi, default = np.zeros(n), np.zeros(n), np.zeros(n)
    for offset, box in zip(offsets, boxes, strict=True):
        at = slice(offset // duration, offset // duration + len(box.lo))
        lo[at] += box.lo
        hi[at] += box.hi
        default[at] += box.lo if box.default is None else box.default
    shifts = {None if b.shift is None else b.window.first + b.shift - r for b, r in zip(boxes, anchors, strict=True)}
    shift = shifts.pop() if len(shifts) == 1 else None
    if shift is None and head.price is not None:
        raise InvalidError("prices of offers whose default schedules do not move alike", path="members", value=head.id)
    offer = representative(
        members,
        issuer,
        window=Starts(first + earliest, first + latest),
        price=head.price,
        profile=Profile(
            slices=tuple(
                Slice(energy_kwh=(EnergyRange(a, b),), min_duration=duration, max_duration=duration)
                for a, b in zip(lo.tolist(), np.maximum(lo, hi).tolist(), strict=True)
            )
        ),
        default=None if shift is None else _schedule(first + shift, step, np.clip(default, lo, hi), duration),
    )
    return Aggregate(
        offer=offer, members=tuple(Member(o.id, s) for o, s in zip(members, offsets, strict=True)), method=method
    )


def representative(  # noqa: PLR0913 - one argument per part
    members: Sequence[FlexOffer],
    issuer: str,
    *,
    window: Starts,
    profile: Profile,
    price: Price | None = None,
    default: Schedule | None = None,
) -> FlexOffer:
    """The offer of an aggregate: its deadlines are its members' earliest, and what they have in common is its own."""
    accepts = [o.accept_before for o in members if o.accept_before is not None]
    assign = min(o.assign_deadline(o.created) for o in members)
    step = members[0].resolution_s
    return FlexOffer(
        id=_identity(members),
        issuer=issuer,
        location=_common(o.location for o in members),
        contract=_common(o.contract for o in members),
        created=min(assign, *(o.created for o in members)),
        accept_before=min(assign, *accepts) if accepts else None,
        assign_before=assign,
        start_after=instant_of(window.first, step),
        start_before=instant_of(window.last, step),
        resolution_s=step,
        price=price,
        profiles=(profile,),
        default_schedule=default,
    )


def _schedule(start: int, step: int, energy: Floats, duration: int) -> Schedule:
    slices = tuple(ScheduleSlice(energy_kwh=e, duration=duration) for e in energy.tolist())
    return Schedule(start=instant_of(start, step), slices=slices)


def disaggregate(aggregate: Aggregate, members: Sequence[FlexOffer], schedule: Schedule) -> dict[str, Schedule]:
    """Schedules of the members by offer id: each feasible, their sum the aggregate's, slot by slot.

    Raises:
        InvalidError: a member is missing or foreign, or the schedule breaks the aggregate's bounds.
    """
    by_id = {o.id: o for o in members}
    if by_id.keys() != {m.offer for m in aggregate.members} or len(members) != len(aggregate.members):
        raise InvalidError("the members are not those of the aggregate", path="Aggregate/members")
    broken = violations(aggregate.offer, schedule)
    if broken:
        raise InvalidError(str(broken[0]), path="Schedule", clause=broken[0].clause)
    return split(aggregate, by_id, schedule)


def split(aggregate: Aggregate, members: Mapping[str, FlexOffer], schedule: Schedule) -> dict[str, Schedule]:
    """`disaggregate` for a schedule that is known to keep the aggregate's bounds."""
    if aggregate.method == ALONE:
        return {aggregate.members[0].offer: schedule}
    step = aggregate.offer.resolution_s
    lo_a, hi_a = bounds(aggregate.offer.profiles[0])
    e_a = np.clip(energies(schedule), lo_a, hi_a)
    anchored = aggregate.offer.default_schedule is not None
    m_a = energies(aggregate.offer.default_schedule) if aggregate.offer.default_schedule is not None else lo_a
    up, down = _share(e_a - m_a, hi_a - m_a), _share(e_a - lo_a, m_a - lo_a)
    above = e_a >= m_a
    start = slot_of(schedule.start, step)
    result = {}
    for member in aggregate.members:
        box = _box(members[member.offer])
        if box is None:
            raise InvalidError(f"{member.offer} cannot be a member of a start-aligned aggregate", path="members")
        first = member.offset // box.duration
        at = slice(first, first + len(box.lo))
        m_k = box.default if anchored and box.default is not None else box.lo
        e_k = np.where(above[at], m_k + up[at] * (box.hi - m_k), box.lo + down[at] * (m_k - box.lo))
        result[member.offer] = _schedule(start + member.offset, step, np.clip(e_k, box.lo, box.hi), box.duration)
    return result


def _share(part: Floats, whole: Floats) -> Floats:
    """Part / whole within [0, 1], and 0 where the whole is 0."""
    return np.clip(np.divide(part, whole, out=np.zeros_like(part), where=whole > 0), 0.0, 1.0)
