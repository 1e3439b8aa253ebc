"""The agent as a program: it says what is wrong in a sentence, and ends with its input."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from flexhub.adapters.http.idempotency import HEADER, read
from flexhub.app.agent.client import refusal
from flexhub.app.agent.program import converse
from flexhub.core.errors import ExpiredError, InternalError, InvalidError, MalformedError, UnauthorizedError

NOWHERE = "http://127.0.0.1:1"
CONFIG: dict[str, Any] = {"hub": NOWHERE, "stations": [], "sessions": [], "power_kw": 6.6}
SESSION = {
    "id": "s",
    "station": "x",
    "arrival": "2019-05-01T08:00:00Z",
    "departure": "2019-05-01T09:00:00Z",
    "energy_kwh": 1,
}


def run(*lines: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flexhub.app.agent"],
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_answers_each_instant_and_ends_with_its_input() -> None:
    done = run(json.dumps(CONFIG), "now 2019-05-01T08:00:00+00:00")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["ready -", "done 2019-05-01T08:00:00+00:00 -"]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("not JSON",), "not JSON"),
        ((json.dumps(CONFIG | {"power_kw": 0}),), "power_kw"),
        ((json.dumps(CONFIG | {"sessions": [SESSION]}),), "no such station"),
        ((json.dumps(CONFIG), "then 2019-05-01T08:00:00Z"), "'then' is not 'now'"),
        ((json.dumps(CONFIG), "now soon"), "'soon' is not an RFC 3339 instant"),
    ],
)
def test_what_it_cannot_read_is_told_in_a_sentence(lines: tuple[str, ...], words: str) -> None:
    done = run(*lines)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


async def _said(config: dict[str, Any], *lines: str) -> list[str]:
    said: list[str] = []

    async def told() -> AsyncIterator[str]:
        yield json.dumps(config)
        for line in lines:
            yield line

    await converse(told(), said.append)
    return said


class Peer:
    """A hub that answers as it is told to, to see what an agent makes of it."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.keys: list[str] = []
        self.runner: web.AppRunner | None = None

    async def __aenter__(self) -> str:
        app = web.Application()
        app.router.add_get("/flexoffer/stream", self._stream)
        app.router.add_post("/flexoffer", self._offer)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self.runner.addresses[0][1]}"

    async def __aexit__(self, *_: object) -> None:
        if self.runner is not None:
            await self.runner.cleanup()

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await asyncio.Event().wait()
        return response

    async def _offer(self, request: web.Request) -> web.Response:
        self.keys.append(read(request.headers.getall(HEADER)) or "")
        status = self.statuses.pop(0)
        if status >= 400:
            problem = {"type": "x", "title": "x", "status": status, "detail": "no contract", "code": "expired"}
            return web.json_response(problem, status=status, content_type="application/problem+json")
        return web.json_response(await request.json() | {"state": "rejected"}, status=status)


def play(*statuses: int) -> tuple[list[str], list[str]]:
    async def go() -> tuple[list[str], list[str]]:
        peer = Peer(*statuses)
        async with peer as url:
            config = CONFIG | {"hub": url, "stations": [{"id": "x", "token": "t"}], "sessions": [SESSION]}
            return await _said(config, "now 2019-05-01T08:00:00Z"), peer.keys

    return asyncio.run(go())


def test_what_was_not_acknowledged_is_sent_again_under_the_same_id() -> None:
    said, keys = play(500, 503, 201)
    assert said[-1] == f"done 2019-05-01T08:00:00Z {datetime(2019, 5, 1, 8, 15, tzinfo=UTC).isoformat()}"
    assert len(keys) == 3
    assert len(set(keys)) == 1


def test_a_refusal_is_not_sent_again() -> None:
    with pytest.raises(ExpiredError, match="no contract"):
        play(422, 201)


def test_a_hub_that_is_not_there_is_told() -> None:
    async def go() -> None:
        config = CONFIG | {"stations": [{"id": "x", "token": "t"}], "sessions": [SESSION]}
        async with asyncio.timeout(20):
            await _said(config)

    with pytest.raises(InternalError, match="no stream"):
        asyncio.run(go())


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b'{"code": "unauthorized", "detail": "who?"}', UnauthorizedError),
        (422, b'{"code": "invalid", "detail": "lo above hi", "path": "FlexOffer/x"}', InvalidError),
        (502, b"<html>", MalformedError),
    ],
)
def test_problem_documents_become_errors(status: int, body: bytes, kind: type[Exception]) -> None:
    assert type(refusal(status, body)) is kind
