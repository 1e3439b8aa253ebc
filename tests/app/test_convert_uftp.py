"""`flexhub convert` and `validate` on UFTP's messages."""

from __future__ import annotations

import pytest

from flexhub.app.convert import convert, recognise, validate
from flexhub.conformance.corpora import corpus
from flexhub.core.errors import InvalidError, LossError, MalformedError
from flexhub.mappings.fates import Kind
from flexhub.protocols.uftp.codec import UftpCodec

ACCEPTED = {file.name: file.data for file in corpus("uftp").accepted}
OFFER = ACCEPTED["offer-unsolicited.xml"]


def test_an_offer_becomes_a_flex_offer_and_comes_back() -> None:
    assert recognise(OFFER) == ("uftp", "FlexOffer", 1)
    core = convert(OFFER, "core")
    assert [loss.kind for loss in core.losses] == [Kind.DEFAULTED]
    back = convert(core.data, "uftp")
    assert back.losses == ()
    one, other = UftpCodec().decode(OFFER), UftpCodec().decode(back.data)
    assert (one.message_id, one.conversation_id) == (other.message_id, other.conversation_id)
    assert getattr(one, "offer_options") == getattr(other, "offer_options")  # noqa: B009 - of Payload's subclass
    assert validate(back.data) == []


def test_two_options_are_too_much_for_goflex() -> None:
    with pytest.raises(LossError, match="alternatives"):
        convert(ACCEPTED["offer.xml"], "goflex")


def test_what_breaks_a_rule_or_is_no_offer_is_not_converted() -> None:
    late = OFFER.replace(b'Start="41"', b'Start="97"')
    assert [found.rule for found in validate(late)] == ["UFTP-22"]
    with pytest.raises(InvalidError, match="outside"):
        convert(late, "core")
    with pytest.raises(InvalidError, match="only a FlexOffer"):
        convert(ACCEPTED["request.xml"], "core")
    assert [found.rule for found in validate(b"<a")] == ["malformed"]
    with pytest.raises(MalformedError):
        recognise(b"<Banana/>")
