"""The protocols that flexhub speaks: their messages, codec and rules, by name."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final

import msgspec

from flexhub.core.errors import ConfigError
from flexhub.protocols.codec import Codec
from flexhub.protocols.rules import Rule


class Protocol(msgspec.Struct, frozen=True, kw_only=True):
    """One protocol: ``messages`` are the types that rules and mappings are about, ``codec`` reads and writes them.

    ``unmapped`` says of each message that no mapping is about why there is none.
    """

    name: str
    title: str
    messages: tuple[type, ...]
    codec: Codec[Any]
    rules: tuple[Rule[Any], ...]
    unmapped: dict[type, str] = {}


PROTOCOLS: Final[dict[str, str]] = {
    "flexoffer": "flexhub.protocols.flexoffer.protocol",
    "openadr2b": "flexhub.protocols.openadr2b.protocol",
    "uftp": "flexhub.protocols.uftp.protocol",
    "usef2015": "flexhub.protocols.usef2015.protocol",
}
"""Name -> module with its ``PROTOCOL``; imported only when it is asked for."""

GROUP: Final = "flexhub.protocol"
"""Entry point group by which other packages add protocols: name -> a `Protocol`."""


def names() -> list[str]:
    """Names of all protocols, built in and installed."""
    return sorted({*PROTOCOLS, *(point.name for point in entry_points(group=GROUP))})


@cache
def protocol(name: str) -> Protocol:
    """The protocol of this name.

    Raises:
        ConfigError: there is none, or what is installed under the name is no `Protocol`.
    """
    if name in PROTOCOLS:
        found: object = import_module(PROTOCOLS[name]).PROTOCOL
    else:
        point = next(iter(entry_points(group=GROUP, name=name)), None)
        if point is None:
            raise ConfigError(f"{name!r} is not a protocol; known: {', '.join(names())}", value=name)
        found = point.load()
    if not isinstance(found, Protocol):
        raise ConfigError(f"{name!r} does not name a flexhub.protocols.registry.Protocol", value=name)
    return found
