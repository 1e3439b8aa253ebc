"""Two-mode conditional operation (GOFLEX): how the payback lies around the intervention in a schedule."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from flexhub.core.flexoffer import FlexOffer, Schedule, TwoMode


class Layout(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How many slices at the beginning and at the end of a schedule are payback; those between are the profile's."""

    before: int = 0
    after: int = 0


def leaves_out(offer: FlexOffer, schedule: Schedule, tolerance_kwh: float) -> bool:
    """Whether the schedule leaves the intervention out: it is the default schedule, or all zero."""
    if all(abs(piece.energy_kwh) <= tolerance_kwh for piece in schedule.slices):
        return True
    default = offer.default_schedule
    if default is None or default.start != schedule.start or default.slots() != schedule.slots():
        return False
    pairs = zip(schedule.per_slot_kwh(), default.per_slot_kwh(), strict=True)
    return all(abs(planned - usual) <= tolerance_kwh for planned, usual in pairs)


def split(two_mode: TwoMode, schedule: Schedule, resolution_s: int) -> Layout | str:
    """Find the payback slices, or a sentence that says why the schedule is not laid out so.

    Interpretation: the offer's start window and end constraints hold for the whole schedule, payback included.
    """
    before_slots, after_slots = two_mode.payback_slots(resolution_s)
    durations = [piece.duration for piece in schedule.slices]
    before, after = _count(durations, before_slots), _count(durations[::-1], after_slots)
    if before is None or after is None or before + after >= len(durations):
        return (
            f"{len(durations)} slices of {sum(durations)} slots are not {before_slots} slots of payback, "
            f"the intervention, and {after_slots} slots of payback"
        )
    return Layout(before=before, after=after)


def _count(durations: list[int], slots: int) -> int | None:
    """How many durations add up to this number of slots; None where none do."""
    count = 0
    while slots > 0 and count < len(durations):
        slots -= durations[count]
        count += 1
    return count if slots == 0 else None


def payback(two_mode: TwoMode, schedule: Schedule, layout: Layout, resolution_s: int) -> Iterator[tuple[int, float]]:
    """Energy due in each payback slice, as (index in the schedule, kWh).

    It is minus the portion of the intervention's energy, spread evenly over the slots of payback.
    """
    before_slots, after_slots = two_mode.payback_slots(resolution_s)
    first_after = len(schedule.slices) - layout.after
    energy = sum(piece.energy_kwh for piece in schedule.slices[layout.before : first_after])
    for i, piece in enumerate(schedule.slices):
        if i < layout.before:
            yield i, -two_mode.prior_portion * energy * piece.duration / before_slots
        elif i >= first_after:
            yield i, -two_mode.after_portion * energy * piece.duration / after_slots
