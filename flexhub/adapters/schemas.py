"""Schemas that a standard publishes, from a folder: an extra check where one is at hand."""

from __future__ import annotations

from lxml import etree

from flexhub.core.errors import InvalidError


def uftp(folder: str) -> etree.XMLSchema:
    """One XSD of all messages, from a folder with the files that the standard publishes.

    Raises:
        InvalidError: the folder does not hold them.
    """
    names = ("UFTP-common.xsd", "UFTP-agr-cro.xsd", "UFTP-agr-dso.xsd", "UFTP-cro-dso.xsd", "UFTP-metering.xsd")
    includes = "".join(f'<xs:include schemaLocation="{name}"/>' for name in names)
    text = f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">{includes}</xs:schema>'
    try:
        return etree.XMLSchema(etree.fromstring(text.encode(), base_url=f"{folder.rstrip('/')}/all.xsd"))
    except etree.XMLSchemaParseError as error:
        raise InvalidError(f"no schemas of UFTP: {error}", value=folder) from error
