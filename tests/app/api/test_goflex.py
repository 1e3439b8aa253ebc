"""The published GOFLEX samples, posted and read in their own words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flexhub.app.api.goflex import MEDIA_TYPE
from flexhub.core.timegrid import instant_of
from tests.app.api.live import Live, config, live
from tests.app.market import Clock, make_offer

SENT = {"Content-Type": MEDIA_TYPE, "Accept": MEDIA_TYPE}


def sample(shared: Path, **changed: Any) -> dict[str, Any]:
    """The Cyprus sample as ann would send it."""
    found: dict[str, Any] = json.loads((shared / "data/flexoffer/goflex_Cyprus.json").read_text())
    return found | {"offeredById": "ann"} | changed


@pytest.fixture
def then(shared: Path) -> datetime:
    """When the sample was made."""
    return instant_of(int(sample(shared)["creationInterval"]), 900) + timedelta(minutes=1)


@pytest.fixture
def fresh(tmp_path: Path, then: datetime) -> Iterator[Live]:
    """A hub that begins when the sample was made."""
    with live(config(tmp_path), clock=Clock(then)) as running:
        yield running


def test_a_sample_is_taken_and_returned_in_its_own_words(fresh: Live, shared: Path) -> None:
    big = [
        {**s, "energyConstraintList": [{"lower": 0, "upper": 2.5}]}
        for s in sample(shared)["flexOfferProfileConstraints"]
    ]
    body = sample(shared, flexOfferProfileConstraints=big, defaultSchedule=None)
    answer = fresh.request("POST", "/flexoffer", "ann", json.dumps(body).encode(), SENT)
    assert (answer.status, answer.headers["content-type"]) == (201, MEDIA_TYPE)
    assert answer.json["state"].lower() == "accepted"
    assert answer.json["id"] is not None
    assert answer.json["flexOfferProfileConstraints"] == big
    place = answer.headers["location"]
    core = fresh.get(place)
    assert core["profiles"][0]["slices"][0]["energy_kwh"] == [{"lo_kwh": 0.0, "hi_kwh": 2.5}]
    listed = fresh.request("GET", "/flexoffer", "ann", headers={"Accept": MEDIA_TYPE})
    assert [o["id"] for o in listed.json] == [answer.json["id"]]
    one = fresh.request("GET", place, "ann", headers={"Accept": MEDIA_TYPE})
    assert one.json == answer.json


def test_what_is_wrong_in_these_words_is_named_in_them(fresh: Live, shared: Path) -> None:
    upside_down = sample(shared)
    upside_down["flexOfferProfileConstraints"][0]["energyConstraintList"][0] = {"lower": 3, "upper": 2}
    answer = fresh.request("POST", "/flexoffer", "ann", json.dumps(upside_down).encode(), SENT)
    assert answer.status == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert "flexOfferProfileConstraints[0]" in answer.json["path"]
    foreign = json.dumps(sample(shared, offeredById="bob")).encode()
    answer = fresh.request("POST", "/flexoffer", "ann", foreign, SENT)
    assert (answer.status, answer.json["path"]) == (403, "FlexOffer/issuer")
    assert fresh.get("/flexoffer")["items"] == []


def test_a_core_offer_is_read_in_these_words(hub: Live) -> None:
    assert hub.request("POST", "/flexoffer", "ann", make_offer("words", "ann")).status == 201
    answer = hub.request("GET", "/flexoffer/words", "ann", headers={"Accept": MEDIA_TYPE})
    assert (answer.status, answer.json["offeredById"]) == (200, "ann")
    refused = hub.request("POST", "/flexrequest", "dso", b"{}", {"Content-Type": MEDIA_TYPE})
    assert refused.status == 415


@pytest.mark.parametrize("key", [{"Idempotency-Key": "once"}, {}])
def test_a_repeat_without_a_creation_time_is_a_repeat(fresh: Live, shared: Path, key: dict[str, str]) -> None:
    body = sample(shared, defaultSchedule=None) | {"id": "r-1"}
    del body["creationTime"], body["creationInterval"]
    first = fresh.request("POST", "/flexoffer", "ann", json.dumps(body).encode(), SENT | key)
    assert first.status == 201, first
    fresh.clock.now += timedelta(minutes=1)
    again = fresh.request("POST", "/flexoffer", "ann", json.dumps(body).encode(), SENT | key)
    assert (again.status, again.json) == (201 if key else 200, first.json)
    other = json.dumps(body | {"creationTime": fresh.clock.now.isoformat()}).encode()
    assert fresh.request("POST", "/flexoffer", "ann", other, SENT | key).status == (422 if key else 409)
