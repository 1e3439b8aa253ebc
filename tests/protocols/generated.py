"""Messages of the XML protocols by hypothesis, from the shapes of their codecs, and mutations of them."""

from __future__ import annotations

import enum
import string
from base64 import b64encode
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from lxml import etree

from flexhub.protocols.uftp.codec import Attribute, Shape

EACH = settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
"""For tests that run once for each type of message, so that none is left to chance."""

UUIDS = st.uuids().map(str)
DAYS = st.dates().map(str)
TEXTS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs"), include_characters="\t\n\r&<>\"'"))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "SpecVersion": st.sampled_from(["3.1.0", "3.1.15", "4.0.0"]),
    "UUIDType": UUIDS,
    "InternetDomainType": st.sampled_from(["agr.example.com", "a-1.b.nl", "x.yz"]),
    "EntityAddressType": st.sampled_from(
        ["ean.123456789012", "ea1.2013-11.info.usef.test:001:002.09a&b#", "ea1.2020-01.<:é"]
    ),
    "ISO4217CurrencyType": st.text(string.ascii_uppercase, min_size=3, max_size=3),
    "TimeZoneNameType": st.sampled_from(["Europe/Amsterdam", "America/Argentina/Buenos_Aires", "Pacific/Apia"]),
    "EANType": st.sampled_from(["E1234567890123456", "e0000000000000000"]),
    "xs:string": TEXTS,
    "xs:date": DAYS,
    "xs:dateTime": st.datetimes().map(lambda t: t.isoformat() + "Z") | st.datetimes().map(lambda t: t.isoformat()),
    "xs:duration": st.sampled_from(["PT15M", "PT1H", "P1DT2H", "-P1Y2M3DT4H5M6.7S", "PT0.5S"]),
    "xs:integer": st.integers(-(10**18) + 1, 10**18 - 1),
    "xs:long": st.integers(-(10**18) + 1, 10**18 - 1),
    "xs:positiveInteger": st.integers(1, 10**18 - 1),
    "xs:decimal": st.decimals(-(10**12), 10**12, places=6),
    "CurrencyAmountType": st.decimals(-(10**12), 10**12, places=4),
    "ActivationFactorType": st.integers(1, 100).map(lambda n: Decimal(n) / 100),
    "xs:boolean": st.booleans(),
    "xs:any": st.sampled_from(
        ['<x:a xmlns:x="urn:x"/>', '<a xmlns="urn:y" b="1&lt;">&#13; é<b>t</b> &amp; </a>', '<p:PTU xmlns:p="q"/>']
    ),
    "xs:base64Binary": st.binary(max_size=20).map(lambda b: b64encode(b).decode()),
}


def values(attribute: Attribute, enums: Iterable[type[enum.StrEnum]]) -> st.SearchStrategy[Any]:
    """Values of an attribute's simple type, which may be one of these enumerations."""
    name = attribute.simple.name
    kind = next((kind for kind in enums if kind.__name__ == name), None)
    return VALUES[name] if kind is None else st.sampled_from(list(kind))


@st.composite
def elements(draw: st.DrawFn, form: Shape, enums: tuple[type[enum.StrEnum], ...], version: str | None = None) -> Any:
    """Structs of this shape; `version` where the protocol has several, and its messages say which."""
    fields: dict[str, Any] = {}
    old = version is not None and version.startswith("3.0")
    for attribute in form.attributes.values():
        if old and attribute.since_3_1:
            continue
        if attribute.required or (old and attribute.required_until_3_1) or draw(st.booleans()):
            fields[attribute.field] = draw(values(attribute, enums))
    if version is not None and "version" in fields:
        fields["version"] = version
    if form.head is not None:
        fields[form.head.field] = draw(elements(form.head.shape, enums))
    if form.content is not None:
        fields[form.content.field] = draw(values(form.content, enums))
    for child in form.children:
        most = 3 if child.most is None else child.most
        fields[child.field] = tuple(draw(st.lists(elements(child.shape, enums), min_size=child.least, max_size=most)))
    return form.kind(**fields)


WORDS = [
    "",
    " ",
    "0",
    "1",
    "-1",
    "+7",
    "1.5",
    "1.50000",
    ".5",
    "1e3",
    "true",
    " true ",
    "TRUE",
    "x",
    "é",
    "2026-02-30",
    "2026-02-28Z",
    "2026-03-28T10:00:00",
    "2026-03-28T10:00:00.25+02:00",
    "PT15M",
    "P",
    "EUR",
    "eur",
    "Asia/Tokyo",
    "Requested",
    "Maybe",
    "3.1",
    "\u0663.1.0",
    "00000000-0000-4000-8000-00000000000",
    "ean.12345678901",
    "ea1.2020-01.a:",
    "A.example.com",
    "0.001",
    "1.01",
    "0.50",
    " 5 ",
    "\uff11",
]


def mutate(draw: st.DrawFn, root: etree._Element, names: list[str], tags: list[str]) -> None:
    """Change one thing: an attribute (of these names), an element (to one of these), their order or number, a text."""
    node = draw(st.sampled_from(list(root.iter())))
    match draw(st.sampled_from(["set", "drop", "add", "copy", "remove", "move", "text", "rename"])):
        case "set" if node.attrib:
            node.set(draw(st.sampled_from(sorted(node.attrib))), draw(st.sampled_from(WORDS)))
        case "drop" if node.attrib:
            del node.attrib[draw(st.sampled_from(sorted(node.attrib)))]
        case "add":
            node.set(draw(st.sampled_from(names)), draw(st.sampled_from(WORDS)))
        case "copy" if node is not root:
            parent = node.getparent()
            assert parent is not None
            parent.append(etree.fromstring(etree.tostring(node, with_tail=False)))
        case "remove" if node is not root:
            parent = node.getparent()
            assert parent is not None
            parent.remove(node)
        case "move" if len(node) > 1:
            node.append(node[0])
        case "text":
            node.text = draw(st.sampled_from([" \n", "x"]))
        case "rename":
            node.tag = draw(st.sampled_from(tags))
        case _:
            pass


ENCODINGS = ["UTF-8", "utf-8", "utf8", "UTF-8", "US-ASCII", "UTF-8", "ISO-8859-1", "UTF-16"]


def declared(draw: st.DrawFn, root: etree._Element) -> tuple[bytes, bool]:
    """(a document that says its encoding, and has it; whether that is one that is read: the difference "encoding")."""
    name = draw(st.sampled_from(ENCODINGS))
    quote = draw(st.sampled_from("'\""))
    head = f"<?xml version={quote}1.0{quote} encoding={quote}{name}{quote}?>"
    text = head + etree.tostring(root, encoding="unicode")
    return text.encode(name, "xmlcharrefreplace"), name not in ("ISO-8859-1", "UTF-16")
