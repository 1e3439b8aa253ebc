"""Which flex-offers a bill shows, and on which day; the hub and every manager engine go by this."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from flexhub.core.flexoffer import FlexOffer, State

BILLED: Final = frozenset(
    {
        State.ACCEPTED,
        State.ASSIGNED,
        State.CONFIRMED,
        State.EXECUTING,
        State.EXECUTED,
        State.SETTLED,
        State.EXPIRED,
    }
)
"""States of the offers that a contract may pay for: each was taken, and neither side took it back.

Interpretation: the GOFLEX formula pays for the flexibility that was offered (its items of time and energy), whether or
not it was used. So an accepted offer that nobody needed, and that expired, earns those two items and nothing else; one
that was rejected, canceled, declined or invalid earns nothing. An offer may expire unanswered, too: no contract has
taken that one, and it belongs to no account. (In the hub there is none: each is accepted or rejected at once.)
"""


def billed_at(offer: FlexOffer) -> datetime:
    """The instant whose day, or other period, the offer is billed in.

    The start of its schedule, else of its default schedule, else its earliest start.
    """
    chosen = offer.schedule or offer.default_schedule
    return chosen.start if chosen is not None else offer.window(offer.created)[0]
