"""Several hub processes on one database: every message once, in order, and nothing left lying when one dies."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from queue import Queue
from typing import Any, TypeVar

import pytest

from flexhub.adapters.store import open_store
from flexhub.adapters.store.interface import ConflictError, DocumentRow, NoticeRow, Query, Store
from flexhub.adapters.store.sql import SqlStore
from flexhub.app.hub.loop import BEAT_S, LEASE_S, Hub
from flexhub.core.documents import decode
from flexhub.core.errors import ReusedError
from tests.app.hub.shop import NOON, Box, Clock, hub_at, message
from tests.conftest import ROOT
from tests.postgres import Cluster

T = TypeVar("T")


@pytest.fixture
def url(postgres: Cluster) -> str:
    return postgres.database()


@asynccontextmanager
async def hubs(url: str, count: int = 2, clock: Clock | None = None) -> AsyncIterator[list[Hub]]:
    """So many hubs on one database, all at work."""
    made = [hub_at(url, clock) for _ in range(count)]
    for one in made:
        await one.start(timers=clock is not None)
    try:
        yield made
    finally:
        for one in made:
            await one.stop()
            one.store.close()


def run(work: Coroutine[Any, Any, T]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(60):
            return await work

    return asyncio.run(bounded())


def test_what_two_hubs_acknowledge_is_there_once_and_in_each_hubs_order(url: str) -> None:
    async def story() -> None:
        async with hubs(url) as two:
            answers = await asyncio.gather(
                *(
                    two[n % 2].handle(message("fill", f"box-{n % 5}", str(n), id=str(n), peer=f"p{n % 2}"))
                    for n in range(600)
                )
            )
            assert {a.status for a in answers} == {201}
            store = two[0].store
            boxes = [decode(Box, row.body).items for row in store.documents(Query("Box"))]
            assert Counter(item for items in boxes for item in items) == Counter(str(n) for n in range(600))
            for items in boxes:
                for hub in (0, 1):
                    own = [int(item) for item in items if int(item) % 2 == hub]
                    assert own == sorted(own)
            assert len(store.journal(0, 1000)) == 600
            assert Counter(row.body for row in store.notices(None, 0, 1000)).most_common(1)[0][1] == 1

    run(story())


def test_one_message_sent_to_both_is_worked_once(url: str) -> None:
    async def story() -> None:
        async with hubs(url) as two:
            for n in range(20):
                same = message("fill", "box", str(n), id=str(n))
                one, other = await asyncio.gather(*(hub.handle(same) for hub in two))
                assert one == other
            forged = [message("fill", f"box-{i}", "x", id="one id") for i in range(2)]
            outcomes = await asyncio.gather(
                *(hub.handle(m) for hub, m in zip(two, forged, strict=True)), return_exceptions=True
            )
            assert sorted(type(o).__name__ for o in outcomes) == ["Answer", ReusedError.__name__]
            box = await two[0].get(Box, "box")
            assert box is not None
            assert box.items == tuple(str(n) for n in range(20))

    run(story())


def test_a_stream_hears_what_the_other_hub_commits_in_order_and_once(url: str) -> None:
    async def story() -> None:
        async with hubs(url) as two:
            heard: list[NoticeRow] = []

            async def listen() -> None:
                async for notice in two[0].notices("anna", 0):
                    heard.append(notice)
                    if len(heard) == 200:
                        return

            listening = asyncio.create_task(listen())
            await asyncio.gather(
                *(two[n % 2].handle(message("fill", f"box-{n % 7}", str(n), id=str(n))) for n in range(200))
            )
            await listening
            numbers = [notice.seq for notice in heard]
            assert numbers == sorted(set(numbers))
            assert Counter(decode(str, notice.body) for notice in heard) == Counter(str(n) for n in range(200))

    run(story())


def test_commits_of_other_processes_are_heard_one_by_one(url: str) -> None:
    one, other = open_store(url), open_store(url)
    heard: Queue[tuple[str, ...] | None] = Queue()
    one.listen(heard.put)
    assert heard.get(timeout=30) is None, "whatever was said before it listened"
    for store, parties in ((other, ("anna",)), (one, ("itself",)), (other, ()), (other, ("bert", "carl"))):
        with store.begin() as transaction:
            transaction.announce(parties)
    with pytest.raises(LookupError), other.begin() as transaction:  # noqa: PT012 - it raises at the very end
        transaction.announce(("undone",))
        raise LookupError
    with other.begin() as transaction:
        transaction.announce(str(n) for n in range(5000))
    assert [heard.get(timeout=30) for _ in range(4)] == [("anna",), (), ("bert", "carl"), None]
    assert heard.empty()
    for store in (one, other):
        store.close()


def test_a_message_that_waits_for_its_conversation_is_worked_at_the_time_when_it_is_worked(url: str) -> None:
    async def story() -> None:
        clock, other = Clock(), open_store(url)
        async with hubs(url, 1, clock) as (hub,):
            with other.begin() as transaction:
                transaction.claim(["box"])
                waiting = asyncio.create_task(hub.handle(message("fill", "box", "a", id="1")))
                while not await asyncio.to_thread(waits, other):  # noqa: ASYNC110 - nobody is told
                    await asyncio.sleep(0.01)
                clock.forward(60)
            await waiting
            assert [row.received for row in other.journal(0, 10)] == [NOON + timedelta(seconds=60)]
        other.close()

    run(story())


def waits(store: Store) -> bool:
    """Whether anybody waits for a conversation."""
    assert isinstance(store, SqlStore)
    with store.engines[1].connect() as connection:
        waiting = "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        return bool(connection.exec_driver_sql(waiting).scalar_one())


def test_a_timer_that_two_hubs_watch_rings_once(url: str) -> None:
    async def story() -> None:
        clock = Clock()
        async with hubs(url, clock=clock) as two:
            await two[1].handle(message("alarm", "box", "10", id="set"))
            clock.forward(11)
            await two[0].handle(message("alarm", "other", "1000", id="wakes all who watch"))
            while not (box := await two[0].get(Box, "box")):  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.01)
            assert box.items == (f"rang {NOON + timedelta(seconds=10):%H:%M:%S}",)
            assert [row.kind for row in two[0].store.journal(0, 100)].count("timer.alarm") == 1

    run(story())


def test_of_two_hubs_one_follows_and_when_it_is_gone_the_other(url: str) -> None:
    async def story() -> None:
        doing: list[str] = []

        def work(name: str) -> Callable[[], Coroutine[None, None, None]]:
            async def follow() -> None:
                doing.append(name)
                try:
                    await asyncio.Event().wait()
                finally:
                    doing.remove(name)

            return follow

        async def until(names: list[str]) -> None:
            while doing != names:  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.01)

        async with hubs(url, 1) as (first,):
            async with hubs(url, 1) as (second,):
                tasks = [
                    asyncio.create_task(hub.keeper.while_on(work(name)))
                    for name, hub in (("first", first), ("second", second))
                ]
                await until(["first"])
                await first.stop()
                await until(["second"])
            await until([])
            for task in tasks:
                task.cancel()

    run(story())


def test_what_a_killed_process_had_in_hand_is_taken_over(url: str) -> None:
    """A question whose process is killed is put by another one, within the time that a lease takes to lapse."""

    async def story() -> None:
        with subprocess.Popen(  # noqa: ASYNC220 - it returns at once
            [sys.executable, "-m", "tests.app.hub.wonder", url], stdout=subprocess.PIPE, cwd=ROOT
        ) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == b"asked\n"
            async with hubs(url, 1) as (hub,):
                assert hub.stats.asks == 0, "its holder is alive"
                other.kill()
                async with asyncio.timeout(LEASE_S + 10 * BEAT_S):
                    while not ((box := await hub.get(Box, "box")) and "told 1" in box.items):  # noqa: ASYNC110 - as above
                        await asyncio.sleep(0.05)
                assert hub.store.asks() == []

    run(story())


def test_a_document_that_another_has_written_meanwhile_is_not_overwritten(url: str) -> None:
    one, other = open_store(url), open_store(url)
    row = DocumentRow("Box", "b", "anna", "", None, None, 1, b"{}")
    with one.begin() as transaction:
        transaction.put_documents([row._replace(version=1)])
    for stale in (1, 3):
        with pytest.raises(ConflictError), other.begin() as transaction:
            transaction.put_documents([row._replace(version=stale, body=b"stale")])
    with other.begin() as transaction:
        transaction.put_documents([row._replace(version=2, body=b"next")])
    found = one.document("Box", "b")
    assert found is not None
    assert (found.body, found.version) == (b"next", 2)
    with pytest.raises(ConflictError), other.begin() as transaction:
        transaction.put_documents([row._replace(id="gone", version=2)])
    assert one.document("Box", "gone") is None
    one.close()
    other.close()


def test_a_lease_is_one_holders_until_it_lapses_or_is_given_back(url: str) -> None:
    store = open_store(url)
    assert store.hold("plan", "one", 60)
    assert store.hold("plan", "one", 60)
    assert not store.hold("plan", "other", 60)
    assert store.hold("settle", "other", 60)
    store.let_go("one")
    assert store.hold("plan", "other", -1)
    assert store.hold("plan", "one", 60), "the other's has lapsed"
    store.close()
