"""Draws a table of transitions as SVG.

The longest way through life is a row of boxes, other moves are arcs above it, and below each box stand the events that
leave the row, with the state that they lead to.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Final

Transitions = Mapping[tuple[str, str], str]
"""(state, event) -> state, by their names."""

WIDTH: Final = 104
GAP: Final = 62
HEIGHT: Final = 38
TOP: Final = 108
LINE: Final = 17


def spine(transitions: Transitions, first: str) -> list[str]:
    """The longest path from the first state that visits no state twice; the earliest in the table where several are."""

    def longest(state: str, seen: tuple[str, ...]) -> list[str]:
        tails = [
            longest(target, (*seen, target))
            for (at, _), target in transitions.items()
            if at == state and target not in seen
        ]
        return [state, *max(tails, key=len, default=[])]

    return longest(first, (first,))


def draw(transitions: Transitions, first: str) -> str:
    """The diagram as SVG; it names every transition of the table exactly once."""
    row = spine(transitions, first)
    at = {state: 10 + i * (WIDTH + GAP) for i, state in enumerate(row)}
    parts = [box(state, at[state]) for state in row]
    exits: dict[str, list[str]] = {state: [] for state in row}
    forward: dict[tuple[str, str], list[str]] = {}
    for (state, event), target in transitions.items():
        if target in at and state in at:
            forward.setdefault((state, target), []).append(event)
        else:
            exits[state].append(f"{event} → {target}")
    for (state, target), events in forward.items():
        span = row.index(target) - row.index(state)
        parts.append(
            straight(at[state], at[target], events) if span == 1 else arc(at[state], at[target], events, abs(span))
        )
    for state, lines in exits.items():
        parts += [
            f'<text x="{at[state]}" y="{TOP + HEIGHT + 24 + LINE * i}" font-size="11" fill="#64748b">'
            f"{escape(line)}</text>"
            for i, line in enumerate(lines)
        ]
    width = 20 + len(row) * (WIDTH + GAP) - GAP + 20
    height = TOP + HEIGHT + 30 + LINE * max(map(len, exits.values()), default=0)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif">'
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 10 5 0 10z" fill="#0d9488"/></marker></defs>'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>' + "".join(parts) + "</svg>\n"
    )


def box(state: str, x: int) -> str:
    """A state."""
    return (
        f'<rect x="{x}" y="{TOP}" width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#f0fdfa" stroke="#0d9488"/>'
        f'<text x="{x + WIDTH / 2}" y="{TOP + 24}" font-size="14" text-anchor="middle">{escape(state)}</text>'
    )


def straight(x: int, to: int, events: list[str]) -> str:
    """The move to the next box of the row."""
    y = TOP + HEIGHT / 2
    return (
        f'<path d="M{x + WIDTH} {y}H{to}" stroke="#0d9488" fill="none" marker-end="url(#tip)"/>'
        f'<text x="{(x + WIDTH + to) / 2}" y="{y - 6}" font-size="11" text-anchor="middle">'
        f"{escape(', '.join(events))}</text>"
    )


def arc(x: int, to: int, events: list[str], span: int) -> str:
    """A move back, onto itself, or over a box; each kind has its own places on a box, so that they don't meet."""
    start = x + WIDTH * (0.85 if to > x else 0.45 if to < x else 0.05)
    end = to + WIDTH * (0.15 if to > x else 0.6 if to < x else 0.35)
    rise = TOP - 34 - 24 * span
    return (
        f'<path d="M{start} {TOP}C{start} {rise} {end} {rise} {end} {TOP}" stroke="#0d9488" stroke-dasharray="4 3" '
        'fill="none" marker-end="url(#tip)"/>'
        f'<text x="{(start + end) / 2}" y="{TOP - (TOP - rise) * 0.75 - 5}" font-size="11" text-anchor="middle">'
        f"{escape(', '.join(events))}</text>"
    )
