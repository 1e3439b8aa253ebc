"""Offers of every kind, reduced, grouped and handed down: both judges accept what each original is told to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexhub.core.algebra.aggregator import Aggregator
from flexhub.core.algebra.gathering import Form, Gathered, form_of, gather, stand
from flexhub.core.algebra.members import Members
from flexhub.core.algebra.optimum import Prices
from flexhub.core.algebra.reducing import nearest_likely, reduced, restored
from flexhub.core.errors import FlexhubError, InfeasibleError, InvalidError
from flexhub.core.flexoffer import (
    CostRange,
    EnergyRange,
    FlexOffer,
    HalfPlane,
    Polytope,
    Profile,
    Quantity,
    Schedule,
    ScheduleSlice,
    Slice,
    TwoMode,
    Uncertainty,
)
from flexhub.core.judge import violations
from tests.core.algebra.columns import T0, amounts, at, margins, walk
from tests.core.algebra.second import broken_of_any


@st.composite
def slices(draw: st.DrawFn, energy: float) -> Slice:
    """A slice that this energy keeps."""
    lo, hi = energy - draw(margins), energy + draw(margins)
    longest = draw(st.sampled_from((1, 1, 1, 2)))
    match draw(st.sampled_from(("plain", "plain", "ranges", "amounts", "uncertain"))):
        case "ranges":
            ranges = (EnergyRange(lo, hi), EnergyRange(hi + 1, hi + 2), EnergyRange(lo - 3, lo - 2))
            return Slice(energy_kwh=ranges, max_duration=longest)
        case "amounts":
            return Slice(amounts_kwh=(energy, energy + 1.5, energy - 0.5), max_duration=longest)
        case "uncertain":
            known = Uncertainty(
                energies_kwh=(energy - 2, energy - 1, energy, energy + 2),
                probabilities=(0.5, 0.1, 0.9, 0.2),
                threshold=0.4,
            )
            return Slice(energy_kwh=(EnergyRange(energy - 3, energy + 3),), uncertainty=known)
    return Slice(energy_kwh=(EnergyRange(lo, hi),), max_duration=longest)


@st.composite
def profiles(draw: st.DrawFn, most: int = 3) -> Profile:
    """A profile that some energies keep, with bounds of any kind over its slices."""
    inside = draw(st.lists(amounts, min_size=1, max_size=most))
    pieces = [draw(slices(energy)) for energy in inside]
    running = np.cumsum(inside)
    fields: dict[str, Any] = {}
    if draw(st.booleans()):
        fields["total_energy_kwh"] = EnergyRange(running[-1] - draw(margins), running[-1] + draw(margins))
    if draw(st.integers(0, 3)) == 0:
        fields["subtotal_energy_kwh"] = EnergyRange(min(running) - draw(margins), max(running) + draw(margins))
    if draw(st.integers(0, 3)) == 0:
        rows = draw(st.lists(st.lists(st.integers(-2, 2), min_size=len(inside), max_size=len(inside)).filter(any),
                             min_size=1, max_size=3))  # fmt: skip
        limits = tuple(float(np.dot(row, inside)) + draw(margins) for row in rows)
        fields["polytope"] = Polytope(a=tuple(tuple(map(float, row)) for row in rows), b_kwh=limits)
    if draw(st.integers(0, 3)) == 0:
        prior, after = draw(st.sampled_from(((900, 0), (0, 1800), (900, 900))))
        fields["two_mode"] = TwoMode(
            prior_time_s=prior,
            prior_portion=0.5 if prior else 0,
            after_time_s=after,
            after_portion=0.25 if after else 0,
        )
        pieces = [msgspec.structs.replace(piece, max_duration=1) for piece in pieces]
    if draw(st.integers(0, 3)) == 0:
        pieces[-1] = msgspec.structs.replace(
            pieces[-1], polygon=(HalfPlane(1.0, -0.5, float(running[-1] - 1.5 * inside[-1]) + draw(margins)),)
        )
    return Profile(slices=tuple(pieces), **fields)


@st.composite
def any_offers(draw: st.DrawFn, name: str) -> FlexOffer:
    first = draw(st.integers(0, 3))
    return FlexOffer(
        id=name,
        issuer="p",
        created=T0,
        start_after=at(first),
        start_before=at(first + draw(st.integers(0, 2))),
        profiles=tuple(draw(st.lists(profiles(), min_size=1, max_size=2))),
    )


PRICES = Prices(T0, 900, np.random.default_rng(5).normal(0.2, 0.3, 40))


def accepted(original: FlexOffer, schedule: Schedule) -> None:
    assert violations(original, schedule) == []
    assert broken_of_any(original, schedule) == []


def hand_down(gathered: Gathered, offers: Sequence[FlexOffer], random: np.random.Generator) -> set[str]:
    """Random schedules of all groups, down to the originals: the ids that were told something."""
    by_id = {offer.id: offer for offer in offers}
    told: set[str] = set()
    for group in gathered.groups:
        if group.form is not Form.SLICES:
            for standing in stand(group, T0, 3):
                wanted = walk(standing.coupled.dfo, random)
                schedules = standing.schedules(wanted)
                for name, schedule in schedules.items():
                    accepted(by_id[name], schedule)
                assert sum(s.energy_kwh for one in schedules.values() for s in one.slices) == pytest.approx(
                    float(wanted.sum()), abs=1e-6
                )
                told |= schedules.keys()
            continue
        aggregator = Aggregator()
        stand_ins = {member.original.id: member.stand_in for member in group.members}
        aggregator.put(Members.from_offers([one.offer for one in stand_ins.values()], T0))
        found = aggregator.aggregates()
        batch = found.batch
        energies = batch.lo_kwh + random.random(len(batch.lo_kwh)) * (batch.hi_kwh - batch.lo_kwh)
        parts = aggregator.disaggregate(found, batch.last_start, energies)
        mine = parts.members.batch.schedules(parts.starts, parts.energies_kwh)
        for name, schedule in zip(parts.members.batch.ids, mine, strict=True):
            accepted(by_id[name], restored(by_id[name], stand_ins[name], schedule))
            told.add(name)
    return told


@settings(max_examples=50)
@given(st.integers(1, 4).flatmap(lambda n: st.tuples(*(any_offers(f"o{i}") for i in range(n)))), st.integers(0, 99))
def test_what_is_handed_down_both_judges_accept(offers: tuple[FlexOffer, ...], seed: int) -> None:
    gathered = gather(offers, T0, prices=PRICES if seed % 2 else None)
    told = hand_down(gathered, offers, np.random.default_rng(seed))
    assert told | set(gathered.alone) == {offer.id for offer in offers}
    assert not told & set(gathered.alone)
    for reason in gathered.alone.values():
        assert "slices longer" in reason, reason  # nothing here is infeasible


def offer(*of: Profile, **more: Any) -> FlexOffer:
    fields: dict[str, Any] = {
        "id": "o",
        "issuer": "p",
        "created": T0,
        "start_after": at(0),
        "start_before": at(0),
    } | more
    return FlexOffer(profiles=of, **fields)


def plain(*energies: tuple[float, float], **more: Any) -> Profile:
    return Profile(slices=tuple(Slice(energy_kwh=(EnergyRange(*pair),)) for pair in energies), **more)


def test_knows_kinds() -> None:
    row = Slice(energy_kwh=(EnergyRange(0, 1),), polygon=(HalfPlane(1, 1, 1),))
    bent = Slice(energy_kwh=(EnergyRange(0, 1),), polygon=(HalfPlane(1, -1, 1),))
    for profile, kind in (
        (plain((0, 1)), Form.SLICES),
        (plain((0, 1), (0, 1), total_energy_kwh=EnergyRange(1, 1)), Form.STORAGE),
        (plain((0, 1), (0, 1), total_energy_kwh=EnergyRange(0, 2)), Form.SLICES),
        (plain((0, 1), subtotal_energy_kwh=EnergyRange(0, 1)), Form.STORAGE),
        (Profile(slices=(row,)), Form.STORAGE),
        (Profile(slices=(bent,)), Form.DEPENDENT),
        (plain((0, 1), polytope=Polytope(a=((1.0,),), b_kwh=(1.0,))), None),
        (Profile(slices=(Slice(amounts_kwh=(1.0, 2.0)),)), None),
    ):
        assert form_of(offer(profile)) is kind


def test_the_cheapest_profile_range_and_amount_are_chosen() -> None:
    cheap, dear = plain((1, 2)), plain((4, 9))
    rising = Prices(T0, 900, np.array([0.1, 0.3]))
    found = reduced(offer(dear, cheap), T0, prices=rising)
    assert (found.profile, found.offer.profiles[0]) == (1, cheap)
    assert "1 of 2 profiles" in found.losses[-1].what
    assert reduced(offer(dear, cheap), T0).profile == 0  # the widest, without prices
    steps = Profile(
        slices=(Slice(amounts_kwh=(0.0, 2.0, 3.0)), Slice(energy_kwh=(EnergyRange(0, 1), EnergyRange(4, 5)))),
        total_energy_kwh=EnergyRange(3, 6),
    )
    found = reduced(offer(steps), T0, prices=rising)
    assert [s.energy_kwh for s in found.offer.profiles[0].slices] == [(EnergyRange(3, 3),), (EnergyRange(0, 1),)]
    assert found.losses[0].kept == pytest.approx(0.5)


def test_two_modes_are_compared_with_their_payback() -> None:
    mode = TwoMode(after_time_s=900, after_portion=1.0)
    usual = Schedule(start=at(0), slices=(ScheduleSlice(energy_kwh=0.5),) * 2)
    two = offer(plain((-2, -1), two_mode=mode), default_schedule=usual)
    carried = reduced(two, T0, prices=Prices(T0, 900, np.array([0.5, 0.1])))
    assert carried.offer.profiles[0].slices[1].energy_kwh == (EnergyRange(2, 2),)  # what is given back
    assert carried.profile == 0
    left = reduced(two, T0, prices=Prices(T0, 900, np.array([0.1, 0.5])))
    assert left.profile is None
    assert [s.energy_kwh[0].lo_kwh for s in left.offer.profiles[0].slices] == [0.5, 0.5]


def test_a_threshold_leaves_what_is_likely() -> None:
    known = Uncertainty(energies_kwh=(0, 1, 3), probabilities=(0.0, 1.0, 0.0), threshold=0.5)
    uncertain = offer(Profile(slices=(Slice(energy_kwh=(EnergyRange(0, 2),), uncertainty=known),)))
    exact = reduced(uncertain, T0)
    assert (exact.offer.profiles[0].slices[0].energy_kwh, exact.losses) == ((EnergyRange(0.5, 2),), ())
    surer = reduced(uncertain, T0, threshold=0.75)
    assert surer.offer.profiles[0].slices[0].energy_kwh == (EnergyRange(0.75, 1.5),)
    assert "0.75" in surer.losses[0].what
    assert nearest_likely(known, 5.0) == 2.0
    assert nearest_likely(known, 1.2) == 1.2
    sure = msgspec.structs.replace(known, probabilities=(0.0, 0.4, 0.0))
    with pytest.raises(InfeasibleError):
        nearest_likely(sure, 1.0)
    unlikely = offer(Profile(slices=(Slice(energy_kwh=(EnergyRange(0, 2),), uncertainty=sure),)))
    with pytest.raises(InfeasibleError) as caught:
        reduced(unlikely, T0)
    assert caught.value.value == "o"


def test_polytopes_are_exact_where_they_are_storage_like_and_within_where_not() -> None:
    both = plain((0, 2), (0, 2), polytope=Polytope(a=((1.0, 0.0), (2.0, 2.0)), b_kwh=(1.0, 5.0)))
    exact = reduced(offer(both), T0)
    assert exact.losses == ()
    assert exact.offer.profiles[0].slices[1].polygon == (HalfPlane(1, 1, 2.5),)
    assert exact.offer.profiles[0].slices[0].energy_kwh == (EnergyRange(0, 1),)
    even = plain((0, 2), (0, 2), polytope=Polytope(a=((1.0, -1.0), (-1.0, 1.0)), b_kwh=(1.0, 1.0)))
    found = reduced(offer(even), T0)
    assert found.losses[0].kept == pytest.approx(0.5)
    empty = plain((0, 2), (0, 2), polytope=Polytope(a=((1.0, -1.0), (-1.0, 1.0)), b_kwh=(1.0, -1.5)))
    with pytest.raises(InfeasibleError) as caught:
        reduced(offer(empty), T0)
    assert caught.value.value == "o"


def test_each_bad_offer_stays_alone_beside_its_twin() -> None:
    good = plain((0, 1), (0, 1), total_energy_kwh=EnergyRange(1, 1))
    bad = {
        "withdrawn": offer(id="withdrawn"),
        "voltage": offer(good, id="voltage", quantity=Quantity.VOLTAGE),
        "cost": offer(good, id="cost", total_cost_eur=CostRange(0, 1)),
        "infeasible": offer(
            plain((0, 1), polytope=Polytope(a=((1.0,),), b_kwh=(-1.0,))), id="infeasible"
        ),
        "long": offer(
            Profile(slices=(Slice(energy_kwh=(EnergyRange(0, 2),), min_duration=2, max_duration=2),) * 2,
                    total_energy_kwh=EnergyRange(1, 1)), id="long",
        ),
        "empty": offer(
            Profile(slices=(Slice(energy_kwh=(EnergyRange(0, 1),), polygon=(HalfPlane(1, 1, -1),)),)), id="empty"
        ),
    }  # fmt: skip
    gathered = gather([*bad.values(), offer(good, id="good"), offer(good, id="twin")], T0)
    assert set(gathered.alone) == set(bad)
    assert [[m.original.id for m in group.members] for group in gathered.groups] == [["good", "twin"]]
    for name, reason in gathered.alone.items():
        assert reason, name
    with pytest.raises(InvalidError, match="twice"):
        gather([offer(good), offer(good)], T0)


def test_kinds_and_resolutions_are_kept_apart_and_this_is_told() -> None:
    total = plain((0, 1), (0, 1), total_energy_kwh=EnergyRange(1, 1))
    one = [offer(plain((0, 1)), id="a"), offer(total, id="b"), offer(total, id="c", resolution_s=1800)]
    gathered = gather(one, T0)
    assert [(g.form, g.resolution_s) for g in gathered.groups] == [
        (Form.SLICES, 900), (Form.STORAGE, 900), (Form.STORAGE, 1800)
    ]  # fmt: skip
    assert gathered.parted == ("kinds slices, storage-like are not summed", "resolutions 1800, 900 are not summed")
    assert gather(one[:1], T0).parted == ()
    with pytest.raises(InvalidError, match="aligned"):
        stand(gathered.groups[0], T0, 3)


def test_time_flexibility_given_up_is_told() -> None:
    total = plain((0, 1), (0, 1), total_energy_kwh=EnergyRange(1, 1))
    usual = Schedule(start=at(2), slices=(ScheduleSlice(energy_kwh=0.5),) * 2)
    free = offer(total, start_before=at(3), default_schedule=usual)
    (group,) = gather([free], T0).groups
    stand_in = group.members[0].stand_in
    assert stand_in.offer.start_after == at(2)
    assert stand_in.losses[0].what == "3 slots of time flexibility"
    assert stand_in.losses[0].kept == pytest.approx(0.25)
    falling = Prices(T0, 900, np.array([3.0, 3, 3, 2, 1]))
    (group,) = gather([free], T0, prices=falling).groups
    assert group.members[0].stand_in.offer.start_after == at(3)


def test_refuses_schedules_that_a_stand_in_breaks_and_slots_without_price() -> None:
    one = offer(plain((0, 1)))
    stand_in = reduced(one, T0)
    restored(one, stand_in, Schedule(start=at(0), slices=(ScheduleSlice(energy_kwh=1.0),)))
    with pytest.raises(InvalidError):
        restored(one, stand_in, Schedule(start=at(0), slices=(ScheduleSlice(energy_kwh=2.0),)))
    with pytest.raises(FlexhubError, match="prices"):
        reduced(one, T0, prices=Prices(at(900), 900, np.zeros(1)))
