"""`flexhub convert` and `validate` on USEF 2015's messages, UFTP's and flex-offers."""

from __future__ import annotations

import re
from typing import Any

import pytest

from flexhub.app.convert import convert, recognise, validate
from flexhub.conformance.corpora import corpus
from flexhub.core import documents
from flexhub.core.errors import InvalidError, LossError, MalformedError
from flexhub.core.flexoffer import FlexOffer
from flexhub.mappings.fates import Kind
from flexhub.mappings.usef2015.bridge import NO_UFTP
from flexhub.protocols.registry import protocol

USEF = corpus("usef2015")
ACCEPTED = {file.name: file.data for file in USEF.accepted}
THEIRS = {file.name: file.data for file in corpus("uftp").accepted}
CODEC, UFTP = protocol("usef2015").codec, protocol("uftp").codec


def _prices(m: Any) -> list[Any]:
    return [(p.start, p.duration, p.power_w, p.price) for p in m.ptus]


@pytest.mark.parametrize("name", sorted(ACCEPTED))
def test_every_message_is_known_and_breaks_no_rule(name: str) -> None:
    assert recognise(ACCEPTED[name]) == ("usef2015", type(CODEC.decode(ACCEPTED[name])).__name__, 1)
    assert validate(ACCEPTED[name]) == []
    assert convert(convert(ACCEPTED[name], "usef2015").data, "usef2015").data == (
        CODEC.encode(CODEC.decode(ACCEPTED[name])) + b"\n"
    )


AGREED = ("point-unknown.xml", "power-absurd.xml")
"""What breaks a rule only where the parties agreed on something."""
ALONE = [f for f in USEF.rejected if not f.seen and f.rule and f.name not in AGREED]


@pytest.mark.parametrize("file", ALONE, ids=lambda f: f.name)
def test_what_breaks_a_rule_by_itself_is_told_and_not_converted(file: Any) -> None:
    assert [(found.rule, found.path) for found in validate(file.data)] == [(file.rule, file.path)]
    with pytest.raises(InvalidError, match=file.rule):
        convert(file.data, "uftp")
    assert validate(ACCEPTED[file.twin]) == []


@pytest.mark.parametrize("name", sorted(ACCEPTED))
def test_to_uftp_and_back_keeps_who_what_and_when(name: str) -> None:
    m: Any = CODEC.decode(ACCEPTED[name])
    if type(m) in NO_UFTP or name in (
        "plan.xml",
        "request-plan.xml",
        "offer-nothing.xml",
        "update-brp.xml",
        "meter-response.xml",
    ):
        with pytest.raises(InvalidError):
            convert(ACCEPTED[name], "uftp")
        return
    there = convert(ACCEPTED[name], "uftp", allow_loss=True)
    assert validate(there.data) == []
    u: Any = UFTP.decode(there.data)
    back: Any = CODEC.decode(convert(there.data, "usef2015").data)
    assert type(back) is type(m)
    for field in ("message_id", "conversation_id", "sender_domain", "recipient_domain", "time_stamp"):
        assert getattr(back.message_metadata, field) == getattr(m.message_metadata, field) == getattr(u, field)
    for field in ("flex_request_sequence", "flex_offer_sequence", "prognosis_sequence"):
        if name not in ("request.xml", "request-whole-day.xml"):  # UFTP's request names no prognosis
            assert getattr(back, field, None) == getattr(m, field, None)


def test_an_offer_becomes_a_flex_offer_and_comes_back() -> None:
    core = convert(ACCEPTED["offer.xml"], "core")
    assert [loss.kind for loss in core.losses] == [Kind.DEFAULTED]
    back = convert(core.data, "usef2015")
    assert back.losses == ()
    one: Any = CODEC.decode(ACCEPTED["offer.xml"])
    other: Any = CODEC.decode(back.data)
    assert other.message_metadata == one.message_metadata
    assert (other.sequence, other.flex_request_sequence) == (one.sequence, one.flex_request_sequence)
    assert _prices(other) == _prices(one)
    assert validate(back.data) == []
    assert convert(ACCEPTED["offer.xml"], "goflex").data.startswith(b"{")


def test_uftp_and_the_flex_offer_and_usef_2015_in_a_circle() -> None:
    core = convert(convert(ACCEPTED["offer.xml"], "uftp").data, "core").data
    there = convert(core, "usef2015")
    one: Any = CODEC.decode(ACCEPTED["offer.xml"])
    other: Any = CODEC.decode(there.data)
    assert [p.power_w for p in other.ptus for _ in range(p.duration)] == [
        p.power_w for p in one.ptus for _ in range(p.duration)
    ]
    assert sum(p.price * p.duration for p in other.ptus) == sum(p.price * p.duration for p in one.ptus)
    assert other.flex_request_sequence == one.flex_request_sequence
    offer = documents.decode(FlexOffer, core)
    assert offer.location == "ean.871685900012636543"


def test_two_options_and_partial_activation_are_too_much() -> None:
    with pytest.raises(LossError, match="exclude each other"):
        convert(THEIRS["offer.xml"], "usef2015")
    done = convert(THEIRS["offer.xml"], "usef2015", allow_loss=True)
    assert validate(done.data) == []
    assert [loss.kind for loss in done.losses if loss.kind is Kind.BOUND] == [Kind.BOUND] * 2


def test_an_offer_to_a_brp_is_one_at_its_domain() -> None:
    ptu = b'<PTU Power="-50000" Start="41" Price="2"/></FlexOffer>'
    told = ACCEPTED["offer-nothing.xml"].replace(b"</FlexOffer>", ptu)
    assert validate(told) == []
    core = convert(told, "core").data
    assert documents.decode(FlexOffer, core).location == "brp.example.com"
    back: Any = CODEC.decode(convert(core, "usef2015").data)
    assert back.message_metadata == CODEC.decode(told).message_metadata
    assert back.congestion_point is None
    elsewhere = core.replace(b'"location":"brp.example.com"', b'"location":"house-7"')
    with pytest.raises(InvalidError, match="entity address"):
        convert(elsewhere, "usef2015")


ENVELOPE = b'<SignedMessage SenderDomain="a.example.com" SenderRole="MDC" Body=""/>'
REPLY = b'<SignedMessageReply MessageID="00000000-0000-4000-8000-000000000001" Result="Accepted" Status="Submitted"/>'


@pytest.mark.parametrize(
    ("data", "known"),
    [
        (ENVELOPE, ("usef2015", "SignedMessage", 1)),
        (ENVELOPE.replace(b"MDC", b"DSO"), ("uftp", "SignedMessage", 1)),
        (REPLY, ("usef2015", "SignedMessageReply", 1)),
        (THEIRS["request.xml"], ("uftp", "FlexRequest", 1)),
        (ACCEPTED["request.xml"], ("usef2015", "FlexRequest", 1)),
    ],
)
def test_the_two_protocols_are_told_apart(data: bytes, known: tuple[str, str, int]) -> None:
    assert recognise(data) == known
    assert validate(data) == []


def test_without_metadata_an_attribute_tells_what_a_message_was_to_be() -> None:
    data = ACCEPTED["request.xml"]
    without = re.sub(rb"<MessageMetadata[^>]*/>", b"", data)
    assert [found.path for found in validate(without)] == ["FlexRequest/MessageMetadata"]
    theirs = THEIRS["request.xml"].replace(b'Version="3.1.0"', b"")
    assert [found.path for found in validate(theirs)] == ["FlexRequest/@Version"]


def test_what_is_neither_or_signed_is_not_converted() -> None:
    for data in (b"<PTU/>", b"<MessageMetadata/>", b"<Banana/>"):
        with pytest.raises(MalformedError):
            recognise(data)
    with pytest.raises(InvalidError, match="signed"):
        convert(ENVELOPE, "uftp")
    with pytest.raises(InvalidError, match="only a FlexOffer"):
        convert(ACCEPTED["request.xml"], "core")
    assert [found.rule for found in validate(b"<FlexRequest/>")] == ["invalid"]
