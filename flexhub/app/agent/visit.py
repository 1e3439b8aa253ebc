"""One car's visit: its flex-offer, its schedule, its charging and its readings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final, Protocol

from flexhub.app.agent.charger import Charger
from flexhub.app.exchange.papers import Change
from flexhub.core.flexoffer import FlexOffer, State
from flexhub.core.timegrid import QUARTER_HOUR, QUARTER_HOUR_S, floor_to_grid
from flexhub.core.timeseries import Measurement

UNDECIDED: Final = (State.OFFERED, State.ACCEPTED)
NOT_STARTED: Final = (State.ASSIGNED, State.CONFIRMED)

MakeOffer = Callable[[datetime], FlexOffer | None]
"""The flex-offer of a visit made at this instant; None where the car leaves no flexibility."""

Await = Callable[[str, Callable[[Change], bool]], Awaitable[Change]]
"""Wait on the participant's stream until what is known of this offer is as wanted."""


class Side(Protocol):
    """A station's side of the exchange, in whatever protocol."""

    async def post_offer(self, offer: FlexOffer) -> FlexOffer:
        """Offer it; the answer is the offer, as far as is known already what became of it."""

    async def post_measurements(self, batch: Sequence[Measurement]) -> None:
        """Hand readings in."""


class Visit:
    """A car at a charger, from plugging in to the last reading.

    Args:
        charger: what charges it.
        make_offer: what makes its flex-offer.
        client: its station's side of the exchange.
        known: waits for news of an offer.
        report_slots: readings are handed in every so many slots.
    """

    def __init__(self, charger: Charger, make_offer: MakeOffer, client: Side, known: Await, report_slots: int) -> None:
        self._charger = charger
        self._make_offer = make_offer
        self._client = client
        self._known = known
        self._report_slots = report_slots
        self._offer: FlexOffer | None = None
        self._undecided = False
        self._reported = 0
        self._batches: list[tuple[int, int]] = []
        self.next: datetime | None = charger.session.arrival

    async def at(self, now: datetime) -> None:
        """Do everything that is due by `now`; when this returns, the hub has acknowledged it."""
        if self.next is None or now < self.next:
            return
        if self._offer is None and now < self._first_edge:
            await self._plug_in(now)
            self.next = self._first_edge
            return
        # Slots that ended before now ran under what was known when they began.
        self._charger.run(now)
        if self._undecided:
            await self._learn(now)
        await self._report(now)
        self.next = None if self._charger.finished else floor_to_grid(now, QUARTER_HOUR_S) + QUARTER_HOUR

    @property
    def _first_edge(self) -> datetime:
        return floor_to_grid(self._charger.session.arrival, QUARTER_HOUR_S) + QUARTER_HOUR

    async def _plug_in(self, now: datetime) -> None:
        draft = self._make_offer(now)
        if draft is None:
            return
        self._offer = await self._client.post_offer(draft)
        self._undecided = self._offer.state in UNDECIDED
        # Until the schedule comes the car waits, except for what the offer leaves out since only now is left for it.
        self._charger.follow(draft.default_schedule)

    async def _learn(self, now: datetime) -> None:
        """Follow the schedule once it has begun: until then it may be replaced."""
        offer = self._offer
        if offer is None:
            return

        def decided(change: Change) -> bool:
            begun = change.schedule is not None and change.schedule.start <= now
            return change.state not in UNDECIDED and not (change.state in NOT_STARTED and begun)

        change = await self._known(offer.id, decided)
        if change.state in NOT_STARTED:
            self._charger.follow(change.schedule)
            return
        self._undecided = False
        self._charger.follow(change.schedule or offer.default_schedule)

    async def _report(self, now: datetime) -> None:
        last = self._charger.slots_run
        whole = now == floor_to_grid(now, self._report_slots * QUARTER_HOUR_S)
        if last == self._reported or not (whole or self._charger.finished):
            return
        self._batches.append((self._reported, last))
        self._reported = last
        offer_id = None if self._offer is None else self._offer.id
        batch = [self._charger.readings(*self._batches[-1], offer_id)]
        if self._charger.finished:
            # With the last reading comes the register, and with it substitutes for what got lost on the way.
            batch[-1:] = [
                self._charger.readings(*span, offer_id, substitutes=True)
                for span in self._batches
                if span == self._batches[-1] or self._charger.lost(*span)
            ]
        await self._client.post_measurements(batch)
