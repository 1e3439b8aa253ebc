"""Pseudonyms are stable and tell nothing; sealed cursors open for whom they were made, unchanged."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexhub.app.exchange.pseudonyms import Pseudonyms, PutSecret, Secret
from flexhub.app.hub.contract import Key, Message, Put
from flexhub.core.base import Id
from flexhub.core.documents import decode, encode
from flexhub.core.errors import FlexhubError, ForbiddenError, InvalidError
from flexhub.core.registry import Role
from tests.app.market import NOON

NAMES = Pseudonyms(Secret(key="0f" * 32))
OTHER = Pseudonyms(Secret(key="f0" * 32))


class Seen:
    """A view of one document."""

    def __init__(self, secret: Secret | None) -> None:
        self._secret = secret

    def get(self, kind: type, id_: str) -> object:
        assert (kind, id_) == (Secret, "pseudonyms")
        return self._secret


def message(role: Role, key: str = "ab" * 32) -> Message:
    body = encode({"key": key})
    return Message(peer="x", id="1", kind="secret.put", conversation="pseudonyms", body=body, role=role)


def test_a_name_is_stable_and_anothers_is_another() -> None:
    name = NAMES.of("agr", "ann")
    assert name == NAMES.of("agr", "ann")
    assert re.fullmatch("p-[0-9a-f]{32}", name)
    others = {NAMES.of("agr", "bob"), NAMES.of("dso", "ann"), OTHER.of("agr", "ann"), NAMES.of("ag", "rann")}
    assert len(others | {name}) == 5


def test_a_name_is_an_identifier() -> None:
    assert decode(Id, encode(NAMES.of("agr", "ann"))) == NAMES.of("agr", "ann")


@given(st.text(min_size=0, max_size=200, alphabet=st.characters(codec="utf-8")))
def test_a_cursor_opens_for_its_viewer_only(cursor: str) -> None:
    sealed = NAMES.seal("agr", cursor)
    assert NAMES.open("agr", sealed) == cursor
    for names, viewer in ((NAMES, "other"), (OTHER, "agr")):
        with pytest.raises(InvalidError):
            names.open(viewer, sealed)


@given(st.data())
def test_a_changed_cursor_does_not_open(data: st.DataObject) -> None:
    raw = bytearray(base64.urlsafe_b64decode(NAMES.seal("agr", "2026-03-02T12:00:00+00:00_ann-1")))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(InvalidError):
        NAMES.open("agr", base64.urlsafe_b64encode(raw).decode())


@given(st.text(max_size=60))
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidError):
        NAMES.open("agr", text)


def test_a_cursor_does_not_show_what_it_holds() -> None:
    sealed = NAMES.seal("agr", "2026-03-02T12:00:00+00:00_ann-1")
    assert b"ann" not in base64.urlsafe_b64decode(sealed)
    assert sealed[:20] != NAMES.seal("agr", "2026-03-02T12:00:00+00:00_ann-2")[:20]


def test_the_first_secret_stays() -> None:
    handler = PutSecret()
    assert list(handler.needs(message(Role.ADMIN))) == [Key(Secret, "pseudonyms")]
    first = handler.decide(message(Role.ADMIN), Seen(None), NOON)  # type: ignore[arg-type] # of one document
    (put,) = first.puts
    assert isinstance(put, Put)
    assert put.value == decode(Secret, first.answer.body) == Secret(key="ab" * 32)
    again = handler.decide(message(Role.ADMIN, "cd" * 32), Seen(Secret(key="ab" * 32)), NOON)  # type: ignore[arg-type] # as above
    assert (again.puts, again.answer.body) == ((), first.answer.body)


def test_a_secret_is_the_hubs_own_to_make_and_whole() -> None:
    with pytest.raises(ForbiddenError):
        PutSecret().decide(message(Role.PROSUMER), Seen(None), NOON)  # type: ignore[arg-type] # as above
    with pytest.raises(FlexhubError):
        PutSecret().decide(message(Role.ADMIN, "short"), Seen(None), NOON)  # type: ignore[arg-type] # as above
