"""A power cut at any instant: what was acknowledged is there, once and whole. Who promises less is noticed."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import create_engine

from flexhub.adapters.store import dialects, open_store
from flexhub.adapters.store.interface import DocumentRow, JournalRow, NoticeRow
from flexhub.adapters.store.migrate import upgrade
from flexhub.adapters.store.sql import SqlStore
from tests.adapters.store.powercut import Disk, OnDisk

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BOXES = 5
INSTANTS = 60


class LostError(AssertionError):
    """The promise is broken."""


def run_until_cut(folder: Path, after: int, weaker: str | None, dice: Random) -> tuple[Disk, list[int]]:
    """Write transactions until the power goes; the disk, and which were acknowledged."""
    url = f"sqlite:///{folder / 'hub.db'}"
    upgrade(url)
    disk = Disk(after)
    before = dialects.SCHEMES["sqlite"]
    dialects.SCHEMES["sqlite"] = OnDisk(weaker)
    acknowledged: list[int] = []
    try:
        store = SqlStore(url)
        for number in itertools.count():
            with store.begin() as transaction:
                box = f"box-{number % BOXES}"
                body = f"{number:08}".encode() * dice.randrange(1, 400)
                transaction.put_documents([DocumentRow("Box", box, "anna", "", None, None, 1, body)])
                transaction.add_journal(
                    [JournalRow("anna", str(number), "fill", box, "prosumer", body, NOON, 201, b"")]
                )
                transaction.add_notices([NoticeRow("anna", "box", box, body, NOON)])
            acknowledged.append(number)
    except Exception:
        assert disk.left < 0, "something else went wrong"
    finally:
        disk.over = True
        dialects.SCHEMES["sqlite"] = before
    return disk, acknowledged


def check(folder: Path, acknowledged: list[int]) -> None:
    """What a later start finds is whole and holds at least what was acknowledged.

    Raises:
        LostError: it doesn't.
    """
    url = f"sqlite:///{folder / 'hub.db'}"
    engine = create_engine(url)
    with engine.connect() as connection:
        found = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
    engine.dispose()
    if found != ["ok"]:
        raise LostError(found)
    store = open_store(url)
    try:
        journal = store.journal(0, 1_000_000)
        notices = store.notices(None, 0, 1_000_000)
        boxes = {row.id: row for row in store.all_documents(("", ""), 1000)}
    finally:
        store.close()
    numbers = [int(row.message_id) for row in journal]
    if numbers != list(range(len(numbers))):
        raise LostError("the journal has holes or repeats")
    if len(numbers) < len(acknowledged):
        raise LostError(f"{len(acknowledged) - len(numbers)} of {len(acknowledged)} acknowledged are gone")
    if [row.body for row in notices] != [row.body for row in journal]:
        raise LostError("a transaction is there by half")
    for box, row in boxes.items():
        last = [entry for entry in journal if entry.conversation == box][-1]
        if (row.body, row.version) != (last.body, sum(entry.conversation == box for entry in journal)):
            raise LostError("a document isn't what the journal says")


def cuts(weaker: str | None, seed: int = 7) -> Iterator[int]:
    """Cut the power at many instants; how many transactions were acknowledged each time.

    Raises:
        LostError: the promise was broken.
    """
    dice = Random(seed)  # noqa: S311 - where the power goes, not a secret
    for _ in range(INSTANTS):
        with tempfile.TemporaryDirectory() as before, tempfile.TemporaryDirectory() as after:
            disk, acknowledged = run_until_cut(Path(before), dice.randrange(5, 900), weaker, dice)
            disk.left_behind(Path(after), dice)
            disk.unregister()
            check(Path(after), acknowledged)
            yield len(acknowledged)


def test_what_was_acknowledged_survives_a_power_cut() -> None:
    assert sum(cuts(None)) > INSTANTS


@pytest.mark.parametrize("weaker", ["synchronous=OFF", "synchronous=NORMAL"])
def test_a_database_that_does_not_sync_each_commit_is_noticed(weaker: str) -> None:
    with pytest.raises(LostError):
        for _ in cuts(weaker):
            pass
