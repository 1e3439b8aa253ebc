"""A small world for the hub's tests: boxes that messages fill, look at, and ask an engine about."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from flexhub.adapters.store import open_store
from flexhub.app.hub.contract import Answer, Asker, Decision, Due, Handler, Key, Message, Put, Question, Reads, View
from flexhub.app.hub.loop import Hub
from flexhub.core.documents import encode
from flexhub.core.effects import Ask, Notify, SetTimer
from flexhub.core.errors import InvalidError
from flexhub.core.registry import Role

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """Holds what was put in, in order."""

    id: str
    items: tuple[str, ...] = ()


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def _box(message: Message, view: View) -> Box:
    return view.get(Box, message.conversation) or Box(id=message.conversation)


def _keep(box: Box, owner: str, now: datetime) -> Put:
    state = "full" if len(box.items) > 2 else "open"
    return Put(key=Key(Box, box.id), value=box, owner=owner, state=state, starts=now, ends=now + timedelta(hours=1))


class OnBox:
    """Handlers that need the box that the conversation names."""

    def needs(self, message: Message) -> Iterable[Key]:
        return (Key(Box, message.conversation),)


class Fill(OnBox):
    """Puts the body into the box. "bad" is refused, "bug" is a bug, "unwritable" cannot be stored."""

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        item = message.body.decode()
        if item == "bad":
            raise InvalidError("bad things stay out", path="Box/items")
        if item == "bug":
            raise ZeroDivisionError
        box = _box(message, view)
        box = msgspec.structs.replace(box, items=(*box.items, item if item != "unwritable" else object()))
        return Decision(
            answer=Answer(status=201, body=encode(box.items)),
            puts=(_keep(box, message.peer, now),),
            effects=(Notify(party=message.peer, topic="box", subject=box.id, body=item),),
        )


class Alarm(OnBox):
    """Sets the box's alarm to as many seconds from now as the body says; empty clears it."""

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        _box(message, view)
        due = now + timedelta(seconds=float(message.body)) if message.body else None
        return Decision(
            answer=Answer(status=200), effects=(SetTimer(subject=message.conversation, event="alarm", due=due),)
        )


class Rang(OnBox):
    """The alarm goes: its time falls into the box. A box named `again...` sets the next one."""

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        assert isinstance(message.value, Due)
        box = _box(message, view)
        if "bug" in box.items:
            raise ZeroDivisionError
        box = msgspec.structs.replace(box, items=(*box.items, f"rang {message.value.due:%H:%M:%S}"))
        again = SetTimer(subject=box.id, event="alarm", due=message.value.due + timedelta(seconds=10))
        more = box.id.startswith("again") and len(box.items) < 3
        asks = Ask(slot="test", question="count", subject=box.id)
        return Decision(
            answer=Answer(status=200),
            puts=(_keep(box, "nobody", now),),
            effects=(again,) if more else (asks,) if box.id.startswith("ask") else (),
        )


class Wonder(OnBox):
    """Asks the engine how many items there are; a body names another question."""

    def decide(self, message: Message, view: View, _now: datetime) -> Decision:
        _box(message, view)
        question = message.body.decode() or "count"
        return Decision(
            answer=Answer(status=202), effects=(Ask(slot="test", question=question, subject=message.conversation),)
        )


class Told(OnBox):
    """The engine's answer falls into the box."""

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        box = _box(message, view)
        box = msgspec.structs.replace(box, items=(*box.items, f"told {message.body.decode()}"))
        return Decision(answer=Answer(status=200), puts=(_keep(box, "nobody", now),))


class Count:
    """Counts a box's items; `Lock` it to make it slow."""

    def __init__(self) -> None:
        self.asked = 0
        self.go = asyncio.Event()
        self.go.set()

    async def gather(self, question: Question, reads: Reads, _now: datetime) -> Box | None:
        self.asked += 1
        await self.go.wait()
        return await reads.get(Box, question.subject)

    def answer(self, arguments: Box | None) -> object:
        if arguments is None:
            raise EOFError("no box")
        return len(arguments.items)


HANDLERS: Mapping[str, Handler] = {
    "fill": Fill(),
    "alarm": Alarm(),
    "timer.alarm": Rang(),
    "wonder": Wonder(),
    "count.result": Told(),
    "count.failed": Told(),
}


def message(kind: str, box: str, body: str = "", *, id: str, peer: str = "anna") -> Message:  # noqa: A002 - its name
    return Message(peer=peer, id=id, kind=kind, conversation=box, body=body.encode(), role=Role.PROSUMER)


@asynccontextmanager
async def running(a_hub: Hub, *, timers: bool = False) -> AsyncIterator[Hub]:
    """The hub at work; its timers fire when it is told to tick, or by themselves."""
    await a_hub.start(timers=timers)
    try:
        yield a_hub
    finally:
        await a_hub.stop()
        a_hub.store.close()


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'hub.db'}"


def hub(
    folder: Path,
    clock: Clock | None = None,
    askers: Mapping[str, Asker] | None = None,
    handlers: Mapping[str, Handler] = HANDLERS,
) -> Hub:
    """A hub on the database in that folder, not started."""
    return hub_at(url(folder), clock, askers, handlers)


def hub_at(
    address: str,
    clock: Clock | None = None,
    askers: Mapping[str, Asker] | None = None,
    handlers: Mapping[str, Handler] = HANDLERS,
) -> Hub:
    """A hub on the store at that address, not started."""
    return Hub(
        open_store(address),
        handlers,
        {"test.count": Count()} if askers is None else askers,
        clock or Clock(),
    )
