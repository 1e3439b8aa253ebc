"""The real program, started as a user starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import ROOT


class Ran(NamedTuple):
    """What a run of the program left."""

    code: int
    out: str
    err: str


Program = Callable[..., Ran]


@pytest.fixture
def flexhub(tmp_path: Path) -> Program:
    """Runs `flexhub` in an empty folder, with these arguments."""

    def run(*arguments: str | Path, stdin: bytes = b"") -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "flexhub.app.cli", *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"},
            input=stdin,
            capture_output=True,
            check=False,
            timeout=60,
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run
