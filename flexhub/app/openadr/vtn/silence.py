"""Which VENs are offline: who polls is heard of at each poll, which writes nothing; only that it went silent is stored.

``openadr.vtn.silence``, from the hub itself: who was not heard of for too long, and who is heard of again.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final

import msgspec

from flexhub.app.exchange.market import value_of
from flexhub.app.hub.contract import Answer, Decision, Key, Message, View
from flexhub.app.openadr.vtn.board import Board
from flexhub.app.openadr.vtn.handlers import Desk
from flexhub.core.documents import encode
from flexhub.core.errors import FlexhubError
from flexhub.core.registry import Role
from flexhub.protocols.openadr2b.session.state import State, VtnVen

log = logging.getLogger(__name__)

SILENCE: Final = "openadr.vtn.silence"
PEER: Final = "flexhub:openadr"
AT_ONCE: Final = 500
LONGEST_S: Final = 15.0
"""How often it is looked at least; more often where VENs count as offline soon."""


class Silence(State, frozen=True, kw_only=True):
    """VENs that went silent, and since when; and those that are heard of again."""

    gone: dict[str, datetime] = {}
    back: tuple[str, ...] = ()


class Hush:
    """``openadr.vtn.silence``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def needs(self, message: Message) -> Iterable[Key]:
        """The VENs."""
        told = value_of(message, Silence)
        return [Key(VtnVen, id_) for id_ in (*told.gone, *told.back)]

    def decide(self, message: Message, view: View, now: datetime) -> Decision:  # noqa: ARG002 - the handler's signature
        """Noted of those that are registered, and poll."""
        told = value_of(message, Silence)
        changed = []
        for id_ in (*told.gone, *told.back):
            ven = view.get(VtnVen, id_)
            since = told.gone.get(id_)
            if ven is not None and ven.registered and ven.pull and ven.offline_since != since:
                changed.append(msgspec.structs.replace(ven, offline_since=since))
        return self._desk.decision(changed, Answer(status=204))


class Watch:
    """Compares when VENs were heard of with how long they may be silent.

    Args:
        board: knows that.
        submit: hands a message to the hub.
        clock: what time it is.
        after: how long they may be silent.
    """

    def __init__(
        self,
        board: Board,
        submit: Callable[[Message], Awaitable[Answer]],
        clock: Callable[[], datetime],
        after: timedelta,
    ) -> None:
        self._board = board
        self._submit = submit
        self._clock = clock
        self._after = after
        self._silent: set[str] = set()
        self._name = uuid.uuid4().hex
        self._count = itertools.count()

    def begin(self, vens: Iterable[VtnVen]) -> None:
        """These are registered; from now on they are listened for."""
        now = self._clock()
        for ven in vens:
            if ven.registered and ven.pull:
                self._board.heard.setdefault(ven.id, now if ven.offline_since is None else ven.offline_since)
                if ven.offline_since is not None:
                    self._silent.add(ven.id)

    async def look(self) -> None:
        """Say who went silent, and who is back."""
        until = self._clock() - self._after
        heard = self._board.heard
        gone = [id_ for id_, at in heard.items() if at < until and id_ not in self._silent]
        back = [id_ for id_ in self._silent if heard.get(id_, until) >= until]
        for i in range(0, len(gone), AT_ONCE):
            await self._say(Silence(gone={id_: heard[id_] for id_ in gone[i : i + AT_ONCE]}))
        for i in range(0, len(back), AT_ONCE):
            await self._say(Silence(back=tuple(back[i : i + AT_ONCE])))

    async def _say(self, told: Silence) -> None:
        await self._submit(
            Message(
                peer=PEER,
                id=f"{self._name}-{next(self._count)}",
                kind=SILENCE,
                conversation=PEER,
                body=encode(told),
                role=Role.ADMIN,
                value=told,
            )
        )
        self._silent.update(told.gone)
        self._silent.difference_update(told.back)

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[None]:
        """Look again and again, for as long as the block lasts."""

        async def look() -> None:
            while True:
                await asyncio.sleep(min(LONGEST_S, self._after.total_seconds() / 4))
                try:
                    await self.look()
                except FlexhubError as error:
                    log.warning("which VENs are offline could not be stored: %s", error)

        task = asyncio.create_task(look(), name="openadr-silence")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
