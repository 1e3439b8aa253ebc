from __future__ import annotations

from typing import Any

import msgspec
import pytest

from flexhub.core import documents
from flexhub.core.base import Model
from flexhub.core.documents import UPCASTERS, VERSION, decode, encode, upcast
from flexhub.core.errors import InvalidError, MalformedError
from flexhub.core.flexoffer import EnergyRange, FlexOffer, Schedule, ScheduleSlice
from flexhub.core.lifecycle import AnyEvent, Canceled
from tests.core.test_judge import NOON, offer


class Cup(Model, frozen=True, kw_only=True):
    """A document whose first version said `size` for `litres`."""

    litres: float


@pytest.mark.parametrize("data", [b"", b"{", b"{]", b'{"lo_kwh": NaN}', b"\xff\xfe", "no"])
def test_what_is_not_json_is_malformed(data: bytes | str) -> None:
    assert decode(EnergyRange, b'{"lo_kwh": 0, "hi_kwh": 1}') == EnergyRange(0, 1)
    with pytest.raises(MalformedError) as caught:
        decode(EnergyRange, data)
    assert (caught.value.path, caught.value.clause) == ("EnergyRange", "RFC 8259")


def test_nesting_without_end_is_malformed() -> None:
    good = encode(offer(extras={"deep": [[[1]]]}))
    assert decode(FlexOffer, good).extras == {"deep": [[[1]]]}
    with pytest.raises(MalformedError):
        decode(FlexOffer, good.replace(b"[[[1]]]", b"[" * 100_000 + b"]" * 100_000))


@pytest.mark.parametrize(
    ("kind", "data", "path"),
    [
        (EnergyRange, b"[]", "EnergyRange"),
        (EnergyRange, b'{"lo_kwh": 0}', "EnergyRange"),
        (EnergyRange, b'{"lo_kwh": "0", "hi_kwh": 1}', "EnergyRange/lo_kwh"),
        (
            Schedule,
            b'{"start": "2026-03-29T12:00:00Z", "slices": [{"energy_kwh": {}}]}',
            "Schedule/slices[0]/energy_kwh",
        ),
        (list[EnergyRange], b'[{"lo_kwh": 0, "hi_kwh": 1}, {"lo_kwh": 2, "hi_kwh": 1}]', "list[1]"),
    ],
)
def test_errors_name_the_place(kind: type, data: bytes, path: str) -> None:
    with pytest.raises(InvalidError) as caught:
        decode(kind, data)
    assert caught.value.path == path
    assert "`" not in caught.value.message.partition(" - at ")[2], "the place is in the path, not in the sentence"


def test_our_own_checks_keep_value_and_clause() -> None:
    with pytest.raises(InvalidError) as caught:
        decode(EnergyRange, b'{"lo_kwh": 2, "hi_kwh": 1}')
    assert (caught.value.value, caught.value.clause) == ("2.0..1.0", "V1 energyConstraint")


def test_errors_of_a_union_need_no_name() -> None:
    kind: Any = AnyEvent
    assert decode(kind, b'{"type": "Canceled"}') == Canceled()
    for data in (b"{", b'{"type": "Exploded"}'):
        with pytest.raises((MalformedError, InvalidError)) as caught:
            decode(kind, data)
        assert caught.value.path.startswith("document")


def test_defaults_are_left_out() -> None:
    assert encode(Schedule(start=NOON, slices=(ScheduleSlice(energy_kwh=1.0),))) == (
        b'{"start":"2026-03-29T12:00:00Z","slices":[{"energy_kwh":1.0}]}'
    )


def test_a_document_of_today_is_just_read() -> None:
    assert upcast(FlexOffer, VERSION, encode(offer())) == offer()


@pytest.fixture
def version_3(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two versions further on: `size` became `cl` (version 2), `cl` became `litres` (version 3)."""
    monkeypatch.setattr(documents, "VERSION", 3)
    monkeypatch.setitem(UPCASTERS, ("Cup", 1), lambda d: {"cl": d["size"]})
    monkeypatch.setitem(UPCASTERS, ("Cup", 2), lambda d: {"litres": d["cl"] / 100})


@pytest.mark.usefixtures("version_3")
def test_older_documents_go_through_every_step() -> None:
    assert upcast(Cup, 1, b'{"size": 25}') == upcast(Cup, 2, b'{"cl": 25}') == upcast(Cup, 3, b'{"litres": 0.25}')


@pytest.mark.usefixtures("version_3")
@pytest.mark.parametrize(
    ("version", "why"), [(0, "no upcaster from version 0"), (4, "version 4 is later than 3, the latest known")]
)
def test_documents_of_other_versions_are_refused(version: int, why: str) -> None:
    with pytest.raises(InvalidError, match=why):
        upcast(Cup, version, b'{"litres": 0.25}')


@pytest.mark.usefixtures("version_3")
def test_an_older_document_that_is_not_json_is_malformed() -> None:
    with pytest.raises(MalformedError):
        upcast(Cup, 1, b"{")


def test_every_upcaster_leads_from_a_version_before_today_s() -> None:
    assert all(version < VERSION for _, version in UPCASTERS)


def test_json_of_an_offer_is_read_by_anyone() -> None:
    plain = msgspec.json.decode(encode(offer()))
    assert plain["profiles"][0]["slices"][0] == {"energy_kwh": [{"lo_kwh": 0.0, "hi_kwh": 2.0}]}
