"""How far each rule of a protocol is judged, as its ``conformance.yaml`` says: done, todo or exempt, and why."""

from __future__ import annotations

from importlib import resources

from flexhub.conformance.suite import Result, Status
from flexhub.core.errors import ConfigError

FILE = "conformance.yaml"
DONE = "done"


def read(text: str) -> dict[str, Status | None]:
    """Rule -> why it is not judged; None: it is. One rule a line, ``UFTP-01: done`` or ``UFTP-02: exempt, because``.

    Raises:
        ConfigError: a line is none of that, or a rule stands twice; its number is the path.
    """
    found: dict[str, Status | None] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        rule, colon, told = line.partition(": ")
        result, comma, why = told.partition(", ")
        if rule in found or not colon or (told != DONE and (result not in (Result.LATER, Result.EXEMPT) or not comma)):
            raise ConfigError("not a rule with done, todo or exempt and a reason", path=f"{FILE}:{number}", value=line)
        found[rule] = None if told == DONE else Status(Result(result), why)
    return found


def statuses(protocol: str = "uftp") -> dict[str, Status | None]:
    """That of a protocol's file."""
    return read((resources.files(f"flexhub.protocols.{protocol}") / FILE).read_text("utf-8"))
