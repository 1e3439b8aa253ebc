"""What a pure decision asks the world to do, as data; the hub carries it out in the decision's own transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec


class Effect(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of all effects."""


class Reply(Effect, frozen=True, kw_only=True):
    """Answer the message being handled, with this body."""

    body: Any


class Ask(Effect, frozen=True, kw_only=True):
    """Put a question to an engine or provider; its answer returns as a journalled event about `subject`."""

    slot: str
    question: str
    subject: str


class Notify(Effect, frozen=True, kw_only=True):
    """Tell a party that something of its own has changed; it is kept in the outbox until taken."""

    party: str
    topic: str
    subject: str
    body: Any = None


class SetTimer(Effect, frozen=True, kw_only=True):
    """Bring `event` up about `subject` at `due`; setting the same (subject, event) again moves it, None clears it."""

    subject: str
    event: str
    due: datetime | None


class Send(Effect, frozen=True, kw_only=True):
    """Send bytes to a peer, again and again until it answers; the same `message_id` goes with the same bytes.

    One that was sent before is sent once more; one that still waits is not sent twice, where somebody asks what comes
    of it.

    Messages of one `conversation` arrive in order. What comes of it returns as a journalled event about the
    conversation, ``<reply_kind>.done`` or ``<reply_kind>.failed``; "": nobody asks, and nothing is journalled. At
    `expires` it is given up; None: an hour from now.
    """

    peer: str
    message_id: str
    conversation: str
    path: str
    media_type: str
    body: bytes
    reply_kind: str = "send"
    expires: datetime | None = None
