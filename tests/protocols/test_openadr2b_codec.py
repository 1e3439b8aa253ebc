"""OpenADR 2.0b's codec gives the verdict of the published schema; what differs is listed."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from flexhub.core.errors import ConfigError, FlexhubError, InvalidError, MalformedError
from flexhub.protocols.openadr2b import elements as part
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b import names, simple
from flexhub.protocols.openadr2b import schema as schemas
from flexhub.protocols.openadr2b.codec import OadrCodec, verdict, written
from flexhub.protocols.openadr2b.names import tag
from flexhub.protocols.openadr2b.schema import installed, schema
from flexhub.protocols.openadr2b.shapes import below, shape
from tests.conftest import ROOT, examples, need
from tests.protocols.generated import EACH
from tests.protocols.openadr_generated import FEED, MESSAGES, PAYLOADS, SIGNATURE, elements, mutate

CODEC = OadrCodec(check=False)
CHECKED = OadrCodec()


@pytest.fixture(scope="module", autouse=True)
def oracle() -> etree.XMLSchema:
    need(installed(), "openleadr, which holds the XSDs")
    return schema()


@EACH
@given(MESSAGES)
def test_what_is_written_is_read_back_and_the_schema_accepts_it(oracle: etree.XMLSchema, message: Any) -> None:
    data = CODEC.encode(message)
    assert oracle.validate(etree.fromstring(data)), oracle.error_log
    for codec in (CODEC, CHECKED):
        assert codec.decode(data) == message
    assert CODEC.encode(CODEC.decode(data)) == data


@pytest.mark.parametrize("kind", wire.MESSAGES, ids=lambda kind: kind.__name__)
@settings(EACH, max_examples=5)
@given(data=st.data())
def test_every_message_comes_back(kind: type[part.Message], data: st.DataObject) -> None:
    message = data.draw(elements(kind))
    assert CHECKED.decode(CHECKED.encode(message)) == message


@EACH
@given(PAYLOADS)
def test_a_payload_comes_back_with_id_and_signature(payload: wire.OadrPayload) -> None:
    data = written(payload)
    assert CODEC.decode_payload(data) == payload
    assert written(CODEC.decode_payload(data)) == data


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    """A payload with one thing changed."""
    root = etree.fromstring(written(draw(PAYLOADS)))
    mutate(draw, root)
    return etree.tostring(root)


def _differs(root: etree._Element) -> bool:
    """Whether a listed difference may decide here."""
    ids = [i for node in root.iter() for name in (tag("oadr:Id"), tag("gml:id")) if (i := node.get(name)) is not None]
    period = f"{tag('ei:eiActivePeriod')}/{tag('xcal:components')}"
    return (
        len(set(ids)) < len(ids)
        or any(len(node) or node.text or node.attrib for node in root.findall(f".//{period}"))
        or any(node.text and not node.text.isascii() for node in root.iter(tag("emix:marketContext")))
    )


@settings(EACH, max_examples=examples(200))
@given(mutants())
def test_of_mutants_our_verdict_is_the_schemas(oracle: etree.XMLSchema, data: bytes) -> None:
    root = etree.fromstring(data)
    ours, theirs = verdict(data), oracle.validate(root)
    assert (ours is None) == theirs or _differs(root), (ours, oracle.error_log)


def _poll(**fields: Any) -> bytes:
    return CODEC.encode(wire.OadrPoll(ven_id="v", schema_version="2.0b", **fields))


INTERVAL = part.Interval(
    duration="PT15M", uid="0", stream_payload_base=(part.SignalPayload(payload_base=part.PayloadFloat(value=1.5)),)
)
EVENT = wire.OadrDistributeEvent(
    schema_version="2.0b",
    request_id="r",
    vtn_id="0042",
    oadr_events=(
        part.OadrEvent(
            ei_event=part.EiEvent(
                event_descriptor=part.EventDescriptor(
                    event_id="1e5",
                    modification_number=0,
                    ei_market_context="http://market.example/1",
                    created_date_time="2026-03-28T10:00:00Z",
                    event_status=names.EventStatus.FAR,
                ),
                ei_active_period=part.EiActivePeriod(
                    properties=part.Properties(dtstart="2026-03-29T10:00:00Z", duration="PT15M")
                ),
                ei_event_signals=part.EiEventSignals(
                    ei_event_signals=(
                        part.EiEventSignal(
                            intervals=(INTERVAL,),
                            signal_name="x-A & B",
                            signal_type=names.SignalType.PRICE,
                            signal_id="true",
                            item_base=part.CurrencyPerKWh(
                                item_description=names.CurrencyItem.PER_KWH,
                                item_units="EUR",
                                si_scale_code=names.Scale.NONE,
                            ),
                        ),
                    )
                ),
                ei_target=part.EiTarget(ven_ids=("007",)),
            ),
            oadr_response_required=names.ResponseRequired.ALWAYS,
        ),
    ),
)
PLAIN, BIG = _poll(), CODEC.encode(EVENT)
GREEN = CODEC.encode(
    wire.OadrUpdateReport(
        request_id="r",
        oadr_reports=(
            part.OadrReport(
                intervals=(part.Interval(stream_payload_base=(part.OadrGBPayload(feed=FEED),)),),
                report_request_id="q",
                report_specifier_id="s",
                created_date_time="2026-03-28T10:00:00Z",
            ),
        ),
    )
)
XSI = b' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
DIFFERENT = {
    "years": BIG.replace(b"2026-03-29T", b"-2026-03-29T"),
    "midnight": BIG.replace(b"T10:00:00Z", b"T24:00:00Z"),
    "digits": BIG.replace(b"PT15M", b"PT%sM" % (b"9" * 10)),
    "numbers": BIG.replace(b">1.5<", b">%s<" % (b"9" * 65)),
    "uri": BIG.replace(b"http://market.example/1", b"%zz"),
    "currencies": BIG.replace(b"EUR", b"ZZZ"),
    "components": BIG.replace(b"<xcal:components/>", b"<xcal:components>x</xcal:components>"),
    "foreign": GREEN.replace(b"<title>", b"<titel>").replace(b"</title>", b"</titel>"),
    "ids": PLAIN.replace(b"<oadr:oadrSignedObject>", b'<oadr:oadrSignedObject oadr:Id="a" >').replace(
        b"<oadr:oadrSignedObject",
        SIGNATURE.replace("<ds:Signature ", '<ds:Signature Id="a" ').encode() + b"<oadr:oadrSignedObject",
        1,
    ),
    "roots": b'<ei:venID xmlns:ei="http://docs.oasis-open.org/ns/energyinterop/201110">v</ei:venID>',
    "xsi": PLAIN.replace(b"<ei:venID>", b'<ei:venID xmlns:xs="http://www.w3.org/2001/XMLSchema" xsi:type="xs:string">'),
    "locations": PLAIN.replace(b"<ei:venID>", b'<ei:venID xsi:schemaLocation="a b">'),
    "doctype": PLAIN.replace(b"<oadr:oadrPayload", b"<!DOCTYPE a><oadr:oadrPayload"),
    "encoding": PLAIN.replace(b"UTF-8", b"ISO-8859-1"),
}


@pytest.mark.parametrize("name", sorted(simple.DIFFERENCES))
def test_every_listed_difference_is_one(oracle: etree.XMLSchema, name: str) -> None:
    data = DIFFERENT[name]
    assert (verdict(data) is None) != oracle.validate(etree.fromstring(data)), verdict(data)
    for valid in (PLAIN, BIG, GREEN):
        assert verdict(valid) is None
        assert oracle.validate(etree.fromstring(valid))


@pytest.mark.parametrize("name", [n for n in simple.DIFFERENCES if n in ("uri", "currencies", "foreign", "ids")])
def test_with_the_check_the_schema_has_the_last_word(name: str) -> None:
    assert verdict(DIFFERENT[name]) is None
    with pytest.raises(InvalidError) as raised:
        CHECKED.decode(DIFFERENT[name])
    assert raised.value.clause == "XSD 2.0b"


def test_no_type_is_guessed_from_a_text() -> None:
    read = CHECKED.decode(BIG)
    assert read == EVENT
    assert isinstance(read, wire.OadrDistributeEvent)
    event = read.oadr_events[0].ei_event
    assert (read.vtn_id, event.event_descriptor.event_id, event.ei_target.ven_ids) == ("0042", "1e5", ("007",))
    assert event.ei_event_signals.ei_event_signals[0].signal_name == "x-A & B"


@pytest.mark.parametrize("text", ["NaN", "INF", "-INF", "1e400"])
def test_a_number_may_be_none_or_endless(text: str) -> None:
    read = CHECKED.decode(BIG.replace(b">1.5<", f">{text}<".encode()))
    assert isinstance(read, wire.OadrDistributeEvent)
    payload = read.oadr_events[0].ei_event.ei_event_signals.ei_event_signals[0].intervals[0].stream_payload_base[0]
    assert isinstance(payload, part.SignalPayload)
    assert isinstance(payload.payload_base, part.PayloadFloat)
    assert not math.isfinite(payload.payload_base.value)
    assert verdict(CODEC.encode(read)) is None


VEN = "oadrPoll/venID"
ONE = "oadrDistributeEvent/oadrEvent[0]/eiEvent"
SIGNAL = f"{ONE}/eiEventSignals/eiEventSignal[0]"
INTERVAL_0 = f"{SIGNAL}/intervals/interval[0]"


@pytest.mark.parametrize("codec", [CODEC, CHECKED], ids=["alone", "with the XSD"])
@pytest.mark.parametrize(
    ("data", "error", "path"),
    [
        (b"<Banana/>", MalformedError, "Banana"),
        (b"<oadrPayload/>", MalformedError, "oadrPayload"),
        (PLAIN.replace(b"oadrPoll", b"oadrBanana"), InvalidError, "oadrPayload/oadrSignedObject/oadrBanana"),
        (PLAIN.replace(b"ei:venID", b"ei:vtnID"), InvalidError, "oadrPoll/vtnID"),
        (PLAIN.replace(b"<ei:venID>v</ei:venID>", b""), InvalidError, VEN),
        (PLAIN.replace(b"<ei:venID>v</ei:venID>", b"<ei:venID>v</ei:venID>" * 2), InvalidError, "oadrPoll/venID[1]"),
        (PLAIN.replace(b">v<", b"><ei:venID>v</ei:venID><"), InvalidError, "oadrPoll/venID/venID"),
        (PLAIN.replace(b"<ei:venID>v", b"x<ei:venID>v"), InvalidError, "oadrPoll"),
        (PLAIN.replace(b"</ei:venID>", b"</ei:venID>x"), InvalidError, "oadrPoll"),
        (PLAIN.replace(b'"2.0b"', b'"2.0c"'), InvalidError, "oadrPoll/@schemaVersion"),
        (PLAIN.replace(b"ei:schemaVersion", b"schemaVersion"), InvalidError, "oadrPoll/@schemaVersion"),
        (PLAIN.replace(b"<ei:venID", b'<ei:venID a="b"'), InvalidError, "oadrPoll/venID/@a"),
        (BIG.replace(b">1.5<", b">1,5<"), InvalidError, f"{INTERVAL_0}/signalPayload[0]/payloadFloat/value"),
        (BIG.replace(b">PT15M<", b">15M<"), InvalidError, f"{ONE}/eiActivePeriod/properties/duration/duration"),
        (BIG.replace(b">price<", b">prize<"), InvalidError, f"{SIGNAL}/signalType"),
        (BIG.replace(b">x-A", b">A"), InvalidError, f"{SIGNAL}/signalName"),
        (BIG.replace(b"<xcal:components/>", b""), InvalidError, f"{ONE}/eiActivePeriod/components"),
    ],
)  # fmt: skip
def test_an_error_says_where(codec: OadrCodec, data: bytes, error: type[FlexhubError], path: str) -> None:
    for valid in (PLAIN, BIG):
        codec.decode(valid)
    with pytest.raises(error) as raised:
        codec.decode(data)
    assert raised.value.path == path


def test_entities_are_never_resolved_and_sizes_are_bounded() -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>' + PLAIN.partition(b"?>")[2]
    outside = b'<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + PLAIN.partition(b"?>")[2].replace(
        b">v", b">&a;"
    )
    for data in (bomb, outside, bomb.replace(b"DOCTYPE", b"doctype")):
        with pytest.raises(MalformedError, match="DOCTYPE"):
            CODEC.decode(data)
    with pytest.raises(MalformedError, match="limit"):
        OadrCodec(max_bytes=100).decode(PLAIN)


def test_depth_is_bounded() -> None:
    deep = b"<oadr:oadrEvent>" * 100_000
    with pytest.raises(MalformedError):
        CODEC.decode(PLAIN.replace(b"<ei:venID>", deep + b"<ei:venID>"))


def test_comments_and_instructions_change_no_value() -> None:
    assert CODEC.decode(PLAIN.replace(b">v<", b">v<!-- x --><")) == CODEC.decode(PLAIN)
    assert CODEC.decode(PLAIN.replace(b">v<", b"><?x y?>v<")) == CODEC.decode(PLAIN)


def test_a_schema_location_is_kept_wherever_it_may_stand() -> None:
    at_root = PLAIN.replace(b"<oadr:oadrSignedObject>", b"", 1).replace(b"</oadr:oadrSignedObject>", b"")
    assert verdict(at_root) is not None
    at_root = PLAIN.replace(b"><oadr:oadrSignedObject", b' xsi:schemaLocation="a b"><oadr:oadrSignedObject', 1)
    for codec in (CODEC, CHECKED):
        read = codec.decode(at_root)
        assert read.schema_location == "a b"
        assert codec.decode(codec.encode(read)) == read
    assert CODEC.decode(PLAIN).schema_location is None


def test_components_may_say_that_they_are_nil() -> None:
    nil = BIG.replace(b"<xcal:components/>", b"<xcal:components" + XSI + b'xsi:nil="true"/>')
    assert CHECKED.decode(nil) == CODEC.decode(nil) == EVENT


def _with(signal: dict[str, Any] | None = None, **interval: Any) -> wire.OadrDistributeEvent:
    """EVENT with a field of its signal or interval replaced."""
    event = EVENT.oadr_events[0].ei_event
    one = event.ei_event_signals.ei_event_signals[0]
    replace = msgspec.structs.replace
    one = replace(one, **(signal or {"intervals": (replace(INTERVAL, **interval),)}))
    signals = replace(event.ei_event_signals, ei_event_signals=(one,))
    return replace(
        EVENT, oadr_events=(replace(EVENT.oadr_events[0], ei_event=replace(event, ei_event_signals=signals)),)
    )


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (_with(duration="15M"), f"{SIGNAL}/intervals/interval[0]/duration/duration"),
        (_with(uid=0), f"{SIGNAL}/intervals/interval[0]/uid/text"),
        (_with(stream_payload_base=()), f"{SIGNAL}/intervals/interval[0]/signalPayload"),
        (_with(stream_payload_base=(INTERVAL,)), f"{SIGNAL}/intervals/interval[0]/interval[0]"),
        (_with({"intervals": ()}), f"{SIGNAL}/intervals/interval"),
        (_with({"signal_type": "prize"}), f"{SIGNAL}/signalType"),
        (_with({"signal_id": "\x00"}), f"{SIGNAL}/signalID"),
        (_with({"signal_id": None}), f"{SIGNAL}/signalID"),
        (wire.OadrPoll(ven_id="v", schema_version="2.0c"), "oadrPoll/@schemaVersion"),
        (INTERVAL, "interval"),
    ],
)
def test_what_is_no_message_is_not_written(message: Any, path: str) -> None:
    CODEC.encode(EVENT)
    with pytest.raises(InvalidError) as raised:
        CODEC.encode(message)
    assert raised.value.path == path


@pytest.mark.parametrize(("xml", "fits"), [
    (FEED, True),
    (FEED.replace("<id>", "<id >"), False),
    (FEED.replace("feed", "food"), False),
    ("<!DOCTYPE a>" + FEED, False),
    (SIGNATURE, False),
    ("\x00", False),
    (FEED.replace("<id>", '<id xmlns:x="relative">'), False),
])  # fmt: skip
def test_a_foreign_element_is_written_only_where_it_is_read_back(xml: str, *, fits: bool) -> None:
    payload = part.OadrGBPayload(feed=xml)
    message = _with(stream_payload_base=(payload,))
    if fits:
        assert CODEC.decode(CODEC.encode(message)) == message
        return
    with pytest.raises(InvalidError) as raised:
        CODEC.encode(message)
    assert raised.value.path.endswith("oadrGBPayload[0]/feed")


def test_a_foreign_element_of_a_relative_namespace_has_no_canonical_form_and_is_refused() -> None:
    assert verdict(GREEN) is None
    with pytest.raises(InvalidError, match="relative") as raised:
        CODEC.decode(GREEN.replace(b"<id>", b'<id xmlns:x="relative">'))
    assert raised.value.path == "feed"


def test_every_service_has_its_messages_and_oadr_response_is_of_all() -> None:
    told = [kind for kinds in wire.SERVICES.values() for kind in kinds]
    assert len(told) == len(set(told))
    assert {*told, wire.OadrResponse} == set(wire.MESSAGES)
    assert set(wire.SERVICES) == set(names.ServiceName)


def test_every_element_of_the_schema_that_a_message_may_hold_is_in_a_shape(oracle: etree.XMLSchema) -> None:
    """By name, over what the files of OpenADR itself declare; the generated messages hold the rest."""
    assert oracle is not None
    spec = find_spec("openleadr")
    assert spec is not None
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0]) / "schema"
    files = [f"oadr_{name}20b.xsd" for name in ("", "ei_", "pyld_", "strm_", "xcal_", "emix_", "power_", "siscale_")]
    told = {
        name
        for file in files
        for name in re.findall(r'<xs:(?:element|attribute) name="([\w-]+)"', (folder / file).read_text("iso-8859-1"))
    }
    held = {name.rpartition(":")[2] for kind in below(wire.OadrPayload) for name in _names(kind)}
    assert held - told == ELSEWHERE
    assert told - held == UNUSED


ELSEWHERE = {"Signature", "feed", "FeatureCollection", "Polygon", "location", "exterior", "LinearRing", "posList", "id",
             "schemaLocation"}  # fmt: skip
"""Declared by other files: signatures, Green Button, geography."""
ABSTRACT = {"itemBase", "energyItem", "powerItem", "payloadBase", "streamBase", "streamPayloadBase", "refID"}
"""Declared for others to stand for them."""
UNUSED = ABSTRACT | {
    "oadrPayload",  # the root
    "SignalNameEnumerated",
    "dtend",
    "numDataSources",
    "optReasonEnumerated",
    "readingTypeEnumerated",
    "reportEnumerated",
    "response",
    "responses",
    "statusDateTime",
}
"""Declared, but no message has them."""


def _names(kind: type[part.Element]) -> set[str]:
    form = shape(kind)
    return {a.name for a in form.attributes} | {n for p in form.particles for n in (*p.within, *p.path, *p.firsts)}


def test_without_the_schemas_the_check_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "PACKAGE", "no_such_package")
    assert not schemas.installed()
    with pytest.raises(ConfigError, match=r"flexhub\[openadr\]"):
        schemas.schema.__wrapped__()


def test_the_schemas_are_compiled_once_and_their_package_is_not_imported() -> None:
    program = (
        "import sys\n"
        "from flexhub.protocols.openadr2b.codec import OadrCodec\n"
        "from flexhub.protocols.openadr2b.schema import schema\n"
        "OadrCodec().decode(sys.stdin.buffer.read())\n"
        "assert schema() is schema()\n"
        "assert 'openleadr' not in sys.modules\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], input=PLAIN, capture_output=True, cwd=ROOT, check=False)
    assert ran.returncode == 0, ran.stderr
