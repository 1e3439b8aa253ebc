"""What the suite ``openadr2b-vtn`` is handed: the way to a VTN, and the utility behind it; or a hub of our own."""

from __future__ import annotations

import itertools
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from flexhub.adapters.http.client import whole
from flexhub.app import config, wiring
from flexhub.app.hub.contract import Message
from flexhub.app.hub.loop import Hub
from flexhub.app.openadr.sections import OpenadrSection, VtnSection
from flexhub.app.openadr.simple_http import PREFIX
from flexhub.app.openadr.vtn.utility import EVENTS
from flexhub.app.serving import utc_now
from flexhub.conformance.exchange import Whole
from flexhub.conformance.openadr.target import Helpless, Utility, Vtn
from flexhub.core.documents import encode
from flexhub.core.registry import Role
from flexhub.protocols.openadr2b.session.state import EventSpec, VtnAnswer

TIMEOUT_S: Final = 30.0


class Net:
    """The way to a target over HTTP, by the machine's clock."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url.rstrip("/").removesuffix(PREFIX)

    def now(self) -> datetime:
        """What time it is."""
        return utc_now()

    async def request(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Whole:
        """One request.

        Raises:
            aiohttp.ClientError, TimeoutError: no answer came.
        """
        async with self._session.request(
            method, f"{self._url}{PREFIX}/{path}", headers=headers, data=body, allow_redirects=False
        ) as response:
            return await whole(response)


class OwnUtility:
    """The utility of a hub of our own, in the same process."""

    context = "http://conformance.example/"

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._numbers = itertools.count()

    async def _say(self, kind: str, body: object) -> Any:  # noqa: ANN401 - JSON
        message = Message(
            peer="flexhub:conformance",
            id=f"{next(self._numbers)}",
            kind=kind,
            conversation=EVENTS,
            body=encode(body),
            role=Role.ADMIN,
        )
        return msgspec.json.decode((await self._hub.handle(message)).body)

    async def allocate(self, ven_id: str) -> None:
        """A venID is allocated."""
        await self._say("vtn.ven.put", {"id": ven_id, "ven": {}})

    async def event(self, draft: EventSpec) -> str:
        """An event is made."""
        await self._say("vtn.program.put", {"market_context": draft.market_context})
        found = await self._say("vtn.event.put", {"event": draft})
        return str(found["id"])

    async def change(self, event_id: str, draft: EventSpec) -> None:
        """It is changed."""
        await self._say("vtn.event.put", {"id": event_id, "event": draft})

    async def cancel(self, event_id: str) -> None:
        """It is cancelled."""
        await self._say("vtn.event.cancel", {"id": event_id})

    async def report(self, ven_id: str, specifier: str, r_id: str, *, once: bool) -> str:
        """A report is asked for."""
        back = "PT0S" if once else "PT1H"
        report = {"report_specifier_id": specifier, "r_ids": [r_id], "report_back_duration": back}
        found = await self._say("vtn.report.ask", {"ven_id": ven_id, "report": report})
        return str(found["report_request_id"])

    async def opt(self, event_id: str, ven_id: str) -> str | None:
        """What a VEN has answered."""
        found = await self._hub.get(VtnAnswer, f"{event_id}|{ven_id}")
        return None if found is None else str(found.opt)


@asynccontextmanager
async def connections() -> AsyncIterator[aiohttp.ClientSession]:
    """What requests go over."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session


@asynccontextmanager
async def given(url: str, utility: Utility | None = None) -> AsyncIterator[Callable[[], Vtn]]:
    """Somebody's VTN, at the address before ``/OpenADR2``."""
    async with connections() as session:
        yield lambda: Vtn(Net(session, url), utility or Helpless(), uuid.uuid4().hex[:10])


@asynccontextmanager
async def own() -> AsyncIterator[Callable[[], Vtn]]:
    """A hub of our own, whose rules can be switched off; every call makes the target of another run."""
    off: set[str] = set()

    def switch(rules: Iterable[str]) -> None:
        off.clear()
        off.update(rules)

    with tempfile.TemporaryDirectory(prefix="flexhub-") as folder:
        configured = config.Config(
            hub=config.HubSection(name="conformance-hub", listen="127.0.0.1:0", roles=()),
            store=config.StoreSection(url=f"sqlite:///{Path(folder) / 'hub.db'}"),
            limits=config.LimitsSection(failures=1e6, failures_at_once=1e6),
            pages=False,
            openadr=OpenadrSection(
                vtn=VtnSection(
                    listen="127.0.0.1:0", id="CONFORMANCE-VTN", anyone=True, requests=1e6, requests_at_once=1e6
                )
            ),
        )
        async with connections() as session, wiring.running(configured, off=off) as hub:
            net, utility = Net(session, hub.vtn_url or ""), OwnUtility(hub.hub)
            yield lambda: Vtn(net, utility, uuid.uuid4().hex[:10], switch=switch)
