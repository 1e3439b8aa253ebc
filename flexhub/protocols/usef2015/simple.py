"""The simple types of USEF 2015 that UFTP hasn't, and where our verdict is not that of the XSD.

The others are UFTP's, which took over their patterns word for word; in errors they have the names they have there.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from lxml import etree

from flexhub.protocols.uftp import simple
from flexhub.protocols.uftp.simple import Content, EntityAddress, Simple

DIFFERENCES: Final = {
    **{name: why for name, why in simple.DIFFERENCES.items() if name not in ("ean", "encoding")},
    "encoding": "only UTF-8 is read, as in UFTP",
    "roots": "an element that is part of a message is a document of its own to the schema, though its text says "
    "'never transmitted by itself'; it is refused",
    "order": "elements of other namespaces end a sequence, as XML Schema says; libxml2 lets the element before them "
    "come again after them",
    "extensions": "the schema looks into elements of other namespaces for such as it knows; they are kept and not "
    "looked into, since what is in there is a matter of whoever extends",
}
"""Where our verdict is not that of the XSD, and why; tests compare."""

_PARSER: Final = etree.XMLParser(resolve_entities=False, no_network=True)


def _written(value: object) -> str | None:
    """An element as it stands, where it is one of a namespace and is read back as the very same text."""
    if not isinstance(value, str):
        return None
    try:
        root = etree.fromstring(value, _PARSER)
    except (etree.XMLSyntaxError, ValueError):
        return None
    same = etree.tostring(root, encoding="unicode") == value and root.getroottree().docinfo.internalDTD is None
    return value if same and str(root.tag).startswith("{") else None


Foreign: TypeAlias = Annotated[
    str,
    Content.WHOLE,
    Simple("xs:any", lambda text: text, _written, "one element of another namespace, as lxml writes it", safe=False),
]
"""An element of another namespace, as XML that needs nothing around it."""

AddressText: TypeAlias = Annotated[EntityAddress, Content.TEXT]
"""An entity address between tags."""
