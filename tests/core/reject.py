"""Reject corpora of core types: a valid document, and the one change that makes it invalid."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec
import pytest

from flexhub.core import documents
from flexhub.core.errors import InvalidError

REMOVE: Final = object()
"""As a value: take the field out."""


class Reject(NamedTuple):
    """`good` decodes; with the field at `at` set to `bad` it is refused there (or at `path`, if that is elsewhere)."""

    name: str
    kind: type[Any]
    good: dict[str, Any]
    at: tuple[str | int, ...]
    bad: Any
    path: str
    clause: str = ""


def changed(document: dict[str, Any], at: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """The document with one field set or taken out; the objects on the way are there."""
    result: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document))
    place: Any = result
    for key in at[:-1]:
        place = place[key]
    if value is REMOVE:
        del place[at[-1]]
    else:
        place[at[-1]] = value
    return result


def check(case: Reject) -> None:
    """The twin decodes, also twice; the case is refused at its path with its clause."""
    value: object = documents.decode(case.kind, msgspec.json.encode(case.good))
    assert documents.decode(case.kind, documents.encode(value)) == value
    with pytest.raises(InvalidError) as caught:
        documents.decode(case.kind, msgspec.json.encode(changed(case.good, case.at, case.bad)))
    assert (caught.value.path, caught.value.clause) == (case.path, case.clause)
    assert caught.value.message
