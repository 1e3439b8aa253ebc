"""The two published GOFLEX samples, through the core and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flexhub.core import documents
from flexhub.core.flexoffer import FlexOffer, State
from flexhub.mappings.flexoffer import Context, Sign, to_core, to_wire
from flexhub.protocols.flexoffer.codec import FlexOfferCodec
from flexhub.protocols.flexoffer.messages import Document
from flexhub.protocols.flexoffer.rules import RULES
from flexhub.protocols.rules import broken

CODEC = FlexOfferCodec()


@pytest.mark.parametrize("sign", list(Sign))
@pytest.mark.parametrize("name", ["goflex_Cyprus.json", "goflex_SWW.json"])
def test_a_published_sample_survives_the_core_and_its_storage(shared: Path, name: str, sign: Sign) -> None:
    data = (shared / "data" / "flexoffer" / name).read_bytes()
    message = CODEC.decode(data).offers[0]
    assert broken(RULES, message) == []

    context = Context(new_id="given-1", null_ids=True, sign=sign)
    offer = to_core(message, context)
    assert offer.value.state is State.INITIAL
    assert [loss.path for loss in offer.losses] == ["FlexOffer/id"]

    stored = documents.decode(FlexOffer, documents.encode(offer.value))
    back = to_wire(stored, context)
    assert back.losses == ()
    assert json.loads(CODEC.encode(Document(offers=(back.value,)))) == json.loads(data)


def test_the_given_id_is_written_to_whom_it_must_be_told(shared: Path) -> None:
    message = CODEC.decode((shared / "data/flexoffer/goflex_SWW.json").read_bytes()).offers[0]
    context = Context(new_id="given-1")
    assert to_wire(to_core(message, context).value, context).value.id == "given-1"
