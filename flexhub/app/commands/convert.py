"""`flexhub convert`: any supported message into any other."""

from __future__ import annotations

import enum
import sys
from typing import Annotated

import typer

from flexhub.app import terminal
from flexhub.app.convert import TARGETS
from flexhub.app.convert import convert as converted
from flexhub.mappings.fates import refuse_serious
from flexhub.mappings.flexoffer import Sign

app = typer.Typer(rich_markup_mode=None, add_completion=False)

Target = enum.StrEnum("Target", {name: name for name in TARGETS})  # type: ignore[misc]  # members follow from a constant


@app.command(epilog=terminal.example("flexhub convert offer.json --to goflex > goflex.json"))
def convert(  # noqa: PLR0913 - one argument per option
    file: terminal.File,
    *,
    to: Annotated[Target, typer.Option(help="What to write.")],
    sign_in: Annotated[Sign, typer.Option(help="What a positive amount means in what is read.")] = Sign.CONSUMPTION,
    sign_out: Annotated[Sign, typer.Option(help="What it is to mean in what is written.")] = Sign.CONSUMPTION,
    allow_loss: Annotated[bool, typer.Option("--allow-loss", help="Let bounds and prices be lost.")] = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Write a message as another. The result goes to stdout, a JSON line for each loss to stderr.

    A loss has path, kind, value and why. A bound or a price is not lost unless --allow-loss says so: exit 1 then. With
    --json, one object with the result as text and the losses goes to stdout.
    """
    data = terminal.read(file)
    with terminal.progress(as_json=as_json) as watch:
        done = converted(data, to.value, allow_loss=True, sign_in=sign_in, sign_out=sign_out, watch=watch)
    if not as_json:
        for loss in done.losses:
            terminal.json_line(loss, err=True)
    refuse_serious(done.losses, allow=allow_loss)  # only now, so that a refusal has told every loss
    if as_json:
        terminal.json_line({"result": done.data.decode(), "losses": done.losses})
    else:
        sys.stdout.buffer.write(done.data)
        sys.stdout.flush()
