"""A participant's side of UFTP's conversations: pure functions of a message, of what was looked up, and of the time.

`receive` judges what came and makes the answer, `send` judges what is to go out, `delivered` and `elapsed` say what
follows from an attempt to deliver and from a due instant. All return what is to be stored and effects: answers and
deliveries as `Notify` (topics below), due instants as `SetTimer`. Two tables say what may happen: `STAGES` to what
messages are about, `DELIVERIES` to a message that goes out.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec

from flexhub.core.effects import Effect, Notify, SetTimer
from flexhub.core.errors import IllegalTransitionError, InvalidError
from flexhub.protocols.rules import Broken
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.rules import findings, reason
from flexhub.protocols.uftp.seen import (
    ANSWERS,
    Key,
    Market,
    Need,
    Past,
    Peer,
    Seen,
    answered,
    references,
    revision_key,
)
from flexhub.protocols.uftp.times import text_of

SEND: Final = "uftp.send"
"""Topic: the body is a message to deliver to the party."""
SETTLED: Final = "uftp.settled"
"""Topic: the subject, a message of ours, was answered, or given up; the body is the answer, or the delivery's state."""
DELIVER: Final = "uftp.deliver"
REPLY: Final = "uftp.reply"
"""Timer events: try again to deliver; a reply is overdue."""


ALREADY_SUBMITTED: Final = "UFTP-14"
"""The rule that `receive` keeps by itself."""


class Stage(enum.StrEnum):
    """What became of a message, as far as others may refer to it."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    ORDERING = "ordering"
    ORDERED = "ordered"
    REVOKING = "revoking"
    REVOKED = "revoked"


class Event(enum.StrEnum):
    """What can happen to it."""

    ACCEPT = "accept"
    REJECT = "reject"
    ORDER = "order"
    CONFIRM_ORDER = "confirm order"
    DECLINE_ORDER = "decline order"
    REVOKE = "revoke"
    CONFIRM_REVOCATION = "confirm revocation"
    DECLINE_REVOCATION = "decline revocation"


STAGES: Final = {
    (Stage.PENDING, Event.ACCEPT): Stage.ACCEPTED,
    (Stage.PENDING, Event.REJECT): Stage.REJECTED,
    (Stage.ACCEPTED, Event.ORDER): Stage.ORDERING,
    (Stage.ORDERING, Event.CONFIRM_ORDER): Stage.ORDERED,
    (Stage.ORDERING, Event.DECLINE_ORDER): Stage.ACCEPTED,
    (Stage.ACCEPTED, Event.REVOKE): Stage.REVOKING,
    (Stage.ORDERING, Event.REVOKE): Stage.REVOKING,  # order and revocation cross: the revocation goes first [3.8.4]
    (Stage.REVOKING, Event.DECLINE_ORDER): Stage.REVOKING,
    (Stage.REVOKING, Event.CONFIRM_REVOCATION): Stage.REVOKED,
    (Stage.REVOKING, Event.DECLINE_REVOCATION): Stage.ACCEPTED,
    (Stage.REVOKED, Event.DECLINE_ORDER): Stage.REVOKED,
}
"""(stage, event) -> stage; absent is illegal. Requests, prognoses and orders go no further than accepted."""


class Delivery(enum.StrEnum):
    """Where an outgoing message is."""

    WAITING = "waiting"
    SENT = "sent"
    ANSWERED = "answered"
    UNDELIVERED = "undelivered"
    UNANSWERED = "unanswered"


class Attempt(enum.StrEnum):
    """What can happen to it."""

    TAKEN = "taken"
    FAILED = "failed"
    REFUSED = "refused"
    ANSWER = "answer"
    ELAPSED = "elapsed"


DELIVERIES: Final = {
    (Delivery.WAITING, Attempt.TAKEN): Delivery.SENT,
    (Delivery.WAITING, Attempt.FAILED): Delivery.WAITING,
    (Delivery.WAITING, Attempt.REFUSED): Delivery.UNDELIVERED,
    (Delivery.WAITING, Attempt.ELAPSED): Delivery.UNDELIVERED,
    (Delivery.WAITING, Attempt.ANSWER): Delivery.ANSWERED,  # the answer overtakes the 200, or the 200 got lost
    (Delivery.SENT, Attempt.ANSWER): Delivery.ANSWERED,
    (Delivery.SENT, Attempt.ELAPSED): Delivery.UNANSWERED,
    (Delivery.UNDELIVERED, Attempt.ANSWER): Delivery.ANSWERED,
    (Delivery.UNANSWERED, Attempt.ANSWER): Delivery.ANSWERED,  # late, and yet an answer
}
"""(state, attempt) -> state; absent is illegal."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How long is tried and waited. The standard asks at least an hour, with exponential back-off [Appendix 4]."""

    give_up_after: timedelta = timedelta(hours=6)
    first_delay: timedelta = timedelta(seconds=1)
    longest_delay: timedelta = timedelta(minutes=5)
    reply_within: timedelta = timedelta(hours=6)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One message, ours or theirs, and what became of it; stored by its MessageID.

    `answer` is what was answered to it, or by it: said again with the same id and bytes where the message comes again.
    """

    message: wire.Payload
    ours: bool
    stage: Stage = Stage.PENDING
    delivery: Delivery | None = None
    answer: wire.Payload | None = None
    since: datetime
    attempts: int = 0

    def past(self) -> Past:
        """As rules see it."""
        return Past(
            message=self.message,
            accepted=self.stage not in (Stage.PENDING, Stage.REJECTED),
            revoked=self.stage in (Stage.REVOKING, Stage.REVOKED),
            ordered=self.stage is Stage.ORDERED,
        )


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked up by `needs`, and after a step what is to be stored: entries by MessageID, revisions by key.

    For a TestMessageResponse, which refers to nothing, the conversation's TestMessage is among the entries.
    """

    entries: dict[str, Entry] = {}
    revisions: dict[str, int] = {}
    market: Market | None = None
    peer: Peer | None = None
    orders: frozenset[str] | None = None
    places: dict[str, str] | None = None

    def seen(self, message: wire.Payload, now: datetime, envelope: wire.SignedMessage | None = None) -> Seen:
        """As rules see it; the message's own entry is the earlier one of the same id."""
        same = self.entries.get(message.message_id)
        key = revision_key(message)
        return Seen(
            now=now,
            envelope=envelope,
            market=self.market,
            peer=self.peer,
            same=None if same is None else same.past(),
            past={name: entry.past() for name, entry in self.entries.items()},
            revision=None if key is None else self.revisions.get(key),
            orders=self.orders,
            places=self.places,
        )


def further(book: Book, message: wire.Payload) -> tuple[Key, ...]:
    """What to look up after `needs`: an answer to an order or a revocation moves the offer that those are about."""
    asked = book.entries.get(answered(message) or "")
    return () if asked is None else tuple(Key(Need.PAST, told) for _, told in references(asked.message))


class Step(NamedTuple):
    """What a step comes to."""

    book: Book
    effects: tuple[Effect, ...] = ()
    answer: wire.Payload | None = None
    broken: tuple[Broken, ...] = ()


def moved(stage: Stage, event: Event) -> Stage:
    """The stage after an event.

    Raises:
        IllegalTransitionError: the table has no such move.
    """
    if (stage, event) not in STAGES:
        raise IllegalTransitionError(f"{event} may not happen to what is {stage}")
    return STAGES[stage, event]


def _with(book: Book, *entries: Entry) -> Book:
    changed = {entry.message.message_id: entry for entry in entries}
    return msgspec.structs.replace(book, entries={**book.entries, **changed})


def _staged(book: Book, message_id: str | None, *events: Event) -> Book:
    """The book after these events of an entry; those that its stage does not know are let be."""
    entry = book.entries.get(message_id or "")
    if entry is None:
        return book
    stage = entry.stage
    for event in events:
        stage = STAGES.get((stage, event), stage)
    return _with(book, msgspec.structs.replace(entry, stage=stage))


def _counted(book: Book, message: wire.Payload) -> Book:
    key = revision_key(message)
    if key is None:
        return book
    return msgspec.structs.replace(book, revisions={**book.revisions, key: message.revision})  # type: ignore[attr-defined]  # a key says so


def receive(  # noqa: PLR0913 - what came, what is known, and what the answer needs
    book: Book,
    message: wire.Payload,
    now: datetime,
    *,
    new_id: str,
    envelope: wire.SignedMessage | None = None,
    content: dict[str, Any] | None = None,
    refused: Sequence[Broken] = (),
    off: Collection[str] = (),
) -> Step:
    """Take a message that came.

    The same message again gets the same answer again, and nothing else happens. Interpretation: the standard lists
    Already Submitted among the rejections and calls the copy successfully submitted; so its first answer is repeated.

    Args:
        book: what `needs` names.
        message: what came.
        now: the time.
        new_id: MessageID of the answer.
        envelope: what it came in.
        content: fields of the answer that only the application knows (orders' states, settlement's verdicts, views).
        refused: what the application finds wrong with it, where no rule is broken.
        off: ids of rules that are switched off; the conformance suite's self-check does so, one by one.
    """
    same = book.entries.get(message.message_id)
    if same is not None and not same.ours and same.message == message and ALREADY_SUBMITTED not in off:
        return Step(book, _sending(same.answer), same.answer)
    broken = findings(message, book.seen(message, now, envelope), off=off) or list(refused)
    if type(message) in wire.RESPONSES.values():
        return Step(book, broken=tuple(broken)) if broken else _settled(book, message)
    answer = answer_to(message, broken, new_id, now, content or {})
    effects = _sending(answer)
    if same is not None:
        return Step(book, effects, answer, tuple(broken))  # an id that was another's: nothing is stored under it
    stage = Stage.REJECTED if broken else Stage.ACCEPTED
    book = _with(book, Entry(message=message, ours=False, stage=stage, answer=answer, since=now))
    if not broken:
        book = _counted(book, message)
        if isinstance(message, wire.FlexOrder):
            book = _staged(book, message.flex_offer_message_id, Event.ORDER, Event.CONFIRM_ORDER)
        elif isinstance(message, wire.FlexOfferRevocation):
            book = _staged(book, message.flex_offer_message_id, Event.REVOKE, Event.CONFIRM_REVOCATION)
    return Step(book, effects, answer, tuple(broken))


def _sending(message: wire.Payload | None) -> tuple[Effect, ...]:
    if message is None:
        return ()
    return (Notify(party=message.recipient_domain, topic=SEND, subject=message.message_id, body=message),)


def _asked(book: Book, answer: wire.Payload) -> Entry | None:
    about = answered(answer)
    if about is not None:
        return book.entries.get(about)
    ours = (entry for entry in book.entries.values() if entry.ours and isinstance(entry.message, wire.TestMessage))
    return next((entry for entry in ours if entry.message.conversation_id == answer.conversation_id), None)


def _settled(book: Book, answer: wire.Payload) -> Step:
    """An answer to a message of ours: a second one changes nothing."""
    asked = _asked(book, answer)
    if asked is None or asked.delivery is None or (asked.delivery, Attempt.ANSWER) not in DELIVERIES:
        return Step(book)
    accepted = not isinstance(answer, wire.Response) or answer.result is wire.Result.ACCEPTED
    message = asked.message
    book = _with(
        book,
        msgspec.structs.replace(
            asked,
            stage=STAGES.get((asked.stage, Event.ACCEPT if accepted else Event.REJECT), asked.stage),
            delivery=DELIVERIES[asked.delivery, Attempt.ANSWER],
            answer=answer,
        ),
    )
    if isinstance(message, wire.FlexOrder):
        event = Event.CONFIRM_ORDER if accepted else Event.DECLINE_ORDER
        book = _staged(book, message.flex_offer_message_id, event)
    elif isinstance(message, wire.FlexOfferRevocation):
        event = Event.CONFIRM_REVOCATION if accepted else Event.DECLINE_REVOCATION
        book = _staged(book, message.flex_offer_message_id, event)
    return Step(book, _over(message, answer))


def _over(message: wire.Payload, body: object) -> tuple[Effect, ...]:
    return (
        SetTimer(subject=message.message_id, event=DELIVER, due=None),
        SetTimer(subject=message.message_id, event=REPLY, due=None),
        Notify(party=message.sender_domain, topic=SETTLED, subject=message.message_id, body=body),
    )


def answer_to(
    message: wire.Payload, broken: list[Broken], new_id: str, now: datetime, content: dict[str, Any]
) -> wire.Payload | None:
    """The answer; None where the schema has none.

    Interpretation: a TestMessage that breaks a rule is not answered, since its answer has no Result; and a rejected
    AGRPortfolioQuery is not, since the schema demands a congestion point with a connection of its answer.

    Raises:
        InvalidError: an accepted AGRPortfolioQuery without ``dso_views`` in `content`.
    """
    kind = wire.RESPONSES[type(message)]
    fields: dict[str, Any] = {
        "version": message.version if not broken or message.version in wire.VERSIONS else wire.VERSIONS[-1],
        "sender_domain": message.recipient_domain,
        "recipient_domain": message.sender_domain,
        "time_stamp": text_of(now),
        "message_id": new_id,
        "conversation_id": message.conversation_id,
        **content,
    }
    if kind is wire.TestMessageResponse:
        return None if broken else wire.TestMessageResponse(**fields)
    if broken and kind is wire.AGRPortfolioQueryResponse:
        return None
    if kind is wire.AGRPortfolioQueryResponse and "dso_views" not in content:
        raise InvalidError("its views are needed to answer it", path=wire.element(type(message)))
    fields[ANSWERS[kind]] = message.message_id
    fields["result"] = wire.Result.REJECTED if broken else wire.Result.ACCEPTED
    if broken:
        fields["rejection_reason"] = reason(broken)
    if isinstance(message, wire.AGRPortfolioQuery | wire.DSOPortfolioQuery):
        fields |= {"time_zone": message.time_zone, "period": message.period}
    if isinstance(message, wire.FlexSettlement) and (broken or "flex_order_settlement_statuses" not in content):
        # The schema demands a status of each; a rejected settlement is one whose every item may be disputed [4.2.25].
        verdict = wire.Verdict.DISPUTED if broken else wire.Verdict.ACCEPTED
        fields["flex_order_settlement_statuses"] = tuple(
            wire.FlexOrderSettlementStatus(
                order_reference=item.order_reference,
                disposition=verdict,
                dispute_reason=reason(broken) if broken else None,
            )
            for item in message.flex_order_settlements
        )
    return kind(**fields)


def send(book: Book, message: wire.Payload, now: datetime, policy: Policy | None = None) -> Step:
    """Send a message of ours that is no answer: it must break no rule, and what it refers to must allow it.

    `book.market` is as the recipient sees it, or None. An order marks its offer, so that none is ordered twice.

    Raises:
        InvalidError: it breaks a rule; nothing is sent.
        IllegalTransitionError: the offer is ordered or revoked already.
    """
    if type(message) not in wire.RESPONSES:
        raise InvalidError("answers are made by receive", path=wire.element(type(message)))
    broken = findings(message, book.seen(message, now))
    if broken:
        one = broken[0]
        raise InvalidError(one.message, path=one.path, clause=f"{one.rule}, {one.clause}")
    if isinstance(message, wire.FlexOrder | wire.FlexOfferRevocation) and message.flex_offer_message_id is not None:
        event = Event.ORDER if isinstance(message, wire.FlexOrder) else Event.REVOKE
        offer = book.entries[message.flex_offer_message_id]
        book = _with(book, msgspec.structs.replace(offer, stage=moved(offer.stage, event)))
    entry = Entry(message=message, ours=True, delivery=Delivery.WAITING, since=now)
    book = _counted(_with(book, entry), message)
    until = now + (policy or Policy()).give_up_after
    timer = SetTimer(subject=message.message_id, event=DELIVER, due=min(now + _delay(1, policy or Policy()), until))
    return Step(book, (*_sending(message), timer))


def _delay(attempts: int, policy: Policy) -> timedelta:
    """Doubling from the first delay up to the longest."""
    return min(policy.longest_delay, policy.first_delay * (1 << min(attempts, 20)))


def outcome(status: int | None) -> Attempt:
    """What an HTTP status means for the delivery; None is no answer at all.

    400, 401, 411 and other refusals of 4xx are permanent; 404, 408, 419, 429, redirects that lead nowhere, 5xx and
    whatever is unknown are temporary.
    """
    if status is not None and 200 <= status < 300:
        return Attempt.TAKEN
    if status is not None and 400 <= status < 500 and status not in (404, 408, 419, 425, 429):
        return Attempt.REFUSED
    return Attempt.FAILED


Moved = tuple[Entry, tuple[Effect, ...]]
"""An entry to store, and effects."""


def delivered(entry: Entry, status: int | None, now: datetime, policy: Policy | None = None) -> Moved:
    """What follows from an attempt to deliver a message of ours.

    What is over already (answered, given up) is let be: a late 200 says nothing new.
    """
    told = policy or Policy()
    attempt = outcome(status)
    if entry.delivery is not Delivery.WAITING:
        return entry, ()
    entry = msgspec.structs.replace(entry, delivery=DELIVERIES[entry.delivery, attempt], attempts=entry.attempts + 1)
    name = entry.message.message_id
    if attempt is Attempt.TAKEN:
        reply = SetTimer(subject=name, event=REPLY, due=now + told.reply_within)
        return entry, (SetTimer(subject=name, event=DELIVER, due=None), reply)
    if attempt is Attempt.REFUSED:
        return entry, _over(entry.message, str(entry.delivery))
    due = min(now + _delay(entry.attempts, told), max(now, entry.since + told.give_up_after))
    return entry, (SetTimer(subject=name, event=DELIVER, due=due),)


def elapsed(entry: Entry, event: str, now: datetime, policy: Policy | None = None) -> Moved:
    """What follows from a timer: the same message again, with the same id, or nothing more to hope for."""
    told = policy or Policy()
    waiting = Delivery.WAITING if event == DELIVER else Delivery.SENT
    if entry.delivery is not waiting:
        return entry, ()
    if event == DELIVER and now < entry.since + told.give_up_after:
        due = min(now + _delay(entry.attempts + 1, told), entry.since + told.give_up_after)
        return entry, (*_sending(entry.message), SetTimer(subject=entry.message.message_id, event=DELIVER, due=due))
    entry = msgspec.structs.replace(entry, delivery=DELIVERIES[waiting, Attempt.ELAPSED])
    return entry, _over(entry.message, str(entry.delivery))
