"""Our VEN against openleadr's VTN: registration, events with their opts, modification, cancellation, and reports."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from flexhub.app.hub.contract import Message
from flexhub.app.openadr.ven.papers import OpenadrVen
from flexhub.app.serving import utc_now
from flexhub.app.wiring import Running, running
from flexhub.core.documents import encode
from flexhub.core.registry import Role
from flexhub.core.timegrid import ceil_to_grid, floor_to_grid
from flexhub.core.timeseries import Measurement
from flexhub.core.trading import FlexRequest
from tests.app.market import Clock
from tests.app.openadr.test_ven import config
from tests.app.openadr.vtn import ran
from tests.ports import free_port

VEN = "ven-42"
"""Not 0042, which the peer reads as a number and then does not know."""
MARKET = "http://market.example/dispatch"
QUARTER = timedelta(minutes=15)
NOW = datetime.now(UTC)
SOON = ceil_to_grid(NOW + timedelta(hours=1), 900)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The peer tells of all that it does."""
    logger = logging.getLogger("openleadr")
    before, logger.level = logger.level, logging.ERROR
    yield
    logger.setLevel(before)


class There:
    """openleadr's VTN, what its handlers heard, and our hub."""

    def __init__(self, server: Any, hub: Running) -> None:
        self.server = server
        self.hub = hub
        self.opted: list[tuple[str, str]] = []
        self.reported: list[Any] = []
        self.heard = asyncio.Event()

    async def round(self) -> None:
        """One of our rounds, until all of it is worked."""
        await self.hub.vens["utility"].round()
        await self.hub.hub.settled()
        await self.hub.hub.sent()

    async def add(self, name: str, kind: str, *values: float, **more: Any) -> str:
        """An event for us, quarter by quarter."""

        async def heard(ven_id: str, event_id: str, opt_type: str) -> None:
            assert ven_id == VEN
            self.opted.append((event_id, opt_type))

        intervals = [
            {"dtstart": SOON + i * QUARTER, "duration": QUARTER, "signal_payload": value}
            for i, value in enumerate(values)
        ]
        event_id: str = self.server.add_event(
            ven_id=VEN, signal_name=name, signal_type=kind, intervals=intervals, market_context=MARKET,
            callback=heard, **more,
        )  # fmt: skip
        return event_id

    async def binding(self) -> list[FlexRequest]:
        """Requests that bind plans now."""
        page = await self.hub.hub.documents(FlexRequest, states=("",))
        return [r for r in page.items if r.expires > datetime.now(UTC)]


@asynccontextmanager
async def there(folder: Path, more: str = 'opt = "in"', clock: Clock | None = None) -> AsyncIterator[There]:
    """Both, on 127.0.0.1."""
    module: Any = import_module("openleadr")
    port = free_port()

    async def lookup(ven_id: str) -> dict[str, str]:
        return {"ven_id": ven_id, "registration_id": "reg-7", "fingerprint": ""}

    server = module.OpenADRServer(
        vtn_id="vtn-7", http_port=port, http_host="127.0.0.1", ven_lookup=lookup,
        requested_poll_freq=timedelta(seconds=30),
    )  # fmt: skip
    registrations: list[Any] = []

    async def register(info: Any) -> tuple[str, str]:
        registrations.append(info)
        return VEN, "reg-7"

    server.add_handler("on_create_party_registration", register)
    reported: list[Any] = []
    heard = asyncio.Event()

    async def offered(ven_id: str, resource_id: str, measurement: str, unit: str, scale: str,  # noqa: PLR0917 - the peer's signature
                      min_sampling_interval: timedelta, max_sampling_interval: timedelta) -> Any:  # fmt: skip
        del ven_id, resource_id, measurement, unit, scale, max_sampling_interval

        async def told(data: Any) -> None:
            reported.append(data)
            heard.set()

        return told, min_sampling_interval

    server.add_handler("on_register_report", offered)
    vtn = type("Address", (), {"url": f"http://127.0.0.1:{port}/OpenADR2/Simple/2.0b"})()
    await server.run_async()
    try:
        async with running(config(vtn, folder, more), clock=clock or utc_now, timers=False) as hub:
            found = There(server, hub)
            found.reported, found.heard = reported, heard
            yield found
    finally:
        await server.stop()


@ran
async def test_it_registers_under_the_id_that_it_is_given(tmp_path: Path) -> None:
    async with there(tmp_path) as x:
        await x.round()
        kept = await x.hub.hub.get(OpenadrVen, "utility")
        assert kept is not None
        assert (kept.state.ven_id, kept.state.registration_id, kept.state.poll_s) == (VEN, "reg-7", 30)


@ran
async def test_events_are_opted_into_and_become_requests_and_tariffs(tmp_path: Path) -> None:
    async with there(tmp_path) as x:
        await x.round()
        level = await x.add("SIMPLE", "level", 1.0, 2.0)
        await x.round()
        assert x.opted == [(level, "optIn")]
        (request,) = await x.binding()
        assert request.start == SOON
        assert [i.hi_kwh for i in request.intervals] == [-1.0, -2.0]
        x.server.cancel_event(VEN, level)
        await x.round()
        assert await x.binding() == []
        assert x.server.events[VEN] == [], "the peer takes our acknowledgement of the cancellation"


@ran
async def test_a_modified_event_replaces_its_request_and_one_that_is_gone_ends_it(tmp_path: Path) -> None:
    async with there(tmp_path) as x:
        await x.round()
        name = await x.add("SIMPLE", "level", 1.0)
        await x.round()
        (told,) = x.server.events[VEN]
        told.event_signals[0].intervals[0]["signal_payload"] = 3.0
        told.event_descriptor.modification_number += 1
        x.server.events_updated[VEN] = True
        await x.round()
        (request,) = await x.binding()
        assert (request.revision, [i.hi_kwh for i in request.intervals]) == (1, [-4.0])
        other = await x.add("SIMPLE", "level", 2.0)
        x.server.events[VEN].remove(told)
        await x.round()
        assert [r.extras["event_id"] for r in await x.binding()] == [other]
        assert name != other


@ran
async def test_what_cannot_be_followed_is_opted_out_of(tmp_path: Path) -> None:
    async with there(tmp_path) as x:
        await x.round()
        name = await x.add("LOAD_DISPATCH", "multiplier", 0.5)
        await x.round()
        assert x.opted == [(name, "optOut")]
        assert await x.binding() == []


@ran
async def test_reports_that_it_asks_for_arrive(tmp_path: Path) -> None:
    report = 'opt = "in"\n[[openadr.ven.report]]\nsubject = "home"\n'
    clock = Clock(NOW)
    async with there(tmp_path, report, clock) as x:
        taken = Measurement(subject="home", start=floor_to_grid(NOW, 900), values_kwh=(1.5,) * 8)
        await x.hub.hub.handle(
            Message(
                peer="anna",
                id="m-1",
                kind="measurement.post",
                conversation="anna",
                body=encode(taken),
                role=Role.PROSUMER,
            )
        )
        await x.round()
        kept = await x.hub.hub.get(OpenadrVen, "utility")
        assert kept is not None
        assert kept.state.reported
        wanted = {w.request.report_specifier.report_specifier_id: w for w in kept.state.wanted.values()}["telemetry"]
        assert wanted.every_s == 900, "the peer asks for telemetry every quarter-hour"
        clock.now = wanted.due
        await x.hub.hub.tick()
        async with asyncio.timeout(20):
            await x.heard.wait()  # a report of status makes the peer fail, which holds up nothing
        ((moment, value),) = x.reported[0]
        assert value == 1.5
        assert moment == floor_to_grid(NOW, 900)
