"""Who sees what of whom: the one place where what leaves the hub is made fit for those who ask.

A prosumer sees what is its own. What others see of it follows from the scopes of the contract that its offer was taken
under, as that contract was last put: where the scope of a use is granted, the thing itself; where it isn't, an
aggregator sees it under pseudonyms, and everyone else only in sums over enough prosumers.

Interpretation: the deliverables name roles and contracts, but not which scope is whose. An aggregator plans with offers
and settles with readings; grid operators use what the scope `grid` grants, utilities and market operators `market`.
An admin runs the hub itself and sees everything.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from flexhub.app.exchange.papers import Change, Fault, PlanRecord
from flexhub.app.exchange.pseudonyms import Pseudonyms
from flexhub.core.errors import InternalError
from flexhub.core.flexoffer import FlexOffer, Profile
from flexhub.core.registry import Role
from flexhub.core.timeseries import Measurement
from flexhub.core.trading import Bill, Contract, Scope


class Reach(enum.StrEnum):
    """How far a role sees."""

    OWN = "own"
    PORTFOLIO = "portfolio"
    SUMS = "sums"
    ALL = "all"


REACH: Final = {
    Role.PROSUMER: Reach.OWN,
    Role.AGGREGATOR: Reach.PORTFOLIO,
    Role.MARKET_OPERATOR: Reach.SUMS,
    Role.GRID_OPERATOR: Reach.SUMS,
    Role.UTILITY: Reach.SUMS,
    Role.ADMIN: Reach.ALL,
}


class Data(enum.StrEnum):
    """What is known of a prosumer, by what it may be used for."""

    OFFERS = "offers and schedules"
    READINGS = "meter readings"
    BILLS = "bills"


NEEDED: Final[dict[Role, dict[Data, Scope]]] = {
    Role.AGGREGATOR: {Data.OFFERS: Scope.PLANNING, Data.READINGS: Scope.SETTLEMENT, Data.BILLS: Scope.SETTLEMENT},
    Role.MARKET_OPERATOR: {Data.OFFERS: Scope.MARKET, Data.READINGS: Scope.MARKET},
    Role.GRID_OPERATOR: {Data.OFFERS: Scope.GRID, Data.READINGS: Scope.GRID},
    Role.UTILITY: {Data.OFFERS: Scope.MARKET, Data.READINGS: Scope.MARKET},
}
"""Role -> what it may see by name -> the scope that a contract must grant for it. What is not here it never sees so."""


class Viewer(NamedTuple):
    """Who asks, in which role."""

    party: str
    role: Role

    @property
    def reach(self) -> Reach:
        """How far it sees."""
        return REACH[self.role]

    @property
    def owner(self) -> str | None:
        """Whose documents are gone through for it: its own, or (None) those of all, for what it `reaches` of them."""
        return self.party if self.reach is Reach.OWN else None

    def reaches(self, offer: FlexOffer) -> bool:
        """Whether the offer is its own, in its portfolio, or among those that it gets sums of."""
        match self.reach:
            case Reach.OWN:
                return offer.issuer == self.party
            case Reach.PORTFOLIO:
                return offer.recipient == self.party
            case Reach.SUMS | Reach.ALL:
                return True


class Sight:
    """What one viewer sees of the parties to these contracts.

    Args:
        viewer: who asks.
        contracts: those that the documents were made under, by id; without it nothing is granted.
        names: the names that those who granted nothing get; None where everything is granted.
    """

    def __init__(self, viewer: Viewer, contracts: Mapping[str, Contract], names: Pseudonyms | None) -> None:
        self._viewer = viewer
        self._contracts = contracts
        self._names = names

    def granted(self, contract: str | None, data: Data) -> bool:
        """Whether the viewer may see this by name."""
        if self._viewer.reach in (Reach.OWN, Reach.ALL):
            return True
        needed = NEEDED[self._viewer.role].get(data)
        made = self._contracts.get(contract or "")
        return made is not None and needed in made.scopes

    def _name(self, subject: str) -> str:
        if self._names is None:
            raise InternalError("no pseudonyms at hand")
        return self._names.of(self._viewer.party, subject)

    def _maybe(self, subject: str | None) -> str | None:
        return None if subject is None else self._name(subject)

    def offer(self, offer: FlexOffer) -> FlexOffer:
        """The offer; under pseudonyms its energies, times and prices stay, and all that is free text goes."""
        if self.granted(offer.contract, Data.OFFERS):
            return offer
        return msgspec.structs.replace(
            offer,
            id=self._name(offer.id),
            issuer=self._name(offer.issuer),
            contract=self._maybe(offer.contract),
            location=self._maybe(offer.location),
            label=None,
            state_reason=None,
            profiles=tuple(_plain(profile) for profile in offer.profiles),
            extras={},
        )

    def change(self, change: Change, offer: FlexOffer) -> Change:
        """What a stream tells about the offer."""
        if self.granted(offer.contract, Data.OFFERS):
            return change
        return msgspec.structs.replace(change, id=self._name(change.id), state_reason=None)

    def plan(self, record: PlanRecord, offers: Mapping[str, FlexOffer]) -> PlanRecord:
        """What a stream tells about a planning run; `offers` are those that it could not assign."""

        def shown(fault: Fault) -> Fault:
            offer = offers.get(fault.offer)
            if offer is not None and self.granted(offer.contract, Data.OFFERS):
                return fault
            return Fault(offer=self._name(fault.offer), code=fault.code, message="")

        return msgspec.structs.replace(record, faults=tuple(shown(fault) for fault in record.faults))

    def reading(self, reading: Measurement, offer: FlexOffer) -> Measurement:
        """A meter reading that was taken under the offer."""
        if self.granted(offer.contract, Data.READINGS):
            return reading
        return msgspec.structs.replace(reading, subject=self._name(reading.subject), offer=self._maybe(reading.offer))

    def bill(self, bill: Bill) -> Bill:
        """A bill; under pseudonyms its amounts stay."""
        if self.granted(bill.contract, Data.BILLS):
            return bill
        return msgspec.structs.replace(
            bill,
            id=self._name(bill.id),
            contract=self._name(bill.contract),
            party=self._name(bill.party),
            lines=tuple(msgspec.structs.replace(line, offer=self._maybe(line.offer)) for line in bill.lines),
        )


def _plain(profile: Profile) -> Profile:
    return msgspec.structs.replace(
        profile, slices=tuple(msgspec.structs.replace(piece, extras={}) for piece in profile.slices)
    )
