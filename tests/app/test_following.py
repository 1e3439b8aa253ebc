"""An agent's hub beside a manager's: what is said is passed on, what is told is followed, through restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from flexhub.app.config import (
    Config,
    ContractSection,
    HubSection,
    PartySection,
    PeerSection,
    PlanSection,
    SettleSection,
    StoreSection,
)
from flexhub.app.hub.contract import FOLLOWED, Answer, Message
from flexhub.app.hub.told import Told
from flexhub.app.wiring import Running, running
from flexhub.core.documents import encode
from flexhub.core.errors import IllegalTransitionError
from flexhub.core.flexoffer import FlexOffer, State
from flexhub.core.registry import Role
from flexhub.core.timeseries import Measurement
from flexhub.core.trading import Contract
from tests.app.market import AGGREGATOR, NOON, Clock, Greedy, make_contract, make_offer

T = TypeVar("T")
HOUR = timedelta(hours=1)


def run(work: Coroutine[Any, Any, T]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(60):
            return await work

    return asyncio.run(bounded())


class Pair:
    """A manager's hub that runs, and what the agent's hub is started from, again and again."""

    def __init__(self, manager: Running, folder: Path, clock: Clock) -> None:
        self.manager = manager
        self.clock = clock
        self.agent: Running | None = None
        self._config = Config(
            hub=HubSection(name="foa", roles=(Role.PROSUMER,), listen="127.0.0.1:0"),
            store=StoreSection(url=f"sqlite:///{folder / 'agent.db'}"),
            plan=PlanSection(every=None),
            settle=SettleSection(every=None),
            peer=(PeerSection(id=AGGREGATOR, url=manager.url, tokens=folder / "tokens"),),
        )

    @asynccontextmanager
    async def agent_at_work(self) -> AsyncIterator[Running]:
        async with running(self._config, clock=self.clock, engine=Greedy(), timers=False) as agent:
            self.agent = agent
            await self.caught_up()
            yield agent
            self.agent = None

    async def caught_up(self) -> None:
        """Until the agent has heard all that the manager told it, and the manager all that the agent said."""
        assert self.agent is not None
        await self.agent.hub.settled()
        await self.agent.hub.sent()
        await self.manager.hub.settled()
        told = self.manager.hub.store.notices("ann", 0, 1000)
        await self.agent.followers.reach({f"{AGGREGATOR}:ann": told[-1].seq if told else 0})

    async def say(self, kind: str, conversation: str, value: msgspec.Struct | None = None, id_: str = "") -> Answer:
        assert self.agent is not None
        body = b"" if value is None else encode(value)
        return await self.agent.hub.handle(
            Message(
                peer="ann",
                id=id_ or f"{kind} {conversation}",
                kind=kind,
                conversation=conversation,
                body=body,
                role=Role.PROSUMER,
            )
        )

    async def plan(self) -> None:
        message = Message(
            peer=AGGREGATOR,
            id=f"plan {self.clock.now}",
            kind="plan.ask",
            conversation=AGGREGATOR,
            body=b"",
            role=Role.AGGREGATOR,
        )
        await self.manager.hub.handle(message)
        await self.manager.hub.settled()

    async def offer(self, id_: str) -> tuple[FlexOffer | None, FlexOffer | None]:
        """As the agent has it, and as the manager has it."""
        assert self.agent is not None
        return await self.agent.hub.get(FlexOffer, id_), await self.manager.hub.get(FlexOffer, id_)


@asynccontextmanager
async def pair(folder: Path) -> AsyncIterator[Pair]:
    clock = Clock()
    config = Config(
        hub=HubSection(name=AGGREGATOR, listen="127.0.0.1:0"),
        store=StoreSection(url=f"sqlite:///{folder / 'manager.db'}"),
        plan=PlanSection(every=None),
        settle=SettleSection(every=None),
        party=(PartySection(id="ann", roles=(Role.PROSUMER,), contract=ContractSection(id="c-ann")),),
    )
    async with running(config, clock=clock, engine=Greedy(), timers=False) as manager:
        (folder / "tokens").mkdir()
        (folder / "tokens" / "ann").write_text(await manager.hub.add_token("ann", Role.PROSUMER))
        yield Pair(manager, folder, clock)


def test_an_agent_that_was_away_goes_on_behind_what_it_heard_last(tmp_path: Path) -> None:
    async def story() -> None:
        async with pair(tmp_path) as both:
            async with both.agent_at_work() as agent:
                contract = await agent.hub.get(Contract, "c-ann")
                assert contract == await both.manager.hub.get(Contract, "c-ann")
                answer = await both.say("flexoffer.post", "one", make_offer("one", "ann"))
                assert (answer.status, b'"state":"offered"' in answer.body) == (201, True)
                await both.caught_up()
                here, there = await both.offer("one")
                assert here == there
                assert here is not None
                assert here.state is State.ACCEPTED
            await both.plan()  # while the agent is away
            async with both.agent_at_work() as agent:
                here, there = await both.offer("one")
                assert here == there
                assert here is not None
                assert (here.state, here.schedule is None) == (State.ASSIGNED, False)
                heard = [row.message_id for row in agent.hub.store.journal(0, 1000) if row.peer == FOLLOWED]
                assert len(heard) == len(set(heard)) == 3  # the contract, accepted, assigned
            async with both.agent_at_work() as agent:
                assert heard == [row.message_id for row in agent.hub.store.journal(0, 1000) if row.peer == FOLLOWED]

    run(story())


def test_what_the_issuer_says_later_is_passed_on_or_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with pair(tmp_path) as both, both.agent_at_work() as agent:
            for id_ in ("one", "two"):
                await both.say("flexoffer.post", id_, make_offer(id_, "ann"))
            await both.caught_up()
            for kind, value in (("flexoffer.put", make_offer("one", "ann")), ("flexoffer.delete", None)):
                with pytest.raises(IllegalTransitionError, match="passed on to agr"):
                    await both.say(kind, "one", value)
            await both.plan()
            await both.caught_up()
            await both.say("flexoffer.confirm", "one")
            await both.say("flexoffer.decline", "two")
            reading = Measurement(subject="ann", start=NOON - HOUR, values_kwh=(0.5,), offer="one")
            await both.say("measurement.post", "ann", reading)
            await both.caught_up()
            assert [o.state for o in await both.offer("one") if o] == [State.CONFIRMED] * 2
            assert [o.state for o in await both.offer("two") if o] == [State.CANCELED] * 2
            for hub in (agent.hub, both.manager.hub):
                assert (await hub.documents(Measurement)).items == (reading,)

    run(story())


def test_an_offer_that_the_manager_refuses_is_rejected(tmp_path: Path) -> None:
    """It knows of another contract in force by then."""

    async def story() -> None:
        async with pair(tmp_path) as both, both.agent_at_work():
            other = make_contract("ann", aggregator="other-agr")
            other = msgspec.structs.replace(other, id="other")
            message = Message(
                peer="root", id="1", kind="contract.put", conversation="other", body=encode(other), role=Role.ADMIN
            )
            await both.manager.hub.handle(message)
            await both.caught_up()
            await both.say("flexoffer.post", "one", make_offer("one", "ann"))
            await both.caught_up()
            here, there = await both.offer("one")
            assert there is None
            assert here is not None
            assert (here.state, here.recipient) == (State.REJECTED, AGGREGATOR)
            assert "agr refused it: HTTP 403" in (here.state_reason or "")

    run(story())


def test_what_is_none_of_the_tellers_business_changes_nothing(tmp_path: Path) -> None:
    """Another peer's offer, a schedule that breaks bounds; its twin that keeps them is taken."""

    async def story() -> None:
        async with pair(tmp_path) as both, both.agent_at_work() as agent:
            await both.say("flexoffer.post", "one", make_offer("one", "ann"))
            await both.caught_up()
            here, _ = await both.offer("one")
            assert here is not None
            schedule = here.default_schedule
            assert schedule is not None
            broken = msgspec.structs.replace(schedule, slices=schedule.slices[:-1])
            tries = (("other-agr", schedule, 422), (AGGREGATOR, broken, 422), (AGGREGATOR, schedule, 204))
            for seq, (peer, course, status) in enumerate(tries, 1000):
                body = encode({"id": "one", "state": "assigned", "schedule": course})
                told = Told(peer=peer, party="ann", seq=seq, topic="flexoffer", body=msgspec.Raw(body))
                assert (await agent.hub.handle(told.message())).status == status
                now = await agent.hub.get(FlexOffer, "one")
                assert now is not None
                assert (now.schedule == course) is (status == 204)

    run(story())


def test_an_offer_that_never_reached_the_manager_expires(tmp_path: Path) -> None:
    async def story() -> None:
        async with pair(tmp_path) as both, both.agent_at_work() as agent:
            (tmp_path / "tokens" / "ann").unlink()  # nothing gets there without it
            await both.say("flexoffer.post", "one", make_offer("one", "ann"))
            both.clock.now = NOON + HOUR
            await agent.hub.tick()
            here, there = await both.offer("one")
            assert there is None
            assert here is not None
            assert here.state is State.EXPIRED

    run(story())
