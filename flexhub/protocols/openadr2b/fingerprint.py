"""Fingerprints of certificates as OpenADR 2.0b has them, and whether their keys are long enough [rule 68]."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from flexhub.core.errors import InvalidError

BYTES: Final = 10
"""How many bytes of the SHA-256 count: the last."""
RSA_BITS: Final = 2048
ECC_BITS: Final = 224
CLAUSE: Final = "2.0b section 10"

_FORM: Final = re.compile(r"(?:[0-9A-F]{2}:){9}[0-9A-F]{2}").fullmatch


def fingerprint(certificate: x509.Certificate) -> str:
    """Of a certificate: the last ten bytes of the SHA-256 of its DER, as ``AB:CD:...``."""
    return fingerprint_of(certificate.public_bytes(Encoding.DER))


def fingerprint_of(der: bytes) -> str:
    """The same of DER, as TLS tells it of a connection's peer."""
    return hashlib.sha256(der).digest()[-BYTES:].hex(":").upper()


def normal(text: str) -> str:
    """A fingerprint as somebody typed it, in the one spelling: small letters, blanks or no colons are put right.

    Raises:
        InvalidError: it is none.
    """
    digits = re.sub("[: \t\n\r-]", "", text).upper()
    found = ":".join(digits[i : i + 2] for i in range(0, len(digits), 2))
    if not _FORM(found):
        raise InvalidError(
            f"{text[:80]!r} is not a fingerprint: {BYTES} bytes in hexadecimal", value=text[:80], clause=CLAUSE
        )
    return found


def weakness(certificate: x509.Certificate) -> str | None:
    """Why a certificate's key is too weak; None where it is not [rule 68]."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return (
            None if key.key_size >= RSA_BITS else f"an RSA key of {key.key_size} bits; at least {RSA_BITS} are needed"
        )
    if isinstance(key, ec.EllipticCurvePublicKey):
        return (
            None if key.key_size >= ECC_BITS else f"an ECC key of {key.key_size} bits; at least {ECC_BITS} are needed"
        )
    return f"a key of {type(key).__name__}; RSA or ECC is needed"
