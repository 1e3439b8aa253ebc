"""How long a day of the demo takes, from the first registration to the last bill, and what came of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.figure import Figure

ROUNDS = 3
SHARED = Path(os.environ.get("FLEXHUB_SHARED", Path(__file__).parent.parent.parent / "shared"))
BUSIEST = SHARED / "data/acn/jpl_2019-05-01_2019-08-31.csv.gz"
"""86 sessions on 52 stations: the busiest day of the files at hand."""


def day(*arguments: str) -> dict[str, float]:
    """The object that `flexhub demo` prints."""
    command = [sys.executable, "-m", "flexhub.app.cli", "demo", "--exit", "--json", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def figure(name: str, *arguments: str) -> Figure:
    """The best of a few days, which all are the same day."""
    days = [day(*arguments) for _ in range(ROUNDS)]
    best = min(days, key=lambda d: d["seconds"])
    note = (
        f"{best['offers']} offers, {best['messages']} messages, peak {best['peak_before_kw']:.0f} -> "
        f"{best['peak_after_kw']:.0f} kW, {best['sessions_short']} sessions short"
    )
    return Figure(name=name, value=best["seconds"], unit="s", target=20, at_most=True, note=note)


def run() -> list[Figure]:
    """The built-in table's day, and the busiest day of the files where they are."""
    figures = [figure("a day of `flexhub demo`, built-in table")]
    if BUSIEST.exists():
        figures.append(figure("a day of `flexhub demo`, 86 sessions", "--sessions", str(BUSIEST)))
    return figures
