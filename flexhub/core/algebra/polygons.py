"""Dependency-based flex-offers in columns: what each of them can reach and complete, so that they can be coupled.

Slot t of a member bounds points (x, e) by half-planes ``a x + b e <= c``, x the energy used before. Going backward, V_t
is the set of x from which the rest can be met; going forward, R_t the part of it that is reached:

    V_t = {x : some e keeps slot t, and x + e lies in V_t+1},   R_t+1 = V_t+1 and {x + e : x in R_t, e keeps slot t}.

Both are projections of polygons, hence intervals, found exactly by taking each row that bounds from above with each
that bounds from below (Fourier-Motzkin). A member is infeasible exactly where one is empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from flexhub.core.algebra.dfo import Dfo
from flexhub.core.algebra.envelope import Lines
from flexhub.core.algebra.laying import lay
from flexhub.core.algebra.storage import LEAST_KWH, SLACK_KWH
from flexhub.core.batch import Bools, FlexOfferBatch, Floats, Ints, spans
from flexhub.core.errors import InvalidError

FLAT: Final = 1e-12
"""A slope that is smaller is rounding."""


class Rows(NamedTuple):
    """n half-planes ``a x + b e <= c_kwh`` of a slot and a member: int64[n] and float64[n] each."""

    slot: Ints
    member: Ints
    a: Floats
    b: Floats
    c_kwh: Floats

    @classmethod
    def bound(cls, slot: Ints, member: Ints, sign: float, c_kwh: Floats) -> Rows:
        """``sign e <= c``."""
        return cls(slot, member, np.zeros(len(slot)), np.full(len(slot), sign), c_kwh)

    @classmethod
    def join(cls, *parts: Rows) -> Rows:
        """All rows of these."""
        slot, member = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
        return cls(slot, member, *(np.concatenate([part[i] for part in parts]) for i in (2, 3, 4)))


@dataclass(frozen=True, slots=True, eq=False)
class Polygons:
    """m members over t slots.

    ``padded: float64[t, 3, r, m]`` are a, b and c of the rows of each, scaled to a greatest coefficient of 1, and rows
    of 0 where a member has fewer than others; ``least_kwh, most_kwh: float64[t + 1, m]`` the running totals that are
    reached before each slot and after the last.
    """

    padded: Floats
    least_kwh: Floats
    most_kwh: Floats

    def __len__(self) -> int:
        """Number of members."""
        return int(self.least_kwh.shape[1])

    @property
    def slots(self) -> int:
        """Number of slots."""
        return len(self.padded)

    @classmethod
    def swept(cls, rows: Rows, floor_kwh: Floats, ceiling_kwh: Floats, names: Sequence[str] = ()) -> Polygons:
        """Members with these rows, and running totals within bounds (float64[t, m], or infinite).

        Raises:
            InvalidError: a member of which nothing is feasible, or that has no bound, by its name or number; or bounds
                that are no numbers.
        """
        astray = np.zeros(floor_kwh.shape[1], dtype=np.bool_)
        for side in (floor_kwh, ceiling_kwh):
            astray[np.nonzero(np.isnan(side))[1]] = True
        astray[rows.member[~np.isfinite(rows.a + rows.b + rows.c_kwh)]] = True
        if astray.any():
            k = int(np.argmax(astray))
            raise InvalidError("bounds are finite numbers", path=f"Polygons[{k}]", value=_name(names, k))
        slots, members = floor_kwh.shape
        padded = _padded(rows, slots, members)
        viable = np.empty((2, slots + 1, members))
        viable[:, slots] = floor_kwh[-1], ceiling_kwh[-1]
        for t in range(slots - 1, -1, -1):
            a, b, c = padded[t]
            least, most = _shadow(a - b, b, c, *viable[:, t + 1])
            if t:
                least, most = np.maximum(least, floor_kwh[t - 1]), np.minimum(most, ceiling_kwh[t - 1])
            viable[:, t] = _checked(least, most, t, names)
        reached = np.zeros((2, slots + 1, members))
        _checked(np.maximum(viable[0, 0], 0.0), np.minimum(viable[1, 0], 0.0), 0, names)
        for t in range(slots):
            a, b, c = padded[t]
            least, most = _shadow(b, a - b, c, *reached[:, t])
            least, most = np.maximum(least, viable[0, t + 1]), np.minimum(most, viable[1, t + 1])
            reached[:, t + 1] = _checked(least, most, t, names)
            if not np.isfinite(reached[:, t + 1]).all():
                k = int(np.argmin(np.isfinite(reached[:, t + 1]).all(axis=0)))
                raise InvalidError(f"slot {t} is not bounded", path=f"Polygons[{k}]", value=_name(names, k))
        return cls(padded, *reached)

    @classmethod
    def from_batch(cls, batch: FlexOfferBatch, starts: Ints | None = None) -> tuple[Polygons, int]:
        """Offers that start in these slots (int64[m]; by default their only ones), and the first slot of all.

        Before its start and after its end an offer takes nothing.

        Raises:
            InvalidError: a slice that is longer than a slot, an offer that can start elsewhere while no starts are
                given, or one of which nothing is feasible.
        """
        laid = lay(batch, starts)
        at, owners = laid.at, laid.owners
        away = np.ones(laid.floor_kwh.shape, dtype=np.bool_)
        away[at, owners] = False
        idle_slot, idle_member = np.nonzero(away)
        row, low, high = batch.row_slice, ~np.isinf(batch.lo_kwh), ~np.isinf(batch.hi_kwh)
        rows = Rows.join(
            Rows(at[row], owners[row], batch.row_a, batch.row_b, batch.row_c_kwh),
            Rows.bound(at[low], owners[low], -1.0, -batch.lo_kwh[low]),
            Rows.bound(at[high], owners[high], 1.0, batch.hi_kwh[high]),
            *(Rows.bound(idle_slot, idle_member, sign, np.zeros(len(idle_slot))) for sign in (-1.0, 1.0)),
        )
        return cls.swept(rows, laid.floor_kwh, laid.ceiling_kwh, batch.ids), laid.first

    @classmethod
    def from_dfos(cls, dfos: Sequence[Dfo]) -> Polygons:
        """DFOs as members, so that groups of groups can be coupled.

        Raises:
            InvalidError: none, or of different lengths.
        """
        lengths = {dfo.slots for dfo in dfos}
        if len(lengths) != 1:
            raise InvalidError(f"DFOs of {sorted(lengths)} slots; lengths must be equal", path="Dfo")
        slots = lengths.pop()
        parts = [(t, k, dfo.polygons[t].rows()) for k, dfo in enumerate(dfos) for t in range(slots)]
        counts = [len(rows) for _, _, rows in parts]
        place = np.repeat(np.array([(t, k) for t, k, _ in parts], dtype=np.int64), counts, axis=0)
        columns = np.concatenate([rows for _, _, rows in parts])
        open_end = np.full((slots, len(dfos)), np.inf)
        return cls.swept(Rows(*place.T, *columns.T), -open_end, open_end)

    def take(self, rows: Ints | slice) -> Polygons:
        """These members."""
        return Polygons(self.padded[..., rows], self.least_kwh[:, rows], self.most_kwh[:, rows])

    def reach(self, t: int) -> tuple[Floats, Floats]:
        """As of `coupling.Members`."""
        return self.least_kwh[t], self.most_kwh[t]

    def lines(self, t: int) -> Iterator[tuple[Lines, Lines]]:
        """As of `coupling.Members`."""
        a, b, c = self.padded[t]
        before, after = self.least_kwh[t], self.least_kwh[t + 1]
        width_before, width = self.most_kwh[t] - before, self.most_kwh[t + 1] - after
        room = c - (a - b) * before - b * after + SLACK_KWH
        less = (a - b) * width_before
        per_q = b * np.maximum(width, LEAST_KWH)
        below, above = (Lines(room[rows] / per_q[rows], (room - less)[rows] / per_q[rows]) for rows in (b < 0, b > 0))
        yield below, Lines(1.0 - above.at_0, 1.0 - above.at_1)

    def last(self, used_kwh: Floats) -> tuple[Floats, Floats]:
        """As of `coupling.Members`."""
        a, b, c = self.padded[-1]
        least, most = self.least_kwh[-1] - used_kwh, self.most_kwh[-1] - used_kwh
        with np.errstate(divide="ignore", invalid="ignore"):
            limit = (c - a * used_kwh) / b
        least = np.maximum(least, np.where(b < 0, limit, -np.inf).max(axis=0, initial=-np.inf))
        return least, np.maximum(np.minimum(most, np.where(b > 0, limit, np.inf).min(axis=0, initial=np.inf)), least)

    def excess_kwh(self, energies_kwh: Floats) -> Floats:
        """How far energies (float64[t, m]) lie outside of each member's rows at most: float64[m]."""
        before = np.cumsum(energies_kwh, axis=0) - energies_kwh
        used = before + energies_kwh
        worst = np.maximum(self.least_kwh[1:] - used, used - self.most_kwh[1:]).max(axis=0)
        for (a, b, c), x, e in zip(self.padded, before, energies_kwh, strict=True):
            worst = np.maximum(worst, (a * x + b * e - c).max(axis=0, initial=-np.inf))
        excess: Floats = np.maximum(worst, 0.0)
        return excess


def _padded(rows: Rows, slots: int, members: int) -> Floats:
    place = rows.slot * members + rows.member
    order = np.argsort(place, kind="stable")
    counts = np.bincount(place, minlength=slots * members)
    number = spans(np.zeros(slots * members, dtype=np.int64), counts)
    scale = np.maximum(np.abs(rows.a), np.abs(rows.b))
    padded = np.zeros((slots, 3, int(counts.max(initial=0)), members))
    for i, column in enumerate((rows.a, rows.b, rows.c_kwh)):
        padded[rows.slot[order], i, number, rows.member[order]] = (column / scale)[order]
    return padded


def _shadow(p: Floats, q: Floats, c: Floats, v_least: Floats, v_most: Floats) -> tuple[Floats, Floats]:
    """The u for which some v in [v_least, v_most] keeps ``p u + q v <= c``: ends, float64[m] each.

    ``p, q, c: float64[r, m]``; the first above the second where there is none. O(r**2 m).
    """
    zero, one = np.zeros_like(v_least), np.ones_like(v_least)
    p, q = np.vstack((p, zero, zero)), np.vstack((q, one, -one))
    c = np.vstack((c, v_most, -v_least))
    least, most = np.full_like(v_least, -np.inf), np.full_like(v_least, np.inf)

    def bound(slope: Floats, limit: Floats, where: Bools) -> None:
        with np.errstate(divide="ignore", invalid="ignore"):
            end = limit / slope
        np.minimum(most, np.where(where & (slope > FLAT), end, np.inf), out=most)
        np.maximum(least, np.where(where & (slope < -FLAT), end, -np.inf), out=least)
        np.maximum(least, np.where(where & (np.abs(slope) <= FLAT) & (limit < -SLACK_KWH), np.inf, -np.inf), out=least)

    for i in range(len(q)):
        bound(p[i], c[i], q[i] == 0)
        if not (q[i] > 0).any():
            continue
        for j in range(len(q)):
            both = (q[i] > 0) & (q[j] < 0)
            if both.any():
                scale = np.where(both, q[i] - q[j], 1.0)
                up, down = np.where(both, -q[j], 0.0) / scale, np.where(both, q[i], 0.0) / scale
                with np.errstate(invalid="ignore"):  # infinite bounds of those that are not meant
                    bound(p[i] * up + p[j] * down, c[i] * up + c[j] * down, both)
    return least, most


def _checked(least: Floats, most: Floats, t: int, names: Sequence[str]) -> tuple[Floats, Floats]:
    """The same, with ends that rounding has crossed put together."""
    with np.errstate(invalid="ignore"):  # infinite ones of a member without rows
        missed = least - most
    if (missed > SLACK_KWH).any():
        k = int(np.argmax(missed))
        raise InvalidError(f"no energies keep the polygons by slot {t}", path=f"Polygons[{k}]", value=_name(names, k))
    with np.errstate(invalid="ignore"):
        middle = (least + most) / 2
    crossed = missed > 0
    return np.where(crossed, middle, least), np.where(crossed, middle, most)


def _name(names: Sequence[str], k: int) -> str:
    return names[k] if names else str(k)
