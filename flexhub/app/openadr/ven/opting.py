"""Whether what an event asks for can be done: the manager engine plans with it and without it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from msgspec.structs import replace

from flexhub.app.exchange.portfolio import portfolios
from flexhub.app.hub.contract import Question, Reads
from flexhub.app.openadr.ven.papers import OpenadrAnswered
from flexhub.app.openadr.ven.settings import Ven
from flexhub.core.errors import NotFoundError
from flexhub.core.trading import FlexRequest, Reference
from flexhub.core.units import TOLERANCE_KWH
from flexhub.engines.slots import ManagerEngine, Portfolio


class Asked(NamedTuple):
    """A request, the portfolio behind its congestion point (None: nothing can be moved there), and what may fail."""

    request: FlexRequest
    portfolio: Portfolio | None
    tolerance: float


class OptAsker:
    """Answers ``openadr.ven.opt``: about a request, by its id."""

    def __init__(self, engine: ManagerEngine, vens: Mapping[str, Ven]) -> None:
        self._engine = engine
        self._vens = vens

    async def gather(self, question: Question, reads: Reads, now: datetime) -> Asked:
        """The portfolio, planned with the request as if it bound."""
        request = await reads.get(FlexRequest, question.subject)
        ven = None if request is None else self._vens.get(request.issuer)
        if request is None or ven is None:
            raise NotFoundError("nothing was asked", path="FlexRequest/id", value=question.subject)
        found = await portfolios(request.recipient, reads, now, also=(request,))
        return Asked(request, found.get(request.congestion_point), ven.section.tolerance)

    def answer(self, arguments: Asked) -> OpenadrAnswered:
        """How much of what is asked stays unserved, beyond what would anyway."""
        request, portfolio, tolerance = arguments
        number, event_id = request.revision, request.extras.get("event_id", "")
        if portfolio is None:
            asked = _bounds_kwh(request)
            return OpenadrAnswered(
                event_id=event_id,
                modification_number=number,
                served=asked <= TOLERANCE_KWH,
                asked_kwh=asked,
                unserved_kwh=asked,
            )
        others = tuple(r for r in portfolio.requests if r.id != request.id)
        without = self._engine.plan(replace(portfolio, requests=others)).unserved_kwh
        unserved = max(0.0, self._engine.plan(portfolio).unserved_kwh - without)
        asked = max(_bounds_kwh(request), unserved)
        return OpenadrAnswered(
            event_id=event_id,
            modification_number=number,
            served=unserved <= tolerance * asked + TOLERANCE_KWH,
            asked_kwh=asked,
            unserved_kwh=unserved,
        )


def _bounds_kwh(request: FlexRequest) -> float:
    """How much a request asks for at most: deviations from the baseline, or absolute energies."""
    total = 0.0
    for one in request.intervals:
        told = [abs(kwh) for kwh in (one.lo_kwh, one.hi_kwh) if kwh is not None]
        total += (min(told) if request.reference is Reference.BASELINE else max(told)) if told else 0.0
    return total
