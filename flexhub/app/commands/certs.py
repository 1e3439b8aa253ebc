"""`flexhub certs`: certificates for development."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from flexhub.app import terminal
from flexhub.app.access.certificates import CA, Made, authority, issue

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)

FOLDER = Path("certs")
LOCAL = ("localhost", "127.0.0.1", "::1")

Folder = Annotated[Path, typer.Option("--folder", "-f", metavar="DIR", help="Where the files are, or go.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="What it is called; its files are named so, too.")]


@app.callback()
def certs() -> None:
    """Make an authority for development, and certificates of servers and clients that it signs."""


def _tell(made: Made, *, as_json: bool) -> None:
    if as_json:
        terminal.json_line({"cert": str(made.cert), "key": str(made.key), "fingerprint": made.fingerprint})
    else:
        typer.echo(f"{made.cert}, {made.key}\nSHA-256 {made.fingerprint}")


def _checked(name: str) -> str:
    if name == CA or not name.replace("-", "").replace("_", "").isalnum():
        raise typer.BadParameter(f"{name!r}: letters, digits, - and _, and not {CA}", param_hint="NAME")
    return name


@app.command(epilog=terminal.example("flexhub certs ca"))
def ca(*, folder: Folder = FOLDER, as_json: terminal.AsJson = False) -> None:
    """Make the authority: ca.pem, which everyone trusts who is to, and ca.key, which stays secret."""
    _tell(authority(folder, datetime.now(UTC)), as_json=as_json)


@app.command(epilog=terminal.example("flexhub certs server hub", "flexhub certs server hub --host flexhub.example"))
def server(
    name: Name,
    *,
    host: Annotated[
        list[str] | None, typer.Option(help="A host or address it is for; more than once for more.")
    ] = None,
    folder: Folder = FOLDER,
    as_json: terminal.AsJson = False,
) -> None:
    """Make a server's certificate, for this machine unless told otherwise."""
    _tell(issue(folder, _checked(name), host or LOCAL, datetime.now(UTC), client=False), as_json=as_json)


@app.command(epilog=terminal.example("flexhub certs client anna"))
def client(name: Name, *, folder: Folder = FOLDER, as_json: terminal.AsJson = False) -> None:
    """Make a client's certificate; its SHA-256 goes into `certificate` of a [[party]]."""
    _tell(issue(folder, _checked(name), (), datetime.now(UTC), client=True), as_json=as_json)
