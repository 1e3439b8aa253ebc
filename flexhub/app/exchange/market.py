"""Decisions about what stands around the offers: contracts, the registry, flex-requests and meter readings."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import TypeVar

from flexhub.app.exchange.offers import new_id
from flexhub.app.exchange.papers import (
    Holding,
    Membership,
    file,
    file_contract,
    file_measurement,
    file_request,
)
from flexhub.app.hub.contract import Answer, Decision, Key, Message, Put, View
from flexhub.app.hub.told import stream_id
from flexhub.core.base import Model
from flexhub.core.documents import decode, encode
from flexhub.core.effects import Notify, Send
from flexhub.core.errors import DuplicateError, ExpiredError, FlexhubError, ForbiddenError, InvalidError, NotFoundError
from flexhub.core.flexoffer import FlexOffer
from flexhub.core.registry import Connection, Party, Resource, Role
from flexhub.core.timegrid import QUARTER_HOUR_S
from flexhub.core.timeseries import Measurement
from flexhub.core.trading import Contract, FlexRequest

T = TypeVar("T")

MAX_BATCH = 1000
"""Most measurements in one message."""


def value_of(message: Message, kind: type[T]) -> T:
    """What the message says: as decoded by whoever received it, otherwise from its body.

    Raises:
        MalformedError, InvalidError: as `core.documents.decode`.
    """
    return message.value if isinstance(message.value, kind) else decode(kind, message.body)


class PutContract:
    """``contract.put``: a contract of the hub's own aggregator with a prosumer; it becomes the one in force.

    Interpretation: Table 6 names nobody who makes contracts. One party may not do it for another: the hub's aggregator
    makes its own, and takes no prosumer over while another's contract is in force. An admin may do either.
    """

    def __init__(self, aggregator: str) -> None:
        self._aggregator = aggregator

    def needs(self, message: Message) -> Iterable[Key]:
        """The contract of that id, and the one that is in force for the prosumer."""
        contract = value_of(message, Contract)
        return Key(Contract, contract.id), Key(Membership, contract.prosumer)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Stored, and the prosumer told."""
        contract = value_of(message, Contract)
        known = view.get(Contract, contract.id)
        if message.role is not Role.ADMIN:
            self._own(contract, message.peer, view.get(Membership, contract.prosumer), now)
        if known is not None and (known.prosumer, known.aggregator) != (contract.prosumer, contract.aggregator):
            raise DuplicateError("this id is taken by another contract", path="Contract/id", value=contract.id)
        told = Notify(party=contract.prosumer, topic="contract", subject=contract.id, body=contract)
        return Decision(
            answer=Answer(status=200 if known else 201, body=encode(contract)),
            puts=file_contract(contract),
            effects=(told,),
        )

    def _own(self, contract: Contract, peer: str, membership: Membership | None, now: datetime) -> None:
        if not contract.aggregator == peer == self._aggregator:
            raise ForbiddenError("not your contract to make", path="Contract/aggregator", value=contract.aggregator)
        if membership is None or membership.contract.aggregator == peer:
            return
        if membership.contract.covers(now):
            raise ForbiddenError(
                f"{contract.prosumer} has a contract in force with another aggregator",
                path="Contract/prosumer",
                value=contract.prosumer,
            )


class Registration(Model, frozen=True, kw_only=True):
    """A party, and its connections and resources.

    Raises:
        InvalidError: a connection of another party, or a resource behind an unknown connection.
    """

    party: Party
    connections: tuple[Connection, ...] = ()
    resources: tuple[Resource, ...] = ()

    def __post_init__(self) -> None:
        known = {c.id for c in self.connections}
        for i, connection in enumerate(self.connections):
            if connection.party != self.party.id:
                raise InvalidError(f"belongs to {connection.party}", path=f"connections[{i}]/party")
        for i, resource in enumerate(self.resources):
            if resource.connection not in known:
                raise InvalidError("no such connection", path=f"resources[{i}]/connection", value=resource.connection)


class Register:
    """``registry.put``: who takes part, and which metering subjects are whose."""

    def needs(self, message: Message) -> Iterable[Key]:
        """The party as it is, and whose the subjects are so far."""
        entry = value_of(message, Registration)
        subjects: tuple[Connection | Resource, ...] = (*entry.connections, *entry.resources)
        return [Key(Party, entry.party.id), *(Key(Holding, subject.id) for subject in subjects)]

    def decide(self, message: Message, view: View, now: datetime) -> Decision:  # noqa: ARG002 - the handler's signature
        """Stored; a subject of another party is refused."""
        if message.role is not Role.ADMIN:
            raise ForbiddenError("only an admin registers parties", path="Registration/party")
        entry = value_of(message, Registration)
        party = entry.party.id
        puts: list[Put] = [file(Party, party, entry.party, party)]
        subjects: tuple[Connection | Resource, ...] = (*entry.connections, *entry.resources)
        for subject in subjects:
            holder = view.get(Holding, subject.id)
            if holder is not None and holder.party != party:
                raise DuplicateError("this id is another party's", path="Registration", value=subject.id)
            puts.append(file(type(subject), subject.id, subject, party))
            puts.append(file(Holding, subject.id, Holding(id=subject.id, party=party), party))
        return Decision(answer=Answer(status=201, body=encode(entry)), puts=tuple(puts))


class PostRequest:
    """``flexrequest.post``: a grid operator or utility asks for flexibility; a higher revision replaces a lower one.

    Interpretation: plans are made in quarter-hours, and so are requests; how energy is spread in longer slots, or moves
    within shorter ones, nobody could plan.
    """

    def needs(self, message: Message) -> Iterable[Key]:
        """The request of that id."""
        return (Key(FlexRequest, value_of(message, FlexRequest).id),)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Stored, and the recipient told; the same request again changes nothing."""
        request = value_of(message, FlexRequest)
        if request.issuer != message.peer:
            raise ForbiddenError(
                f"{message.peer} may not ask for {request.issuer}", path="FlexRequest/issuer", value=request.issuer
            )
        if request.resolution_s != QUARTER_HOUR_S:
            raise InvalidError(
                f"slots of {request.resolution_s} s, plans have {QUARTER_HOUR_S} s",
                path="FlexRequest/resolution_s",
                value=str(request.resolution_s),
            )
        known = view.get(FlexRequest, request.id)
        if known == request:
            return Decision(answer=Answer(status=200, body=encode(known)))
        if known is not None and known.issuer != request.issuer:
            raise DuplicateError("this id is taken by another request", path="FlexRequest/id", value=request.id)
        if known is not None and request.revision <= known.revision:
            raise DuplicateError(
                f"revision {request.revision} does not follow {known.revision}",
                path="FlexRequest/revision",
                value=str(request.revision),
                clause="UFTP-24",
            )
        if now > request.expires:
            raise ExpiredError(f"{request.expires:%FT%TZ} has passed at {now:%FT%TZ}", path="FlexRequest/expires")
        return Decision(
            answer=Answer(status=200 if known else 201, body=encode(request)),
            puts=(file_request(request),),
            effects=(Notify(party=request.recipient, topic="flexrequest", subject=request.id, body=request),),
        )


class Receipt(Model, frozen=True, kw_only=True):
    """How many measurements were taken."""

    accepted: int


class PostMeasurements:
    """``measurement.post``: a batch of meter readings, taken whole or not at all.

    Readings are a party's own: under one of its offers, or of a subject that is registered to it (or the party itself).
    The same slot again replaces what was there, since meters correct themselves. What concerns the aggregators
    `elsewhere`, by its offer or else by the party's contract, is passed on to them.
    """

    def __init__(self, elsewhere: Collection[str] = ()) -> None:
        self._elsewhere = elsewhere

    @staticmethod
    def batch(message: Message) -> tuple[Measurement, ...]:
        """One measurement, or a list of them.

        Raises:
            MalformedError, InvalidError: as `core.documents.decode`, or too many.
        """
        if isinstance(message.value, tuple):
            return message.value
        return read_batch(message.body)

    def needs(self, message: Message) -> Iterable[Key]:
        """The offers under which they were taken, and whose the subjects are."""
        batch = self.batch(message)
        offers = {Key(FlexOffer, m.offer) for m in batch if m.offer is not None}
        subjects = {Key(Holding, m.subject) for m in batch if m.subject != message.peer}
        return [*offers, *subjects, *([Key(Membership, message.peer)] if self._elsewhere else ())]

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Stored."""
        batch = self.batch(message)
        for i, measurement in enumerate(batch):
            path = f"Measurement[{i}]" if len(batch) > 1 else "Measurement"
            self._own(measurement, path, message.peer, view)
            if measurement.start > now:
                raise InvalidError(
                    f"{measurement.start:%FT%TZ} is after {now:%FT%TZ}: not measured yet",
                    path=f"{path}/start",
                    value=measurement.start.isoformat(),
                )
        return Decision(
            answer=Answer(status=201, body=encode(Receipt(accepted=len(batch)))),
            puts=tuple(file_measurement(message.peer, m) for m in batch),
            effects=tuple(self._passed(batch, message, view)) if self._elsewhere else (),
        )

    def _passed(self, batch: tuple[Measurement, ...], message: Message, view: View) -> Iterator[Send]:
        membership = view.get(Membership, message.peer)
        by_recipient: dict[str | None, list[Measurement]] = {}
        for measurement in batch:
            offer = view.get(FlexOffer, measurement.offer) if measurement.offer is not None else None
            contracted = membership.contract.aggregator if membership is not None else None
            by_recipient.setdefault(contracted if offer is None else offer.recipient, []).append(measurement)
        for recipient, readings in by_recipient.items():
            if recipient is not None and recipient in self._elsewhere:
                yield Send(
                    peer=stream_id(recipient, message.peer),
                    message_id=new_id(message.peer, message.id),
                    conversation=message.peer,
                    path="/flexoffer/measurement",
                    media_type="application/json",
                    body=encode(readings),
                )

    @staticmethod
    def _own(measurement: Measurement, path: str, party: str, view: View) -> None:
        holding = view.get(Holding, measurement.subject) if measurement.subject != party else None
        offer = view.get(FlexOffer, measurement.offer) if measurement.offer is not None else None
        if measurement.offer is not None and (offer is None or offer.issuer != party):
            raise NotFoundError("no such flex-offer", path=f"{path}/offer", value=measurement.offer)
        known = measurement.subject == party or offer is not None if holding is None else holding.party == party
        if not known:
            raise NotFoundError("no such subject", path=f"{path}/subject", value=measurement.subject)


def read_batch(body: bytes) -> tuple[Measurement, ...]:
    """One measurement or a list of them.

    Raises:
        MalformedError, InvalidError: as `core.documents.decode`, none at all, or more than `MAX_BATCH`.
    """
    if body.lstrip()[:1] != b"[":
        return (decode(Measurement, body),)
    try:
        batch = decode(tuple[Measurement, ...], body)
    except FlexhubError as error:
        path = error.path.replace("tuple", "Measurement", 1)
        raise type(error)(error.message, path=path, value=error.value, clause=error.clause) from error
    if not 0 < len(batch) <= MAX_BATCH:
        raise InvalidError(f"{len(batch)} measurements, allowed: 1 to {MAX_BATCH}", path="Measurement")
    return batch
