"""UFTP's conversations: requests, offers, orders and revocations between two books, repeats, failing deliveries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count, product
from typing import Any

import msgspec
import pytest

from flexhub.conformance.corpora import corpus
from flexhub.core.effects import Notify, SetTimer
from flexhub.core.errors import IllegalTransitionError, InvalidError
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp import session
from flexhub.protocols.uftp.checks import isp_conflict
from flexhub.protocols.uftp.codec import UftpCodec
from flexhub.protocols.uftp.seen import Market, Need, Peer, alone, needs
from flexhub.protocols.uftp.session import DELIVERIES, STAGES, Attempt, Book, Delivery, Event, Policy, Stage

CODEC = UftpCodec()
NOW = datetime(2026, 3, 28, 10, 5, tzinfo=UTC)
FILES: dict[str, Any] = {f.name: CODEC.decode(f.data) for f in corpus("uftp").accepted if f.name.endswith(".xml")}
REQUEST, OFFER, ORDER = FILES["request.xml"], FILES["offer.xml"], FILES["order.xml"]
PROGNOSIS, REVOCATION = FILES["prognosis.xml"], FILES["revocation.xml"]
_ids = count(5000)


def fresh() -> str:
    return f"00000000-0000-4000-8000-{next(_ids):012d}"


class Side:
    """A participant: its book, and what `receive` and `send` made of it."""

    def __init__(self, domain: str, role: wire.Role, peer: wire.Role) -> None:
        self.role = role
        self.book = Book(market=Market(domain=domain, role=role), peer=Peer(roles=frozenset({peer})))

    def send(self, message: wire.Payload) -> wire.Payload:
        whole = msgspec.structs.replace(self.book, market=None)
        step = session.send(whole, message, NOW)
        self.book = msgspec.structs.replace(step.book, market=self.book.market)
        name = message.message_id
        self._store(name, *session.delivered(self.book.entries[name], 200, NOW))
        return message

    def _store(self, name: str, entry: session.Entry, _effects: object) -> None:
        self.book = msgspec.structs.replace(self.book, entries={**self.book.entries, name: entry})

    def take(self, message: wire.Payload, now: datetime = NOW) -> session.Step:
        step = session.receive(self.book, CODEC.decode(CODEC.encode(message)), now, new_id=fresh())
        self.book = step.book
        return step

    def stage(self, message: wire.Payload) -> Stage:
        return self.book.entries[message.message_id].stage


def pair() -> tuple[Side, Side]:
    agr = Side("agr.example.com", wire.Role.AGR, wire.Role.DSO)
    return agr, Side("dso.example.com", wire.Role.DSO, wire.Role.AGR)


def told(frm: Side, to: Side, message: wire.Payload) -> session.Step:
    """Sent, taken, answered, and the answer taken."""
    step = to.take(frm.send(message))
    if step.answer is not None:
        assert CODEC.decode(CODEC.encode(step.answer)) == step.answer
        frm.take(step.answer)
    return step


def offered() -> tuple[Side, Side]:
    agr, dso = pair()
    for frm, to, message in ((agr, dso, PROGNOSIS), (dso, agr, REQUEST), (agr, dso, OFFER)):
        assert told(frm, to, message).broken == ()
    return agr, dso


def test_from_request_to_order() -> None:
    agr, dso = offered()
    assert (agr.stage(OFFER), dso.stage(OFFER)) == (Stage.ACCEPTED, Stage.ACCEPTED)
    step = told(dso, agr, ORDER)
    assert isinstance(step.answer, wire.FlexOrderResponse)
    assert step.answer.result is wire.Result.ACCEPTED
    assert step.answer.conversation_id == ORDER.conversation_id
    assert (agr.stage(OFFER), dso.stage(OFFER)) == (Stage.ORDERED, Stage.ORDERED)
    again = msgspec.structs.replace(ORDER, message_id=fresh(), order_reference="again")
    with pytest.raises(InvalidError, match="ordered"):
        dso.send(again)
    refused = agr.take(again).answer
    assert isinstance(refused, wire.FlexOrderResponse)
    assert str(refused.rejection_reason).startswith("Flexibility procured")
    with pytest.raises(InvalidError, match="ordered"):
        agr.send(REVOCATION)


def test_while_an_order_is_under_way_no_other_is_sent() -> None:
    _, dso = offered()
    dso.send(ORDER)
    with pytest.raises(IllegalTransitionError):
        dso.send(msgspec.structs.replace(ORDER, message_id=fresh()))


def test_an_order_and_a_revocation_cross_and_the_revocation_goes_first() -> None:
    agr, dso = offered()
    order, revocation = dso.send(ORDER), agr.send(REVOCATION)
    to_order, to_revocation = agr.take(order), dso.take(revocation)
    assert [found.rule for found in to_order.broken] == ["UFTP-21"]
    assert to_revocation.broken == ()
    assert to_order.answer is not None
    assert to_revocation.answer is not None
    dso.take(to_order.answer)
    agr.take(to_revocation.answer)
    assert (agr.stage(OFFER), dso.stage(OFFER)) == (Stage.REVOKED, Stage.REVOKED)


def test_a_revocation_waits_until_its_offer_was_accepted() -> None:
    agr, dso = pair()
    told(agr, dso, PROGNOSIS)
    told(dso, agr, REQUEST)
    agr.send(OFFER)
    with pytest.raises(InvalidError, match="no accepted"):
        agr.send(REVOCATION)


def test_the_same_again_gets_the_same_answer_and_other_content_is_refused() -> None:
    agr, _ = pair()
    first = agr.take(REQUEST)
    before = agr.book
    again = agr.take(REQUEST)
    assert again.answer == first.answer
    assert again.effects == first.effects
    other = agr.take(msgspec.structs.replace(REQUEST, service_type="other"))
    assert other.answer is not None
    assert str(getattr(other.answer, "rejection_reason")).startswith("Duplicate Identifier")  # noqa: B009 - of a Response
    assert agr.book == before


def test_a_rejection_says_every_reason_and_nothing_can_follow_it() -> None:
    agr, _ = pair()
    bad = msgspec.structs.replace(
        REQUEST, isps=(msgspec.structs.replace(REQUEST.isps[2], min_power_w=5, max_power_w=1, start=97),)
    )
    answer = agr.take(bad).answer
    assert isinstance(answer, wire.FlexRequestResponse)
    words = str(answer.rejection_reason).split("; ")
    assert words[:3] == ["ISPs out of bounds", "Lacking Requested Disposition", "Power discrepancy"]
    with pytest.raises(InvalidError, match="no accepted FlexRequest"):
        agr.send(msgspec.structs.replace(OFFER, d_prognosis_message_id=None))


def test_revisions_rise() -> None:
    agr, _ = pair()
    assert agr.take(REQUEST).broken == ()
    older = msgspec.structs.replace(REQUEST, message_id=fresh(), revision=1)
    assert [found.rule for found in agr.take(older).broken] == ["UFTP-31"]
    newer = msgspec.structs.replace(REQUEST, message_id=fresh(), revision=3)
    assert agr.take(newer).broken == ()


def test_an_answer_that_nobody_waits_for_changes_nothing_and_is_not_answered() -> None:
    agr, _ = pair()
    before = agr.book
    step = agr.take(FILES["offer-response.xml"])
    assert [found.rule for found in step.broken] == ["UFTP-10"]
    assert (step.answer, step.effects, agr.book) == (None, (), before)


def test_a_second_answer_changes_nothing() -> None:
    agr, dso = offered()
    before = agr.book
    refusal = wire.FlexOfferResponse(
        **{name: getattr(FILES["offer-response.xml"], name) for name in wire.Payload.__struct_fields__},
        result=wire.Result.REJECTED,
        flex_offer_message_id=OFFER.message_id,
    )
    assert agr.take(refusal).effects == ()
    assert agr.book == before
    del dso


@pytest.mark.parametrize(
    "name", [f"{kind}.xml" for kind in ("test", "reservation", "metering", "settlement", "agr-update", "dso-query")]
)
def test_every_other_message_is_answered_by_its_answer(name: str) -> None:
    message = FILES[name]
    now = NOW + timedelta(days=10) if name in ("metering.xml", "settlement.xml") else NOW
    step = session.receive(Book(), message, now, new_id=fresh())
    assert type(step.answer) is wire.RESPONSES[type(message)]
    assert CODEC.decode(CODEC.encode(step.answer)) == step.answer
    assert [type(effect) for effect in step.effects] == [Notify]


def test_a_rejected_settlement_disputes_every_item() -> None:
    message = msgspec.structs.replace(FILES["settlement.xml"], period_end="2026-02-01")
    answer = session.receive(Book(), message, NOW + timedelta(days=10), new_id=fresh()).answer
    assert isinstance(answer, wire.FlexSettlementResponse)
    assert {s.disposition for s in answer.flex_order_settlement_statuses} == {wire.Verdict.DISPUTED}
    assert CODEC.decode(CODEC.encode(answer)) == answer


def test_what_to_look_up_is_told_beforehand() -> None:
    keys = {(key.need, key.id) for key in needs(ORDER)}
    assert (Need.PAST, OFFER.message_id) in keys
    assert (Need.SAME, ORDER.message_id) in keys
    _, dso = offered()
    dso.send(ORDER)
    answer = FILES["order-response.xml"]
    assert OFFER.message_id in {key.id for key in session.further(dso.book, answer)}


@pytest.mark.parametrize(("stage", "event"), list(product(Stage, Event)))
def test_every_stage_meets_every_event(stage: Stage, event: Event) -> None:
    if (stage, event) in STAGES:
        assert session.moved(stage, event) is STAGES[stage, event]
    else:
        with pytest.raises(IllegalTransitionError):
            session.moved(stage, event)
    final = {Stage.REJECTED, Stage.ORDERED}
    assert stage not in final or (stage, event) not in STAGES


ENTRY = session.Entry(message=REQUEST, ours=True, delivery=Delivery.WAITING, since=NOW)
ATTEMPTS = {200: Attempt.TAKEN, 503: Attempt.FAILED, 404: Attempt.FAILED, 419: Attempt.FAILED, 429: Attempt.FAILED}
ATTEMPTS |= {400: Attempt.REFUSED, 401: Attempt.REFUSED, 411: Attempt.REFUSED, 302: Attempt.FAILED, 999: Attempt.FAILED}


@pytest.mark.parametrize("status", [*ATTEMPTS, None])
def test_what_a_status_means(status: int | None) -> None:
    attempt = Attempt.FAILED if status is None else ATTEMPTS[status]
    assert session.outcome(status) is attempt
    entry, effects = session.delivered(ENTRY, status, NOW)
    assert entry.delivery is DELIVERIES[Delivery.WAITING, attempt]
    assert effects


@pytest.mark.parametrize("state", Delivery)
def test_what_is_over_is_let_be(state: Delivery) -> None:
    entry = msgspec.structs.replace(ENTRY, delivery=state)
    for after, effects in (session.delivered(entry, 500, NOW), session.elapsed(entry, session.DELIVER, NOW)):
        assert (effects == ()) is (state is not Delivery.WAITING)
        assert after.delivery is state


def test_failures_are_tried_again_with_growing_delays_until_it_is_given_up() -> None:
    policy = Policy(give_up_after=timedelta(hours=1))
    entry, now, sent, waits = ENTRY, NOW, 0, []
    while entry.delivery is Delivery.WAITING:
        entry, effects = session.delivered(entry, 503, now, policy)
        due = next(e.due for e in effects if isinstance(e, SetTimer))
        assert due is not None
        waits.append(due - now)
        now = due
        entry, effects = session.elapsed(entry, session.DELIVER, now, policy)
        again = [e.body for e in effects if isinstance(e, Notify) and e.topic == session.SEND]
        assert all(body == REQUEST for body in again)
        sent += len(again)
    assert now - NOW == timedelta(hours=1)
    assert entry.delivery is Delivery.UNDELIVERED
    assert waits[:4] == [timedelta(seconds=s) for s in (2, 4, 8, 16)]
    assert max(waits) == policy.longest_delay
    assert 15 < sent < 30


def test_an_answer_that_does_not_come_is_given_up_and_may_come_late() -> None:
    agr, dso = pair()
    dso.send(REQUEST)
    entry = dso.book.entries[REQUEST.message_id]
    entry, effects = session.elapsed(entry, session.REPLY, NOW + timedelta(hours=6))
    assert entry.delivery is Delivery.UNANSWERED
    assert effects[-1] == Notify(
        party=REQUEST.sender_domain, topic=session.SETTLED, subject=REQUEST.message_id, body="unanswered"
    )
    dso.book = msgspec.structs.replace(dso.book, entries={REQUEST.message_id: entry})
    answer = agr.take(REQUEST).answer
    assert answer is not None
    dso.take(answer)
    assert dso.stage(REQUEST) is Stage.ACCEPTED


def test_a_partial_order_at_less_than_the_option_allows_is_not_sent() -> None:
    _, dso = offered()
    less = msgspec.structs.replace(ORDER, activation_factor=Decimal("0.4"), price=Decimal(5))
    with pytest.raises(InvalidError, match="below"):
        dso.send(less)
    dso.send(msgspec.structs.replace(ORDER, activation_factor=Decimal("0.6"), price=Decimal("7.5")))


@pytest.mark.parametrize(("zone", "rules"), [("Europe/Amsterdam", []), (None, ["UFTP-48"])])
def test_whether_a_settlement_lies_ahead_is_told_by_the_agreed_clock(zone: str | None, rules: list[str]) -> None:
    message = msgspec.structs.replace(
        FILES["settlement.xml"], time_stamp="2026-03-31T22:30:00Z", period_end="2026-04-01"
    )
    market = Market(domain="agr.example.com", role=wire.Role.AGR, time_zone=zone)
    now = datetime(2026, 3, 31, 22, 30, tzinfo=UTC)  # half past midnight in Amsterdam
    step = session.receive(Book(market=market), message, now, new_id=fresh())
    assert [broken.rule for broken in step.broken] == rules


def test_a_copy_is_answered_as_before_and_anew_where_its_rule_is_off() -> None:
    agr, dso = pair()
    first = agr.take(dso.send(REQUEST))
    again = session.receive(agr.book, REQUEST, NOW, new_id=fresh())
    assert again.answer == first.answer
    off = session.receive(agr.book, REQUEST, NOW, new_id=fresh(), off={"UFTP-14", "UFTP-31"})
    assert off.answer is not None
    assert off.answer.message_id != (first.answer or REQUEST).message_id
    assert off.broken == ()


def test_many_long_spans_are_judged_without_writing_them_out() -> None:
    """Of a settlement, whose ISPs' length nobody told: 200,000 spans of ten thousand million ISPs each."""
    settled = FILES["settlement.xml"]
    first, step = settled.flex_order_settlements[0], 10**10
    like = first.isps[0]
    spans = tuple(msgspec.structs.replace(like, start=n * step + 1, duration=step) for n in range(200_000))

    def conflicts(isps: tuple[Any, ...]) -> list[str]:
        item = msgspec.structs.replace(first, isps=isps)
        m = msgspec.structs.replace(settled, flex_order_settlements=(item,))
        return [found.path for found in isp_conflict(m, alone(m))]

    assert conflicts(spans) == []
    assert conflicts((*spans, spans[7])) == ["FlexOrderSettlement[0]/ISP[200000]/@Start"]
