"""What the hub promises: stored before acknowledged, once, in order, whole or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from flexhub.adapters.store import open_store
from flexhub.app.config import Config, StoreSection
from flexhub.app.exchange.market import Registration
from flexhub.app.hub.contract import Answer
from flexhub.app.hub.loop import Hub
from flexhub.app.hub.reading import TOKEN_S
from flexhub.app.hub.tokens import Bearer, token_hash
from flexhub.app.wiring import assemble
from flexhub.core.documents import encode
from flexhub.core.errors import ConfigError, InternalError, InvalidError, ReusedError, UnavailableError
from flexhub.core.registry import Party, Role
from flexhub.engines.reference.manager import ReferenceManager
from tests.app.hub.shop import Box, Clock, Count, hub, message, running, url


async def items(a_hub: Hub, box: str = "b") -> tuple[str, ...]:
    found = await a_hub.get(Box, box)
    return () if found is None else found.items


def test_a_message_is_answered_and_its_document_can_be_read(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(hub(tmp_path)) as h:
            answer = await h.handle(message("fill", "b", "apple", id="1"))
            assert answer == Answer(status=201, body=b'["apple"]')
            assert await items(h) == ("apple",)

    asyncio.run(story())


def test_the_same_message_again_gets_the_same_answer_and_changes_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        apple = message("fill", "b", "apple", id="1")
        async with running(hub(tmp_path)) as h:
            first, second = await asyncio.gather(h.handle(apple), h.handle(apple))  # in one batch
            assert first == second == await h.handle(apple)  # and in a later one
        async with running(hub(tmp_path)) as h:  # and after a restart
            assert await h.handle(apple) == first
            assert await items(h) == ("apple",)
            assert (await h.handle(message("fill", "b", "apple", id="1", peer="bert"))).body == b'["apple","apple"]'

    asyncio.run(story())


def test_the_same_id_with_other_content_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(hub(tmp_path)) as h:
            await h.handle(message("fill", "b", "apple", id="1"))
            for other in (
                message("fill", "b", "pear", id="1"),
                message("wonder", "b", "apple", id="1"),
                message("fill", "c", "apple", id="1"),
            ):
                with pytest.raises(ReusedError):
                    await h.handle(other)
            assert await items(h) == ("apple",)
            assert await items(h, "c") == ()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("body", "error"), [("bad", InvalidError), ("bug", InternalError), ("unwritable", InternalError)]
)
def test_a_refused_message_leaves_nothing_and_hurts_no_neighbour(
    tmp_path: Path, body: str, error: type[Exception]
) -> None:
    async def story() -> None:
        async with running(hub(tmp_path)) as h:
            outcomes = await asyncio.gather(
                *(h.handle(message("fill", "b", it, id=it)) for it in ("apple", body, "pear")), return_exceptions=True
            )
            assert [type(outcome) for outcome in outcomes] == [Answer, error, Answer]
            assert h.stats.batches == 1
            assert await items(h) == ("apple", "pear")
            assert [row.message_id for row in h.store.journal(0, 10)] == ["apple", "pear"]
            assert [row.body for row in h.store.notices(None, 0, 10)] == [b'"apple"', b'"pear"']
            # Not journalled, so the id is free for the corrected message.
            assert (await h.handle(message("fill", "b", "plum", id=body))).status == 201

    asyncio.run(story())


def test_a_message_of_a_kind_that_nobody_handles_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(hub(tmp_path)) as h:
            with pytest.raises(ConfigError, match="sing"):
                await h.handle(message("sing", "b", id="1"))
            with pytest.raises(ConfigError, match="why"):
                await h.handle(message("wonder", "b", "why", id="2"))
            assert h.store.journal(0, 10) == []

    asyncio.run(story())


def test_messages_are_worked_in_order_and_many_share_a_commit(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(hub(tmp_path)) as h:
            sent = [f"{n:03}" for n in range(600)]
            answers = await asyncio.gather(*(h.handle(message("fill", f"b{n[-1]}", n, id=n)) for n in sent))
            assert all(answer.status == 201 for answer in answers)
            for last in "0123456789":
                assert await items(h, f"b{last}") == tuple(n for n in sent if n.endswith(last))
            assert h.stats.messages == 600
            assert h.stats.batches <= 600 / 100

    asyncio.run(story())


@pytest.mark.parametrize(("max_batch", "batches"), [(1, 6), (4, 2), (256, 1)])
def test_the_configuration_bounds_how_many_share_a_commit(tmp_path: Path, max_batch: int, batches: int) -> None:
    async def story() -> None:
        party = Registration(party=Party(id="p", name="p", roles=(Role.PROSUMER,)))
        config = Config(store=StoreSection(url=url(tmp_path), max_batch=max_batch))
        async with running(assemble(config, open_store(url(tmp_path)), Clock(), ReferenceManager())) as h:
            put = [message("registry.put", "p", encode(party).decode(), id=str(n)) for n in range(6)]
            await asyncio.gather(*(h.handle(msgspec.structs.replace(m, role=Role.ADMIN)) for m in put))
            assert h.stats.batches == batches

    asyncio.run(story())


def test_when_the_commit_fails_nobody_is_told_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with running(hub(tmp_path)) as h:
            from flexhub.adapters.store.sql import SqlTransaction  # noqa: PLC0415 - to break it

            def full(*_: object) -> None:
                raise OSError("disk full")

            with monkeypatch.context() as broken:
                broken.setattr(SqlTransaction, "set_timers", full)  # the last write of a batch
                outcomes = await asyncio.gather(
                    *(h.handle(message("fill", "b", n, id=n)) for n in "123"), return_exceptions=True
                )
            assert [type(outcome) for outcome in outcomes] == [InternalError] * 3
            assert h.store.journal(0, 10) == []
            assert (await h.handle(message("fill", "b", "1", id="1"))).body == b'["1"]'

    asyncio.run(story())


def test_stopping_finishes_what_was_taken_in(tmp_path: Path) -> None:
    async def story() -> None:
        h = hub(tmp_path)
        await h.start()
        waiting = [asyncio.create_task(h.handle(message("fill", "b", str(n), id=str(n)))) for n in range(300)]
        await asyncio.sleep(0)
        await h.stop()
        assert [(await answer).status for answer in waiting] == [201] * 300
        with pytest.raises(UnavailableError):
            await h.handle(message("fill", "b", "late", id="late"))
        assert len(h.store.journal(0, 1000)) == 300

    asyncio.run(story())


# -- timers ---------------------------------------------------------------------------------------------------------


def test_a_timer_fires_once_when_due(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        async with running(hub(tmp_path, clock)) as h:
            await h.handle(message("alarm", "b", "60", id="1"))
            clock.forward(59)
            await h.tick()
            assert await items(h) == ()
            clock.forward(1)
            await h.tick()
            await h.tick()
            assert await items(h) == ("rang 12:01:00",)

    asyncio.run(story())


def test_a_timer_survives_a_restart(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        async with running(hub(tmp_path, clock)) as h:
            await h.handle(message("alarm", "b", "60", id="1"))
        clock.forward(600)
        async with running(hub(tmp_path, clock)) as h:
            await h.tick()
            assert await items(h) == ("rang 12:01:00",)
        async with running(hub(tmp_path, clock)) as h:
            await h.tick()
            assert await items(h) == ("rang 12:01:00",)

    asyncio.run(story())


@pytest.mark.parametrize(("body", "rings"), [("90", ("rang 12:01:30",)), ("", ())])
def test_a_timer_is_moved_or_cleared(tmp_path: Path, body: str, rings: tuple[str, ...]) -> None:
    async def story() -> None:
        clock = Clock()
        async with running(hub(tmp_path, clock)) as h:
            await h.handle(message("alarm", "b", "60", id="1"))
            await h.handle(message("alarm", "b", body, id="2"))
            clock.forward(300)
            await h.tick()
            assert await items(h) == rings

    asyncio.run(story())


def test_one_tick_goes_on_until_nothing_is_due_any_more(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        async with running(hub(tmp_path, clock)) as h:
            await h.handle(message("alarm", "again", "10", id="1"))
            await h.handle(message("fill", "ask", "apple", id="2"))
            await h.handle(message("alarm", "ask", "10", id="3"))
            clock.forward(300)
            await h.tick()
            assert await items(h, "again") == ("rang 12:00:10", "rang 12:00:20", "rang 12:00:30")
            assert await items(h, "ask") == ("apple", "rang 12:00:10", "told 2")
            await asyncio.wait_for(h.settled(), 5)

    asyncio.run(story())


def test_a_timer_whose_handler_fails_does_not_come_up_for_ever(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        async with running(hub(tmp_path, clock)) as h:
            for id_, it in enumerate(("x", "y")):
                await h.handle(message("fill", "b", it, id=f"f{id_}"))
            await h.handle(message("alarm", "b", "1", id="1"))
            await h.handle(message("alarm", "unheard", "1", id="2"))
            clock.forward(2)
            await h.tick()
            assert h.store.next_due() is None
            assert await items(h) == ("x", "y", "rang 12:00:01")

    asyncio.run(story())


def test_timers_fire_by_themselves(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        h = hub(tmp_path, clock)
        await h.start()
        try:
            rings = h.notices("anna", after=0)
            await h.handle(message("alarm", "b", "0", id="1"))
            await asyncio.wait_for(h.settled(), 5)
            assert await items(h) == ("rang 12:00:00",)
            await rings.aclose()  # type: ignore[attr-defined]  # an async generator
        finally:
            await h.stop()
            h.store.close()

    asyncio.run(story())


# -- questions ------------------------------------------------------------------------------------------------------


def test_an_engines_answer_is_journalled_as_a_message(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(hub(tmp_path)) as h:
            await h.handle(message("fill", "b", "apple", id="1"))
            assert (await h.handle(message("wonder", "b", id="2"))).status == 202
            await asyncio.wait_for(h.settled(), 5)
            assert await items(h) == ("apple", "told 1")
            last = h.store.journal(0, 10)[-1]
            assert (last.peer, last.kind, last.conversation, last.body) == (
                "flexhub:engine",
                "count.result",
                "b",
                b"1",
            )
            assert h.store.asks() == []

    asyncio.run(story())


def test_a_question_is_put_again_after_a_restart(tmp_path: Path) -> None:
    async def story() -> None:
        slow = Count()
        slow.go.clear()
        async with running(hub(tmp_path, askers={"test.count": slow})) as h:
            await h.handle(message("fill", "b", "apple", id="1"))
            await h.handle(message("wonder", "b", id="2"))
            await asyncio.sleep(0)
            assert slow.asked == 1
        async with running(hub(tmp_path)) as h:
            await asyncio.wait_for(h.settled(), 5)
            assert await items(h) == ("apple", "told 1")
        async with running(hub(tmp_path)) as h:
            await asyncio.wait_for(h.settled(), 5)
            assert await items(h) == ("apple", "told 1")

    asyncio.run(story())


def test_an_engine_that_fails_is_told_as_such(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(hub(tmp_path)) as h:
            await h.handle(message("wonder", "empty", id="1"))
            await asyncio.wait_for(h.settled(), 5)
            (told,) = await items(h, "empty")
            assert told.startswith('told {"code":"engine"')

    asyncio.run(story())


# -- reading --------------------------------------------------------------------------------------------------------


def test_pages_of_documents_join_up(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        async with running(hub(tmp_path, clock)) as h:
            for n in range(7):
                await h.handle(message("fill", f"b{n}", "apple", id=str(n), peer=("anna", "bert")[n % 2]))
                clock.forward(60)
            seen: list[str] = []
            after: str | None = None
            while True:
                page = await h.documents(Box, owner="anna", states=["open"], after=after, limit=3)
                seen += [box.id for box in page.items]
                after = page.next
                if after is None:
                    break
            assert seen == ["b0", "b2", "b4", "b6"]
            assert (await h.documents(Box, states=["full"])).items == ()
            for wrong in ("", "x", "2026-03-01_b", "12_b"):
                with pytest.raises(InvalidError):
                    await h.documents(Box, after=wrong)

    asyncio.run(story())


def test_a_stream_resumes_after_a_number_and_waits_for_more(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(hub(tmp_path)) as h:
            for n in ("1", "2", "3"):
                await h.handle(message("fill", "b", n, id=n))
            await h.handle(message("fill", "b", "other", id="o", peer="bert"))
            stream = h.notices("anna", after=1)
            assert [(await anext(stream)).body for _ in range(2)] == [b'"2"', b'"3"']
            more = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0)
            assert not more.done()
            await h.handle(message("fill", "b", "4", id="4"))
            assert (await asyncio.wait_for(more, 5)).body == b'"4"'
            end: Callable[[], Coroutine[Any, Any, object]] = stream.__anext__  # type: ignore[assignment]  # is one
            waiting = asyncio.ensure_future(end())
            await asyncio.sleep(0)
        with pytest.raises(StopAsyncIteration):
            await asyncio.wait_for(waiting, 5)

    asyncio.run(story())


def test_a_token_that_another_process_revokes_works_no_longer_than_seconds(tmp_path: Path) -> None:
    async def story() -> None:
        now = [0.0]
        h = Hub(open_store(url(tmp_path)), {}, {}, Clock(), monotonic=lambda: now[0])
        async with running(h):
            ann, bob = [token_hash(await h.add_token(name, Role.PROSUMER)) for name in ("ann", "bob")]
            assert await h.find_token(ann) == Bearer("ann", Role.PROSUMER)
            with h.store.begin() as transaction:
                transaction.remove_tokens("ann")
            now[0] += TOKEN_S
            assert await h.find_token(ann) is None
            assert await h.find_token(bob) == Bearer("bob", Role.PROSUMER)

    asyncio.run(story())
