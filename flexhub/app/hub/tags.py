"""Tags of documents, and requests that are meant for a certain state only (RFC 9110 sections 8.8.3 and 13)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import msgspec

from flexhub.core.errors import MalformedError

ANY: Final = "*"
DIGEST_BYTES: Final = 12

_ELEMENT: Final = re.compile(r'[ \t,]*(W/)?"([^\x00-\x20"\x7f]*)"[ \t]*(?:,|\Z)')
_REST: Final = re.compile(r"[ \t,]*\Z")
_OURS: Final = re.compile(rf"[0-9a-f]{{{2 * DIGEST_BYTES}}}(?:-[a-z]+)?")


def tag(body: bytes) -> str:
    """What stands for a document in this very state: other content, another tag; the same again, the same tag."""
    return blake2b(body, digest_size=DIGEST_BYTES).hexdigest()


def listed(lines: Sequence[str], name: str, *, weak: bool) -> tuple[str, ...] | None:
    """The tags in a header's lines that may be ours, or `ANY`; None where the header is absent.

    Args:
        lines: the header's values.
        name: the header's.
        weak: whether weak tags count (If-None-Match compares weakly, If-Match strongly).

    Raises:
        MalformedError: no list of entity tags.
    """
    if not lines:
        return None
    text = ",".join(lines)
    if text.strip(" \t") == ANY:
        return (ANY,)
    found, at = [], 0
    while element := _ELEMENT.match(text, at):
        at = element.end()
        if (weak or not element[1]) and _OURS.fullmatch(element[2]):
            found.append(element[2])
    if at == 0 or not _REST.match(text, at):
        raise MalformedError(
            "not a list of entity tags, nor *",
            path=f"header/{name}",
            value=text.encode(errors="replace").decode(),
            clause="RFC 9110 section 13.1",
        )
    return tuple(found)


class Only(msgspec.Struct, frozen=True, array_like=True):
    """The states that a request is meant for: `match` one of these (If-Match), `unless` one of those (If-None-Match).

    None: the header is absent.
    """

    match: tuple[str, ...] | None = None
    unless: tuple[str, ...] | None = None

    def matches(self, current: str | None) -> bool:
        """Whether the first of both holds. `current` is the tag; None: there is no such document."""
        return self.match is None or _among(current, self.match)

    def passes(self, current: str | None) -> bool:
        """Whether both hold."""
        return self.matches(current) and not (self.unless is not None and _among(current, self.unless))


def _among(current: str | None, tags: tuple[str, ...]) -> bool:
    return current is not None and (tags == (ANY,) or current in tags)
