"""Signatures of OpenADR 2.0b: what holds, what doesn't, and what xmlsec1 and openleadr say of ours and we of theirs."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from flexhub.core.errors import FlexhubError, InvalidError, UnauthorizedError, UnavailableError
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.codec import OadrCodec, read
from flexhub.protocols.openadr2b.fingerprint import fingerprint_of, normal, weakness
from flexhub.protocols.openadr2b.names import NAMESPACES, tag
from flexhub.protocols.openadr2b.signature import (
    PROPERTY_ID,
    SIGNED_ID,
    WINDOW,
    Proof,
    Replays,
    SigningKey,
    sign,
    signing_key,
    verify,
)
from tests.conftest import need
from tests.protocols.generated import EACH
from tests.protocols.openadr_generated import mutate

NOW = datetime(2026, 3, 28, 10, tzinfo=UTC)
CODEC = OadrCodec()
POLL = wire.OadrPoll(ven_id="ven <&> \r\n é", schema_version="2.0b")
Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def certified(private: Private, name: str = "ven") -> tuple[bytes, bytes]:
    """A private key and a certificate of it, in PEM."""
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    days = timedelta(days=3650)
    made = x509.CertificateBuilder(who, who, private.public_key(), 1, NOW - days, NOW + days)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem, made.sign(private, hashes.SHA256()).public_bytes(Encoding.PEM)


RSA = certified(rsa.generate_private_key(65537, 2048))
ECC = certified(ec.generate_private_key(ec.SECP256R1()))
WEAK = certified(rsa.generate_private_key(65537, 1024))  # noqa: S505 - what is to be refused
KEYS = {"RSA": RSA, "ECC": ECC, "ECC of an odd length": certified(ec.generate_private_key(ec.SECP521R1()))}
KEY = signing_key(*ECC)
OTHER = signing_key(*certified(ec.generate_private_key(ec.SECP256R1()), "other"))


def signed(key: SigningKey = KEY, message: Any = POLL, nonce: str = "n1") -> bytes:
    return sign(message, key, now=NOW, nonce=nonce)


def proof(data: bytes, *, trusted: SigningKey = KEY, now: datetime = NOW) -> Proof:
    return verify(CODEC.root(data), trusted={trusted.fingerprint}, now=now)


@pytest.mark.parametrize("pair", KEYS.values(), ids=KEYS)
def test_what_is_signed_is_verified_and_read(pair: tuple[bytes, bytes]) -> None:
    key = signing_key(*pair)
    data = signed(key)
    assert proof(data, trusted=key) == Proof(key.fingerprint, NOW, "n1")
    assert CODEC.decode(data) == POLL
    payload = CODEC.decode_payload(data)
    assert payload.signature is not None
    assert payload.oadr_signed_object.id == SIGNED_ID


def changed(old: bytes, new: bytes, data: bytes | None = None) -> bytes:
    data = signed() if data is None else data
    assert old in data
    return data.replace(old, new)


def wrapped() -> bytes:
    """The signed object is hidden in the signature, another stands in its place, under another Id or under the same."""
    root = etree.fromstring(signed())
    inner = root[1]
    root.remove(inner)
    forged = etree.fromstring(etree.tostring(inner))
    forged.set(tag("oadr:Id"), "forged")
    forged[0][0].text = "attacker"
    root.append(forged)
    holder = etree.SubElement(root[0], tag("ds:Object"))
    holder.append(inner)
    return etree.tostring(root)


def twin() -> bytes:
    root = etree.fromstring(wrapped())
    root[1].set(tag("oadr:Id"), SIGNED_ID)
    return etree.tostring(root)


def moved_protection() -> bytes:
    """What is signed as ReplayProtect is hidden; a fresh one stands in its place."""
    root = etree.fromstring(signed())
    fresh = etree.fromstring(etree.tostring(root[0][3]))
    root[0][3].tag = tag("ds:Object")
    hidden = etree.SubElement(fresh, tag("ds:Object"))
    hidden.append(root[0][3][0])
    root[0].remove(root[0][3])
    fresh[0][0].attrib.pop("Id")
    fresh[0][0][0][1].text = "n2"
    root[0].append(fresh)
    return etree.tostring(root)


def without(*names: str) -> bytes:
    root = etree.fromstring(signed())
    for name in names:
        for node in root.findall(f".//{tag(name)}"):
            above = node.getparent()
            assert above is not None
            above.remove(node)
    return etree.tostring(root)


def one_reference(index: int) -> bytes:
    root = etree.fromstring(signed())
    info = root[0][0]
    info.remove(info.findall(tag("ds:Reference"))[index])
    return etree.tostring(root)


def transformed() -> bytes:
    filtered = (
        b'<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"><ds:XPath>1</ds:XPath></ds:Transform>'
    )
    return changed(b"<ds:Transforms>", b"<ds:Transforms>" + filtered)


C14N = b"http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
EXCLUSIVE = b"http://www.w3.org/2001/10/xml-exc-c14n#"
REJECTS: dict[str, Any] = {
    "unsigned": lambda: CODEC.encode(POLL),
    "wrongly signed: the message was changed": lambda: changed(b"ven &lt;", b"van &lt;"),
    "wrongly signed: the version was changed": lambda: changed(b'"2.0b"', b'"2.0a"'),
    "wrongly signed: by another key": lambda: changed(KEY.encoded.encode(), OTHER.encoded.encode()),
    "wrongly signed: another's certificate": lambda: changed(
        OTHER.encoded.encode(), KEY.encoded.encode(), signed(OTHER)
    ),
    "signed by a stranger": lambda: signed(OTHER),
    "another nonce": lambda: changed(b">n1<", b">n2<"),
    "another timestamp": lambda: changed(b">2026-03-28T10:00:00Z<", b">2026-03-28T10:00:01Z<"),
    "wrapped": wrapped,
    "wrapped, under the same Id": twin,
    "an Id that is there twice": lambda: changed(
        b"</ds:Signature>", b'<ds:Object Id="oadrSignedObject"/></ds:Signature>'
    ),
    "ReplayProtect moved": moved_protection,
    "no ReplayProtect": lambda: without("ds:Object"),
    "no KeyInfo": lambda: without("ds:KeyInfo"),
    "ReplayProtect not signed": lambda: one_reference(1),
    "message not signed": lambda: one_reference(0),
    "a reference to the whole": lambda: changed(b'URI="#oadrSignedObject"', b'URI=""'),
    "a reference elsewhere": lambda: changed(b'URI="#oadrSignedObject"', b'URI="http://flexhub.example/x"'),
    "a transform that selects": transformed,
    "a canonical form with comments": lambda: changed(C14N, C14N + b"#WithComments"),
    "a relative namespace, which has no canonical form": lambda: changed(
        b"<oadr:oadrPoll ", b'<oadr:oadrPoll xmlns:x="relative" '
    ),
    "an old signature algorithm": lambda: changed(b"xmldsig-more#ecdsa-sha256", b"xmldsig-more#ecdsa-sha1"),
    "an algorithm of another key": lambda: changed(b"more#ecdsa-sha256", b"more#rsa-sha256"),
    "an old digest": lambda: changed(b"2001/04/xmlenc#sha256", b"2000/09/xmldsig#sha1"),
    "a signature cut short": lambda: (
        changed(b"==</ds:SignatureValue>", b"</ds:SignatureValue>")
        if b"==</ds:SignatureValue>" in signed()
        else changed(b"<ds:SignatureValue>", b"<ds:SignatureValue>AAAA")
    ),
    "no certificate": lambda: changed(KEY.encoded.encode(), b"AAAA"),
}


@pytest.mark.parametrize("data", REJECTS.values(), ids=REJECTS)
def test_what_does_not_hold_is_refused(data: Any) -> None:
    assert proof(signed()).nonce == "n1"
    root = etree.fromstring(data())
    with pytest.raises(UnauthorizedError) as raised:
        verify(root, trusted={KEY.fingerprint}, now=NOW)
    assert raised.value.clause == "rule 514"
    assert raised.value.path.startswith("oadrPayload")


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    """A signed message with something changed, once or twice, anywhere; or parts of two put together."""
    root, other = etree.fromstring(SIGNED), etree.fromstring(SIGNED_TOO)
    if draw(st.booleans()):
        node = draw(st.sampled_from(list(root.iter())))
        node.append(draw(st.sampled_from(list(other.iter()))))
    for _ in range(draw(st.integers(0, 2))):
        mutate(draw, root, everywhere=True)
    return etree.tostring(root)


SIGNED, SIGNED_TOO = signed(), signed(message=wire.OadrPoll(ven_id="other"), nonce="n2")


@settings(EACH, max_examples=300)
@given(mutants())
def test_whatever_is_done_to_a_signed_message_it_is_refused_or_still_the_same(data: bytes) -> None:
    try:
        root = OadrCodec(check=False).root(data)
        shown = verify(root, trusted={KEY.fingerprint}, now=NOW)
        message = read(root).oadr_signed_object.message
    except FlexhubError:
        return
    assert (message, shown) in ((POLL, proof(SIGNED)), (wire.OadrPoll(ven_id="other"), proof(SIGNED_TOO)))


@pytest.mark.parametrize("apart", [timedelta(0), WINDOW, -WINDOW, timedelta(days=1), -timedelta(days=1)])
def test_a_signature_holds_near_its_time_only(apart: timedelta) -> None:
    data = signed()
    if abs(apart) <= WINDOW:
        assert proof(data, now=NOW + apart).timestamp == NOW
        return
    with pytest.raises(UnauthorizedError, match="is not within"):
        proof(data, now=NOW + apart)


def test_a_message_is_admitted_once() -> None:
    known = Replays()
    known.admit(proof(signed()), NOW)
    known.admit(proof(signed(nonce="n2")), NOW)
    known.admit(proof(signed(OTHER), trusted=OTHER), NOW)
    with pytest.raises(UnauthorizedError, match="sent before"):
        known.admit(proof(signed()), NOW + WINDOW)


def test_what_was_admitted_before_a_restart_is_known_after_it() -> None:
    one = proof(signed())
    with pytest.raises(UnauthorizedError, match="sent before"):
        Replays(before=[one]).admit(one, NOW + timedelta(minutes=1))
    Replays().admit(one, NOW)


def test_nonces_are_bounded_and_forgotten_when_their_time_is_over() -> None:
    known = Replays(most=2)
    for i in range(2):
        known.admit(Proof("f", NOW, str(i)), NOW)
    with pytest.raises(UnavailableError):
        known.admit(Proof("f", NOW, "2"), NOW)
    later = NOW + WINDOW + timedelta(seconds=1)
    known.admit(Proof("f", later, "2"), later)


def test_a_message_signed_ahead_of_our_clock_is_not_admitted_again_while_its_time_may_pass() -> None:
    known = Replays()
    one = Proof("f", NOW + WINDOW, "n")
    known.admit(one, NOW)
    with pytest.raises(UnauthorizedError):
        known.admit(one, NOW + 2 * WINDOW)


@pytest.mark.parametrize("nonce", ["", "a b", "<", "é"])
def test_a_nonce_is_letters_and_digits(nonce: str) -> None:
    with pytest.raises(InvalidError) as raised:
        signed(nonce=nonce)
    assert raised.value.path == "nonce"


@pytest.mark.parametrize(
    ("pair", "path"),
    [
        ((RSA[0], ECC[1]), "certificate"),
        ((b"x", ECC[1]), "key"),
        (WEAK, "certificate"),
        (certified(ec.generate_private_key(ec.SECP192R1())), "certificate"),
    ],
)
def test_keys_that_are_weak_or_not_of_one_another_are_refused(pair: tuple[bytes, bytes], path: str) -> None:
    signing_key(*ECC)
    with pytest.raises(FlexhubError) as raised:
        signing_key(*pair)
    assert raised.value.path == path


def test_a_weak_key_is_told_and_a_strong_one_is_not() -> None:
    assert weakness(x509.load_pem_x509_certificate(ECC[1])) is None
    weak = x509.load_pem_x509_certificate(WEAK[1])
    assert weakness(weak) == "an RSA key of 1024 bits; at least 2048 are needed"


def test_a_key_does_not_show_itself() -> None:
    assert repr(KEY) == f"SigningKey({KEY.fingerprint})"


def test_a_fingerprint_is_the_end_of_the_hash_as_the_peer_has_it() -> None:
    utils: Any = import_module("openleadr.utils")
    assert KEY.fingerprint == utils.certificate_fingerprint(ECC[1].decode())
    assert len(KEY.fingerprint.split(":")) == 10
    assert fingerprint_of(b"") == "93:4C:A4:95:99:1B:78:52:B8:55"


@pytest.mark.parametrize(
    "text", ["934ca495991b7852b855", "93:4c:a4:95:99:1b:78:52:b8:55 ", "93 4C A4 95 99-1B 78 52 B8 55"]
)
def test_a_fingerprint_may_be_typed_in_many_ways(text: str) -> None:
    assert normal(text) == "93:4C:A4:95:99:1B:78:52:B8:55"
    with pytest.raises(InvalidError):
        normal(text[:-3])


# Others' verdicts

IDS = [
    option
    for name in (f"{NAMESPACES['oadr']}:oadrSignedObject", f"{NAMESPACES['ds']}:SignatureProperty")
    for option in ("--id-attr:Id", name)
]


def xmlsec1(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("xmlsec1")
    need(program is not None, "no xmlsec1 here; Debian's package xmlsec1")
    return subprocess.run([str(program), *arguments], capture_output=True, check=False)


@pytest.mark.parametrize("pair", KEYS.values(), ids=KEYS)
def test_xmlsec1_verifies_ours_and_not_what_was_changed(pair: tuple[bytes, bytes], tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_bytes(pair[1])
    data = signed(signing_key(*pair))
    for name, what, verdict in (("good.xml", data, 0), ("bad.xml", changed(b"ven &lt;", b"van &lt;", data), 1)):
        (tmp_path / name).write_bytes(what)
        ran = xmlsec1("--verify", *IDS, "--pubkey-cert-pem", tmp_path / "cert.pem", tmp_path / name)
        assert ran.returncode == verdict, ran.stderr


@pytest.mark.parametrize("pair", KEYS.values(), ids=KEYS)
@pytest.mark.parametrize(
    "canonical", [C14N, b"http://www.w3.org/2001/10/xml-exc-c14n#"], ids=["inclusive", "exclusive"]
)
def test_we_verify_what_xmlsec1_signs(pair: tuple[bytes, bytes], canonical: bytes, tmp_path: Path) -> None:
    key = signing_key(*pair)
    root = etree.fromstring(changed(C14N, canonical, signed(key)))
    for name in ("DigestValue", "SignatureValue", "X509Certificate"):
        for node in root.findall(f".//{tag(f'ds:{name}')}"):
            node.text = None
    (tmp_path / "template.xml").write_bytes(etree.tostring(root))
    (tmp_path / "key.pem").write_bytes(pair[0])
    (tmp_path / "cert.pem").write_bytes(pair[1])
    pem = f"{tmp_path / 'key.pem'},{tmp_path / 'cert.pem'}"
    ran = xmlsec1("--sign", *IDS, "--privkey-pem", pem, "--output", tmp_path / "signed.xml", tmp_path / "template.xml")
    assert ran.returncode == 0, ran.stderr
    data = (tmp_path / "signed.xml").read_bytes()
    assert proof(data, trusted=key) == Proof(key.fingerprint, NOW, "n1")
    with pytest.raises(UnauthorizedError):
        proof(changed(b">n1<", b">n2<", data), trusted=key)


@pytest.mark.parametrize("pair", [RSA, ECC], ids=["RSA", "ECC"])
def test_openleadr_verifies_ours_and_we_what_it_signs(pair: tuple[bytes, bytes]) -> None:
    messaging: Any = import_module("openleadr.messaging")
    key, now = signing_key(*pair), datetime.now(UTC)
    ours = sign(wire.OadrPoll(ven_id="ven"), key, now=now, nonce="n1")
    messaging.validate_xml_signature(messaging.validate_xml_schema(ours), key.fingerprint)
    with pytest.raises(Exception, match=r"[Ss]ignature|[Dd]igest"):
        messaging.validate_xml_signature(
            messaging.validate_xml_schema(changed(b">ven<", b">van<", ours)), key.fingerprint
        )
    theirs = messaging.create_message("oadrPoll", ven_id="ven", key=pair[0], cert=pair[1]).encode()
    assert proof(theirs, trusted=key, now=datetime.now(UTC)).fingerprint == key.fingerprint
    with pytest.raises(UnauthorizedError):
        proof(changed(b">ven<", b">van<", theirs), trusted=key, now=datetime.now(UTC))


def test_ids_are_those_that_others_look_for() -> None:
    data = signed()
    assert f'URI="#{SIGNED_ID}"'.encode() in data
    assert f'URI="#{PROPERTY_ID}"'.encode() in data
