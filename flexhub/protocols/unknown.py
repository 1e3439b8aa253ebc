"""Unknown fields of JSON messages: taken out before a typed decode, put back on encode, at every level.

They form one tree that mirrors the message: ``{"slices": {"3": {"colour": "red"}}, "brand": "x"}`` holds the unknown
field ``colour`` of element 3 of the known list ``slices``, and the unknown field ``brand``. Below a known field stands
a sub-tree (list elements by index, as text); below an unknown one its value. So typed structs need no field for them,
and the common message, which has none, is decoded at C speed.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from flexhub.core.errors import MalformedError

MAX_DEPTH = 64
"""Deepest nesting of arrays and objects that is read."""


class Unknown:
    """Holder of the tree in a struct. A type of its own, so that no JSON value can pass for it."""

    __slots__ = ("tree",)

    def __init__(self, tree: dict[str, Any]) -> None:
        self.tree = tree

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unknown) and self.tree == other.tree

    __hash__ = None  # type: ignore[assignment] # it holds JSON objects, which have no hash

    def __repr__(self) -> str:
        return f"Unknown({self.tree!r})"


@cache
def shape(kind: type[msgspec.Struct]) -> dict[str, tuple[type[msgspec.Struct] | None, type[msgspec.Struct] | None]]:
    """JSON name of each field -> (struct type of its value, struct type of its elements), None where it is neither."""
    info = inspect.type_info(kind)
    if not isinstance(info, inspect.StructType):
        return {}
    return {field.encode_name: _structs(field.type) for field in info.fields if not _is_holder(field.type)}


def _options(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    return kind.types if isinstance(kind, inspect.UnionType) else (kind,)


def _is_holder(kind: inspect.Type) -> bool:
    return any(isinstance(option, inspect.CustomType) and option.cls is Unknown for option in _options(kind))


def _structs(kind: inspect.Type) -> tuple[type[msgspec.Struct] | None, type[msgspec.Struct] | None]:
    one = many = None
    for option in _options(kind):
        if isinstance(option, inspect.StructType):
            one = option.cls
        elif isinstance(option, inspect.VarTupleType):
            many = next((o.cls for o in _options(option.item_type) if isinstance(o, inspect.StructType)), None)
    return one, many


def depth(value: object, limit: int = MAX_DEPTH) -> None:
    """Refuse nesting beyond the limit, without recursion.

    Raises:
        MalformedError: nested too deep.
    """
    level: list[Any] = [value]
    for _ in range(limit + 1):
        holders = [item for item in level if isinstance(item, dict | list)]
        if not holders:
            return
        level = [inner for item in holders for inner in (item.values() if isinstance(item, dict) else item)]
    raise MalformedError(f"arrays and objects are nested deeper than {limit}")


def split(raw: dict[str, Any], kind: type[msgspec.Struct]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(known part, tree of unknown fields) of a decoded JSON object that is to become a `kind`."""
    fields = shape(kind)
    known: dict[str, Any] = {}
    tree: dict[str, Any] = {}
    for name, value in raw.items():
        if name not in fields:
            tree[name] = value
            continue
        one, many = fields[name]
        known[name] = value
        below: dict[str, Any] = {}
        if one is not None and isinstance(value, dict):
            known[name], below = split(value, one)
        elif many is not None and isinstance(value, list):
            known[name] = elements = list(value)
            for i, element in enumerate(value):
                if isinstance(element, dict):
                    elements[i], under = split(element, many)
                    if under:
                        below[str(i)] = under
        if below:
            tree[name] = below
    return known, tree


def join(known: dict[str, Any], tree: dict[str, Any], kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON object again: the inverse of `split`.

    Sub-trees of fields or elements that are not there any more are left out, since what they belonged to is gone.
    """
    fields = shape(kind)
    for name, value in tree.items():
        one, many = fields.get(name, (None, None))
        if name not in fields:
            known[name] = value
            continue
        target = known.get(name)
        if one is not None and isinstance(target, dict):
            join(target, value, one)
        elif many is not None and isinstance(target, list | tuple):
            known[name] = elements = list(target)
            for index, under in value.items():
                if int(index) < len(elements):
                    join(elements[int(index)], under, many)
    return known
