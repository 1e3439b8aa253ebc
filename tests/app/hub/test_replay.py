"""A journal worked again comes to what is stored, byte by byte; whatever was decided by more than the journal shows."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexhub.adapters.store import open_store
from flexhub.app.hub.contract import Decision, Handler, Message, View
from flexhub.app.hub.loop import office
from flexhub.app.hub.replay import Replayed, replay
from flexhub.core.errors import FlexhubError
from tests.app.hub.shop import HANDLERS, Clock, Fill, hub, message, url
from tests.conftest import examples

QUESTIONS = ("test.count",)


def again(folder: Path, handlers: Mapping[str, Handler] = HANDLERS) -> Replayed:
    """Replay the store in that folder."""
    stored, other = open_store(url(folder)), open_store(f"sqlite:///{folder / 'again.db'}")
    try:
        return replay(stored, other, office(handlers, QUESTIONS, holder=""))
    finally:
        stored.close()
        other.close()


STEPS = st.one_of(
    st.tuples(st.just("fill"), st.sampled_from(["a", "again", "ask"]), st.sampled_from(["1", "2", "bad", "bug"])),
    st.tuples(st.just("alarm"), st.sampled_from(["a", "again", "ask"]), st.sampled_from(["5", "50", ""])),
    st.tuples(st.just("wonder"), st.sampled_from(["a", "nowhere"]), st.just("")),
    st.tuples(st.just("wait"), st.just(""), st.sampled_from(["3", "30"])),
    st.tuples(st.just("restart"), st.just(""), st.just("")),
)


async def live(folder: Path, steps: list[tuple[str, str, str]]) -> None:
    """Play the steps on a hub; refusals are part of the story."""
    clock, numbers = Clock(), itertools.count()
    one = hub(folder, clock)
    await one.start(timers=False)
    try:
        for kind, box, body in steps:
            if kind == "wait":
                clock.forward(float(body))
                await one.tick()
            elif kind == "restart":
                await one.stop()
                one.store.close()
                one = hub(folder, clock)
                await one.start(timers=False)
            else:
                try:
                    await one.handle(message(kind, box, body, id=str(next(numbers))))
                except FlexhubError:
                    continue
            clock.forward(0.001)
        await one.tick()
    finally:
        await one.stop()
        one.store.close()


@settings(max_examples=examples(12))
@given(st.lists(STEPS, max_size=12))
def test_any_story_is_told_again_word_for_word(steps: list[tuple[str, str, str]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(live(Path(name), steps))
        assert again(Path(name)).differences == []


STORY = [("fill", "a", "1"), ("fill", "ask", "2"), ("alarm", "ask", "5"), ("wait", "", "30"), ("wonder", "a", "")]


class Moody(Fill):
    """Decides by how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        self.calls += 1
        told = Message(
            peer=message.peer,
            id=message.id,
            kind=message.kind,
            conversation=message.conversation,
            body=message.body + b"!" * self.calls,
            role=message.role,
        )
        return super().decide(told, view, now)


def test_what_is_decided_by_hidden_state_is_found(tmp_path: Path) -> None:
    asyncio.run(live(tmp_path, STORY))
    assert again(tmp_path).differences == []
    (tmp_path / "again.db").unlink()
    seen = again(tmp_path, {**HANDLERS, "fill": Moody()})
    assert {d.what for d in seen.differences} >= {"answer", "document", "notice"}


@pytest.mark.parametrize(
    ("tamper", "what"),
    [
        ("UPDATE journal SET body = CAST('9' AS BLOB) WHERE conversation = 'a' AND kind = 'fill'", "document"),
        ("UPDATE journal SET answer = CAST('9' AS BLOB) WHERE conversation = 'a' AND kind = 'fill'", "answer"),
        ("UPDATE document SET state = 'full' WHERE id = 'a'", "document"),
        ("UPDATE notice SET body = CAST('9' AS BLOB) WHERE subject = 'a'", "notice"),
        ("DELETE FROM notice WHERE subject = 'ask'", "notice"),
        ("INSERT INTO timer VALUES ('a', 'alarm', 9)", "timer"),
        ("INSERT INTO ask VALUES ('q', 'test', 'count', 'a', 9, '')", "question"),
        ("DELETE FROM journal WHERE kind = 'count.result'", "question"),
    ],
)
def test_a_store_that_was_tampered_with_is_found(tmp_path: Path, tamper: str, what: str) -> None:
    asyncio.run(live(tmp_path, STORY))
    with sqlite3.connect(tmp_path / "hub.db") as connection:
        assert connection.execute(tamper).rowcount > 0
    connection.close()
    assert what in {d.what for d in again(tmp_path).differences}
