"""`flexhub check`, `run`, `keys` and `db`: one configuration, one store, one running hub."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.app.cli.conftest import Program
from tests.conftest import ROOT

GOOD = """
[hub]
name = "agg-1"
listen = "127.0.0.1:0"

[store]
url = "sqlite:///hub.db"
"""


@pytest.fixture
def hub_toml(tmp_path: Path) -> Path:
    """A configuration that works."""
    file = tmp_path / "hub.toml"
    file.write_text(GOOD)
    return file


def test_check_says_what_a_good_configuration_does(flexhub: Program, hub_toml: Path) -> None:
    ran = flexhub("check", hub_toml.name)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "hub.toml is fine: agg-1 serves aggregator on 127.0.0.1:0\n"
    told = json.loads(flexhub("check", hub_toml.name, "--json").out)
    assert told == {"ok": True, "name": "agg-1", "listen": "127.0.0.1:0", "roles": ["aggregator"]}


def test_check_names_line_key_and_what_is_allowed(flexhub: Program, hub_toml: Path) -> None:
    hub_toml.write_text(GOOD.replace("listen", "lissen"))
    ran = flexhub("check", hub_toml.name)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("hub.toml:4: hub.lissen: unknown key 'lissen'; allowed: name, roles, listen")
    told = json.loads(flexhub("check", hub_toml.name, "--json").out)
    assert told["ok"] is False
    assert told["path"] == "hub.toml:4: hub.lissen"


@pytest.mark.parametrize("command", [("check",), ("run",), ("keys", "list", "-c"), ("db", "current", "-c")])
def test_a_configuration_that_is_not_there_is_wrong_usage(flexhub: Program, command: tuple[str, ...]) -> None:
    ran = flexhub(*command, "absent.toml")
    assert (ran.code, ran.out) == (2, "")
    assert "absent.toml: No such file" in ran.err


def test_run_with_a_wrong_configuration_says_so_in_one_sentence(flexhub: Program, hub_toml: Path) -> None:
    hub_toml.write_text("[hub]\nname = 7\n")
    ran = flexhub("run", hub_toml.name)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("flexhub: hub.toml:2: hub.name: ")
    assert len(ran.err.splitlines()) == 1


def test_run_on_a_taken_port_says_so_in_one_sentence(flexhub: Program, hub_toml: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        hub_toml.write_text(GOOD.replace(":0", f":{taken.getsockname()[1]}"))
        ran = flexhub("run", hub_toml.name)
    assert (ran.code, ran.out) == (1, "")
    assert "address already in use" in ran.err.lower()
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_run_says_where_it_listens_serves_and_stops_when_told(
    flexhub: Program, hub_toml: Path, signum: signal.Signals
) -> None:
    token = json.loads(flexhub("keys", "add", "anna", "--json").out)["token"]
    hub = subprocess.Popen(
        [sys.executable, "-m", "flexhub.app.cli", "run", hub_toml, "--json"],
        cwd=hub_toml.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert hub.stdout is not None
    try:
        told = json.loads(hub.stdout.readline())
        assert told["name"] == "agg-1"
        assert told["url"].startswith("http://127.0.0.1:")
        asked = urllib.request.Request(  # noqa: S310 - the hub that we started
            f"{told['url']}/flexoffer", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310 - as above
            assert answer.status == 200
    finally:
        hub.send_signal(signum)
        _, err = hub.communicate(timeout=20)
    assert (hub.returncode, err) == (0, "")


@pytest.mark.usefixtures("hub_toml")
def test_keys_are_made_listed_and_revoked(flexhub: Program) -> None:
    token = flexhub("keys", "add", "anna").out.strip()
    other = json.loads(flexhub("keys", "add", "dso-1", "--role", "grid_operator", "--json").out)
    assert other["party"] == "dso-1"
    assert len(token) >= 32
    assert token != other["token"]
    listed = flexhub("keys", "list")
    assert "anna" in listed.out
    assert "grid_operator" in listed.out
    assert token not in listed.out
    assert [row["party"] for row in json.loads(flexhub("keys", "list", "--json").out)] == ["anna", "dso-1"]
    assert flexhub("keys", "revoke", "anna").out == "anna: 1 revoked\n"
    assert flexhub("keys", "revoke", "anna").code == 1
    assert [row["party"] for row in json.loads(flexhub("keys", "list", "--json").out)] == ["dso-1"]


@pytest.mark.usefixtures("hub_toml")
def test_a_role_that_is_none_is_wrong_usage_and_names_those_that_are(flexhub: Program) -> None:
    ran = flexhub("keys", "add", "anna", "--role", "king")
    assert (ran.code, ran.out) == (2, "")
    assert "grid_operator" in ran.err


def test_the_store_of_the_environment_goes_before_the_file(
    flexhub: Program, hub_toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEXHUB__STORE__URL", "sqlite:///other.db")
    assert flexhub("db", "upgrade").code == 0
    assert (hub_toml.parent / "other.db").exists()
    assert not (hub_toml.parent / "hub.db").exists()


@pytest.mark.usefixtures("hub_toml")
def test_db_current_is_no_before_and_yes_after_the_upgrade(flexhub: Program) -> None:
    before = flexhub("db", "current", "--json")
    assert before.code == 1
    assert json.loads(before.out)["revision"] is None
    upgraded = json.loads(flexhub("db", "upgrade", "--json").out)
    assert upgraded["revision"] == upgraded["newest"]
    assert flexhub("db", "current").code == 0


@pytest.mark.parametrize(
    ("good", "bad", "says"),
    [
        ('"sqlite:///hub.db"', '"mysql://hub"', "store/url: the store is sqlite:///path/to/hub.db or postgresql"),
        ("[store]", '[plan]\nengine = "nope"\n[store]', "plan/engine: no manager is called 'nope'"),
        ("[store]", '[tls]\ncert = "no.pem"\nkey = "no.pem"\n[store]', "tls/cert: no certificate"),
        ("[hub]", '[hub]\nroles = ["utility"]', "serves prosumer, aggregator and market_operator, not utility"),
    ],
)
def test_what_a_hub_would_refuse_is_found_by_check(
    flexhub: Program, hub_toml: Path, good: str, bad: str, says: str
) -> None:
    assert flexhub("check", hub_toml.name).code == 0
    hub_toml.write_text(GOOD.replace(good, bad))
    ran = flexhub("check", hub_toml.name)
    assert (ran.code, ran.out) == (1, "")
    assert says in ran.err
    ran = flexhub("run", hub_toml.name)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err


def test_files_that_are_something_else_are_told_in_one_sentence(flexhub: Program, hub_toml: Path) -> None:
    (hub_toml.parent / "noise.toml").write_bytes(b"\xc9\x00")
    (hub_toml.parent / "noise.db").write_bytes(b"\xc9" * 4096)
    ran = flexhub("run", "noise.toml")
    assert (ran.code, ran.err) == (
        2,
        "flexhub: noise.toml: not UTF-8: invalid continuation byte at byte 0 [TOML 1.0]\n",
    )
    assert flexhub("check", "noise.toml").code == 1
    for url in ("sqlite:///noise.db", "sqlite:///absent/hub.db"):
        hub_toml.write_text(GOOD.replace("sqlite:///hub.db", url))
        for command in (("run", hub_toml.name), ("keys", "list"), ("db", "upgrade")):
            ran = flexhub(*command)
            assert (ran.code, ran.out) == (2, "")
            assert ran.err.startswith("flexhub: store/url: the store cannot be used: ")
            assert len(ran.err.splitlines()) == 1


def test_looking_at_a_store_does_not_make_one(flexhub: Program, hub_toml: Path) -> None:
    ran = flexhub("db", "current")
    assert ran.code == 1
    assert re.fullmatch(r"sqlite:///hub\.db: no tables, newest is \d{4}\n", ran.out)
    assert not (hub_toml.parent / "hub.db").exists()


@pytest.mark.parametrize("party", ["", "a b", "a/b", "x" * 129])
def test_a_token_is_for_an_id(flexhub: Program, hub_toml: Path, party: str) -> None:
    assert hub_toml.exists()
    ran = flexhub("keys", "add", "--", party)
    assert (ran.code, ran.out) == (2, "")
    assert "is no id" in ran.err
    assert flexhub("keys", "add", "--", "a-b").code == 0


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--power", "0 kW", "not above zero"),
        ("--power", "-11 kW", "not above zero"),
        ("--power", "11", "such as '11 kW'"),
        ("--zone", "Mars", "'Mars' is not a time zone"),
        ("--listen", "x", "not host:port"),
        ("--listen", "0.0.0.0:0", "not a loopback address"),
        ("--sessions", "absent.csv", "absent.csv: no such file"),
        ("--dump", "hub.toml", "hub.toml is not a folder"),
    ],
)
def test_what_the_demo_cannot_use_is_wrong_usage(
    flexhub: Program, hub_toml: Path, option: str, value: str, says: str
) -> None:
    assert hub_toml.exists()
    ran = flexhub("demo", "--exit", option, value)
    assert (ran.code, ran.out) == (2, "")
    assert says in " ".join(ran.err.split())
