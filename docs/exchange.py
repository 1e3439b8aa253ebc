"""The page of the REST exchange interface, from the table of routes and what the OpenAPI document says of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any, Final

from docs.words import kind_of, sentence
from flexhub.app.api import calls, goflex, messages, openapi, server, stream
from flexhub.app.api.problems import CONTENT_TYPE, STATUS, TITLES, Problem
from flexhub.app.api.route import Route
from flexhub.app.api.routes import ROUTES
from flexhub.app.hub import reading

FORMS: Final = "forms.md"
TABLE_6: Final = "GOFLEX D2.1 Table 6"

ABOUT: Final = f"""\
# Exchange interface

What participants speak with a hub: HTTP and JSON, served by `flexhub run` and by the demo. This page follows from the
table of routes. A running hub describes itself the same way, at `/openapi.json` (OpenAPI 3.1) for programs and at
`/docs` for people. `HEAD` answers as `GET` does, without the body.

Energies are kWh (positive is consumption), prices EUR/kWh, instants RFC 3339 with an offset; the
[JSON forms](forms.md) list every field. Durations and limits below are the hub's own and can't be configured.

## Who calls

Every call below but `GET /health` and `GET /ready` bears a token: `Authorization: Bearer ...`. It stands for one party
in one role; `flexhub keys add` makes it, `flexhub keys revoke` ends it within {reading.TOKEN_S:g} seconds, on open
streams within {stream.HEARTBEAT_S:g} more. Where the hub is configured for it, a client certificate or an OAuth token
(JWT) does as well; such a token is for the scopes that it says, and a call of another scope gets 403
([access](../tutorials/access.md)). Without a token, or with an unknown one, the answer is 401; a role that may not do
it gets 403; who calls too often gets 429 and `Retry-After`. A prosumer sees what is its own, an aggregator its
portfolio, an admin everything; what one may not see is answered like what isn't there, with 404. What a contract
doesn't grant is seen under pseudonyms or in sums only ([who sees what](access.md)).

## Said twice is said once

A message may carry an `Idempotency-Key`, an identifier that the caller chooses. The same key with the same body, method
and path gets the answer that the first one got, and changes nothing, after a restart of the hub, too; the same key with
another body is refused with 422. Quoted, as a String of structured fields, or bare: it is the same key
(draft-ietf-httpapi-idempotency-key-header). A repeat that comes while the first is being worked waits for its answer.
Keys are kept as long as the journal. A refusal stores nothing, so what was refused is judged afresh. Without a key each
request is a message of its own. A flex-offer has an id besides: posted again with the same content it changes nothing,
with other content it is refused with 409. An answer comes when message, decision and answer are on disk
([the hub loop](../hub-loop.md)).

## Only if nothing changed meanwhile

A single flex-offer comes with an `ETag`, which stands for its state. `If-None-Match` with that tag gets 304 without a
body while nothing has changed. `If-Match` with it makes a change (replacing, taking back, confirming, declining) only
if the offer is still in that state, and gets 412 otherwise: of two who change what both have read, one succeeds and the
other reads again. It is decided in the transaction that makes the change. `*` stands for any state: `If-None-Match: *`
makes a contract or a party only where there is none of that id, `If-Match: *` only replaces one. A repeat under the
same `Idempotency-Key` gets its first answer, whatever has changed since.

## Pages

Lists take `limit` (1 to 1000, {messages.Paging().limit} unless told) and `cursor`. `next` in the answer is the cursor
of the next page, and a `Link` header (RFC 8288) leads there; the last page has neither. A page may hold fewer items
than `limit` and still have a next one. A period may be {calls.LONGEST.days} days long, for key figures 31.

## Media types

- `{openapi.JSON}`: the core's own forms, for every body and answer.
- `{goflex.MEDIA_TYPE}`: the same in the words of V1 and GOFLEX, on the paths marked *GOFLEX*: as `Content-Type` of what
  is sent, in `Accept` for what is wanted back. A page of offers is then a list, and only the `Link` header leads to the
  next.
- `text/event-stream`: the stream.
- `application/openmetrics-text`: what was counted and measured, for an admin.
- `{CONTENT_TYPE}`: every refusal.

A body must tell its length (411 without), be at most {server.MAX_BODY >> 20} MiB (413), come within
{server.BODY_S:g} seconds (408), be of a type above and not compressed (415).

## The stream

`GET /flexoffer/stream` sends changes as server-sent events: `id` is the event's number, `event` its topic, `data` one
line of JSON. Who comes back says `Last-Event-ID` (or `after` in the query) and gets everything since, from the store;
without either the stream begins now. Every {stream.HEARTBEAT_S:g} seconds without news a comment is sent; who reads
nothing for {stream.WRITE_S:g} seconds is let go. The more subscribers a hub has, the longer events wait for others to
go out with, {stream.LONGEST_TOGETHER_S * 1000:g} ms at most.

The same path takes a WebSocket (`Upgrade: websocket`). Each of its messages is an array of events, `{{"seq", "topic",
"data"}}`, and `after` is the last `seq` seen. It is closed with 1008 when the token has ended, with 1012 when the hub
stops, and with 1013 when the client reads too slowly; after the latter two it may come back at once.

## Refusals

A refusal is a problem document (RFC 9457) and changes nothing: `code` says what kind of error it is, `path` where the
fault is, `detail` what is wrong, `clause` who demands it. [Errors](errors.md) lists whose fault each is.

503 is no refusal: the hub cannot take the message now (its store cannot be written, or it is stopping) and has stored
nothing. Send it again, with the same `Idempotency-Key`, after the seconds that `Retry-After` says.
"""


def page() -> str:
    """The page, as Markdown."""
    described = openapi.document(ROUTES, "")["paths"]
    lines = [
        ABOUT,
        "| code | status | meaning |",
        "| --- | --- | --- |",
        *(f"| `{code}` | {status.value} {status.phrase} | {TITLES[code]} |" for code, status in STATUS.items()),
        "",
        "What HTTP itself refuses has the status as its code, such as `length-required`; the statuses of each call are",
        "listed with it.",
        "",
        f"## {TABLE_6}",
        "",
        "What that table lists, and where it is here. MQTT and XMPP are not served yet.",
        "",
        *_listed(route for route in ROUTES if route.clause == TABLE_6),
        "",
        "Beside it:",
        "",
        *_listed(route for route in ROUTES if route.clause != TABLE_6),
        "",
    ]
    for route in ROUTES:
        lines += _call(route, described[route.path][route.method.lower()])
    return "\n".join(lines)


def kinds() -> list[Any]:
    """The types of all bodies, answers and problems."""
    return [Problem, *(kind for r in ROUTES for kind in (r.body, *r.returns.values()) if kind is not None)]


def _title(route: Route) -> str:
    return f"{route.method} {route.path}"


def _listed(routes: Iterable[Route]) -> Iterator[str]:
    yield "| call | what it does | roles |"
    yield "| --- | --- | --- |"
    for route in routes:
        what = route.text.partition(". ")[0].rstrip(".")
        yield f"| [`{_title(route)}`](#{route.name.lower()}) | {what} | {', '.join(route.roles) or 'anyone'} |"


def _call(route: Route, operation: dict[str, Any]) -> Iterator[str]:
    yield f"## {_title(route)} {{#{route.name.lower()}}}"
    yield ""
    yield f"{route.text} [{route.clause}]"
    yield ""
    yield f"- Roles: {', '.join(route.roles) or 'anyone, without a token'}"
    if route.body is not None:
        (schema, *_) = (content["schema"] for content in operation["requestBody"]["content"].values())
        draft = "; `id` and `issuer` may be absent" if route.draft else ""
        yield f"- Body: {_kind(schema)}{draft}"
    for status, kind in route.returns.items():
        content = operation["responses"][str(status)]["content"]
        what = route.media if kind is None else _kind(content[openapi.JSON]["schema"])
        yield f"- {status} {HTTPStatus(status).phrase}: {what}"
    if route.problems:
        yield f"- Problems: {', '.join(f'{status} {HTTPStatus(status).phrase}' for status in sorted(route.problems))}"
    if route.goflex:
        yield "- *GOFLEX*: also in the words of V1 and GOFLEX"
    yield ""
    if operation["parameters"]:
        yield "| parameter | in | type | default | |"
        yield "| --- | --- | --- | --- | --- |"
        for parameter in operation["parameters"]:
            schema = dict(parameter["schema"])
            default = (
                "required" if parameter["required"] else f"`{schema.pop('default')}`" if "default" in schema else ""
            )
            what = sentence(parameter.get("description", ""))
            yield f"| `{parameter['name']}` | {parameter['in']} | {_kind(schema)} | {default} | {what} |"
        yield ""


def _kind(schema: dict[str, Any]) -> str:
    """As `kind_of`; a draft is of the type that it drafts, and an enumeration tells its values."""
    if "enum" in schema:
        return "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    if "$ref" in schema:
        schema = {"$ref": schema["$ref"].removesuffix("Draft")}
    return kind_of(schema, FORMS)
