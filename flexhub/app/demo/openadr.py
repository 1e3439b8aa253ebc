"""OpenADR in the demo: which stations are VENs, what a utility calls for, and what is read of both in the end."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from flexhub.app.config import parse
from flexhub.app.demo.grid import limit_kw
from flexhub.app.demo.scene import Scene
from flexhub.app.demo.trading import POINT, SHARE
from flexhub.app.exchange.portfolio import every
from flexhub.app.hub.reading import Reading
from flexhub.app.openadr.sections import OpenadrSection
from flexhub.app.openadr.simple_http import PREFIX
from flexhub.app.openadr.vtn.handlers import RECEIVE, Answered, Arrival
from flexhub.core.documents import decode
from flexhub.core.flexoffer import FlexOffer
from flexhub.core.timegrid import QUARTER_HOUR, QUARTER_HOUR_S, slot_of
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.codec import OadrCodec
from flexhub.protocols.openadr2b.names import OptType, SignalType
from flexhub.protocols.openadr2b.rules import element
from flexhub.protocols.openadr2b.session.book import ven_id_of
from flexhub.protocols.openadr2b.session.events import begins, to_wire
from flexhub.protocols.openadr2b.session.state import (
    EventSpec,
    Signal,
    SignalInterval,
    VtnAnswer,
    VtnEvent,
    VtnVen,
)

EVERY_VEN: Final = 8
"""Of so many stations one is a VEN."""
"""What the paths of a VTN's services begin with."""

UTILITY: Final = "utility"
DISPATCH: Final = "http://aggregator.example/dispatch"
CALLS: Final = "http://utility.example/calls"
"""Market contexts: of what the aggregator dispatches to VENs, and of the utility's events."""

CALLED_AT: Final = timedelta(hours=8, minutes=15)
CALL_AFTER: Final = timedelta(hours=3)
CALL_SLOTS: Final = 4
CALL_SHARE: Final = 0.6
"""So long after midnight the utility calls; so much later it wants, for so many quarter-hours, at most this share of
what the grid operator leaves the aggregator."""
TOLERANCE: Final = 0.25
"""The aggregator opts in where at most this share of what is asked stays unserved: it cannot move cars to come."""

VTN_TOML: Final = """
[openadr.vtn]
listen = "127.0.0.1:0"
id = "{id}"
poll = "PT15M"
offline = "P30D"
requests = 10000.0
requests_at_once = 10000.0
{more}
"""
"""The time is stepped, so neither how often somebody speaks nor how long somebody is silent means anything."""

VEN_TOML: Final = """
[[openadr.ven]]
name = "{utility}"
vtn = "{vtn}{services}"
ven_name = "{ven}"
ven_id = "{ven}"
markets = ["{market}"]
congestion_point = "{point}"
rating = "{rating:.6f} kW"
tolerance = {tolerance}
answer_within = "PT60S"
{more}
"""

TLS: Final = 'cert = "{folder}/hub.pem"\nkey = "{folder}/hub.key"'


def ven_stations(scene: Scene) -> list[str]:
    """The stations that are VENs of the aggregator."""
    return scene.stations[EVERY_VEN // 4 :: EVERY_VEN]


def utility_toml(folder: Path | None) -> str:
    """The section of the hub that is the utility's; with TLS, where its certificate is in a folder."""
    return VTN_TOML.format(id=UTILITY, more="" if folder is None else TLS.format(folder=folder))


def aggregator_toml(scene: Scene, name: str, utility_url: str, folder: Path | None, ca: Path | None) -> str:
    """The sections of the aggregator's hub: VTN of stations, and VEN of the utility."""
    tls = "" if folder is None else TLS.format(folder=folder)
    vtn = VTN_TOML.format(id=name, more=f'dispatch = "{DISPATCH}"\n{tls}')
    return vtn + VEN_TOML.format(
        utility=UTILITY,
        vtn=utility_url,
        services=PREFIX,
        ven=name,
        market=CALLS,
        point=POINT,
        rating=SHARE * limit_kw(scene.usual),
        tolerance=TOLERANCE,
        more="" if ca is None else f'ca = "{ca}"',
    )


def section(text: str) -> OpenadrSection:
    """The sections, read."""
    found = parse(text).openadr
    assert found is not None  # noqa: S101 - it is what the text is
    return found


def call_window(scene: Scene) -> tuple[datetime, datetime]:
    """When the utility wants less."""
    start = scene.start + CALLED_AT + CALL_AFTER
    return start, start + CALL_SLOTS * QUARTER_HOUR


def call(scene: Scene) -> EventSpec:
    """The utility's event."""
    start, end = call_window(scene)
    lasts = f"PT{int((end - start).total_seconds()) // 60}M"
    signal = Signal(
        signal_name="LOAD_CONTROL",
        signal_type=SignalType.LOAD_CONTROL_CAPACITY,
        intervals=(SignalInterval(duration=lasts, value=CALL_SHARE),),
    )
    return EventSpec(market_context=CALLS, dtstart=start, duration=lasts, signals=(signal,))


def call_kwh(scene: Scene) -> float:
    """What the utility wants at most while its event lasts."""
    return CALL_SHARE * SHARE * limit_kw(scene.usual) * CALL_SLOTS * QUARTER_HOUR_S / 3600


def planned_kwh(offers: Iterable[FlexOffer], window: tuple[datetime, datetime]) -> float:
    """What offers take in a window by their schedules."""
    first, last = (slot_of(at, QUARTER_HOUR_S) for at in window)
    return sum(
        (
            kwh
            for offer in offers
            if offer.schedule is not None
            for slot, kwh in offer.schedule.by_slot_kwh(QUARTER_HOUR_S).items()
            if first <= slot < last
        ),
        0.0,
    )


# -- what came of it --------------------------------------------------------------------------------------------------


class OadrLine(msgspec.Struct, frozen=True, kw_only=True):
    """One message: when it was worked, between which VTN and VEN, who sent it, its element, and its XML.

    Ids that were drawn by chance are numbered in the order in which they come up.
    """

    at: datetime
    vtn: str
    ven: str
    sender: str
    type: str
    xml: str


class Spoken(msgspec.Struct, frozen=True, kw_only=True):
    """What a VTN holds: all messages but polls, how many events it made, and how VENs opted (eventID -> opt)."""

    lines: tuple[OadrLine, ...] = ()
    vens: int = 0
    events: int = 0
    opted_in: int = 0
    opted_out: int = 0


_CODEC: Final = OadrCodec(check=False)
_PAGE: Final = 10_000


async def spoken(hub: Reading, vtn: str) -> Spoken:
    """What the hub that is this VTN holds.

    What VENs said is in the journal, with the answers. Events went out with polls, which leave nothing there; so each
    is written once more, as its VENs got it last.
    """
    lines: list[OadrLine] = []
    after = 0
    while rows := hub.store.journal(after, _PAGE):
        after = rows[-1].seq
        for row in rows:
            if row.kind == RECEIVE and row.status == 200:
                lines += _exchanged(vtn, row.received, decode(Arrival, row.body), decode(Answered, row.answer))
    answers, vens = await every(hub, VtnAnswer), {ven.id: ven for ven in await every(hub, VtnVen)}
    events = await every(hub, VtnEvent)
    for event in events:
        for answer in answers:
            if answer.event_id == event.id and answer.ven_id in vens:
                lines.append(_distributed(vtn, event, vens[answer.ven_id]))
    lines.sort(key=lambda line: (line.at, line.ven, _ORDER.get(line.type, 9), line.type, _masked(line.xml)))
    return Spoken(
        lines=tuple(_numbered(lines)),
        vens=len(vens),
        events=len(events),
        opted_in=sum(answer.opt is OptType.OPT_IN for answer in answers),
        opted_out=sum(answer.opt is OptType.OPT_OUT for answer in answers),
    )


_ORDER: Final = {
    name: i
    for i, name in enumerate(
        (
            "oadrCreatePartyRegistration",
            "oadrCreatedPartyRegistration",
            "oadrRegisterReport",
            "oadrRegisteredReport",
            "oadrCreatedReport",
            "oadrCreateOpt",
            "oadrCreatedOpt",
            "oadrUpdateReport",
            "oadrUpdatedReport",
            "oadrDistributeEvent",
            "oadrCreatedEvent",
            "oadrResponse",
        )
    )
}
"""Time stands still while they talk: what is said first goes first."""


def _exchanged(vtn: str, at: datetime, arrival: Arrival, answered: Answered) -> Iterator[OadrLine]:
    said, answer = _CODEC.decode(arrival.xml.encode()), _CODEC.decode(answered.xml.encode())
    ven = ven_id_of(answer) or ven_id_of(said) or ""
    yield OadrLine(at=at, vtn=vtn, ven=ven, sender=ven, type=element(said), xml=arrival.xml)
    yield OadrLine(at=at, vtn=vtn, ven=ven, sender=vtn, type=element(answer), xml=answered.xml)


def _distributed(vtn: str, event: VtnEvent, ven: VtnVen) -> OadrLine:
    at = event.modified or event.created
    one = to_wire(event, ven, min(at, begins(event)))
    message = wire.OadrDistributeEvent(schema_version=wire.VERSION, request_id=event.id, vtn_id=vtn, oadr_events=(one,))
    xml = _CODEC.encode(message).decode()
    return OadrLine(at=at, vtn=vtn, ven=ven.id, sender=vtn, type=element(message), xml=xml)


_CHANCE: Final = re.compile(r"(?<![\w-])[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}(?![\w-])")
"""Ids that are drawn; those of offers are not, and stand behind a word."""


def _masked(xml: str) -> str:
    return _CHANCE.sub("", xml)


def _numbered(lines: Iterable[OadrLine]) -> Iterator[OadrLine]:
    names: dict[str, str] = {}
    for line in lines:
        xml = _CHANCE.sub(lambda found: names.setdefault(found[0], f"id-{len(names) + 1}"), line.xml)
        yield msgspec.structs.replace(line, xml=xml)
