"""`flexhub conformance` and `plugins`."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.app.cli.conftest import Program


def test_a_suite_prints_one_object_and_writes_reports(flexhub: Program, tmp_path: Path) -> None:
    ran = flexhub("conformance", "run", "mapping", "--json", "--junit", "m.xml", "--html", "m.html")
    assert (ran.code, ran.err) == (0, "")
    report = json.loads(ran.out)
    assert set(report) == {"suite", "target", "passed", "failed", "todo", "exempt", "cases"}
    assert report["suite"] == "mapping"
    assert report["passed"] == len(report["cases"]) > 0
    assert len(ET.parse(tmp_path / "m.xml").findall(".//testcase")) == len(report["cases"])  # noqa: S314 - our own file
    assert "mapping" in (tmp_path / "m.html").read_text("utf-8")


def test_a_suite_prints_a_table_that_ends_with_the_sums(flexhub: Program) -> None:
    ran = flexhub("conformance", "run", "mapping")
    assert ran.code == 0
    assert ran.out.splitlines()[-1].endswith(" 0 failed, 0 todo, 0 exempt")


def test_suites_are_listed(flexhub: Program) -> None:
    assert "mapping" in [one["suite"] for one in json.loads(flexhub("conformance", "list", "--json").out)]
    assert "mapping" in flexhub("conformance", "list").out


def test_a_suite_that_is_none_is_wrong_usage_and_names_those_that_are(flexhub: Program) -> None:
    ran = flexhub("conformance", "run", "banana")
    assert (ran.code, ran.out) == (2, "")
    assert "mapping" in ran.err


def test_plugins_lists_the_reference_engines(flexhub: Program) -> None:
    ran = flexhub("plugins", "--json")
    assert ran.code == 0
    assert {"manager", "market", "generator", "baseline"} <= {one["slot"] for one in json.loads(ran.out)}
    managers = flexhub("plugins", "--slot", "manager")
    assert "reference" in managers.out
    assert "market" not in managers.out


def test_a_slot_that_is_none_is_wrong_usage(flexhub: Program) -> None:
    assert flexhub("plugins", "--slot", "banana").code == 2


def test_an_endpoint_is_judged_without_a_target_on_a_hub_of_its_own(flexhub: Program) -> None:
    ran = flexhub("conformance", "run", "flexoffer-rest", "--json")
    assert ran.code == 0, ran.err
    report = json.loads(ran.out)
    assert report["failed"] == 0
    assert report["passed"] + report["todo"] == len(report["cases"]) > 30


def test_a_target_needs_tokens(flexhub: Program) -> None:
    ran = flexhub("conformance", "run", "flexoffer-rest", "--target", "http://127.0.0.1:1")
    assert ran.code == 2
    assert "--tokens" in ran.err


def test_a_token_file_that_is_no_text_is_told_in_one_sentence(flexhub: Program, tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(b"\xc9\x00\xff")
    (tmp_path / "tokens").write_text('[one]\nparty = "a"\ntoken = "x"\n[other]\nparty = "b"\ntoken = "y"\n')
    arguments = ("conformance", "run", "flexoffer-rest", "--target", "http://127.0.0.1:1", "--tokens")
    ran = flexhub(*arguments, "noise")
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert ran.err.startswith("flexhub: noise: ")
    assert "[one] and [other]" in ran.err
    assert "[one] and [other]" not in flexhub(*arguments, "tokens").err


def test_an_endpoint_of_uftp_is_judged_in_a_role_on_a_hub_of_its_own(flexhub: Program) -> None:
    ran = flexhub("conformance", "run", "uftp", "--role", "cro", "--json")
    assert ran.code == 0, ran.err
    report = json.loads(ran.out)
    assert (report["suite"], report["failed"], report["todo"]) == ("uftp-cro", 0, 0)
    assert report["passed"] == len(report["cases"]) > 70


def test_a_suite_of_uftp_needs_a_role_and_for_a_target_a_market(flexhub: Program) -> None:
    ran = flexhub("conformance", "run", "uftp")
    assert (ran.code, "--role" in ran.err) == (2, True)
    ran = flexhub("conformance", "run", "uftp", "--role", "agr", "--target", "http://127.0.0.1:1")
    assert (ran.code, "--market" in ran.err) == (2, True)
    ran = flexhub("conformance", "run", "uftp", "--role", "banana")
    assert (ran.code, "uftp-agr" in ran.err) == (2, True)
