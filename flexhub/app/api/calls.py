"""What the routes do: messages go to the hub, questions are answered from what is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from aiohttp import web

from flexhub.app.access.gate import Gate
from flexhub.app.api import messages as m
from flexhub.app.api import sights
from flexhub.app.exchange import figures, sums
from flexhub.app.exchange.market import Registration, read_batch
from flexhub.app.exchange.offers import Decline, read_offer
from flexhub.app.exchange.papers import UNSETTLED
from flexhub.app.exchange.portfolio import every
from flexhub.app.exchange.sight import Reach, Viewer
from flexhub.app.hub.contract import Message, Page
from flexhub.app.hub.readiness import Ready, Status
from flexhub.app.hub.reading import Front
from flexhub.app.hub.tags import Only
from flexhub.app.hub.tokens import Bearer
from flexhub.app.metrics import Http
from flexhub.app.uftp.outgoing import Outgoing, Run
from flexhub.core.documents import decode, encode
from flexhub.core.errors import InvalidError, NotFoundError
from flexhub.core.flexoffer import FlexOffer
from flexhub.core.registry import Role
from flexhub.core.timeseries import Measurement, SeriesKind
from flexhub.core.trading import Bill, Contract, FlexRequest

T = TypeVar("T")

Period = tuple[datetime, datetime]
"""From, and until before."""

RESERVED: Final = frozenset(("stream", "measurement"))
"""Words that stand where an offer's id does in paths of the routes: an offer of that id could not be reached."""

LONGEST: Final = timedelta(days=366)
"""Longest period that one question may ask about."""


class Service(NamedTuple):
    """What the routes work with. `name` is the hub's own, `version` flexhub's; `http` counts what was served.

    `smallest_group` is as in `sums`.
    """

    hub: Front
    gate: Gate
    clock: Callable[[], datetime]
    name: str
    version: str
    http: Http
    smallest_group: int


class Call(NamedTuple):
    """One request, checked: who calls in which role, with which arguments, body, message id and conditions."""

    request: web.Request
    caller: Bearer
    args: Any
    body: bytes
    message_id: str
    only_if: Only | None = None

    @property
    def party(self) -> str:
        """Who calls."""
        return self.caller.party


class Reply(NamedTuple):
    """What is answered: JSON, unless the headers say otherwise."""

    body: bytes
    status: int = 200
    headers: dict[str, str] | None = None


# -- messages to the hub ----------------------------------------------------------------------------------------------


async def handle(service: Service, call: Call, kind: str, conversation: str, value: object = None) -> Reply:
    """Have the hub work what the caller says."""
    answer = await service.hub.handle(
        Message(
            peer=call.party,
            id=call.message_id,
            kind=kind,
            conversation=conversation,
            body=call.body,
            role=call.caller.role,
            value=value,
            only_if=call.only_if,
        )
    )
    return Reply(answer.body, answer.status)


def _same_id(path_id: str, body_id: str, kind: str) -> None:
    if path_id != body_id:
        raise InvalidError(f"the path names {path_id}", path=f"{kind}/id", value=body_id)


async def post_offer(service: Service, call: Call) -> Reply:
    """Offer flexibility."""
    offer = read_offer(call.body, call.party, call.message_id)
    if offer.id in RESERVED:
        raise InvalidError(f"/flexoffer/{offer.id} is another path", path="FlexOffer/id", value=offer.id)
    reply = await handle(service, call, "flexoffer.post", offer.id, offer)
    return reply._replace(headers={"Location": f"/flexoffer/{offer.id}"})


async def put_offer(service: Service, call: Call) -> Reply:
    """Replace an offer."""
    offer = read_offer(call.body, call.party, call.message_id, call.args.id)
    _same_id(call.args.id, offer.id, "FlexOffer")
    return await handle(service, call, "flexoffer.put", offer.id, offer)


async def delete_offer(service: Service, call: Call) -> Reply:
    """Take an offer back."""
    return await handle(service, call, "flexoffer.delete", call.args.id)


async def confirm_offer(service: Service, call: Call) -> Reply:
    """Confirm a schedule."""
    return await handle(service, call, "flexoffer.confirm", call.args.id)


async def decline_offer(service: Service, call: Call) -> Reply:
    """Decline a schedule."""
    decode(Decline, call.body)
    return await handle(service, call, "flexoffer.decline", call.args.id)


async def post_measurements(service: Service, call: Call) -> Reply:
    """Send meter readings."""
    return await handle(service, call, "measurement.post", call.party, read_batch(call.body))


async def post_request(service: Service, call: Call) -> Reply:
    """Ask for flexibility."""
    request = decode(FlexRequest, call.body)
    return await handle(service, call, "flexrequest.post", request.id, request)


async def put_contract(service: Service, call: Call) -> Reply:
    """Make a contract."""
    contract = decode(Contract, call.body)
    _same_id(call.args.id, contract.id, "Contract")
    return await handle(service, call, "contract.put", contract.id, contract)


async def put_party(service: Service, call: Call) -> Reply:
    """Register a party."""
    entry = decode(Registration, call.body)
    _same_id(call.args.id, entry.party.id, "Registration/party")
    return await handle(service, call, "registry.put", entry.party.id, entry)


async def ask_plan(service: Service, call: Call) -> Reply:
    """Plan now."""
    return await handle(service, call, "plan.ask", call.party)


async def ask_settle(service: Service, call: Call) -> Reply:
    """Settle now."""
    return await handle(service, call, "settle.ask", call.party)


async def send_uftp(service: Service, call: Call) -> Reply:
    """Have a UFTP message sent."""
    return await handle(service, call, "uftp.send", f"uftp {call.message_id}", decode(Outgoing, call.body))


async def run_uftp(service: Service, call: Call) -> Reply:
    """Have something of UFTP's trading done now."""
    return await handle(service, call, "uftp.run", f"uftp {call.message_id}", decode(Run, call.body))


# -- answers from what is stored --------------------------------------------------------------------------------------


def viewer_of(call: Call) -> Viewer:
    """Who looks."""
    return Viewer(call.caller.party, call.caller.role)


def _checked(since: datetime, until: datetime, where: str = "path") -> Period:
    if until <= since:
        raise InvalidError("to is not after from", path=f"{where}/to", value=until.isoformat())
    if until - since > LONGEST:
        raise InvalidError(f"longer than {LONGEST.days} days", path=f"{where}/to", value=until.isoformat())
    return since, until


def _today(service: Service, args: m.OptionalPeriod) -> Period:
    day = timedelta(days=1)
    since = args.from_
    if since is None:
        since = service.clock().replace(hour=0, minute=0, second=0, microsecond=0)
        if args.to is not None:
            since = min(since, args.to - day)
    return _checked(since, args.to or since + day, "query")


async def _offers_of(service: Service, viewer: Viewer, period: Period) -> list[FlexOffer]:
    """All offers that the viewer reaches and that are about some of the period."""
    found = await every(service.hub, FlexOffer, owner=viewer.owner, overlapping=period)
    return [offer for offer in found if viewer.reaches(offer)]


class Listed(Protocol):
    """Part of a list."""

    @property
    def next(self) -> str | None:
        """The cursor of the next part; None: this was the last."""


def linked(call: Call, listed: Listed) -> Reply:
    """A page, with a Link header (RFC 8288) to the next one."""
    headers = None
    if listed.next is not None:
        url = call.request.rel_url.update_query(cursor=listed.next)
        headers = {"Link": f'<{url}>; rel="next"'}
    return Reply(encode(listed), headers=headers)


async def page_of(  # noqa: PLR0913 - each narrows the list in its own way
    service: Service,
    call: Call,
    kind: type[T],
    *,
    owner: str | None = None,
    states: tuple[str, ...] | None = None,
    period: Period | None = None,
    after: str | None = None,
) -> Page[T]:
    """A page of what is open to everyone, or the owner's own; behind `after`, or else the cursor that was sent."""
    args = call.args
    try:
        return await service.hub.documents(
            kind, owner=owner, states=states, overlapping=period, after=after or args.cursor, limit=args.limit
        )
    except InvalidError as error:
        raise InvalidError(error.message, path="query/cursor", value=args.cursor) from error


async def _page(
    service: Service, call: Call, kind: type[T], states: tuple[str, ...] | None = None, *, period: Period | None = None
) -> Page[T]:
    """A page of what the caller looks through. Where that is more than it sees, cursors tell nothing of the rest."""
    viewer = viewer_of(call)
    owner = None if viewer.reach in (Reach.PORTFOLIO, Reach.ALL) else viewer.party
    sealed, after = viewer.reach is Reach.PORTFOLIO, call.args.cursor
    if sealed and after is not None:
        after = (await sights.pseudonyms(service.hub)).open(viewer.party, after)
    page = await page_of(service, call, kind, owner=owner, states=states, period=period, after=after)
    if sealed and page.next is not None:
        return page._replace(next=(await sights.pseudonyms(service.hub)).seal(viewer.party, page.next))
    return page


async def _offers(service: Service, call: Call, page: Page[FlexOffer]) -> Reply:
    viewer = viewer_of(call)
    reached = [offer for offer in page.items if viewer.reaches(offer)]
    seen = await sights.sight(service.hub, viewer, [offer.contract for offer in reached])
    return linked(call, m.Offers(items=tuple(map(seen.offer, reached)), next=page.next))


async def get_offers(service: Service, call: Call) -> Reply:
    """Offers that are not settled yet."""
    return await _offers(service, call, await _page(service, call, FlexOffer, UNSETTLED))


async def get_history(service: Service, call: Call) -> Reply:
    """Offers about a period, in any state."""
    period = _checked(call.args.from_, call.args.to)
    return await _offers(service, call, await _page(service, call, FlexOffer, period=period))


async def get_offer(service: Service, call: Call) -> Reply:
    """One offer. Who knows it by a pseudonym only may not ask by its name, which would tell whose it is."""
    viewer = viewer_of(call)
    offer = await service.hub.get(FlexOffer, call.args.id)
    if offer is not None and viewer.reaches(offer):
        seen = (await sights.sight(service.hub, viewer, [offer.contract])).offer(offer)
        if seen.id == offer.id:
            return Reply(encode(seen))
    raise NotFoundError("no such flex-offer", path="FlexOffer/id", value=call.args.id)


async def get_requests(service: Service, call: Call) -> Reply:
    """Flex-requests: those that the caller made or got."""
    caller = call.caller
    page = await _page(service, call, FlexRequest)
    seen = (r for r in page.items if caller.role is Role.ADMIN or caller.party in (r.issuer, r.recipient))
    return linked(call, m.Requests(items=tuple(seen), next=page.next))


async def get_contracts(service: Service, call: Call) -> Reply:
    """Contracts of the caller."""
    caller = call.caller
    page = await _page(service, call, Contract)
    seen = (c for c in page.items if caller.role is Role.ADMIN or caller.party in (c.prosumer, c.aggregator))
    return linked(call, m.Contracts(items=tuple(seen), next=page.next))


async def _bills_of(service: Service, viewer: Viewer, period: Period | None) -> list[Bill]:
    bills = await every(service.hub, Bill, owner=viewer.owner, overlapping=period)
    if viewer.reach is not Reach.PORTFOLIO:
        return bills
    own = {c.id for c in await every(service.hub, Contract) if c.aggregator == viewer.party}
    return [bill for bill in bills if bill.contract in own]


async def get_bills(service: Service, call: Call) -> Reply:
    """Bills of a period, factual and predicted."""
    args, period, viewer = call.args, None, viewer_of(call)
    if args.from_ is not None or args.to is not None:
        period = _today(service, args)
    bills = await _bills_of(service, viewer, period)
    factual, predicted = figures.totals(bills)
    seen = await sights.sight(service.hub, viewer, [bill.contract for bill in bills])
    items = tuple(map(seen.bill, bills))
    return Reply(encode(m.Bills(items=items, factual_eur=factual, predicted_eur=predicted)))


async def get_series(service: Service, call: Call) -> Reply:
    """A sum of series over a period."""
    args: m.Series = call.args
    viewer, period = viewer_of(call), _checked(args.from_, args.to)
    offers = await _offers_of(service, viewer, period)
    readings: list[Measurement] = []
    if args.kind is SeriesKind.MEASUREMENT:
        readings = await every(service.hub, Measurement, owner=viewer.owner, overlapping=period)
    seen = await sights.sight(service.hub, viewer, [offer.contract for offer in offers])
    parts: list[figures.Part]
    if viewer.reach is Reach.SUMS:
        shares = sums.shares(
            seen, offers, readings, await sights.places(service.hub), kind=args.kind, subject=args.subject
        )
        parts = await asyncio.to_thread(sums.sums, shares, *period, service.smallest_group)
    elif viewer.reach is Reach.PORTFOLIO:
        parts = sums.portfolio(seen, offers, readings, args.kind, args.subject)
    elif args.kind is SeriesKind.MEASUREMENT:
        parts = figures.measured(readings, args.subject)
    else:
        parts = figures.planned(offers, args.kind, args.subject)
    series = await asyncio.to_thread(figures.total, args.subject or viewer.party, args.kind, parts, *period)
    return Reply(encode(m.SeriesList(items=(series,))))


async def get_kpi(service: Service, call: Call) -> Reply:
    """Key figures of a period, today unless told."""
    since, until = _today(service, call.args)
    if until - since > timedelta(days=31):
        raise InvalidError("longer than 31 days", path="query/to", value=until.isoformat())
    viewer = viewer_of(call)
    offers = await _offers_of(service, viewer, (since, until))
    bills = await _bills_of(service, viewer, (since, until))
    factual, predicted = figures.totals(bills)
    peak, flexibility = await asyncio.to_thread(figures.flexibility, offers, since, until)
    kpi = m.Kpi(
        from_=since,
        to=until,
        offers=figures.states(offers),
        peak_baseline_kwh=peak,
        flexibility_kwh=tuple(flexibility),
        adaptability=tuple(f / peak if peak > 0 else None for f in flexibility),
        factual_eur=factual,
        predicted_eur=predicted,
    )
    return Reply(encode(kpi))


async def get_ready(service: Service, call: Call) -> Reply:  # noqa: ARG001 - the routes' signature
    """Whether the hub can be relied upon."""
    body = await service.hub.report("ready")
    unready = decode(Ready, body).status is Status.UNREADY
    return Reply(body, 503 if unready else 200, {"Cache-Control": "no-store"})


async def get_metrics(service: Service, call: Call) -> Reply:  # noqa: ARG001 - the routes' signature
    """What was counted and measured."""
    body = await service.hub.report("metrics")
    return Reply(body, headers={"Content-Type": m.OPEN_METRICS, "Cache-Control": "no-store"})


async def get_health(service: Service, call: Call) -> Reply:  # noqa: ARG001 - the routes' signature
    """Whether the hub answers."""
    return Reply(encode(m.Health(status="ok", name=service.name, version=service.version, now=service.clock())))
