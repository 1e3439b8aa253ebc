"""A store is trimmed while its hub runs: nobody waits long, and at every moment a replay comes to what is stored."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from flexhub.adapters.store import open_store
from flexhub.adapters.store.interface import DocumentRow, SendRow, Store
from flexhub.app import retention, wiring
from flexhub.app.access import audit
from flexhub.app.config import Config, Duration, RetentionSection
from flexhub.app.exchange.running import Cadence, PutCadence
from flexhub.app.hub.contract import Asker, Handler
from flexhub.app.hub.loop import office
from flexhub.app.hub.replay import replay
from flexhub.core import documents
from flexhub.core.errors import ReusedError, UnavailableError
from flexhub.core.flexoffer import State
from flexhub.core.registry import Role
from flexhub.core.timeseries import Measurement
from tests.app.api.live import config
from tests.app.hub.shop import HANDLERS, NOON, Clock, Count, hub_at, message, running
from tests.app.market import Greedy, make_offer
from tests.app.trimming import LENGTHS
from tests.conftest import ROOT
from tests.postgres import Cluster

DAY = timedelta(days=1)
ALL: Mapping[str, Handler] = dict(HANDLERS) | retention.HANDLERS | {"cadence.put": PutCadence()}
QUESTIONS = ("test.count", retention.QUESTION)


class KilledError(Exception):
    """Stands for the end of a process between two transactions."""


def askers(lengths: RetentionSection = LENGTHS) -> dict[str, Asker]:
    return {"test.count": Count(), retention.QUESTION: retention.Trimmer(lengths)}


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'hub.db'}"
    server: Cluster = request.getfixturevalue("postgres")
    return server.database()


def reading(n: int, offer: str) -> DocumentRow:
    m = Measurement(subject="anna", start=NOON - DAY, values_kwh=(float(n),), offer=offer)
    ends = m.start + timedelta(minutes=15)
    return DocumentRow("Measurement", f"r-{n}", "anna", "", m.start, ends, 1, documents.encode(m))


async def live(url: str) -> datetime:
    """Messages, notices, timers and readings that are old, and some that are not; and messages for peers."""
    clock = Clock()
    async with running(hub_at(url, clock, askers(), ALL)) as hub:
        for n in range(7):
            await hub.handle(message("fill", f"box-{n % 3}", str(n), id=f"old-{n}"))
            clock.forward(1)
        await hub.handle(message("alarm", "box-1", "100000", id="alarm"))
        with hub.store.erasing() as store:
            generation = store.begin_origin()  # as a run leaves it that was killed
            store.add_origin(generation, [])
        with hub.store.begin() as transaction:
            for state, offer in ((State.EXECUTED, "open"), (State.SETTLED, "done")):
                body = documents.encode(msgspec.structs.replace(make_offer(offer, "anna"), state=state))
                transaction.put_documents([DocumentRow("FlexOffer", offer, "anna", state, None, None, 1, body)])
            transaction.put_documents([reading(n, "done" if n % 2 else "open") for n in range(6)])
            ends = clock.now + timedelta(hours=9)
            rows = [SendRow("dso", f"m-{n}", "c", "/", "x", b"<x/>", "r", clock.now, ends) for n in range(4)]
            transaction.add_sends(rows)
            transaction.mark_sends({("dso", "m-1"): "sent", ("dso", "m-3"): "failed"})
        # What was put past the journal is where a replay begins, as after an erasure.
        retention.trim(hub.store, RetentionSection(journal=Duration(hours=1)), clock.now + DAY, pause=lambda _: None)
        clock.forward(DAY.total_seconds())
        for n in range(5):
            await hub.handle(message("fill", f"box-{n % 3}", str(n), id=f"mid-{n}"))
        clock.forward(3 * 3600)
        await hub.handle(message("fill", "box-1", "new", id="new"))
    return clock.now


def check(url: str, folder: Path) -> None:
    """A replay comes to what is stored, and the audit log holds."""
    again = folder / f"again-{next(NUMBERS)}.db"
    with closing(open_store(url)) as stored, closing(open_store(f"sqlite:///{again}")) as fresh:
        assert replay(stored, fresh, office(ALL, QUESTIONS, holder="")).differences == []
        assert audit.verify(stored).faults == []


NUMBERS = itertools.count()


def dying(after: int) -> Callable[[float], None]:
    """A pause that is the last one after so many."""
    left = iter(range(after))

    def pause(_seconds: float) -> None:
        if next(left, None) is None:
            raise KilledError

    return pause


def test_wherever_it_ends_a_replay_holds_and_the_next_run_finishes(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 6)
    now = asyncio.run(live(url))
    check(url, tmp_path)
    done: retention.Trimmed | None = None
    for after in itertools.count():
        with closing(open_store(url)) as store, suppress(KilledError):
            done = retention.trim(store, LENGTHS, now, pause=dying(after))
        check(url, tmp_path)
        if done is not None:
            break
    assert after > 3, "there was something to do"
    with closing(open_store(url)) as store:
        kinds = [row.kind for row in store.journal(0, 1000) if row.message_id.startswith(("old", "mid"))]
        assert set(kinds) == {audit.ERASED}
        assert [row.message_id for row in store.journal(0, 1000) if row.kind == "fill"] == ["new"]
        assert len(store.notices(None, 0, 100)) == 1
        assert [row.message_id for row in store.sends(0, 9)] == ["m-0", "m-2"], "those that wait"
        readings = {row.id for row in store.all_documents(("", ""), 100) if row.kind == "Measurement"}
        assert readings == {"r-0", "r-2", "r-4"}, "those of what is not settled"
        assert retention.trim(store, LENGTHS, now, pause=lambda _: None).messages == 0
    assert done is not None
    assert done.longest_hold_s > 0


def test_a_run_that_is_killed_is_made_up_for(url: str, tmp_path: Path) -> None:
    now = asyncio.run(live(url))
    for steps in (1, 4, 9):
        with subprocess.Popen(
            [sys.executable, "-m", "tests.app.trimming", url, now.isoformat()], stdout=subprocess.PIPE, cwd=ROOT
        ) as run:
            assert run.stdout is not None
            for _ in range(steps):
                assert run.stdout.readline()
            run.kill()
        check(url, tmp_path)
    with closing(open_store(url)) as store:
        retention.trim(store, LENGTHS, now)  # waits for the lease of the one that was killed
        assert [row.message_id for row in store.journal(0, 1000) if row.kind == "fill"] == ["new"]
    check(url, tmp_path)


def test_a_hub_trims_when_its_timer_comes_up_and_goes_on_taking_messages(url: str, tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        async with running(hub_at(url, clock, askers(), ALL)) as hub:
            await hub.handle(
                msgspec.structs.replace(message("cadence.put", "hub", id="c"), role=Role.ADMIN, value=Cadence(trim=DAY))
            )
            first = message("fill", "box", "1", id="first")
            told = await hub.handle(first)
            assert await hub.handle(first) == told
            for _ in range(2):
                clock.forward(DAY.total_seconds())
                ticking = asyncio.create_task(hub.tick())
                for n in range(20):
                    await hub.handle(message("fill", "box", str(n), id=f"{clock.now}-{n}"))
                await ticking
            with pytest.raises(ReusedError):
                await hub.handle(first)  # what it said is not known any more, but that it was here
            (told_last,) = [row.body for row in hub.store.journal(0, 1000) if row.kind == "trim.result"]
            assert msgspec.json.decode(told_last, type=retention.Trimmed).messages > 20, "the first result among them"
            assert hub.store.document("Box", "box") is not None

    asyncio.run(story())
    check(url, tmp_path)


def test_of_two_processes_one_trims(postgres: Cluster) -> None:
    url = postgres.database()
    now = asyncio.run(live(url))
    with closing(open_store(url)) as one, closing(open_store(url)) as other:

        def meanwhile(_seconds: float) -> None:
            assert retention.trim(other, LENGTHS, now, pause=lambda _: None) == retention.Trimmed()

        assert retention.trim(one, LENGTHS, now, pause=meanwhile).messages > 0

        def taken(_seconds: float) -> None:
            one.hold(retention.LEASE, "none", 60)
            with one.engines[1].connect() as connection:  # type: ignore[attr-defined] # it is one on SQL
                connection.exec_driver_sql("UPDATE lease SET holder = 'other' WHERE name = 'retention'")

        with pytest.raises(UnavailableError):
            retention.trim(one, LENGTHS, now + DAY, pause=taken)


def test_nothing_is_copied_or_said_where_nothing_is_old(url: str) -> None:
    now = asyncio.run(live(url))

    def counts(store: Store) -> tuple[int, int]:
        return len(store.journal(0, 1000)), len(store.origin(0, 1000))

    with closing(open_store(url)) as store:
        before = counts(store)
        assert retention.trim(store, RetentionSection(), now).messages == 0
        assert (
            retention.trim(store, RetentionSection(journal=Duration(days=9), notices=Duration(days=9)), now) is not None
        )
        assert counts(store) == before


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        (RetentionSection(), None),
        (RetentionSection(every=Duration(hours=1)), None),
        (RetentionSection(journal=Duration(days=9)), DAY),
        (RetentionSection(notices=Duration(days=9), every=Duration(hours=1)), timedelta(hours=1)),
        (RetentionSection(journal=Duration(days=9), every=None), None),
    ],
)
def test_the_configuration_sets_the_timer(
    tmp_path: Path, section: RetentionSection, expected: timedelta | None
) -> None:
    async def due(configured: Config) -> timedelta | None:
        async with wiring.running(configured, clock=Clock(), engine=Greedy(), timers=False) as one:
            cadence = await one.hub.get(Cadence, configured.hub.name)
            timers = one.hub.store.due_timers(NOON + 9 * DAY, 100)
            assert ("trim" in {timer.event for timer in timers}) is (expected is not None)
            return cadence.trim if cadence else None

    assert asyncio.run(due(msgspec.structs.replace(config(tmp_path), retention=section))) == expected
    market = msgspec.structs.replace(config(tmp_path / "market").hub, roles=(Role.MARKET_OPERATOR,))
    (tmp_path / "market").mkdir()
    only = msgspec.structs.replace(config(tmp_path / "market"), hub=market, retention=section)
    assert asyncio.run(due(only)) == expected
