"""`flexhub audit`: the log of who did what."""

from __future__ import annotations

from typing import Annotated

import typer

from flexhub.app import terminal
from flexhub.app.access import audit

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)


@app.callback()
def about() -> None:
    """Look at the audit log: who did what, on whose data, and whether anybody has changed what it says."""


@app.command("verify", epilog=terminal.example("flexhub audit verify", "flexhub audit verify --head HASH"))
def verify(
    *,
    head: Annotated[str | None, typer.Option(metavar="HASH", help="The newest hash, as it once was.")] = None,
    config: terminal.ConfigFile = terminal.HUB_TOML,
    as_json: terminal.AsJson = False,
) -> None:
    """Walk the chain and the journal beside it, and print the newest hash: write it down elsewhere.

    Exits with 1 if anything was changed, removed or put in.
    """
    with terminal.store(config) as store:
        found = audit.verify(store, head)
    if as_json:
        terminal.json_line(found._asdict())
    else:
        for fault in found.faults:
            typer.echo(fault)
        typer.echo(
            f"{found.blocks} blocks, {found.accesses} requests, {found.messages} messages; newest hash:\n{found.head}"
        )
    if found.faults:
        raise typer.Exit(1)


@app.command("show", epilog=terminal.example("flexhub audit show --party anna"))
def show(
    *,
    party: Annotated[str | None, typer.Option(help="Only what this party did.")] = None,
    config: terminal.ConfigFile = terminal.HUB_TOML,
    as_json: terminal.AsJson = False,
) -> None:
    """List the requests that read something or were refused. What was accepted is in the journal."""
    with terminal.store(config) as store:
        rows = [
            told
            for row, block in audit.blocks(store)
            if block is not None
            for told in audit.told(row, block)
            if party in (None, told["party"])
        ]
    if as_json:
        for told in rows:
            terminal.json_line(told)
    else:
        columns = ("block", *audit.Access.__struct_fields__)
        terminal.table(columns, [tuple(str(told[name]) for name in columns) for told in rows])
