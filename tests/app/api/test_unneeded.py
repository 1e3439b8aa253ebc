"""What the bill says of an offer that was accepted and that nobody needed: by the real manager, from post to bill."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import msgspec
import pytest

from flexhub.app.config import ContractSection, EnergyPrice, Money, PartySection
from flexhub.core.flexoffer import FlexOffer
from flexhub.core.registry import Role
from flexhub.engines.reference.manager import ReferenceManager
from tests.app.api.live import Live, config, live
from tests.app.market import AGGREGATOR, NOON, make_offer

HOUR = timedelta(hours=1)
CONTRACT = ContractSection(
    id="c-ann",
    per_time_flexibility=Money(0.01),
    per_energy_flexibility=EnergyPrice(0.05),
    per_activation=Money(1.0),
    per_deviation=EnergyPrice(1.0),
)
OFFERED = {"time flexibility": "0.08", "energy flexibility": "0.30"}
"""Starts from 13:00 to 15:00 are 8 slots at 0.01 EUR; 4 slices of 0.5 to 2 kWh are 6 kWh at 0.05 EUR."""


@pytest.fixture
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    party = PartySection(id="ann", roles=(Role.PROSUMER,), contract=CONTRACT)
    configured = msgspec.structs.replace(config(tmp_path_factory.mktemp("hub")), party=(party,))
    with live(configured, engine=ReferenceManager(party=AGGREGATOR)) as running:
        yield running


def post(hub: Live, offer: FlexOffer) -> None:
    answer = hub.request("POST", "/flexoffer", "ann", offer)
    assert (answer.status, answer.json["state"]) == (201, "accepted")


def bills(hub: Live) -> list[tuple[str, dict[str, str], str, str]]:
    """Start of the day, item -> amount, what is final and what is predicted, of every bill after a settlement."""
    assert hub.request("POST", "/settlement", AGGREGATOR).status == 202
    hub.quiet()
    found = hub.get("/bill")["items"]
    told = []
    for bill in found:
        lines = bill["lines"]
        sums = {
            basis: sum(float(x["amount"]) for x in lines if x["basis"] == basis) for basis in ("factual", "predicted")
        }
        amounts = {x["item"]: x["amount"] for x in lines}
        told.append((bill["start"], amounts, f"{sums['factual']:.2f}", f"{sums['predicted']:.2f}"))
    return told


def test_an_accepted_offer_that_expires_is_paid_for_its_flexibility_and_nothing_else(hub: Live) -> None:
    post(hub, make_offer("unneeded", "ann"))
    assert bills(hub) == [("2026-03-02T00:00:00Z", OFFERED, "0.00", "0.38")]
    hub.clock.now = NOON + HOUR
    hub.quiet()
    assert hub.get("/flexoffer/unneeded")["state"] == "expired"
    assert bills(hub) == [("2026-03-02T00:00:00Z", OFFERED, "0.38", "0.00")]


def test_it_is_billed_though_no_settlement_saw_it_before_it_expired(hub: Live) -> None:
    post(hub, make_offer("unseen", "ann"))
    hub.clock.now = NOON + 6 * HOUR
    hub.quiet()
    assert bills(hub) == [("2026-03-02T00:00:00Z", OFFERED, "0.38", "0.00")]


def test_one_that_is_taken_back_earns_nothing_and_leaves_its_bill(hub: Live) -> None:
    post(hub, make_offer("regretted", "ann"))
    assert len(bills(hub)) == 1
    assert hub.request("DELETE", "/flexoffer/regretted").status == 200
    assert bills(hub) == [("2026-03-02T00:00:00Z", {}, "0.00", "0.00")]


def test_one_that_is_moved_is_billed_on_its_new_day_only(hub: Live) -> None:
    post(hub, make_offer("moved", "ann"))
    assert len(bills(hub)) == 1
    later = make_offer("moved", "ann", now=NOON + 24 * HOUR)
    assert hub.request("PUT", "/flexoffer/moved", "ann", msgspec.structs.replace(later, created=NOON)).status == 200
    assert bills(hub) == [
        ("2026-03-02T00:00:00Z", {}, "0.00", "0.00"),
        ("2026-03-03T00:00:00Z", OFFERED, "0.00", "0.38"),
    ]


def test_a_bill_that_would_say_nothing_is_none(hub: Live) -> None:
    post(hub, make_offer("canceled", "ann"))
    assert hub.request("DELETE", "/flexoffer/canceled").status == 200
    assert bills(hub) == []
