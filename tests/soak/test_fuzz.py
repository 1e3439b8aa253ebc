"""Twenty minutes of anything at all over HTTP (or ``SOAK_MINUTES``): no 5xx, and no growth of memory."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.conftest import ROOT

MINUTES = float(os.environ.get("SOAK_MINUTES", "20"))
GROWTH = 1.3
"""How much more memory the hub may hold at the end than after a third of the time; journal and caches fill up first."""

HUB = """
[hub]
name = "agr"
listen = "127.0.0.1:0"
[store]
url = "sqlite:///hub.db"
[limits]
requests = 1e6
requests_at_once = 1e6
failures = 1e6
failures_at_once = 1e6
[[party]]
id = "ann"
roles = ["prosumer"]
[party.contract]
id = "c-ann"
"""

pytestmark = [pytest.mark.soak, pytest.mark.timeout(60 * MINUTES + 600)]


def resident_mib(pid: int) -> float:
    """Memory that a process holds now."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def test_no_input_makes_the_hub_fail_or_grow(tmp_path: Path) -> None:
    (tmp_path / "hub.toml").write_text(HUB)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    flexhub = [sys.executable, "-m", "flexhub"]

    def key(party: str, role: str) -> str:
        command = [*flexhub, "keys", "add", party, "--role", role]
        return subprocess.check_output(command, cwd=tmp_path, env=environment, text=True).strip()

    tokens = {role: key(party, role) for party, role in (("ann", "prosumer"), ("agr", "aggregator"), ("root", "admin"))}
    with subprocess.Popen(
        [*flexhub, "run", "hub.toml", "--json"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as hub:
        assert hub.stdout is not None
        base = json.loads(hub.stdout.readline())["url"]
        memory: list[float] = []
        done = threading.Event()

        def watch() -> None:
            while not done.wait(5):
                memory.append(resident_mib(hub.pid))

        watching = threading.Thread(target=watch, daemon=True)
        watching.start()
        failures = {}
        try:
            for role, token in tokens.items():
                command = [
                    *(str(Path(sys.executable).parent / "schemathesis"), "run", f"{base}/openapi.json"),
                    *("-H", f"Authorization: Bearer {token}"),
                    *("--checks", "not_a_server_error,status_code_conformance,content_type_conformance"),
                    *("--mode", "all", "--phases", "coverage,fuzzing", "--exclude-path", "/flexoffer/stream"),
                    *("--max-time", str(int(60 * MINUTES / len(tokens)))),
                    *("--max-examples", "100000", "--continue-on-failure", "--suppress-health-check", "all"),
                ]
                ran = subprocess.run(
                    command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
                )
                if ran.returncode != 0:
                    failures[role] = ran.stdout[-4000:] + ran.stderr[-2000:]
            connection = http.client.HTTPConnection(base.removeprefix("http://"), timeout=30)
            connection.request("GET", "/health")
            assert connection.getresponse().status == 200
        finally:
            done.set()
            watching.join()
            hub.terminate()
            hub.wait(60)
    assert failures == {}
    settled = memory[len(memory) // 3 :]
    assert max(settled) < GROWTH * settled[0], memory
