"""`flexhub ven`: what an operator does with a hub that is a VEN of OpenADR 2.0b, over its exchange interface."""

from __future__ import annotations

import enum
from typing import Annotated
from urllib.parse import quote

import typer

from flexhub.app import remote, terminal

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="VTN", help="The VTN's name in the configuration.")]


class Word(enum.StrEnum):
    """In or out."""

    IN = "in"
    OUT = "out"


@app.callback()
def ven() -> None:
    """VTNs that a hub is a VEN of, their events, and opts."""


@app.command(epilog=terminal.example("flexhub ven state utility"))
def state(
    name: Name, *, url: remote.Url = None, token: remote.Token = remote.TOKEN, as_json: terminal.AsJson = False
) -> None:
    """Tell how the hub is registered with a VTN."""
    found = remote.call(url, token, "GET", f"/ven/{quote(name, safe='')}")
    remote.told(found, " ".join(filter(None, (found["stage"], found["ven_id"], found["why"]))), as_json=as_json)


@app.command(epilog=terminal.example("flexhub ven events utility"))
def events(
    name: Name, *, url: remote.Url = None, token: remote.Token = remote.TOKEN, as_json: terminal.AsJson = False
) -> None:
    """List the events of a VTN, and what is said to them."""
    found = remote.call(url, token, "GET", f"/ven/{quote(name, safe='')}/event")["items"]
    rows = [
        (e["event_id"], str(e["modification_number"]), ", ".join(e["signals"]), e["starts"], e["opt"] or "", e["said"])
        for e in found
    ]
    remote.table(found, ("event", "modification", "signals", "start", "opt", "said"), rows, as_json=as_json)


@app.command(epilog=terminal.example("flexhub ven opt utility peak-1 out"))
def opt(  # noqa: PLR0913 - what is said, and where
    name: Name,
    event: Annotated[str, typer.Argument(metavar="EVENT", help="Its eventID.")],
    word: Annotated[Word, typer.Argument(help="Whether the hub takes part.")],
    *,
    url: remote.Url = None,
    token: remote.Token = remote.TOKEN,
    as_json: terminal.AsJson = False,
) -> None:
    """Opt in to an event or out of it, whatever was said before; the VTN is told."""
    path = f"/ven/{quote(name, safe='')}/event/{quote(event, safe='')}/opt"
    found = remote.call(url, token, "PUT", path, {"opt": f"opt{word.capitalize()}"})
    remote.told(found, found["opt"], as_json=as_json)
