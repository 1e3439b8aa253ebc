"""The declared fate of every field, message to core and core to message."""

from __future__ import annotations

from typing import Final

from flexhub.core import flexoffer as core
from flexhub.core.price import Price
from flexhub.mappings.fates import fates
from flexhub.protocols.flexoffer import messages as wire

_TIME: Final = "text -> instant in UTC, written in the form's own format; where absent, its interval twin is read"
_INTERVAL: Final = "into the time; written beside it in the GOFLEX form"
_ENERGY: Final = "multiplier and sign -> kWh of consumption; numbers as text become numbers"
_PRICE: Final = "into the two segments of the core's price; negated and swapped where positive means production"
_SPELLING: Final = "either spelling is read; the form's own is written"

READ: Final = (
    fates(
        wire.FlexOffer,
        exact=(
            "label",
            "stateReason",
            "assignmentBeforeStart",
            "startBeforeDuration",
            "state",
            "assignment",
            "flexOfferProfilType",
            "locationId",
            "locationID",
            "offeredById",
            "unit",
            "multiplier",
            "powerFactorConstraint",
            "flexOfferTariffConstraint",
            "flexOfferPriceConstraints",
        ),
        converted={
            "creationTime": _TIME,
            "acceptBeforeTime": _TIME,
            "acceptanceBeforeTime": _TIME,
            "assignmentBeforeTime": _TIME,
            "startAfterTime": _TIME,
            "startBeforeTime": _TIME,
            "endAfterTime": _TIME,
            "endBeforeTime": _TIME,
            "creationInterval": _INTERVAL,
            "acceptBeforeInterval": _INTERVAL,
            "acceptanceBeforeInterval": _INTERVAL,
            "assignmentBeforeInterval": _INTERVAL,
            "startAfterInterval": _INTERVAL,
            "startBeforeInterval": _INTERVAL,
            "endAfterInterval": _INTERVAL,
            "endBeforeInterval": _INTERVAL,
            "flexOfferProfileConstraints": "into the one profile of the core; null or empty withdraws the flexibility",
            "totalEnergyConstraint": _ENERGY,
            "subTotalEnergyConstraint": _ENERGY,
            "totalCostConstraint": _SPELLING,
            "defaultSchedule": _ENERGY,
            "flexOfferSchedule": _ENERGY,
        },
        kept=("unknown",),
        defaulted={
            "id": "null or missing: the receiver gives one; an integer is kept as such",
            "numSecondsPerInterval": "900 s [V1 Table 1.1]",
        },
    ),
    fates(
        wire.Slice,
        exact=("minDuration", "maxDuration"),
        converted={
            "energyConstraintList": _ENERGY,
            "tariffConstraint": _PRICE,
            "priceConstraint": _PRICE,
            "dependencyEnergyConstraintList": "rows a*x + b*e <= c in kWh; a and b change sign with the energies",
            "DependencyEnergyConstraintList": _SPELLING,
            "uncertainFunctions": "points of energy and probability; another form is kept, its bound reported lost",
            "UncertainFunctions": _SPELLING,
            "uncertainThreshold": "beside the points",
            "UncertainThreshold": _SPELLING,
        },
    ),
    fates(
        wire.Bounds,
        converted={"lower": _ENERGY, "upper": _ENERGY, "lowerBound": _SPELLING, "upperBound": _SPELLING},
    ),
    fates(
        wire.TariffConstraint,
        converted={"minTariff": _PRICE, "maxTariff": _PRICE, "minPrice": _SPELLING, "maxPrice": _SPELLING},
    ),
    fates(wire.PriceSlice, kept=("duration", "priceConstraint", "tariffConstraint")),
    fates(
        wire.PriceSeries,
        kept=(
            "startTime",
            "priceSlices",
            "tariffSlices",
            "minTariff",
            "maxTariff",
            "minPrice",
            "maxPrice",
        ),
    ),
    fates(
        wire.Schedule,
        exact=("updateId",),
        converted={
            "startTime": _TIME,
            "startInterval": "into startTime",
            "scheduleSlices": _ENERGY,
        },
        defaulted={"scheduleId": "0; an integer is kept as such"},
        dropped={"numSecondsPerInterval": "must be the offer's own"},
    ),
    fates(
        wire.ScheduleSlice,
        exact=("duration",),
        converted={"energyAmount": _ENERGY, "tariff": "numbers as text become numbers", "price": _SPELLING},
    ),
)
"""Fields of the messages, by type. PriceSeries and PriceSlice are kept whole beside the price that they come to."""

_NO_PLACE: Final = "neither V1 nor GOFLEX has a place for it"

WRITTEN: Final = (
    fates(
        core.FlexOffer,
        exact=(
            "id",
            "issuer",
            "location",
            "label",
            "state_reason",
            "quantity",
            "obligatory",
            "created",
            "accept_before",
            "assign_before",
            "assign_before_start_s",
            "start_after",
            "start_before",
            "start_before_duration_s",
            "end_after",
            "end_before",
            "resolution_s",
            "price",
            "total_cost_eur",
        ),
        converted={
            "state": "confirmed, settled and expired become V1's nearest word",
            "profiles": "the first; alternatives are a lost bound",
            "default_schedule": "amounts in the wire's multiplier and sign",
            "schedule": "amounts in the wire's multiplier and sign",
            "extras": "fields of the message's own level",
        },
        dropped={"recipient": _NO_PLACE, "contract": _NO_PLACE},
    ),
    fates(
        core.Profile,
        exact=("total_energy_kwh", "subtotal_energy_kwh"),
        converted={"slices": "one message slice each"},
        dropped={"polytope": _NO_PLACE, "two_mode": _NO_PLACE},
    ),
    fates(
        core.Slice,
        exact=("energy_kwh", "min_duration", "max_duration", "polygon", "uncertainty"),
        converted={
            "amounts_kwh": "ranges with equal bounds",
            "price": "a pair of prices; a curve of more segments is a lost price",
            "extras": "fields of the slice",
        },
    ),
    fates(core.EnergyRange, exact=("lo_kwh", "hi_kwh")),
    fates(core.CostRange, exact=("lo_eur", "hi_eur")),
    fates(core.HalfPlane, exact=("a", "b", "c_kwh")),
    fates(core.Uncertainty, exact=("energies_kwh", "probabilities", "threshold")),
    fates(Price, exact=("slopes_eur_per_kwh",), converted={"knots_kwh": "one at 0 at most; others are a lost price"}),
    fates(core.Schedule, exact=("start", "slices", "id", "update"), dropped={"profile": "one profile only"}),
    fates(core.ScheduleSlice, exact=("energy_kwh", "duration", "price_eur_per_kwh")),
)
"""Fields of the core, by type. Exact within one rounding where the multiplier is not k."""
