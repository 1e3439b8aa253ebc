"""A whole conversation between a DSO and an aggregator, on messages alone: from the prognosis to the settlement.

Each side keeps only what it sent and received; every message is judged by all rules, and goes through its bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexhub.core.errors import InvalidError
from flexhub.core.flexoffer import FlexOffer
from flexhub.core.judge import violations
from flexhub.core.timeseries import Measurement, SeriesKind, TimeSeries
from flexhub.core.trading import Basis, Contract
from flexhub.engines.reference import operator
from flexhub.engines.reference.generator import ChargingSession, EvGenerator
from flexhub.engines.reference.manager import ReferenceManager
from flexhub.engines.reference.options import baseline_kwh
from flexhub.engines.reference.settlement import delivered
from flexhub.engines.slots import Assignment, Portfolio, Terms
from flexhub.mappings.fates import SERIOUS, Mapped
from flexhub.mappings.uftp import offers, options, requests, settlement
from flexhub.mappings.uftp.context import Context, Day, day
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.checks import powers
from flexhub.protocols.uftp.codec import UftpCodec
from flexhub.protocols.uftp.rules import findings
from flexhub.protocols.uftp.seen import Market, Past, Peer, Seen
from flexhub.protocols.uftp.times import text_of

CODEC = UftpCodec()
ZONE = "Europe/Amsterdam"
POINT = "ean.871685900012636543"
DAYS = {"2026-03-29": 92, "2026-03-30": 96, "2026-10-25": 100}
PENALTY: Final = Decimal(40)
"""EUR for a MW that is lacking over one ISP."""
MANAGER = ReferenceManager()
M = TypeVar("M", bound=wire.Payload)
T = TypeVar("T")


class Side:
    """One of the two: its role, and the messages that it holds."""

    def __init__(self, domain: str, role: wire.Role, ids: count[int]) -> None:
        self.domain, self.role, self.ids = domain, role, ids
        self.held: dict[str, Past] = {}

    def kept(self, to: Side, now: datetime, **more: object) -> dict[str, Any]:
        """Identity of a message to the other side."""
        number = f"00000000-0000-4000-8000-{next(self.ids):012d}"
        return {
            "version": "3.1.0",
            "sender_domain": self.domain,
            "recipient_domain": to.domain,
            "time_stamp": text_of(now),
            "message_id": number,
            "conversation_id": "00000000-0000-4000-8000-999999999999",
            **more,
        }

    def send(self, to: Side, message: M, now: datetime, orders: frozenset[str] = frozenset()) -> M:
        """The message as the other side reads it, once that finds nothing wrong with it."""
        read = CODEC.decode(CODEC.encode(message))
        market = Market(
            domain=to.domain,
            role=to.role,
            time_zone=ZONE,
            congestion_points=frozenset({POINT}),
            currencies=frozenset({"EUR"}),
            prognoses=True,
        )
        peer = Peer(roles=frozenset({self.role}))
        assert findings(read, Seen(now=now, market=market, peer=peer, past=to.held, revision=0, orders=orders)) == []
        assert read == message
        self.held[message.message_id] = to.held[message.message_id] = Past(message=read)
        return read

    def all(self, kind: type[M]) -> dict[str, M]:
        """Messages of a type, by MessageID."""
        return {i: past.message for i, past in self.held.items() if isinstance(past.message, kind)}

    def reckoned(self) -> tuple[wire.FlexOrderSettlement, ...]:
        """What this side makes of what it holds."""
        record = settlement.Record(
            orders=tuple(self.all(wire.FlexOrder).values()),
            offers=self.all(wire.FlexOffer),
            prognoses=self.all(wire.DPrognosis),
            meterings=tuple(self.all(wire.Metering).values()),
        )
        return settlement.reckon(record, PENALTY)


def told(mapped: Mapped[T]) -> T:
    """What was mapped, without a loss of anything that matters."""
    assert [loss for loss in mapped.losses if loss.kind in SERIOUS] == []
    return mapped.value


class Scene:
    """Four cars that all come home at six and charge at once, 14.8 kW: more than the limits of these tests."""

    def __init__(self, period: str) -> None:
        ids = count(1)
        self.dso = Side("dso.example.com", wire.Role.DSO, ids)
        self.agr = Side("agr.example.com", wire.Role.AGR, ids)
        self.whole: Day = day(period, ZONE, "PT15M")
        self.now = self.whole.first - timedelta(hours=10)
        self.until = self.now + timedelta(hours=4)
        self.end = self.whole.start(self.whole.count + 1)
        first = self.whole.count - 24  # six in the evening
        self.cars = tuple(self.car(i, self.whole.start(first), 3.3 + i) for i in range(4))
        self.contracts = tuple(
            Contract(
                id=f"c{i}", prosumer="p", aggregator="a", valid_from=self.now, per_deviation_eur_per_kwh=0.01 * (i + 1)
            )
            for i in range(4)
        )
        self.portfolio = Portfolio(now=self.now, offers=self.cars, contracts=self.contracts)
        self.terms = Terms(until=self.until, start=self.whole.first, end=self.end, margin=0.2)

    def car(self, i: int, arrival: datetime, kwh: float) -> FlexOffer:
        load = ChargingSession(
            id=f"ev{i}",
            station="s",
            arrival=arrival,
            departure=self.end,
            requested_kwh=kwh,
            max_power_kw=3.7,
        )
        offer = EvGenerator().offer(load, load.id, "p", self.now)
        return msgspec.structs.replace(offer, contract=f"c{i}")

    def prognosis(self) -> wire.DPrognosis:
        """The aggregator says what its cars take if nothing is ordered."""
        values = baseline_kwh(self.portfolio, self.terms, 900)
        series = TimeSeries(
            subject=POINT, kind=SeriesKind.BASELINE, start=self.whole.first, values_kwh=tuple(values.tolist())
        )
        ctx = Context(kept=self.agr.kept(self.dso, self.now, revision=1))
        return self.agr.send(self.dso, told(requests.prognosis_to_wire(series, ctx)), self.now)

    def request(self, prognosis: wire.DPrognosis, limit_kw: float) -> wire.FlexRequest:
        """The operator asks for what is beyond its limit."""
        kept = self.dso.kept(self.agr, self.now)
        wanted = operator.request(self.ask(kept), told(requests.prognosis_to_core(prognosis, Context())), limit_kw)
        assert wanted is not None
        return self.dso.send(self.agr, told(requests.request_to_wire(wanted, Context(kept=kept))), self.now)

    def ask(self, kept: dict[str, Any]) -> operator.Ask:
        return operator.Ask(
            id=kept["message_id"],
            issuer=self.dso.domain,
            recipient=self.agr.domain,
            congestion_point=POINT,
            created=self.now,
            expires=self.until,
        )

    def offer(self, request: wire.FlexRequest, prognosis: wire.DPrognosis) -> wire.FlexOffer:
        """The aggregator offers options, and keeps what is behind them."""
        self.offering = MANAGER.options(self.portfolio, told(requests.request_to_core(request, Context())), self.terms)
        kept = self.agr.kept(
            self.dso,
            self.now,
            congestion_point=POINT,
            flex_request_message_id=request.message_id,
            d_prognosis_message_id=prognosis.message_id,
        )
        ctx = Context(kept=kept)
        flex_offer = options.offer_of(self.offering.options, ctx)
        return self.agr.send(self.dso, told(offers.offer_to_wire(flex_offer, ctx)), self.now)

    def order(self, limit_kw: float, *, copied: bool = True) -> wire.FlexOrder:
        """The operator looks again, and orders what it still needs, from the messages that it holds."""
        (prognosis,) = self.dso.all(wire.DPrognosis).values()
        (offer,) = self.dso.all(wire.FlexOffer).values()
        baseline = told(requests.prognosis_to_core(prognosis, Context()))
        kept = self.dso.kept(
            self.agr,
            self.now,
            congestion_point=POINT,
            order_reference="order-1",
            d_prognosis_message_id=prognosis.message_id,
        )
        needed = operator.request(self.ask(kept), baseline, limit_kw)
        assert needed is not None
        choice = operator.choose(needed, {offer.message_id: options.options_of(offer, baseline)}, self.now)
        assert choice is not None
        found = operator.order(choice, needed, kept["message_id"])
        message = told(requests.order_to_wire(found, Context(kept=kept, copied=copied)))
        return self.dso.send(self.agr, message, self.now)

    def activate(self, order: wire.FlexOrder) -> list[Assignment]:
        """The aggregator's cars get their schedules: feasible, and in sum what was ordered."""
        offer = self.agr.all(wire.FlexOffer)[order.flex_offer_message_id or ""]
        core = told(requests.order_to_core(order, Context(offer=offer)))
        assert core.option is not None
        parts = MANAGER.activate(self.offering, self.cars, core.option, order.activation_factor)
        by_id = {o.id: o for o in self.cars}
        load = np.array(self.offering.options.baseline_kwh)
        at = self.whole.number(core.start) - 1
        load[at : at + len(core.deviation_kwh)] += core.deviation_kwh
        for part in parts:
            assert violations(by_id[part.offer], part.schedule, now=self.until) == []
            load -= self.course(part)
        assert np.abs(load * 4000).max() <= 1.0
        return parts

    def course(self, part: Assignment) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """A schedule's energies through the day."""
        load = np.zeros(self.whole.count)
        at = self.whole.number(part.schedule.start) - 1
        load[at : at + part.schedule.slots()] = part.schedule.per_slot_kwh()
        return load

    def meter(self, parts: Sequence[Assignment], done: Sequence[float]) -> None:
        """Each car's meter tells what it took: that share of its schedule, later than the day."""
        for i, (part, share) in enumerate(zip(parts, done, strict=True)):
            values = tuple((self.course(part) * share).tolist())
            taken = Measurement(subject=f"E{871685900012636500 + i}", start=self.whole.first, values_kwh=values)
            ctx = Context(kept=self.agr.kept(self.dso, self.end, revision=1))
            self.agr.send(self.dso, told(requests.metering_to_wire(taken, ctx)), self.end)

    def settle(self, items: tuple[wire.FlexOrderSettlement, ...]) -> wire.FlexSettlement:
        """The operator's settlement of these items."""
        kept = self.dso.kept(self.agr, self.end + timedelta(days=1))
        days = self.whole.period, self.whole.period
        bill = settlement.bill_of(items, Context(), "bill", self.agr.domain, days)
        message = told(settlement.settlement_to_wire(bill, Context(kept=kept, items=items)))
        return self.dso.send(self.agr, message, self.end + timedelta(days=1), frozenset({"order-1"}))

    def answer(self, message: wire.FlexSettlement) -> wire.FlexSettlementResponse:
        """What the aggregator says to it, from its own messages."""
        own = {item.order_reference or "": item for item in self.agr.reckoned()}
        response = wire.FlexSettlementResponse(
            **self.agr.kept(self.dso, self.end + timedelta(days=1)),
            result=wire.Result.ACCEPTED,
            flex_settlement_message_id=message.message_id,
            flex_order_settlement_statuses=tuple(settlement.judged(message, own)),
        )
        return self.agr.send(self.dso, response, self.end + timedelta(days=1))

    def trade(self, limits_kw: tuple[float, float], *, copied: bool = True) -> list[Assignment]:
        """Everything until the schedules, for a limit at first and one at the time of the order."""
        prognosis = self.prognosis()
        self.offer(self.request(prognosis, limits_kw[0]), prognosis)
        return self.activate(self.order(limits_kw[1], copied=copied))


@pytest.mark.parametrize("copied", [True, False])
@pytest.mark.parametrize("period", sorted(DAYS))
def test_from_the_prognosis_to_the_settlement(period: str, copied: bool) -> None:
    """Several options, one of them ordered in part; delivered, paid in full, and accepted."""
    scene = Scene(period)
    parts = scene.trade((9.0, 11.0), copied=copied)
    (prognosis,) = scene.dso.all(wire.DPrognosis).values()
    assert len(powers(prognosis.isps)) == DAYS[period]
    (offer,) = scene.dso.all(wire.FlexOffer).values()
    (order,) = scene.agr.all(wire.FlexOrder).values()
    assert [o.option_reference for o in offer.offer_options] == ["full", "part"]
    assert order.activation_factor < 1
    option = next(o for o in offer.offer_options if o.option_reference == order.option_reference)
    assert (powers(order.isps) == powers(option.isps)) is copied
    scene.meter(parts, [1.0] * len(parts))
    items = scene.dso.reckoned()
    assert items == scene.agr.reckoned()
    (item,) = items
    # Each car's energies and the option are rounded to a watt, which may lack here and there.
    assert abs(item.price - order.price) <= Decimal("0.01")
    assert item.penalty == 0
    answer = scene.answer(scene.settle(items))
    assert [s.disposition for s in answer.flex_order_settlement_statuses] == [wire.Verdict.ACCEPTED]


def test_the_load_stays_within_the_limit_once_the_option_is_activated() -> None:
    scene = Scene("2026-03-30")
    parts = scene.trade((9.0, 11.0))
    before = np.array(scene.offering.options.baseline_kwh) * 4
    after = np.sum([scene.course(part) for part in parts], axis=0) * 4
    assert before.max() > 14
    assert after.max() <= 11.003  # each of the powers is a whole watt


@settings(max_examples=25)
@given(
    st.sampled_from(sorted(DAYS)),
    st.floats(8.0, 11.0),
    st.floats(11.0, 13.0),
    st.lists(st.floats(0.5, 1.5), min_size=4, max_size=4),
    st.booleans(),
)
def test_both_sides_come_to_the_same_cent(
    period: str, first: float, later: float, done: list[float], copied: bool
) -> None:
    """Whatever is delivered, and however the order's powers are written: settlement and bill are equal to the cent."""
    scene = Scene(period)
    scene.meter(scene.trade((first, later), copied=copied), done)
    message = scene.settle(scene.dso.reckoned())
    own = settlement.bill_of(scene.agr.reckoned(), Context(), "own", scene.agr.domain, (period, period))
    theirs = told(settlement.settlement_to_core(message, Context()))
    assert [line.amount for line in own.lines] == [line.amount for line in theirs.lines]
    assert own.total(Basis.FACTUAL) == sum(i.net_settlement for i in message.flex_order_settlements)
    answer = scene.answer(message)
    assert [s.disposition for s in answer.flex_order_settlement_statuses] == [wire.Verdict.ACCEPTED]
    (item,) = message.flex_order_settlements
    baseline, ordered, actual = (
        np.array([getattr(isp, name) for isp in item.isps], dtype=np.float64)
        for name in ("baseline_power_w", "ordered_flex_power_w", "actual_power_w")
    )
    other = delivered(baseline, ordered, actual)  # the engine's own formula
    assert other.delivered_kwh == sum(abs(isp.delivered_flex_power_w) for isp in item.isps)
    assert other.deficiency.sum() == sum(isp.power_deficiency_w for isp in item.isps)


def test_a_settlement_that_is_a_cent_off_is_disputed() -> None:
    scene = Scene("2026-03-30")
    scene.meter(scene.trade((9.0, 11.0)), [1.0, 0.9, 1.0, 1.0])
    (item,) = scene.dso.reckoned()
    cent = Decimal("0.01")
    for off, verdict in ((Decimal(0), wire.Verdict.ACCEPTED), (cent, wire.Verdict.DISPUTED)):
        wrong = msgspec.structs.replace(item, price=item.price - off, net_settlement=item.net_settlement - off)
        statuses = scene.answer(scene.settle((wrong,))).flex_order_settlement_statuses
        assert [(s.disposition, bool(s.dispute_reason)) for s in statuses] == [(verdict, off > 0)]


def test_a_second_order_of_the_same_isp_is_reckoned_from_what_the_first_leaves() -> None:
    scene = Scene("2026-03-30")
    scene.meter(scene.trade((9.0, 11.0)), [1.0] * 4)
    (order,) = scene.dso.all(wire.FlexOrder).values()
    again = msgspec.structs.replace(
        order, message_id=order.message_id[:-1] + "x", order_reference="order-2", time_stamp=text_of(scene.until)
    )
    scene.dso.held[again.message_id] = Past(message=again)
    one, two = scene.dso.reckoned()
    assert one.price > 0
    # Nothing is left to be delivered of the second, but for a watt of rounding.
    assert (two.price, two.penalty > 0) == (Decimal("0.00"), True)
    for first, second in zip(one.isps, two.isps, strict=True):
        assert second.baseline_power_w == first.baseline_power_w + first.ordered_flex_power_w


def test_without_the_prognosis_or_a_reading_nothing_is_reckoned() -> None:
    scene = Scene("2026-03-30")
    parts = scene.trade((9.0, 11.0))
    with pytest.raises(InvalidError, match="no actual power"):
        scene.dso.reckoned()
    scene.meter(parts, [1.0] * 4)
    assert scene.dso.reckoned()
    (prognosis,) = scene.dso.all(wire.DPrognosis)
    del scene.dso.held[prognosis]
    with pytest.raises(InvalidError, match="prognosis"):
        scene.dso.reckoned()


def test_the_newest_reading_of_each_meter_counts_where_all_have_one() -> None:
    scene = Scene("2026-03-30")
    scene.meter(scene.trade((9.0, 11.0)), [1.0] * 4)
    taken = list(scene.dso.all(wire.Metering).values())
    all_of_them = settlement.allocation_w(taken)
    assert len(all_of_them) == 96
    (profile,) = taken[0].profiles
    fewer = msgspec.structs.replace(
        taken[0], revision=2, profiles=(msgspec.structs.replace(profile, isps=profile.isps[1:]),)
    )
    for order in ([*taken, fewer], [fewer, *taken]):
        assert settlement.allocation_w(order) == {n: w for n, w in all_of_them.items() if n > 1}
    assert settlement.allocation_w(taken[:1]) != all_of_them
