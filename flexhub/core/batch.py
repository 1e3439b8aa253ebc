"""Many flex-offers as columns: what a million of them are aggregated, scheduled and disaggregated in.

The columnar form knows one profile of slices of fixed duration with one energy range each, total and sub-total energy,
and dependency polygons. `FlexOfferBatch.from_offers` refuses the rest, naming the field, so that nothing is planned
with a bound ignored.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import numpy.typing as npt

from flexhub.core.errors import InvalidError
from flexhub.core.flexoffer import EnergyRange, FlexOffer, HalfPlane, Profile, Quantity, Schedule, ScheduleSlice, Slice
from flexhub.core.timegrid import instant_of
from flexhub.core.units import TOLERANCE_KWH

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FlexOfferBatch:
    """m offers with n slices and r polygon rows in all, on one grid.

    Slices of offer i are ``offsets[i]:offsets[i + 1]`` of the slice columns. Slots count whole resolutions since the
    epoch. Bounds that an offer does not have are infinite.

    Args:
        ids: m identifiers.
        resolution_s: length of a slot.
        first_start, last_start: int64[m]; the slots that the offer may start in. End constraints are folded in.
        offsets: int64[m + 1].
        duration: int64[n]; slots of each slice.
        lo_kwh, hi_kwh: float64[n]; energy of each slice.
        total_lo_kwh, total_hi_kwh, subtotal_lo_kwh, subtotal_hi_kwh: float64[m].
        row_slice: int64[r]; the slice (index into the slice columns) that the polygon row bounds.
        row_a, row_b, row_c_kwh: float64[r]; ``a * x + b * e <= c`` with x the energy used before the slice.
    """

    ids: tuple[str, ...]
    resolution_s: int
    first_start: Ints
    last_start: Ints
    offsets: Ints
    duration: Ints
    lo_kwh: Floats
    hi_kwh: Floats
    total_lo_kwh: Floats
    total_hi_kwh: Floats
    subtotal_lo_kwh: Floats
    subtotal_hi_kwh: Floats
    row_slice: Ints
    row_a: Floats
    row_b: Floats
    row_c_kwh: Floats

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def from_offers(cls, offers: Sequence[FlexOffer], now: datetime) -> FlexOfferBatch:
        """Columns of these offers; implicit time flexibility counts from `now`.

        Raises:
            InvalidError: an offer with a bound that columns do not know, or on another grid than the first.
        """
        resolution_s = offers[0].resolution_s if offers else 900
        profiles = [_columnar(offer, i, resolution_s) for i, offer in enumerate(offers)]
        slices = [piece for profile in profiles for piece in profile.slices]
        spans = [piece.span_kwh() for piece in slices]
        rows = [(at, row) for at, piece in enumerate(slices) for row in piece.polygon]
        lengths = [profile.duration_slots()[0] for profile in profiles]
        windows = [offer.start_slots(now, length) for offer, length in zip(offers, lengths, strict=True)]
        totals = [_bounds(profile.total_energy_kwh) for profile in profiles]
        subtotals = [_bounds(profile.subtotal_energy_kwh) for profile in profiles]
        counts = [len(profile.slices) for profile in profiles]
        return cls(
            ids=tuple(offer.id for offer in offers),
            resolution_s=resolution_s,
            first_start=_ints(first for first, _ in windows),
            last_start=_ints(last for _, last in windows),
            offsets=_offsets(_ints(counts)),
            duration=_ints(piece.min_duration for piece in slices),
            lo_kwh=_floats(lo for lo, _ in spans),
            hi_kwh=_floats(hi for _, hi in spans),
            total_lo_kwh=_floats(lo for lo, _ in totals),
            total_hi_kwh=_floats(hi for _, hi in totals),
            subtotal_lo_kwh=_floats(lo for lo, _ in subtotals),
            subtotal_hi_kwh=_floats(hi for _, hi in subtotals),
            row_slice=_ints(at for at, _ in rows),
            row_a=_floats(row.a for _, row in rows),
            row_b=_floats(row.b for _, row in rows),
            row_c_kwh=_floats(row.c_kwh for _, row in rows),
        )

    def counts(self) -> Ints:
        """int64[m]; number of slices of each offer."""
        return np.diff(self.offsets)

    def owners(self) -> Ints:
        """int64[n]; the offer that each slice belongs to."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.counts())

    def slices_of(self, rows: Ints) -> Ints:
        """Indices of the slices of these offers, offer by offer: int64[slices of the rows]."""
        return spans(self.offsets[rows], self.offsets[rows + 1])

    def take(self, rows: Ints) -> FlexOfferBatch:
        """These offers, in this order; O(rows and their slices)."""
        at = self.slices_of(rows)
        offsets = _offsets(self.offsets[rows + 1] - self.offsets[rows])
        first, end = (np.searchsorted(self.row_slice, self.offsets[rows + side]) for side in (0, 1))
        polygon = spans(first, end)
        # A polygon row keeps its place within its offer; where the offer's slices begin has changed.
        moved = np.repeat(offsets[:-1] - self.offsets[rows], end - first)
        return FlexOfferBatch(
            ids=tuple(self.ids[i] for i in rows.tolist()),
            resolution_s=self.resolution_s,
            offsets=offsets,
            row_slice=self.row_slice[polygon] + moved,
            **{name: getattr(self, name)[rows] for name in _BY_OFFER},
            **{name: getattr(self, name)[at] for name in _BY_SLICE},
            **{name: getattr(self, name)[polygon] for name in _BY_ROW},
        )

    @classmethod
    def join(cls, parts: Sequence[FlexOfferBatch]) -> FlexOfferBatch:
        """The offers of all parts, in order; at least one part.

        Raises:
            InvalidError: parts on different grids.
        """
        grids = {part.resolution_s for part in parts}
        if len(grids) != 1:
            raise InvalidError(f"slots of {' and '.join(map(str, sorted(grids)))} s in one batch", path="resolution_s")
        before = np.cumsum([0, *(len(part.lo_kwh) for part in parts)])
        return cls(
            ids=tuple(name for part in parts for name in part.ids),
            resolution_s=grids.pop(),
            offsets=_offsets(np.concatenate([part.counts() for part in parts])),
            row_slice=np.concatenate([part.row_slice + n for part, n in zip(parts, before.tolist(), strict=False)]),
            **{
                name: np.concatenate([getattr(part, name) for part in parts])
                for name in (*_BY_OFFER, *_BY_SLICE, *_BY_ROW)
            },
        )

    def used_kwh(self, energies_kwh: Floats) -> tuple[Floats, Floats]:
        """(float64[n]: energy used before each slice; float64[m]: energy of each offer).

        Adds slice by slice as the object judge does, so both round alike: one step per slice position, O(n) in all.
        """
        before = np.zeros(len(energies_kwh))
        used = np.zeros(len(self))
        counts, first = self.counts(), self.offsets[:-1]
        active = np.arange(len(self))
        for position in range(int(counts.max(initial=0))):
            active = active[counts[active] > position]
            at = first[active] + position
            before[at] = used[active]
            used[active] += energies_kwh[at]
        return before, used

    def violations_mask(self, starts: Ints, energies_kwh: Floats, tolerance_kwh: float = TOLERANCE_KWH) -> Bools:
        """bool[m]; True where the judge would find a violation.

        Args:
            starts: int64[m]; the slot that each offer starts in.
            energies_kwh: float64[n]; energy of each slice.
            tolerance_kwh: as `judge.violations`.

        Raises:
            InvalidError: another number of starts or energies.
        """
        if len(starts) != len(self) or len(energies_kwh) != len(self.lo_kwh):
            raise InvalidError(
                f"{len(starts)} starts and {len(energies_kwh)} energies for {len(self)} offers of "
                f"{len(self.lo_kwh)} slices"
            )

        def outside(values: Floats, lo: Floats, hi: Floats) -> Bools:
            # NaN is within no bounds.
            inside: Bools = (values >= lo - tolerance_kwh) & (values <= hi + tolerance_kwh)
            return ~inside

        before, used = self.used_kwh(energies_kwh)
        owners = self.owners()
        after = before + energies_kwh
        bad_slice = outside(energies_kwh, self.lo_kwh, self.hi_kwh)
        bad_slice |= outside(after, self.subtotal_lo_kwh[owners], self.subtotal_hi_kwh[owners])
        at = self.row_slice
        excess = self.row_a * before[at] + self.row_b * energies_kwh[at] - self.row_c_kwh
        slack = tolerance_kwh * np.maximum(np.abs(self.row_a), np.abs(self.row_b))
        bad_slice[at[~(excess <= slack)]] = True
        bad: Bools = (starts < self.first_start) | (starts > self.last_start) | ~np.isfinite(used)
        bad |= outside(used, self.total_lo_kwh, self.total_hi_kwh)
        bad[owners[bad_slice]] = True
        return bad

    def profile(self, i: int) -> Profile:
        """The profile of offer i, rebuilt from the columns; prices and extras are not in them."""
        first, end = int(self.offsets[i]), int(self.offsets[i + 1])
        rows_from, rows_to = np.searchsorted(self.row_slice, (first, end))
        polygons: list[list[tuple[float, float, float]]] = [[] for _ in range(first, end)]
        for k in range(int(rows_from), int(rows_to)):
            row = (float(self.row_a[k]), float(self.row_b[k]), float(self.row_c_kwh[k]))
            polygons[int(self.row_slice[k]) - first].append(row)
        slices = tuple(
            Slice(
                energy_kwh=() if (bounds := _range(self.lo_kwh[at], self.hi_kwh[at])) is None else (bounds,),
                min_duration=int(self.duration[at]),
                max_duration=int(self.duration[at]),
                polygon=tuple(HalfPlane(*row) for row in polygons[at - first]),
            )
            for at in range(first, end)
        )
        return Profile(
            slices=slices,
            total_energy_kwh=_range(self.total_lo_kwh[i], self.total_hi_kwh[i]),
            subtotal_energy_kwh=_range(self.subtotal_lo_kwh[i], self.subtotal_hi_kwh[i]),
        )

    def schedules(self, starts: Ints, energies_kwh: Floats) -> list[Schedule]:
        """These starts (int64[m]) and energies (float64[n]) as schedules, one for each offer."""
        energies, durations = energies_kwh.tolist(), self.duration.tolist()
        edges = self.offsets.tolist()
        return [
            Schedule(
                start=instant_of(start, self.resolution_s),
                profile=0,
                slices=tuple(
                    ScheduleSlice(energy_kwh=energies[at], duration=durations[at])
                    for at in range(edges[i], edges[i + 1])
                ),
            )
            for i, start in enumerate(starts.tolist())
        ]


_BY_OFFER: Final = (
    "first_start", "last_start", "total_lo_kwh", "total_hi_kwh", "subtotal_lo_kwh", "subtotal_hi_kwh"
)  # fmt: skip
_BY_SLICE: Final = ("duration", "lo_kwh", "hi_kwh")
_BY_ROW: Final = ("row_a", "row_b", "row_c_kwh")
"""Columns with a value for each offer, slice and polygon row; beside them ids, offsets and row_slice."""


def spans(first: Ints, end: Ints) -> Ints:
    """All of ``first[i]..end[i] - 1``, range by range: int64[sum(end - first)]."""
    counts = end - first
    after = np.cumsum(counts)
    every: Ints = np.arange(after[-1] if len(after) else 0) + np.repeat(first - (after - counts), counts)
    return every


def _offsets(counts: Ints) -> Ints:
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(counts)))


def _columnar(offer: FlexOffer, i: int, resolution_s: int) -> Profile:
    """The offer's one profile, if columns can hold all bounds of the offer."""
    for path, what in _foreign(offer, resolution_s):
        raise InvalidError(f"columns do not hold {what}", path=f"FlexOffer[{i}]/{path}", value=offer.id)
    return offer.profiles[0]


def _foreign(offer: FlexOffer, resolution_s: int) -> Iterator[tuple[str, str]]:
    """(path, what) of all that columns cannot hold."""
    if offer.resolution_s != resolution_s:
        yield "resolution_s", f"slots of {offer.resolution_s} s beside {resolution_s} s"
    if offer.quantity is not Quantity.ACTIVE_ENERGY:
        yield "quantity", offer.quantity
    if offer.total_cost_eur is not None:
        yield "total_cost_eur", "total costs"
    if len(offer.profiles) != 1:
        yield "profiles", f"{len(offer.profiles)} profiles"
        return
    profile = offer.profiles[0]
    if profile.polytope is not None:
        yield "profiles[0]/polytope", "polytopes"
    if profile.two_mode is not None:
        yield "profiles[0]/two_mode", "two-mode operation"
    for k, piece in enumerate(profile.slices):
        path = f"profiles[0]/slices[{k}]"
        if piece.amounts_kwh:
            yield f"{path}/amounts_kwh", "amounts"
        if len(piece.energy_kwh) > 1:
            yield f"{path}/energy_kwh", "several ranges in one slice"
        if piece.uncertainty is not None:
            yield f"{path}/uncertainty", "uncertainty"
        if piece.min_duration != piece.max_duration:
            yield f"{path}/max_duration", "variable durations"


def _bounds(bounds: EnergyRange | None) -> tuple[float, float]:
    return (-math.inf, math.inf) if bounds is None else (bounds.lo_kwh, bounds.hi_kwh)


def _range(lo_kwh: float, hi_kwh: float) -> EnergyRange | None:
    return EnergyRange(float(lo_kwh), float(hi_kwh)) if math.isfinite(lo_kwh) else None


def _ints(values: Iterable[int]) -> Ints:
    return np.fromiter(values, dtype=np.int64)


def _floats(values: Iterable[float]) -> Floats:
    return np.fromiter(values, dtype=np.float64)
