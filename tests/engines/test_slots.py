"""Every installed engine passes the one test set of its slot; what it is not, is found out by the set."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from flexhub.adapters.providers.notices import NoticeLines
from flexhub.adapters.providers.series_file import SeriesFile
from flexhub.core.documents import encode
from flexhub.core.flexoffer import FlexOffer
from flexhub.core.timeseries import SeriesKind, TimeSeries
from flexhub.core.trading import Bill
from flexhub.engines import plugins
from flexhub.engines.reference.forecaster import LikeDays
from flexhub.engines.reference.generator import ChargingSession
from flexhub.engines.reference.manager import ReferenceManager
from flexhub.engines.slots import Account, Assignment, Offering, Plan, Portfolio
from flexhub.engines.testing import SlotTests, cases
from flexhub.engines.testing.baseline import BaselineTests
from flexhub.engines.testing.forecaster import ForecasterTests
from flexhub.engines.testing.generator import GeneratorTests
from flexhub.engines.testing.manager import ManagerTests
from flexhub.engines.testing.market import MarketTests
from flexhub.engines.testing.notifier import NotifierTests
from flexhub.engines.testing.provider import ProviderTests

NOW = datetime(2026, 1, 10, 6, tzinfo=UTC)


def stay(minutes: float, length: float, kwh: float) -> ChargingSession:
    arrival = NOW + timedelta(minutes=minutes)
    return ChargingSession(
        id="s",
        station="CA-1",
        arrival=arrival,
        departure=arrival + timedelta(minutes=length),
        requested_kwh=kwh,
        max_power_kw=7.0,
    )


LOADS: dict[str, tuple[Sequence[object], Sequence[object]]] = {
    # generator -> loads with flexibility, loads without
    "ev": ([stay(20, 500, 30), stay(3, 7, 30), stay(-60, 600, 5)], [stay(20, 500, 0), stay(-60, 59, 5)]),
}


class EveryGenerator(GeneratorTests):
    name = ""

    def loads(self) -> tuple[datetime, Sequence[object]]:
        return NOW, LOADS[self.name][0]

    def hopeless(self) -> Sequence[object]:
        return LOADS[self.name][1]


KNOWN = TimeSeries(subject="price", kind=SeriesKind.MEASUREMENT, start=NOW, values_kwh=(0.5, -1.0, 2.0))


class EveryProvider(ProviderTests):
    """The file of its default name, in the folder of the test."""

    def sample(self) -> TimeSeries:
        other = msgspec.structs.replace(KNOWN, subject="other")
        Path("series.jsonl").write_bytes(encode(other) + b"\n" + encode(KNOWN) + b"\n")
        return KNOWN


class EveryNotifier(NotifierTests):
    """Notices that went to the log."""

    log: pytest.LogCaptureFixture

    def sent(self) -> list[tuple[str, str, str]]:
        lines = [msgspec.json.decode(record.getMessage()) for record in self.log.records]
        return [(line["party"], line["subject"], line["text"]) for line in lines]


SETS: dict[str, Callable[[], SlotTests[object]]] = {
    "manager": ManagerTests,  # type: ignore[dict-item]  # each makes the engines of its own slot
    "market": MarketTests,  # type: ignore[dict-item]  # as above
    "generator": EveryGenerator,  # type: ignore[dict-item]  # as above
    "baseline": BaselineTests,  # type: ignore[dict-item]  # as above
    "DataProvider": EveryProvider,  # type: ignore[dict-item]  # as above
    "Forecaster": ForecasterTests,  # type: ignore[dict-item]  # as above
    "Notifier": EveryNotifier,  # type: ignore[dict-item]  # as above
}


def set_of(slot: str, name: str) -> str:
    """Providers are of several kinds; every other slot has one."""
    if slot != "provider":
        return slot
    engine = plugins.load(slot, name)
    return next(kind.__name__ for kind in plugins.CONTRACTS[slot] if isinstance(engine, kind))


def every_case() -> list[object]:
    return [
        pytest.param(plugin.slot, plugin.name, test, id=f"{plugin.slot}-{plugin.name}-{test}")
        for plugin in plugins.installed()
        if plugin.slot in plugins.CONTRACTS
        for test in cases(SETS[set_of(plugin.slot, plugin.name)]())
    ]


def run(slot: str, name: str, test: str, make: Callable[[], object], log: pytest.LogCaptureFixture) -> None:
    tests = SETS[set_of(slot, name)]()
    tests.make = make  # type: ignore[method-assign]  # what a subclass would override
    if isinstance(tests, EveryGenerator):
        tests.name = name
    elif isinstance(tests, EveryNotifier):
        tests.log = log
    cases(tests)[test]()


@pytest.fixture
def place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> pytest.LogCaptureFixture:
    """A folder of the test's own to run in, and the log."""
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO)
    return caplog


@pytest.mark.parametrize(("slot", "name", "test"), every_case())
def test_engine(
    slot: str,
    name: str,
    test: str,
    place: pytest.LogCaptureFixture,
) -> None:
    run(slot, name, test, lambda: plugins.load(slot, name), place)


def test_every_kind_has_a_set_and_an_engine_of_ours() -> None:
    ours = {set_of(p.slot, p.name) for p in plugins.installed() if p.slot in plugins.CONTRACTS}
    assert ours == set(SETS)


class Greedy(ReferenceManager):
    """Plans without looking at totals, and activates more than was ordered."""

    def plan(self, portfolio: Portfolio) -> Plan:
        plan = super().plan(portfolio)
        spoiled = [
            msgspec.structs.replace(
                a,
                schedule=msgspec.structs.replace(
                    a.schedule, slices=tuple(msgspec.structs.replace(s, energy_kwh=0.0) for s in a.schedule.slices)
                ),
            )
            for a in plan.assignments
        ]
        return msgspec.structs.replace(plan, assignments=tuple(spoiled))

    def activate(
        self, offering: Offering, offers: Sequence[FlexOffer], reference: str, factor: Decimal
    ) -> list[Assignment]:
        return super().activate(offering, offers, reference, (1 + factor) / 2)

    def settle(self, account: Account, bill_id: str) -> Bill:
        return super().settle(msgspec.structs.replace(account, measurements=()), bill_id)


class Lying(SeriesFile):
    """Has a value for everything."""

    def fetch(self, subject: str, start: datetime, slots: int) -> TimeSeries:
        return msgspec.structs.replace(KNOWN, subject=subject, start=start, values_kwh=(0.0,) * slots)


class Naive(LikeDays):
    """Expects what the last series says, whenever that was."""

    def forecast(self, history: Sequence[TimeSeries], start: datetime, slots: int) -> TimeSeries:
        values = history[-1].values_kwh if history else (0.0,) * slots
        return TimeSeries(subject="meter", kind=SeriesKind.BASELINE, start=start, values_kwh=values[:slots])


class Forgetful(NoticeLines):
    """Leaves the text out."""

    def notify(self, party: str, subject: str, text: str) -> None:
        super().notify(party, subject, text[:1])


@pytest.mark.parametrize(
    ("slot", "name", "bad", "test"),
    [
        ("manager", "reference", Greedy, "test_plans_feasibly_and_meets_what_can_be_met"),
        ("manager", "reference", Greedy, "test_offers_options_of_which_every_part_can_be_delivered"),
        ("manager", "reference", Greedy, "test_bills_by_the_contract"),
        ("provider", "series-file", Lying, "test_gives_what_it_has"),
        ("provider", "series-file", Lying, "test_does_not_invent"),
        ("provider", "like-days", Naive, "test_does_not_look_ahead"),
        ("provider", "like-days", Naive, "test_does_not_invent"),
        ("provider", "lines", Forgetful, "test_a_text_is_told_as_it_is"),
    ],
)
def test_sets_notice_what_is_wrong(
    slot: str,
    name: str,
    bad: Callable[[], object],
    test: str,
    place: pytest.LogCaptureFixture,
) -> None:
    run(slot, name, test, lambda: plugins.load(slot, name), place)
    place.clear()
    with pytest.raises(AssertionError):
        run(slot, name, test, bad, place)
