"""Suite ``flexoffer-rest``: the exchange interface (GOFLEX D2.1 Table 6) at any address.

It posts flex-offers of its own for two prosumers and takes back what it can; nothing else at the target is touched.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, cast
from urllib.parse import quote

import msgspec

from flexhub.conformance.exchange import Answer, Exchange, Http, exchange
from flexhub.conformance.suite import Case, Mutant, Requirement, Status, Suite
from flexhub.core.flexoffer import EnergyRange, FlexOffer, Profile, Schedule, ScheduleSlice, Slice
from flexhub.core.timegrid import ceil_to_grid
from flexhub.core.timeseries import Measurement
from flexhub.mappings.flexoffer import Context, to_wire
from flexhub.protocols.flexoffer.codec import FlexOfferCodec
from flexhub.protocols.flexoffer.messages import Document

TABLE: Final = "GOFLEX D2.1 Table 6"
GOFLEX: Final = "application/vnd.goflex+json"
OVERSIZED: Final = 17 << 20

REQUIREMENTS: Final = (
    Requirement("REST-01", "RFC 6750 section 3", "Without a valid token every endpoint answers 401."),
    Requirement("REST-02", TABLE, "GET /contract lists the caller's contracts."),
    Requirement("REST-03", TABLE, "GET /bill lists bills with factual and predicted amounts."),
    Requirement("REST-04", TABLE, "POST /flexoffer accepts or rejects at once and returns the offer with its id."),
    Requirement("REST-05", TABLE, "The same offer again changes nothing and is answered with the offer as it is."),
    Requirement("REST-06", TABLE, "The id of another offer is refused with 409."),
    Requirement("REST-07", TABLE, "An offer that comes too late is refused, naming the deadline."),
    Requirement("REST-08", TABLE, "What is malformed or invalid is refused with 400 or 422, naming the field."),
    Requirement("REST-09", "RFC 9110 section 15.5.14", "A body that is too large is refused with 413."),
    Requirement("REST-10", TABLE, "Another party's offers are not there: 404 to read, replace and take back."),
    Requirement("REST-11", TABLE, "Nobody offers for another party: 403."),
    Requirement("REST-12", TABLE, "GET /flexoffer lists the caller's unsettled offers, and nobody else's."),
    Requirement("REST-13", TABLE, "GET /flexoffer/{from}/{to} lists offers about the period, and no others."),
    Requirement("REST-14", TABLE, "GET /flexoffer/{id} returns the offer."),
    Requirement("REST-15", TABLE, "PUT /flexoffer/{id} replaces an offer while that is allowed; after, 409."),
    Requirement("REST-16", TABLE, "DELETE /flexoffer/{id} takes an offer back while that is allowed, and once."),
    Requirement("REST-17", TABLE, "/flexoffer/stream delivers changes of the caller's offers."),
    Requirement("REST-18", TABLE, "POST /flexoffer/measurement takes readings, and refuses what is none."),
    Requirement("REST-19", TABLE, "GET /timeseries/{kind}/{from}/{to} answers for measurement, baseline and schedule."),
    Requirement("REST-20", TABLE, "GET /kpi answers with key figures."),
    Requirement("REST-21", "RFC 8288", "Lists are paged: no item twice, none left out."),
    Requirement("REST-22", "RFC 9457 section 3", "Refusals are problem documents with their own status."),
    Requirement("REST-23", TABLE, "A message that is refused changes nothing."),
    Requirement("REST-24", "flexhub", "The GOFLEX form is taken, too, and judged by its rules."),
)

STATUS: Final[dict[str, Status]] = {}
"""Requirement -> why it is not judged. Absent: done."""


def offer(x: Exchange, name: str, *, after_h: int = 2, hi_kwh: float = 2.0) -> FlexOffer:
    """An offer of four slices with a default schedule that can be taken up for the next hours."""
    created = x.now
    start = ceil_to_grid(created + timedelta(hours=after_h), 900)
    return FlexOffer(
        id=name,
        issuer=x.one.party,
        created=created,
        accept_before=created + timedelta(hours=1),
        assign_before=created + timedelta(minutes=90),
        start_after=start,
        start_before=start + timedelta(hours=2),
        profiles=(Profile(slices=tuple(Slice(energy_kwh=(EnergyRange(0.5, hi_kwh),)) for _ in range(4))),),
        default_schedule=Schedule(start=start, slices=tuple(ScheduleSlice(energy_kwh=1.0) for _ in range(4))),
    )


def _changed(value: msgspec.Struct, **fields: object) -> bytes:
    """Its JSON with fields set (None: left out)."""
    document = msgspec.to_builtins(value) | fields
    return msgspec.json.encode({name: item for name, item in document.items() if item is not None})


def _text(moment: datetime) -> str:
    return quote(moment.isoformat().replace("+00:00", "Z"))


def _unless(answer: Answer, *statuses: int) -> str | None:
    return None if answer.status in statuses else str(answer)


async def _posted(x: Exchange, **choices: Any) -> FlexOffer:  # noqa: ANN401 - as `offer`
    value = offer(x, x.new_id(), **choices)
    answer = await x.send("POST", "/flexoffer", value)
    if answer.status not in (200, 201):
        raise AssertionError(str(answer))
    return value


async def _items(x: Exchange, path: str) -> list[dict[str, Any]]:
    """All items of a list, page by page."""
    found: list[dict[str, Any]] = []
    cursor = ""
    for _ in range(1000):
        answer = await x.send("GET", path + cursor)
        if answer.status != 200:
            raise AssertionError(str(answer))
        page = answer.json()
        found += page["items"]
        following = page.get("next")
        if following is None:
            break
        cursor = f"{'&' if '?' in path else '?'}cursor={quote(following, safe='')}"
    return found


async def _ids(x: Exchange, path: str = "/flexoffer?limit=1000") -> list[str]:
    return [item["id"] for item in await _items(x, path)]


# -- cases ------------------------------------------------------------------------------------------------------------


def _unknown_caller(method: str, path: str, token: str) -> Callable[[Exchange], Awaitable[str | None]]:
    async def check(x: Exchange) -> str | None:
        return _unless(await x.send(method, path, b"{}" if method == "POST" else None, token=token), 401)

    return check


async def contracts(x: Exchange) -> str | None:
    """The contract names its prosumer."""
    answer = await x.send("GET", "/contract")
    mine = [c for c in answer.json()["items"] if c["prosumer"] == x.one.party] if answer.status == 200 else []
    return None if mine and len(mine) == len(answer.json()["items"]) else str(answer)


async def bills(x: Exchange) -> str | None:
    """Items and two sums."""
    answer = await x.send("GET", "/bill")
    complete = answer.status == 200 and {"items", "factual_eur", "predicted_eur"} <= answer.json().keys()
    return None if complete else str(answer)


async def decided_at_once(x: Exchange) -> str | None:
    """Accepted or rejected, in the answer itself."""
    value = offer(x, x.new_id())
    answer = await x.send("POST", "/flexoffer", value)
    told = answer.json() if answer.status == 201 else {}
    return None if told.get("id") == value.id and told.get("state") in ("accepted", "rejected") else str(answer)


async def given_an_id(x: Exchange) -> str | None:
    """An id where there was none."""
    answer = await x.send("POST", "/flexoffer", _changed(offer(x, "none"), id=None))
    told = answer.json() if answer.status == 201 else {}
    return None if told.get("id") and told.get("state") in ("accepted", "rejected") else str(answer)


async def same_again(x: Exchange) -> str | None:
    """200, and the state that it has."""
    value = await _posted(x)
    again = await x.send("POST", "/flexoffer", value)
    now = await x.send("GET", f"/flexoffer/{value.id}")
    return None if again.status == 200 and again.json()["state"] == now.json()["state"] else str(again)


async def taken_id(x: Exchange) -> str | None:
    """Another offer under the same id."""
    value = await _posted(x)
    return _unless(await x.send("POST", "/flexoffer", offer(x, value.id, hi_kwh=3.0)), 409)


async def too_late(x: Exchange) -> str | None:
    """The acceptance deadline has passed."""
    hour = timedelta(hours=1)
    value = offer(x, x.new_id())
    late = msgspec.structs.replace(value, created=x.now - 2 * hour, accept_before=x.now - hour)
    answer = await x.send("POST", "/flexoffer", late)
    return None if 400 <= answer.status < 500 and b"accept_before" in answer.body else str(answer)


async def cut_off(x: Exchange) -> str | None:
    """JSON that ends in the middle."""
    return _unless(await x.send("POST", "/flexoffer", msgspec.json.encode(offer(x, x.new_id()))[:-9]), 400)


async def lower_over_upper(x: Exchange) -> str | None:
    """A range that is none."""
    profiles = [{"slices": [{"energy_kwh": [{"lo_kwh": 2, "hi_kwh": 1}]}]}]
    answer = await x.send("POST", "/flexoffer", _changed(offer(x, x.new_id()), profiles=profiles))
    return None if answer.status in (400, 422) and b"slices[0]" in answer.body else str(answer)


async def no_window(x: Exchange) -> str | None:
    """A mandatory field is missing."""
    answer = await x.send("POST", "/flexoffer", _changed(offer(x, x.new_id()), start_before=None))
    return None if answer.status in (400, 422) and b"start_before" in answer.body else str(answer)


async def oversized(x: Exchange) -> str | None:
    """A body of 17 MiB."""
    padding = b" " * OVERSIZED
    return _unless(await x.send("POST", "/flexoffer", msgspec.json.encode(offer(x, x.new_id())) + padding), 413)


def _foreign(method: str) -> Callable[[Exchange], Awaitable[str | None]]:
    async def check(x: Exchange) -> str | None:
        value = await _posted(x)
        body = _changed(value, issuer=x.other.party) if method == "PUT" else None
        return _unless(await x.send(method, f"/flexoffer/{value.id}", body, who=x.other), 404)

    return check


async def for_another(x: Exchange) -> str | None:
    """The issuer is the other prosumer."""
    return _unless(await x.send("POST", "/flexoffer", _changed(offer(x, x.new_id()), issuer=x.other.party)), 403)


async def lists_own(x: Exchange) -> str | None:
    """The new offer is there, and every offer is the caller's."""
    value = await _posted(x)
    items = await _items(x, "/flexoffer?limit=1000")
    strangers = [item["id"] for item in items if item["issuer"] != x.one.party]
    if strangers:
        return f"offers of others: {strangers[:5]}"
    return None if value.id in [item["id"] for item in items] else f"{value.id} is not among {len(items)} offers"


async def history(x: Exchange) -> str | None:
    """In the period that it is about, and not in one long before."""
    value = await _posted(x)
    day = timedelta(days=1)
    inside = await _ids(x, f"/flexoffer/{_text(x.now - day)}/{_text(x.now + day)}?limit=1000")
    before = await _ids(x, f"/flexoffer/{_text(x.now - 9 * day)}/{_text(x.now - 8 * day)}?limit=1000")
    if value.id not in inside:
        return f"{value.id} is not among {len(inside)} offers of its day"
    return f"{value.id} is among offers of last week" if value.id in before else None


async def read_back(x: Exchange) -> str | None:
    """Id, issuer and profiles as they were posted."""
    value = await _posted(x)
    answer = await x.send("GET", f"/flexoffer/{value.id}")
    told = answer.json() if answer.status == 200 else {}
    want = msgspec.json.decode(msgspec.json.encode(value))
    same = all(told.get(name) == want[name] for name in ("id", "issuer", "profiles"))
    return None if same else str(answer)


async def replaced(x: Exchange) -> str | None:
    """Another profile under the same id."""
    value = await _posted(x)
    answer = await x.send("PUT", f"/flexoffer/{value.id}", offer(x, value.id, hi_kwh=2.5))
    hi = answer.json()["profiles"][0]["slices"][0]["energy_kwh"][0]["hi_kwh"] if answer.status == 200 else None
    return None if hi == 2.5 else str(answer)


async def replaced_too_late(x: Exchange) -> str | None:
    """It was taken back before."""
    value = await _posted(x)
    await x.send("DELETE", f"/flexoffer/{value.id}")
    return _unless(await x.send("PUT", f"/flexoffer/{value.id}", offer(x, value.id, hi_kwh=2.5)), 409)


async def taken_back(x: Exchange) -> str | None:
    """Canceled, as the answer says."""
    value = await _posted(x)
    answer = await x.send("DELETE", f"/flexoffer/{value.id}")
    return None if answer.status == 200 and answer.json()["state"] == "canceled" else str(answer)


async def taken_back_once(x: Exchange) -> str | None:
    """A second time is too late."""
    value = await _posted(x)
    await x.send("DELETE", f"/flexoffer/{value.id}")
    return _unless(await x.send("DELETE", f"/flexoffer/{value.id}"), 409)


async def streamed(x: Exchange) -> str | None:
    """A change that happens while the stream is open."""
    value = offer(x, x.new_id())
    opened = asyncio.Event()
    headers = {"Authorization": f"Bearer {x.one.token}", "Accept": "text/event-stream"}
    name = value.id.encode()
    hearing = asyncio.ensure_future(
        x.http.listen("/flexoffer/stream", headers, lambda body: name in body.rpartition(b"\n\n")[0], opened)
    )
    opening = asyncio.ensure_future(opened.wait())
    try:
        await asyncio.wait((opening, hearing), timeout=10, return_when=asyncio.FIRST_COMPLETED)
        if opening.done():
            await x.send("POST", "/flexoffer", value)
        answer = Answer(*await asyncio.wait_for(hearing, 20 if opening.done() else 0))  # one that failed says why
    finally:
        opening.cancel()
        hearing.cancel()
    return None if answer.status == 200 and name in answer.body else str(answer)


def _reading(x: Exchange, about: str, **changes: object) -> bytes:
    start = ceil_to_grid(x.now, 900) - timedelta(hours=1)
    return _changed(Measurement(subject=x.one.party, start=start, values_kwh=(0.5, 0.25), offer=about), **changes)


async def measured(x: Exchange) -> str | None:
    """Two readings under an offer of one's own."""
    value = await _posted(x)
    return _unless(await x.send("POST", "/flexoffer/measurement", _reading(x, value.id)), 200, 201, 202)


async def measured_off_grid(x: Exchange) -> str | None:
    """Readings that do not begin with a quarter of an hour."""
    value = await _posted(x)
    body = _reading(x, value.id, start="2026-01-01T00:07:00Z")
    answer = await x.send("POST", "/flexoffer/measurement", body)
    return None if answer.status in (400, 422) and b"start" in answer.body else str(answer)


async def measured_nothing(x: Exchange) -> str | None:
    """Readings under an offer that is not there."""
    return _unless(await x.send("POST", "/flexoffer/measurement", _reading(x, x.new_id())), 404, 422)


def _series(kind: str) -> Callable[[Exchange], Awaitable[str | None]]:
    async def check(x: Exchange) -> str | None:
        since, until = ceil_to_grid(x.now, 900), ceil_to_grid(x.now, 900) + timedelta(hours=6)
        answer = await x.send("GET", f"/timeseries/{kind}/{_text(since)}/{_text(until)}")
        items = answer.json()["items"] if answer.status == 200 else []
        return None if items and all(item["kind"] == kind for item in items) else str(answer)

    return check


async def no_such_series(x: Exchange) -> str | None:
    """A kind that Table 6 does not name."""
    until = _text(x.now + timedelta(hours=6))
    return _unless(await x.send("GET", f"/timeseries/wish/{_text(x.now)}/{until}"), 400, 404, 422)


async def key_figures(x: Exchange) -> str | None:
    """A JSON object that counts offers."""
    answer = await x.send("GET", "/kpi")
    return None if answer.status == 200 and "offers" in answer.json() else str(answer)


async def paged(x: Exchange) -> str | None:
    """Three offers on two pages, in a period of their own some weeks ahead."""
    ahead_h = 24 * 40 + zlib.crc32(x.run.encode()) % (24 * 300)
    mine = {(await _posted(x, after_h=ahead_h)).id for _ in range(3)}
    since = x.now + timedelta(hours=ahead_h)
    ids = await _ids(x, f"/flexoffer/{_text(since)}/{_text(since + timedelta(hours=1))}?limit=2")
    if len(ids) != len(set(ids)):
        return "an offer stands on two pages"
    return None if mine <= set(ids) else f"left out: {sorted(mine - set(ids))}"


async def told_as_problem(x: Exchange) -> str | None:
    """A problem document, with the status of the answer."""
    answer = await x.send("POST", "/flexoffer", _changed(offer(x, x.new_id()), colour="red"))
    if not answer.headers.get("content-type", "").startswith("application/problem+json"):
        return f"{answer.headers.get('content-type')}: {answer}"
    told = answer.json()
    return None if told.get("status") == answer.status and {"type", "title"} <= told.keys() else str(answer)


async def unchanged(x: Exchange) -> str | None:
    """A refused offer is not in the list."""
    name = x.new_id()
    answer = await x.send("POST", "/flexoffer", _changed(offer(x, name), taste="sweet"))
    if not 400 <= answer.status < 500:
        return str(answer)
    return f"{name} is there all the same" if name in await _ids(x) else None


def _goflex(value: FlexOffer) -> dict[str, Any]:
    written = to_wire(value, Context()).value
    document: dict[str, Any] = msgspec.json.decode(FlexOfferCodec().encode(Document(offers=(written,))))
    return document


async def goflex_form(x: Exchange) -> str | None:
    """Taken, and there for everyone to read."""
    value = offer(x, x.new_id())
    answer = await x.send("POST", "/flexoffer", msgspec.json.encode(_goflex(value)), kind=GOFLEX)
    if answer.status != 201:
        return str(answer)
    return _unless(await x.send("GET", f"/flexoffer/{value.id}"), 200)


async def goflex_that_disagrees(x: Exchange) -> str | None:
    """A time and its interval that say different things."""
    document = _goflex(offer(x, x.new_id()))
    document["startBeforeInterval"] += 1
    answer = await x.send("POST", "/flexoffer", msgspec.json.encode(document), kind=GOFLEX)
    return None if answer.status in (400, 422) and b"startBeforeInterval" in answer.body else str(answer)


Check = Callable[[Exchange], Awaitable[str | None]]

CASES: Final[tuple[tuple[str, str, Check, str, str], ...]] = (
    # requirement, case, check, what is sent, what is expected
    ("REST-01", "get-without-token", _unknown_caller("GET", "/contract", ""), "GET /contract without a token", "401"),
    (
        "REST-01",
        "get-unknown-token",
        _unknown_caller("GET", "/flexoffer", "none"),
        "GET, no such token",
        "401",
    ),
    ("REST-01", "post-unknown-token", _unknown_caller("POST", "/flexoffer", "none"), "POST, no such token", "401"),
    ("REST-02", "contract", contracts, "GET /contract", "200, the caller's contracts"),
    ("REST-03", "bill", bills, "GET /bill", "200, items, factual_eur and predicted_eur"),
    ("REST-04", "with-id", decided_at_once, "POST /flexoffer", "201, accepted or rejected"),
    ("REST-04", "without-id", given_an_id, "POST /flexoffer without an id", "201 and an id"),
    ("REST-05", "again", same_again, "the same offer twice", "200, as it is"),
    ("REST-06", "other-content", taken_id, "another offer under the same id", "409"),
    ("REST-07", "expired", too_late, "an offer after its accept_before", "4xx that names accept_before"),
    ("REST-08", "cut-off", cut_off, "half an offer", "400"),
    ("REST-08", "lower-over-upper", lower_over_upper, "lo_kwh over hi_kwh", "400 or 422 that names the slice"),
    ("REST-08", "no-window", no_window, "start_after without start_before", "400 or 422 that names start_before"),
    ("REST-09", "oversized", oversized, "a body of 17 MiB", "413"),
    ("REST-10", "get", _foreign("GET"), "GET an offer of another party", "404"),
    ("REST-10", "put", _foreign("PUT"), "PUT an offer of another party", "404"),
    ("REST-10", "delete", _foreign("DELETE"), "DELETE an offer of another party", "404"),
    ("REST-11", "for-another", for_another, "an offer of another issuer", "403"),
    ("REST-12", "list", lists_own, "GET /flexoffer after a POST", "200, the offer among the caller's own"),
    ("REST-13", "history", history, "GET /flexoffer/{from}/{to}", "the offer in its period only"),
    ("REST-14", "get", read_back, "GET /flexoffer/{id}", "200, the offer as posted"),
    ("REST-15", "put", replaced, "PUT /flexoffer/{id}", "200, the new profile"),
    ("REST-15", "put-after-delete", replaced_too_late, "PUT after DELETE", "409"),
    ("REST-16", "delete", taken_back, "DELETE /flexoffer/{id}", "200, canceled"),
    ("REST-16", "delete-twice", taken_back_once, "DELETE twice", "409"),
    ("REST-17", "stream", streamed, "POST while the stream is open", "an event about the offer"),
    ("REST-18", "reading", measured, "two readings", "2xx"),
    ("REST-18", "off-grid", measured_off_grid, "readings from seven past", "400 or 422 that names start"),
    ("REST-18", "no-offer", measured_nothing, "readings under an unknown offer", "404 or 422"),
    ("REST-19", "measurement", _series("measurement"), "GET /timeseries/measurement", "200, one series or more"),
    ("REST-19", "baseline", _series("baseline"), "GET /timeseries/baseline", "200, one series or more"),
    ("REST-19", "schedule", _series("schedule"), "GET /timeseries/schedule", "200, one series or more"),
    ("REST-19", "no-such-kind", no_such_series, "GET /timeseries/wish", "4xx"),
    ("REST-20", "kpi", key_figures, "GET /kpi", "200, key figures"),
    ("REST-21", "pages", paged, "GET ...?limit=2 to the last page", "every offer once"),
    ("REST-22", "problem", told_as_problem, "an unknown field", "application/problem+json"),
    ("REST-23", "refused", unchanged, "an unknown field, then the list", "the offer is not there"),
    ("REST-24", "goflex", goflex_form, "POST in the GOFLEX form", "201"),
    ("REST-24", "goflex-twins", goflex_that_disagrees, "an interval beside another time", "4xx that names it"),
)


# -- mutants: a transport that breaks one requirement -----------------------------------------------------------------

Twist = Callable[[str, str, Mapping[str, str], Answer], Answer]


class Twisted:
    """A transport whose answers are twisted; streams are silent where `deaf`."""

    def __init__(self, http: Http, twist: Twist, *, deaf: bool = False) -> None:
        self._http, self._twist, self._deaf = http, twist, deaf

    async def request(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """As `Http.request`."""
        answer = Answer(*await self._http.request(method, path, headers, body))
        return self._twist(method, path, headers, answer)

    async def listen(
        self, path: str, headers: Mapping[str, str], heard: Callable[[bytes], bool], opened: asyncio.Event
    ) -> Answer:
        """As `Http.listen`."""
        if self._deaf:
            opened.set()
            return Answer(200, {}, b"")
        return Answer(*await self._http.listen(path, headers, heard, opened))


class Yielding(Twisted):
    """A target that takes a refused offer all the same, without the field that it was refused for."""

    async def request(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """As `Http.request`."""
        answer = await super().request(method, path, headers, body)
        if body is not None and b'"taste"' in body:
            document = msgspec.json.decode(body)
            del document["taste"]
            await super().request(method, path, headers, msgspec.json.encode(document))
        return answer


def _plain(_method: str, _path: str, _headers: Mapping[str, str], answer: Answer) -> Answer:
    return answer


def _when(  # noqa: PLR0913 - each narrows which answers are changed
    change: Callable[[Answer], Answer],
    *,
    method: str = "",
    path: str = "",
    status: int = 0,
    holds: bytes = b"",
    ends: str = "",
) -> Callable[[Exchange], Exchange]:
    """A mutant that changes the answers to this method, path (its beginning), status and content."""

    def twist(sent: str, to: str, _headers: Mapping[str, str], answer: Answer) -> Answer:
        named = sent.startswith(method) and to.startswith(path) and to.endswith(ends)
        applies = named and status in (0, answer.status)
        return change(answer) if applies and holds in answer.body else answer

    return lambda x: x.over(Twisted(x.http, twist))


def _status(status: int) -> Callable[[Answer], Answer]:
    return lambda answer: answer._replace(status=status)


def _with(**fields: object) -> Callable[[Answer], Answer]:
    """Fields of the JSON object replaced (None: removed)."""

    def change(answer: Answer) -> Answer:
        document = cast("dict[str, Any]", answer.json()) | fields
        kept = {name: value for name, value in document.items() if value is not None}
        return answer._replace(body=msgspec.json.encode(kept))

    return change


def _seen_by_other(x: Exchange) -> Exchange:
    """Tells the other party that an offer is there, which it may not read."""
    bearer = f"Bearer {x.other.token}"

    def twist(_method: str, path: str, headers: Mapping[str, str], answer: Answer) -> Answer:
        told = answer.status == 404 and path.startswith("/flexoffer/") and headers.get("Authorization") == bearer
        return answer._replace(status=403) if told else answer

    return x.over(Twisted(x.http, twist))


def _as_json(answer: Answer) -> Answer:
    return answer._replace(headers={**answer.headers, "content-type": "application/json"})


def _deaf(x: Exchange) -> Exchange:
    return x.over(Twisted(x.http, _plain, deaf=True))


def _yielding(x: Exchange) -> Exchange:
    return x.over(Yielding(x.http, _plain))


_BREAKS: Final[dict[str, Callable[[Exchange], Exchange]]] = {
    "REST-01": _when(_status(200), status=401),
    "REST-02": _when(_with(items=[]), method="GET", path="/contract", status=200),
    "REST-03": _when(_with(predicted_eur=None), method="GET", path="/bill", status=200),
    "REST-04": _when(_with(state="offered"), method="POST", path="/flexoffer", status=201, holds=b'"profiles"'),
    "REST-05": _when(_status(202), method="POST", path="/flexoffer", status=200),
    "REST-06": _when(_status(200), method="POST", path="/flexoffer", status=409),
    "REST-07": _when(_status(201), method="POST", status=422, holds=b"accept_before"),
    "REST-08": _when(_status(500), method="POST", status=400),
    "REST-09": _when(_status(400), status=413),
    "REST-10": _seen_by_other,
    "REST-11": _when(_status(201), method="POST", status=403),
    "REST-12": _when(_with(items=[]), method="GET", path="/flexoffer?limit=1000", status=200),
    "REST-13": _when(_with(items=[]), method="GET", path="/flexoffer/", ends="limit=1000", status=200),
    "REST-14": _when(_with(profiles=None), method="GET", path="/flexoffer/", status=200, holds=b'"profiles"'),
    "REST-15": _when(_status(500), method="PUT", status=200),
    "REST-16": _when(_status(200), method="DELETE", status=409),
    "REST-17": _deaf,
    "REST-18": _when(_status(500), method="POST", path="/flexoffer/measurement", status=201),
    "REST-19": _when(_with(items=[]), method="GET", path="/timeseries", status=200),
    "REST-20": _when(_with(offers=None), method="GET", path="/kpi", status=200),
    "REST-21": _when(_with(next=None), method="GET", ends="limit=2", status=200),
    "REST-22": _when(_as_json, method="POST", status=422),
    "REST-23": _yielding,
    "REST-24": _when(_status(201), method="POST", status=422, holds=b"startBeforeInterval"),
}


def connect(target: str | None, transports: Mapping[str, Any]) -> Exchange:  # noqa: ARG001 - the transport knows it
    """The target behind the transport that the caller handed in.

    Raises:
        ConfigError: a transport, the participants, the time or the run's name are missing.
    """
    return exchange(transports)


SUITE: Final[Suite[Exchange]] = Suite(
    name="flexoffer-rest",
    title="The exchange interface of GOFLEX D2.1, Table 6",
    requirements=REQUIREMENTS,
    cases=tuple(
        Case(id=f"{requirement}/{name}", requirement=requirement, sent=sent, expected=expected, check=check)
        for requirement, name, check, sent, expected in CASES
    ),
    mutants=tuple(Mutant(requirement=requirement, breaks=breaks) for requirement, breaks in _BREAKS.items()),
    connect=connect,
    status=STATUS,
    endpoint=True,
)
