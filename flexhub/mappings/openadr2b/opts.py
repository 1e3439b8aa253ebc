"""Opts and the core: availability is when an offer may start; optIn and optOut confirm or decline a schedule."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import msgspec

from flexhub.core.errors import InvalidError
from flexhub.core.flexoffer import FlexOffer
from flexhub.core.lifecycle import Confirmed, Declined
from flexhub.core.timegrid import ceil_to_grid, floor_to_grid
from flexhub.mappings.fates import Kind, Loss, Mapped
from flexhub.mappings.openadr2b.context import Context, duration_of, needed, seconds_of, target_of
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b import names
from flexhub.protocols.openadr2b.elements import EiResponse, EventResponse, Properties, QualifiedEventID
from flexhub.protocols.uftp.times import instant, text_of

_AVAILABLE: Final = "oadrCreateOpt/vavailability/components/available"
REASON: Final = "declined"


def availability_to_core(m: wire.OadrCreateOpt, ctx: Context) -> Mapped[FlexOffer]:
    """The context's offer, which may start as early and as late as it still ends within the opt's windows.

    An offer has one window of starts, so of several the one with the most starts is taken, and what the others would
    have allowed is a lost bound, in kWh. To opt out withdraws the offer.

    Raises:
        InvalidError: an opt of an event, no windows, no offer in the context, or windows that are too short for it.
    """
    if m.qualified_event_id is not None or not m.vavailability:
        raise InvalidError("an opt of an event; a schedule of availability is mapped", path="oadrCreateOpt")
    offer = ctx.offer
    if offer is None or offer.withdrawn:
        raise InvalidError("of what is not told", path="Context/offer")
    if m.opt_type is names.OptType.OPT_OUT:
        return Mapped(msgspec.structs.replace(offer, profiles=(), default_schedule=None))
    least = timedelta(seconds=min(p.span_slots(offer.resolution_s)[0] for p in offer.profiles) * offer.resolution_s)
    windows = []
    for i, told in enumerate(m.vavailability):
        start = instant(told.dtstart)
        end = start + timedelta(seconds=seconds_of(told.duration, f"{_AVAILABLE}[{i}]/properties/duration"))
        first, last = ceil_to_grid(start, offer.resolution_s), floor_to_grid(end - least, offer.resolution_s)
        windows.append((last - first, -i, first, last, end))
    room, minus_i, first, last, end = max(windows)
    if room < timedelta(0):
        raise InvalidError(f"all shorter than {least}", path=_AVAILABLE)
    kwh = sum(s.span_kwh()[1] - s.span_kwh()[0] for s in offer.profiles[0].slices)
    losses = [
        Loss(
            path=f"{_AVAILABLE}[{-j}]",
            kind=Kind.BOUND,
            value=kwh * (other // timedelta(seconds=offer.resolution_s) + 1),
            why="an offer has one window of starts; slot-kWh of flexibility lost",
        )
        for other, j, *_ in windows
        if j != minus_i and other >= timedelta(0)
    ]
    default = offer.default_schedule
    if default is not None and not first <= default.start <= last:
        why = "the baseline lies outside of the window"
        losses.append(Loss(path="FlexOffer/default_schedule", kind=Kind.CONVERTED, value=text_of(first), why=why))
        default = msgspec.structs.replace(default, start=first)
    value = msgspec.structs.replace(
        offer,
        start_after=first,
        start_before=last,
        start_before_duration_s=None,
        end_after=None,
        end_before=end,
        default_schedule=default,
    )
    return Mapped(value, tuple(losses))


def availability_to_wire(offer: FlexOffer, ctx: Context) -> Mapped[wire.OadrCreateOpt]:
    """When an offer may be carried out: from its earliest start to the latest end of its longest profile.

    A withdrawn offer is one window of optOut, of which the context's offer tells when. All that an offer says but the
    window is a report's business, and not repeated here.

    Raises:
        InvalidError: an identity that was not told.
    """
    told = ctx.offer if offer.withdrawn else offer
    if told is None or told.withdrawn:
        raise InvalidError("of what is not told", path="Context/offer")
    first, last = told.window(ctx.now)
    slots = max(p.span_slots(told.resolution_s)[1] for p in told.profiles)
    end = last + timedelta(seconds=slots * told.resolution_s)
    losses: list[Loss] = []
    if told.end_before is not None and told.end_before < end:
        end = told.end_before
    if told.end_after is not None:
        why = "an availability has no earliest end"
        losses.append(Loss(path="FlexOffer/end_after", kind=Kind.BOUND, value=text_of(told.end_after), why=why))
    window = Properties(dtstart=text_of(first), duration=duration_of(int((end - first).total_seconds())))
    kept = {k: ctx.kept[k] for k in ("schema_version", "market_context", "oadr_device_class") if k in ctx.kept}
    message = wire.OadrCreateOpt(
        **{"schema_version": wire.VERSION, **kept},
        **needed(ctx, "request_id", "opt_id", "ven_id"),
        opt_type=names.OptType.OPT_OUT if offer.withdrawn else names.OptType.OPT_IN,
        opt_reason=ctx.kept.get("opt_reason", "notParticipating" if offer.withdrawn else "participating"),
        vavailability=(window,),
        created_date_time=ctx.kept.get("created_date_time", text_of(ctx.now)),
        ei_target=target_of(ctx),
    )
    return Mapped(message, tuple(losses))


# -- answers to events ------------------------------------------------------------------------------------------------

Answer = Confirmed | Declined


def answer_to_core(m: wire.OadrCreatedEvent, ctx: Context) -> Mapped[Answer]:
    """What a recipient says of one event: that of `kept`'s event_id, or the only one.

    Raises:
        InvalidError: none of them is about that event.
    """
    created = m.ei_created_event
    wanted = ctx.kept.get("event_id")
    found = [r for r in created.event_responses or () if wanted in (None, r.qualified_event_id.event_id)]
    if len(found) != 1:
        raise InvalidError(f"{len(found)} answers could be meant", path="oadrCreatedEvent/eiCreatedEvent")
    one = found[0]
    if one.response_code[0] == "2" and one.opt_type is names.OptType.OPT_IN:
        return Mapped(Confirmed())
    said = one.response_description or "optOut"
    return Mapped(Declined(reason=f"{one.response_code} {said}"))


def answer_to_wire(answer: Answer, ctx: Context) -> Mapped[wire.OadrCreatedEvent]:
    """An answer to one event. Why something is declined is its description.

    Raises:
        InvalidError: an identity that was not told.
    """
    told = needed(ctx, "request_id", "event_id", "modification_number", "ven_id")
    code, said = names.ResponseCode.OK.value, "OK"
    if isinstance(answer, Declined):
        given, _, rest = answer.reason.partition(" ")
        whole = len(given) == len(code) and given.isascii() and given.isdigit()
        code, said = (given, rest) if whole else (code, answer.reason)
    response = EventResponse(
        response_code=code,
        response_description=said,
        request_id=told["request_id"],
        qualified_event_id=QualifiedEventID(event_id=told["event_id"], modification_number=told["modification_number"]),
        opt_type=names.OptType.OPT_IN if isinstance(answer, Confirmed) else names.OptType.OPT_OUT,
    )
    created = wire.EiCreatedEvent(
        ei_response=EiResponse(response_code=names.ResponseCode.OK, response_description="OK", request_id=""),
        event_responses=(response,),
        ven_id=told["ven_id"],
    )
    return Mapped(wire.OadrCreatedEvent(schema_version=wire.VERSION, ei_created_event=created))
