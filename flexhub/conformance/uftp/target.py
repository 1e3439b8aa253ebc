"""The target: somebody's UFTP endpoint, to which drafts are delivered and whose answers are waited for."""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable, Iterable
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol, Self, TypeVar

from lxml import etree

from flexhub.conformance.exchange import Answer, Whole
from flexhub.conformance.suite import NotJudged
from flexhub.conformance.uftp.inbox import Came, Inbox
from flexhub.conformance.uftp.market import Market, Speaker
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.codec import UftpCodec, parsed
from flexhub.protocols.uftp.envelope import PrivateKey, seal
from flexhub.protocols.uftp.rules import RULES
from flexhub.protocols.uftp.seen import ANSWERS, answered
from flexhub.protocols.uftp.times import text_of

CODEC: Final = UftpCodec()
MEDIA_TYPE: Final = "text/xml; charset=utf-8"
_IDS: Final = uuid.UUID("0a6e4a39-3f9d-5d0c-8c39-2a51a3b4d7f2")

P = TypeVar("P", bound=wire.Payload)

OWN_WORDS: Final = frozenset(f"UFTP-{n}" for n in (26, 27, 38, 39, 41, 45, 50))
"""Rules whose rejection the standard does not word, so that any words do."""

CLASSES: Final[dict[str, tuple[str, ...]]] = {
    rule.id: (rule.reject.partition("{")[0].strip(" :"),) for rule in RULES if rule.id not in OWN_WORDS
} | {
    "UFTP-09": ("Invalid Sender", "Invalid Message"),  # interchanged in the table of section 3.5
    "UFTP-48": ("PeriodStart rejected", "PeriodEnd rejected"),
}
"""Rule -> one of these is among the words of the RejectionReason, by the standard, in any case."""


class Net(Protocol):
    """The way to the target, and the time."""

    def now(self) -> datetime:
        """What time it is."""

    async def until(self, instant: datetime) -> None:
        """Wait for an instant, of the next minutes at most."""

    async def request(
        self, method: str, path: str, headers: dict[str, str], body: bytes, *, chunked: bool = False
    ) -> Whole:
        """One request to the target's address, `path` added; `chunked`: without a length."""


@dataclass(kw_only=True)
class Draft:
    """A delivery in the making, that can be spoiled at every level.

    Args:
        root: the message.
        by: whose it is.
        domain, role, key: what the envelope says, and what signs.
        inner: what is signed, instead of the message.
        outer: changes the body.
        method, path, headers, chunked: of HTTP.
        first: the answer to the same message before, where it was sent before.
    """

    root: etree._Element
    by: Speaker
    domain: str
    role: wire.Role
    key: PrivateKey
    inner: bytes | None = None
    outer: Callable[[bytes], bytes] = lambda body: body
    method: str = "POST"
    path: str = ""
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": MEDIA_TYPE})
    chunked: bool = False
    first: Came | None = None

    @property
    def conversation(self) -> str:
        """Its ConversationID."""
        return self.root.get("ConversationID", "")

    @property
    def answer(self) -> type[wire.Payload] | None:
        """The type of its answer; None where there is none."""
        asked = next((kind for kind in wire.MESSAGES if wire.element(kind) == self.root.tag), None)
        return None if asked is None else wire.RESPONSES.get(asked)

    def inner_xml(self) -> bytes:
        """What is signed."""
        if self.inner is not None:
            return self.inner
        return etree.tostring(self.root, encoding="UTF-8", xml_declaration=True)

    def body(self) -> bytes:
        """As it is posted."""
        return self.outer(seal(self.inner_xml(), self.domain, self.role, self.key))

    def said_by(self, speaker: Speaker) -> None:
        """Another says and signs it."""
        self.root.set("SenderDomain", speaker.domain)
        self.enveloped_by(speaker)

    def enveloped_by(self, speaker: Speaker) -> None:
        """Another signs it, whatever it says."""
        self.by, self.domain, self.role, self.key = speaker, speaker.domain, speaker.role, speaker.key


class Outcome(NamedTuple):
    """What came of a delivery: HTTP's answer, that in the inbox (None where none came), and what could not be read."""

    http: Answer
    came: Came | None
    unread: str = ""

    def __str__(self) -> str:
        if self.http.status != 200:
            return f"HTTP {self.http}"
        if self.came is not None:
            return said(self.came.message)
        return f"what cannot be read: {self.unread}" if self.unread else "no answer"


def said(message: wire.Payload) -> str:
    """An answer in a line."""
    name = wire.element(type(message))
    if not isinstance(message, wire.Response):
        return name
    return f"{name} {message.result}" + (f": {message.rejection_reason}" if message.rejection_reason else "")


class Uftp:
    """The target.

    Args:
        net: the way to it, and the time.
        inbox: where it answers.
        market: who is who.
        run: a name that no earlier run has used.
        patience_s: how long an answer is waited for.
        prompt: has the target send a message of its own; None: nobody can.
        switch: switches these rules off in the target; only our own can.
    """

    def __init__(  # noqa: PLR0913 - what a run is made of
        self,
        net: Net,
        inbox: Inbox,
        market: Market,
        run: str,
        *,
        patience_s: float = 10.0,
        prompt: Callable[[bytes], Awaitable[None]] | None = None,
        switch: Callable[[Iterable[str]], None] = lambda _: None,
    ) -> None:
        self.net = net
        self.inbox = inbox
        self.market = market
        self.run = run
        self.patience_s = patience_s
        self.prompt = prompt
        self.heard: Callable[[Came], Came] = lambda came: came
        self._switch = switch
        self.off: frozenset[str] = frozenset()
        """Rules that are switched off before anything is sent."""
        self._count = 0
        self._revision = 0
        self.silent: set[str] = set()
        """What the target was found not to send by itself."""
        self.prognoses: dict[str, str] = {}
        """Day -> MessageID of a D-Prognosis that it accepted."""

    def over(
        self, *, net: Net | None = None, off: Iterable[str] = (), heard: Callable[[Came], Came] | None = None
    ) -> Self:
        """The same target over another net, with rules switched off, or with its answers changed."""
        other = copy(self)
        other.net = net or self.net
        other.heard = heard or self.heard
        other.off = frozenset(off)
        return other

    # -- making ------------------------------------------------------------------------------------------------------

    def new_id(self) -> str:
        """A UUID that was not used before."""
        self._count += 1
        return str(uuid.uuid5(_IDS, f"{self.run}/{self._count}"))

    def number(self) -> int:
        """A number above all before, of earlier runs, too: a Revision, or part of an address."""
        self._revision = max(self._revision + 1, int(self.net.now().timestamp() * 1000))
        return self._revision

    def make(self, kind: type[P], frm: str | None = None, to: str | None = None, **fields: Any) -> P:  # noqa: ANN401 - of any kind
        """A message to the target, with metadata of its own."""
        told: dict[str, Any] = {
            "version": wire.VERSIONS[-1],
            "sender_domain": frm or self.market.main.domain,
            "recipient_domain": to or self.market.domain,
            "time_stamp": text_of(self.net.now()),
            "message_id": self.new_id(),
            "conversation_id": self.new_id(),
        }
        return kind(**told | fields)

    def draft(self, message: wire.Payload, by: Speaker | None = None) -> Draft:
        """A delivery of a message, by its sender."""
        speaker = by or self.market.published()[message.sender_domain]
        root = parsed(CODEC.encode(message))
        return Draft(root=root, by=speaker, domain=speaker.domain, role=speaker.role, key=speaker.key)

    # -- sending -----------------------------------------------------------------------------------------------------

    async def post(self, draft: Draft) -> Answer:
        """Deliver; what HTTP says."""
        self._switch(self.off)
        body = b"" if draft.method == "GET" else draft.body()
        return Answer(*await self.net.request(draft.method, draft.path, draft.headers, body, chunked=draft.chunked))

    async def ask(self, draft: Draft) -> Outcome:
        """Deliver, and wait for the answer."""
        before, kind = len(self.inbox.of(draft.conversation)), draft.answer
        unread = len(self.inbox.refused)
        http = await self.post(draft)
        if http.status != 200 or kind is None:
            return Outcome(http, None)
        found = await self.inbox.find(
            draft.conversation, lambda came: type(came.message) is kind, self.patience_s, before
        )
        if found is None:
            return Outcome(http, None, "; ".join(self.inbox.refused[unread:]))
        return Outcome(http, self.heard(found))

    async def ask_in_vain(self, draft: Draft) -> Outcome:
        """Deliver what should not be answered: it had its time once a TestMessage after it had."""
        kind, http = draft.answer, await self.post(draft)
        await self.ask(self.draft(self.make(wire.TestMessage)))
        found = await self.inbox.find(draft.conversation, lambda came: type(came.message) is kind, self.patience_s / 20)
        return Outcome(http, None if found is None else self.heard(found))

    async def give(self, message: wire.Payload) -> None:
        """Have a message accepted that something else stands on.

        Raises:
            AssertionError: it was not.
        """
        draft = self.draft(message)
        why = self.accepted(draft, await self.ask(draft))
        if why is not None:
            raise AssertionError(f"{wire.element(type(message))} before it: {why}")

    async def get(self, kind: type[P], asked: P | None, conversation: str) -> P:
        """A message that the target sends by itself, or (`asked`) is made to send.

        Raises:
            NotJudged: it doesn't.
        """
        name = wire.element(kind)
        if self.prompt is not None and asked is not None:
            self._switch(self.off)
            await self.prompt(CODEC.encode(asked))
        elif name in self.silent:
            raise NotJudged(f"the target sends no {name} by itself, and nothing can make it (--prompt)")
        came = await self.inbox.find(conversation, lambda came: type(came.message) is kind, self.patience_s)
        if came is None:
            self.silent.add(name)
            raise NotJudged(f"no {name} of the target came within {self.patience_s:g} s")
        assert isinstance(came.message, kind)  # noqa: S101 - found by it
        return came.message

    def answer(self, message: wire.Payload, **fields: Any) -> wire.Payload:  # noqa: ANN401 - of any kind
        """That we accept what the target sent."""
        kind = wire.RESPONSES[type(message)]
        told = {
            "conversation_id": message.conversation_id,
            "result": wire.Result.ACCEPTED,
            ANSWERS[kind]: message.message_id,
        }
        return self.make(kind, message.recipient_domain, **told | fields)

    async def tell(self, message: wire.Payload) -> None:
        """Deliver an answer of ours.

        Raises:
            AssertionError: HTTP does not say 200.
        """
        http = await self.post(self.draft(message))
        if http.status != 200:
            raise AssertionError(f"{wire.element(type(message))} of ours: HTTP {http}")

    # -- judging -----------------------------------------------------------------------------------------------------

    def accepted(self, draft: Draft, outcome: Outcome) -> str | None:
        """None where the message was accepted, by an answer that is as it must be; else what came."""
        came = outcome.came
        if came is None:
            return str(outcome)
        if isinstance(came.message, wire.Response) and came.message.result is not wire.Result.ACCEPTED:
            return str(outcome)
        return self.addressed(draft, came)

    def rejected(self, draft: Draft, outcome: Outcome, rule: str) -> str | None:
        """None where the message was rejected, with a reason of the rule's class; else what came."""
        came = outcome.came
        if came is None:
            return str(outcome)
        if not isinstance(came.message, wire.Response) or came.message.result is not wire.Result.REJECTED:
            return str(outcome)
        if rule not in OWN_WORDS:
            told = _plain(came.message.rejection_reason or "")
            if not any(_plain(words) in told for words in CLASSES[rule]):
                return str(outcome)
        return self.addressed(draft, came)

    def addressed(self, draft: Draft, came: Came) -> str | None:
        """None where an answer is the target's, to whom asked, about what was asked; else what is wrong with it."""
        message, name = came.message, wire.element(type(came.message))
        about = answered(message)
        if about is not None and about.lower() != draft.root.get("MessageID", "").lower():
            return f"{name} about {about}"
        if came.envelope.sender_role is not self.market.role:
            return f"{name} in an envelope of a {came.envelope.sender_role}"
        if {message.sender_domain, came.envelope.sender_domain} != {self.market.domain}:
            return f"{name} of {message.sender_domain} in an envelope of {came.envelope.sender_domain}"
        asked = (draft.domain, draft.root.get("SenderDomain"))
        return None if message.recipient_domain in asked else f"{name} to {message.recipient_domain}"


_WORD: Final = re.compile(r"[\W_]+")


def _plain(text: str) -> str:
    return _WORD.sub(" ", text.casefold()).strip()
