"""The whole chain, as a program: what it claims follows from what it dumped, checked by formulas of the tests' own."""

from __future__ import annotations

import csv
import gzip
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest

from flexhub.app.demo.openadr import OadrLine
from flexhub.app.demo.trading import Line
from flexhub.core.flexoffer import FlexOffer, State
from flexhub.core.judge import violations
from flexhub.core.timeseries import Measurement, Quality
from flexhub.core.trading import Bill, Contract, Disposition, FlexRequest
from flexhub.engines.slots import Assignment
from flexhub.protocols.openadr2b import messages as oadr
from flexhub.protocols.openadr2b.codec import OadrCodec
from flexhub.protocols.openadr2b.elements import Message, PayloadFloat, SignalPayload
from flexhub.protocols.openadr2b.rules import findings
from flexhub.protocols.openadr2b.times import length
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.checks import powers
from flexhub.protocols.uftp.codec import UftpCodec
from flexhub.protocols.uftp.times import instant
from tests import programs
from tests.app.demo.play import dumped, play, usual_day

W = TypeVar("W", bound=wire.Payload)
M = TypeVar("M", bound=Message)

CODEC = UftpCodec()
OADR = OadrCodec()
POWER_KW = 6.656
SLOT = timedelta(minutes=15)
FILE = "data/acn/caltech_2020-02-01_2020-05-31.csv.gz"


@dataclass
class Played:
    result: dict[str, Any]
    offers: dict[str, FlexOffer]
    assignments: list[Assignment]
    measurements: list[Measurement]
    bills: list[Bill]
    contracts: dict[str, Contract]
    requests: list[FlexRequest]
    lines: list[Line]
    oadr: list[OadrLine]

    def metered(self) -> dict[str, float]:
        """Energy under each offer."""
        energy: dict[str, float] = defaultdict(float)
        for m in self.measurements:
            energy[m.offer or ""] += sum(v or 0.0 for v in m.values_kwh)
        return energy


def read(result: dict[str, Any], folder: Path) -> Played:
    return Played(
        result=result,
        offers={o.id: o for o in dumped(FlexOffer, folder / "offers.jsonl")},
        assignments=dumped(Assignment, folder / "schedules.jsonl"),
        measurements=dumped(Measurement, folder / "measurements.jsonl"),
        bills=dumped(Bill, folder / "bills.jsonl"),
        contracts={c.id: c for c in dumped(Contract, folder / "contracts.jsonl")},
        requests=dumped(FlexRequest, folder / "requests.jsonl"),
        lines=dumped(Line, folder / "uftp.jsonl"),
        oadr=dumped(OadrLine, folder / "openadr.jsonl"),
    )


@pytest.fixture(scope="module")
def builtin(tmp_path_factory: pytest.TempPathFactory) -> Played:
    day = usual_day(tmp_path_factory)
    return read(day.result, day.dump)


@pytest.fixture(scope="module")
def real(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Played:
    folder = tmp_path_factory.mktemp("real")
    return read(play("--sessions", shared / FILE, "--dump", folder), folder)


@pytest.fixture(params=["builtin", "real"])
def played(request: pytest.FixtureRequest) -> Played:
    found: Played = request.getfixturevalue(request.param)
    return found


def test_what_the_object_claims_is_good(played: Played) -> None:
    r = played.result
    assert r["violations"] == r["sessions_short"] == r["rejected"] == r["expired"] == r["readings_missing"] == 0
    assert r["offers"] == r["accepted"] == r["assigned"] == r["settled"] == len(played.offers)
    assert r["peak_after_kw"] < 0.75 * r["peak_before_kw"]
    assert r["delivered_kwh"] == pytest.approx(r["requested_kwh"], abs=0.1)
    assert r["messages"] > r["offers"] * 5
    assert 0 < r["seconds"] < 100


def test_the_judge_finds_nothing_in_the_dump(played: Played) -> None:
    assert len(played.assignments) == played.result["assigned"]
    for assignment in played.assignments:
        offer = played.offers[assignment.offer]
        assert violations(offer, assignment.schedule) == []
        assert assignment.schedule == offer.schedule
        assert offer.state is State.SETTLED


def test_the_judge_would_find_a_changed_schedule(played: Played) -> None:
    assignment = next(a for a in played.assignments if a.schedule.energy_kwh() > 1)
    offer = played.offers[assignment.offer]
    assert offer.default_schedule is not None
    late = offer.default_schedule.start + SLOT
    assert violations(offer, type(assignment.schedule)(start=late, slices=assignment.schedule.slices))


def test_peaks_are_those_of_the_dump(played: Played) -> None:
    before: dict[datetime, float] = defaultdict(float)
    after: dict[datetime, float] = defaultdict(float)
    for offer in played.offers.values():
        assert offer.default_schedule is not None
        for i, energy in enumerate(offer.default_schedule.per_slot_kwh()):
            before[offer.default_schedule.start + i * SLOT] += energy
    for m in played.measurements:
        for i, value in enumerate(m.values_kwh):
            after[m.start + i * SLOT] += value or 0.0
    assert played.result["peak_before_kw"] == pytest.approx(4 * max(before.values()), rel=0.02)
    assert played.result["peak_after_kw"] == pytest.approx(4 * max(after.values()), abs=1e-3)


def test_meters_are_noisy_and_lose_readings_but_add_up(played: Played) -> None:
    flags = [m.flag(i) for m in played.measurements for i in range(len(m.values_kwh))]
    assert flags.count(Quality.ESTIMATED) == played.result["readings_estimated"] > 0
    assert Quality.MISSING not in flags
    assert sum(played.metered().values()) == pytest.approx(played.result["delivered_kwh"], abs=1e-2)
    scheduled = {
        (o.id, o.schedule.start + i * SLOT): energy
        for o in played.offers.values()
        if o.schedule is not None
        for i, energy in enumerate(o.schedule.per_slot_kwh())
    }
    off = [
        abs((value or 0.0) - scheduled[m.offer or "", m.start + i * SLOT])
        for m in played.measurements
        for i, value in enumerate(m.values_kwh)
        if (m.offer or "", m.start + i * SLOT) in scheduled
    ]
    assert sum(deviation > 1e-3 for deviation in off) > len(off) / 10


def test_the_grid_operator_asked_for_less_at_the_peak_and_left_room_elsewhere(played: Played) -> None:
    assert played.requests
    for request in played.requests:
        if request.issuer == "utility":
            continue
        kinds = {i.disposition for i in request.intervals}
        assert Disposition.REQUESTED in kinds
        assert kinds <= set(Disposition)
        # By the aggregator's own prognosis: its share of the limit, and a tenth less, which is asked for in reserve.
        asked = [4 * (i.hi_kwh or 0.0) for i in request.intervals]
        assert asked == pytest.approx([0.9 * 7 / 8 * played.result["limit_kw"]] * len(asked), abs=0.01)
    assert played.result["over_limit_after_kwh"] < 0.2 * played.result["over_limit_before_kwh"]


def said(played: Played, kind: type[W]) -> dict[str, W]:
    """Messages of a type, by id."""
    read = [CODEC.decode(line.xml.encode()) for line in played.lines]
    return {message.message_id: message for message in read if isinstance(message, kind)}


def test_every_question_of_uftp_has_its_answer_and_each_message_is_of_its_standard(played: Played) -> None:
    assert len(played.lines) == played.result["uftp_messages"] > 20
    assert [(line.sent, line.type) for line in played.lines] == [
        (found.time_stamp, wire.element(type(found)))
        for found in map(CODEC.decode, (x.xml.encode() for x in played.lines))
    ]
    counts = Counter(line.type for line in played.lines)
    for asked, answer in wire.RESPONSES.items():
        assert counts[wire.element(asked)] == counts[wire.element(answer)]
    assert counts["D-Prognosis"] >= counts["FlexRequest"] >= counts["FlexOffer"] >= counts["FlexOrder"] > 0
    assert counts["Metering"] == counts["FlexSettlement"] == 1


def test_orders_are_of_an_option_of_an_offer_some_of_a_part_of_it_and_their_price_is_its_share(builtin: Played) -> None:
    offers, orders = said(builtin, wire.FlexOffer), said(builtin, wire.FlexOrder).values()
    assert len(orders) == builtin.result["uftp_orders"]
    assert any(len(offer.offer_options) > 1 for offer in offers.values())
    assert any(order.activation_factor < 1 for order in orders)
    left_out = 0.0
    for order in orders:
        offer = offers[order.flex_offer_message_id or ""]
        (option,) = [o for o in offer.offer_options if o.option_reference == order.option_reference]
        assert option.min_activation_factor <= order.activation_factor <= 1
        assert abs(order.price - option.price * order.activation_factor) <= Decimal("0.0001")
        watts = [int((isp.power_w * order.activation_factor).to_integral_value()) * isp.duration for isp in option.isps]
        left_out += sum(-w for w in watts if w < 0) / 4000
    assert builtin.result["ordered_kwh"] == pytest.approx(left_out, abs=0.01)


def test_what_is_paid_for_orders_follows_from_the_messages_and_is_the_same_on_both_sides(played: Played) -> None:
    r = played.result
    assert r["grid_pays_eur"] == r["grid_paid_eur"]
    (told,) = said(played, wire.FlexSettlement).values()
    (answer,) = said(played, wire.FlexSettlementResponse).values()
    verdicts = {status.disposition for status in answer.flex_order_settlement_statuses}
    assert verdicts == {wire.Verdict.ACCEPTED}
    prognoses, orders = said(played, wire.DPrognosis), said(played, wire.FlexOrder)
    (metering,) = said(played, wire.Metering).values()
    taken_w = {isp.start: isp.value * 1000 for isp in metering.profiles[0].isps}
    total = Decimal(0)
    for item in told.flex_order_settlements:
        order = orders[item.order_reference or ""]  # our references are MessageIDs
        told_w = powers(prognoses[order.d_prognosis_message_id or ""].isps)
        ordered = {n: int((w * order.activation_factor).to_integral_value()) for n, w in powers(order.isps).items()}
        done = lacking = 0
        for n, w in ordered.items():
            sign = 1 if w > 0 else -1
            moved = sign * (int(taken_w[n].to_integral_value()) - told_w[n])
            done += min(max(moved, 0), abs(w))
            lacking += max(0, abs(w) - moved)
        earned = order.price * done / sum(map(abs, ordered.values()))
        net = cent(earned) - cent(Decimal(lacking) / 1_000_000)
        assert item.net_settlement == net
        total += net
    assert Decimal(r["grid_paid_eur"]) == total


# -- OpenADR ----------------------------------------------------------------------------------------------------------


def of_vens(played: Played) -> list[FlexOffer]:
    return [offer for offer in played.offers.values() if "ven_id" in offer.extras]


def told(played: Played, kind: type[M]) -> list[tuple[OadrLine, M]]:
    """Messages of a type."""
    read = [(line, OADR.decode(line.xml.encode())) for line in played.oadr]
    return [(line, message) for line, message in read if isinstance(message, kind)]


def test_vens_offer_by_reports_and_availabilities_and_are_dispatched_by_events(played: Played) -> None:
    offers = of_vens(played)
    assert len(offers) == played.result["ven_offers"] == played.result["ven_events"] > 3
    assert {o.issuer for o in offers} <= {line.ven for line in played.oadr}
    assert any(o.schedule is not None and o.schedule.start != o.start_after for o in offers), "they wait"
    windows = {one.opt_id: one for _, one in told(played, oadr.OadrCreateOpt)}
    reports = {
        report.ei_report_id: report
        for _, one in told(played, oadr.OadrUpdateReport)
        for report in one.oadr_reports
        if report.ei_report_id is not None
    }
    events = {
        one.oadr_events[0].ei_event.event_descriptor.event_id: one.oadr_events[0].ei_event
        for line, one in told(played, oadr.OadrDistributeEvent)
        if line.vtn == "aggregator"
    }
    for offer in offers:
        name = offer.extras["ei_report_id"]
        (window,) = windows[name].vavailability or ()
        assert instant(window.dtstart) == offer.start_after
        assert len(reports[name].intervals or ()) == len(offer.profiles[0].slices)
        event = events[offer.id]
        assert offer.schedule is not None
        assert instant(event.ei_active_period.properties.dtstart) == offer.schedule.start
        (signal,) = event.ei_event_signals.ei_event_signals
        assert (signal.signal_name, signal.signal_type) == ("LOAD_DISPATCH", "setpoint")
        energy = sum(
            payload.payload_base.value * instant_length(one.duration or "") / 3600
            for one in signal.intervals
            for payload in one.stream_payload_base
            if isinstance(payload, SignalPayload) and isinstance(payload.payload_base, PayloadFloat)
        )
        assert energy == pytest.approx(offer.schedule.energy_kwh())


def instant_length(duration: str) -> int:
    return length(duration).seconds


def test_vens_opt_in_and_are_billed_by_what_they_reported(played: Played) -> None:
    said = {
        response.qualified_event_id.event_id: response.opt_type
        for line, one in told(played, oadr.OadrCreatedEvent)
        if line.vtn == "aggregator"
        for response in one.ei_created_event.event_responses or ()
    }
    offers = of_vens(played)
    assert said == {offer.id: "optIn" for offer in offers}
    assert len(said) == played.result["ven_opted_in"]
    metered = played.metered()
    for offer in offers:
        due = sum(r.lo_kwh for piece in offer.profiles[0].slices for r in piece.energy_kwh)
        assert metered[offer.id] >= due - 0.01
        billed = any(line.offer == offer.id for bill in played.bills for line in bill.lines)
        assert billed is (offer.start_before != offer.start_after)


def test_every_message_of_openadr_keeps_the_rules(played: Played) -> None:
    assert len(played.oadr) == played.result["openadr_messages"] > 100
    for line in played.oadr:
        message = OADR.decode(line.xml.encode())
        assert findings(message) == []
        assert type(message).__name__.lower() == line.type.lower()


def test_a_utilitys_event_moves_the_plan_and_is_opted_in_to(builtin: Played) -> None:
    (asked,) = [request for request in builtin.requests if request.issuer == "utility"]
    most = sum(interval.hi_kwh or 0.0 for interval in asked.intervals)
    assert builtin.result["call_most_kwh"] == pytest.approx(most, abs=0.001)
    (event,) = [one for line, one in told(builtin, oadr.OadrDistributeEvent) if line.vtn == "utility"]
    (signal,) = event.oadr_events[0].ei_event.ei_event_signals.ei_event_signals
    assert signal.signal_name == "LOAD_CONTROL"
    (answer,) = [one for line, one in told(builtin, oadr.OadrCreatedEvent) if line.vtn == "utility"]
    (response,) = answer.ei_created_event.event_responses or ()
    assert response.opt_type == builtin.result["call_opt"] == "optIn"
    assert builtin.result["call_after_kwh"] < builtin.result["call_before_kwh"] - 1


def cent(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), ROUND_HALF_EVEN)


def cents(amount: float) -> Decimal:
    return Decimal(repr(amount)).quantize(Decimal("0.01"), ROUND_HALF_EVEN)


def earned(offer: FlexOffer, contract: Contract, readings: dict[datetime, float]) -> Decimal:
    """The contract's formula, written once more: rewards per item, rounded, if the schedule was kept."""
    schedule, default = offer.schedule, offer.default_schedule
    assert schedule is not None
    assert default is not None
    planned, usual = schedule.per_slot_kwh(), default.per_slot_kwh()
    off = sum(abs(readings[schedule.start + i * SLOT] - e) for i, e in enumerate(planned)) / len(planned)
    if off > contract.imbalance_limit_kwh + 1e-6:
        return Decimal(0)
    moved = sum(abs(a - b) for a, b in zip(planned, usual, strict=True))
    shift = abs(schedule.start - default.start) / SLOT  # only what VENs offer may begin later
    last = offer.start_before or schedule.start
    slots = (last - (offer.start_after or last)) / SLOT
    room = sum(r.hi_kwh - r.lo_kwh for s in offer.profiles[0].slices for r in s.energy_kwh)
    return (
        cents(room * contract.per_energy_flexibility_eur_per_kwh)
        + cents((moved > 1e-3 or shift > 0) * contract.per_activation_eur)
        + cents(moved * contract.per_deviation_eur_per_kwh)
        + cents(slots * contract.per_time_flexibility_eur)
        + cents(shift * contract.per_start_shift_eur)
    )


def test_bills_follow_from_contract_schedule_and_readings(played: Played) -> None:
    readings: dict[str, dict[datetime, float]] = defaultdict(dict)
    for m in played.measurements:
        for i, value in enumerate(m.values_kwh):
            readings[m.offer or ""][m.start + i * SLOT] = value or 0.0
    billed = Decimal(0)
    unpaid = 0
    for offer in played.offers.values():
        lines = [x for b in played.bills for x in b.lines if x.offer == offer.id]
        amount = sum((x.amount for x in lines), Decimal(0))
        assert amount == earned(offer, played.contracts[offer.contract or ""], readings[offer.id])
        billed += amount
        unpaid += amount == 0 and bool(lines)  # a VEN whose charging cannot begin later offers nothing to be paid for
    assert float(billed) == played.result["billed_eur"] > 0
    assert unpaid == played.result["unpaid_offers"]


def test_every_session_of_the_file_gets_what_it_asked_for_or_its_stay_allows(real: Played, shared: Path) -> None:
    with gzip.open(shared / FILE, "rt") as file:
        rows = [r for r in csv.DictReader(file) if r["arrival"].startswith(real.result["day"])]
    assert len(rows) == real.result["offers"] == 46
    metered = real.metered()
    # A VEN's offer has an id of the hub's; the report that it was named it as the station does.
    metered |= {o.extras["ei_report_id"]: metered[o.id] for o in real.offers.values() if "ven_id" in o.extras}
    for row in rows:
        stay = datetime.fromisoformat(row["departure"]) - datetime.fromisoformat(row["arrival"])
        due = min(float(row["requested_energy (kWh)"]), POWER_KW * stay.total_seconds() / 3600)
        assert metered[row["session_id"].replace(" ", "_")] == pytest.approx(due, abs=2e-3)


def test_the_same_seed_plays_the_same_day(builtin: Played, tmp_path: Path) -> None:
    again = read(play("--dump", tmp_path, "--seed", "1", "--agents", "3"), tmp_path)
    assert again.offers == builtin.offers
    assert {b.id: b for b in again.bills} == {b.id: b for b in builtin.bills}
    timing = ("seconds", "messages")
    assert {k: v for k, v in again.result.items() if k not in timing} == {
        k: v for k, v in builtin.result.items() if k not in timing
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--day", "2019-13-01"), "not a date"),
        (("--zone", "Mars/Base"), "time zone"),
        (("--listen", "0.0.0.0:0"), "loopback"),
        (("--power", "6 kWh"), "unit of power"),
        (("--sessions", "no-such-file.csv"), "no-such-file.csv"),
    ],
)
def test_wrong_arguments_are_told_in_a_sentence(arguments: tuple[str, ...], words: str) -> None:
    done = programs.run("demo", "--exit", *arguments)
    assert done.code == 2, done.err
    assert words in done.err
    assert "Traceback" not in done.err
