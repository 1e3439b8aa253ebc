"""Every command that a page shows does what the page says, in the order of the page, in an empty folder."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.docs.pages import Step, pages, says, steps
from tests.ports import free_port

PATIENCE_S = 110.0
"""Seconds for a command, below those of a whole test: a day of the demo takes 24 s on an idle machine of two cores."""


class Reader:
    """A folder, a port and servers: what somebody who follows a page has at hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.servers: list[subprocess.Popen[str]] = []
        self.ports = {port: str(free_port()) for port in ("8080", "8081", "8082")}
        program = folder / ".bin" / "flexhub"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m flexhub.app.cli "$@"\n')
        program.chmod(0o755)
        python = program.with_name("python3")  # of the environment that flexhub is installed in
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        python.chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "COLUMNS": "100",
        }

    def follow(self, step: Step) -> None:
        """Do one step and check what comes of it."""
        if step.skip:
            return
        if step.file:
            (self.folder / step.file).write_text(self._here(step.content))
        elif step.until:
            self._start(step)
        else:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", self._here(step.command)],  # noqa: S607 - bash from the PATH
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=PATIENCE_S,
            )
            printed = done.stdout + done.stderr
            assert done.returncode == step.exits, f"line {step.line}: {step.command}\n{printed}"
            assert says(printed, [self._here(line) for line in step.output]), f"line {step.line}:\n{printed}"

    def _here(self, text: str) -> str:
        return re.sub("808[012]", lambda found: self.ports[found[0]], text)

    def _start(self, step: Step) -> None:
        server = subprocess.Popen(
            ["bash", "-c", f"exec {self._here(step.command)}"],  # noqa: S607 - bash from the PATH
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.servers.append(server)
        assert server.stdout is not None
        said = []
        watchdog = threading.Timer(PATIENCE_S, server.kill)
        watchdog.start()
        for line in server.stdout:
            said.append(line)
            if self._here(step.until) in line:
                break
        else:
            pytest.fail(f"line {step.line}: {step.command} ended without saying {step.until!r}:\n{''.join(said)}")
        watchdog.cancel()
        threading.Thread(target=server.stdout.read, daemon=True).start()  # so that it never waits for a reader

    def leave(self) -> None:
        """Stop the servers as a person does; they end by themselves."""
        for server in self.servers:
            server.send_signal(signal.SIGINT)
        for server in self.servers:
            try:
                server.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                server.kill()
                raise


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Somebody who follows the page; the servers can be interrupted even where these tests run in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    one = Reader(tmp_path)
    yield one
    one.leave()


PAGES = [page for page in pages(ROOT) if any(step.command for step in steps(page.read_text("utf-8")))]


@pytest.mark.timeout(400)  # a page has several commands
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_page_can_be_followed(reader: Reader, page: Path) -> None:
    for step in steps(page.read_text("utf-8")):
        reader.follow(step)


def test_a_command_that_fails_is_noticed_and_its_twin_passes(reader: Reader) -> None:
    (good,) = steps("```console\n$ test 1 = 1\n```\n")
    reader.follow(good)
    (bad,) = steps("```console\n$ test 1 = 2\n```\n")
    with pytest.raises(AssertionError):
        reader.follow(bad)
    (expected,) = steps("<!-- exits 1 -->\n\n```console\n$ test 1 = 2\n```\n")
    reader.follow(expected)


def test_a_server_that_ends_early_is_noticed_and_its_twin_runs_on(reader: Reader) -> None:
    (good,) = steps("<!-- stays, until ready -->\n```console\n$ bash -c 'echo ready on 8080; exec sleep 600'\n```\n")
    reader.follow(good)
    assert reader.servers[0].poll() is None
    (bad,) = steps("<!-- stays, until ready -->\n```console\n$ echo over\n```\n")
    with pytest.raises(pytest.fail.Exception, match="ended without saying 'ready'"):
        reader.follow(bad)


def test_files_continued_lines_and_notes_are_read() -> None:
    found = list(
        steps(
            '```json title="a.json"\n{}\n```\n\n<!-- not run: it takes a minute -->\n'
            "```console\n$ one \\\n    two\nsays\n$ three\n```\n"
        )
    )
    assert [(s.file, s.content, s.command, s.output, s.skip) for s in found] == [
        ("a.json", "{}\n", "", [], ""),
        ("", "", "one two", ["says"], "it takes a minute"),
        ("", "", "three", [], "it takes a minute"),
    ]


def test_what_a_page_says_is_printed_is_compared() -> None:
    assert says("one 17 two\nthree\n", ["one ... two", "three"])
    assert says("anything", [])
    assert not says("one 17 two\n", ["one ... three"])
