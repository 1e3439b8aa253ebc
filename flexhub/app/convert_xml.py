"""XML in ``flexhub convert`` and ``flexhub validate``: USEF's messages for messages, and offers for offers.

OpenADR's messages are judged only.
"""

from __future__ import annotations

import uuid
from typing import Any, Final

import msgspec

from flexhub.core.errors import InvalidError
from flexhub.core.flexoffer import FlexOffer
from flexhub.mappings.fates import Loss, Mapped
from flexhub.mappings.uftp.context import Context as UftpContext
from flexhub.mappings.uftp.offers import KEPT as UFTP
from flexhub.mappings.uftp.offers import offer_to_core, offer_to_wire
from flexhub.mappings.usef2015 import bridge
from flexhub.mappings.usef2015 import core as usef_core
from flexhub.mappings.usef2015.context import Context as UsefContext
from flexhub.mappings.usef2015.context import precedence
from flexhub.protocols.openadr2b.elements import Message as OadrMessage
from flexhub.protocols.openadr2b.names import NAMESPACES
from flexhub.protocols.registry import protocol as registered
from flexhub.protocols.rules import Broken, broken
from flexhub.protocols.uftp import codec as uftp
from flexhub.protocols.uftp import messages as uftp_wire
from flexhub.protocols.uftp.messages import VERSIONS, element
from flexhub.protocols.uftp.times import text_of
from flexhub.protocols.usef2015 import codec as usef
from flexhub.protocols.usef2015 import messages as usef_wire
from flexhub.protocols.usef2015.messages import Role

USEF: Final = usef_core.KEPT
PROTOCOLS: Final = (UFTP, USEF)
"""What is written, too."""
OPENADR: Final = "openadr2b"
Message = uftp_wire.Wire | OadrMessage
"""A message or an envelope; USEF 2015's elements are of UFTP's base."""

_OPENADR: Final = f"{{{NAMESPACES['oadr']}}}"


def read(data: bytes) -> tuple[str, Message]:
    """(protocol, message or envelope) of XML.

    Raises:
        MalformedError: what is no message of any.
        InvalidError: a message by its name, and not by what it holds.
    """
    root = uftp.parsed(data, clause="XML 1.0")
    if str(root.tag).startswith(_OPENADR):
        message: OadrMessage = registered(OPENADR).codec.decode(data)
        return OPENADR, message
    return (USEF, usef.read(root)) if usef.is_usef(root) else (UFTP, uftp.read(root))


def name_of(message: Message) -> str:
    """The local name of the message's element."""
    if isinstance(message, uftp_wire.Wire):
        return element(type(message))
    from flexhub.protocols.openadr2b.rules import element as oadr_element  # noqa: PLC0415 - heavy; others need it not

    return oadr_element(message)


def findings(protocol: str, message: Message) -> list[Broken]:
    """Every rule that the message breaks by itself."""
    return broken(registered(protocol).rules, message, at=name_of(message))


def rewritten(protocol: str, message: Message, to: str, losses: list[Loss]) -> bytes:
    """A message as one of the other protocol, or canonically as one of its own.

    Raises:
        InvalidError: an envelope, or what has no counterpart there.
    """
    name = name_of(message)
    if not isinstance(message, uftp_wire.Wire):
        raise InvalidError("messages of OpenADR 2.0b are judged only", path=name)
    if not isinstance(message, uftp_wire.Payload | usef_wire.Payload):
        raise InvalidError("an envelope is not converted, since it is signed", path=name)
    written: Any = message
    if to != protocol:
        done: Mapped[Any] = (
            bridge.to_uftp(message, UsefContext())
            if isinstance(message, usef_wire.Payload)
            else bridge.to_usef(message, UsefContext())
        )
        losses += done.losses
        written = done.value
    return (usef.written(written) if to == USEF else uftp.written(written)) + b"\n"


def offer_of(message: Message, losses: list[Loss]) -> FlexOffer:
    """The flex-offer that a FlexOffer is.

    Raises:
        InvalidError: another message.
    """
    if isinstance(message, usef_wire.FlexOffer):
        done = usef_core.offer_to_core(message, UsefContext())
    elif isinstance(message, uftp_wire.FlexOffer):
        done = offer_to_core(message, UftpContext())
    else:
        told = "of the XML messages only a FlexOffer of UFTP or USEF 2015 becomes a flex-offer"
        raise InvalidError(told, path=name_of(message))
    losses += done.losses
    return done.value


def written(offer: FlexOffer, to: str, losses: list[Loss]) -> bytes:
    """A flex-offer as a FlexOffer. Ids that are no UUIDs become such as follow from them, so the result is repeatable.

    Interpretation: in USEF 2015 it goes to a BRP where its location is the recipient itself, else to a DSO.

    Raises:
        InvalidError: what cannot be offered there.
    """
    told = offer.extras.get(UFTP)
    kept: dict[str, Any] = told if isinstance(told, dict) else {}
    identity = {
        "sender_domain": offer.issuer,
        "recipient_domain": offer.recipient or "",
        "time_stamp": text_of(offer.created),
        "message_id": _uuid(offer.id),
        "conversation_id": kept.get("conversation_id") or _uuid(f"conversation of {offer.id}"),
    }
    grid = UftpContext(time_zone=kept.get("time_zone", "Europe/Amsterdam"), isp_minutes=offer.resolution_s // 60)
    if to == USEF:
        meta = usef_wire.MessageMetadata(
            **identity,
            sender_role=Role.AGR,
            recipient_role=Role.BRP if offer.location == offer.recipient else Role.DSO,
            precedence=precedence(usef_wire.FlexOffer),
        )
        done: Mapped[Any] = usef_core.offer_to_wire(offer, UsefContext(kept={"message_metadata": meta}, uftp=grid))
        losses += done.losses
        return usef.written(done.value) + b"\n"
    unsolicited = kept.get("unsolicited", "flex_request_message_id" not in kept)
    more = {"version": VERSIONS[-1], **identity, "unsolicited": unsolicited}
    done = offer_to_wire(offer, msgspec.structs.replace(grid, kept=more))
    losses += done.losses
    return uftp.written(done.value) + b"\n"


def _uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"flexhub:{text}"))
