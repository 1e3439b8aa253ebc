"""A month of real charging sessions at two sites against real day-ahead prices: what exact plans and DFOs save.

Sessions of ACN-Data (May 2019) are offers with a total: what was delivered, within the stay, at 6.6 kW at most. Prices
are those of Italy's northern zone in April 2025, by local day and hour, over again where days are missing. Both lie in
the folder `shared`; without it there are no figures. Each day of arrivals is planned by itself.
"""

from __future__ import annotations

import csv
import gzip
import os
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import highspy
import numpy as np

from benchmarks.figure import Figure
from flexhub.core.algebra.coupling import couple
from flexhub.core.algebra.oracle import respond
from flexhub.core.algebra.packing import packs
from flexhub.core.algebra.scheduling import cheapest
from flexhub.core.algebra.storage import Bounds, Storage
from flexhub.core.batch import FlexOfferBatch, Floats
from flexhub.core.flexoffer import EnergyRange, FlexOffer, Profile, Slice
from flexhub.core.judge import violations
from flexhub.core.timegrid import EPOCH

SHARED: Final = Path(os.environ.get("FLEXHUB_SHARED", Path(__file__).parent.parent.parent / "shared")) / "data"
SITES: Final = {"Caltech": "caltech", "JPL": "jpl"}
PERIOD: Final = "2019-05-01_2019-08-31"
MONTH: Final = (2019, 5)
SLOT_KWH: Final = 6.6 / 4
DAY: Final = 96
SIZE: Final = 20


class Month(NamedTuple):
    """Offers of the sessions by day of arrival, and how many were left out: shorter than a slot, or without energy."""

    days: dict[int, list[FlexOffer]]
    left_out: int


def sessions(site: str) -> Month:
    """Times are local, as if they were UTC: prices are by local hour, and May has no clock change."""
    days: dict[int, list[FlexOffer]] = defaultdict(list)
    left_out = 0
    with gzip.open(SHARED / "acn" / f"{site}_{PERIOD}.csv.gz", "rt", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            arrival, departure = (
                datetime.fromisoformat(row[name]).replace(tzinfo=UTC) for name in ("arrival", "departure")
            )
            if (arrival.year, arrival.month) != MONTH:
                continue
            first = -(-int((arrival - EPOCH).total_seconds()) // 900)
            slots = int((departure - EPOCH).total_seconds()) // 900 - first
            energy = min(float(row["delivered_energy (kWh)"]), slots * SLOT_KWH)
            if slots < 1 or energy <= 0:
                left_out += 1
                continue
            start = EPOCH + timedelta(seconds=900 * first)
            piece = Slice(energy_kwh=(EnergyRange(0.0, SLOT_KWH),))
            offer = FlexOffer(
                id="_".join(row["session_id"].split()),
                issuer=site,
                created=start,
                start_after=start,
                start_before=start,
                profiles=(Profile(slices=(piece,) * slots, total_energy_kwh=EnergyRange(energy, energy)),),
            )
            days[first // DAY].append(offer)
    return Month(days, left_out)


def prices() -> Floats:
    """EUR/kWh of the hours of consecutive days: float64[days, 24]."""
    with gzip.open(SHARED / "gme" / "published-prices.csv.gz", "rt", encoding="utf-8") as lines:
        found = [row for row in csv.DictReader(lines) if row["zone"] == "NORD"]
    return np.array([float(row["price_eur_per_mwh"]) for row in found]).reshape(-1, 24) / 1000


def over(hours: Floats, first: int, slots: int) -> Floats:
    """Prices of so many slots: float64[slots]."""
    at = first + np.arange(slots)
    found: Floats = hours[(at // DAY) % len(hours), (at % DAY) // 4]
    return found


def program(storage: Storage, price: Floats) -> float:
    """The least cost of all members together, as one linear program over all energies."""
    slots, members = storage.lo_kwh.shape
    solver = highspy.Highs()  # type: ignore[no-untyped-call]  # its constructor has no annotations
    solver.setOptionValue("output_flag", False)
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = slots * members, members
    lp.col_cost_ = np.tile(price, members)
    lp.col_lower_, lp.col_upper_ = storage.lo_kwh.T.ravel(), storage.hi_kwh.T.ravel()
    lp.row_lower_, lp.row_upper_ = storage.floor_kwh[-1].copy(), storage.ceiling_kwh[-1].copy()
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = slots * np.arange(members + 1)
    lp.a_matrix_.index_ = np.arange(slots * members)
    lp.a_matrix_.value_ = np.ones(slots * members)
    solver.passModel(lp)
    solver.run()
    return float(solver.getInfo().objective_function_value)


class Result(NamedTuple):
    """EUR, s, and the number of sessions whose schedule the judge refuses."""

    at_once: float
    exact: float
    solved: float
    grouped: float
    exact_s: float
    solved_s: float
    refused: int


def planned(offers: list[FlexOffer], hours: Floats) -> Result:
    """One day of arrivals."""
    batch = FlexOfferBatch.from_offers(offers, EPOCH)
    storage, first = Storage.from_batch(batch)
    price = over(hours, first, storage.slots)
    at_once = float(price @ np.diff(storage.ceiling_kwh, axis=0, prepend=0.0).sum(axis=1))
    began = time.perf_counter()
    exact = float(price @ respond(storage, price))
    exact_s = time.perf_counter() - began
    began = time.perf_counter()
    solved = program(storage, price)
    solved_s = time.perf_counter() - began
    energies = np.zeros((storage.slots, len(offers)))
    for rows in packs(storage, SIZE):
        coupled = couple(storage.take(rows))
        energies[:, rows] = coupled.disaggregate(cheapest(coupled.dfo, price))
    edges = zip((batch.first_start - first).tolist(), batch.counts().tolist(), strict=True)
    flat = np.concatenate([energies[start : start + count, k] for k, (start, count) in enumerate(edges)])
    schedules = batch.schedules(batch.first_start, flat)
    refused = sum(bool(violations(offer, one)) for offer, one in zip(offers, schedules, strict=True))
    return Result(at_once, exact, solved, float(price @ energies.sum(axis=1)), exact_s, solved_s, refused)


def run() -> list[Figure]:
    """For each site: the exact saving, the share of it in DFOs, and what the judge says of every session."""
    if not SHARED.is_dir():
        return []
    hours = prices()
    figures = []
    respond(Storage.tightened(*Bounds(*(np.zeros((1, 1)),) * 4)), np.zeros(1))  # compiles, where it is compiled
    for name, site in SITES.items():
        month = sessions(site)
        count = sum(map(len, month.days.values()))
        total = Result(*map(sum, zip(*(planned(offers, hours) for offers in month.days.values()), strict=True)))
        saved = total.at_once - total.exact
        figures += [
            Figure(
                name=f"saved of charging at once, {count:,} sessions of a month at {name}, exactly",
                value=100 * saved / total.at_once,
                unit="%",
                peer=100 * (total.at_once - total.solved) / total.at_once,
                peer_name="HiGHS, all members of a day in one program",
                note=f"{total.exact:,.2f} of {total.at_once:,.2f} EUR in {total.exact_s:.2f} s, the program's in "
                f"{total.solved_s:.2f} s, different by a share of {abs(total.exact - total.solved) / total.exact:.0e}; "
                f"{month.left_out} sessions without energy or a whole slot are left out",
            ),
            Figure(
                name=f"share of that saving in DFOs of {SIZE}, {name}",
                value=100 * (total.at_once - total.grouped) / saved,
                unit="%",
            ),
            Figure(
                name=f"sessions whose schedule the judge refuses, {name}",
                value=total.refused,
                unit="sessions",
                target=0,
                at_most=True,
            ),
        ]
    return figures
