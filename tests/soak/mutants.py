"""Makes of a message one that its sender never meant: bytes changed at random, or parts of the document moved about."""

from __future__ import annotations

import contextlib
import copy
import json
import math
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

from lxml import etree

NASTY: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**30, 0.1, -0.0, 1e308, -1e308, 5e-324),
    *(math.nan, math.inf, "", " ", "0", "NaN", "1e400", "\ufeff", "\ud800", "\x00", "\u202e", "x" * 5000, "é" * 300),
    *("2026-02-30T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-12:00", "P1Y2M", "-PT1S"),
    *([], {}, [[]], {"": None}, [None] * 50, {"id": {"id": {"id": []}}}),
)
"""Values at which readers stumble."""

XML: Final = (
    b'<!DOCTYPE a [<!ENTITY b "c">]>',
    b'<?xml version="1.1" encoding="UTF-16"?>',
    b"<!-- -- -->",
    b"<![CDATA[x]]>",
    b"&b;",
    b"&#0;",
    b"&#xD800;",
    b' xmlns="urn:x"',
    b' xml:lang="&#10;"',
    b"<?php ?>",
)
"""What has no place in a message."""

MOST: Final = 1 << 20
"""Mutants are no larger than what the hub takes."""

Mutate = Callable[[bytes, Random, Sequence[bytes]], bytes]


def bytewise(data: bytes, dice: Random, others: Sequence[bytes]) -> bytes:
    """Bytes flipped, cut out, said again, put in, or replaced by a piece of another message."""
    out = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 4, 16))):
        at = dice.randrange(len(out) + 1)
        end = min(len(out), at + dice.choice((1, 1, 2, 8, 64, 1000)))
        match dice.randrange(7):
            case 0:
                out[at:end] = bytes(b ^ (1 << dice.randrange(8)) for b in out[at:end])
            case 1:
                del out[at:end]
            case 2:
                out[at:at] = out[at:end] * dice.choice((1, 2, 50))
            case 3:
                out[at:at] = dice.randbytes(dice.choice((1, 4, 40)))
            case 4:
                other = dice.choice(others)
                start = dice.randrange(len(other) + 1)
                out[at:end] = other[start : start + dice.choice((8, 100, 5000))]
            case 5:
                out[at:at] = dice.choice((b"[", b"{", b'"', b"<", b"&", b"\\u0000", *XML)) * dice.choice((1, 1, 3000))
            case _:
                del out[at:]
    return bytes(out[:MOST])


def of_json(data: bytes, dice: Random, others: Sequence[bytes]) -> bytes:
    """Members and items taken away, said twice, swapped, renamed, nested, or given another value."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return bytewise(data, dice, others)
    for _ in range(dice.choice((1, 1, 2, 5))):
        value = _mutated(value, dice)
    text = json.dumps(value, ensure_ascii=dice.random() < 0.5)
    return text.encode("utf-8", "surrogatepass")[:MOST]


def _mutated(value: Any, dice: Random) -> Any:
    holders = [found for found in _walk(value) if found]
    if not holders:
        return copy.deepcopy(dice.choice(NASTY))
    holder = dice.choice(holders)
    key = dice.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    match dice.randrange(7):
        case 0:
            del holder[key]
        case 1:
            _add(holder, f"{key}s", copy.deepcopy(holder[key]))
        case 2:
            holder[key] = copy.deepcopy(dice.choice(NASTY))
        case 3:
            holder[key] = [holder[key]] if dice.random() < 0.5 else {str(key): holder[key]}
        case 4:
            other = dice.choice(holders)
            at = dice.choice(list(other) if isinstance(other, dict) else range(len(other)))
            holder[key] = copy.deepcopy(other[at])
        case 5 if isinstance(holder, list):
            holder *= dice.choice((2, 100)) if len(holder) < 200 else 1
        case 5:
            holder[dice.choice(("", "type", "id", "__class__", "é", str(key).upper()))] = holder.pop(key)
        case _ if isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
            holder[key] = holder[key] * dice.choice((-1, 0, 1e3, 1e-9, 1e300)) + dice.choice((0, 1, -1, 0.5))
        case _:
            holder[key] = f"{holder[key]}{dice.choice(('', ' ', chr(0), 'x', '9' * 30))}"
    return value


def _add(holder: Any, key: str, value: Any) -> None:
    if isinstance(holder, dict):
        holder[key] = value
    else:
        holder.append(value)


def _walk(value: Any) -> list[Any]:
    """All objects and lists within."""
    found: list[Any] = []
    stack = [value]
    while stack and len(found) < 5000:
        one = stack.pop()
        if isinstance(one, dict | list):
            found.append(one)
            stack += one.values() if isinstance(one, dict) else one
    return found


def of_xml(data: bytes, dice: Random, others: Sequence[bytes]) -> bytes:
    """Elements taken away, said twice, moved, renamed; attributes given other values; and what has no place there."""
    try:
        root = etree.fromstring(data)
    except (etree.XMLSyntaxError, ValueError):
        return bytewise(data, dice, others)
    for _ in range(dice.choice((1, 1, 2, 5))):
        nodes = list(root.iter(etree.Element))
        node, other = dice.choice(nodes), dice.choice(nodes)
        with contextlib.suppress(ValueError, TypeError):  # what lxml itself will not write
            match dice.randrange(8):
                case 0 if node is not root:
                    node.getparent().remove(node)  # type: ignore[union-attr] # it is not the root
                case 1:
                    root.append(copy.deepcopy(node))
                case 2:
                    node.extend([copy.deepcopy(other) for _ in range(dice.choice((1, 1, 200)))])
                case 3 if node.attrib:
                    del node.attrib[dice.choice(list(node.attrib))]
                case 4 if node.attrib:
                    node.set(dice.choice(list(node.attrib)), str(dice.choice(NASTY)))
                case 5:
                    node.tag = dice.choice((str(other.tag), "{urn:x}FlexOffer", "a", str(node.tag).lower()))
                case 6 if node.attrib and other.attrib:
                    node.set(dice.choice(list(node.attrib)), other.get(dice.choice(list(other.attrib)), ""))
                case _:
                    node.text = str(dice.choice(NASTY))
    out = etree.tostring(root)
    if dice.random() < 0.1:
        at = dice.randrange(len(out) + 1)
        out = out[:at] + dice.choice(XML) + out[at:]
    return out[:MOST]
