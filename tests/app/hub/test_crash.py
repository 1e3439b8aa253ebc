"""Kill a real hub under load, again and again: what it acknowledged is there, once, and nothing is there by half."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from flexhub.adapters.store import open_store
from flexhub.adapters.store.interface import Query, Store
from flexhub.app import wiring
from flexhub.core.documents import decode
from flexhub.core.flexoffer import FlexOffer, State
from tests.app.api.live import config
from tests.app.hub.crash import WRITERS
from tests.app.hub.shop import Box, url
from tests.app.market import NOON, Clock, Greedy
from tests.conftest import ROOT
from tests.postgres import USER, Cluster

AFTER = (150, 700, 300, 40)
"""Kill after so many acknowledgements beyond what the runs before have stored."""


STALLED = "?options=-c%20idle_in_transaction_session_timeout%3D2000"
"""An address with this lets go, after 2 s, of what a process has locked that does nothing."""

LOCKED = """
    SELECT count(*) > 1 AND bool_and(state = 'idle in transaction') FROM pg_stat_activity JOIN pg_locks USING (pid)
    WHERE datname = %s AND locktype = 'advisory' AND granted
"""


@pytest.fixture(params=["sqlite", "postgres"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return url(tmp_path)
    server: Cluster = request.getfixturevalue("postgres")
    return server.database()


def started(address: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tests.app.hub.crash", address], stdout=subprocess.PIPE, cwd=ROOT)


def kill_after(lines: int, hub: subprocess.Popen[bytes]) -> set[tuple[str, str]]:
    """Acknowledgements (box, number) that the hub gave before it was killed: at least so many."""
    with hub:
        assert hub.stdout is not None
        said = [hub.stdout.readline() for _ in range(lines)]
        hub.kill()
        said += hub.stdout.readlines()
    whole = [line.decode().split() for line in said if line.endswith(b"\n")]
    assert len(whole) >= lines, "the hub died by itself"
    return {(box, number) for box, number in whole}


def everything(store: Store) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]], dict[str, tuple[str, ...]]]:
    """What the journal, the outbox and the documents hold."""
    journal = Counter((row.conversation, row.body.decode()) for row in store.journal(0, 1_000_000))
    outbox = Counter((row.subject, decode(str, row.body)) for row in store.notices(None, 0, 1_000_000))
    boxes = {row.id: decode(Box, row.body).items for row in store.documents(Query("Box", limit=WRITERS))}
    return journal, outbox, boxes


def check(address: str, acknowledged: set[tuple[str, str]]) -> None:
    """What was acknowledged is there, once, and nothing is there by half."""
    store = open_store(address)
    journal, outbox, boxes = everything(store)
    store.close()
    assert acknowledged <= set(journal)
    assert set(journal.values()) == {1}
    assert outbox == journal
    assert Counter((box, item) for box, items in boxes.items() for item in items) == journal
    assert all(items == tuple(map(str, range(len(items)))) for items in boxes.values()), "in order, without holes"


def test_a_killed_hub_has_lost_nothing_and_done_nothing_twice(address: str) -> None:
    acknowledged: set[tuple[str, str]] = set()
    for more in AFTER:
        acknowledged |= kill_after(len(acknowledged) + more, started(address))
        check(address, acknowledged)


def test_two_hubs_that_are_sent_the_same_and_killed_have_worked_it_once(postgres: Cluster) -> None:
    address = postgres.database()
    one, other = started(address), started(address)
    acknowledged = kill_after(300, one)
    acknowledged |= kill_after(500, other)
    check(address, acknowledged)


def freeze_with_locks(hub: subprocess.Popen[bytes], server: Cluster, database: str) -> None:
    """Stop the process while it has locked conversations, in the midst of a batch."""
    with psycopg.connect(f"host=127.0.0.1 port={server.port} user={USER}", autocommit=True) as admin:
        while True:
            hub.send_signal(signal.SIGSTOP)
            if admin.execute(LOCKED, (database,)).fetchone() == (True,):
                return
            hub.send_signal(signal.SIGCONT)


def test_a_hub_that_freezes_holds_the_other_one_up_for_seconds_only(postgres: Cluster) -> None:
    """Both work the same conversations; the frozen one has locked some, and wakes when all that is long done."""
    address = postgres.database()
    frozen = started(address + STALLED)
    try:
        assert frozen.stdout is not None
        said = [frozen.stdout.readline().decode() for _ in range(100)]
        freeze_with_locks(frozen, postgres, address.rpartition("/")[2])
        acknowledged = kill_after(1000, started(address))
        frozen.send_signal(signal.SIGCONT)
        acknowledged |= kill_after(1000, frozen)
    finally:
        frozen.kill()
        frozen.wait()
    check(address, acknowledged | {(box, number) for box, number in map(str.split, said)})


def state_after_a_restart(folder: Path, now: datetime) -> State:
    """What has become of the offer once a hub that starts at this time has nothing left to do."""

    async def story() -> State:
        async with wiring.running(config(folder), clock=Clock(now), engine=Greedy()) as running:
            await running.hub.settled()
            offer = await running.hub.get(FlexOffer, "o")
            assert offer is not None
            return offer.state

    return asyncio.run(story())


def test_what_fell_due_while_the_hub_was_down_is_made_up_for(tmp_path: Path) -> None:
    """The offer's assignment deadline is at 12:45; the hub that took it is killed at noon."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.app.hub.outage", str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT
    ) as hub:
        assert hub.stdout is not None
        said = hub.stdout.readline()
        hub.kill()
    assert said == b"201\n"
    assert state_after_a_restart(tmp_path, NOON + timedelta(minutes=44)) is State.ACCEPTED
    assert state_after_a_restart(tmp_path, NOON + timedelta(hours=9)) is State.EXPIRED
