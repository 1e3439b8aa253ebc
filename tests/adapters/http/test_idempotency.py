"""A key is the same key quoted or bare, and what is written is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexhub.adapters.http.idempotency import read, written
from flexhub.core.errors import InvalidError


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('"8e03978e-40d5-43e8"', "8e03978e-40d5-43e8"),
        ("8e03978e-40d5-43e8", "8e03978e-40d5-43e8"),
        (' "a"\t', "a"),
        (r'"a\"b\\c"', r"a\"b\c".replace(r"\"", '"')),
        (r"a\b", r"a\b"),
        ('""', ""),
        ("", ""),
        ("caf\xe9", "caf\xe9"),
    ],
)
def test_a_key_is_read_in_both_forms(text: str, key: str) -> None:
    assert read([text]) == key


@pytest.mark.parametrize("text", ['"', '"a', '"a" b', '"a";x=1', r'"a\b"', '"a"b"', '"caf\xe9"', '"a\tb"'])
def test_what_begins_as_a_string_is_one(text: str) -> None:
    with pytest.raises(InvalidError, match="not a String"):
        read([text])
    assert read([f"x{text[1:].replace(chr(34), '')}"]) is not None, "bare, it is some key"


def test_there_is_one_or_none() -> None:
    assert read([]) is None
    with pytest.raises(InvalidError, match="twice"):
        read(["a", "a"])


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_what_is_written_is_read(key: str) -> None:
    assert read([written(key)]) == key


@given(st.text(st.characters(min_codepoint=128), min_size=1))
def test_what_is_no_ascii_is_written_bare(key: str) -> None:
    assert written(key) == key
