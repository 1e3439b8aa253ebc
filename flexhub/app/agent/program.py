"""The prosumer's program: many charging stations, each a participant of its own, in one process.

It is told the time: it reads lines ``now <instant>`` and answers ``done <instant> <next instant>`` when everything that
is due has been done and acknowledged by the hub; a dash stands for "nothing more to come". So a simulated day runs in
lock step, and an installation would tell the time as it goes.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncIterable, Callable, Coroutine
from contextlib import AsyncExitStack
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import aiohttp
import msgspec

from flexhub.app.agent.charger import Behaviour, Charger
from flexhub.app.agent.client import TRIES, Client
from flexhub.app.agent.offers import maker
from flexhub.app.agent.session import Session
from flexhub.app.agent.visit import Await, Side, Visit
from flexhub.app.exchange.papers import Change
from flexhub.core.base import Id, Instant, Model
from flexhub.core.documents import decode
from flexhub.core.errors import InternalError, InvalidError
from flexhub.core.timegrid import EPOCH
from flexhub.core.units import parse_instant

if TYPE_CHECKING:
    from flexhub.app.agent.ven import Ven

NEWS_WITHIN_S: Final = 30.0
"""How long the stream may take to tell what the hub has decided."""

RECONNECT_AFTER_S: Final = 0.5
BEGINNING: Final = "0"
NOTHING: Final = "-"


class VenOf(Model, frozen=True, kw_only=True):
    """How a station speaks OpenADR: what the paths of the VTN's services begin with, and its venID there."""

    vtn: str
    ven_id: str


class Station(Model, frozen=True, kw_only=True):
    """A charging station: a participant, and its bearer token, or as what VEN it speaks instead."""

    id: Id
    token: str = ""
    ven: VenOf | None = None


class Config(Model, frozen=True, kw_only=True):
    """What an agent is told at its start. Chance comes from `seed` and a session's id only.

    `ca` is a file with the certificates that the hub's own must be signed by; by default the system's. `now` is when it
    starts.
    """

    hub: str
    stations: tuple[Station, ...]
    sessions: tuple[Session, ...]
    power_kw: Annotated[float, msgspec.Meta(gt=0)]
    behaviour: Behaviour = Behaviour()
    within_h: Annotated[float, msgspec.Meta(gt=0, le=168)] = 24.0
    report_slots: Annotated[int, msgspec.Meta(ge=1, le=96)] = 4
    seed: int = 0
    ca: str | None = None
    now: Instant = EPOCH

    def __post_init__(self) -> None:
        known = {s.id for s in self.stations}
        for i, session in enumerate(self.sessions):
            if session.station not in known:
                raise InvalidError("no such station", path=f"sessions[{i}]/station", value=session.station)


class News:
    """What a station's stream has told of its offers so far."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._of: dict[str, Change] = {}
        self._more = asyncio.Condition()
        self.open = asyncio.Event()

    async def listen(self) -> None:
        """Keep listening; a connection that ends is resumed after the last event.

        Raises:
            InternalError: the hub could not be reached from the start.
            FlexhubError: the hub's refusal.
        """
        after: str | None = None
        tries = 0
        while True:
            tries += 1
            try:
                async for event in self._client.stream("/flexoffer/stream", after, self.open):
                    after = event.id or after
                    if event.event == "flexoffer":
                        change = decode(Change, event.data)
                        async with self._more:
                            self._of[change.id] = change
                            self._more.notify_all()
            except aiohttp.ClientError as error:
                if tries >= TRIES and not self.open.is_set():
                    raise InternalError(f"no stream: {error}") from error
            await asyncio.sleep(RECONNECT_AFTER_S)
            if self.open.is_set():
                after = after or BEGINNING  # nothing was told yet, but something may have been since

    async def wait(self, offer: str, wanted: Callable[[Change], bool]) -> Change:
        """What is known of the offer, once it is as wanted.

        Raises:
            InternalError: it was not told in time.
        """

        def told() -> bool:
            return offer in self._of and wanted(self._of[offer])

        try:
            async with asyncio.timeout(NEWS_WITHIN_S), self._more:
                await self._more.wait_for(told)
        except TimeoutError:
            raise InternalError(f"no news of {offer} within {NEWS_WITHIN_S} s; known: {self._of.get(offer)}") from None
        return self._of[offer]


class Program:
    """The stations of one process. `start` before `at`, `stop` at the end."""

    def __init__(self, config: Config, http: aiohttp.ClientSession) -> None:
        clients = {s.id: Client(http, config.hub, s.token) for s in config.stations if s.ven is None}
        self._news = {name: News(client) for name, client in clients.items()}
        self._vens = _vens(config)
        self._now = config.now
        sides: dict[str, tuple[Side, Await]] = {name: (it, self._news[name].wait) for name, it in clients.items()}
        sides |= {name: (ven, ven.wait) for name, ven in self._vens.items()}
        self._open = AsyncExitStack()
        self._visits = [
            Visit(
                Charger(session, config.power_kw, config.behaviour, random.Random(f"{config.seed}/{session.id}")),  # noqa: S311 - a simulation, nothing secret
                maker(session, config.power_kw, config.within_h),
                *sides[session.station],
                config.report_slots,
            )
            for session in config.sessions
        ]
        self._listening: list[asyncio.Task[None]] = []

    @property
    def next(self) -> datetime | None:
        """When something is due next."""
        return min((v.next for v in self._visits if v.next is not None), default=None)

    async def start(self) -> None:
        """Open the stations' streams, and have VENs register."""
        for ven in self._vens.values():
            await self._open.enter_async_context(ven)
            await ven.register(self._now)
        self._listening = [asyncio.create_task(news.listen()) for news in self._news.values()]
        await self._unless_deaf([news.open.wait() for news in self._news.values()])

    async def at(self, now: datetime) -> None:
        """Do what is due by now."""
        for ven in self._vens.values():
            ven.now = now
        await self._unless_deaf([v.at(now) for v in self._visits if v.next is not None and v.next <= now])

    async def stop(self) -> None:
        """Close the streams."""
        for task in self._listening:
            task.cancel()
        await asyncio.gather(*self._listening, return_exceptions=True)
        await self._open.aclose()

    async def _unless_deaf(self, what: list[Coroutine[Any, Any, Any]]) -> None:
        """All of `what`, but fail at once when a stream does: nothing would ever be heard on it."""
        work: asyncio.Future[Any] = asyncio.gather(*what)
        waiting: list[asyncio.Future[Any]] = [work, *self._listening]
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                await task
            await work
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)


def _vens(config: Config) -> dict[str, Ven]:
    """The stations that are VENs; what speaks OpenADR is loaded where there are some."""
    told = {s.id: s.ven for s in config.stations if s.ven is not None}
    if not told:
        return {}
    from flexhub.app.agent.ven import Ven  # noqa: PLC0415 - as the docstring says

    return {name: Ven(name, one.vtn, one.ven_id, config.ca) for name, one in told.items()}


def _word(instant: datetime | None) -> str:
    return NOTHING if instant is None else instant.isoformat()


async def converse(lines: AsyncIterable[str], say: Callable[[str], None]) -> None:
    """Run an agent: its configuration as the first line, then the time, until the lines end.

    Raises:
        InvalidError: a line that is no instant.
        FlexhubError: what the hub refused, or could not be reached for.
    """
    reader = aiter(lines)
    config = decode(Config, await anext(reader))
    tls = ssl.create_default_context(cafile=config.ca)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, ssl=tls)) as http:
        program = Program(config, http)
        try:
            await program.start()
            say(f"ready {_word(program.next)}")
            async for line in reader:
                word, _, text = line.strip().partition(" ")
                if word != "now":
                    raise InvalidError(f"{word!r} is not 'now'", path="stdin", value=line.strip())
                await program.at(parse_instant(text))
                say(f"done {text} {_word(program.next)}")
        finally:
            await program.stop()
