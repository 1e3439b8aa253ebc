"""What ``flexhub aggregate``, ``disaggregate`` and ``measure`` do, on bytes: no files, no clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from flexhub.app.convert import core_offers
from flexhub.core import documents
from flexhub.core.algebra import alignment, balance, coupled, market
from flexhub.core.algebra.conversions import Kind, convert, restored
from flexhub.core.algebra.grouping import DEFAULT, Dimension
from flexhub.core.algebra.losses import Loss, Weather, loss
from flexhub.core.base import Model
from flexhub.core.errors import InvalidError
from flexhub.core.flexoffer import FlexOffer
from flexhub.core.trading import Aggregate
from flexhub.core.units import parse_duration, parse_quantity
from flexhub.core.watch import Watch, unseen
from flexhub.engines.slots import Assignment
from flexhub.mappings.flexoffer import Sign

WORDS: Final = (Dimension.LOCATION, Dimension.CONTRACT, Dimension.SIGN, Dimension.KIND)
UNITS: Final[Mapping[Dimension, str]] = {Dimension.TOTAL_ENERGY: "energy", Dimension.TARIFF: "price"}
"""Dimensions without a tolerance, and those whose tolerance is a quantity; that of the others is a duration."""


class Line(Model, frozen=True, kw_only=True):
    """An aggregate as a line of a file.

    Where the members were converted first, `kind` says into what; where the aggregate is shaped for a market, `block`
    is what is offered there, and schedules are of that.
    """

    aggregate: Aggregate
    kind: Kind | None = None
    block: FlexOffer | None = None

    def offer(self) -> FlexOffer:
        """What schedules are made for."""
        return self.aggregate.offer if self.block is None else self.block


class Aggregated(Model, frozen=True, kw_only=True):
    """The lines, what was lost, and offers that nothing stands for, with the reason.

    Where offers are coupled, `alone` are those that cannot be, with the reason, and `parted` says why there is more
    than one group.
    """

    lines: tuple[Line, ...]
    losses: Loss | None = None
    left: dict[str, str] = {}
    alone: dict[str, str] = {}
    parted: tuple[str, ...] = ()


def tolerances(texts: Sequence[str]) -> dict[Dimension, float] | None:
    """Dimensions to group by, as ``start_after=PT1H``, ``total_energy=5 kWh``, ``slices=4`` or ``location``, if any.

    Raises:
        InvalidError: no dimension, or a tolerance that is none.
    """
    if not texts:
        return None
    found = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in set(Dimension):
            raise InvalidError(f"{name!r} is no dimension; allowed: {', '.join(Dimension)}", path="by", value=text)
        found[Dimension(name)] = _tolerance(Dimension(name), value)
    return found


def _tolerance(dimension: Dimension, text: str) -> float:
    if not text:
        return 0.0
    if dimension in WORDS:
        raise InvalidError(f"{dimension} is told apart by words, so has no tolerance", path="by", value=text)
    if dimension in UNITS:
        value = parse_quantity(text, UNITS[dimension])
    elif dimension is Dimension.SLICES:
        value = float(text) if text.isdecimal() else -1.0
    else:
        value = parse_duration(text).total_seconds()
    if value < 0:
        raise InvalidError(f"{text!r} is no tolerance of {dimension}", path="by", value=text)
    return value


def read_offers(data: bytes, sign: Sign = Sign.CONSUMPTION, watch: Watch = unseen) -> list[FlexOffer]:
    """The offers of any message that is read, with distinct ids.

    Raises:
        MalformedError, InvalidError: no such message, or an id that stands twice.
    """
    offers = core_offers(data, sign, [], watch)
    twice = [name for name, count in Counter(offer.id for offer in offers).items() if count > 1]
    if twice:
        raise InvalidError("an offer stands twice", path=f"FlexOffer[{twice[0]}]", value=twice[0])
    return offers


def aggregate(  # noqa: PLR0913 - one argument per choice
    offers: Sequence[FlexOffer],
    issuer: str,
    by: Mapping[Dimension, float] | None = None,
    *,
    kind: Kind | None = None,
    balanced: bool = False,
    couple: int | None = None,
    shape: market.Shape | None = None,
    seeds: Mapping[Weather, int] | None = None,
    watch: Watch = unseen,
) -> Aggregated:
    """Merge what fits together, and tell what that loses.

    Args:
        offers: of distinct ids.
        issuer: of the aggregates.
        by: what merged offers may differ by; by default `grouping.DEFAULT`, or with `couple` the location alone.
        kind: convert the offers into this kind first, as far as they aren't.
        balanced: put production and consumption together instead.
        couple: put storage-like and dependency-based offers into DFOs of so many members at most instead.
        shape: what the market takes, instead.
        seeds: which prices to look at for the loss; None to leave it out.
        watch: sees the offers go by.

    Raises:
        InvalidError: an offer that cannot be what is asked, by its name.
    """
    members = list(offers)
    if kind is not None:
        members = [convert(offer, kind).offer for offer in watch(members, "converting")]
    left: dict[str, str] = {}
    alone: dict[str, str] = {}
    parted: tuple[str, ...] = ()
    if shape is not None:
        shaped = market.aggregate(members, issuer, shape)
        lines = [Line(aggregate=one.aggregate, kind=kind, block=one.offer) for one in shaped.aggregates]
        left = dict(shaped.left)
    elif balanced:
        lines = [Line(aggregate=one, kind=kind) for one in balance.aggregate(members, issuer, watch=watch)]
    elif couple is not None:
        together = coupled.aggregate(members, issuer, couple, by, watch=watch)
        lines = [Line(aggregate=one, kind=kind) for one in together.aggregates]
        alone, parted = dict(together.alone), together.parted
    else:
        lines = [
            Line(aggregate=one, kind=kind)
            for one in alignment.aggregate(members, issuer, DEFAULT if by is None else by)
        ]
    lost = None
    if seeds is not None:
        stands = [(line.offer(), [m.offer for m in line.aggregate.members]) for line in lines]
        kept = [offer for offer in offers if offer.id not in left]
        lost = loss(kept, stands, seeds, watch=watch) if kept else None
    return Aggregated(lines=tuple(lines), losses=lost, left=left, alone=alone, parted=parted)


def read_lines(data: bytes) -> list[Line]:
    """The aggregates of a file that ``flexhub aggregate --json`` wrote.

    Raises:
        MalformedError, InvalidError: another file.
    """
    lines = [line for line in data.splitlines() if line.strip()]
    return [documents.decode(Line, line) for line in lines if b'"aggregate"' in line]


def disaggregate(
    lines: Sequence[Line], offers: Sequence[FlexOffer], schedules: Sequence[Assignment], *, watch: Watch = unseen
) -> list[Assignment]:
    """Schedules of the members, from those of the aggregates that have one.

    Raises:
        InvalidError: a schedule that its aggregate cannot take, or an aggregate or a member that is not there; it is
            named.
    """
    by_id = {offer.id: offer for offer in offers}
    known = {line.offer().id: line for line in lines}
    found = []
    for one in watch(schedules, "splitting"):
        line = known.get(one.offer)
        if line is None:
            raise InvalidError("a schedule for no aggregate", path=f"Assignment[{one.offer}]", value=one.offer)
        members = [_member(by_id, member.offer, line.kind) for member in line.aggregate.members]
        schedule = one.schedule
        try:
            if line.block is not None:
                schedule = market.unshape(market.Shaped(line.block, line.aggregate), schedule)
            parts = coupled.disaggregate(line.aggregate, members, schedule)
        except InvalidError as error:
            error.path = f"Assignment[{one.offer}]"
            raise
        found += [Assignment(offer=name, schedule=restored(by_id[name], part)) for name, part in parts.items()]
    return found


def _member(by_id: Mapping[str, FlexOffer], name: str, kind: Kind | None) -> FlexOffer:
    offer = by_id.get(name)
    if offer is None:
        raise InvalidError("a member that is not among the offers", path=f"FlexOffer[{name}]", value=name)
    return offer if kind is None else convert(offer, kind).offer


def read_assignments(data: bytes) -> list[Assignment]:
    """Assignments of a file, one a line.

    Raises:
        MalformedError, InvalidError: another file.
    """
    return [documents.decode(Assignment, line) for line in data.splitlines() if line.strip()]
