"""What a hub keeps of its UFTP conversations: small documents, each found by what a message names.

Everything is kept by (our domain, the other's, id), so that nobody's message can meet, or refer to, one of somebody
else's.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache, lru_cache
from typing import Final

import msgspec

from flexhub.app.hub.contract import Key, Put
from flexhub.core.base import Id
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp import seen
from flexhub.protocols.uftp.session import Delivery, Entry, Stage
from flexhub.protocols.uftp.times import bounds

TYPES: Final = {wire.element(kind): kind for kind in wire.MESSAGES}
"""Element -> type, of every inner message."""


def place(own: str, other: str, id_: str) -> str:
    """The id of a document of a conversation: our domain, theirs, and what it is found by."""
    return f"{own}|{other}|{id_}"


class UftpMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message, ours or theirs, and what became of it: a `session.Entry`. Bodies are the wire types as JSON."""

    type: str
    body: msgspec.Raw
    ours: bool = False
    stage: Stage = Stage.PENDING
    delivery: Delivery | None = None
    answer_type: str | None = None
    answer: msgspec.Raw = msgspec.Raw(b"null")
    since: datetime
    attempts: int = 0

    def entry(self) -> Entry:
        """As the session sees it."""
        return Entry(
            message=_read(self.type, bytes(self.body)),
            ours=self.ours,
            stage=self.stage,
            delivery=self.delivery,
            answer=None if self.answer_type is None else _read(self.answer_type, bytes(self.answer)),
            since=self.since,
            attempts=self.attempts,
        )


@cache
def _decoders(name: str) -> msgspec.json.Decoder[wire.Payload]:
    return msgspec.json.Decoder(TYPES[name])


@lru_cache(maxsize=512)
def _read(name: str, body: bytes) -> wire.Payload:
    """A message that is kept; those of conversations under way are read again and again."""
    return _decoders(name).decode(body)


_ENCODER: Final = msgspec.json.Encoder()


def paper(entry: Entry) -> UftpMessage:
    """An entry as it is kept."""
    answer = entry.answer
    return UftpMessage(
        type=wire.element(type(entry.message)),
        body=msgspec.Raw(_ENCODER.encode(entry.message)),
        ours=entry.ours,
        stage=entry.stage,
        delivery=entry.delivery,
        answer_type=None if answer is None else wire.element(type(answer)),
        answer=msgspec.Raw(_ENCODER.encode(answer)),
        since=entry.since,
        attempts=entry.attempts,
    )


def advanced(kept: UftpMessage, before: Entry, after: Entry) -> UftpMessage:
    """An entry that was `before` as it is kept, further on: its message is the same, and not written again."""
    changed = msgspec.structs.replace(kept, stage=after.stage, delivery=after.delivery, attempts=after.attempts)
    if after.answer is before.answer:
        return changed
    told = None if after.answer is None else wire.element(type(after.answer))
    return msgspec.structs.replace(changed, answer_type=told, answer=msgspec.Raw(_ENCODER.encode(after.answer)))


def file_message(id_: str, kept: UftpMessage, message: wire.Payload, other: str) -> Put:
    """An entry as it is kept, filed under the other domain; found by its type and, if it is of one, its local day."""
    day = bounds(message.period, message.time_zone) if isinstance(message, wire.Flex | wire.Metering) else None
    starts, ends = day or (None, None)
    state = wire.element(type(message))
    return Put(key=Key(UftpMessage, id_), value=kept, owner=other, state=state, starts=starts, ends=ends)


class UftpRevision(msgspec.Struct, frozen=True, kw_only=True):
    """The greatest Revision that was accepted, and of which message, by what revisions are counted by."""

    revision: int
    message: str


class UftpTest(msgspec.Struct, frozen=True, kw_only=True):
    """The TestMessage of ours in a conversation, since its answer refers to nothing else."""

    message: str


class UftpOrders(msgspec.Struct, frozen=True, kw_only=True):
    """References of the accepted orders of one day at one congestion point: ``<ours>|<theirs>|<day> <point>``."""

    references: tuple[str, ...]


class UftpOrderPlaces(msgspec.Struct, frozen=True, kw_only=True):
    """Congestion points with accepted orders on one day: ``<ours>|<theirs>|<day>``."""

    places: tuple[str, ...]


class UftpNotice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a party is told of a message; all of it is in the `UftpMessage` kept by `place`.

    Args:
        type: its element.
        message_id, conversation_id: as in the message.
        own, other: our domain and theirs.
        place: the id of its document.
        result: of one of ours: "Accepted", "Rejected", or why there is no answer: "undelivered", "unanswered".
        reason: the RejectionReason.
    """

    type: str
    message_id: str
    conversation_id: str
    own: str
    other: str
    place: str
    result: str | None = None
    reason: str | None = None


class UftpAgreed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was agreed, as `seen.Market` has it, of one of our domains in one role; kept by ``ROLE.domain``."""

    domain: Id
    role: wire.Role
    versions: tuple[str, ...] = wire.VERSIONS
    isp_minutes: int = 15
    time_zone: str | None = None
    congestion_points: tuple[str, ...] = ()
    max_power_w: int | None = None
    currencies: tuple[str, ...] = ()
    mutex_offers: bool = True
    prognoses: bool | None = None
    release_minutes: int | None = None
    closed: bool = False
    zoned_times: bool = True


@lru_cache(maxsize=64)
def market(agreed: UftpAgreed) -> seen.Market:
    """As rules see it; an empty list says that nothing was agreed."""
    told = {name: getattr(agreed, name) for name in agreed.__struct_fields__}
    for name in ("congestion_points", "currencies"):
        told[name] = frozenset(told[name]) or None
    return seen.Market(**told)
