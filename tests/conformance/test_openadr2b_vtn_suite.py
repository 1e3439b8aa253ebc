"""The suite of OpenADR 2.0b's VTNs: ours passes, each rule that it lacks shows, and nothing is left out."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from flexhub.app.openadr.vtn.judged import given, own
from flexhub.conformance.openadr.behaving import BEHAVIOURS
from flexhub.conformance.openadr.vtn import PROBES
from flexhub.conformance.registry import suite
from flexhub.conformance.suite import Result, run, self_check
from flexhub.conformance.uftp.status import statuses
from flexhub.protocols.openadr2b.session.judging import VTN_RULES
from tests.app.openadr.vtn_stage import stage
from tests.conformance.test_openadr2b_messages_suite import FACTS

SUITE = suite("openadr2b-vtn")
UNTRIED = {"OADR-V03", "OADR-V07"}
"""They need a certificate of the target's, and a target that takes nobody who is unknown; tests of ours have both."""


def test_our_vtn_passes_and_nothing_is_left_out() -> None:
    async def main() -> None:
        async with own() as fresh:
            report = await run(SUITE, fresh())
        assert [f"{line.id}: {line.came}" for line in report.cases if line.result is not Result.PASSED] == []
        assert report.passed == len(SUITE.cases)

    asyncio.run(main())


def checked(*, own_only: bool) -> list[str]:
    async def main() -> list[str]:
        async with own() as fresh:
            return await self_check(SUITE, fresh, own_only=own_only)

    return asyncio.run(main())


def test_each_rule_that_is_lacking_turns_its_cases_red() -> None:
    assert checked(own_only=True) == []


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_and_no_others() -> None:
    assert checked(own_only=False) == []


def test_every_rule_that_is_known_is_tried_or_it_says_why_not() -> None:
    told = {rule.removeprefix("VTN/"): status for rule, status in statuses("openadr2b").items() if "VTN/" in rule}
    tried = {probe.rule for probe in PROBES} | BEHAVIOURS.keys()
    assert {int(rule[-3:]) for rule in told} == FACTS
    assert {rule for rule, status in told.items() if status is None} <= tried
    assert VTN_RULES.keys() - tried == UNTRIED


def test_a_target_that_cannot_be_prompted_is_judged_by_what_remains(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as on, given(on.url) as fresh:
            report = await run(SUITE, fresh())
        assert report.failed == 0
        assert report.exempt > 10
        assert report.passed > 20

    asyncio.run(main())
