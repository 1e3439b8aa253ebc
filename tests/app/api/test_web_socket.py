"""The stream over a WebSocket: the same notices, the same places to resume from, and why it ends."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import aiohttp
import pytest

from flexhub.adapters.store.interface import NoticeRow
from flexhub.app.api import stream
from flexhub.app.hub import reading
from tests.app.api.live import Live
from tests.app.market import make_offer

T = TypeVar("T")
PATIENCE_S = 20


def over(hub: Live, who: str, work: Callable[[aiohttp.ClientWebSocketResponse], Awaitable[T]], query: str = "") -> T:
    """Do this with a WebSocket of that party."""

    async def main() -> T:
        headers = {"Authorization": f"Bearer {hub.tokens[who]}"}
        async with asyncio.timeout(PATIENCE_S), aiohttp.ClientSession(headers=headers) as client:
            url = f"http://{hub.running.host}:{hub.running.port}/flexoffer/stream{query}"
            async with client.ws_connect(url) as opened:
                return await work(opened)

    return asyncio.run(main())


async def heard(ws: aiohttp.ClientWebSocketResponse, count: int) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    while len(events) < count:
        events += await ws.receive_json()
    return events


def post(hub: Live, name: str, who: str = "ann") -> None:
    assert hub.request("POST", "/flexoffer", who, make_offer(name, who)).status == 201


def test_it_tells_what_the_events_tell_and_resumes_where_it_was(fresh: Live) -> None:
    for name in ("w1", "w2", "w3"):
        post(fresh, name)
    post(fresh, "other", "bob")

    async def all_(ws: aiohttp.ClientWebSocketResponse) -> list[dict[str, Any]]:
        return await heard(ws, 4)

    first = over(fresh, "ann", all_, "?after=0")
    assert [e["topic"] for e in first] == ["contract", "flexoffer", "flexoffer", "flexoffer"]
    assert [e["data"]["id"] for e in first[1:]] == ["w1", "w2", "w3"]

    async def rest(ws: aiohttp.ClientWebSocketResponse) -> list[dict[str, Any]]:
        await asyncio.to_thread(post, fresh, "w4")
        return await heard(ws, 2)

    assert [e["data"]["id"] for e in over(fresh, "ann", rest, f"?after={first[2]['seq']}")] == ["w3", "w4"]


def test_it_says_why_it_ends(fresh: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.2)
    monkeypatch.setattr(reading, "TOKEN_S", 0.0)

    async def revoked(ws: aiohttp.ClientWebSocketResponse) -> int | None:
        with fresh.running.hub.store.begin() as transaction:
            transaction.remove_tokens("ann")
        await ws.receive()
        return ws.close_code

    async def stopping(ws: aiohttp.ClientWebSocketResponse) -> int | None:
        fresh.call(_end(fresh))
        await ws.receive()
        return ws.close_code

    async def _end(hub: Live) -> None:
        hub.running.hub.end_notices()

    assert over(fresh, "ann", revoked) == 1008
    assert over(fresh, "bob", stopping) == 1012


def test_without_a_token_or_a_handshake_there_is_none(fresh: Live) -> None:
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
    assert fresh.request("GET", "/flexoffer/stream", None, headers=upgrade).status == 401
    broken = fresh.request("GET", "/flexoffer/stream", "ann", headers=upgrade)
    assert (broken.status, broken.json["path"]) == (422, "header/Upgrade")


@pytest.mark.parametrize("upgrade", ["", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"])
def test_who_does_not_read_holds_nobody_up_and_is_cut_off(
    fresh: Live, monkeypatch: pytest.MonkeyPatch, upgrade: str
) -> None:
    monkeypatch.setattr(stream, "WRITE_S", 0.3)
    fill = [NoticeRow("nobody", "plan", "x", b'"' + b"x" * 10_000 + b'"', fresh.clock()) for _ in range(2000)]
    with fresh.running.hub.store.begin() as transaction:  # 20 MB: more than any buffer between the two takes
        transaction.add_notices(fill)
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" if upgrade else ""
    with socket.create_connection((fresh.running.host, fresh.running.port), timeout=PATIENCE_S) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        head = f"GET /flexoffer/stream?after=0 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {fresh.tokens['root']}\r\n"
        deaf.sendall(f"{head}{upgrade}{key}\r\n".encode())
        assert deaf.recv(12) == (b"HTTP/1.1 101" if upgrade else b"HTTP/1.1 200")
        _until(lambda: fresh.running.hub.feed.subscribers == 0, fresh)
    # Everybody else goes on, and what was said is still there for who comes back.
    post(fresh, "after")

    async def last(ws: aiohttp.ClientWebSocketResponse) -> list[dict[str, Any]]:
        return await heard(ws, 2)

    assert over(fresh, "ann", last, "?after=0")[-1]["data"]["id"] == "after"


def _until(condition: Callable[[], bool], hub: Live) -> None:
    """Ask the hub for its health until it is so."""
    for _ in range(5000):
        if condition():
            return
        assert hub.request("GET", "/health", None).status == 200
    raise AssertionError("not after five thousand requests")
