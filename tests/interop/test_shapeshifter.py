"""shapeshifter-uftp 2.4.0 in every role against our hubs, both directions, with every message that the two exchange."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest

from flexhub.app.uftp.handlers import outgoing
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.seen import answered as about
from flexhub.protocols.uftp.times import isps_in
from tests.app.uftp import stage as s
from tests.app.uftp.stage import POINT, kept, offer, order, request, said, send
from tests.app.uftp.test_conversations import result, same_again
from tests.interop.peer import Peer, needed, peer

ZONE = "Europe/Amsterdam"
CONNECTIONS = tuple(f"ean.87168590001263650{n}" for n in range(3))
ALL = ["agr", "cro", "dso"]


@pytest.fixture(autouse=True)
def _installed() -> None:
    needed()


class Table(NamedTuple):
    """Our hubs and theirs."""

    there: s.Stage
    peers: dict[str, Peer]

    async def answer(self, message: wire.Payload) -> wire.Payload:
        """Have a message sent by whoever it is of; it must come as it was meant. What is answered to it."""
        frm, to = (next(n for n in ALL if s.domain(n) == d) for d in (message.sender_domain, message.recipient_domain))
        kind = wire.RESPONSES[type(message)]
        if frm in self.peers:
            await self.peers[frm].send(message, to)
            answer = await self.peers[frm].received(kind, message.message_id)
            stored = kept(self.there.hub(to), to, frm, message)
            assert stored is not None
            assert stored.entry().message == message
            assert stored.entry().answer == answer
        else:
            assert (await send(self.there.hub(frm), message)).status == 202
            assert await self.peers[to].received(type(message), message.message_id) == message
            answer = await s.answered(self.there.hub(frm), frm, to, message)
        assert type(answer) is kind
        assert about(answer) == message.message_id
        return answer

    async def accepted(self, message: wire.Payload) -> wire.Payload:
        """The same, and it is accepted."""
        answer = await self.answer(message)
        assert result(answer) == ("Accepted", ""), answer
        return answer


@asynccontextmanager
async def table(folder: Path, ours: str, theirs: str) -> AsyncIterator[Table]:
    async with s.stage(folder, *ours.split(), others=tuple(theirs.split())) as there, AsyncExitStack() as stack:
        peers = {
            name: await stack.enter_async_context(peer(folder, name, there.ports[name])) for name in theirs.split()
        }
        yield Table(there, peers)


def play(folder: Path, ours: str, theirs: str, story: Callable[[Table], Awaitable[None]]) -> None:
    async def main() -> None:
        async with table(folder, ours, theirs) as found:
            await story(found)

    asyncio.run(main())
    for name in ours.split():
        same_again(folder, name)


def prognosis(**more: str) -> wire.DPrognosis:
    whole = isps_in(s.day(), ZONE, "PT15M")
    isps = (wire.PrognosisIsp(power_w=1500, start=1, duration=whole or 0),)
    return wire.DPrognosis(**said("agr", "dso", "p") | s.about(revision=1, isps=isps) | more)


def reservation(**more: str) -> wire.FlexReservationUpdate:
    isps = (wire.Isp(power_w=100, start=1, duration=8),)
    told = s.about(contract_id="c", reference="r & <s>", isps=isps)
    return wire.FlexReservationUpdate(**said("dso", "agr", "u") | told | more)


def metering(**more: str) -> wire.Metering:
    profile = wire.MeteringProfile(
        profile_type=wire.ProfileType.POWER,
        unit=wire.Unit.KW,
        isps=tuple(wire.MeteringIsp(start=n, value=Decimal(n) / 8) for n in range(1, 5)),
    )
    told = said("agr", "dso", "m") | more
    return wire.Metering(
        **told,
        revision=1,
        isp_duration="PT15M",
        time_zone=ZONE,
        period=s.day(-1),
        ean="E123456789012345678",
        profiles=(profile,),
    )


def settlement(**more: str) -> wire.FlexSettlement:
    """Of yesterday, on which nothing was ordered here."""
    isp = wire.SettlementIsp(
        start=1, baseline_power_w=500, ordered_flex_power_w=-100, actual_power_w=400, delivered_flex_power_w=-100
    )
    item = wire.FlexOrderSettlement(
        order_reference="earlier",
        period=s.day(-1),
        congestion_point=POINT,
        price=Decimal("12.5"),
        penalty=Decimal("2.25"),
        net_settlement=Decimal("10.25"),
        isps=(isp,),
    )
    reserved = wire.ContractSettlementIsp(start=1, reserved_power_w=100, available_power_w=50)
    days = (wire.ContractSettlementPeriod(period=s.day(-1), isps=(reserved,)),)
    return wire.FlexSettlement(
        **said("dso", "agr", "s") | more,
        result=wire.Result.ACCEPTED,
        period_start=s.day(-1),
        period_end=s.day(-1),
        currency="EUR",
        flex_order_settlements=(item,),
        contract_settlements=(wire.ContractSettlement(contract_id="c", periods=days),),
    )


def traded(version: str) -> Iterator[wire.Payload]:
    """Every message between AGR and DSO, each as often as it takes to see what may become of it."""
    more = {"version": version}
    yield prognosis(**more)
    yield reservation(**more)
    asked = request(**more)
    yield asked
    two = tuple(
        wire.OfferOption(
            option_reference=name,
            price=Decimal("12.3456"),
            min_activation_factor=factor,
            isps=tuple(wire.Isp(power_w=-200_000 - n, start=n) for n in range(41, 45)),
        )
        for name, factor in (("a", Decimal("0.25")), ("b", Decimal(1)))
    )
    offered = offer(asked, offer_options=two, d_prognosis_message_id=prognosis().message_id, **more)
    yield offered
    yield order(offered, **more)
    taken_back = offer(asked, "back", **more)
    yield taken_back
    told = said("agr", "dso", "b", conversation_id=asked.conversation_id) | more
    yield wire.FlexOfferRevocation(**told, flex_offer_message_id=taken_back.message_id)
    yield metering(**more)
    yield settlement(**more)


@pytest.mark.parametrize("version", wire.VERSIONS)
@pytest.mark.parametrize(("ours", "theirs"), [("agr", "dso"), ("dso", "agr")], ids=["we AGR", "we DSO"])
def test_every_message_between_aggregator_and_grid_operator(
    ours: str, theirs: str, version: str, tmp_path: Path
) -> None:
    async def story(there: Table) -> None:
        messages = list(traded(version))
        kinds = {kind for kind, (frm, to) in wire.SENDERS.items() if wire.Role.CRO not in frm | to}
        assert {type(message) for message in messages} == kinds
        *_, answer = [await there.accepted(message) for message in messages]
        assert isinstance(answer, wire.FlexSettlementResponse)
        (status,) = answer.flex_order_settlement_statuses
        assert (status.order_reference, status.disposition) == ("earlier", wire.Verdict.ACCEPTED)
        hub = there.there.hub(ours)
        became = [kept(hub, ours, theirs, m) for m in messages if isinstance(m, wire.FlexOffer)]
        assert [None if found is None else found.stage for found in became] == ["ordered", "revoked"]

    play(tmp_path, ours, theirs, story)


def dated(*connections: str) -> tuple[wire.DatedConnection, ...]:
    return tuple(wire.DatedConnection(entity_address=one, start_period=s.day(0)) for one in connections)


def registered() -> Iterator[wire.Payload]:
    """Every message to a CRO."""
    yield wire.AGRPortfolioUpdate(**said("agr", "cro", "a"), time_zone=ZONE, connections=dated(*CONNECTIONS[:2]))
    point = wire.UpdatedCongestionPoint(
        entity_address=POINT,
        start_period=s.day(0),
        mutex_offers_supported=True,
        day_ahead_redispatch_by=wire.RedispatchBy.DSO,
        connections=dated(*CONNECTIONS),
    )
    yield wire.DSOPortfolioUpdate(**said("dso", "cro", "d"), time_zone=ZONE, congestion_points=(point,))
    yield wire.DSOPortfolioQuery(**said("dso", "cro", "q"), time_zone=ZONE, period=s.day(), entity_address=POINT)
    yield wire.AGRPortfolioQuery(**said("agr", "cro", "v"), time_zone=ZONE, period=s.day())


@pytest.mark.parametrize(("ours", "theirs"), [("cro", "agr dso"), ("agr dso", "cro")], ids=["we CRO", "they CRO"])
def test_every_message_with_a_common_reference_operator(ours: str, theirs: str, tmp_path: Path) -> None:
    async def story(there: Table) -> None:
        mine, points, query, view = registered()
        await there.accepted(mine)
        await there.accepted(points)
        answer = await there.accepted(query)
        assert isinstance(answer, wire.DSOPortfolioQueryResponse)
        found = {one.entity_address: one.agr_domain for one in answer.congestion_points[0].connections}
        assert found == dict.fromkeys(CONNECTIONS[:2], s.domain("agr")) | {CONNECTIONS[2]: None}
        answer = await there.accepted(view)
        assert isinstance(answer, wire.AGRPortfolioQueryResponse)
        (portfolio,) = answer.dso_views[0].dso_portfolios
        assert portfolio.dso_domain == s.domain("dso")
        assert [one.entity_address for one in portfolio.congestion_points[0].connections] == list(CONNECTIONS[:2])

    play(tmp_path, ours, theirs, story)


def test_what_we_reject_they_hear_of_and_the_other_way_round(tmp_path: Path) -> None:
    async def story(there: Table) -> None:
        beyond = (
            wire.FlexRequestIsp(
                disposition=wire.Disposition.REQUESTED, min_power_w=-300_000, max_power_w=0, start=41, duration=400
            ),
        )
        assert result(await there.answer(request("beyond", isps=beyond))) == ("Rejected", "ISPs out of bounds")
        asked = request()
        await there.accepted(asked)
        await there.peers["dso"].command(reject="FlexOffer")
        refused, offered = offer(asked, "x"), offer(asked)
        assert result(await there.answer(refused)) == ("Rejected", "No thank you")
        await there.accepted(offered)
        assert result(await there.answer(order(refused, "y"))) == ("Rejected", "Unknown reference FlexOfferMessageID")
        await there.accepted(order(offered))

    play(tmp_path, "agr", "dso", story)


@pytest.mark.parametrize("theirs", ALL)
def test_is_anybody_there(theirs: str, tmp_path: Path) -> None:
    """They write a Result into TestMessageResponse, which the schema does not have there, so we refuse it (rule 8)."""
    ours = "agr" if theirs != "agr" else "dso"

    async def story(there: Table) -> None:
        asked, asks = wire.TestMessage(**said(theirs, ours, "t")), wire.TestMessage(**said(ours, theirs, "t"))
        they = there.peers[theirs]
        await they.send(asked, ours)
        await they.heard(received="TestMessageResponse")
        hub = there.there.hub(ours)
        message = outgoing(asks, peer="test", id="t", role=wire.Role(s.ROLES[theirs]))
        assert (await hub.handle(message)).status == 202
        assert await they.received(wire.TestMessage, asks.message_id) == asks
        assert (await they.heard(failed="TestMessageResponse")).status == 400
        stored = kept(hub, ours, theirs, asks)
        assert stored is not None
        assert stored.entry().answer is None

    play(tmp_path, ours, theirs, story)
