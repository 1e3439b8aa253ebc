"""The audit log tells who did what, only grows, and shows whatever is changed in it or in the journal."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from flexhub.adapters.store import open_store
from flexhub.adapters.store.interface import Store
from flexhub.adapters.store.sql import SqlStore
from flexhub.app.access.audit import Access, Audited, blocks, verify
from flexhub.app.config import Config
from tests.app.api.live import Live, config, live
from tests.app.market import AGGREGATOR, make_offer
from tests.postgres import Cluster


def played(configured: Config) -> None:
    """Two who offer, one who looks at what is another's, one who is nobody."""
    with live(configured) as hub:
        for name, who in (("a", "ann"), ("b", "bob"), ("c", "ann")):
            assert hub.request("POST", "/flexoffer", who, make_offer(name, who)).status in (200, 201)
        assert hub.request("GET", "/flexoffer/b", "bob").status == 200
        assert hub.request("GET", "/flexoffer/b", "ann").status == 404
        assert hub.request("POST", "/plan", "ann").status == 403
        assert hub.request("GET", "/bill", "a stranger").status == 401
        assert hub.request("GET", "/kpi", AGGREGATOR).status == 200
        assert hub.request("GET", "/health", None).status == 200
        hub.plan()


def address(configured: Config) -> str:
    return configured.store.url


def looked(configured: Config, head: str | None = None) -> Audited:
    store = open_store(address(configured))
    try:
        return verify(store, head)
    finally:
        store.close()


def accesses(store: Store) -> list[Access]:
    return [access for _, block in blocks(store) if block is not None for access in block.accesses]


@pytest.fixture
def story(tmp_path: Path) -> Config:
    configured = config(tmp_path)
    played(configured)
    return configured


def test_it_tells_who_read_what_and_who_was_refused(story: Config) -> None:
    store = open_store(address(story))
    told = [(a.party, a.role, a.method, a.path, a.status, a.address) for a in accesses(store)]
    here = "127.0.0.1"
    assert told == [
        ("bob", "prosumer", "GET", "/flexoffer/b", 200, here),
        ("ann", "prosumer", "GET", "/flexoffer/b", 404, here),
        ("ann", "prosumer", "POST", "/plan", 403, here),
        ("", "", "GET", "/bill", 401, here),
        (AGGREGATOR, "aggregator", "GET", "/kpi", 200, here),
    ]
    found = verify(store)
    assert (found.messages, found.faults) == (len(store.journal(0, 1000)), [])
    store.close()


def test_through_a_door_it_tells_the_same(tmp_path: Path) -> None:
    configured = config(tmp_path)
    behind = msgspec.structs.replace(configured, hub=msgspec.structs.replace(configured.hub, doors=1))
    with live(behind) as hub:
        assert hub.request("GET", "/bill", "ann").status == 200
        assert hub.request("GET", "/bill", "a stranger").status == 401
    store = open_store(address(configured))
    assert [(a.party, a.status) for a in accesses(store)] == [("ann", 200), ("", 401)]
    store.close()


def test_on_postgres_too_it_only_grows(tmp_path: Path, postgres: Cluster) -> None:
    plain = config(tmp_path)
    there = msgspec.structs.replace(plain, store=msgspec.structs.replace(plain.store, url=postgres.database()))
    for configured in (plain, there):
        played(configured)
        assert looked(configured).faults == []
        store = SqlStore(address(configured))
        spoils = ["UPDATE audit SET hash = 'x'", "DELETE FROM audit"]
        if configured is plain:
            spoils.append("REPLACE INTO audit SELECT seq, at, body, 'x' FROM audit")
        for spoil in spoils:
            with pytest.raises(DBAPIError, match="only grows"), store.engines[0].begin() as connection:
                connection.execute(text(spoil))
        store.close()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ("UPDATE audit SET body = CAST(replace(body, 'bob', 'ann') AS BLOB)", "not what its hash"),
        ("DELETE FROM audit WHERE seq = 2", "does not follow"),
        ("DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)", "in no block"),
        ("UPDATE audit SET seq = 99 WHERE seq = 1", "does not follow"),
        ("UPDATE journal SET body = CAST(replace(body, 'ann', 'bob') AS BLOB)", "was changed"),
        ("UPDATE journal SET peer = 'eve' WHERE seq = 4", "was changed"),
        ("DELETE FROM journal WHERE seq = (SELECT max(seq) FROM journal)", "is missing"),
        (
            "INSERT INTO journal SELECT 99, 'eve', 'x', kind, '', role, body, 0, 0, '' FROM journal LIMIT 1",
            "in no block",
        ),
    ],
)
def test_what_is_changed_shows(story: Config, tmp_path: Path, spoil: str, says: str) -> None:
    assert looked(story).faults == []
    with sqlite3.connect(tmp_path / "hub.db") as connection:
        for trigger in ("audit_no_update", "audit_no_delete"):  # as somebody would who owns the file
            connection.execute(f"DROP TRIGGER {trigger}")
        assert connection.execute(spoil).rowcount > 0
    connection.close()
    assert any(says in fault for fault in looked(story).faults), looked(story).faults


def test_a_log_that_was_made_anew_lacks_the_hash_that_was_written_down(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one, two = config(tmp_path / "one"), config(tmp_path / "two")
    played(one)
    head = looked(one).head
    played(one)
    assert looked(one, head).faults == []
    played(two)
    assert looked(two).faults == []
    assert looked(two, head).faults == [f"no block has the hash {head}"]


def test_what_was_read_is_logged_also_where_nothing_else_is_written(tmp_path: Path) -> None:
    def reads(hub: Live) -> int:
        assert hub.request("GET", "/bill", "ann").status == 200
        return len(hub.running.hub.store.audit(0, 1000))

    with live(config(tmp_path)) as hub:
        before = reads(hub)
        hub.call(hub.running.hub.flush())
        assert len(hub.running.hub.store.audit(0, 1000)) == before + 1
