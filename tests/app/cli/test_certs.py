"""`flexhub certs` makes files that TLS takes, keeps keys to their owner, and never overwrites one."""

from __future__ import annotations

import hashlib
import json
import ssl
import stat
from pathlib import Path

import pytest

from tests.app.cli.conftest import Program


def test_what_it_makes_is_a_chain_that_tls_takes(flexhub: Program, tmp_path: Path) -> None:
    assert flexhub("certs", "ca").code == 0
    made = json.loads(flexhub("certs", "server", "hub", "--json").out)
    der = ssl.PEM_cert_to_DER_cert((tmp_path / made["cert"]).read_text())
    assert made["fingerprint"] == hashlib.sha256(der).hexdigest()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tmp_path / "certs" / "ca.pem")
    context.load_cert_chain(tmp_path / made["cert"], tmp_path / made["key"])
    for key in ("ca.key", "hub.key"):
        assert stat.S_IMODE((tmp_path / "certs" / key).stat().st_mode) == 0o600


def test_nothing_is_overwritten(flexhub: Program, tmp_path: Path) -> None:
    assert flexhub("certs", "ca").code == 0
    before = (tmp_path / "certs" / "ca.key").read_bytes()
    again = flexhub("certs", "ca")
    assert (again.code, "there already" in again.err) == (2, True)
    assert (tmp_path / "certs" / "ca.key").read_bytes() == before


@pytest.mark.parametrize("name", ["ca", "../hub", "a b", ""])
def test_a_name_is_that_of_a_file(flexhub: Program, name: str) -> None:
    assert flexhub("certs", "ca").code == 0
    assert flexhub("certs", "client", "ok-1").code == 0
    assert flexhub("certs", "client", name).code == 2


def test_without_an_authority_it_says_how_to_make_one(flexhub: Program) -> None:
    ran = flexhub("certs", "client", "anna")
    assert (ran.code, "flexhub certs ca" in ran.err) == (2, True)
