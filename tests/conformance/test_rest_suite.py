"""The suite of the exchange interface passes on a running hub, and sees whatever is broken in its answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from flexhub.adapters.http.client import HttpClient
from flexhub.conformance.exchange import Exchange, Participant
from flexhub.conformance.registry import suite
from flexhub.conformance.suite import Result, run, self_check
from flexhub.core.errors import ConfigError
from tests.app.api.live import Live, config, live

T = TypeVar("T")


def _against(hub: Live, work: Callable[[Callable[[str], Exchange]], Awaitable[T]]) -> T:
    one, other = (Participant(party=name, token=hub.tokens[name]) for name in ("ann", "bob"))

    async def main() -> T:
        async with HttpClient(f"http://{hub.running.host}:{hub.running.port}") as http:
            return await work(lambda name: Exchange(http, (one, other), hub.clock(), name))

    return asyncio.run(main())


def test_the_hub_passes_its_rest_suite(tmp_path: Path) -> None:
    rest = suite("flexoffer-rest")
    with live(config(tmp_path)) as hub:
        report = _against(hub, lambda target: run(rest, target("t"), "hub"))
    assert [f"{line.id}: {line.came}" for line in report.cases if line.result is Result.FAILED] == []
    assert report.passed + report.todo == len(rest.cases)


@pytest.mark.timeout(300)
def test_each_requirement_that_is_broken_turns_its_own_cases_red(tmp_path: Path) -> None:
    rest = suite("flexoffer-rest")
    with live(config(tmp_path)) as hub:
        runs = iter(range(1000))
        assert _against(hub, lambda target: self_check(rest, lambda: target(f"r{next(runs)}"))) == []


def test_the_suite_says_what_it_must_be_given() -> None:
    with pytest.raises(ConfigError, match="tokens of two prosumers"):
        suite("flexoffer-rest").connect("http://127.0.0.1:1", {})
