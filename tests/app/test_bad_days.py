"""A hub as a process of its own, on days on which the disk is full: it says so, loses nothing, and goes on."""

from __future__ import annotations

import http.client
import json
import os
import resource
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from flexhub.core.documents import encode
from tests import programs
from tests.app.market import make_offer
from tests.postgres import Cluster

PATIENCE_S: Final = 20
CONFIG: Final = """
[hub]
name = "agr"
listen = "127.0.0.1:0"
doors = {doors}

[store]
url = "sqlite:///{store}"

[[party]]
id = "ann"
roles = ["prosumer"]
contract = {{id = "c"}}
"""


class Process:
    """`flexhub run`, and a client of it."""

    def __init__(self, folder: Path, doors: int) -> None:
        self.file = folder / "hub.toml"
        self.file.write_text(CONFIG.format(store=folder / "hub.db", doors=doors))
        self.token = self.flexhub("keys", "add", "ann", "--config", str(self.file)).strip()
        self.log = folder / "log"
        self.start()

    def start(self, module: str = programs.FLEXHUB, **environment: str) -> None:
        """Begin, or begin anew; another module's `main` instead of the program's."""
        with self.log.open("a") as log:
            told, env = ("run", self.file, "--json"), os.environ | environment
            self.popen = programs.start(*told, module=module, stderr=log, env=env, own_session=True)
        assert self.popen.stdout is not None
        self.url = json.loads(self.popen.stdout.readline())["url"]

    @staticmethod
    def flexhub(*arguments: str) -> str:
        ran = programs.run(*arguments)
        assert ran.code == 0, ran.err
        return ran.out

    def request(
        self, method: str, path: str, body: bytes | None = None, key: str = "", token: str = ""
    ) -> tuple[int, Any, Any]:
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=PATIENCE_S)
        headers = {"Authorization": f"Bearer {token or self.token}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, body, headers | ({"Idempotency-Key": key} if key else {}))
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read()), answer.headers
        finally:
            connection.close()

    def post(self, name: str) -> tuple[int, Any, Any]:
        now = datetime.now(UTC)
        offer = make_offer(name, "ann", now=now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0))
        return self.request("POST", "/flexoffer", encode(offer), name)

    def stop(self) -> int:
        self.popen.terminate()
        try:
            return self.popen.wait(PATIENCE_S)
        finally:
            self.popen.kill()
            self.popen.wait()
            if self.popen.stdout:
                self.popen.stdout.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "not within the time that it should take"


@pytest.fixture(params=[0, 1], ids=["one process", "a door"])
def process(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Process]:
    process = Process(tmp_path, request.param)
    try:
        yield process
    finally:
        process.stop()


def test_a_full_disk_is_told_and_passes(process: Process, tmp_path: Path) -> None:
    assert process.request("GET", "/ready")[0] == 200
    assert process.post("before")[0] == 201
    full = (tmp_path / "hub.db-wal").stat().st_size
    soft, hard = resource.prlimit(process.popen.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.popen.pid, resource.RLIMIT_FSIZE, (full, hard))

    status, problem, headers = process.post("during")
    assert (status, problem["code"], headers["Retry-After"]) == (503, "unavailable", "5")
    status, ready, _ = process.request("GET", "/ready")
    assert (status, ready["status"]) == (503, "unready")
    assert [check["name"] for check in ready["checks"] if not check["ok"]] == ["store"]
    assert process.request("GET", "/health")[0] == 200
    assert [o["id"] for o in process.request("GET", "/flexoffer")[1]["items"]] == ["before"]

    resource.prlimit(process.popen.pid, resource.RLIMIT_FSIZE, (soft, hard))
    until(lambda: process.request("GET", "/ready")[0] == 200)
    assert process.post("during")[0] == 201
    assert {o["id"] for o in process.request("GET", "/flexoffer")[1]["items"]} == {"before", "during"}
    assert process.stop() == 0


def test_a_stuck_engine_is_told_holds_nothing_up_and_is_asked_again(process: Process) -> None:
    process.stop()
    process.start("tests.app.stuck", FLEXHUB__READY__QUESTION="PT0.1S")
    token = process.flexhub("keys", "add", "agr", "--role", "aggregator", "--config", str(process.file)).strip()

    def failing() -> list[str]:
        return [check["name"] for check in process.request("GET", "/ready")[1]["checks"] if not check["ok"]]

    assert process.post("to-be-planned")[0] == 201
    assert process.request("POST", "/plan", token=token, body=b"")[0] == 202
    until(lambda: failing() == ["engines"])
    status, ready, _ = process.request("GET", "/ready")
    assert (status, ready["status"]) == (200, "degraded")
    assert process.post("meanwhile")[0] == 201
    assert process.stop() == 0
    process.start()
    stream = http.client.HTTPConnection(process.url.removeprefix("http://"), timeout=PATIENCE_S)
    stream.request("GET", "/flexoffer/stream?after=0", headers={"Authorization": f"Bearer {token}"})
    heard = stream.getresponse()
    assert any(line == b"event: plan\n" for line in iter(heard.readline, b""))
    stream.close()


@pytest.mark.parametrize("doors", [0, 1])
def test_a_database_server_that_is_gone_is_told_and_its_return_is_noticed(
    postgres: Cluster, tmp_path: Path, doors: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEXHUB__STORE__URL", postgres.database())
    process = Process(tmp_path, doors)
    try:
        assert process.post("before")[0] == 201
        postgres.stop("immediate")
        try:
            status, problem, headers = process.post("during")
            assert (status, problem["code"], headers["Retry-After"]) == (503, "unavailable", "5")
            until(lambda: process.request("GET", "/ready")[0] == 503)
            said = json.dumps(process.request("GET", "/ready")[1])
            assert "cannot be written" in said
            assert not [word for word in (str(postgres.port), "127.0.0.1", "user") if word in said]
            assert process.request("GET", "/flexoffer/before")[0] == 503
        finally:
            postgres.start()
        until(lambda: process.request("GET", "/ready")[0] == 200)
        assert f"port {postgres.port} failed" in process.log.read_text()
        assert process.post("during")[0] == 201
        assert {o["id"] for o in process.request("GET", "/flexoffer")[1]["items"]} == {"before", "during"}
    finally:
        process.stop()
