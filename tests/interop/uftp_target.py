"""An endpoint of shapeshifter-uftp in one role, with as small an application as can be: it accepts whatever reaches it.

It runs in the peer's own environment, so it imports nothing of flexhub. Its first line of input is JSON::

    {"role": "AGR", "domain": ..., "key": <base64 of 64 bytes>, "participants": [{"domain", "role", "key", "url"}]}

It prints one line, JSON with ``url``, its endpoint, and ``prompt``: messages posted there are sent as its own. Both are
on 127.0.0.1. It ends when its input does.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from shapeshifter_uftp import (  # type: ignore[import-not-found]  # only in the peer's environment
    ShapeshifterAgrService,
    ShapeshifterCroService,
    ShapeshifterDsoService,
)
from shapeshifter_uftp import uftp as wire
from shapeshifter_uftp.exceptions import (  # type: ignore[import-not-found]  # as above
    AuthenticationTimeoutException,
)
from shapeshifter_uftp.service.base_service import snake_case  # type: ignore[import-not-found]  # as above
from shapeshifter_uftp.transport import from_xml  # type: ignore[import-not-found]  # as above

SERVICES = {"AGR": ShapeshifterAgrService, "CRO": ShapeshifterCroService, "DSO": ShapeshifterDsoService}
TAKERS = {"FlexOffer": "DSO", "FlexOfferRevocation": "DSO", "FlexRequest": "AGR", "FlexOrder": "AGR"}
SENDERS = {"DsoPortfolioUpdate": "DSO", "DsoPortfolioQuery": "DSO"}


def answer_to(message: Any) -> Any:
    """Accepted."""
    kind = wire.request_response_map[type(message)]
    fields = {
        "conversation_id": message.conversation_id,
        "result": wire.ACCEPTED,
        f"{snake_case(type(message).__name__)}_message_id": message.message_id,
    }
    if kind is wire.FlexSettlementResponse:
        fields["flex_order_settlement_statuses"] = [
            wire.FlexOrderSettlementStatus(
                order_reference=item.order_reference, disposition=wire.AcceptedDisputed.ACCEPTED
            )
            for item in message.flex_order_settlements
        ]
    if kind in (wire.AgrPortfolioQueryResponse, wire.DsoPortfolioQueryResponse):
        fields |= {"time_zone": message.time_zone, "period": message.period}
    if kind is wire.DsoPortfolioUpdateResponse:
        fields["dso_portfolio_update_message_id"] = message.message_id
    if kind is wire.AgrPortfolioQueryResponse:
        connection = wire.AgrPortfolioQueryResponseConnection(entity_address="ean.871685900012636001")
        point = wire.AgrPortfolioQueryResponseCongestionPoint(
            entity_address="ean.871685900012636543",
            connections=[connection],
            mutex_offers_supported=True,
            day_ahead_redispatch_by=wire.RedispatchBy.DSO,
        )
        portfolio = wire.AgrPortfolioQueryResponseDSOPortfolio(dso_domain="dso.example.com", congestion_points=[point])
        fields["dso_views"] = [wire.AgrPortfolioQueryResponseDSOView(dso_portfolios=[portfolio])]
    return kind(**fields)


def sender_role(service: Any, message: Any) -> str:
    """Of whom a message is that is not a TestMessage, since the application is not told."""
    if service.sender_role.value != "CRO":
        return "DSO" if service.sender_role.value == "AGR" else "AGR"
    return SENDERS.get(type(message).__name__, "AGR")


def post(service: Any, domain: str, role: str, message: Any, version: str = "3.1.0") -> None:
    """Send a message, as the service itself does."""
    client = service._get_client(domain, role, version)  # noqa: SLF001 - what its own methods of each type call
    client._send_message(message)  # noqa: SLF001 - as above


def accept(self: Any, message: Any) -> None:
    """What the application does with every message."""
    if type(message) in wire.request_response_map:
        post(self, message.sender_domain, sender_role(self, message), answer_to(message), message.version)


def service_class(role: str) -> type:
    """A service that accepts everything."""
    base = SERVICES[role]
    return type(f"Accepting{role}", (base,), dict.fromkeys(base.__abstractmethods__, accept))


def prompting(service: Any) -> type[BaseHTTPRequestHandler]:
    """What is posted is sent."""

    class Prompt(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """One message."""
            told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            message = from_xml(told["xml"].encode())
            try:
                post(service, message.recipient_domain, TAKERS[type(message).__name__], message)
            except Exception as error:  # whatever it is, it is told
                self.send_error(502, str(error)[:100])
                return
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    return Prompt


def main() -> None:
    """Until the input ends."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else is printed is no line of ours
    told = json.loads(sys.stdin.readline())
    known = {one["domain"]: one for one in told["participants"]}

    def key_of(domain: str, _role: str) -> str:
        if domain not in known:
            raise AuthenticationTimeoutException(domain)
        found: str = known[domain]["key"]
        return found

    service = service_class(told["role"])(
        told["domain"],
        told["key"],
        key_lookup_function=key_of,
        endpoint_lookup_function=lambda domain, _role: known[domain]["url"],
        host="127.0.0.1",
        port=0,
    )
    prompt = ThreadingHTTPServer(("127.0.0.1", 0), prompting(service))
    threading.Thread(target=prompt.serve_forever, daemon=True).start()
    with service:
        host, port = service.server.servers[0].sockets[0].getsockname()
        assert host == "127.0.0.1"
        urls = {
            "url": f"http://127.0.0.1:{port}/shapeshifter/api/v3/message",
            "prompt": f"http://127.0.0.1:{prompt.server_address[1]}",
        }
        print(json.dumps(urls), file=out, flush=True)
        sys.stdin.read()
        os._exit(0)  # its threads may wait for whoever does not answer


if __name__ == "__main__":
    main()
