"""The suite of OpenADR 2.0b's messages passes on ours and sees what is broken; a reject differs in one thing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from lxml import etree

from flexhub.app.convert import convert, recognise, validate
from flexhub.conformance.corpora import corpus
from flexhub.conformance.registry import suite
from flexhub.conformance.suite import Result, run, self_check
from flexhub.core.errors import ConfigError, InvalidError
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.codec import OadrCodec
from flexhub.protocols.openadr2b.elements import OadrReport
from flexhub.protocols.openadr2b.names import ResponseCode
from flexhub.protocols.openadr2b.rules import ELSEWHERE, RULES, code_of, findings
from flexhub.protocols.openadr2b.shapes import below, name_of, shape

FILES = corpus("openadr2b")
CODEC = OadrCodec(check=False)


def test_flexhub_passes() -> None:
    messages = suite("openadr2b-messages")
    report = asyncio.run(run(messages, messages.connect(None, {})))
    assert [line for line in report.cases if line.result is not Result.PASSED] == []
    assert report.passed == len(messages.cases) > 100
    with pytest.raises(ConfigError, match="no target"):
        messages.connect("http://127.0.0.1:1", {})


def test_each_rule_and_law_that_is_broken_turns_exactly_its_own_cases_red() -> None:
    messages = suite("openadr2b-messages")
    assert asyncio.run(self_check(messages, lambda: messages.connect(None, {}))) == []


def test_every_message_and_nearly_every_element_is_in_the_corpus() -> None:
    assert {type(CODEC.decode(f.data)) for f in FILES.accepted} == set(wire.MESSAGES)
    held = {str(node.tag).rpartition("}")[2] for f in FILES.accepted for node in etree.fromstring(f.data).iter()}
    told = {
        name.rpartition(":")[2]
        for kind in below(wire.OadrPayload)
        for p in shape(kind).particles
        for name in (*p.within, *(p.path or p.firsts))
    }
    assert told - held == {
        "Signature",
        *("currencyPerKW", "currencyPerThm", "energyApparent", "energyReactive", "powerApparent", "powerReactive"),
        "oadrGBDataDescription",
    }


def _differences(one: etree._Element, other: etree._Element) -> int:
    """Names, texts and attributes that differ, and elements that one has and the other lacks."""
    apart = int(one.tag != other.tag) + sum(one.get(name) != other.get(name) for name in {*one.attrib, *other.attrib})
    apart += (one.text or "").strip() != (other.text or "").strip()
    if len(one) == len(other):
        return apart + sum(map(_differences, one, other))
    if abs(len(one) - len(other)) > 1:
        return apart + len(one) + len(other)
    fewer, more = sorted((list(one), list(other)), key=len)
    gone = [more[:i] + more[i + 1 :] for i in range(len(more))]
    return apart + 1 + min(sum(map(_differences, fewer, rest)) for rest in gone)


@pytest.mark.parametrize("file", FILES.rejected, ids=lambda f: f.name)
def test_a_reject_differs_from_its_twin_in_one_thing(file: Any) -> None:
    twin = next(f for f in FILES.accepted if f.name == file.twin)
    if file.code == "malformed":
        assert sum(a != b for a, b in zip(file.data.splitlines(), twin.data.splitlines(), strict=False)) > 0
        return
    assert _differences(etree.fromstring(file.data), etree.fromstring(twin.data)) == 1


@pytest.mark.parametrize("file", FILES.rejected, ids=lambda f: f.name)
def test_validate_says_the_same_and_knows_the_message(file: Any) -> None:
    twin = next(f for f in FILES.accepted if f.name == file.twin)
    assert validate(twin.data) == []
    known = recognise(twin.data)
    assert known.protocol == "openadr2b"
    assert known.message == name_of(type(CODEC.decode(twin.data))).removeprefix("oadr:")
    (found,) = validate(file.data)
    assert (found.rule, found.path) == (file.rule or file.code, file.path)


def test_what_is_judged_is_not_yet_converted() -> None:
    with pytest.raises(InvalidError, match="only a FlexOffer of UFTP or USEF 2015") as raised:
        convert(FILES.accepted[0].data, "core")
    assert raised.value.path == "oadrQueryRegistration"


def test_every_rule_has_the_code_of_its_answer_and_no_rule_is_forgotten() -> None:
    for rule in RULES:
        assert rule.reject.startswith(f"{rule.code.value} ")
        assert rule.code is not ResponseCode.OK
    (found,) = findings(wire.OadrPoll(ven_id=""))
    assert code_of(found) is ResponseCode.INVALID_ID
    judged = {int(rule.id[-3:]) for rule in RULES if rule.id[-3:].isdigit()}
    told = {*judged}
    for numbers in ELSEWHERE:
        for part in numbers.split(", "):
            first, _, last = part.partition("-")
            told |= set(range(int(first), int(last or first) + 1))
    assert told == FACTS


FACTS = {
    *(2, 4, 5, 6, 8, 9, 12, 62, 14, 16, 17, 18, 19, 21, 22, 30, 65, 35, 36, 41, 42, 45, 47, 48, 50, 52, 53, 55),
    *(56, 57, 58, 59, 60, 61, 64, 66, 67, 68, 206, 304, 306, 311, 314, 402, 403, 514),
}
"""The conformance rules of 2.0b that flexhub knows of."""


def test_a_report_without_a_name_is_of_no_kind() -> None:
    report = OadrReport(
        duration="P1D", report_request_id="0", report_specifier_id="s", created_date_time="2026-03-28T10:00:00Z"
    )
    assert findings(wire.OadrRegisterReport(request_id="r", oadr_reports=(report,))) == []
