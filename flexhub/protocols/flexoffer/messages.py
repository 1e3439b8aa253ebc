"""Wire types of the flex-offer message, in the words of the FlexOffer specification V1 ("V1") and of GOFLEX.

A field stands here once per spelling in use: a message is kept as it was written, and `reading` takes whichever
spelling is there. UNSET is a field that is absent, None one that is null: both survive. Times stay text, in the
sender's format.

Energies are in ``multiplier`` times ``unit`` (kWh by default); the sign convention is not in the message, see
`flexhub.mappings.flexoffer`. Prices are EUR/kWh.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from flexhub.protocols.unknown import Unknown

Number: TypeAlias = float | Annotated[str, msgspec.Meta(max_length=64)]
"""A number, also written as text: V1's own example has ``"energyAmount": "-13342.610307504"``."""

Int64: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Identifier: TypeAlias = Int64 | Annotated[str, msgspec.Meta(max_length=128)]
"""V1 says text; integers and UUIDs are met as well. Never turned into one another."""

Time: TypeAlias = Annotated[str, msgspec.Meta(max_length=40)]
Text: TypeAlias = Annotated[str, msgspec.Meta(max_length=1000)]
Word: TypeAlias = Annotated[str, msgspec.Meta(max_length=64)]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]


class Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """Base of the wire types. Unknown fields are not lost: the codec keeps them in `FlexOffer.unknown`."""


class Bounds(Wire, frozen=True, kw_only=True, gc=False):
    """lower <= value <= upper, in either spelling."""

    lower: Number | UnsetType | None = UNSET
    upper: Number | UnsetType | None = UNSET
    lower_bound: Number | UnsetType | None = UNSET
    upper_bound: Number | UnsetType | None = UNSET


class TariffConstraint(Wire, frozen=True, kw_only=True, gc=False):
    """Prices of deviating down (min) and up (max), in either spelling."""

    min_tariff: Number | UnsetType | None = UNSET
    max_tariff: Number | UnsetType | None = UNSET
    min_price: Number | UnsetType | None = UNSET
    max_price: Number | UnsetType | None = UNSET


class Slice(Wire, frozen=True, kw_only=True, gc=False):
    """V1 flexOfferSlice: `energy_constraint_list` holds alternatives; dependency rows are ``[a, b, c]``."""

    min_duration: Count | UnsetType | None = UNSET
    max_duration: Count | UnsetType | None = UNSET
    energy_constraint_list: tuple[Bounds, ...] | UnsetType | None = UNSET
    tariff_constraint: TariffConstraint | UnsetType | None = UNSET
    price_constraint: TariffConstraint | UnsetType | None = UNSET
    dependency_energy_constraint_list: tuple[tuple[Number, ...], ...] | UnsetType | None = UNSET
    dependency_energy_constraint_list_v1: tuple[tuple[Number, ...], ...] | UnsetType | None = msgspec.field(
        name="DependencyEnergyConstraintList", default=UNSET
    )
    uncertain_functions: Any = UNSET
    uncertain_functions_v1: Any = msgspec.field(name="UncertainFunctions", default=UNSET)
    uncertain_threshold: Number | UnsetType | None = UNSET
    uncertain_threshold_v1: Number | UnsetType | None = msgspec.field(name="UncertainThreshold", default=UNSET)


class PriceSlice(Wire, frozen=True, kw_only=True, gc=False):
    """V1 priceSlice: a price pair that holds for `duration` intervals."""

    duration: Count | UnsetType | None = UNSET
    price_constraint: TariffConstraint | UnsetType | None = UNSET
    tariff_constraint: TariffConstraint | UnsetType | None = UNSET


class PriceSeries(Wire, frozen=True, kw_only=True, gc=False):
    """V1 priceConstraintsList: price pairs from `start_time` on; or, as met, one pair for the whole offer."""

    start_time: Time | UnsetType | None = UNSET
    price_slices: tuple[PriceSlice, ...] | UnsetType | None = UNSET
    tariff_slices: tuple[PriceSlice, ...] | UnsetType | None = UNSET
    min_tariff: Number | UnsetType | None = UNSET
    max_tariff: Number | UnsetType | None = UNSET
    min_price: Number | UnsetType | None = UNSET
    max_price: Number | UnsetType | None = UNSET


class ScheduleSlice(Wire, frozen=True, kw_only=True, gc=False):
    """Energy over `duration` intervals, and its price in either spelling."""

    duration: Count | UnsetType | None = UNSET
    energy_amount: Number | UnsetType | None = UNSET
    tariff: Number | UnsetType | None = UNSET
    price: Number | UnsetType | None = UNSET


class Schedule(Wire, frozen=True, kw_only=True, gc=False):
    """A default or assigned schedule."""

    schedule_id: Identifier | UnsetType | None = UNSET
    update_id: Count | UnsetType | None = UNSET
    start_time: Time | UnsetType | None = UNSET
    start_interval: Int64 | UnsetType | None = UNSET
    num_seconds_per_interval: Count | UnsetType | None = UNSET
    schedule_slices: tuple[ScheduleSlice, ...] | UnsetType | None = UNSET


class FlexOffer(Wire, frozen=True, kw_only=True, gc=False):
    """One flex-offer message (V1 Table 1.1, GOFLEX D2.1)."""

    id: Identifier | UnsetType | None = UNSET
    label: Text | UnsetType | None = UNSET
    state: Word | UnsetType | None = UNSET
    state_reason: Text | UnsetType | None = UNSET
    offered_by_id: Identifier | UnsetType | None = UNSET
    location_id: Any = UNSET
    location_id_v1: Any = msgspec.field(name="locationID", default=UNSET)

    creation_time: Time | UnsetType | None = UNSET
    creation_interval: Int64 | UnsetType | None = UNSET
    accept_before_time: Time | UnsetType | None = UNSET
    accept_before_interval: Int64 | UnsetType | None = UNSET
    acceptance_before_time: Time | UnsetType | None = UNSET
    acceptance_before_interval: Int64 | UnsetType | None = UNSET
    assignment_before_time: Time | UnsetType | None = UNSET
    assignment_before_interval: Int64 | UnsetType | None = UNSET
    assignment_before_start: Count | UnsetType | None = UNSET
    start_after_time: Time | UnsetType | None = UNSET
    start_after_interval: Int64 | UnsetType | None = UNSET
    start_before_time: Time | UnsetType | None = UNSET
    start_before_interval: Int64 | UnsetType | None = UNSET
    start_before_duration: Count | UnsetType | None = UNSET
    end_after_time: Time | UnsetType | None = UNSET
    end_after_interval: Int64 | UnsetType | None = UNSET
    end_before_time: Time | UnsetType | None = UNSET
    end_before_interval: Int64 | UnsetType | None = UNSET
    num_seconds_per_interval: Count | UnsetType | None = UNSET

    assignment: Word | UnsetType | None = UNSET
    flex_offer_profil_type: Word | UnsetType | None = UNSET
    unit: Word | UnsetType | None = UNSET
    multiplier: Word | UnsetType | None = UNSET
    flex_offer_profile_constraints: tuple[Slice, ...] | UnsetType | None = UNSET
    total_energy_constraint: Bounds | UnsetType | None = UNSET
    sub_total_energy_constraint: Bounds | UnsetType | None = UNSET
    power_factor_constraint: Any = UNSET
    total_cost_constraint: Bounds | UnsetType | None = UNSET
    flex_offer_tariff_constraint: PriceSeries | tuple[PriceSlice, ...] | UnsetType | None = UNSET
    flex_offer_price_constraints: PriceSeries | tuple[PriceSlice, ...] | UnsetType | None = UNSET
    default_schedule: Schedule | UnsetType | None = UNSET
    flex_offer_schedule: Schedule | UnsetType | None = UNSET

    unknown: Unknown | UnsetType = UNSET


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """What one file or body holds: flex-offers, and how they were wrapped.

    ``wrapper`` is "" for a bare object (exactly one offer), "list", or "flexOffer" for V1's ``{"flexOffer": [...]}``,
    whose other fields are in `beside`.
    """

    offers: tuple[FlexOffer, ...]
    wrapper: str = ""
    beside: dict[str, Any] = {}
