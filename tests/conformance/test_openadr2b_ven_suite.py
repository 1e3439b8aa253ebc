"""Suite openadr2b-ven: our own VEN passes, and each requirement that is broken turns exactly its own cases red."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from flexhub.app.openadr.ven import judged
from flexhub.app.openadr.ven.judging import Counter, Judge, serving
from flexhub.app.serving import utc_now
from flexhub.app.suites import transports
from flexhub.conformance.openadr.ven import Ven
from flexhub.conformance.registry import suite
from flexhub.conformance.suite import Result, run, self_check
from flexhub.core.errors import ConfigError, UnavailableError

SUITE = suite("openadr2b-ven")


def test_our_ven_passes_and_nothing_is_left_out() -> None:
    async def main() -> None:
        async with judged.own() as fresh:
            report = await run(SUITE, fresh())
        assert [f"{line.id}: {line.came}" for line in report.cases if line.result is not Result.PASSED] == []
        assert report.passed == len(SUITE.cases)

    asyncio.run(main())


@pytest.mark.timeout(300)
@pytest.mark.parametrize("own_only", [True, pytest.param(False, marks=pytest.mark.soak)])
def test_each_requirement_that_is_broken_turns_its_own_cases_red(own_only: bool) -> None:
    async def main() -> list[str]:
        async with judged.own() as fresh:
            return await self_check(SUITE, fresh, own_only=own_only)

    assert asyncio.run(main()) == []


def test_it_needs_a_ven_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs a VTN"):
        SUITE.connect(None, {})
    bad = tmp_path / "ven.toml"
    bad.write_text("lissen = 1")

    async def main() -> None:
        async with transports(SUITE, None, None, bad):
            raise AssertionError("it is no file about a VEN")

    with pytest.raises(ConfigError, match="no file about a VEN"):
        asyncio.run(main())
    bad.write_text('listen = "127.0.0.1:0"\nmarket = "http://market.example"\n')

    async def good() -> None:
        async with transports(SUITE, None, None, bad) as reach:
            assert isinstance(SUITE.connect(None, reach()), Ven)

    asyncio.run(good())


def test_a_ven_that_does_not_poll_fails_every_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flexhub.app.openadr.ven.judging.PATIENCE_S", 0.01)

    async def main() -> None:
        counter = Counter()
        async with serving(counter):
            line = Judge(counter, judged.MARKET, utc_now)
            with pytest.raises(UnavailableError, match="did not poll"):
                await line.exchange(counter.distribute("r"), ())

    asyncio.run(main())
