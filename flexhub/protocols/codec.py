"""What every codec promises, and the guards that they share."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from typing import Final, Protocol, TypeVar

import msgspec

from flexhub.core.errors import FlexhubError, InvalidError, MalformedError, located

M = TypeVar("M")

MAX_BYTES: Final = 16 * 1024 * 1024
"""Largest message that is read."""

_BYTE: Final = re.compile(r"\(byte (?P<at>\d+)\)")
_NO_COMMA: Final = re.compile(rb"\[\s*[-+.\d]+(?:\s+|(?=-))[-+.\d]")


class Codec(Protocol[M]):
    """Bytes to messages and back, without IO: ``decode(encode(m)) == m`` for every message."""

    def decode(self, data: bytes) -> M:
        """Read one message.

        Raises:
            MalformedError: too large, nested too deep, or not of the format.
            InvalidError: a field of another type than the standard says; the path names it.
        """

    def encode(self, message: M) -> bytes:
        """Write one message."""


def guard(data: bytes, root: str, max_bytes: int = MAX_BYTES) -> None:
    """Refuse what is too large to be looked at.

    Raises:
        MalformedError: more than `max_bytes`.
    """
    if len(data) > max_bytes:
        raise MalformedError(f"{len(data)} bytes exceed the limit of {max_bytes}", path=root, value=str(len(data)))


def explained(error: Exception, root: str, data: bytes = b"") -> FlexhubError:
    """Our error for one that msgspec raised while reading JSON."""
    text = str(error)
    if isinstance(error, msgspec.ValidationError):
        sentence, below = located(text)
        return InvalidError(sentence, path=root + below)
    if data.startswith(BOM_UTF8):
        return MalformedError(
            "it begins with a byte order mark; leave that out", path=root, clause="RFC 8259 section 8.1"
        )
    at = _BYTE.search(text)
    if at is not None:
        offset = int(at["at"])
        if _NO_COMMA.search(data[max(0, offset - 40) : offset + 20]):
            return MalformedError(
                f"byte {offset}: numbers of a row stand without commas; write [0, 1, 5], not [0 1 5]",
                path=root,
                clause="RFC 8259 section 5",
            )
    return MalformedError(f"not JSON: {text}", path=root, clause="RFC 8259")
