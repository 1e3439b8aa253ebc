"""The flex-offer codec: dialects read in one line each, and nothing but our own errors for anything else."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexhub.app import convert
from flexhub.conformance.corpora import corpus
from flexhub.core.errors import FlexhubError, InvalidError, MalformedError
from flexhub.mappings.flexoffer import Context, Sign, to_core, to_wire
from flexhub.protocols.flexoffer.codec import FlexOfferCodec
from flexhub.protocols.flexoffer.messages import Document
from flexhub.protocols.flexoffer.rules import RULES
from flexhub.protocols.rules import broken
from flexhub.protocols.unknown import MAX_DEPTH

CODEC = FlexOfferCodec()
ACCEPTED = corpus("flexoffer").accepted


def _through_everything(data: bytes) -> None:
    """Reads, judges, maps and writes; a message without findings maps, and comes back equal."""
    document = CODEC.decode(data)
    assert CODEC.decode(CODEC.encode(document)) == document
    for offer in document.offers:
        findings = broken(RULES, offer)
        context = Context(new_id="x", issuer="y")
        try:
            value = to_core(offer, context).value
        except FlexhubError as error:
            if not findings and error.code != "loss":
                pytest.fail(f"no finding, yet {error}")
            continue
        CODEC.encode(Document(offers=(to_wire(value, context).value,)))


def _tamely(data: bytes) -> None:
    with contextlib.suppress(FlexhubError):
        _through_everything(data)
    convert.validate(data)


@given(st.binary(max_size=200))
@settings(max_examples=150)
def test_arbitrary_bytes_raise_nothing_but_our_errors(data: bytes) -> None:
    _tamely(data)


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JSON = st.recursive(LEAVES, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=6), x, max_size=3))


@given(JSON)
@settings(max_examples=150)
def test_arbitrary_json_raises_nothing_but_our_errors(value: Any) -> None:
    _tamely(json.dumps(value).encode())


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(p for key, item in below for p in _places(item, (*path, key)))]


ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 1e300, -1e300, 10**30, "", "0042", "NaN", "1e999", "2026-03-14T09:00:00Z", [], {}, [[]], "\x00"]
)


@given(st.data())
@settings(max_examples=300)
def test_accepted_messages_with_one_thing_changed_are_read_or_refused_in_our_words(data: st.DataObject) -> None:
    document = json.loads(data.draw(st.sampled_from(ACCEPTED)).data)
    path = data.draw(st.sampled_from(_places(document)[1:]))
    holder = document
    for key in path[:-1]:
        holder = holder[key]
    if data.draw(st.booleans()):
        del holder[path[-1]]
    else:
        holder[path[-1]] = data.draw(ODD | JSON)
    _tamely(json.dumps(document).encode())


@pytest.mark.parametrize("file", ACCEPTED, ids=lambda f: f.name)
def test_accepted_messages_are_written_as_they_were_read(file: Any) -> None:
    assert json.loads(CODEC.encode(CODEC.decode(file.data))) == json.loads(file.data)


def _nested(levels: int) -> bytes:
    return b'{"offeredById":"a","note":' + b"[" * levels + b"]" * levels + b"}"


def test_depth_and_size_are_limited() -> None:
    assert CODEC.decode(_nested(MAX_DEPTH - 1)).offers
    with pytest.raises(MalformedError, match="deeper"):
        CODEC.decode(_nested(MAX_DEPTH + 1))
    with pytest.raises(MalformedError, match="not JSON"):
        CODEC.decode(_nested(100_000))
    small = FlexOfferCodec(max_bytes=20)
    assert small.decode(b'{"offeredById":"abc"}'[:21].replace(b"abc", b"ab")).offers
    with pytest.raises(MalformedError, match="exceed the limit"):
        small.decode(b'{"offeredById":"abc"}')


def test_a_field_named_like_our_own_is_an_unknown_field() -> None:
    document = CODEC.decode(b'{"id":"a","unknown":{"tree":1}}')
    assert json.loads(CODEC.encode(document)) == {"id": "a", "unknown": {"tree": 1}}


def test_a_type_is_never_guessed_from_text() -> None:
    offer = CODEC.decode(b'{"id":"0042","offeredById":42,"defaultSchedule":{"scheduleSlices":[]}}').offers[0]
    assert offer.id == "0042"
    assert offer.offered_by_id == 42
    with pytest.raises(InvalidError, match="numSecondsPerInterval"):
        CODEC.decode(b'{"numSecondsPerInterval":"900"}')


@pytest.mark.parametrize("sign", list(Sign))
def test_the_sign_convention_is_the_callers(sign: Sign) -> None:
    data = next(f for f in ACCEPTED if f.name == "v1.json").data
    offer = CODEC.decode(data).offers[0]
    value = to_core(offer, Context(sign=sign)).value
    first = value.profiles[0].slices[0]
    want = (-1.5, 2.25) if sign is Sign.CONSUMPTION else (-2.25, 1.5)
    assert (first.energy_kwh[0].lo_kwh, first.energy_kwh[0].hi_kwh) == want
    assert first.price is not None
    assert first.price.tariffs() == ((0.03, 0.12) if sign is Sign.CONSUMPTION else (-0.12, -0.03))
