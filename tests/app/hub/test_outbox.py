"""What is sent arrives, in order, with the same bytes under the same id, whatever the peer and the hub go through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web

from flexhub.adapters.http.idempotency import HEADER, read
from flexhub.adapters.http.sender import HttpSender, Peer
from flexhub.adapters.store import open_store
from flexhub.adapters.store.interface import SendRow
from flexhub.app.hub.contract import OUTBOX, Answer, Decision, Delivery, Handler, Key, Message, View
from flexhub.app.hub.loop import Hub, office
from flexhub.app.hub.replay import replay
from flexhub.app.wiring import Post
from flexhub.core.documents import decode
from flexhub.core.effects import Send
from tests.app.hub.shop import Clock, message, url
from tests.postgres import Cluster

HOUR = timedelta(hours=1)


class Tell:
    """Sends the body to the peer that the conversation names, "peer/what it is about"."""

    def needs(self, message: Message) -> Iterable[Key]:  # noqa: ARG002 - the handler's signature
        return ()

    def decide(self, message: Message, view: View, now: datetime) -> Decision:  # noqa: ARG002 - as above
        peer, _, about = message.conversation.partition("/")
        send = Send(
            peer=peer,
            message_id=message.id,
            conversation=about,
            path="/inbox",
            media_type="application/json",
            body=message.body,
            reply_kind="told",
        )
        return Decision(answer=Answer(status=202), effects=(send,))


class Heard(Tell):
    """What came of it; nothing follows."""

    def decide(self, message: Message, view: View, now: datetime) -> Decision:  # noqa: ARG002 - as above
        return Decision(answer=Answer(status=204))


HANDLERS: dict[str, Handler] = {"tell": Tell(), "told.done": Heard(), "told.failed": Heard()}


class Got(NamedTuple):
    """What reached a peer."""

    id: str
    body: bytes


class Mailbox:
    """A real HTTP peer: `answers` says what the next requests get; then 201."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.answers: list[Callable[[web.Request], Awaitable[web.StreamResponse]]] = []

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.got.append(Got(read(request.headers.getall(HEADER)) or "", await request.read()))
        if self.answers:
            return await self.answers.pop(0)(request)
        return web.json_response({"heard": True}, status=201)

    @property
    def worked(self) -> list[Got]:
        """What a receiver that drops repeats works."""
        return list(dict.fromkeys(self.got))


def status(code: int, **headers: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=code, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return answer


async def hang_up(request: web.Request) -> web.StreamResponse:
    """Work it, begin to answer, and die."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    assert request.transport is not None
    request.transport.abort()
    return response


class World:
    """Peers, a clock that pauses move on, and hubs on one store."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.clock = Clock()
        self.peers = {name: Mailbox() for name in ("one", "two")}
        self.pauses: list[float] = []
        self.urls: dict[str, Peer] = {}

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.clock.forward(seconds)
        await asyncio.sleep(0)

    @asynccontextmanager
    async def hub(self) -> AsyncIterator[Hub]:
        async with HttpSender(self.urls, timeout_s=5) as http:
            made = Hub(open_store(self.address), HANDLERS, {}, self.clock, sender=Post(http), pause=self.pause)
            await made.start(timers=False)
            try:
                yield made
            finally:
                await made.stop()
                made.store.close()


async def until(hub: Hub, condition: Callable[[list[SendRow]], bool]) -> list[SendRow]:
    """All rows of the outbox, once that is so."""
    async with asyncio.timeout(30):
        while not condition(rows := await asyncio.to_thread(hub.store.sends, 0, 10_000)):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    return rows


def settled(rows: list[SendRow]) -> bool:
    return bool(rows) and all(row.state != "waiting" for row in rows)


def play(address: str, story: Callable[[World], Coroutine[Any, Any, None]]) -> World:
    """The story, with peers that listen; and then a replay, which must come to the same."""
    world = World(address)

    async def main() -> None:
        runners = []
        for name, mailbox in world.peers.items():
            app = web.Application()
            app.router.add_post("/inbox", mailbox.take)
            runner = web.AppRunner(app)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            world.urls[name] = Peer(f"http://127.0.0.1:{runner.addresses[0][1]}")
            runners.append(runner)
        try:
            await story(world)
        finally:
            for runner in runners:
                await runner.cleanup()

    asyncio.run(main())
    stored = open_store(address)
    again = open_store(address.replace("hub.db", "again.db"))
    try:
        assert replay(stored, again, office(HANDLERS, (), holder="")).differences == []
    finally:
        stored.close()
        again.close()
    return world


async def tell(hub: Hub, where: str, body: str, id_: str) -> None:
    assert (await hub.handle(message("tell", where, body, id=id_))).status == 202


def deliveries(hub: Hub) -> dict[str, Delivery]:
    return {
        d.message_id: d
        for row in hub.store.journal(0, 10_000)
        if row.peer == OUTBOX
        for d in (decode(Delivery, row.body),)
    }


def test_a_peer_that_answers_5xx_for_most_of_an_hour_gets_it_in_the_end(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        one, two = world.peers["one"], world.peers["two"]
        one.answers = [status(503), status(500), status(404), status(429, Retry_After="120")] + [status(503)] * 40
        async with world.hub() as hub:
            for n in range(3):
                await tell(hub, "one/a", f"{n}", f"m{n}")
                await tell(hub, "two/a", f"{n}", f"t{n}")
            rows = await until(hub, settled)
            assert {row.state for row in rows} == {"sent"}
            assert [g.id for g in two.got] == ["t0", "t1", "t2"]
            assert [g.body for g in one.worked] == [b"0", b"1", b"2"]
            assert len({g for g in one.got if g.id == "m0"}) == 1, "the same bytes each time"
            assert deliveries(hub)["m0"].reply == '{"heard": true}'
        assert max(world.pauses) >= 120
        assert sum(p <= 60 for p in world.pauses) >= 40

    play(url(tmp_path), story)


def test_after_an_hour_it_is_given_up_and_journalled_and_what_follows_goes_out(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        one = world.peers["one"]
        one.answers = [status(503)] * 10_000
        async with world.hub() as hub:
            await tell(hub, "one/a", "0", "m0")
            rows = await until(hub, settled)
            assert [row.state for row in rows] == ["failed"]
            assert "its time is over" in (deliveries(hub)["m0"].why or "")
            assert HOUR <= world.clock() - rows[0].created <= HOUR + timedelta(minutes=2)
            one.answers.clear()
            await tell(hub, "one/a", "1", "m1")
            assert [row.state for row in await until(hub, settled)] == ["failed", "sent"]

    play(url(tmp_path), story)


def test_a_refusal_for_good_is_not_tried_again(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        one = world.peers["one"]
        one.answers = [status(422), status(302, Location="http://127.0.0.1:1/"), status(201)]
        async with world.hub() as hub:
            for n in range(3):
                await tell(hub, "one/a", f"{n}", f"m{n}")
            assert [row.state for row in await until(hub, settled)] == ["failed", "failed", "sent"]
            assert [g.id for g in one.got] == ["m0", "m1", "m2"]
            assert deliveries(hub)["m0"].why == "HTTP 422"

    play(url(tmp_path), story)


def test_a_conversation_that_is_held_up_holds_up_no_other(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        one = world.peers["one"]
        stuck = asyncio.Event()

        async def wait(_request: web.Request) -> web.StreamResponse:
            await stuck.wait()
            return web.Response(status=201)

        one.answers = [wait]
        async with world.hub() as hub:
            await tell(hub, "one/a", "0", "a0")
            await until(hub, lambda _: len(one.got) == 1)
            await tell(hub, "one/a", "1", "a1")
            for n in range(5):
                await tell(hub, f"one/b{n}", "x", f"b{n}")
            await until(hub, lambda rows: sum(row.state == "sent" for row in rows) == 5)
            assert "a1" not in [g.id for g in one.got]
            stuck.set()
            await until(hub, settled)
            assert [g.id for g in one.got if g.id.startswith("a")] == ["a0", "a1"]

    play(url(tmp_path), story)


def test_what_had_no_answer_is_sent_again_after_a_restart(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        one = world.peers["one"]
        one.answers = [hang_up, hang_up]
        world.urls["one"], reachable = Peer("http://127.0.0.1:1"), world.urls["one"]
        async with world.hub() as hub:
            for n in range(3):
                await tell(hub, "one/a", f"{n}", f"m{n}")
            async with asyncio.timeout(20):
                while hub.readiness.look().status == "ready":  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.01)
        assert one.got == []
        world.urls["one"] = reachable
        async with world.hub() as hub:
            rows = await until(hub, settled)
            assert {row.state for row in rows} == {"sent"}
        assert [g.id for g in one.got] == ["m0", "m0", "m0", "m1", "m2"]
        assert one.worked == [Got(f"m{n}", str(n).encode()) for n in range(3)]

    play(url(tmp_path), story)


def test_of_two_hubs_on_one_database_one_sends_and_the_other_goes_on(postgres: Cluster) -> None:
    world = World(postgres.database())

    async def story() -> None:
        app = web.Application()
        app.router.add_post("/inbox", world.peers["one"].take)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        world.urls["one"] = Peer(f"http://127.0.0.1:{runner.addresses[0][1]}")
        one = world.peers["one"]
        async with world.hub() as other:
            async with world.hub() as hub:
                for n in range(20):
                    await tell((hub, other)[n % 2], "one/a", f"{n}", f"m{n}")
                await until(hub, lambda rows: len(rows) == 20 and settled(rows))
                assert [g.id for g in one.got] == [f"m{n}" for n in range(20)]
            await tell(other, "one/a", "last", "last")
            await until(other, settled)
            await tell(other, "one/a", "very last", "very last")
            await until(other, settled)
        assert [g.id for g in one.worked][20:] == ["last", "very last"]
        await runner.cleanup()

    asyncio.run(story())
