"""The suites of UFTP endpoints on shapeshifter-uftp find what the documentation says that they find."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Final

import pytest

from flexhub.app.uftp.judged import given
from flexhub.conformance.registry import suite
from flexhub.conformance.suite import Report, Result, run
from flexhub.conformance.uftp.probe import VALID
from flexhub.protocols.uftp.messages import Role
from tests.conformance.test_uftp_suite import KINDS
from tests.conftest import ROOT, need
from tests.interop.market import PYTHON, peer
from tests.ports import free_port

PAGE: Final = ROOT / "docs" / "uftp-conformance.md"
ROW: Final = re.compile(r"\| `(UFTP-[^`]+)` \| [^|]+ \| [^|]+ \| ([a-z, ]+) \|")
ROLES: Final = ("agr", "dso", "cro")


async def judged(role: str, folder: Path) -> Report:
    port = free_port()
    async with (
        peer(Role(role.upper()), folder, port) as (market, prompt),
        given(role, market, None, prompt) as fresh,
    ):
        return await run(suite(f"uftp-{role}"), fresh(), "shapeshifter-uftp")


async def all_judged(folder: Path) -> dict[str, Report]:
    """All roles at once: each mostly waits for answers that do not come."""
    return dict(zip(ROLES, await asyncio.gather(*(judged(role, folder / role) for role in ROLES)), strict=True))


def documented() -> dict[str, set[str]]:
    """Role -> cases that the page says it fails."""
    found: dict[str, set[str]] = {role: set() for role in ROLES}
    for case, roles in ROW.findall(PAGE.read_text("utf-8")):
        for role in roles.split(", "):
            found[role].add(case)
    return found


def table(reports: dict[str, Report]) -> str:
    """The page's rows."""
    rows: dict[str, tuple[str, str, list[str]]] = {}
    for role, report in reports.items():
        for line in report.cases:
            if line.result is Result.FAILED:
                came = line.came.replace("|", "&#124;").strip()
                rows.setdefault(line.id, (line.sent, came, []))[2].append(role)
    order = sorted(rows, key=lambda case: (case.startswith(VALID), case))
    return "\n".join(f"| `{case}` | {rows[case][0]} | {rows[case][1]} | {', '.join(rows[case][2])} |" for case in order)


@pytest.mark.timeout(300)
def test_the_page_tells_what_the_peer_fails(tmp_path: Path) -> None:
    need(PYTHON.exists(), "shapeshifter-uftp is not here; `make peer` gets it")
    for role in ROLES:
        (tmp_path / role).mkdir()
    reports, told = asyncio.run(all_judged(tmp_path)), documented()
    for role, report in reports.items():
        failed = {line.id for line in report.cases if line.result is Result.FAILED}
        assert failed == told[role], table({role: report})
        if role == "agr":
            assert len(KINDS.keys()) - len(failed & set(KINDS.values())) == 10
        assert report.passed > 50, "the valid twins, most of all"
        exempt = {line.requirement for line in report.cases if line.result is Result.EXEMPT}
        assert exempt <= {"UFTP-04", "UFTP-12", "UFTP-19", "UFTP-28", "UFTP-29", "UFTP-35", "UFTP-49a"}, (
            "not agreed with it"
        )
