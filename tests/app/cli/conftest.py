"""The real program, in a process of its own as a user starts it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.programs import Ran, run

Program = Callable[..., Ran]


@pytest.fixture
def flexhub(tmp_path: Path) -> Program:
    """Runs `flexhub` in an empty folder, with these arguments."""

    def started(*arguments: str | Path, stdin: bytes = b"") -> Ran:
        return run(*arguments, cwd=tmp_path, env={**os.environ, "COLUMNS": "100"}, stdin=stdin)

    return started
