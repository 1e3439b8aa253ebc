"""What the routes of a hub that is a VEN do: tell of its VTNs and their events, and say an operator's opt."""

from __future__ import annotations

from typing import Annotated

import msgspec

from flexhub.app.api import messages as m
from flexhub.app.api.calls import Call, Reply, Service, handle
from flexhub.app.openadr.ven.handlers import Opt
from flexhub.app.openadr.ven.papers import OpenadrVen
from flexhub.app.openadr.ven.views import HeardView, heard_view, vtn_view
from flexhub.core.documents import decode, encode
from flexhub.core.errors import NotFoundError
from flexhub.protocols.openadr2b.names import OptType
from flexhub.protocols.openadr2b.session.ven_state import State

OadrId = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class VtnName(m.Arguments, frozen=True, kw_only=True):
    """Which VTN, by the name that the configuration gives it."""

    name: OadrId


class EventOf(m.Arguments, frozen=True, kw_only=True):
    """Which event of which VTN."""

    name: OadrId
    event: OadrId


class OptWord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An operator's word about an event."""

    opt: OptType


class HeardEvents(msgspec.Struct, frozen=True, kw_only=True):
    """All events of a VTN that are known, in order of their start."""

    items: tuple[HeardView, ...]


async def _state(service: Service, name: str) -> State:
    found = await service.hub.get(OpenadrVen, name)
    if found is None:
        raise NotFoundError("no such VTN was spoken with", path="path/name", value=name)
    return found.state


async def get_vtn(service: Service, call: Call) -> Reply:
    """Our registration with a VTN."""
    return Reply(encode(vtn_view(call.args.name, await _state(service, call.args.name))))


async def get_events(service: Service, call: Call) -> Reply:
    """Events of a VTN, and what we say to them."""
    state = await _state(service, call.args.name)
    items = sorted((heard_view(id_, one) for id_, one in state.events.items()), key=lambda one: one.starts)
    return Reply(encode(HeardEvents(items=tuple(items))))


async def put_opt(service: Service, call: Call) -> Reply:
    """Opt in or out."""
    args = call.args
    opt = Opt(event_id=args.event, opt=decode(OptWord, call.body).opt)
    await handle(service, call._replace(body=encode(opt)), "openadr.ven.opt", args.name, opt)
    state = await _state(service, args.name)
    return Reply(encode(heard_view(args.event, state.events[args.event])))
