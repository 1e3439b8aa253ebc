"""The GOFLEX message of 16 slices: read and mapped into the core, and judged by its rules."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from benchmarks.figure import Figure
from benchmarks.flexoffer_json import SLICES, rate
from flexhub.mappings.flexoffer import Context, to_core
from flexhub.protocols.flexoffer.codec import FlexOfferCodec
from flexhub.protocols.flexoffer.rules import RULES
from flexhub.protocols.rules import broken

MESSAGE: Final[dict[str, Any]] = {
    "id": "offer-000001",
    "label": "a car",
    "state": "Initial",
    "offeredById": "prosumer-1",
    "locationId": {},
    "creationTime": "2026-03-29T12:00:00.000+0000",
    "creationInterval": 1971984,
    "acceptanceBeforeTime": "2026-03-29T13:00:00.000+0000",
    "acceptanceBeforeInterval": 1971988,
    "startAfterTime": "2026-03-29T14:00:00.000+0000",
    "startAfterInterval": 1971992,
    "startBeforeTime": "2026-03-29T16:00:00.000+0000",
    "startBeforeInterval": 1972000,
    "numSecondsPerInterval": 900,
    "assignment": "obligatory",
    "flexOfferProfileConstraints": [
        {
            "energyConstraintList": [{"lower": 0.25, "upper": 1.25 + i / 100}],
            "tariffConstraint": {"minTariff": -0.05, "maxTariff": 0.2 + i / 100},
            "minDuration": 1,
            "maxDuration": 1,
        }
        for i in range(SLICES)
    ],
}


def plain(data: bytes) -> list[tuple[float, float, float, float]]:
    """The peer: the standard library's json, and the numbers picked out without any check."""
    return [
        (
            float(s["energyConstraintList"][0]["lower"]),
            float(s["energyConstraintList"][0]["upper"]),
            float(s["tariffConstraint"]["minTariff"]),
            float(s["tariffConstraint"]["maxTariff"]),
        )
        for s in json.loads(data)["flexOfferProfileConstraints"]
    ]


def run() -> list[Figure]:
    """Rates of reading with mapping, and of judging by rules."""
    data = msgspec.json.encode(MESSAGE)
    codec, context = FlexOfferCodec(), Context()
    offer = codec.decode(data).offers[0]
    if broken(RULES, offer):
        raise AssertionError("the message of the benchmark breaks a rule")
    return [
        Figure(
            name="GOFLEX message, 16 slices, read and mapped into the core",
            value=rate(lambda: to_core(codec.decode(data).offers[0], context)),
            unit="offers/s",
            target=15_000,
            peer_name="json, numbers picked out unchecked",
            peer=rate(lambda: plain(data)),
        ),
        Figure(
            name="GOFLEX message, 16 slices, judged by 30 rules",
            value=rate(lambda: broken(RULES, offer)),
            unit="offers/s",
        ),
    ]
