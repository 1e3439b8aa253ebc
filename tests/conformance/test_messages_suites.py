"""The suites of messages pass on ours and see what is broken; a reject differs from its twin in one thing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from lxml import etree

from flexhub.conformance.corpora import corpus
from flexhub.conformance.registry import suite
from flexhub.conformance.suite import Result, run, self_check
from flexhub.core.errors import ConfigError
from flexhub.protocols.registry import protocol

PROTOCOLS = ("uftp", "usef2015")
FILES = {name: corpus(name) for name in PROTOCOLS}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_flexhub_passes(name: str) -> None:
    messages = suite(f"{name}-messages")
    report = asyncio.run(run(messages, messages.connect(None, {})))
    assert [line for line in report.cases if line.result is not Result.PASSED] == []
    assert report.passed == len(messages.cases) > 100
    with pytest.raises(ConfigError, match="no target"):
        messages.connect("http://127.0.0.1:1", {})


@pytest.mark.parametrize("name", PROTOCOLS)
def test_each_rule_and_law_that_is_broken_turns_exactly_its_own_cases_red(name: str) -> None:
    messages = suite(f"{name}-messages")
    assert asyncio.run(self_check(messages, lambda: messages.connect(None, {}))) == []


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_message_of_the_standard_is_in_the_corpus(name: str) -> None:
    codec = protocol(name).codec
    kinds = {type(codec.decode(f.data)) for f in FILES[name].accepted if f.name.endswith(".xml")}
    assert kinds == set(protocol(name).messages)


def _differences(one: etree._Element, other: etree._Element) -> int:
    """Attributes that differ, and elements that one has and the other lacks."""
    apart = sum(one.get(name) != other.get(name) for name in {*one.attrib, *other.attrib})
    apart += abs(len(one) - len(other))
    return apart + sum(map(_differences, one, other))


def _changed(one: Any, other: Any) -> int:
    if isinstance(one, dict) and isinstance(other, dict):
        return sum(_changed(one.get(key), other.get(key)) for key in {*one, *other})
    return int(one != other)


TWO = {("uftp", "factor-low.xml"), ("uftp", "request-expired.xml"), ("usef2015", "request-expired.xml")}
"""A lower factor has a lower price; an expired request needs a later now, and that an expiration that is not past."""
REJECTED = [(name, f) for name in PROTOCOLS for f in FILES[name].rejected if f.name.endswith(".xml")]


@pytest.mark.parametrize(("name", "file"), REJECTED, ids=[f"{name}/{f.name}" for name, f in REJECTED])
def test_a_reject_differs_from_its_twin_in_one_thing(name: str, file: Any) -> None:
    twin = next(f for f in FILES[name].accepted if f.name == file.twin)
    apart = _changed(file.seen, twin.seen)
    if b"<!DOCTYPE" in file.data:
        apart += 1
    else:
        apart += _differences(etree.fromstring(file.data), etree.fromstring(twin.data))
    assert apart == (2 if (name, file.name) in TWO else 1)
