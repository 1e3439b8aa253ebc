"""Targets that are wrong in one way: what goes over the net to a good one, bent, to see whether the suite notices."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import msgspec

from flexhub.conformance.exchange import Whole
from flexhub.conformance.openadr.target import WRITER, Net
from flexhub.conformance.openadr.vtn import WAY, XML
from flexhub.core.errors import FlexhubError
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.elements import EiResponse, Message
from flexhub.protocols.openadr2b.names import EventStatus, OptType

OK: Final = wire.OadrResponse(schema_version=wire.VERSION, ei_response=EiResponse(response_code="200", request_id=""))


class Lax:
    """A way on which some statuses of HTTP become 200."""

    def __init__(self, net: Net, lacking: frozenset[int]) -> None:
        self._net = net
        self._lacking = lacking
        self.now = net.now

    async def request(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Whole:
        """As `Net.request`."""
        status, answered, content = await self._net.request(method, path, headers, body)
        return 200 if status in self._lacking else status, answered, content


LACKING: Final = {WAY: frozenset((404, 405)), "OADR-053": frozenset((415,)), XML: frozenset((400, 411))}


class Bent:
    """A way on which messages are changed; those of other requirements pass as they are.

    Args:
        net: the way to a good target.
        before: changes what is said.
        after: changes what is answered, given what was said.
    """

    def __init__(
        self,
        net: Net,
        before: Callable[[Message], Message] = lambda message: message,
        after: Callable[[Message, Any], Any] = lambda _, answer: answer,
    ) -> None:
        self._net = net
        self._before = before
        self._after = after

    def now(self) -> datetime:
        """What time it is."""
        return self._net.now()

    async def request(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Whole:
        """As `Net.request`."""
        try:
            said = WRITER.decode(body)
        except FlexhubError:
            return await self._net.request(method, path, headers, body)
        changed = self._before(said)
        status, answered, content = await self._net.request(
            method, path, headers, body if changed is said else WRITER.encode(changed)
        )
        if status != 200:
            return status, answered, content
        answer = WRITER.decode(content)
        bent = self._after(said, answer)
        return status, answered, content if bent is answer else WRITER.encode(bent)


def _events(answer: Any, comment: str) -> list[Any]:  # noqa: ANN401 - a message
    """The events of an answer that were made for this requirement."""
    if not isinstance(answer, wire.OadrDistributeEvent):
        return []
    return [one for one in answer.oadr_events if one.ei_event.event_descriptor.vtn_comment == comment]


def _numbered(answer: Any, comment: str, number: int) -> Any:  # noqa: ANN401 - a message
    """The same, with another modificationNumber in events of this requirement."""
    if not _events(answer, comment):
        return answer
    events = []
    for one in answer.oadr_events:
        told = one.ei_event.event_descriptor
        if told.vtn_comment == comment:
            descriptor = msgspec.structs.replace(told, modification_number=number)
            one = msgspec.structs.replace(  # noqa: PLW2901 - the same, changed
                one, ei_event=msgspec.structs.replace(one.ei_event, event_descriptor=descriptor)
            )
        events.append(one)
    return msgspec.structs.replace(answer, oadr_events=tuple(events))


def refusing(net: Net) -> Net:
    """Says of the first message, a valid one, that it is refused."""
    told: list[Any] = []

    def after(_: Message, answer: Any) -> Any:  # noqa: ANN401 - a message
        response = getattr(answer, "ei_response", None)
        if told or response is None:
            return answer
        told.append(answer)
        return msgspec.structs.replace(answer, ei_response=msgspec.structs.replace(response, response_code="452"))

    return Bent(net, after=after)


def no_echo(net: Net) -> Net:
    """Answers to an oadrQueryRegistration name another requestID."""

    def after(said: Message, answer: Any) -> Any:  # noqa: ANN401 - a message
        if not isinstance(said, wire.OadrQueryRegistration):
            return answer
        response = msgspec.structs.replace(answer.ei_response, request_id="another")
        return msgspec.structs.replace(answer, ei_response=response)

    return Bent(net, after=after)


def guessing(net: Net) -> Net:
    """Takes a venID that begins with 0042 for a number."""

    def after(_: Message, answer: Any) -> Any:  # noqa: ANN401 - a message
        if isinstance(answer, wire.OadrCreatedPartyRegistration) and (answer.ven_id or "").startswith("0042"):
            return msgspec.structs.replace(answer, ven_id="42")
        return answer

    return Bent(net, after=after)


def numbering(comment: str, number: int) -> Callable[[Net], Net]:
    """Whatever happens, the modificationNumber is this."""
    return lambda net: Bent(net, after=lambda _, answer: _numbered(answer, comment, number))


def once(comment: str, *statuses: EventStatus) -> Callable[[Net], Net]:
    """Sends an event (in one of these states) at one poll only."""

    def bent(net: Net) -> Net:
        met: list[Any] = []

        def after(said: Message, answer: Any) -> Any:  # noqa: ANN401 - a message
            events = _events(answer, comment) if isinstance(said, wire.OadrPoll) else []
            if not any(not statuses or e.ei_event.event_descriptor.event_status in statuses for e in events):
                return answer
            met.append(answer)
            return answer if len(met) == 1 else OK

        return Bent(net, after=after)

    return bent


def again(comment: str) -> Callable[[Net], Net]:
    """Sends at every poll what it sent before, whether it wants an answer or not."""

    def bent(net: Net) -> Net:
        met: dict[str, Any] = {}

        def after(said: Message, answer: Any) -> Any:  # noqa: ANN401 - a message
            if not isinstance(said, wire.OadrPoll):
                return answer
            if _events(answer, comment):
                met[said.ven_id] = answer
            return met.get(said.ven_id, answer)

        return Bent(net, after=after)

    return bent


def no_opt_out(comment: str) -> Callable[[Net], Net]:
    """Refuses optOut."""

    def bent(net: Net) -> Net:
        mine: set[str] = set()

        def after(said: Message, answer: Any) -> Any:  # noqa: ANN401 - a message
            mine.update(e.ei_event.event_descriptor.event_id for e in _events(answer, comment))
            if not isinstance(said, wire.OadrCreatedEvent):
                return answer
            told = said.ei_created_event.event_responses or ()
            if not any(o.opt_type is OptType.OPT_OUT and o.qualified_event_id.event_id in mine for o in told):
                return answer
            response = msgspec.structs.replace(answer.ei_response, response_code="450")
            return msgspec.structs.replace(answer, ei_response=response)

        return Bent(net, after=after)

    return bent


def backwards(comment: str) -> Callable[[Net], Net]:
    """Sends events in the wrong order."""

    def after(_: Message, answer: Any) -> Any:  # noqa: ANN401 - a message
        if len(_events(answer, comment)) < 2:
            return answer
        return msgspec.structs.replace(answer, oadr_events=answer.oadr_events[::-1])

    return lambda net: Bent(net, after=after)


def limitless(net: Net) -> Net:
    """Does not see a replyLimit."""

    def before(said: Message) -> Message:
        if not isinstance(said, wire.OadrRequestEvent) or said.ei_request_event.reply_limit is None:
            return said
        asked = msgspec.structs.replace(said.ei_request_event, reply_limit=None)
        return msgspec.structs.replace(said, ei_request_event=asked)

    return Bent(net, before=before)


class _Names:
    """Which VEN has which name, by what went over the net."""

    def __init__(self) -> None:
        self._by_name: dict[str, str] = {}

    def hear(self, said: Message, answer: Any) -> None:  # noqa: ANN401 - a message
        if isinstance(said, wire.OadrCreatePartyRegistration) and getattr(answer, "ven_id", None):
            self._by_name[said.oadr_ven_name or ""] = answer.ven_id

    def of(self, name: str) -> str | None:
        return self._by_name.get(f"conformance {name}")


def tattling(net: Net) -> Net:
    """Sends one VEN the events of another."""
    names = _Names()

    def before(said: Message) -> Message:
        mine, other = names.of("OADR-022"), names.of("OADR-022 other")
        if not isinstance(said, wire.OadrRequestEvent) or other is None or mine is None:
            return said
        if said.ei_request_event.ven_id != other:
            return said
        asked = msgspec.structs.replace(said.ei_request_event, ven_id=mine)
        return msgspec.structs.replace(said, ei_request_event=asked)

    def after(said: Message, answer: Any) -> Any:  # noqa: ANN401 - a message
        names.hear(said, answer)
        return answer

    return Bent(net, before, after)


def curt(net: Net) -> Net:
    """Says by an oadrResponse that there are no events."""
    names = _Names()

    def after(said: Message, answer: Any) -> Any:  # noqa: ANN401 - a message
        names.hear(said, answer)
        if isinstance(said, wire.OadrRequestEvent) and said.ei_request_event.ven_id == names.of("OADR-L2"):
            return OK
        return answer

    return Bent(net, after=after)


BENT: Final[dict[str, Callable[[Net], Net]]] = {
    "OADR-042": no_echo,
    "OADR-402": guessing,
    "OADR-004": numbering("OADR-004", 1),
    "OADR-005": numbering("OADR-005", 0),
    "OADR-012": once("OADR-012"),
    "OADR-062": again("OADR-062"),
    "OADR-016": no_opt_out("OADR-016"),
    "OADR-022": tattling,
    "OADR-050": backwards("OADR-050"),
    "OADR-052": once("OADR-052", EventStatus.CANCELLED),
    "OADR-L1": limitless,
    "OADR-L2": curt,
}
"""Rule -> a way to a target that is wrong in it."""
