"""Bytes that no honest client sends, over raw sockets.

Each gets a clean refusal or a closed connection, in bounded time and memory, and the hub goes on. Beside it stands a
valid twin.
"""

from __future__ import annotations

import gzip
import logging
import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import Final, NamedTuple

import msgspec
import pytest

from flexhub.adapters.store import open_store
from flexhub.app.access.audit import Access, blocks
from flexhub.app.api import server
from flexhub.app.config import LimitsSection
from flexhub.core.documents import encode
from tests.app.api.live import Live, config, live
from tests.app.market import make_offer

LONGEST_S = 20.0
MOST_KIB: Final = 48 * 1024
"""How much more memory an attack may take, of all that it sends."""


class Attack(NamedTuple):
    """What is sent, with TOKEN in place of ann's; and what may come back: a status, or 0 for a closed connection."""

    name: str
    head: bytes
    statuses: tuple[int, ...]
    flood: bytes = b""
    times: int = 0


POST: Final = (
    b"POST /flexoffer HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer TOKEN\r\nContent-Type: application/json\r\n"
)
LAST: Final = b"Content-Length: 2\r\nConnection: close\r\n\r\n{}"
CHUNK: Final = b"10000\r\n" + b" " * 65536 + b"\r\n"
GET: Final = b"GET /flexoffer HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer TOKEN\r\nConnection: close\r\n"


def path(target: bytes) -> bytes:
    return GET.replace(b"/flexoffer", target, 1) + b"\r\n"


ATTACKS: Final = [
    # Not HTTP at all, or of another kind.
    Attack("noise", b"\x00\xff\x16\x03\x01 \r\n\r\n", (400,)),
    Attack("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x11" * 200, (400, 0)),
    Attack("HTTP/2 by prior knowledge", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400,)),
    Attack("a proxy request", b"CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", (400, 404)),
    Attack("no host", b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n", (400,)),
    # Endless heads.
    Attack("an endless path", b"GET /", (400,), b"a" * 65536, 2000),
    Attack("an endless header", b"GET /health HTTP/1.1\r\nX: ", (400,), b"a" * 65536, 2000),
    Attack("an endless name", b"GET /health HTTP/1.1\r\n", (400,), b"a" * 65536, 2000),
    Attack("endless headers", b"GET /health HTTP/1.1\r\nHost: x\r\n", (400,), b"X-A: y\r\n" * 8192, 2000),
    Attack("an endless query", b"GET /flexoffer?limit=", (400,), b"1" * 65536, 2000),
    # Two lengths: what one reader takes for a body another takes for a request.
    Attack(
        "chunks and a length",
        POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /bill HTTP/1.1\r\nHost: x\r\n\r\n",
        (400,),
    ),
    Attack("two lengths", POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ", (400,)),
    Attack("a list of lengths", POST + b"Content-Length: 2, 2\r\n\r\n{}", (400,)),
    Attack("a length below zero", POST + b"Content-Length: -1\r\n\r\n", (400,)),
    Attack("a length with a sign", POST + b"Content-Length: +2\r\n\r\n{}", (400,)),
    Attack("a length beyond numbers", POST + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n", (400,)),
    Attack("a transfer coding that isn't", POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", (400, 411)),
    Attack("a folded header", GET + b"X: a\r\n b\r\n\r\n", (400,)),
    Attack("a space before the colon", GET + b"Content-Length : 2\r\n\r\n{}", (400,)),
    Attack("a bare line feed", b"GET /health HTTP/1.1\nHost: x\nX: a\r\n\r\n", (400, 200)),
    # Huge bodies, and small ones that grow.
    Attack("a huge body", POST + b"Content-Length: 2000000000\r\n\r\n", (413,), b" " * 65536, 2000),
    Attack("endless chunks", POST + b"Transfer-Encoding: chunked\r\n\r\n", (411,), CHUNK, 2000),
    Attack("one endless chunk", POST + b"Transfer-Encoding: chunked\r\n\r\nfffffffff\r\n", (411,), b" " * 65536, 2000),
    Attack("chunks under a question", GET + b"Transfer-Encoding: chunked\r\n\r\n", (200,), CHUNK, 2000),
    Attack("a body under a question", GET + b"Content-Length: 2000000000\r\n\r\n", (200,), b" " * 65536, 2000),
    # Paths and headers that would be something else.
    Attack("a path that climbs", path(b"/../../../etc/passwd"), (404,)),
    Attack("a path that climbs in code", path(b"/static/%2e%2e/%2e%2e/%2e%2e/etc/passwd"), (404,)),
    Attack("a path that climbs in an id", path(b"/flexoffer/..%2f..%2fetc%2fpasswd"), (404, 422)),
    Attack("a path that splits the answer", path(b"/flexoffer/a%0d%0aSet-Cookie:%20x=1"), (422,)),
    Attack("a NUL in an id", path(b"/flexoffer/a%00"), (422,)),
    Attack("an id that is no UTF-8", path(b"/flexoffer/%ff%fe"), (404, 422)),
    Attack("a query that is no UTF-8", path(b"/flexoffer?limit=%ff"), (422,)),
    Attack("another host's path", path(b"http:" + b"//[x/flexoffer"), (400,)),
    Attack("a port that isn't", path(b"/" + b"/x:port/flexoffer"), (400, 404)),
    Attack("who is it", GET + b"Authorization: Bearer TOKEN\r\n\r\n", (401,)),
    Attack("a key with blanks", POST + b"Idempotency-Key: a b\r\n" + LAST, (422,)),
    Attack("an expectation", POST + b"Expect: 2+2\r\n" + LAST, (417,)),
]  # fmt: skip


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live(config(tmp_path_factory.mktemp("hub"))) as running:
        yield running


def send(hub: Live, attack: Attack) -> bytes:
    """Send as much of it as is taken; what comes back until the hub closes the connection."""
    with socket.create_connection((hub.running.host, hub.running.port), LONGEST_S) as connection:
        answer = b""
        try:
            connection.sendall(attack.head.replace(b"TOKEN", hub.tokens["ann"].encode()))
            for _ in range(attack.times):
                connection.sendall(attack.flood)
        except (ConnectionError, TimeoutError):
            pass  # the hub has heard enough
        try:
            while more := connection.recv(65536):
                answer += more
        except ConnectionError:
            pass
        return answer


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def resident_kib() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.name)
def test_it_is_refused_and_the_hub_goes_on(hub: Live, attack: Attack) -> None:
    journal, memory, begun = hub.journal(), resident_kib(), monotonic()
    answer = send(hub, attack)
    # A flood that is cut off may take the answer with it: the peer's own unread bytes reset the connection.
    allowed = (*attack.statuses, 0) if attack.times else attack.statuses
    assert status(answer) in allowed, answer[:300]
    assert monotonic() - begun < LONGEST_S
    assert resident_kib() - memory < MOST_KIB
    assert b"Set-Cookie" not in answer.partition(b"\r\n\r\n")[0]
    assert b"root:" not in answer
    assert hub.journal() == journal
    assert status(send(hub, Attack("its twin", path(b"/flexoffer"), ()))) == 200


def test_an_offer_sent_honestly_is_taken(hub: Live) -> None:
    body = encode(make_offer("honest", "ann"))
    head = POST + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
    assert status(send(hub, Attack("honest", head + body, ()))) == 201


def test_a_bomb_stays_closed(hub: Live) -> None:
    bomb = gzip.compress(b" " * (1 << 28), 9)
    assert len(bomb) < 1 << 20, "it would pass for a body"
    memory = resident_kib()
    for coding in ("gzip", "deflate", "br", "zstd", "identity, gzip"):
        answer = hub.request("POST", "/flexoffer", "ann", bomb, {"Content-Encoding": coding})
        assert (answer.status, answer.json["path"]) == (415, "header/Content-Encoding")
    plain = hub.request("POST", "/flexoffer", "ann", bomb)
    assert (plain.status, plain.json["code"]) == (400, "malformed")
    assert resident_kib() - memory < MOST_KIB


@pytest.mark.parametrize(
    "begun",
    [b"", b"GET /flexoffer HT", b"GET / HTTP/1.1\r\nHost: x\r\n", GET.replace(b"close", b"keep-alive") + b"\r\nGET /"],
    ids=["nothing", "half a line", "half a head", "half a second request"],
)  # fmt: skip
def test_who_does_not_finish_asking_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: bytes) -> None:
    monkeypatch.setitem(server.SERVER_OPTIONS, "keepalive_timeout", 0.3)
    with live(config(tmp_path)) as hub, ExitStack() as open_:
        slow = [
            open_.enter_context(socket.create_connection((hub.running.host, hub.running.port), 10)) for _ in range(100)
        ]
        for connection in slow:
            connection.sendall(begun.replace(b"TOKEN", hub.tokens["ann"].encode()))
        assert hub.request("GET", "/health", None).status == 200, "others are served meanwhile"
        for connection in slow:
            while connection.recv(65536):
                pass


def test_who_does_not_finish_telling_is_let_go(hub: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "BODY_S", 0.3)
    body = encode(make_offer("slow", "ann"))
    head = POST + b"Content-Length: %d\r\n\r\n" % len(body)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda n: send(hub, Attack("", head + body[: -1 - n], ())), range(8)))
    assert [status(answer) for answer in answers] == [408] * 8
    assert (
        status(send(hub, Attack("its twin", head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + body, ())))
        == 201
    )


def test_bytes_that_are_no_http_leave_no_traceback(hub: Live, caplog: pytest.LogCaptureFixture) -> None:
    (broken,) = (attack for attack in ATTACKS if attack.name == "two lengths")
    with caplog.at_level(logging.DEBUG):
        assert status(send(hub, broken)) == 400
    assert not any(record.exc_info for record in caplog.records)


def test_who_shows_nothing_is_slowed_down_too_and_does_not_fill_the_audit_log(tmp_path: Path) -> None:
    limits = LimitsSection(failures=0.01, failures_at_once=5)
    configured = msgspec.structs.replace(config(tmp_path), limits=limits)
    with live(configured) as hub:
        answers = [hub.request("GET", "/flexoffer", None) for _ in range(30)]
        assert [a.status for a in answers] == [401] * 5 + [429] * 25
        assert answers[-1].headers["retry-after"]
        assert hub.request("GET", "/health", None).status == 200
        assert hub.request("GET", "/flexoffer").status == 200, "who has a token goes on"
    store = open_store(configured.store.url)
    noted: list[Access] = [access for _, block in blocks(store) if block is not None for access in block.accesses]
    store.close()
    assert [access.status for access in noted] == [401] * 5 + [200]


def test_who_was_let_in_is_not_held_up_by_who_guesses_at_the_same_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a proxy: the hub has forgotten whose token it is by then, and looks again."""
    limits = LimitsSection(failures=0.01, failures_at_once=5)
    with live(msgspec.structs.replace(config(tmp_path), limits=limits)) as hub:
        ticks = [0.0]
        monkeypatch.setattr(hub.running.hub, "_monotonic", lambda: ticks[0])  # seconds that the test moves
        assert hub.request("GET", "/flexoffer").status == 200
        assert hub.request("GET", "/flexoffer", "guess-0").status == 401
        assert [hub.request("GET", "/flexoffer", f"guess-{n}").status for n in range(6)] == [401] * 4 + [429] * 2
        ticks[0] += 60.0
        assert hub.request("GET", "/flexoffer").status == 200
        assert hub.request("GET", "/flexoffer", "bob").status == 429, "seen for the first time"
