"""Whether the hub can be relied upon just now, and if not, why: a list of checks that anything may add its own to.

A check looks at what is known already and answers at once: it runs on the event loop whenever somebody asks. What has
to be tried out first, such as a database that was gone, is tried by a task of whoever owns the check.
"""

from __future__ import annotations

import enum
import logging
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

import msgspec

log = logging.getLogger(__name__)

Check = Callable[[], str | None]
"""Says in one sentence what is wrong; None: nothing. Anyone may read it, so it names no party and no path."""


class Status(enum.StrEnum):
    """How the hub is: `ready`; `degraded`, it takes messages and something else is wrong; `unready`, send elsewhere."""

    READY = "ready"
    DEGRADED = "degraded"
    UNREADY = "unready"


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one check says. Only a `vital` one that is not `ok` keeps messages away; `detail` says what is wrong."""

    name: str
    ok: bool
    vital: bool
    detail: str = ""


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the hub can be relied upon, and each check."""

    status: Status
    checks: tuple[Finding, ...]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """From when on something counts as wrong: messages waiting, age of an open question, free space of the disk."""

    queue: int = 10_000
    question: timedelta = timedelta(minutes=10)
    free_disk_mib: int = 64


class Readiness:
    """The checks of a hub, in the order in which they were added."""

    def __init__(self) -> None:
        self._checks: dict[str, tuple[Check, bool]] = {}

    def add(self, name: str, check: Check, *, vital: bool = False) -> None:
        """Ask this, too; a check of the same name is replaced.

        Args:
            name: a word.
            check: see `Check`.
            vital: while it fails the hub cannot take messages, and says so with status 503.
        """
        self._checks[name] = check, vital

    def look(self) -> Ready:
        """What all checks say now. One that fails to say anything counts as one that says no."""
        findings = []
        for name, (check, vital) in self._checks.items():
            try:
                wrong = check()
            except Exception:
                log.exception("the check %r failed", name)
                wrong = "the check itself failed; the log says how"
            findings.append(Finding(name=name, ok=wrong is None, vital=vital, detail=wrong or ""))
        bad = [finding for finding in findings if not finding.ok]
        status = Status.UNREADY if any(f.vital for f in bad) else Status.DEGRADED if bad else Status.READY
        return Ready(status=status, checks=tuple(findings))


MIB: Final = 1 << 20


def disk(folder: Path, limits: Callable[[], Limits]) -> Check:
    """The check that the disk of this folder has room."""

    def check() -> str | None:
        try:
            free = shutil.disk_usage(folder).free // MIB
        except OSError as error:
            return f"the store's folder cannot be reached: {error.strerror}"
        wanted = limits().free_disk_mib
        return None if free >= wanted else f"{free} MiB are free on the store's disk, wanted: {wanted}"

    return check
