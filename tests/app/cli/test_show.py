"""`flexhub show`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from flexhub.core.documents import encode
from flexhub.core.flexoffer import EnergyRange, FlexOffer, Profile, Schedule, ScheduleSlice, Slice
from tests.app.cli.conftest import Program

T0 = datetime(2026, 3, 2, 8, tzinfo=UTC)


def offer(*energies_kwh: float) -> FlexOffer:
    """Two slices of 1 to 2 kWh; energies, if any, are its schedule's."""
    return FlexOffer(
        id="fo-1",
        issuer="prosumer-1",
        label="dishwasher",
        created=T0 - timedelta(hours=2),
        start_after=T0,
        start_before=T0 + timedelta(hours=1),
        profiles=(
            Profile(
                slices=(Slice(energy_kwh=(EnergyRange(lo_kwh=1, hi_kwh=2),)),) * 2,
                total_energy_kwh=EnergyRange(lo_kwh=2, hi_kwh=4),
            ),
        ),
        schedule=Schedule(start=T0, slices=tuple(ScheduleSlice(energy_kwh=e) for e in energies_kwh))
        if energies_kwh
        else None,
    )


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """The offer without a schedule, in a file."""
    file = tmp_path / "offer.json"
    file.write_bytes(encode(offer()))
    return file


def test_a_table_of_the_offer(flexhub: Program, written: Path) -> None:
    ran = flexhub("show", written)
    assert (ran.code, ran.err) == (0, "")
    for text in (
        "fo-1",
        "prosumer-1",
        "dishwasher",
        "2026-03-02 08:00:00Z",
        "1.000..2.000",
        "in total 2.000..4.000 kWh",
    ):
        assert text in ran.out


def test_stdin_and_json(flexhub: Program) -> None:
    ran = flexhub("show", "-", "--json", stdin=encode(offer()))
    assert ran.code == 0
    shown = json.loads(ran.out)
    assert msgspec.convert(shown["offer"], FlexOffer) == offer()
    assert shown["violations"] == []


def test_a_file_that_is_no_offer_is_one_sentence(flexhub: Program, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{")
    ran = flexhub("show", "x.json")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("flexhub: ")
    assert len(ran.err.splitlines()) == 1


def test_a_schedule_within_bounds_is_fine_and_one_outside_is_not(flexhub: Program) -> None:
    good = flexhub("show", "-", stdin=encode(offer(1.5, 2)))
    assert good.code == 0
    assert "3.500 kWh" in good.out
    assert "broken" not in good.out
    bad = flexhub("show", "-", stdin=encode(offer(1.5, 2.5)))
    assert bad.code == 1
    assert "broken: " in bad.out
    assert json.loads(flexhub("show", "-", "--json", stdin=encode(offer(1.5, 2.5))).out)["violations"]
