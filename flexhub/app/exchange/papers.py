"""The exchange's own documents, and how documents of the core are filed: owner, state and the time they are about."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from flexhub.app.hub.contract import Key, Put
from flexhub.core.base import Id, Instant, Model
from flexhub.core.flexoffer import FlexOffer, Schedule, State
from flexhub.core.timeseries import Measurement
from flexhub.core.trading import Bill, Contract, FlexRequest

LIVE = (State.OFFERED, State.ACCEPTED, State.ASSIGNED, State.CONFIRMED, State.EXECUTING)
"""States of offers that something may still happen to without a settlement."""

UNSETTLED = (*LIVE, State.EXECUTED)
"""What ``GET /flexoffer`` lists: everything not settled yet and not dead."""

PLANNABLE = (State.ACCEPTED, State.ASSIGNED, State.CONFIRMED)
"""What a planning run may still assign, before execution starts."""


class Membership(Model, frozen=True, kw_only=True):
    """The contract that is in force for a prosumer, filed under the prosumer: one at a time.

    Interpretation: Table 6 has one ``GET /contract`` and no way to choose among several, so the last one put counts.
    """

    contract: Contract


class Holding(Model, frozen=True, kw_only=True):
    """Whose a metering subject (a connection or a resource) is, filed under the subject."""

    id: Id
    party: Id


class Hold(Model, frozen=True, kw_only=True, gc=False):
    """Why plans leave an offer alone until its course starts: what it stands behind, and whether any was ordered."""

    until: Instant
    by: Id | None = None
    ordered: bool = False


class Held(Model, frozen=True, kw_only=True):
    """Offers of a portfolio that keep their course, since others count on it; kept by the portfolio's name."""

    offers: dict[Id, Hold] = {}

    def holds(self, offer: str, now: datetime) -> Hold | None:
        """What holds an offer."""
        hold = self.offers.get(offer)
        return hold if hold is not None and hold.until > now else None

    def freed(self, by: str, now: datetime) -> Held:
        """No longer for the sake of this one; what was ordered stays held."""
        found = {i: replace(h, by=None) if h.by == by else h for i, h in self.offers.items()}
        return Held(offers={i: h for i, h in found.items() if h.until > now and (h.ordered or h.by is not None)})

    def offered(self, by: str, courses: Mapping[str, datetime], now: datetime) -> Held:
        """Also these, offer -> start of its course, for the sake of this one."""
        new = {i: Hold(until=at, by=by, ordered=self._ordered(i, now)) for i, at in courses.items()}
        return self._with(new, now)

    def ordered(self, courses: Mapping[str, datetime], now: datetime) -> Held:
        """Also these, offer -> start of its course, whatever comes of offerings."""
        return self._with({i: Hold(until=at, ordered=True) for i, at in courses.items()}, now)

    def _ordered(self, offer: str, now: datetime) -> bool:
        hold = self.holds(offer, now)
        return hold is not None and hold.ordered

    def _with(self, new: Mapping[str, Hold], now: datetime) -> Held:
        return Held(offers={i: h for i, h in {**self.offers, **new}.items() if h.until > now})


def file_held(portfolio: str, held: Held) -> Put:
    """What is held, filed under its portfolio."""
    return Put(key=Key(Held, portfolio), value=held, owner=portfolio)


class Fault(Model, frozen=True, kw_only=True):
    """What went wrong for one offer in a planning or settlement run; the offer stays as it was."""

    offer: Id
    code: str
    message: str


class PlanRecord(Model, frozen=True, kw_only=True):
    """What came of a planning run.

    `unserved_kwh` is how far the requests stay unmet; `faults` are schedules that could not be assigned.
    """

    id: Id
    portfolio: Id
    at: Instant
    assigned: int
    unchanged: int
    cost_eur: float
    unserved_kwh: float
    faults: tuple[Fault, ...] = ()


class Change(Model, frozen=True, kw_only=True):
    """What the stream tells about an offer: its state, and the schedule where it has one."""

    id: Id
    state: State
    state_reason: str | None = None
    schedule: Schedule | None = None


def span(offer: FlexOffer) -> tuple[datetime, datetime]:
    """The time an offer is about: from its earliest start to the latest end that its profiles allow."""
    earliest, latest = offer.window(offer.created)
    slots = max((p.span_slots(offer.resolution_s)[1] for p in offer.profiles), default=0)
    end = latest + timedelta(seconds=slots * offer.resolution_s)
    return earliest, max(earliest, min(end, offer.end_before) if offer.end_before else end)


def file_offer(offer: FlexOffer) -> Put:
    """A flex-offer, filed under its issuer."""
    starts, ends = span(offer)
    return Put(
        key=Key(FlexOffer, offer.id), value=offer, owner=offer.issuer, state=offer.state, starts=starts, ends=ends
    )


def measurement_key(party: str, m: Measurement) -> Key:
    """A reading of the same subject, offer and start replaces the one before: meters correct themselves."""
    return Key(Measurement, f"{party}/{m.subject}/{m.offer or ''}/{m.start:%Y%m%dT%H%M%SZ}/{m.resolution_s}")


def file_measurement(party: str, m: Measurement) -> Put:
    """A measurement, filed under the party that took it."""
    ends = m.start + timedelta(seconds=len(m.values_kwh) * m.resolution_s)
    return Put(key=measurement_key(party, m), value=m, owner=party, starts=m.start, ends=ends)


BINDING, OFFERED = "", "offered"
"""Of a flex-request: plans keep to it; what it asks for is offered, and waits to be ordered."""


def file_request(request: FlexRequest, state: str = BINDING) -> Put:
    """A flex-request, filed under its issuer."""
    ends = request.start + timedelta(seconds=(request.intervals[-1].slot + 1) * request.resolution_s)
    key = Key(FlexRequest, request.id)
    return Put(key=key, value=request, owner=request.issuer, state=state, starts=request.start, ends=ends)


def file_contract(contract: Contract) -> tuple[Put, Put]:
    """A contract, filed under its prosumer, and as the one in force."""
    key, current = Key(Contract, contract.id), Key(Membership, contract.prosumer)
    owner, starts, ends = contract.prosumer, contract.valid_from, contract.valid_until
    return (
        Put(key=key, value=contract, owner=owner, starts=starts, ends=ends),
        Put(key=current, value=Membership(contract=contract), owner=owner, starts=starts, ends=ends),
    )


def file_bill(bill: Bill) -> Put:
    """A bill, filed under whom it is paid to."""
    return Put(key=Key(Bill, bill.id), value=bill, owner=bill.party, starts=bill.start, ends=bill.end)


def file(kind: type[msgspec.Struct], id_: str, value: msgspec.Struct, owner: str) -> Put:
    """A document that is found by its id only."""
    return Put(key=Key(kind, id_), value=value, owner=owner)
