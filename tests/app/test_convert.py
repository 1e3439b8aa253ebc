"""Convert and validate on bytes: any form into any other, losses told, faults named."""

from __future__ import annotations

import json

import msgspec
import pytest

from flexhub.app.convert import TARGETS, convert, recognise, validate
from flexhub.conformance.corpora import corpus
from flexhub.core import documents
from flexhub.core.errors import FlexhubError, InvalidError, LossError, MalformedError
from flexhub.core.flexoffer import FlexOffer, Profile
from flexhub.mappings.flexoffer import Form, Sign

FILES = {file.name: file.data for file in corpus("flexoffer").accepted}


FORMS = ("core", *(form.value for form in Form))
"""What every flex-offer can be written as."""


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize("to", FORMS)
def test_every_accepted_message_converts_into_every_form_and_is_valid_there(name: str, to: str) -> None:
    written = convert(FILES[name], to)
    assert recognise(written.data).protocol == ("core" if to == "core" else "flexoffer")
    assert validate(written.data) == []
    assert convert(FILES[name], to) == written  # no clock, no chance


def _outcome(name: str, to: str) -> str:
    """Whether what is written is valid, or the refusal says where."""
    try:
        written = convert(FILES[name], to, allow_loss=True)
    except InvalidError as error:
        return "refused" if error.path.startswith("FlexOffer") else "refused without a place"
    return "valid" if validate(written.data) == [] else "not valid"


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize("to", sorted(set(TARGETS) - set(FORMS)))
def test_what_a_standard_has_no_room_for_is_refused_and_the_rest_is_valid_there(name: str, to: str) -> None:
    assert _outcome(name, to) in {"valid", "refused"}


def test_a_message_comes_back_from_the_core_as_it_was() -> None:
    there = convert(FILES["goflex.json"], "core")
    assert json.loads(convert(there.data, "goflex").data) == json.loads(FILES["goflex.json"])


def test_several_core_offers_are_json_lines() -> None:
    lines = convert(FILES["list.json"], "core").data
    assert lines.count(b"\n") == 2
    assert recognise(lines).offers == 2
    assert len(json.loads(convert(lines, "goflex").data)) == 2


def test_the_sign_is_an_option_both_ways() -> None:
    turned = convert(FILES["total.json"], "goflex", sign_in=Sign.CONSUMPTION, sign_out=Sign.PRODUCTION).data
    assert json.loads(turned)["totalEnergyConstraint"] == {"lower": -1.5, "upper": 0.5}
    again = convert(turned, "goflex", sign_in=Sign.PRODUCTION).data
    assert json.loads(again)["totalEnergyConstraint"] == {"lower": -0.5, "upper": 1.5}


def test_a_lost_bound_refuses_unless_allowed() -> None:
    offer = documents.decode(FlexOffer, convert(FILES["v1.json"], "core").data)
    shorter = Profile(slices=offer.profiles[0].slices[:1])
    two = documents.encode(msgspec.structs.replace(offer, profiles=(*offer.profiles, shorter)))
    with pytest.raises(LossError, match="alternatives"):
        convert(two, "goflex")
    assert [loss.kind for loss in convert(two, "goflex", allow_loss=True).losses] == ["bound"]
    assert convert(two, "core").losses == ()


@pytest.mark.parametrize("file", corpus("flexoffer").rejected, ids=lambda f: f.name)
def test_rejects_are_named_and_not_converted(file: object) -> None:
    data: bytes = file.data  # type: ignore[attr-defined] # a Rejected
    found = validate(data)
    assert len(found) == 1
    rule: str = file.rule or file.code  # type: ignore[attr-defined] # as above
    # JSON that is none at all is refused before it is known to be a flex-offer, so it may have no path.
    assert found[0].rule in (rule, "malformed")
    with pytest.raises(FlexhubError):
        convert(data, "core")


def test_what_is_no_message_is_said_to_be_none() -> None:
    for data in (b"{}", b"3", b"[1]", b"", b"\xff"):
        with pytest.raises(MalformedError):
            recognise(data)
        assert [finding.rule for finding in validate(data)] == ["malformed"]
    with pytest.raises(InvalidError, match="flexoffer-v1"):
        convert(FILES["v1.json"], "banana")


def test_a_core_document_is_judged_as_one() -> None:
    good = convert(FILES["total.json"], "core").data
    assert validate(good) == []
    bad = good.replace(b'"lo_kwh":-1.5', b'"lo_kwh":9.5')
    assert [(f.rule, f.clause) for f in validate(bad)] == [("invalid", "V1 energyConstraint")]
