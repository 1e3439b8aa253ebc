"""What AGR and DSO make of what they accept: core documents by the mappings, for the engines and the exchange.

==================== ==== ======================================================================================
FlexRequest          AGR  `FlexRequest`, the party as its recipient: the manager engine plans by it
FlexOffer            DSO  `FlexOffer` of the AGR; a revocation cancels it
FlexOrder            AGR  `Order`
D-Prognosis          DSO  `TimeSeries` (baseline) by ``<ours>|<theirs>|<congestion point> <day>``
Metering             DSO  `Measurement` of the AGR
FlexSettlement       AGR  `Bill`
FlexReservationUpdate AGR nothing: a notice, as of every message
==================== ==== ======================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import msgspec

from flexhub.app.exchange.offers import change
from flexhub.app.exchange.papers import file_bill, file_measurement, file_offer, file_request
from flexhub.app.hub.contract import Key, Put, View
from flexhub.app.uftp import cro
from flexhub.app.uftp.hooks import Case, Hook, Work
from flexhub.app.uftp.papers import UftpAgreed, UftpRevision, place
from flexhub.app.uftp.participants import Own
from flexhub.core import lifecycle
from flexhub.core.effects import Notify
from flexhub.core.errors import DuplicateError
from flexhub.core.flexoffer import FlexOffer, State
from flexhub.core.timeseries import TimeSeries
from flexhub.core.trading import Bill, FlexRequest, Order
from flexhub.mappings.uftp.context import Context
from flexhub.mappings.uftp.offers import offer_to_core
from flexhub.mappings.uftp.requests import metering_to_core, order_to_core, prognosis_to_core, request_to_core
from flexhub.mappings.uftp.settlement import settlement_to_core
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.seen import revision_key
from flexhub.protocols.uftp.session import Entry


def _free(case: Case, kind: type[FlexRequest | FlexOffer | Order]) -> None:
    """No document of another issuer has this id: what somebody sends replaces nothing that is not their own.

    Raises:
        DuplicateError: one has.
    """
    known = case.view.get(kind, case.message.message_id)
    if known is not None and known.issuer != case.message.sender_domain:
        name = f"{wire.element(type(case.message))}/@MessageID"
        raise DuplicateError("this id is taken", path=name, value=case.message.message_id)


class _Filed(Hook):
    """Of a type that becomes a document of its own id."""

    kind: type[FlexRequest | FlexOffer | Order]

    def needs(self, own: Own, message: wire.Payload) -> Iterable[Key]:  # noqa: ARG002 - the hook's signature
        """What has its id."""
        return (Key(self.kind, message.message_id),)


class FileRequest(_Filed):
    """FlexRequest. The revision before it, which it replaces, expires now."""

    kind = FlexRequest

    @staticmethod
    def _before(own: Own, message: wire.Payload, view: View) -> Key | None:
        counted = view.get(UftpRevision, place(own.domain, message.sender_domain, str(revision_key(message))))
        return None if counted is None else Key(FlexRequest, counted.message)

    def further(self, own: Own, message: wire.Payload, view: View) -> Iterable[Key]:
        """The revision before."""
        before = self._before(own, message, view)
        return () if before is None else (before,)

    def work(self, case: Case) -> Work:
        """The core's request, and the party told."""
        assert isinstance(case.message, wire.FlexRequest)  # noqa: S101 - hooks are by type
        _free(case, FlexRequest)
        request = request_to_core(case.message, Context()).value
        request = self.as_filed(case, request)
        puts = [file_request(request)]
        key = self._before(case.own, case.message, case.view)
        before = None if key is None else case.view.get(FlexRequest, key.id)
        if before is not None and before.issuer == request.issuer and before.expires > case.now:
            puts.append(file_request(msgspec.structs.replace(before, expires=max(before.created, case.now))))
        told = Notify(party=case.own.party, topic="flexrequest", subject=request.id, body=request)
        return Work(puts=tuple(puts), effects=(told,))

    def as_filed(self, case: Case, request: FlexRequest) -> FlexRequest:
        """The request as it is kept: it binds plans of our party."""
        return msgspec.structs.replace(request, recipient=case.own.party)


class FileOffer(_Filed):
    """FlexOffer."""

    kind = FlexOffer

    def work(self, case: Case) -> Work:
        """The core's offer."""
        assert isinstance(case.message, wire.FlexOffer)  # noqa: S101 - hooks are by type
        _free(case, FlexOffer)
        return Work(puts=(file_offer(offer_to_core(case.message, Context()).value),))


class CancelOffer(Hook):
    """FlexOfferRevocation."""

    def needs(self, own: Own, message: wire.Payload) -> Iterable[Key]:  # noqa: ARG002 - the hook's signature
        """The core's offer."""
        assert isinstance(message, wire.FlexOfferRevocation)  # noqa: S101 - hooks are by type
        return (Key(FlexOffer, message.flex_offer_message_id),)

    def work(self, case: Case) -> Work:
        """It is canceled, where it still can be."""
        assert isinstance(case.message, wire.FlexOfferRevocation)  # noqa: S101 - hooks are by type
        offer = case.view.get(FlexOffer, case.message.flex_offer_message_id)
        if offer is None or offer.issuer != case.message.sender_domain:
            return Work()
        if offer.state not in (State.OFFERED, State.ACCEPTED):
            return Work()
        canceled, effects = change(offer, (lifecycle.Canceled(),), case.now)
        return Work(puts=(file_offer(canceled),), effects=tuple(effects))


def offered(order: wire.FlexOrder, past: dict[str, Entry]) -> wire.FlexOffer | None:
    """The offer that an order is of."""
    entry = past.get(order.flex_offer_message_id or "")
    return entry.message if entry is not None and isinstance(entry.message, wire.FlexOffer) else None


class FileOrder(_Filed):
    """FlexOrder."""

    kind = Order

    def work(self, case: Case) -> Work:
        """The core's order, and the party told."""
        assert isinstance(case.message, wire.FlexOrder)  # noqa: S101 - hooks are by type
        _free(case, Order)
        order = order_to_core(case.message, Context(offer=offered(case.message, case.past))).value
        ends = order.start + timedelta(seconds=order.resolution_s * len(order.deviation_kwh))
        put = Put(key=Key(Order, order.id), value=order, owner=order.issuer, starts=order.start, ends=ends)
        told = Notify(party=case.own.party, topic="order", subject=order.id, body=order)
        return Work(puts=(put,), effects=(told,))


class FilePrognosis(Hook):
    """D-Prognosis."""

    def work(self, case: Case) -> Work:
        """The baseline of its congestion point and day; a later revision replaces it."""
        message = case.message
        assert isinstance(message, wire.DPrognosis)  # noqa: S101 - hooks are by type
        series = prognosis_to_core(message, Context()).value
        ends = series.start + timedelta(seconds=series.resolution_s * len(series.values_kwh))
        id_ = place(case.own.domain, message.sender_domain, f"{message.congestion_point} {message.period[:10]}")
        key = Key(TimeSeries, id_)
        return Work(puts=(Put(key=key, value=series, owner=message.sender_domain, starts=series.start, ends=ends),))


class FileMetering(Hook):
    """Metering."""

    def work(self, case: Case) -> Work:
        """The readings."""
        assert isinstance(case.message, wire.Metering)  # noqa: S101 - hooks are by type
        return Work(
            puts=(file_measurement(case.message.sender_domain, metering_to_core(case.message, Context()).value),)
        )


class FileSettlement(Hook):
    """FlexSettlement."""

    def needs(self, own: Own, message: wire.Payload) -> Iterable[Key]:
        """What was agreed (the message says neither time zone nor ISPs' length), and what has its id."""
        return Key(UftpAgreed, own.name), Key(Bill, message.message_id)

    def work(self, case: Case) -> Work:
        """The bill of the party."""
        assert isinstance(case.message, wire.FlexSettlement)  # noqa: S101 - hooks are by type
        if case.view.get(Bill, case.message.message_id) is not None:
            raise DuplicateError("this id is taken", path="FlexSettlement/@MessageID", value=case.message.message_id)
        agreed = case.view.get(UftpAgreed, case.own.name)
        context = Context()
        if agreed is not None:
            zone = agreed.time_zone or context.time_zone
            context = Context(time_zone=zone, isp_minutes=agreed.isp_minutes)
        bill = msgspec.structs.replace(settlement_to_core(case.message, context).value, party=case.own.party)
        return Work(puts=(file_bill(bill),))


def hooks() -> dict[type[wire.Payload], Hook]:
    """Type -> what is made of it; the chain adds its own."""
    return {
        wire.FlexRequest: FileRequest(),
        wire.FlexOffer: FileOffer(),
        wire.FlexOfferRevocation: CancelOffer(),
        wire.FlexOrder: FileOrder(),
        wire.DPrognosis: FilePrognosis(),
        wire.Metering: FileMetering(),
        wire.FlexSettlement: FileSettlement(),
        **cro.hooks(),
    }
