"""What all core types share: frozen, strict structs, identifiers, instants and checks used in more than one file."""

from __future__ import annotations

import math
from collections.abc import Iterable
from copy import copy
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import msgspec

from flexhub.core.errors import InvalidError
from flexhub.core.units import FIRST_YEAR, LAST_YEAR, LONGEST_S, MOST_SLOTS

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern=r"^[^\x00-\x20/?#\x7f]+$(?!\n)")]
"""An identifier: 1 to 128 characters, no spaces, controls, '/', '?' or '#', so that it can stand in a URL.

The look-ahead is there since ``$`` also matches before a final newline."""

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
"""An instant with a time zone; held in UTC."""

Seconds = Annotated[int, msgspec.Meta(ge=0, le=LONGEST_S)]
"""A length of time in whole seconds, a leap year at most."""

ResolutionS = Annotated[int, msgspec.Meta(ge=1, le=86_400)]
"""Length of one slot in seconds."""

Slots = Annotated[int, msgspec.Meta(ge=1, le=MOST_SLOTS)]
"""A number of slots, at least one; at most a leap year of quarter-hours."""


class Model(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Base of the core's types: immutable, compared by value, JSON in and out, unknown fields refused."""


M = TypeVar("M", bound=msgspec.Struct)


def renewed(model: M, **fields: object) -> M:
    """A copy with other values of fields that no check of its type concerns, so that none is run again."""
    other = copy(model)
    for name, value in fields.items():
        msgspec.structs.force_setattr(other, name, value)
    return other


def in_utc(model: msgspec.Struct, fields: Iterable[str]) -> None:
    """Hold these instants of a struct under construction in UTC.

    Raises:
        InvalidError: an instant without a time zone, or outside `FIRST_YEAR` to `LAST_YEAR`.
    """
    for name in fields:
        instant = getattr(model, name)
        if instant is None:
            continue
        if not FIRST_YEAR <= instant.year <= LAST_YEAR:
            years = f"the year {instant.year} is outside {FIRST_YEAR}..{LAST_YEAR}"
            raise InvalidError(years, path=name.rstrip("_"), value=instant.isoformat())
        if instant.tzinfo is not UTC:
            if instant.tzinfo is None:
                raise InvalidError("an instant needs a time zone", path=name, value=instant.isoformat())
            msgspec.structs.force_setattr(model, name, instant.astimezone(UTC))


def finite(model: msgspec.Struct, fields: Iterable[str]) -> None:
    """Refuse NaN and infinity in these fields of a struct under construction (JSON has neither; Python has).

    Raises:
        InvalidError: a field that is not finite.
    """
    for name in fields:
        number = getattr(model, name)
        if number is not None and not math.isfinite(number):
            raise InvalidError(f"{number} is not finite", path=name, value=str(number))
