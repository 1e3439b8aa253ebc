"""The grid operator: what it asks for, and which option, and how much of it, it orders."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexhub.core.errors import InvalidError
from flexhub.core.options import Option, Options
from flexhub.core.timeseries import SeriesKind, TimeSeries
from flexhub.core.trading import Disposition, FlexRequest, Reference
from flexhub.engines.reference.operator import Ask, Choice, choose, order, request

T0 = datetime(2026, 1, 10, tzinfo=UTC)
STEP = timedelta(minutes=15)
ASK = Ask(
    id="r", issuer="dso", recipient="agr", congestion_point="cp", created=T0, expires=T0 + STEP, revision=3
)  # fmt: skip


def prognosis(*values: float | None) -> TimeSeries:
    return TimeSeries(subject="cp", kind=SeriesKind.BASELINE, start=T0, values_kwh=values)


def asked(*values: float, limit_kw: float = 8.0) -> FlexRequest:
    found = request(ASK, prognosis(*values), limit_kw)
    assert found is not None
    return found


def option(name: str, price: str, *deviation: float, least: str = "0.01") -> Option:
    return Option(reference=name, deviation_kwh=deviation, price=Decimal(price), min_activation_factor=Decimal(least))


def options(*found: Option) -> Options:
    slots = len(found[0].deviation_kwh)
    return Options(start=T0, baseline_kwh=(0.0,) * slots, options=found, expires=T0 + STEP)


def chosen(wanted: FlexRequest, *found: Option, unmet: float | None = None) -> tuple[str, str] | None:
    choice = choose(wanted, {"o": options(*found)}, T0, unmet)
    return None if choice is None else (choice.option.reference, str(choice.factor))


def test_asks_for_what_is_beyond_the_limit_and_tells_the_room_left() -> None:
    """A limit of 8 kW is 2 kWh in a quarter-hour; another 0.5 kWh is taken by others in the last slot."""
    found = request(ASK, prognosis(1.0, 3.0, -3.0, None, 1.75), 8.0, {T0 + 4 * STEP: 0.5})
    assert found is not None
    assert [(i.slot, i.disposition, i.lo_kwh, i.hi_kwh) for i in found.intervals] == [
        (0, Disposition.AVAILABLE, -3.0, 1.0),
        (1, Disposition.REQUESTED, -5.0, -1.0),
        (2, Disposition.REQUESTED, 1.0, 5.0),
        (4, Disposition.REQUESTED, -4.25, -0.25),
    ]
    assert (found.id, found.revision, found.reference) == ("r", 3, Reference.BASELINE)


def test_asks_for_nothing_within_the_limit() -> None:
    assert request(ASK, prognosis(1.0, 2.0, -2.0), 8.0) is None
    assert request(ASK, prognosis(1.0, 2.001, -2.0), 8.0) is not None
    assert request(ASK, prognosis(None), 8.0) is None


def test_bounds_are_rounded_inwards_to_whole_watts() -> None:
    interval = asked(2.0001).intervals[0]
    assert interval.hi_kwh == -0.00025  # 0.4 W too much: a whole watt less is asked


def test_orders_no_more_of_an_option_than_is_needed() -> None:
    wanted = asked(3.0, 1.0)
    assert chosen(wanted, option("a", "10", -2.0, 0.5)) == ("a", "0.50")
    assert chosen(wanted, option("a", "10", -2.0, 0.5, least="0.75")) == ("a", "0.75")


def test_takes_what_costs_least_for_what_is_needed() -> None:
    wanted = asked(3.0, 1.0)
    dear, cheap, small = option("a", "8", -2.0, 0), option("b", "5", -1.0, 0), option("c", "1", -0.5, 0)
    assert chosen(wanted, dear, cheap, small) == ("a", "0.50")  # 4 EUR; b is 5 EUR, c is not enough
    assert chosen(wanted, cheap, small) == ("b", "1.00")
    assert chosen(wanted, small) is None


def test_an_option_that_overloads_another_slot_is_not_taken() -> None:
    wanted = asked(3.0, 1.0)
    assert chosen(wanted, option("a", "1", -1.0, 1.5), option("b", "9", -1.0, 1.0)) == ("b", "1.00")


def test_with_a_price_of_what_stays_unmet_less_may_be_best() -> None:
    wanted = asked(3.0, 1.0)  # 1 kWh too much
    half = option("a", "4", -0.5, 0.0)
    assert chosen(wanted, half) is None
    assert chosen(wanted, half, unmet=10.0) == ("a", "1.00")  # 4 EUR and 5 for the rest, instead of 10
    assert chosen(wanted, half, unmet=8.0) is None  # as dear as nothing at all
    assert chosen(wanted, half, option("b", "6", -1.0, 0.0), unmet=10.0) == ("b", "1.00")


def test_ties_go_to_the_least_energy_then_to_the_first_reference() -> None:
    wanted = asked(3.0, 1.0)
    a, b = option("a", "4", -1.0, 1.0), option("b", "4", -1.0, 0.5)
    assert chosen(wanted, a, b) == chosen(wanted, b, a) == ("b", "1.00")
    twin = msgspec.structs.replace(b, reference="0")
    assert chosen(wanted, b, twin) == chosen(wanted, twin, b) == ("0", "1.00")


def test_an_offer_that_has_expired_is_not_taken() -> None:
    wanted, offers = asked(3.0, 1.0), {"o": options(option("a", "4", -1.0, 0.0))}
    assert choose(wanted, offers, T0 + STEP) is not None
    assert choose(wanted, offers, T0 + 2 * STEP) is None


def test_a_watt_is_what_rounding_may_miss() -> None:
    wanted = asked(3.0)
    assert chosen(wanted, option("a", "4", -0.9998)) == ("a", "1.00")
    assert chosen(wanted, option("a", "4", -0.9997)) is None


def test_options_of_another_grid_or_currency_are_refused() -> None:
    wanted, good = asked(3.0), options(option("a", "4", -1.0))
    assert choose(wanted, {"o": good}, T0) is not None
    for other in ({"currency": "SEK"}, {"resolution_s": 300}):
        with pytest.raises(InvalidError):
            choose(wanted, {"o": msgspec.structs.replace(good, **other)}, T0)
    with pytest.raises(InvalidError):
        choose(msgspec.structs.replace(wanted, reference=Reference.ABSOLUTE), {"o": good}, T0)


def test_the_order_of_a_choice() -> None:
    wanted = asked(1.0, 3.0, 1.0, 1.0)
    choice = choose(wanted, {"o": options(option("a", "1.0001", 0.0, -2.0, 0.0, 2.0))}, T0)
    assert choice is not None
    found = order(choice, wanted, "x")
    assert (found.start, found.deviation_kwh) == (T0 + STEP, (-1.0, 0.0, 1.0))
    assert (found.offer, found.option, found.request) == ("o", "a", "r")
    assert (found.activation_factor, found.price) == (0.5, Decimal("0.5001"))  # half up, as the rule reckons


@given(st.data())
def test_no_other_share_is_better(data: st.DataObject) -> None:
    """Against all shares of all options, reckoned one by one."""
    watts = st.integers(-20, 20).map(lambda n: n / 10)
    wanted = request(ASK, prognosis(*data.draw(st.lists(watts.map(lambda x: 2 * x), min_size=3, max_size=3))), 4.0)
    if wanted is None:
        return
    found = [
        option(str(i), str(data.draw(st.integers(0, 50)) / 10), *data.draw(st.tuples(watts, watts, watts)))
        for i in range(data.draw(st.integers(1, 3)))
    ]
    meeting = [
        (one.price * share / 100, one.reference, share)
        for one in found
        for share in range(1, 101)
        if all(
            (i.lo_kwh or 0) - 0.00025 < one.deviation_kwh[i.slot] * share / 100 < (i.hi_kwh or 0) + 0.00025
            for i in wanted.intervals
        )
    ]
    choice: Choice | None = choose(wanted, {"o": options(*found)}, T0)
    assert (choice is None) == (not meeting)
    if choice is not None:
        assert choice.option.price * choice.factor == min(meeting)[0]
        assert choice.unmet_kwh == 0
