"""What a flex-offer is and what may happen to it. Pure; imports nothing else of flexhub.

The names below are what most users of the library need; each is loaded when it is first asked for, so that importing
`flexhub.core` costs nothing::

    from flexhub.core import FlexOffer, Schedule, decode, encode, violations

Everything else is public in the module where it lives, under a name without a leading underscore.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from flexhub.core.cost import cost_eur
    from flexhub.core.documents import decode, encode
    from flexhub.core.errors import FlexhubError, InfeasibleError, InvalidError, MalformedError
    from flexhub.core.feasibility import feasible_schedule, infeasible
    from flexhub.core.flexoffer import EnergyRange, FlexOffer, Profile, Schedule, ScheduleSlice, Slice, State
    from flexhub.core.judge import Violation, violations
    from flexhub.core.lifecycle import step
    from flexhub.core.price import Price
    from flexhub.core.timegrid import TimeGrid
    from flexhub.core.timeseries import Measurement, TimeSeries
    from flexhub.core.trading import Aggregate, Bill, Contract, FlexRequest

HOMES: Final = {
    "cost": ("cost_eur",),
    "documents": ("decode", "encode"),
    "errors": ("FlexhubError", "InfeasibleError", "InvalidError", "MalformedError"),
    "feasibility": ("feasible_schedule", "infeasible"),
    "flexoffer": ("EnergyRange", "FlexOffer", "Profile", "Schedule", "ScheduleSlice", "Slice", "State"),
    "judge": ("Violation", "violations"),
    "lifecycle": ("step",),
    "price": ("Price",),
    "timegrid": ("TimeGrid",),
    "timeseries": ("Measurement", "TimeSeries"),
    "trading": ("Aggregate", "Bill", "Contract", "FlexRequest"),
}
"""Module of `flexhub.core` -> the names that are found here, too."""

__all__ = [  # noqa: RUF022 - in the order of use: what an offer is, what is asked about it, how it is read and written
    "FlexOffer",
    "Profile",
    "Slice",
    "EnergyRange",
    "Price",
    "Schedule",
    "ScheduleSlice",
    "State",
    "violations",
    "Violation",
    "feasible_schedule",
    "infeasible",
    "cost_eur",
    "step",
    "decode",
    "encode",
    "FlexhubError",
    "InvalidError",
    "MalformedError",
    "InfeasibleError",
    "TimeGrid",
    "TimeSeries",
    "Measurement",
    "FlexRequest",
    "Aggregate",
    "Contract",
    "Bill",
]

_HOME: Final = {name: module for module, names in HOMES.items() for name in names}


if not TYPE_CHECKING:  # or else a type checker believed that every name is here

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = found  # asked for once
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
