"""The rules of OpenADR 2.0b: one row for each that one message alone can break, with the code of the answer.

Numbers are those of the profile's conformance rules; rows with a letter are demands that it has elsewhere. What needs
a conversation, a transport or a certificate is in `ELSEWHERE`, so that no rule is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any, Final, TypeVar

from flexhub.protocols.openadr2b import checks
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.elements import Message
from flexhub.protocols.openadr2b.names import ResponseCode
from flexhub.protocols.openadr2b.shapes import name_of
from flexhub.protocols.rules import Broken, Finding, Rule, broken

M = TypeVar("M")


class OadrRule(Rule[M], frozen=True, kw_only=True):
    """A rule with the response code of what breaks it."""

    code: ResponseCode


def _row(
    number: int | str,
    of: type[Any] | tuple[type[Any], ...],
    check: Callable[[Any], Iterator[Finding]],
    code: ResponseCode,
    words: str,
) -> OadrRule[Any]:
    name = f"OADR-{number:03}" if isinstance(number, int) else f"OADR-{number}"
    clause = f"2.0b rule {number}" if isinstance(number, int) else _CLAUSES[number]
    return OadrRule(id=name, clause=clause, of=of, check=check, code=code, reject=f"{code.value} {words}")


_CLAUSES: Final = {
    "E1": "2.0b EiEvent, order of events",
    "E2": "2.0b EiEvent, intervals",
    "E3": "2.0b EiEvent, ids",
    "E4": "2.0b EiEvent, signals",
    "E5": "2.0b EiEvent, oadrCreatedEvent",
    "P1": "2.0b EiRegisterParty, transports",
    "R1": "2.0b EiReport, metadata reports",
    "R2": "2.0b EiReport, names of reports",
    "R3": "2.0b EiReport, data reports",
    "R4": "2.0b EiReport, data reports",
    "R5": "2.0b EiReport, metadata reports",
    "R6": "2.0b EiReport, metadata reports",
    "R7": "2.0b EiReport, requests",
    "R8": "2.0b EiReport, requests",
    "R9": "2.0b EiReport, requests",
}
_DATA: Final = ResponseCode.INVALID_DATA
_ID: Final = ResponseCode.INVALID_ID
_ERROR: Final = ResponseCode.COMPLIANCE_ERROR
_EVENTS: Final = wire.OadrDistributeEvent
_CREATED: Final = wire.OadrCreatedEvent
_REGISTER: Final = wire.OadrRegisterReport
_UPDATE: Final = wire.OadrUpdateReport
_ASKING: Final = (wire.OadrCreateReport, wire.OadrRegisteredReport)

RULES: Final[tuple[OadrRule[Any], ...]] = (
    _row(2, _EVENTS, checks.interval_uids, _DATA, "Intervals are not numbered 0, 1, 2, ..."),
    _row(5, _EVENTS, checks.cancelled_unmodified, _DATA, "Cancelled without another modificationNumber"),
    _row(8, _EVENTS, checks.durations, _DATA, "Intervals do not add up to the event"),
    _row(9, _EVENTS, checks.simple_levels, _DATA, "Not a level of SIMPLE"),
    _row(14, _EVENTS, checks.current_value, _DATA, "currentValue of an event that is not active"),
    _row(18, _EVENTS, checks.overlaps, _ERROR, "Events of one market context overlap"),
    _row(19, _CREATED, checks.answered_twice, _DATA, "More than one answer to an event"),
    _row(21, Message, checks.empty_ids, _ID, "An id names nobody"),
    _row(35, _CREATED, checks.no_event_responses, _DATA, "No answer to any event"),
    _row(41, Message, checks.empty_request_ids, _ID, "No requestID"),
    _row(45, Message, checks.schema_location, _ERROR, "schemaLocation"),
    _row(47, _EVENTS, checks.open_ended, _DATA, "Not the same end of event and intervals"),
    _row(48, _CREATED, checks.opted_in_to_an_error, _DATA, "optIn with an error"),
    _row(306, _ASKING, checks.metadata_specifier, _ID, "Not the rID of metadata"),
    _row(311, _REGISTER, checks.metadata_request_id, _ID, "reportRequestID of metadata is not 0"),
    _row(314, _UPDATE, checks.data_starts, _DATA, "Not the start of the report"),
    _row("E1", _EVENTS, checks.order, _ERROR, "Events are not in order"),
    _row("E2", _EVENTS, checks.interval_starts, _DATA, "dtstart of an interval"),
    _row("E3", _EVENTS, checks.same_ids, _ID, "An id stands twice"),
    _row("E4", _EVENTS, checks.simple_type, ResponseCode.SIGNAL_NOT_SUPPORTED, "SIMPLE is not a level"),
    _row("E5", _CREATED, checks.whole_request_id, _ID, "requestID beside those of the answers"),
    _row("P1", wire.OadrCreatePartyRegistration, checks.transport_address, _DATA, "No address to push to"),
    _row("R1", _REGISTER, checks.metadata_form, _DATA, "Not the form of metadata"),
    _row("R2", (_REGISTER, _UPDATE), checks.metadata_name, _DATA, "Not the name of such a report"),
    _row("R3", _UPDATE, checks.data_form, _DATA, "Not the form of data"),
    _row("R4", _UPDATE, checks.data_durations, _DATA, "Not the durations of a report"),
    _row("R5", _REGISTER, checks.metadata_ids, _ID, "An id stands twice"),
    _row("R6", _REGISTER, checks.sampling, _DATA, "No sampling rate"),
    _row("R7", _ASKING, checks.requested_reading, _DATA, "readingType of a request"),
    _row("R8", _ASKING, checks.requested_ids, _ID, "reportRequestID is not a request's own"),
    _row("R9", _ASKING, checks.requested_interval, _DATA, "Not the interval of a report"),
)
"""Every rule about one message. The words of the rejection are ours; the codes are the profile's."""

_SESSION: Final = "in a session, which knows what was sent and asked before"
_MEANING: Final = "nowhere: it says what something means"
_TRANSPORT: Final = "where HTTP is spoken"
ELSEWHERE: Final[dict[str, tuple[str, str]]] = {
    "4": ("modificationNumber starts at 0", _SESSION),
    "6": ("a testEvent other than false is a test", f"{_MEANING} (`checks.is_test`)"),
    "12, 62": ("an answer if and only if responseRequired is always", _SESSION),
    "16, 17": ("a VTN takes optIn and optOut, and a later optOut", _SESSION),
    "22": ("an empty eiTarget is the recipient, criteria are alternatives", _MEANING),
    "30, 65": ("start or cancel at random within startafter, the offset kept", _SESSION),
    "36": ("a cancel is acknowledged", _SESSION),
    "42": ("an answer names the requestID of what it answers", _SESSION),
    "50, 52": ("all far, near and active events are sent; cancelled ones until acknowledged", _SESSION),
    "53, 55": ("HTTP headers, and how often a VEN polls", _TRANSPORT),
    "56-60": ("a new, higher or lower modificationNumber, a cancel of a known or unknown event", _SESSION),
    "61": ("an event that is missing is cancelled", _SESSION),
    "64": ("an answer comes before the next poll", _SESSION),
    "66": ("an event is sent until its end and startafter are over", _SESSION),
    "67": ("TLS and its ciphers", _TRANSPORT),
    "68": (
        "RSA keys of at least 2048 bits, ECC of 224",
        "where keys are loaded and signatures verified (`fingerprint.weakness`)",
    ),
    "206": ("after oadrCreateOpt a later oadrCreatedEvent is ignored", _SESSION),
    "304": ("reportRequestID is one that was asked for", _SESSION),
    "402, 403": ("a venID that was allocated beforehand", _SESSION),
    "514": ("what a signature is about", "where signatures are verified (`signature.verify`)"),
}
"""Rules that no message can break alone: number -> what it says, and where it is judged."""


def element_of(kind: type[Message]) -> str:
    """The local name of a kind of message: ``oadrPoll``."""
    return name_of(kind).rpartition(":")[2]


def element(message: Message) -> str:
    """The local name of a message's element."""
    return element_of(type(message))


def findings(message: Message, *, off: Collection[str] = ()) -> list[Broken]:
    """Every place where a message breaks a rule, in the order of the table."""
    return broken(RULES, message, off=off, at=element(message))


_CODES: Final = {rule.id: rule.code for rule in RULES}


def code_of(found: Broken) -> ResponseCode:
    """The response code of what breaks a rule."""
    return _CODES[found.rule]
