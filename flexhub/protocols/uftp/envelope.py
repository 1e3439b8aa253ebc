"""The envelope: a message signed with NaCl, in base64, in a SignedMessage; and what a delivery by HTTP may fail at.

`open_delivery` is what an endpoint does with a POST before it answers: 200 once the inner XML is valid, else the code
of the one rule that fails. Everything after that is said in a message. Needs the extra ``flexhub[uftp]``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from flexhub.core.errors import ConfigError, FlexhubError, InvalidError, UnauthorizedError
from flexhub.protocols.uftp.codec import UftpCodec, parsed, read, written
from flexhub.protocols.uftp.messages import Payload, Role, SignedMessage

PREFIX: Final = "cs1."
"""Of a published key: the cryptographic scheme."""
KEY_BYTES: Final = 32
CLAUSE: Final = "Appendix 4"

try:
    from nacl import bindings
    from nacl.exceptions import BadSignatureError
except ImportError:
    bindings = None  # type: ignore[assignment] # asked before every use


class PublicKey(msgspec.Struct, frozen=True):
    """What a participant publishes: the key that its signatures are checked with, and one to seal what is sent to it.

    Interpretation: nothing is sealed in 3.x, so a published key without the second half is taken, too.
    """

    sign: bytes
    box: bytes = b""

    def __str__(self) -> str:
        return PREFIX + base64.b64encode(self.sign + self.box).decode()


class PrivateKey(msgspec.Struct, frozen=True):
    """What a participant signs with: NaCl's 64 bytes, seed and public half. Its text never shows it."""

    secret: bytes

    def __repr__(self) -> str:
        return "PrivateKey(...)"

    def public(self, box: bytes = b"") -> PublicKey:
        """The half that is published."""
        return PublicKey(self.secret[KEY_BYTES:], box)

    def text(self) -> str:
        """As it stands in a key file: base64 of the 64 bytes."""
        return base64.b64encode(self.secret).decode()


def _nacl() -> None:
    if bindings is None:
        raise ConfigError("UFTP's signatures need the extra: pip install 'flexhub[uftp]'")


def key_of_seed(seed: bytes) -> PrivateKey:
    """The key of 32 random bytes.

    Raises:
        InvalidError: not 32 bytes.
    """
    _nacl()
    if len(seed) != KEY_BYTES:
        raise InvalidError(f"a seed has {KEY_BYTES} bytes, this one {len(seed)}", path="seed")
    return PrivateKey(bindings.crypto_sign_seed_keypair(seed)[1])


def private_key(text: str) -> PrivateKey:
    """Read a key file: base64 of a seed (32 bytes) or of NaCl's secret key (64 bytes).

    Raises:
        InvalidError: neither, or a public half that is not the seed's.
    """
    raw = _bytes(text.strip(), "private key")
    if len(raw) not in (KEY_BYTES, 2 * KEY_BYTES):
        raise InvalidError(f"a private key has 32 or 64 bytes, this one {len(raw)}", path="private key")
    key = key_of_seed(raw[:KEY_BYTES])
    if len(raw) == 2 * KEY_BYTES and key.secret != raw:
        raise InvalidError("its public half does not belong to its seed", path="private key")
    return key


def public_key(text: str) -> PublicKey:
    """Read a published key: ``cs1.`` and base64 of sign key and box key; the prefix may be absent, as in DNS.

    Raises:
        InvalidError: another scheme, or not 32 or 64 bytes.
    """
    raw = _bytes(text.strip().removeprefix(PREFIX), "public key")
    if len(raw) not in (KEY_BYTES, 2 * KEY_BYTES):
        raise InvalidError(f"a published key has 64 bytes, this one {len(raw)}", path="public key", clause=CLAUSE)
    return PublicKey(raw[:KEY_BYTES], raw[KEY_BYTES:])


def _bytes(text: str, path: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidError("is not base64", path=path, clause=CLAUSE) from error


def seal(inner: bytes, sender_domain: str, sender_role: Role, key: PrivateKey) -> bytes:
    """The bytes to POST: `inner` signed, in its envelope. The same arguments give the same bytes."""
    _nacl()
    body = base64.b64encode(bindings.crypto_sign(inner, key.secret)).decode()
    return written(SignedMessage(sender_domain=sender_domain, sender_role=sender_role, body=body))


def unseal(envelope: SignedMessage, key: PublicKey) -> bytes:
    """The inner bytes, if the signature is the key's.

    Raises:
        UnauthorizedError: it is not.
    """
    _nacl()
    try:
        return bindings.crypto_sign_open(base64.b64decode(envelope.body), key.sign)
    except (BadSignatureError, ValueError) as error:
        raise UnauthorizedError(
            f"the signature is not that of {envelope.sender_role} {envelope.sender_domain}",
            path="SignedMessage/@Body",
            clause=CLAUSE,
        ) from error


def unsigned(envelope: SignedMessage) -> bytes:
    """The inner bytes, their signature unchecked: for what was checked when it came."""
    return base64.b64decode(envelope.body)[2 * KEY_BYTES :]


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What came by POST, and what the endpoint knows about it.

    Args:
        content_type: the header, "" without one.
        content_length: the header, None without one.
        body: the bytes.
        too_many: whether the sender exceeds its rate.
        key: the published key of the envelope's sender, None while it is not found.
    """

    content_type: str
    content_length: int | None
    body: bytes
    too_many: bool = False
    key: PublicKey | None = None


class Opened(NamedTuple):
    """A delivery that is answered 200."""

    envelope: SignedMessage
    inner: bytes
    message: Payload


class Failed(NamedTuple):
    """A delivery that is refused: the rule, the HTTP status, where and why."""

    rule: str
    status: int
    path: str
    message: str


STATUS: Final = {
    "UFTP-01": 411,  # Length Required
    "UFTP-02": 400,
    "UFTP-03": 400,
    "UFTP-04": 429,  # Too Many Requests: temporary
    "UFTP-05": 400,
    "UFTP-06": 419,  # not in IANA's registry; the standard calls it Authentication Timeout: temporary
    "UFTP-07": 401,
    "UFTP-08": 400,
}
"""Rule -> HTTP status."""


def open_envelope(body: bytes, max_bytes: int) -> SignedMessage:
    """The envelope of what came.

    Raises:
        FlexhubError: it is none; the path says where.
    """
    root = parsed(body, max_bytes)
    found = read(root)
    if not isinstance(found, SignedMessage):
        raise InvalidError("a message comes in a SignedMessage", path=str(root.tag), clause=CLAUSE)
    return found


def headers(delivery: Delivery) -> Failed | None:
    """What is wrong before the body is read (rules 1 to 4)."""
    if delivery.content_length is None:
        return _failed("UFTP-01", "Content-Length", "is missing")
    kind, *parameters = (part.strip() for part in delivery.content_type.lower().split(";"))
    if kind != "text/xml":
        return _failed("UFTP-02", "Content-Type", f"{kind[:80]!r} is not text/xml")
    for name, _, value in (parameter.partition("=") for parameter in parameters):
        if name.strip() == "charset" and value.strip().strip('"') not in ("utf-8", "utf8"):
            return _failed("UFTP-03", "Content-Type", f"{value[:80]!r} is not utf-8")
    return _failed("UFTP-04", "", "more messages than agreed") if delivery.too_many else None


def open_delivery(delivery: Delivery, codec: UftpCodec) -> Opened | Failed:
    """Open what came, or say which of the rules 1 to 8 fails first."""
    failed = headers(delivery)
    if failed is not None:
        return failed
    envelope = enveloped(delivery.body, codec.max_bytes)
    if isinstance(envelope, Failed):
        return envelope
    inner = signed(envelope, () if delivery.key is None else (delivery.key,))
    return inner if isinstance(inner, Failed) else inside(envelope, inner, codec)


def enveloped(body: bytes, max_bytes: int) -> SignedMessage | Failed:
    """The envelope (rule 5)."""
    try:
        return open_envelope(body, max_bytes)
    except FlexhubError as error:
        return _failed("UFTP-05", error.path, error.message)


def signed(envelope: SignedMessage, keys: Sequence[PublicKey], why: str = "") -> bytes | Failed:
    """The inner bytes, if one of the sender's published keys signed them (rules 6 and 7); `why` there is none."""
    if not keys:
        sender = f"{envelope.sender_role} {envelope.sender_domain}"
        return _failed("UFTP-06", "SignedMessage/@SenderDomain", why or f"no key of {sender} is found")
    failed = _failed("UFTP-07", "", "")
    for key in keys:
        try:
            return unseal(envelope, key)
        except UnauthorizedError as error:
            failed = _failed("UFTP-07", error.path, error.message)
    return failed


def inside(envelope: SignedMessage, inner: bytes, codec: UftpCodec) -> Opened | Failed:
    """The message (rule 8)."""
    try:
        return Opened(envelope, inner, codec.decode(inner))
    except FlexhubError as error:
        return _failed("UFTP-08", error.path, error.message)


def _failed(rule: str, path: str, message: str) -> Failed:
    return Failed(rule, STATUS[rule], path, message)
