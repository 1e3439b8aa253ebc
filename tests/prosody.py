"""An XMPP server of the tests' own: Prosody, in a temporary folder, on a free port of 127.0.0.1."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DOMAIN: Final = "localhost"
CERTIFIED: Final = "certified.localhost"
"""A domain whose accounts are let in by their certificates (Debian's package prosody-modules)."""
CCERT: Final = Path("/usr/lib/prosody/modules/mod_auth_ccert")
USER: Final = "prosody"
PATIENCE_S: Final = 30
SETTINGS: Final = """
pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data"
certificates = "{folder}"
interfaces = {{ "127.0.0.1" }}
local_interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
s2s_ports = {{}}
network_settings = {{ tcp_nodelay = true, nagle = false }}
modules_enabled = {{ "saslauth", "tls", "disco", "ping", "roster" }}
modules_disabled = {{ "s2s", "posix", "offline" }}
c2s_require_encryption = true
c2s_stanza_size_limit = {most}
authentication = "internal_plain"
c2s_ssl = {{ cafile = "{folder}/server.crt", capath = false, verify = {{ "peer", "client_once" }} }}
log = {{ info = "{folder}/log" }}

VirtualHost "{domain}"
    ssl = {{ key = "{folder}/server.key", certificate = "{folder}/server.crt" }}

VirtualHost "{certified}"
    authentication = "ccert"
    ssl = {{ key = "{folder}/server.key", certificate = "{folder}/server.crt" }}
"""
MOST: Final = 1_000_000
"""Its limit of a stanza in bytes."""


def program() -> Path | None:
    """Where Prosody is."""
    found = shutil.which("prosody")
    return None if found is None else Path(found)


class Server:
    """A server that runs."""

    def __init__(self, program_: Path, folder: Path) -> None:
        self._program = program_
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.ca = folder / "server.crt"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def make(self) -> None:
        """Its settings and its certificate."""
        certificate(self._folder / "server.crt", self._folder / "server.key")
        told = SETTINGS.format(folder=self._folder, port=self.port, domain=DOMAIN, certified=CERTIFIED, most=MOST)
        (self._folder / "prosody.cfg.lua").write_text(told)
        (self._folder / "data" / DOMAIN / "accounts").mkdir(parents=True)
        self._hand_over()

    def _hand_over(self) -> None:
        # It refuses to run as root.
        if os.geteuid() == 0:
            owner = pwd.getpwnam(USER)
            for path in (self._folder, *self._folder.rglob("*")):
                os.chown(path, owner.pw_uid, owner.pw_gid)

    def account(self, name: str) -> Path:
        """Make an account; what comes out is a file with its password, as a client wants it, and its JID is known."""
        (self._folder / "data" / DOMAIN / "accounts" / f"{name}.dat").write_text(
            f'return {{ ["password"] = "secret of {name}" }};\n'
        )
        self._hand_over()
        secret = self._folder / f"{name}.secret"
        secret.write_text(f"secret of {name}\n")
        return secret

    def certified(self, name: str) -> tuple[Path, Path]:
        """A certificate and key, in files, of ``name@certified.localhost``, signed by the server's."""
        signer = serialization.load_pem_private_key((self._folder / "server.key").read_bytes(), None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        private = ec.generate_private_key(ec.SECP256R1())
        jid = f"{name}@{CERTIFIED}".encode()
        address = x509.OtherName(x509.ObjectIdentifier("1.3.6.1.5.5.7.8.5"), b"\x0c" + bytes([len(jid)]) + jid)
        made = _builder(private, name, DOMAIN, x509.SubjectAlternativeName([address]), ca=False)
        cert, key = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        _write(made.sign(signer, hashes.SHA256()), private, cert, key)
        return cert, key

    def start(self) -> None:
        """Run it; it takes connections when this returns."""
        drop = ["runuser", "-u", USER, "--"] if os.geteuid() == 0 else []
        command = [*drop, str(self._program), "-F", "--config", str(self._folder / "prosody.cfg.lua")]
        with (self._folder / "said").open("ab") as said:
            self._process = subprocess.Popen(
                command, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
            )
        for _ in range(PATIENCE_S * 50):  # it tells nobody when it listens
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.02)
                break
        raise RuntimeError(f"Prosody does not start: {(self._folder / 'said').read_text()}")

    def pids(self) -> list[int]:
        """Its processes, with what dropped the rights; Linux only."""
        assert self._process is not None
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):  # it is over
                group = int(stat.read_text().rpartition(")")[2].split()[2])
                found += [int(stat.parent.name)] if group == self._process.pid else []
        return found

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it; by SIGKILL without a word to anyone."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, how)  # a group of its own, with what dropped the rights
            self._process.wait(PATIENCE_S)
            self._process = None


def certificate(cert: Path, key: Path) -> None:
    """A certificate of its own for the server's domains, which signs others, for a day."""
    private = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.DNSName(DOMAIN), x509.DNSName(CERTIFIED)])
    _write(_builder(private, DOMAIN, DOMAIN, names, ca=True).sign(private, hashes.SHA256()), private, cert, key)


def _builder(
    private: ec.EllipticCurvePrivateKey, name: str, issuer: str, names: x509.SubjectAlternativeName, *, ca: bool
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
    )


def _write(made: x509.Certificate, private: ec.EllipticCurvePrivateKey, cert: Path, key: Path) -> None:
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    key.write_bytes(private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    key.chmod(0o600)


@contextlib.contextmanager
def server() -> Iterator[Server]:
    """A server for as long as the block lasts.

    Raises:
        FileNotFoundError: Prosody is not installed.
    """
    found = program()
    if found is None:
        raise FileNotFoundError("prosody")
    with tempfile.TemporaryDirectory(prefix="flexhub-xmpp-", ignore_cleanup_errors=True) as name:
        made = Server(found, Path(name))
        made.make()
        made.start()
        try:
            yield made
        finally:
            made.stop(signal.SIGKILL)
