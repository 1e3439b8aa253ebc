"""How a VTN's documents are filed: by which id, whose they are, and what they are found by."""

from __future__ import annotations

from datetime import datetime
from functools import singledispatch
from typing import Final

import msgspec

from flexhub.app.hub.contract import Key, Put
from flexhub.protocols.openadr2b.session.events import FAR_FUTURE, begins, ends
from flexhub.protocols.openadr2b.session.state import (
    State,
    VtnAgenda,
    VtnAnswer,
    VtnCertificate,
    VtnEvent,
    VtnMetadata,
    VtnOpt,
    VtnProgram,
    VtnReport,
    VtnVen,
    opt_place,
)

ONLY: Final = "vtn"
"""Id of what there is one of."""
OPEN: Final = "open"
CANCELLED: Final = "cancelled"
"""States of events and opts."""


class VtnPushed(msgspec.Struct, frozen=True, kw_only=True):
    """venIDs of those that are pushed to."""

    ven_ids: tuple[str, ...] = ()


class VtnOffers(msgspec.Struct, frozen=True, kw_only=True):
    """The flex-offers that a VEN's reports became, and that readings of it may belong to; the newest last."""

    offers: tuple[str, ...] = ()


def agenda() -> Key:
    """Where the ids of events are that are not over."""
    return Key(VtnAgenda, ONLY)


def pushed() -> Key:
    """Where the ids of VENs are that are pushed to."""
    return Key(VtnPushed, ONLY)


@singledispatch
def filed(value: State | VtnPushed) -> Put:
    """A document, filed."""
    raise TypeError(type(value).__name__)


@filed.register
def _(value: VtnVen) -> Put:
    return Put(key=Key(VtnVen, value.id), value=value, owner=value.id, state=value.stage)


@filed.register
def _(value: VtnEvent) -> Put:
    end: datetime | None = ends(value)
    return Put(
        key=Key(VtnEvent, value.id),
        value=value,
        owner=ONLY,
        state=CANCELLED if value.cancelled else OPEN,
        starts=begins(value),
        ends=None if end == FAR_FUTURE else end,
    )


@filed.register
def _(value: VtnAgenda) -> Put:
    return Put(key=agenda(), value=value, owner=ONLY)


@filed.register
def _(value: VtnPushed) -> Put:
    return Put(key=pushed(), value=value, owner=ONLY)


@filed.register
def _(value: VtnProgram) -> Put:
    return Put(key=Key(VtnProgram, value.market_context), value=value, owner=ONLY)


@filed.register
def _(value: VtnMetadata) -> Put:
    return Put(key=Key(VtnMetadata, value.ven_id), value=value, owner=value.ven_id)


@filed.register
def _(value: VtnAnswer) -> Put:
    key = Key(VtnAnswer, f"{value.event_id}|{value.ven_id}")
    return Put(key=key, value=value, owner=value.ven_id, state=value.event_id)


@filed.register
def _(value: VtnOpt) -> Put:
    key = Key(VtnOpt, opt_place(value.ven_id, value.opt_id))
    return Put(key=key, value=value, owner=value.ven_id, state=CANCELLED if value.cancelled else OPEN)


@filed.register
def _(value: VtnReport) -> Put:
    state = value.report.report_request_id
    return Put(key=Key(VtnReport, value.id), value=value, owner=value.ven_id, state=state, starts=value.at)


def certificate(fingerprint: str, ven_id: str) -> Put:
    """Whose a certificate is, filed."""
    return Put(key=Key(VtnCertificate, fingerprint), value=VtnCertificate(ven_id=ven_id), owner=ven_id)
