"""Bad input: each case beside its valid twin, which differs in that one thing; a refusal changes nothing."""

from __future__ import annotations

import socket
from codecs import BOM_UTF8
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

import msgspec
import pytest

from flexhub.app.api import goflex
from flexhub.app.api.calls import RESERVED
from flexhub.app.api.problems import STATUS, TITLES
from flexhub.app.api.route import Route
from flexhub.app.api.routes import ROUTES, STREAM
from flexhub.core.documents import encode
from flexhub.core.errors import BY_CODE
from flexhub.core.flexoffer import FlexOffer, Schedule, ScheduleSlice
from flexhub.core.registry import Role
from tests.app.api.live import TOKENS, Live
from tests.app.market import AGGREGATOR, NOON, make_contract, make_offer, make_request, without

MINUTE = timedelta(minutes=1)


class Bad(NamedTuple):
    """What is changed of a valid offer, and what is then said: status, code, and the path of the field."""

    name: str
    spoil: Callable[[FlexOffer], bytes]
    status: int
    code: str
    path: str


def _set(**changed: object) -> Callable[[FlexOffer], bytes]:
    return lambda offer: without(offer, **changed)


def _slice(**changed: object) -> Callable[[FlexOffer], bytes]:
    def spoil(offer: FlexOffer) -> bytes:
        fields = msgspec.json.decode(encode(offer))
        fields["profiles"][0]["slices"][2].update(changed)
        return msgspec.json.encode(fields)

    return spoil


def _default_kwh(energy_kwh: float) -> Callable[[FlexOffer], bytes]:
    def spoil(offer: FlexOffer) -> bytes:
        assert offer.start_after is not None
        slices = (ScheduleSlice(energy_kwh=energy_kwh), *(ScheduleSlice(energy_kwh=1.0) for _ in range(3)))
        return without(offer, default_schedule=Schedule(start=offer.start_after, slices=slices))

    return spoil


def _nested(levels: int) -> Callable[[FlexOffer], bytes]:
    return lambda o: encode(o)[:-1] + b',"extras":{"x":' + b"[" * levels + b"]" * levels + b"}}"


BAD = [
    Bad("not JSON", lambda o: encode(o)[:-1], 400, "malformed", "FlexOffer"),
    Bad("not UTF-8", lambda o: encode(o).replace(b"bad", b"\xff\xfe"), 400, "malformed", "FlexOffer"),
    Bad("far too deep", _nested(20_000), 400, "malformed", "FlexOffer"),
    Bad("too deep", _nested(500), 422, "invalid", "FlexOffer/extras"),
    Bad("a bit too deep", _nested(32), 422, "invalid", "FlexOffer/extras"),
    Bad("a list", lambda o: b"[" + encode(o) + b"]", 422, "invalid", "FlexOffer"),
    Bad("an unknown field", _set(colour="red"), 422, "invalid", "FlexOffer"),
    Bad("a missing field", lambda o: without(o, "created"), 422, "invalid", "FlexOffer"),
    Bad("a number as id", _set(id=7), 422, "invalid", "FlexOffer/id"),
    Bad("an id that is no path segment", _set(id="a/b"), 422, "invalid", "FlexOffer/id"),
    Bad("no time zone", _set(created="2026-03-02T12:00:00"), 422, "invalid", "FlexOffer/created"),
    Bad(
        "a start in the last year", _set(start_before="9999-12-31T23:59:59Z"), 422, "invalid", "FlexOffer/start_before"
    ),
    Bad(
        "a start in the first year",
        _set(start_after="0001-01-01T00:00:00+14:00"),
        422,
        "invalid",
        "FlexOffer/start_after",
    ),
    Bad("starts over centuries", _set(start_before="2199-01-01T00:00:00Z"), 422, "invalid", "FlexOffer/start_before"),
    Bad("nothing at all", lambda _: b"{}", 422, "invalid", "FlexOffer"),
    Bad("an energy as text", _slice(energy_kwh="much"), 422, "invalid", "FlexOffer/profiles[0]/slices[2]/energy_kwh"),
    Bad(
        "lo above hi",
        _slice(energy_kwh=[{"lo_kwh": 3.0, "hi_kwh": 2.0}]),
        422,
        "invalid",
        "FlexOffer/profiles[0]/slices[2]/energy_kwh[0]",
    ),
    Bad("a window without a start", _set(start_before=NOON.isoformat()), 422, "invalid", "FlexOffer/start_before"),
    Bad("no flexibility", _set(profiles=[]), 422, "invalid", "FlexOffer/profiles"),
    Bad("a state of its own choice", _set(state="assigned"), 422, "invalid", "FlexOffer/state"),
    Bad(
        "a schedule of its own", lambda o: without(o, schedule=o.default_schedule), 422, "invalid", "FlexOffer/schedule"
    ),
    Bad(
        "too late to accept",
        _set(created=(NOON - 9 * MINUTE).isoformat(), accept_before=(NOON - MINUTE).isoformat()),
        422,
        "expired",
        "FlexOffer/accept_before",
    ),
    Bad(
        "too late to assign",
        lambda o: without(
            o, "accept_before", created=(NOON - 9 * MINUTE).isoformat(), assign_before=(NOON - MINUTE).isoformat()
        ),
        422,
        "expired",
        "FlexOffer/assign_before",
    ),
    Bad("a default outside its own bounds", _default_kwh(9.0), 422, "infeasible", "FlexOffer/default_schedule"),
    Bad("another's offer", _set(issuer="bob"), 403, "forbidden", "FlexOffer/issuer"),
    Bad("another's contract", _set(contract="c-bob"), 403, "forbidden", "FlexOffer/contract"),
    Bad("to another aggregator", _set(recipient="other-agr"), 403, "forbidden", "FlexOffer/recipient"),
]


def _problem(answer: Any, status: int, code: str, path: str) -> None:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json
    assert (answer.status, problem["status"], problem["code"], problem.get("path", "")) == (status, status, code, path)
    assert problem["type"] == f"/docs#problem-{code}"
    assert problem["title"]
    assert problem["detail"]
    assert problem["instance"].startswith("/")


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_a_bad_offer_is_refused_and_its_valid_twin_is_not(hub: Live, bad: Bad) -> None:
    offer = make_offer(f"bad-{bad.name.replace(' ', '-')}", "ann")
    before = hub.journal()
    _problem(hub.request("POST", "/flexoffer", "ann", bad.spoil(offer)), bad.status, bad.code, bad.path)
    assert hub.journal() == before
    assert hub.request("GET", f"/flexoffer/{offer.id}").status == 404
    assert hub.request("POST", "/flexoffer", "ann", offer).status == 201
    # The same as a revision of what is there, which stays as it was.
    stored = hub.get(f"/flexoffer/{offer.id}")
    answer = hub.request("PUT", f"/flexoffer/{offer.id}", "ann", bad.spoil(offer))
    assert 400 <= answer.status < 500
    assert hub.get(f"/flexoffer/{offer.id}") == stored


def test_what_others_understand_may_be_nested(hub: Live) -> None:
    assert hub.request("POST", "/flexoffer", "ann", _nested(31)(make_offer("nested", "ann"))).status == 201


def test_a_default_inside_the_bounds_is_fine(hub: Live) -> None:
    offer = make_offer("inside", "ann")
    assert hub.request("POST", "/flexoffer", "ann", _default_kwh(1.5)(offer)).status == 201


def test_an_id_is_taken_once(hub: Live) -> None:
    offer = make_offer("taken", "ann")
    assert hub.request("POST", "/flexoffer", "ann", offer).status == 201
    stored = hub.get("/flexoffer/taken")
    other = make_offer("taken", "ann", hi_kwh=5.0)
    _problem(hub.request("POST", "/flexoffer", "ann", other), 409, "duplicate", "FlexOffer/id")
    _problem(hub.request("POST", "/flexoffer", "bob", make_offer("taken", "bob")), 409, "duplicate", "FlexOffer/id")
    assert hub.get("/flexoffer/taken") == stored


def test_a_key_is_used_for_one_message(hub: Live) -> None:
    key = {"Idempotency-Key": "once"}
    assert hub.request("POST", "/flexoffer", "ann", make_offer("key-1", "ann"), key).status == 201
    answer = hub.request("POST", "/flexoffer", "ann", make_offer("key-2", "ann"), key)
    _problem(answer, 422, "reused", "Message/id")
    assert hub.request("GET", "/flexoffer/key-2").status == 404
    quoted = hub.request("POST", "/flexoffer", "ann", make_offer("key-1", "ann"), {"Idempotency-Key": '"once"'})
    assert (quoted.status, quoted.json["id"]) == (201, "key-1"), "quoted it is the same key"
    answer = hub.request("POST", "/flexoffer", "ann", make_offer("key-2", "ann"), {"Idempotency-Key": '"once"'})
    _problem(answer, 422, "reused", "Message/id")
    torn = hub.request("POST", "/flexoffer", "ann", make_offer("key-2", "ann"), {"Idempotency-Key": '"once'})
    _problem(torn, 422, "invalid", "header/Idempotency-Key")
    bad = hub.request("POST", "/flexoffer", "ann", make_offer("key-2", "ann"), {"Idempotency-Key": "a b"})
    _problem(bad, 422, "invalid", "header/Idempotency-Key")


def test_without_a_contract_nothing_can_be_offered(hub: Live) -> None:
    _problem(hub.request("POST", "/flexoffer", "eve", make_offer("eve-1", "eve")), 403, "forbidden", "FlexOffer/issuer")


def _filled(route: Route) -> str:
    """A path of it."""
    words = dict.fromkeys(("id", "bid", "request", "name", "event"), "x")
    return route.path.format(**words, kind="schedule", **{"from": "2026-03-02T00:00:00Z", "to": "2026-03-03T00:00:00Z"})


@pytest.mark.parametrize("who", [None, "made-up", ""])
def test_every_route_but_health_wants_a_known_token(hub: Live, who: str | None) -> None:
    for route in ROUTES:
        answer = hub.request(route.method, _filled(route), who)
        if route.roles:
            _problem(answer, 401, "unauthorized", "header/Authorization")
            assert answer.headers["www-authenticate"].startswith("Bearer ")
        else:
            assert answer.status == 200


def test_every_route_refuses_the_roles_that_it_does_not_name(hub: Live) -> None:
    by_role = {role: who for who, role in TOKENS.items()}
    tried = 0
    for route in ROUTES:
        path = _filled(route)
        for role in set(by_role) - set(route.roles):
            if route.roles:
                _problem(hub.request(route.method, path, by_role[role]), 403, "forbidden", "header/Authorization")
                tried += 1
    assert tried > 50
    assert set(by_role) == set(Role)


def _raw(hub: Live, head: str, body: bytes = b"") -> bytes:
    """What comes back for bytes that no HTTP client would send."""
    with socket.create_connection((hub.running.host, hub.running.port), 10) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode("latin-1") + body)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_transport_is_judged_before_the_body_is_read(hub: Live) -> None:
    offer = encode(make_offer("transport", "ann"))
    _problem(
        hub.request("POST", "/flexoffer", "ann", offer, {"Content-Type": "text/plain"}),
        415,
        "unsupported-media-type",
        "header/Content-Type",
    )
    _problem(
        hub.request("POST", "/flexoffer", "ann", offer, {"Content-Encoding": "gzip"}),
        415,
        "unsupported-media-type",
        "header/Content-Encoding",
    )
    big = offer[:-1] + b" " * (1 << 20) + b"}"
    answer = hub.request("POST", "/flexoffer", "ann", big)
    assert (answer.status, answer.json["path"]) == (413, "header/Content-Length")
    head = f"POST /flexoffer HTTP/1.1\nHost: x\nAuthorization: Bearer {hub.tokens['ann']}\nConnection: close\n"
    chunked = _raw(hub, f"{head}Content-Type: application/json\nTransfer-Encoding: chunked\n\n0\n\n")
    assert chunked.startswith(b"HTTP/1.1 411 ")
    assert b'"path":"header/Content-Length"' in chunked
    assert hub.request("GET", "/flexoffer/transport").status == 404
    twin = hub.request("POST", "/flexoffer", "ann", offer, {"Content-Type": "application/json; charset=utf-8"})
    assert twin.status == 201


def test_headers_that_are_no_utf_8_are_refused(hub: Live) -> None:
    offer = encode(make_offer("latin", "ann"))
    sent = {"Content-Type": "application/json"}
    answer = hub.request("POST", "/flexoffer", "ann", offer, {"Authorization": "Bearer \xe9"})
    _problem(answer, 401, "unauthorized", "header/Authorization")
    answer = hub.request("POST", "/flexoffer", "ann", offer, sent | {"Idempotency-Key": "caf\xe9"})
    _problem(answer, 422, "invalid", "header/Idempotency-Key")
    assert hub.request("GET", "/flexoffer/latin").status == 404
    assert hub.request("POST", "/flexoffer", "ann", offer, sent | {"Idempotency-Key": "cafe"}).status == 201


def test_bytes_that_are_no_http_are_refused(hub: Live) -> None:
    for head in ("FLEX\n\n", f"GET /health HTTP/1.1\nHost: x\nX: {'a' * 20_000}\n\n"):
        assert _raw(hub, head)[8:13] == b" 400 "
    assert _raw(hub, "GET /health HTTP/1.1\nHost: x\nConnection: close\n\n").startswith(b"HTTP/1.1 200 ")


def test_unknown_paths_and_methods_are_problems_too(hub: Live) -> None:
    _problem(hub.request("GET", "/flexoffers"), 404, "not-found", "")
    answer = hub.request("PATCH", "/flexoffer")
    _problem(answer, 405, "method-not-allowed", "")
    assert answer.headers["allow"] == "GET, HEAD, POST"


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/flexoffer?limit=0", "query/limit"),
        ("/flexoffer?limit=1001", "query/limit"),
        ("/flexoffer?limit=ten", "query/limit"),
        ("/flexoffer?limit=1&limit=2", "query"),
        ("/flexoffer?page=2", "query"),
        ("/flexoffer?cursor=nonsense", "query/cursor"),
        ("/flexoffer?cursor=_%00", "query/cursor"),
        ("/flexoffer/yesterday/2026-03-03T00:00:00Z", "path/from"),
        ("/flexoffer/0001-01-01T00:00:00+14:00/2026-03-03T00:00:00Z", "path/from"),
        ("/kpi?to=9999-12-31T23:59:59-14:00", "query/to"),
        ("/kpi?from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z", "query/to"),
        ("/flexoffer/stream?after=1000000000000000000", "query/after"),
        ("/bill?to=0001-01-01T00:00:00Z", "query/to"),
        ("/flexoffer/2026-03-02T00:00:00/2026-03-03T00:00:00Z", "path/from"),
        ("/flexoffer/2026-03-03T00:00:00Z/2026-03-03T00:00:00Z", "path/to"),
        ("/timeseries/schedule/2026-03-03T00:00:00Z/2036-03-03T00:00:00Z", "path/to"),
        ("/timeseries/weather/2026-03-02T00:00:00Z/2026-03-03T00:00:00Z", "path/kind"),
        ("/kpi?from=2026-03-02T00:00:00Z&to=2026-05-03T00:00:00Z", "query/to"),
    ],
)
def test_wrong_arguments_are_named(hub: Live, path: str, where: str) -> None:
    _problem(hub.request("GET", path), 422, "invalid", where)


def test_right_arguments_are_fine(hub: Live) -> None:
    for path in (
        "/flexoffer?limit=1000",
        "/flexoffer/2026-03-02T00:00:00Z/2026-03-03T00:00:00+01:00",
        "/timeseries/schedule/2026-03-02T00:00:00Z/2026-03-03T00:00:00Z",
        "/kpi?from=2026-03-02T00:00:00Z&to=2026-03-03T00:00:00Z",
    ):
        assert hub.request("GET", path).status == 200, path


def test_a_request_is_refused_when_foreign_stale_or_late(hub: Live) -> None:
    assert hub.request("POST", "/flexrequest", "dso", make_request("r-1", revision=1)).status == 201
    for revision in (0, 1):
        again = msgspec.structs.replace(make_request("r-1", revision=revision), congestion_point="elsewhere")
        _problem(hub.request("POST", "/flexrequest", "dso", again), 409, "duplicate", "FlexRequest/revision")
    _problem(
        hub.request("POST", "/flexrequest", "util", make_request("r-1", "util", revision=9)),
        409,
        "duplicate",
        "FlexRequest/id",
    )
    _problem(hub.request("POST", "/flexrequest", "util", make_request("r-2")), 403, "forbidden", "FlexRequest/issuer")
    late = make_request("r-2", now=NOON - timedelta(hours=2))
    _problem(hub.request("POST", "/flexrequest", "dso", late), 422, "expired", "FlexRequest/expires")
    assert hub.request("POST", "/flexrequest", "dso", make_request("r-1", revision=1)).status == 200
    higher = hub.request("POST", "/flexrequest", "dso", make_request("r-1", revision=2))
    assert (higher.status, higher.json["revision"]) == (200, 2)
    assert [r["revision"] for r in hub.get("/flexrequest", AGGREGATOR)["items"]] == [2]
    assert hub.get("/flexrequest", "util")["items"] == []


def test_contracts_are_made_by_their_aggregator(hub: Live) -> None:
    mine = make_contract("eve")
    _problem(hub.request("PUT", "/contract/c-eve", "other-agr", mine), 403, "forbidden", "Contract/aggregator")
    _problem(hub.request("PUT", "/contract/c-x", AGGREGATOR, mine), 422, "invalid", "Contract/id")
    stolen = msgspec.structs.replace(make_contract("bob"), id="c-ann")
    _problem(hub.request("PUT", "/contract/c-ann", AGGREGATOR, stolen), 409, "duplicate", "Contract/id")
    assert [c["prosumer"] for c in hub.get("/contract", "ann")["items"]] == ["ann"]
    assert {c["id"] for c in hub.get("/contract", AGGREGATOR)["items"]} == {"c-ann", "c-bob"}


def test_a_prosumer_is_not_taken_over_while_its_contract_is_in_force(fresh: Live) -> None:
    other = msgspec.structs.replace(make_contract("ann", aggregator="other-agr"), id="c-2")
    newer = msgspec.structs.replace(make_contract("ann"), id="c-3")
    _problem(fresh.request("PUT", "/contract/c-2", "other-agr", other), 403, "forbidden", "Contract/aggregator")
    assert fresh.request("PUT", "/contract/c-3", AGGREGATOR, newer).status == 201, "its own may be replaced"
    until = NOON + timedelta(hours=1)
    by_admin = msgspec.structs.replace(other, valid_until=until)
    assert fresh.request("PUT", "/contract/c-2", "root", by_admin).status == 201, "an admin may"
    _problem(fresh.request("PUT", "/contract/c-3", AGGREGATOR, newer), 403, "forbidden", "Contract/prosumer")
    fresh.clock.now = until
    assert fresh.request("PUT", "/contract/c-3", AGGREGATOR, newer).status == 200, "no longer in force"


def test_an_offer_has_no_id_that_is_a_word_of_the_routes(hub: Live) -> None:
    words = {r.path.split("/")[2] for r in ROUTES if r.path.startswith("/flexoffer/")}
    assert {w for w in words if "{" not in w} == RESERVED
    for word in RESERVED:
        _problem(hub.request("POST", "/flexoffer", "ann", make_offer(word, "ann")), 422, "invalid", "FlexOffer/id")
        assert hub.request("POST", "/flexoffer", "ann", make_offer(f"{word}-1", "ann")).status == 201


def test_a_byte_order_mark_is_named(hub: Live) -> None:
    body = encode(make_offer("marked", "ann"))
    for type_ in ("application/json", goflex.MEDIA_TYPE):
        answer = hub.request("POST", "/flexoffer", "ann", BOM_UTF8 + body, {"Content-Type": type_})
        _problem(answer, 400, "malformed", "FlexOffer" if type_ == "application/json" else answer.json["path"])
        assert "byte order mark" in answer.json["detail"]
    assert hub.request("POST", "/flexoffer", "ann", body).status == 201


def test_head_answers_as_get_without_the_body(hub: Live) -> None:
    hub.request("POST", "/flexoffer", "ann", make_offer("headed", "ann"))
    for path in ("/flexoffer/headed", "/health", "/openapi.json", "/docs", "/flexoffer/nowhere"):
        got, told = hub.request("GET", path), hub.request("HEAD", path)
        assert (told.status, told.body) == (got.status, b""), path
        for name in ("content-type", "content-length"):
            assert told.headers[name] == got.headers[name], path
    assert hub.request("HEAD", "/flexoffer/headed", None).status == 401
    never_ends = hub.request("HEAD", STREAM)
    assert (never_ends.status, never_ends.headers["allow"]) == (405, "GET")


def test_every_error_code_has_a_status_and_a_title() -> None:
    assert set(STATUS) == set(BY_CODE) - {"http"}
    assert set(STATUS) <= set(TITLES)
