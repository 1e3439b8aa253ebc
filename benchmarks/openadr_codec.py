"""An OpenADR 2.0b event of 96 intervals, read and written, and a signed poll; openleadr beside it, in the same run.

The peer comes with the extra that holds the XSDs. Rounds of both take turns, and the fastest round of each counts, so
that what else the machine does hits neither alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from benchmarks.figure import Figure
from flexhub.protocols.openadr2b.codec import OadrCodec
from flexhub.protocols.openadr2b.messages import OadrPoll
from flexhub.protocols.openadr2b.signature import sign, signing_key, verify

INTERVALS: Final = 96
ROUNDS: Final = 10
SECONDS: Final = 0.2
PEER: Final = "openleadr 0.5.36"


def fastest(*works: Callable[[], object]) -> list[float]:
    """Milliseconds of one call of each, in its fastest round."""
    best = [float("inf")] * len(works)
    for _ in range(ROUNDS):
        for i, work in enumerate(works):
            work()
            done, began = 0, time.perf_counter()
            while (took := time.perf_counter() - began) < SECONDS:
                work()
                done += 1
            best[i] = min(best[i], took * 1000 / done)
    return best


def payload() -> dict[str, Any]:
    """What openleadr makes its oadrDistributeEvent of."""
    objects: Any = import_module("openleadr.objects")
    start, quarter = datetime(2026, 3, 29, tzinfo=UTC), timedelta(minutes=15)
    intervals = [
        objects.Interval(dtstart=None, duration=quarter, uid=i, signal_payload=1.5 * i) for i in range(INTERVALS)
    ]
    event = objects.Event(
        event_descriptor=objects.EventDescriptor(
            event_id="event",
            modification_number=0,
            modification_date_time=start,
            market_context="http://market.example/1",
            event_status="far",
            created_date_time=start,
        ),
        active_period=objects.ActivePeriod(dtstart=start, duration=INTERVALS * quarter),
        event_signals=[
            objects.EventSignal(
                intervals=intervals, signal_name="LOAD_DISPATCH", signal_type="setpoint", signal_id="signal"
            )
        ],
        targets=[objects.Target(ven_id="ven")],
        response_required="always",
    )
    response = {"response_code": 200, "response_description": "OK", "request_id": "request"}
    return {"request_id": "request", "vtn_id": "vtn", "response": response, "events": [event]}


def pair() -> tuple[bytes, bytes]:
    """A private key of RSA-2048 and its certificate, in PEM."""
    private = rsa.generate_private_key(65537, 2048)
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ven")])
    now, days = datetime.now(UTC), timedelta(days=30)
    made = x509.CertificateBuilder(who, who, private.public_key(), 1, now - days, now + days)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem, made.sign(private, hashes.SHA256()).public_bytes(Encoding.PEM)


def run() -> list[Figure]:
    """Times of reading, with the XSD check, of writing, and of signatures."""
    logging.getLogger("openleadr").setLevel(logging.ERROR)
    messaging: Any = import_module("openleadr.messaging")
    codec, told = OadrCodec(), payload()

    def created() -> str:
        return str(messaging.create_message("oadrDistributeEvent", **told))

    text = created()
    data = text.encode()
    message = codec.decode(data)
    if codec.decode(codec.encode(message)) != message:
        raise AssertionError("the message of the benchmark does not come back")

    def parsed() -> object:
        messaging.validate_xml_schema(data)
        return messaging.parse_message(text)

    reads, peer_reads = fastest(lambda: codec.decode(data), parsed)
    writes, peer_writes = fastest(lambda: codec.encode(message), created)
    pems = pair()
    key, now = signing_key(*pems), datetime.now(UTC)
    poll = OadrPoll(ven_id="ven")
    signed, peer_signed = fastest(
        lambda: sign(poll, key, now=now, nonce="n"),
        lambda: messaging.create_message("oadrPoll", ven_id="ven", key=pems[0], cert=pems[1]),
    )
    root = codec.root(sign(poll, key, now=now, nonce="n"))
    (verified,) = fastest(lambda: verify(root, trusted={key.fingerprint}, now=now))
    return [
        Figure(
            name="OpenADR 2.0b event, 96 intervals, read with the XSD check",
            value=reads,
            unit="ms",
            target=peer_reads / 6,
            at_most=True,
            peer_name=PEER,
            peer=peer_reads,
            note="the target is a sixth of the peer's",
        ),
        Figure(
            name="OpenADR 2.0b event, 96 intervals, written",
            value=writes,
            unit="ms",
            target=peer_writes / 4,
            at_most=True,
            peer_name=PEER,
            peer=peer_writes,
            note="the target is a quarter of the peer's",
        ),
        Figure(
            name="OpenADR 2.0b oadrPoll, written and signed with RSA-2048",
            value=signed,
            unit="ms",
            target=10.0,
            at_most=True,
            peer_name=PEER,
            peer=peer_signed,
        ),
        Figure(name="OpenADR 2.0b oadrPoll, signature of RSA-2048 verified", value=verified, unit="ms"),
    ]
