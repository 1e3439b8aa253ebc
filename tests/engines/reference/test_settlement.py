"""Settlement: the contract's formula line by line, and delivery against an order by USEF's vector."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexhub.core.billing import BILLED, billed_at
from flexhub.core.flexoffer import EnergyRange, FlexOffer, Profile, Schedule, ScheduleSlice, Slice, State
from flexhub.core.timeseries import Measurement, Quality
from flexhub.core.trading import Basis, Bill, Contract, Verdict
from flexhub.engines.reference.settlement import bill, delivered, net_eur, requested_kwh
from flexhub.engines.slots import Account

T0 = datetime(2026, 1, 10, tzinfo=UTC)
STEP = timedelta(minutes=15)
CONTRACT = Contract(
    id="c",
    prosumer="p",
    aggregator="agg",
    valid_from=T0,
    fixed_eur=1.0,
    per_time_flexibility_eur=0.01,
    per_energy_flexibility_eur_per_kwh=0.02,
    per_activation_eur=0.5,
    per_start_shift_eur=0.03,
    per_deviation_eur_per_kwh=0.1,
    imbalance_limit_kwh=0.25,
)


def schedule(slot: int, *energies: float) -> Schedule:
    return Schedule(start=T0 + slot * STEP, slices=tuple(ScheduleSlice(energy_kwh=e) for e in energies))


OFFER = FlexOffer(
    id="o",
    issuer="p",
    contract="c",
    state=State.EXECUTED,
    created=T0,
    start_after=T0 + 4 * STEP,
    start_before=T0 + 8 * STEP,
    profiles=(Profile(slices=(Slice(energy_kwh=(EnergyRange(0, 2),)),) * 2),),
    default_schedule=schedule(4, 2, 2),
    schedule=schedule(7, 1.5, 0.5),
)


def readings(*values: float | None, slot: int = 7, **more: object) -> Measurement:
    fields: dict[str, object] = {"subject": "m", "start": T0 + slot * STEP, "values_kwh": values, "offer": "o"}
    return Measurement(**(fields | more))  # type: ignore[arg-type]  # fields by name


def settle(*measurements: Measurement, offer: FlexOffer = OFFER) -> Bill:
    account = Account(
        contract=CONTRACT, offers=(offer,), measurements=measurements, start=T0, end=T0 + timedelta(days=1)
    )
    return bill(account, "b")


def test_pays_each_item_of_the_contract() -> None:
    paid = settle(readings(1.5, 0.5))
    assert {x.item: (x.quantity, x.amount) for x in paid.lines} == {
        "fixed": (1, Decimal("1.00")),
        "time flexibility": (4, Decimal("0.04")),
        "energy flexibility": (4, Decimal("0.08")),
        "activation": (1, Decimal("0.50")),
        "start shift": (3, Decimal("0.09")),
        "deviation": (2, Decimal("0.20")),
    }
    assert {x.verdict for x in paid.lines} == {Verdict.PAID}
    assert paid.total(Basis.FACTUAL) == Decimal("1.91")
    assert paid.total(Basis.PREDICTED) == 0


@pytest.mark.parametrize(
    ("name", "measured", "basis", "verdict"),
    [
        ("as scheduled", [readings(1.5, 0.5)], Basis.FACTUAL, Verdict.PAID),
        ("at the limit", [readings(1.75, 0.75)], Basis.FACTUAL, Verdict.PAID),
        ("over the limit", [readings(1.75, 0.76)], Basis.FACTUAL, Verdict.REFUSED),
        ("under and over do not cancel", [readings(1.2, 0.8)], Basis.FACTUAL, Verdict.REFUSED),
        ("summed, not overwritten", [readings(2.1, 0.5)], Basis.FACTUAL, Verdict.REFUSED),
        ("a reading is missing", [readings(1.5, None)], Basis.FACTUAL, Verdict.UNVERIFIED),
        ("suspect", [readings(1.5, 0.5, quality=(Quality.MEASURED, Quality.SUSPECT))], Basis.FACTUAL,
         Verdict.UNVERIFIED),
        ("estimated", [readings(1.5, 0.5, quality=(Quality.MEASURED, Quality.ESTIMATED))], Basis.FACTUAL, Verdict.PAID),
        ("half of it was sent", [readings(1.5)], Basis.FACTUAL, Verdict.UNVERIFIED),
        ("nothing yet", [], Basis.PREDICTED, Verdict.PAID),
        ("another offer's", [readings(9, 9, offer="x")], Basis.PREDICTED, Verdict.PAID),
        ("replaced by a later reading", [readings(9, 9), readings(1.5, 0.5)], Basis.FACTUAL, Verdict.PAID),
        ("finer", [readings(*[0.5] * 3, *[0.5 / 3] * 3, resolution_s=300)], Basis.FACTUAL, Verdict.PAID),
        ("coarser", [readings(2.0, slot=4, resolution_s=3600)], Basis.FACTUAL, Verdict.UNVERIFIED),
    ],
)  # fmt: skip
def test_judges_by_the_readings(name: str, measured: list[Measurement], basis: Basis, verdict: Verdict) -> None:
    lines = [x for x in settle(*measured).lines if x.offer is not None]
    assert {(x.basis, x.verdict) for x in lines} == {(basis, verdict)}, name
    assert all((x.amount > 0) == (verdict is Verdict.PAID) for x in lines)


def test_does_not_pay_for_what_was_taken_back() -> None:
    assert len(settle(readings(1.5, 0.5)).lines) == 6
    canceled = msgspec.structs.replace(OFFER, state=State.CANCELED)
    assert [x.item for x in settle(readings(1.5, 0.5), offer=canceled).lines] == ["fixed"]


@pytest.mark.parametrize("state", State)
def test_pays_in_the_states_that_are_billed(state: State) -> None:
    offer = msgspec.structs.replace(OFFER, state=state, schedule=None)
    lines = {x.item: x.basis for x in settle(offer=offer).lines}
    basis = Basis.FACTUAL if state is State.EXPIRED else Basis.PREDICTED
    offered = {"time flexibility": basis, "energy flexibility": basis}
    assert lines == {"fixed": Basis.FACTUAL} | (offered if state in BILLED else {})


def test_an_offer_is_billed_where_it_starts() -> None:
    plain = msgspec.structs.replace(OFFER, schedule=None, default_schedule=None)
    by_default = msgspec.structs.replace(plain, default_schedule=schedule(5, 2, 2))
    assert [billed_at(o) for o in (plain, by_default, OFFER)] == [T0 + slot * STEP for slot in (4, 5, 7)]


def test_usef_vector() -> None:
    """Baseline 10, ordered 2 less at 7 EUR with a penalty of 11 EUR; mirrored for an increase."""
    for allocation, eur in ((7, 14), (8, 14), (9, -4), (10, -22), (11, -33)):
        down = delivered(np.array([10.0]), np.array([-2.0]), np.array([float(allocation)]))
        up = delivered(np.array([10.0]), np.array([2.0]), np.array([20.0 - allocation]))
        assert net_eur(down, 7, 11) == net_eur(up, 7, 11) == eur


numbers = st.floats(-100, 100)


@given(numbers, numbers, numbers)
def test_delivery_is_within_the_order(baseline: float, ordered: float, allocation: float) -> None:
    one = delivered(np.array([baseline]), np.array([ordered]), np.array([allocation]))
    assert 0 <= one.delivered_kwh <= one.requested_kwh == abs(ordered)
    assert one.deficiency[0] >= 0
    if ordered == 0:
        assert one.deficiency[0] == 0


def test_requested_change_is_what_bounds_ask() -> None:
    asked = requested_kwh(np.array([5.0, 5.0, 5.0]), np.array([-np.inf, 7.0, 1.0]), np.array([3.0, np.inf, 9.0]))
    assert asked.tolist() == [-2, 2, 0]
