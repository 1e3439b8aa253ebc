"""Suite ``openadr2b-ven``: a VEN that polls, judged by a VTN that tells it what a VEN has to expect.

Everything is judged by what the VEN says between the poll whose answer told it something and its next one, so that
rule 64, an answer before the next poll, is part of every case.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

from msgspec.structs import replace

from flexhub.conformance.openadr import ven as v
from flexhub.conformance.suite import Case, Mutant, Requirement, Suite
from flexhub.core.errors import ConfigError
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.elements import EiTarget, EventResponse, Message
from flexhub.protocols.openadr2b.names import EventStatus, OptType

Check = Callable[[v.Ven], Awaitable[str | None]]

_ROWS: Final[tuple[tuple[str, str, str, str, Check], ...]] = (
    ("OADR-056", "new", "a new event", "200 before the next poll", v.new),
    ("OADR-056", "again", "the same event twice", "the same answer twice", v.again),
    ("OADR-057", "higher", "a higher modificationNumber", "200 of that number", v.higher),
    ("OADR-058", "lower", "a lower modificationNumber", "4xx, optOut", v.lower),
    ("OADR-059", "cancel-known", "a cancellation", "200 of that number", v.cancelled(known=True)),
    ("OADR-060", "cancel-unknown", "a cancellation of what it does not know", "200", v.cancelled(known=False)),
    ("OADR-061", "missing", "an event is no longer told of", "it is followed no longer", v.missing),
    ("OADR-012", "never", "an event that wants no answer", "none", v.unanswered(EventStatus.FAR)),
    ("OADR-012", "never-cancelled", "a cancellation that wants no answer", "none", v.unanswered(EventStatus.CANCELLED)),
    ("OADR-006", "test", "a test event", "200, and it is not followed", v.tested),
    ("OADR-022", "either", "two venIDs, one of them its own", "200", v.either_target),
    ("OADR-022", "empty", "an empty target", "200", v.accepted("OADR-022", target=EiTarget())),
    ("OADR-047", "endless", "an event without an end", "200", v.accepted("OADR-047", duration="PT0S")),
    (
        "OADR-030",
        "startafter",
        "an event that begins by chance",
        "200",
        v.accepted("OADR-030", startafter="PT5M"),
    ),
    (
        "OADR-048",
        "market",
        "an event of another market context",
        "4xx, optOut",
        v.refused("OADR-048", market="http://nobody.example"),
    ),
    (
        "OADR-048",
        "target",
        "an event of another's target",
        "4xx, optOut",
        v.refused("OADR-048", target=EiTarget(ven_ids=(v.NOBODY,))),
    ),
    ("OADR-048", "signal", "a signal that nobody knows", "4xx, optOut", v.refused("OADR-048", signal="x-nobody")),
    ("OADR-009", "level-7", "level 7 of SIMPLE", "4xx, optOut", v.refused("OADR-009", level=7.0)),
    ("OADR-002", "uid", "an interval that begins with 1", "4xx, optOut", v.refused("OADR-002", uid="1")),
    ("OADR-008", "short", "an interval shorter than the event", "4xx, optOut", v.refused("OADR-008", interval="PT30M")),
    ("OADR-019", "mixed", "a valid and an invalid event", "an answer to each", v.mixed),
    ("OADR-021", "vtn", "another VTN's event", "452, no optIn", v.other_vtn),
    ("OADR-042", "request", "an event", "its requestID in the answer", v.echoed),
    (v.REGISTERS, "again", "oadrRequestReregistration", "oadrCreatePartyRegistration, its venID", v.again_registered),
    (v.REGISTERS, "other", "the end of another registration", "452", v.not_its_registration),
    (v.REPORTS, "report", "a report asked for, one that it has not, and an end", "200, 4xx, 200", v.reported),
    ("OADR-304", "unknown", "the end of a report that was not asked for", "452", v.not_asked_for),
    ("OADR-306", "metadata", "a request for metadata", "oadrRegisterReport under its id", v.metadata_asked),
    (v.SOUND, "all", "all of the above", "messages that break no rule", v.sound),
)

_REQUIREMENTS: Final = {
    "OADR-056": "A new event is answered before the next poll [64], and again when it is told again.",
    "OADR-057": "A modified event is answered.",
    "OADR-058": "A lower modificationNumber is an error.",
    "OADR-059": "A cancellation is acknowledged.",
    "OADR-060": "So is that of an event that is not known.",
    "OADR-061": "An event that is missing is cancelled.",
    "OADR-012": "There is an answer if and only if one is wanted [62].",
    "OADR-006": "A test is answered, and not followed.",
    "OADR-022": "An empty target is the recipient, and criteria are alternatives.",
    "OADR-047": "An event of duration 0 has no end.",
    "OADR-030": "An event may begin by chance.",
    "OADR-048": "Another market context, target or signal is refused.",
    "OADR-009": "SIMPLE knows the levels 0 to 3.",
    "OADR-002": "Intervals are numbered 0, 1, 2, ...",
    "OADR-008": "Intervals add up to the event.",
    "OADR-019": "Valid and invalid events of one message are answered each.",
    "OADR-021": "Ids are validated.",
    "OADR-042": "An answer names the requestID.",
    v.REGISTERS: "A VEN registers again when asked, and ends no registration but its own.",
    v.REPORTS: "Reports are made that it registered, until they are cancelled, and no others.",
    "OADR-304": "A reportRequestID is one that was asked for.",
    "OADR-306": "Metadata that are asked for are registered.",
    v.SOUND: "Every message of the VEN breaks no rule of the messages' table.",
}
_OWN: Final = {v.SOUND: "messages", v.REGISTERS: "EiRegisterParty", v.REPORTS: "EiReport"}


def _clause(name: str) -> str:
    return f"2.0b {_OWN[name]}" if name in _OWN else f"2.0b rule {int(name.removeprefix('OADR-'))}"


# -- mutants: a target that is wrong in one way -----------------------------------------------------------------------


def _flipped(rule: str, message: Message) -> Message:
    """Says of events that are about a rule the opposite: of what it takes that it does not, and the other way."""
    if not isinstance(message, wire.OadrCreatedEvent):
        return message
    created = message.ei_created_event

    def turned(answer: EventResponse) -> EventResponse:
        if f"/{rule}/" not in answer.qualified_event_id.event_id:
            return answer
        if answer.response_code[0] == "2":
            return replace(answer, response_code="454", opt_type=OptType.OPT_OUT)
        return replace(answer, response_code="200", opt_type=OptType.OPT_IN)

    responses = tuple(map(turned, created.event_responses or ()))
    return replace(message, ei_created_event=replace(created, event_responses=responses or None))


def _coded(kind: type[Message], code: str, other: str, message: Message) -> Message:
    """Says another code in messages of a kind."""
    response = getattr(message, "ei_response", None)
    if not isinstance(message, kind) or response is None or response.response_code != code:
        return message
    return replace(message, ei_response=replace(response, response_code=other))


def _mute(kind: type[Message], message: Message) -> Message | None:
    """Does not say messages of a kind."""
    return None if isinstance(message, kind) else message


def _located(message: Message) -> Message:
    """Tells where a schema lies [rule 45]."""
    return replace(message, schema_location="http://nobody.example")


def _misnamed(message: Message) -> Message:
    """Names no requestID in its answers."""
    if not isinstance(message, wire.OadrCreatedEvent):
        return message
    created = message.ei_created_event
    responses = tuple(replace(r, request_id="0") for r in created.event_responses or ())
    return replace(message, ei_created_event=replace(created, event_responses=responses or None))


def _recoded(message: Message) -> Message:
    """Says another error of the whole."""
    if not isinstance(message, wire.OadrCreatedEvent) or message.ei_created_event.event_responses:
        return message
    response = replace(message.ei_created_event.ei_response, response_code="459")
    return replace(message, ei_created_event=replace(message.ei_created_event, ei_response=response))


_HEARD: Final[dict[str, Callable[[Message], Message | None]]] = {
    "OADR-021": _recoded,
    "OADR-042": _misnamed,
    v.REGISTERS: partial(_mute, wire.OadrCreatePartyRegistration),
    v.REPORTS: partial(_coded, wire.OadrCreatedReport, "200", "461"),
    "OADR-304": partial(_coded, wire.OadrCanceledReport, "452", "200"),
    "OADR-306": partial(_mute, wire.OadrRegisterReport),
    v.SOUND: _located,
}
_OFF: Final = ("OADR-061", "OADR-012", "OADR-006")
"""Rules that our own VEN can leave out, since what it says does not show them."""


def _mutant(name: str) -> Mutant[v.Ven]:
    if name in _OFF:
        return Mutant(requirement=name, breaks=lambda x: x.over(off=(name,)), all_cases=True)
    heard = _HEARD.get(name, partial(_flipped, name))
    every = name not in {v.REGISTERS, "OADR-056"}
    return Mutant(requirement=name, breaks=lambda x: x.over(heard=heard), all_cases=every)


def connect(target: str | None, transports: Mapping[str, Any]) -> v.Ven:  # noqa: ARG001 - the transport knows it
    """The target that the caller handed in, as ``ven``.

    Raises:
        ConfigError: it did not.
    """
    found = transports.get("ven")
    if not isinstance(found, v.Ven):
        raise ConfigError("the suite needs a VTN that the VEN polls (--market)")
    return found


SUITE: Final[Suite[v.Ven]] = Suite(
    name="openadr2b-ven",
    title="OpenADR 2.0b: a VEN that polls",
    requirements=tuple(Requirement(name, _clause(name), text) for name, text in _REQUIREMENTS.items()),
    cases=tuple(
        Case(id=f"{rule}/{name}", requirement=rule, sent=sent, expected=expected, check=check)
        for rule, name, sent, expected, check in _ROWS
    ),
    mutants=tuple(_mutant(name) for name in _REQUIREMENTS),
    connect=connect,
    endpoint=True,
    role="ven",
)
