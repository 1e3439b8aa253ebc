"""What `deploy/` holds is true: the unit, the container file and the configuration name what there is."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.app.test_bad_days import Process
from tests.conftest import ROOT, need

DEPLOY: Final = ROOT / "deploy"
PROGRAM: Final = "/opt/flexhub/bin/flexhub"
EXPOSED_AT_MOST: Final = 15
"""Of `systemd-analyze security`, in tenths: 100 is a service without any protection."""


def flexhub(arguments: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flexhub", *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def unit(key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", (DEPLOY / "flexhub.service").read_text(), re.MULTILINE)


def instructions(name: str) -> list[str]:
    text = (DEPLOY / "Containerfile").read_text()
    return re.findall(rf"^{name} (.*)$", text, re.MULTILINE)


def test_the_configuration_is_one() -> None:
    checked = flexhub(["check", str(DEPLOY / "hub.toml")])
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_commands_of_the_unit_are_commands() -> None:
    commands = [shlex.split(line) for key in ("ExecStartPre", "ExecStart", "ExecReload") for line in unit(key)]
    ours = [command[1:] for command in commands if command[0] == PROGRAM]
    assert len(ours) == len(commands) - 1
    assert ours[1][0] == "run"
    for name, *arguments in ours:
        assert flexhub([name, "--help"]).returncode == 0
        assert arguments == ["/etc/flexhub/hub.toml"]
    (folder,) = unit("WorkingDirectory")
    assert f'"sqlite:///{folder}/hub.db"' in (DEPLOY / "hub.toml").read_text()


def test_systemd_takes_the_unit_and_finds_it_hardened(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    need(analyze is not None, "no systemd-analyze; Debian's package systemd")
    assert analyze is not None
    here = tmp_path / "flexhub.service"
    here.write_text((DEPLOY / "flexhub.service").read_text().replace(PROGRAM, "/bin/true"))
    verified = subprocess.run([analyze, "verify", "--man=no", here], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
    options = ("--offline=true", f"--threshold={EXPOSED_AT_MOST}", "--no-pager")
    judged = subprocess.run([analyze, "security", *options, here], capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stdout.splitlines()[-1]
    assert f"less than {EXPOSED_AT_MOST / 10} of 10" in (ROOT / "docs/operating.md").read_text()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path, 0)
    try:
        yield process
    finally:
        process.stop()


def test_the_container_copies_what_there_is_and_asks_its_hub(hub: Process) -> None:
    copied = [source for line in instructions("COPY") if "--from" not in line for source in line.split()[:-1]]
    assert all((ROOT / source).exists() for source in copied)
    assert set(copied) >= {"flexhub", "pyproject.toml", "requirements/run.txt"}
    (user,) = instructions("USER")
    assert "0" not in user.split(":")
    assert all(re.search(r":\d", image.split()[0]) for image in instructions("FROM"))
    (variable,) = instructions("ENV")
    name, _, value = variable.partition("=")
    assert flexhub(["check", str(DEPLOY / "hub.toml"), "--json"], **{name: value}).stdout.count(f'"{value}"') == 1
    assert json.loads(instructions("ENTRYPOINT")[0]) == [PROGRAM]
    assert json.loads(instructions("CMD")[0])[0] == "run"
    (health,) = instructions("HEALTHCHECK")
    program, *arguments = json.loads(health.partition(" CMD ")[2])
    assert program == "/opt/flexhub/bin/python"
    asks = [a.replace("http://127.0.0.1:8080", hub.url) for a in arguments]
    assert subprocess.run([sys.executable, *asks], check=False).returncode == 0
    hub.stop()
    assert subprocess.run([sys.executable, *asks], check=False, capture_output=True).returncode != 0
