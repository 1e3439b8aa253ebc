"""From a fresh clone to the demo's first result: one `make demo`, with all its own set-up.

The packages come from wherever pip gets them; run it twice to have them in pip's cache ("downloads warm").
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from time import perf_counter

from benchmarks.figure import Figure

ROOT = Path(__file__).parent.parent
LONGEST_S = 600


def run() -> list[Figure]:
    """Seconds from an empty folder to the printed result of the newest commit.

    Raises:
        CalledProcessError: the clone or the demo failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        begun = perf_counter()
        subprocess.run(["git", "clone", "--quiet", str(ROOT), folder], check=True)  # noqa: S607 - git as the user has it
        done = subprocess.run(
            ["make", "--silent", "--directory", folder, "demo", "ARGS=--exit --json"],  # noqa: S607 - as above
            check=True,
            stdout=subprocess.PIPE,
            timeout=LONGEST_S,
        )
        seconds = perf_counter() - begun
    day = json.loads(done.stdout.splitlines()[-1])
    note = f"downloads warm; {day['offers']} offers, of it {day['seconds']:.0f} s the day itself"
    name = "`make demo` from a fresh clone to the first result"
    return [Figure(name=name, value=seconds, unit="s", target=120, at_most=True, note=note)]
