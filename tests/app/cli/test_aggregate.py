"""`flexhub aggregate`, `disaggregate` and `measure`, as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from flexhub.core.documents import encode
from flexhub.core.flexoffer import FlexOffer
from flexhub.core.judge import violations
from flexhub.engines.slots import Assignment
from tests.app.cli.conftest import Program
from tests.app.test_aggregating import OFFERS, schedule_of


@pytest.fixture
def offers(tmp_path: Path) -> Path:
    file = tmp_path / "offers.jsonl"
    file.write_bytes(b"".join(encode(offer) + b"\n" for offer in OFFERS))
    return file


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_what_fits_together_is_merged_the_loss_is_told_and_it_comes_apart(
    flexhub: Program, tmp_path: Path, offers: Path
) -> None:
    ran = flexhub("aggregate", offers, "--json", "--by", "location", "--by", "start_after=PT1H")
    assert (ran.code, ran.err) == (0, "")
    *groups, report = lines(ran.out)
    assert [[m["offer"] for m in one["aggregate"]["members"]] for one in groups] == [["a", "b"], ["c"], ["d"]]
    lost = report["losses"]
    assert (lost["offers"], lost["instead"], lost["time_slots"], lost["time_kept_slots"]) == (4, 3, 10, 8)
    assert [kept["prices"] for kept in lost["savings"]] == ["random", "smooth", "noisy"]
    assert all(kept["kept_eur"] <= kept["saving_eur"] + 1e-9 for kept in lost["savings"])
    (tmp_path / "aggregates.jsonl").write_text(ran.out)
    wholes = [msgspec.convert(one["aggregate"]["offer"], FlexOffer) for one in groups]
    plans = [Assignment(offer=one.id, schedule=schedule_of(one)) for one in wholes]
    (tmp_path / "plan.jsonl").write_bytes(b"".join(encode(plan) + b"\n" for plan in plans))
    asked = ("disaggregate", "aggregates.jsonl", "--offers", offers, "--schedules", "plan.jsonl")
    done = flexhub(*asked, "--json")
    assert (done.code, done.err) == (0, "")
    parts = {one["offer"]: msgspec.convert(one, Assignment).schedule for one in lines(done.out)}
    assert parts.keys() == {offer.id for offer in OFFERS}
    for offer in OFFERS:
        assert violations(offer, parts[offer.id]) == []
    assert "kWh" in flexhub(*asked).out


def test_tables_for_people(flexhub: Program, offers: Path) -> None:
    text = flexhub("aggregate", offers, "--by", "location", "--seed", "2").out
    for word in ("start-aligned", "alone", "time, slots", "saving at noisy prices, EUR"):
        assert word in text
    coupled = flexhub("aggregate", offers, "--no-losses", "--couple", "2", "--by", "location")
    assert coupled.code == 0
    assert "start-aligned" in coupled.out
    assert "parted: kinds slices, storage-like are not summed" in coupled.out
    ran = flexhub("aggregate", offers, "--no-losses", "--block", "PT30M", "--least", "1 MW")
    assert ran.code == 0
    for word in ("left: a: ", "left: d: not slices of one duration"):
        assert word in ran.out


def test_what_cannot_be_asked_is_one_sentence(flexhub: Program, offers: Path) -> None:
    for arguments, says in (
        (("--by", "location", "--balance"), "only one of"),
        (("--couple", "2", "--balance"), "only one of"),
        (("--block", "PT1H", "--least", "5 kWh"), "unit of power"),
    ):
        ran = flexhub("aggregate", offers, *arguments)
        assert ran.code in (1, 2)
        assert ran.out == ""
        assert says in ran.err


def test_a_line_that_is_no_json_is_numbered_and_its_twin_is_read(flexhub: Program, offers: Path) -> None:
    good = offers.read_text()
    assert flexhub("aggregate", offers, "--no-losses").code == 0
    offers.write_text(f'{good}{{"id": NaN}}\n')
    ran = flexhub("aggregate", offers, "--no-losses")
    assert ran.code in (1, 2)
    assert "line 5" in ran.err
    assert "not JSON" in ran.err


def test_measures_are_told(flexhub: Program, offers: Path) -> None:
    found = {one["id"]: one for one in lines(flexhub("measure", offers, "--json").out)}
    assert (found["a"]["time_flexibility_slots"], found["a"]["energy_flexibility_kwh"]) == (4, 5)
    assert found["d"]["energy_flexibility_kwh"] == 8
    assert "rel. area" in flexhub("measure", offers).out
