"""OpenADR over XMPP, through a real server: a hub that is a VTN, a hub that is its VEN, and others who try."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from flexhub.adapters.xmpp.client import Handler, Login, XmppClient
from flexhub.app.config import Config, parse
from flexhub.app.hub.contract import Message
from flexhub.app.openadr.ven.handlers import Opt
from flexhub.app.openadr.ven.papers import OpenadrVen
from flexhub.app.openadr.vtn.handlers import PEER
from flexhub.app.openadr.xmpp import ELEMENT, SERVICES_NODE
from flexhub.app.serving import utc_now
from flexhub.app.wiring import Running, running
from flexhub.core.documents import encode
from flexhub.core.errors import ConfigError, UnavailableError
from flexhub.core.registry import Role
from flexhub.core.timeseries import Measurement
from flexhub.core.trading import FlexRequest
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.elements import EiResponse
from flexhub.protocols.openadr2b.elements import Message as Wire
from flexhub.protocols.openadr2b.names import OptType, ResponseCode, TransportName
from flexhub.protocols.openadr2b.session.state import VtnAnswer, VtnOpt, VtnReport, VtnVen
from flexhub.protocols.openadr2b.session.ven_state import State
from tests import prosody as xmpp
from tests.app.again import replayed
from tests.app.openadr import vtn_stage as s
from tests.app.openadr.vtn import ran

HOUR: Final = timedelta(hours=1)
SITE: Final = "site-1"
VTN: Final = f"vtn@{xmpp.DOMAIN}/openadr"


def account(server: xmpp.Server, name: str) -> str:
    """Keys of a section for an account of that name."""
    password = server.account(name)
    return f"""
jid = "{name}@{xmpp.DOMAIN}/openadr"
password = "{password}"
server = "{server.address}"
ca = "{server.ca}"
"""


def vtn_config(server: xmpp.Server, folder: Path, more: str = "") -> Config:
    settings = s.SETTINGS.replace("anyone = true", more)
    if "requests" in more:
        settings = settings.replace("requests = 1000.0\nrequests_at_once = 2000.0\n", "")
    return s.config(folder, settings=settings + "[openadr.vtn.xmpp]" + account(server, "vtn"))


def ven_text(server: xmpp.Server, folder: Path, name: str = "site") -> str:
    return f"""
pages = false
[hub]
name = "agr"
roles = ["aggregator"]
listen = "127.0.0.1:0"
[store]
url = "sqlite:///{folder}/{name}.db"
[[party]]
id = "anna"
roles = ["prosumer"]
[[openadr.ven]]
name = "utility"
vtn = "xmpp:{VTN}"
congestion_point = "feeder"
markets = ["{s.CONTEXT}"]
levels = ["4 kW", "8 kW", "16 kW"]
opt = "in"
[openadr.ven.xmpp]{account(server, name)}
[[openadr.ven.report]]
subject = "anna"
"""


class Both:
    """A VTN and its VEN."""

    def __init__(self, vtn: Running, ven: Running, server: xmpp.Server, stack: AsyncExitStack) -> None:
        self.vtn = vtn
        self.ven = ven
        self.utility = s.Utility(vtn.hub)
        self._server = server
        self._stack = stack

    async def event(self, hours: int = 1, **more: Any) -> str:
        made = await self.utility.say("vtn.event.put", {"event": s.draft(datetime.now(UTC) + hours * HOUR, **more)})
        return str(made["id"])

    async def state(self) -> State:
        kept = await self.ven.hub.get(OpenadrVen, "utility")
        return State() if kept is None else kept.state

    async def binding(self) -> dict[str, Any]:
        """EventID -> the request that binds the VEN's plans."""
        page = await self.ven.hub.documents(FlexRequest, states=("",))
        return {r.extras["event_id"]: r for r in page.items if r.expires > utc_now()}

    async def opted(self, event_id: str, ven_id: str = SITE) -> tuple[str, int] | None:
        found = await self.vtn.hub.get(VtnAnswer, f"{event_id}|{ven_id}")
        return None if found is None else (str(found.opt), found.modification_number)

    async def stranger(self, name: str, handler: Handler | None = None) -> XmppClient:
        """Somebody else with an account of the server."""

        async def no(_: str, element: bytes) -> bytes:
            return element

        password = self._server.account(name).read_text().strip()
        login = Login(f"{name}@{xmpp.DOMAIN}/x", password, ("127.0.0.1", self._server.port), self._server.ca)
        client = XmppClient(login, ELEMENT, max_bytes=xmpp.MOST - 1000)
        await self._stack.enter_async_context(client.connected(handler or no))
        return client


@asynccontextmanager
async def both(server: xmpp.Server, folder: Path, more: str = "", *, known: bool = True) -> AsyncIterator[Both]:
    """A VTN that knows a VEN's JID beforehand, unless it does not, and the VEN; rounds are the test's to begin."""
    async with (
        AsyncExitStack() as stack,
        running(vtn_config(server, folder, more), timers=False) as vtn,
        running(parse(ven_text(server, folder)), timers=False) as ven,
    ):
        on = Both(vtn, ven, server, stack)
        await on.utility.say("vtn.program.put", {"market_context": s.CONTEXT})
        if known:
            identity = f"xmpp:Site@{xmpp.DOMAIN}"  # people write as they like
            await on.utility.say("vtn.ven.put", {"id": SITE, "ven": {"fingerprint": identity}})
            await on.ven.vens["utility"].round()
        yield on


async def until(true: Callable[[], Awaitable[object]], seconds: float = 30) -> Any:
    """Ask again until it is so."""
    async with asyncio.timeout(seconds):
        while not (found := await true()):  # noqa: ASYNC110 - hubs of others tell nobody
            await asyncio.sleep(0)
    return found


def registering(**more: Any) -> wire.OadrCreatePartyRegistration:
    fields = {"oadr_transport_name": TransportName.XMPP, "oadr_http_pull_model": None}
    return s.registering(**fields | more)


async def said(client: XmppClient, message: Wire) -> Any:
    """What the VTN answers."""
    found = await client.ask(VTN, s.CODEC.encode(message))
    assert found.status == 200, found.why
    return s.CODEC.decode(found.reply)


@ran
async def test_an_event_is_pushed_answered_changed_and_cancelled(prosody: xmpp.Server, tmp_path: Path) -> None:
    async with both(prosody, tmp_path) as on:
        assert ((await on.state()).stage, (await on.state()).ven_id) == ("registered", SITE)
        ven = await on.vtn.hub.get(VtnVen, SITE)
        assert ven is not None
        assert (ven.transport, ven.address, ven.pull) == (TransportName.XMPP, f"site@{xmpp.DOMAIN}/openadr", False)
        id_ = await on.event(level=1)
        # Nobody polls: what follows comes of pushes alone.
        await until(lambda: on.opted(id_))
        assert await on.opted(id_) == ("optIn", 0)
        assert list(await on.binding()) == [id_]
        changed = s.draft(datetime.now(UTC) + HOUR, level=2)
        await on.utility.say("vtn.event.put", {"id": id_, "event": changed})

        async def again() -> bool:
            return await on.opted(id_) == ("optIn", 1)

        await until(again)
        await on.utility.say("vtn.event.cancel", {"id": id_})

        async def over() -> bool:
            return await on.opted(id_) == ("optIn", 2) and not await on.binding()

        await until(over)
    # XMPP adds nothing that is not in the journal.
    await asyncio.to_thread(replayed, vtn_config(prosody, tmp_path), f"sqlite:///{tmp_path}/vtn.db")


@ran
async def test_reports_and_opts_go_over_it(prosody: xmpp.Server, tmp_path: Path) -> None:
    async with both(prosody, tmp_path) as on:
        start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 2 * HOUR
        measured = Measurement(subject="anna", start=start, values_kwh=(1.0,) * 4)
        posted = Message(
            peer="anna", id="m", kind="measurement.post", conversation="anna",
            body=encode(measured), role=Role.PROSUMER,
        )  # fmt: skip
        await on.ven.hub.handle(posted)
        history: dict[str, Any] = {"report_specifier_id": "history", "r_ids": ["anna"], "report_back_duration": "PT0S"}
        history |= {"granularity": "PT15M", "dtstart": start, "duration": "PT1H"}
        asked = await on.utility.say("vtn.report.ask", {"ven_id": SITE, "report": history})

        async def came() -> Any:
            await on.ven.hub.tick()
            page = await on.vtn.hub.documents(VtnReport, owner=SITE)
            return page.items

        (report,) = await until(came)
        assert report.report.report_request_id == asked["report_request_id"]
        values = [p.payload_base.value for i in report.report.intervals for p in i.stream_payload_base]
        assert values == [1.0] * 4

        id_ = await on.event()
        await until(lambda: on.opted(id_))
        word = Message(
            peer="ops", id="1", kind="openadr.ven.opt", conversation="utility",
            body=encode(Opt(event_id=id_, opt=OptType.OPT_OUT)), role=Role.ADMIN,
        )  # fmt: skip
        await on.ven.hub.handle(word)

        async def out() -> Any:
            return (await on.vtn.hub.documents(VtnOpt, owner=SITE)).items

        (opt,) = await until(out)
        assert opt.opt is OptType.OPT_OUT


@ran
async def test_http_and_xmpp_are_served_at_the_same_time_and_keep_apart(prosody: xmpp.Server, tmp_path: Path) -> None:
    async with both(prosody, tmp_path) as on, aiohttp.ClientSession() as session:
        await on.utility.say("vtn.ven.put", {"id": "web", "ven": {}})
        web = await s.Ven(session, on.vtn.vtn_url or "", "web").register()
        only: dict[str, Any] = {"target": {"ven_ids": ["web"]}}
        secret, shared = await on.event(**only), await on.event(3)
        asked = wire.OadrRequestEvent(ei_request_event=wire.EiRequestEvent(request_id="1", ven_id="web"))

        async def heard() -> bool:
            events = (await web.say(asked)).oadr_events
            return {e.ei_event.event_descriptor.event_id for e in events} == {secret, shared}

        await until(heard)
        await until(lambda: on.opted(shared))
        assert list(await on.binding()) == [shared]
        # Its venID alone opens nothing over HTTP.
        thief = s.Ven(session, on.vtn.vtn_url or "", SITE)
        assert (await thief.poll()).ei_response.response_code == "463"
        # Nor does a VEN of HTTP without a certificate let anyone in over XMPP.
        mallory = await on.stranger("mallory")
        assert (await said(mallory, wire.OadrPoll(ven_id="web"))).ei_response.response_code == "463"


@ran
async def test_a_jid_that_is_not_the_vens_gets_nothing(prosody: xmpp.Server, tmp_path: Path) -> None:
    async with both(prosody, tmp_path) as on:
        id_ = await on.event()
        await until(lambda: on.opted(id_))
        mallory = await on.stranger("mallory")
        before = await on.vtn.hub.get(VtnVen, SITE)
        assert before is not None
        asked = wire.OadrRequestEvent(ei_request_event=wire.EiRequestEvent(request_id="1", ven_id=SITE))
        found = await said(mallory, asked)
        assert (found.ei_response.response_code, found.oadr_events) == ("463", ())
        for attempt, code in (
            (wire.OadrPoll(ven_id=SITE), "463"),
            (registering(ven_id=SITE), "463"),
            (registering(ven_id=SITE, registration_id=before.registration_id), "463"),
            (registering(), "463"),  # nobody that the VTN knows
            (registering(ven_id="other"), "452"),  # not allocated
            (wire.OadrCancelPartyRegistration(request_id="1", registration_id="x", ven_id=SITE), "463"),
        ):
            assert (await said(mallory, attempt)).ei_response.response_code == code, attempt
        assert await on.vtn.hub.get(VtnVen, SITE) == before
        # Nor may anyone but the VTN push.
        pushed = wire.OadrDistributeEvent(request_id="1", vtn_id="VTN-1", oadr_events=())
        refused = await mallory.ask(f"site@{xmpp.DOMAIN}/openadr", s.CODEC.encode(pushed))
        assert refused.why.startswith("forbidden")
        assert list(await on.binding()) == [id_]


@ran
async def test_who_registers_is_bound_to_its_jid_and_pushed_to_there_only(prosody: xmpp.Server, tmp_path: Path) -> None:
    """Each refusal beside the registration that differs in the one thing."""
    heard: list[Wire] = []

    async def take(_: str, payload: bytes) -> bytes:
        heard.append(s.CODEC.decode(payload))
        fine = EiResponse(response_code="200", request_id="")
        return s.CODEC.encode(wire.OadrResponse(ei_response=fine, ven_id="free"))

    async with both(prosody, tmp_path) as on:
        await on.utility.say("vtn.ven.put", {"id": "free", "ven": {}})
        other = await on.stranger("other", take)
        mine = f"other@{xmpp.DOMAIN}/x"
        for wrong in (
            {"oadr_transport_address": f"site@{xmpp.DOMAIN}/openadr"},
            {"oadr_transport_address": f"other@{xmpp.DOMAIN}"},
            {"oadr_xml_signature": True},
            {"oadr_transport_name": TransportName.SIMPLE_HTTP, "oadr_http_pull_model": True},
        ):
            answer = await said(other, registering(ven_id="free", **wrong))
            assert answer.ei_response.response_code == ResponseCode.NOT_ALLOWED, wrong
            assert answer.registration_id is None
        answer = await said(other, registering(ven_id="free"))
        assert answer.ei_response.response_code == "200"
        assert [str(t) for p in answer.oadr_profiles for t in p.oadr_transports] == ["simpleHttp", "xmpp"]
        ven = await on.vtn.hub.get(VtnVen, "free")
        assert ven is not None
        assert (ven.fingerprint, ven.address) == (f"xmpp:other@{xmpp.DOMAIN}", mine)
        await on.event(target={"ven_ids": ["free"]})

        async def told() -> bool:
            return bool(heard)

        await until(told)
        assert isinstance(heard[0], wire.OadrDistributeEvent)
        assert list(await on.binding()) == []
        # With a JID that is bound, the venID need not be told.
        assert (await said(other, registering())).ven_id == "free"


@ran
async def test_what_is_no_message_is_an_error_and_too_much_is_refused(prosody: xmpp.Server, tmp_path: Path) -> None:
    async with both(prosody, tmp_path, "max_bytes = 20000") as on:
        mallory = await on.stranger("mallory")
        query = s.CODEC.encode(wire.OadrQueryRegistration(request_id="1"))
        assert (await mallory.ask(VTN, query)).status == 200
        banana = b'<oadrPayload xmlns="http://openadr.org/oadr-2.0b/2012/07"><banana/></oadrPayload>'
        found = await mallory.ask(VTN, banana)
        assert found.why.startswith("bad-request")
        long = s.CODEC.encode(wire.OadrQueryRegistration(request_id="1" * 300_000))
        found = await mallory.ask(VTN, long)
        assert (found.why.partition(":")[0], found.final) == ("policy-violation", True)
        assert (await mallory.ask(VTN, query)).status == 200


@ran
async def test_who_floods_is_told_to_wait_and_others_are_not(prosody: xmpp.Server, tmp_path: Path) -> None:
    async with both(prosody, tmp_path, "requests = 5.0\nrequests_at_once = 20.0") as on:
        mallory = await on.stranger("mallory")
        query = s.CODEC.encode(wire.OadrQueryRegistration(request_id="1"))
        found = await asyncio.gather(*(mallory.ask(VTN, query) for _ in range(60)))
        whys = {one.why.partition(":")[0] for one in found}
        assert whys == {"", "resource-constraint"}
        assert not any(one.final for one in found if one.why)
        id_ = await on.event()
        await until(lambda: on.opted(id_))


@ran
async def test_services_are_told_by_discovery(prosody: xmpp.Server, tmp_path: Path) -> None:
    async with both(prosody, tmp_path) as on:
        other = await on.stranger("other")
        names = ("EiEvent", "EiOpt", "EiRegisterParty", "EiReport")
        assert await other.items(VTN, SERVICES_NODE) == {f"http://openadr.org/OpenADR2/{name}": VTN for name in names}


@ran
async def test_a_domain_that_tells_of_no_services_is_said_to(prosody: xmpp.Server, tmp_path: Path) -> None:
    told = parse(ven_text(prosody, tmp_path).replace(f"xmpp:{VTN}", f"xmpp:{xmpp.DOMAIN}"))
    async with running(told, timers=False) as ven:
        with pytest.raises(UnavailableError, match=f"{xmpp.DOMAIN} tells of no EiRegisterParty"):
            await ven.vens["utility"].round()


@pytest.mark.timeout(120)
@ran
async def test_a_server_that_is_gone_for_a_while_loses_nothing(prosody: xmpp.Server, tmp_path: Path) -> None:
    async with both(prosody, tmp_path) as on:
        first = await on.event()
        await until(lambda: on.opted(first))
        await asyncio.to_thread(prosody.stop, signal.SIGKILL)
        try:
            # The utility goes on; what it says waits in the outbox, and both hubs say that they are cut off.
            second = await on.event(3)

            async def cut_off() -> bool:
                hubs = (on.vtn.hub, on.ven.hub)
                fine = {check.name: check.ok for hub in hubs for check in hub.readiness.look().checks}
                return not fine["xmpp"] and not fine["openadr"]

            await until(cut_off)
            assert await on.opted(second) is None
            rows = await asyncio.to_thread(on.vtn.hub.store.sends, 0, 10, "waiting")
            assert [row.peer for row in rows] == [PEER + SITE]
        finally:
            await asyncio.to_thread(prosody.start)
        await until(lambda: on.opted(second))
        assert set(await on.binding()) == {first, second}


@ran
async def test_a_hub_that_was_down_catches_up(prosody: xmpp.Server, tmp_path: Path) -> None:
    async with both(prosody, tmp_path) as on:
        id_ = await on.event()
        await until(lambda: on.opted(id_))
    async with running(vtn_config(prosody, tmp_path), timers=False) as vtn:
        made = await s.Utility(vtn.hub).say("vtn.event.put", {"event": s.draft(datetime.now(UTC) + 3 * HOUR)})
        async with running(parse(ven_text(prosody, tmp_path)), timers=False) as ven:
            await ven.vens["utility"].round()
            on = Both(vtn, ven, prosody, AsyncExitStack())
            await until(lambda: on.opted(made["id"]))
            assert set(await on.binding()) == {id_, made["id"]}


TWICE: Final = """
password = "secret"
[[openadr.ven]]
name = "other"
vtn = "xmpp:vtn@example.org/openadr"
[openadr.ven.xmpp]
jid = "site@example.org/openadr"
"""


@pytest.mark.parametrize(
    ("change", "where"),
    [
        pytest.param(('vtn = "xmpp:', 'vtn = "http:'), "vtn", id="address of http"),
        pytest.param(('opt = "in"', 'listen = "127.0.0.1:1"\npush_to = "http://127.0.0.1:1"'), "listen", id="listens"),
        pytest.param(("/openadr", ""), "jid", id="no resource"),
        pytest.param(("password =", "# password ="), "password", id="no password"),
        pytest.param(("password", TWICE + "password"), "stands twice", id="one account of two"),
        pytest.param(("password", TWICE.replace("site@", "two@") + "password"), "", id="two accounts"),
        pytest.param(None, "", id="as it is"),
    ],
)
def test_what_cannot_be_is_told_when_it_is_read(change: tuple[str, str] | None, where: str) -> None:
    text = """
[hub]
name = "agr"
[[openadr.ven]]
name = "utility"
vtn = "xmpp://vtn@example.org"
opt = "in"
[openadr.ven.xmpp]
jid = "site@example.org/openadr"
password = "secret"
"""
    text = text if change is None else text.replace(*change)
    if not where:
        assert parse(text).openadr is not None
        return
    with pytest.raises(ConfigError, match=where):
        parse(text)
