"""Hubs that speak UFTP with each other, and with peers that do it wrong."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
from aiohttp import web

from flexhub.app.hub.loop import Hub
from flexhub.app.uftp.handlers import outgoing
from flexhub.app.wiring import running
from flexhub.core.errors import InvalidError
from flexhub.core.flexoffer import FlexOffer
from flexhub.core.trading import FlexRequest, Order
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.envelope import open_envelope, unsigned
from tests.app.again import replayed
from tests.app.uftp import stage as s
from tests.app.uftp.stage import CODEC, answered, domain, kept, offer, order, post, request, said, sealed, send, until
from tests.ports import free_port
from tests.postgres import Cluster

R = TypeVar("R", bound=wire.Payload)


def play(story: Awaitable[None]) -> None:
    async def main() -> None:
        await story

    asyncio.run(main())


def same_again(folder: Path, name: str, side: str = "", url: str = "") -> None:
    """A replay of the hub's journal comes to what is stored."""
    replayed(s.config(folder, name, 1, side=side), url)


def result(answer: wire.Payload) -> tuple[str, str]:
    """What an answer says: its Result, and the first words of why."""
    assert isinstance(answer, wire.Response)
    return str(answer.result), (answer.rejection_reason or "").partition(";")[0]


@pytest.fixture(params=["sqlite", "postgres"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Where each hub keeps what is its own."""
    if request.param == "sqlite":
        return {name: f"sqlite:///{tmp_path}/{name}.db" for name in s.ROLES}
    server: Cluster = request.getfixturevalue("postgres")
    return {name: server.database() for name in s.ROLES}


def test_request_offer_and_order_each_with_its_response_and_a_replay_comes_to_the_same(
    stores: dict[str, str], tmp_path: Path
) -> None:
    async def story() -> None:
        async with s.stage(tmp_path, "agr", "dso", stores=stores) as there:
            agr, dso = there.hub("agr"), there.hub("dso")
            asked = request()
            assert (await send(dso, asked)).status == 202
            assert result(await answered(dso, "dso", "agr", asked)) == ("Accepted", "")
            offered = offer(asked)
            await send(agr, offered)
            assert result(await answered(agr, "agr", "dso", offered)) == ("Accepted", "")
            ordered = order(offered)
            await send(dso, ordered)
            assert result(await answered(dso, "dso", "agr", ordered)) == ("Accepted", "")
            filed = await agr.get(FlexRequest, asked.message_id)
            assert filed is not None
            assert (filed.issuer, filed.recipient) == (domain("dso"), "agr")
            assert await dso.get(FlexOffer, offered.message_id) is not None
            assert await agr.get(Order, ordered.message_id) is not None
            for hub, own, other in ((agr, "agr", "dso"), (dso, "dso", "agr")):
                found = kept(hub, own, other, offered)
                assert found is not None
                assert found.stage == "ordered"
            with pytest.raises(InvalidError, match="ordered"):
                await send(dso, order(offered, "again"))
            topics = [row.topic for row in dso.store.notices("dso", 0, 100)]
            assert sorted(topics) == ["uftp.FlexOffer", "uftp.settled", "uftp.settled"]
            await until(lambda: all(row.state == "sent" for h in (agr, dso) for row in h.store.sends(0, 100)))

    play(story())
    for name in ("agr", "dso"):
        same_again(tmp_path, name, url=stores[name])


@asynccontextmanager
async def mailbox(port: int) -> AsyncIterator[list[tuple[wire.SignedMessage, wire.Payload, bytes]]]:
    """Somebody who takes everything and keeps it: envelope, message, and the bytes as they came."""
    got: list[tuple[wire.SignedMessage, wire.Payload, bytes]] = []

    async def take(incoming: web.Request) -> web.Response:
        body = await incoming.read()
        envelope = open_envelope(body, 1 << 20)
        got.append((envelope, CODEC.decode(unsigned(envelope)), body))
        return web.Response()

    async with s.serving(web.post("/shapeshifter/api/v3/message", take), port=port):
        yield got


Told = Callable[[wire.Payload, str, wire.Role | None], Awaitable[wire.Payload]]


@asynccontextmanager
async def alone(folder: Path) -> AsyncIterator[tuple[Hub, Told, list[bytes]]]:
    """One AGR's hub, and what says a message as whoever signs it and waits for the answer that comes to them."""
    async with s.stage(folder, "agr", others=("dso", "other")) as there, asyncio.timeout(30):
        bodies: list[bytes] = []
        async with mailbox(there.ports["dso"]) as dso, mailbox(there.ports["other"]) as other:

            async def tell(message: wire.Payload, frm: str, role: wire.Role | None = None) -> wire.Payload:
                box = other if frm == "other" else dso
                before = len(box)
                assert await post(there.ports["agr"], sealed(message, frm, role)) == 200
                await until(lambda: len(box) > before)
                bodies.append(box[-1][2])
                return box[-1][1]

            yield there.hub("agr"), tell, bodies


def test_said_again_it_is_answered_again_with_the_same_bytes_and_worked_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with alone(tmp_path) as (hub, tell, bodies):
            asked = request()
            first = await tell(asked, "dso", None)
            await until(lambda: all(row.state == "sent" for row in hub.store.sends(0, 10)))
            second = await tell(asked, "dso", None)
            assert first == second
            assert bodies[0] == bodies[1]
            assert len(hub.store.notices("agr", 0, 100)) == 2, "the message, and the request that it is"
            twisted = msgspec.structs.replace(asked, revision=7)
            third = await tell(twisted, "dso", None)
            assert result(third) == ("Rejected", "Duplicate Identifier")
            assert third.message_id != first.message_id
            # The same id of somebody else is another message.
            theirs = request(frm="other", message_id=asked.message_id)
            refused = await tell(theirs, "other", wire.Role.DSO)
            assert result(refused)[0] == "Rejected"
            filed = await hub.get(FlexRequest, asked.message_id)
            assert filed is not None
            assert filed.issuer == domain("dso")

    play(story())
    same_again(tmp_path, "agr")


def test_what_is_wrong_is_rejected_to_who_signed_it_and_its_twin_accepted(tmp_path: Path) -> None:
    cases: list[tuple[str, wire.Payload, str, wire.Role | None]] = [
        ("Invalid Sender", request("a", sender_domain=domain("other")), "dso", None),
        ("Unknown Recipient", request("b", recipient_domain="else.example.com"), "dso", None),
        ("Unknown reference FlexOfferMessageID", order(offer(request("never"))), "dso", None),
        ("Role rejected", request("e"), "dso", wire.Role.AGR),
        ("Subordinate sequence number", request("f", revision=1), "dso", None),
        ("ISP duration rejected", request("g", isp_duration="PT5M", revision=9), "dso", None),
        ("ExpirationDateTime out of bounds", request("h", expiration_date_time=s.soon(-1), revision=9), "dso", None),
    ]

    async def story() -> None:
        async with alone(tmp_path) as (hub, tell, _):
            assert result(await tell(request(), "dso", None)) == ("Accepted", "")
            for words, message, frm, role in cases:
                answer = await tell(message, frm, role)
                assert result(answer) == ("Rejected", words), words
                assert answer.sender_domain == domain("agr")
                assert answer.recipient_domain == domain(frm)
            assert result(await tell(request("z", revision=10), "dso", None)) == ("Accepted", "")
            earlier = await hub.get(FlexRequest, request().message_id)
            later = await hub.get(FlexRequest, request("z").message_id)
            assert earlier is not None
            assert later is not None
            assert earlier.expires < later.expires, "a later revision ends the earlier one"

    play(story())


def test_an_answer_that_nobody_waits_for_changes_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with s.stage(tmp_path, "agr", others=("dso",)) as there:
            answer = wire.FlexOfferResponse(
                **said("dso", "agr", "x"),
                result=wire.Result.ACCEPTED,
                flex_offer_message_id=offer(request()).message_id,
            )
            assert await post(there.ports["agr"], sealed(answer, "dso")) == 200
            assert there.hub("agr").store.notices("agr", 0, 10) == []
            assert there.hub("agr").store.sends(0, 10) == []

    play(story())


def test_a_message_that_breaks_a_rule_is_not_sent(tmp_path: Path) -> None:
    async def story() -> None:
        async with s.stage(tmp_path, "dso", others=("agr",)) as there:
            with pytest.raises(InvalidError, match="past"):
                await send(there.hub("dso"), request(expiration_date_time=s.soon(-1)))
            assert there.hub("dso").store.sends(0, 10) == []
            assert (await send(there.hub("dso"), request())).status == 202
            assert len(there.hub("dso").store.sends(0, 10)) == 1

    play(story())


def test_a_cro_registers_and_tells(tmp_path: Path) -> None:
    connections = tuple(f"ean.87168590001263650{n}" for n in range(3))

    async def story() -> None:
        async with s.stage(tmp_path, "cro", "agr", "dso") as there, asyncio.timeout(60):
            agr, dso = there.hub("agr"), there.hub("dso")
            dated = tuple(wire.DatedConnection(entity_address=c, start_period=s.day(0)) for c in connections)
            empty = wire.DSOPortfolioQuery(
                **said("dso", "cro", "q0"), time_zone="Europe/Amsterdam", period=s.day(), entity_address=s.POINT
            )
            await send(dso, empty)
            assert result(await answered(dso, "dso", "cro", empty)) == ("Rejected", "No connections available")
            mine = wire.AGRPortfolioUpdate(
                **said("agr", "cro", "u1"), time_zone="Europe/Amsterdam", connections=dated[:2]
            )
            await send(agr, mine)
            assert result(await answered(agr, "agr", "cro", mine)) == ("Accepted", "")

            def update(seed: str, point: str) -> wire.DSOPortfolioUpdate:
                listed = wire.UpdatedCongestionPoint(
                    entity_address=point,
                    start_period=s.day(0),
                    mutex_offers_supported=True,
                    day_ahead_redispatch_by=wire.RedispatchBy.DSO,
                    connections=dated,
                )
                told = said("dso", "cro", seed)
                return wire.DSOPortfolioUpdate(**told, time_zone="Europe/Amsterdam", congestion_points=(listed,))

            first = update("u2", s.POINT)
            await send(dso, first)
            assert result(await answered(dso, "dso", "cro", first)) == ("Accepted", "")
            conflict = update("u3", "ean.871685900012636599")
            await send(dso, conflict)
            told = result(await answered(dso, "dso", "cro", conflict))
            assert told == ("Rejected", f"Connection conflict: [{connections[0]}] at [{s.POINT}]")
            full = msgspec.structs.replace(empty, **said("dso", "cro", "q1"))
            await send(dso, full)
            answer = await answered(dso, "dso", "cro", full)
            assert isinstance(answer, wire.DSOPortfolioQueryResponse)
            found = {c.entity_address: c.agr_domain for c in answer.congestion_points[0].connections}
            assert found == dict.fromkeys(connections[:2], domain("agr")) | {connections[2]: None}
            query = wire.AGRPortfolioQuery(**said("agr", "cro", "q2"), time_zone="Europe/Amsterdam", period=s.day())
            await send(agr, query)
            view = await answered(agr, "agr", "cro", query)
            assert isinstance(view, wire.AGRPortfolioQueryResponse)
            (portfolio,) = view.dso_views[0].dso_portfolios
            assert portfolio.dso_domain == domain("dso")
            assert [c.entity_address for c in portfolio.congestion_points[0].connections] == list(connections[:2])

    play(story())
    same_again(tmp_path, "cro")


def test_a_test_message_is_answered(tmp_path: Path) -> None:
    async def story() -> None:
        async with s.stage(tmp_path, "agr", "dso") as there:
            asked = wire.TestMessage(**said("dso", "agr", "t"))
            message = outgoing(asked, peer="test", id="t", role=wire.Role.AGR)
            assert (await there.hub("dso").handle(message)).status == 202
            assert isinstance(await answered(there.hub("dso"), "dso", "agr", asked), wire.TestMessageResponse)

    play(story())


def test_the_journal_keeps_what_was_signed(tmp_path: Path) -> None:
    async def story() -> None:
        async with s.stage(tmp_path, "agr", others=("dso",)) as there:
            asked = request()
            body = sealed(asked, "dso")
            assert await post(there.ports["agr"], body) == 200
            (row,) = (row for row in there.hub("agr").store.journal(0, 10) if row.kind == "uftp.receive")
            assert msgspec.json.decode(row.body)["envelope"].encode() == body
            assert base64.b64decode(open_envelope(body, 1 << 20).body)[64:] == CODEC.encode(asked)

    play(story())


@pytest.mark.parametrize("there", [False, True], ids=["undelivered", "unanswered"])
def test_who_is_not_reached_and_who_does_not_answer_are_given_up(there: bool, tmp_path: Path) -> None:
    ports = {name: free_port() for name in ("agr", "dso")}
    s.publish(tmp_path, ports)
    side = 'reply_within = "PT1S"' if there else 'give_up_after = "PT1S"'
    wanted = "unanswered" if there else "undelivered"

    async def story() -> None:
        async with AsyncExitStack() as stack:
            got = await stack.enter_async_context(mailbox(ports["agr"])) if there else []
            hub = (await stack.enter_async_context(running(s.config(tmp_path, "dso", ports["dso"], "", side)))).hub
            asked = request()
            await send(hub, asked)
            (row,) = await until(lambda: hub.store.notices("dso", 0, 10))
            told = msgspec.json.decode(row.body)
            assert (row.topic, row.subject, told["result"]) == ("uftp.settled", asked.message_id, wanted)
            assert len(got) == int(there)
            found = kept(hub, "dso", "agr", asked)
            assert found is not None
            assert found.delivery == wanted

    play(story())
    same_again(tmp_path, "dso", side)


def test_who_is_barred_is_told_so_and_others_are_heard(tmp_path: Path) -> None:
    ports = {name: free_port() for name in ("agr", "dso")}
    s.publish(tmp_path, ports)

    async def said_with(side: str, seed: str, revision: int) -> tuple[str, str]:
        told = s.config(tmp_path, "agr", ports["agr"], "", side)
        async with running(told), mailbox(ports["dso"]) as got:
            assert await post(ports["agr"], sealed(request(seed, revision=revision), "dso")) == 200
            await until(lambda: got)
            return result(got[-1][1])

    async def story() -> None:
        assert await said_with('barred = ["dso.example.com"]', "a", 1) == ("Rejected", "Barred Sender")
        assert await said_with("", "b", 1) == ("Accepted", "")

    play(story())
