"""The stream: every change of an own offer, in order, and from where a client left."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from flexhub.app.api import stream
from flexhub.app.hub import reading
from tests.app.api.live import Live
from tests.app.market import make_offer, make_request


class Events:
    """The events of an open stream."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self._response = response
        self.comments = 0

    def next(self) -> tuple[int, str, Any]:
        """(id, topic, data) of the next event."""
        fields: dict[str, str] = {}
        while True:
            line = self._response.readline().decode().rstrip("\n")
            assert line or fields or not self._response.isclosed()
            if not line:
                if "data" in fields:
                    return int(fields["id"]), fields["event"], json.loads(fields["data"])
                fields.clear()
            elif line.startswith(":"):
                self.comments += 1
            else:
                name, _, value = line.partition(": ")
                fields[name] = value

    def comment(self) -> None:
        """Wait for a comment."""
        while not self._response.readline().startswith(b":"):
            assert not self._response.isclosed()

    def end(self) -> None:
        """Wait until the stream ends."""
        while self._response.readline():
            pass


@contextmanager
def listen(hub: Live, who: str, query: str = "", **headers: str) -> Iterator[Events]:
    connection = http.client.HTTPConnection(hub.running.host, hub.running.port, timeout=20)
    sent = {"Authorization": f"Bearer {hub.tokens[who]}"} | {k.replace("_", "-"): v for k, v in headers.items()}
    connection.request("GET", f"/flexoffer/stream{query}", headers=sent)
    response = connection.getresponse()
    assert (response.status, response.getheader("Content-Type")) == (200, "text/event-stream")
    try:
        yield Events(response)
    finally:
        connection.close()


def post(hub: Live, name: str, who: str = "ann") -> None:
    assert hub.request("POST", "/flexoffer", who, make_offer(name, who)).status == 201


def test_changes_arrive_in_order_with_their_schedule(fresh: Live) -> None:
    with listen(fresh, "ann", "?after=0") as events:
        post(fresh, "s1")
        post(fresh, "other", "bob")
        fresh.plan()
        fresh.request("POST", "/flexoffer/s1/confirmation")
        seen = [events.next() for _ in range(4)]
    contract, *changes = seen
    assert contract[1] == "contract"
    assert [(topic, data["id"], data["state"]) for _, topic, data in changes] == [
        ("flexoffer", "s1", "accepted"),
        ("flexoffer", "s1", "assigned"),
        ("flexoffer", "s1", "confirmed"),
    ]
    assert changes[1][2]["schedule"] == fresh.get("/flexoffer/s1")["schedule"]
    numbers = [number for number, _, _ in seen]
    assert numbers == sorted(set(numbers))


def test_a_client_that_comes_back_gets_what_it_missed(fresh: Live) -> None:
    with listen(fresh, "ann", "?after=0") as events:
        post(fresh, "r1")
        assert events.next()[1] == "contract"
        last, _, data = events.next()
        assert data["id"] == "r1"
    post(fresh, "r2")
    post(fresh, "r3")
    with listen(fresh, "ann", Last_Event_ID=str(last)) as events:
        assert [events.next()[2]["id"] for _ in range(2)] == ["r2", "r3"]
        post(fresh, "r4")
        assert events.next()[2]["id"] == "r4"
    with listen(fresh, "ann", "?after=0", Last_Event_ID=str(last)) as events:
        assert events.next()[2]["id"] == "r2"


def test_an_aggregator_hears_of_its_portfolio_requests_and_plans(fresh: Live) -> None:
    with listen(fresh, "agr", "?after=0") as events:
        fresh.request("POST", "/flexrequest", "dso", make_request("q1"))
        post(fresh, "p1")
        fresh.plan()
        assert events.next()[1:] == ("flexrequest", fresh.get("/flexrequest", "agr")["items"][0])
        told = [events.next()[1:] for _ in range(3)]
    assert [(topic, data["id"], data["state"]) for topic, data in told[:2]] == [
        ("flexoffer", "p1", "accepted"),
        ("flexoffer", "p1", "assigned"),
    ]
    assert (told[2][0], told[2][1]["assigned"]) == ("plan", 1)
    assert fresh.running.hub.store.notices("other-agr", 0, 10) == []


def test_a_stream_ends_with_its_token(fresh: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.02)
    monkeypatch.setattr(reading, "TOKEN_S", 0.0)
    with listen(fresh, "ann") as ann, listen(fresh, "bob") as bob:
        ann.comment()
        with fresh.running.hub.store.begin() as transaction:  # as `flexhub keys revoke` does
            assert transaction.remove_tokens("ann") == 1
        ann.end()
        bob.comment()
    assert fresh.request("GET", "/flexoffer", "ann").status == 401
    assert fresh.request("GET", "/flexoffer", "bob").status == 200


def test_a_stream_that_is_never_idle_ends_with_its_token_too(fresh: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.02)
    monkeypatch.setattr(stream, "TOGETHER_S", 0.1)  # so that there is always more by then
    monkeypatch.setattr(reading, "TOKEN_S", 0.0)
    ended, most = threading.Event(), 300

    def keep_busy() -> int:
        for n in range(most):
            if ended.is_set():
                return n
            post(fresh, f"busy-{n}")
        return most

    with listen(fresh, "root") as events, ThreadPoolExecutor(1) as pool:
        posts = pool.submit(keep_busy)
        events.next()
        with fresh.running.hub.store.begin() as transaction:
            transaction.remove_tokens("root")
        events.end()
        ended.set()
        assert posts.result() < most


def test_an_idle_stream_is_kept_open(fresh: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.02)
    with listen(fresh, "bob") as events:
        events.comment()
        post(fresh, "after-silence", "bob")
        assert events.next()[2]["id"] == "after-silence"


@pytest.mark.parametrize("last", ["-1", "x", "9" * 30])
def test_an_event_id_that_is_none_is_refused(fresh: Live, last: str) -> None:
    answer = fresh.request("GET", "/flexoffer/stream", "ann", headers={"Last-Event-ID": last})
    assert (answer.status, answer.json["path"]) == (422, "header/Last-Event-ID")
    with listen(fresh, "ann", Last_Event_ID="0") as events:
        assert events.next()[1] == "contract"


def test_the_hub_stops_while_clients_listen(fresh: Live) -> None:
    with listen(fresh, "ann"):
        pass
    # Leaving the fixture stops the hub; it fails there if the stream holds it up.
