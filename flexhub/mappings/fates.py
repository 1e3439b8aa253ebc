"""What becomes of each field of a message in a mapping, and the losses of one conversion. Nothing disappears silently.

- exact: the same value on the other side, and back
- converted: the same meaning in another unit, sign or form; how is said
- kept: no place on the other side: carried along, and restored on the way back
- defaulted: may be absent, then filled in; with what is said
- dropped: not on the other side; why is said
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeVar

import msgspec

from flexhub.core.errors import ConfigError, LossError

V = TypeVar("V")


class Kind(enum.StrEnum):
    """What a loss means. A lost bound or price makes a conversion refuse, unless the caller allows it."""

    BOUND = "bound"
    PRICE = "price"
    CONVERTED = "converted"
    DEFAULTED = "defaulted"
    DROPPED = "dropped"


SERIOUS = frozenset((Kind.BOUND, Kind.PRICE))


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """One field that did not come over as it was; its JSON form is a line of ``flexhub convert``."""

    path: str
    kind: Kind
    value: Any = None
    why: str


class Mapped(msgspec.Struct, Generic[V], frozen=True):
    """A converted value, and what was lost on the way."""

    value: V
    losses: tuple[Loss, ...] = ()


class Fates(msgspec.Struct, frozen=True, kw_only=True):
    """The declared fate of every field of one struct type."""

    of: type[msgspec.Struct]
    exact: frozenset[str]
    converted: dict[str, str]
    kept: frozenset[str]
    defaulted: dict[str, str]
    dropped: dict[str, str]

    def listed(self) -> set[str]:
        """Every field that has a fate."""
        return {*self.exact, *self.converted, *self.kept, *self.defaulted, *self.dropped}


def fates(  # noqa: PLR0913 - one argument per fate
    of: type[msgspec.Struct],
    *,
    exact: Iterable[str] = (),
    converted: Mapping[str, str] | None = None,
    kept: Iterable[str] = (),
    defaulted: Mapping[str, str] | None = None,
    dropped: Mapping[str, str] | None = None,
) -> Fates:
    """Declare the fate of every field of `of`, by the field's JSON name.

    Raises:
        ConfigError: a field that the type does not have.
    """
    declared = Fates(
        of=of,
        exact=frozenset(exact),
        converted=dict(converted or {}),
        kept=frozenset(kept),
        defaulted=dict(defaulted or {}),
        dropped=dict(dropped or {}),
    )
    stray = declared.listed() - {field.encode_name for field in msgspec.structs.fields(of)}
    if stray:
        raise ConfigError(f"{of.__name__} has no field {', '.join(sorted(stray))}")
    return declared


def unlisted(declared: Fates) -> set[str]:
    """Fields without a fate, by JSON name."""
    return {field.encode_name for field in msgspec.structs.fields(declared.of)} - declared.listed()


def refuse_serious(losses: Iterable[Loss], *, allow: bool = False) -> None:
    """Refuse to lose a bound or a price, unless allowed.

    Raises:
        LossError: naming the first such loss.
    """
    for loss in losses:
        if loss.kind in SERIOUS and not allow:
            raise LossError(f"the {loss.kind} would be lost: {loss.why}", path=loss.path, value=str(loss.value))
