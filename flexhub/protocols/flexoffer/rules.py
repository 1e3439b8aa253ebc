"""The rules of the flex-offer message: one row each.

Every row is a case of the conformance suite (`flexhub.conformance.corpora`). A message without findings maps to a
core flex-offer; a test holds the table to that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from msgspec import UNSET

from flexhub.core.units import FIRST_YEAR, LAST_YEAR, LONGEST_S, MOST_SLOTS, TOLERANCE_KWH
from flexhub.protocols.flexoffer import reading as read
from flexhub.protocols.flexoffer.messages import Bounds, FlexOffer, PriceSeries, PriceSlice, TariffConstraint
from flexhub.protocols.rules import Finding, Rule

STATES: Final = frozenset(
    ("initial", "offered", "accepted", "rejected", "assigned", "executed", "invalid", "canceled", "inadaptation")
)
"""V1's states, and what the GOFLEX agent adds; case does not matter."""

MULTIPLIERS: Final = {"1": (1.0, 1000.0), "k": (1.0, 1.0), "M": (1000.0, 1.0)}
"""V1 multiplier -> (up, down): an amount of the message times up over down is kWh (kVAh, kV)."""

UNITS: Final = {"activeenergy": "Wh", "reactiveenergy": "VAh", "voltage": "V"}
"""V1 flexOfferProfilType in lower case -> the unit of its amounts."""

IDENTIFIER: Final = re.compile(r"[^\x00-\x20/?#\x7f]{1,128}")
"""An id that can stand in a URL."""
_YEARS: Final = f"with an offset, from {FIRST_YEAR} to {LAST_YEAR}"


def mandatory(m: FlexOffer) -> Iterator[Finding]:
    """Attributes that V1 calls mandatory; an id may be null until the receiver has given one."""
    if m.id is UNSET:
        yield Finding("id", "is missing")
    for name, value in (("state", m.state), ("offeredById", m.offered_by_id)):
        if value is UNSET or value is None:
            yield Finding(name, "is missing")
    if not isinstance(m.creation_time, str) and not isinstance(m.creation_interval, int):
        yield Finding("creationTime", "is missing")
    if m.flex_offer_profile_constraints is UNSET and read.first(m.flex_offer_schedule) is None:
        yield Finding("flexOfferProfileConstraints", "is missing; null or an empty list withdraws the flexibility")


def known_state(m: FlexOffer) -> Iterator[Finding]:
    """The state is one of V1's, or InAdaptation."""
    if isinstance(m.state, str) and m.state.lower() not in STATES:
        yield Finding("state", f"{m.state!r} is none of {', '.join(sorted(STATES))}")


def identifiers(m: FlexOffer) -> Iterator[Finding]:
    """Text ids can stand in a URL."""
    for name, value in (("id", m.id), ("offeredById", m.offered_by_id)):
        if isinstance(value, str) and not IDENTIFIER.fullmatch(value):
            yield Finding(name, f"{value!r} is not 1 to 128 characters without blanks, controls, '/', '?' and '#'")


def times(m: FlexOffer) -> Iterator[Finding]:
    """Times are instants of the years that the core holds, with an offset from UTC."""
    for stem, (time_name, interval_name) in read.TIMES.items():
        text, interval = getattr(m, f"{stem}_time"), getattr(m, f"{stem}_interval")
        if isinstance(text, str) and read.instant(text) is None:
            yield Finding(time_name, f"{text!r} is not an instant {_YEARS}, such as 2020-02-27T20:30:00.000+0000")
        if isinstance(interval, int) and read.of_interval(interval, read.seconds_per_interval(m)) is None:
            yield Finding(interval_name, f"{interval} is not of the years {FIRST_YEAR} to {LAST_YEAR}")
    for name, schedule in read.schedules(m):
        if isinstance(schedule.start_time, str) and read.instant(schedule.start_time) is None:
            yield Finding(f"{name}/startTime", f"{schedule.start_time!r} is not an instant {_YEARS}")
    for name, series in _series(m):
        begin = series.start_time if isinstance(series, PriceSeries) else None
        if isinstance(begin, str) and read.instant(begin) is None:
            yield Finding(f"{name}/startTime", f"{begin!r} is not an instant {_YEARS}")


def twins(m: FlexOffer) -> Iterator[Finding]:
    """A time and its interval say the same. Interpretation: an interval is the one that holds the instant."""
    seconds = read.seconds_per_interval(m)
    for stem, (_, interval_name) in read.TIMES.items():
        text, interval = getattr(m, f"{stem}_time"), getattr(m, f"{stem}_interval")
        if isinstance(text, str) and isinstance(interval, int):
            moment = read.instant(text)
            if moment is not None and read.interval_of(moment, seconds) != interval:
                told = read.interval_of(moment, seconds)
                yield Finding(interval_name, f"{interval}, but {text} lies in interval {told} of {seconds} s")
    for name, schedule in read.schedules(m):
        if isinstance(schedule.start_time, str) and isinstance(schedule.start_interval, int):
            moment = read.instant(schedule.start_time)
            if moment is not None and read.interval_of(moment, seconds) != schedule.start_interval:
                yield Finding(f"{name}/startInterval", f"{schedule.start_interval} is not that of startTime")


def interval_length(m: FlexOffer) -> Iterator[Finding]:
    """The length of an interval is 1 s to a day."""
    told = m.num_seconds_per_interval
    if isinstance(told, int) and not 1 <= told <= read.MAX_SECONDS:
        yield Finding("numSecondsPerInterval", f"{told} is outside 1..{read.MAX_SECONDS}")


def one_meaning(m: FlexOffer) -> Iterator[Finding]:
    """Where two spellings of one attribute are there, they say the same."""
    before, acceptance = read.moment(m, "accept_before"), read.moment(m, "acceptance_before")
    if before is not None and acceptance is not None and before != acceptance:
        yield Finding("acceptanceBeforeTime", "differs from acceptBeforeTime")
    for path, b in _bounds(m):
        for name, one, other in (("lower", b.lower, b.lower_bound), ("upper", b.upper, b.upper_bound)):
            if _differ(read.number(one), read.number(other)):
                yield Finding(f"{path}/{name}Bound", f"differs from {name}")
    for path, t in _tariffs(m):
        for name, one, other in (("min", t.min_tariff, t.min_price), ("max", t.max_tariff, t.max_price)):
            if _differ(read.number(one), read.number(other)):
                yield Finding(f"{path}/{name}Price", f"differs from {name}Tariff")


def numeric(m: FlexOffer) -> Iterator[Finding]:
    """A number written as text is a number."""
    for path, value in _numbers(m):
        if isinstance(value, str) and read.number(value) is None:
            yield Finding(path, f"{value!r} is not a number")


def both_bounds(m: FlexOffer) -> Iterator[Finding]:
    """A constraint names its lower and its upper bound."""
    for path, b in _bounds(m):
        for name, one, other in (("lower", b.lower, b.lower_bound), ("upper", b.upper, b.upper_bound)):
            if read.first(one, other) is None:
                yield Finding(f"{path}/{name}", "is missing")


def lower_first(m: FlexOffer) -> Iterator[Finding]:
    """Lower does not exceed upper; V1's own example in section 1.4 breaks this."""
    for path, b in _bounds(m):
        low, high = read.bounds(b)
        if low is not None and high is not None and low > high:
            yield Finding(path, f"lower {low:g} exceeds upper {high:g}")


def price_pair(m: FlexOffer) -> Iterator[Finding]:
    """A price constraint names both prices, min not above max: the cost of deviating is convex."""
    for path, t in _tariffs(m):
        low, high = read.prices(t)
        for name, value, told in (
            ("min", low, read.first(t.min_tariff, t.min_price)),
            ("max", high, read.first(t.max_tariff, t.max_price)),
        ):
            if value is None and told is None:
                yield Finding(f"{path}/{name}Tariff", "is missing")
        if low is not None and high is not None and low > high:
            yield Finding(path, f"minTariff {low:g} exceeds maxTariff {high:g}")


def durations(m: FlexOffer) -> Iterator[Finding]:
    """1 <= minDuration <= maxDuration, in intervals; together no more than a leap year of quarter-hours."""
    longest_of_all = 0
    for i, piece in enumerate(read.slices(m)):
        shortest, longest = _durations(piece.min_duration, piece.max_duration)
        path = f"flexOfferProfileConstraints[{i}]"
        if not 1 <= shortest <= MOST_SLOTS:
            yield Finding(f"{path}/minDuration", f"{shortest} is outside 1..{MOST_SLOTS}")
        elif not shortest <= longest <= MOST_SLOTS:
            yield Finding(f"{path}/maxDuration", f"{longest} is outside minDuration {shortest}..{MOST_SLOTS}")
        else:
            longest_of_all += longest
    if longest_of_all > MOST_SLOTS:
        yield Finding("flexOfferProfileConstraints", f"up to {longest_of_all} intervals in all exceed {MOST_SLOTS}")


def bounded(m: FlexOffer) -> Iterator[Finding]:
    """A slice says what it bounds: energy ranges, dependency rows or uncertain functions."""
    for i, piece in enumerate(read.slices(m)):
        if not read.first(piece.energy_constraint_list) and not read.rows(piece) and read.functions(piece) is None:
            yield Finding(f"flexOfferProfileConstraints[{i}]/energyConstraintList", "is missing or empty")


def dependency_rows(m: FlexOffer) -> Iterator[Finding]:
    """A dependency row is [a, b, c] with a or b not zero: a*x + b*e <= c."""
    for i, piece in enumerate(read.slices(m)):
        for k, row in enumerate(read.rows(piece)):
            path = f"flexOfferProfileConstraints[{i}]/{read.rows_name(piece)}[{k}]"
            if len(row) != 3:
                yield Finding(path, f"{len(row)} numbers; a row is [a, b, c]")
            elif read.number(row[0]) == 0 and read.number(row[1]) == 0:
                yield Finding(path, "a and b are both zero, so the row bounds nothing")


def probability(m: FlexOffer) -> Iterator[Finding]:
    """An uncertain threshold is a probability, and stands beside its functions."""
    for i, piece in enumerate(read.slices(m)):
        told = read.threshold(piece)
        path = f"flexOfferProfileConstraints[{i}]"
        if told is not None and not 0 <= told <= 1:
            yield Finding(f"{path}/UncertainThreshold", f"{told:g} is outside 0..1")
        if read.functions(piece) is not None and read.first(*_thresholds(m, i)) is None:
            yield Finding(f"{path}/UncertainThreshold", "is missing beside the uncertain functions")


def functions_rise(m: FlexOffer) -> Iterator[Finding]:
    """Uncertain functions given as points rise in energy, with probabilities of 0..1."""
    for i, piece in enumerate(read.slices(m)):
        told = read.functions(piece)
        is_points = isinstance(told, list) and told and all(isinstance(p, list) for p in told)
        if is_points and read.points(told) is None:
            path = f"flexOfferProfileConstraints[{i}]/{read.functions_name(piece)}"
            yield Finding(path, "points are [energy, probability], energies rise, probabilities are in 0..1")


def accept_after_creation(m: FlexOffer) -> Iterator[Finding]:
    """The acceptance deadline is not before the creation."""
    created, accept = read.moment(m, "creation"), read.accept_before(m)
    if created is not None and accept is not None and accept < created:
        yield Finding("acceptBeforeTime", f"{accept:%FT%TZ} is before creationTime {created:%FT%TZ}")


def assign_after_accept(m: FlexOffer) -> Iterator[Finding]:
    """The assignment deadline is not before the acceptance deadline, or the creation where there is none."""
    floor = read.accept_before(m) or read.moment(m, "creation")
    assign = read.moment(m, "assignment_before")
    if floor is not None and assign is not None and assign < floor:
        yield Finding("assignmentBeforeTime", f"{assign:%FT%TZ} is before {floor:%FT%TZ}")


def one_assignment_deadline(m: FlexOffer) -> Iterator[Finding]:
    """Either assignmentBeforeTime or assignmentBeforeStart, which is 0 s to a leap year."""
    told = m.assignment_before_start
    if not isinstance(told, int):
        return
    if read.moment(m, "assignment_before") is not None:
        yield Finding("assignmentBeforeStart", "stands beside assignmentBeforeTime")
    elif not 0 <= told <= LONGEST_S:
        yield Finding("assignmentBeforeStart", f"{told} s is outside 0..{LONGEST_S}")


def latest_start(m: FlexOffer) -> Iterator[Finding]:
    """StartAfterTime comes with startBeforeTime: V1 calls the latter mandatory, GOFLEX lets both be absent."""
    latest_is_there = _is_there(m.start_before_time, m.start_before_interval)
    if not latest_is_there and _is_there(m.start_after_time, m.start_after_interval):
        yield Finding("startBeforeTime", "is missing beside startAfterTime")


def some_start(m: FlexOffer) -> Iterator[Finding]:
    """An interval begins between startAfterTime (by default creationTime) and startBeforeTime, a year at most."""
    before = read.moment(m, "start_before")
    after = read.moment(m, "start_after") or read.moment(m, "creation")
    if before is None or after is None:
        return
    seconds = read.seconds_per_interval(m)
    if _first_edge(after.timestamp(), seconds) > before.timestamp():
        yield Finding("startBeforeTime", f"no interval of {seconds} s starts in {after:%FT%TZ}..{before:%FT%TZ}")
    elif (before - after).total_seconds() > LONGEST_S:
        yield Finding("startBeforeTime", f"more than {LONGEST_S // 86_400} days after {after:%FT%TZ}")


def implicit_start(m: FlexOffer) -> Iterator[Finding]:
    """StartBeforeDuration (implicit time flexibility) excludes startAfterTime and startBeforeTime."""
    told = m.start_before_duration
    if not isinstance(told, int):
        return
    if _is_there(m.start_after_time, m.start_after_interval, m.start_before_time, m.start_before_interval):
        yield Finding("startBeforeDuration", "stands beside startAfterTime or startBeforeTime")
    elif not 0 <= told <= LONGEST_S:
        yield Finding("startBeforeDuration", f"{told} s is outside 0..{LONGEST_S}")


def ends(m: FlexOffer) -> Iterator[Finding]:
    """EndAfterTime is not after endBeforeTime."""
    after, before = read.moment(m, "end_after"), read.moment(m, "end_before")
    if after is not None and before is not None and after > before:
        yield Finding("endAfterTime", f"{after:%FT%TZ} is after endBeforeTime {before:%FT%TZ}")


def reachable_ends(m: FlexOffer) -> Iterator[Finding]:
    """Some start and duration end between endAfterTime and endBeforeTime."""
    begin = read.moment(m, "start_after") or read.moment(m, "creation")
    latest = read.moment(m, "start_before")
    pieces = read.slices(m)
    if not pieces or begin is None or latest is None:
        return
    seconds = read.seconds_per_interval(m)
    spans = [_durations(piece.min_duration, piece.max_duration) for piece in pieces]
    earliest_end = _first_edge(begin.timestamp(), seconds) + sum(s for s, _ in spans) * seconds
    latest_end = latest.timestamp() + sum(s for _, s in spans) * seconds
    after, before = read.moment(m, "end_after"), read.moment(m, "end_before")
    if before is not None and earliest_end > before.timestamp():
        yield Finding("endBeforeTime", f"{before:%FT%TZ} is before the earliest possible end")
    if after is not None and latest_end < after.timestamp():
        yield Finding("endAfterTime", f"{after:%FT%TZ} is after the latest possible end")


def total_energy(m: FlexOffer) -> Iterator[Finding]:
    """Some choice of energies meets totalEnergyConstraint."""
    if not isinstance(m.total_energy_constraint, Bounds):
        return
    low, high = read.bounds(m.total_energy_constraint)
    reach = _reach(m)
    if low is None or high is None or not reach or len(reach) < len(read.slices(m)):
        return
    least, most = reach[-1]
    slack = _slack(m)
    if least > high + slack or most < low - slack:
        yield Finding("totalEnergyConstraint", f"asks {low:g}..{high:g}, the slices allow {least:g}..{most:g}")


def sub_total_energy(m: FlexOffer) -> Iterator[Finding]:
    """Some choice of energies keeps the running total within subTotalEnergyConstraint."""
    reach = _reach(m)
    if isinstance(m.sub_total_energy_constraint, Bounds) and len(reach) < len(read.slices(m)):
        yield Finding("subTotalEnergyConstraint", f"no energies keep the running total within it in slice {len(reach)}")


def kind_and_unit(m: FlexOffer) -> Iterator[Finding]:
    """FlexOfferProfilType and multiplier are V1's, and the unit is that of the type."""
    kind = _kind(m)
    if kind not in UNITS:
        told = m.flex_offer_profil_type
        yield Finding("flexOfferProfilType", f"{told!r} is none of activeEnergy, reactiveEnergy, voltage")
    elif isinstance(m.unit, str) and m.unit != UNITS[kind]:
        yield Finding("unit", f"{m.unit!r} is not {UNITS[kind]}, the unit of {kind}")


def multiplier(m: FlexOffer) -> Iterator[Finding]:
    """The multiplier is 1, k or M."""
    if isinstance(m.multiplier, str) and m.multiplier not in MULTIPLIERS:
        yield Finding("multiplier", f"{m.multiplier!r} is none of {', '.join(MULTIPLIERS)}")


def schedule_complete(m: FlexOffer) -> Iterator[Finding]:
    """A schedule says when it starts, and each of its slices how much."""
    for name, schedule in read.schedules(m):
        if not _is_there(schedule.start_time, schedule.start_interval):
            yield Finding(f"{name}/startTime", "is missing")
        if not read.first(schedule.schedule_slices):
            yield Finding(f"{name}/scheduleSlices", "is missing or empty")
        for i, piece in enumerate(read.first(schedule.schedule_slices) or ()):
            if read.first(piece.energy_amount) is None:
                yield Finding(f"{name}/scheduleSlices[{i}]/energyAmount", "is missing")


def schedule_counts(m: FlexOffer) -> Iterator[Finding]:
    """Durations of a schedule are at least 1 interval, its updateId is not negative, its interval that of the offer."""
    for name, schedule in read.schedules(m):
        if isinstance(schedule.update_id, int) and schedule.update_id < 0:
            yield Finding(f"{name}/updateId", f"{schedule.update_id} is negative")
        told = schedule.num_seconds_per_interval
        if isinstance(told, int) and told != read.seconds_per_interval(m):
            whole = read.seconds_per_interval(m)
            yield Finding(f"{name}/numSecondsPerInterval", f"{told} differs from the offer's {whole}")
        for i, piece in enumerate(read.first(schedule.schedule_slices) or ()):
            if isinstance(piece.duration, int) and not 1 <= piece.duration <= MOST_SLOTS:
                yield Finding(f"{name}/scheduleSlices[{i}]/duration", f"{piece.duration} is outside 1..{MOST_SLOTS}")


def _differ(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and one != other


def _is_there(*values: object) -> bool:
    return any(value is not UNSET and value is not None for value in values)


def _first_edge(stamp: float, seconds: int) -> float:
    return -(-stamp // seconds) * seconds


def _durations(shortest: object, longest: object) -> tuple[int, int]:
    low = shortest if isinstance(shortest, int) else 1
    return low, longest if isinstance(longest, int) else max(low, 1)


def _kind(m: FlexOffer) -> str:
    return m.flex_offer_profil_type.lower() if isinstance(m.flex_offer_profil_type, str) else "activeenergy"


def _slack(m: FlexOffer) -> float:
    """The core's tolerance in the message's own unit."""
    up, down = MULTIPLIERS.get(m.multiplier, (1.0, 1.0)) if isinstance(m.multiplier, str) else (1.0, 1.0)
    return TOLERANCE_KWH * down / up


def _thresholds(m: FlexOffer, i: int) -> tuple[object, object]:
    piece = read.slices(m)[i]
    return piece.uncertain_threshold, piece.uncertain_threshold_v1


def _series(m: FlexOffer) -> Iterator[tuple[str, PriceSeries | tuple[PriceSlice, ...]]]:
    for name, series in (
        ("flexOfferTariffConstraint", m.flex_offer_tariff_constraint),
        ("flexOfferPriceConstraints", m.flex_offer_price_constraints),
    ):
        if isinstance(series, PriceSeries | tuple):
            yield name, series


def _bounds(m: FlexOffer) -> Iterator[tuple[str, Bounds]]:
    for i, piece in enumerate(read.slices(m)):
        for k, b in enumerate(read.first(piece.energy_constraint_list) or ()):
            yield f"flexOfferProfileConstraints[{i}]/energyConstraintList[{k}]", b
    for name, whole in (
        ("totalEnergyConstraint", m.total_energy_constraint),
        ("subTotalEnergyConstraint", m.sub_total_energy_constraint),
        ("totalCostConstraint", m.total_cost_constraint),
    ):
        if isinstance(whole, Bounds):
            yield name, whole


def _tariffs(m: FlexOffer) -> Iterator[tuple[str, TariffConstraint | PriceSeries]]:
    for i, piece in enumerate(read.slices(m)):
        for name, pair in (("tariffConstraint", piece.tariff_constraint), ("priceConstraint", piece.price_constraint)):
            if isinstance(pair, TariffConstraint):
                yield f"flexOfferProfileConstraints[{i}]/{name}", pair
    for name, series in _series(m):
        if isinstance(series, PriceSeries) and read.prices(series) != (None, None):
            yield name, series
        for k, part in enumerate(read.price_slices(series)):
            for pair in (part.tariff_constraint, part.price_constraint):
                if isinstance(pair, TariffConstraint):
                    yield f"{name}[{k}]", pair


def _numbers(m: FlexOffer) -> Iterator[tuple[str, object]]:
    for path, b in _bounds(m):
        for name in ("lower", "upper", "lower_bound", "upper_bound"):
            yield f"{path}/{name.replace('_bound', 'Bound')}", getattr(b, name)
    for path, t in _tariffs(m):
        for name in ("min_tariff", "max_tariff", "min_price", "max_price"):
            yield f"{path}/{name[:3]}{name[4:].capitalize()}", getattr(t, name)
    for i, piece in enumerate(read.slices(m)):
        for k, row in enumerate(read.rows(piece)):
            for coefficient in row:
                yield f"flexOfferProfileConstraints[{i}]/{read.rows_name(piece)}[{k}]", coefficient
        for told in _thresholds(m, i):
            yield f"flexOfferProfileConstraints[{i}]/UncertainThreshold", told
    for name, schedule in read.schedules(m):
        for i, part in enumerate(read.first(schedule.schedule_slices) or ()):
            yield f"{name}/scheduleSlices[{i}]/energyAmount", part.energy_amount
            yield f"{name}/scheduleSlices[{i}]/tariff", read.first(part.tariff, part.price)


def _reach(m: FlexOffer) -> list[tuple[float, float]]:
    """(least, most) running total after each slice; shorter than the slices where the sub-total leaves nothing."""
    floor, ceiling = -float("inf"), float("inf")
    if isinstance(m.sub_total_energy_constraint, Bounds):
        low, high = read.bounds(m.sub_total_energy_constraint)
        if low is not None and high is not None and low <= high:
            floor, ceiling = low, high
    least = most = 0.0
    reach: list[tuple[float, float]] = []
    for piece in read.slices(m):
        pairs = [read.bounds(b) for b in read.first(piece.energy_constraint_list) or ()]
        lows = [low for low, _ in pairs if low is not None]
        highs = [high for _, high in pairs if high is not None]
        least = max(least + min(lows, default=-float("inf")), floor)
        most = min(most + max(highs, default=float("inf")), ceiling)
        if least > most + _slack(m):
            break
        reach.append((least, most))
    return reach


def _row(rule_id: str, clause: str, check: Callable[[FlexOffer], Iterator[Finding]], reject: str) -> Rule[FlexOffer]:
    return Rule(id=rule_id, clause=clause, of=FlexOffer, check=check, reject=reject)


RULES: Final = (
    _row("FO-01", "V1 Table 1.1", mandatory, "A mandatory attribute is missing"),
    _row("FO-02", "V1 Table 1.1 state", known_state, "Unknown state"),
    _row("FO-03", "V1 Table 1.1 id, offeredById", identifiers, "Unusable identifier"),
    _row("FO-04", "V1 Table 1.1 Datetime", times, "Not an instant"),
    _row("FO-05", "V1 Table 1.1 ...Interval", twins, "Time and interval disagree"),
    _row("FO-06", "V1 Table 1.1 numSecondsPerInterval", interval_length, "Unusable interval length"),
    _row("FO-07", "V1 and GOFLEX spellings", one_meaning, "Two spellings of one attribute disagree"),
    _row("FO-08", "V1 Table 1.2 Float", numeric, "Not a number"),
    _row("FO-09", "V1 Table 1.2", both_bounds, "A bound is missing"),
    _row("FO-10", "V1 Table 1.2", lower_first, "Lower bound exceeds upper bound"),
    _row("FO-11", "V1 Table 1.3", price_pair, "Unusable price constraint"),
    _row("FO-12", "V1 Table 2.1 minDuration, maxDuration", durations, "Unusable duration"),
    _row("FO-13", "V1 Table 2.1 energyConstraintsList", bounded, "A slice bounds nothing"),
    _row("FO-14", "V1 section 2.4.1", dependency_rows, "Unusable dependency row"),
    _row("FO-15", "V1 Table 2.5 UncertainThreshold", probability, "Unusable probability threshold"),
    _row("FO-16", "V1 Table 2.5 UncertainFunctions", functions_rise, "Unusable uncertain function"),
    _row("FO-17", "V1 Table 1.1 acceptBeforeTime", accept_after_creation, "Acceptance deadline before creation"),
    _row(
        "FO-18",
        "V1 Table 1.1 assignmentBeforeTime",
        assign_after_accept,
        "Assignment before acceptance",
    ),
    _row("FO-19", "GOFLEX assignmentBeforeStart", one_assignment_deadline, "Two assignment deadlines"),
    _row("FO-20", "V1 Table 1.1 startBeforeTime", latest_start, "Latest start is missing"),
    _row("FO-21", "V1 Table 1.1 startBeforeTime", some_start, "No possible start"),
    _row("FO-22", "GOFLEX startBeforeDuration", implicit_start, "Implicit and explicit start window"),
    _row("FO-23", "V1 Table 1.1 endAfterTime", ends, "End window is empty"),
    _row("FO-24", "V1 Table 1.1 endBeforeTime", reachable_ends, "No possible end"),
    _row("FO-25", "V1 Table 2.3 totalEnergyConstraint", total_energy, "Total energy cannot be met"),
    _row("FO-26", "V1 Table 2.3 subTotalEnergyConstraint", sub_total_energy, "Running total cannot be kept"),
    _row("FO-27", "V1 Table 1.1 flexOfferProfilType, unit", kind_and_unit, "Unknown kind of profile or unit"),
    _row("FO-28", "V1 Table 1.1 multiplier", multiplier, "Unknown multiplier"),
    _row("FO-29", "V1 section 2.2.2", schedule_complete, "Schedule is incomplete"),
    _row("FO-30", "V1 section 2.2.2", schedule_counts, "Unusable schedule"),
)
"""Every rule of the message. Interpretation: V1 and GOFLEX are judged by one table; where GOFLEX lets an attribute be
absent that V1 calls mandatory (startBeforeTime), absence is no finding."""
