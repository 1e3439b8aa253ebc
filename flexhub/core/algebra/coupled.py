"""Storage-like and dependency-based offers as aggregates: one DFO for each few of them (`coupling`), as a message.

Offers that begin on the same day of slots are coupled with their like (`packing`). What is of another kind is reduced
first where it can be (`gathering`); slice flex-offers are aligned as ever, and what cannot be summed stays alone. The
law is that of `coupling`: every schedule of an aggregate's DFO becomes schedules of its members.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from flexhub.core.algebra import alignment
from flexhub.core.algebra.gathering import Form, Group, Standing, gather, stand
from flexhub.core.algebra.gathering import Member as Gathered
from flexhub.core.algebra.grouping import DEFAULT, Dimension, cell, group
from flexhub.core.algebra.shape import Starts, energies
from flexhub.core.errors import InvalidError
from flexhub.core.flexoffer import FlexOffer, Schedule
from flexhub.core.judge import violations
from flexhub.core.trading import Aggregate, Member
from flexhub.core.watch import Watch, unseen

COUPLED: Final = "coupled"


class Together(NamedTuple):
    """Aggregates, the offers that had to stay alone with the reason, and why others are parted, where they are."""

    aggregates: list[Aggregate]
    alone: Mapping[str, str]
    parted: tuple[str, ...]


SPAN: Final = 96
"""Offers that begin within so many slots are coupled; an aggregate lasts from the first start to the last end."""

TOGETHER: Final[Mapping[Dimension, float]] = {Dimension.LOCATION: 0.0}
"""What is coupled may differ by, unless told otherwise: it lies at one location."""


def aggregate(
    offers: Sequence[FlexOffer],
    issuer: str,
    size: int,
    by: Mapping[Dimension, float] | None = None,
    *,
    watch: Watch = unseen,
) -> Together:
    """Aggregates of so many members at most; each offer is a member of exactly one.

    Args:
        offers: of distinct ids. Implicit time flexibility counts from the earliest creation of all.
        issuer: of the aggregates.
        size: members of a DFO at most.
        by: what offers that are put together may differ by, as in `grouping`, beside the day; by default coupled ones
            lie at one location, and slice flex-offers are aligned by `grouping.DEFAULT`.
        watch: sees the groups go by.

    Raises:
        InvalidError: an offer twice, or a size below 1.
    """
    if size < 1:
        raise InvalidError(f"groups of {size}; at least 1", path="size", value=str(size))
    if not offers:
        return Together([], {}, ())
    now = min(offer.created for offer in offers)
    gathered = gather(offers, now)
    found = [alignment.alone(offer, issuer) for offer in offers if offer.id in gathered.alone]
    pools: list[Group] = []
    for one in gathered.groups:
        if one.form is Form.SLICES:
            found += alignment.aggregate(
                [member.original for member in one.members], issuer, DEFAULT if by is None else by
            )
            continue
        days = group(one.members, lambda m: (_start(m, now) // SPAN, cell(m.original, TOGETHER if by is None else by)))
        pools += [Group(one.form, one.resolution_s, tuple(members)) for members in days]
    for pool in watch(pools, "coupling"):
        for part in stand(pool, now, size):
            if len(part.members) == 1:
                found.append(alignment.alone(part.members[0].original, issuer))
                continue
            # Again by itself, so that it lasts from its own first start to its own last end.
            (standing,) = stand(Group(pool.form, pool.resolution_s, part.members), now, size)
            found.append(_told(standing, issuer, now))
    return Together(found, gathered.alone, gathered.parted)


def _start(member: Gathered, now: datetime) -> int:
    offer = member.stand_in.offer
    return offer.start_slots(now, len(offer.profiles[0].slices))[0]


def _told(standing: Standing, issuer: str, now: datetime) -> Aggregate:
    members = [member.original for member in standing.members]
    window = Starts(standing.first, standing.first)
    offer = alignment.representative(members, issuer, window=window, profile=standing.coupled.dfo.profile())
    offsets = [_start(member, now) - standing.first for member in standing.members]
    return Aggregate(
        offer=offer,
        members=tuple(Member(one.id, offset) for one, offset in zip(members, offsets, strict=True)),
        method=COUPLED,
    )


def disaggregate(one: Aggregate, members: Sequence[FlexOffer], schedule: Schedule) -> dict[str, Schedule]:
    """Schedules of the members by offer id: each feasible, their sum the aggregate's, slot by slot.

    Raises:
        InvalidError: a member is missing or foreign, or the schedule breaks the aggregate's bounds.
    """
    if one.method != COUPLED:
        return alignment.disaggregate(one, members, schedule)
    by_id = {offer.id: offer for offer in members}
    if by_id.keys() != {member.offer for member in one.members} or len(members) != len(one.members):
        raise InvalidError("the members are not those of the aggregate", path="Aggregate/members")
    broken = violations(one.offer, schedule)
    if broken:
        raise InvalidError(str(broken[0]), path="Schedule", clause=broken[0].clause)
    ordered = [by_id[member.offer] for member in one.members]
    gathered = gather(ordered, min(offer.created for offer in ordered))
    whole = [
        standing for pool in gathered.groups for standing in stand(pool, min(o.created for o in ordered), len(ordered))
    ]
    if gathered.alone or len(whole) != 1:
        raise InvalidError("the members are no longer what was coupled", path="Aggregate/members")
    return whole[0].schedules(energies(schedule))
