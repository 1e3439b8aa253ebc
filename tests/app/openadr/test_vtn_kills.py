"""A VTN as the program that it is, killed again and again: all that it acknowledged is there when it is back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
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
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.elements import EiTarget, Properties
from flexhub.protocols.openadr2b.names import OptType
from flexhub.protocols.openadr2b.session.state import Target
from tests.app.openadr import vtn_stage as s
from tests.app.openadr.test_vtn import opted
from tests.app.uftp.test_kills import Program
from tests.ports import free_port

ROUNDS = 2
EVENTS = 6


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[Program, str, str]]:
    port = free_port()
    settings = s.SETTINGS.replace('listen = "127.0.0.1:0"\nid', f'listen = "127.0.0.1:{port}"\nid')
    (tmp_path / "vtn.toml").write_text(f'{settings}\n[store]\nurl = "sqlite:///{tmp_path}/vtn.db"\n')
    with closing(open_store(f"sqlite:///{tmp_path}/vtn.db")) as store:
        token = add_token(store, "root", Role.ADMIN, datetime.now(UTC))
    program = Program(tmp_path, "vtn")
    try:
        program.start()
        yield program, token, f"http://127.0.0.1:{port}"
    finally:
        program.kill()


@pytest.mark.timeout(120)
def test_killed_at_any_moment_nothing_that_was_acknowledged_is_lost(hub: tuple[Program, str, str]) -> None:
    program, token, url = hub

    async def call(session: aiohttp.ClientSession, method: str, path: str, body: object = None) -> Any:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        data = None if body is None else encode(body)
        async with session.request(method, f"{program.url}{path}", data=data, headers=headers) as response:
            assert response.status < 300, await response.text()
            return json.loads(await response.read())

    async def main() -> None:
        vens: list[s.Ven] = []
        events: dict[str, str] = {}
        answers: dict[str, str] = {}
        opts: list[str] = []
        moment: dict[int, asyncio.Event] = {}

        async def act(session: aiohttp.ClientSession, n: int) -> None:
            ven = await s.Ven(session, url).register()
            vens.append(ven)
            await call(session, "PUT", "/vtn/program", {"market_context": s.CONTEXT})
            for i in range(EVENTS):
                start = datetime.now(UTC) + timedelta(days=n + 1, hours=2 * i)
                made = await call(session, "POST", "/vtn/event", s.draft(start, target=Target(ven_ids=(ven.ven_id,))))
                events[made["id"]] = ven.ven_id
                if len(events) in moment:
                    moment.pop(len(events)).set()
                await ven.say(opted(ven.ven_id, made["id"]))
                answers[made["id"]] = "optIn"
            opt = wire.OadrCreateOpt(
                request_id="o",
                opt_id=f"opt-{n}",
                opt_type=OptType.OPT_OUT,
                opt_reason="economic",
                ven_id=ven.ven_id,
                ei_target=EiTarget(),
                vavailability=(Properties(dtstart="2026-03-28T12:00:00Z", duration="PT1H"),),
                created_date_time="2026-03-28T10:00:00Z",
            )
            await ven.say(opt)
            opts.append(f"opt-{n}")

        for n in range(ROUNDS):
            async with aiohttp.ClientSession() as session:
                reached = asyncio.Event()
                moment[len(events) + n + 1] = reached  # each time in the midst of it, a little later
                doing = asyncio.create_task(act(session, n))
                await reached.wait()
                program.kill()
                with suppress(aiohttp.ClientError, OSError):
                    await doing
            program.start()
            async with aiohttp.ClientSession() as session:
                there = {v["id"]: v for v in (await call(session, "GET", "/vtn/ven"))["items"]}
                assert {v.ven_id: v.registration_id for v in vens}.items() <= {
                    id_: v["registration_id"] for id_, v in there.items()
                }.items()
                known = {e["id"]: e for e in (await call(session, "GET", "/vtn/event?limit=1000"))["items"]}
                assert events.keys() <= known.keys()
                for id_, opt in answers.items():
                    (answer,) = (await call(session, "GET", f"/vtn/event/{id_}/answer"))["items"]
                    assert (answer["ven_id"], answer["opt"]) == (events[id_], opt)
                kept = {o["opt_id"] for o in (await call(session, "GET", "/vtn/opt"))["items"]}
                assert set(opts) <= kept
                for ven in vens:
                    again = s.Ven(session, url, ven.ven_id)
                    told = {one.ei_event.event_descriptor.event_id for one in (await events_of(again)).oadr_events}
                    assert {id_ for id_, whose in events.items() if whose == ven.ven_id} <= told

    async def events_of(ven: s.Ven) -> Any:
        return await ven.say(
            wire.OadrRequestEvent(ei_request_event=wire.EiRequestEvent(request_id="q", ven_id=ven.ven_id))
        )

    asyncio.run(main())
