"""EiRegisterParty at a VTN: venIDs that were allocated beforehand or are assigned, again and again, until it ends."""

from __future__ import annotations

import msgspec

from flexhub.core.errors import IllegalTransitionError
from flexhub.protocols.openadr2b import identity
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.names import ProfileName, TransportName
from flexhub.protocols.openadr2b.session.book import Arrived, Step, ok, plain, refuse
from flexhub.protocols.openadr2b.session.state import STAGES, Happens, Stage, VtnVen


def moved(ven: VtnVen, event: Happens) -> VtnVen:
    """A VEN after something happened to its registration; what belonged to one that ended is forgotten.

    Raises:
        IllegalTransitionError: it may not happen.
    """
    stage = STAGES.get((ven.stage, event))
    if stage is None:
        raise IllegalTransitionError(f"{event}, which may not happen to one that is {ven.stage}", value=ven.id)
    ven = msgspec.structs.replace(ven, stage=stage)
    if stage is not Stage.KNOWN:
        return ven
    return msgspec.structs.replace(ven, registration_id=None, events={}, requests={}, metadata_for=())


def query(arrived: Arrived) -> Step:
    """How to register."""
    settings = arrived.settings
    return Step(
        wire.OadrCreatedPartyRegistration(
            schema_version=wire.VERSION,
            ei_response=ok(arrived),
            vtn_id=settings.vtn_id,
            oadr_profiles=settings.profiles(),
            oadr_requested_oadr_poll_freq=settings.poll,
        )
    )


def register(arrived: Arrived) -> Step:
    """A VEN registers: with the venID that it was given beforehand, by its certificate, or to be given one.

    Interpretation: a VEN that is registered and registers again without its registrationID has lost it; it gets
    another, and what it knows of events counts for nothing, so that it is told all of them.
    """
    message, ven, settings = arrived.message, arrived.ven, arrived.settings
    assert isinstance(message, wire.OadrCreatePartyRegistration)  # noqa: S101 - the table says so
    if message.oadr_profile_name is not ProfileName.B:
        refuse(arrived, "OADR-V05", "oadrProfileName", f"is {message.oadr_profile_name}; 2.0b is spoken")
    if message.oadr_transport_name not in settings.transports:
        refuse(arrived, "OADR-V05", "oadrTransportName", f"is {message.oadr_transport_name}, which is not offered")
    _transport(arrived, message)
    if ven is None and message.ven_id is not None:
        refuse(arrived, "OADR-V02", "venID", f"{message.ven_id[:40]!r} was not allocated")
    if ven is None:
        if not settings.anyone:
            refuse(arrived, "OADR-V07", "venID", "is missing, and the VTN assigns none to whom it does not know")
        ven = VtnVen(id=message.ven_id or arrived.new("ven"), fingerprint=arrived.fingerprint)
    if message.registration_id is not None and message.registration_id != ven.registration_id:
        refuse(arrived, "OADR-V04", "registrationID", f"is {message.registration_id[:40]!r}")
    again = message.registration_id is not None
    ven = moved(ven, Happens.REGISTER)
    ven = msgspec.structs.replace(
        ven,
        name=message.oadr_ven_name or ven.name,
        fingerprint=ven.fingerprint or arrived.fingerprint,
        registration_id=ven.registration_id if again else arrived.new("registration"),
        transport=message.oadr_transport_name,
        address=message.oadr_transport_address,
        pull=message.oadr_transport_name is TransportName.SIMPLE_HTTP and message.oadr_http_pull_model is not False,
        report_only=message.oadr_report_only,
        xml_signature=message.oadr_xml_signature,
        events=ven.events if again else {},
        changed=arrived.now,
    )
    answer = wire.OadrCreatedPartyRegistration(
        schema_version=wire.VERSION,
        ei_response=ok(arrived),
        registration_id=ven.registration_id,
        ven_id=ven.id,
        vtn_id=settings.vtn_id,
        oadr_profiles=settings.profiles(),
        oadr_requested_oadr_poll_freq=settings.poll,
    )
    return Step(answer, (ven,))


def _transport(arrived: Arrived, message: wire.OadrCreatePartyRegistration) -> None:
    """Refuse an address that a VEN cannot be pushed to, and over XMPP what that cannot do.

    Interpretation: a VEN registers over the transport that it is to be served by, and over XMPP with a full JID of its
    own, so that nobody has messages sent to another. Over XMPP it cannot have messages be signed: servers write
    elements with other prefixes, which the signature covers.
    """
    name, address, shown = message.oadr_transport_name, message.oadr_transport_address, arrived.fingerprint
    came_by = identity.transport_of(shown)
    if name is not came_by:
        refuse(arrived, "OADR-V05", "oadrTransportName", f"is {name}, and came over {came_by}")
    if name is TransportName.XMPP:
        if address is None or "/" not in address or identity.of_jid(address) != shown:
            refuse(arrived, "OADR-V05", "oadrTransportAddress", "is no full JID of who sends it")
        if message.oadr_xml_signature:
            refuse(arrived, "OADR-V05", "oadrXmlSignature", "is true, and signatures do not pass XMPP servers")
    elif message.oadr_http_pull_model is False and not (address or "http://").startswith(("http://", "https://")):
        refuse(arrived, "OADR-V05", "oadrTransportAddress", "is no address of http or https")


def leave(arrived: Arrived) -> Step:
    """A VEN ends its registration."""
    message, ven = arrived.message, arrived.known
    assert isinstance(message, wire.OadrCancelPartyRegistration)  # noqa: S101 - the table says so
    if message.registration_id != ven.registration_id:
        refuse(arrived, "OADR-V04", "registrationID", f"is {message.registration_id[:40]!r}")
    answer = wire.OadrCanceledPartyRegistration(
        schema_version=wire.VERSION, ei_response=ok(arrived), registration_id=message.registration_id, ven_id=ven.id
    )
    return Step(answer, (msgspec.structs.replace(moved(ven, Happens.LEAVE), changed=arrived.now),))


def left(arrived: Arrived) -> Step:
    """A VEN has taken note that its registration is cancelled, or says that it has no such."""
    message, ven = arrived.message, arrived.known
    assert isinstance(message, wire.OadrCanceledPartyRegistration)  # noqa: S101 - the table says so
    if ven.stage is not Stage.CANCELLING or message.registration_id not in (None, ven.registration_id):
        refuse(arrived, "OADR-V04", "registrationID", "was not cancelled")
        return Step(plain(arrived))
    return Step(plain(arrived), (msgspec.structs.replace(moved(ven, Happens.CANCELED), changed=arrived.now),))


def call(ven: VtnVen) -> wire.OadrRequestReregistration | wire.OadrCancelPartyRegistration | None:
    """What a VEN is to be told about its registration, if anything."""
    if ven.stage is Stage.ASKED_AGAIN:
        return wire.OadrRequestReregistration(schema_version=wire.VERSION, ven_id=ven.id)
    if ven.stage is Stage.CANCELLING and ven.registration_id is not None:
        return wire.OadrCancelPartyRegistration(
            schema_version=wire.VERSION,
            request_id=f"cancel-{ven.registration_id}",
            registration_id=ven.registration_id,
            ven_id=ven.id,
        )
    return None
