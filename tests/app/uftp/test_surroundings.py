"""What surrounds a participant: another database, clocks that disagree, a gateway that asks for tokens, the XSDs."""

from __future__ import annotations

import asyncio
import base64
import resource
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from flexhub.adapters.store import open_store
from flexhub.app.config import StoreSection
from flexhub.app.hub.loop import Hub, office
from flexhub.app.hub.replay import replay
from flexhub.app.wiring import deciders, engine_of, running
from flexhub.protocols.uftp import messages as wire
from tests.app.uftp import stage as s
from tests.app.uftp.stage import answered, kept, offer, order, post, request, sealed, send, until
from tests.app.uftp.test_conversations import mailbox, result
from tests.postgres import Cluster


def play(story: Awaitable[None]) -> None:
    async def main() -> None:
        async with asyncio.timeout(90):
            await story

    asyncio.run(main())


def test_a_conversation_on_postgresql_and_a_replay_comes_to_the_same(postgres: Cluster, tmp_path: Path) -> None:
    ports = {name: s.free_port() for name in ("agr", "dso")}
    s.publish(tmp_path, ports)
    told = {
        name: msgspec.structs.replace(s.config(tmp_path, name, port), store=StoreSection(url=postgres.database()))
        for name, port in ports.items()
    }

    async def story() -> None:
        async with running(told["agr"]) as agrs, running(told["dso"]) as dsos:
            agr, dso = agrs.hub, dsos.hub
            asked = request()
            await send(dso, asked)
            assert result(await answered(dso, "dso", "agr", asked)) == ("Accepted", "")
            offered = offer(asked)
            await send(agr, offered)
            assert result(await answered(agr, "agr", "dso", offered)) == ("Accepted", "")
            ordered = order(offered)
            await send(dso, ordered)
            assert result(await answered(dso, "dso", "agr", ordered)) == ("Accepted", "")
            for hub in (agr, dso):
                await hub.sent()

    play(story())
    for name, config in told.items():
        stored, again = open_store(config.store.url), open_store(f"sqlite:///{tmp_path}/{name}-again.db")
        try:
            assert replay(stored, again, office(*deciders(config, engine_of(config)), holder="")).differences == []
        finally:
            stored.close()
            again.close()


@pytest.mark.parametrize("ahead", [timedelta(hours=2), timedelta(hours=-2)], ids=["ahead", "behind"])
def test_clocks_that_disagree_by_hours_trade_and_each_judges_by_its_own(ahead: timedelta, tmp_path: Path) -> None:
    ports = {name: s.free_port() for name in ("agr", "dso")}
    s.publish(tmp_path, ports)

    async def story() -> None:
        async with AsyncExitStack() as stack:
            agr, dso = [
                (await stack.enter_async_context(running(s.config(tmp_path, name, ports[name]), clock=clock))).hub
                for name, clock in (("agr", lambda: datetime.now(UTC) + ahead), ("dso", lambda: datetime.now(UTC)))
            ]
            soon = request("soon", expiration_date_time=s.soon(1))
            await send(dso, soon)
            over = ahead > timedelta(hours=1)
            wanted = ("Rejected", "ExpirationDateTime out of bounds") if over else ("Accepted", "")
            assert result(await answered(dso, "dso", "agr", soon)) == wanted
            asked = request("later", revision=2)
            await send(dso, asked)
            assert result(await answered(dso, "dso", "agr", asked)) == ("Accepted", "")
            offered = offer(asked)
            await send(agr, offered)
            assert result(await answered(agr, "agr", "dso", offered)) == ("Accepted", "")

    play(story())


@asynccontextmanager
async def authority(port: int, taken: list[str]) -> AsyncIterator[list[str]]:
    """Gives a token at a time, each good for one message; what comes with any other is refused."""
    given: list[str] = []

    async def token(incoming: web.Request) -> web.Response:
        kind, _, text = incoming.headers["Authorization"].partition(" ")
        assert (kind, base64.b64decode(text)) == ("Basic", b"us:secret")
        assert (await incoming.post())["grant_type"] == "client_credentials"
        given.append(f"token-{len(given)}")
        return web.json_response({"access_token": given[-1], "token_type": "Bearer", "expires_in": 3600})

    async def take(incoming: web.Request) -> web.Response:
        await incoming.read()
        shown = incoming.headers.get("Authorization", "")
        if not given or shown != f"Bearer {given[-1]}" or shown in taken:
            return web.Response(status=401)
        taken.append(shown)
        return web.Response()

    app = web.Application()
    app.router.add_post("/token", token)
    app.router.add_post("/shapeshifter/api/v3/message", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield given
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("asks", [True, False], ids=["with a token", "without"])
def test_what_is_sent_shows_a_token_and_a_new_one_where_the_old_is_refused(asks: bool, tmp_path: Path) -> None:
    ports = {name: s.free_port() for name in ("agr", "dso")}
    s.publish(tmp_path, ports)
    (tmp_path / "secret").write_text("secret\n")
    side = f'[uftp.oauth]\nurl = "http://127.0.0.1:{ports["agr"]}/token"\nclient = "us"\nsecret = "{tmp_path}/secret"'

    async def story() -> None:
        taken: list[str] = []
        async with authority(ports["agr"], taken) as given:
            told = s.config(tmp_path, "dso", ports["dso"], "", side if asks else "")
            async with running(told) as hubs:
                for n in range(2):
                    await send(hubs.hub, request(f"{n}", revision=n + 1))
                if asks:
                    await until(lambda: len(taken) == 2)
                    assert (given, taken) == (["token-0", "token-1"], ["Bearer token-0", "Bearer token-1"])
                    await hubs.hub.sent()
                else:
                    await until(lambda: len(hubs.hub.store.notices("dso", 0, 10)) == 2)
                    told_of = [msgspec.json.decode(row.body)["result"] for row in hubs.hub.store.notices("dso", 0, 10)]
                    assert (told_of, given, taken) == (["undelivered"] * 2, [], [])

    play(story())


def metering() -> wire.Metering:
    """With an EAN of 18 digits: the codec reads it, the schema doesn't."""
    isps = (wire.MeteringIsp(start=1, value=Decimal(1)),)
    profile = wire.MeteringProfile(profile_type=wire.ProfileType.POWER, unit=wire.Unit.KW, isps=isps)
    about = {"isp_duration": "PT15M", "time_zone": "Europe/Amsterdam", "period": s.day(-1)}
    told = s.said("agr", "dso", "m") | about
    return wire.Metering(**told, revision=1, ean="E123456789012345678", profiles=(profile,))


def test_the_schemas_are_a_check_besides_where_they_are_switched_on(shared: Path, tmp_path: Path) -> None:
    ports = {name: s.free_port() for name in ("agr", "dso")}
    s.publish(tmp_path, ports)
    short = msgspec.structs.replace(metering(), ean="E1234567890123456", message_id=request("other").message_id)

    async def story() -> None:
        async with mailbox(ports["agr"]):
            side = f'schemas = "{shared}/schemas/uftp-3.1.0"'
            async with running(s.config(tmp_path, "dso", ports["dso"], "", side)):
                assert await post(ports["dso"], sealed(metering(), "agr")) == 400
                assert await post(ports["dso"], sealed(short, "agr")) == 200
            async with running(s.config(tmp_path, "dso", ports["dso"])) as hubs:
                assert await post(ports["dso"], sealed(metering(), "agr")) == 200
                assert kept(hubs.hub, "dso", "agr", metering()) is not None

    play(story())


async def endless(port: int, length: str) -> None:
    """Send for as long as anybody listens."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = f"POST /shapeshifter/api/v3/message HTTP/1.1\r\nHost: h\r\nContent-Type: text/xml\r\n{length}\r\n\r\n"
        writer.write(head.encode())
        while True:
            writer.write(b"<" * (1 << 20))
            async with asyncio.timeout(5):
                await writer.drain()
    except ConnectionError:
        pass
    finally:
        reader.feed_eof()
        writer.close()


@pytest.mark.parametrize("length", ["Content-Length: 1073741824", "Transfer-Encoding: chunked"])
def test_a_body_of_a_gigabyte_or_without_an_end_is_cut_off_and_takes_no_memory(length: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with s.stage(tmp_path, "agr", others=("dso",)) as there, mailbox(there.ports["dso"]):
            hub: Hub = there.hub("agr")
            assert await post(there.ports["agr"], sealed(request("before"), "dso")) == 200
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            await endless(there.ports["agr"], length)
            grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            assert grown_mib < 64
            assert await post(there.ports["agr"], sealed(request("after", revision=2), "dso")) == 200
            assert len([row for row in hub.store.journal(0, 100) if row.kind == "uftp.receive"]) == 2

    play(story())
