"""What a hub keeps as a VEN: one document for each VTN, and what passes between the hub and its askers."""

from __future__ import annotations

from datetime import datetime

import msgspec

from flexhub.core.base import Id
from flexhub.core.timeseries import Measurement
from flexhub.protocols.openadr2b.session.ven_state import State


class OpenadrVen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What we know of a VTN, kept by the name that the configuration gives it."""

    state: State = State()


class OpenadrNotice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the hub's party is told of an event: what became of it, and what we say."""

    vtn: Id
    event_id: str
    modification_number: int
    what: str
    opt: str | None = None
    said: str | None = None
    request: Id | None = None
    tariff: Id | None = None


class OpenadrAnswered(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine says of an event: how much of what is asked stays unserved, and whether that is little enough."""

    event_id: str
    modification_number: int
    served: bool
    asked_kwh: float
    unserved_kwh: float


class OpenadrReading(msgspec.Struct, frozen=True, kw_only=True):
    """Readings for a report that is due: of each subject in its span."""

    report_request_id: str
    since: datetime
    until: datetime
    readings: tuple[Measurement, ...]


class OpenadrReadings(msgspec.Struct, frozen=True, kw_only=True):
    """The same of all reports that are due."""

    reports: tuple[OpenadrReading, ...]
