"""The Idempotency-Key header field, as it is written and read (draft-ietf-httpapi-idempotency-key-header section 2.1).

Its value is a String of structured fields (RFC 9651 section 3.3.3): in quotation marks, with a backslash before those
and before backslashes within. Many a client writes the key bare; that is read, too, and is the same key.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from flexhub.core.errors import InvalidError

HEADER: Final = "Idempotency-Key"
CLAUSE: Final = "draft-ietf-httpapi-idempotency-key-header section 2.1"

_STRING: Final = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_ESCAPED: Final = re.compile(r'\\(["\\])')
_PLAIN: Final = re.compile(r"[ -~]*")


def written(key: str) -> str:
    """A key as it is sent.

    Interpretation: such a String holds ASCII only; a key with other characters is sent bare, as before.
    """
    return '"' + re.sub(r'(["\\])', r"\\\1", key) + '"' if _PLAIN.fullmatch(key) else key


def read(values: Sequence[str]) -> str | None:
    """The key of a request, from all of its fields of this name; None where there is none.

    Raises:
        InvalidError: several, or one that begins with a quotation mark and is no String.
    """
    if not values:
        return None
    if len(values) > 1:
        raise InvalidError("it stands twice", path=f"header/{HEADER}", clause=CLAUSE)
    text = values[0].strip(" \t")
    if not text.startswith('"'):
        return text
    string = _STRING.fullmatch(text)
    if string is None:
        raise InvalidError("not a String", path=f"header/{HEADER}", value=text, clause=CLAUSE)
    return _ESCAPED.sub(r"\1", string[1])
