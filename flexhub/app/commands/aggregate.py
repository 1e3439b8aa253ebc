"""`flexhub aggregate`: many flex-offers into few, and what that loses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from flexhub.app import aggregating, terminal
from flexhub.core.algebra.conversions import Kind
from flexhub.core.algebra.losses import Loss, Weather
from flexhub.core.algebra.market import Shape
from flexhub.core.algebra.measures import totals_kwh
from flexhub.core.units import parse_duration, parse_quantity
from flexhub.mappings.flexoffer import Sign

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=terminal.example(
        "flexhub aggregate offers.jsonl --json > aggregates.jsonl",
        "flexhub aggregate offers.jsonl --by start_after=PT2H --by location",
        "flexhub aggregate cars.jsonl --couple 20 --by location --by duration=PT2H",
        'flexhub aggregate offers.jsonl --block PT1H --least "100 kW"',
    )
)
def aggregate(  # noqa: PLR0913 - one argument per option
    file: terminal.File,
    *,
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="What merged offers may differ by, as DIMENSION or DIMENSION=TOLERANCE; may be given several times. "
            "By default start_after=PT1H, time_flexibility=PT1H, location and sign; with --couple location alone."
        ),
    ] = None,
    issuer: Annotated[str, typer.Option(help="Who issues the aggregates.")] = "aggregator",
    kind: Annotated[
        Kind | None, typer.Option("--as", help="Convert the offers into this kind first; what it loses is told.")
    ] = None,
    balanced: Annotated[bool, typer.Option("--balance", help="Put production and consumption together.")] = False,
    couple: Annotated[
        int | None,
        typer.Option(min=1, help="Put storage-like offers (a total energy, a battery) into DFOs of so many at most."),
    ] = None,
    block: Annotated[str | None, typer.Option(help="Shape for a market of blocks of this length, as PT1H.")] = None,
    least: Annotated[str, typer.Option(help="Power that some block reaches at least, with --block.")] = "0 kW",
    seed: Annotated[int, typer.Option(help="Of the prices that losses are told at.")] = 1,
    losses: Annotated[bool, typer.Option(help="Tell what is lost of time, energy and savings.")] = True,
    sign_in: Annotated[Sign, typer.Option(help="What a positive amount means in what is read.")] = Sign.CONSUMPTION,
    as_json: terminal.AsJson = False,
) -> None:
    """Merge flex-offers into aggregates whose schedules all of their members can keep, and tell what that loses.

    Reads every message that convert reads, and JSON lines of flex-offers. With --json, prints a line for each
    aggregate, as `flexhub disaggregate` reads them, and a last one with the losses, what is in no aggregate, and what
    could not be coupled.
    """
    by = by or []
    if sum((bool(by) or couple is not None, balanced, block is not None)) > 1:
        raise typer.BadParameter("only one of --balance, --block, and --couple or --by", param_hint="--by")
    shape = None
    if block is not None:
        length = parse_duration(block).total_seconds()
        if length % 1:
            raise typer.BadParameter("a block is of whole seconds", param_hint="--block")
        shape = Shape(block_s=int(length), least_kw=parse_quantity(least, "power"))
    tolerances = aggregating.tolerances(by)
    data = terminal.read(file)
    with terminal.progress(as_json=as_json) as watch:
        done = aggregating.aggregate(
            aggregating.read_offers(data, sign_in, watch),
            issuer,
            tolerances,
            kind=kind,
            balanced=balanced,
            couple=couple,
            shape=shape,
            seeds=dict.fromkeys(Weather, seed) if losses else None,
            watch=watch,
        )
    if as_json:
        for line in done.lines:
            terminal.json_line(line)
        told = {"losses": done.losses, "left": done.left, "alone": done.alone, "parted": done.parted}
        if any(told.values()):
            terminal.json_line(told)
        return
    _print(done.lines)
    for name, reason in done.left.items():
        typer.echo(f"left: {name}: {reason}")
    for name, reason in done.alone.items():
        typer.echo(f"alone: {name}: {reason}")
    for reason in done.parted:
        typer.echo(f"parted: {reason}")
    if done.losses is not None:
        typer.echo("")
        _tell(done.losses)


def _print(lines: Sequence[aggregating.Line]) -> None:
    terminal.table(
        ("aggregate", "members", "method", "start after", "start before", "kWh"),
        [
            (
                (offer := line.offer()).id,
                str(len(line.aggregate.members)),
                line.aggregate.method,
                *(f"{edge:%Y-%m-%d %H:%M}Z" for edge in offer.window(offer.created)),
                _range(line),
            )
            for line in lines
        ],
    )


def _range(line: aggregating.Line) -> str:
    offer = line.offer()
    if offer.withdrawn:
        return "-"
    low, high = totals_kwh(offer)
    return f"{low:.3f}..{high:.3f}"


def _tell(lost: Loss) -> None:
    def share(part: float, whole: float) -> str:
        return f"{100 * part / whole:.1f} %" if whole else "-"

    terminal.table(
        ("what", "of the offers", "kept", "share"),
        [
            ("number", str(lost.offers), str(lost.instead), "-"),
            (
                "time, slots",
                str(lost.time_slots),
                str(lost.time_kept_slots),
                share(lost.time_kept_slots, lost.time_slots),
            ),
            (
                "energy, kWh",
                f"{lost.energy_kwh:.3f}",
                f"{lost.energy_kept_kwh:.3f}",
                share(lost.energy_kept_kwh, lost.energy_kwh),
            ),
            *(
                (
                    f"saving at {kept.prices} prices, EUR",
                    f"{kept.saving_eur:.3f}",
                    f"{kept.kept_eur:.3f}",
                    "-" if kept.share is None else f"{100 * kept.share:.1f} %",
                )
                for kept in lost.savings
            ),
        ],
    )
    if lost.unpriced:
        typer.echo(f"not in the savings, as prices do not settle them: {', '.join(lost.unpriced)}")
