"""USEF 2015's mappings: there and back is the same message, to UFTP and to the core; energy and money are conserved."""

from __future__ import annotations

import uuid
from contextlib import suppress
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexhub.conformance.corpora import corpus
from flexhub.core import documents
from flexhub.core.errors import FlexhubError, InvalidError
from flexhub.core.flexoffer import FlexOffer
from flexhub.core.timeseries import Measurement, TimeSeries
from flexhub.core.trading import Bill, Order
from flexhub.core.trading import FlexRequest as CoreRequest
from flexhub.mappings.fates import SERIOUS, Kind, Loss
from flexhub.mappings.registry import Mapping, mappings
from flexhub.mappings.uftp.context import Context as UftpContext
from flexhub.mappings.usef2015 import bridge, settlement
from flexhub.mappings.usef2015.context import Context, Name, ids_of, kept_of, split
from flexhub.protocols.rules import broken
from flexhub.protocols.uftp import messages as uftp
from flexhub.protocols.uftp.checks import powers
from flexhub.protocols.uftp.codec import Shape, UftpCodec, shapes
from flexhub.protocols.uftp.rules import RULES as UFTP_RULES
from flexhub.protocols.uftp.times import instant
from flexhub.protocols.usef2015 import messages as wire
from flexhub.protocols.usef2015.checks import spread
from flexhub.protocols.usef2015.codec import UsefCodec
from flexhub.protocols.usef2015.rules import RULES
from tests.protocols.generated import EACH, elements
from tests.protocols.test_uftp_codec import ENUMS

CODEC, UFTP = UsefCodec(), UftpCodec()
CORE = {mapping.message: mapping for mapping in mappings("usef2015")}
FILES: dict[str, Any] = {f.name: CODEC.decode(f.data) for f in corpus("usef2015").accepted}
THEIRS: dict[str, Any] = {f.name: UFTP.decode(f.data) for f in corpus("uftp").accepted if f.name.endswith(".xml")}
IDS = ids_of(FILES.values())
DAYS = {"2026-03-29": 92, "2026-03-30": 96, "2026-10-25": 100}

NO_UFTP = {
    "plan.xml": "no A-Plan",
    "request-plan.xml": "without a congestion point",
    "offer-nothing.xml": "without a congestion point",
    "update-brp.xml": "no BRP",
    "query-response.xml": "counts connections",
    "meter-query.xml": "unasked",
    "meter-response.xml": "2 days",
}
ALTERED = {"query.xml": Kind.BOUND, "extended.xml": Kind.DROPPED}
"""UFTP asks about all connections, and holds nothing of other namespaces."""


@pytest.mark.parametrize("name", sorted(FILES.keys() - NO_UFTP.keys()))
def test_to_uftp_and_back_is_the_same_message_and_breaks_no_rule(name: str) -> None:
    m = FILES[name]
    ctx = Context(kept=kept_of(m), ids=IDS)
    there = bridge.to_uftp(m, ctx)
    assert broken(UFTP_RULES, there.value) == []
    assert UFTP.decode(UFTP.encode(there.value)) == there.value
    assert there.value.message_id == m.message_metadata.message_id
    back = bridge.to_usef(there.value, ctx)
    assert broken(RULES, back.value) == []
    assert CODEC.decode(CODEC.encode(back.value)) == back.value
    assert (back.value == m) is (name not in ALTERED)
    kinds = {loss.kind for loss in there.losses}
    assert (ALTERED.get(name) in kinds) is (name in ALTERED)
    assert kinds.isdisjoint(SERIOUS) or name in ALTERED


@pytest.mark.parametrize("name", sorted(NO_UFTP))
def test_what_uftp_has_no_counterpart_of_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(InvalidError, match=NO_UFTP[name]):
        bridge.to_uftp(FILES[name], Context())


def test_every_message_of_both_has_a_counterpart_or_says_why_not() -> None:
    ours, theirs = {row.message for row in bridge.MAPPINGS}, {row.core for row in bridge.MAPPINGS}
    assert ours | bridge.NO_UFTP.keys() == set(wire.MESSAGES)
    assert theirs | bridge.NO_USEF.keys() == set(uftp.MESSAGES)
    assert not ours & bridge.NO_UFTP.keys()
    assert not theirs & bridge.NO_USEF.keys()


@pytest.mark.parametrize("name", sorted(THEIRS))
def test_a_message_of_uftp_becomes_one_that_breaks_no_rule_or_is_refused(name: str) -> None:
    u = THEIRS[name]
    if type(u) in bridge.NO_USEF:
        with pytest.raises(InvalidError, match="no counterpart"):
            bridge.to_usef(u, Context())
        return
    m = bridge.to_usef(u, Context()).value
    off = {"USEF-29"} if name in ("request-spring.xml", "request-autumn.xml") else set()  # UFTP wants no available ISP
    assert broken(RULES, m, off=off) == []
    assert CODEC.decode(CODEC.encode(m)) == m


def _core_again(m: Any, **choices: Any) -> Any:
    mapping: Mapping = CORE[type(m)]
    ctx = Context(kept=kept_of(m), ids=IDS, **choices)
    inward = mapping.to_core(m, ctx)
    assert documents.decode(mapping.core, documents.encode(inward.value)) == inward.value
    outward = mapping.to_wire(inward.value, ctx)
    assert [loss for loss in (*inward.losses, *outward.losses) if loss.kind in SERIOUS] == []
    assert CODEC.decode(CODEC.encode(outward.value)) == outward.value
    return outward.value


@pytest.mark.parametrize(
    "name", sorted({n for n, m in FILES.items() if type(m) in CORE} - {"offer-nothing.xml", "meter-response.xml"})
)
def test_to_the_core_and_back_is_the_same_message(name: str) -> None:
    m = FILES[name]
    back = _core_again(m)
    if isinstance(m, wire.FlexRequest | wire.FlexOffer):
        assert instant(m.expiration_date_time) == instant(back.expiration_date_time)
        m = msgspec.structs.replace(m, expiration_date_time=back.expiration_date_time)
    assert back == m


def test_an_offer_of_nothing_is_none() -> None:
    with pytest.raises(InvalidError, match="nothing"):
        CORE[wire.FlexOffer].to_core(FILES["offer-nothing.xml"], Context())


def test_metered_consumption_is_negative_on_the_wire_and_positive_in_the_core_and_in_uftp() -> None:
    m = FILES["meter-usage.xml"]
    taken = CORE[wire.MeterDataQueryResponse].to_core(m, Context()).value
    assert isinstance(taken, Measurement)
    assert taken.values_kwh == (1.0,) * 95 + (-0.25,)
    metering = bridge.to_uftp(m, Context()).value
    assert isinstance(metering, uftp.Metering)
    assert metering.ean == "E871685900012636001"
    assert {isp.value for isp in metering.profiles[0].isps} == {Decimal(4), Decimal(-1)}
    whole = FILES["meter-response.xml"]
    subjects = [CORE[type(p)].to_core(p, Context()).value.subject for p in settlement.parts(whole)]
    assert subjects == ["ean.871685900012636001", "agr.example.com"]


def test_an_a_plan_is_the_baseline_of_the_brp() -> None:
    series = CORE[wire.Prognosis].to_core(FILES["plan.xml"], Context()).value
    assert isinstance(series, TimeSeries)
    assert series.subject == "brp.example.com"
    assert set(series.values_kwh) == {175.0}


def test_the_price_of_each_ptu_is_the_price_of_its_slice() -> None:
    offer = CORE[wire.FlexOffer].to_core(FILES["offer.xml"], Context()).value
    assert isinstance(offer, FlexOffer)
    costs = [
        piece.price.cost_eur(piece.energy_kwh[0].hi_kwh)
        for piece in offer.profiles[0].slices
        if piece.price is not None
    ]
    assert costs == pytest.approx([1.25, 1.25, 4.5, 4.5, 3.0, 3.5])
    bare = msgspec.structs.replace(offer, extras={k: v for k, v in offer.extras.items() if k != "usef2015"})
    kept = {"message_metadata": FILES["offer.xml"].message_metadata}
    back = CORE[wire.FlexOffer].to_wire(bare, Context(kept=kept)).value
    assert spread(back.ptus) == spread(FILES["offer.xml"].ptus)


def test_sums_of_a_settlement_are_those_of_the_bill() -> None:
    m = FILES["settlement.xml"]
    bill = CORE[wire.SettlementMessage].to_core(m, Context()).value
    assert isinstance(bill, Bill)
    net = sum(p.net_settlement * p.duration for item in m.flex_order_settlements for p in item.ptu_settlements)
    assert sum(line.amount for line in bill.lines) == net == Decimal("16.5")
    other = msgspec.structs.replace(bill.lines[0], amount=bill.lines[0].amount + Decimal("0.01"))
    wrong = msgspec.structs.replace(bill, lines=(other, *bill.lines[1:]))
    with pytest.raises(InvalidError, match="agree"):
        CORE[wire.SettlementMessage].to_wire(wrong, Context(kept=kept_of(m)))


WATTS = st.integers(-(10**7), 10**7).filter(bool)
AMOUNTS = st.integers(0, 10**6).map(lambda n: Decimal(n) / 10**4)


@st.composite
def offers(draw: st.DrawFn) -> wire.FlexOffer:
    period = draw(st.sampled_from(sorted(DAYS)))
    numbers = sorted(draw(st.sets(st.integers(1, DAYS[period]), min_size=1, max_size=6)))
    ptus = tuple(wire.Ptu(power_w=draw(WATTS), start=n, price=draw(AMOUNTS)) for n in numbers)
    sequence = draw(st.integers(0, 10**18 - 1))
    offer: wire.FlexOffer = FILES["offer.xml"]
    return msgspec.structs.replace(offer, period=period, ptus=ptus, flex_request_sequence=sequence)


@given(offers(), st.booleans())
def test_offers_to_uftp_and_back(m: wire.FlexOffer, known: bool) -> None:
    """With what is kept exactly; without it powers, the whole price and, held by its id, the request come back."""
    ctx = Context(kept=kept_of(m)) if known else Context()
    u = bridge.to_uftp(m, ctx).value
    assert isinstance(u, uftp.FlexOffer)
    assert u.offer_options[0].price == sum((p.price or Decimal(0) for p in m.ptus), Decimal(0))
    back = bridge.to_usef(u, ctx).value
    assert isinstance(back, wire.FlexOffer)
    assert back.flex_request_sequence == m.flex_request_sequence
    if known:
        assert spread(back.ptus) == spread(m.ptus)
    told = {n: power for n, (power, _) in spread(back.ptus).items()}
    assert told == {n: power for n, (power, _) in spread(m.ptus).items()}
    prices = [price or Decimal(0) for _, price in spread(back.ptus).values()]
    assert sum(prices, Decimal(0)) == u.offer_options[0].price


@given(offers())
def test_offers_to_the_core_and_back(m: wire.FlexOffer) -> None:
    offer = CORE[wire.FlexOffer].to_core(m, Context()).value
    moved = sum(r.energy_kwh[0].hi_kwh for r in offer.profiles[0].slices)
    assert moved == pytest.approx(sum(p.power_w for p in m.ptus) / 4000)
    assert spread(_core_again(m).ptus) == spread(m.ptus)


@given(st.sampled_from(sorted(DAYS)), st.data())
def test_prognoses_of_every_kind_of_day(period: str, data: st.DataObject) -> None:
    told = data.draw(st.lists(WATTS, min_size=DAYS[period], max_size=DAYS[period]))
    ptus = tuple(wire.Ptu(power_w=w, start=n) for n, w in enumerate(told, 1))
    for name in ("prognosis.xml", "plan.xml"):
        m = msgspec.structs.replace(FILES[name], period=period, ptus=ptus)
        series = CORE[wire.Prognosis].to_core(m, Context()).value
        assert sum(series.values_kwh) == pytest.approx(sum(told) / 4000)
        assert spread(_core_again(m).ptus) == spread(ptus)


@given(st.sampled_from(sorted(DAYS)), st.data())
def test_requests_to_uftp_to_the_core_and_back(period: str, data: st.DataObject) -> None:
    numbers = sorted(data.draw(st.sets(st.integers(1, DAYS[period]), min_size=2, max_size=6)))
    words = [uftp.Disposition.REQUESTED, *[uftp.Disposition.AVAILABLE] * (len(numbers) - 1)]
    ptus = tuple(
        wire.Ptu(disposition=word, power_w=data.draw(WATTS), start=n) for n, word in zip(numbers, words, strict=True)
    )
    m = msgspec.structs.replace(FILES["request.xml"], period=period, ptus=ptus)
    ctx = Context(kept=kept_of(m))
    u = bridge.to_uftp(m, ctx).value
    assert isinstance(u, uftp.FlexRequest)
    assert all(min(isp.min_power_w, 0) * max(isp.max_power_w, 0) == 0 for isp in u.isps)
    assert bridge.to_usef(u, ctx).value == m
    assert spread(_core_again(m).ptus) == spread(ptus)
    core = CORE[wire.FlexRequest].to_core(m, Context()).value
    assert isinstance(core, CoreRequest)
    assert [i.lo_kwh or i.hi_kwh for i in core.intervals] == [p.power_w / 4000 for p in ptus]


@given(AMOUNTS, st.dictionaries(st.integers(1, 100), st.integers(0, 10**9) | st.floats(0, 1e6), min_size=1))
def test_what_is_split_adds_up(total: Decimal, weights: dict[int, float]) -> None:
    parts = split(total, weights)
    assert parts.keys() == weights.keys()
    assert sum(parts.values()) == total
    assert all(part >= 0 for part in parts.values())


@given(st.lists(st.tuples(AMOUNTS, AMOUNTS, WATTS), min_size=1, max_size=8))
def test_settlements_conserve_every_sum_both_ways(told: list[tuple[Decimal, Decimal, int]]) -> None:
    ptus = tuple(
        wire.PtuSettlement(
            start=n,
            prognosis_power_w=0,
            ordered_flex_power_w=watts,
            price=price,
            actual_power_w=watts,
            delivered_flex_power_w=watts,
            power_deficiency_w=n,
            penalty=penalty,
            net_settlement=price - penalty,
        )
        for n, (price, penalty, watts) in enumerate(told, 1)
    )
    whole = FILES["settlement.xml"]
    item = msgspec.structs.replace(whole.flex_order_settlements[0], ptu_settlements=ptus)
    m = msgspec.structs.replace(whole, flex_order_settlements=(item,))
    u = bridge.to_uftp(m, Context()).value
    assert isinstance(u, uftp.FlexSettlement)
    for ctx in (Context(), Context(kept=kept_of(m))):
        back = bridge.to_usef(u, ctx).value
        assert isinstance(back, wire.SettlementMessage)
        assert broken(RULES, back) == []
        ours = [p for one in back.flex_order_settlements for p in one.ptu_settlements]
        for name in ("price", "penalty", "net_settlement"):
            want = getattr(u.flex_order_settlements[0], name)
            assert sum(getattr(p, name) * p.duration for p in ours) == want == sum(getattr(p, name) for p in ptus)
    assert bridge.to_usef(u, Context(kept=kept_of(m))).value.message_metadata == m.message_metadata


@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from(["FlexRequest", "FlexOffer"]))
def test_an_id_that_is_made_holds_its_sequence(sequence: int, kind: str) -> None:
    losses: list[Loss] = []
    name = Name(kind, "dso.example.com", str(sequence))
    made = Context().id_of(name, "", losses)
    assert uuid.UUID(made).version == 8
    assert uuid.UUID(made).variant == uuid.RFC_4122
    assert [loss.kind for loss in losses] == [Kind.DEFAULTED]
    assert Context().key_of(kind, "dso.example.com", made.upper(), "", losses) == str(sequence)
    assert len(losses) == 1
    assert Context().key_of(kind, "other.example.com", made, "", losses) != str(sequence)
    assert len(losses) == 2
    known = Context(ids={name: made.upper()})
    assert known.id_of(name, "", losses) == made.upper()
    assert known.key_of(kind, "dso.example.com", made, "", losses) == str(sequence)
    assert len(losses) == 2


@given(st.uuids())
def test_a_reference_to_any_message_of_uftp_can_be_written(message_id: uuid.UUID) -> None:
    order = msgspec.structs.replace(THEIRS["order.xml"], flex_offer_message_id=str(message_id))
    m = bridge.to_usef(order, Context()).value
    assert CODEC.decode(CODEC.encode(m)) == m
    assert isinstance(m, wire.FlexOrder)
    again = bridge.to_usef(order, Context()).value
    assert again == m


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("offer.xml", ["FlexOffer/OfferOption[1]", "FlexOffer/OfferOption[0]/@MinActivationFactor"]),
        ("request.xml", ["FlexRequest/ISP[2]"]),
        ("order-partial.xml", ["FlexOrder/@ActivationFactor"]),
        ("order.xml", []),
    ],
)
def test_what_usef_2015_cannot_say_is_a_lost_bound(name: str, paths: list[str]) -> None:
    losses = bridge.to_usef(THEIRS[name], Context()).losses
    assert [loss.path for loss in losses if loss.kind in SERIOUS] == paths


def test_an_offer_of_one_option_comes_back_from_usef_2015() -> None:
    offer = THEIRS["offer.xml"]
    one = msgspec.structs.replace(offer.offer_options[0], min_activation_factor=Decimal(1))
    offer = msgspec.structs.replace(offer, offer_options=(one,), contract_id=None, d_prognosis_message_id=None)
    ids = {Name("FlexRequest", "dso.example.com", "7"): offer.flex_request_message_id}
    there = bridge.to_usef(offer, Context(ids=ids))
    assert [loss.kind for loss in there.losses] == [Kind.DEFAULTED]  # the Sequence, which UFTP hasn't
    back = bridge.to_uftp(there.value, Context(ids=ids)).value
    assert isinstance(back, uftp.FlexOffer)
    option = back.offer_options[0]
    assert (option.price, powers(option.isps)) == (one.price, powers(one.isps))
    named = msgspec.structs.replace(option, option_reference=one.option_reference, isps=one.isps)
    assert msgspec.structs.replace(back, offer_options=(named,)) == offer


def test_half_of_an_option_has_half_its_powers() -> None:
    order = THEIRS["order-copied.xml"]
    ctx = Context(uftp=UftpContext(offer=THEIRS["offer.xml"]))
    m = bridge.to_usef(order, ctx).value
    assert isinstance(m, wire.FlexOrder)
    factor = order.activation_factor
    assert {n: w for n, (w, _) in spread(m.ptus).items()} == {
        n: round(w * factor) for n, w in powers(order.isps).items()
    }
    core = CORE[wire.FlexOrder].to_core(m, Context()).value
    assert isinstance(core, Order)
    assert core.price == order.price


@pytest.mark.parametrize("form", [f for f in shapes() if f.kind is not uftp.SignedMessage], ids=lambda form: form.name)
@EACH
@given(data=st.data())
def test_every_message_of_uftp_is_mapped_or_refused(form: Shape, data: st.DataObject) -> None:
    u = data.draw(elements(form, ENUMS, "3.1.0"))
    with suppress(FlexhubError):  # and nothing else
        bridge.to_usef(u, Context())
