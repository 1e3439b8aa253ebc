"""By what a VTN knows a VEN: a fingerprint or a JID, and nobody by either in the other's place."""

from __future__ import annotations

from itertools import product

import msgspec
import pytest

from flexhub.core.errors import InvalidError
from flexhub.protocols.openadr2b import identity
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.names import ResponseCode, TransportName
from flexhub.protocols.openadr2b.session.book import Settings
from tests.app.openadr.vtn_stage import registering
from tests.protocols.test_openadr2b_vtn_session import VEN, after, code, receive, refused

JID = "xmpp:site@example.org"
CERTIFICATE = "AA:BB:CC:DD:EE:FF:00:11:22:33"
BOTH = Settings(vtn_id="VTN-1", transports=(TransportName.SIMPLE_HTTP, TransportName.XMPP))


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("xmpp:Site@Example.ORG", JID),
        ("XMPP:site@example.org", JID),
        ("aabbccddeeff00112233", CERTIFICATE),
        ("xmpp:site@example.org/openadr", None),
        ("xmpp:example.org", None),
        ("xmpp:a@b@c", None),
        ("xmpp:", None),
        ("site@example.org", None),
        ("xmpp:si te@example.org", None),
    ],
)
def test_an_identity_has_one_spelling(text: str, normal: str | None) -> None:
    if normal is None:
        with pytest.raises(InvalidError):
            identity.normal(text)
    else:
        assert identity.normal(text) == normal
        assert identity.normal(normal) == normal


def test_who_sends_is_the_bare_jid_and_no_other() -> None:
    assert identity.of_jid("Site@Example.org/openadr/2") == JID
    assert identity.of_jid("site@example.org.evil/openadr") != JID


@pytest.mark.parametrize(
    ("bound", "shown"), list(product((None, JID, "xmpp:other@example.org", CERTIFICATE), repeat=2))
)
def test_a_ven_speaks_by_what_it_is_bound_to(bound: str | None, shown: str | None) -> None:
    """All pairs: by HTTP a VEN that is bound to nothing needs nothing; over XMPP nobody is let in by that."""
    ven = msgspec.structs.replace(VEN, fingerprint=bound)
    step = receive(wire.OadrPoll(ven_id="v1"), ven=ven, fingerprint=shown, settings=BOTH)
    unbound_over_http = bound is None and not (shown or "").startswith("xmpp:")
    if bound == shown or unbound_over_http:
        assert code(step) == "200"
    else:
        refused(step, "OADR-V03", "463")


def test_a_registration_over_xmpp_binds_the_jid_and_is_pushed_to_there() -> None:
    told = registering(
        ven_id="v1",
        oadr_transport_name=TransportName.XMPP,
        oadr_transport_address="site@example.org/openadr",
        oadr_http_pull_model=None,
    )
    ven = after(receive(told, fingerprint=JID, settings=BOTH), type(VEN))
    assert (ven.fingerprint, ven.pull, ven.address) == (JID, False, "site@example.org/openadr")
    for wrong, shown, settings in (
        ({"oadr_transport_address": "other@example.org/openadr"}, JID, BOTH),
        ({"oadr_transport_address": "site@example.org"}, JID, BOTH),
        ({"oadr_transport_address": None}, JID, BOTH),
        ({"oadr_xml_signature": True}, JID, BOTH),
        ({"oadr_transport_name": TransportName.SIMPLE_HTTP, "oadr_http_pull_model": True}, JID, BOTH),
        ({}, CERTIFICATE, BOTH),  # came over HTTP
        ({}, None, BOTH),
        ({}, JID, Settings(vtn_id="VTN-1")),  # XMPP is not offered
    ):
        step = receive(msgspec.structs.replace(told, **wrong), fingerprint=shown, settings=settings)
        refused(step, "OADR-V05", ResponseCode.NOT_ALLOWED)
