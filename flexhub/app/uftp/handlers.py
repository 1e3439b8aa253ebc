"""UFTP's conversations in the hub loop: what comes, what is sent, and what came of sending.

Kinds of messages, for `Hub.handle` and as handlers:

- ``uftp.receive``: the endpoint's. Body: `Arrival` as JSON; conversation: `conversation`. The answer (...Response) goes
  into the outbox, and a type's `Hook` (`flexhub.app.uftp.hooks`) runs, in the message's own transaction.
- ``uftp.send``: have a message sent. Body: `Outgoing` as JSON; make the hub's message with `outgoing`.
  Answered 202 with an `Outgone`; refused where it breaks a rule.
- ``uftp.sent.done``, ``uftp.sent.failed``, ``timer.uftp.reply``: the hub's own.

A decision of another handler sends in its own transaction by `Desk`: `needed` names the documents, `sending` gives puts
and effects.

Notices to the participant's party, of topic ``uftp.<element>`` (a message came, and was accepted) and ``uftp.settled``
(what became of one of ours): subject is the MessageID, body a `papers.UftpNotice`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from flexhub.app.exchange.market import value_of
from flexhub.app.hub.contract import Answer, Decision, Further, Handler, Key, Message, Put, View
from flexhub.app.hub.contract import Delivery as Sent
from flexhub.app.uftp import orders
from flexhub.app.uftp.hooks import Case, Hook, Work
from flexhub.app.uftp.outgoing import Outgoing, Outgone
from flexhub.app.uftp.papers import (
    TYPES,
    UftpAgreed,
    UftpMessage,
    UftpNotice,
    UftpRevision,
    UftpTest,
    advanced,
    file_message,
    market,
    paper,
    place,
)
from flexhub.app.uftp.participants import Own, Participants, derived_id, metadata, takes
from flexhub.core.documents import encode
from flexhub.core.effects import Effect, Notify, Send, SetTimer
from flexhub.core.errors import FlexhubError, ForbiddenError, InvalidError, NotFoundError
from flexhub.core.registry import Role
from flexhub.core.timegrid import EPOCH
from flexhub.protocols.rules import Broken
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp import session
from flexhub.protocols.uftp.checks import roles
from flexhub.protocols.uftp.codec import UftpCodec, canonical, parsed, read
from flexhub.protocols.uftp.envelope import Opened, open_envelope, seal, unsigned
from flexhub.protocols.uftp.seen import Peer, answered, references, revision_key

PEER: Final = "uftp:"
"""Begins the outbox's name of a peer: ``uftp:<domain>``. Its path is the recipient's role."""
MEDIA_TYPE: Final = "text/xml; charset=utf-8"
REPLY: Final = "uftp.reply"
"""Timer: an answer is overdue."""
_CODEC: Final = UftpCodec()


class Arrival(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came, as it is journalled: the signed envelope to the byte, and what was known of its sender."""

    envelope: str
    roles: tuple[wire.Role, ...]
    barred: bool = False
    registered: bool = True

    def peer(self) -> Peer:
        """As rules see the sender."""
        return Peer(roles=frozenset(self.roles), barred=self.barred, registered=self.registered)


class Arrived(NamedTuple):
    """The same, opened."""

    arrival: Arrival
    opened: Opened


class Composed(NamedTuple):
    """The same, ready to be signed."""

    message: wire.Payload
    xml: bytes
    role: wire.Role | None


def conversation(own: str, message: wire.Payload) -> str:
    """What the hub orders by: one conversation of one of our domains."""
    return f"{own}/{message.conversation_id}"


def outgoing(message: wire.Payload, *, peer: str, id: str, role: wire.Role | None = None) -> Message:  # noqa: A002 - as in Message
    """The hub's message that has a whole message of ours sent; (peer, id) as for any."""
    xml = _CODEC.encode(message)
    # A replay has nothing but the text, in which 1.0 is 1.
    told = Composed(canonical(message), xml, role)
    body = encode(Outgoing(xml=xml.decode(), role=role))
    where = conversation(message.sender_domain, message)
    return Message(peer=peer, id=id, kind="uftp.send", conversation=where, body=body, role=Role.ADMIN, value=told)


class Outbound(NamedTuple):
    """What sends a message: documents and effects; and what the conversation's entries are then, by MessageID."""

    puts: list[Put]
    effects: list[Effect]
    entries: dict[str, session.Entry]


class Desk:
    """Where conversations are kept and sent from; shared by the handlers, and for others that send."""

    def __init__(self, participants: Participants) -> None:
        self.participants = participants

    @staticmethod
    def needed(own: Own, other: str, message: wire.Payload) -> list[Key]:
        """The documents that judging a message needs, ours to another domain or theirs to us."""
        told = [message.message_id, *(id_ for _, id_ in references(message))]
        about = answered(message)
        if about is not None:
            told.append(about)
        keys = [Key(UftpMessage, place(own.domain, other, id_)) for id_ in told]
        keys.append(Key(UftpAgreed, own.name))
        counted = revision_key(message)
        if counted is not None:
            keys.append(Key(UftpRevision, place(own.domain, other, counted)))
        if isinstance(message, wire.TestMessageResponse):
            keys.append(Key(UftpTest, place(own.domain, other, message.conversation_id)))
        elif isinstance(message, wire.FlexOrder):
            keys += orders.keys(own.domain, other, message)
        elif isinstance(message, wire.FlexSettlement):
            keys += orders.days(own.domain, other, message)
        return keys

    @staticmethod
    def further(own: Own, other: str, message: wire.Payload, view: View) -> list[Key]:
        """The documents that follow from the needed ones: what an answer's question was about, orders of a period."""
        if isinstance(message, wire.FlexSettlement):
            return orders.of_days(own.domain, other, message, view)
        if isinstance(message, wire.TestMessageResponse):
            test = view.get(UftpTest, place(own.domain, other, message.conversation_id))
            return [] if test is None else [Key(UftpMessage, place(own.domain, other, test.message))]
        about = answered(message)
        asked = None if about is None else view.get(UftpMessage, place(own.domain, other, about))
        if asked is None:
            return []
        question = asked.entry().message
        keys = [Key(UftpMessage, place(own.domain, other, id_)) for _, id_ in references(question)]
        if isinstance(question, wire.FlexOrder):
            keys += orders.keys(own.domain, other, question)
        return keys

    def book(  # noqa: PLR0913 - whose, about what, and what is known beside the documents
        self,
        own: Own,
        other: str,
        message: wire.Payload,
        view: View,
        *,
        peer: Peer | None = None,
        known: Mapping[str, session.Entry | None] = {},
    ) -> session.Book:
        """What was looked up, as the session sees it.

        Args:
            own: who of us it is about.
            other: the other domain.
            message: what is judged.
            view: the documents.
            peer: the sender of a message that came.
            known: entries that the same decision has made, by MessageID, None where there is none; not looked up.
        """
        entries: dict[str, session.Entry] = {}
        revisions: dict[str, int] = {}
        for kind, id_ in (*self.needed(own, other, message), *self.further(own, other, message, view)):
            name = id_.split("|", 2)[-1]
            if kind is UftpMessage:
                entry = known[name] if name in known else _entry(view.get(UftpMessage, id_))
                if entry is not None:
                    entries[name] = entry
            elif kind is UftpRevision:
                counted = view.get(UftpRevision, id_)
                revisions[name] = -1 if counted is None else counted.revision
        agreed = view.get(UftpAgreed, own.name)
        return session.Book(
            entries=entries,
            revisions=revisions,
            # What we agreed is how we judge; how the other will, it says.
            market=None if agreed is None or peer is None else market(agreed),
            peer=peer,
            orders=orders.accepted(own.domain, other, message, view),
        )

    def sending(  # noqa: PLR0913 - whose, what, and as it was seen
        self,
        own: Own,
        message: wire.Payload,
        view: View,
        now: datetime,
        *,
        role: wire.Role | None = None,
        xml: bytes | None = None,
        known: Mapping[str, session.Entry | None] = {},
    ) -> Outbound:
        """Documents and effects that send a message of ours; `needed` and `further` were looked up.

        Args:
            own: who of us sends it.
            message: what is sent.
            view: the documents.
            now: the time.
            role: the recipient's; needed for a TestMessage only.
            xml: the message as XML, where it has been written already.
            known: as of `book`.

        Raises:
            InvalidError: it breaks a rule, or its id was used before.
            IllegalTransitionError: the offer that it is about is ordered or revoked already.
        """
        other = message.recipient_domain
        if other == own.domain:
            raise InvalidError("nobody sends to itself", path=f"{wire.element(type(message))}/@RecipientDomain")
        to = takes(type(message), role)
        before = self.book(own, other, message, view, known=known)
        step = session.send(before, message, now, self.participants.policy)
        puts = self.changed(own, other, message, before, step, view)
        if isinstance(message, wire.TestMessage):
            test = UftpTest(message=message.message_id)
            puts.append(_put(Key(UftpTest, place(own.domain, other, message.conversation_id)), test, other))
        return Outbound(puts, self.effects(own, other, to, step, now, xml=xml), step.book.entries)

    @staticmethod
    def changed(  # noqa: PLR0913, PLR0917 - whose, about what, and before and after
        own: Own, other: str, message: wire.Payload, before: session.Book, step: session.Step, view: View
    ) -> list[Put]:
        """What is to be written of a step about a message."""
        after = step.book
        puts: list[Put] = []
        for name, entry in after.entries.items():
            earlier = before.entries.get(name)
            if earlier is entry:
                continue
            id_ = place(own.domain, other, name)
            kept = None if earlier is None else view.get(UftpMessage, id_)
            told = paper(entry) if kept is None or earlier is None else advanced(kept, earlier, entry)
            puts.append(file_message(id_, told, entry.message, other))
            if isinstance(entry.message, wire.FlexOrder) and entry.stage is session.Stage.ACCEPTED:
                puts += orders.filed(own.domain, other, entry.message, view)
        puts += [
            _put(
                Key(UftpRevision, place(own.domain, other, name)),
                UftpRevision(revision=revision, message=message.message_id),
                other,
            )
            for name, revision in after.revisions.items()
            if before.revisions.get(name) != revision
        ]
        return puts

    def effects(  # noqa: PLR0913 - whose, and what
        self, own: Own, other: str, role: wire.Role, step: session.Step, now: datetime, *, xml: bytes | None = None
    ) -> list[Effect]:
        """The session's effects as the hub carries them out.

        Delivering again and again is the outbox's business, so the session's own timers for it are not set.
        """
        found: list[Effect] = []
        for effect in step.effects:
            if isinstance(effect, Notify) and effect.topic == session.SEND:
                found.append(self._send(own, other, effect.body, role, now, xml))
            elif isinstance(effect, Notify):
                entry = step.book.entries[effect.subject]
                told = notice(own, other, entry.message, effect.body)
                found.append(Notify(party=own.party, topic=effect.topic, subject=effect.subject, body=told))
            elif isinstance(effect, SetTimer) and effect.event == session.REPLY:
                found.append(SetTimer(subject=place(own.domain, other, effect.subject), event=REPLY, due=effect.due))
        return found

    def moved(
        self, id_: str, kept: UftpMessage, before: session.Entry, moved: session.Moved, now: datetime
    ) -> Decision:
        """The decision that a message of ours, kept by this id, is further on."""
        after, effects = moved
        domain, other, _ = id_.split("|", 2)
        mine = self.participants.by_domain(domain)
        if after is before or not mine:
            return Decision(answer=Answer(status=204))
        step = session.Step(session.Book(entries={after.message.message_id: after}), effects)
        told = self.effects(mine[0], other, min(roles(type(after.message))[1]), step, now)
        put = file_message(id_, advanced(kept, before, after), after.message, other)
        return Decision(answer=Answer(status=204), puts=(put,), effects=tuple(told))

    def _send(  # noqa: PLR0913, PLR0917 - whose, to whom, and what
        self, own: Own, other: str, message: wire.Payload, role: wire.Role, now: datetime, xml: bytes | None
    ) -> Send:
        return Send(
            peer=PEER + other,
            message_id=message.message_id,
            conversation=conversation(own.domain, message),
            path=role,
            media_type=MEDIA_TYPE,
            body=seal(xml or _CODEC.encode(message), own.domain, own.role, own.key),
            reply_kind="uftp.sent" if type(message) in wire.RESPONSES else "",  # nothing follows from an answer's
            expires=now + self.participants.policy.give_up_after,
        )


def notice(own: Own, other: str, message: wire.Payload, answer: object = None) -> UftpNotice:
    """What our party is told of a message, and of the answer to one of ours (or of why there is none)."""
    result = reason = None
    if isinstance(answer, wire.Response):
        result, reason = str(answer.result), answer.rejection_reason
    elif isinstance(answer, wire.Payload):
        result = str(wire.Result.ACCEPTED)
    elif isinstance(answer, str):
        result = answer
    return UftpNotice(
        type=wire.element(type(message)),
        message_id=message.message_id,
        conversation_id=message.conversation_id,
        own=own.domain,
        other=other,
        place=place(own.domain, other, message.message_id),
        result=result,
        reason=reason,
    )


def _entry(kept: UftpMessage | None) -> session.Entry | None:
    return None if kept is None else kept.entry()


def _put(key: Key, value: msgspec.Struct, owner: str) -> Put:
    return Put(key=key, value=value, owner=owner)


class Receive(Further):
    """``uftp.receive``; rules that are `off` are not judged, for the conformance suite's self-check."""

    def __init__(self, desk: Desk, hooks: Mapping[type[wire.Payload], Hook], off: Collection[str] = ()) -> None:
        self._desk = desk
        self._hooks = hooks
        self._off = off

    def _told(self, message: Message) -> tuple[Own, str, wire.Payload]:
        """For whom of us it is, whose it is (by its signature, whatever it says itself), and what it is."""
        opened = _arrived(message).opened
        return self._desk.participants.recipient(opened.message), opened.envelope.sender_domain, opened.message

    def _hook(self, told: wire.Payload, other: str) -> Hook | None:
        """Who works it; nobody what says that it is another's than who signed it (rule 9)."""
        return self._hooks.get(type(told)) if told.sender_domain == other else None

    def needs(self, message: Message) -> Iterable[Key]:
        """What judges it, and what its hook needs."""
        own, other, told = self._told(message)
        hook = self._hook(told, other)
        return [*self._desk.needed(own, other, told), *(() if hook is None else hook.needs(own, told))]

    def further(self, message: Message, view: View) -> Iterable[Key]:
        """What follows from that."""
        own, other, told = self._told(message)
        hook = self._hook(told, other)
        return [*self._desk.further(own, other, told, view), *(() if hook is None else hook.further(own, told, view))]

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Judged, answered, and worked by its hook."""
        arrived = _arrived(message)
        own, other, told = self._told(message)
        envelope = arrived.opened.envelope
        before = self._desk.book(own, other, told, view, peer=arrived.arrival.peer())
        seed = f"{message.peer}/{message.id}"
        work, refused = Work(), list[Broken]()
        hook = self._hook(told, other)
        if hook is not None and told.message_id not in before.entries:
            before = msgspec.structs.replace(before, places=hook.places(own, told, view))
            try:
                work = hook.work(Case(own, told, before.entries, seed, view, now))
            except FlexhubError as error:
                refused.append(Broken(rule="UFTP-10", clause=error.clause, path=error.path, message=error.message))
        # Of what comes for the first time there is one answer; what is said again under its id has others.
        about = seed if told.message_id in before.entries else f"{own.domain}/{other}/{told.message_id}"
        step = session.receive(
            before,
            told,
            now,
            new_id=derived_id("answer", about),
            envelope=envelope,
            content=work.content | {"sender_domain": own.domain, "recipient_domain": other},
            refused=refused,
            off=self._off,
        )
        puts = self._desk.changed(own, other, told, before, step, view)
        effects = self._desk.effects(own, other, envelope.sender_role, step, now)
        if not step.broken and puts:
            puts += work.puts
            effects += work.effects
            known: dict[str, session.Entry | None] = {**step.book.entries}
            for out in work.sends:  # its id follows from this message's, which came for the first time: it is new
                sending = self._desk.sending(own, out, view, now, known={out.message_id: None, **known})
                puts += sending.puts
                effects += sending.effects
                known |= sending.entries
            if type(told) in wire.RESPONSES:  # of an answer, what it settles is told
                topic = f"uftp.{wire.element(type(told))}"
                body = notice(own, other, told)
                effects.append(Notify(party=own.party, topic=topic, subject=told.message_id, body=body))
        return Decision(answer=Answer(status=200), puts=tuple(puts), effects=tuple(effects))


def _arrived(message: Message) -> Arrived:
    """What came; its signature was checked by the endpoint, before it was journalled."""
    if isinstance(message.value, Arrived):
        return message.value
    arrival = value_of(message, Arrival)
    envelope = open_envelope(arrival.envelope.encode(), _CODEC.max_bytes)
    inner = unsigned(envelope)
    return Arrived(arrival, Opened(envelope, inner, _CODEC.decode(inner)))


class SendOut(Further):
    """``uftp.send``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def needs(self, message: Message) -> Iterable[Key]:
        """What judges it."""
        own, told = self._told(message, None)
        return self._desk.needed(own, told.message.recipient_domain, told.message)

    def further(self, message: Message, view: View) -> Iterable[Key]:
        """What follows from that."""
        own, told = self._told(message, None)
        return self._desk.further(own, told.message.recipient_domain, told.message, view)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Completed, judged, kept and sent."""
        if message.role is not Role.ADMIN:
            raise ForbiddenError("not yours to send", path="Outgoing")
        own, told = self._told(message, now)
        sending = self._desk.sending(own, told.message, view, now, role=told.role, xml=told.xml)
        body = encode(Outgone(message_id=told.message.message_id, conversation_id=told.message.conversation_id))
        return Decision(answer=Answer(status=202, body=body), puts=tuple(sending.puts), effects=tuple(sending.effects))

    def _told(self, message: Message, now: datetime | None) -> tuple[Own, Composed]:
        told = message.value
        if not isinstance(told, Composed):
            order = value_of(message, Outgoing)
            found = completed(order, self._desk.participants, f"{message.peer}/{message.id}", now)
            told = Composed(found, b"" if now is None else _CODEC.encode(found), order.role)
        return self._desk.participants.sender(told.message), told


def completed(order: Outgoing, participants: Participants, seed: str, now: datetime | None) -> wire.Payload:
    """The message with its metadata; without `now`, for looking up only, at a time of no meaning.

    Raises:
        MalformedError, InvalidError: it is no message.
    """
    root = parsed(order.xml.encode())
    kind = TYPES.get(str(root.tag))
    if kind is None or kind not in wire.RESPONSES:
        raise InvalidError("not a message that is sent by itself", path=str(root.tag)[:80])
    own = root.get("SenderDomain") or participants.sending(kind).domain
    to = root.get("RecipientDomain") or order.to
    if to is None:
        raise InvalidError("is missing", path=f"{root.tag}/@RecipientDomain")
    for field, value in metadata(own, to, now or EPOCH, seed=seed).items():
        name = wire.wire_name(field)
        if name not in root.attrib:
            root.set(name, value)
    found = read(root)
    assert isinstance(found, wire.Payload)  # noqa: S101 - its kind is one
    return found


class Outcome:
    """``uftp.sent.done`` and ``uftp.sent.failed``: what came of delivering a message of ours that is no answer."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @staticmethod
    def _place(message: Message) -> tuple[str, str, Sent]:
        sent = value_of(message, Sent)
        own = message.conversation.partition("/")[0]
        return own, sent.peer.removeprefix(PEER), sent

    def needs(self, message: Message) -> Iterable[Key]:
        """The message's entry."""
        own, other, sent = self._place(message)
        return (Key(UftpMessage, place(own, other, sent.message_id)),)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Its answer is waited for, or it is given up."""
        own, other, sent = self._place(message)
        id_ = place(own, other, sent.message_id)
        found = view.get(UftpMessage, id_)
        if found is None:
            return Decision(answer=Answer(status=204))
        before = found.entry()
        if sent.why is None or sent.status:
            moved = session.delivered(before, sent.status, now, self._desk.participants.policy)
        else:
            give_up = before.since + self._desk.participants.policy.give_up_after
            moved = session.elapsed(before, session.DELIVER, max(now, give_up), self._desk.participants.policy)
        return self._desk.moved(id_, found, before, moved, now)


class Overdue:
    """``timer.uftp.reply``: no answer came."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def needs(self, message: Message) -> Iterable[Key]:
        """The message's entry."""
        return (Key(UftpMessage, message.conversation),)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """It is no longer waited for; should it come yet, it counts."""
        found = view.get(UftpMessage, message.conversation)
        if found is None:
            return Decision(answer=Answer(status=204))
        before = found.entry()
        moved = session.elapsed(before, session.REPLY, now, self._desk.participants.policy)
        return self._desk.moved(message.conversation, found, before, moved, now)


class Agree:
    """``uftp.agreed``, from the configuration: what was agreed, of one of our domains in one role."""

    def needs(self, message: Message) -> Iterable[Key]:  # noqa: ARG002 - the handler's signature
        """Nothing."""
        return ()

    def decide(self, message: Message, view: View, now: datetime) -> Decision:  # noqa: ARG002 - as above
        """Stored."""
        agreed = value_of(message, UftpAgreed)
        put = _put(Key(UftpAgreed, f"{agreed.role}.{agreed.domain}"), agreed, agreed.domain)
        return Decision(answer=Answer(status=200, body=b"{}"), puts=(put,))


class Nobody:
    """``uftp.send`` and ``uftp.run`` of a hub that is nobody in UFTP."""

    def needs(self, message: Message) -> Iterable[Key]:  # noqa: ARG002 - the handler's signature
        """Nothing."""
        return ()

    def decide(self, message: Message, view: View, now: datetime) -> Decision:  # noqa: ARG002 - as above
        """Refused."""
        raise NotFoundError("this hub takes no part in UFTP", path="uftp")


def build(
    participants: Participants, hooks: Mapping[type[wire.Payload], Hook], off: Collection[str] = ()
) -> dict[str, Handler]:
    """Kind -> handler; `off` as of `Receive`."""
    desk = Desk(participants)
    outcome = Outcome(desk)
    return {
        "uftp.receive": Receive(desk, hooks, off),
        "uftp.send": SendOut(desk),
        "uftp.sent.done": outcome,
        "uftp.sent.failed": outcome,
        f"timer.{REPLY}": Overdue(desk),
        "uftp.agreed": Agree(),
    }
