"""Every message of OpenADR 2.0b's five services, and what stands around each: oadrSignedObject and oadrPayload.

What they are made of, and how a struct tells its element, is in `elements`.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from flexhub.protocols.openadr2b import names
from flexhub.protocols.openadr2b.elements import (
    ONE,
    EiOpt,
    EiResponse,
    EiTarget,
    Element,
    EventResponse,
    Message,
    OadrEvent,
    OadrExtension,
    OadrProfile,
    OadrReport,
    OadrReportRequest,
    OadrService,
    OptID,
    QualifiedEventID,
    RegistrationID,
    ReportRequestID,
    RequestID,
    VenID,
    VtnID,
)
from flexhub.protocols.openadr2b.simple import At, Attr, Boolean, Duration, Id, Text, UnsignedInt, Within, Xml, token

VERSION: Final = "2.0b"
"""schemaVersion of every message that flexhub itself writes."""

PendingReports: TypeAlias = Annotated[tuple[Text, ...], Within("oadr:oadrPendingReports"), At("ei:reportRequestID")]
"""reportRequestID of every periodic report that is not yet delivered."""


# EiRegisterParty


class OadrQueryRegistration(Message, frozen=True, kw_only=True, tag="oadr:oadrQueryRegistration"):
    """A VEN asks how to register."""

    request_id: RequestID


class OadrCreatePartyRegistration(Message, frozen=True, kw_only=True, tag="oadr:oadrCreatePartyRegistration"):
    """A VEN registers; with a `registration_id`, again. Without `oadr_http_pull_model` it is one that is pushed to."""

    request_id: RequestID
    registration_id: RegistrationID | None = None
    ven_id: VenID | None = None
    oadr_profile_name: Annotated[names.ProfileName, At("oadr:oadrProfileName"), token(names.ProfileName)]
    oadr_transport_name: Annotated[names.TransportName, At("oadr:oadrTransportName"), token(names.TransportName)]
    oadr_transport_address: Annotated[Text | None, At("oadr:oadrTransportAddress")] = None
    oadr_report_only: Annotated[Boolean, At("oadr:oadrReportOnly")]
    oadr_xml_signature: Annotated[Boolean, At("oadr:oadrXmlSignature")]
    oadr_ven_name: Annotated[Text | None, At("oadr:oadrVenName")] = None
    oadr_http_pull_model: Annotated[Boolean | None, At("oadr:oadrHttpPullModel")] = None


class OadrCreatedPartyRegistration(Message, frozen=True, kw_only=True, tag="oadr:oadrCreatedPartyRegistration"):
    """The VTN's answer to a registration or to the question how to; without the ids it is the latter."""

    ei_response: EiResponse
    registration_id: RegistrationID | None = None
    ven_id: VenID | None = None
    vtn_id: VtnID
    oadr_profiles: Annotated[tuple[OadrProfile, ...], Within("oadr:oadrProfiles"), ONE]
    oadr_requested_oadr_poll_freq: Annotated[Duration | None, At("oadr:oadrRequestedOadrPollFreq", "xcal:duration")] = (
        None
    )
    oadr_service_specific_info: Annotated[tuple[OadrService, ...] | None, Within("oadr:oadrServiceSpecificInfo")] = None
    oadr_extensions: Annotated[tuple[OadrExtension, ...] | None, Within("oadr:oadrExtensions")] = None


class OadrRequestReregistration(Message, frozen=True, kw_only=True, tag="oadr:oadrRequestReregistration"):
    """The VTN asks a VEN to register again."""

    ven_id: VenID


class OadrCancelPartyRegistration(Message, frozen=True, kw_only=True, tag="oadr:oadrCancelPartyRegistration"):
    """Either side ends a registration."""

    request_id: RequestID
    registration_id: RegistrationID
    ven_id: VenID | None = None


class OadrCanceledPartyRegistration(Message, frozen=True, kw_only=True, tag="oadr:oadrCanceledPartyRegistration"):
    """The answer to that."""

    ei_response: EiResponse
    registration_id: RegistrationID | None = None
    ven_id: VenID | None = None


# EiEvent


class EiRequestEvent(Element, frozen=True, kw_only=True, tag="pyld:eiRequestEvent"):
    """Asks for at most `reply_limit` events, or for all."""

    request_id: RequestID
    ven_id: VenID
    reply_limit: Annotated[UnsignedInt | None, At("pyld:replyLimit")] = None


class OadrRequestEvent(Message, frozen=True, kw_only=True, tag="oadr:oadrRequestEvent"):
    """A VEN asks for its events."""

    ei_request_event: EiRequestEvent


class OadrDistributeEvent(Message, frozen=True, kw_only=True, tag="oadr:oadrDistributeEvent"):
    """All events of a VEN, active ones first; with an `ei_response` it is the answer to oadrRequestEvent."""

    ei_response: EiResponse | None = None
    request_id: RequestID
    vtn_id: VtnID
    oadr_events: tuple[OadrEvent, ...] = ()


class EiCreatedEvent(Element, frozen=True, kw_only=True, tag="pyld:eiCreatedEvent"):
    """An answer for each event, or an error that is about all of them."""

    ei_response: EiResponse
    event_responses: Annotated[tuple[EventResponse, ...] | None, Within("ei:eventResponses")] = None
    ven_id: VenID


class OadrCreatedEvent(Message, frozen=True, kw_only=True, tag="oadr:oadrCreatedEvent"):
    """A VEN opts in or out."""

    ei_created_event: EiCreatedEvent


class OadrResponse(Message, frozen=True, kw_only=True, tag="oadr:oadrResponse"):
    """Says that something was received, or why not."""

    ei_response: EiResponse
    ven_id: VenID | None = None


# EiReport


class OadrRegisterReport(Message, frozen=True, kw_only=True, tag="oadr:oadrRegisterReport"):
    """What a party can report, as metadata; with a `report_request_id` it was asked for that."""

    request_id: RequestID
    oadr_reports: tuple[OadrReport, ...] = ()
    ven_id: VenID | None = None
    report_request_id: ReportRequestID | None = None


class OadrRegisteredReport(Message, frozen=True, kw_only=True, tag="oadr:oadrRegisteredReport"):
    """The answer, which may ask for reports at once."""

    ei_response: EiResponse
    oadr_report_requests: tuple[OadrReportRequest, ...] = ()
    ven_id: VenID | None = None


class OadrCreateReport(Message, frozen=True, kw_only=True, tag="oadr:oadrCreateReport"):
    """Asks for reports."""

    request_id: RequestID
    oadr_report_requests: Annotated[tuple[OadrReportRequest, ...], ONE]
    ven_id: VenID | None = None


class OadrCreatedReport(Message, frozen=True, kw_only=True, tag="oadr:oadrCreatedReport"):
    """The answer, with every report that is still to come."""

    ei_response: EiResponse
    oadr_pending_reports: PendingReports = ()
    ven_id: VenID | None = None


class OadrUpdateReport(Message, frozen=True, kw_only=True, tag="oadr:oadrUpdateReport"):
    """The reports that were asked for."""

    request_id: RequestID
    oadr_reports: tuple[OadrReport, ...] = ()
    ven_id: VenID | None = None


class OadrCancelReport(Message, frozen=True, kw_only=True, tag="oadr:oadrCancelReport"):
    """Ends reports; `report_to_follow` asks for what was gathered so far."""

    request_id: RequestID
    report_request_ids: Annotated[tuple[Text, ...], At("ei:reportRequestID"), ONE]
    report_to_follow: Annotated[Boolean, At("pyld:reportToFollow")]
    ven_id: VenID | None = None


class OadrUpdatedReport(Message, frozen=True, kw_only=True, tag="oadr:oadrUpdatedReport"):
    """The answer, which may end the report at once."""

    ei_response: EiResponse
    oadr_cancel_report: OadrCancelReport | None = None
    ven_id: VenID | None = None


class OadrCanceledReport(Message, frozen=True, kw_only=True, tag="oadr:oadrCanceledReport"):
    """The answer, with every report that is still to come."""

    ei_response: EiResponse
    oadr_pending_reports: PendingReports = ()
    ven_id: VenID | None = None


# EiOpt


class OadrCreateOpt(EiOpt, frozen=True, kw_only=True, tag="oadr:oadrCreateOpt"):
    """A VEN opts in or out: of an event, or at times; `oadr_device_class` narrows it to kinds of devices."""

    request_id: RequestID
    qualified_event_id: QualifiedEventID | None = None
    ei_target: EiTarget
    oadr_device_class: Annotated[EiTarget | None, At("oadr:oadrDeviceClass")] = None


class OadrCreatedOpt(Message, frozen=True, kw_only=True, tag="oadr:oadrCreatedOpt"):
    """The answer."""

    ei_response: EiResponse
    opt_id: OptID


class OadrCancelOpt(Message, frozen=True, kw_only=True, tag="oadr:oadrCancelOpt"):
    """Takes an opt back."""

    request_id: RequestID
    opt_id: OptID
    ven_id: VenID


class OadrCanceledOpt(Message, frozen=True, kw_only=True, tag="oadr:oadrCanceledOpt"):
    """The answer."""

    ei_response: EiResponse
    opt_id: OptID | None = None


# OadrPoll


class OadrPoll(Message, frozen=True, kw_only=True, tag="oadr:oadrPoll"):
    """A VEN asks whether there is anything for it."""

    ven_id: VenID


Any2b: TypeAlias = (
    OadrDistributeEvent
    | OadrCreatedEvent
    | OadrRequestEvent
    | OadrResponse
    | OadrCancelOpt
    | OadrCanceledOpt
    | OadrCreateOpt
    | OadrCreatedOpt
    | OadrCancelReport
    | OadrCanceledReport
    | OadrCreateReport
    | OadrCreatedReport
    | OadrRegisterReport
    | OadrRegisteredReport
    | OadrUpdateReport
    | OadrUpdatedReport
    | OadrCancelPartyRegistration
    | OadrCanceledPartyRegistration
    | OadrCreatePartyRegistration
    | OadrCreatedPartyRegistration
    | OadrRequestReregistration
    | OadrQueryRegistration
    | OadrPoll
)
"""Every message, in the order of the schema."""

MESSAGES: Final[tuple[type[Message], ...]] = Any2b.__args__


class OadrSignedObject(Element, frozen=True, kw_only=True, tag="oadr:oadrSignedObject"):
    """What a signature is about, by its `id`: one message."""

    id: Annotated[Id | None, Attr("oadr:Id")] = None
    message: Any2b


class OadrPayload(Element, frozen=True, kw_only=True, tag="oadr:oadrPayload"):
    """What goes over the wire; the signature is kept as the XML that it is, and checked by `signature` only."""

    signature: Annotated[Xml | None, At("ds:Signature")] = None
    oadr_signed_object: OadrSignedObject


SERVICES: Final[dict[names.ServiceName, tuple[type[Message], ...]]] = {
    names.ServiceName.EI_REGISTER_PARTY: (
        OadrQueryRegistration,
        OadrCreatePartyRegistration,
        OadrCreatedPartyRegistration,
        OadrRequestReregistration,
        OadrCancelPartyRegistration,
        OadrCanceledPartyRegistration,
    ),
    names.ServiceName.EI_EVENT: (OadrRequestEvent, OadrDistributeEvent, OadrCreatedEvent),
    names.ServiceName.EI_REPORT: (
        OadrRegisterReport,
        OadrRegisteredReport,
        OadrCreateReport,
        OadrCreatedReport,
        OadrUpdateReport,
        OadrUpdatedReport,
        OadrCancelReport,
        OadrCanceledReport,
    ),
    names.ServiceName.EI_OPT: (OadrCreateOpt, OadrCreatedOpt, OadrCancelOpt, OadrCanceledOpt),
    names.ServiceName.OADR_POLL: (OadrPoll,),
}
"""Service -> its messages; oadrResponse belongs to all of them."""
