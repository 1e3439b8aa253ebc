"""``python -m flexhub.app.demo.hub``: a hub of a simulated day, in a process of its own, which is told the time.

Its first line of input is a `Setting`; it answers ``ready <url> <url of UFTP, or -> <url of its VTN, or ->``. Then
it reads lines ``now <instant> <marks>`` and answers ``done <Done>`` when it has heard what is marked, done what is due,
and sent what it has to say. Marks are JSON: the number of the last event of each stream. All else between hubs goes
over the exchange interface, UFTP and OpenADR.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterable, Callable
from datetime import date
from pathlib import Path

import msgspec

from flexhub.app.agent.__main__ import lines, say
from flexhub.app.config import load
from flexhub.app.demo.day import Clock, quiet
from flexhub.app.demo.expecting import Expected, ExpectingManager
from flexhub.app.demo.scene import set_scene
from flexhub.app.hub.told import stream_id
from flexhub.app.wiring import Running, running
from flexhub.core.base import Instant
from flexhub.core.documents import decode, encode
from flexhub.core.errors import FlexhubError
from flexhub.core.units import parse_instant
from flexhub.engines.reference.manager import FLAT, ReferenceManager
from flexhub.engines.slots import ManagerEngine

PAGE = 10_000


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """What a manager knows of a site beforehand: the arguments of `set_scene`."""

    sessions: str | None
    day: date
    zone: str
    seed: int
    power_kw: float


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """The file of a hub's configuration, what time it is, and the site that it expects cars at, if it does."""

    config: str
    now: Instant
    site: Site | None = None


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """The last event of each stream that has new ones, and how many messages the hub has worked."""

    marks: dict[str, int]
    messages: int


def engine_for(party: str, site: Site | None) -> ManagerEngine:
    """The demo's manager engine; it expects the cars of the site, if it is told one."""
    engine = ReferenceManager(party=party, weights=FLAT)
    if site is None:
        return engine
    sessions = None if site.sessions is None else Path(site.sessions)
    scene = set_scene(sessions, site.day, site.zone, site.seed, site.power_kw)
    return ExpectingManager(engine, Expected(scene), party)


class Steps:
    """Takes a running hub from instant to instant."""

    def __init__(self, hub: Running, name: str, clock: Clock) -> None:
        self._hub = hub
        self._name = name
        self._clock = clock
        self._told = 0

    async def at(self, line: str) -> Done:
        """Do what a line says."""
        word, instant, marks = line.split(" ", 2)
        assert word == "now"  # noqa: S101 - the demo's own words
        self._clock.now = parse_instant(instant)
        await self._hub.followers.reach(decode(dict[str, int], marks))
        await quiet(self._hub)
        found: dict[str, int] = {}
        while rows := await asyncio.to_thread(self._hub.hub.store.notices, None, self._told, PAGE):
            found |= {stream_id(self._name, row.party): row.seq for row in rows}
            self._told = rows[-1].seq
        return Done(marks=found, messages=self._hub.hub.stats.messages)


async def converse(told: AsyncIterable[str], answer: Callable[[str], None]) -> None:
    """Run a hub until the lines end.

    Raises:
        FlexhubError: as `wiring.running`.
    """
    reader = aiter(told)
    setting = decode(Setting, await anext(reader))
    config = load(setting.config, {})
    # The day asks for its runs, seconds before they are needed.
    config = msgspec.structs.replace(
        config,
        plan=msgspec.structs.replace(config.plan, every=None),
        settle=msgspec.structs.replace(config.settle, every=None),
    )
    clock = Clock(setting.now)
    engine = engine_for(config.hub.name, setting.site)
    async with running(config, clock=clock, engine=engine, timers=False) as hub:
        answer(f"ready {hub.url} {hub.uftp_url or '-'} {hub.vtn_url or '-'}")
        steps = Steps(hub, config.hub.name, clock)
        async for line in reader:
            answer(f"done {encode(await steps.at(line.strip())).decode()}")


def main() -> int:
    """Run the hub until its input ends."""
    import uvloop  # noqa: PLC0415 - not on every platform, and only where a hub runs

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(converse(lines(), say))
    except FlexhubError as error:
        sys.stderr.write(f"flexhub demo: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
