"""From a charging session to its flex-offer, by the reference generator."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from flexhub.app.agent.session import Session
from flexhub.app.agent.visit import MakeOffer
from flexhub.core.errors import InfeasibleError
from flexhub.core.flexoffer import FlexOffer
from flexhub.core.timegrid import QUARTER_HOUR, QUARTER_HOUR_S, floor_to_grid
from flexhub.engines.reference.generator import ChargingSession, EvGenerator


def maker(session: Session, power_kw: float, within_h: float) -> MakeOffer:
    """What makes the session's flex-offer, at the instant of its arrival.

    The offer begins with the slot after the arrival, for its schedule must be known before it begins. Its total energy
    is what the session is due, as far as the slots of the offer can bring it; what only the rest of the slot of arrival
    can bring is charged there at once. ``extras`` say what the driver asked for, so that anyone can check.

    Args:
        session: the session.
        power_kw: the charger's power.
        within_h: an offer reaches no further ahead than this, unless the car needs longer.
    """
    generator = EvGenerator()
    due_kwh = session.due_kwh(power_kw)
    longest = timedelta(hours=max(within_h, due_kwh / power_kw + QUARTER_HOUR.total_seconds() / 3600))
    start = floor_to_grid(session.arrival, QUARTER_HOUR_S) + QUARTER_HOUR
    departure = min(session.departure, session.arrival + longest)

    def make(now: datetime) -> FlexOffer | None:
        if departure <= start:
            return None
        load = ChargingSession(
            id=session.id,
            station=session.station,
            arrival=start,
            departure=departure,
            requested_kwh=due_kwh,
            max_power_kw=power_kw,
        )
        try:
            offer = generator.offer(load, session.id, session.station, now)
        except InfeasibleError:
            return None
        asked = {
            "arrival": session.arrival.isoformat(),
            "departure": session.departure.isoformat(),
            "requested_kwh": session.energy_kwh,
            "power_kw": power_kw,
        }
        return msgspec.structs.replace(offer, extras=asked)

    return make
