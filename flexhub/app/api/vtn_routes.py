"""The routes of a VTN of OpenADR 2.0b, ``/vtn/...``: whoever runs the hub is the utility."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from flexhub.app.api import messages as m
from flexhub.app.api import vtn
from flexhub.app.api.route import READING, WRITING, Route, get
from flexhub.app.openadr.vtn import views
from flexhub.app.openadr.vtn.utility import ReportSpec
from flexhub.core.registry import Role
from flexhub.protocols.openadr2b.session.state import EventSpec, VenSpec, VtnProgram

_COMMON: Final[dict[str, Any]] = {"of": None, "roles": (Role.ADMIN,), "clause": "OpenADR 2.0b"}


def _get(path: str, call: Any, name: str, returns: Any, text: str, **more: Any) -> Route:  # noqa: ANN401 - as in Route
    return get(path, call, name, returns, text, **_COMMON | {"scope": "vtn:read"} | more)


_write: Final = partial(Route, **_COMMON | {"scope": "vtn:write", "problems": (*WRITING, 404)})
_FOUND: Final = (*READING, 404)

ROUTES: Final[tuple[Route, ...]] = (
    _write(
        method="PUT",
        path="/vtn/program",
        call=vtn.put_program,
        name="putVtnProgram",
        text="Makes a program: a market context, which events and VENs name.",
        body=VtnProgram,
        returns={200: VtnProgram, 201: VtnProgram},
    ),
    _get("/vtn/program", vtn.get_programs, "getVtnPrograms", vtn.Programs, "Programs.", args=m.Paging),
    _write(
        method="PUT",
        path="/vtn/ven/{id}",
        call=vtn.put_ven,
        name="putVtnVen",
        text="Allocates a venID, or changes what is known of a VEN: its certificate's fingerprint or JID, programs, "
        "groups and what else targets find it by. Its registration stays.",
        args=vtn.OneOf,
        body=VenSpec,
        returns={200: views.VenView, 201: views.VenView},
    ),
    _get(
        "/vtn/ven",
        vtn.get_vens,
        "getVtnVens",
        vtn.Vens,
        "VENs, their registrations, and since when those are silent that are offline.",
        args=vtn.VenPaging,
    ),
    _get("/vtn/ven/{id}", vtn.get_ven, "getVtnVen", views.VenView, "One VEN.", args=vtn.OneOf, problems=_FOUND),
    _write(
        method="DELETE",
        path="/vtn/ven/{id}",
        call=vtn.delete_ven,
        name="cancelVtnVen",
        text="Cancels a VEN's registration; the VEN is told. It stays known, and may register again.",
        args=vtn.OneOf,
        returns={202: views.VenView},
        problems=(*READING, 404, 409),
    ),
    _write(
        method="POST",
        path="/vtn/ven/{id}/registration",
        call=vtn.ask_ven,
        name="askVtnVen",
        text="Asks a VEN to register again.",
        args=vtn.OneOf,
        returns={202: views.VenView},
        problems=(*READING, 404, 409),
    ),
    _get("/vtn/group", vtn.get_groups, "getVtnGroups", vtn.Groups, "Groups, and how many VENs are in each."),
    _write(
        method="POST",
        path="/vtn/event",
        call=vtn.post_event,
        name="postVtnEvent",
        text="Makes an event. Every VEN that the target means is sent it: by push, or at its next poll. Without any "
        "criterion the target is every VEN of the program.",
        body=EventSpec,
        returns={201: views.EventView},
    ),
    _get(
        "/vtn/event",
        vtn.get_events,
        "getVtnEvents",
        vtn.Events,
        "Events by their start, and what they are by now.",
        args=vtn.EventPaging,
    ),
    _get(
        "/vtn/event/{id}",
        vtn.get_event,
        "getVtnEvent",
        views.EventView,
        "One event.",
        args=vtn.OneOf,
        problems=_FOUND,
    ),
    _write(
        method="PUT",
        path="/vtn/event/{id}",
        call=vtn.put_event,
        name="putVtnEvent",
        text="Changes an event that is not over; its modificationNumber rises by one.",
        args=vtn.OneOf,
        body=EventSpec,
        returns={200: views.EventView},
    ),
    _write(
        method="DELETE",
        path="/vtn/event/{id}",
        call=vtn.delete_event,
        name="cancelVtnEvent",
        text="Cancels an event that is not over. VENs are told until they acknowledge it.",
        args=vtn.OneOf,
        returns={200: views.EventView},
        problems=(*READING, 404, 409),
    ),
    _get(
        "/vtn/event/{id}/answer",
        vtn.get_answers,
        "getVtnAnswers",
        vtn.Answers,
        "Who has answered what to an event.",
        args=vtn.OneOfPaging,
        problems=_FOUND,
    ),
    _get("/vtn/opt", vtn.get_opts, "getVtnOpts", vtn.Opts, "Opts of VENs, of events or at times.", args=vtn.OptPaging),
    _get(
        "/vtn/ven/{id}/report",
        vtn.get_reports,
        "getVtnReports",
        views.ReportsView,
        "What a VEN can report, and what it was asked for.",
        args=vtn.OneOf,
        problems=_FOUND,
    ),
    _write(
        method="POST",
        path="/vtn/ven/{id}/report",
        call=vtn.post_report,
        name="postVtnReport",
        text="Asks a VEN for a report that it registered: once, periodically, or of a time that is over.",
        args=vtn.OneOf,
        body=ReportSpec,
        returns={202: views.RequestView},
    ),
    _write(
        method="DELETE",
        path="/vtn/ven/{id}/report/{request}",
        call=vtn.delete_report,
        name="cancelVtnReport",
        text="Has a VEN end a report.",
        args=vtn.RequestOf,
        returns={202: views.RequestView},
        problems=(*READING, 404, 409),
    ),
    _get(
        "/vtn/ven/{id}/data",
        vtn.get_data,
        "getVtnData",
        vtn.Reports,
        "What a VEN reported, in the order in which it came.",
        args=vtn.OneOfPaging,
        problems=_FOUND,
    ),
)
