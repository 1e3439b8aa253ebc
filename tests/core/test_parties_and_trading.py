"""Registry, time series and trading: each refused document beside its accepted twin."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from flexhub.core import documents
from flexhub.core.errors import InvalidError
from flexhub.core.registry import Connection, Party, Resource
from flexhub.core.timeseries import Measurement, Quality, SeriesKind, TimeSeries
from flexhub.core.trading import (
    TERMS,
    Aggregate,
    Basis,
    Bid,
    Bill,
    BillLine,
    Contract,
    FlexRequest,
    GridModel,
    Member,
    Order,
    Side,
    Trade,
    Verdict,
)
from tests.core.reject import Reject, check
from tests.core.test_judge import NOON, QUARTER, offer

AT, LATER, OFF_GRID = "2026-03-29T12:00:00Z", "2026-03-29T13:00:00Z", "2026-03-29T12:00:01Z"
PARTY = {"id": "p", "name": "Pat", "roles": ["prosumer"]}
CONNECTION = {"id": "c", "party": "p", "ean": "ean.871234567890123456"}
RESOURCE = {"id": "r", "connection": "c", "kind": "ev", "max_consumption_kw": 11.0}
SERIES = {"subject": "p", "kind": "measurement", "start": AT, "values_kwh": [1.0, None]}
MEASUREMENT = {"subject": "p", "start": AT, "values_kwh": [1.0, None], "quality": ["measured", "missing"]}
REQUEST: dict[str, Any] = {
    "id": "f",
    "issuer": "dso",
    "recipient": "agr",
    "congestion_point": "cp",
    "created": AT,
    "expires": LATER,
    "start": AT,
    "intervals": [{"slot": 0, "lo_kwh": -1.0, "hi_kwh": 0.0}, {"slot": 2, "disposition": "available", "hi_kwh": 3.0}],
}
ORDER = {"id": "o", "issuer": "dso", "recipient": "agr", "start": AT, "deviation_kwh": [1.0]}
BID = {"id": "b", "party": "agr", "side": "sell", "start": AT, "quantity_kwh": 1.0, "price_eur_per_kwh": 0.1}
TRADE = {"bid": "b", "party": "agr", "side": "sell", "start": AT, "quantity_kwh": 1.0, "price_eur_per_kwh": 0.1}
CONTRACT = {"id": "k", "prosumer": "p", "aggregator": "agr", "valid_from": AT, "valid_until": LATER, "fixed_eur": 1.0}
LINE = {"item": "fixed", "quantity": 1.0, "unit": "day", "unit_price_eur": 1.0, "amount": "1.00", "basis": "factual"}
BILL: dict[str, Any] = {"id": "b", "contract": "k", "party": "p", "start": AT, "end": LATER, "lines": [LINE]}
GRID: dict[str, Any] = {
    "points": [{"id": "a", "limit_kw": 10.0}, {"id": "b"}],
    "lines": [{"id": "l", "source": "a", "sink": "b", "limit_kw": 5.0}],
}
AGGREGATE: dict[str, Any] = {
    "offer": msgspec.json.decode(documents.encode(offer())),
    "members": [{"offer": "x"}, {"offer": "y", "offset": 2}],
    "method": "start-align",
}

REJECTS = [
    Reject("a party without a role", Party, PARTY, ("roles",), [], "Party/roles"),
    Reject("an unknown role", Party, PARTY, ("roles", 0), "king", "Party/roles[0]"),
    Reject("an EAN with letters", Connection, CONNECTION, ("ean",), "ean.87123456789012345x", "Connection/ean"),
    Reject("an EAN too short", Connection, CONNECTION, ("ean",), "ean.12345678901", "Connection/ean"),
    Reject(
        "an EAN that ends in a newline", Connection, CONNECTION, ("ean",), "ean.871234567890123456\n", "Connection/ean"
    ),
    Reject("negative power", Resource, RESOURCE, ("max_consumption_kw",), -1.0, "Resource/max_consumption_kw"),
    Reject("a series off the grid", TimeSeries, SERIES, ("start",), OFF_GRID, "TimeSeries/start"),
    Reject("a series of text", TimeSeries, SERIES, ("values_kwh", 0), "1", "TimeSeries/values_kwh[0]"),
    Reject("readings off the grid", Measurement, MEASUREMENT, ("start",), OFF_GRID, "Measurement/start"),
    Reject("no readings", Measurement, MEASUREMENT, ("values_kwh",), [], "Measurement/values_kwh"),
    Reject("a flag missing", Measurement, MEASUREMENT, ("quality",), ["measured"], "Measurement/quality"),
    Reject(
        "a missing reading with a value", Measurement, MEASUREMENT, ("values_kwh", 1), 2.0, "Measurement/quality[1]"
    ),
    Reject(
        "a measured reading without one", Measurement, MEASUREMENT, ("values_kwh", 0), None, "Measurement/quality[0]"
    ),
    Reject("a request off the grid", FlexRequest, REQUEST, ("start",), OFF_GRID, "FlexRequest/start"),
    Reject(
        "expired when created",
        FlexRequest,
        REQUEST,
        ("expires",),
        "2026-03-29T11:00:00Z",
        "FlexRequest/expires",
        "UFTP-25",
    ),
    Reject("no interval", FlexRequest, REQUEST, ("intervals",), [], "FlexRequest/intervals"),
    Reject(
        "lo above hi",
        FlexRequest,
        REQUEST,
        ("intervals", 0, "lo_kwh"),
        1.0,
        "FlexRequest/intervals[0]/lo_kwh",
        "UFTP-34",
    ),
    Reject(
        "a slot twice", FlexRequest, REQUEST, ("intervals", 1, "slot"), 0, "FlexRequest/intervals[1]/slot", "UFTP-23"
    ),
    Reject(
        "nothing requested",
        FlexRequest,
        REQUEST,
        ("intervals", 0, "disposition"),
        "available",
        "FlexRequest/intervals",
        "UFTP-32",
    ),
    Reject("a negative revision", FlexRequest, REQUEST, ("revision",), -1, "FlexRequest/revision"),
    Reject("an order off the grid", Order, ORDER, ("start",), OFF_GRID, "Order/start"),
    Reject("an order of nothing", Order, ORDER, ("deviation_kwh",), [], "Order/deviation_kwh"),
    Reject("an activation factor of zero", Order, ORDER, ("activation_factor",), 0.0, "Order/activation_factor"),
    Reject("a currency of four letters", Order, ORDER, ("currency",), "EURO", "Order/currency"),
    Reject("a currency that ends in a newline", Order, ORDER, ("currency",), "EUR\n", "Order/currency"),
    Reject("a bid off the grid", Bid, BID, ("start",), OFF_GRID, "Bid/start"),
    Reject("a bid of nothing", Bid, BID, ("quantity_kwh",), 0.0, "Bid/quantity_kwh"),
    Reject("a share over one", Bid, BID, ("min_share",), 1.5, "Bid/min_share"),
    Reject("an unknown side", Bid, BID, ("side",), "hold", "Bid/side"),
    Reject("a trade off the grid", Trade, TRADE, ("start",), OFF_GRID, "Trade/start"),
    Reject("a negative trade", Trade, TRADE, ("quantity_kwh",), -1.0, "Trade/quantity_kwh"),
    Reject("a contract of no time", Contract, CONTRACT, ("valid_until",), AT, "Contract/valid_until"),
    Reject("a negative reward", Contract, CONTRACT, ("fixed_eur",), -1.0, "Contract/fixed_eur"),
    Reject("an unknown scope", Contract, CONTRACT, ("scopes",), ["gossip"], "Contract/scopes[0]"),
    Reject("a bill of no time", Bill, BILL, ("end",), AT, "Bill/end"),
    Reject("an amount that is none", Bill, BILL, ("lines", 0, "amount"), "NaN", "Bill/lines[0]/amount"),
    Reject("an unknown basis", Bill, BILL, ("lines", 0, "basis"), "hearsay", "Bill/lines[0]/basis"),
    Reject("a point twice", GridModel, GRID, ("points", 1, "id"), "a", "GridModel/points"),
    Reject("a line to nowhere", GridModel, GRID, ("lines", 0, "sink"), "c", "GridModel/lines[0]"),
    Reject("a line to where it begins", GridModel, GRID, ("lines", 0, "sink"), "a", "GridModel/lines[0]"),
    Reject("an aggregate of none", Aggregate, AGGREGATE, ("members",), [], "Aggregate/members"),
    Reject("a member twice", Aggregate, AGGREGATE, ("members", 1, "offer"), "x", "Aggregate/members"),
    Reject("a negative offset", Aggregate, AGGREGATE, ("members", 1, "offset"), -1, "Aggregate/members[1]/offset"),
]


@pytest.mark.parametrize("case", REJECTS, ids=lambda case: f"{case.kind.__name__}: {case.name}")
def test_a_document_is_refused_for_one_field_and_its_twin_is_not(case: Reject) -> None:
    check(case)


@pytest.mark.parametrize(
    ("kind", "good", "field"),
    [
        (Resource, RESOURCE, "max_production_kw"),
        (Bid, BID, "price_eur_per_kwh"),
        (Trade, TRADE, "price_eur_per_kwh"),
        (FlexRequest, REQUEST, "price_eur_per_kwh"),
        (TimeSeries, SERIES, "values_kwh"),
        (Order, ORDER, "deviation_kwh"),
        *((Contract, CONTRACT, name) for name in TERMS),
    ],
)
def test_only_finite_numbers_are_taken(kind: type[Any], good: dict[str, Any], field: str) -> None:
    value = documents.decode(kind, msgspec.json.encode(good))
    many = isinstance(getattr(value, field), tuple)
    msgspec.structs.replace(value, **{field: (1.0,) if many else 1.0})
    for bad in (float("nan"), float("inf")):
        with pytest.raises(InvalidError):
            msgspec.structs.replace(value, **{field: (bad,) if many else bad})


def test_every_number_of_a_contract_is_a_term() -> None:
    assert len(TERMS) == 7


def test_a_series_tells_when_each_value_holds() -> None:
    series = TimeSeries(subject="p", kind=SeriesKind.BASELINE, start=NOON, values_kwh=(1.0, None))
    assert list(series.items()) == [(NOON, 1.0), (NOON + QUARTER, None)]


def test_readings_without_flags_are_measured_or_missing() -> None:
    readings = Measurement(subject="p", start=NOON, values_kwh=(1.0, None))
    assert [readings.flag(i) for i in range(2)] == [Quality.MEASURED, Quality.MISSING]
    flagged = Measurement(subject="p", start=NOON, values_kwh=(1.0,), quality=(Quality.SUSPECT,))
    assert flagged.flag(0) is Quality.SUSPECT


def test_a_contract_covers_its_beginning_but_not_its_end() -> None:
    contract = Contract(id="k", prosumer="p", aggregator="a", valid_from=NOON, valid_until=NOON + QUARTER)
    second = timedelta(seconds=1)
    assert [contract.covers(t) for t in (NOON - second, NOON, NOON + QUARTER - second, NOON + QUARTER)] == [
        False,
        True,
        True,
        False,
    ]
    assert Contract(id="k", prosumer="p", aggregator="a", valid_from=NOON).covers(NOON + 99 * QUARTER)


def test_a_bill_adds_what_is_paid_by_its_basis() -> None:
    def line(amount: str, basis: Basis, verdict: Verdict = Verdict.PAID) -> BillLine:
        return BillLine(
            item="x",
            quantity=1.0,
            unit="kWh",
            unit_price_eur=1.0,
            amount=Decimal(amount),
            basis=basis,
            verdict=verdict,
        )

    bill = Bill(
        id="b",
        contract="k",
        party="p",
        start=NOON,
        end=NOON + QUARTER,
        lines=(
            line("0.10", Basis.FACTUAL),
            line("0.20", Basis.FACTUAL),
            line("0.40", Basis.PREDICTED),
            line("0.80", Basis.FACTUAL, Verdict.REFUSED),
            line("1.60", Basis.FACTUAL, Verdict.UNVERIFIED),
        ),
    )
    assert bill.total(Basis.FACTUAL) == Decimal("0.30")
    assert bill.total(Basis.PREDICTED) == Decimal("0.40")


def test_values_compare_by_what_they_hold() -> None:
    assert Member("x") == Member("x", 0)
    assert Trade(
        bid="b", party="p", side=Side.BUY, start=NOON, quantity_kwh=1.0, price_eur_per_kwh=0.1
    ) != documents.decode(Trade, msgspec.json.encode(TRADE))
