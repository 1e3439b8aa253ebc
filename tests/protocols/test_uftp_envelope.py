"""The envelope: what is signed is opened with the published key, and nothing else is."""

from __future__ import annotations

import base64

import msgspec
import pytest

from flexhub.core.errors import InvalidError, UnauthorizedError
from flexhub.protocols.uftp import envelope
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.codec import UftpCodec
from flexhub.protocols.uftp.envelope import Delivery, Failed, Opened, open_delivery
from flexhub.protocols.uftp.messages import Role, SignedMessage

CODEC = UftpCodec()
KEY = envelope.key_of_seed(bytes(range(32)))
OTHER = envelope.key_of_seed(bytes(32))
MESSAGE = wire.TestMessage(
    version="3.1.0",
    sender_domain="agr.example.com",
    recipient_domain="dso.example.com",
    time_stamp="2026-03-28T10:00:00Z",
    message_id="00000000-0000-4000-8000-000000000001",
    conversation_id="00000000-0000-4000-8000-000000000002",
)
INNER = CODEC.encode(MESSAGE)
OUTER = envelope.seal(INNER, "agr.example.com", Role.AGR, KEY)
GOOD = Delivery(content_type="text/xml; charset=UTF-8", content_length=len(OUTER), body=OUTER, key=KEY.public())


def test_what_is_sealed_is_opened_and_the_same_bytes_come_again() -> None:
    opened = open_delivery(GOOD, CODEC)
    assert isinstance(opened, Opened)
    assert (opened.inner, opened.message) == (INNER, MESSAGE)
    assert (opened.envelope.sender_domain, opened.envelope.sender_role) == ("agr.example.com", Role.AGR)
    assert envelope.seal(INNER, "agr.example.com", Role.AGR, KEY) == OUTER
    assert base64.b64decode(opened.envelope.body)[64:] == INNER  # NaCl: 64 bytes of signature, then the message


def _sealed(inner: bytes) -> bytes:
    return envelope.seal(inner, "agr.example.com", Role.AGR, KEY)


@pytest.mark.parametrize(
    ("change", "rule", "status"),
    [
        ({"content_length": None}, "UFTP-01", 411),
        ({"content_type": "application/json"}, "UFTP-02", 400),
        ({"content_type": ""}, "UFTP-02", 400),
        ({"content_type": "text/xml; charset=latin1"}, "UFTP-03", 400),
        ({"too_many": True}, "UFTP-04", 429),
        ({"body": b"garbage"}, "UFTP-05", 400),
        ({"body": INNER}, "UFTP-05", 400),
        ({"body": OUTER.replace(b" Body=", b" Bodies=")}, "UFTP-05", 400),
        ({"body": OUTER.replace(b' Body="', b' Body="!')}, "UFTP-05", 400),
        ({"body": b"<!DOCTYPE x>" + OUTER[38:]}, "UFTP-05", 400),
        ({"key": None}, "UFTP-06", 419),
        ({"key": OTHER.public()}, "UFTP-07", 401),
        ({"body": OUTER.replace(b' Body="', b' Body="AAAA')}, "UFTP-07", 401),
        ({"body": _sealed(b"garbage")}, "UFTP-08", 400),
        ({"body": _sealed(INNER.replace(b" Version", b' Banana="1" Version'))}, "UFTP-08", 400),
        ({"body": _sealed(OUTER)}, "UFTP-08", 400),
    ],
)
def test_each_failure_has_its_status(change: dict[str, object], rule: str, status: int) -> None:
    assert isinstance(open_delivery(GOOD, CODEC), Opened)
    failed = open_delivery(msgspec.structs.replace(GOOD, **change), CODEC)
    assert isinstance(failed, Failed)
    assert (failed.rule, failed.status) == (rule, status)


def test_keys_are_written_and_read_in_every_form() -> None:
    public = KEY.public(box=bytes(32))
    assert str(public).startswith("cs1.")
    assert len(base64.b64decode(str(public)[4:])) == 64
    for text in (str(public), str(public)[4:], f" {public}\n"):
        assert envelope.public_key(text) == public
    assert envelope.private_key(KEY.text()) == KEY
    assert envelope.private_key(base64.b64encode(bytes(range(32))).decode()) == KEY
    assert KEY.text() not in repr(KEY)


@pytest.mark.parametrize("text", ["", "cs1.", "cs2." + "A" * 88, "cs1.AAAA", "cs1.!!!!", "é"])
def test_what_is_no_published_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidError):
        envelope.public_key(text)


def test_a_private_key_whose_halves_do_not_match_is_refused() -> None:
    with pytest.raises(InvalidError, match="public half"):
        envelope.private_key(base64.b64encode(KEY.secret[:32] + OTHER.secret[32:]).decode())
    with pytest.raises(InvalidError):
        envelope.private_key("AAAA")
    with pytest.raises(InvalidError, match="32"):
        envelope.key_of_seed(b"")


def test_an_empty_body_has_no_signature() -> None:
    told = SignedMessage(sender_domain="agr.example.com", sender_role=Role.AGR, body="")
    with pytest.raises(UnauthorizedError):
        envelope.unseal(told, KEY.public())
