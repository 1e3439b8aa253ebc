"""`flexhub plugins`: the engines that are installed."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from flexhub.app import terminal
from flexhub.engines.plugins import installed
from flexhub.engines.slots import GROUPS

app = typer.Typer(rich_markup_mode=None, add_completion=False)

Slot = enum.StrEnum("Slot", {name: name for name in GROUPS})  # type: ignore[misc]  # members follow from the slots


@app.command(epilog=terminal.example("flexhub plugins", "flexhub plugins --slot manager"))
def plugins(
    *,
    slot: Annotated[Slot | None, typer.Option(help="Only this slot.")] = None,
    as_json: terminal.AsJson = False,
) -> None:
    """List the engines of every slot, ours and those of other packages. Exits with 1 if one cannot be loaded."""
    found = installed(None if slot is None else slot.value)
    if as_json:
        terminal.json_line([one._asdict() for one in found])
    else:
        terminal.table(
            ("slot", "name", "package", "what it is"),
            [(one.slot, one.name, one.distribution, one.error or one.target) for one in found],
        )
    if any(one.error for one in found):
        raise typer.Exit(1)
