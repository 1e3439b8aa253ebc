"""openleadr's VTN on a free port of 127.0.0.1, and the utility behind it, as far as it has one."""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib import import_module
from typing import Any

from flexhub.conformance.openadr.target import Helpless
from flexhub.protocols.openadr2b.session.events import seconds
from flexhub.protocols.openadr2b.session.state import EventSpec
from tests.ports import free_port

server: Any = import_module("openleadr.server")  # by name, since it has no types


class Leadr(Helpless):
    """The utility: it makes and cancels events of one VEN, and changes none; it asks for reports when they register."""

    def __init__(self, vtn: Any) -> None:
        self.vtn = vtn
        self.allocated: set[str] = set()
        self.whose: dict[str, str] = {}
        self.opts: dict[str, str] = {}
        self.numbers = itertools.count()

    async def register(self, told: Any) -> tuple[str, str]:
        """The handler of its registrations; it is told of what it took for numbers as numbers."""
        ven_id = str(told["ven_id"]) if told.get("ven_id") else f"assigned-{next(self.numbers)}"
        return ven_id, f"registration-{next(self.numbers)}"

    async def allocate(self, ven_id: str) -> None:
        """It asks nobody."""
        self.allocated.add(ven_id)

    async def event(self, draft: EventSpec) -> str:
        """An event is made."""
        event_id = f"event-{next(self.numbers)}"
        (ven_id,) = draft.target.ven_ids
        (signal,) = draft.signals
        at, intervals = draft.dtstart, []
        for one in signal.intervals:
            length = timedelta(seconds=seconds(one.duration))
            intervals.append({"dtstart": at, "duration": length, "signal_payload": one.value})
            at += length

        async def answered(ven_id: str, event_id: str, opt_type: str) -> None:  # noqa: ARG001 - it looks at the names
            self.opts[event_id] = opt_type

        self.vtn.add_event(
            ven_id=ven_id,
            signal_name=signal.signal_name,
            signal_type=str(signal.signal_type),
            intervals=intervals,
            callback=answered,
            event_id=event_id,
            market_context=draft.market_context,
            response_required=str(draft.response_required),
        )
        self.whose[event_id] = ven_id
        return event_id

    async def cancel(self, event_id: str) -> None:
        """It is cancelled."""
        self.vtn.cancel_event(self.whose[event_id], event_id)

    async def opt(self, event_id: str, ven_id: str) -> str | None:  # noqa: ARG002 - as the protocol has it
        """What a VEN has answered."""
        return self.opts.get(event_id)


@asynccontextmanager
async def openleadr() -> AsyncIterator[tuple[str, Leadr]]:
    """Its address, and its utility, for as long as the block lasts."""
    port = free_port()
    with contextlib.redirect_stdout(io.StringIO()):  # it says hello
        vtn = server.OpenADRServer(
            vtn_id="VTN-1", http_host="127.0.0.1", http_port=port, requested_poll_freq=timedelta(seconds=10)
        )
        utility = Leadr(vtn)
        vtn.add_handler("on_create_party_registration", utility.register)
        await vtn.run()
    try:
        yield f"http://127.0.0.1:{port}", utility
    finally:
        await vtn.stop()
        await asyncio.sleep(0)
