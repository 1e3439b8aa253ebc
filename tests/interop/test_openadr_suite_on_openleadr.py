"""The suite of VTNs on openleadr's finds what the documentation says that it finds."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator
from typing import Final

import pytest

from flexhub.app.openadr.vtn.judged import given
from flexhub.conformance.openadr.vtn import VALID
from flexhub.conformance.registry import suite
from flexhub.conformance.suite import Report, Result, run
from tests.conftest import ROOT
from tests.interop.openleadr_vtn import openleadr

PAGE: Final = ROOT / "docs" / "openadr-conformance.md"
ROW: Final = re.compile(r"\| `(OADR-[^`]+)` \|")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """It tells of what it refuses."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def judged() -> Report:
    async def main() -> Report:
        async with openleadr() as (url, utility), given(url, utility) as fresh:
            return await run(suite("openadr2b-vtn"), fresh(), "openleadr")

    return asyncio.run(main())


def table(report: Report) -> str:
    """The page's rows."""
    failed = [line for line in report.cases if line.result is Result.FAILED]
    order = sorted(failed, key=lambda line: (line.id.startswith(VALID), line.id))
    rows = [f"| `{line.id}` | {line.sent} | {' '.join(line.came.split())[:90]} |" for line in order]
    return "\n".join(row.replace("<", "&lt;") for row in rows)


def test_the_page_tells_what_the_peer_fails() -> None:
    report = judged()
    failed = {line.id for line in report.cases if line.result is Result.FAILED}
    assert failed == set(ROW.findall(PAGE.read_text("utf-8"))), table(report)
    assert report.passed > 25
    exempt = {line.id for line in report.cases if line.result is Result.EXEMPT}
    assert {one for one in exempt if not one.startswith(VALID)} == {
        "OADR-005/behaviour",
        "OADR-R3/no-intervals",
        "OADR-V304/reportRequestID",
        "OADR-V305/rID",
    }, "it changes no events, and reports are asked for as they are registered"
