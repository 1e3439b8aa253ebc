"""A settlement names every accepted order of its days, or neither leaves nor is taken."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from flexhub.app.wiring import running
from flexhub.core.errors import InvalidError
from flexhub.core.trading import Bill
from flexhub.protocols.uftp import messages as wire
from tests.app.uftp import stage as s
from tests.app.uftp.stage import answered, offer, order, request, said, send
from tests.app.uftp.test_conversations import result, same_again
from tests.ports import free_port

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
TODAY = {"period": "2026-03-02", "time_stamp": "2026-03-02T11:00:00Z"}
UNTIL = TODAY | {"expiration_date_time": "2026-03-02T20:00:00Z"}
LATE = 90


def settlement(seed: str, *references: str) -> wire.FlexSettlement:
    isp = wire.SettlementIsp(
        start=LATE, baseline_power_w=0, ordered_flex_power_w=-1000, actual_power_w=-1000, delivered_flex_power_w=-1000
    )
    items = tuple(
        wire.FlexOrderSettlement(
            order_reference=reference,
            period=TODAY["period"],
            congestion_point=s.POINT,
            price=Decimal("12.5"),
            net_settlement=Decimal("12.5"),
            isps=(isp,),
        )
        for reference in references
    )
    reserved = wire.ContractSettlementIsp(start=LATE, reserved_power_w=0)
    return wire.FlexSettlement(
        **said("dso", "agr", seed),
        result=wire.Result.ACCEPTED,
        period_start=TODAY["period"],
        period_end=TODAY["period"],
        currency="EUR",
        flex_order_settlements=items,
        contract_settlements=(
            wire.ContractSettlement(periods=(wire.ContractSettlementPeriod(period=TODAY["period"], isps=(reserved,)),)),
        ),
    )


def test_a_settlement_without_an_order_is_not_sent_and_not_taken_and_a_whole_one_becomes_a_bill(tmp_path: Path) -> None:
    ports = {name: free_port() for name in ("agr", "dso")}
    s.publish(tmp_path, ports)

    async def story() -> None:
        async with AsyncExitStack() as stack:
            agr, dso = [
                (
                    await stack.enter_async_context(
                        running(s.config(tmp_path, name, ports[name]), clock=lambda: NOON, timers=False)
                    )
                ).hub
                for name in ("agr", "dso")
            ]
            wanted = wire.FlexRequestIsp(
                disposition=wire.Disposition.REQUESTED, min_power_w=-1000, max_power_w=0, start=LATE
            )
            asked = request(isps=(wanted,), **UNTIL)
            await send(dso, asked)
            await answered(dso, "dso", "agr", asked)
            option = wire.OfferOption(
                option_reference="a", price=Decimal("12.5"), isps=(wire.Isp(power_w=-1000, start=LATE),)
            )
            offered = offer(asked, offer_options=(option,), **UNTIL)
            await send(agr, offered)
            await answered(agr, "agr", "dso", offered)
            ordered = order(offered, **TODAY)
            await send(dso, ordered)
            assert result(await answered(dso, "dso", "agr", ordered)) == ("Accepted", "")
            with pytest.raises(InvalidError, match="orders are missing: order-1"):
                await send(dso, settlement("s1", "another"))
            assert await s.post(ports["agr"], s.sealed(settlement("s1", "another"), "dso")) == 200
            found = s.kept(agr, "agr", "dso", settlement("s1", "another"))
            assert found is not None
            assert result(found.entry().answer or asked) == ("Rejected", "Missing Settlement Items")
            whole = settlement("s2", "order-1")
            await send(dso, whole)
            assert result(await answered(dso, "dso", "agr", whole)) == ("Accepted", "")
            bill = await agr.get(Bill, whole.message_id)
            assert bill is not None
            assert (bill.party, sum(line.amount for line in bill.lines)) == ("agr", Decimal("12.5"))

    asyncio.run(story())
    same_again(tmp_path, "agr")
    same_again(tmp_path, "dso")
