"""`flexhub measure`: how much flexibility offers hold."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from flexhub.app import aggregating, terminal
from flexhub.core.algebra.measures import Measures, measure
from flexhub.mappings.flexoffer import Sign

app = typer.Typer(rich_markup_mode=None, add_completion=False)

HEADS: Final = {
    "id": "offer",
    "time_flexibility_slots": "tf",
    "energy_flexibility_kwh": "ef",
    "reachable_energy_kwh": "reached",
    "product": "product",
    "vector": "vector",
    "time_series_kwh": "series",
    "log_assignments": "log n",
    "absolute_area": "area",
    "relative_area": "rel. area",
}
"""Field -> its head in the table."""


@app.command("measure", epilog=terminal.example("flexhub measure offers.jsonl"))
def main(
    file: terminal.File,
    *,
    sign_in: Annotated[Sign, typer.Option(help="What a positive amount means in what is read.")] = Sign.CONSUMPTION,
    as_json: terminal.AsJson = False,
) -> None:
    """Measure the flexibility of offers: time (tf, in slots), energy (ef, in kWh), and what combines them.

    Reads every message that convert reads, and JSON lines of flex-offers. Prints a row for each, or with --json a JSON
    line; what is not finite is left empty.
    """
    with terminal.progress(as_json=as_json) as watch:
        offers = aggregating.read_offers(terminal.read(file), sign_in, watch)
        found = [measure(offer) for offer in watch(offers, "measuring")]
    if as_json:
        for one in found:
            terminal.json_line(one)
    else:
        terminal.table(tuple(HEADS.values()), [_row(one) for one in found])


def _row(one: Measures) -> tuple[str, ...]:
    values = (getattr(one, name) for name in HEADS)
    return tuple("-" if v is None else f"{v:.3f}" if isinstance(v, float) else str(v) for v in values)
