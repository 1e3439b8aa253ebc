"""One side of `uftp_chain` by shapeshifter-uftp, run in its own environment: as its documentation uses it.

python _shapeshifter.py ROLE JSON
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import shapeshifter_uftp as uftp  # type: ignore[import-not-found]  # of another environment

ZONE = "Europe/Amsterdam"
OUT = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # the web server writes its log to stdout

ROLE, TEXT = sys.argv[1:]
TOLD: dict[str, Any] = json.loads(TEXT)
PARTIES = TOLD["parties"]
OTHER = PARTIES["DSO" if ROLE == "AGR" else "AGR"]["domain"]


def soon() -> str:
    """Tomorrow."""
    return f"{datetime.now(UTC) + timedelta(hours=24):%FT%TZ}"


def about() -> dict[str, Any]:
    """What messages about a day say."""
    day: date = (datetime.now(UTC) + timedelta(days=3)).date()
    return {
        "isp_duration": "PT15M",
        "time_zone": ZONE,
        "period": day.isoformat(),
        "congestion_point": "ean.871685900012600000",
    }


def answered(kind: type[Any], message: uftp.PayloadMessage, field: str) -> uftp.PayloadMessage:
    """The answer that a message is accepted."""
    return kind(conversation_id=message.conversation_id, **{field: message.message_id})


def unused(self: uftp.ShapeshifterAgrService, message: uftp.PayloadMessage) -> None:
    """What this conversation has not."""


class Aggregator(uftp.ShapeshifterAgrService):  # type: ignore[misc]  # of another environment
    """The AGR."""

    def process_flex_request(self, message: uftp.FlexRequest) -> None:
        """Answer, and offer."""
        client = self.dso_client(OTHER)
        client.send_flex_request_response(answered(uftp.FlexRequestResponse, message, "flex_request_message_id"))
        isps = [uftp.FlexOfferOptionISP(power=-200_000 - isp.start, start=isp.start) for isp in message.isps]
        client.send_flex_offer(
            uftp.FlexOffer(
                **about(),
                conversation_id=message.conversation_id,
                expiration_date_time=soon(),
                flex_request_message_id=message.message_id,
                currency="EUR",
                offer_options=[uftp.FlexOfferOption(option_reference="a", price=Decimal("12.5"), isps=isps)],
            )
        )

    def process_flex_order(self, message: uftp.FlexOrder) -> None:
        """Answer."""
        client = self.dso_client(OTHER)
        client.send_flex_order_response(answered(uftp.FlexOrderResponse, message, "flex_order_message_id"))


class Operator(uftp.ShapeshifterDsoService):  # type: ignore[misc]  # of another environment
    """The DSO."""

    begun: dict[str, float] = {}
    took: list[float] = []
    free = threading.Semaphore(TOLD["at_once"])

    def process_flex_offer(self, message: uftp.FlexOffer) -> None:
        """Answer, and order."""
        client = self.agr_client(OTHER)
        client.send_flex_offer_response(answered(uftp.FlexOfferResponse, message, "flex_offer_message_id"))
        option = message.offer_options[0]
        client.send_flex_order(
            uftp.FlexOrder(
                **about(),
                conversation_id=message.conversation_id,
                flex_offer_message_id=message.message_id,
                price=option.price,
                currency="EUR",
                order_reference="order",
                option_reference="a",
                isps=[uftp.FlexOrderISP(power=isp.power, start=isp.start) for isp in option.isps],
            )
        )

    def process_flex_order_response(self, message: uftp.FlexOrderResponse) -> None:
        """A conversation is over."""
        self.took.append(time.perf_counter() - self.begun.pop(message.conversation_id))
        self.free.release()

    def ask(self, count: int) -> dict[str, Any]:
        """So many conversations; requests go out by a pool of the library's own size."""
        self.took.clear()
        begun = time.perf_counter()
        for _ in range(count):
            self.free.acquire()
            self.outbound_executor.submit(self._one)
        for _ in range(TOLD["at_once"]):
            self.free.acquire()
        for _ in range(TOLD["at_once"]):
            self.free.release()
        return {"seconds": time.perf_counter() - begun, "each_s": list(self.took)}

    def _one(self) -> None:
        isps = [
            uftp.FlexRequestISP(disposition="Requested", min_power=-300_000 - i, max_power=0, start=i)
            for i in range(1, TOLD["isps"] + 1)
        ]
        conversation = str(uuid4())
        self.begun[conversation] = time.perf_counter()
        self.agr_client(OTHER).send_flex_request(
            uftp.FlexRequest(
                **about(), conversation_id=conversation, revision=1, expiration_date_time=soon(), isps=isps
            )
        )


def main() -> None:
    """Serve until stdin closes; the DSO begins once it is told to."""
    base = Aggregator if ROLE == "AGR" else Operator
    kind = type("Side", (base,), dict.fromkeys(base.__abstractmethods__, unused))
    keys = {party["domain"]: party["public"] for party in PARTIES.values()}
    urls = {p["domain"]: f"http://127.0.0.1:{p['port']}/shapeshifter/api/v3/message" for p in PARTIES.values()}
    service = kind(
        sender_domain=PARTIES[ROLE]["domain"],
        signing_key=PARTIES[ROLE]["private"],
        key_lookup_function=lambda domain, _role: keys[domain],
        endpoint_lookup_function=lambda domain, _role: urls[domain],
        host="127.0.0.1",
        port=PARTIES[ROLE]["port"],
    )
    with service:
        OUT.write("ready\n")
        if sys.stdin.readline():
            service.ask(1)  # two threads that read its first messages at once find no class for them
            service.ask(TOLD["warm_up"])
            OUT.write(json.dumps(service.ask(TOLD["count"])) + "\n")
            sys.stdin.readline()


if __name__ == "__main__":
    main()
