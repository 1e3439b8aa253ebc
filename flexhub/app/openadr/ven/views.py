"""What a hub knows as a VEN, as REST tells it: flat, in the standard's terms."""

from __future__ import annotations

from datetime import datetime

import msgspec

from flexhub.protocols.openadr2b.names import EventStatus, OptType
from flexhub.protocols.openadr2b.session.ven_state import Heard, Stage, State


class VtnView(msgspec.Struct, frozen=True, kw_only=True):
    """A VTN by the name that the configuration gives it, and our registration there; `why` it was refused."""

    name: str
    stage: Stage
    why: str
    vtn_id: str | None
    ven_id: str | None
    registration_id: str | None
    events: int


class HeardView(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it was told last: what we say to it (null: that is not decided yet), and by which code.

    `starts` and `ends` are as they are for us, with the offset that was drawn; no `ends`: it has no end.
    """

    event_id: str
    modification_number: int
    event_status: EventStatus
    market_context: str
    signals: tuple[str, ...]
    starts: datetime
    ends: datetime | None
    opt: OptType | None
    code: str
    said: str
    cancelled: datetime | None


def vtn_view(name: str, state: State) -> VtnView:
    """A VTN."""
    return VtnView(
        name=name,
        stage=state.stage,
        why=state.why,
        vtn_id=state.vtn_id,
        ven_id=state.ven_id,
        registration_id=state.registration_id,
        events=len(state.events),
    )


def heard_view(event_id: str, heard: Heard) -> HeardView:
    """An event."""
    event = heard.event.ei_event
    return HeardView(
        event_id=event_id,
        modification_number=heard.number,
        event_status=event.event_descriptor.event_status,
        market_context=event.event_descriptor.ei_market_context,
        signals=tuple(signal.signal_name for signal in event.ei_event_signals.ei_event_signals),
        starts=heard.starts(),
        ends=heard.until(),
        opt=heard.opt,
        code=heard.code,
        said=heard.said,
        cancelled=heard.cancelled,
    )
