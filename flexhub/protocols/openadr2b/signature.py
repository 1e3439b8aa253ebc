"""XML signatures of OpenADR 2.0b: over the oadrSignedObject, and over ReplayProtect, which no two messages share.

A ds:Signature stands in the oadrPayload before what it is about; its references name that, and the property with
ReplayProtect, by their Ids. What is checked is what is read: references are not looked up by Id anywhere in the
document, but have to name the very elements that the payload has in these places.

Keys are loaded once: a `SigningKey` holds its own, and public keys are remembered by their certificate.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple, NoReturn, cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from lxml import etree

from flexhub.core.errors import InvalidError, UnauthorizedError, UnavailableError
from flexhub.protocols.openadr2b.codec import written
from flexhub.protocols.openadr2b.elements import Message
from flexhub.protocols.openadr2b.fingerprint import fingerprint, weakness
from flexhub.protocols.openadr2b.messages import OadrPayload, OadrSignedObject
from flexhub.protocols.openadr2b.names import NAMESPACES, tag
from flexhub.protocols.uftp.times import instant, text_of

CLAUSE: Final = "rule 514"
WINDOW: Final = timedelta(minutes=5)
"""How far a ReplayProtect's timestamp may be from now.

Interpretation: the profile gives no figure; clocks of devices stray by minutes.
"""
MOST_NONCES: Final = 100_000

SIGNED_ID: Final = "oadrSignedObject"
PROPERTY_ID: Final = "replayProtect"
SIGNATURE_ID: Final = "oadrSignature"

_C14N: Final = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
_EXCLUSIVE: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"
_CANONICAL: Final = {_C14N: False, "http://www.w3.org/2006/12/xml-c14n11": False, _EXCLUSIVE: True}
"""Canonical forms that are read, and which are exclusive. 1.1 differs in xml: attributes; no message has any."""
_SHA: Final[dict[str, type[hashes.SHA256 | hashes.SHA384 | hashes.SHA512]]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
_MORE: Final = "http://www.w3.org/2001/04/xmldsig-more#"
_SHA256: Final = "http://www.w3.org/2001/04/xmlenc#sha256"
_DIGESTS: Final = {_SHA256: "sha256", f"{_MORE}sha384": "sha384", "http://www.w3.org/2001/04/xmlenc#sha512": "sha512"}
_METHODS: Final = {f"{_MORE}{kind}-{name}": (kind, name) for kind in ("rsa", "ecdsa") for name in _SHA}
"""Interpretation: SHA-1 is not read, though XML signatures of 2013 knew it; 2.0b demands TLS 1.2 with SHA-256."""

_ids: Final = etree.XPath("//@*[local-name() = 'Id' or local-name() = 'ID' or local-name() = 'id']")


class SigningKey(NamedTuple):
    """What a party signs with; its text never shows it."""

    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    encoded: str

    def __repr__(self) -> str:
        return f"SigningKey({fingerprint(self.certificate)})"

    @property
    def fingerprint(self) -> str:
        """By which others know it."""
        return fingerprint(self.certificate)


def signing_key(key: bytes, certificate: bytes, password: bytes | None = None) -> SigningKey:
    """Read a private key and its certificate, each in PEM.

    Raises:
        InvalidError: not PEM, not RSA or ECC, too short [rule 68], or not of one another.
    """
    try:
        private = load_pem_private_key(key, password)
        public = x509.load_pem_x509_certificate(certificate)
    except (ValueError, TypeError) as error:
        raise InvalidError(f"no key and certificate in PEM: {error}", path="key") from error
    weak = weakness(public)
    if weak is not None:
        raise InvalidError(weak, path="certificate", clause="rule 68")
    if not isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise InvalidError("neither RSA nor ECC", path="key", clause="rule 68")
    if private.public_key() != public.public_key():
        raise InvalidError("its certificate is another key's", path="certificate")
    return SigningKey(private, public, base64.b64encode(public.public_bytes(Encoding.DER)).decode())


class Proof(NamedTuple):
    """What a signature that holds says: who signed, when, and the nonce."""

    fingerprint: str
    timestamp: datetime
    nonce: str


# Signing


def _reference(name: str) -> str:
    return (
        f'<ds:Reference URI="#{name}"><ds:Transforms><ds:Transform Algorithm="{_C14N}"/></ds:Transforms>'
        f'<ds:DigestMethod Algorithm="{_SHA256}"/><ds:DigestValue/></ds:Reference>'
    )


def _unsigned(method: str, certificate: str, timestamp: str, nonce: str) -> str:
    """A signature without digests and value, as a child of the payload."""
    return (
        f'<ds:Signature xmlns:ds="{NAMESPACES["ds"]}" Id="{SIGNATURE_ID}"><ds:SignedInfo>'
        f'<ds:CanonicalizationMethod Algorithm="{_C14N}"/><ds:SignatureMethod Algorithm="{_MORE}{method}-sha256"/>'
        f"{_reference(SIGNED_ID)}{_reference(PROPERTY_ID)}</ds:SignedInfo><ds:SignatureValue/>"
        f"<ds:KeyInfo><ds:X509Data><ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"
        f'<ds:Object><ds:SignatureProperties><ds:SignatureProperty Id="{PROPERTY_ID}" Target="#{SIGNATURE_ID}">'
        f'<dsp:ReplayProtect xmlns:dsp="{NAMESPACES["dsp"]}"><dsp:timestamp>{timestamp}</dsp:timestamp>'
        f"<dsp:nonce>{nonce}</dsp:nonce></dsp:ReplayProtect></ds:SignatureProperty></ds:SignatureProperties></ds:Object>"
        "</ds:Signature>"
    )


def sign(message: Message, key: SigningKey, *, now: datetime, nonce: str) -> bytes:
    """A payload with a message and its signature.

    Args:
        message: what is signed.
        key: the sender's.
        now: becomes ReplayProtect's timestamp.
        nonce: letters and digits that no other message of this sender has; 128 random bits do.

    Raises:
        InvalidError: a value of the message that is not of its declared type, or another nonce.
    """
    if not nonce.isalnum() or not nonce.isascii():
        raise InvalidError(f"{nonce[:80]!r} is not letters and digits", path="nonce", value=nonce[:80], clause=CLAUSE)
    inner = OadrSignedObject(id=SIGNED_ID, message=message)  # type: ignore[arg-type]  # what is no message is refused
    begin, tag_of_inner, rest = written(OadrPayload(oadr_signed_object=inner)).partition(b"<oadr:oadrSignedObject")
    method = "rsa" if isinstance(key.key, rsa.RSAPrivateKey) else "ecdsa"
    stub = _unsigned(method, key.encoded, text_of(now), nonce).encode()
    root = etree.fromstring(begin + stub + tag_of_inner + rest, _PARSER)
    signature, signed_object = root
    info, value, _, holder = signature
    for reference, about in zip(info.findall(tag("ds:Reference")), (signed_object, holder[0][0]), strict=True):
        reference[2].text = _digest(_canonical(about), "sha256")
    value.text = base64.b64encode(_signed(_canonical(info), key.key)).decode()
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)


_PARSER: Final = etree.XMLParser(encoding="utf-8", resolve_entities=False, no_network=True)


def _canonical(node: etree._Element, *, exclusive: bool = False, prefixes: list[str] | None = None) -> bytes:
    try:
        return etree.tostring(
            node,
            method="c14n",
            exclusive=exclusive,
            with_comments=False,
            inclusive_ns_prefixes=prefixes,
            with_tail=False,
        )
    except etree.C14NError:
        _refused("has no canonical form: the name of a namespace is relative")


def _digest(data: bytes, name: str) -> str:
    return base64.b64encode(hashlib.new(name, data).digest()).decode()


def _signed(data: bytes, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    size = (key.key_size + 7) // 8
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(size) + s.to_bytes(size)


# Verifying


def _refused(why: str, *path: str) -> NoReturn:
    raise UnauthorizedError(why, path="/".join(("oadrPayload", *path)), clause=CLAUSE)


def verify(root: etree._Element, *, trusted: Collection[str], now: datetime, window: timedelta = WINDOW) -> Proof:
    """What the signature of a payload proves.

    Whether the nonce came before is another question: `Replays.admit`.

    Args:
        root: the payload's, as `OadrCodec.root` reads it; the message is to be read from the same.
        trusted: fingerprints of those who may have signed.
        now: to which the timestamp has to be near.
        window: how near.

    Raises:
        UnauthorizedError: unsigned, not in the form that the profile wants, or a signature that does not hold.
    """
    signature = root.find(tag("ds:Signature"))
    signed_object = root.find(tag("oadr:oadrSignedObject"))
    if signature is None or signed_object is None or len(root) != 2:
        _refused("is not signed")
    info = _child(signature, "SignedInfo")
    protect = _replay_protect(signature)
    _references(info, signed_object, protect, [str(one) for one in cast("list[Any]", _ids(root))])
    certificate = _certificate(signature, trusted)
    _holds(signature, info, certificate)
    return Proof(fingerprint(certificate), _recent(protect, now, window), _nonce(protect))


def _child(node: etree._Element, name: str) -> etree._Element:
    found = node.findall(tag(f"ds:{name}"))
    if len(found) != 1:
        _refused(f"there is not one {name}", "Signature", name)
    return found[0]


def _algorithm(node: etree._Element) -> str:
    return node.get("Algorithm", "")


def _canonical_as(node: etree._Element, method: etree._Element, *path: str) -> bytes:
    """An element in the canonical form that an algorithm names."""
    name = _algorithm(method)
    if name not in _CANONICAL:
        _refused(f"{name[:80]!r} is not a canonical form that is read", "Signature", *path)
    told = method.find(f"{{{_EXCLUSIVE}}}InclusiveNamespaces")
    if len(method) != (told is not None):
        _refused("holds what is not read", "Signature", *path)
    prefixes = None if told is None else told.get("PrefixList", "").split()
    return _canonical(node, exclusive=_CANONICAL[name], prefixes=prefixes)


def _replay_protect(signature: etree._Element) -> etree._Element:
    """The ReplayProtect, where the profile has it."""
    way = "/".join(map(tag, ("ds:Object", "ds:SignatureProperties", "ds:SignatureProperty", "dsp:ReplayProtect")))
    found = signature.findall(way)
    if len(found) != 1:
        _refused("there is not one", "Signature", "ReplayProtect")
    return found[0]


def _references(info: etree._Element, signed_object: etree._Element, protect: etree._Element, ids: list[str]) -> None:
    """Refuses references but to the signed object and to what holds ReplayProtect, and digests that are not theirs."""
    holders = (protect, *protect.iterancestors(tag("ds:Object"), *_HOLDERS))
    named: dict[str | None, etree._Element] = {holder.get("Id"): holder for holder in holders}
    named[signed_object.get(tag("oadr:Id"))] = signed_object
    met = []
    references = info.findall(tag("ds:Reference"))
    for i, reference in enumerate(references):
        at = ("SignedInfo", f"Reference[{i}]")
        mark, name = reference.get("URI", "")[:1], reference.get("URI", "")[1:]
        about = named.get(name)
        if mark != "#" or about is None or ids.count(name) != 1:
            _refused("names neither this oadrSignedObject nor this ReplayProtect", "Signature", *at, "@URI")
        transforms = reference.findall(f"{tag('ds:Transforms')}/{tag('ds:Transform')}")
        if len(transforms) > 1:
            _refused("has more than one transform", "Signature", *at)
        data = _canonical_as(about, transforms[0], *at) if transforms else _canonical(about)
        method = _algorithm(_child_of(reference, "DigestMethod", *at))
        if method not in _DIGESTS:
            _refused(f"{method[:80]!r} is not a digest that is read", "Signature", *at)
        told = "".join((_child_of(reference, "DigestValue", *at).text or "").split())
        if not hmac.compare_digest(told.encode(), _digest(data, _DIGESTS[method]).encode()):
            _refused("what it is about was changed: the digest is another", "Signature", *at)
        met.append(about is signed_object)
    if sorted(met) != [False, True]:
        _refused("there is not one Reference to each of oadrSignedObject and ReplayProtect", "Signature", "SignedInfo")


_HOLDERS: Final = (tag("ds:SignatureProperties"), tag("ds:SignatureProperty"))


def _child_of(node: etree._Element, name: str, *path: str) -> etree._Element:
    found = node.find(tag(f"ds:{name}"))
    if found is None:
        _refused(f"has no {name}", "Signature", *path)
    return found


def _decoded(node: etree._Element, *path: str) -> bytes:
    try:
        return base64.b64decode("".join((node.text or "").split()), validate=True)
    except (binascii.Error, ValueError):
        _refused("is not base64", "Signature", *path)


@lru_cache(maxsize=1024)
def _loaded(der: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(der)


def _certificate(signature: etree._Element, trusted: Collection[str]) -> x509.Certificate:
    """The certificate of the KeyInfo that is trusted."""
    at = ("KeyInfo", "X509Data", "X509Certificate")
    way = "/".join(tag(f"ds:{name}") for name in at)
    for node in signature.findall(way):
        der = _decoded(node, *at)
        try:
            found = _loaded(der)
        except ValueError:
            _refused("is no certificate", "Signature", *at)
        if fingerprint(found) in trusted:
            weak = weakness(found)
            if weak is not None:
                _refused(weak, "Signature", *at)
            return found
    _refused("none is trusted here", "Signature", *at)


def _holds(signature: etree._Element, info: etree._Element, certificate: x509.Certificate) -> None:
    """Refuses a value that the certificate's key did not make of the SignedInfo."""
    data = _canonical_as(info, _child_of(info, "CanonicalizationMethod"), "SignedInfo", "CanonicalizationMethod")
    method = _algorithm(_child_of(info, "SignatureMethod", "SignedInfo"))
    kind, name = _METHODS.get(method, ("", ""))
    value = _decoded(_child(signature, "SignatureValue"), "SignatureValue")
    key = certificate.public_key()
    try:
        if kind == "rsa" and isinstance(key, rsa.RSAPublicKey):
            key.verify(value, data, padding.PKCS1v15(), _SHA[name]())
        elif kind == "ecdsa" and isinstance(key, ec.EllipticCurvePublicKey):
            half = (key.key_size + 7) // 8
            if len(value) != 2 * half:
                _refused("is not of the key's length", "Signature", "SignatureValue")
            r, s = int.from_bytes(value[:half]), int.from_bytes(value[half:])
            key.verify(encode_dss_signature(r, s), data, ec.ECDSA(_SHA[name]()))
        else:
            _refused(f"{method[:80]!r} is not read, or not of such a key", "Signature", "SignedInfo", "SignatureMethod")
    except InvalidSignature:
        _refused("is not that of the certificate's key", "Signature", "SignatureValue")


def _recent(protect: etree._Element, now: datetime, window: timedelta) -> datetime:
    at = ("Signature", "ReplayProtect", "timestamp")
    try:
        told = instant((protect.findtext(tag("dsp:timestamp")) or "").strip())
    except ValueError:
        _refused("is no instant", *at)
    if abs(now - told) > window:
        _refused(f"{text_of(told)} is not within {window} of {text_of(now)}", *at)
    return told


def _nonce(protect: etree._Element) -> str:
    found = (protect.findtext(tag("dsp:nonce")) or "").strip()
    if not found:
        _refused("is missing", "Signature", "ReplayProtect", "nonce")
    return found


class Replays:
    """The nonces of late: what was admitted once is not admitted again.

    They are kept for as long as a timestamp would let them pass, and no longer. Whoever must know them after a restart,
    too, stores each `Proof`, and hands in those of the last window.

    Args:
        window: as `verify` has it.
        most: how many nonces are kept at most.
        before: what was admitted earlier.
    """

    def __init__(self, window: timedelta = WINDOW, most: int = MOST_NONCES, before: Collection[Proof] = ()) -> None:
        self._window, self._most = window, most
        self._until: dict[tuple[str, str], datetime] = {}
        for proof in sorted(before, key=lambda one: one.timestamp):
            self._until[proof.fingerprint, proof.nonce] = proof.timestamp + window

    def admit(self, proof: Proof, now: datetime) -> None:
        """Take note of a message that is about to be worked.

        Raises:
            UnauthorizedError: it was admitted before.
            UnavailableError: more came within the window than are kept.
        """
        key = (proof.fingerprint, proof.nonce)
        if key in self._until and self._until[key] >= now:
            _refused("the message was sent before: its nonce is known", "Signature", "ReplayProtect", "nonce")
        if len(self._until) >= self._most:
            self._until = {known: until for known, until in self._until.items() if until >= now}
            if len(self._until) >= self._most:
                raise UnavailableError(f"more than {self._most} signed messages within {self._window}", clause=CLAUSE)
        self._until[key] = proof.timestamp.astimezone(UTC) + self._window
