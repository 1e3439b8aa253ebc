"""USEF 2015's messages as XML and back, strictly by the declared types, orders and counts of its schema 1.03.

Guard, reading and writing of elements are UFTP's (`flexhub.protocols.uftp.codec`), over the shapes of these messages.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast

from lxml import etree

from flexhub.core.errors import FlexhubError, InvalidError, MalformedError
from flexhub.protocols.uftp import codec as uftp
from flexhub.protocols.uftp.codec import MAX_BYTES, Shape, element_read, element_written, parsed, shape
from flexhub.protocols.usef2015.messages import (
    ENVELOPES,
    MESSAGES,
    Element,
    MessageMetadata,
    Payload,
    Role,
    SignedMessage,
)

_CLAUSE: Final = "XSD 1.03"
_SHAPES: Final = {found.name: found for found in map(shape, (*MESSAGES, *ENVELOPES))}


_UFTP: Final = {form.name: form.attributes.keys() for form in uftp.shapes()}
_OWN: Final = {name: form.attributes.keys() - _UFTP[name] for name, form in _SHAPES.items() if name in _UFTP}
"""Message of a name that UFTP has, too -> the attributes that it has here only."""


def is_usef(root: etree._Element) -> bool:
    """Whether a document is of USEF 2015 rather than of UFTP, which has messages of the same names.

    Only here a message begins with MessageMetadata; where that is missing, an attribute may tell. An envelope is of
    UFTP unless the sender's role is none of its.
    """
    name = str(root.tag)
    if name == SignedMessage.__name__:
        return root.get("SenderRole") in (Role.BRP, Role.MDC)
    if name not in _OWN:
        return name in _SHAPES
    return (len(root) > 0 and root[0].tag == MessageMetadata.__name__) or not _OWN[name].isdisjoint(
        map(str, root.keys())
    )


def read(root: etree._Element) -> Element:
    """A message or envelope from its element, which `parsed` has guarded.

    Raises:
        MalformedError: the element is no message.
        InvalidError: something in it is not as declared.
    """
    name = str(root.tag)
    form = _SHAPES.get(name)
    if form is None:
        raise MalformedError(f"{name[:80]!r} is not a message of USEF 2015", path=name[:80], clause=_CLAUSE)
    return cast("Element", element_read(root, form))


def written(message: Element) -> bytes:
    """Canonical bytes of a message or envelope.

    Raises:
        InvalidError: a value that is not of its declared type, or what is no message.
    """
    name = type(message).__name__
    form = _SHAPES.get(name)
    if form is None or form.kind is not type(message):
        raise InvalidError(f"{name} is not a message of USEF 2015", path=name, clause=_CLAUSE)
    return element_written(message, form)


class UsefCodec:
    """The codec of every inner message; see `flexhub.protocols.codec.Codec`.

    Args:
        max_bytes: largest message that is read.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes

    def decode(self, data: bytes) -> Payload:
        """Read one inner message.

        Raises:
            MalformedError: too large, not UTF-8, with a DOCTYPE, not XML, or a root that is no message.
            InvalidError: an attribute or element that is missing, unknown, too many or of another type.
        """
        message = read(parsed(data, self.max_bytes, clause=_CLAUSE))
        if not isinstance(message, Payload):
            raise MalformedError("an envelope is not a message", path=type(message).__name__, clause=_CLAUSE)
        return message

    def encode(self, message: Payload) -> bytes:
        """Write one inner message.

        Raises:
            InvalidError: a value that is not of its declared type.
        """
        return written(message)


def shapes() -> Iterator[Shape]:
    """Every element that is a message or an envelope, for tests and the documentation."""
    yield from _SHAPES.values()


def verdict(data: bytes) -> FlexhubError | None:
    """Why some bytes are no message or envelope; None where they are one."""
    try:
        read(parsed(data, clause=_CLAUSE))
    except FlexhubError as error:
        return error
    return None
