"""`flexhub keys`: who may speak to the hub, and as what."""

from __future__ import annotations

import os
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from flexhub.app import terminal
from flexhub.app.hub.tokens import add_token
from flexhub.core.base import Id
from flexhub.core.registry import Role

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)

Party = Annotated[str, typer.Argument(metavar="PARTY", help="The participant's id.")]


@app.callback()
def keys() -> None:
    """Make, list and revoke the bearer tokens of participants; each is bound to one party and one role."""


@app.command(epilog=terminal.example("flexhub keys add anna --role prosumer"))
def add(
    party: Party,
    *,
    role: Annotated[Role, typer.Option(help="What the party does.")] = Role.PROSUMER,
    config: terminal.ConfigFile = terminal.HUB_TOML,
    as_json: terminal.AsJson = False,
) -> None:
    """Make a token and print it. Only its hash is kept, so it can't be shown again."""
    try:
        msgspec.convert(party, Id)
    except msgspec.ValidationError as error:
        wanted = "1 to 128 characters without spaces, controls, '/', '?' and '#'"
        raise typer.BadParameter(f"{party!r} is no id: {wanted}", param_hint="PARTY") from error
    with terminal.store(config) as store:
        token = add_token(store, party, role, datetime.now(UTC))
    if as_json:
        terminal.json_line({"party": party, "role": role, "token": token})
    else:
        typer.echo(token)


@app.command("list", epilog=terminal.example("flexhub keys list"))
def list_(*, config: terminal.ConfigFile = terminal.HUB_TOML, as_json: terminal.AsJson = False) -> None:
    """List who holds tokens, without the tokens."""
    with terminal.store(config) as store:
        rows = [(row.party, row.role, f"{row.created:%Y-%m-%dT%H:%M:%SZ}") for row in store.tokens()]
    if as_json:
        terminal.json_line([{"party": party, "role": role, "created": created} for party, role, created in rows])
    else:
        terminal.table(("party", "role", "created"), rows)


@app.command(epilog=terminal.example("flexhub keys revoke anna"))
def revoke(party: Party, *, config: terminal.ConfigFile = terminal.HUB_TOML, as_json: terminal.AsJson = False) -> None:
    """Take all tokens of a party away. Exits with 1 if it has none."""
    with terminal.store(config) as store, store.begin() as transaction:
        count = transaction.remove_tokens(party)
    if as_json:
        terminal.json_line({"party": party, "revoked": count})
    else:
        typer.echo(f"{party}: {count} revoked")
    if not count:
        raise typer.Exit(1)


@app.command(epilog=terminal.example("flexhub keys uftp agr.key"))
def uftp(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Where the private key is written; it must not be there.")
    ],
    *,
    as_json: terminal.AsJson = False,
) -> None:
    """Make a key pair for UFTP: the private key into a file that only you can read, the public key onto the screen.

    The public one (cs1. and base64) is what is published. Its second half, which nothing is sealed with, is random.
    """
    from flexhub.protocols.uftp.envelope import key_of_seed  # noqa: PLC0415 - of an extra

    key = key_of_seed(secrets.token_bytes(32))
    try:
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as out:  # noqa: PTH123 - a descriptor
            out.write(f"{key.text()}\n")
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="FILE") from error
    published = str(key.public(secrets.token_bytes(32)))
    if as_json:
        terminal.json_line({"file": str(file), "public_key": published})
    else:
        typer.echo(published)
