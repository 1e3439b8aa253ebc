"""`flexhub ven` and ``/ven`` beside a running hub that is a VEN: its events, and an operator's opt."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from flexhub.app.cli import run
from flexhub.app.wiring import Running
from flexhub.core.registry import Role
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.names import OptType
from tests.app.openadr.test_ven import SOON, binding, go, staged
from tests.app.openadr.vtn import Vtn, ran
from tests.protocols.test_openadr2b_ven import event

Say = Callable[..., Awaitable[tuple[int, str, str]]]


async def speaking(folder: Path, hub: Running, capsys: pytest.CaptureFixture[str]) -> Say:
    """Runs a command, and tells its exit code, and what it printed."""
    token = folder / "root.token"
    token.write_text(await hub.hub.add_token("root", Role.ADMIN))

    async def say(*words: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(run, ["ven", *words, "--url", hub.url, "--token", str(token)])
        told = capsys.readouterr()
        return code, told.out.strip(), told.err.strip()

    return say


@ran
async def test_an_operator_opts_out_and_in_again_and_the_vtn_hears_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with staged(tmp_path, replays=True) as (vtn, hub):
        say = await speaking(tmp_path, hub, capsys)
        code, _, why = await say("events", "utility")
        assert code == 1
        assert "no such VTN was spoken with" in why
        await go(hub)
        assert await say("state", "utility") == (0, "registered ven-1", "")
        vtn.tell(event(start=SOON), event("e-2", start=SOON + timedelta(hours=2), level=7.0))
        await go(hub)
        assert await binding(hub) == ["e-1"]

        _, listed, _ = await say("events", "utility", "--json")
        first, second = map(json.loads, listed.splitlines())
        assert (first["event_id"], first["opt"], first["code"], first["signals"]) == ("e-1", "optIn", "200", ["SIMPLE"])
        assert (second["event_id"], second["opt"]) == ("e-2", "optOut")

        assert await say("opt", "utility", "e-1", "out") == (0, "optOut", "")
        await hub.hub.sent()
        assert await binding(hub) == []
        assert said(vtn) == [("e-1", OptType.OPT_OUT)]
        assert await say("opt", "utility", "e-1", "out") == (0, "optOut", ""), "said already, so not again"
        code, told, _ = await say("opt", "utility", "e-1", "in", "--json")
        assert (code, json.loads(told)["opt"]) == (0, "optIn")
        await hub.hub.sent()
        assert said(vtn) == [("e-1", OptType.OPT_OUT), ("e-1", OptType.OPT_IN)]
        assert await binding(hub) == ["e-1"]

        for words, reason in (
            (("utility", "e-2", "in"), "it is over, or was refused"),
            (("utility", "e-3", "in"), "no such event"),
            (("nobody", "e-1", "in"), "no such VTN is configured"),
        ):
            code, _, why = await say("opt", *words)
            assert code == 1
            assert reason in why
        assert len(said(vtn)) == 2


def said(vtn: Vtn) -> list[tuple[str, OptType]]:
    named: list[Any] = vtn.of(wire.OadrCreateOpt)
    return [(one.qualified_event_id.event_id, one.opt_type) for one in named]


@pytest.mark.parametrize(("role", "status"), [(Role.ADMIN, 200), (Role.PROSUMER, 403), (Role.AGGREGATOR, 403)])
@ran
async def test_only_who_runs_the_hub_opts(tmp_path: Path, role: Role, status: int) -> None:
    async with staged(tmp_path) as (vtn, hub):
        await go(hub)
        vtn.tell(event(start=SOON))
        await go(hub)
        headers = {"Authorization": f"Bearer {await hub.hub.add_token('somebody', role)}", "Idempotency-Key": '"k"'}
        url = f"{hub.url}/ven/utility/event/e-1/opt"
        async with aiohttp.ClientSession(headers=headers) as http, http.put(url, json={"opt": "optOut"}) as answer:
            assert answer.status == status
        assert await binding(hub) == ([] if status == 200 else ["e-1"])


@pytest.mark.parametrize(("body", "status"), [({"opt": "optIn"}, 200), ({"opt": "in"}, 422), ({}, 422), ([], 422)])
@ran
async def test_a_word_that_is_none_is_refused(tmp_path: Path, body: Any, status: int) -> None:
    async with staged(tmp_path) as (vtn, hub):
        await go(hub)
        vtn.tell(event(start=SOON))
        await go(hub)
        headers = {"Authorization": f"Bearer {await hub.hub.add_token('root', Role.ADMIN)}"}
        url = f"{hub.url}/ven/utility/event/e-1/opt"
        async with aiohttp.ClientSession(headers=headers) as http, http.put(url, json=body) as answer:
            assert answer.status == status, await answer.text()
