"""UFTP's codec gives the verdict of the published schemas, which are the oracle here and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from lxml import etree

from flexhub.adapters import schemas
from flexhub.core.errors import FlexhubError, InvalidError, MalformedError
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp import simple
from flexhub.protocols.uftp.codec import Shape, UftpCodec, canonical, parsed, shape, shapes, verdict
from flexhub.protocols.uftp.rules import findings, reason
from flexhub.protocols.uftp.seen import alone
from flexhub.protocols.uftp.session import Book, receive
from tests.protocols.generated import EACH, declared, elements, mutate

CODEC = UftpCodec()


Oracle = dict[str, etree.XMLSchema]


@pytest.fixture(scope="module", params=[1, 1000], ids=["by columns", "one by one"])
def oracle(shared: Path, request: pytest.FixtureRequest) -> Iterator[Oracle]:
    """The schemas; our verdict is the same whichever way lists are read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flexhub.protocols.uftp.codec.MANY", request.param)
        yield {version: schemas.uftp(str(shared / f"schemas/uftp-{version}")) for version in wire.VERSIONS}


ENUMS = (wire.Role, wire.RedispatchBy, wire.Result, wire.Disposition, wire.Verdict, wire.ProfileType, wire.Unit)
FORMS = [form for form in shapes() if form.kind is not wire.SignedMessage]
OF_EACH = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)


def messages(form: Shape) -> st.SearchStrategy[Any]:
    """Messages of one type, of either version."""
    return st.sampled_from(["3.0.0", "3.1.0"]).flatmap(lambda version: elements(form, ENUMS, version))


@OF_EACH
@EACH
@given(data=st.data())
def test_what_is_written_is_read_back_and_the_schema_accepts_it(
    oracle: Oracle, form: Shape, data: st.DataObject
) -> None:
    message = data.draw(messages(form))
    written = CODEC.encode(message)
    assert CODEC.decode(written) == message
    assert CODEC.encode(CODEC.decode(written)) == written
    schema_ = oracle[message.version]
    assert schema_.validate(etree.fromstring(written)), schema_.error_log


@OF_EACH
@EACH
@given(data=st.data())
def test_what_is_canonical_is_what_is_read_again_to_the_last_zero(form: Shape, data: st.DataObject) -> None:
    message = data.draw(messages(form))
    again = CODEC.decode(CODEC.encode(message))
    assert msgspec.json.encode(canonical(message)) == msgspec.json.encode(again)


def test_a_default_that_is_spelled_otherwise_is_the_default() -> None:
    isps = (wire.Isp(power_w=1, start=1),)
    option = wire.OfferOption(option_reference="a", price=Decimal("1.50"), isps=isps)
    offered = wire.FlexOffer(
        **META,
        **DAY,
        congestion_point="ean.123456789012",
        expiration_date_time="2026-03-28T10:00:00Z",
        currency="EUR",
        offer_options=(option,),
    )
    told = msgspec.structs.replace(option, min_activation_factor=Decimal("1.00"))
    again = canonical(msgspec.structs.replace(offered, offer_options=(told,)))
    assert msgspec.json.encode(again) == msgspec.json.encode(canonical(offered))
    assert b'"Price":"1.5"' in msgspec.json.encode(again)
    assert b"MinActivationFactor" not in msgspec.json.encode(again)


@st.composite
def mutants(draw: st.DrawFn, form: Shape) -> tuple[str, bytes, bool]:
    """(version, a message with one thing changed, whether its encoding is one that is read)."""
    message = draw(messages(form))
    root = etree.fromstring(CODEC.encode(message))
    names = sorted({n for form in shapes() for n in form.attributes} | {"Banana"})
    mutate(draw, root, names, ["ISP", "Isp", "Profile", "{urn:x}ISP", "FlexRequest", "Banana"])
    return message.version, *declared(draw, root)


@OF_EACH
@EACH
@given(data=st.data())
def test_of_mutants_our_verdict_is_the_schemas(oracle: Oracle, form: Shape, data: st.DataObject) -> None:
    version, mutant, readable = data.draw(mutants(form))
    root = etree.fromstring(mutant)
    told = root.get("Version", "")
    assume(re.fullmatch(r"\d+\.\d+\.\d+", told) is None or told.startswith("3.0.") == version.startswith("3.0."))
    theirs = oracle[version].validate(root) and readable
    ours = verdict(mutant)
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
    "base64": b'<SignedMessage SenderDomain="a.be" SenderRole="AGR" Body="AA.AA"/>',
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


@OF_EACH
@EACH
@given(data=st.data())
def test_every_message_that_is_read_can_be_judged_and_a_rejection_written(form: Shape, data: st.DataObject) -> None:
    message = data.draw(messages(form))
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
