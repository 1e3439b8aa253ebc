"""Reports for people and machines: a table, JSON, JUnit XML, HTML."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

import msgspec

from flexhub.conformance.suite import CaseResult, Report, Result


def summary(report: Report) -> str:
    """One line."""
    return (
        f"{report.suite} on {report.target}: {report.passed} passed, {report.failed} failed, "
        f"{report.todo} todo, {report.exempt} exempt"
    )


def table(report: Report) -> str:
    """Cases line by line, what came below those that failed, and the sums."""
    width = max((len(line.id) for line in report.cases), default=0)
    rows = []
    for line in report.cases:
        rows.append(f"{line.result.value:7}  {line.id:{width}}  {line.requirement}  {line.clause}".rstrip())
        if line.result is not Result.PASSED:
            rows.append(f"{'':9}expected {line.expected}; {_came(line)}")
    return "\n".join([*rows, summary(report), ""])


def to_json(report: Report) -> str:
    """The report as one JSON object."""
    return msgspec.json.encode(report).decode() + "\n"


def junit(report: Report) -> str:
    """JUnit XML, as build servers read it; todo and exempt count as skipped."""
    root = Element(
        "testsuite",
        name=report.suite,
        tests=str(len(report.cases)),
        failures=str(report.failed),
        errors="0",
        skipped=str(report.todo + report.exempt),
    )
    for line in report.cases:
        case = SubElement(root, "testcase", classname=f"{report.suite}.{line.requirement}", name=line.id, time="0")
        if line.result is Result.FAILED:
            failure = SubElement(case, "failure", message=_clean(line.expected))
            failure.text = _clean(f"{line.sent}\n{_came(line)} [{line.clause}]")
        elif line.result is not Result.PASSED:
            SubElement(case, "skipped", message=_clean(f"{line.result}: {line.came}"))
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def html(report: Report) -> str:
    """A page of its own, without scripts or anything from elsewhere."""
    rows = "".join(
        f'<tr class="{line.result.value}">'
        + "".join(
            f"<td>{escape(text)}</td>"
            for text in (
                line.result.value,
                line.id,
                f"{line.requirement} ({line.clause})",
                line.sent,
                line.expected,
                line.came,
            )
        )
        + "</tr>"
        for line in report.cases
    )
    head = "".join(f"<th>{name}</th>" for name in ("result", "case", "requirement", "sent", "expected", "came"))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(report.suite)}</title><style>"
        "body{font:14px sans-serif;margin:2em}td,th{padding:.2em .6em;text-align:left;vertical-align:top}"
        ".failed{background:#fdd}.todo,.exempt{color:#777}</style></head><body>"
        f"<h1>{escape(summary(report))}</h1><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        "</body></html>\n"
    )


def _came(line: CaseResult) -> str:
    return f"came {line.came}" if line.result is Result.FAILED else line.came


def _clean(text: str) -> str:
    """Without the characters that XML 1.0 cannot hold."""
    return _NOT_XML.sub("", text)


_NOT_XML: Final = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")

REPORTERS: Final[dict[str, Callable[[Report], str]]] = {"table": table, "json": to_json, "junit": junit, "html": html}
"""Name of the form -> what writes it."""
