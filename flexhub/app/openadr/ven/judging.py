"""A VTN that a VEN polls, for those that judge or test one: it registers whoever comes, and says what it is given."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from http import HTTPStatus
from typing import Final

from aiohttp import web

from flexhub.app.openadr.simple_http import MEDIA_TYPE, PREFIX
from flexhub.core.errors import FlexhubError, UnavailableError
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.codec import OadrCodec
from flexhub.protocols.openadr2b.elements import EiResponse, Message, OadrEvent, OadrProfile
from flexhub.protocols.openadr2b.names import ProfileName, ServiceName, TransportName
from flexhub.protocols.openadr2b.schema import installed

PATIENCE_S: Final = 20.0
"""So long a VEN may take from one poll to the next."""


class Counter:
    """The VTN's side of the counter: `queue` is handed out poll by poll, `events` are those that there are.

    `heard` has all that came, in order, without polls. What comes that is no message is refused (400), and kept as
    the error that it is.
    """

    def __init__(self, *, poll: str = "PT1S") -> None:
        self.vtn_id = "conformance-vtn"
        self.ven_id = "conformance-ven"
        self.registration_id = "conformance-registration"
        self.queue: list[Message] = []
        self.events: tuple[OadrEvent, ...] = ()
        self.heard: list[Message] = []
        self.errors: list[FlexhubError] = []
        self.polls = 0
        self.polled = asyncio.Condition()
        self._poll = poll
        self._codec = OadrCodec(check=installed())

    def distribute(self, asked: str) -> wire.OadrDistributeEvent:
        """All events, for who asks for them."""
        return wire.OadrDistributeEvent(
            schema_version=wire.VERSION,
            ei_response=_fine(asked),
            request_id=f"sync-{len(self.heard)}",
            vtn_id=self.vtn_id,
            oadr_events=self.events,
        )

    def answer(self, message: Message) -> Message:  # noqa: PLR0911 - an answer to each kind
        """What is said to a message."""
        match message:
            case wire.OadrQueryRegistration():
                return self._created(message.request_id, None, None)
            case wire.OadrCreatePartyRegistration():
                return self._created(message.request_id, self.registration_id, self.ven_id)
            case wire.OadrPoll() if self.queue:
                return self.queue.pop(0)
            case wire.OadrRequestEvent():
                return self.distribute(message.ei_request_event.request_id)
            case wire.OadrRegisterReport():
                return wire.OadrRegisteredReport(
                    schema_version=wire.VERSION, ei_response=_fine(message.request_id), ven_id=self.ven_id
                )
            case wire.OadrUpdateReport():
                return wire.OadrUpdatedReport(
                    schema_version=wire.VERSION, ei_response=_fine(message.request_id), ven_id=self.ven_id
                )
            case wire.OadrCreateOpt():
                return wire.OadrCreatedOpt(
                    schema_version=wire.VERSION, ei_response=_fine(message.request_id), opt_id=message.opt_id
                )
            case _:
                return wire.OadrResponse(schema_version=wire.VERSION, ei_response=_fine(""), ven_id=self.ven_id)

    def _created(self, asked: str, registration: str | None, ven: str | None) -> wire.OadrCreatedPartyRegistration:
        profile = OadrProfile(oadr_profile_name=ProfileName.B, oadr_transports=(TransportName.SIMPLE_HTTP,))
        return wire.OadrCreatedPartyRegistration(
            schema_version=wire.VERSION,
            ei_response=_fine(asked),
            registration_id=registration,
            ven_id=ven,
            vtn_id=self.vtn_id,
            oadr_profiles=(profile,),
            oadr_requested_oadr_poll_freq=self._poll,
        )

    async def post(self, request: web.Request) -> web.Response:
        """One request of the VEN."""
        try:
            message = self._codec.decode(await request.read())
        except FlexhubError as error:
            self.errors.append(error)
            return web.Response(status=HTTPStatus.BAD_REQUEST, text=f"{error}\n")
        if not isinstance(message, wire.OadrPoll):
            self.heard.append(message)
        answer = self.answer(message)
        if isinstance(message, wire.OadrPoll):
            async with self.polled:
                self.polls += 1
                self.polled.notify_all()
        return web.Response(body=self._codec.encode(answer), content_type=MEDIA_TYPE)


def _fine(request_id: str) -> EiResponse:
    return EiResponse(response_code="200", response_description="OK", request_id=request_id)


@asynccontextmanager
async def serving(
    counter: Counter, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """The counter, for as long as the block lasts; what comes out is what the paths of its services begin with."""
    app = web.Application()
    for service in ServiceName:
        app.router.add_post(f"{PREFIX}/{service}", counter.post)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, ssl_context=tls).start()
        bound = runner.addresses[0]
        yield f"{'http' if tls is None else 'https'}://{bound[0]}:{bound[1]}{PREFIX}"
    finally:
        await runner.cleanup()


class Judge:
    """A `Line` of the suite: a counter, and what is known of the VEN besides.

    Args:
        counter: where the VEN polls.
        market: the market context that it takes events of.
        clock: what time it is.
        nudge: has the VEN poll until there is nothing for it; None: it does so by itself.
        seen: the eventIDs that it follows; None: nobody can tell.
        switched: has it keep no longer to some rules.
    """

    def __init__(  # noqa: PLR0913 - the parts it is composed of
        self,
        counter: Counter,
        market: str,
        clock: Callable[[], datetime],
        *,
        nudge: Callable[[], Awaitable[None]] | None = None,
        seen: Callable[[], Awaitable[set[str]]] | None = None,
        switched: Callable[[Iterable[str]], None] | None = None,
    ) -> None:
        self.market = market
        self._counter = counter
        self._clock = clock
        self._nudge = nudge
        self._seen = seen
        self._switched = switched

    @property
    def vtn_id(self) -> str:
        """The VTN's."""
        return self._counter.vtn_id

    @property
    def ven_id(self) -> str:
        """The VEN's."""
        return self._counter.ven_id

    def now(self) -> datetime:
        """What time it is."""
        return self._clock()

    def everything(self) -> tuple[Message, ...]:
        """All that the VEN ever said."""
        return tuple(self._counter.heard)

    async def exchange(self, message: Message, events: tuple[OadrEvent, ...] | None) -> list[Message]:
        """Say something at the next poll, and hear what is said until the one after that.

        Raises:
            UnavailableError: the VEN does not poll.
        """
        if events is not None:
            self._counter.events = events
        before = len(self._counter.heard)
        self._counter.queue.append(message)
        if self._nudge is not None:
            await self._nudge()
            return self._counter.heard[before:]
        try:
            async with asyncio.timeout(PATIENCE_S), self._counter.polled:
                await self._counter.polled.wait_for(lambda: not self._counter.queue)
                at = self._counter.polls
                await self._counter.polled.wait_for(lambda: self._counter.polls > at)
        except TimeoutError:
            raise UnavailableError(f"the VEN did not poll within {PATIENCE_S:g} s") from None
        return self._counter.heard[before:]

    async def following(self) -> set[str] | None:
        """EventIDs that the VEN follows."""
        return None if self._seen is None else await self._seen()

    def switch(self, off: Iterable[str]) -> None:
        """Have it keep no longer to these rules."""
        if self._switched is not None:
            self._switched(off)
