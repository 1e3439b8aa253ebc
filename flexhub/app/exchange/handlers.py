"""Every kind of message that the exchange decides about, and its handler."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Final

from flexhub.app.exchange.market import PostMeasurements, PostRequest, PutContract, Register
from flexhub.app.exchange.offers import ConfirmOffer, Deadline, DeclineOffer, DeleteOffer, PostOffer, PutOffer
from flexhub.app.exchange.pseudonyms import PutSecret
from flexhub.app.exchange.running import PlanResult, PutCadence, Run, SettleResult
from flexhub.app.hub.contract import Handler
from flexhub.engines.slots import ManagerEngine

GRACE: Final = timedelta(hours=1)
"""How long a settlement waits for readings, unless told otherwise."""


def common() -> dict[str, Handler]:
    """Kind -> handler, for every hub."""
    return {"registry.put": Register(), "secret.put": PutSecret(), "cadence.put": PutCadence()}


def build(
    engine: ManagerEngine, *, aggregator: str, grace: timedelta = GRACE, elsewhere: Collection[str] = ()
) -> dict[str, Handler]:
    """Kind -> handler, for the hub of this aggregator; what aggregators `elsewhere` decide about is passed on."""
    return {
        "flexoffer.post": PostOffer(engine, elsewhere),
        "flexoffer.put": PutOffer(engine, elsewhere),
        "flexoffer.delete": DeleteOffer(elsewhere),
        "flexoffer.confirm": ConfirmOffer(elsewhere),
        "flexoffer.decline": DeclineOffer(elsewhere),
        "measurement.post": PostMeasurements(elsewhere),
        "flexrequest.post": PostRequest(),
        "contract.put": PutContract(aggregator),
        "timer.deadline": Deadline(),
        "timer.plan": Run("plan", repeats=True),
        "timer.settle": Run("settle", repeats=True),
        "plan.ask": Run("plan"),
        "settle.ask": Run("settle"),
        "plan.result": PlanResult(),
        "settle.result": SettleResult(grace),
    }
