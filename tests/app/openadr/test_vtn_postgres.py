"""A VTN on PostgreSQL, and on SQLite, does the same: registration, event, answer, report, opt, and a restart."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from flexhub.app.exchange.portfolio import every
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.elements import EiTarget, Properties
from flexhub.protocols.openadr2b.names import OptType
from flexhub.protocols.openadr2b.session.state import Stage as Registered
from flexhub.protocols.openadr2b.session.state import VtnAnswer, VtnOpt, VtnReport, VtnVen
from flexhub.protocols.uftp.times import text_of
from tests.app.openadr.test_vtn import HOUR, opted
from tests.app.openadr.vtn_stage import Clock, Stage, draft, stage
from tests.postgres import Cluster
from tests.protocols.test_openadr2b_vtn_session import METADATA, data


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where everything of the VTN is kept."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'vtn.db'}"
    server: Cluster = request.getfixturevalue("postgres")
    return server.database()


def test_what_a_ven_says_and_is_told_is_there_after_a_restart(store: str, tmp_path: Path) -> None:
    clock = Clock()

    async def before() -> str:
        async with stage(tmp_path, clock=clock, store=store) as on:
            await on.utility.say("vtn.ven.put", {"id": "site-1", "ven": {}})
            ven = await on.ven("site-1").register()
            await ven.say(wire.OadrRegisterReport(request_id="r", oadr_reports=(METADATA,), ven_id="site-1"))
            made = await on.utility.say("vtn.event.put", {"event": draft(clock.now + HOUR)})
            spec = {"report_specifier_id": "s1", "r_ids": ["p"], "granularity": "PT15M"}
            asked = await on.utility.say("vtn.report.ask", {"ven_id": "site-1", "report": spec})
            await on.told()
            told = [await ven.poll(), await ven.poll()]
            assert {type(one) for one in told} == {wire.OadrDistributeEvent, wire.OadrCreateReport}
            await ven.say(opted("site-1", made["id"]))
            await ven.say(msgspec.structs.replace(data(asked["report_request_id"]), ven_id="site-1"))
            window = Properties(dtstart=text_of(clock.now + HOUR), duration="PT2H")
            await ven.say(available("site-1", window, text_of(clock.now)))
            await kept(on, made["id"])
            return str(made["id"])

    async def after(event_id: str) -> None:
        async with stage(tmp_path, clock=clock, store=store) as on:
            await kept(on, event_id)
            ven = on.ven("site-1")
            assert isinstance(await ven.poll(), wire.OadrResponse), "all of it was answered, and is not told again"
            changed = await on.utility.say("vtn.event.put", {"id": event_id, "event": draft(clock.now + HOUR, level=2)})
            assert changed["modification_number"] == 1
            await on.told()
            told = await ven.poll()
            assert told.oadr_events[0].ei_event.event_descriptor.modification_number == 1
            refused = await ven.say(opted("site-1", event_id, 0))
            assert refused.ei_response.response_code != "200"
            assert (await ven.say(opted("site-1", event_id, 1, OptType.OPT_OUT))).ei_response.response_code == "200"

    async def kept(on: Stage, event_id: str) -> None:
        (ven,) = await every(on.hub, VtnVen)
        assert ven.stage is Registered.REGISTERED
        (answer,) = await every(on.hub, VtnAnswer)
        assert (answer.event_id, answer.opt, answer.modification_number) == (event_id, OptType.OPT_IN, 0)
        assert len(await every(on.hub, VtnReport)) == 1
        (opt,) = await every(on.hub, VtnOpt)
        assert (opt.opt_id, opt.cancelled) == ("o1", False)

    event_id = asyncio.run(before())
    clock.now += timedelta(minutes=1)
    asyncio.run(after(event_id))


def available(ven_id: str, window: Properties, created: str) -> wire.OadrCreateOpt:
    """An oadrCreateOpt of a schedule."""
    return wire.OadrCreateOpt(
        opt_id="o1",
        opt_type=OptType.OPT_IN,
        opt_reason="participating",
        ven_id=ven_id,
        vavailability=(window,),
        created_date_time=created,
        request_id="r2",
        ei_target=EiTarget(),
    )
