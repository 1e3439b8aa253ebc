"""A VTN, its VEN and the XMPP server between them, as programs, killed in turn: every event is answered in the end."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from flexhub.adapters.store import open_store
from flexhub.app.hub.tokens import add_token
from flexhub.core.documents import encode
from flexhub.core.registry import Role
from tests import prosody as xmpp
from tests.app.openadr import test_xmpp as x
from tests.app.openadr import vtn_stage as s
from tests.app.uftp.test_kills import Program


@pytest.fixture
def hubs(prosody: xmpp.Server, tmp_path: Path) -> Iterator[tuple[Program, Program, str]]:
    vtn = s.SETTINGS.replace("anyone = true", 'poll = "PT1S"') + "[openadr.vtn.xmpp]" + x.account(prosody, "vtn")
    (tmp_path / "vtn.toml").write_text(f'{vtn}\n[store]\nurl = "sqlite:///{tmp_path}/vtn.db"\n')
    (tmp_path / "ven.toml").write_text(x.ven_text(prosody, tmp_path, "site"))
    with closing(open_store(f"sqlite:///{tmp_path}/vtn.db")) as store:
        token = add_token(store, "root", Role.ADMIN, datetime.now(UTC))
    made = Program(tmp_path, "vtn"), Program(tmp_path, "ven")
    try:
        for program in made:
            program.start()
        yield *made, token
    finally:
        for program in made:
            program.kill()


async def killed_in_turn(
    hubs: tuple[Program, Program, str], server: xmpp.Server, enough: Callable[[int], bool]
) -> tuple[int, int]:
    """Kill one after the other, in the midst of events; how many kills and events there were."""
    vtn, ven, token = hubs
    events: list[str] = []

    async def call(method: str, path: str, body: object) -> Any:
        """Again and again, under the same key, until the hub is there."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        headers["Idempotency-Key"] = f"{path.replace('/', '.')}-{len(events)}"
        while True:
            with suppress(aiohttp.ClientError, OSError):
                async with (
                    aiohttp.ClientSession() as session,
                    session.request(method, f"{vtn.url}{path}", data=encode(body), headers=headers) as response,
                ):
                    assert response.status < 300, await response.text()
                    return await response.json()

    async def event() -> None:
        start = datetime.now(UTC) + timedelta(hours=2 * len(events) + 2)
        events.append((await call("POST", "/vtn/event", s.draft(start)))["id"])

    async def answered() -> bool:
        async with aiohttp.ClientSession() as session:
            for id_ in events:
                url = f"{vtn.url}/vtn/event/{id_}/answer"
                async with session.get(url, headers={"Authorization": f"Bearer {token}"}) as response:
                    items = (await response.json())["items"]
                    if [(one["ven_id"], one["opt"]) for one in items] != [(x.SITE, "optIn")]:
                        return False
        return True

    def restart(which: Program) -> None:
        which.kill()
        which.start()

    def restart_server() -> None:
        server.stop(signal.SIGKILL)
        server.start()

    await call("PUT", "/vtn/program", {"market_context": s.CONTEXT})
    await call("PUT", f"/vtn/ven/{x.SITE}", {"fingerprint": f"xmpp:site@{xmpp.DOMAIN}"})
    await event()
    await x.until(answered)
    kills = (restart_server, lambda: restart(vtn), lambda: restart(ven))
    for n in itertools.count(1):
        await asyncio.gather(event(), asyncio.to_thread(kills[n % len(kills)]))
        await event()
        await x.until(answered, 60)
        if enough(n):
            return n, len(events)
    raise AssertionError("unreachable")


@pytest.mark.timeout(180)
def test_whoever_is_killed_every_event_is_answered(prosody: xmpp.Server, hubs: tuple[Program, Program, str]) -> None:
    assert asyncio.run(killed_in_turn(hubs, prosody, lambda n: n == 2)) == (2, 5)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_at_length(prosody: xmpp.Server, hubs: tuple[Program, Program, str]) -> None:
    until = time.monotonic() + 60 * float(os.environ.get("SOAK_MINUTES", "10"))
    kills, events = asyncio.run(killed_in_turn(hubs, prosody, lambda n: time.monotonic() > until or n == 300))
    assert events == 2 * kills + 1
