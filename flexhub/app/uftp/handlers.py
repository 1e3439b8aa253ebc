"""UFTP's conversations in the hub loop: what comes, what is sent, and what came of sending.

Kinds of messages, for `Hub.handle` and as handlers:

- ``uftp.receive``: the endpoint's. Body: `Arrival` as JSON; conversation: `conversation`. The answer (...Response) goes
  into the outbox, and a type's `Hook` (`flexhub.app.uftp.hooks`) runs, in the message's own transaction.
- ``uftp.send``: have a message sent. Body: `Outgoing` as JSON; make the hub's message with `outgoing`.
  Answered 202 with ``{"message_id": ..., "conversation_id": ...}``; refused where it breaks a rule.
- ``uftp.sent.done``, ``uftp.sent.failed``, ``timer.uftp.reply``: the hub's own.

A decision of another handler sends in its own transaction by `Desk`: `needed` names the documents, `sending` gives puts
and effects.

Notices to the participant's party, of topic ``uftp.<element>`` (a message came, and was accepted) and ``uftp.settled``
(what became of one of ours): subject is the MessageID, body the message as JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from flexhub.app.exchange.market import value_of
from flexhub.app.hub.contract import Answer, Decision, Further, Handler, Key, Message, Put, View
from flexhub.app.hub.contract import Delivery as Sent
from flexhub.app.uftp.hooks import Case, Hook, Work
from flexhub.app.uftp.papers import (
    TYPES,
    UftpAgreed,
    UftpMessage,
    UftpRevision,
    UftpTest,
    market,
    paper,
)
from flexhub.app.uftp.participants import Own, Participants, derived_id, metadata, takes
from flexhub.core.documents import encode
from flexhub.core.effects import Effect, Notify, Send, SetTimer
from flexhub.core.errors import FlexhubError, ForbiddenError, InvalidError
from flexhub.core.registry import Role
from flexhub.core.timegrid import EPOCH
from flexhub.protocols.rules import Broken
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp import session
from flexhub.protocols.uftp.checks import roles
from flexhub.protocols.uftp.codec import UftpCodec, parsed, read
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


class Outgoing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message to be sent, as it is journalled.

    Args:
        xml: the message. Metadata (Version, SenderDomain, RecipientDomain, TimeStamp, MessageID, ConversationID) that
            it leaves out is added.
        to: the recipient's domain, where the message leaves it out.
        role: the recipient's role; needed for a TestMessage only.
    """

    xml: str
    to: str | None = None
    role: wire.Role | None = None


def conversation(own: str, message: wire.Payload) -> str:
    """What the hub orders by: one conversation of one of our domains."""
    return f"{own}/{message.conversation_id}"


def place(own: str, other: str, id_: str) -> str:
    """The id of a document of a conversation: ours, theirs, and what it is found by."""
    return f"{own}|{other}|{id_}"


def outgoing(message: wire.Payload, *, peer: str, id: str, role: wire.Role | None = None) -> Message:  # noqa: A002 - as in Message
    """The hub's message that has a whole message of ours sent; (peer, id) as for any."""
    body = encode(Outgoing(xml=_CODEC.encode(message).decode(), role=role))
    where = conversation(message.sender_domain, message)
    return Message(peer=peer, id=id, kind="uftp.send", conversation=where, body=body, role=Role.ADMIN, value=message)


class Desk:
    """Where conversations are kept and sent from; shared by the handlers, and for others that send."""

    def __init__(self, participants: Participants) -> None:
        self.participants = participants

    def needed(self, own: Own, message: wire.Payload) -> list[Key]:
        """The documents that judging a message needs, ours or theirs."""
        other = message.sender_domain if message.sender_domain != own.domain else message.recipient_domain
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
        return keys

    def further(self, own: Own, message: wire.Payload, view: View) -> list[Key]:
        """The documents that follow from the needed ones: what an answer's question was about."""
        other = message.sender_domain
        if isinstance(message, wire.TestMessageResponse):
            test = view.get(UftpTest, place(own.domain, other, message.conversation_id))
            return [] if test is None else [Key(UftpMessage, place(own.domain, other, test.message))]
        about = answered(message)
        asked = None if about is None else view.get(UftpMessage, place(own.domain, other, about))
        if asked is None:
            return []
        return [Key(UftpMessage, place(own.domain, other, id_)) for _, id_ in references(asked.entry().message)]

    def book(self, own: Own, message: wire.Payload, view: View, peer: Peer | None) -> session.Book:
        """What was looked up, as the session sees it."""
        ours = message.sender_domain == own.domain
        keys = [*self.needed(own, message), *(self.further(own, message, view) if not ours else ())]
        entries: dict[str, session.Entry] = {}
        revisions: dict[str, int] = {}
        for kind, id_ in keys:
            name = id_.split("|", 2)[-1]
            if kind is UftpMessage:
                found = view.get(UftpMessage, id_)
                if found is not None:
                    entries[name] = found.entry()
            elif kind is UftpRevision:
                counted = view.get(UftpRevision, id_)
                revisions[name] = -1 if counted is None else counted.revision
        agreed = view.get(UftpAgreed, own.name)
        told = None if agreed is None or ours else market(agreed)
        return session.Book(entries=entries, revisions=revisions, market=told, peer=peer)

    def sending(
        self, own: Own, message: wire.Payload, view: View, now: datetime, role: wire.Role | None = None
    ) -> tuple[list[Put], list[Effect]]:
        """Documents and effects that send a message of ours, which `needed` looked up.

        Raises:
            InvalidError: it breaks a rule, or its id was used before.
            IllegalTransitionError: the offer that it is about is ordered or revoked already.
        """
        to = takes(type(message), role)
        before = self.book(own, message, view, None)
        step = session.send(before, message, now, self.participants.policy)
        other = message.recipient_domain
        puts = self.changed(own, other, before, step.book)
        if isinstance(message, wire.TestMessage):
            test = UftpTest(message=message.message_id)
            puts.append(_put(Key(UftpTest, place(own.domain, other, message.conversation_id)), test, other))
        return puts, self.effects(own, other, to, step.effects, now)

    def changed(self, own: Own, other: str, before: session.Book, after: session.Book) -> list[Put]:
        """What is to be written of a step."""
        puts = [
            _put(Key(UftpMessage, place(own.domain, other, name)), paper(entry), other)
            for name, entry in after.entries.items()
            if before.entries.get(name) is not entry
        ]
        puts += [
            _put(Key(UftpRevision, place(own.domain, other, name)), UftpRevision(revision=revision), other)
            for name, revision in after.revisions.items()
            if before.revisions.get(name) != revision
        ]
        return puts

    def effects(self, own: Own, other: str, role: wire.Role, effects: Iterable[Effect], now: datetime) -> list[Effect]:
        """The session's effects as the hub carries them out.

        Delivering again and again is the outbox's business, so the session's own timers for it are not set.
        """
        found: list[Effect] = []
        for effect in effects:
            if isinstance(effect, Notify) and effect.topic == session.SEND:
                found.append(self._send(own, effect.body, role, now))
            elif isinstance(effect, Notify):
                found.append(Notify(party=own.party, topic=effect.topic, subject=effect.subject, body=effect.body))
            elif isinstance(effect, SetTimer) and effect.event == session.REPLY:
                found.append(SetTimer(subject=place(own.domain, other, effect.subject), event=REPLY, due=effect.due))
        return found

    def moved(
        self, id_: str, before: session.Entry, after: session.Entry, effects: Iterable[Effect], now: datetime
    ) -> Decision:
        """The decision that a message of ours, kept by this id, is further on."""
        if after is before:
            return Decision(answer=Answer(status=204))
        domain, other, _ = id_.split("|", 2)
        mine = self.participants.by_domain(domain)
        told = self.effects(mine[0], other, min(roles(type(after.message))[1]), effects, now) if mine else []
        put = _put(Key(UftpMessage, id_), paper(after), other)
        return Decision(answer=Answer(status=204), puts=(put,), effects=tuple(told))

    def _send(self, own: Own, message: wire.Payload, role: wire.Role, now: datetime) -> Send:
        return Send(
            peer=PEER + message.recipient_domain,
            message_id=message.message_id,
            conversation=conversation(own.domain, message),
            path=role,
            media_type=MEDIA_TYPE,
            body=seal(_CODEC.encode(message), own.domain, own.role, own.key),
            reply_kind="uftp.sent",
            expires=now + self.participants.policy.give_up_after,
        )


def _put(key: Key, value: msgspec.Struct, owner: str) -> Put:
    return Put(key=key, value=value, owner=owner)


class Receive(Further):
    """``uftp.receive``."""

    def __init__(self, desk: Desk, hooks: Mapping[type[wire.Payload], Hook]) -> None:
        self._desk = desk
        self._hooks = hooks

    def needs(self, message: Message) -> Iterable[Key]:
        """What judges it, and what its hook needs."""
        told = _arrived(message).opened.message
        own = self._desk.participants.recipient(told)
        keys = self._desk.needed(own, told)
        hook = self._hooks.get(type(told))
        return keys if hook is None else [*keys, *hook.needs(own, told)]

    def further(self, message: Message, view: View) -> Iterable[Key]:
        """What follows from that."""
        told = _arrived(message).opened.message
        if type(told) in wire.RESPONSES:
            return ()
        return self._desk.further(self._desk.participants.recipient(told), told, view)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Judged, answered, and worked by its hook."""
        arrived = _arrived(message)
        envelope, _, told = arrived.opened
        own = self._desk.participants.recipient(told)
        other = told.sender_domain
        before = self._desk.book(own, told, view, arrived.arrival.peer())
        seed = f"{message.peer}/{message.id}"
        work, refused = Work(), list[Broken]()
        hook = self._hooks.get(type(told))
        if hook is not None and told.message_id not in before.entries:
            asked = before.entries.get(answered(told) or "")
            try:
                work = hook.work(Case(own, told, asked, seed, view, now))
            except FlexhubError as error:
                refused.append(Broken(rule="UFTP-10", clause=error.clause, path=error.path, message=error.message))
        content = dict(work.content)
        if told.recipient_domain != own.domain:
            content["sender_domain"] = own.domain
        step = session.receive(
            before, told, now, new_id=derived_id("answer", seed), envelope=envelope, content=content, refused=refused
        )
        puts = self._desk.changed(own, other, before, step.book)
        effects = self._desk.effects(own, other, envelope.sender_role, step.effects, now)
        if not step.broken and puts:
            puts += work.puts
            effects += work.effects
            if type(told) in wire.RESPONSES:  # of an answer, what it settles is told
                topic = f"uftp.{wire.element(type(told))}"
                effects.append(Notify(party=own.party, topic=topic, subject=told.message_id, body=told))
        return Decision(answer=Answer(status=200), puts=tuple(puts), effects=tuple(effects))


def _arrived(message: Message) -> Arrived:
    """What came; its signature was checked by the endpoint, before it was journalled."""
    if isinstance(message.value, Arrived):
        return message.value
    arrival = value_of(message, Arrival)
    envelope = open_envelope(arrival.envelope.encode(), _CODEC.max_bytes)
    inner = unsigned(envelope)
    return Arrived(arrival, Opened(envelope, inner, _CODEC.decode(inner)))


class SendOut:
    """``uftp.send``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def needs(self, message: Message) -> Iterable[Key]:
        """What judges it."""
        own, told, _ = self._told(message, None)
        return self._desk.needed(own, told)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Completed, judged, kept and sent."""
        if message.role is not Role.ADMIN:
            raise ForbiddenError("not yours to send", path="Outgoing")
        own, told, role = self._told(message, now)
        puts, effects = self._desk.sending(own, told, view, now, role)
        body = encode({"message_id": told.message_id, "conversation_id": told.conversation_id})
        return Decision(answer=Answer(status=202, body=body), puts=tuple(puts), effects=tuple(effects))

    def _told(self, message: Message, now: datetime | None) -> tuple[Own, wire.Payload, wire.Role | None]:
        if isinstance(message.value, wire.Payload):
            told, role = message.value, msgspec.json.decode(message.body, type=Outgoing).role
        else:
            order = value_of(message, Outgoing)
            told, role = completed(order, self._desk.participants, f"{message.peer}/{message.id}", now), order.role
        return self._desk.participants.sender(told), told, role


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
    """``uftp.sent.done`` and ``uftp.sent.failed``: what came of delivering; of an answer of ours nothing follows."""

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
            entry, effects = session.delivered(before, sent.status, now, self._desk.participants.policy)
        else:
            give_up = before.since + self._desk.participants.policy.give_up_after
            entry, effects = session.elapsed(before, session.DELIVER, max(now, give_up), self._desk.participants.policy)
        return self._desk.moved(id_, before, entry, effects, now)


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
        entry, effects = session.elapsed(before, session.REPLY, now, self._desk.participants.policy)
        return self._desk.moved(message.conversation, before, entry, effects, now)


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


def build(participants: Participants, hooks: Mapping[type[wire.Payload], Hook]) -> dict[str, Handler]:
    """Kind -> handler."""
    desk = Desk(participants)
    outcome = Outcome(desk)
    return {
        "uftp.receive": Receive(desk, hooks),
        "uftp.send": SendOut(desk),
        "uftp.sent.done": outcome,
        "uftp.sent.failed": outcome,
        f"timer.{REPLY}": Overdue(desk),
        "uftp.agreed": Agree(),
    }
