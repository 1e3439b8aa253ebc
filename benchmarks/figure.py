"""One figure, and the machine that it was measured on."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

RESULTS: Final = Path(__file__).parent.parent / "build" / "bench.json"


class Figure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A measured value, the value that it must reach, and a peer's on the same machine in the same run.

    `at_most` tells the direction: a time must stay under its target, a throughput reach it.
    """

    name: str
    value: float
    unit: str
    target: float | None = None
    at_most: bool = False
    peer: float | None = None
    peer_name: str = ""
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if self.target is None:
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of a run."""

    machine: str
    day: str
    figures: tuple[Figure, ...]


def machine() -> str:
    """Processor, cores, memory and Python, in one line."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text("utf-8").splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cpu = models[0] if models else platform.processor() or platform.machine()
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{cpu}, {os.cpu_count()} cores, {memory_gib:.0f} GiB, Python {platform.python_version()}"


def today() -> str:
    """The day of the measurement, in UTC."""
    return f"{datetime.now(UTC):%Y-%m-%d}"
