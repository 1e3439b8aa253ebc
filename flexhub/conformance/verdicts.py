"""What suites that are made of corpora say of a target: whether a reject is refused, and as its entry says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from flexhub.conformance.corpora import Rejected
from flexhub.core.errors import FlexhubError
from flexhub.protocols.rules import Broken


class Decodes(Protocol):
    """A target that reads."""

    @property
    def decode(self) -> Callable[[bytes], Any]:
        """Bytes to a message; raises a FlexhubError for what is none."""


def said(found: Iterable[Broken]) -> str:
    """Findings in a line."""
    return "; ".join(map(str, found)) or "no finding"


def just(found: Iterable[Broken], file: Rejected) -> str | None:
    """None where the one finding is that of the file's entry, at its place; else what was found."""
    found = list(found)
    return None if [(f.rule, f.path) for f in found] == [(file.rule, file.path)] else said(found)


async def refused(file: Rejected, target: Decodes) -> str | None:
    """None where reading it fails with the code and at the place of its entry; else what came."""
    try:
        target.decode(file.data)
    except FlexhubError as error:
        return None if (error.code, error.path) == (file.code, file.path) else f"{error.code} at {error.path}: {error}"
    return "it was read"
