"""Decisions about single flex-offers: posted, revised, taken back, confirmed, declined, and their deadlines."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, Final

import msgspec

from flexhub.app.exchange.papers import Change, Membership, file_offer
from flexhub.app.hub.contract import Answer, Decision, Key, Message, View
from flexhub.app.hub.told import stream_id
from flexhub.core import lifecycle
from flexhub.core.base import renewed
from flexhub.core.documents import decode, encode
from flexhub.core.effects import Effect, Notify, Send, SetTimer
from flexhub.core.errors import (
    DuplicateError,
    ExpiredError,
    FlexhubError,
    ForbiddenError,
    IllegalTransitionError,
    InfeasibleError,
    InvalidError,
    MalformedError,
    NotFoundError,
)
from flexhub.core.feasibility import infeasible
from flexhub.core.flexoffer import FlexOffer, State
from flexhub.core.judge import violations
from flexhub.core.trading import Contract
from flexhub.engines.slots import ManagerEngine
from flexhub.protocols.unknown import depth

_NAMESPACE: Final = uuid.UUID("5b8a8b0e-6f0c-5f0a-9f6e-1f1e8d9f2c11")
_NULL: Final = b"null"

DEEPEST: Final = 32
"""How deep unknown fields may be nested."""


def new_id(peer: str, message_id: str) -> str:
    """The id of what a message creates: the same for the same message, so that a repeat creates nothing."""
    return uuid.uuid5(_NAMESPACE, f"{peer}/{message_id}").hex


def read_offer(body: bytes, peer: str, message_id: str, default_id: str | None = None) -> FlexOffer:
    """The offer in a body; without an id it gets the default or a new one, without an issuer the peer is meant.

    Raises:
        MalformedError, InvalidError: as `core.documents.decode`.
    """
    try:
        return _shallow(decode(FlexOffer, body))
    except InvalidError:
        try:
            fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        except (msgspec.DecodeError, RecursionError):
            fields = None
        given = {"id": default_id or new_id(peer, message_id), "issuer": peer}
        missing = {name: value for name, value in given.items() if bytes((fields or {}).get(name, _NULL)) == _NULL}
        if fields is None or not missing:
            raise
    return _shallow(decode(FlexOffer, encode({**fields, **missing})))


def _shallow(offer: FlexOffer) -> FlexOffer:
    """The offer, if what it carries for others is not nested so deep that somebody fails on it.

    Raises:
        InvalidError: extras are nested deeper than `DEEPEST`.
    """
    if offer.extras:
        _check_depth(offer.extras, "FlexOffer/extras")
    for i, profile in enumerate(offer.profiles):
        for j, piece in enumerate(profile.slices):
            if piece.extras:
                _check_depth(piece.extras, f"FlexOffer/profiles[{i}]/slices[{j}]/extras")
    return offer


def _check_depth(extras: dict[str, Any], path: str) -> None:
    try:
        depth(extras, DEEPEST)
    except MalformedError as error:
        raise InvalidError(error.message, path=path) from error


def change(offer: FlexOffer, events: Iterable[lifecycle.AnyEvent], now: datetime) -> tuple[FlexOffer, list[Effect]]:
    """The offer after these events of one decision; one notice and one timer stand for all of them.

    Its recipient, in whose portfolio it is, is told what its issuer is.

    Raises:
        FlexhubError: as `lifecycle.step`.
    """
    last: dict[object, Effect] = {}
    for event in events:
        offer, effects = lifecycle.step(offer, event, now)
        for effect in effects:
            if isinstance(effect, SetTimer):
                last[effect.subject, effect.event] = effect
            elif isinstance(effect, Notify):
                last[effect.party, effect.topic, effect.subject] = effect
            else:
                last[id(effect)] = effect
    told = Change(id=offer.id, state=offer.state, state_reason=offer.state_reason, schedule=offer.schedule)
    done: list[Effect] = []
    for effect in last.values():
        if isinstance(effect, Notify):
            done.append(msgspec.structs.replace(effect, body=told))
            if offer.recipient is not None:
                done.append(msgspec.structs.replace(effect, body=told, party=offer.recipient))
        else:
            done.append(effect)
    return offer, done


def decided(offer: FlexOffer, effects: Iterable[Effect], status: int = 200) -> Decision:
    """Store the offer and answer with it."""
    body = encode(offer)
    put = msgspec.structs.replace(file_offer(offer), body=body)
    return Decision(answer=Answer(status=status, body=body), puts=(put,), effects=tuple(effects))


def in_force(membership: Membership | None, offer: FlexOffer, now: datetime) -> Contract:
    """The contract that the offer falls under.

    Raises:
        ForbiddenError: the issuer has none in force, or names another one or another recipient.
    """
    if membership is None or not membership.contract.covers(now):
        raise ForbiddenError(f"{offer.issuer} has no contract in force", path="FlexOffer/issuer", value=offer.issuer)
    contract = membership.contract
    if offer.contract not in (None, contract.id):
        raise ForbiddenError("not the contract in force", path="FlexOffer/contract", value=str(offer.contract))
    if offer.recipient not in (None, contract.aggregator):
        raise ForbiddenError("not the contract's aggregator", path="FlexOffer/recipient", value=str(offer.recipient))
    return contract


def check(offer: FlexOffer, now: datetime) -> None:
    """Whether the offer can be taken up at all.

    Raises:
        InvalidError: it holds no flexibility.
        ExpiredError: it can no longer be accepted, assigned or started.
        InfeasibleError: its own default schedule breaks its bounds, or no schedule keeps them.
    """
    if offer.withdrawn:
        raise InvalidError("an offer without profiles holds no flexibility", path="FlexOffer/profiles")
    for name, deadline in (
        ("accept_before", offer.accept_before),
        ("start_before", offer.start_before),
        ("assign_before", offer.assign_deadline(now)),
    ):
        if deadline is not None and now > deadline:
            raise ExpiredError(f"{deadline:%FT%TZ} has passed at {now:%FT%TZ}", path=f"FlexOffer/{name}")
    if offer.default_schedule is not None:
        broken = violations(offer, offer.default_schedule, now=now)
        if broken:
            raise InfeasibleError(
                "; ".join(str(v) for v in broken[:3]), path="FlexOffer/default_schedule", clause=broken[0].clause
            )
    elif infeasible(offer, now):
        raise InfeasibleError("no schedule keeps all of its bounds", path="FlexOffer/profiles")


def own(view: View, message: Message) -> FlexOffer:
    """The offer that the message is about.

    Raises:
        NotFoundError: there is none, or it is another party's, which is the same to the asker.
    """
    offer = view.get(FlexOffer, message.conversation)
    if offer is None or offer.issuer != message.peer:
        raise NotFoundError("no such flex-offer", path="FlexOffer/id", value=message.conversation)
    return offer


def _draft(message: Message, default_id: str) -> FlexOffer:
    if isinstance(message.value, FlexOffer):
        return message.value
    return read_offer(message.body, message.peer, message.id, default_id)


def _by(message: Message, offer: FlexOffer) -> None:
    if offer.issuer != message.peer:
        raise ForbiddenError(
            f"{message.peer} may not offer for {offer.issuer}", path="FlexOffer/issuer", value=offer.issuer
        )


class _Judging:
    """What posting and revising share: the manager engine's verdict, given at once.

    Offers under contracts with the aggregators `elsewhere` are theirs to judge (`passing`).
    """

    def __init__(self, engine: ManagerEngine, elsewhere: Collection[str] = ()) -> None:
        self._engine = engine
        self._elsewhere = elsewhere

    def verdict(self, offer: FlexOffer, contract: Contract, now: datetime) -> lifecycle.AnyEvent:
        acceptance = self._engine.accept(offer, contract, now)
        if acceptance.accepted:
            return lifecycle.Accepted()
        return lifecycle.Rejected(reason=acceptance.reason[:1000] or "not accepted")


class PostOffer(_Judging):
    """``flexoffer.post``: accepted or rejected at once, or passed on, and returned with its id (201).

    The same offer again changes nothing and is answered with the offer as it is now (200).
    """

    def needs(self, message: Message) -> Iterable[Key]:
        """The offer of that id, and the issuer's contract."""
        return Key(FlexOffer, message.conversation), Key(Membership, message.peer)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Submitted, then Accepted or Rejected; where another hub's aggregator decides, Submitted and passed on."""
        draft = _draft(message, message.conversation)
        _by(message, draft)
        known = view.get(FlexOffer, draft.id)
        if known is not None:
            return self._again(known, draft)
        if draft.state not in (State.INITIAL, State.OFFERED):
            raise InvalidError("a new offer is initial", path="FlexOffer/state", value=draft.state)
        if draft.schedule is not None:
            raise InvalidError("the recipient assigns schedules", path="FlexOffer/schedule")
        contract = in_force(view.get(Membership, message.peer), draft, now)
        check(draft, now)
        offer = renewed(
            draft, state=State.INITIAL, state_reason=None, contract=contract.id, recipient=contract.aggregator
        )
        if contract.aggregator in self._elsewhere:
            submitted, effects = change(offer, (lifecycle.Submitted(),), now)
            return decided(submitted, [*effects, pass_offer(offer, now)], status=201)
        events = (lifecycle.Submitted(), self.verdict(offer, contract, now))
        return decided(*change(offer, events, now), status=201)

    @staticmethod
    def _again(known: FlexOffer, draft: FlexOffer) -> Decision:
        same = msgspec.structs.replace(
            draft,
            state=known.state,
            state_reason=known.state_reason,
            schedule=known.schedule,
            contract=draft.contract or known.contract,
            recipient=draft.recipient or known.recipient,
        )
        if same != known:
            raise DuplicateError("this id is taken by another offer", path="FlexOffer/id", value=draft.id)
        return Decision(answer=Answer(status=200, body=encode(known)))


class PutOffer(_Judging):
    """``flexoffer.put``: the issuer replaces its offer while it is not assigned; it is judged afresh."""

    def needs(self, message: Message) -> Iterable[Key]:
        """The offer, and the issuer's contract."""
        return Key(FlexOffer, message.conversation), Key(Membership, message.peer)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Revised, then Accepted or Rejected."""
        known = own(view, message)
        if known.recipient in self._elsewhere:
            raise passed_on(known)
        draft = _draft(message, known.id)
        _by(message, draft)
        if draft.id != known.id:
            raise InvalidError("a revision keeps its id", path="FlexOffer/id", value=draft.id)
        # What was read may be written back: state and schedule are not the issuer's to change, only to repeat.
        if draft.state not in (State.INITIAL, State.OFFERED, known.state):
            raise InvalidError("an issuer cannot set the state", path="FlexOffer/state", value=draft.state)
        if draft.schedule not in (None, known.schedule):
            raise InvalidError("the recipient assigns schedules", path="FlexOffer/schedule")
        contract = in_force(view.get(Membership, message.peer), draft, now)
        offer = msgspec.structs.replace(draft, contract=contract.id, recipient=contract.aggregator)
        # The notice and the timer of the revision are replaced by those of the verdict.
        revised, _ = lifecycle.step(known, lifecycle.Revised(offer=offer), now)
        check(revised, now)
        return decided(*change(revised, (self.verdict(revised, contract, now),), now))


class DeleteOffer:
    """``flexoffer.delete``: the issuer takes its offer back while it is not assigned."""

    def __init__(self, elsewhere: Collection[str] = ()) -> None:
        self._elsewhere = elsewhere

    def needs(self, message: Message) -> Iterable[Key]:
        """The offer."""
        return (Key(FlexOffer, message.conversation),)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Canceled."""
        offer = own(view, message)
        if offer.recipient in self._elsewhere:
            raise passed_on(offer)
        return decided(*change(offer, (lifecycle.Canceled(),), now))


class Decline(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a schedule will not be carried out."""

    reason: str = "declined by its issuer"


class ConfirmOffer:
    """``flexoffer.confirm``: the issuer will carry its schedule out."""

    def __init__(self, elsewhere: Collection[str] = ()) -> None:
        self._elsewhere = elsewhere

    def needs(self, message: Message) -> Iterable[Key]:
        """The offer."""
        return (Key(FlexOffer, message.conversation),)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Confirmed, or passed on."""
        offer = own(view, message)
        if offer.recipient in self._elsewhere:
            return _said(offer, message, "confirmation")
        return decided(*change(offer, (lifecycle.Confirmed(),), now))


class DeclineOffer:
    """``flexoffer.decline``: the issuer won't carry its schedule out."""

    def __init__(self, elsewhere: Collection[str] = ()) -> None:
        self._elsewhere = elsewhere

    def needs(self, message: Message) -> Iterable[Key]:
        """The offer."""
        return (Key(FlexOffer, message.conversation),)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Declined, or passed on."""
        offer = own(view, message)
        if offer.recipient in self._elsewhere:
            return _said(offer, message, "refusal")
        why = decode(Decline, message.body) if message.body else Decline()
        return decided(*change(offer, (lifecycle.Declined(reason=why.reason[:1000]),), now))


def _said(offer: FlexOffer, message: Message, what: str) -> Decision:
    """Passed on; the offer is as it was until its recipient says otherwise."""
    send = pass_on(offer, f"/flexoffer/{offer.id}/{what}", new_id(message.peer, message.id), message.body or b"{}")
    return Decision(answer=Answer(status=200, body=encode(offer)), effects=(send,))


def passed_on(offer: FlexOffer) -> FlexhubError:
    """Why its issuer can't change it any more.

    Interpretation: what its recipient has, only the recipient changes; the issuer may still decline its schedule.
    """
    return IllegalTransitionError(
        f"it was passed on to {offer.recipient}; a schedule that cannot be kept may be declined",
        path="FlexOffer/state",
        value=offer.state,
    )


def pass_offer(offer: FlexOffer, now: datetime) -> Send:
    """The offer, on its way to its recipient for as long as it can be accepted there."""
    deadline = min(d for d in (offer.accept_before, offer.assign_deadline(now)) if d is not None)
    return msgspec.structs.replace(pass_on(offer, "/flexoffer", offer.id, encode(offer)), expires=deadline)


def pass_on(offer: FlexOffer, path: str, message_id: str, body: bytes) -> Send:
    """What an offer's issuer says about it, on its way to its recipient in another hub."""
    return Send(
        peer=stream_id(str(offer.recipient), offer.issuer),
        message_id=message_id,
        conversation=offer.id,
        path=path,
        media_type="application/json",
        body=body,
        reply_kind="passing",
    )


class Deadline:
    """``timer.deadline``: nobody decided in time, or the schedule's start or end has come."""

    def needs(self, message: Message) -> Iterable[Key]:
        """The offer."""
        return (Key(FlexOffer, message.conversation),)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """The event that the offer's own deadline stands for; nothing where it has moved on."""
        offer = view.get(FlexOffer, message.conversation)
        event = lifecycle.on_deadline(offer) if offer is not None else None
        if offer is None or event is None:
            return Decision(answer=Answer(status=204))
        return decided(*change(offer, (event,), now))
