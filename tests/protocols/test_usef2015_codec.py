"""USEF 2015's codec gives the verdict of the published schema, which is the oracle here and nowhere else."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from flexhub.core.errors import FlexhubError, InvalidError, MalformedError
from flexhub.protocols.uftp import messages as uftp
from flexhub.protocols.uftp.codec import Shape
from flexhub.protocols.usef2015 import messages as wire
from flexhub.protocols.usef2015 import simple
from flexhub.protocols.usef2015.codec import UsefCodec, read, shapes, verdict, written
from tests.protocols.generated import EACH, declared, elements, mutate

CODEC = UsefCodec()
ENUMS = (
    wire.Role,
    uftp.Result,
    wire.Outcome,
    wire.Status,
    wire.Precedence,
    wire.Entity,
    wire.PrognosisType,
    wire.QueryType,
    wire.EventType,
    uftp.Disposition,
    uftp.Verdict,
)
SCHEMA = "schemas/usef-2015/messaging.xsd"
OF_EACH = pytest.mark.parametrize("form", list(shapes()), ids=lambda form: form.name)


@pytest.fixture(scope="module")
def oracle(shared: Path) -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(str(shared / SCHEMA)))


@OF_EACH
@EACH
@given(data=st.data())
def test_what_is_written_is_read_back_and_the_schema_accepts_it(
    oracle: etree.XMLSchema, form: Shape, data: st.DataObject
) -> None:
    message = data.draw(elements(form, ENUMS))
    sent = written(message)
    assert read(etree.fromstring(sent)) == message
    assert written(read(etree.fromstring(sent))) == sent
    assert oracle.validate(etree.fromstring(sent)), oracle.error_log
    if isinstance(message, wire.Payload):
        assert CODEC.decode(CODEC.encode(message)) == message


TAGS = ["PTU", "MessageMetadata", "{urn:x}PTU", "Connection", "Connections", "FlexRequest", "Banana"]


@st.composite
def mutants(draw: st.DrawFn, form: Shape) -> tuple[bytes, bool]:
    """(a message with one thing changed, but its name; whether its encoding is one that is read)."""
    root = etree.fromstring(written(draw(elements(form, ENUMS))))
    name = root.tag
    names = sorted({n for form in shapes() for n in _names(form)} - {"*"} | {"Banana"})
    mutate(draw, root, names, TAGS)
    if root.tag != name and root.tag in PARTS:
        root.tag = name  # a difference that is listed
    for node in list(root.iter()):
        if str(node.tag).startswith("{"):
            del node[:]  # as is this
    return declared(draw, root)


def _names(form: Shape) -> list[str]:
    """Names of attributes and elements at and below one."""
    return [*form.attributes, *(n for c in (form.head, *form.children) if c for n in (c.name, *_names(c.shape)))]


ROOTS = {form.name for form in shapes()}
PARTS = {name for form in shapes() for name in _names(form)} - ROOTS


@OF_EACH
@settings(EACH, max_examples=15)
@given(data=st.data())
def test_of_mutants_our_verdict_is_the_schemas(oracle: etree.XMLSchema, form: Shape, data: st.DataObject) -> None:
    mutant, readable = data.draw(mutants(form))
    root = etree.fromstring(mutant)
    theirs = oracle.validate(root) and not _goes_on(root) and not _passes_over(root) and readable
    ours = verdict(mutant)
    assert (ours is None) == theirs, (ours, oracle.error_log)


def _goes_on(root: etree._Element) -> bool:
    """Whether an element of the schema follows one of another namespace: the difference "order"."""
    return any(
        str(node.tag).startswith("{") and follower is not None and not str(follower.tag).startswith("{")
        for node in root.iter()
        for follower in [node.getnext()]
    )


def _passes_over(root: etree._Element) -> bool:
    """Whether a Body holds what is no character of base64: the difference "base64"."""
    return root.tag == "SignedMessage" and re.search(r"[^A-Za-z0-9+/= \t\n\r]", root.get("Body", "")) is not None


META = wire.MessageMetadata(
    sender_domain="agr.example.com",
    sender_role=wire.Role.AGR,
    recipient_domain="dso.example.com",
    recipient_role=wire.Role.DSO,
    time_stamp="2026-03-28T10:00:00Z",
    message_id="00000000-0000-4000-8000-000000000001",
    conversation_id="00000000-0000-4000-8000-000000000002",
    precedence=wire.Precedence.ROUTINE,
)
PLAIN = CODEC.encode(wire.TestMessage(message_metadata=META))
ORDER = wire.FlexOrder(
    message_metadata=META,
    ptu_duration="PT15M",
    period="2026-03-29",
    time_zone="Europe/Amsterdam",
    congestion_point="ean.123456789012",
    sequence=202603281000000000,
    expiration_date_time="2026-03-29T10:00:00+02:00",
    flex_offer_origin="agr.example.com",
    flex_offer_sequence=2,
    currency="EUR",
    order_reference="o",
    ptus=(wire.Ptu(power_w=-5, start=1, duration=2, price=Decimal("1.25")),),
    extensions=(wire.Extension(xml='<x:hint xmlns:x="urn:x">a<x:b/>c</x:hint>'),),
)
BIG = CODEC.encode(ORDER)
QUERY = CODEC.encode(
    wire.CommonReferenceQuery(
        message_metadata=META,
        connection_entity_addresses=(wire.ConnectionAddress(entity_address="ea1.2020-01.<:&"),),
    )
)
XSI = b' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
DIFFERENT = {
    "integers": BIG.replace(b'Start="1"', b'Start="%s"' % (b"9" * 30)),
    "decimals": BIG.replace(b'Price="1.25"', b'Price="%s"' % (b"9" * 30)),
    "years": BIG.replace(b'Period="2026', b'Period="12026'),
    "midnight": PLAIN.replace(b"T10:00:00Z", b"T24:00:00Z"),
    "durations": BIG.replace(b"PT15M", b"PT.5S"),
    "xsi": QUERY.replace(
        b"<ConnectionEntityAddress>", b"<ConnectionEntityAddress" + XSI + b'xsi:type="EntityAddress">'
    ),
    "doctype": PLAIN.replace(b"<TestMessage", b"<!DOCTYPE TestMessage><TestMessage"),
    "encoding": PLAIN.replace(b"UTF-8", b"ISO-8859-1"),
    "base64": b'<SignedMessage SenderDomain="a.be" SenderRole="MDC" Body="AA.AA"/>',
    "order": BIG.replace(b"</FlexOrder>", b'<PTU Power="1" Start="3"/></FlexOrder>'),
    "roots": b'<PTU Power="1" Start="1"/>',
    "extensions": BIG.replace(b"<x:b/>", b"<PTU/>"),
}


@pytest.mark.parametrize("name", sorted(simple.DIFFERENCES))
def test_every_listed_difference_is_one(oracle: etree.XMLSchema, name: str) -> None:
    data = DIFFERENT[name]
    assert (verdict(data) is None) != oracle.validate(etree.fromstring(data))
    for valid in (PLAIN, BIG, QUERY):
        assert verdict(valid) is None
        assert oracle.validate(etree.fromstring(valid))


def test_every_attribute_and_element_of_the_schema_is_a_field_and_no_other(shared: Path) -> None:
    """By name, over all types; the generated messages hold the rest."""
    text = (shared / SCHEMA).read_text("utf-8")
    told = set(re.findall(r'<xs:(?:attribute|element) name="([\w-]+)"', text))
    assert (ROOTS | PARTS) - {"*"} == told


@pytest.mark.parametrize(
    ("data", "error", "path"),
    [
        (b"<Banana/>", MalformedError, "Banana"),
        (b"<PTU/>", MalformedError, "PTU"),
        (b'<SignedMessage SenderDomain="a.be" SenderRole="AGR" Body=""/>', MalformedError, "SignedMessage"),
        (b"<TestMessage/>", InvalidError, "TestMessage/MessageMetadata"),
        (PLAIN.replace(b"AGR", b"TSO"), InvalidError, "TestMessage/MessageMetadata/@SenderRole"),
        (PLAIN.replace(b"/></Test", b"/>x</Test"), InvalidError, "TestMessage"),
        (PLAIN.replace(b"/></Test", b"/><MessageMetadata/></Test"), InvalidError, "TestMessage/MessageMetadata"),
        (BIG.replace(b'Power="-5"', b""), InvalidError, "FlexOrder/PTU[0]/@Power"),
        (BIG.replace(b"</FlexOrder", b'<PTU Power="1" Start="3"/></FlexOrder'), InvalidError, "FlexOrder/PTU"),
        (QUERY.replace(b"ea1", b"ea2"), InvalidError, "CommonReferenceQuery/ConnectionEntityAddress[0]"),
        (QUERY.replace(b"Address>e", b"Address>\ne"), InvalidError, "CommonReferenceQuery/ConnectionEntityAddress[0]"),
        (
            QUERY.replace(b"Address>e", b'Address a="b">e', 1),
            InvalidError,
            "CommonReferenceQuery/ConnectionEntityAddress[0]/@a",
        ),
        (
            QUERY.replace(b"&amp;<", b"<a/><", 1),
            InvalidError,
            "CommonReferenceQuery/ConnectionEntityAddress[0]/a",
        ),
    ],
)
def test_an_error_says_where(data: bytes, error: type[FlexhubError], path: str) -> None:
    for valid in (PLAIN, BIG, QUERY):
        CODEC.decode(valid)
    with pytest.raises(error) as raised:
        CODEC.decode(data)
    assert raised.value.path == path


def test_entities_are_never_resolved_and_sizes_are_bounded() -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><TestMessage x="&b;"/>'
    outside = b'<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]><TestMessage>&a;</TestMessage>'
    for data in (bomb, outside, bomb.replace(b"DOCTYPE", b"doctype")):
        with pytest.raises(MalformedError) as raised:
            CODEC.decode(data)
        assert raised.value.clause == "XSD 1.03"
    with pytest.raises(MalformedError, match="limit"):
        UsefCodec(max_bytes=100).decode(PLAIN)


@pytest.mark.parametrize(
    ("xml", "fits"),
    [
        ('<a xmlns="urn:x"/>', True),
        ("<a/>", False),
        ('<a xmlns="urn:x"></a>', False),
        ('<a xmlns="urn:x"/><b/>', False),
        (' <a xmlns="urn:x"/>', False),
        ('<!DOCTYPE a><a xmlns="urn:x"/>', False),
        ('<!--c--><a xmlns="urn:x"/>', False),
        ('</FlexOrder><a xmlns="urn:x"/>', False),
        ("\x00", False),
    ],
)
def test_a_foreign_element_is_written_only_where_it_is_read_back(xml: str, *, fits: bool) -> None:
    message = msgspec.structs.replace(ORDER, extensions=(wire.Extension(xml=xml),))
    if fits:
        assert CODEC.decode(CODEC.encode(message)) == message
        return
    with pytest.raises(InvalidError) as raised:
        CODEC.encode(message)
    assert raised.value.path == "FlexOrder/*[0]"


def test_foreign_elements_keep_prefixes_that_were_told_above_them() -> None:
    above = BIG.replace(b"<FlexOrder", b'<FlexOrder xmlns:x="urn:x"').replace(b'<x:hint xmlns:x="urn:x"', b"<x:hint")
    assert above != BIG
    assert CODEC.decode(above) == ORDER


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (msgspec.structs.replace(ORDER, currency="eur"), "FlexOrder/@Currency"),
        (msgspec.structs.replace(ORDER, sequence=2**63), "FlexOrder/@Sequence"),
        (
            msgspec.structs.replace(ORDER, message_metadata=msgspec.structs.replace(META, message_id="1")),
            "FlexOrder/MessageMetadata/@MessageID",
        ),
        (wire.CommonReferenceQuery(message_metadata=META, entity_address="x"), "CommonReferenceQuery/@EntityAddress"),
        (META, "MessageMetadata"),
    ],
)
def test_what_is_no_message_is_not_written(message: Any, path: str) -> None:
    CODEC.encode(ORDER)
    with pytest.raises(InvalidError) as raised:
        CODEC.encode(message)
    assert raised.value.path == path


def test_every_message_has_its_answer() -> None:
    assert {f"{kind.__name__}Response" for kind in wire.RESPONSES} == {k.__name__ for k in wire.RESPONSES.values()}
    assert len(wire.MESSAGES) == len(set(wire.MESSAGES)) == 20
