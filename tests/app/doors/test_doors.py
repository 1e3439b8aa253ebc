"""A hub whose HTTP is spoken by processes of their own: the same to its clients, whichever of the processes dies."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from flexhub.adapters.http.client import HttpClient
from flexhub.app.config import HubSection
from flexhub.app.wiring import running
from flexhub.conformance.exchange import Exchange, Participant
from flexhub.conformance.registry import suite
from flexhub.conformance.suite import Report, Result, run
from flexhub.core.errors import InternalError
from flexhub.core.flexoffer import FlexOffer
from tests import programs
from tests.app.api.live import Live, config, live
from tests.app.market import Clock, make_offer

PATIENCE_S = 20


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Live]:
    """A hub with two doors, at the last full quarter of an hour."""
    configured = config(tmp_path)
    configured = msgspec.structs.replace(configured, hub=msgspec.structs.replace(configured.hub, doors=2))
    now = datetime.now(UTC)
    with live(configured, clock=Clock(now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0))) as served:
        yield served


def offer(hub: Live, name: str) -> FlexOffer:
    return make_offer(name, "ann", now=hub.clock())


def doors_of(pid: int) -> list[int]:
    """Processes of doors that this one has started."""
    children = [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in _words(task / "children")]
    return [child for child in children if b"flexhub.app.doors.door" in Path(f"/proc/{child}/cmdline").read_bytes()]


def _words(file: Path) -> list[str]:
    return file.read_text("ascii").split()


def until(condition: Callable[[], bool]) -> None:
    """Ask again until it holds; a connection that is cut meanwhile counts as no."""
    deadline = datetime.now(UTC).timestamp() + PATIENCE_S
    while datetime.now(UTC).timestamp() < deadline:
        try:
            if condition():
                return
        except (OSError, http.client.HTTPException):
            continue
    raise AssertionError("not within the time that it should take")


def test_the_rest_suite_passes_through_doors(hub: Live) -> None:
    rest = suite("flexoffer-rest")

    async def main() -> Report:
        one, other = (Participant(party=name, token=hub.tokens[name]) for name in ("ann", "bob"))
        async with HttpClient(hub.running.url) as client:
            return await run(rest, Exchange(client, (one, other), hub.clock(), "t"), "hub")

    report = asyncio.run(main())
    assert [f"{line.id}: {line.came}" for line in report.cases if line.result is Result.FAILED] == []
    assert report.passed + report.todo == len(rest.cases)


def test_a_refusal_by_the_hub_reaches_the_client_as_without_a_door(hub: Live) -> None:
    assert hub.request("POST", "/flexoffer", "ann", offer(hub, "o")).status == 201
    twin = hub.request("POST", "/flexoffer", "ann", offer(hub, "o"))
    assert twin.status == 200
    other = hub.request(
        "POST", "/flexoffer", "ann", msgspec.structs.replace(offer(hub, "o"), end_before=None, location="x")
    )
    assert (other.status, other.json["path"]) == (409, "FlexOffer/id")


def test_a_door_that_is_killed_is_replaced_and_nothing_is_lost(hub: Live) -> None:
    acknowledged: list[str] = []
    for _ in range(2):
        enough = len(acknowledged) + 20
        before = doors_of(os.getpid())
        for pid in before:
            os.kill(pid, signal.SIGKILL)

        def post(enough: int = enough) -> bool:
            name = f"o-{len(acknowledged)}"
            status = hub.request("POST", "/flexoffer", "ann", offer(hub, name)).status
            assert status in (200, 201)
            acknowledged.append(name)
            return len(acknowledged) == enough

        until(post)
        until(lambda: len(doors_of(os.getpid())) == 2)
        assert not set(before) & set(doors_of(os.getpid()))
    assert {o["id"] for o in hub.get("/flexoffer?limit=1000")["items"]} == set(acknowledged)


def test_what_the_hub_commits_is_on_the_streams_of_all_doors(hub: Live) -> None:
    connections = []
    try:
        for _ in range(6):
            connection = http.client.HTTPConnection(hub.running.host, hub.running.port, timeout=PATIENCE_S)
            connection.request("GET", "/flexoffer/stream", headers={"Authorization": f"Bearer {hub.tokens['ann']}"})
            connections.append((connection, connection.getresponse()))
        assert hub.request("POST", "/flexoffer", "ann", offer(hub, "o")).status == 201
        for _, answer in connections:
            lines = iter(answer.readline, b"")
            data = next(line for line in lines if line.startswith(b"data: "))
            assert json.loads(data.removeprefix(b"data: "))["id"] == "o"
    finally:
        for connection, _ in connections:
            connection.close()


HUB = """
[hub]
name = "agr"
listen = "127.0.0.1:0"
doors = 2

[store]
url = "sqlite:///{store}"
"""


@pytest.mark.parametrize(("how", "code"), [(signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)])
def test_no_door_outlives_its_hub(tmp_path: Path, how: signal.Signals, code: int) -> None:
    file = tmp_path / "hub.toml"
    file.write_text(HUB.format(store=tmp_path / "hub.db"))
    process = programs.start("run", file, "--json")
    assert process.stdout is not None
    with process.stdout:
        url = json.loads(process.stdout.readline())["url"]
        doors = doors_of(process.pid)
        assert len(doors) == 2

        def health() -> bool:
            connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=PATIENCE_S)
            connection.request("GET", "/health")
            return connection.getresponse().status == 200

        until(health)
        process.send_signal(how)
        assert process.wait(PATIENCE_S) == code
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in doors))


def test_a_door_that_cannot_open_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "uvloop.py").write_text("raise ImportError('broken on purpose')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", ""))))

    async def start() -> None:
        async with running(msgspec.structs.replace(config(tmp_path), hub=HubSection(listen="127.0.0.1:0", doors=1))):
            raise AssertionError("it serves")

    with pytest.raises(InternalError, match="did not start"):
        asyncio.run(start())
