"""Follows what other hubs tell the parties that this hub speaks for, and hands it in as messages (`hub.told`).

Each stream is followed from the event that was worked last, by one of the hub's processes. What is heard twice, after a
crash or while another process takes over, is one message: its id is the event's.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp
import msgspec

from flexhub.adapters.http.sender import Peer
from flexhub.adapters.tls import trusting
from flexhub.app.agent.client import Client
from flexhub.app.config import Config
from flexhub.app.exchange import passing, selling
from flexhub.app.exchange.auction import PARTICIPANTS
from flexhub.app.hub.loop import Hub
from flexhub.app.hub.told import Cursor, Told, stream_id
from flexhub.core.errors import FlexhubError
from flexhub.core.registry import Role

log = logging.getLogger(__name__)

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 30.0
STREAM: Final = "/flexoffer/stream"


class Event(NamedTuple):
    """One event of a stream."""

    seq: int
    topic: str
    body: bytes


Listen = Callable[[int], AsyncIterator[Event]]
"""The events behind a number, until the stream ends."""


class Followed(NamedTuple):
    """A stream: which peer tells which party of ours what."""

    peer: str
    party: str
    topics: Collection[str]


def portfolios_of(config: Config) -> tuple[str, ...]:
    """The portfolios that this hub plans and trades for, by the aggregator that contracts name."""
    return config.trade.portfolios or (config.hub.name,)


def parties_of(tokens: Path | None) -> list[str]:
    """Whose tokens a folder holds: a file each, named after the party."""
    if tokens is None or not tokens.is_dir():
        return []
    return sorted(file.name for file in tokens.iterdir() if file.is_file())


def followed(config: Config) -> list[Followed]:
    """What there is to follow: the market for each portfolio, an aggregator for each prosumer with a token there."""
    portfolios, found = portfolios_of(config), list[Followed]()
    topics: Collection[str]
    for peer in config.peer:
        for party in parties_of(peer.tokens):
            if party in portfolios:
                topics = selling.TOPICS if peer.id == config.trade.market else ()
            else:
                topics = passing.TOPICS if Role.PROSUMER in config.hub.roles else ()
            if topics:
                found.append(Followed(peer.id, party, topics))
    if config.trade.market == config.hub.name:
        found += [Followed(config.hub.name, party, selling.TOPICS) for party in portfolios]
    return found


class Follower:
    """Follows one stream for as long as it runs."""

    def __init__(self, hub: Hub, stream: Followed, listen: Listen) -> None:
        self.stream = stream
        self.at = 0
        self._hub = hub
        self._listen = listen
        self._moved = asyncio.Event()

    @property
    def id(self) -> str:
        """The stream's."""
        return stream_id(self.stream.peer, self.stream.party)

    async def reach(self, seq: int) -> None:
        """Wait until every event up to this one was worked."""
        while self.at < seq:
            self._moved.clear()
            await self._moved.wait()

    async def run(self) -> None:
        """Follow; a stream that ends is taken up again behind what was worked, sooner or later."""
        cursor = await self._hub.get(Cursor, self.id)
        self._reached(0 if cursor is None else cursor.seq)
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                async for event in self._listen(self.at):
                    await self._work(event)
                    pause_s = FIRST_PAUSE_S
            except (FlexhubError, aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                log.warning("what %s tells can't be heard: %s; trying again", self.id, error)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _work(self, event: Event) -> None:
        if event.topic in self.stream.topics:
            body = msgspec.Raw(event.body)
            told = Told(peer=self.stream.peer, party=self.stream.party, seq=event.seq, topic=event.topic, body=body)
            await self._hub.submit(told.message())
        self._reached(event.seq)

    def _reached(self, seq: int) -> None:
        self.at = seq
        self._moved.set()


class Followers:
    """All that a hub follows."""

    def __init__(self, followers: Iterable[Follower], own: str) -> None:
        self._followers = list(followers)
        self._own = own

    async def reach(self, marks: Mapping[str, int]) -> None:
        """Wait until every stream was worked up to the event of its name; that of `PARTICIPANTS` is on each."""
        for follower in self._followers:
            everybody = stream_id(follower.stream.peer, PARTICIPANTS)
            await follower.reach(max(marks.get(follower.id, 0), marks.get(everybody, 0)))

    async def reach_own(self, hub: Hub) -> None:
        """Wait until what this hub tells its own portfolios was worked."""
        for follower in self._followers:
            if follower.stream.peer == self._own:
                told = (follower.stream.party, PARTICIPANTS)
                while rows := await asyncio.to_thread(hub.store.notices, told, follower.at, 1000):
                    await follower.reach(rows[-1].seq)

    async def run(self) -> None:
        """Follow all of them."""
        async with asyncio.TaskGroup() as group:
            for follower in self._followers:
                group.create_task(follower.run(), name=f"hub-follow-{follower.id}")


def _here(hub: Hub, party: str) -> Listen:
    """What this hub itself tells a party."""

    async def listen(after: int) -> AsyncIterator[Event]:
        subscription = await hub.feed.subscribe((party, PARTICIPANTS), after)
        try:
            while rows := await subscription.next():
                for row in rows:
                    yield Event(row.seq, row.topic, row.body)
        finally:
            hub.feed.leave(subscription)

    return listen


def _there(http: aiohttp.ClientSession, peer: Peer) -> Listen:
    """What another hub tells the holder of a token; the token is read each time, so that it may be renewed."""

    async def listen(after: int) -> AsyncIterator[Event]:
        token = "" if peer.token is None else peer.token.read_text("ascii").strip()
        async for event in Client(http, peer.url, token).stream(STREAM, str(after)):
            yield Event(int(event.id), event.event, event.data.encode())

    return listen


@asynccontextmanager
async def following(hub: Hub, config: Config, peers: Mapping[str, Peer]) -> AsyncIterator[Followers]:
    """Follow for as long as the block lasts.

    Args:
        hub: who gets the messages.
        config: what is followed.
        peers: where the streams' peers are, by the stream's id.
    """
    sessions: dict[str, aiohttp.ClientSession] = {}
    made: list[Follower] = []
    try:
        for stream in followed(config):
            id_ = stream_id(stream.peer, stream.party)
            if stream.peer == config.hub.name:
                listen = _here(hub, stream.party)
            else:
                if stream.peer not in sessions:
                    sessions[stream.peer] = _session(trusting(peers[id_].ca, peers[id_].cert))
                listen = _there(sessions[stream.peer], peers[id_])
            made.append(Follower(hub, stream, listen))
        followers = Followers(made, config.hub.name)
        task = asyncio.create_task(hub.keeper.while_on(followers.run), name="hub-followers")
        try:
            yield followers
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    finally:
        for session in sessions.values():
            await session.close()


def _session(tls: ssl.SSLContext) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=0, ssl=tls)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
