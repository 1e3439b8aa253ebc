"""What of a configuration can change while a hub runs, and what needs a restart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from flexhub.app.config import Config

CHANGEABLE: Final = frozenset(("party", "plan.every", "settle.every", "ready", "log", "limits", "tls.cert", "tls.key"))
"""Sections and keys that a reload brings in; a party that is no longer named stays in the registry."""


def changed(before: Config, after: Config) -> list[str]:
    """The keys that differ, dotted; a section that appears or disappears by its own name."""
    return list(_changed(before, after, ""))


def _changed(before: object, after: object, at: str) -> Iterator[str]:
    if before == after:
        return
    if isinstance(before, msgspec.Struct) and type(before) is type(after) and at not in CHANGEABLE:
        for name in before.__struct_fields__:
            yield from _changed(getattr(before, name), getattr(after, name), f"{at}.{name}".lstrip("."))
    else:
        yield at


def reloaded(before: Config, after: Config) -> tuple[Config, list[str], list[str]]:
    """What to go on with, which keys are new in it, and which of those wanted need a restart and stay as they were."""
    keys = changed(before, after)
    fresh, stale = [key for key in keys if key in CHANGEABLE], [key for key in keys if key not in CHANGEABLE]
    config = before
    for key in fresh:
        section, _, name = key.partition(".")
        value = getattr(after, section)
        if name:
            value = msgspec.structs.replace(getattr(config, section), **{name: getattr(value, name)})
        config = msgspec.structs.replace(config, **{section: value})
    return config, fresh, stale
