"""The test set of the manager slot."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

from flexhub.core.flexoffer import EnergyRange, FlexOffer, Profile, Quantity, Schedule, ScheduleSlice, Slice, State
from flexhub.core.judge import violations
from flexhub.core.timeseries import Measurement, Quality
from flexhub.core.trading import Aggregate, Basis, Contract, FlexRequest, Reference, RequestInterval, Verdict
from flexhub.core.units import TOLERANCE_KWH, money
from flexhub.engines.slots import Account, ManagerEngine, Portfolio, Terms
from flexhub.engines.testing import SlotTests, expect

T0 = datetime(2026, 1, 12, tzinfo=UTC)
STEP = timedelta(minutes=15)
WATT_KWH = 0.25 / 1000
"""Energy of a watt over a quarter-hour."""
CONTRACT = Contract(
    id="contract",
    prosumer="prosumer",
    aggregator="aggregator",
    valid_from=T0 - timedelta(days=30),
    valid_until=T0 + timedelta(days=30),
    per_activation_eur=0.105,
    per_deviation_eur_per_kwh=0.0333,
    imbalance_limit_kwh=0.5,
)


def schedule(start: int, energies: Sequence[float]) -> Schedule:
    """A schedule that starts in this quarter-hour of the test day."""
    return Schedule(start=T0 + start * STEP, slices=tuple(ScheduleSlice(energy_kwh=e) for e in energies))


def plain(name: str, start: int, shift: int, hi: Sequence[float], total_kwh: float | None = None) -> FlexOffer:
    """0..hi in each slice, by default as early as possible; a total, if there is one, is fixed."""
    default, left = [], sum(hi) if total_kwh is None else total_kwh
    for most in hi:
        default.append(min(most, left))
        left -= default[-1]
    return FlexOffer(
        id=name,
        issuer=CONTRACT.prosumer,
        contract=CONTRACT.id,
        created=T0,
        start_after=T0 + start * STEP,
        start_before=T0 + (start + shift) * STEP,
        default_schedule=schedule(start, default),
        profiles=(
            Profile(
                slices=tuple(Slice(energy_kwh=(EnergyRange(0.0, e),)) for e in hi),
                total_energy_kwh=None if total_kwh is None else EnergyRange(total_kwh, total_kwh),
            ),
        ),
    )


OFFERS = (
    plain("a", 8, 0, [2, 2, 2, 2], 4),
    plain("b", 8, 0, [3, 3, 3], 5),
    plain("c", 9, 2, [1, 1]),
    plain("d", 9, 4, [1, 2, 1]),
    plain("e", 10, 0, [0.5] * 6, 3),
)


def load(schedules: Sequence[Schedule]) -> Mapping[datetime, float]:
    """Sum of schedules of quarter-hours, per slot."""
    total: defaultdict[datetime, float] = defaultdict(float)
    for one in schedules:
        for i, energy in enumerate(one.per_slot_kwh()):
            total[one.start + i * STEP] += energy
    return total


class ManagerTests(SlotTests[ManagerEngine]):
    """What every manager engine does."""

    def test_accepts_a_plain_offer_and_no_other_quantity(self) -> None:
        """Active energy under a contract in force is taken, voltage refused with a reason."""
        answer = self.make().accept(OFFERS[0], CONTRACT, T0)
        expect(answer.accepted, f"refused a plain offer: {answer.reason}")
        voltage = msgspec.structs.replace(OFFERS[0], quantity=Quantity.VOLTAGE)
        answer = self.make().accept(voltage, CONTRACT, T0)
        expect(not answer.accepted and answer.reason, "took an offer of voltage, or gave no reason")

    def test_accepts_nothing_outside_the_contract(self) -> None:
        """Neither after its end, nor of another party."""
        late = CONTRACT.valid_until or T0
        expect(not self.make().accept(OFFERS[0], CONTRACT, late).accepted, "took an offer after the contract's end")
        foreign = msgspec.structs.replace(OFFERS[0], issuer="stranger")
        expect(not self.make().accept(foreign, CONTRACT, T0).accepted, "took an offer of another party")

    def test_aggregates_each_offer_once(self) -> None:
        """No member is lost or counted twice."""
        members = sorted(m.offer for a in self.make().aggregate(OFFERS) for m in a.members)
        expect(members == sorted({*members}), "an offer is a member of two aggregates")
        expect(set(members) <= {o.id for o in OFFERS}, "a member is none of the offers")

    def test_disaggregates_what_an_aggregate_may_do(self) -> None:
        """Extreme and middle energies of every aggregate become feasible schedules that add up."""
        engine = self.make()
        by_id = {o.id: o for o in OFFERS}
        for aggregate in engine.aggregate(OFFERS):
            members = [by_id[m.offer] for m in aggregate.members]
            for plan in _tries(aggregate):
                parts = engine.disaggregate(aggregate, members, plan)
                expect({p.offer for p in parts} == {o.id for o in members}, "a member has no schedule")
                for part in parts:
                    broken = violations(by_id[part.offer], part.schedule)
                    expect(not broken, f"{part.offer}: {broken}")
                total, wanted = load([p.schedule for p in parts]), load([plan])
                worst = max(abs(total.get(at, 0.0) - wanted.get(at, 0.0)) for at in {*total, *wanted})
                expect(worst <= TOLERANCE_KWH, f"members are off the aggregate by {worst} kWh")

    def test_plans_feasibly_and_meets_what_can_be_met(self) -> None:
        """Every offer is assigned a feasible schedule or refused; a modest request is served."""
        request = FlexRequest(
            id="request",
            issuer="dso",
            recipient="aggregator",
            congestion_point="point",
            created=T0,
            expires=T0 + 96 * STEP,
            start=T0,
            intervals=(RequestInterval(slot=8, hi_kwh=3.0), RequestInterval(slot=9, hi_kwh=5.0)),
            reference=Reference.ABSOLUTE,
        )
        plan = self.make().plan(Portfolio(now=T0, offers=OFFERS, requests=(request,)))
        by_id = {o.id: o for o in OFFERS}
        decided = [a.offer for a in plan.assignments] + [r.offer for r in plan.refusals]
        expect(sorted(decided) == sorted(by_id), f"not each offer is decided once: {decided}")
        for assignment in plan.assignments:
            broken = violations(by_id[assignment.offer], assignment.schedule, now=T0)
            expect(not broken, f"{assignment.offer}: {broken}")
        total = load([a.schedule for a in plan.assignments])
        over = max(0.0, total.get(T0 + 8 * STEP, 0.0) - 3) + max(0.0, total.get(T0 + 9 * STEP, 0.0) - 5)
        expect(over <= 1e-3, f"{over} kWh above what was asked")
        expect(abs(plan.unserved_kwh - over) <= 1e-3, f"says {plan.unserved_kwh} kWh are unserved, but {over} are")

    def test_offers_options_of_which_every_part_can_be_delivered(self) -> None:
        """Members' schedules are feasible and add up to baseline and share, to the watt; nothing else is activated."""
        engine = self.make()
        request = FlexRequest(
            id="request",
            issuer="dso",
            recipient="aggregator",
            congestion_point="point",
            created=T0,
            expires=T0 + STEP,
            start=T0,
            intervals=(RequestInterval(slot=8, lo_kwh=-4.0, hi_kwh=-2.0),),
        )
        terms = Terms(until=T0 + 2 * STEP, start=T0, end=T0 + 96 * STEP)
        offering = engine.options(Portfolio(now=T0, offers=OFFERS, contracts=(CONTRACT,)), request, terms)
        options = offering.options
        expect(options.options, "does nothing for a modest request")
        by_id = {o.id: o for o in OFFERS}
        usual = load([o.default_schedule for o in OFFERS if o.default_schedule is not None])
        for option in options.options:
            expect(option.deviation_kwh[8] < 0, f"{option.reference} does not do what is asked")
            for factor in {option.min_activation_factor, Decimal(1)}:
                parts = engine.activate(offering, OFFERS, option.reference, factor)
                for part in parts:
                    broken = violations(by_id[part.offer], part.schedule, now=terms.until)
                    expect(not broken, f"{part.offer}: {broken}")
                still = by_id.keys() - {p.offer for p in parts}
                kept = [by_id[i].default_schedule for i in still]
                total = load([p.schedule for p in parts] + [s for s in kept if s is not None])
                for i, share in enumerate(option.at(factor)):
                    off = abs(total.get(T0 + i * STEP, 0.0) - usual.get(T0 + i * STEP, 0.0) - share)
                    expect(off <= WATT_KWH, f"{option.reference} at {factor} is off by {off} kWh in slot {i}")
                    known = abs(options.baseline_kwh[i] - usual.get(T0 + i * STEP, 0.0))
                    expect(known <= WATT_KWH, f"the baseline of slot {i} is off by {known} kWh")

    def test_plans_an_empty_portfolio(self) -> None:
        """Nothing in, nothing out."""
        expect(self.make().plan(Portfolio(now=T0, offers=())).assignments == (), "assigned something out of nothing")

    def test_offers_for_sale_what_the_defaults_hold(self) -> None:
        """No slot sells more than the defaults take there; nothing in the past."""
        total = load([o.default_schedule for o in OFFERS if o.default_schedule is not None])
        sold: defaultdict[datetime, float] = defaultdict(float)
        for bid in self.make().bid(Portfolio(now=T0, offers=OFFERS)):
            expect(bid.start >= T0, "a bid for the past")
            sold[bid.start] += bid.quantity_kwh
        for at, amount in sold.items():
            expect(amount <= total.get(at, 0.0) + TOLERANCE_KWH, f"sells {amount} kWh at {at}, which is not there")

    def test_bills_by_the_contract(self) -> None:
        """Measured as scheduled is paid in full, to the cent; far off is refused; missing readings are unverified."""
        done = msgspec.structs.replace(OFFERS[0], state=State.EXECUTED, schedule=schedule(8, [0, 0, 2, 2]))
        owed = money(0.105) + money(8 * 0.0333)
        for readings, paid, verdict in (
            ((0.0, 0.0, 2.0, 2.0), owed, Verdict.PAID),
            ((2.0, 2.0, 0.0, 0.0), money(0), Verdict.REFUSED),
            ((0.0, None, 2.0, 2.0), money(0), Verdict.UNVERIFIED),
        ):
            measured = Measurement(subject="meter", start=T0 + 8 * STEP, values_kwh=readings, offer=done.id)
            bill = self.make().settle(_account(done, measured), "bill")
            expect(bill.total(Basis.FACTUAL) == paid, f"{readings}: pays {bill.total(Basis.FACTUAL)}, not {paid}")
            expect({x.verdict for x in bill.lines} == {verdict}, f"{readings}: not all lines are {verdict}")

    def test_does_not_pay_on_suspect_readings(self) -> None:
        """A flagged reading is as good as none."""
        done = msgspec.structs.replace(OFFERS[0], state=State.EXECUTED, schedule=schedule(8, [0, 0, 2, 2]))
        flags = (Quality.MEASURED, Quality.MEASURED, Quality.SUSPECT, Quality.MEASURED)
        measured = Measurement(
            subject="meter", start=T0 + 8 * STEP, values_kwh=(0.0, 0.0, 2.0, 2.0), quality=flags, offer=done.id
        )
        bill = self.make().settle(_account(done, measured), "bill")
        expect(bill.total(Basis.FACTUAL) == 0, "paid on a suspect reading")

    def test_pays_for_what_was_offered_and_not_needed(self) -> None:
        """An accepted offer that expired earns its flexibility, for good; one that was taken back earns nothing."""
        pays = msgspec.structs.replace(CONTRACT, per_energy_flexibility_eur_per_kwh=0.05)
        for state, owed in ((State.EXPIRED, money(0.4)), (State.CANCELED, money(0))):  # 8 kWh
            account = _account(msgspec.structs.replace(OFFERS[0], state=state))
            bill = self.make().settle(msgspec.structs.replace(account, contract=pays), "bill")
            expect(bill.total(Basis.FACTUAL) == owed, f"pays {bill.total(Basis.FACTUAL)} for one that is {state}")
            expect(bill.total(Basis.PREDICTED) == 0, f"predicts pay for one that is {state}")

    def test_predicts_what_is_not_measured_yet(self) -> None:
        """Before execution the bill holds predicted amounts only."""
        ahead = msgspec.structs.replace(OFFERS[0], state=State.ASSIGNED, schedule=schedule(8, [0, 0, 2, 2]))
        bill = self.make().settle(_account(ahead), "bill")
        expect(bill.total(Basis.PREDICTED) > 0, "predicts nothing")
        expect(bill.total(Basis.FACTUAL) == 0, "pays before anything is measured")


def _account(offer: FlexOffer, *measurements: Measurement) -> Account:
    return Account(contract=CONTRACT, offers=(offer,), measurements=measurements, start=T0, end=T0 + timedelta(days=1))


def _tries(aggregate: Aggregate) -> list[Schedule]:
    """Schedules that the aggregate allows: its default, and where nothing couples slices lowest, middle and highest."""
    offer = aggregate.offer
    found = [] if offer.default_schedule is None else [offer.default_schedule]
    profile = offer.profiles[0]
    spans = [s.span_kwh() for s in profile.slices]
    for start in offer.window(T0):
        for share in (0.0, 0.3, 1.0):
            pieces = tuple(
                ScheduleSlice(energy_kwh=lo + share * (hi - lo), duration=piece.min_duration)
                for (lo, hi), piece in zip(spans, profile.slices, strict=True)
            )
            found.append(Schedule(start=start, slices=pieces))
    return [plan for plan in found if not violations(offer, plan)]
