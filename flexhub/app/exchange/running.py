"""Decisions about the whole portfolio: when to plan and to settle, and what to do with the engine's answers.

A run is an `Ask` to the manager engine; its answer comes back as a journalled message, so that it is decided upon as
any other. Runs repeat on the grid of their cadence: each timer sets the next one, also after a missed one.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from flexhub.app.exchange.market import value_of
from flexhub.app.exchange.offers import change
from flexhub.app.exchange.papers import Fault, Held, PlanRecord, file, file_bill, file_offer
from flexhub.app.hub.contract import Answer, Decision, Key, Message, Put, View
from flexhub.core import lifecycle
from flexhub.core.base import Instant, Model
from flexhub.core.documents import encode
from flexhub.core.effects import Ask, Effect, Notify, SetTimer
from flexhub.core.errors import EngineError, FlexhubError, IllegalTransitionError, InvalidError, NotFoundError
from flexhub.core.flexoffer import FlexOffer, Schedule, State
from flexhub.core.timegrid import EPOCH
from flexhub.core.trading import Basis, Bill, Verdict
from flexhub.engines.slots import Assignment, Plan

MANAGER = "manager"


def next_run(now: datetime, every: timedelta) -> datetime:
    """The first multiple of the cadence after now, counted from the epoch."""
    return EPOCH + ((now - EPOCH) // every + 1) * every


class Cadence(Model, frozen=True, kw_only=True):
    """How often a portfolio is planned and settled, and the store trimmed; None: only when asked."""

    plan: timedelta | None = None
    settle: timedelta | None = None
    trim: timedelta | None = None

    def next(self, portfolio: str, question: str, now: datetime) -> SetTimer:
        """The timer of the next run of "plan", "settle" or "trim"; cleared where it runs only when asked."""
        every = {"plan": self.plan, "settle": self.settle, "trim": self.trim}[question]
        return SetTimer(subject=portfolio, event=question, due=None if every is None else next_run(now, every))


class Run:
    """``timer.plan``, ``timer.settle`` and ``timer.trim`` ask and set the next run.

    ``plan.ask`` and ``settle.ask`` only ask.
    """

    def __init__(self, question: str, *, repeats: bool = False, slot: str = MANAGER) -> None:
        self._question = question
        self._repeats = repeats
        self._slot = slot

    def needs(self, message: Message) -> Iterable[Key]:
        """The cadence; whoever answers the question gathers the portfolio."""
        return (Key(Cadence, message.conversation),) if self._repeats else ()

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """The question, and the next run."""
        portfolio = message.conversation
        effects: list[Effect] = [Ask(slot=self._slot, question=self._question, subject=portfolio)]
        cadence = view.get(Cadence, portfolio) if self._repeats else None
        if cadence is not None:
            effects.append(cadence.next(portfolio, self._question, now))
        return Decision(answer=Answer(status=202, body=b"{}"), effects=tuple(effects))


class PutCadence:
    """``cadence.put``, from the configuration: the first timers of the runs; each run then sets the next one.

    A cadence that stays as it is says nothing, so that a run that came due while the hub was down is made up for.
    """

    def needs(self, message: Message) -> Iterable[Key]:  # noqa: ARG002 - the handler's signature
        """Nothing."""
        return ()

    def decide(self, message: Message, view: View, now: datetime) -> Decision:  # noqa: ARG002 - as above
        """Stored, and the timers set."""
        cadence, portfolio = value_of(message, Cadence), message.conversation
        effects = tuple(cadence.next(portfolio, question, now) for question in ("plan", "settle", "trim"))
        put = file(Cadence, portfolio, cadence, portfolio)
        return Decision(answer=Answer(status=200, body=b"{}"), puts=(put,), effects=effects)


class PlanResult:
    """``plan.result``: every schedule is judged and assigned; one that cannot be changes nothing for its offer."""

    def needs(self, message: Message) -> Iterable[Key]:
        """The offers that got schedules, and what is held."""
        offers = [Key(FlexOffer, a.offer) for a in value_of(message, Plan).assignments]
        return [Key(Held, message.conversation), *offers]

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Assigned, offer by offer, and a record of the run."""
        plan = value_of(message, Plan)
        puts: list[Put] = []
        effects: list[Effect] = []
        faults: list[Fault] = []
        unchanged = 0
        held = view.get(Held, message.conversation) or Held()
        for assignment in plan.assignments:
            try:
                if held.holds(assignment.offer, now):  # since the portfolio was gathered
                    raise IllegalTransitionError("others count on its course", path="FlexOffer/schedule")
                step = assign(assignment, message.conversation, view, now)
            except FlexhubError as error:
                faults.append(Fault(offer=assignment.offer, code=error.code, message=str(error)))
                continue
            if step is None:
                unchanged += 1
                continue
            puts.append(file_offer(step[0]))
            effects += step[1]
        faults += (Fault(offer=r.offer, code="refused", message=r.reason) for r in plan.refusals)
        record = PlanRecord(
            id=f"{message.conversation}@{now:%Y%m%dT%H%M%SZ}",
            portfolio=message.conversation,
            at=now,
            assigned=len(puts),
            unchanged=unchanged,
            cost_eur=plan.cost_eur,
            unserved_kwh=plan.unserved_kwh,
            faults=tuple(faults),
        )
        puts.append(file(PlanRecord, record.id, record, record.portfolio))
        effects.append(Notify(party=record.portfolio, topic="plan", subject=record.id, body=record))
        return Decision(answer=Answer(status=200, body=encode(record)), puts=tuple(puts), effects=tuple(effects))


def assign(assignment: Assignment, portfolio: str, view: View, now: datetime) -> tuple[FlexOffer, list[Effect]] | None:
    """The offer with its schedule, and effects; None where it has that schedule already.

    Raises:
        EngineError: it is not in the portfolio, or the schedule breaks its bounds.
        FlexhubError: as `lifecycle.step`.
    """
    offer = view.get(FlexOffer, assignment.offer)
    if offer is None or offer.recipient != portfolio:
        raise EngineError("the plan names an offer that is not in the portfolio", path="Plan/assignments")
    schedule = assignment.schedule
    if offer.schedule is not None:
        if same_course(schedule, offer.schedule):
            return None
        schedule = msgspec.structs.replace(schedule, update=offer.schedule.update + 1)
    try:
        return change(offer, (lifecycle.Assigned(schedule=schedule),), now)
    except InvalidError as error:
        # The planner promised schedules that the judge finds nothing wrong with.
        raise EngineError(error.message, path=error.path, value=error.value, clause=error.clause) from error


def same_course(one: Schedule, other: Schedule) -> bool:
    """Whether both are the same energies at the same times."""
    return one.start == other.start and one.slices == other.slices


class Settlement(Model, frozen=True, kw_only=True):
    """What a settlement run came to.

    Each bill stands for its whole period and replaces the one before; `offers` are those executed and not settled yet.
    """

    at: Instant
    bills: tuple[Bill, ...]
    offers: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()


class SettleResult:
    """``settle.result``: bills are stored, and offers settled whose amounts are final.

    An offer's amounts are final when all its lines are factual and verified. Readings that are still missing `grace`
    after its end are not waited for any longer; its lines then stand as the engine wrote them.
    """

    def __init__(self, grace: timedelta) -> None:
        self._grace = grace

    def needs(self, message: Message) -> Iterable[Key]:
        """The offers to settle, and the bills as they were."""
        result = value_of(message, Settlement)
        return [*(Key(FlexOffer, o) for o in result.offers), *(Key(Bill, b.id) for b in result.bills)]

    def decide(self, message: Message, view: View, now: datetime) -> Decision:
        """Bills, and Settled for every offer that is final."""
        result = value_of(message, Settlement)
        changed = [bill for bill in result.bills if _news(bill, view.get(Bill, bill.id))]
        puts = [file_bill(bill) for bill in changed]
        effects: list[Effect] = [Notify(party=bill.party, topic="bill", subject=bill.id, body=bill) for bill in changed]
        open_, final = _verdicts(result.bills)
        for offer_id in result.offers:
            offer = view.get(FlexOffer, offer_id)
            if offer is None:
                raise NotFoundError("no such flex-offer", path="Settlement/offers", value=offer_id)
            if offer.state is not State.EXECUTED or offer.schedule is None:
                continue
            late = now >= offer.schedule.end(offer.resolution_s) + self._grace
            if offer.id in final - open_ or late:
                settled, more = change(offer, (lifecycle.Settled(),), now)
                puts.append(file_offer(settled))
                effects += more
        body = encode({"bills": len(changed), "faults": result.faults})
        return Decision(answer=Answer(status=200, body=body), puts=tuple(puts), effects=tuple(effects))


def _news(bill: Bill, known: Bill | None) -> bool:
    """Whether the bill says another thing than before; a first one that says nothing is none."""
    return bill != known and bool(bill.lines or known is not None)


def _verdicts(bills: Iterable[Bill]) -> tuple[set[str], set[str]]:
    """Offers with a line that is not final, and offers with one that is."""
    open_: set[str] = set()
    final: set[str] = set()
    for bill in bills:
        for line in bill.lines:
            if line.offer is not None:
                done = line.basis is Basis.FACTUAL and line.verdict is not Verdict.UNVERIFIED
                (final if done else open_).add(line.offer)
    return open_, final
