"""Copies of a store that a hub is writing to, and the way back."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from flexhub.adapters.store import backup as copying
from flexhub.adapters.store import open_store
from flexhub.adapters.store.interface import TokenRow
from flexhub.adapters.store.migrate import current
from flexhub.core.errors import ForbiddenError, InvalidError, NotFoundError
from tests.app.market import NOON
from tests.app.test_bad_days import Process
from tests.postgres import Cluster


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path, 0)
    try:
        yield process
    finally:
        process.stop()


def ids(file: Path) -> set[str]:
    with closing(sqlite3.connect(file)) as connection:
        return {id_ for (id_,) in connection.execute("SELECT id FROM document WHERE kind = 'FlexOffer'")}


def test_a_copy_under_load_is_whole_and_leads_back(process: Process, tmp_path: Path) -> None:
    acknowledged: list[str] = []
    enough = threading.Event()

    def post() -> None:
        while not enough.is_set():
            name = f"o-{len(acknowledged)}"
            assert process.post(name)[0] == 201
            acknowledged.append(name)

    posting = threading.Thread(target=post)
    posting.start()
    try:
        while len(acknowledged) < 20:
            pass
        before = set(acknowledged)
        process.flexhub("db", "backup", str(tmp_path / "copy.db"), "--config", str(process.file))
        process.flexhub("db", "upgrade", "--config", str(process.file))
    finally:
        enough.set()
        posting.join()
    assert before <= ids(tmp_path / "copy.db") <= set(acknowledged)
    assert (tmp_path / "copy.db").stat().st_mode & 0o077 == 0

    url = f"sqlite:///{tmp_path / 'hub.db'}"
    with pytest.raises(ForbiddenError, match="in use"):
        copying.restore(url, tmp_path / "copy.db", replace=True)
    assert process.post("after")[0] == 201
    process.stop()
    with pytest.raises(ForbiddenError, match="there is a store already"):
        copying.restore(url, tmp_path / "copy.db")
    copying.restore(url, tmp_path / "copy.db", replace=True)
    assert ids(tmp_path / "hub.db") == ids(tmp_path / "copy.db")
    assert "after" in ids(tmp_path / "hub.db.replaced")
    assert "differ" not in process.flexhub("replay", "--config", str(process.file))
    process.start()
    assert {o["id"] for o in process.request("GET", "/flexoffer?limit=1000")[1]["items"]} == ids(tmp_path / "copy.db")


def test_what_is_damaged_or_not_there_leaves_all_as_it_was(tmp_path: Path) -> None:
    url, copy = f"sqlite:///{tmp_path / 'hub.db'}", tmp_path / "copy.db"
    with pytest.raises(NotFoundError):
        copying.backup(url, copy)
    store = open_store(url)
    with store.begin() as transaction:
        for n in range(3000):
            transaction.add_token(TokenRow(f"{n:064}", "ann", "prosumer", NOON))
    copying.backup(url, copy)
    store.close()
    with pytest.raises(ForbiddenError, match="never overwritten"):
        copying.backup(url, copy)
    with pytest.raises(NotFoundError):
        copying.restore(url, tmp_path / "none.db", replace=True)
    good = copy.read_bytes()
    for damaged in (good[:-8192], good[:40_000] + b"\x7f" * 8192 + good[48_192:], b"noise" * 4000):
        copy.write_bytes(damaged)
        with pytest.raises(InvalidError):
            copying.restore(url, copy, replace=True)
    copy.write_bytes(good)
    copying.restore(f"sqlite:///{tmp_path / 'new.db'}", copy)
    for name in ("hub.db", "new.db"):
        here, newest = current(f"sqlite:///{tmp_path / name}")
        assert here == newest
    assert not list(tmp_path.glob("*.part*"))


def test_a_server_is_copied_by_its_own_programs(postgres: Cluster, tmp_path: Path) -> None:
    url, other, copy = postgres.database(), postgres.database(), tmp_path / "copy"
    store = open_store(url)
    with store.begin() as transaction:
        transaction.add_token(TokenRow("a" * 64, "ann", "prosumer", NOON))
    copying.backup(url, copy)
    with pytest.raises(ForbiddenError, match="in use"):
        copying.restore(url, copy, replace=True)
    store.close()
    copying.restore(other, copy)
    with pytest.raises(ForbiddenError, match="there is a store already"):
        copying.restore(other, copy)
    copying.restore(other, copy, replace=True)
    again = open_store(other)
    try:
        assert [token.party for token in again.tokens()] == ["ann"]
    finally:
        again.close()
