"""The feed: every subscriber hears each notice once and in order, however slowly it reads, and costs no memory."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexhub.adapters.store.interface import NoticeRow
from flexhub.app.hub import feed as feeding
from flexhub.app.hub.feed import QUEUE, Audience, Feed, Subscription

T = TypeVar("T")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Book:
    """A store of notices in memory; `broken` reads fail."""

    def __init__(self) -> None:
        self.rows: list[NoticeRow] = []
        self.reads = 0
        self.broken = 0

    def write(self, party: str) -> None:
        self.rows.append(NoticeRow(party, "t", "s", b"1", NOON, len(self.rows) + 1))

    async def read(self, party: Audience, after: int, limit: int) -> list[NoticeRow]:
        await asyncio.sleep(0)
        self.reads += 1
        if self.broken:
            self.broken -= 1
            raise OSError("the disk is gone")
        return [row for row in self.rows[after:] if _told(party, row.party)][:limit]

    async def last(self) -> int:
        await asyncio.sleep(0)
        return len(self.rows)

    def of(self, party: Audience, after: int = 0) -> list[int]:
        return [row.seq for row in self.rows[after:] if _told(party, row.party)]


def _told(audience: Audience, party: str) -> bool:
    return audience in (None, party) or (isinstance(audience, tuple) and party in audience)


def run(work: Coroutine[Any, Any, T]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(30):
            return await work

    return asyncio.run(bounded())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
        await asyncio.sleep(0)


async def listen(feed: Feed, subscription: Subscription, into: list[int], pause: int = 0) -> None:
    while rows := await subscription.next():
        into += [row.seq for row in rows]
        for _ in range(pause):
            await asyncio.sleep(0)
    feed.leave(subscription)


@settings(max_examples=60)
@given(
    writes=st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 300), st.integers(0, 4)), max_size=12),
    readers=st.lists(
        st.tuples(st.sampled_from(["a", "b", None, ("a", "b")]), st.integers(0, 40)), min_size=1, max_size=5
    ),
)
def test_everyone_hears_everything_once_and_in_order(
    writes: list[tuple[str, int, int]], readers: list[tuple[Audience, int]]
) -> None:
    async def story() -> None:
        book = Book()
        feed = Feed(book.read, book.last)
        heard: list[list[int]] = [[] for _ in readers]
        tasks = []
        for (party, pause), into in zip(readers, heard, strict=True):
            tasks.append(asyncio.create_task(listen(feed, await feed.subscribe(party, 0), into, pause)))
        for party, count, turns in writes:
            for _ in range(count):
                book.write(party)
            feed.told()
            for _ in range(turns):
                await asyncio.sleep(0)
        await until(lambda: [len(into) for into in heard] == [len(book.of(party)) for party, _ in readers])
        feed.end()
        await asyncio.gather(*tasks)
        for (party, _), into in zip(readers, heard, strict=True):
            assert into == book.of(party)
        assert feed.subscribers == 0

    run(story())


def test_a_subscriber_that_does_not_read_keeps_no_more_than_its_queue() -> None:
    async def story() -> None:
        book = Book()
        feed = Feed(book.read, book.last)
        slow = await feed.subscribe(None, 0)
        heard: list[int] = []
        book.write("a")
        assert [row.seq for row in await slow.next()] == [1]
        fast: list[int] = []
        reading = asyncio.create_task(listen(feed, await feed.subscribe(None, 0), fast))
        for _ in range(50):
            for _ in range(QUEUE):
                book.write("a")
            feed.told()
            await until(lambda: len(fast) == len(book.rows))
            assert len(slow._queue) <= QUEUE  # noqa: SLF001 - what is bounded
        reading.cancel()
        while len(heard) < len(book.rows) - 1:
            heard += [row.seq for row in await slow.next()]
        assert [1, *heard] == book.of(None)

    run(story())


def test_what_was_committed_before_the_end_still_goes_out() -> None:
    async def story() -> None:
        book = Book()
        feed = Feed(book.read, book.last)
        subscription = await feed.subscribe("a", None)
        reading = asyncio.create_task(subscription.next())
        for _ in range(5):
            await asyncio.sleep(0)
        book.write("a")
        feed.end()
        assert [row.seq for row in await reading] == [1]
        assert await subscription.next() == []

    run(story())


def test_many_subscribers_cost_one_read_per_commit() -> None:
    async def story() -> None:
        book = Book()
        feed = Feed(book.read, book.last)
        heard: list[list[int]] = [[] for _ in range(200)]
        subscriptions = await asyncio.gather(*(feed.subscribe(None, 0) for _ in heard))
        assert feed.subscribers == len(heard)
        tasks = [asyncio.create_task(listen(feed, s, into)) for s, into in zip(subscriptions, heard, strict=True)]
        for _ in range(10):
            await asyncio.sleep(0)
        before = book.reads

        def told(count: int) -> bool:
            assert max(map(len, heard)) <= count, "somebody heard it twice"
            return all(len(into) == count for into in heard)

        for n in range(20):
            book.write("a")
            feed.told()
            await until(partial(told, n + 1))
        assert book.reads - before <= 60
        for task in tasks:
            task.cancel()

    run(story())


def test_a_store_that_cannot_be_read_for_a_while_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeding, "AGAIN_S", 0.0)

    async def story() -> None:
        book = Book()
        feed = Feed(book.read, book.last)
        heard: list[int] = []
        subscription = await feed.subscribe("a", 0)
        task = asyncio.create_task(listen(feed, subscription, heard))
        for _ in range(10):
            await asyncio.sleep(0)
        book.broken = 5
        for _ in range(10):
            book.write("a")
        feed.told()
        await until(lambda: len(heard) == 10)
        assert heard == book.of("a")
        task.cancel()

    run(story())


def test_who_comes_and_goes_at_random_misses_nothing_and_hears_nothing_twice() -> None:
    async def story(seed: int) -> None:
        dice = random.Random(seed)  # noqa: S311 - a story, not a secret
        book = Book()
        feed = Feed(book.read, book.last)
        heard: list[int] = []

        async def restless() -> None:
            while len(heard) < 2000:
                subscription = await feed.subscribe("a", heard[-1] if heard else 0)
                for _ in range(dice.randrange(4)):
                    try:
                        async with asyncio.timeout(dice.choice((0, 0.0005, 1))):
                            heard.extend(row.seq for row in await subscription.next())
                    except TimeoutError:
                        continue
                feed.leave(subscription)

        async def writing() -> None:
            while len(book.of("a")) < 2000:
                for _ in range(dice.randrange(1, 2 * QUEUE)):
                    book.write(dice.choice("ab"))
                feed.told()
                await asyncio.sleep(0)

        await asyncio.gather(restless(), writing())
        assert heard == book.of("a")[: len(heard)]

    for seed in range(5):
        run(story(seed))
