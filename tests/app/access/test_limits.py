"""Token buckets never give more than their rate and burst, and say when to come again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flexhub.app.access import limits
from flexhub.app.access.limits import Buckets


@given(
    rate=st.floats(0.1, 50),
    burst=st.integers(1, 20),
    pauses=st.lists(st.floats(0, 3), min_size=1, max_size=60),
)
def test_no_more_than_burst_and_rate_and_no_less(rate: float, burst: int, pauses: list[float]) -> None:
    now = [0.0]
    buckets = Buckets(rate, burst, lambda: now[0])
    taken = 0
    for pause in pauses:
        now[0] += pause
        wait = buckets.take("a")
        taken += not wait
        assert taken <= burst + rate * now[0] + 1e-6
        if wait:
            assert buckets.empty("a") == wait
            now[0] += wait
            assert buckets.take("a") == 0, "it said so"
            taken += 1


def test_each_key_has_a_bucket_of_its_own() -> None:
    buckets = Buckets(1, 1, lambda: 0.0)
    assert [buckets.take(key) for key in ("a", "b", "a", "b", "c")] == [0, 0, 1, 1, 0]


def test_memory_is_bounded() -> None:
    buckets = Buckets(1, 2, lambda: 0.0)
    for n in range(limits.MOST_KEYS + 10):
        buckets.take(str(n))
    assert len(buckets._left) == limits.MOST_KEYS  # noqa: SLF001 - what is bounded
    assert buckets.take(str(limits.MOST_KEYS)) == 0, "those used last are kept"
    assert buckets.take(str(limits.MOST_KEYS)) > 0
