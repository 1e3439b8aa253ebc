"""What fails for a while and comes back: a lost connection, a database server that dies under load, a second timer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from flexhub.adapters.store.interface import Query, TimerRow, Transaction
from flexhub.app.hub.loop import Hub, _due
from flexhub.core.documents import decode
from flexhub.core.errors import UnavailableError
from tests.app.hub.shop import NOON, Box, Clock, Count, hub, hub_at, message, running
from tests.postgres import USER, Cluster

CLIENTS = 16
PATIENCE_S = 60


async def items(of: Hub, box: str) -> tuple[str, ...]:
    found = await of.get(Box, box)
    return () if found is None else found.items


def admin(server: Cluster) -> str:
    return f"host=127.0.0.1 port={server.port} user={USER}"


def cut(url: str, server: Cluster, first: str = "SELECT 1") -> None:
    """End all connections of this database."""
    name = url.rpartition("/")[2]
    with psycopg.connect(admin(server), autocommit=True) as connection:
        connection.execute(first.format(name).encode())
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))


def lose_after_the_commit(of: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next transaction is committed, and the connection breaks before that can be told."""
    begin, broken = of.store.begin, iter((True,))

    @contextmanager
    def lost() -> Iterator[Transaction]:
        with begin() as transaction:
            yield transaction
        if next(broken, False):
            raise UnavailableError("the connection is gone")

    monkeypatch.setattr(of.store, "begin", lost)


def test_what_was_committed_unheard_is_acknowledged_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Message, notice, question and timer of a commit that nobody heard of: none is lost, none comes twice."""

    async def story() -> None:
        clock = Clock()
        async with running(hub(tmp_path, clock), timers=True) as h, asyncio.timeout(PATIENCE_S):
            stream = h.notices("anna", 0)
            heard = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0)
            lose_after_the_commit(h, monkeypatch)
            answers = await asyncio.gather(
                h.handle(message("fill", "b", "1", id="1")),
                h.handle(message("wonder", "b", id="2")),
                h.handle(message("alarm", "b", "10", id="3")),
            )
            assert [answer.status for answer in answers] == [201, 202, 200]
            assert (await heard).body == b'"1"'
            while "told 1" not in await items(h, "b"):  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.01)
            clock.forward(11)
            while "rang 12:00:10" not in await items(h, "b"):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
            assert await items(h, "b") == ("1", "told 1", "rang 12:00:10")
            assert len(h.store.journal(0, 10)) == 5

    asyncio.run(story())


def test_a_timer_that_fires_late_leaves_the_next_one_alone(tmp_path: Path) -> None:
    """As where a process slept while another one took its timers over: the box has been rung, and is to ring again."""

    async def story() -> None:
        clock = Clock()
        async with running(hub(tmp_path, clock)) as h:
            await h.handle(message("alarm", "again", "10", id="1"))
            clock.forward(10)
            late = _due(TimerRow("again", "alarm", clock.now))
            await h.tick()
            again = clock.now + timedelta(seconds=10)
            assert h.store.next_due() == again
            assert (await h.handle(late)).status == 410
            assert h.store.next_due() == again
            assert await items(h, "again") == ("rang 12:00:10",)

    asyncio.run(story())


def test_a_hub_whose_connections_were_cut_notices_nothing(postgres: Cluster) -> None:
    url = postgres.database()

    async def story() -> None:
        async with running(hub_at(url)) as h:
            await h.handle(message("fill", "b", "1", id="1"))
            cut(url, postgres)
            assert (await h.handle(message("fill", "b", "2", id="2"))).body == b'["1","2"]'
            assert await items(h, "b") == ("1", "2")
            assert h.readiness.look().status == "ready"

    asyncio.run(story())


def test_a_server_that_only_reads_is_waited_for(postgres: Cluster) -> None:
    """As where the one that was written to has become the one that stands by."""
    url = postgres.database()

    async def story() -> None:
        async with running(hub_at(url)) as h:
            await h.handle(message("fill", "b", "1", id="1"))
            cut(url, postgres, "ALTER DATABASE {} SET default_transaction_read_only = on")
            with pytest.raises(UnavailableError, match="send the message again"):
                await h.handle(message("fill", "b", "2", id="2"))
            assert await items(h, "b") == ("1",)
            assert h.readiness.look().status == "unready"
            with psycopg.connect(admin(postgres), autocommit=True) as connection:
                connection.execute(
                    f"ALTER DATABASE {url.rpartition('/')[2]} RESET default_transaction_read_only".encode()
                )
            assert (await h.handle(message("fill", "b", "2", id="2"))).body == b'["1","2"]'
            while h.readiness.look().status != "ready":
                await h.recover()  # connections for reading may still be to the server that only reads

    asyncio.run(story())


async def all_is_there(h: Hub, sent: list[int]) -> None:
    """What each client has sent is there, once and in order; the timer has rung once, the question is answered once."""
    assert await items(h, "rings") == (f"rang {NOON + timedelta(seconds=10):%H:%M:%S}",)
    assert len(await items(h, "asked")) == 1
    for client, upto in enumerate(sent):
        assert await items(h, f"box-{client}") == tuple(map(str, range(upto)))
    journal = Counter(row.message_id for row in h.store.journal(0, 1_000_000) if row.peer == "anna")
    assert journal == Counter([f"{c}-{n}" for c, upto in enumerate(sent) for n in range(upto)] + ["wonder", "alarm"])
    notices = h.store.notices("anna", 0, 1_000_000)
    assert Counter((row.subject, decode(str, row.body)) for row in notices) == Counter(
        (f"box-{c}", str(n)) for c, upto in enumerate(sent) for n in range(upto)
    )
    assert len(h.store.documents(Query("Box"))) == CLIENTS + 2


def test_a_server_that_dies_under_load_loses_nothing_and_all_goes_on_when_it_is_back(postgres: Cluster) -> None:
    """Two hubs: messages that were not acknowledged are sent again, by the other hub; timers and questions wait."""
    url = postgres.database()

    async def send(hubs: list[Hub], client: int, stop: asyncio.Event) -> int:
        n = 0
        while not stop.is_set():
            try:
                await hubs[(client + n) % 2].handle(message("fill", f"box-{client}", str(n), id=f"{client}-{n}"))
            except UnavailableError:
                await asyncio.sleep(0.05)
                hubs.reverse()
            else:
                n += 1
        return n

    async def story() -> None:
        clock, count = Clock(), Count()
        hubs = [hub_at(url, clock, {"test.count": count}) for _ in range(2)]
        async with running(hubs[0], timers=True) as h, running(hubs[1], timers=True), asyncio.timeout(PATIENCE_S):
            count.go.clear()
            await h.handle(message("wonder", "asked", id="wonder"))
            await h.handle(message("alarm", "rings", "10", id="alarm"))
            stop = asyncio.Event()
            sending = [asyncio.create_task(send([*hubs], client, stop)) for client in range(CLIENTS)]
            while h.stats.messages < 200:  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.01)
            try:
                await asyncio.to_thread(postgres.stop, "immediate")
                count.go.set()
                while h.readiness.look().status != "unready":  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.01)
            finally:
                await asyncio.to_thread(postgres.start)
            before = h.stats.messages
            while h.stats.messages < before + 200:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
            stop.set()
            sent = await asyncio.gather(*sending)
            clock.forward(11)
            while not (await items(h, "asked") and await items(h, "rings")):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
            await asyncio.gather(*(one.settled() for one in hubs))
            await all_is_there(h, sent)
            while [one.readiness.look().status for one in hubs] != ["ready", "ready"]:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)

    asyncio.run(story())
