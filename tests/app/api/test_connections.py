"""Connections over raw sockets: so many of one address, and none that says nothing for long."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

import msgspec
import pytest

from flexhub.app import connections
from flexhub.app.access.certificates import authority, issue
from flexhub.app.api import server
from flexhub.app.config import Config, LimitsSection, TlsSection
from flexhub.app.connections import Connections
from tests.app.api.live import Live, config, live

GET = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
PATIENCE_S = 10.0


def limited(folder: Path, most: int) -> Config:
    return msgspec.structs.replace(config(folder), limits=LimitsSection(connections=most))


def connect(hub: Live, source: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection((hub.running.host, hub.running.port), PATIENCE_S, source_address=(source, 0))


def ask(connection: socket.socket) -> bytes:
    """The status line of an answer; nothing where the connection is closed."""
    try:
        connection.sendall(GET)
        return connection.recv(65536).partition(b"\r\n")[0]
    except ConnectionError:
        return b""


def closed(connection: socket.socket) -> bool:
    """Whether the hub closes the connection while we say nothing more."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


def test_an_address_has_so_many_connections_and_then_waits_for_one_to_close(tmp_path: Path) -> None:
    with live(limited(tmp_path, 5)) as hub, ExitStack() as open_:
        held = [open_.enter_context(connect(hub)) for _ in range(5)]
        assert {ask(one) for one in held} == {b"HTTP/1.1 200 OK"}
        for _ in range(20):
            with connect(hub) as more:
                assert more.recv(65536).startswith(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 10\r\n")
                assert closed(more)
        with connect(hub, "127.0.0.2") as elsewhere:
            assert ask(elsewhere) == b"HTTP/1.1 200 OK", "another address has its own"
        assert {ask(one) for one in held} == {b"HTTP/1.1 200 OK"}, "those that are open go on"
        held[0].sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert closed(held[0])
        with connect(hub) as again:
            assert ask(again) == b"HTTP/1.1 200 OK"


async def reload(hub: Live, changed: Config) -> None:
    await hub.running.reload(changed)


def test_what_is_too_many_may_change_while_it_serves(tmp_path: Path) -> None:
    with live(limited(tmp_path, 1)) as hub, connect(hub) as held:
        assert ask(held) == b"HTTP/1.1 200 OK"
        with connect(hub) as more:
            assert more.recv(65536).startswith(b"HTTP/1.1 429")
        hub.call(reload(hub, limited(tmp_path, 2)))
        with connect(hub) as more:
            assert ask(more) == b"HTTP/1.1 200 OK"


@contextmanager
def trickling(connection: socket.socket) -> Iterator[None]:
    """A header that never ends, a byte at a time."""
    done = Event()

    def trickle() -> None:
        try:
            connection.sendall(b"GET /health HTTP/1.1\r\nX: ")
            while not done.wait(0.05):
                connection.sendall(b"a")
        except OSError:
            pass

    thread = Thread(target=trickle)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_who_has_not_asked_is_let_go_sooner_than_who_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.3)
    with live(config(tmp_path)) as hub, connect(hub) as honest:
        assert ask(honest) == b"HTTP/1.1 200 OK"
        for begun in (b"", b"GET /hea", b"GET /health HTTP/1.1\r\nHost: x\r\n"):
            with connect(hub) as slow:
                slow.sendall(begun)
                assert closed(slow)
        with connect(hub) as slow, trickling(slow):
            assert closed(slow), "however often it says a little"
        assert ask(honest) == b"HTTP/1.1 200 OK", "idle between two requests all that time"


def test_an_idle_connection_is_kept_for_less_than_75_seconds_and_longer_than_a_silent_one() -> None:
    assert 0 < connections.HEAD_S < server.SERVER_OPTIONS["keepalive_timeout"] < 75


def test_who_does_not_shake_hands_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 1.0)
    now = datetime.now(UTC)
    ca = authority(tmp_path / "ca", now)
    made = issue(tmp_path / "ca", "hub", ["127.0.0.1"], now, client=False)
    configured = msgspec.structs.replace(config(tmp_path), tls=TlsSection(cert=made.cert, key=made.key))
    with live(configured) as hub:
        with connect(hub) as silent:
            assert closed(silent)
        with connect(hub) as half:
            half.sendall(b"\x16\x03\x01\x02")
            assert closed(half)
        context = ssl.create_default_context(cafile=str(ca.cert))
        with connect(hub) as plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as honest:
            assert ask(honest) == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("", "", True),
    ],
)
def test_addresses_that_are_one_s_own_count_together(one: str, other: str, same: bool) -> None:
    counted = Connections(1)
    assert counted.begin(one)
    assert counted.begin(other) is not same
    counted.end(one)
    assert len(counted) == (0 if same else 1)
    assert counted.begin(one)
