"""A party takes its data along over REST: the same as the command tells, piece by piece, and nobody else's."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import msgspec
import pytest

from flexhub.adapters.store.interface import JournalRow, Store
from flexhub.app import export as exporting
from flexhub.app.access.audit import blocks
from flexhub.app.api import exports
from tests.app.api.live import Live
from tests.app.api.test_attacks import resident_kib
from tests.app.market import NOON, make_offer

MOST_KIB = 44 * 1024


def fill(store: Store, party: str, count: int, size: int) -> None:
    """So many messages of a party, each with a body of this size."""
    body = b'{"x":"%s"}' % (b"y" * size)
    for at in range(0, count, 100):
        rows = [
            JournalRow(party, f"big-{n}", "fill", "c", "prosumer", body, NOON + timedelta(microseconds=n), 201, b"{}")
            for n in range(at, at + 100)
        ]
        with store.begin() as transaction:
            transaction.add_journal(rows)


def test_a_prosumer_gets_its_own_as_the_command_tells_it(hub: Live) -> None:
    assert hub.request("POST", "/flexoffer", "ann", make_offer("exported", "ann")).status == 201
    answer = hub.request("GET", "/party/ann/export")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json
    command = msgspec.json.decode(b"".join(exporting.export(hub.running.hub.store, "ann", hub.clock())))
    assert {name: told[name] for name in told if name not in ("requests", "index")} == {
        name: command[name] for name in command if name not in ("requests", "index")
    }
    assert told["documents"]["FlexOffer"][0]["body"]["issuer"] == "ann"
    assert told["index"]["messages"] == len(told["messages"]) > 0
    assert b"bob" not in answer.body
    assert hub.request("GET", "/party/ann/export", "root").json["documents"] == told["documents"]


def test_of_others_it_is_as_if_there_were_nothing(hub: Live) -> None:
    other, nobody = (hub.request("GET", f"/party/{who}/export") for who in ("bob", "nobody"))
    assert (other.status, nobody.status) == (404, 404)
    assert other.json["detail"] == nobody.json["detail"]
    assert hub.request("GET", "/party/nobody/export", "root").status == 404
    assert hub.request("GET", "/party/ann/export", None).status == 401
    assert hub.request("HEAD", "/party/ann/export").status == 405


def test_who_took_what_along_is_in_the_audit_log(hub: Live) -> None:
    assert hub.request("GET", "/party/ann/export", "root").status == 200
    hub.call(hub.running.hub.flush())
    noted = [a for _, block in blocks(hub.running.hub.store) if block for a in block.accesses]
    assert [(a.role, a.status) for a in noted if a.path == "/party/ann/export"][-1] == ("admin", 200)


def drain(hub: Live) -> tuple[int, int]:
    """Bytes of the big party's export, and by how many KiB memory grew at most meanwhile."""
    connection = http.client.HTTPConnection(hub.running.host, hub.running.port, timeout=60)
    with closing(connection):
        memory, length, grown = resident_kib(), 0, 0
        connection.request("GET", "/party/big/export", headers={"Authorization": f"Bearer {hub.tokens['root']}"})
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Transfer-Encoding"]) == (200, "chunked")
        while piece := answer.read(1 << 16):
            length += len(piece)
            grown = max(grown, resident_kib() - memory)
    return length, grown


def test_much_is_streamed_in_little_memory(hub: Live) -> None:
    fill(hub.running.hub.store, "big", 4000, 50_000)
    drain(hub)  # fills the database's caches
    length, grown = drain(hub)
    assert length > 4000 * 50_000 > 4 * MOST_KIB * 1024
    assert grown < MOST_KIB


def test_each_party_is_exported_once_at_a_time(hub: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(store: Store, party: str, now: object) -> Iterator[bytes]:  # noqa: ARG001 - as the real one
        begun.set()
        assert go_on.wait(30)
        yield b"{}"

    monkeypatch.setattr(exports, "export", slow)
    first = threading.Thread(target=hub.request, args=("GET", "/party/ann/export"))
    first.start()
    assert begun.wait(30)
    again = hub.request("GET", "/party/ann/export")
    assert (again.status, again.headers["retry-after"]) == (429, "10")
    go_on.set()
    first.join()
    assert hub.request("GET", "/party/ann/export").status == 200


def test_what_ends_early_is_not_taken_for_whole(hub: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(store: Store, party: str, now: object) -> Iterator[bytes]:  # noqa: ARG001 - as the real one
        yield b'{"party":'
        raise ZeroDivisionError

    monkeypatch.setattr(exports, "export", failing)
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        hub.request("GET", "/party/ann/export")
    monkeypatch.undo()
    assert hub.request("GET", "/party/ann/export").status == 200
