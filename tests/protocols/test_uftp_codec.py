"""UFTP's codec gives the verdict of the published schemas, which are the oracle here and nowhere else."""

from __future__ import annotations

import re
import string
from base64 import b64encode
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from lxml import etree

from flexhub.adapters import schemas
from flexhub.core.errors import FlexhubError, InvalidError, MalformedError
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp import simple
from flexhub.protocols.uftp.codec import Attribute, Shape, UftpCodec, parsed, shape, shapes, verdict
from flexhub.protocols.uftp.rules import findings, reason
from flexhub.protocols.uftp.seen import alone
from flexhub.protocols.uftp.session import Book, receive

CODEC = UftpCodec()
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


Oracle = dict[str, etree.XMLSchema]


@pytest.fixture(scope="module")
def oracle(shared: Path) -> Oracle:
    return {version: schemas.uftp(str(shared / f"schemas/uftp-{version}")) for version in wire.VERSIONS}


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
    "xs:base64Binary": st.binary(max_size=20).map(lambda b: b64encode(b).decode()),
}
ENUMS = {
    kind.__name__: kind
    for kind in (wire.Role, wire.RedispatchBy, wire.Result, wire.Disposition, wire.Verdict, wire.ProfileType, wire.Unit)
}


def values(attribute: Attribute) -> st.SearchStrategy[Any]:
    name = attribute.simple.name
    return st.sampled_from(list(ENUMS[name])) if name in ENUMS else VALUES[name]


@st.composite
def elements(draw: st.DrawFn, form: Shape, version: str | None = None) -> Any:
    fields: dict[str, Any] = {}
    old = version is not None and version.startswith("3.0")
    for attribute in form.attributes.values():
        if old and attribute.since_3_1:
            continue
        if attribute.required or (old and attribute.required_until_3_1) or draw(st.booleans()):
            fields[attribute.field] = draw(values(attribute))
    if version is not None and "version" in fields:
        fields["version"] = version
    for child in form.children:
        most = 3 if child.most is None else child.most
        fields[child.field] = tuple(draw(st.lists(elements(child.shape), min_size=child.least, max_size=most)))
    return form.kind(**fields)


MESSAGE = st.sampled_from([form for form in shapes() if form.kind is not wire.SignedMessage]).flatmap(
    lambda form: st.sampled_from(["3.0.0", "3.1.0"]).flatmap(lambda version: elements(form, version))
)


@FEW
@given(MESSAGE)
def test_what_is_written_is_read_back_and_the_schema_accepts_it(oracle: Oracle, message: Any) -> None:
    data = CODEC.encode(message)
    assert CODEC.decode(data) == message
    assert CODEC.encode(CODEC.decode(data)) == data
    schema_ = oracle[message.version]
    assert schema_.validate(etree.fromstring(data)), schema_.error_log


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


@st.composite
def mutants(draw: st.DrawFn) -> tuple[str, bytes]:
    """A message with one thing changed: an attribute, an element, their order or number, a text."""
    message = draw(MESSAGE)
    root = etree.fromstring(CODEC.encode(message))
    nodes = list(root.iter())
    node = draw(st.sampled_from(nodes))
    names = sorted({n for form in shapes() for n in form.attributes} | {"Banana"})
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
            parent.append(etree.fromstring(etree.tostring(node)))
        case "remove" if node is not root:
            parent = node.getparent()
            assert parent is not None
            parent.remove(node)
        case "move" if len(node) > 1:
            node.append(node[0])
        case "text":
            node.text = draw(st.sampled_from([" \n", "x"]))
        case "rename":
            node.tag = draw(st.sampled_from(["ISP", "Isp", "Profile", "{urn:x}ISP", "FlexRequest", "Banana"]))
        case _:
            pass
    return message.version, etree.tostring(root)


@settings(FEW, max_examples=150)
@given(mutants())
def test_of_mutants_our_verdict_is_the_schemas(oracle: Oracle, case: tuple[str, bytes]) -> None:
    version, data = case
    root = etree.fromstring(data)
    told = root.get("Version", "")
    assume(re.fullmatch(r"\d+\.\d+\.\d+", told) is None or told.startswith("3.0.") == version.startswith("3.0."))
    theirs = oracle[version].validate(root)
    ours = verdict(data)
    assert (ours is None) == theirs, (ours, oracle[version].error_log)


META: dict[str, Any] = {
    "version": "3.1.0",
    "sender_domain": "agr.example.com",
    "recipient_domain": "dso.example.com",
    "time_stamp": "2026-03-28T10:00:00Z",
    "message_id": "00000000-0000-4000-8000-000000000001",
    "conversation_id": "00000000-0000-4000-8000-000000000002",
}
PLAIN = CODEC.encode(wire.TestMessage(**META))
VALUE = wire.MeteringIsp(start=1, value=Decimal(1))
POWER = wire.MeteringProfile(profile_type=wire.ProfileType.POWER, unit=wire.Unit.KW, isps=(VALUE,))
DAY: dict[str, Any] = {"isp_duration": "PT15M", "time_zone": "Europe/Amsterdam", "period": "2026-03-28"}
METER = wire.Metering(**META, **DAY, revision=1, ean="E1234567890123456", profiles=(POWER,))
BIG = CODEC.encode(METER)
XSI = b' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
DIFFERENT = {
    "integers": BIG.replace(b'Start="1"', b'Start="%s"' % (b"9" * 30)),
    "decimals": BIG.replace(b'Value="1"', b'Value="%s"' % (b"9" * 30)),
    "years": BIG.replace(b'Period="2026', b'Period="12026'),
    "midnight": PLAIN.replace(b"T10:00:00Z", b"T24:00:00Z"),
    "durations": BIG.replace(b"PT15M", b"PT.5S"),
    "ean": BIG.replace(b"E1234567890123456", b"E123456789012345678"),
    "xsi": PLAIN.replace(b" Version", XSI + b'xsi:type="TestMessageType" Version'),
    "doctype": PLAIN.replace(b"<TestMessage", b"<!DOCTYPE TestMessage><TestMessage"),
    "encoding": PLAIN.replace(b"UTF-8", b"ISO-8859-1"),
}


@pytest.mark.parametrize("name", sorted(simple.DIFFERENCES))
def test_every_listed_difference_is_one(oracle: Oracle, name: str) -> None:
    data = DIFFERENT[name]
    assert (verdict(data) is None) != oracle["3.1.0"].validate(etree.fromstring(data))
    assert verdict(BIG) is None
    assert verdict(PLAIN) is None


@pytest.mark.parametrize(
    ("data", "error", "path"),
    [
        (b"", MalformedError, ""),
        (b"\xff\xfe<\x00", MalformedError, ""),
        (b"<FlexRequest", MalformedError, ""),
        (b'<!DOCTYPE a [<!ENTITY b "c">]>' + PLAIN.partition(b"?>")[2], MalformedError, ""),
        (PLAIN.partition(b"?>")[2].decode().encode("utf-16"), MalformedError, ""),
        (b"<Banana/>", MalformedError, "Banana"),
        (b'<SignedMessage SenderDomain="a.be" SenderRole="AGR" Body=""/>', MalformedError, "SignedMessage"),
        (PLAIN.replace(b" Version", b' Banana="1" Version'), InvalidError, "TestMessage/@Banana"),
        (PLAIN.replace(b'MessageID="0', b'MessageID="g'), InvalidError, "TestMessage/@MessageID"),
        (BIG.replace(b'<ISP Start="1" Value="1"/>', b""), InvalidError, "Metering/Profile[0]/ISP"),
        (BIG.replace(b'Value="1"', b""), InvalidError, "Metering/Profile[0]/ISP[0]/@Value"),
        (b"<TestMessage>" + b"<a>" * 1000, MalformedError, ""),
    ],
)
def test_an_error_says_where(data: bytes, error: type[FlexhubError], path: str) -> None:
    with pytest.raises(error) as raised:
        CODEC.decode(data)
    assert raised.value.path == path


def test_a_schema_location_is_let_be_and_nothing_is_fetched() -> None:
    data = PLAIN.replace(b" Version", XSI + b'xsi:noNamespaceSchemaLocation="http://127.0.0.1:9/x.xsd" Version')
    assert CODEC.decode(data) == CODEC.decode(PLAIN)


def test_entities_are_never_resolved_and_sizes_are_bounded() -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><TestMessage x="&b;"/>'
    outside = b'<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]><TestMessage>&a;</TestMessage>'
    for data in (bomb, outside, bomb.replace(b"DOCTYPE", b"doctype")):
        with pytest.raises(MalformedError):
            CODEC.decode(data)
    with pytest.raises(MalformedError, match="limit"):
        UftpCodec(max_bytes=100).decode(PLAIN)


def test_the_schemas_can_be_an_extra_check(oracle: Oracle) -> None:
    strict = UftpCodec(schemas={"3.1.0": oracle["3.1.0"]})
    assert strict.decode(BIG) == METER
    with pytest.raises(InvalidError, match="EAN"):
        strict.decode(DIFFERENT["ean"])
    with pytest.raises(InvalidError, match="no schemas"):
        schemas.uftp("/nowhere")


ORDER = wire.FlexOrder(
    **META,
    **DAY,
    congestion_point="ean.123456789012",
    flex_offer_message_id=META["message_id"],
    price=Decimal("1.5"),
    currency="EUR",
    order_reference="o",
    isps=(wire.Isp(power_w=1, start=1),),
)


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (msgspec.structs.replace(ORDER, version="3.0.0", unsolicited=False), "FlexOrder/@Unsolicited"),
        (msgspec.structs.replace(ORDER, version="3.0.0", flex_offer_message_id=None), "FlexOrder/@FlexOfferMessageID"),
        (msgspec.structs.replace(ORDER, price=Decimal("1.23456")), "FlexOrder/@Price"),
        (msgspec.structs.replace(ORDER, price=1.5), "FlexOrder/@Price"),
        (msgspec.structs.replace(ORDER, order_reference="\x00"), "FlexOrder/@OrderReference"),
        (msgspec.structs.replace(ORDER, isps=()), "FlexOrder/ISP"),
        (msgspec.structs.replace(ORDER, isps=(wire.Isp(power_w=1, start=0),)), "FlexOrder/ISP[0]/@Start"),
    ],
)
def test_what_is_no_message_is_not_written(message: Any, path: str) -> None:
    CODEC.encode(ORDER)
    with pytest.raises(InvalidError) as raised:
        CODEC.encode(message)
    assert raised.value.path == path


def test_every_attribute_of_the_schemas_is_a_field_and_no_other(shared: Path) -> None:
    """By name, over all types; the generated messages hold the rest."""
    for version in wire.VERSIONS:
        told = set()
        for file in (shared / f"schemas/uftp-{version}").glob("*.xsd"):
            told |= set(re.findall(r'<xs:(?:attribute|element) name="([\w-]+)"', file.read_text("utf-8")))
        known = set()
        for form in shapes():
            known |= set(_names(form, old=version == "3.0.0")) | {form.name}
        assert known == told


def _names(form: Shape, *, old: bool) -> list[str]:
    own = [a.name for a in form.attributes.values() if not (old and a.since_3_1)]
    return [*own, *(n for c in form.children for n in (c.name, *_names(c.shape, old=old)))]


def test_a_shape_knows_whether_the_versions_differ() -> None:
    assert [form.name for form in shapes() if form.differs] == ["FlexOffer", "FlexOrder"]
    assert shape(wire.DPrognosis).name == "D-Prognosis"
    assert parsed(PLAIN).tag == "TestMessage"


@FEW
@given(MESSAGE, st.data())
def test_every_message_that_is_read_can_be_judged_and_a_rejection_written(message: Any, data: st.DataObject) -> None:
    edges = {"time_stamp": "0001-01-01T00:00:00+14:00", "period": "9999-12-31"}
    edges["expiration_date_time"] = "9999-12-31T23:59:59-14:00"
    told = {name: edge for name, edge in edges.items() if hasattr(message, name) and data.draw(st.booleans())}
    message = msgspec.structs.replace(message, **told)
    seen = msgspec.structs.replace(alone(message), past={}, revision=0, orders=frozenset(), places={})
    if isinstance(message, wire.AGRPortfolioQuery):
        return  # its answer needs views
    step = receive(Book(), CODEC.decode(CODEC.encode(message)), seen.now, new_id=META["message_id"])
    found = findings(message, seen)
    assert len(reason(found)) < 10_000 + 1000 * len(DIFFERENT)
    if step.answer is not None:
        assert CODEC.decode(CODEC.encode(step.answer)) == step.answer


@pytest.mark.parametrize("zeros", [1, 63, 64, 5000, 100_000])
def test_leading_zeros_are_legal_up_to_a_length(zeros: int) -> None:
    for old in (b'Start="1"', b'Value="1"'):
        padded = BIG.replace(old, old[:-2] + b"0" * zeros + b'1"')
        assert (verdict(padded) is None) is (zeros < 64)


def test_many_long_isps_are_judged_quickly() -> None:
    isps = tuple(wire.Isp(power_w=1, start=1, duration=10**17) for _ in range(20_000))
    broken = findings(msgspec.structs.replace(ORDER, isps=isps), alone(ORDER))
    assert {found.rule for found in broken} == {"UFTP-22", "UFTP-23"}
    assert len(reason(broken)) < 3000
