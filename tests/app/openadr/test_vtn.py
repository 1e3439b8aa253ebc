"""The VTN's endpoint: bad input beside its twin, floods, certificates, signatures, pushes, silence, and a replay."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from lxml import etree

from flexhub.app.access.certificates import authority, issue
from flexhub.app.openadr.vtn.board import Board
from flexhub.app.openadr.vtn.silence import Watch
from flexhub.core.errors import DuplicateError, IllegalTransitionError, InvalidError, NotFoundError
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.elements import EiResponse, EventResponse, QualifiedEventID
from flexhub.protocols.openadr2b.fingerprint import fingerprint_of
from flexhub.protocols.openadr2b.names import OptType, ResponseRequired
from flexhub.protocols.openadr2b.session.state import Stage, Target, VtnAnswer, VtnEvent, VtnVen
from flexhub.protocols.openadr2b.signature import sign, signing_key
from tests.app.again import replayed
from tests.app.openadr import vtn_stage as s
from tests.app.openadr.vtn_stage import CODEC, Clock, draft, registering, stage
from tests.app.openadr.vtn_stage import Stage as On

HOUR = timedelta(hours=1)
POLL = CODEC.encode(wire.OadrPoll(ven_id="ven"))


def played(folder: Path, act: Callable[[On], Awaitable[None]], more: str = "", **given: Any) -> None:
    """Have it happen on a hub, then work the hub's journal again: the same must come of it."""

    async def main() -> None:
        async with stage(folder, more=more, **given) as on:
            await act(on)

    asyncio.run(main())
    told = s.config(folder, more, **{k: v for k, v in given.items() if k == "settings"})
    replayed(told)


def journal(on: On) -> int:
    return len(on.hub.store.journal(0, 10_000))


def opted(ven_id: str, event_id: str, number: int = 0, opt: OptType = OptType.OPT_IN) -> wire.OadrCreatedEvent:
    answer = EventResponse(
        response_code="200",
        request_id="d",
        qualified_event_id=QualifiedEventID(event_id=event_id, modification_number=number),
        opt_type=opt,
    )
    return wire.OadrCreatedEvent(
        ei_created_event=wire.EiCreatedEvent(
            ei_response=EiResponse(response_code="200", request_id=""), event_responses=(answer,), ven_id=ven_id
        )
    )


# -- what comes in ----------------------------------------------------------------------------------------------------


BODIES: dict[str, tuple[str, bytes, dict[str, str], int]] = {
    "as it should be": ("OadrPoll", POLL, {}, 200),
    "of another service": ("EiEvent", POLL, {}, 400),
    "of no service": ("EiNothing", POLL, {}, 404),
    "said to be JSON": ("OadrPoll", POLL, {"Content_Type": "application/json"}, 415),
    "said to be text/xml": ("OadrPoll", POLL, {"Content_Type": "text/xml; charset=utf-8"}, 200),
    "said to be compressed": ("OadrPoll", POLL, {"Content_Encoding": "gzip"}, 415),
    "cut off": ("OadrPoll", POLL[:-9], {}, 400),
    "not escaped": ("OadrPoll", POLL.replace(b"ven<", b"A & B<"), {}, 400),
    "escaped": ("OadrPoll", POLL.replace(b"ven<", b"A &amp; B<"), {}, 200),
    "with a DOCTYPE": ("OadrPoll", POLL.replace(b"?><", b"?><!DOCTYPE x [<!ENTITY e 'v'>]><", 1), {}, 400),
    "of an unknown element": ("OadrPoll", POLL.replace(b"oadrPoll", b"oadrPull"), {}, 400),
    "empty": ("OadrPoll", b"", {}, 400),
    "too large": ("OadrPoll", POLL + b" " * (1 << 17), {}, 413),
    "large": ("OadrPoll", POLL + b" " * (1 << 15), {}, 200),
}
"""What is sent: the service, the body, headers, and HTTP's answer."""


def test_what_is_no_payload_is_refused_and_its_twin_is_not(tmp_path: Path) -> None:
    async def act(on: On) -> None:
        before = journal(on)
        ven = on.ven("ven")
        found = {
            name: (await ven.post(service, body, **headers))[0] for name, (service, body, headers, _) in BODIES.items()
        }
        assert found == {name: status for name, (_, _, _, status) in BODIES.items()}
        assert journal(on) == before, "nothing is stored of any"

    played(tmp_path, act, "max_bytes = 65536\n")


def test_a_poll_that_has_nothing_new_writes_nothing_and_neither_does_one_that_tells_an_event(tmp_path: Path) -> None:
    async def act(on: On) -> None:
        ven = await on.ven().register()
        before = journal(on)
        for _ in range(3):
            assert isinstance(await ven.poll(), wire.OadrResponse)
        assert journal(on) == before
        made = await on.utility.say("vtn.event.put", {"event": draft(datetime.now(UTC) + HOUR)})
        await on.until(lambda: polled(ven))
        told = await ven.poll()
        assert told.oadr_events[0].ei_event.event_descriptor.event_id == made["id"]
        assert journal(on) == before + 1, "the event itself"

    played(tmp_path, act)


async def polled(ven: s.Ven) -> bool:
    """Whether a poll tells events."""
    return isinstance(await ven.poll(), wire.OadrDistributeEvent)


def test_a_ven_sees_its_own_events_only_and_none_of_the_others_names(tmp_path: Path) -> None:
    async def act(on: On) -> None:
        for name in ("one", "two", "three"):
            await on.utility.say("vtn.ven.put", {"id": name, "ven": {"found_by": {"group_ids": ["g"]}}})
        one, two, three = [await on.ven(name).register() for name in ("one", "two", "three")]
        both = Target(ven_ids=("one", "two"))
        await on.utility.say("vtn.event.put", {"event": draft(datetime.now(UTC) + HOUR, target=both)})
        await on.until(lambda: polled(one))
        status, body, _ = await one.post("OadrPoll", CODEC.encode(wire.OadrPoll(ven_id="one")))
        assert (status, b"two" in body, b"three" in body) == (200, False, False)
        assert await polled(two)
        assert not await polled(three)

    played(tmp_path, act)


def test_who_floods_is_slowed_and_the_others_are_not(tmp_path: Path) -> None:
    async def act(on: On) -> None:
        loud, quiet = await on.ven().register(), await on.ven().register()
        body = CODEC.encode(wire.OadrPoll(ven_id=loud.ven_id))
        answers = [await loud.post("OadrPoll", body) for _ in range(12)]
        statuses = [status for status, _, _ in answers]
        assert statuses == [200] * 10 + [429] * 2
        assert int(answers[-1][2]["Retry-After"]) >= 1
        assert isinstance(await quiet.poll(), wire.OadrResponse)

    settings = s.SETTINGS.replace(
        "requests = 1000.0\nrequests_at_once = 2000.0", "requests = 0.001\nrequests_at_once = 10"
    )
    played(tmp_path, act, settings=settings)


# -- certificates and signatures --------------------------------------------------------------------------------------


def certified(folder: Path) -> tuple[str, dict[str, ssl.SSLContext], dict[str, str]]:
    """What configures TLS, what two VENs show, and their fingerprints."""
    now = datetime.now(UTC)
    authority(folder, now)
    issue(folder, "vtn", ["127.0.0.1"], now, client=False)
    contexts, prints = {}, {}
    for name in ("mine", "stolen"):
        issue(folder, name, [], now, client=True)
        context = ssl.create_default_context(cafile=folder / "ca.pem")
        context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
        contexts[name] = context
        prints[name] = fingerprint_of(ssl.PEM_cert_to_DER_cert((folder / f"{name}.pem").read_text()))
    contexts["none"] = ssl.create_default_context(cafile=folder / "ca.pem")
    files = {"cert": "vtn.pem", "key": "vtn.key", "client_ca": "ca.pem"}
    return "".join(f'{key} = "{folder / file}"\n' for key, file in files.items()), contexts, prints


def test_a_certificate_is_bound_to_its_ven_and_nobody_else_s_speaks_for_it(tmp_path: Path) -> None:
    more, contexts, prints = certified(tmp_path)

    async def act(on: On) -> None:
        put = {"id": "ven", "ven": {"fingerprint": prints["mine"].lower()}}
        await on.utility.say("vtn.ven.put", put)
        with pytest.raises(DuplicateError):
            await on.utility.say("vtn.ven.put", put | {"id": "other"})
        sessions = {name: connected(context) for name, context in contexts.items()}
        try:
            mine = await s.Ven(sessions["mine"], on.url).register()
            assert mine.ven_id == "ven", "its certificate says who it is"
            assert isinstance(await mine.poll(), wire.OadrResponse)
            thief = s.Ven(sessions["stolen"], on.url, "ven")
            before = journal(on)
            assert (await thief.poll()).ei_response.response_code == "463"
            assert (await thief.say(registering(ven_id="ven"))).ei_response.response_code == "463"
            assert (await on.hub.get(VtnVen, "ven")).registration_id == mine.registration_id  # type: ignore[union-attr]  # it is there
            assert journal(on) == before, "a refusal changes nothing"
            await on.utility.say("vtn.ven.put", {"id": "second", "ven": {}})
            borrowed = await s.Ven(sessions["mine"], on.url).say(registering(ven_id="second"))
            assert borrowed.ei_response.response_code == "463", "it is the first one's"
            assert (await s.Ven(sessions["stolen"], on.url).register(ven_id="second")).ven_id == "second"
            await on.utility.say("vtn.ven.put", put | {"ven": {"fingerprint": None}})
            assert (await s.Ven(sessions["mine"], on.url).register(ven_id="ven")).ven_id == "ven", "it is free again"
            with pytest.raises(aiohttp.ClientError):
                await s.Ven(sessions["none"], on.url, "ven").poll()
        finally:
            for session in sessions.values():
                await session.close()

    played(tmp_path, act, more)


def connected(context: ssl.SSLContext) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))


def test_with_signatures_what_is_unsigned_wrong_or_said_before_is_refused_and_what_is_said_is_signed(
    tmp_path: Path,
) -> None:
    more, contexts, prints = certified(tmp_path)
    keys = {
        name: signing_key((tmp_path / f"{name}.key").read_bytes(), (tmp_path / f"{name}.pem").read_bytes())
        for name in ("mine", "stolen")
    }

    async def act(on: On) -> None:
        await on.utility.say("vtn.ven.put", {"id": "ven", "ven": {"fingerprint": prints["mine"]}})
        async with connected(contexts["mine"]) as session:
            ven = s.Ven(session, on.url, "ven")
            now = datetime.now(UTC)
            register = sign(registering(ven_id="ven"), keys["mine"], now=now, nonce="n1")
            status, body, _ = await ven.post("EiRegisterParty", register)
            assert status == 200
            assert etree.fromstring(body).find("{*}Signature") is not None
            poll = wire.OadrPoll(ven_id="ven")
            signed = sign(poll, keys["mine"], now=now, nonce="n2")
            cases = {
                "as it should be": (signed, 200),
                "said before": (signed, 401),
                "unsigned": (CODEC.encode(poll), 401),
                "by another": (sign(poll, keys["stolen"], now=now, nonce="n3"), 401),
                "too old": (sign(poll, keys["mine"], now=now - HOUR, nonce="n4"), 401),
                "changed": (sign(poll, keys["mine"], now=now, nonce="n5").replace(b">ven<", b">yen<"), 401),
                "and again": (sign(poll, keys["mine"], now=now, nonce="n6"), 200),
            }
            found = {name: (await ven.post("OadrPoll", body))[0] for name, (body, _) in cases.items()}
            assert found == {name: status for name, (_, status) in cases.items()}
            kept.append(sign(poll, keys["mine"], now=now, nonce="n7"))
            assert (await ven.post("OadrPoll", kept[0]))[0] == 200

    async def afterwards() -> None:
        async with stage(tmp_path, more=more + "sign = true\n") as on, connected(contexts["mine"]) as session:
            ven = s.Ven(session, on.url, "ven")
            assert (await ven.post("OadrPoll", kept[0]))[0] == 401, "a restart forgets nonces, but lets none pass again"
            anew = sign(wire.OadrPoll(ven_id="ven"), keys["mine"], now=datetime.now(UTC), nonce="n8")
            assert (await ven.post("OadrPoll", anew))[0] == 200

    kept: list[bytes] = []
    played(tmp_path, act, more + "sign = true\n")
    asyncio.run(afterwards())


# -- what goes out ----------------------------------------------------------------------------------------------------


class Pushed:
    """A VEN that is pushed to: it fails as often as it is told, then takes."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.came: list[tuple[str, Any]] = []
        self.reply: Any = wire.OadrResponse(ei_response=EiResponse(response_code="200", request_id=""))

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if self.failures:
            self.failures -= 1
            return web.Response(status=503)
        self.came.append((request.path.rpartition("/")[2], CODEC.decode(body)))
        return web.Response(body=CODEC.encode(self.reply), content_type="application/xml")

    async def serve(self) -> tuple[web.AppRunner, str]:
        app = web.Application()
        app.router.add_post("/{path:.*}", self.take)
        runner = web.AppRunner(app)
        await runner.setup()
        bound = socket.create_server(("127.0.0.1", 0))
        await web.SockSite(runner, bound).start()
        return runner, f"http://127.0.0.1:{bound.getsockname()[1]}/OpenADR2/Simple/2.0b"


def test_a_ven_that_does_not_poll_is_pushed_to_until_it_takes_it(tmp_path: Path) -> None:
    async def act(on: On) -> None:
        pushed = Pushed(failures=1)
        runner, address = await pushed.serve()
        try:
            ven = await on.ven().register(oadr_http_pull_model=False, oadr_transport_address=address)
            made = await on.utility.say("vtn.event.put", {"event": draft(datetime.now(UTC) + HOUR)})
            await on.until(lambda: came(pushed, 1))
            (service, told) = pushed.came[0]
            assert (service, told.oadr_events[0].ei_event.event_descriptor.event_id) == ("EiEvent", made["id"])
            assert (await ven.say(opted(ven.ven_id, made["id"]))).ei_response.response_code == "200"
            await on.utility.say("vtn.event.cancel", {"id": made["id"]})
            await on.until(lambda: came(pushed, 2))
            pushed.reply = wire.OadrCanceledPartyRegistration(
                ei_response=EiResponse(response_code="200", request_id="x"),
                registration_id=ven.registration_id,
                ven_id=ven.ven_id,
            )
            await on.utility.say("vtn.ven.cancel", {"id": ven.ven_id})
            await on.until(lambda: left(on, ven.ven_id))
        finally:
            await runner.cleanup()

    played(tmp_path, act)


async def came(pushed: Pushed, count: int) -> bool:
    await asyncio.sleep(0)
    return len(pushed.came) >= count


async def left(on: On, ven_id: str) -> bool:
    found = await on.hub.get(VtnVen, ven_id)
    return found is not None and found.stage is Stage.KNOWN


# -- what a utility does ----------------------------------------------------------------------------------------------


def test_an_event_is_changed_cancelled_and_answered_and_who_answered_is_kept(tmp_path: Path) -> None:
    clock = Clock()

    async def act(on: On) -> None:
        ven = await on.ven().register()
        made = await on.utility.say("vtn.event.put", {"event": draft(clock.now + HOUR)})
        assert (made["modification_number"], made["event_status"]) == (0, "far")
        await ven.say(opted(ven.ven_id, made["id"]))
        changed = {"id": made["id"], "event": draft(clock.now + HOUR, level=2)}
        assert (await on.utility.say("vtn.event.put", changed))["modification_number"] == 1
        await ven.say(opted(ven.ven_id, made["id"], 1, OptType.OPT_OUT))
        answer = await on.hub.get(VtnAnswer, f"{made['id']}|{ven.ven_id}")
        assert answer is not None
        assert (answer.modification_number, answer.opt) == (1, "optOut")
        clock.on(hours=3)
        for kind, body in (("vtn.event.cancel", {"id": made["id"]}), ("vtn.event.put", changed)):
            with pytest.raises(IllegalTransitionError, match="completed"):
                await on.utility.say(kind, body)
        assert (await ven.say(opted(ven.ven_id, made["id"], 1))).ei_response.response_code == "452", "it is over"
        with pytest.raises(NotFoundError):
            await on.utility.say("vtn.event.cancel", {"id": "nothing"})
        other = draft(clock.now + HOUR, market_context="http://nobody.example")
        with pytest.raises(InvalidError, match="no such program"):
            await on.utility.say("vtn.event.put", {"event": other})

    played(tmp_path, act, clock=clock)


def test_an_event_that_wants_no_answer_is_told_once_and_that_is_written(tmp_path: Path) -> None:
    async def act(on: On) -> None:
        ven = await on.ven().register()
        event = draft(datetime.now(UTC) + HOUR, response_required=ResponseRequired.NEVER)
        await on.utility.say("vtn.event.put", {"event": event})
        await on.until(lambda: polled(ven))
        assert not await polled(ven)

    played(tmp_path, act)


def test_a_ven_that_is_silent_too_long_is_offline_until_it_is_heard_of(tmp_path: Path) -> None:
    clock = Clock()

    async def act(on: On) -> None:
        ven = await on.ven().register()
        board = Board(on.hub, "vtn-hub", clock)
        watch = Watch(board, on.hub.submit, clock, timedelta(minutes=5))
        board.hear(ven.ven_id)

        async def since() -> datetime | None:
            await watch.look()
            found = await on.hub.get(VtnVen, ven.ven_id)
            assert found is not None
            return found.offline_since

        heard = clock.now
        clock.on(minutes=4)
        assert await since() is None
        clock.on(minutes=2)
        assert await since() == heard
        before = journal(on)
        assert await since() == heard
        assert journal(on) == before, "it is said once"
        board.hear(ven.ven_id)
        assert await since() is None

    played(tmp_path, act, clock=clock)


def test_everything_is_as_before_after_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        async with stage(tmp_path) as on:
            ven = await on.ven().register()
            made = await on.utility.say("vtn.event.put", {"event": draft(datetime.now(UTC) + HOUR)})
            kept = await on.hub.get(VtnEvent, made["id"])
        async with stage(tmp_path) as on:
            again = on.ven(ven.ven_id)
            assert await polled(again), "it is still registered, and the event still waits"
            assert await on.hub.get(VtnEvent, made["id"]) == kept
            await again.say(opted(ven.ven_id, made["id"]))
            assert not await polled(again)
        async with stage(tmp_path) as on:
            assert not await polled(on.ven(ven.ven_id)), "and so is what it answered"

    asyncio.run(main())


def test_a_hub_that_is_no_vtn_says_so(tmp_path: Path) -> None:
    async def main() -> None:
        settings = s.SETTINGS.partition("[openadr.vtn]")[0].replace("roles = []", "")
        with pytest.raises(NotFoundError, match="no VTN"):
            async with stage(tmp_path, settings=settings):
                pass

    asyncio.run(main())
