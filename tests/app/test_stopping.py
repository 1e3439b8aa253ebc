"""A hub as a process: what it does when it is told to stop, or that its configuration has changed."""

from __future__ import annotations

import http.client
import os
import signal
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from flexhub.app.config import Config, parse
from flexhub.app.reloading import reloaded
from tests.app.test_bad_days import PATIENCE_S, Process, until


@pytest.fixture(params=[0, 1], ids=["one process", "a door"])
def process(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Process]:
    process = Process(tmp_path, request.param)
    try:
        yield process
    finally:
        process.stop()


def test_streams_are_ended_and_what_was_taken_in_is_done(process: Process) -> None:
    stream = http.client.HTTPConnection(process.url.removeprefix("http://"), timeout=PATIENCE_S)
    stream.request("GET", "/flexoffer/stream", headers={"Authorization": f"Bearer {process.token}"})
    heard = stream.getresponse()
    assert process.post("one")[0] == 201
    process.popen.terminate()
    text = heard.read()
    assert b"one" in text
    assert text.rstrip().endswith(b"retry: 2000")
    assert process.popen.wait(PATIENCE_S) == 0
    stream.close()


def test_while_it_drains_it_serves_and_says_that_it_goes(process: Process) -> None:
    process.stop()
    process.start(FLEXHUB__HUB__DRAIN="PT1M")
    assert process.request("GET", "/ready")[0] == 200
    os.killpg(process.popen.pid, signal.SIGTERM)  # as a terminal or an init system may: all of its processes
    until(lambda: process.request("GET", "/ready")[0] == 503)
    assert process.post("late")[0] == 201
    process.popen.terminate()
    assert process.popen.wait(PATIENCE_S) == 128 + signal.SIGTERM
    process.start()
    assert [o["id"] for o in process.request("GET", "/flexoffer")[1]["items"]] == ["late"]


def test_a_changed_configuration_comes_in_and_a_broken_one_changes_nothing(process: Process) -> None:
    before = process.file.read_text()

    def change(text: str, *awaited: str) -> None:
        process.file.write_text(text)
        process.popen.send_signal(signal.SIGHUP)
        until(lambda: all(word in process.log.read_text() for word in awaited))

    token = process.flexhub("keys", "add", "bob", "--config", str(process.file)).strip()
    assert process.request("GET", "/contract", token=token)[1]["items"] == []
    bob = '\n[[party]]\nid = "bob"\nroles = ["prosumer"]\ncontract = {id = "c-bob"}\n'
    change(before + bob + "broken", "configuration stays as it was")
    assert process.request("GET", "/contract", token=token)[1]["items"] == []
    renamed = before.replace('name = "agr"', 'name = "other"') + bob + '[log]\nlevel = "debug"\n'
    change(renamed, "only a restart would bring in: hub.name")
    assert [c["id"] for c in process.request("GET", "/contract", token=token)[1]["items"]] == ["c-bob"]
    assert process.request("GET", "/health")[1]["name"] == "agr"
    until(lambda: "GET /health 200" in process.log.read_text())


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    wanted = [*command.split(), "-subj", f"/CN={name}", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(wanted, check=True, capture_output=True)
    return cert, key


def test_a_certificate_that_was_renewed_is_shown_to_who_comes_next(process: Process, tmp_path: Path) -> None:
    process.stop()
    cert, key = certificate(tmp_path, "first")
    process.file.write_text(process.file.read_text() + f'[tls]\ncert = "{cert}"\nkey = "{key}"\n')
    process.start()
    host, port = process.url.removeprefix("https://").split(":")

    def shown() -> str:
        return ssl.get_server_certificate((host, int(port)))

    assert shown().strip() == cert.read_text().strip()
    for old, new in zip((cert, key), certificate(tmp_path, "second"), strict=True):
        new.replace(old)
    process.popen.send_signal(signal.SIGHUP)
    until(lambda: shown().strip() == cert.read_text().strip())


@pytest.mark.parametrize(
    ("text", "fresh", "stale"),
    [
        ("", [], []),
        ('[plan]\nevery = "PT5M"', ["plan.every"], []),
        ('[plan]\nevery = "PT5M"\nengine = "other"', ["plan.every"], ["plan.engine"]),
        ("[ready]\nqueue = 5", ["ready"], []),
        ("[limits]\nrequests = 5", ["limits"], []),
        ('[store]\nurl = "sqlite:///other.db"', [], ["store.url"]),
        ("pages = false", [], ["pages"]),
        ('[tls]\ncert = "a"\nkey = "b"', [], ["tls"]),
    ],
)
def test_a_key_is_changed_or_needs_a_restart(text: str, fresh: list[str], stale: list[str]) -> None:
    wanted = parse(text)
    config, came, stayed = reloaded(Config(), wanted)
    assert (came, stayed) == (fresh, stale)
    again, more, _ = reloaded(config, wanted)
    assert (again, more) == (config, [])
