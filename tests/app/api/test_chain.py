"""From an accepted offer to its bill: schedules, readings, series, key figures and what is paid."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from flexhub.core.timeseries import Measurement, Quality
from tests.app.api.live import Live
from tests.app.market import AGGREGATOR, NOON, make_offer

HOUR = timedelta(hours=1)
DAY = "2026-03-02T00:00:00Z/2026-03-03T00:00:00Z"


def reading(
    offer: str | None, subject: str = "ann", *, slots: int = 4, hours: int = 1, kwh: float = 0.5
) -> Measurement:
    return Measurement(subject=subject, start=NOON + hours * HOUR, values_kwh=(kwh,) * slots, offer=offer)


@pytest.fixture
def executed(fresh: Live) -> Live:
    """Two offers of ann and one of bob, executed from 13:00 to 14:00; it is 14:00."""
    for name, who in (("a1", "ann"), ("a2", "ann"), ("b1", "bob")):
        assert fresh.request("POST", "/flexoffer", who, make_offer(name, who)).status == 201
    fresh.plan()
    for hours in (1, 2):
        fresh.clock.now = NOON + hours * HOUR
        fresh.quiet()
    return fresh


def post(hub: Live, body: msgspec.Struct | bytes, who: str = "ann") -> Any:
    return hub.request("POST", "/flexoffer/measurement", who, body)


def test_bills_are_predicted_until_measured_and_then_final(executed: Live) -> None:
    hub = executed
    assert hub.request("POST", "/settlement", AGGREGATOR).status == 202
    hub.quiet()
    bills = hub.get("/bill")
    assert (bills["factual_eur"], bills["predicted_eur"]) == ("0.00", "2.00")
    assert post(hub, msgspec.json.encode([reading("a1"), reading("a2")])).json == {"accepted": 2}
    assert hub.request("POST", "/settlement", AGGREGATOR).status == 202
    hub.quiet()
    bills = hub.get("/bill")
    assert (bills["factual_eur"], bills["predicted_eur"]) == ("2.00", "0.00")
    assert len(bills["items"]) == 1
    assert hub.get("/flexoffer/a1")["state"] == "settled"
    assert hub.get("/flexoffer")["items"] == []
    # Bob has not measured: his amount stays predicted, until the grace period is over.
    assert hub.get("/flexoffer/b1", "bob")["state"] == "executed"
    assert hub.get("/bill", AGGREGATOR)["predicted_eur"] == "1.00"
    assert hub.get("/bill", "other-agr")["items"] == []
    hub.clock.now += HOUR
    assert hub.request("POST", "/settlement", AGGREGATOR).status == 202
    hub.quiet()
    assert hub.get("/flexoffer/b1", "bob")["state"] == "settled"


def test_bills_of_other_days_are_left_out(executed: Live) -> None:
    assert executed.request("POST", "/settlement", AGGREGATOR).status == 202
    executed.quiet()
    assert len(executed.get("/bill?from=2026-03-02T00:00:00Z&to=2026-03-03T00:00:00Z")["items"]) == 1
    assert executed.get("/bill?from=2026-03-03T00:00:00Z")["items"] == []


def test_series_are_sums_of_what_the_caller_may_see(executed: Live) -> None:
    assert post(executed, msgspec.json.encode([reading("a1"), reading("a2", "car-2", kwh=0.75)])).status == 201
    assert post(executed, reading("b1", "bob"), "bob").status == 201

    def energies(kind: str, who: str, query: str = "") -> dict[int, float]:
        (series,) = executed.get(f"/timeseries/{kind}/{DAY}{query}", who)["items"]
        assert series["kind"] == kind
        assert series["start"] == "2026-03-02T00:00:00Z"
        assert len(series["values_kwh"]) == 96
        return {i: v for i, v in enumerate(series["values_kwh"]) if v is not None}

    slots = range(52, 56)  # 13:00 to 14:00
    assert energies("schedule", "ann") == dict.fromkeys(slots, 1.0)
    assert energies("schedule", AGGREGATOR) == dict.fromkeys(slots, 1.5)
    assert energies("baseline", "ann") == dict.fromkeys(slots, 4.0)
    assert energies("measurement", "ann") == dict.fromkeys(slots, 1.25)
    assert energies("measurement", AGGREGATOR) == dict.fromkeys(slots, 1.75)
    assert energies("measurement", "ann", "?subject=car-2") == dict.fromkeys(slots, 0.75)
    assert energies("schedule", "ann", "?subject=a1") == dict.fromkeys(slots, 0.5)
    assert energies("schedule", "other-agr") == {}


def test_key_figures_are_of_the_day(executed: Live) -> None:
    kpi = executed.get("/kpi")
    assert kpi["offers"] == {"executed": 2}
    assert kpi["peak_baseline_kwh"] == 16.0
    # Each offer can take 0.5 to 2 kWh in a quarter-hour and start from 13:00 to 15:00, so it can stay out of any hour.
    assert kpi["flexibility_kwh"][13:16] == [16.0, 16.0, 16.0]
    assert kpi["adaptability"][13] == 1.0
    assert kpi["adaptability"][12] == 0.0
    assert executed.get("/kpi", AGGREGATOR)["offers"] == {"executed": 3}
    assert executed.get("/kpi?from=2026-03-05T00:00:00Z")["adaptability"] == [None] * 24


def test_readings_of_others_or_of_the_future_are_refused_whole(executed: Live) -> None:
    good = reading("a1")
    cases = [
        (reading("b1"), 404, "Measurement[1]/offer"),
        (reading("nothing"), 404, "Measurement[1]/offer"),
        (reading(None, "bob"), 404, "Measurement[1]/subject"),
        (reading("a1", hours=3), 422, "Measurement[1]/start"),
    ]
    before = executed.journal()
    for bad, status, path in cases:
        answer = post(executed, msgspec.json.encode([good, bad]))
        assert (answer.status, answer.json["path"]) == (status, path), bad
    assert post(executed, b"[]").status == 422
    unlike = post(executed, msgspec.json.encode([good, {"subject": "ann"}]))
    assert (unlike.status, unlike.json["path"]) == (422, "Measurement[1]")
    off_grid = msgspec.json.encode(good).replace(b"13:00:00", b"13:05:00")
    answer = post(executed, off_grid)
    assert (answer.status, answer.json["path"]) == (422, "Measurement/start")
    assert executed.journal() == before
    assert post(executed, msgspec.json.encode([good, reading(None)])).status == 201


def test_a_later_reading_replaces_an_earlier_one(executed: Live) -> None:
    missing = Measurement(
        subject="ann",
        start=NOON + HOUR,
        values_kwh=(None, 0.5),
        quality=(Quality.MISSING, Quality.MEASURED),
        offer="a1",
    )
    for values in (missing, reading("a1", slots=2)):
        assert post(executed, values).status == 201
    (series,) = executed.get(f"/timeseries/measurement/{DAY}")["items"]
    assert series["values_kwh"][52:55] == [0.5, 0.5, None]


def test_a_registered_subject_is_its_partys(executed: Live) -> None:
    entry = (
        b'{"party":{"id":"ann","name":"Ann","roles":["prosumer"]},'
        b'"connections":[{"id":"meter-1","party":"ann"}],"resources":[{"id":"car","connection":"meter-1","kind":"ev"}]}'
    )
    assert post(executed, reading(None, "car")).status == 404
    assert executed.request("PUT", "/party/ann", "root", entry).status == 201
    assert post(executed, reading(None, "car")).status == 201
    answer = post(executed, reading(None, "car"), "bob")
    assert (answer.status, answer.json["path"]) == (404, "Measurement/subject")
    stolen = entry.replace(b'"ann"', b'"bob"')
    assert executed.request("PUT", "/party/bob", "root", stolen).status == 409
