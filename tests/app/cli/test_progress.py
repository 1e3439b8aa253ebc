"""A bar for work that takes a while: on a terminal, on stderr, never with --json."""

from __future__ import annotations

import os
import pty
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests import programs

OFFER: Final = (
    '{"id": "x", "issuer": "anna", "created": "2026-03-02T15:00:00Z", "start_after": "2026-03-02T18:00:00Z", '
    '"start_before": "2026-03-02T22:00:00Z", "profiles": [{"slices": [{"energy_kwh": [{"lo_kwh": 0, "hi_kwh": 1}]}]}]}'
)
WORK: Final = {
    "convert": (("convert", "offers.jsonl", "--to", "core"), "writing"),
    "validate": (("validate", "offers.jsonl"), "judging"),
    "conformance": (("conformance", "run", "mapping"), "judging"),
    "aggregate": (("aggregate", "offers.jsonl"), "pricing"),
}


def run(folder: Path, *arguments: str, patience: float = -1.0, terminal: bool = True) -> programs.Ran:
    """The real program with less patience than it has, its stderr a terminal or a pipe."""
    (folder / "offers.jsonl").write_text("".join(OFFER.replace('"x"', f'"x{i}"') + "\n" for i in range(3)))
    ours, theirs = pty.openpty() if terminal else os.pipe()
    env = {**os.environ, "COLUMNS": "100", "TERM": "xterm"}
    with (folder / "out").open("wb") as out:
        impatient = partial(programs.start, str(patience), *arguments, module="tests.app.cli.impatient")
        program = impatient(cwd=folder, env=env, stdout=out, stderr=theirs)
    os.close(theirs)
    shown = bytearray()
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError:  # how Linux tells that nobody holds the other end of a terminal any more
        pass
    os.close(ours)
    return programs.Ran(program.wait(), (folder / "out").read_text(), shown.decode())


@pytest.mark.parametrize("work", WORK)
def test_long_work_shows_a_bar_on_a_terminal(tmp_path: Path, work: str) -> None:
    arguments, label = WORK[work]
    seen = run(tmp_path, *arguments)
    assert seen.code == 0
    assert label in seen.err
    assert "100%" in seen.err
    assert label not in seen.out


@pytest.mark.parametrize("work", WORK)
def test_no_bar_with_json_nor_in_a_pipe(tmp_path: Path, work: str) -> None:
    arguments, label = WORK[work]
    assert label not in run(tmp_path, *arguments, "--json").err
    assert label not in run(tmp_path, *arguments, terminal=False).err


def test_short_work_shows_none(tmp_path: Path) -> None:
    assert run(tmp_path, "convert", "offers.jsonl", "--to", "core", patience=60.0).err == ""


def test_an_error_is_told_after_the_bar_has_gone(tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text(f"{OFFER}\n{OFFER.replace('anna', 'no name')}\n")
    seen = run(tmp_path, "convert", "bad.jsonl", "--to", "core")
    assert seen.code == 1
    assert "reading" in seen.err
    assert "issuer" in seen.err.rpartition("reading")[2]
