"""Suite openadr2b-ven on openleadr's VEN: it finds what is wrong there, and lets pass what is not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest

from flexhub.app.openadr.ven.judged import MARKET
from flexhub.app.openadr.ven.judging import Counter, Judge, serving
from flexhub.app.serving import utc_now
from flexhub.conformance.openadr.ven import Ven
from flexhub.conformance.registry import suite
from flexhub.conformance.suite import Result, run

WRONG = {
    "OADR-002/uid",
    "OADR-006/test",
    "OADR-008/short",
    "OADR-009/level-7",
    "OADR-019/mixed",
    "OADR-021/vtn",
    "OADR-048/market",
    "OADR-048/signal",
    "OADR-048/target",
    "OADR-058/lower",
    "OADR-061/missing",
    "OADR-304/unknown",
    "OADR-306/metadata",
    "OADR-V1/all",
    "OADR-V3/report",
}
"""Of openleadr 0.5.36; which events it takes is left to its user, but for what the profile says."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The peer tells of all that it does, and of what it makes of what it should not have."""
    logger = logging.getLogger("openleadr")
    before, logger.level = logger.level, logging.CRITICAL + 1
    yield
    logger.setLevel(before)


def test_the_suite_finds_what_is_wrong_with_openleadrs_ven() -> None:
    openleadr: Any = import_module("openleadr")

    async def main() -> dict[str, tuple[Result, str]]:
        counter = Counter(poll="PT1H")
        async with serving(counter) as url:
            ven = openleadr.OpenADRClient(ven_name="peer", vtn_url=url)

            async def opt(_: Any) -> str:
                return "optIn"

            ven.add_handler("on_event", opt)
            ven.add_handler("on_update_event", opt)
            ven.add_report(
                callback=lambda: 1.0, measurement="power_real", resource_id="r", sampling_rate=timedelta(minutes=15)
            )
            await ven.run()

            async def nudge() -> None:
                await ven._poll()  # noqa: SLF001 - it polls by a timer only
                await asyncio.sleep(0)

            async def seen() -> set[str]:
                return {e["event_descriptor"]["event_id"] for e in ven.received_events}

            line = Judge(counter, MARKET, utc_now, nudge=nudge, seen=seen)
            try:
                report = await run(suite("openadr2b-ven"), Ven(line, "peer"))
            finally:
                await ven.stop()
        return {line.id: (line.result, line.came) for line in report.cases}

    found = asyncio.run(main())
    came = {name: came for name, (result, came) in found.items() if result is Result.FAILED}
    assert came.keys() == WRONG
    assert came["OADR-058/lower"].startswith("200 optIn"), "a lower modificationNumber is taken"
    assert came["OADR-048/target"].startswith("200 optIn"), "and another's target"
    assert came["OADR-048/signal"].startswith("460 optIn"), "an error, and yet opted in to"
    assert came["OADR-061/missing"].startswith("it follows"), "what is missing is not cancelled"
    assert [name for name, (result, _) in found.items() if result is Result.EXEMPT] == []
