"""Notices to many at once: read from the store once per commit, handed to every subscriber, held up by none.

A subscriber has a short queue of notices that all share. One who reads too slowly loses the queue, not the notices: it
goes on from the store at its own pace, and is back on the queue once it has caught up.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from flexhub.adapters.store.interface import NoticeRow

log = logging.getLogger(__name__)

PAGE: Final = 500
QUEUE: Final = 128
"""Notices that wait for one subscriber at most."""

AGAIN_S: Final = 1.0
"""How soon a store that could not be read is read again."""

Audience = str | tuple[str, ...] | None
"""Whose notices: a party's, those of several (a party, and what it is one of), or (None) everybody's."""

Read = Callable[[Audience, int, int], Awaitable[list[NoticeRow]]]
"""Notices behind a number, so many at most."""


class Subscription:
    """What a party is told (None: what anyone is), from `after` on, each notice once and in order."""

    def __init__(self, feed: Feed, party: Audience, after: int) -> None:
        self.party = party
        self._feed = feed
        self._at = after
        self._queue: deque[NoticeRow] = deque()
        self._catching_up = True
        self._overrun = False
        self._ended = False
        self._news = asyncio.Event()

    async def next(self) -> list[NoticeRow]:
        """What has come since the last call, at least one notice; none once the feed has ended. Safe to cancel."""
        while self._feed.open:
            if self._overrun:
                self._overrun, self._catching_up = False, True
            if self._catching_up:
                # What is committed from here on is queued; what was before is in the store.
                rows = await self._feed.read(self.party, self._at, PAGE)
                self._catching_up = len(rows) == PAGE
            else:
                self._news.clear()
                rows = [row for row in self._queue if row.seq > self._at]
                self._queue.clear()
                if not rows and not self._overrun:
                    await self._news.wait()
            if rows:
                self._at = rows[-1].seq
                return rows
        if self._ended or not self._feed.readable:
            return []
        self._ended = True  # what was committed before the end still goes out, a page of it at most
        return await self._feed.read(self.party, self._at, PAGE)

    def push(self, row: NoticeRow) -> None:
        """Another one."""
        if self._overrun:
            return
        self._queue.append(row)
        if len(self._queue) > QUEUE:
            self._queue.clear()
            self._overrun = True
        self._news.set()

    def wake(self) -> None:
        """See whether the feed is still open."""
        self._news.set()


class Feed:
    """Reads what is new, once for all.

    Args:
        read: as `Read`.
        last: the newest number so far.
    """

    def __init__(self, read: Read, last: Callable[[], Awaitable[int]]) -> None:
        self.read = read
        self.open = True
        self.readable = True
        self._last = last
        self._subscribers: dict[str | None, set[Subscription]] = {}
        self._news = asyncio.Event()
        self._starting = asyncio.Lock()
        self._tail: asyncio.Task[None] | None = None
        self._at = 0
        self.subscribers = 0
        """How many there are."""

    async def subscribe(self, party: Audience, after: int | None) -> Subscription:
        """A new subscription; `after` None: from now on. It must be ended with `leave`."""
        async with self._starting:
            if self._tail is None:
                self._at = await self._last()
                self._tail = asyncio.create_task(self._follow(), name="hub-feed")
        made = Subscription(self, party, await self._last() if after is None else after)
        for one in _each(party):
            self._subscribers.setdefault(one, set()).add(made)
        self.subscribers += 1
        return made

    def leave(self, subscription: Subscription) -> None:
        """No more of it."""
        each = _each(subscription.party)
        self.subscribers -= subscription in self._subscribers.get(each[0], ())
        for one in each:
            left = self._subscribers.get(one, set())
            left.discard(subscription)
            if not left:
                self._subscribers.pop(one, None)

    def told(self) -> None:
        """There may be something new."""
        self._news.set()

    def close(self) -> None:
        """End all subscriptions; the store is read no more."""
        self.readable = False
        self.end()

    def end(self) -> None:
        """End all subscriptions, once they have what was committed until now."""
        self.open = False
        for subscriptions in self._subscribers.values():
            for subscription in subscriptions:
                subscription.wake()
        if self._tail is not None:
            self._tail.cancel()

    async def _follow(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                while rows := await self.read(None, self._at, PAGE):
                    self._at = rows[-1].seq
                    self._hand_out(rows)
            except Exception:
                log.exception("new notices could not be read; trying again")
                await asyncio.sleep(AGAIN_S)
                self._news.set()

    def _hand_out(self, rows: Iterable[NoticeRow]) -> None:
        everything = self._subscribers.get(None, ())
        for row in rows:
            for subscription in self._subscribers.get(row.party, ()):
                subscription.push(row)
            for subscription in everything:
                subscription.push(row)


def _each(party: Audience) -> tuple[str | None, ...]:
    return party if isinstance(party, tuple) else (party,)
