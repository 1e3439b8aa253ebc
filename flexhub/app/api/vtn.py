"""What the routes of a VTN do: the utility's messages go to the hub, questions are answered from what is stored."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import msgspec

from flexhub.app.api import messages as m
from flexhub.app.api.calls import Call, Reply, Service, handle, linked, page_of
from flexhub.app.exchange.portfolio import every
from flexhub.app.openadr.vtn import views
from flexhub.app.openadr.vtn.handlers import place
from flexhub.app.openadr.vtn.papers import CANCELLED, OPEN
from flexhub.app.openadr.vtn.utility import EVENTS, EventPut, Named, ReportAsk, ReportSpec, ReportStop, VenPut
from flexhub.core.documents import decode, encode
from flexhub.core.errors import NotFoundError
from flexhub.protocols.openadr2b.session.state import (
    EventSpec,
    Stage,
    VenSpec,
    VtnAnswer,
    VtnEvent,
    VtnMetadata,
    VtnOpt,
    VtnProgram,
    VtnReport,
    VtnVen,
)

OadrId = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class OneOf(m.Arguments, frozen=True, kw_only=True):
    """Which VEN or event."""

    id: OadrId


class OneOfPaging(m.Paging, frozen=True, kw_only=True):
    """Which part of what VEN's, or event's, list."""

    id: OadrId


class RequestOf(m.Arguments, frozen=True, kw_only=True):
    """Which request to which VEN, and whether what was gathered so far is to be sent yet."""

    id: OadrId
    request: OadrId
    follow: bool = False


class VenPaging(m.Paging, frozen=True, kw_only=True):
    """Which part of the list of VENs; only those in this `stage`."""

    stage: Stage | None = None


class OptPaging(m.Paging, frozen=True, kw_only=True):
    """Which part of the list of opts; of one VEN only; `cancelled` ones, too."""

    ven: OadrId | None = None
    cancelled: bool = False


class EventPaging(m.Paging, frozen=True, kw_only=True):
    """Which part of the list of events; `cancelled` ones, too."""

    cancelled: bool = True


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """Part of a list; `next` is the cursor of the next part."""

    next: str | None = None


class Programs(Listing, frozen=True, kw_only=True):
    """Programs."""

    items: tuple[VtnProgram, ...]


class Vens(Listing, frozen=True, kw_only=True):
    """VENs."""

    items: tuple[views.VenView, ...]


class Events(Listing, frozen=True, kw_only=True):
    """Events."""

    items: tuple[views.EventView, ...]


class Answers(Listing, frozen=True, kw_only=True):
    """Answers of VENs to an event."""

    items: tuple[views.AnswerView, ...]


class Opts(Listing, frozen=True, kw_only=True):
    """Opts."""

    items: tuple[views.OptView, ...]


class Reports(Listing, frozen=True, kw_only=True):
    """Reports with data."""

    items: tuple[views.ReportView, ...]


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A group, and how many VENs are in it."""

    group_id: str
    vens: int


class Groups(msgspec.Struct, frozen=True, kw_only=True):
    """All groups."""

    items: tuple[Group, ...]


async def _say(service: Service, call: Call, kind: str, conversation: str, value: msgspec.Struct) -> Reply:
    """Have the hub do it; what it is told says which VEN or event is meant."""
    return await handle(service, call._replace(body=encode(value)), kind, conversation, value)


# -- what a utility does ----------------------------------------------------------------------------------------------


async def put_program(service: Service, call: Call) -> Reply:
    """Make a program."""
    return await _say(service, call, "vtn.program.put", EVENTS, decode(VtnProgram, call.body))


async def put_ven(service: Service, call: Call) -> Reply:
    """Allocate a VEN, or change it."""
    put = VenPut(id=call.args.id, ven=decode(VenSpec, call.body))
    return await _say(service, call, "vtn.ven.put", place(put.id), put)


async def delete_ven(service: Service, call: Call) -> Reply:
    """Cancel a VEN's registration."""
    return await _say(service, call, "vtn.ven.cancel", place(call.args.id), Named(id=call.args.id))


async def ask_ven(service: Service, call: Call) -> Reply:
    """Have a VEN register again."""
    return await _say(service, call, "vtn.ven.ask", place(call.args.id), Named(id=call.args.id))


async def post_event(service: Service, call: Call) -> Reply:
    """Make an event."""
    return await _say(service, call, "vtn.event.put", EVENTS, EventPut(event=decode(EventSpec, call.body)))


async def put_event(service: Service, call: Call) -> Reply:
    """Change an event."""
    put = EventPut(id=call.args.id, event=decode(EventSpec, call.body))
    return await _say(service, call, "vtn.event.put", EVENTS, put)


async def delete_event(service: Service, call: Call) -> Reply:
    """Cancel an event."""
    return await _say(service, call, "vtn.event.cancel", EVENTS, Named(id=call.args.id))


async def post_report(service: Service, call: Call) -> Reply:
    """Ask a VEN for a report."""
    ask = ReportAsk(ven_id=call.args.id, report=decode(ReportSpec, call.body))
    return await _say(service, call, "vtn.report.ask", place(ask.ven_id), ask)


async def delete_report(service: Service, call: Call) -> Reply:
    """Have a VEN end a report."""
    args = call.args
    stop = ReportStop(ven_id=args.id, report_request_id=args.request, follow=args.follow)
    return await _say(service, call, "vtn.report.stop", place(args.id), stop)


# -- what is there ----------------------------------------------------------------------------------------------------


async def get_programs(service: Service, call: Call) -> Reply:
    """Programs."""
    page = await page_of(service, call, VtnProgram)
    return linked(call, Programs(items=page.items, next=page.next))


async def get_vens(service: Service, call: Call) -> Reply:
    """VENs."""
    stage = call.args.stage
    page = await page_of(service, call, VtnVen, states=None if stage is None else (stage,))
    return linked(call, Vens(items=tuple(map(views.ven_view, page.items)), next=page.next))


async def _ven(service: Service, call: Call) -> VtnVen:
    found = await service.hub.get(VtnVen, call.args.id)
    if found is None:
        raise NotFoundError("no such VEN", path="path/id", value=call.args.id)
    return found


async def get_ven(service: Service, call: Call) -> Reply:
    """One VEN."""
    return Reply(encode(views.ven_view(await _ven(service, call))))


async def get_groups(service: Service, call: Call) -> Reply:  # noqa: ARG001 - as others
    """Groups."""
    counts = Counter(name for ven in await every(service.hub, VtnVen) for name in ven.found_by.group_ids)
    return Reply(encode(Groups(items=tuple(Group(group_id=name, vens=counts[name]) for name in sorted(counts)))))


async def get_events(service: Service, call: Call) -> Reply:
    """Events."""
    page = await page_of(service, call, VtnEvent, states=None if call.args.cancelled else (OPEN,))
    now = service.clock()
    return linked(call, Events(items=tuple(views.event_view(one, now) for one in page.items), next=page.next))


async def _event(service: Service, call: Call) -> VtnEvent:
    found = await service.hub.get(VtnEvent, call.args.id)
    if found is None:
        raise NotFoundError("no such event", path="path/id", value=call.args.id)
    return found


async def get_event(service: Service, call: Call) -> Reply:
    """One event."""
    return Reply(encode(views.event_view(await _event(service, call), service.clock())))


async def get_answers(service: Service, call: Call) -> Reply:
    """Who has answered what to an event."""
    event = await _event(service, call)
    page = await page_of(service, call, VtnAnswer, states=(event.id,))
    return linked(call, Answers(items=tuple(map(views.answer_view, page.items)), next=page.next))


async def get_opts(service: Service, call: Call) -> Reply:
    """Opts."""
    states = (OPEN, CANCELLED) if call.args.cancelled else (OPEN,)
    page = await page_of(service, call, VtnOpt, owner=call.args.ven, states=states)
    return linked(call, Opts(items=tuple(map(views.opt_view, page.items)), next=page.next))


async def get_reports(service: Service, call: Call) -> Reply:
    """What a VEN can report, and what it was asked for."""
    ven = await _ven(service, call)
    return Reply(encode(views.reports_view(ven, await service.hub.get(VtnMetadata, ven.id))))


async def get_data(service: Service, call: Call) -> Reply:
    """What a VEN reported."""
    ven = await _ven(service, call)
    page = await page_of(service, call, VtnReport, owner=ven.id)
    return linked(call, Reports(items=tuple(map(views.report_view, page.items)), next=page.next))
