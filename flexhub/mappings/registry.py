"""The mappings between wire messages and the core, by protocol and message."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, Final

import msgspec

from flexhub.core.errors import ConfigError
from flexhub.mappings.fates import Fates, Mapped


class Mapping(msgspec.Struct, frozen=True, kw_only=True):
    """One message and one core type, both ways; the context is the mapping's own type of choices.

    Between two protocols ``core`` is the other's message.
    """

    message: type
    core: type
    read: tuple[Fates, ...]
    written: tuple[Fates, ...]
    to_core: Callable[[Any, Any], Mapped[Any]]
    to_wire: Callable[[Any, Any], Mapped[Any]]


MAPPINGS: Final[dict[str, str]] = {
    "flexoffer": "flexhub.mappings.flexoffer.mapping",
    "openadr2b": "flexhub.mappings.openadr2b.mapping",
    "uftp": "flexhub.mappings.uftp.mapping",
    "usef2015": "flexhub.mappings.usef2015.mapping",
    "usef2015-uftp": "flexhub.mappings.usef2015.bridge",
}
"""Protocol -> module with its ``MAPPINGS``; imported only when asked for. Of two protocols: one's to the other's."""


@cache
def mappings(protocol: str) -> tuple[Mapping, ...]:
    """Every mapping of a protocol.

    Raises:
        ConfigError: the protocol has none.
    """
    if protocol not in MAPPINGS:
        raise ConfigError(f"no mapping for {protocol!r}; known: {', '.join(sorted(MAPPINGS))}", value=protocol)
    found: tuple[Mapping, ...] = import_module(MAPPINGS[protocol]).MAPPINGS
    return found
