"""shapeshifter-uftp as one participant; it runs in that library's own environment, and `peer` starts it.

    python driver.py ROLE DOMAIN PRIVATE_KEY DIRECTORY PORT

Everything that is sent is read, written, signed and posted by the library, and what comes is taken by its service.
Commands are JSON lines on stdin, until it closes: ``{"send": xml, "role": recipient's}``, ``{"reject": class}`` (the
next of that class is rejected; all others are accepted). What happened is told in JSON lines on stdout.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import tomllib
from pathlib import Path
from typing import Any

import shapeshifter_uftp as uftp  # type: ignore[import-not-found]  # of another environment
from shapeshifter_uftp.exceptions import ClientTransportException  # type: ignore[import-not-found]  # as above
from shapeshifter_uftp.service.base_service import snake_case  # type: ignore[import-not-found]  # as above
from shapeshifter_uftp.transport import from_xml, to_xml  # type: ignore[import-not-found]  # as above
from shapeshifter_uftp.uftp import (  # type: ignore[import-not-found]  # as above
    AcceptedDisputed,
    AcceptedRejected,
    origin_map,
    request_response_map,
)
from shapeshifter_uftp.uftp.messages import (  # type: ignore[import-not-found]  # as above
    agr_portfolio_query,
    dso_portfolio_query,
)

SERVICES = {
    "AGR": uftp.ShapeshifterAgrService,
    "CRO": uftp.ShapeshifterCroService,
    "DSO": uftp.ShapeshifterDsoService,
}
OUT = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # the web server writes its log to stdout


def tell(**said: Any) -> None:
    OUT.write(json.dumps(said) + "\n")


class Directory:
    """The file that our hubs read, as the library asks for it."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def _of(self, domain: str, role: str) -> dict[str, Any]:
        listed: list[dict[str, Any]] = tomllib.loads(self._path.read_text("utf-8"))["participant"]
        return next(one for one in listed if (one["domain"], one["role"]) == (domain, str(role)))

    def key(self, domain: str, role: str) -> str:
        raw = base64.b64decode(self._of(domain, role)["key"][0].removeprefix("cs1."))
        return base64.b64encode(raw[:32]).decode()

    def endpoint(self, domain: str, role: str) -> str:
        return str(self._of(domain, role)["url"])


class Register:
    """What a CRO has heard: connections of congestion points, and of AGRs."""

    def __init__(self) -> None:
        self.points: dict[str, Any] = {}
        self.agrs: dict[str, str] = {}

    def answer(self, message: Any) -> dict[str, Any]:
        """What an answer says beside its result."""
        match type(message).__name__:
            case "DsoPortfolioUpdate":
                self.points |= {
                    point.entity_address: (message.sender_domain, point) for point in message.congestion_points
                }
            case "AgrPortfolioUpdate":
                self.agrs |= {one.entity_address: message.sender_domain for one in message.connections}
            case "DsoPortfolioQuery":
                _, point = self.points[message.entity_address]
                found = [
                    dso_portfolio_query.DsoPortfolioQueryConnection(
                        entity_address=one.entity_address, agr_domain=self.agrs.get(one.entity_address)
                    )
                    for one in point.connections
                ]
                there = dso_portfolio_query.DsoPortfolioQueryCongestionPoint(
                    connections=found, entity_address=message.entity_address
                )
                return {"congestion_point": there, "period": message.period}
            case "AgrPortfolioQuery":
                return {"dso_views": [self._view(message.sender_domain)], "period": message.period}
            case "FlexSettlement":
                statuses = [
                    uftp.FlexOrderSettlementStatus(
                        order_reference=item.order_reference, disposition=AcceptedDisputed.ACCEPTED
                    )
                    for item in message.flex_order_settlements
                ]
                return {"flex_order_settlement_statuses": statuses}
        return {}

    def _view(self, agr: str) -> Any:
        q = agr_portfolio_query
        portfolios = []
        for dso, point in self.points.values():
            mine = [one.entity_address for one in point.connections if self.agrs.get(one.entity_address) == agr]
            listed = q.AgrPortfolioQueryResponseCongestionPoint(
                connections=[q.AgrPortfolioQueryResponseConnection(entity_address=one) for one in mine],
                entity_address=point.entity_address,
                mutex_offers_supported=point.mutex_offers_supported,
                day_ahead_redispatch_by=point.day_ahead_redispatch_by,
            )
            portfolios.append(q.AgrPortfolioQueryResponseDSOPortfolio(congestion_points=[listed], dso_domain=dso))
        return q.AgrPortfolioQueryResponseDSOView(dso_portfolios=portfolios)


def service_of(role: str, rejected: set[str]) -> type[Any]:
    """The library's service of this role, that answers what it takes, and tells."""
    base = SERVICES[role]
    register = Register()

    def process(self: Any, message: Any) -> None:
        kind = type(message)
        tell(received=kind.__name__, xml=to_xml(message))
        if kind not in request_response_map:
            return
        fields = {f"{snake_case(kind.__name__)}_message_id": message.message_id} | register.answer(message)
        if kind.__name__ in rejected:
            rejected.remove(kind.__name__)
            fields |= {"result": AcceptedRejected.REJECTED, "rejection_reason": "No thank you"}
        answer = request_response_map[kind](conversation_id=message.conversation_id, **fields)
        client = getattr(self, f"{origin_map[kind].lower()}_client")(message.sender_domain, message.version)
        getattr(client, f"send_{snake_case(type(answer).__name__)}")(answer)

    def process_test_message(self: Any, message: Any, sender_role: Any) -> None:
        tell(received="TestMessage", xml=to_xml(message))
        try:
            base.process_test_message(self, message, sender_role)
        except ClientTransportException as error:
            tell(failed="TestMessageResponse", status=error.response.status_code)

    takes = {f"process_{snake_case(kind.__name__)}": process for kind in base.acceptable_messages}
    return type("Service", (base,), takes | {"process_test_message": process_test_message})


def send(service: Any, xml: str, role: str) -> None:
    """Have the library's client send a message."""
    message = from_xml(xml)
    client = getattr(service, f"{role.lower()}_client")(message.recipient_domain, message.version)
    try:
        getattr(client, f"send_{snake_case(type(message).__name__)}")(message)
    except ClientTransportException as error:
        tell(failed=type(message).__name__, status=error.response.status_code)
    else:
        tell(sent=message.message_id)


def main(role: str, domain: str, key: str, directory: str, port: str) -> None:
    """Serve until stdin closes."""
    known, rejected = Directory(directory), set[str]()
    service = service_of(role, rejected)(
        sender_domain=domain,
        signing_key=key,
        key_lookup_function=known.key,
        endpoint_lookup_function=known.endpoint,
        host="127.0.0.1",
        port=int(port),
    )
    with service:
        bound = [sock.getsockname()[0] for server in service.server.servers for sock in server.sockets]
        assert bound == ["127.0.0.1"], bound
        tell(listens=bound)
        for line in sys.stdin:
            command = json.loads(line)
            if "reject" in command:
                rejected.add(command["reject"])
            else:
                send(service, command["send"], command["role"])


if __name__ == "__main__":
    main(*sys.argv[1:])
