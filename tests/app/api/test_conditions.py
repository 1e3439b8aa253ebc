"""Entity tags: nothing is read twice in vain, and of two who change the same thing one succeeds."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from flexhub.app.api import goflex
from flexhub.app.hub import tags
from flexhub.app.hub.contract import Message
from flexhub.app.hub.tags import Only
from flexhub.core.documents import encode
from flexhub.core.errors import MalformedError, PreconditionError
from flexhub.core.registry import Role
from tests.app.api.live import Live, config, live
from tests.app.market import AGGREGATOR, make_contract, make_offer, without

OTHER = '"000000000000000000000000"'


def offered(hub: Live, name: str) -> str:
    """The tag of a new offer of ann's."""
    assert hub.request("POST", "/flexoffer", "ann", make_offer(name, "ann")).status == 201
    return hub.request("GET", f"/flexoffer/{name}").headers["etag"]


def put(hub: Live, name: str, hi_kwh: float, **headers: str) -> int:
    sent = {key.replace("_", "-"): value for key, value in headers.items()}
    return hub.request("PUT", f"/flexoffer/{name}", "ann", make_offer(name, "ann", hi_kwh=hi_kwh), sent).status


def test_what_is_known_is_not_sent_again(hub: Live) -> None:
    tag = offered(hub, "tag-1")
    for method, known in (("GET", tag), ("HEAD", tag), ("GET", f"W/{tag}"), ("GET", f'"x,y", {tag}'), ("GET", "*")):
        answer = hub.request(method, "/flexoffer/tag-1", "ann", headers={"If-None-Match": known})
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", tag), known
    assert hub.request("GET", "/flexoffer/tag-1", headers={"If-None-Match": OTHER}).status == 200
    assert put(hub, "tag-1", 3.0) == 200
    changed = hub.request("GET", "/flexoffer/tag-1", headers={"If-None-Match": tag})
    assert (changed.status, changed.json["id"]) == (200, "tag-1")
    assert changed.headers["etag"] != tag


def test_each_media_type_has_a_tag_of_its_own_and_both_name_the_offer(hub: Live) -> None:
    tag = offered(hub, "tag-2")
    wanted = {"Accept": goflex.MEDIA_TYPE}
    first = hub.request("GET", "/flexoffer/tag-2", headers=wanted | {"If-None-Match": tag})
    assert (first.status, first.headers["vary"]) == (200, "Accept")
    theirs = first.headers["etag"]
    assert theirs != tag
    assert hub.request("GET", "/flexoffer/tag-2", headers=wanted | {"If-None-Match": theirs}).status == 304
    assert hub.request("GET", "/flexoffer/tag-2", headers={"If-None-Match": theirs}).status == 200
    assert put(hub, "tag-2", 3.0, If_Match=theirs) == 200
    assert put(hub, "tag-2", 4.0, If_Match=theirs) == 412


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ("{tag}", 200),
        ('"x", {tag},', 200),
        ("*", 200),
        ("W/{tag}", 412),  # weak tags never match strongly
        (OTHER, 412),
        ('""', 412),
        ("{bare}", 400),
        ("{tag} {tag}", 400),
        ("*, {tag}", 400),
        ("", 400),
    ],
)
def test_a_change_is_made_in_the_state_that_it_is_meant_for(hub: Live, condition: str, status: int) -> None:
    name = f"match-{abs(hash(condition))}"
    tag = offered(hub, name)
    before, journal = hub.get(f"/flexoffer/{name}"), hub.journal()
    said = condition.format(tag=tag, bare=tag.strip('"'))
    answer = hub.request("DELETE", f"/flexoffer/{name}", "ann", headers={"If-Match": said})
    assert answer.status == status
    if status != 200:
        assert answer.json["code"] == {400: "malformed", 412: "precondition-failed"}[status]
        assert (hub.get(f"/flexoffer/{name}"), hub.journal()) == (before, journal)


def test_of_changes_that_race_one_succeeds(hub: Live) -> None:
    tag = offered(hub, "race")
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda n: put(hub, "race", 3.0 + n, If_Match=tag), range(8)))
    assert sorted(statuses) == [200] + [412] * 7


def test_within_one_batch_the_second_sees_what_the_first_wrote(hub: Live) -> None:
    tag = offered(hub, "batch").strip('"')

    def message(n: int) -> Message:
        body = encode(make_offer("batch", "ann", hi_kwh=2.5 + n))
        return Message(
            peer="ann", id=f"batch-{n}", kind="flexoffer.put", conversation="batch", body=body,
            role=Role.PROSUMER, only_if=Only((tag,)),
        )  # fmt: skip

    async def both() -> list[object]:
        handled = (hub.running.hub.handle(message(n)) for n in range(2))
        return list(await asyncio.gather(*handled, return_exceptions=True))

    first, second = hub.call(both())
    assert not isinstance(first, BaseException)
    assert isinstance(second, PreconditionError)


def test_a_condition_tells_nothing_of_what_is_anothers(hub: Live) -> None:
    tag = offered(hub, "anns")
    for name in ("anns", "nobodys"):
        for condition in (tag, OTHER, "*"):
            answer = hub.request("DELETE", f"/flexoffer/{name}", "bob", headers={"If-Match": condition})
            assert answer.status == 404


def test_a_contract_or_a_party_is_made_or_replaced_only(hub: Live) -> None:
    contract = make_contract("eve")
    for condition, status in (("If-Match", 412), ("If-None-Match", 201), ("If-None-Match", 412), ("If-Match", 200)):
        answer = hub.request("PUT", "/contract/c-eve", AGGREGATOR, contract, {condition: "*"})
        assert answer.status == status
    party = {"party": {"id": "zoe", "name": "Zoe", "roles": ["prosumer"]}}
    for condition, status in (("If-Match", 412), ("If-None-Match", 201), ("If-None-Match", 412), ("If-Match", 201)):
        answer = hub.request("PUT", "/party/zoe", "root", msgspec.json.encode(party), {condition: "*"})
        assert answer.status == status, answer


def test_a_repeat_gets_its_first_answer_whatever_has_changed(tmp_path: Path) -> None:
    key = {"Idempotency-Key": "k-1"}
    draft = without(make_offer("x", "ann"), "id")
    with live(config(tmp_path)) as hub:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: hub.request("POST", "/flexoffer", "ann", draft, key), range(8)))
        assert {(a.status, a.body) for a in answers} == {(201, answers[0].body)}
        tag = offered(hub, "y")
        changed = make_offer("y", "ann", hi_kwh=3.0)
        first = hub.request("PUT", "/flexoffer/y", "ann", changed, key | {"If-Match": tag})
        assert first.status == 200
        assert put(hub, "y", 4.0, Idempotency_Key="k-1") == 422  # other content
    with live(config(tmp_path)) as hub:
        assert hub.request("POST", "/flexoffer", "ann", draft, key).body == answers[0].body
        assert hub.request("PUT", "/flexoffer/y", "ann", changed, key | {"If-Match": tag}).body == first.body


@pytest.mark.parametrize("text", ['"', '"a', "a", '"a" "b"', "W/", 'w/"a"', '"a b"', "* *", ","])
def test_what_is_no_list_of_tags_is_malformed(text: str) -> None:
    with pytest.raises(MalformedError):
        tags.listed([text], "If-Match", weak=True)


def test_tags_that_are_not_ours_are_tags_all_the_same() -> None:
    ours = tags.tag(b"{}")
    assert tags.listed([], "If-Match", weak=False) is None
    assert tags.listed(['"a,b" ,\t"\udcff"', f',W/"{ours}", "{ours}-goflex",'], "If-Match", weak=True) == (
        ours,
        f"{ours}-goflex",
    )
