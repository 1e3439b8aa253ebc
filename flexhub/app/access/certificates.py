"""Certificates for development: an authority of one's own, and what it signs (X.509, ECDSA on P-256)."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from flexhub.core.errors import ConfigError

CA: Final = "ca"
CA_DAYS: Final = 3650
DAYS: Final = 397
EARLY: Final = timedelta(minutes=5)
"""So much before now a certificate begins to be valid: clocks differ."""


class Made(NamedTuple):
    """The files of a certificate, and its SHA-256 (DER, hex)."""

    cert: Path
    key: Path
    fingerprint: str


def authority(folder: Path, now: datetime) -> Made:
    """A new authority, ``ca.pem`` and ``ca.key``.

    Raises:
        ConfigError: there is one already, or the folder can't be written.
    """
    name = _name("flexhub development CA")
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(name, name, key.public_key(), now, timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
    )
    return _write(folder, CA, builder.sign(key, hashes.SHA256()), key)


def issue(folder: Path, name: str, hosts: Sequence[str], now: datetime, *, client: bool) -> Made:
    """A certificate that the authority in the folder signs: of a server for these hosts, or of a client.

    Raises:
        ConfigError: no authority in the folder, files of that name already, or the folder can't be written.
    """
    try:
        ca = x509.load_pem_x509_certificate((folder / f"{CA}.pem").read_bytes())
        signer = load_pem_private_key((folder / f"{CA}.key").read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"no authority: {error}; `flexhub certs ca` makes one", path=str(folder)) from error
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise ConfigError("the authority's key is none of ours", path=str(folder / f"{CA}.key"))
    key = ec.generate_private_key(ec.SECP256R1())
    usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
    builder = (
        _builder(ca.subject, _name(name), key.public_key(), now, timedelta(days=DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([_host(h) for h in hosts]), critical=False)
    return _write(folder, name, builder.sign(signer, hashes.SHA256()), key)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(
    issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, length: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLY)
        .not_valid_after(now + length)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Made:
    cert_file, key_file = folder / f"{name}.pem", folder / f"{name}.key"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with os.fdopen(os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            opened.write(private)
        with cert_file.open("xb") as opened:
            opened.write(certificate.public_bytes(Encoding.PEM))
    except FileExistsError as error:
        raise ConfigError("is there already; take another folder or name", path=str(error.filename)) from error
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", path=str(folder)) from error
    return Made(cert_file, key_file, certificate.fingerprint(hashes.SHA256()).hex())
