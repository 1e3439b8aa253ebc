"""The event that says an offer's schedule to a VEN, as a utility asks for it."""

from __future__ import annotations

from typing import Final

from flexhub.core.flexoffer import FlexOffer
from flexhub.mappings.openadr2b.context import Context
from flexhub.mappings.openadr2b.events import course_of, event_of, schedule_to_wire
from flexhub.protocols.openadr2b.elements import PayloadFloat, SignalPayload
from flexhub.protocols.openadr2b.names import Scale
from flexhub.protocols.openadr2b.session.state import EventSpec, ItemKind, Signal, SignalInterval, SignalItem, Target
from flexhub.protocols.uftp.times import instant

KW: Final = SignalItem(kind=ItemKind.POWER_REAL, unit="W", scale=Scale.KILO)
"""What `schedule_to_wire` writes LOAD_DISPATCH in."""


def spec_of(offer: FlexOffer, ven_id: str, market_context: str) -> EventSpec:
    """LOAD_DISPATCH with the set-points of the schedule, for this VEN alone.

    Raises:
        InvalidError: the offer has no schedule.
    """
    kept = {"event_id": offer.id, "ei_market_context": market_context, "request_id": "", "vtn_id": ""}
    event = event_of(schedule_to_wire(course_of(offer), Context(kept=kept)).value)
    (signal,) = event.ei_event_signals.ei_event_signals
    period = event.ei_active_period.properties
    return EventSpec(
        market_context=market_context,
        dtstart=instant(period.dtstart),
        duration=period.duration,
        signals=(
            Signal(
                signal_name=signal.signal_name,
                signal_type=signal.signal_type,
                intervals=tuple(
                    SignalInterval(duration=str(one.duration), value=payload.payload_base.value)
                    for one in signal.intervals
                    for payload in one.stream_payload_base
                    if isinstance(payload, SignalPayload) and isinstance(payload.payload_base, PayloadFloat)
                ),
                item_base=KW,
            ),
        ),
        target=Target(ven_ids=(ven_id,)),
    )
