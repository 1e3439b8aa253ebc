from __future__ import annotations

import re

import pytest

from flexhub.core import errors
from flexhub.core.errors import BY_CODE, FlexhubError, InvalidError


def test_the_tree_drawn_is_the_tree_there_is() -> None:
    drawn = re.findall(r"^    (?:[├└]── )?(\w+Error)\b", errors.__doc__ or "", re.MULTILINE)
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, FlexhubError)]
    assert drawn == [c.__name__ for c in classes]
    assert all(c.__bases__[0] is FlexhubError for c in classes[1:])


def test_codes_are_told_apart() -> None:
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, FlexhubError)]
    assert list(BY_CODE.values()) == classes
    assert all(BY_CODE[c.code] is c for c in classes)
    assert {"EngineError", "ConfigError"} <= {c.__name__ for c in classes if c.fault == "ours"}


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "too big"),
        ({"path": "FlexOffer/id"}, "FlexOffer/id: too big"),
        ({"clause": "V1 id"}, "too big [V1 id]"),
        ({"path": "FlexOffer/id", "clause": "V1 id", "value": "x"}, "FlexOffer/id: too big [V1 id]"),
    ],
)
def test_an_error_is_a_sentence(fields: dict[str, str], sentence: str) -> None:
    error = InvalidError("too big", **fields)
    assert str(error) == sentence
    assert (error.path, error.clause, error.value) == tuple(fields.get(k, "") for k in ("path", "clause", "value"))
