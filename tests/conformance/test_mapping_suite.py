"""The mapping suite passes on ours, and sees whatever is broken."""

from __future__ import annotations

import asyncio
import tomllib
from importlib import resources
from typing import Any

import msgspec
import pytest

from flexhub.conformance.corpora import corpus
from flexhub.conformance.registry import SUITES, names, suite
from flexhub.conformance.suite import Case, Result, Suite, run, self_check
from flexhub.core.errors import ConfigError
from flexhub.protocols.registry import PROTOCOLS, protocol

SUITE_OF = {
    "flexoffer": "mapping",
    "openadr2b": "openadr2b-messages",
    "uftp": "uftp-messages",
    "usef2015": "usef2015-messages",
}


def test_flexhub_passes_its_mapping_suite() -> None:
    mapping = suite("mapping")
    report = asyncio.run(run(mapping, mapping.connect(None, {})))
    assert [line for line in report.cases if line.result is not Result.PASSED] == []
    assert report.passed == len(mapping.cases) > 200


def test_each_rule_and_law_that_is_broken_turns_exactly_its_own_cases_red() -> None:
    mapping = suite("mapping")
    assert asyncio.run(self_check(mapping, lambda: mapping.connect(None, {}))) == []


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_every_rule_is_a_requirement_with_a_reject(name: str) -> None:
    rejected = {file.rule for file in corpus(name).rejected}
    judging = suite(SUITE_OF[name])
    requirements = {r.id for r in judging.requirements}
    for rule in protocol(name).rules:
        assert rule.id in requirements
        assert rule.id in rejected or rule.id in judging.status


def of_two_rules() -> Suite[Any]:
    """The mapping suite as if it had two requirements, so that it is checked at once."""
    two, mapping = ("FO-02", "FO-10"), suite("mapping")
    return msgspec.structs.replace(
        mapping,
        requirements=tuple(r for r in mapping.requirements if r.id in two),
        cases=tuple(c for c in mapping.cases if c.requirement in two),
        mutants=tuple(m for m in mapping.mutants if m.requirement in two),
        status={},
    )


def test_of_a_suite_of_two_rules_both_are_noticed() -> None:
    assert asyncio.run(self_check(of_two_rules(), lambda: suite("mapping").connect(None, {}))) == []


def test_a_requirement_that_no_case_notices_is_a_failure_of_the_suite() -> None:
    mapping = of_two_rules()
    blind = msgspec.structs.replace(mapping, cases=tuple(c for c in mapping.cases if c.requirement != "FO-10"))
    problems = asyncio.run(self_check(blind, lambda: mapping.connect(None, {})))
    assert problems == ["FO-10 has no case", "FO-10 is broken, and no case notices"]


def test_a_case_that_cannot_fail_is_found() -> None:
    async def passes(_target: Any) -> None:
        return None

    mapping = of_two_rules()
    asleep = tuple(
        msgspec.structs.replace(case, check=passes) if case.requirement == "FO-02" else case for case in mapping.cases
    )
    problems = asyncio.run(
        self_check(msgspec.structs.replace(mapping, cases=asleep), lambda: mapping.connect(None, {}))
    )
    assert problems == ["FO-02 is broken, and no case notices"]


def test_a_suite_does_not_speak_of_requirements_that_it_does_not_have() -> None:
    mapping = suite("mapping")
    stray: Case[Any] = msgspec.structs.replace(mapping.cases[0], requirement="FO-99")
    with pytest.raises(ConfigError, match="FO-99"):
        Suite(
            name="stray",
            title="",
            requirements=mapping.requirements,
            cases=(stray,),
            mutants=(),
            connect=mapping.connect,
        )


def test_every_registered_suite_loads_and_names_itself() -> None:
    assert set(names()) >= set(SUITES)
    for name in SUITES:
        assert suite(name).name == name
    with pytest.raises(ConfigError, match="not a suite"):
        suite("banana")


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_the_index_names_every_file_once_and_each_reject_has_an_accepted_twin(name: str) -> None:
    root = resources.files("flexhub.conformance.corpora") / name
    index = tomllib.loads((root / "index.toml").read_text())
    for folder, rows in (("accept", index["accept"]), ("reject", index["reject"])):
        listed = [row["file"] for row in rows]
        assert sorted(listed) == sorted(f.name for f in (root / folder).iterdir())
    accepted = {row["file"] for row in index["accept"]}
    assert {row["twin"] for row in index["reject"]} <= accepted


def _changes(one: Any, other: Any) -> int:
    """In how many fields of one object the two differ, after going down as long as there is one difference only."""
    if isinstance(one, dict) and isinstance(other, dict):
        apart = [key for key in one.keys() | other.keys() if one.get(key, ...) != other.get(key, ...)]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        apart = [i for i, item in enumerate(one) if item != other[i]]
    else:
        return 1
    if len(apart) == 1 and (isinstance(one, list) or apart[0] in one.keys() & other.keys()):
        return _changes(one[apart[0]], other[apart[0]])
    return len(apart)


@pytest.mark.parametrize("file", [f for f in corpus("flexoffer").rejected if f.rule], ids=lambda f: f.name)
def test_a_reject_differs_from_its_twin_in_one_thing(file: Any) -> None:
    twin = next(f for f in corpus("flexoffer").accepted if f.name == file.twin)
    # A pair of bounds is one thing, as is a pair of durations.
    assert _changes(msgspec.json.decode(file.data), msgspec.json.decode(twin.data)) in (1, 2)
