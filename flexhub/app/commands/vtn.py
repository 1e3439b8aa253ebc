"""`flexhub vtn`: what a utility does with its VTN of OpenADR 2.0b, over the hub's exchange interface."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from flexhub.app import remote, terminal

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)


@app.callback()
def vtn() -> None:
    """Programs, VENs, events, opts and reports of a hub that is a VTN of OpenADR 2.0b."""


@app.command(epilog=terminal.example("flexhub vtn program http://utility.example/peak --name Peak"))
def program(
    market_context: Annotated[str, typer.Argument(metavar="URI", help="The market context.")],
    *,
    name: Annotated[str, typer.Option(help="What people call it.")] = "",
    url: remote.Url = None,
    token: remote.Token = remote.TOKEN,
    as_json: terminal.AsJson = False,
) -> None:
    """Make a program, or give it another name."""
    found = remote.call(url, token, "PUT", "/vtn/program", {"market_context": market_context, "name": name})
    remote.told(found, found["market_context"], as_json=as_json)


@app.command(epilog=terminal.example("flexhub vtn ven site-1 --group north --fingerprint AB:CD:..."))
def ven(  # noqa: PLR0913 - each is one thing that is said of it
    ven_id: Annotated[str, typer.Argument(metavar="VENID", help="Its venID.")],
    *,
    name: Annotated[str, typer.Option(help="What people call it.")] = "",
    fingerprint: Annotated[str | None, typer.Option(help="Of its client certificate, or xmpp: and its JID.")] = None,
    program_: Annotated[list[str] | None, typer.Option("--program", help="A market context; several may be.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="A group; several may be.")] = None,
    resource: Annotated[list[str] | None, typer.Option(help="A resource; several may be.")] = None,
    party: Annotated[str | None, typer.Option(help="Whose it is, of the hub's prosumers.")] = None,
    url: remote.Url = None,
    token: remote.Token = remote.TOKEN,
    as_json: terminal.AsJson = False,
) -> None:
    """Allocate a venID, or say something else of it; its registration stays."""
    found_by = {"group_ids": group or [], "resource_ids": resource or [], "party_ids": [party] if party else []}
    body = {"name": name, "fingerprint": fingerprint, "programs": program_ or [], "found_by": found_by}
    found = remote.call(url, token, "PUT", f"/vtn/ven/{quote(ven_id, safe='')}", body)
    remote.told(found, found["id"], as_json=as_json)


@app.command(epilog=terminal.example("flexhub vtn vens"))
def vens(*, url: remote.Url = None, token: remote.Token = remote.TOKEN, as_json: terminal.AsJson = False) -> None:
    """List VENs: where their registrations are, and which are offline."""
    found = remote.every(url, token, "/vtn/ven")
    rows = [(v["id"], v["name"], v["stage"], "push" if not v["pull"] else "", v["offline_since"] or "") for v in found]
    remote.table(found, ("VEN", "name", "registration", "", "offline since"), rows, as_json=as_json)


@app.command(epilog=terminal.example("flexhub vtn cancel-ven site-1"))
def cancel_ven(
    ven_id: Annotated[str, typer.Argument(metavar="VENID", help="Its venID.")],
    *,
    url: remote.Url = None,
    token: remote.Token = remote.TOKEN,
    as_json: terminal.AsJson = False,
) -> None:
    """Cancel a VEN's registration; it is told at its next poll."""
    found = remote.call(url, token, "DELETE", f"/vtn/ven/{quote(ven_id, safe='')}")
    remote.told(found, found["stage"], as_json=as_json)


@app.command(epilog=terminal.example("flexhub vtn event event.json", "flexhub vtn event event.json --id ID"))
def event(
    file: terminal.File,
    *,
    id_: Annotated[str | None, typer.Option("--id", metavar="ID", help="The event that is changed.")] = None,
    url: remote.Url = None,
    token: remote.Token = remote.TOKEN,
    as_json: terminal.AsJson = False,
) -> None:
    """Make an event, or change one; prints its id. The file is JSON, as POST /vtn/event takes it."""
    method, path = ("POST", "/vtn/event") if id_ is None else ("PUT", f"/vtn/event/{quote(id_, safe='')}")
    found = remote.call(url, token, method, path, terminal.read(file))
    remote.told(found, found["id"], as_json=as_json)


@app.command(epilog=terminal.example("flexhub vtn events"))
def events(*, url: remote.Url = None, token: remote.Token = remote.TOKEN, as_json: terminal.AsJson = False) -> None:
    """List events, and what each is by now."""
    found = remote.every(url, token, "/vtn/event")
    rows = [
        (e["id"], str(e["modification_number"]), e["event_status"], e["event"]["dtstart"], e["event"]["duration"])
        for e in found
    ]
    remote.table(found, ("event", "modification", "status", "start", "duration"), rows, as_json=as_json)


@app.command(epilog=terminal.example("flexhub vtn cancel ID"))
def cancel(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The event.")],
    *,
    url: remote.Url = None,
    token: remote.Token = remote.TOKEN,
    as_json: terminal.AsJson = False,
) -> None:
    """Cancel an event; VENs are told until they acknowledge it."""
    found = remote.call(url, token, "DELETE", f"/vtn/event/{quote(id_, safe='')}")
    remote.told(found, f"{found['event_status']}, modification {found['modification_number']}", as_json=as_json)


@app.command(epilog=terminal.example("flexhub vtn answers ID"))
def answers(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The event.")],
    *,
    url: remote.Url = None,
    token: remote.Token = remote.TOKEN,
    as_json: terminal.AsJson = False,
) -> None:
    """List who has answered what to an event."""
    found = remote.every(url, token, f"/vtn/event/{quote(id_, safe='')}/answer")
    rows = [(a["ven_id"], a["opt"], str(a["modification_number"]), a["code"], a["at"]) for a in found]
    remote.table(found, ("VEN", "opt", "modification", "code", "at"), rows, as_json=as_json)


@app.command(epilog=terminal.example("flexhub vtn opts --ven site-1"))
def opts(
    *,
    ven_id: Annotated[str | None, typer.Option("--ven", metavar="VENID", help="Only of this VEN.")] = None,
    url: remote.Url = None,
    token: remote.Token = remote.TOKEN,
    as_json: terminal.AsJson = False,
) -> None:
    """List opts: of events, or schedules of availability."""
    found = remote.every(url, token, "/vtn/opt", "" if ven_id is None else f"&ven={quote(ven_id, safe='')}")
    rows = [
        (o["ven_id"], o["opt_id"], o["opt"], o["reason"], o["event_id"] or f"{len(o['available'])} times")
        for o in found
    ]
    remote.table(found, ("VEN", "opt", "says", "reason", "of"), rows, as_json=as_json)


@app.command(epilog=terminal.example("flexhub vtn ask site-1 meter --point p1 --every PT15M"))
def ask(  # noqa: PLR0913 - what is asked for
    ven_id: Annotated[str, typer.Argument(metavar="VENID", help="Who is asked.")],
    specifier: Annotated[str, typer.Argument(metavar="REPORT", help="reportSpecifierID, or METADATA.")],
    *,
    point: Annotated[list[str] | None, typer.Option(help="rID of a data point; several may be.")] = None,
    granularity: Annotated[str, typer.Option(help="How fine.")] = "PT15M",
    every: Annotated[str, typer.Option(help="How often; PT0S is once.")] = "PT1H",
    url: remote.Url = None,
    token: remote.Token = remote.TOKEN,
    as_json: terminal.AsJson = False,
) -> None:
    """Ask a VEN for a report that it registered; prints the request's id."""
    body = {
        "report_specifier_id": specifier,
        "r_ids": point or [],
        "granularity": granularity,
        "report_back_duration": every,
    }
    found = remote.call(url, token, "POST", f"/vtn/ven/{quote(ven_id, safe='')}/report", body)
    remote.told(found, found["report_request_id"], as_json=as_json)


@app.command(epilog=terminal.example("flexhub vtn stop site-1 REQUEST"))
def stop(  # noqa: PLR0913 - what is ended, and where
    ven_id: Annotated[str, typer.Argument(metavar="VENID", help="Who was asked.")],
    request: Annotated[str, typer.Argument(metavar="REQUEST", help="What `flexhub vtn ask` printed.")],
    *,
    follow: Annotated[bool, typer.Option("--follow", help="What was gathered so far is to be sent yet.")] = False,
    url: remote.Url = None,
    token: remote.Token = remote.TOKEN,
    as_json: terminal.AsJson = False,
) -> None:
    """Have a VEN end a report."""
    path = f"/vtn/ven/{quote(ven_id, safe='')}/report/{quote(request, safe='')}?follow={str(follow).lower()}"
    found = remote.call(url, token, "DELETE", path)
    remote.told(found, found["stage"], as_json=as_json)


@app.command(epilog=terminal.example("flexhub vtn again site-1"))
def again(
    ven_id: Annotated[str, typer.Argument(metavar="VENID", help="Its venID.")],
    *,
    url: remote.Url = None,
    token: remote.Token = remote.TOKEN,
    as_json: terminal.AsJson = False,
) -> None:
    """Ask a VEN to register again."""
    found = remote.call(url, token, "POST", f"/vtn/ven/{quote(ven_id, safe='')}/registration")
    remote.told(found, found["stage"], as_json=as_json)


@app.command(epilog=terminal.example("flexhub vtn data site-1"))
def data(
    ven_id: Annotated[str, typer.Argument(metavar="VENID", help="Whose.")],
    *,
    url: remote.Url = None,
    token: remote.Token = remote.TOKEN,
    as_json: terminal.AsJson = False,
) -> None:
    """List what a VEN reported."""
    found = remote.every(url, token, f"/vtn/ven/{quote(ven_id, safe='')}/data")
    rows = [
        (report["report_name"], one["r_id"], one["dtstart"], _told(one))
        for report in found
        for one in report["readings"]
    ]
    remote.table(found, ("report", "point", "start", "value"), rows, as_json=as_json)


def _told(one: dict[str, Any]) -> str:
    return str(one["value"]) if one["value"] is not None else "online" if one["online"] else "offline"
