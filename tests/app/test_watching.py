"""What can be seen of a running hub from outside: logs, request ids and metrics; and what must not be seen."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from flexhub.app import logs
from flexhub.app.logs import ConsoleLines, Form, JsonLines, Level
from flexhub.core.timeseries import Measurement
from tests.app.api.live import Live, config, live
from tests.app.hub.shop import hub as shop
from tests.app.hub.shop import message, running
from tests.app.market import NOON, make_offer

READING = 0.7654321
SERIES = "/timeseries/measurement/2026-03-01T00:00:00Z/2026-03-04T00:00:00Z"


@pytest.fixture(params=[0, 1], ids=["one process", "a door"])
def hub(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Live]:
    configured = config(tmp_path)
    section = msgspec.structs.replace(configured.hub, doors=request.param)
    with live(msgspec.structs.replace(configured, hub=section)) as running:
        yield running


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """All lines of this process, as JSON, at the level that has most."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(JsonLines())
    with levels_kept() as root:
        root.addHandler(handler)
        logs.choose(Level.DEBUG)
        yield text


@contextmanager
def levels_kept() -> Iterator[logging.Logger]:
    """Whatever a test does to logging is over with it."""
    root, ours = logging.getLogger(), logging.getLogger("flexhub")
    handlers, before = list(root.handlers), (root.level, ours.level)
    try:
        yield root
    finally:
        root.handlers[:] = handlers
        root.setLevel(before[0])
        ours.setLevel(before[1])


def lines(text: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.getvalue().splitlines()]


def metrics(hub: Live) -> dict[tuple[str, tuple[str, ...]], float]:
    answer = hub.request("GET", "/metrics", "root")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.body.decode())  # type: ignore[no-untyped-call]  # the library's
        for sample in family.samples
    }


def readings(value: float) -> Measurement:
    return Measurement(subject="ann", start=NOON, values_kwh=(value,))


def test_lines_say_what_they_are_about_and_hold_no_secret(tmp_path: Path, written: io.StringIO) -> None:
    with live(config(tmp_path)) as hub:
        key = {"Idempotency-Key": "m-1", "X-Request-Id": "r-1"}
        assert hub.request("POST", "/flexoffer", "ann", make_offer("o", "ann"), key).status == 201
        assert hub.request("POST", "/flexoffer/measurement", "ann", readings(READING)).status == 201
        broken = msgspec.json.encode(readings(READING)).replace(b"ann", b"\xff")
        assert hub.request("POST", "/flexoffer/measurement", "ann", broken).status in (400, 422)
        assert hub.request("GET", "/contract", "a-made-up-token").status == 401
        assert str(READING) in hub.request("GET", SERIES, "ann").body.decode()
        hub.plan()
        tokens = hub.tokens
    (done,) = [line for line in lines(written) if line.get("message", "").endswith("m-1")]
    assert (done["peer"], done["kind"], done["conversation"]) == ("ann", "flexoffer.post", "o")
    assert any(
        line.get("request") == "r-1" and line["text"].startswith("POST /flexoffer 201") for line in lines(written)
    )
    for secret in (*tokens.values(), "a-made-up-token", str(READING)):
        assert secret not in written.getvalue()


def test_a_failing_question_is_told_with_its_id(tmp_path: Path, written: io.StringIO) -> None:
    async def story() -> None:
        async with running(shop(tmp_path)) as h:
            await h.handle(message("wonder", "nowhere", id="1"))
            await h.settled()

    asyncio.run(story())
    (failed,) = [line for line in lines(written) if line["level"] == "error"]
    assert (failed["peer"], failed["kind"], failed["conversation"]) == ("flexhub:engine", "count", "nowhere")
    assert "EOFError" in failed["error"]


def test_a_peers_control_characters_write_no_lines_of_their_own() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "said %s", ("a\n2026 ERROR forged\x1b[31m",), None)
    with logs.about("an\nna", "1", "k", "c"):
        assert len(ConsoleLines().format(record).splitlines()) == 1
        assert "\x1b" not in ConsoleLines().format(record)
        assert len(JsonLines().format(record).splitlines()) == 1


def test_a_request_id_is_answered_or_one_of_ours_is(hub: Live) -> None:
    given = {"abc-123": True, "x" * 128: True, "x" * 129: False, "a b": False, "": False}
    for text, kept in given.items():
        for path in ("/health", "/nowhere"):
            answered = hub.request("GET", path, None, headers={"X-Request-Id": text}).headers["x-request-id"]
            assert (answered == text) is kept
            assert answered


def test_metrics_count_what_was_served_and_worked(hub: Live) -> None:
    assert hub.request("GET", "/metrics", "ann").status == 403
    for name in ("one", "two"):
        assert hub.request("POST", "/flexoffer", "ann", make_offer(name, "ann", now=hub.clock())).status == 201
    assert hub.request("POST", "/flexoffer", "ann", make_offer("x y", "ann", now=hub.clock())).status == 422
    assert hub.request("GET", "/flexoffer/one").status == 200
    assert hub.request("GET", "/made/up/path").status == 404
    hub.plan()
    found = metrics(hub)
    while ("flexhub_http_request_seconds_count", ("POST", "/flexoffer", "201")) not in found:
        found = metrics(hub)  # a door tells once a second
    assert found["flexhub_messages_total", ("flexoffer.post", "done")] == 2
    assert found["flexhub_http_request_seconds_count", ("POST", "/flexoffer", "201")] == 2
    assert found["flexhub_http_request_seconds_count", ("POST", "/flexoffer", "422")] == 1
    assert found["flexhub_http_request_seconds_count", ("GET", "/flexoffer/{id}", "200")] == 1
    assert found["flexhub_http_request_seconds_count", ("GET", "other", "404")] == 1
    assert found["flexhub_engine_seconds_count", ("manager.plan",)] == 1
    assert found["flexhub_commit_seconds_count", ()] >= found["flexhub_batch_messages_count", ()] > 0
    assert found["flexhub_store_bytes", ()] > 10_000
    assert found["flexhub_memory_bytes", ()] > 10_000_000
    assert found["flexhub_check_ok", ("store",)] == 1
    assert not any("one" in labels for _, labels in found)


def test_a_stream_is_counted_while_it_is_open_and_its_seconds_never(hub: Live) -> None:
    def heard(key: tuple[str, tuple[str, ...]], value: float) -> None:
        while metrics(hub).get(key) != value:  # a door tells once a second
            pass

    stream = http.client.HTTPConnection(hub.running.host, hub.running.port, timeout=20)
    stream.request("GET", "/flexoffer/stream", headers={"Authorization": f"Bearer {hub.tokens['ann']}"})
    assert stream.getresponse().status == 200
    heard(("flexhub_streams", ()), 1)
    stream.close()
    heard(("flexhub_streams", ()), 0)
    heard(("flexhub_http_request_seconds_count", ("GET", "/flexoffer/stream", "200")), 1)
    assert metrics(hub)["flexhub_http_request_seconds_sum", ("GET", "/flexoffer/stream", "200")] == 0


def test_the_hubs_time_never_goes_back_and_says_so(tmp_path: Path) -> None:
    with live(config(tmp_path)) as hub:
        assert hub.request("POST", "/flexoffer", "ann", make_offer("one", "ann")).status == 201
        hub.clock.now = NOON - timedelta(hours=2)
        ready = hub.get("/ready", None)
        assert ready["status"] == "degraded"
        assert [check["name"] for check in ready["checks"] if not check["ok"]] == ["clock"]
        assert hub.request("POST", "/flexoffer", "ann", make_offer("two", "ann")).status == 201
    # The next start knows it from the journal alone.
    with live(config(tmp_path), clock=hub.clock) as hub:
        assert hub.get("/ready", None)["status"] == "degraded"
        assert hub.request("POST", "/flexoffer", "ann", make_offer("three", "ann")).status == 201
        times = [row.received for row in hub.running.hub.store.journal(0, 1000)]
        assert times == sorted(times)
        hub.clock.now = NOON + timedelta(seconds=1)
        assert hub.get("/ready", None)["status"] == "ready"


def test_logs_begin_as_configured(capsys: pytest.CaptureFixture[str]) -> None:
    with levels_kept():
        logs.begin(Form.JSON, Level.INFO)
        logging.getLogger("flexhub.x").debug("too little")
        logging.getLogger("flexhub.x").info("enough")
        logging.getLogger("other.x").info("too little for others")
        (line,) = capsys.readouterr().err.splitlines()
        assert json.loads(line)["text"] == "enough"
