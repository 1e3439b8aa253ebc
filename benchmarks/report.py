"""The README's table of figures, written from build/bench.json.

python -m benchmarks.report            print it
python -m benchmarks.report --write    put it into README.md
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.figure import RESULTS, Figure, Report

README: Final = Path(__file__).parent.parent / "README.md"
PLACE: Final = re.compile(r"(<!-- figures -->\n).*?(<!-- /figures -->)", re.DOTALL)


def number(value: float) -> str:
    """Three significant digits, thousands separated."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def row(figure: Figure) -> str:
    """One line of the table."""
    sign = "at most" if figure.at_most else "at least"
    target = "" if figure.target is None else f"{sign} {number(figure.target)}"
    peer = "" if figure.peer is None else f"{number(figure.peer)} ({figure.peer_name})"
    missed = " (missed)" if figure.met is False else ""
    return f"| {figure.name} | {number(figure.value)} {figure.unit}{missed} | {target} | {peer} |"


def table(report: Report) -> str:
    """The table, and where and when it was measured."""
    lines = [
        "| what | measured | target | beside it |",
        "| --- | --- | --- | --- |",
        *map(row, report.figures),
        "",
        f"Measured {report.day} on {report.machine}.",
    ]
    return "\n".join(lines) + "\n"


def put(readme: str, text: str) -> str:
    """The README with its table replaced."""
    changed, places = PLACE.subn(lambda match: f"{match[1]}{text}{match[2]}", readme)
    if places != 1:
        message = f"README.md has {places} places for the figures, not one"
        raise ValueError(message)
    return changed


def main(arguments: list[str]) -> int:
    """Print or write."""
    if not RESULTS.exists():
        print(f"no {RESULTS.name} yet: run `make bench`", file=sys.stderr)
        return 1
    text = table(msgspec.json.decode(RESULTS.read_bytes(), type=Report))
    if "--write" in arguments:
        README.write_text(put(README.read_text("utf-8"), text), encoding="utf-8")
    else:
        print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
