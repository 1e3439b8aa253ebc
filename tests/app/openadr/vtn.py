"""A VTN on 127.0.0.1 that says what a test gives it, and keeps what it was told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any, Final, ParamSpec

from aiohttp import web

from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.codec import OadrCodec
from flexhub.protocols.openadr2b.elements import EiResponse, Message, OadrEvent, OadrProfile
from flexhub.protocols.openadr2b.names import ProfileName, ServiceName, TransportName
from flexhub.protocols.openadr2b.rules import findings

CODEC: Final = OadrCodec()
PREFIX: Final = "/OpenADR2/Simple/2.0b"
OK: Final = EiResponse(response_code="200", response_description="OK", request_id="")


class Vtn:
    """What a VEN talks to: `queue` is handed out poll by poll, `events` are those that it asks for.

    Every message that comes has to be sound; `heard` has them in order, without polls.
    """

    def __init__(self) -> None:
        self.queue: list[Message] = []
        self.events: list[OadrEvent] = []
        self.heard: list[Message] = []
        self.polls = 0
        self.status = 200
        self.replies: dict[type[Message], Callable[[Any], Message]] = {}
        self.url = ""

    def tell(self, *events: OadrEvent) -> None:
        """These are all events now, and the next poll says so."""
        self.events = list(events)
        self.queue.append(self.distribute())

    def distribute(self, response: EiResponse | None = None) -> wire.OadrDistributeEvent:
        """All events."""
        return wire.OadrDistributeEvent(
            schema_version="2.0b",
            ei_response=response,
            request_id=f"d-{len(self.heard)}",
            vtn_id="vtn-1",
            oadr_events=tuple(self.events),
        )

    def of(self, kind: type[Message]) -> list[Any]:
        """What was heard of a kind."""
        return [message for message in self.heard if isinstance(message, kind)]

    def answer(self, message: Message) -> Message:  # noqa: PLR0911 - an answer to each kind
        """What is said to a message."""
        if type(message) in self.replies:
            return self.replies[type(message)](message)
        if isinstance(message, wire.OadrQueryRegistration | wire.OadrCreatePartyRegistration):
            registered = isinstance(message, wire.OadrCreatePartyRegistration)
            return wire.OadrCreatedPartyRegistration(
                schema_version="2.0b",
                ei_response=EiResponse(response_code="200", request_id=message.request_id),
                registration_id="reg-1" if registered else None,
                ven_id="ven-1" if registered else None,
                vtn_id="vtn-1",
                oadr_profiles=(
                    OadrProfile(oadr_profile_name=ProfileName.B, oadr_transports=(TransportName.SIMPLE_HTTP,)),
                ),
                oadr_requested_oadr_poll_freq="PT10S",
            )
        if isinstance(message, wire.OadrPoll):
            self.polls += 1
            return self.queue.pop(0) if self.queue else wire.OadrResponse(ei_response=OK)
        if isinstance(message, wire.OadrRequestEvent):
            asked = message.ei_request_event.request_id
            return self.distribute(EiResponse(response_code="200", request_id=asked))
        if isinstance(message, wire.OadrRegisterReport):
            return wire.OadrRegisteredReport(
                ei_response=EiResponse(response_code="200", request_id=message.request_id), ven_id="ven-1"
            )
        if isinstance(message, wire.OadrUpdateReport):
            return wire.OadrUpdatedReport(
                ei_response=EiResponse(response_code="200", request_id=message.request_id), ven_id="ven-1"
            )
        if isinstance(message, wire.OadrCreateOpt):
            return wire.OadrCreatedOpt(ei_response=OK, opt_id=message.opt_id)
        return wire.OadrResponse(ei_response=OK, ven_id="ven-1")

    async def post(self, request: web.Request) -> web.Response:
        """One request."""
        if self.status != 200:
            return web.Response(status=self.status)
        message = CODEC.decode(await request.read())
        assert findings(message) == []
        if not isinstance(message, wire.OadrPoll):
            self.heard.append(message)
        return web.Response(body=CODEC.encode(self.answer(message)), content_type="application/xml")


P = ParamSpec("P")


def ran(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """A test that waits, as one that pytest runs."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


@asynccontextmanager
async def serving(vtn: Vtn) -> AsyncIterator[Vtn]:
    """The VTN, for as long as the block lasts."""
    app = web.Application()
    for service in ServiceName:
        app.router.add_post(f"{PREFIX}/{service}", vtn.post)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    vtn.url = f"http://127.0.0.1:{runner.addresses[0][1]}{PREFIX}"
    try:
        yield vtn
    finally:
        await runner.cleanup()
