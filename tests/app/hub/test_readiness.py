"""What the hub says of itself: every check with what makes it fail, and its twin."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from flexhub.app.hub.readiness import Limits, Readiness, Status, disk
from flexhub.core.errors import UnavailableError
from tests.app.hub.shop import Count, hub, message, running


@pytest.mark.parametrize(
    ("said", "vital", "status"),
    [
        (None, True, Status.READY),
        ("broken", True, Status.UNREADY),
        ("broken", False, Status.DEGRADED),
    ],
)
def test_only_a_vital_check_keeps_messages_away(said: str | None, vital: bool, status: Status) -> None:
    readiness = Readiness()
    readiness.add("fine", lambda: None, vital=True)
    readiness.add("this", lambda: said, vital=vital)
    ready = readiness.look()
    assert ready.status is status
    assert [(f.name, f.ok, f.detail) for f in ready.checks] == [("fine", True, ""), ("this", said is None, said or "")]


def test_a_check_that_fails_itself_says_no() -> None:
    readiness = Readiness()
    readiness.add("this", lambda: str(1 // 0), vital=True)
    assert readiness.look().status is Status.UNREADY


def test_a_disk_has_room_or_not(tmp_path: Path) -> None:
    assert disk(tmp_path, lambda: Limits(free_disk_mib=0))() is None
    assert "are free" in str(disk(tmp_path, lambda: Limits(free_disk_mib=1 << 40))())
    assert "cannot be reached" in str(disk(tmp_path / "gone", Limits)())


def failing(readiness: Readiness) -> dict[str, str]:
    return {f.name: f.detail for f in readiness.look().checks if not f.ok}


def test_a_question_that_is_open_for_too_long_is_told_until_it_is_answered(tmp_path: Path) -> None:
    async def story() -> None:
        engine = Count()
        engine.go.clear()
        async with running(hub(tmp_path, askers={"test.count": engine})) as h:
            h.limits = Limits(question=timedelta(seconds=0))
            assert failing(h.readiness) == {}
            await h.handle(message("wonder", "b", id="1"))
            assert list(failing(h.readiness)) == ["engines"]
            assert h.readiness.look().status is Status.DEGRADED
            engine.go.set()
            await h.settled()
            assert failing(h.readiness) == {}

    asyncio.run(story())


def test_too_many_messages_waiting_are_told_until_they_are_worked(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(hub(tmp_path)) as h:
            h.limits = Limits(queue=2)
            answers = [h.submit(message("fill", "b", str(n), id=str(n))) for n in range(3)]
            assert failing(h.readiness) == {"queue": "3 messages wait, allowed: 2"}
            await asyncio.gather(*answers)
            await h.settled()
            assert failing(h.readiness) == {}

    asyncio.run(story())


def test_a_hub_that_stops_is_not_ready(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(hub(tmp_path)) as h:
            assert h.readiness.look().status is Status.READY
        assert failing(h.readiness) == {"stopping": "the hub is stopping"}

    asyncio.run(story())


def test_a_store_whose_file_is_gone_acknowledges_nothing_and_goes_on_when_it_is_back(tmp_path: Path) -> None:
    file = tmp_path / "hub.db"

    async def story() -> None:
        async with running(hub(tmp_path)) as h:
            assert (await h.handle(message("fill", "b", "1", id="1"))).status == 201
            away = file.rename(tmp_path / "away")
            for _ in range(2):
                with pytest.raises(UnavailableError, match="send the message again"):
                    await h.handle(message("fill", "b", "2", id="2"))
            assert failing(h.readiness) == {"store": "the store cannot be written: its file is gone, or is another one"}
            assert not file.exists()
            away.rename(file)
            assert (await h.handle(message("fill", "b", "2", id="2"))).body == b'["1","2"]'
            await h.recover()
            assert failing(h.readiness) == {}
            assert [row.message_id for row in h.store.journal(0, 10)] == ["1", "2"]

    asyncio.run(story())
