"""`flexhub vtn`: what a utility does with its VTN of OpenADR 2.0b, over the hub's exchange interface."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer

from flexhub.app import terminal
from flexhub.core.errors import BY_CODE, ConfigError, FlexhubError, InternalError, UnavailableError

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)

Url = Annotated[
    str | None,
    typer.Option("--url", envvar="FLEXHUB_URL", metavar="URL", help="The hub's address; that of hub.toml unless told."),
]
Token = Annotated[
    Path, typer.Option("--token", envvar="FLEXHUB_TOKEN", metavar="FILE", help="A file with an admin's token.")
]
TOKEN: Final = Path("root.token")


@app.callback()
def vtn() -> None:
    """Programs, VENs, events, opts and reports of a hub that is a VTN of OpenADR 2.0b."""


@app.command(epilog=terminal.example("flexhub vtn program http://utility.example/peak --name Peak"))
def program(
    market_context: Annotated[str, typer.Argument(metavar="URI", help="The market context.")],
    *,
    name: Annotated[str, typer.Option(help="What people call it.")] = "",
    url: Url = None,
    token: Token = TOKEN,
    as_json: terminal.AsJson = False,
) -> None:
    """Make a program, or give it another name."""
    found = _call(url, token, "PUT", "/vtn/program", {"market_context": market_context, "name": name})
    _print(found, found["market_context"], as_json=as_json)


@app.command(epilog=terminal.example("flexhub vtn ven site-1 --group north --fingerprint AB:CD:..."))
def ven(  # noqa: PLR0913 - each is one thing that is said of it
    ven_id: Annotated[str, typer.Argument(metavar="VENID", help="Its venID.")],
    *,
    name: Annotated[str, typer.Option(help="What people call it.")] = "",
    fingerprint: Annotated[str | None, typer.Option(help="Of its client certificate, or xmpp: and its JID.")] = None,
    program_: Annotated[list[str] | None, typer.Option("--program", help="A market context; several may be.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="A group; several may be.")] = None,
    resource: Annotated[list[str] | None, typer.Option(help="A resource; several may be.")] = None,
    url: Url = None,
    token: Token = TOKEN,
    as_json: terminal.AsJson = False,
) -> None:
    """Allocate a venID, or say something else of it; its registration stays."""
    found_by = {"group_ids": group or [], "resource_ids": resource or []}
    body = {"name": name, "fingerprint": fingerprint, "programs": program_ or [], "found_by": found_by}
    found = _call(url, token, "PUT", f"/vtn/ven/{quote(ven_id, safe='')}", body)
    _print(found, found["id"], as_json=as_json)


@app.command(epilog=terminal.example("flexhub vtn vens"))
def vens(*, url: Url = None, token: Token = TOKEN, as_json: terminal.AsJson = False) -> None:
    """List VENs: where their registrations are, and which are offline."""
    found = _all(url, token, "/vtn/ven")
    rows = [(v["id"], v["name"], v["stage"], "push" if not v["pull"] else "", v["offline_since"] or "") for v in found]
    _table(found, ("VEN", "name", "registration", "", "offline since"), rows, as_json=as_json)


@app.command(epilog=terminal.example("flexhub vtn cancel-ven site-1"))
def cancel_ven(
    ven_id: Annotated[str, typer.Argument(metavar="VENID", help="Its venID.")],
    *,
    url: Url = None,
    token: Token = TOKEN,
    as_json: terminal.AsJson = False,
) -> None:
    """Cancel a VEN's registration; it is told at its next poll."""
    found = _call(url, token, "DELETE", f"/vtn/ven/{quote(ven_id, safe='')}")
    _print(found, found["stage"], as_json=as_json)


@app.command(epilog=terminal.example("flexhub vtn event event.json", "flexhub vtn event event.json --id ID"))
def event(
    file: terminal.File,
    *,
    id_: Annotated[str | None, typer.Option("--id", metavar="ID", help="The event that is changed.")] = None,
    url: Url = None,
    token: Token = TOKEN,
    as_json: terminal.AsJson = False,
) -> None:
    """Make an event, or change one; prints its id. The file is JSON, as POST /vtn/event takes it."""
    method, path = ("POST", "/vtn/event") if id_ is None else ("PUT", f"/vtn/event/{quote(id_, safe='')}")
    found = _call(url, token, method, path, terminal.read(file))
    _print(found, found["id"], as_json=as_json)


@app.command(epilog=terminal.example("flexhub vtn events"))
def events(*, url: Url = None, token: Token = TOKEN, as_json: terminal.AsJson = False) -> None:
    """List events, and what each is by now."""
    found = _all(url, token, "/vtn/event")
    rows = [
        (e["id"], str(e["modification_number"]), e["event_status"], e["event"]["dtstart"], e["event"]["duration"])
        for e in found
    ]
    _table(found, ("event", "modification", "status", "start", "duration"), rows, as_json=as_json)


@app.command(epilog=terminal.example("flexhub vtn cancel ID"))
def cancel(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The event.")],
    *,
    url: Url = None,
    token: Token = TOKEN,
    as_json: terminal.AsJson = False,
) -> None:
    """Cancel an event; VENs are told until they acknowledge it."""
    found = _call(url, token, "DELETE", f"/vtn/event/{quote(id_, safe='')}")
    _print(found, f"{found['event_status']}, modification {found['modification_number']}", as_json=as_json)


@app.command(epilog=terminal.example("flexhub vtn answers ID"))
def answers(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The event.")],
    *,
    url: Url = None,
    token: Token = TOKEN,
    as_json: terminal.AsJson = False,
) -> None:
    """List who has answered what to an event."""
    found = _all(url, token, f"/vtn/event/{quote(id_, safe='')}/answer")
    rows = [(a["ven_id"], a["opt"], str(a["modification_number"]), a["code"], a["at"]) for a in found]
    _table(found, ("VEN", "opt", "modification", "code", "at"), rows, as_json=as_json)


@app.command(epilog=terminal.example("flexhub vtn opts --ven site-1"))
def opts(
    *,
    ven_id: Annotated[str | None, typer.Option("--ven", metavar="VENID", help="Only of this VEN.")] = None,
    url: Url = None,
    token: Token = TOKEN,
    as_json: terminal.AsJson = False,
) -> None:
    """List opts: of events, or schedules of availability."""
    found = _all(url, token, "/vtn/opt", "" if ven_id is None else f"&ven={quote(ven_id, safe='')}")
    rows = [
        (o["ven_id"], o["opt_id"], o["opt"], o["reason"], o["event_id"] or f"{len(o['available'])} times")
        for o in found
    ]
    _table(found, ("VEN", "opt", "says", "reason", "of"), rows, as_json=as_json)


@app.command(epilog=terminal.example("flexhub vtn ask site-1 meter --point p1 --every PT15M"))
def ask(  # noqa: PLR0913 - what is asked for
    ven_id: Annotated[str, typer.Argument(metavar="VENID", help="Who is asked.")],
    specifier: Annotated[str, typer.Argument(metavar="REPORT", help="reportSpecifierID, or METADATA.")],
    *,
    point: Annotated[list[str] | None, typer.Option(help="rID of a data point; several may be.")] = None,
    granularity: Annotated[str, typer.Option(help="How fine.")] = "PT15M",
    every: Annotated[str, typer.Option(help="How often; PT0S is once.")] = "PT1H",
    url: Url = None,
    token: Token = TOKEN,
    as_json: terminal.AsJson = False,
) -> None:
    """Ask a VEN for a report that it registered; prints the request's id."""
    body = {
        "report_specifier_id": specifier,
        "r_ids": point or [],
        "granularity": granularity,
        "report_back_duration": every,
    }
    found = _call(url, token, "POST", f"/vtn/ven/{quote(ven_id, safe='')}/report", body)
    _print(found, found["report_request_id"], as_json=as_json)


@app.command(epilog=terminal.example("flexhub vtn stop site-1 REQUEST"))
def stop(  # noqa: PLR0913 - what is ended, and where
    ven_id: Annotated[str, typer.Argument(metavar="VENID", help="Who was asked.")],
    request: Annotated[str, typer.Argument(metavar="REQUEST", help="What `flexhub vtn ask` printed.")],
    *,
    follow: Annotated[bool, typer.Option("--follow", help="What was gathered so far is to be sent yet.")] = False,
    url: Url = None,
    token: Token = TOKEN,
    as_json: terminal.AsJson = False,
) -> None:
    """Have a VEN end a report."""
    path = f"/vtn/ven/{quote(ven_id, safe='')}/report/{quote(request, safe='')}?follow={str(follow).lower()}"
    found = _call(url, token, "DELETE", path)
    _print(found, found["stage"], as_json=as_json)


@app.command(epilog=terminal.example("flexhub vtn again site-1"))
def again(
    ven_id: Annotated[str, typer.Argument(metavar="VENID", help="Its venID.")],
    *,
    url: Url = None,
    token: Token = TOKEN,
    as_json: terminal.AsJson = False,
) -> None:
    """Ask a VEN to register again."""
    found = _call(url, token, "POST", f"/vtn/ven/{quote(ven_id, safe='')}/registration")
    _print(found, found["stage"], as_json=as_json)


@app.command(epilog=terminal.example("flexhub vtn data site-1"))
def data(
    ven_id: Annotated[str, typer.Argument(metavar="VENID", help="Whose.")],
    *,
    url: Url = None,
    token: Token = TOKEN,
    as_json: terminal.AsJson = False,
) -> None:
    """List what a VEN reported."""
    found = _all(url, token, f"/vtn/ven/{quote(ven_id, safe='')}/data")
    rows = [
        (report["report_name"], one["r_id"], one["dtstart"], _told(one))
        for report in found
        for one in report["readings"]
    ]
    _table(found, ("report", "point", "start", "value"), rows, as_json=as_json)


def _told(one: dict[str, Any]) -> str:
    return str(one["value"]) if one["value"] is not None else "online" if one["online"] else "offline"


def _print(found: dict[str, Any], text: str, *, as_json: bool) -> None:
    if as_json:
        terminal.json_line(found)
    else:
        typer.echo(text)


def _table(found: list[Any], columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], *, as_json: bool) -> None:
    if as_json:
        for one in found:
            terminal.json_line(one)
    else:
        terminal.table(columns, rows)


def _all(url: str | None, token: Path, path: str, more: str = "") -> list[Any]:
    """All items of a list, page by page."""
    items: list[Any] = []
    cursor = ""
    while True:
        page = _call(url, token, "GET", f"{path}?limit=1000{more}{cursor}")
        items += page["items"]
        if page.get("next") is None:
            return items
        cursor = f"&cursor={page['next']}"


def _configured() -> str:
    """The address of the hub that ``hub.toml`` here configures."""
    config = terminal.configuration(terminal.HUB_TOML)
    return f"http{'' if config.tls is None else 's'}://{config.hub.listen}"


def _call(url: str | None, token: Path, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
    """One call of the exchange interface.

    Raises:
        FlexhubError: the hub's refusal, or that it cannot be reached.
    """
    import aiohttp  # noqa: PLC0415 - heavy

    from flexhub.adapters.http.client import Answer, HttpClient  # noqa: PLC0415 - as above

    try:
        secret = token.read_text("ascii").strip()
    except OSError as error:
        raise ConfigError(f"no token: {error.strerror}", path="--token", value=str(token)) from error
    headers = {"Authorization": f"Bearer {secret}"}
    sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    if sent is not None:
        headers |= {"Content-Type": "application/json"}

    at = url or _configured()

    async def main() -> Answer:
        async with HttpClient(at) as http:
            return await http.request(method, path, headers, sent)

    try:
        answer = asyncio.run(main())
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise UnavailableError(f"no answer: {error}", path=at) from error
    if answer.status < 400:
        return json.loads(answer.body)
    try:
        told = json.loads(answer.body)
    except ValueError:
        raise InternalError(f"HTTP {answer.status}", path=at) from None
    kind: type[FlexhubError] = BY_CODE.get(told.get("code", ""), InternalError)
    said = told.get("detail", f"HTTP {answer.status}")
    raise kind(said, path=told.get("path", ""), clause=told.get("clause", ""))
