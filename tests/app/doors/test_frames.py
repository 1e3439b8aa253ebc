"""Frames between a door and the hub: whatever way the bytes are cut on their way, the same is heard."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexhub.app.doors.frames import Answered, Asked, Frames, Refused, ToDoor, ToHub, Told
from flexhub.app.hub.contract import Answer, Message
from flexhub.app.hub.tags import Only
from flexhub.core.errors import BY_CODE, FlexhubError, InternalError
from flexhub.core.registry import Role

TO_DOOR = st.one_of(
    st.builds(Answered, st.integers(0, 2**40), st.integers(100, 599), st.binary(max_size=50)),
    st.builds(
        Refused, st.integers(0, 2**40), st.sampled_from(sorted(BY_CODE)), st.text(), st.text(), st.text(), st.text()
    ),
    st.builds(Told, st.lists(st.text(), max_size=5).map(tuple)),
)
TAGS = st.lists(st.text(), max_size=2).map(tuple)
MESSAGES = st.builds(
    Message,
    peer=st.text(),
    id=st.text(),
    kind=st.text(),
    conversation=st.text(),
    body=st.binary(max_size=50),
    role=st.sampled_from(Role),
    only_if=st.none() | st.builds(Only, st.none() | TAGS, st.none() | TAGS),
)


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def is_closing(self) -> bool:
        return False

    def write(self, data: Any) -> None:
        self.written += bytes(data)


def carried(kind: object, turns: list[list[Any]], cuts: list[int]) -> list[Any]:
    """What one end hears when the other says these things, in so many turns, and the bytes come in pieces."""

    async def work() -> list[Any]:
        heard: list[Any] = []
        wire = Wire()
        sender: Frames[Any] = Frames(kind, heard.extend, lambda: None)
        sender.connection_made(wire)
        for turn in turns:
            for item in turn:
                sender.say(item)
            await asyncio.sleep(0)
        receiver: Frames[Any] = Frames(kind, heard.extend, lambda: None)
        places = sorted({0, len(wire.written), *(cut % (len(wire.written) + 1) for cut in cuts)})
        for begin, end in itertools.pairwise(places):
            receiver.data_received(wire.written[begin:end])
        return heard

    return asyncio.run(work())


@given(st.lists(st.lists(TO_DOOR, max_size=4), max_size=4), st.lists(st.integers(0, 10_000), max_size=20))
def test_what_the_hub_says_is_heard_in_order(turns: list[list[Any]], cuts: list[int]) -> None:
    assert carried(ToDoor, turns, cuts) == [item for turn in turns for item in turn]


@given(st.lists(MESSAGES, max_size=5), st.lists(st.integers(0, 10_000), max_size=20))
def test_what_a_door_asks_is_heard_in_order(messages: list[Message], cuts: list[int]) -> None:
    asked = [Asked.of(number, message) for number, message in enumerate(messages)]
    heard = carried(ToHub, [asked], cuts)
    assert [item.number for item in heard] == list(range(len(messages)))
    assert [item.message() for item in heard] == messages


@pytest.mark.parametrize("kind", BY_CODE.values())
def test_a_refusal_keeps_all_that_it_says(kind: type[FlexhubError]) -> None:
    error = kind("what is wrong", path="FlexOffer/id", value="x", clause="V1 section 2")
    again = Refused.of(7, error).outcome()
    assert type(again) is kind
    assert (again.message, again.path, again.value, again.clause) == (
        "what is wrong",
        "FlexOffer/id",
        "x",
        "V1 section 2",
    )


def test_what_is_no_error_of_ours_is_our_fault() -> None:
    assert isinstance(Refused.of(7, ZeroDivisionError("by zero")).outcome(), InternalError)


def test_an_answer_keeps_its_bytes() -> None:
    assert Answered(1, 201, b'{"a": 1}').outcome() == Answer(status=201, body=b'{"a": 1}')
