"""`flexhub disaggregate`: schedules of aggregates into those of their members."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flexhub.app import aggregating, terminal
from flexhub.mappings.flexoffer import Sign

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=terminal.example("flexhub disaggregate aggregates.jsonl --offers offers.jsonl --schedules schedules.jsonl")
)
def disaggregate(
    file: terminal.File,
    *,
    offers: Annotated[Path, typer.Option(metavar="FILE", help="The offers that were aggregated.")],
    schedules: Annotated[
        Path, typer.Option(metavar="FILE", help="JSON lines of an aggregate's id as offer, and its schedule.")
    ],
    sign_in: Annotated[Sign, typer.Option(help="What a positive amount means in the offers.")] = Sign.CONSUMPTION,
    as_json: terminal.AsJson = False,
) -> None:
    """Give every member of a scheduled aggregate its schedule, each within the member's own bounds.

    FILE is what `flexhub aggregate --json` wrote. Prints a line for each member, or with --json a JSON line of offer
    and schedule. Exits with 1 where a schedule breaks the bounds of its aggregate.
    """
    with terminal.progress(as_json=as_json) as watch:
        found = aggregating.disaggregate(
            aggregating.read_lines(terminal.read(file)),
            aggregating.read_offers(terminal.read(offers), sign_in, watch),
            aggregating.read_assignments(terminal.read(schedules)),
            watch=watch,
        )
    if as_json:
        for one in found:
            terminal.json_line(one)
        return
    terminal.table(
        ("offer", "start", "slots", "kWh"),
        [
            (
                one.offer,
                f"{one.schedule.start:%Y-%m-%d %H:%M}Z",
                str(one.schedule.slots()),
                f"{one.schedule.energy_kwh():.3f}",
            )
            for one in found
        ],
    )
