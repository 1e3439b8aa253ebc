"""The suites by name; other packages add theirs by the entry point group ``flexhub.suite``."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final

from flexhub.conformance.suite import Suite
from flexhub.core.errors import ConfigError

SUITES: Final[dict[str, str]] = {
    "flexoffer-rest": "flexhub.conformance.suites.flexoffer_rest",
    "mapping": "flexhub.conformance.suites.mapping",
    "openadr2b-messages": "flexhub.conformance.suites.openadr2b_messages",
    "openadr2b-ven": "flexhub.conformance.suites.openadr2b_ven",
    "openadr2b-vtn": "flexhub.conformance.suites.openadr2b_vtn",
    "uftp-agr": "flexhub.conformance.suites.uftp:AGR",
    "uftp-cro": "flexhub.conformance.suites.uftp:CRO",
    "uftp-dso": "flexhub.conformance.suites.uftp:DSO",
    "uftp-messages": "flexhub.conformance.suites.uftp_messages",
    "usef2015-messages": "flexhub.conformance.suites.usef2015_messages",
}
"""Name -> module with its ``SUITE``, or ``module:name``; imported only when asked for."""

GROUP: Final = "flexhub.suite"


def names() -> list[str]:
    """Names of all suites, built in and installed."""
    return sorted({*SUITES, *(point.name for point in entry_points(group=GROUP))})


@cache
def suite(name: str) -> Suite[Any]:
    """The suite of this name.

    Raises:
        ConfigError: there is none, or what is installed under the name is no `Suite`.
    """
    if name in SUITES:
        module, _, attribute = SUITES[name].partition(":")
        found: object = getattr(import_module(module), attribute or "SUITE")
    else:
        point = next(iter(entry_points(group=GROUP, name=name)), None)
        if point is None:
            raise ConfigError(f"{name!r} is not a suite; known: {', '.join(names())}", value=name)
        found = point.load()
    if not isinstance(found, Suite):
        raise ConfigError(f"{name!r} does not name a flexhub.conformance.suite.Suite", value=name)
    return found
