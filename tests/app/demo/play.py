"""The demo as a program of its own, and what it dumped."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest

from flexhub.core.documents import decode

T = TypeVar("T")

COMMAND = (sys.executable, "-m", "flexhub.app.cli", "demo")


def play(*arguments: str | Path) -> dict[str, Any]:
    """Run the demo to its end; its one JSON object."""
    done = subprocess.run(
        [*COMMAND, "--exit", "--json", *map(str, arguments)], capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


class Day(NamedTuple):
    """What a day left."""

    result: dict[str, Any]
    dump: Path
    store: Path


def usual_day(factory: pytest.TempPathFactory) -> Day:
    """The day that is played without being told which. It is the same each time, so it is played once in a test run."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "usual-day"
    folder.mkdir(exist_ok=True)
    played = folder / "result.json"
    day = folder / "dump", folder / "day.db"
    with (folder / "lock").open("w") as lock:  # of several workers, one plays it
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not played.exists():
            result = play("--dump", day[0], "--store", f"sqlite:///{day[1]}")
            played.write_text(json.dumps(result), "utf-8")
    return Day(json.loads(played.read_text("utf-8")), *day)


def dumped(kind: type[T], file: Path) -> list[T]:
    """The documents of a file of JSON lines."""
    return [decode(kind, line) for line in file.read_bytes().splitlines()]


def listening(pid: int) -> set[str]:
    """Addresses (hexadecimal, as the kernel has them) that a process listens on; Linux only."""
    sockets = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(fd.readlink())
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            sockets.add(target[8:-1])
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text("ascii").splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in sockets:
                found.add(fields[1].partition(":")[0])
    return found


LOOPBACK_HEX = "0100007F"
"""127.0.0.1 as Linux prints it on a little-endian machine."""
