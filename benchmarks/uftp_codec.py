"""A UFTP FlexOffer of 96 ISPs, read and written; shapeshifter-uftp beside it where it is installed.

The peer has an environment of its own, since it pins what it needs: `make peer` makes it, by
requirements/peer-shapeshifter.txt. Without it the figures stand alone.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.figure import Figure
from flexhub.protocols.uftp import envelope
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.codec import UftpCodec

PEER: Final = Path(__file__).parent.parent / "build" / "peers" / "shapeshifter-uftp" / "bin" / "python"
ISPS: Final = 96
SECONDS: Final = 1.0

OFFER: Final = wire.FlexOffer(
    version="3.1.0",
    sender_domain="agr.example.com",
    recipient_domain="dso.example.com",
    time_stamp="2026-03-28T10:00:00Z",
    message_id="00000000-0000-4000-8000-000000000001",
    conversation_id="00000000-0000-4000-8000-000000000002",
    isp_duration="PT15M",
    time_zone="Europe/Amsterdam",
    period="2026-03-30",
    congestion_point="ean.123456789012",
    expiration_date_time="2026-03-29T12:00:00Z",
    flex_request_message_id="00000000-0000-4000-8000-000000000003",
    currency="EUR",
    offer_options=(
        wire.OfferOption(
            option_reference="one",
            price=Decimal("2.5"),
            isps=tuple(wire.Isp(power_w=-1000 - i, start=i) for i in range(1, ISPS + 1)),
        ),
    ),
)

PROGRAM: Final = """
import json, sys, time
from shapeshifter_uftp.transport import from_xml, to_xml
data = sys.stdin.buffer.read()
message = from_xml(data)
def ms(work):
    work()
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < 1:
        work()
        done += 1
    return (time.perf_counter() - began) * 1000 / done
print(json.dumps([ms(lambda: from_xml(data)), ms(lambda: to_xml(message))]))
"""


def milliseconds(work: Callable[[], object]) -> float:
    """Mean time of one call."""
    work()
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        work()
        done += 1
    return (time.perf_counter() - began) * 1000 / done


def peer(data: bytes) -> tuple[float | None, float | None]:
    """The peer's (read, written) in ms; None where it is not installed."""
    if not PEER.exists():
        return None, None
    ran = subprocess.run([PEER, "-c", PROGRAM], input=data, capture_output=True, check=True)
    read, written = msgspec.json.decode(ran.stdout, type=tuple[float, float])
    return read, written


def run() -> list[Figure]:
    """Times of reading and writing, each with every check; and of an envelope."""
    codec = UftpCodec()
    data = codec.encode(OFFER)
    if codec.decode(data) != OFFER:
        raise AssertionError("the message of the benchmark does not come back")
    key = envelope.key_of_seed(bytes(32))
    sealed = envelope.seal(data, OFFER.sender_domain, wire.Role.AGR, key)
    delivery = envelope.Delivery(content_type="text/xml", content_length=len(sealed), body=sealed, key=key.public())
    read, written = peer(data)
    return [
        Figure(
            name="UFTP FlexOffer, 96 ISPs, read strictly",
            value=milliseconds(lambda: codec.decode(data)),
            unit="ms",
            target=0.7,
            at_most=True,
            peer_name="shapeshifter-uftp 2.4.0",
            peer=read,
        ),
        Figure(
            name="UFTP FlexOffer, 96 ISPs, written",
            value=milliseconds(lambda: codec.encode(OFFER)),
            unit="ms",
            target=0.4,
            at_most=True,
            peer_name="shapeshifter-uftp 2.4.0",
            peer=written,
        ),
        Figure(
            name="UFTP delivery, 96 ISPs: envelope read, signature checked, message read",
            value=milliseconds(lambda: envelope.open_delivery(delivery, codec)),
            unit="ms",
        ),
    ]
