"""Who takes part, where they are connected, and what they can move."""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec

from flexhub.core.base import Id, Model, finite

Ean = Annotated[str, msgspec.Meta(pattern=r"^(ean\.)?[0-9]{12,34}$(?!\n)")]
"""A connection's EAN: 12 to 34 digits, as in USEF entity addresses."""


class Role(enum.StrEnum):
    """What a party does; a token is bound to one party and one role."""

    PROSUMER = "prosumer"
    AGGREGATOR = "aggregator"
    MARKET_OPERATOR = "market_operator"
    GRID_OPERATOR = "grid_operator"
    UTILITY = "utility"
    ADMIN = "admin"


class Party(Model, frozen=True, kw_only=True):
    """A participant."""

    id: Id
    name: str
    roles: Annotated[tuple[Role, ...], msgspec.Meta(min_length=1)]
    domain: str | None = None


class Connection(Model, frozen=True, kw_only=True):
    """A metering point of a party, at a congestion point of the grid."""

    id: Id
    party: Id
    ean: Ean | None = None
    congestion_point: Id | None = None
    location: Id | None = None


class Resource(Model, frozen=True, kw_only=True):
    """A load or source behind a connection; ties location, EAN, congestion point, venID and contract together."""

    id: Id
    connection: Id
    kind: str
    max_consumption_kw: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    max_production_kw: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    ven_id: str | None = None
    contract: Id | None = None

    def __post_init__(self) -> None:
        finite(self, ("max_consumption_kw", "max_production_kw"))
