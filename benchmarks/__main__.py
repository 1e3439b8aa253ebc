"""Runs the benchmarks (all, or those named), prints their figures and writes build/bench.json.

    python -m benchmarks [NAME ...]

Exits with 1 if a target is missed, with 2 if there is no benchmark of that name.
"""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from importlib import import_module

import msgspec

import benchmarks
from benchmarks.figure import RESULTS, Figure, Report, machine, today
from benchmarks.report import number

CHILD = "--child"


def child(name: str) -> None:
    """Run one benchmark here and write its figures as the last line of stdout."""
    figures: list[Figure] = import_module(f"benchmarks.{name}").run()
    sys.stdout.write("\n" + msgspec.json.encode(figures).decode() + "\n")


def measure(name: str) -> list[Figure]:
    """Run one benchmark in a process of its own, so that none warms another's caches or grows its memory."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", CHILD, name], stdout=subprocess.PIPE, check=True, text=True
    )
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=list[Figure])


def names() -> list[str]:
    """Modules here that have figures."""
    return [
        module.name
        for module in pkgutil.iter_modules(benchmarks.__path__)
        if not module.name.startswith("_") and hasattr(import_module(f"benchmarks.{module.name}"), "run")
    ]


def main(arguments: list[str]) -> int:
    """Run and report."""
    if arguments[:1] == [CHILD]:
        child(arguments[1])
        return 0
    if unknown := [name for name in arguments if name not in names()]:
        print(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(names())}", file=sys.stderr)
        return 2
    before = msgspec.json.decode(RESULTS.read_bytes(), type=Report).figures if arguments and RESULTS.exists() else ()
    figures: list[Figure] = []
    for name in arguments or names():
        print(f"{name} ...", file=sys.stderr, flush=True)
        for figure in measure(name):
            figures.append(figure)
            verdict = {True: "met", False: "MISSED", None: ""}[figure.met]
            target = "" if figure.target is None else f"({'<=' if figure.at_most else '>='} {figure.target:,g}) "
            print(f"  {figure.name}: {number(figure.value)} {figure.unit} {target}{verdict}", flush=True)
    kept = tuple(f for f in before if f.name not in {new.name for new in figures})
    report = Report(machine=machine(), day=today(), figures=(*kept, *figures))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    print(f"on {report.machine}, {report.day}; written to {RESULTS.relative_to(RESULTS.parent.parent)}")
    return 1 if any(f.met is False for f in figures) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
