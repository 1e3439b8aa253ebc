"""The published XSDs, as the package openleadr holds them; found without importing it, and compiled once.

They are data of an installed package, as the zones of tzdata are.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Final

from lxml import etree

from flexhub.core.errors import ConfigError

PACKAGE: Final = "openleadr"
FILE: Final = "schema/oadr_20b.xsd"


def installed() -> bool:
    """Whether the XSDs are at hand."""
    return find_spec(PACKAGE) is not None


@cache
def schema() -> etree.XMLSchema:
    """The schema of all messages.

    Raises:
        ConfigError: it is not installed, or does not hold what it should.
    """
    found = find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ConfigError("the XSDs of OpenADR 2.0b need the extra: pip install 'flexhub[openadr]'", value=PACKAGE)
    file = f"{found.submodule_search_locations[0]}/{FILE}"
    try:
        return etree.XMLSchema(file=file)
    except etree.XMLSchemaParseError as error:
        raise ConfigError(f"no XSDs of OpenADR 2.0b: {error}", value=PACKAGE) from error
