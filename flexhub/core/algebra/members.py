"""Offers as the columns that are grouped and merged: their bounds, their defaults, and what else tells them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from flexhub.core.algebra.grouping import VALUES, Dimension
from flexhub.core.algebra.shape import default_energies
from flexhub.core.batch import Bools, FlexOfferBatch, Floats, Ints
from flexhub.core.errors import InvalidError
from flexhub.core.flexoffer import FlexOffer
from flexhub.core.timegrid import slot_of

Column = Floats | Ints | tuple[str, ...]

GIVEN: Final = (
    Dimension.ASSIGN_BEFORE, Dimension.TARIFF, Dimension.LOCATION, Dimension.CONTRACT, Dimension.KIND
)  # fmt: skip
"""Dimensions that columns of bounds cannot tell. The others are derived from them."""

SIGNS: Final = {"production": -1, "both": 0, "consumption": 1}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Members:
    """m offers with n slices in all.

    Args:
        batch: their bounds, whose `ids` are distinct.
        anchor: int64[m]; the slot in which an offer's default schedule starts, within its window; where it has none,
            the first slot that it may start in.
        default_kwh: float64[n]; energies of the default schedules, within the bounds; None where nobody has one.
        given: m values for each of `GIVEN` that offers are to be told apart by: seconds since the epoch
            (assign_before), EUR/kWh (tariff), words.

    Raises:
        InvalidError: a column of another length, or an anchor outside the window of starts.
    """

    batch: FlexOfferBatch
    anchor: Ints
    default_kwh: Floats | None
    given: Mapping[Dimension, Column]

    def __post_init__(self) -> None:
        m, n = len(self.batch), len(self.batch.lo_kwh)
        lengths: dict[str, tuple[int, int]] = {"anchor": (len(self.anchor), m)}
        lengths |= {f"given/{name}": (len(column), m) for name, column in self.given.items()}
        if self.default_kwh is not None:
            lengths["default_kwh"] = (len(self.default_kwh), n)
        for path, (found, wanted) in lengths.items():
            if found != wanted:
                raise InvalidError(f"{found} values for {wanted}", path=f"Members/{path}")
        first, last = self.batch.first_start, self.batch.last_start
        astray = (first <= last) & ((self.anchor < first) | (self.anchor > last))
        if astray.any():
            name = self.batch.ids[int(np.argmax(astray))]
            raise InvalidError("an anchor outside the window of starts", path="Members/anchor", value=name)

    def __len__(self) -> int:
        return len(self.batch)

    @classmethod
    def from_offers(cls, offers: Sequence[FlexOffer], now: datetime) -> Members:
        """Columns of these offers; implicit time flexibility counts from `now`.

        An offer without a default schedule within its bounds and window has its first start and the energies next to
        nothing instead.

        Raises:
            InvalidError: an offer with a bound that columns do not know, or on another grid than the first.
        """
        batch = FlexOfferBatch.from_offers(offers, now)
        anchor, default = batch.first_start.copy(), np.clip(0.0, batch.lo_kwh, batch.hi_kwh)
        for i, offer in enumerate(offers):
            energies = default_energies(offer)
            if energies is None or offer.default_schedule is None:
                continue
            start = slot_of(offer.default_schedule.start, offer.resolution_s)
            if batch.first_start[i] <= start <= batch.last_start[i]:
                anchor[i] = start
                default[batch.offsets[i] : batch.offsets[i + 1]] = energies
        given: dict[Dimension, Column] = {}
        for dimension in GIVEN:
            values = [VALUES[dimension](offer) for offer in offers]
            words = tuple(v for v in values if isinstance(v, str))
            given[dimension] = words if len(words) == len(values) else np.array(values, dtype=np.float64)
        return cls(batch=batch, anchor=anchor, default_kwh=default, given=given)

    def take(self, rows: Ints) -> Members:
        """These rows, in this order; O(rows and their slices)."""
        default = self.default_kwh
        return Members(
            batch=self.batch.take(rows),
            anchor=self.anchor[rows],
            default_kwh=None if default is None else default[self.batch.slices_of(rows)],
            given={
                name: tuple(column[i] for i in rows.tolist()) if isinstance(column, tuple) else column[rows]
                for name, column in self.given.items()
            },
        )

    @classmethod
    def join(cls, parts: Sequence[Members]) -> Members:
        """The offers of all parts, in order; at least one part. What only some parts were given is left out."""
        defaults = [part.default_kwh for part in parts if part.default_kwh is not None]
        given: dict[Dimension, Column] = {}
        for name in set.intersection(*(set(part.given) for part in parts)):
            columns = [part.given[name] for part in parts]
            words = [column for column in columns if isinstance(column, tuple)]
            if words:
                given[name] = tuple(word for column in words for word in column)
            else:
                numbers: Floats | Ints = np.concatenate([column for column in columns if not isinstance(column, tuple)])
                given[name] = numbers
        return cls(
            batch=FlexOfferBatch.join([part.batch for part in parts]),
            anchor=np.concatenate([part.anchor for part in parts]),
            default_kwh=np.concatenate(defaults) if len(defaults) == len(parts) else None,
            given=given,
        )

    def unit_slots(self) -> Ints:
        """int64[m]; the common duration of an offer's slices where it may be merged with others, otherwise 0.

        It may where its slices are all that bounds its energies: no polygon, no sub-total, no total that says more than
        the slices do; where they are of one length, and where it can start at all.
        """
        batch, first = self.batch, self.batch.offsets[:-1]
        unit = batch.duration[first]
        alone: Bools = batch.first_start > batch.last_start
        if len(unit) and (batch.duration != batch.duration[0]).any():
            alone |= np.maximum.reduceat(batch.duration, first) != np.minimum.reduceat(batch.duration, first)
        alone |= np.isfinite(batch.subtotal_lo_kwh) | np.isfinite(batch.subtotal_hi_kwh)
        alone[np.searchsorted(batch.offsets, batch.row_slice, side="right") - 1] = True
        total = np.flatnonzero(np.isfinite(batch.total_lo_kwh) | np.isfinite(batch.total_hi_kwh))
        if len(total):
            least, most = np.add.reduceat(batch.lo_kwh, first), np.add.reduceat(batch.hi_kwh, first)
            alone[total] |= (batch.total_lo_kwh[total] > least[total]) | (batch.total_hi_kwh[total] < most[total])
        return np.where(alone, 0, unit)

    def values(self, dimension: Dimension) -> Column:  # noqa: PLR0911 - a table of one line each
        """The m values of a dimension, as `grouping.VALUES` has them of an offer; a sign is one of `SIGNS`.

        Raises:
            InvalidError: it is one of `GIVEN` and was not given.
        """
        batch, first = self.batch, self.batch.offsets[:-1]
        step = batch.resolution_s
        match dimension:
            case Dimension.START_AFTER:
                return batch.first_start * step
            case Dimension.START_BEFORE:
                return batch.last_start * step
            case Dimension.TIME_FLEXIBILITY:
                return (batch.last_start - batch.first_start) * step
            case Dimension.DURATION:
                return np.add.reduceat(batch.duration, first) * step
            case Dimension.SLICES:
                return batch.counts()
            case Dimension.TOTAL_ENERGY:
                return np.add.reduceat(batch.hi_kwh, first)
            case Dimension.SIGN:
                consumes = np.minimum.reduceat(batch.lo_kwh, first) >= 0
                produces = np.maximum.reduceat(batch.hi_kwh, first) <= 0
                return np.where(consumes, SIGNS["consumption"], np.where(produces, SIGNS["production"], SIGNS["both"]))
            case _ if dimension in self.given:
                return self.given[dimension]
        raise InvalidError(f"offers are to be told apart by {dimension}, which is not given", path="Members/given")
