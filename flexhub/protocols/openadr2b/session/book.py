"""What a VTN's session works with: what was looked up, what comes of a message, and how a refusal is said."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.elements import EiResponse, Message, OadrProfile
from flexhub.protocols.openadr2b.names import ProfileName, ResponseCode, TransportName
from flexhub.protocols.openadr2b.rules import code_of, element
from flexhub.protocols.openadr2b.session.judging import VTN_RULES, broken
from flexhub.protocols.openadr2b.session.state import State, VtnEvent, VtnMetadata, VtnOpt, VtnVen
from flexhub.protocols.rules import Broken


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Who the VTN is.

    Args:
        vtn_id: its vtnID.
        poll: how often it wants VENs to poll.
        anyone: whether a VEN that is not known beforehand may register, and gets a venID.
        transports: what it speaks.
    """

    vtn_id: str
    poll: str = "PT10S"
    anyone: bool = False
    transports: tuple[TransportName, ...] = (TransportName.SIMPLE_HTTP,)

    def profiles(self) -> tuple[OadrProfile, ...]:
        """As an oadrCreatedPartyRegistration tells them."""
        return (OadrProfile(oadr_profile_name=ProfileName.B, oadr_transports=self.transports),)


class Arrived(NamedTuple):
    """A message, and what is known of it.

    Args:
        message: what came.
        now: the time.
        settings: who we are.
        new: makes an id that follows from this message and a word.
        ven: whose it is by its venID, or of an oadrCreatePartyRegistration by its certificate.
        fingerprint: of the client certificate, or the JID (`identity`); None where there is neither.
        events: all that are not over, by id.
        metadata: what the VEN registered.
        opt: the opt that it names.
        holder: venID of the VEN whose that certificate is already, of an oadrCreatePartyRegistration.
        turn: which of several messages that wait for the VEN a poll gets: they take turns.
        off: rules that are switched off.
    """

    message: Message
    now: datetime
    settings: Settings
    new: Callable[[str], str]
    ven: VtnVen | None = None
    fingerprint: str | None = None
    events: dict[str, VtnEvent] = {}
    metadata: VtnMetadata | None = None
    opt: VtnOpt | None = None
    holder: str | None = None
    turn: int = 0
    off: Collection[str] = ()

    @property
    def known(self) -> VtnVen:
        """The VEN, of messages that were admitted."""
        assert self.ven is not None  # noqa: S101 - `admitted` has seen to it
        return self.ven


class Step(NamedTuple):
    """The answer, what is to be stored, and what was wrong."""

    answer: Message
    changed: tuple[State, ...] = ()
    broken: tuple[Broken, ...] = ()


class Refused(Exception):  # noqa: N818 - it is what is answered
    """What is wrong with a message, in the words of a rule."""

    def __init__(self, found: Broken) -> None:
        self.found = found
        super().__init__(str(found))


def refuse(arrived: Arrived, rule: str, path: str, message: str) -> None:
    """Refuse a message, unless the rule is switched off.

    Raises:
        Refused: always, else.
    """
    if rule not in arrived.off:
        at = element(arrived.message)
        raise Refused(broken(rule, f"{at}/{path}" if path else at, message))


def response(code: str, request_id: str, description: str = "OK") -> EiResponse:
    """An eiResponse; `request_id` is that of what is answered [rule 42]."""
    return EiResponse(response_code=code, response_description=description, request_id=request_id)


def ok(arrived: Arrived) -> EiResponse:
    """That all is well."""
    return response(ResponseCode.OK, request_id_of(arrived.message))


def request_id_of(message: Message) -> str:
    """The requestID that an answer names; empty where the message has none."""
    if isinstance(message, wire.OadrRequestEvent):
        return message.ei_request_event.request_id
    if isinstance(message, wire.OadrCreatedEvent):
        return message.ei_created_event.ei_response.request_id
    answered: EiResponse | None = getattr(message, "ei_response", None)
    return answered.request_id if answered is not None else getattr(message, "request_id", "")


def ven_id_of(message: Message) -> str | None:
    """Whose a message says that it is."""
    if isinstance(message, wire.OadrRequestEvent):
        return message.ei_request_event.ven_id
    if isinstance(message, wire.OadrCreatedEvent):
        return message.ei_created_event.ven_id
    found: str | None = getattr(message, "ven_id", None)
    return found


def plain(arrived: Arrived, ei_response: EiResponse | None = None) -> wire.OadrResponse:
    """An oadrResponse."""
    return wire.OadrResponse(
        schema_version=wire.VERSION, ei_response=ei_response or ok(arrived), ven_id=ven_id_of(arrived.message)
    )


def refusal(arrived: Arrived, found: Broken) -> Message:
    """The answer of a message's own kind that says what is wrong with it."""
    row = VTN_RULES.get(found.rule)
    code, words = (row.code, row.words) if row is not None else (code_of(found), "")
    said = f"{found.path}: {found.message} [{found.rule}]"
    told = response(code, request_id_of(arrived.message), (f"{words}: {said}" if words else said)[:500])
    message, version, ven_id = arrived.message, wire.VERSION, ven_id_of(arrived.message)
    if isinstance(message, wire.OadrQueryRegistration | wire.OadrCreatePartyRegistration):
        return wire.OadrCreatedPartyRegistration(
            schema_version=version,
            ei_response=told,
            vtn_id=arrived.settings.vtn_id,
            oadr_profiles=arrived.settings.profiles(),
        )
    if isinstance(message, wire.OadrRequestEvent):
        return wire.OadrDistributeEvent(
            schema_version=version,
            ei_response=told,
            request_id=request_id_of(message),
            vtn_id=arrived.settings.vtn_id,
        )
    if isinstance(message, wire.OadrCreateOpt):
        return wire.OadrCreatedOpt(schema_version=version, ei_response=told, opt_id=message.opt_id)
    if isinstance(message, wire.OadrCancelOpt):
        return wire.OadrCanceledOpt(schema_version=version, ei_response=told, opt_id=message.opt_id)
    if isinstance(message, wire.OadrCancelPartyRegistration):
        return wire.OadrCanceledPartyRegistration(
            schema_version=version, ei_response=told, registration_id=message.registration_id, ven_id=ven_id
        )
    kind = _KINDS.get(type(message))
    return plain(arrived, told) if kind is None else kind(schema_version=version, ei_response=told, ven_id=ven_id)


_KINDS: Final[dict[type[Message], Any]] = {
    wire.OadrRegisterReport: wire.OadrRegisteredReport,
    wire.OadrCreateReport: wire.OadrCreatedReport,
    wire.OadrUpdateReport: wire.OadrUpdatedReport,
    wire.OadrCancelReport: wire.OadrCanceledReport,
}
"""Answers that need nothing but an eiResponse."""
