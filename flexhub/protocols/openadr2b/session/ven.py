"""A VEN's side of the conversation: registration, and what each message of the VTN comes to.

Pure: what is known, the message, the time and a seed for new ids go in; what is known then, messages for the VTN and
news of events come out. Whether a message came as the answer to a poll or was pushed makes no difference. The
registration:

| | created, with ids | created, an error | oadrRequestReregistration, 463 | a cancellation |
| --- | --- | --- | --- | --- |
| none | registered | refused | none | cancelled |
| registered | registered | refused | again | cancelled |
| again | registered | refused | again | cancelled |
| refused | registered | refused | refused | cancelled |
| cancelled | registered | refused | cancelled | cancelled |
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from msgspec.structs import replace

from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.elements import EiResponse, Message
from flexhub.protocols.openadr2b.names import ProfileName, ResponseCode, ServiceName, TransportName
from flexhub.protocols.openadr2b.session import ven_events, ven_reports
from flexhub.protocols.openadr2b.session.ven_state import POLL_S, Judge, Setup, Stage, State, Step, new_id
from flexhub.protocols.openadr2b.times import length

_OK: Final = ResponseCode.OK.value
SERVICE: Final[dict[type[Message], ServiceName]] = {
    kind: service for service, kinds in wire.SERVICES.items() for kind in kinds
} | {wire.OadrResponse: ServiceName.EI_EVENT}
"""Kind of message -> the service whose endpoint takes it."""


# -- what we begin ----------------------------------------------------------------------------------------------------


def query(*, seed: str) -> wire.OadrQueryRegistration:
    """Ask how to register."""
    return wire.OadrQueryRegistration(schema_version=wire.VERSION, request_id=new_id(seed, "query"))


def register(state: State, setup: Setup, *, seed: str) -> wire.OadrCreatePartyRegistration:
    """Register, or again with the registrationID of before.

    Interpretation: oadrHttpPullModel is of HTTP, and over XMPP, which pushes by itself, not told.
    """
    pull = setup.push_to is None if setup.transport is TransportName.SIMPLE_HTTP else None
    return wire.OadrCreatePartyRegistration(
        schema_version=wire.VERSION,
        request_id=new_id(seed, "register"),
        registration_id=state.registration_id,
        ven_id=state.ven_id or setup.ven_id,
        oadr_profile_name=ProfileName.B,
        oadr_transport_name=setup.transport,
        oadr_transport_address=setup.push_to,
        oadr_report_only=setup.report_only,
        oadr_xml_signature=setup.xml_signature,
        oadr_ven_name=setup.ven_name,
        oadr_http_pull_model=pull,
    )


def unregister(state: State, *, seed: str) -> Step:
    """End the registration."""
    if state.registration_id is None:
        return Step(state)
    cancel = wire.OadrCancelPartyRegistration(
        schema_version=wire.VERSION,
        request_id=new_id(seed, "unregister"),
        registration_id=state.registration_id,
        ven_id=state.ven_id,
    )
    return Step(state, (cancel,))


def poll(state: State) -> wire.OadrPoll:
    """Ask whether there is anything for us."""
    return wire.OadrPoll(schema_version=wire.VERSION, ven_id=state.ven_id or "")


def request_events(state: State, *, seed: str) -> wire.OadrRequestEvent:
    """Ask for all events, as on the first poll: whatever was missed, they say it."""
    asked = wire.EiRequestEvent(request_id=new_id(seed, "events"), ven_id=state.ven_id or "")
    return wire.OadrRequestEvent(schema_version=wire.VERSION, ei_request_event=asked)


# -- what the VTN says ------------------------------------------------------------------------------------------------


def receive(  # noqa: PLR0911, PLR0912, PLR0913, C901 - a branch for each message; and all that is known
    state: State, message: Message, now: datetime, setup: Setup, judge: Judge, *, seed: str
) -> Step:
    """One message of the VTN: an answer, or something that it begins.

    What a VEN is never told (another VEN's poll, say) is answered with 459.
    """
    match message:
        case wire.OadrCreatedPartyRegistration():
            return _created(state, message, now, setup)
        case wire.OadrRequestReregistration():
            return _again(state, message)
        case wire.OadrCancelPartyRegistration():
            return _cancel(state, message, now)
        case wire.OadrCanceledPartyRegistration():
            return _over(state, now) if message.ei_response.response_code == _OK else Step(state)
        case wire.OadrDistributeEvent():
            if not state.registered:
                return Step(state)
            return ven_events.distributed(state, message, now, setup, judge)
        case wire.OadrRegisteredReport():
            return _reports_registered(state, message, now, setup, seed=seed)
        case wire.OadrCreateReport():
            requests = message.oadr_report_requests
            return ven_reports.create(state, requests, message.request_id, now, setup, seed=seed)
        case wire.OadrCancelReport():
            return ven_reports.cancel(state, message, now)
        case wire.OadrUpdatedReport():
            cancel = message.oadr_cancel_report
            return _answered(state, message.ei_response) if cancel is None else ven_reports.cancel(state, cancel, now)
        case wire.OadrRegisterReport():
            said = wire.OadrRegisteredReport(
                schema_version=wire.VERSION, ei_response=_fine(message.request_id), ven_id=state.ven_id
            )
            return Step(state, (said,))
        case wire.OadrUpdateReport():
            done = wire.OadrUpdatedReport(
                schema_version=wire.VERSION, ei_response=_fine(message.request_id), ven_id=state.ven_id
            )
            return Step(state, (done,))
        case wire.OadrResponse() | wire.OadrCreatedOpt() | wire.OadrCanceledOpt():
            return _answered(state, message.ei_response)
        case wire.OadrCreatedReport() | wire.OadrCanceledReport():
            return _answered(state, message.ei_response)
    response = EiResponse(
        response_code=ResponseCode.COMPLIANCE_ERROR, response_description="not for a VEN", request_id=""
    )
    return Step(state, (wire.OadrResponse(schema_version=wire.VERSION, ei_response=response, ven_id=state.ven_id),))


def _fine(request_id: str) -> EiResponse:
    return EiResponse(response_code=_OK, response_description="OK", request_id=request_id)


def _created(state: State, message: wire.OadrCreatedPartyRegistration, now: datetime, setup: Setup) -> Step:
    """Registered where the VTN gives both ids; what it says about how to register is no registration."""
    response = message.ei_response
    if setup.vtn_id is not None and message.vtn_id != setup.vtn_id:
        return Step(replace(state, stage=Stage.REFUSED, why=f"it is the VTN {message.vtn_id[:80]!r}"))
    if not response.response_code.startswith("2"):
        why = f"{response.response_code} {response.response_description or ''}".strip()
        return Step(replace(state, stage=Stage.REFUSED, why=why))
    poll_s = POLL_S
    if message.oadr_requested_oadr_poll_freq is not None:
        poll_s = max(1, length(message.oadr_requested_oadr_poll_freq).about())
    if not message.registration_id or not message.ven_id:
        return Step(replace(state, poll_s=poll_s))
    if setup.ven_id is not None and message.ven_id != setup.ven_id:
        why = f"venID {message.ven_id[:80]!r}, though {setup.ven_id!r} was allocated"
        return Step(replace(state, stage=Stage.REFUSED, why=why))
    # Under another venID nothing of before is ours any more.
    renewed = message.ven_id != state.ven_id
    gone = ven_events.called_off(state, now) if renewed else Step(state)
    after = replace(
        State() if renewed else state,
        stage=Stage.REGISTERED,
        why="",
        ven_id=message.ven_id,
        registration_id=message.registration_id,
        vtn_id=message.vtn_id,
        poll_s=poll_s,
        reported=False,
    )
    return Step(after, (), gone.told)


def _again(state: State, message: wire.OadrRequestReregistration) -> Step:
    """The VTN wants us to register again; of another VEN it is not for us."""
    if message.ven_id not in ("", state.ven_id):
        return Step(state, (_response(state, ResponseCode.INVALID_ID, f"{message.ven_id[:80]!r} is not us", ""),))
    return Step(_lost(state), (_response(state, ResponseCode.OK, "OK", ""),))


def _response(state: State, code: ResponseCode, said: str, request_id: str) -> wire.OadrResponse:
    response = EiResponse(response_code=code, response_description=said, request_id=request_id)
    return wire.OadrResponse(schema_version=wire.VERSION, ei_response=response, ven_id=state.ven_id)


def _lost(state: State) -> State:
    return replace(state, stage=Stage.AGAIN) if state.stage is Stage.REGISTERED else state


def _cancel(state: State, message: wire.OadrCancelPartyRegistration, now: datetime) -> Step:
    """The VTN ends the registration: events and reports end with it. One that is not ours is refused (452)."""
    ours = message.registration_id == state.registration_id
    code, said = (ResponseCode.OK, "OK") if ours else (ResponseCode.INVALID_ID, "no such registration")
    canceled = wire.OadrCanceledPartyRegistration(
        schema_version=wire.VERSION,
        ei_response=EiResponse(response_code=code, response_description=said, request_id=message.request_id),
        registration_id=message.registration_id,
        ven_id=state.ven_id,
    )
    return _over(state, now)._replace(sends=(canceled,)) if ours else Step(state, (canceled,))


def _over(state: State, now: datetime) -> Step:
    gone = ven_events.called_off(state, now)
    after = replace(gone.state, stage=Stage.CANCELLED, registration_id=None, wanted={}, opts={}, reported=False)
    return gone._replace(state=after)


def _answered(state: State, response: EiResponse) -> Step:
    """An answer to something of ours; 463 says that the VTN does not know us any more."""
    if response.response_code == ResponseCode.NOT_REGISTERED_OR_AUTHORIZED:
        return Step(_lost(state))
    return Step(state)


def _reports_registered(
    state: State, message: wire.OadrRegisteredReport, now: datetime, setup: Setup, *, seed: str
) -> Step:
    """Our metadata are known; reports may be asked for at once."""
    if not message.ei_response.response_code.startswith("2"):
        return _answered(state, message.ei_response)
    after = replace(state, reported=True)
    if not message.oadr_report_requests:
        return Step(after)
    request_id = message.ei_response.request_id
    return ven_reports.create(after, message.oadr_report_requests, request_id, now, setup, seed=seed)
