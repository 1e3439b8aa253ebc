"""UFTP's mappings: there and back is the same message, energy is conserved, and days have 92, 96 and 100 ISPs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexhub.conformance.corpora import corpus
from flexhub.core import documents
from flexhub.core.errors import InvalidError
from flexhub.core.feasibility import infeasible
from flexhub.core.flexoffer import FlexOffer, Schedule, ScheduleSlice
from flexhub.core.judge import violations
from flexhub.core.timeseries import SeriesKind, TimeSeries
from flexhub.mappings.fates import SERIOUS, Kind
from flexhub.mappings.registry import Mapping, mappings
from flexhub.mappings.uftp import settlement
from flexhub.mappings.uftp.context import Context, day, kept_of
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.checks import powers
from flexhub.protocols.uftp.codec import UftpCodec

CODEC = UftpCodec()
BY_MESSAGE = {mapping.message: mapping for mapping in mappings("uftp")}
FILES = {f.name: CODEC.decode(f.data) for f in corpus("uftp").accepted if f.name.endswith(".xml")}
MAPPED = {name: m for name, m in FILES.items() if type(m) in BY_MESSAGE}
DAYS = {"2026-03-29": 92, "2026-03-30": 96, "2026-10-25": 100}


def there_and_back(m: Any, **choices: Any) -> Any:
    mapping: Mapping = BY_MESSAGE[type(m)]
    kept = kept_of(m)
    if isinstance(m, wire.FlexSettlement):
        choices |= {"items": m.flex_order_settlements, "contracts": m.contract_settlements}
    ctx = Context(kept=kept, **choices)
    inward = mapping.to_core(m, ctx)
    if not isinstance(inward.value, FlexOffer) or inward.value.profiles:
        assert documents.decode(mapping.core, documents.encode(inward.value)) == inward.value
    outward = mapping.to_wire(inward.value, ctx)
    assert [loss for loss in (*inward.losses, *outward.losses) if loss.kind in SERIOUS] == []
    return outward.value


@pytest.mark.parametrize("name", sorted(set(MAPPED) - {"metering-energy.xml"}))
def test_there_and_back_is_the_same_message(name: str) -> None:
    m = MAPPED[name]
    offer = FILES["offer.xml"]
    assert isinstance(offer, wire.FlexOffer)
    back = there_and_back(m, offer=offer, copied=name != "order-partial.xml")
    assert CODEC.decode(CODEC.encode(back)) == back
    if isinstance(m, wire.FlexRequest | wire.FlexOffer):
        m = msgspec.structs.replace(m, expiration_date_time=back.expiration_date_time)
        assert back.expiration_date_time.endswith("Z")
    assert back == m


META = kept_of(FILES["test.xml"])
GRID = {"isp_duration": "PT15M", "time_zone": "Europe/Amsterdam", "congestion_point": "ean.871685900012636543"}
WATTS = st.integers(-(10**7), 10**7)


@st.composite
def offers(draw: st.DrawFn) -> wire.FlexOffer:
    period = draw(st.sampled_from(sorted(DAYS)))
    options = []
    for i in range(draw(st.integers(1, 3))):
        numbers = draw(st.sets(st.integers(1, DAYS[period]), min_size=1, max_size=5))
        isps = tuple(wire.Isp(power_w=draw(WATTS.filter(bool)), start=n) for n in sorted(numbers))
        factor = Decimal(draw(st.integers(1, 100))) / 100
        price = Decimal(draw(st.integers(0, 10**6))) / 10**4
        option = wire.OfferOption(option_reference=str(i), price=price, min_activation_factor=factor, isps=isps)
        options.append(option)
    return wire.FlexOffer(
        **META,
        **GRID,
        period=period,
        unsolicited=True,
        baseline_reference="b",
        expiration_date_time="2026-03-28T12:00:00Z",
        currency="EUR",
        offer_options=tuple(options),
    )


def _merged(m: wire.FlexOffer) -> dict[str, Any]:
    return {o.option_reference: (o.price, o.min_activation_factor, powers(o.isps)) for o in m.offer_options}


@given(offers(), st.booleans())
def test_options_there_and_back(m: wire.FlexOffer, known: bool) -> None:
    whole = day(m.period, m.time_zone, m.isp_duration)
    baseline = TimeSeries(subject="x", kind=SeriesKind.BASELINE, start=whole.first, values_kwh=(123.0,) * whole.count)
    back = there_and_back(m, baseline=baseline if known else None)
    assert _merged(back) == _merged(m)


@given(offers())
def test_energy_is_conserved_and_partial_activation_scales_all_isps_alike(m: wire.FlexOffer) -> None:
    whole = day(m.period, m.time_zone, m.isp_duration)
    offer = BY_MESSAGE[wire.FlexOffer].to_core(m, Context()).value
    assert not infeasible(offer, offer.created)
    for k, option in enumerate(m.offer_options):
        slices = offer.profiles[k].slices
        told = powers(option.isps)
        full = sum(told.values()) * 15 / 60_000
        first = whole.number(offer.start_after)
        want = [told.get(first + i, 0) * 15 / 60_000 for i in range(len(slices))]
        assert sum(want) == pytest.approx(full)
        for factor in (option.min_activation_factor, Decimal(1)):
            pieces = tuple(ScheduleSlice(energy_kwh=kwh * float(factor)) for kwh in want)
            assert violations(offer, Schedule(start=offer.start_after, slices=pieces, profile=k)) == []
        least = float(option.min_activation_factor)
        uneven = [kwh * least for kwh in want[:-1]] + want[-1:]
        if least < 0.9 and sum(1 for n in told if n) > 1 and abs(want[-1]) > 0.1:
            pieces = tuple(ScheduleSlice(energy_kwh=kwh) for kwh in uneven)
            others = max(map(abs, want[:-1]))
            if others > 0.1:
                assert violations(offer, Schedule(start=offer.start_after, slices=pieces, profile=k))


@given(st.sampled_from(sorted(DAYS)), st.data())
def test_prognoses_and_requests_of_every_kind_of_day(period: str, data: st.DataObject) -> None:
    count = DAYS[period]
    told = data.draw(st.lists(WATTS, min_size=count, max_size=count))
    isps = tuple(wire.PrognosisIsp(power_w=w, start=n) for n, w in enumerate(told, 1))
    m = wire.DPrognosis(**META, **GRID, period=period, revision=3, isps=isps)
    series = BY_MESSAGE[wire.DPrognosis].to_core(m, Context()).value
    assert len(series.values_kwh) == count
    assert sum(series.values_kwh) == pytest.approx(sum(told) / 4000)
    assert powers(there_and_back(m).isps) == dict(enumerate(told, 1))


def test_an_isp_that_the_day_does_not_have_is_refused() -> None:
    m = FILES["request-spring.xml"]
    assert isinstance(m, wire.FlexRequest)
    assert there_and_back(m).isps == m.isps
    late = msgspec.structs.replace(m, isps=(msgspec.structs.replace(m.isps[0], start=93),))
    with pytest.raises(InvalidError, match="92"):
        BY_MESSAGE[wire.FlexRequest].to_core(late, Context())


def test_import_and_export_are_netted_and_a_gap_stays_one() -> None:
    m = FILES["metering-energy.xml"]
    taken = BY_MESSAGE[wire.Metering].to_core(m, Context()).value
    assert taken.values_kwh[:3] == (0.25, None, 0.3)
    assert len(taken.values_kwh) == 96


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(
    ("actual", "net"), [(7, "14.00"), (8, "14.00"), (9, "-4.00"), (10, "-22.00"), (11, "-33.00")]
)  # section 2.6: baseline 10 MW, 2 MW ordered at 7 EUR/MW, penalty 11 EUR/MW
def test_the_settlement_of_the_standards_example(actual: int, net: str, sign: int) -> None:
    """For a reduction as in the text, and mirrored for an increase."""
    m = FILES["order.xml"]
    assert isinstance(m, wire.FlexOrder)
    order = msgspec.structs.replace(m, price=Decimal(14), isps=(wire.Isp(power_w=-2_000_000 * -sign, start=41),))
    item = settlement.settle(order, {41: 10_000_000}, {41: 10_000_000 + sign * (10 - actual) * 1_000_000}, Decimal(11))
    assert item.net_settlement == Decimal(net)
    assert item.net_settlement == sum(line.amount for line in settlement.lines(item, 15))


def test_half_of_an_option_that_looks_like_another_one_is_still_half() -> None:
    offer = FILES["offer.xml"]
    assert isinstance(offer, wire.FlexOffer)
    whole, half = (
        wire.OfferOption(
            option_reference=name,
            price=Decimal(8),
            min_activation_factor=Decimal("0.5"),
            isps=(wire.Isp(power_w=watts, start=41),),
        )
        for name, watts in (("whole", -4000), ("half", -2000))
    )
    offer = msgspec.structs.replace(offer, offer_options=(whole, half))
    order = FILES["order.xml"]
    assert isinstance(order, wire.FlexOrder)
    # half of an option that is written scaled, and half of one that is written copied
    for reference, watts, ordered in (("whole", -2000, -0.5), ("half", -2000, -0.25)):
        isps = (wire.Isp(power_w=watts, start=41),)
        m = msgspec.structs.replace(
            order, option_reference=reference, activation_factor=Decimal("0.5"), price=Decimal(4), isps=isps
        )
        assert BY_MESSAGE[wire.FlexOrder].to_core(m, Context(offer=offer)).value.deviation_kwh == (ordered,)
        assert powers(settlement.as_delivered(m, offer).isps) == {41: ordered * 4000}


def test_settlement_and_bill_agree_and_a_difference_is_disputed() -> None:
    m = FILES["settlement.xml"]
    assert isinstance(m, wire.FlexSettlement)
    item = m.flex_order_settlements[0]
    ours = {"o-1": item}
    assert [s.disposition for s in settlement.judged(m, ours)] == [wire.Verdict.ACCEPTED]
    cent = msgspec.structs.replace(item, net_settlement=item.net_settlement - Decimal("0.01"))
    assert [s.disposition for s in settlement.judged(m, {"o-1": cent})] == [wire.Verdict.DISPUTED]
    bill = BY_MESSAGE[wire.FlexSettlement].to_core(m, Context()).value
    other = msgspec.structs.replace(item, price=item.price + 1, net_settlement=item.net_settlement + 1)
    with pytest.raises(InvalidError, match="agree"):
        BY_MESSAGE[wire.FlexSettlement].to_wire(bill, Context(kept=kept_of(m), items=(other,)))


def test_what_rays_cannot_say_is_a_lost_bound() -> None:
    m = FILES["offer-unsolicited.xml"]
    offer = BY_MESSAGE[wire.FlexOffer].to_core(m, Context()).value
    loose = msgspec.structs.replace(offer, profiles=(msgspec.structs.replace(offer.profiles[0], polytope=None),))
    losses = BY_MESSAGE[wire.FlexOffer].to_wire(loose, Context(kept=kept_of(m))).losses
    assert {loss.kind for loss in losses} == {Kind.BOUND}
    assert BY_MESSAGE[wire.FlexOffer].to_wire(offer, Context(kept=kept_of(m))).losses == ()
