"""Sums in which nobody can be told who has not granted it."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexhub.app.exchange import figures
from flexhub.app.exchange.figures import Part
from flexhub.app.exchange.sums import Share, sums
from flexhub.core.timeseries import SeriesKind
from tests.app.market import NOON

HOUR = timedelta(hours=1)


def share(who: str, *kwh: float | None, place: str | None = "cp", granted: bool = False, subject: str = "") -> Share:
    return Share(who, place, granted, Part(subject or f"offer of {who}", NOON, 900, kwh))


def values(shares: list[Share], smallest_group: int = 3) -> list[float | None]:
    parts = sums(shares, NOON, NOON + HOUR, smallest_group)
    return list(figures.total("x", SeriesKind.SCHEDULE, parts, NOON, NOON + HOUR).values_kwh)


GROUP = [share("ann", 1.0, 1.0), share("bob", 2.0, 2.0), share("cem", 4.0)]


def test_three_are_told_and_two_are_not() -> None:
    assert values(GROUP) == [7.0, None, None, None], "in the second quarter only two count"
    assert values(GROUP[:2]) == [None] * 4
    assert values(GROUP[:2], 2) == [3.0, 3.0, None, None]


def test_who_offers_often_is_one() -> None:
    often = [share("ann", 1.0, subject=f"a{i}") for i in range(5)]
    assert values([*often, share("bob", 2.0)]) == [None] * 4
    assert values([*often, share("bob", 2.0), share("cem", 4.0)]) == [11.0, None, None, None]


def test_who_granted_it_needs_no_company_and_gives_none() -> None:
    granted = share("dee", 8.0, 8.0, granted=True)
    assert values([granted]) == [8.0, 8.0, None, None]
    assert values([*GROUP, granted]) == [15.0, 8.0, None, None]
    assert values([*GROUP[:2], granted]) == [8.0, 8.0, None, None], "no third among those who granted nothing"


def test_what_is_hidden_at_a_place_is_hidden_in_every_sum() -> None:
    alone = share("eve", 16.0, place="elsewhere")
    assert values([*GROUP, alone]) == values(GROUP), "or it would be the difference of the two"
    group = [alone, share("fay", 1.0, place="elsewhere"), share("gil", 1.0, place="elsewhere")]
    assert values([*GROUP, *group]) == [25.0, None, None, None]


def test_a_slot_of_one_meter_counts_once() -> None:
    again = [share("ann", 1.0, subject="m"), share("ann", 3.0, subject="m")]
    assert values([*again, share("bob", 1.0), share("cem", 1.0)]) == [5.0, None, None, None]


PEOPLE = st.sampled_from("abcdefg")
SHARES = st.lists(
    st.builds(
        lambda who, place, granted, kwh, n: share(who, *kwh, place=place, granted=granted, subject=f"{who}{n}"),
        PEOPLE,
        st.sampled_from(("cp-1", "cp-2", None)),
        st.booleans(),
        st.lists(st.one_of(st.none(), st.integers(-8, 8).map(float)), min_size=1, max_size=4),
        st.integers(0, 99),
    ),
    max_size=14,
    unique_by=lambda s: s.part.subject,
)


@given(SHARES, st.integers(2, 4))
def test_every_slot_is_the_sum_of_all_that_may_count_in_it(shares: list[Share], smallest: int) -> None:
    found = values(shares, smallest)
    for slot in range(4):
        known = [(s, s.part.values_kwh[slot]) for s in shares if slot < len(s.part.values_kwh)]
        hidden: dict[str | None, set[str]] = {}
        for s, kwh in known:
            if kwh is not None and not s.granted:
                hidden.setdefault(s.place, set()).add(s.prosumer)
        count = Counter({place: len(people) for place, people in hidden.items()})
        counted = [kwh for s, kwh in known if kwh is not None and (s.granted or count[s.place] >= smallest)]
        assert found[slot] == (pytest.approx(sum(counted)) if counted else None)
