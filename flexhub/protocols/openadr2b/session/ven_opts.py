"""A VEN's opts: what it says of an event later than its first answer, and when it is available."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.elements import EiTarget, Message, Properties, QualifiedEventID
from flexhub.protocols.openadr2b.names import OptType, ResponseRequired
from flexhub.protocols.openadr2b.session.ven_events import answer, is_over
from flexhub.protocols.openadr2b.session.ven_state import State, Step, new_id
from flexhub.protocols.uftp.times import text_of


def opted(  # noqa: PLR0913 - what an opt says
    state: State, event_id: str, opt: OptType, now: datetime, *, seed: str, said: str = "OK"
) -> Step:
    """What was decided of an event: answered where that is still open, else said by oadrCreateOpt [rule 206].

    Of an event that is over, refused or unknown nothing is said, nor of one whose VTN wants no answer.
    """
    held = state.events.get(event_id)
    if held is None or held.code[0] != "2" or is_over(held) or held.opt is opt:
        return Step(state)
    end = held.until()
    if end is not None and end <= now:
        return Step(state)
    decided = replace(held, opt=opt, said=said, answered=True)
    after = replace(state, events={**state.events, event_id: decided})
    if held.event.oadr_response_required is not ResponseRequired.ALWAYS:
        return Step(after)
    if held.opt is None:
        return Step(after, (answer(after, [(event_id, decided)]),))
    made = wire.OadrCreateOpt(
        schema_version=wire.VERSION,
        opt_id=new_id(seed, "opt", event_id),
        opt_type=opt,
        opt_reason="participating" if opt is OptType.OPT_IN else "notParticipating",
        ven_id=state.ven_id or "",
        created_date_time=text_of(now),
        request_id=new_id(seed, "opt request", event_id),
        qualified_event_id=QualifiedEventID(event_id=event_id, modification_number=held.number),
        ei_target=EiTarget(),
    )
    return Step(replace(after, opts={**after.opts, made.opt_id: made}), (made,))


def available(  # noqa: PLR0913 - what an opt says
    state: State,
    windows: tuple[Properties, ...],
    opt: OptType,
    now: datetime,
    *,
    seed: str,
    reason: str = "x-schedule",
    market: str | None = None,
    target: EiTarget | None = None,
) -> Step:
    """Say when we are available, or not; until it is taken back."""
    made = wire.OadrCreateOpt(
        schema_version=wire.VERSION,
        opt_id=new_id(seed, "opt"),
        opt_type=opt,
        opt_reason=reason,
        market_context=market,
        ven_id=state.ven_id or "",
        vavailability=windows,
        created_date_time=text_of(now),
        request_id=new_id(seed, "opt request"),
        ei_target=target or EiTarget(),
    )
    return Step(replace(state, opts={**state.opts, made.opt_id: made}), (made,))


def withdrawn(state: State, opt_id: str, *, seed: str) -> Step:
    """Take an opt back; one that is not there is left so."""
    if opt_id not in state.opts:
        return Step(state)
    rest = {name: opt for name, opt in state.opts.items() if name != opt_id}
    cancel: Message = wire.OadrCancelOpt(
        schema_version=wire.VERSION,
        request_id=new_id(seed, "cancel opt"),
        opt_id=opt_id,
        ven_id=state.ven_id or "",
    )
    return Step(replace(state, opts=rest), (cancel,))
