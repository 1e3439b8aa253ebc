"""What the flex-offer mapping must be told, and the words that both directions share."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any, Final

import msgspec

from flexhub.core.flexoffer import FlexOffer, Quantity, State

KEPT: Final = "flexoffer"
"""Key of a core flex-offer's extras under which this mapping keeps what the core has no place for.

Below it ``kept`` holds known fields in the sender's spelling, by JSON name, and ``unknown`` the tree of unknown fields.
"""


class Sign(enum.StrEnum):
    """What a positive amount means on the wire: V1 section 1.4 says production, section 2.1 and GOFLEX consumption."""

    CONSUMPTION = "consumption"
    PRODUCTION = "production"


class Form(enum.StrEnum):
    """What is written: V1's own words, or those of the GOFLEX samples."""

    V1 = "flexoffer-v1"
    GOFLEX = "goflex"


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """Choices of one conversion.

    Args:
        sign: the wire's sign convention.
        form: what to write.
        now: stands in for a creationTime that is missing; without it such an offer is refused.
        new_id: stands in for an id that is null or missing; without it such an offer is refused.
        issuer: stands in for a missing offeredById; without it such an offer is refused.
        null_ids: write an id that was given here as null again, as the message had it.
    """

    sign: Sign = Sign.CONSUMPTION
    form: Form = Form.GOFLEX
    now: datetime | None = None
    new_id: str | None = None
    issuer: str | None = None
    null_ids: bool = False


STATES: Final = {
    **{state.value: state for state in State},
    "inadaptation": State.EXECUTING,
}
"""Wire word in lower case -> state. The core's own words are read, too, where they are not V1's."""

WORDS: Final = {
    State.CONFIRMED: ("assigned", "neither V1 nor GOFLEX knows a confirmed offer"),
    State.EXECUTING: ("InAdaptation", ""),
    State.SETTLED: ("executed", "neither V1 nor GOFLEX knows a settled offer"),
    State.EXPIRED: ("canceled", "neither V1 nor GOFLEX knows an expired offer"),
}
"""State whose word on the wire is not its own -> that word, and why it is another where meaning is lost."""

QUANTITIES: Final = {
    "activeenergy": Quantity.ACTIVE_ENERGY,
    "reactiveenergy": Quantity.REACTIVE_ENERGY,
    "voltage": Quantity.VOLTAGE,
}
"""V1 flexOfferProfilType in lower case -> what the amounts are."""

PROFILE_TYPES: Final = {
    Quantity.ACTIVE_ENERGY: "activeEnergy",
    Quantity.REACTIVE_ENERGY: "reactiveEnergy",
    Quantity.VOLTAGE: "voltage",
}
"""The inverse of `QUANTITIES`, in V1's spelling."""


def carried(offer: FlexOffer, part: str) -> dict[str, Any]:
    """What the mapping kept of the message in this part of the extras ("kept" or "unknown")."""
    ours = offer.extras.get(KEPT)
    found = ours.get(part) if isinstance(ours, dict) else None
    return found if isinstance(found, dict) else {}
