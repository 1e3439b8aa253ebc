"""What is stored, as of the last commit: documents, notices and tokens, read in threads that wait for no writer."""

from __future__ import annotations

import asyncio
import base64
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import islice
from time import monotonic
from typing import Final, TypeVar

from flexhub.adapters.store.interface import NoticeRow, Position, Query, Store
from flexhub.app.access.audit import Access
from flexhub.app.hub.contract import Answer, Message, Page
from flexhub.app.hub.feed import Audience, Feed
from flexhub.app.hub.tokens import Bearer, find_tokens
from flexhub.core import documents
from flexhub.core.errors import InvalidError

T = TypeVar("T")

TOKEN_S: Final = 3.0
"""How long a token is taken from memory: a revoked one works no longer than that."""

MOST_AT_ONCE: Final = 256
"""So many tokens are looked up in one go."""


class _Met:
    """Whose a token was when it was last looked up, until when that is taken for so, and whether it was used since."""

    __slots__ = ("bearer", "until", "used")

    def __init__(self, bearer: Bearer, until: float) -> None:
        self.bearer = bearer
        self.until = until
        self.used = False


class Reading:
    """Reads a store, and wakes those who wait for notices when it is `told` that there are new ones.

    Args:
        store: what is read.
        monotonic: seconds that go on whatever the clock says; tokens are remembered by it.
    """

    def __init__(self, store: Store, *, monotonic: Callable[[], float] = monotonic) -> None:
        self.store = store
        self._monotonic = monotonic
        self.feed = Feed(self._notices, self.last_notice)
        self._tellers: set[Callable[[tuple[str, ...] | None], None]] = set()
        self._tokens: dict[str, _Met] = {}
        self._looks: dict[str, asyncio.Future[dict[str, Bearer | None]]] = {}
        self._readers = ThreadPoolExecutor(4, "hub-read")

    def told(self, parties: tuple[str, ...] | None) -> None:
        """A commit brought notices for these parties; None: for whoever."""
        if parties is not None and not parties:
            return
        self.feed.told()
        for tell in self._tellers:
            tell(parties)

    def tell(self, others: Callable[[tuple[str, ...] | None], None]) -> None:
        """Also tell these, who read the same store."""
        self._tellers.add(others)

    def tell_no_more(self, others: Callable[[tuple[str, ...] | None], None]) -> None:
        """They no longer listen."""
        self._tellers.discard(others)

    def end_notices(self) -> None:
        """End all waiting for notices: who hears them is to come back, to another process maybe."""
        self.feed.end()

    def close(self) -> None:
        """End all waiting for notices, and read no more."""
        self.feed.close()
        self._readers.shutdown()

    async def _read(self, read: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, read, *args)

    async def get(self, kind: type[T], id: str) -> T | None:  # noqa: A002 - the documents' own word
        """One document, as of the last commit."""

        def read() -> T | None:
            row = self.store.document(kind.__name__, id)
            return None if row is None else documents.upcast(kind, row.schema_version, row.body)

        return await self._read(read)

    async def documents(  # noqa: PLR0913 - each narrows the list in its own way
        self,
        kind: type[T],
        *,
        owner: str | None = None,
        states: Iterable[str] | None = None,
        overlapping: tuple[datetime, datetime] | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[T]:
        """Documents in order of start and id, as of the last commit.

        Args:
            kind: their core type.
            owner: only those of this party.
            states: only those in one of these states.
            overlapping: only those that share time with [from, to).
            after: the cursor of the page before.
            limit: most documents in the page.

        Raises:
            InvalidError: `after` is no cursor of ours.
        """
        query = Query(
            kind=kind.__name__,
            owner=owner,
            states=None if states is None else tuple(states),
            overlapping=overlapping,
            after=None if after is None else _position(after),
            limit=limit + 1,
        )

        def read() -> Page[T]:
            rows = self.store.documents(query)
            items = tuple(documents.upcast(kind, row.schema_version, row.body) for row in rows[:limit])
            last = rows[limit - 1] if len(rows) > limit else None
            return Page(items, None if last is None else _cursor(Position(last.starts, last.id)))

        return await self._read(read)

    async def pieces(self, read: Callable[[Store], Iterator[T]]) -> AsyncIterator[T]:
        """What is read bit by bit, each in a thread for reading; none of it is None."""
        found = await self._read(read, self.store)
        while (piece := await self._read(next, found, None)) is not None:
            yield piece

    async def last_notice(self) -> int:
        """The place of the last notice so far, whoever it is for: behind it begins what comes from now on."""
        return await self._read(self.store.last_notice)

    async def notices(self, party: str | None, after: int | None = None) -> AsyncIterator[NoticeRow]:
        """What a party is told (None: what anyone is), behind `after` (None: from now on); waits for more.

        Ends at `close`. A notice's `seq` is the place to resume after.
        """
        subscription = await self.feed.subscribe(party, after)
        try:
            while rows := await subscription.next():
                for row in rows:
                    yield row
        finally:
            self.feed.leave(subscription)

    async def _notices(self, party: Audience, after: int, limit: int) -> list[NoticeRow]:
        return await self._read(self.store.notices, party, after, limit)

    def known_token(self, hash: str) -> Bearer | None:  # noqa: A002 - what it is
        """As `find_token`, from memory alone."""
        met = self._tokens.get(hash)
        if met is None or self._monotonic() >= met.until:
            return None
        met.used = True
        return met.bearer

    def met_token(self, hash: str) -> bool:  # noqa: A002 - what it is
        """Whether it was a party's when it was last looked up."""
        return hash in self._tokens

    async def find_token(self, hash: str) -> Bearer | None:  # noqa: A002 - what it is
        """Whom the token with this hash (`token_hash`) stands for.

        Known ones are answered from memory for `TOKEN_S`, so that one revoked by another process works no longer. Then
        all that were used meanwhile are looked up at once, and whoever asks for one of them waits for the same look.
        """
        known = self.known_token(hash)
        if known is not None:
            return known
        look = self._looks.get(hash)
        if look is None:
            hashes = [hash]
            if hash in self._tokens:
                now = self._monotonic()
                due = (h for h, met in self._tokens.items() if met.used and now >= met.until and h not in self._looks)
                hashes += islice((h for h in due if h != hash), MOST_AT_ONCE - 1)
            look = asyncio.ensure_future(self._look_up(hashes))
            self._looks.update(dict.fromkeys(hashes, look))
        return (await asyncio.shield(look))[hash]

    async def _look_up(self, hashes: list[str]) -> dict[str, Bearer | None]:
        until = self._monotonic() + TOKEN_S
        try:
            found = await self._read(find_tokens, self.store, hashes)
        finally:
            for one in hashes:
                del self._looks[one]
        for one, bearer in found.items():
            if bearer is None:
                self._tokens.pop(one, None)
            else:
                self._tokens[one] = _Met(bearer, until)
        return found


class Front(Reading, ABC):
    """A hub as those see it who serve others: they read, and hand messages in."""

    @abstractmethod
    def note(self, access: Access) -> None:
        """Have this in the audit log."""

    @abstractmethod
    async def handle(self, message: Message) -> Answer:
        """Work a message; when this returns, message, decision and answer are on disk.

        The same message again (peer, id and content) gets the same answer again, and changes nothing.

        Raises:
            ReusedError: the same peer and id with other content.
            InternalError: our fault: a handler failed; nothing was acknowledged.
            UnavailableError: the store cannot be written, or the hub is stopping; nothing was acknowledged.
            FlexhubError: the handler's refusal; nothing of the message is stored.
        """

    @abstractmethod
    async def report(self, what: str) -> bytes:
        """What the hub's process tells of itself: "ready", a `Ready` as JSON; "metrics", OpenMetrics text."""


def _cursor(position: Position) -> str:
    """As letters and digits, so that it stands in a query as it is, whatever the id is made of."""
    text = f"{'' if position.starts is None else position.starts.isoformat()}_{position.id}"
    return base64.urlsafe_b64encode(text.encode()).decode()


def _position(cursor: str) -> Position:
    starts = separator = id_ = ""
    try:
        starts, separator, id_ = (
            base64.b64decode(cursor.encode(), altchars=b"-_", validate=True).decode().partition("_")
        )
        at = datetime.fromisoformat(starts) if starts else None
    except ValueError:  # of base64, too
        at, separator = None, ""
    if not separator or "\0" in id_ or (at is not None and at.tzinfo is None):
        raise InvalidError("not a cursor of a page before", path="after", value=cursor)
    return Position(at, id_)
