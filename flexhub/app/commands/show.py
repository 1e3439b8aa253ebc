"""`flexhub show`: a flex-offer as people read it."""

from __future__ import annotations

from datetime import datetime

import typer

from flexhub.app import terminal
from flexhub.app.convert import CORE, convert
from flexhub.core.documents import decode
from flexhub.core.flexoffer import FlexOffer, Profile, Schedule, Slice
from flexhub.core.judge import Violation, violations

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog=terminal.example("flexhub show offer.json"))
def show(file: terminal.File, *, as_json: terminal.AsJson = False) -> None:
    """Print flex-offers: what may be consumed or produced, when, and what a schedule breaks, if there is one.

    Reads every message that convert reads. Exits with 1 if a schedule breaks a bound. With --json, prints a JSON line
    for each flex-offer.
    """
    data = convert(terminal.read(file), CORE, allow_loss=True).data
    broken = False
    for i, line in enumerate(data.splitlines()):
        offer = decode(FlexOffer, line)
        found = violations(offer, offer.schedule) if offer.schedule is not None else []
        broken = broken or bool(found)
        if as_json:
            terminal.json_line({"offer": offer, "violations": found})
            continue
        if i:
            typer.echo("")
        _print(offer, found)
    if broken:
        raise typer.Exit(1)


def _print(offer: FlexOffer, broken: list[Violation]) -> None:
    terminal.table(("field", "value"), _head(offer))
    for i, profile in enumerate(offer.profiles):
        chosen = offer.schedule if offer.schedule and (offer.schedule.profile or 0) == i else None
        typer.echo("")
        terminal.table(
            ("slice", "slots", "energy kWh", "scheduled kWh"),
            [
                (str(n), _span(piece.min_duration, piece.max_duration), _energy(piece), _scheduled(chosen, n))
                for n, piece in enumerate(profile.slices)
            ],
            title=f"profile {i}" if len(offer.profiles) > 1 else None,
        )
        for line in _totals(profile):
            typer.echo(line)
    for violation in broken:
        typer.echo(f"broken: {violation}")


def _head(offer: FlexOffer) -> list[tuple[str, str]]:
    state = f"{offer.state} ({offer.state_reason})" if offer.state_reason else str(offer.state)
    rows = [
        ("id", offer.id),
        ("issuer", offer.issuer),
        ("recipient", offer.recipient),
        ("contract", offer.contract),
        ("location", offer.location),
        ("label", offer.label),
        ("state", state),
        ("created", _instant(offer.created)),
        ("accept before", _instant(offer.accept_before)),
        ("assign before", _instant(offer.assign_before)),
        ("start after", _instant(offer.start_after)),
        ("start before", _instant(offer.start_before)),
        ("end before", _instant(offer.end_before)),
        ("slot", f"{offer.resolution_s // 60} min" if offer.resolution_s % 60 == 0 else f"{offer.resolution_s} s"),
        ("default", _summary(offer.default_schedule, offer.resolution_s)),
        ("schedule", _summary(offer.schedule, offer.resolution_s)),
    ]
    return [(name, value) for name, value in rows if value]


def _instant(at: datetime | None) -> str | None:
    return None if at is None else f"{at:%Y-%m-%d %H:%M:%S}Z"


def _summary(schedule: Schedule | None, resolution_s: int) -> str | None:
    if schedule is None:
        return None
    return f"{_instant(schedule.start)} to {_instant(schedule.end(resolution_s))}, {schedule.energy_kwh():.3f} kWh"


def _span(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}..{high}"


def _energy(piece: Slice) -> str:
    if piece.amounts_kwh:
        return " or ".join(f"{amount:.3f}" for amount in piece.amounts_kwh)
    ranges = " or ".join(f"{r.lo_kwh:.3f}..{r.hi_kwh:.3f}" for r in piece.energy_kwh)
    polygon = f"polygon of {len(piece.polygon)} sides" if piece.polygon else ""
    return ", ".join(filter(None, (ranges, polygon)))


def _scheduled(schedule: Schedule | None, n: int) -> str:
    return f"{schedule.slices[n].energy_kwh:.3f}" if schedule and n < len(schedule.slices) else "-"


def _totals(profile: Profile) -> list[str]:
    lines = []
    if profile.total_energy_kwh is not None:
        lines.append(f"in total {profile.total_energy_kwh.lo_kwh:.3f}..{profile.total_energy_kwh.hi_kwh:.3f} kWh")
    if profile.subtotal_energy_kwh is not None:
        lo, hi = profile.subtotal_energy_kwh.lo_kwh, profile.subtotal_energy_kwh.hi_kwh
        lines.append(f"running total within {lo:.3f}..{hi:.3f} kWh")
    if profile.polytope is not None:
        lines.append(f"polytope of {len(profile.polytope.b_kwh)} bounds")
    if profile.two_mode is not None:
        lines.append("two-mode operation")
    return lines
