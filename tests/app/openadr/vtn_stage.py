"""A hub that is a VTN on a free port of 127.0.0.1, and what speaks to it: a utility in the hub, VENs over HTTP."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
import msgspec

from flexhub.app.config import Config, StoreSection, parse
from flexhub.app.hub.contract import Message
from flexhub.app.hub.loop import Hub
from flexhub.app.openadr.vtn.handlers import SERVICE_OF
from flexhub.app.serving import utc_now
from flexhub.app.wiring import Running, running
from flexhub.core.documents import encode
from flexhub.core.registry import Role
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.codec import OadrCodec
from flexhub.protocols.openadr2b.elements import Message as Wire
from flexhub.protocols.openadr2b.names import ProfileName, SignalType, TransportName
from flexhub.protocols.openadr2b.session.state import EventSpec, Signal, SignalInterval

CODEC: Final = OadrCodec()
CONTEXT: Final = "http://utility.example/program"
NOW: Final = datetime(2026, 3, 28, 10, tzinfo=UTC)
SETTINGS: Final = """
[hub]
name = "vtn-hub"
roles = []
listen = "127.0.0.1:0"

[openadr.vtn]
listen = "127.0.0.1:0"
id = "VTN-1"
requests = 1000.0
requests_at_once = 2000.0
anyone = true
"""


class Clock:
    """A clock that is set."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def on(self, **more: float) -> None:
        """Let time pass."""
        self.now += timedelta(**more)


_NUMBERS: Final = itertools.count()


class Utility:
    """Says what a utility does, without HTTP."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def say(self, kind: str, body: object) -> Any:
        """One message."""
        answer = await self._hub.handle(
            Message(
                peer="utility",
                id=f"u{next(_NUMBERS)}",
                kind=kind,
                conversation="openadr events",
                body=encode(body),
                role=Role.ADMIN,
            )
        )
        return msgspec.json.decode(answer.body)


def draft(start: datetime, *, minutes: int = 60, level: float = 1, **more: Any) -> EventSpec:
    """An event of SIMPLE."""
    lasts = f"PT{minutes}M" if minutes else "PT0S"
    interval = SignalInterval(duration=lasts, value=level)
    signal = Signal(signal_name="SIMPLE", signal_type=SignalType.LEVEL, intervals=(interval,))
    fields: dict[str, Any] = {"market_context": CONTEXT, "dtstart": start, "duration": lasts, "signals": (signal,)}
    return EventSpec(**fields | more)


class Ven:
    """Speaks for a VEN over HTTP."""

    def __init__(self, session: aiohttp.ClientSession, url: str, ven_id: str | None = None) -> None:
        self._session = session
        self._url = url
        self.ven_id = ven_id or ""
        self.registration_id: str | None = None

    async def post(self, service: str, body: bytes, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        """One request."""
        told = {"Content-Type": "application/xml"} | {k.replace("_", "-"): v for k, v in headers.items()}
        url = f"{self._url}/OpenADR2/Simple/2.0b/{service}"
        async with self._session.post(url, data=body, headers=told) as response:
            return response.status, await response.read(), dict(response.headers)

    async def say(self, message: Wire) -> Any:
        """One message, and its answer."""
        service = SERVICE_OF.get(type(message), "EiEvent")
        status, body, _ = await self.post(service, CODEC.encode(message))
        assert status == 200, body
        return CODEC.decode(body)

    async def register(self, **more: Any) -> Self:
        """As a VEN that polls."""
        answer = await self.say(registering(**{"ven_id": self.ven_id or None} | more))
        assert answer.ei_response.response_code == "200", answer.ei_response
        self.ven_id, self.registration_id = answer.ven_id, answer.registration_id
        return self

    async def poll(self) -> Any:
        """A poll."""
        return await self.say(wire.OadrPoll(ven_id=self.ven_id))


def registering(**more: Any) -> wire.OadrCreatePartyRegistration:
    """An oadrCreatePartyRegistration."""
    fields: dict[str, Any] = {
        "request_id": "r1",
        "oadr_profile_name": ProfileName.B,
        "oadr_transport_name": TransportName.SIMPLE_HTTP,
        "oadr_report_only": False,
        "oadr_xml_signature": False,
        "oadr_ven_name": "ven",
        "oadr_http_pull_model": True,
    }
    return wire.OadrCreatePartyRegistration(**fields | more)


class Stage:
    """A hub at work, its utility, and as many VENs as are wanted."""

    def __init__(self, hub: Running, session: aiohttp.ClientSession) -> None:
        self.running = hub
        self.hub = hub.hub
        self.url = hub.vtn_url or ""
        self.utility = Utility(hub.hub)
        self.session = session

    def ven(self, ven_id: str | None = None) -> Ven:
        """Another VEN, not registered yet."""
        return Ven(self.session, self.url, ven_id)

    async def until(self, true: Callable[[], Awaitable[bool]]) -> None:
        """Ask again until it is so; the test's time limit ends a wait for ever."""
        while not await true():
            pass

    async def told(self) -> None:
        """Wait until polls are answered by all that was said until now."""
        assert self.running.vtn is not None
        await self.running.vtn.board.caught_up(self.hub.store)


def config(folder: Path, more: str = "", settings: str = SETTINGS) -> Config:
    """The hub's configuration, with a store in a folder."""
    found = parse(settings + more)
    return msgspec.structs.replace(found, store=StoreSection(url=f"sqlite:///{folder / 'vtn.db'}"))


@asynccontextmanager
async def stage(
    folder: Path,
    *,
    clock: Callable[[], datetime] = utc_now,
    more: str = "",
    settings: str = SETTINGS,
    store: str | None = None,
) -> AsyncIterator[Stage]:
    """A hub with a program, for as long as the block lasts; its store is in the folder, unless told."""
    told = config(folder, more, settings)
    if store is not None:
        told = msgspec.structs.replace(told, store=StoreSection(url=store))
    async with (
        running(told, clock=clock, timers=False) as hub,
        aiohttp.ClientSession() as session,
    ):
        found = Stage(hub, session)
        await found.utility.say("vtn.program.put", {"market_context": CONTEXT})
        yield found
