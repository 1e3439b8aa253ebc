"""Profiles with a polytope as a mixed-integer linear program for HiGHS. Slow to import: loaded where needed only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import highspy
import numpy as np

from flexhub.core.algebra.shape import cumulative
from flexhub.core.flexoffer import Profile

TIME_LIMIT_S: Final = 10.0


def energies(
    profile: Profile,
    options: Sequence[Sequence[tuple[float, float]]],
    big_kwh: float,
    price: Sequence[float] = (),
) -> list[float] | None:
    """Energies that keep the profile, one of the options [lo, hi] of each slice; None where there are none.

    With a `price` of each slice (EUR/kWh) those that cost least; without, such as lie in the widest options.

    Variables are the energies, and for each slice with alternatives a binary choice z of each, with
    ``sum lo z <= e <= sum hi z, sum z = 1``; beside them the running totals, where anything bounds these.
    """
    if not all(options):
        return None
    solver = _program(profile, options, big_kwh, 0.0 if price else 1.0)
    for i, cost in enumerate(price):
        solver.changeColCost(i, cost)
    return _solved(solver, len(options))


def spans_kwh(
    profile: Profile, options: Sequence[Sequence[tuple[float, float]]], big_kwh: float, *, running: bool = False
) -> list[tuple[float, float]] | None:
    """Least and greatest energy that each slice takes in any energies that keep the profile; None where there are none.

    With `running` those of the running totals instead. Two programs for each slice, each begun where the last ended.
    """
    if not all(options):
        return None
    solver = _program(profile, options, big_kwh, 0.0)
    found: list[tuple[float, float]] = []
    for i in range(len(options)):
        counted = range(i + 1) if running else (i,)
        ends = []
        for sign in (1.0, -1.0):
            for k in counted:
                solver.changeColCost(k, sign)
            energies_kwh = _solved(solver, len(options))
            if energies_kwh is None:
                return None
            ends.append(sum(energies_kwh[k] for k in counted))
        for k in counted:
            solver.changeColCost(k, 0.0)
        found.append((min(ends), max(ends)))
    return found


def _program(
    profile: Profile, options: Sequence[Sequence[tuple[float, float]]], big_kwh: float, for_width: float
) -> highspy.Highs:
    solver = highspy.Highs()  # type: ignore[no-untyped-call]  # its constructor has no annotations
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("time_limit", TIME_LIMIT_S)
    solver.setOptionValue("primal_feasibility_tolerance", 1e-9)
    solver.setOptionValue("mip_feasibility_tolerance", 1e-9)
    solver.setOptionValue("mip_rel_gap", 0.0)
    for choices in options:
        solver.addVar(max(min(lo for lo, _ in choices), -big_kwh), min(max(hi for _, hi in choices), big_kwh))
    for i, choices in enumerate(options):
        if len(choices) > 1:
            _one_of(solver, i, choices, for_width)
    if any(piece.polygon for piece in profile.slices) or profile.total_energy_kwh or profile.subtotal_energy_kwh:
        _running_totals(solver, profile)
    if profile.polytope is not None:
        for coefficients, most in zip(profile.polytope.a, profile.polytope.b_kwh, strict=True):
            columns = np.flatnonzero(coefficients)
            solver.addRow(-math.inf, most, len(columns), columns.astype(np.int32), np.array(coefficients)[columns])
    return solver


def _running_totals(solver: highspy.Highs, profile: Profile) -> None:
    """A column for each running total, so that rows which count what was used before have three entries at most."""
    first = solver.getNumCol()
    running = cumulative(profile)
    for t, piece in enumerate(profile.slices):
        solver.addVar(float(running.lo[t]), float(running.hi[t]))
        here, before = first + t, first + t - 1
        columns = np.array([here, t, before][: 3 if t else 2], dtype=np.int32)
        solver.addRow(0.0, 0.0, len(columns), columns, np.array([1.0, -1.0, -1.0])[: len(columns)])
        for row in piece.polygon:
            entries = {t: row.b} | ({before: row.a} if t else {})
            at = [column for column, factor in entries.items() if factor]
            factors = np.array([entries[column] for column in at], dtype=np.float64)
            solver.addRow(-math.inf, row.c_kwh, len(at), np.array(at, dtype=np.int32), factors)


def _solved(solver: highspy.Highs, count: int) -> list[float] | None:
    for presolve in ("choose", "off"):  # which has called programs infeasible whose room is as narrow as the tolerance
        solver.setOptionValue("presolve", presolve)
        solver.run()
        if solver.getModelStatus() == highspy.HighsModelStatus.kOptimal:
            return [float(value) for value in solver.getSolution().col_value[:count]]
    return None


def _one_of(solver: highspy.Highs, i: int, choices: Sequence[tuple[float, float]], for_width: float) -> None:
    """Variable i lies in one of these intervals: lo_k z_k summed <= e_i <= hi_k z_k summed, with one z of value 1."""
    first = solver.getNumCol()
    for k, (lo, hi) in enumerate(choices):
        solver.addVar(0.0, 1.0)
        solver.changeColCost(first + k, for_width * (lo - hi))
        solver.changeColIntegrality(first + k, highspy.HighsVarType.kInteger)
    picks = np.arange(first, first + len(choices), dtype=np.int32)
    columns = np.concatenate((np.array([i], dtype=np.int32), picks))
    lows, highs = (np.array([1.0, *(-choice[side] for choice in choices)]) for side in (0, 1))
    solver.addRow(1.0, 1.0, len(picks), picks, np.ones(len(picks)))
    solver.addRow(0.0, math.inf, len(columns), columns, lows)
    solver.addRow(-math.inf, 0.0, len(columns), columns, highs)
