"""No field without a declared fate, no fate without a field, and nothing serious lost in silence."""

from __future__ import annotations

import msgspec
import pytest

from flexhub.core.errors import ConfigError, LossError
from flexhub.core.flexoffer import EnergyRange, FlexOffer, Profile, Slice, TwoMode
from flexhub.core.price import Price
from flexhub.mappings.fates import Kind, fates, refuse_serious, unlisted
from flexhub.mappings.flexoffer import Context, to_core, to_wire
from flexhub.mappings.registry import MAPPINGS, Mapping, mappings
from flexhub.protocols.flexoffer import messages as wire
from flexhub.protocols.registry import PROTOCOLS, protocol

EVERY = [mapping for name in MAPPINGS for mapping in mappings(name)]


@pytest.mark.parametrize("mapping", EVERY, ids=lambda m: m.message.__name__)
def test_every_field_has_exactly_one_fate(mapping: Mapping) -> None:
    for declared in (*mapping.read, *mapping.written):
        assert unlisted(declared) == set(), declared.of.__name__
        lists = (declared.exact, declared.converted, declared.kept, declared.defaulted, declared.dropped)
        assert sum(map(len, lists)) == len(declared.listed()), declared.of.__name__


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_every_message_of_every_protocol_is_mapped_or_says_why_not(name: str) -> None:
    mapped = {m.message for m in mappings(name)} if name in MAPPINGS else set()
    told = protocol(name).unmapped
    assert mapped | told.keys() == set(protocol(name).messages)
    assert not mapped & told.keys()
    assert all(told.values())


def test_every_wire_struct_of_the_flex_offer_is_declared() -> None:
    declared = {fate.of for fate in mappings("flexoffer")[0].read}
    assert declared == set(wire.Wire.__subclasses__())


def test_a_field_in_no_list_is_found() -> None:
    class Two(msgspec.Struct):
        one: int
        other: int

    assert unlisted(fates(Two, exact=("one",))) == {"other"}
    assert unlisted(fates(Two, exact=("one", "other"))) == set()
    with pytest.raises(ConfigError, match="third"):
        fates(Two, exact=("third",))


def _offer() -> FlexOffer:
    message = wire.FlexOffer(
        id="a",
        state="initial",
        offered_by_id="b",
        creation_time="2026-03-14T06:00:00Z",
        start_after_time="2026-03-14T09:00:00Z",
        start_before_time="2026-03-14T11:00:00Z",
        flex_offer_profile_constraints=(wire.Slice(energy_constraint_list=(wire.Bounds(lower=0.0, upper=1.0),)),),
    )
    return to_core(message, Context()).value


def test_an_offer_that_fits_the_message_loses_nothing() -> None:
    assert to_wire(_offer(), Context()).losses == ()


SLICE = Slice(energy_kwh=(EnergyRange(0, 1),))
CURVE = Price(slopes_eur_per_kwh=(0.1, 0.2, 0.3), knots_kwh=(0.0, 1.0))


@pytest.mark.parametrize(
    ("profiles", "kind"),
    [
        ((Profile(slices=(SLICE,)), Profile(slices=(SLICE, SLICE))), Kind.BOUND),
        ((Profile(slices=(SLICE,), two_mode=TwoMode(after_time_s=900, after_portion=1.0)),), Kind.BOUND),
        ((Profile(slices=(Slice(energy_kwh=(EnergyRange(0, 1),), price=CURVE),)),), Kind.PRICE),
    ],
)
def test_a_lost_bound_or_price_refuses_unless_allowed(profiles: tuple[Profile, ...], kind: Kind) -> None:
    offer = msgspec.structs.replace(_offer(), profiles=profiles)
    losses = to_wire(offer, Context()).losses
    assert [loss.kind for loss in losses] == [kind]
    with pytest.raises(LossError, match="would be lost"):
        refuse_serious(losses)
    refuse_serious(losses, allow=True)


def test_what_only_informs_is_told_and_passes() -> None:
    losses = to_wire(msgspec.structs.replace(_offer(), recipient="agr"), Context()).losses
    assert [(loss.path, loss.kind) for loss in losses] == [("FlexOffer/recipient", Kind.DROPPED)]
    refuse_serious(losses)
