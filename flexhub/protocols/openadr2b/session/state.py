"""What a VTN keeps between messages: its VENs, events, opts and reports; small documents, each found by its id."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Final

import msgspec

from flexhub.protocols.openadr2b.elements import (
    EiTarget,
    FeatureCollection,
    OadrReport,
    OadrReportRequest,
    Polygon,
    Properties,
)
from flexhub.protocols.openadr2b.identity import MOST
from flexhub.protocols.openadr2b.names import OptType, ResponseRequired, Scale, SignalType, TransportName

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Length = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^P([0-9]{1,9}W|[0-9]{1,9}D|([0-9]{1,9}D)?T([0-9]{1,9}H([0-9]{1,9}M)?([0-9]{1,9}S)?"
        r"|[0-9]{1,9}M([0-9]{1,9}S)?|[0-9]{1,9}S))$(?!\n)"
    ),
]
"""A duration such as PT15M. Interpretation: without months and years, since an event's end has to be an instant."""
Uri = Annotated[str, msgspec.Meta(min_length=1, max_length=1024, pattern=r"^[^\s<>\\^`{|}\"]+$(?!\n)")]


class State(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Base of what is kept."""


# Who is meant


class Place(State, frozen=True, kw_only=True):
    """Where something is, in degrees."""

    latitude: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    longitude: Annotated[float, msgspec.Meta(ge=-180, le=180)]


class Target(State, frozen=True, kw_only=True):
    """Criteria of which one suffices [rule 22]; of a VEN, what it can be found by.

    Areas are latitudes and longitudes in turn, in degrees.
    """

    ven_ids: tuple[Name, ...] = ()
    group_ids: tuple[Name, ...] = ()
    group_names: tuple[Name, ...] = ()
    resource_ids: tuple[Name, ...] = ()
    party_ids: tuple[Name, ...] = ()
    end_device_assets: tuple[Name, ...] = ()
    meter_assets: tuple[Name, ...] = ()
    pnodes: tuple[Name, ...] = ()
    aggregated_pnodes: tuple[Name, ...] = ()
    service_delivery_points: tuple[Name, ...] = ()
    service_areas: tuple[Annotated[tuple[float, ...], msgspec.Meta(min_length=6)], ...] = ()

    def names(self) -> Iterator[tuple[str, frozenset[str]]]:
        """Each criterion of names that is not empty."""
        for field in NAMED:
            held = getattr(self, field)
            if held:
                yield field, frozenset(held)

    @property
    def everybody(self) -> bool:
        """Whether there is no criterion."""
        return not self.service_areas and not any(True for _ in self.names())


NAMED: Final = tuple(name for name in Target.__struct_fields__ if name != "service_areas")


def meets(target: Target, ven: VtnVen) -> bool:
    """Whether a VEN is among those whom a target means: everybody, where it has no criterion [rule 22]."""
    if target.everybody or ven.id in target.ven_ids:
        return True
    if any(not wanted.isdisjoint(getattr(ven.found_by, field)) for field, wanted in target.names()):
        return True
    return ven.location is not None and any(_inside(ven.location, area) for area in target.service_areas)


def _inside(place: Place, area: tuple[float, ...]) -> bool:
    """Whether a point lies in a polygon, by how often a ray from it crosses the edges."""
    corners = list(zip(area[::2], area[1::2], strict=False))
    inside, x, y = False, place.latitude, place.longitude
    for (x1, y1), (x2, y2) in zip(corners, corners[1:] + corners[:1], strict=True):
        if (y1 > y) is not (y2 > y) and x < (x2 - x1) * (y - y1) / (y2 - y1) + x1:
            inside = not inside
    return inside


def shown(target: Target, ven: VtnVen) -> EiTarget:
    """A target as one VEN is told it: of the criteria, those that it meets itself; so it learns of no other.

    Interpretation: where nothing else is left, the VEN itself is named.
    """
    held = {
        field: tuple(name for name in getattr(target, field) if name in getattr(ven.found_by, field))
        for field, _ in target.names()
    }
    areas = tuple(
        FeatureCollection(polygon=Polygon(pos_list=area))
        for area in target.service_areas
        if ven.location is not None and _inside(ven.location, area)
    )
    told = {field: names for field, names in held.items() if names}
    if ven.id in target.ven_ids or not (told or areas):
        told["ven_ids"] = (ven.id,)
    return EiTarget(**told, service_areas=areas)


# Programs and events


class VtnProgram(State, frozen=True, kw_only=True):
    """A market context, and what it is called."""

    market_context: Uri
    name: Annotated[str, msgspec.Meta(max_length=256)] = ""


class ItemKind(enum.StrEnum):
    """What the numbers of a signal are: the local name of the element that says so."""

    POWER_REAL = "powerReal"
    POWER_REACTIVE = "powerReactive"
    POWER_APPARENT = "powerApparent"
    ENERGY_REAL = "energyReal"
    ENERGY_REACTIVE = "energyReactive"
    ENERGY_APPARENT = "energyApparent"
    VOLTAGE = "voltage"
    CURRENT = "current"
    FREQUENCY = "frequency"
    TEMPERATURE = "temperature"
    CURRENCY = "currency"
    CURRENCY_PER_KW = "currencyPerKW"
    CURRENCY_PER_KWH = "currencyPerKWh"
    CUSTOM = "customUnit"


class SignalItem(State, frozen=True, kw_only=True):
    """What the numbers of a signal are, in which unit and scale.

    `unit` is needed for money (EUR), and what is custom, whose `description` is needed, too; other kinds have their
    own (W, celsius). `hertz`, `voltage` and `ac` are those of power.
    """

    kind: ItemKind
    unit: Name | None = None
    scale: Scale = Scale.NONE
    description: Name | None = None
    hertz: float = 50.0
    voltage: float = 230.0
    ac: bool = True


class SignalInterval(State, frozen=True, kw_only=True):
    """A span of a signal, and its number in the signal's unit."""

    duration: Length
    value: float


class Signal(State, frozen=True, kw_only=True):
    """One signal, interval by interval from the event's start."""

    signal_name: Name
    signal_type: SignalType
    intervals: Annotated[tuple[SignalInterval, ...], msgspec.Meta(min_length=1, max_length=10_000)]
    signal_id: Name | None = None
    item_base: SignalItem | None = None


class EventSpec(State, frozen=True, kw_only=True):
    """An event as a utility asks for it. A `duration` of PT0S has no end; any `test_event` but "false" is a test."""

    market_context: Uri
    dtstart: datetime
    duration: Length
    signals: Annotated[tuple[Signal, ...], msgspec.Meta(min_length=1, max_length=16)]
    target: Target = Target()
    startafter: Length | None = None
    notification: Length | None = None
    ramp_up: Length | None = None
    recovery: Length | None = None
    priority: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    response_required: ResponseRequired = ResponseRequired.ALWAYS
    test_event: Annotated[str, msgspec.Meta(max_length=256)] = "false"
    vtn_comment: Annotated[str, msgspec.Meta(max_length=2048)] = ""
    modification_reason: Annotated[str, msgspec.Meta(max_length=2048)] = ""


class VtnEvent(State, frozen=True, kw_only=True):
    """An event, and how often it was changed."""

    id: Name
    modification_number: int = 0
    created: datetime
    modified: datetime | None = None
    cancelled: bool = False
    event: EventSpec


class VtnAgenda(State, frozen=True, kw_only=True):
    """Ids of the events that are not over."""

    events: tuple[str, ...] = ()


# VENs


class Stage(enum.StrEnum):
    """Where a VEN's registration is."""

    KNOWN = "known"
    REGISTERED = "registered"
    ASKED_AGAIN = "asked to register again"
    CANCELLING = "cancelling"


class Happens(enum.StrEnum):
    """What may happen to a registration; `ASK` and `CANCEL` are the VTN's."""

    REGISTER = "it registers"
    LEAVE = "it cancels"
    ASK = "it is asked to register again"
    CANCEL = "it is told that it is cancelled"
    CANCELED = "it has taken note of that"


STAGES: Final[dict[tuple[Stage, Happens], Stage]] = {
    (Stage.KNOWN, Happens.REGISTER): Stage.REGISTERED,
    (Stage.REGISTERED, Happens.REGISTER): Stage.REGISTERED,
    (Stage.REGISTERED, Happens.LEAVE): Stage.KNOWN,
    (Stage.REGISTERED, Happens.ASK): Stage.ASKED_AGAIN,
    (Stage.REGISTERED, Happens.CANCEL): Stage.CANCELLING,
    (Stage.ASKED_AGAIN, Happens.REGISTER): Stage.REGISTERED,
    (Stage.ASKED_AGAIN, Happens.LEAVE): Stage.KNOWN,
    (Stage.ASKED_AGAIN, Happens.ASK): Stage.ASKED_AGAIN,
    (Stage.ASKED_AGAIN, Happens.CANCEL): Stage.CANCELLING,
    (Stage.CANCELLING, Happens.REGISTER): Stage.REGISTERED,
    (Stage.CANCELLING, Happens.LEAVE): Stage.KNOWN,
    (Stage.CANCELLING, Happens.CANCEL): Stage.CANCELLING,
    (Stage.CANCELLING, Happens.CANCELED): Stage.KNOWN,
}
"""Absent means that it may not happen."""


class Known(State, frozen=True, kw_only=True):
    """What a VEN knows of an event that is not over: which modification it got or answered, and how.

    `opt_id` is the oadrCreateOpt that decided; later an oadrCreatedEvent changes nothing [rule 206].
    """

    got: int | None = None
    answered: int | None = None
    opt: OptType | None = None
    opt_id: str | None = None


class Asking(enum.StrEnum):
    """How far a request for a report is."""

    WAITING = "waiting"
    PENDING = "pending"
    CANCELLING = "cancelling"
    DONE = "done"
    CANCELLED = "cancelled"
    REFUSED = "refused"


class Answers(enum.StrEnum):
    """What may happen to a request for a report."""

    CREATED = "it is taken"
    REFUSE = "it is refused"
    UPDATE = "data come, and more will"
    LAST = "the last data come"
    CANCEL = "the VTN cancels it"
    CANCELED = "that is acknowledged"
    DROP = "its report is no longer registered"


ASKING: Final[dict[tuple[Asking, Answers], Asking]] = {
    (Asking.WAITING, Answers.CREATED): Asking.PENDING,
    (Asking.WAITING, Answers.REFUSE): Asking.REFUSED,
    (Asking.WAITING, Answers.UPDATE): Asking.PENDING,
    (Asking.WAITING, Answers.LAST): Asking.DONE,
    (Asking.WAITING, Answers.CANCEL): Asking.CANCELLING,
    (Asking.WAITING, Answers.DROP): Asking.CANCELLED,
    (Asking.PENDING, Answers.CREATED): Asking.PENDING,
    (Asking.PENDING, Answers.UPDATE): Asking.PENDING,
    (Asking.PENDING, Answers.LAST): Asking.DONE,
    (Asking.PENDING, Answers.CANCEL): Asking.CANCELLING,
    (Asking.PENDING, Answers.DROP): Asking.CANCELLED,
    (Asking.CANCELLING, Answers.CREATED): Asking.CANCELLING,
    (Asking.CANCELLING, Answers.UPDATE): Asking.CANCELLING,
    (Asking.CANCELLING, Answers.LAST): Asking.CANCELLED,
    (Asking.CANCELLING, Answers.CANCEL): Asking.CANCELLING,
    (Asking.CANCELLING, Answers.CANCELED): Asking.CANCELLED,
    (Asking.CANCELLING, Answers.REFUSE): Asking.CANCELLED,
    (Asking.CANCELLING, Answers.DROP): Asking.CANCELLED,
    (Asking.DONE, Answers.CREATED): Asking.DONE,
    (Asking.DONE, Answers.UPDATE): Asking.DONE,
    (Asking.DONE, Answers.LAST): Asking.DONE,
}
"""Absent means that it may not happen. A VEN may send a report that is asked for once before it says that it will, or
again because no answer came."""

OPEN: Final = (Asking.WAITING, Asking.PENDING, Asking.CANCELLING)


class Request(State, frozen=True, kw_only=True):
    """A report that was asked for. `follow`: once cancelled, what was gathered is still to come."""

    request: OadrReportRequest
    stage: Asking = Asking.WAITING
    follow: bool = False
    since: datetime


class VenSpec(State, frozen=True, kw_only=True):
    """What a utility says of a VEN. `programs` are its market contexts, every one where none is told.

    `fingerprint` is by what it is known: that of its certificate, or ``xmpp:`` and its bare JID (`identity`).
    """

    name: Annotated[str, msgspec.Meta(max_length=256)] = ""
    fingerprint: Annotated[str, msgspec.Meta(max_length=MOST)] | None = None
    programs: tuple[Uri, ...] = ()
    found_by: Target = Target()
    location: Place | None = None


class VtnVen(VenSpec, frozen=True, kw_only=True):
    """A VEN: what the utility says of it, its registration, and what it was told.

    Without `pull` it is pushed to, at `address`: what begins the paths of its services, or over XMPP its full JID.
    `metadata_for`: reportRequestIDs of requests for our own metadata.
    """

    id: Name
    stage: Stage = Stage.KNOWN
    registration_id: str | None = None
    transport: TransportName | None = None
    address: str | None = None
    pull: bool = True
    report_only: bool = False
    xml_signature: bool = False
    events: dict[str, Known] = {}
    requests: dict[str, Request] = {}
    metadata_for: tuple[str, ...] = ()
    changed: datetime | None = None
    offline_since: datetime | None = None

    @property
    def registered(self) -> bool:
        """Whether it may speak of more than registering."""
        return self.stage is not Stage.KNOWN


class VtnCertificate(State, frozen=True, kw_only=True):
    """Whose a client certificate is, by its fingerprint; or a JID (`identity`)."""

    ven_id: str


class VtnMetadata(State, frozen=True, kw_only=True):
    """What a VEN can report, as it registered it."""

    ven_id: str
    reports: tuple[OadrReport, ...] = ()


class VtnAnswer(State, frozen=True, kw_only=True):
    """What a VEN answered last to an event; `by_opt`: by an oadrCreateOpt."""

    ven_id: str
    event_id: str
    modification_number: int
    opt: OptType
    code: str = "200"
    by_opt: bool = False
    at: datetime


class VtnOpt(State, frozen=True, kw_only=True):
    """A VEN's opt: of an event, or a schedule of availability; until it is cancelled."""

    ven_id: str
    opt_id: str
    opt: OptType
    reason: str
    market_context: str | None = None
    event_id: str | None = None
    modification_number: int | None = None
    target: EiTarget = EiTarget()
    device_class: EiTarget | None = None
    available: tuple[Properties, ...] = ()
    created: str
    cancelled: bool = False


class VtnReport(State, frozen=True, kw_only=True):
    """A report with data, as it came."""

    id: str
    ven_id: str
    at: datetime
    report: OadrReport


def opt_place(ven_id: str, opt_id: str) -> str:
    """By what an opt is kept: optIDs are a VEN's own."""
    return f"{ven_id}|{opt_id}"
