"""By what a VTN knows a VEN: the fingerprint of its certificate over HTTP, or its bare JID over XMPP.

Interpretation: the profile binds a venID to a certificate's fingerprint; over XMPP the server has authenticated who
sends, and vouches for the JID, so there it is bound to the bare JID. Both stand in the one field, a JID behind
``xmpp:`` (as in RFC 5122), so that neither can be taken for the other.
"""

from __future__ import annotations

import re
from typing import Final

from flexhub.core.errors import InvalidError
from flexhub.protocols.openadr2b.names import TransportName

XMPP: Final = "xmpp:"
JID: Final = r"[^@/\s\"&'<>:]+@[^@/\s]+"
"""A bare JID, ``name@domain`` (RFC 7622 section 3)."""
MOST: Final = 2053
"""Longest: a JID has two parts of at most 1023 bytes here."""

_BARE: Final = re.compile(JID).fullmatch


def bare(jid: str) -> str:
    """A JID without its resource, as servers compare it."""
    return jid.partition("/")[0].lower()


def of_jid(jid: str) -> str:
    """Whose a stanza is, by the JID that it is from."""
    return XMPP + bare(jid)


def normal(text: str) -> str:
    """An identity as somebody typed it, in the one spelling.

    Raises:
        InvalidError: it is none.
    """
    if not text.lower().startswith(XMPP):
        from flexhub.protocols.openadr2b import fingerprint  # noqa: PLC0415 - it needs cryptography, which takes its time

        return fingerprint.normal(text)
    jid = text[len(XMPP) :]
    if not _BARE(jid):
        raise InvalidError(f"{jid[:80]!r} is not a bare JID: name@domain", value=text[:80], clause="RFC 7622")
    return XMPP + jid.lower()


def transport_of(identity: str | None) -> TransportName:
    """Over which transport somebody of this identity speaks."""
    return TransportName.XMPP if identity is not None and identity.startswith(XMPP) else TransportName.SIMPLE_HTTP
