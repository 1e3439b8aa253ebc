"""What the hub is told to have a UFTP message sent, or something done about a day, and what it answers."""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec

from flexhub.protocols.uftp.messages import Role


class Outgoing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A message to be sent.

    Args:
        xml: the message. Metadata (Version, SenderDomain, RecipientDomain, TimeStamp, MessageID, ConversationID) that
            it leaves out is added.
        to: the recipient's domain, where the message leaves it out.
        role: the recipient's role; needed for a TestMessage only.
    """

    xml: Annotated[str, msgspec.Meta(max_length=1 << 20, description="The message; metadata may be left out.")]
    to: str | None = None
    role: Role | None = None


class Outgone(msgspec.Struct, frozen=True, kw_only=True):
    """A message that will be sent until it is taken."""

    message_id: str
    conversation_id: str


class What(enum.StrEnum):
    """What can be asked for."""

    PROGNOSIS = "prognosis"
    METERING = "metering"
    SETTLEMENT = "settlement"


class Run(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something to be done now about a local day at a congestion point.

    `domain` is ours that trades there, where several do.
    """

    what: What
    congestion_point: str
    day: str
    domain: str | None = None
