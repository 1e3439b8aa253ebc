"""Every installed engine passes the one test set of its slot; what it is not, is found out by the set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from flexhub.core.trading import Bill
from flexhub.engines import plugins
from flexhub.engines.reference.generator import ChargingSession
from flexhub.engines.reference.manager import ReferenceManager
from flexhub.engines.slots import Account, Plan, Portfolio
from flexhub.engines.testing import SlotTests, cases
from flexhub.engines.testing.baseline import BaselineTests
from flexhub.engines.testing.generator import GeneratorTests
from flexhub.engines.testing.manager import ManagerTests
from flexhub.engines.testing.market import MarketTests

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


SETS: dict[str, Callable[[], SlotTests[object]]] = {
    "manager": ManagerTests,  # type: ignore[dict-item]  # each makes the engines of its own slot
    "market": MarketTests,  # type: ignore[dict-item]  # as above
    "generator": EveryGenerator,  # type: ignore[dict-item]  # as above
    "baseline": BaselineTests,  # type: ignore[dict-item]  # as above
}


def every_case() -> list[object]:
    return [
        pytest.param(plugin.slot, plugin.name, test, id=f"{plugin.slot}-{plugin.name}-{test}")
        for slot, make in SETS.items()
        for plugin in plugins.installed(slot)
        for test in cases(make())
    ]


def run(slot: str, name: str, test: str, make: Callable[[], object]) -> None:
    tests = SETS[slot]()
    tests.make = make  # type: ignore[method-assign]  # what a subclass would override
    if isinstance(tests, EveryGenerator):
        tests.name = name
    cases(tests)[test]()


@pytest.mark.parametrize(("slot", "name", "test"), every_case())
def test_engine(slot: str, name: str, test: str) -> None:
    run(slot, name, test, lambda: plugins.load(slot, name))


class Greedy(ReferenceManager):
    """Plans without looking at totals."""

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

    def settle(self, account: Account, bill_id: str) -> Bill:
        return super().settle(msgspec.structs.replace(account, measurements=()), bill_id)


@pytest.mark.parametrize("test", ["test_plans_feasibly_and_meets_what_can_be_met", "test_bills_by_the_contract"])
def test_sets_notice_what_is_wrong(test: str) -> None:
    run("manager", "reference", test, ReferenceManager)
    with pytest.raises(AssertionError):
        run("manager", "reference", test, Greedy)
