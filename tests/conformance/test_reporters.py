"""Reports in every form say the same."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import msgspec

from flexhub.conformance.reporters import REPORTERS
from flexhub.conformance.suite import CaseResult, Report, Result


def _line(name: str, result: Result, came: str = "") -> CaseResult:
    return CaseResult(
        id=name, requirement="R-1", clause="§ 1", sent="<a & b>", expected="201", result=result, came=came
    )


REPORT = Report(
    suite="demo",
    target="http://127.0.0.1:1",
    passed=1,
    failed=1,
    todo=1,
    exempt=1,
    cases=(
        _line("good", Result.PASSED),
        _line("bad", Result.FAILED, "500 <script>\x00"),
        _line("later", Result.LATER, "not yet"),
        _line("never", Result.EXEMPT, "optional"),
    ),
)


def test_json_is_the_report() -> None:
    assert msgspec.json.decode(REPORTERS["json"](REPORT), type=Report) == REPORT
    assert set(msgspec.json.decode(REPORTERS["json"](REPORT))) == {
        "suite",
        "target",
        "passed",
        "failed",
        "todo",
        "exempt",
        "cases",
    }


def test_junit_counts_and_holds_what_came() -> None:
    root = ET.fromstring(REPORTERS["junit"](REPORT))  # noqa: S314 - our own document
    assert (root.get("tests"), root.get("failures"), root.get("skipped")) == ("4", "1", "2")
    failure = root.find("testcase[@name='bad']/failure")
    assert failure is not None
    assert "500 <script>" in (failure.text or "")


def test_html_escapes_what_came() -> None:
    page = REPORTERS["html"](REPORT)
    assert "<script>" not in page
    assert "500 &lt;script&gt;" in page


def test_the_table_names_every_case_and_the_sums() -> None:
    text = REPORTERS["table"](REPORT)
    assert [line.split()[1] for line in text.splitlines() if line.startswith(("passed", "failed", "todo", "exempt"))][
        :4
    ] == ["good", "bad", "later", "never"]
    assert "1 passed, 1 failed, 1 todo, 1 exempt" in text
