"""The judge: what a schedule breaks of a flex-offer. All later work asks this one function."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

from flexhub.core.base import Model
from flexhub.core.flexoffer import FlexOffer, Schedule
from flexhub.core.units import TOLERANCE_KWH


class Kind(enum.StrEnum):
    """What is broken."""

    WITHDRAWN = "withdrawn"
    PROFILE = "profile"
    START_EARLY = "start_early"
    START_LATE = "start_late"
    OFF_GRID = "off_grid"
    END_EARLY = "end_early"
    END_LATE = "end_late"
    SLICE_COUNT = "slice_count"
    DURATION = "duration"
    ENERGY = "energy"
    AMOUNT = "amount"
    TOTAL = "total"
    SUBTOTAL = "subtotal"
    POLYGON = "polygon"
    POLYTOPE = "polytope"
    PROBABILITY = "probability"
    TWO_MODE = "two_mode"
    COST = "cost"


class Violation(Model, frozen=True, kw_only=True):
    """One bound that the schedule breaks, and by how much (in the bound's own unit)."""

    kind: Kind
    path: str
    message: str
    clause: str
    excess: float = 0.0
    details: dict[str, Any] = {}

    def __str__(self) -> str:
        return f"{self.path}: {self.message} [{self.clause}]"


def violations(
    offer: FlexOffer, schedule: Schedule, *, now: datetime | None = None, tolerance_kwh: float = TOLERANCE_KWH
) -> list[Violation]:
    """Everything that `schedule` breaks of `offer`; empty where it is feasible.

    Args:
        offer: the flex-offer.
        schedule: what is to happen.
        now: for implicit time flexibility; by default the offer's creation.
        tolerance_kwh: how far an energy may lie outside its bounds.
    """
    raise NotImplementedError
