"""How long the program takes to say what it can do: interpreter start, imports and the text of the help."""

from __future__ import annotations

import statistics
import subprocess
import sys
from time import perf_counter

from benchmarks.figure import Figure

ROUNDS = 15


def seconds(arguments: list[str], rounds: int = ROUNDS) -> float:
    """Median wall time of running Python with these arguments."""
    times = []
    for _ in range(rounds):
        begun = perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        times.append(perf_counter() - begun)
    return statistics.median(times)


def run() -> list[Figure]:
    """The figure; the bare interpreter stands beside it."""
    return [
        Figure(
            name="`flexhub --help`",
            value=seconds(["-m", "flexhub.app.cli", "--help"]),
            unit="s",
            target=0.4,
            at_most=True,
            peer=seconds(["-c", "pass"]),
            peer_name="python -c pass",
        )
    ]
