"""An AGR and a DSO that trade by themselves: their configurations, cars, and clocks that are set."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import msgspec

from flexhub.app.config import Config, parse
from flexhub.app.exchange.portfolio import every
from flexhub.app.hub.contract import Answer, Message
from flexhub.app.hub.loop import Hub
from flexhub.app.uftp.outgoing import Run, What
from flexhub.app.uftp.papers import UftpMessage
from flexhub.app.uftp.trading.papers import Subject, UftpDay, UftpOffering, UftpReckoned
from flexhub.app.wiring import Running, running
from flexhub.core.documents import encode
from flexhub.core.flexoffer import FlexOffer, Schedule
from flexhub.core.registry import Role
from flexhub.core.timegrid import QUARTER_HOUR_S
from flexhub.core.timeseries import Measurement
from flexhub.engines.reference.generator import ChargingSession, EvGenerator
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.session import Entry
from tests.app.market import Clock
from tests.app.uftp import stage as s

_COUNT: Final = count()
W = TypeVar("W", bound=wire.Payload)

DAY: Final = "2026-03-30"
MORNING: Final = datetime(2026, 3, 30, 9, tzinfo=UTC)
SIX: Final = datetime(2026, 3, 30, 16, tzinfo=UTC)
"""Six in the evening in Amsterdam."""
MIDNIGHT: Final = datetime(2026, 3, 30, 22, tzinfo=UTC)
CARS: Final = ("ann", "bob", "cat", "dan")
HOME: Final = "ean.8716859000126365"
"""What the EANs of the cars' connections begin with."""

Keys = Mapping[str, str | float | list[str]]
"""Keys of a section."""

TRADES: Final[dict[str, Keys]] = {
    "agr": {"partners": ["dso.example.com"], "margin": 0.2, "penalty": "40 EUR", "offer_for": "PT4H"},
    "dso": {
        "partners": ["agr.example.com"],
        "limit": "9 kW",
        "highest_price": "0.50 EUR/kWh",
        "penalty": "40 EUR",
        "answer_within": "PT4H",
    },
}
"""What each trades at `stage.POINT`, unless told otherwise."""


def car(i: int, name: str) -> str:
    """A prosumer of the aggregator, with an EAN of its own."""
    return f"""
[[party]]
id = "{name}"
roles = ["prosumer"]
[[party.connection]]
id = "{name}.meter"
ean = "{HOME}{10 + i}"
congestion_point = "{s.POINT}"
[party.contract]
id = "{name}.contract"
valid_from = 2026-01-01T00:00:00Z
per_deviation = "{0.01 * (i + 1):.2f} EUR/kWh"
"""


def text(folder: Path, name: str, port: int, keys: Keys | None = None) -> str:
    """A hub's configuration; `keys` of what it trades go before `TRADES`."""
    told = s.text(folder, name, port).replace(
        f'name = "{name}"', f'name = "{name}"\nroles = {["aggregator"] if name == "agr" else []}'
    )
    lines = [f"{key} = {json.dumps(value)}" for key, value in ({**TRADES[name], **(keys or {})}).items()]
    told += "\n".join(["[[uftp.trade]]", f'congestion_point = "{s.POINT}"', *lines, ""])
    return told + ("".join(car(i, one) for i, one in enumerate(CARS)) if name == "agr" else "")


def config(folder: Path, name: str, port: int, keys: Keys | None = None) -> Config:
    """The same, read."""
    return parse(text(folder, name, port, keys))


def offer(i: int, name: str, kwh: float | None = None, at: datetime = SIX, created: datetime = MORNING) -> FlexOffer:
    """A car that comes home at six and wants a few kWh until midnight; by default it charges at once."""
    load = ChargingSession(
        id=f"ev-{name}",
        station="s",
        arrival=at,
        departure=MIDNIGHT,
        requested_kwh=3.3 + i if kwh is None else kwh,
        max_power_kw=3.7,
    )
    made = EvGenerator().offer(load, load.id, name, created)
    return msgspec.structs.replace(made, location=f"{name}.meter")


class Trade(NamedTuple):
    """Two hubs with one clock."""

    agr: Running
    dso: Running
    clock: Clock

    def hub(self, name: str) -> Hub:
        """One of them."""
        return (self.agr if name == "agr" else self.dso).hub

    async def quiet(self) -> None:
        """Wait until neither has anything to do or to say."""
        while True:
            worked = [one.hub.stats.messages for one in (self.agr, self.dso)]
            for one in (self.agr, self.dso):
                await one.hub.tick()
                await one.hub.settled()
                await one.hub.sent()
            if worked == [one.hub.stats.messages for one in (self.agr, self.dso)]:
                return

    async def at(self, now: datetime) -> None:
        """Make it that late, and wait."""
        self.clock.now = now
        await self.quiet()

    async def run(self, name: str, what: What, day: str = DAY) -> Answer:
        """Have something done now, and wait."""
        order = Run(what=what, congestion_point=s.POINT, day=day)
        answer = await self.say(name, "uftp.run", f"{what} {day} {self.clock.now}", "root", order, Role.ADMIN)
        await self.quiet()
        return answer

    async def say(  # noqa: PLR0917 - whose, to whom, and what
        self, name: str, kind: str, about: str, peer: str, value: object, role: Role
    ) -> Answer:
        """A message to a hub."""
        message = Message(
            peer=peer, id=f"{kind} {about} {next(_COUNT)}", kind=kind, conversation=about, body=encode(value), role=role
        )
        return await self.hub(name).handle(message)

    async def post(self, made: FlexOffer) -> FlexOffer:
        """A prosumer offers."""
        answer = await self.say("agr", "flexoffer.post", made.id, made.issuer, made, Role.PROSUMER)
        return msgspec.json.decode(answer.body, type=FlexOffer)

    async def offers(self) -> dict[str, FlexOffer]:
        """All offers of prosumers, by issuer."""
        found = await every(self.agr.hub, FlexOffer)
        return {o.issuer: o for o in found}

    async def entries(self, name: str, kind: type[W]) -> list[tuple[W, Entry]]:
        """What a hub keeps of messages of a type, oldest first."""
        found = [m.entry() for m in await every(self.hub(name), UftpMessage, states=(wire.element(kind),))]
        found.sort(key=lambda e: (e.since, getattr(e.message, "revision", 0)))
        return [(e.message, e) for e in found if isinstance(e.message, kind)]

    async def said(self, name: str, kind: type[W]) -> list[W]:
        """The messages themselves."""
        return [message for message, _ in await self.entries(name, kind)]

    async def offerings(self) -> list[UftpOffering]:
        """All of the AGR's."""
        return await every(self.agr.hub, UftpOffering)

    async def reckoned(self, name: str) -> UftpReckoned | None:
        """What the day came to."""
        own, partner = ("AGR.agr.example.com", "dso.example.com")
        if name == "dso":
            own, partner = ("DSO.dso.example.com", "agr.example.com")
        return await self.hub(name).get(UftpReckoned, Subject(own, partner, DAY, "").reckoned.id)

    async def day(self, name: str) -> UftpDay | None:
        """What goes on about the day."""
        own = "AGR.agr.example.com" if name == "agr" else "DSO.dso.example.com"
        return await self.hub(name).get(UftpDay, Subject(own, "", DAY, s.POINT).about.id)

    async def meter(self, shares: dict[str, float]) -> None:
        """Each car hands in what it took: that share of its schedule, or else of its default."""
        for issuer, one in (await self.offers()).items():
            schedule = one.schedule or one.default_schedule
            assert schedule is not None
            taken = reading(one, schedule, shares.get(issuer, 1.0))
            await self.say("agr", "measurement.post", one.id, issuer, taken, Role.PROSUMER)
        await self.quiet()


def reading(one: FlexOffer, schedule: Schedule, share: float) -> Measurement:
    """A share of a schedule, as measured."""
    values = tuple(share * kwh for kwh in schedule.per_slot_kwh())
    assert one.resolution_s == QUARTER_HOUR_S
    return Measurement(subject=f"{one.issuer}.meter", start=schedule.start, values_kwh=values, offer=one.id)


@asynccontextmanager
async def trade(folder: Path, *, now: datetime = MORNING, **keys: Keys) -> AsyncIterator[Trade]:
    """Both hubs, without timers of their own; `agr` and `dso` are keys of what they trade."""
    ports = {name: s.free_port() for name in ("agr", "dso")}
    s.publish(folder, ports)
    clock = Clock(now)
    async with AsyncExitStack() as stack, asyncio.timeout(90):
        agr, dso = [
            await stack.enter_async_context(
                running(config(folder, name, ports[name], keys.get(name)), clock=clock, timers=False)
            )
            for name in ("agr", "dso")
        ]
        yield Trade(agr, dso, clock)


async def all_offers(there: Trade, cars: Sequence[str] = CARS) -> None:
    """Every car offers."""
    for i, name in enumerate(cars):
        assert (await there.post(offer(i, name))).state == "accepted"


LATER: Final = MIDNIGHT + timedelta(hours=12)
