"""Suite ``uftp-messages``: every rule of UFTP, and the laws of its codec, over a corpus; no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from flexhub.conformance.corpora import Accepted, Corpus, Rejected, corpus
from flexhub.conformance.messages import File, Kind, Speaker, suite_of
from flexhub.conformance.suite import Suite
from flexhub.protocols.rules import Broken, broken
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.checks import roles
from flexhub.protocols.uftp.codec import UftpCodec
from flexhub.protocols.uftp.envelope import Delivery, public_key
from flexhub.protocols.uftp.rules import RULES, findings
from flexhub.protocols.uftp.seen import Market, Past, Peer, Seen, alone

PROTOCOL: Final = "uftp"
_CODEC: Final = UftpCodec()


def delivery(file: Accepted | Rejected) -> Delivery:
    """A file of HTTP as a delivery."""
    head, _, body = file.data.partition(b"\r\n\r\n")
    lines = (line.partition(":") for line in head.decode("ascii").split("\r\n")[1:])
    headers = {name.strip().lower(): value.strip() for name, _, value in lines}
    length = headers.get("content-length")
    key = file.seen.get("key")
    return Delivery(
        content_type=headers.get("content-type", ""),
        content_length=None if length is None else int(length),
        body=body,
        too_many=bool(file.seen.get("too_many")),
        key=None if key is None else public_key(key),
    )


_PLACES: Final = ("ean.871685900012636543",)


def seen(message: wire.Payload, told: Mapping[str, Any], files: Corpus) -> Seen:
    """What the index tells to look up; what it does not tell is as the message itself has it."""

    def past(name: str, **state: bool) -> Past:
        data = next(file.data for file in files.accepted if file.name == name)
        return Past(message=_CODEC.decode(data), **state)

    frm, to = (min(of) for of in roles(type(message)))
    market = {
        "domain": message.recipient_domain,
        "role": to,
        "time_zone": "Europe/Amsterdam",
        "congestion_points": _PLACES,
        "max_power_w": 10_000_000,
        "currencies": ("EUR",),
        **told.get("market", {}),
    }
    envelope = {"sender_domain": message.sender_domain, "sender_role": frm, **told.get("envelope", {})}
    known = {name: past(name, **state) for name, state in told.get("past", {}).items()}
    return Seen(
        now=datetime.fromisoformat(told["now"]) if "now" in told else alone(message).now,
        envelope=wire.SignedMessage(
            sender_domain=envelope["sender_domain"], sender_role=wire.Role(envelope["sender_role"]), body=""
        ),
        market=msgspec.convert(market, Market),
        peer=msgspec.convert({"roles": [envelope["sender_role"]], **told.get("peer", {})}, Peer),
        same=past(told["same"]) if "same" in told else None,
        past={one.message.message_id: one for one in known.values()},
        revision=told.get("revision"),
        orders=frozenset(told["orders"]) if "orders" in told else None,
        places=told.get("places"),
    )


_FILES: Final = corpus(PROTOCOL)


def _judge(file: File, decode: Callable[[bytes], wire.Payload], off: frozenset[str]) -> list[Broken]:
    if not _is_message(file):
        return broken(RULES, delivery(file), off=off)
    message = decode(file.data)
    return findings(message, seen(message, file.seen, _FILES), off=off)


def _is_message(file: File) -> bool:
    return not file.name.endswith(".http")


SUITE: Final[Suite[Speaker]] = suite_of(
    Kind(
        name="uftp-messages",
        title="UFTP's messages: every rule, and the laws of the codec",
        prefix="UFTP",
        files=_FILES,
        codec=_CODEC,
        rules=RULES,
        judge=_judge,
        stamped=lambda message, text: msgspec.structs.replace(message, time_stamp=text),
        root=wire.element,
        is_message=_is_message,
    )
)
