"""JSON in and out for every core type, and the schema version of what is stored.

Decoding errors carry the path in our notation (``FlexOffer/profiles[0]/slices[2]``) and the clause of the check.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cache
from typing import Any, Final, TypeVar, cast

import msgspec

from flexhub.core.errors import FlexhubError, InvalidError, MalformedError, located

T = TypeVar("T")

VERSION: Final = 1
"""Schema version of documents written today; it is stored beside the document."""

UPCASTERS: Final[dict[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]]] = {}
"""(type name, version) -> what turns a document of that version into one of the next."""

MARKS: Final = ("\ufeff", "\ufeff".encode())
"""A byte order mark, as text and in UTF-8."""


@cache
def _decoder(kind: Hashable) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(cast("Any", kind))


_encoder: Final = msgspec.json.Encoder()


def explain(kind: type, error: msgspec.DecodeError) -> FlexhubError:
    """Our error for one of msgspec's: with our path, and the clause where a check of ours was broken."""
    name = getattr(kind, "__name__", "document")  # a union has none
    if not isinstance(error, msgspec.ValidationError):
        return MalformedError(f"not JSON: {error}", path=name, clause="RFC 8259")
    sentence, below = located(str(error))
    path = name + below
    cause = error.__cause__
    if isinstance(cause, InvalidError):
        inner = f"{path}/{cause.path}" if cause.path else path
        return InvalidError(cause.message, path=inner, value=cause.value, clause=cause.clause)
    return InvalidError(sentence, path=path)


def decode(kind: type[T], data: bytes | str) -> T:
    """Read one JSON document.

    Raises:
        MalformedError: not JSON.
        InvalidError: a field is missing, unknown, of another type or breaks a rule; the path names it.
    """
    try:
        value: T = _decoder(cast("Hashable", kind)).decode(data)
    except msgspec.DecodeError as error:
        if data[:1] == MARKS[0] or data[:3] == MARKS[1]:
            raise MalformedError(
                "it begins with a byte order mark; leave that out",
                path=getattr(kind, "__name__", "document"),
                clause="RFC 8259 section 8.1",
            ) from error
        raise explain(kind, error) from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise MalformedError(
            f"not JSON: {error}", path=getattr(kind, "__name__", "document"), clause="RFC 8259"
        ) from error
    return value


def encode(value: object) -> bytes:
    """Write one JSON document; fields at their defaults are left out."""
    return _encoder.encode(value)


def upcast(kind: type[T], version: int, data: bytes) -> T:
    """Read a stored document of an older version.

    Raises:
        MalformedError: not JSON.
        InvalidError: no upcaster leads from that version to today's, or the document is of a later version.
    """
    if version == VERSION:
        return decode(kind, data)
    if version > VERSION:
        raise InvalidError(
            f"version {version} is later than {VERSION}, the latest known", path=kind.__name__, value=str(version)
        )
    document: dict[str, Any] = decode(dict, data)
    for at in range(version, VERSION):
        step = UPCASTERS.get((kind.__name__, at))
        if step is None:
            raise InvalidError(f"no upcaster from version {at}", path=kind.__name__, value=str(version))
        document = step(document)
    return decode(kind, encode(document))
