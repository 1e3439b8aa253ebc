"""Table 6 for flex-offers: what an issuer may do, and what changes nothing."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from flexhub.core.flexoffer import FlexOffer, State
from tests.app.api.live import Live
from tests.app.market import AGGREGATOR, NOON, make_offer, without

HOURS = timedelta(hours=1)


def post(hub: Live, offer: msgspec.Struct | bytes, who: str = "ann", **headers: str) -> FlexOffer:
    answer = hub.request("POST", "/flexoffer", who, offer, {k.replace("_", "-"): v for k, v in headers.items()})
    assert answer.status == 201, answer
    return msgspec.json.decode(answer.body, type=FlexOffer)


def test_the_hub_listens_on_loopback_only(hub: Live) -> None:
    assert hub.running.host == "127.0.0.1"
    assert hub.running.port > 0


def test_an_offer_is_accepted_at_once_and_returned_with_its_place(hub: Live) -> None:
    answer = hub.request("POST", "/flexoffer", "ann", make_offer("post-1", "ann"))
    assert answer.status == 201
    assert answer.headers["location"] == "/flexoffer/post-1"
    assert answer.headers["content-type"] == "application/json"
    offer = msgspec.json.decode(answer.body, type=FlexOffer)
    assert offer.state is State.ACCEPTED
    assert (offer.contract, offer.recipient) == ("c-ann", AGGREGATOR)
    assert hub.get("/flexoffer/post-1") == answer.json


def test_an_offer_that_the_manager_does_not_want_is_returned_rejected_with_the_reason(hub: Live) -> None:
    offer = post(hub, make_offer("post-small", "ann", hi_kwh=0.1))
    assert offer.state is State.REJECTED
    assert offer.state_reason == "0.4 kWh is too little"
    assert all(o["id"] != "post-small" for o in hub.get("/flexoffer?limit=1000")["items"])


@pytest.mark.parametrize("body", [{}, {"id": None, "issuer": None}], ids=["absent", "null"])
def test_an_offer_without_an_id_gets_one_and_the_caller_is_its_issuer(hub: Live, body: dict[str, None]) -> None:
    draft = without(make_offer("x", "ann"), "id", "issuer", **body)
    one, other = post(hub, draft), post(hub, draft)
    assert one.id != other.id
    assert one.issuer == "ann"
    assert hub.get(f"/flexoffer/{one.id}")["state"] == "accepted"


def test_the_same_key_again_gets_the_same_answer(hub: Live) -> None:
    draft = without(make_offer("x", "ann"), "id")
    before = hub.journal()
    first = post(hub, draft, Idempotency_Key="k-1")
    assert post(hub, draft, Idempotency_Key="k-1") == first
    assert hub.journal() == before + 1


def test_the_same_offer_again_changes_nothing(hub: Live) -> None:
    offer = make_offer("again", "ann")
    accepted = post(hub, offer)
    answer = hub.request("POST", "/flexoffer", "ann", offer)
    assert answer.status == 200
    assert msgspec.json.decode(answer.body, type=FlexOffer) == accepted


def test_an_issuer_replaces_its_offer_until_it_is_assigned(hub: Live) -> None:
    post(hub, make_offer("put-1", "ann"))
    more = make_offer("put-1", "ann", hi_kwh=3.0)
    answer = hub.request("PUT", "/flexoffer/put-1", "ann", more)
    assert answer.status == 200
    assert answer.json["profiles"][0]["slices"][0]["energy_kwh"] == [{"lo_kwh": 0.5, "hi_kwh": 3.0}]
    assert answer.json["state"] == "accepted"
    # What was read may be written back.
    assert hub.request("PUT", "/flexoffer/put-1", "ann", answer.body).json == answer.json


def test_an_issuer_takes_its_offer_back(hub: Live) -> None:
    post(hub, make_offer("del-1", "ann"))
    assert hub.request("DELETE", "/flexoffer/del-1").json["state"] == "canceled"
    assert hub.get("/flexoffer/del-1")["state"] == "canceled"
    again = hub.request("DELETE", "/flexoffer/del-1")
    assert (again.status, again.json["code"]) == (409, "illegal-transition")


def test_assigned_offers_cannot_be_changed_or_taken_back(hub: Live) -> None:
    offer = make_offer("fixed", "ann")
    post(hub, offer)
    hub.plan()
    assigned = hub.get("/flexoffer/fixed")
    assert assigned["state"] == "assigned"
    assert assigned["schedule"]["slices"] == [{"energy_kwh": 0.5}] * 4
    for method, body in (("PUT", offer), ("DELETE", None)):
        answer = hub.request(method, "/flexoffer/fixed", "ann", body)
        assert (answer.status, answer.json["code"], answer.json["path"]) == (
            409,
            "illegal-transition",
            "FlexOffer/state",
        )
    assert hub.get("/flexoffer/fixed") == assigned


def test_a_schedule_is_confirmed_or_declined(hub: Live) -> None:
    for name in ("yes", "no"):
        post(hub, make_offer(name, "ann"))
    early = hub.request("POST", "/flexoffer/yes/confirmation")
    assert early.status == 409
    hub.plan()
    assert hub.request("POST", "/flexoffer/yes/confirmation").json["state"] == "confirmed"
    declined = hub.request("POST", "/flexoffer/no/refusal", "ann", b'{"reason": "away"}').json
    assert (declined["state"], declined["state_reason"]) == ("canceled", "away")


def test_others_offers_are_not_there(hub: Live) -> None:
    offer = post(hub, make_offer("private", "ann"))
    for who, method, body in (
        ("bob", "GET", None),
        ("bob", "DELETE", None),
        ("bob", "PUT", msgspec.structs.replace(make_offer("private", "bob"))),
        ("other-agr", "GET", None),
    ):
        answer = hub.request(method, "/flexoffer/private", who, body)
        assert (answer.status, answer.json["path"]) == (404, "FlexOffer/id"), (who, method)
        assert answer.json["detail"] == "no such flex-offer"
    for who in ("ann", AGGREGATOR, "root"):
        assert hub.get("/flexoffer/private", who)["id"] == offer.id


def test_lists_are_paged(hub: Live) -> None:
    ids = [f"page-{i}" for i in range(5)]
    for i in ids:
        post(hub, make_offer(i, "bob"), "bob")
    seen: list[str] = []
    path = "/flexoffer?limit=2"
    pages = 0
    while path:
        answer = hub.request("GET", path, "bob")
        assert len(answer.json["items"]) <= 2
        seen += (o["id"] for o in answer.json["items"])
        link = answer.headers.get("link", "")
        assert bool(link) == bool(answer.json.get("next"))
        path = link.partition(">")[0].lstrip("<")
        pages += 1
    assert [i for i in seen if i.startswith("page-")] == ids
    assert len(seen) == len(set(seen))
    assert pages >= 3


def test_the_list_has_what_is_not_settled_and_the_history_everything(fresh: Live) -> None:
    post(fresh, make_offer("live", "ann"))
    post(fresh, make_offer("dead", "ann"))
    fresh.request("DELETE", "/flexoffer/dead")
    assert [o["id"] for o in fresh.get("/flexoffer")["items"]] == ["live"]
    start, end = "2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z"
    assert {o["id"] for o in fresh.get(f"/flexoffer/{start}/{end}")["items"]} == {"live", "dead"}
    assert fresh.get(f"/flexoffer/{end}/2026-03-04T00:00:00Z")["items"] == []
    assert {o["id"] for o in fresh.get("/flexoffer", AGGREGATOR)["items"]} == {"live"}


def test_an_offer_lives_on_by_its_deadlines(fresh: Live) -> None:
    post(fresh, make_offer("run", "ann"))
    fresh.plan()
    post(fresh, make_offer("idle", "ann"))
    states = {}
    for hours in (1, 2):
        fresh.clock.now = NOON + hours * HOURS
        fresh.quiet()
        states[hours] = {name: fresh.get(f"/flexoffer/{name}")["state"] for name in ("run", "idle")}
    assert states == {1: {"run": "executing", "idle": "expired"}, 2: {"run": "executed", "idle": "expired"}}


def test_a_better_plan_replaces_a_schedule_and_the_same_one_does_not(fresh: Live) -> None:
    post(fresh, make_offer("replan", "ann"))
    fresh.plan()
    first = fresh.get("/flexoffer/replan")["schedule"]
    fresh.plan()
    assert fresh.get("/flexoffer/replan")["schedule"] == first
