"""An agent's side of offers that are another hub's aggregator's to decide about: what that hub tells becomes so here.

The prosumer speaks to its agent's hub as it would to the aggregator's. What it says is journalled and passed on; the
agent follows what the aggregator tells the prosumer, and tells it on its own stream. The aggregator's word counts: an
offer is in the state that its stream says. Only what never reached it has a deadline here, and expires.

Interpretation: the stream alone tells of states. The reply to an offer that was passed on says no more than the stream
does, and might be worked after what came later; only a refusal comes by no other way.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from flexhub.app.exchange.offers import change, decided
from flexhub.app.exchange.papers import Change, file_bill, file_contract, file_offer
from flexhub.app.hub.contract import Answer, Decision, Delivery, Handler, Key, Message, View
from flexhub.app.hub.told import Heard, told_of
from flexhub.core import lifecycle
from flexhub.core.base import renewed
from flexhub.core.documents import decode
from flexhub.core.effects import Notify, SetTimer
from flexhub.core.errors import InvalidError, NotFoundError
from flexhub.core.flexoffer import FlexOffer, State
from flexhub.core.judge import violations
from flexhub.core.trading import Bill, Contract

TOPICS = ("flexoffer", "contract", "bill")
"""What an aggregator tells of that becomes so here."""

NOTHING = Decision(answer=Answer(status=204))


class OfferTold:
    """``told.flexoffer``: the state and schedule of an offer that was passed on."""

    def needs(self, message: Message) -> Iterable[Key]:
        """The offer."""
        return (Key(FlexOffer, decode(Change, told_of(message).body).id),)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:  # noqa: ARG002 - the handler's signature
        """As the recipient says, unless its schedule breaks the offer's bounds; the issuer is told.

        Raises:
            NotFoundError: it is no offer that this peer was passed.
            InvalidError: a schedule that nobody could keep.
        """
        told = told_of(message)
        news = decode(Change, told.body)
        offer = view.get(FlexOffer, news.id)
        if offer is None or (offer.recipient, offer.issuer) != (told.peer, told.party):
            raise NotFoundError("no such flex-offer", path="Change/id", value=news.id)
        if (offer.state, offer.state_reason, offer.schedule) == (news.state, news.state_reason, news.schedule):
            return NOTHING
        if news.schedule not in (None, offer.schedule):
            broken = violations(offer, news.schedule)
            if broken:
                raise InvalidError("; ".join(map(str, broken[:3])), path="Change/schedule", clause=broken[0].clause)
        offer = renewed(offer, state=news.state, state_reason=news.state_reason, schedule=news.schedule)
        return Decision(
            answer=Answer(status=204),
            puts=(file_offer(offer),),
            effects=(
                SetTimer(subject=offer.id, event="deadline", due=None),  # from now on its recipient's clock counts
                Notify(party=offer.issuer, topic="flexoffer", subject=offer.id, body=news),
            ),
        )


class ContractTold:
    """``told.contract``: the contract of a prosumer with the aggregator that tells of it."""

    def needs(self, message: Message) -> Iterable[Key]:
        """The contract."""
        return (Key(Contract, decode(Contract, told_of(message).body).id),)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:  # noqa: ARG002 - the handler's signature
        """In force here, too.

        Raises:
            NotFoundError: it is another one's.
        """
        told = told_of(message)
        contract = decode(Contract, told.body)
        known = view.get(Contract, contract.id)
        ours = (told.peer, told.party)
        if (contract.aggregator, contract.prosumer) != ours or (
            known is not None and (known.aggregator, known.prosumer) != ours
        ):
            raise NotFoundError("not a contract of theirs", path="Contract/id", value=contract.id)
        notice = Notify(party=contract.prosumer, topic="contract", subject=contract.id, body=contract)
        return Decision(answer=Answer(status=204), puts=file_contract(contract), effects=(notice,))


class BillTold:
    """``told.bill``: what the aggregator pays."""

    def needs(self, message: Message) -> Iterable[Key]:
        """The contract that it is under, and the bill as it was."""
        bill = decode(Bill, told_of(message).body)
        return Key(Contract, bill.contract), Key(Bill, bill.id)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:  # noqa: ARG002 - the handler's signature
        """Kept.

        Raises:
            NotFoundError: it is under no contract with the aggregator that tells of it.
        """
        told = told_of(message)
        bill = decode(Bill, told.body)
        contract, known = view.get(Contract, bill.contract), view.get(Bill, bill.id)
        theirs = contract is not None and (contract.aggregator, contract.prosumer) == (told.peer, told.party)
        if not theirs or bill.party != told.party or (known is not None and known.contract != bill.contract):
            raise NotFoundError("not a bill of theirs", path="Bill/id", value=bill.id)
        notice = Notify(party=bill.party, topic="bill", subject=bill.id, body=bill)
        return Decision(answer=Answer(status=204), puts=(file_bill(bill),), effects=(notice,))


class Noted:
    """What changes nothing here, but is journalled."""

    def needs(self, message: Message) -> Iterable[Key]:  # noqa: ARG002 - the handler's signature
        """Nothing."""
        return ()

    def decide(self, message: Message, view: View, now: datetime) -> Decision:  # noqa: ARG002 - the handler's signature
        """Nothing."""
        return NOTHING


class PassingFailed:
    """``passing.failed``: the recipient refused what was passed on, or never got it."""

    def needs(self, message: Message) -> Iterable[Key]:
        """The offer."""
        return (Key(FlexOffer, message.conversation),)

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """An offer that was refused is rejected; one that nobody got expires by itself."""
        offer = view.get(FlexOffer, message.conversation)
        delivery = message.value if isinstance(message.value, Delivery) else decode(Delivery, message.body)
        refused = delivery.status != 0 and delivery.message_id == message.conversation
        if offer is None or offer.state is not State.OFFERED or not refused:
            return NOTHING
        reason = f"{offer.recipient} refused it: {delivery.why}; {delivery.reply}"[:1000]
        return decided(*change(offer, (lifecycle.Rejected(reason=reason),), now))


def handlers() -> dict[str, Handler]:
    """Kind -> handler, for a hub that passes offers on."""
    told: dict[str, Handler] = {
        "told.flexoffer": Heard(OfferTold()),
        "told.contract": Heard(ContractTold()),
        "told.bill": Heard(BillTold()),
    }
    return told | {"passing.done": Noted(), "passing.failed": PassingFailed()}
