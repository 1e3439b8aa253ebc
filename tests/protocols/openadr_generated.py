"""Messages of OpenADR 2.0b by hypothesis, from the shapes of its codec, and mutations of them."""

from __future__ import annotations

import enum
from typing import Any

from hypothesis import strategies as st
from lxml import etree

from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b import names
from flexhub.protocols.openadr2b.elements import Element
from flexhub.protocols.openadr2b.names import tag
from flexhub.protocols.openadr2b.shapes import Particle, below, name_of, shape
from flexhub.protocols.openadr2b.simple import canonical
from flexhub.protocols.uftp.simple import Simple
from tests.protocols.generated import TEXTS, WORDS

ENUMS: dict[str, type[enum.StrEnum]] = {
    kind.__name__: kind
    for kind in vars(names).values()
    if isinstance(kind, type) and issubclass(kind, enum.StrEnum) and kind is not enum.StrEnum
}
OPEN = {
    "schemaVersionType": ["2.0a", "2.0b"],
    "signalNameType": names.SIGNAL_NAMES,
    "OptReasonType": names.OPT_REASONS,
    "reportNameType": names.REPORT_NAMES,
    "ReportTypeType": names.REPORT_TYPES,
    "ReadingTypeType": names.READING_TYPES,
    "oadrDataQualityTypeType": names.DATA_QUALITIES,
}
FLOATS = st.floats(allow_nan=False) | st.integers(-1000, 1000).map(float)
IDS = st.sampled_from(["1e5", "0042", "true", " x ", "", "A & B", "<é>", "2026-01-01"])
"""What a reader that guesses types, or strips, or does not escape, gets wrong."""
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "xs:string": TEXTS | IDS,
    "xs:anyURI": st.sampled_from(["http://market.example/a?b=c&d", "urn:x:1", ""]),
    "xs:boolean": st.booleans(),
    "xs:float": FLOATS,
    "doubleList": st.lists(FLOATS, max_size=4).map(tuple),
    "xs:decimal": st.decimals(-(10**12), 10**12, places=6),
    "xs:unsignedInt": st.integers(0, 2**32 - 1),
    "ConfidenceType": st.integers(0, 100),
    "DateTimeType": st.datetimes().map(lambda t: t.isoformat() + "Z") | st.datetimes().map(lambda t: t.isoformat()),
    "DurationValueType": st.sampled_from(["PT15M", "PT1H", "P1DT2H", "-P1Y2M3DT4H5M6S", "P", "PT", "+PT0S", "3W"]),
    "ResponseCodeType": st.from_regex("[0-9]{3}", fullmatch=True),
    "ISO3AlphaCurrencyCodeContentType": st.sampled_from(["EUR", "USD"]),
    "xs:ID": st.uuids().map(lambda i: f"_{i}"),
}
FEED = canonical(
    etree.fromstring(
        '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:espi="http://naesb.org/espi"><id>urn:x</id><title>t &amp; u'
        "</title><updated>2026-01-01T00:00:00Z</updated><entry><id>e</id><content><espi:MeterReading/></content></entry>"
        "</feed>"
    )
)
SIGNATURE = canonical(
    etree.fromstring(
        '<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo><ds:CanonicalizationMethod '
        'Algorithm="urn:c"/><ds:SignatureMethod Algorithm="urn:s"/><ds:Reference URI="#a"><ds:DigestMethod '
        'Algorithm="urn:d"/><ds:DigestValue>AA==</ds:DigestValue></ds:Reference></ds:SignedInfo>\n'
        "<ds:SignatureValue>AA==</ds:SignatureValue></ds:Signature>"
    )
)


def values(simple: Simple) -> st.SearchStrategy[Any]:
    """Values of a simple type."""
    if simple.name in ENUMS:
        return st.sampled_from(list(ENUMS[simple.name]))
    if simple.name in OPEN:
        return st.sampled_from([*OPEN[simple.name], "x-flexhub", "x-a  &"[:3] + "&"])
    if simple.name.startswith("fixed "):
        return st.just(simple.name.removeprefix("fixed "))
    return VALUES[simple.name]


def particles(particle: Particle) -> st.SearchStrategy[Any]:
    """Single values of a particle."""
    if particle.whole:
        return st.just(FEED if particle.path == ("atom:feed",) else SIGNATURE)
    if particle.simple is not None:
        return values(particle.simple)
    return st.one_of(*map(elements, particle.kinds))


@st.composite
def elements(draw: st.DrawFn, kind: type[Element]) -> Any:
    """Structs of a type."""
    form = shape(kind)
    fields: dict[str, Any] = {}
    for attribute in form.attributes:
        if attribute.name != "xsi:schemaLocation" and draw(st.booleans()):
            fields[attribute.field] = draw(values(attribute.simple))
    for particle in form.particles:
        if not (particle.required or draw(st.booleans())):
            continue
        one = particles(particle)
        if particle.least is None:
            fields[particle.field] = draw(one)
        else:
            some = st.lists(one, min_size=particle.least, max_size=max(2, particle.least))
            fields[particle.field] = tuple(draw(some))
    return kind(**fields)


MESSAGES = st.sampled_from(wire.MESSAGES).flatmap(elements)
PAYLOADS = elements(wire.OadrPayload)

ALL = tuple(below(wire.OadrPayload))
TAGS = sorted(
    {tag(name) for kind in ALL for p in shape(kind).particles for name in (*p.within, *(p.path or p.firsts))}
    | {tag(name_of(kind)) for kind in wire.MESSAGES}
    | {"venID", tag("ei:banana"), "{urn:x}venID"}
)
ATTRIBUTES = [tag("ei:schemaVersion"), tag("oadr:Id"), "schemaVersion", tag("gml:id"), "Banana"]
MORE = [*WORDS, "2.0b", " 2.0b", "optIn", "optOut ", "x-", "x-y z", "200", "20", "-0", "+5", "INF", "NaN", "1.", "P1W",
        "5W", "PT1.5S", "4294967296", "101", "Direct  Read", "SIMPLE", "none", "k", "W", "V", "always"]  # fmt: skip


def mutate(draw: st.DrawFn, root: etree._Element, *, everywhere: bool = False) -> None:
    """Change one thing: a text, an attribute, an element, its name, or the order or number of elements.

    Within elements that are kept as they are only if `everywhere`.
    """
    kept = set() if everywhere else {tag("ds:Signature"), tag("atom:feed")}
    nodes = [node for node in root.iter() if not kept & {node.tag, *(above.tag for above in node.iterancestors())}]
    node = draw(st.sampled_from(nodes))
    leaves = [one for one in nodes if not len(one)]
    match draw(st.sampled_from(["value", "value", "set", "drop", "add", "copy", "remove", "move", "text", "rename"])):
        case "value":
            draw(st.sampled_from(leaves)).text = draw(st.sampled_from(MORE))
        case "set" if node.attrib:
            node.set(draw(st.sampled_from(sorted(node.attrib))), draw(st.sampled_from(MORE)))
        case "drop" if node.attrib:
            del node.attrib[draw(st.sampled_from(sorted(node.attrib)))]
        case "add":
            node.set(draw(st.sampled_from(ATTRIBUTES)), draw(st.sampled_from(MORE)))
        case "copy" if node is not root:
            parent = node.getparent()
            assert parent is not None
            parent.insert(draw(st.integers(0, len(parent))), etree.fromstring(etree.tostring(node, with_tail=False)))
        case "remove" if node is not root:
            parent = node.getparent()
            assert parent is not None
            parent.remove(node)
        case "move" if len(node) > 1:
            node.append(node[0])
        case "text":
            node.text = draw(st.sampled_from([" \n", "x"]))
        case "rename" if node is not root:
            node.tag = draw(st.sampled_from(TAGS))
        case _:
            pass
