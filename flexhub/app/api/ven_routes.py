"""The routes of a hub that is a VEN of OpenADR 2.0b, ``/ven/...``: for whoever runs it."""

from __future__ import annotations

from typing import Any, Final

from flexhub.app.api import ven
from flexhub.app.api.route import READING, WRITING, Route, get
from flexhub.app.openadr.ven.views import HeardView, VtnView
from flexhub.core.registry import Role

_COMMON: Final[dict[str, Any]] = {"of": None, "roles": (Role.ADMIN,), "clause": "OpenADR 2.0b"}

ROUTES: Final[tuple[Route, ...]] = (
    get(
        "/ven/{name}",
        ven.get_vtn,
        "getVenRegistration",
        VtnView,
        "The hub's registration as a VEN of a VTN, which is called as the configuration calls it.",
        **_COMMON | {"scope": "ven:read", "args": ven.VtnName, "problems": (*READING, 404)},
    ),
    get(
        "/ven/{name}/event",
        ven.get_events,
        "getVenEvents",
        ven.HeardEvents,
        "Events of a VTN, and what the hub says to them.",
        **_COMMON | {"scope": "ven:read", "args": ven.VtnName, "problems": (*READING, 404)},
    ),
    Route(
        method="PUT",
        path="/ven/{name}/event/{event}/opt",
        call=ven.put_opt,
        name="putVenOpt",
        text="Opts in to an event or out of it, whatever was said before; the VTN is told. To opt out ends what the "
        "event asked for, to opt in files it anew. An event that is over, or was refused, cannot be opted for.",
        args=ven.EventOf,
        body=ven.OptWord,
        returns={200: HeardView},
        **_COMMON | {"scope": "ven:write", "problems": (*WRITING, 404, 409)},
    ),
)
