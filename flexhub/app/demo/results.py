"""What a day came to: figures that follow from the documents which went through the hub, and from nothing else."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from flexhub.app.agent.session import Session
from flexhub.app.demo.openadr import Spoken
from flexhub.app.demo.trading import Traded
from flexhub.app.exchange.sold import Obligation, owed_kwh
from flexhub.core import documents
from flexhub.core.flexoffer import FlexOffer, Schedule, State
from flexhub.core.judge import violations
from flexhub.core.timegrid import QUARTER_HOUR_S, slot_of
from flexhub.core.timeseries import Measurement, Quality
from flexhub.core.trading import Basis, Bill, Contract, FlexRequest, Verdict
from flexhub.engines.slots import Assignment

SHORT_KWH: Final = 0.01
"""A session is short when it lacks more than this: ten times the resolution of a meter."""

KW_PER_KWH: Final = 3600 / QUARTER_HOUR_S
"""Mean power of a quarter-hour from its energy."""


class Papers(msgspec.Struct, frozen=True, kw_only=True):
    """All documents of a day; `traded` is what the aggregator holds of UFTP, `bought` what the grid operator does.

    `spoken` is what the aggregator's VTN holds, `called` what the utility's does.
    """

    offers: tuple[FlexOffer, ...]
    measurements: tuple[Measurement, ...]
    bills: tuple[Bill, ...]
    contracts: tuple[Contract, ...]
    requests: tuple[FlexRequest, ...]
    sold: tuple[Obligation, ...] = ()
    traded: Traded = Traded()
    bought: Traded = Traded()
    spoken: Spoken = Spoken()
    called: Spoken = Spoken()


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of a day.

    `accepted` are offers that were accepted, whatever came later; `assigned` those with a schedule. `requested_kwh` is
    what sessions asked for, or what their stay allows if that is less; `sessions_short` got less. `peak_before_kw` is
    the highest quarter-hour if every car charges at once, `peak_after_kw` the highest that was metered.
    `over_limit_before_kwh` and `over_limit_after_kwh` are energies above the limit in the hours it was requested for.
    `sold_kwh` is what the market bought of consumption left out, and `sold_eur` what it pays for that: `direct_kwh` and
    `direct_eur` of it to those who trade directly. `sold_missed_kwh` is what of it no schedule leaves out.
    `uftp_messages` went between aggregator and grid operator, `uftp_orders` of them orders, by which `ordered_kwh` were
    left out. `grid_pays_eur` is what the grid operator reckons that this comes to, `grid_paid_eur` the aggregator.
    `vens` stations speak OpenADR, and made `ven_offers` of the offers; they got `ven_events`, and opted in to
    `ven_opted_in`. `openadr_messages` are theirs and the utility's. `call_opt` is what the aggregator said to the
    utility's event, which wants at most `call_most_kwh`; for its time `call_before_kwh` were planned before it came,
    and `call_after_kwh` after.
    """

    site: str
    day: date
    zone: str
    stations: int
    offers: int
    accepted: int
    rejected: int
    assigned: int
    expired: int
    settled: int
    violations: int
    sessions_short: int
    requested_kwh: float
    delivered_kwh: float
    peak_before_kw: float
    peak_after_kw: float
    peak_cut: float
    limit_kw: float
    over_limit_before_kwh: float
    over_limit_after_kwh: float
    billed_eur: float
    unpaid_offers: int
    sold_kwh: float
    sold_eur: float
    direct_kwh: float
    direct_eur: float
    sold_missed_kwh: float
    uftp_messages: int
    uftp_orders: int
    ordered_kwh: float
    grid_pays_eur: Decimal
    grid_paid_eur: Decimal
    vens: int
    ven_offers: int
    ven_events: int
    ven_opted_in: int
    openadr_messages: int
    call_opt: str
    call_most_kwh: float
    call_before_kwh: float
    call_after_kwh: float
    readings: int
    readings_estimated: int
    readings_missing: int
    messages: int
    seconds: float
    notes: tuple[str, ...] = ()


def due_kwh(offer: FlexOffer) -> float:
    """What the driver behind the offer is due: what was asked for, or what the stay allows if that is less.

    Offers that do not tell of a driver, as those of VENs, are due the least that they may get.
    """
    asked = offer.extras
    if "requested_kwh" in asked:
        session = msgspec.convert(
            {name: asked[name] for name in ("arrival", "departure")}
            | {"id": offer.id, "station": offer.issuer, "energy_kwh": asked["requested_kwh"]},
            Session,
        )
        return session.due_kwh(float(asked["power_kw"]))
    return sum((one.lo_kwh for p in offer.profiles[:1] for s in p.slices for one in s.energy_kwh[:1]), 0.0)


def load_kwh(schedules: Iterable[Schedule]) -> dict[int, float]:
    """Energy of each quarter-hour (counted from the epoch), all schedules together."""
    load: dict[int, float] = defaultdict(float)
    for schedule in schedules:
        for slot, energy in schedule.by_slot_kwh(QUARTER_HOUR_S).items():
            load[slot] += energy
    return load


def metered_kwh(measurements: Iterable[Measurement]) -> dict[int, float]:
    """Measured energy of each quarter-hour; missing readings count nothing."""
    load: dict[int, float] = defaultdict(float)
    for measurement in measurements:
        first = slot_of(measurement.start, QUARTER_HOUR_S)
        for i, value in enumerate(measurement.values_kwh):
            load[first + i] += value or 0.0
    return load


def before_kwh(offers: Iterable[FlexOffer]) -> dict[int, float]:
    """Energy of each quarter-hour if every car charges at once.

    That is the offers' default schedules and, in the slot of arrival, what had to be charged before an offer could
    begin.
    """
    offers = list(offers)
    load = load_kwh(o.default_schedule for o in offers if o.default_schedule is not None)
    for offer in offers:
        if offer.default_schedule is not None:
            at = slot_of(offer.created, QUARTER_HOUR_S)
            load[at] = load.get(at, 0.0) + max(0.0, due_kwh(offer) - offer.default_schedule.energy_kwh())
    return load


def over(load: Mapping[int, float], limits: Mapping[int, float]) -> float:
    """Energy above the limits, kWh."""
    return sum(max(0.0, load.get(slot, 0.0) - limit) for slot, limit in limits.items())


def sales(sold: Iterable[Obligation]) -> tuple[float, float]:
    """What was sold, kWh, and what is paid for it, EUR."""
    trades = [obligation.trade for obligation in sold]
    energy_kwh = sum((t.quantity_kwh for t in trades), 0.0)
    return round(energy_kwh, 3), round(sum((t.quantity_kwh * t.price_eur_per_kwh for t in trades), 0.0), 2)


def summarise(
    papers: Papers,
    direct: str,
    asked: Mapping[int, float],
    **known: Any,  # noqa: ANN401 - fields of Result that no document holds
) -> Result:
    """The figures of a day's documents; `known` are the fields that stand in none of them.

    `direct` is the portfolio of those who trade directly, `asked` the limit in the peak hours, kWh by quarter-hour.
    """
    offers, measurements = papers.offers, papers.measurements
    by_offer: dict[str | None, list[Measurement]] = defaultdict(list)
    for measurement in measurements:
        by_offer[measurement.offer].append(measurement)
    delivered = {o.id: sum(metered_kwh(by_offer[o.id]).values()) for o in offers}
    before, after = before_kwh(offers), metered_kwh(measurements)
    for slot, energy in metered_kwh(by_offer[None]).items():
        before[slot] = before.get(slot, 0.0) + energy
    peak_before, peak_after = (KW_PER_KWH * max(load.values(), default=0.0) for load in (before, after))
    flags = Counter(m.flag(i) for m in measurements for i in range(len(m.values_kwh)))
    verdicts: dict[str, set[Verdict]] = defaultdict(set)
    for line in (line for bill in papers.bills for line in bill.lines if line.offer is not None):
        verdicts[line.offer or ""].add(line.verdict)
    sold, sold_directly = sales(papers.sold), sales(s for s in papers.sold if s.portfolio == direct)
    owed = owed_kwh(papers.sold, {o.id: o for o in offers})
    return Result(
        stations=len({o.issuer for o in offers}),
        offers=len(offers),
        accepted=sum(o.state is not State.REJECTED for o in offers),
        rejected=sum(o.state is State.REJECTED for o in offers),
        assigned=sum(o.schedule is not None for o in offers),
        expired=sum(o.state is State.EXPIRED for o in offers),
        settled=sum(o.state is State.SETTLED for o in offers),
        violations=sum(len(violations(o, o.schedule)) for o in offers if o.schedule is not None),
        sessions_short=sum(delivered[o.id] < due_kwh(o) - SHORT_KWH for o in offers),
        requested_kwh=round(sum(map(due_kwh, offers)), 3),
        delivered_kwh=round(sum(delivered.values()), 3),
        peak_before_kw=round(peak_before, 3),
        peak_after_kw=round(peak_after, 3),
        peak_cut=round(1 - peak_after / peak_before, 4) if peak_before else 0.0,
        limit_kw=round(KW_PER_KWH * min(asked.values(), default=0.0), 3),
        over_limit_before_kwh=round(over(before, asked), 3),
        over_limit_after_kwh=round(over(after, asked), 3),
        billed_eur=float(sum((bill.total(Basis.FACTUAL) for bill in papers.bills), Decimal("0.00"))),
        unpaid_offers=sum(Verdict.PAID not in found for found in verdicts.values()),
        sold_kwh=sold[0],
        sold_eur=sold[1],
        direct_kwh=sold_directly[0],
        direct_eur=sold_directly[1],
        sold_missed_kwh=round(sum((sum(missed.values()) for missed in owed.values()), 0.0), 3),
        uftp_messages=len(papers.traded.lines),
        uftp_orders=sum(line.type == "FlexOrder" for line in papers.traded.lines),
        ordered_kwh=papers.traded.ordered_kwh,
        grid_pays_eur=papers.bought.paid_eur,
        grid_paid_eur=papers.traded.paid_eur,
        vens=papers.spoken.vens,
        ven_offers=sum("ven_id" in o.extras for o in offers),
        ven_events=papers.spoken.events,
        ven_opted_in=papers.spoken.opted_in,
        openadr_messages=len(papers.spoken.lines) + len(papers.called.lines),
        call_opt="optIn" if papers.called.opted_in else "optOut" if papers.called.opted_out else "",
        readings=sum(flags.values()),
        readings_estimated=flags[Quality.ESTIMATED],
        readings_missing=flags[Quality.MISSING],
        **known,
    )


def dump(papers: Papers, folder: Path) -> None:
    """Write the day's documents as JSON lines, in the forms of the core's types, so that anyone can check the figures.

    ``offers.jsonl`` holds `FlexOffer`, ``schedules.jsonl`` `Assignment`, ``measurements.jsonl`` `Measurement`,
    ``bills.jsonl`` `Bill`, ``contracts.jsonl`` `Contract` and ``requests.jsonl`` `FlexRequest`; ``sold.jsonl`` holds
    the exchange's `Obligation`, ``uftp.jsonl`` every message of UFTP as a `Line`, and ``settlements.jsonl`` what the
    aggregator's orders come to, as `UftpReckoned`; ``openadr.jsonl`` holds every message of OpenADR as an `OadrLine`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    assigned = [Assignment(offer=o.id, schedule=o.schedule) for o in papers.offers if o.schedule is not None]
    files: dict[str, Sequence[msgspec.Struct]] = {
        "offers": papers.offers,
        "schedules": assigned,
        "measurements": papers.measurements,
        "bills": papers.bills,
        "contracts": papers.contracts,
        "requests": papers.requests,
        "sold": papers.sold,
        "uftp": papers.traded.lines,
        "settlements": papers.traded.reckoned,
        "openadr": (*papers.spoken.lines, *papers.called.lines),
    }
    for name, items in files.items():
        lines = b"".join(documents.encode(item) + b"\n" for item in items)
        (folder / f"{name}.jsonl").write_bytes(lines)
