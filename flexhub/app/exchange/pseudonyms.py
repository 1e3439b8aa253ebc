"""Pseudonyms, and page cursors that tell nothing: both made with a secret that never leaves the hub.

The secret is a document of the store, so that all processes of a hub use the same one; whoever can read the store needs
no pseudonyms. It is made when it is first needed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Final

import msgspec

from flexhub.app.exchange.market import value_of
from flexhub.app.exchange.papers import file
from flexhub.app.hub.contract import Answer, Decision, Key, Message, View
from flexhub.core.base import Model
from flexhub.core.documents import encode
from flexhub.core.errors import ForbiddenError, InvalidError
from flexhub.core.registry import Role

ONLY: Final = "pseudonyms"
"""Id of the one document of its kind."""

TAG: Final = 16
"""Bytes of a pseudonym, and of what proves a cursor to be ours."""


class Secret(Model, frozen=True, kw_only=True):
    """What pseudonyms are made with: 32 random bytes in hexadecimal."""

    key: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$(?!\n)")]


class PutSecret:
    """``secret.put``: the first one stays; the answer is the one that is kept."""

    def needs(self, message: Message) -> Iterable[Key]:  # noqa: ARG002 - the handler's signature
        """The one that is kept, if any."""
        return (Key(Secret, ONLY),)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:  # noqa: ARG002 - as above
        """Stored, where there is none yet."""
        if message.role is not Role.ADMIN:
            raise ForbiddenError("only the hub itself makes its secrets", path="Secret")
        known = view.get(Secret, ONLY)
        secret = known or value_of(message, Secret)
        puts = () if known is not None else (file(Secret, ONLY, secret, ONLY),)
        return Decision(answer=Answer(status=200, body=encode(secret)), puts=puts)


class Pseudonyms:
    """Names for those who are not to be known; the same for the same viewer and subject, another for each viewer.

    HMAC-SHA-256 (RFC 2104), cut to 128 bits: without the key neither the subject nor another viewer's name follows.
    """

    def __init__(self, secret: Secret) -> None:
        self._key = bytes.fromhex(secret.key)

    def _tag(self, use: str, viewer: str, data: bytes) -> bytes:
        # Identifiers hold no line feed, so no two of these are spelt the same.
        return hmac.digest(self._key, f"{use}\n{viewer}\n".encode() + data, "sha256")[:TAG]

    def of(self, viewer: str, subject: str) -> str:
        """The name under which the viewer knows the subject."""
        return "p-" + self._tag("name", viewer, subject.encode()).hex()

    def seal(self, viewer: str, cursor: str) -> str:
        """A cursor that only the viewer can use, and nobody can read.

        Deterministic authenticated encryption after the construction of RFC 5297: the tag over the text is the nonce
        of a key stream (SHAKE-256 here), so a changed cursor does not open.
        """
        text = cursor.encode()
        tag = self._tag("cursor", viewer, text)
        return base64.urlsafe_b64encode(tag + self._mask(tag, text)).decode()

    def open(self, viewer: str, sealed: str) -> str:
        """What was sealed.

        Raises:
            InvalidError: it was not, or for another viewer.
        """
        try:
            raw = base64.b64decode(sealed.encode(), altchars=b"-_", validate=True)
            text = self._mask(raw[:TAG], raw[TAG:])
            if hmac.compare_digest(self._tag("cursor", viewer, text), raw[:TAG]):
                return text.decode()
        except (binascii.Error, UnicodeError):
            pass
        raise InvalidError("not a cursor of a page before", path="query/cursor", value=sealed)

    def _mask(self, tag: bytes, text: bytes) -> bytes:
        stream = hashlib.shake_256(hmac.digest(self._key, b"stream\n", "sha256") + tag).digest(len(text))
        return bytes(a ^ b for a, b in zip(text, stream, strict=True))
