"""The target: somebody's VTN, to which the suite speaks as VENs, and the utility behind it, if it can be prompted."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from copy import copy
from datetime import datetime
from typing import Any, Final, Protocol, Self

from flexhub.conformance.exchange import Whole
from flexhub.conformance.suite import NotJudged
from flexhub.core.errors import FlexhubError
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.codec import OadrCodec
from flexhub.protocols.openadr2b.elements import Message
from flexhub.protocols.openadr2b.messages import SERVICES
from flexhub.protocols.openadr2b.names import ProfileName, SignalType, TransportName
from flexhub.protocols.openadr2b.protocol import PROTOCOL
from flexhub.protocols.openadr2b.rules import element
from flexhub.protocols.openadr2b.session.state import EventSpec, Signal, SignalInterval, Target

HEADERS: Final = {"Content-Type": "application/xml"}
SERVICE_OF: Final = {kind: str(service) for service, kinds in SERVICES.items() for kind in kinds}
WRITER: Final = OadrCodec(check=False)


class Net(Protocol):
    """The way to the target, and the time."""

    def now(self) -> datetime:
        """What time it is."""

    async def request(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Whole:
        """One request; paths are below ``/OpenADR2/Simple/2.0b/``."""


class Utility(Protocol):
    """The utility behind the target. What it cannot be made to do is not judged.

    Raises:
        NotJudged: as above.
    """

    context: str
    """A market context that it has; what is appended to it is one, too."""

    async def allocate(self, ven_id: str) -> None:
        """A venID is allocated."""

    async def event(self, draft: EventSpec) -> str:
        """An event is made; its id."""

    async def change(self, event_id: str, draft: EventSpec) -> None:
        """It is changed."""

    async def cancel(self, event_id: str) -> None:
        """It is cancelled."""

    async def report(self, ven_id: str, specifier: str, r_id: str, *, once: bool) -> str:
        """A report is asked for; its reportRequestID."""

    async def opt(self, event_id: str, ven_id: str) -> str | None:
        """What a VEN has answered to an event."""


class Helpless:
    """The utility behind a target of which nothing but the address is known."""

    context = "http://conformance.example/"

    async def _not(self) -> Any:  # noqa: ANN401 - it returns nothing
        raise NotJudged("the utility behind the target cannot be prompted")

    async def allocate(self, ven_id: str) -> None:  # noqa: ARG002 - as the protocol has it
        """Not judged."""
        await self._not()

    async def event(self, draft: EventSpec) -> str:  # noqa: ARG002 - as above
        """Not judged."""
        return str(await self._not())

    async def change(self, event_id: str, draft: EventSpec) -> None:  # noqa: ARG002 - as above
        """Not judged."""
        await self._not()

    async def cancel(self, event_id: str) -> None:  # noqa: ARG002 - as above
        """Not judged."""
        await self._not()

    async def report(self, ven_id: str, specifier: str, r_id: str, *, once: bool) -> str:  # noqa: ARG002 - as above
        """Not judged."""
        return str(await self._not())

    async def opt(self, event_id: str, ven_id: str) -> str | None:  # noqa: ARG002 - as above
        """Not judged."""
        return str(await self._not())


class UnexpectedError(Exception):
    """Something else came than a payload of the expected kind."""


def said(message: Message) -> str:
    """An answer in a line."""
    told = getattr(message, "ei_response", None)
    if told is None:
        return element(message)
    return f"{element(message)} {told.response_code} {told.response_description or ''}".rstrip()


class Ven:
    """One VEN that the suite is."""

    def __init__(self, x: Vtn, name: str) -> None:
        self._x = x
        self.name = name
        self.ven_id = ""
        self.registration_id = ""

    async def say(self, message: Message) -> Any:  # noqa: ANN401 - whichever message answers
        """One message, and its answer.

        Raises:
            UnexpectedError: no payload.
        """
        return await self._x.say(message)

    async def register(self, ven_id: str | None = None, **more: Any) -> Any:  # noqa: ANN401 - fields of the message
        """Register; the answer.

        Raises:
            UnexpectedError: it was refused.
        """
        answer = await self.say(registering(self._x.new_id("r"), name=self.name, ven_id=ven_id, **more))
        if not isinstance(answer, wire.OadrCreatedPartyRegistration) or not ok(answer) or not answer.ven_id:
            raise UnexpectedError(said(answer))
        self.ven_id, self.registration_id = answer.ven_id, answer.registration_id or ""
        return answer

    async def poll(self) -> Any:  # noqa: ANN401 - whichever message waits
        """A poll, and what waits."""
        return await self.say(wire.OadrPoll(schema_version=wire.VERSION, ven_id=self.ven_id))

    async def ask(self, limit: int | None = None) -> Any:  # noqa: ANN401 - whichever message answers
        """An oadrRequestEvent, and its answer."""
        asked = wire.EiRequestEvent(request_id=self._x.new_id("q"), ven_id=self.ven_id, reply_limit=limit)
        return await self.say(wire.OadrRequestEvent(schema_version=wire.VERSION, ei_request_event=asked))

    async def events(self, limit: int | None = None) -> tuple[Any, ...]:
        """All events, by oadrRequestEvent; none, too, where an oadrResponse says that all is well.

        Raises:
            UnexpectedError: the answer is of another kind.
        """
        answer = await self.ask(limit)
        if isinstance(answer, wire.OadrResponse) and ok(answer):
            return ()
        if not isinstance(answer, wire.OadrDistributeEvent):
            raise UnexpectedError(said(answer))
        return tuple(one.ei_event for one in answer.oadr_events)

    async def event(self, event_id: str) -> Any:  # noqa: ANN401 - an EiEvent
        """One of them; None where it is not among them."""
        found = (one for one in await self.events() if one.event_descriptor.event_id == event_id)
        return next(found, None)


def ok(answer: Any) -> bool:  # noqa: ANN401 - a message
    """Whether an answer says that all is well."""
    told = getattr(answer, "ei_response", None)
    return told is None or told.response_code.startswith("2")


def registering(request_id: str, *, name: str = "conformance", **more: Any) -> wire.OadrCreatePartyRegistration:  # noqa: ANN401 - its fields
    """An oadrCreatePartyRegistration of a VEN that polls."""
    fields: dict[str, Any] = {
        "schema_version": wire.VERSION,
        "request_id": request_id,
        "oadr_profile_name": ProfileName.B,
        "oadr_transport_name": TransportName.SIMPLE_HTTP,
        "oadr_report_only": False,
        "oadr_xml_signature": False,
        "oadr_ven_name": name,
        "oadr_http_pull_model": True,
    }
    return wire.OadrCreatePartyRegistration(**fields | more)


class Vtn:
    """The target.

    Args:
        net: the way to it.
        utility: who is behind it.
        run: a name that no earlier run has used.
        switch: switches rules of our own off; nothing else can.
    """

    def __init__(
        self, net: Net, utility: Utility, run: str, *, switch: Callable[[Iterable[str]], None] | None = None
    ) -> None:
        self.net = net
        self.utility = utility
        self.run = run
        self.off: frozenset[str] = frozenset()
        self._switch = switch
        self._codec = PROTOCOL.codec
        self._numbers = itertools.count()

    def over(self, *, net: Net | None = None, off: Iterable[str] = ()) -> Self:
        """The same target over another net, or with rules switched off."""
        other = copy(self)
        other.net = net or self.net
        other.off = frozenset(off)
        return other

    def new_id(self, word: str) -> str:
        """An id that was not used before."""
        return f"{word}-{self.run}-{next(self._numbers)}"

    def ven(self, name: str) -> Ven:
        """A VEN that is not registered yet."""
        return Ven(self, name)

    async def registered(self, name: str) -> Ven:
        """One that is.

        Raises:
            NotJudged: the target does not register whom it does not know, and nobody can allocate a venID.
            UnexpectedError: it was refused.
        """
        ven = self.ven(name)
        ven_id = self.new_id("ven")
        try:
            await self.utility.allocate(ven_id)
        except NotJudged:
            await ven.register()
        else:
            await ven.register(ven_id)
        return ven

    async def post(
        self, service: str, body: bytes, *, method: str = "POST", headers: dict[str, str] | None = None
    ) -> Whole:
        """One request."""
        if self._switch is not None:
            self._switch(self.off)
        return await self.net.request(method, service, HEADERS if headers is None else headers, body)

    async def say(self, message: Message) -> Any:  # noqa: ANN401 - whichever message answers
        """One message, and its answer.

        Raises:
            UnexpectedError: no payload.
        """
        service = SERVICE_OF.get(type(message), "EiEvent")
        status, _, body = await self.post(service, WRITER.encode(message))
        if status != 200:
            raise UnexpectedError(f"HTTP {status} {body[:200].decode(errors='replace')}")
        try:
            return self._codec.decode(body)
        except FlexhubError as error:
            raise UnexpectedError(f"what cannot be read: {error}") from error

    def draft(self, comment: str, ven_ids: tuple[str, ...], start: datetime, **more: Any) -> EventSpec:  # noqa: ANN401 - its fields
        """An event of SIMPLE, in a market context of its own."""
        lasts = more.pop("lasts", "PT1H")
        value = more.pop("value", 1.0)
        interval = SignalInterval(duration=lasts, value=value)
        fields: dict[str, Any] = {
            "market_context": f"{self.utility.context}{self.new_id('p')}",
            "dtstart": start.replace(microsecond=0),
            "duration": lasts,
            "signals": (Signal(signal_name="SIMPLE", signal_type=SignalType.LEVEL, intervals=(interval,)),),
            "target": Target(ven_ids=ven_ids),
            "vtn_comment": comment,
        }
        return EventSpec(**fields | more)
