"""FlexOffer and the core's flex-offer: options are alternative profiles, partial activation is a scaling constraint.

An option is a ray: every power is the same factor in [MinActivationFactor, 1] times what was offered. In the core it is
one profile of absolute energies ``baseline + factor * deviation``; where the factor is free, rows of a polytope keep
``deviation_i * offered_r == deviation_r * offered_i`` for one ISP r of the option and every other i.
"""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal
from typing import Any, Final

import msgspec

from flexhub.core import flexoffer as core
from flexhub.core.errors import InvalidError
from flexhub.core.judge import violations
from flexhub.core.options import ray
from flexhub.core.price import Price
from flexhub.core.units import TOLERANCE_KWH
from flexhub.mappings.fates import Kind, Loss, Mapped
from flexhub.mappings.uftp.context import Context, Day, day, day_of, flex_fields, runs
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.checks import powers
from flexhub.protocols.uftp.times import instant, text_of

KEPT: Final = "uftp"
"""Key of a flex-offer's extras: what the core has no place for, below it by the message's field names."""
REFERENCES: Final = ("unsolicited", "flex_request_message_id", "d_prognosis_message_id", "baseline_reference")
"""What an offer follows, or that it follows nothing."""
MOST_OPTIONS: Final = 100
"""Options that are written at most; what is left out is a lost bound."""
_STEP: Final = Decimal("0.0001")
_BARE: Final = Decimal("0.01")


def baseline_of(ctx: Context, whole: Day) -> dict[int, float]:
    """ISP number -> kWh of the baseline, where it is known."""
    told = ctx.baseline
    if told is None:
        return {}
    if isinstance(told, core.Schedule):
        pairs = enumerate(told.per_slot_kwh())
        times = {told.start + timedelta(minutes=whole.minutes * i): kwh for i, kwh in pairs}
    else:
        times = {at: kwh for at, kwh in told.items() if kwh is not None}
    return {n: times[whole.start(n)] for n in range(1, whole.count + 1) if whole.start(n) in times}


def offer_to_core(m: wire.FlexOffer, ctx: Context) -> Mapped[core.FlexOffer]:
    """An offer with one profile per option, all starting with the first ISP of any; the baseline is the default.

    One expiration becomes two deadlines: to accept and to assign.

    Raises:
        InvalidError: an ISP that the day does not have.
    """
    whole = day(m.period, m.time_zone, m.isp_duration)
    losses: list[Loss] = []
    base = baseline_of(ctx, whole)
    options = [powers(option.isps) for option in m.offer_options]
    first, last = min(map(min, options)), max(map(max, options))
    if last > whole.count:
        raise InvalidError(f"ISP {last} is beyond the {whole.count} of {whole.period}", path="ISP", clause="UFTP-22")
    if any(n not in base for n in range(first, last + 1)):
        why = "the baseline is not at hand, so energies are deviations from zero"
        losses.append(Loss(path="FlexOffer/BaselineReference", kind=Kind.DEFAULTED, value=0, why=why))
    profiles = tuple(_profile(i, m, (whole, first), base, losses) for i in range(len(options)))
    default = tuple(core.ScheduleSlice(energy_kwh=base.get(n, 0.0)) for n in range(first, last + 1))
    until = instant(m.expiration_date_time)
    kept = {name: getattr(m, name) for name in REFERENCES if getattr(m, name) is not None}
    kept |= {
        "conversation_id": m.conversation_id,
        "currency": m.currency,
        "time_zone": m.time_zone,
        "options": [
            {"reference": o.option_reference, "price": str(o.price), "factor": str(o.min_activation_factor)}
            for o in m.offer_options
        ],
    }
    return Mapped(
        core.FlexOffer(
            id=m.message_id,
            issuer=m.sender_domain,
            recipient=m.recipient_domain,
            contract=m.contract_id,
            location=ctx.location(m.congestion_point),
            state=core.State.OFFERED,
            created=min(instant(m.time_stamp), until),
            accept_before=until,
            assign_before=until,
            start_after=whole.start(first),
            start_before=whole.start(first),
            resolution_s=60 * whole.minutes,
            profiles=profiles,
            default_schedule=core.Schedule(start=whole.start(first), slices=default),
            extras={KEPT: kept},
        ),
        tuple(losses),
    )


def _profile(
    i: int, m: wire.FlexOffer, grid: tuple[Day, int], base: dict[int, float], losses: list[Loss]
) -> core.Profile:
    (whole, first), option, currency = grid, m.offer_options[i], m.currency
    told = powers(option.isps)
    numbers = range(first, max(told) + 1)
    deviations = [whole.kwh(told.get(n, 0)) for n in numbers]
    least = float(option.min_activation_factor)
    moved = sum(map(abs, deviations))
    price = None
    if currency != "EUR":
        why = f"the core's prices are EUR, this one {currency}"
        losses.append(Loss(path=f"FlexOffer/OfferOption[{i}]/@Price", kind=Kind.PRICE, value=option.price, why=why))
    elif option.price and (moved == 0 or option.price < 0):
        why = "the core prices energy that is moved, at no less than nothing"
        losses.append(Loss(path=f"FlexOffer/OfferOption[{i}]/@Price", kind=Kind.PRICE, value=option.price, why=why))
    elif option.price:
        each = float(option.price) / moved
        price = Price.of_tariffs(-each, each)
    return ray([base.get(n, 0.0) for n in numbers], deviations, least, price)


class _Ray(msgspec.Struct, frozen=True):
    """One option in the making: deviations by ISP at full activation, the least factor, and whether it is all."""

    kwh: dict[int, float]
    least: Decimal
    whole: bool


def offer_to_wire(offer: core.FlexOffer, ctx: Context) -> Mapped[wire.FlexOffer]:
    """Options of an offer: of each profile and start the ray to the most and to the least it allows.

    What is no such ray, or has more than `MOST_OPTIONS`, is a lost bound; two deadlines become one, the earlier.

    Raises:
        InvalidError: nothing that can be offered within one local day, or an identity that was not told.
    """
    if offer.location is None:
        raise InvalidError("UFTP needs a congestion point", path="FlexOffer/location")
    kept = _kept(offer)
    losses: list[Loss] = []
    earliest, latest = offer.window(offer.created)
    whole = day_of(earliest, ctx)
    if 60 * whole.minutes != offer.resolution_s:
        raise InvalidError(f"slots of {offer.resolution_s} s are not ISPs of {whole.minutes} minutes")
    base = baseline_of(ctx, whole) or _default(offer, whole)
    options: list[wire.OfferOption] = []
    starts = [n for n in range(1, whole.count + 1) if earliest <= whole.start(n) <= latest]
    if latest > whole.start(whole.count):
        losses.append(Loss(path="FlexOffer/start_before", kind=Kind.BOUND, value=latest, why="one local day only"))
    for k in range(len(offer.profiles)):
        for start in starts:
            place = _Place(offer, k, whole, start, base)
            rays = place.rays()
            if not rays or not all(ray.whole for ray in rays):
                why = "a range becomes rays from the baseline" if rays else "no such ray keeps every bound"
                losses.append(Loss(path=f"FlexOffer/profiles[{k}]", kind=Kind.BOUND, value=start, why=why))
            options += [_option(ray, place, len(options) + n, kept, losses) for n, ray in enumerate(rays)]
    if not options:
        raise InvalidError("no option can be offered", path="FlexOffer/profiles")
    if len(options) > MOST_OPTIONS:
        why = f"more than {MOST_OPTIONS} options"
        losses.append(Loss(path="FlexOffer/profiles", kind=Kind.BOUND, value=len(options), why=why))
    until = min(filter(None, (offer.accept_before, offer.assign_deadline(offer.created))))
    context = msgspec.structs.replace(ctx, kept={**kept, **ctx.kept})
    message = wire.FlexOffer(
        **flex_fields(context, whole, offer.location, *REFERENCES),
        expiration_date_time=text_of(until),
        contract_id=offer.contract,
        currency=str(kept.get("currency", "EUR")),
        offer_options=tuple(options[:MOST_OPTIONS]),
    )
    return Mapped(message, tuple(losses))


def _kept(offer: core.FlexOffer) -> dict[str, Any]:
    told = offer.extras.get(KEPT)
    return told if isinstance(told, dict) else {}


def _default(offer: core.FlexOffer, whole: Day) -> dict[int, float]:
    return {} if offer.default_schedule is None else baseline_of(Context(baseline=offer.default_schedule), whole)


class _Place(msgspec.Struct, frozen=True):
    """One profile of an offer, laid at a start."""

    offer: core.FlexOffer
    k: int
    whole: Day
    start: int
    base: dict[int, float]

    @property
    def profile(self) -> core.Profile:
        """The profile."""
        return self.offer.profiles[self.k]

    def rays(self) -> list[_Ray]:
        """The rays from the baseline to the most, and to the least, that the slices allow; feasible ones only."""
        spans = []
        for piece in self.profile.slices:
            low, high = piece.span_kwh()
            if not math.isfinite(high - low):
                return []
            spans += [(low / piece.min_duration, high / piece.min_duration)] * piece.min_duration
        if self.start + len(spans) - 1 > self.whole.count:
            return []
        numbers = range(self.start, self.start + len(spans))
        lows = {n: low - self.base.get(n, 0.0) for n, (low, _) in zip(numbers, spans, strict=True)}
        highs = {n: high - self.base.get(n, 0.0) for n, (_, high) in zip(numbers, spans, strict=True)}
        if all(abs(lows[n] - highs[n]) <= TOLERANCE_KWH for n in numbers):
            exact = all(piece.min_duration == piece.max_duration for piece in self.profile.slices)
            return [_Ray(highs, Decimal(1), whole=exact)] if self.fits(highs) else []
        far = {n: highs[n] if abs(highs[n]) >= abs(lows[n]) else lows[n] for n in numbers}
        near = {n: lows[n] if far[n] == highs[n] else highs[n] for n in numbers}
        one = self.ray(far, near)
        alone = sum(1 for n in far if far[n]) == 1 and all(near[n] * far[n] >= 0 for n in far)
        if one is not None and (self.profile.polytope is not None or alone):
            return [msgspec.structs.replace(one, whole=True)]
        both = (self.ray(highs, lows), self.ray(lows, highs))
        return [ray for ray in both if ray is not None and any(ray.kwh.values())]

    def ray(self, far: dict[int, float], near: dict[int, float]) -> _Ray | None:
        """The ray to `far`, with the least factor that stays beyond `near`; only its end, where that breaks a bound."""
        if not self.fits(far):
            return None
        shares = [near[n] / far[n] for n in far if far[n] and near[n] * far[n] > 0]
        least = max((Decimal(repr(round(share, 9))) for share in shares), default=_BARE)
        least = min(Decimal(1), max(_BARE, least.quantize(_BARE, ROUND_CEILING)))
        if not self.fits({n: kwh * float(least) for n, kwh in far.items()}):
            least = Decimal(1)
        return _Ray(far, least, whole=False)

    def fits(self, deviations: dict[int, float]) -> bool:
        """Whether the schedule keeps every bound of the offer."""
        pieces, at = [], self.start
        for piece in self.profile.slices:
            energy = sum(self.base.get(n, 0.0) + deviations[n] for n in range(at, at + piece.min_duration))
            pieces.append(core.ScheduleSlice(energy_kwh=energy, duration=piece.min_duration))
            at += piece.min_duration
        schedule = core.Schedule(start=self.whole.start(self.start), slices=tuple(pieces), profile=self.k)
        return not violations(self.offer, schedule)


def _option(ray: _Ray, place: _Place, i: int, kept: dict[str, Any], losses: list[Loss]) -> wire.OfferOption:
    offer = place.offer
    told = {n: place.whole.watts(kwh) for n, kwh in ray.kwh.items()}
    isps = {n: power for n, power in told.items() if power} or {min(told): 0}
    price = _price(ray, place.profile, offer)
    reference = f"option-{i + 1}"
    before = kept.get("options")
    if isinstance(before, list) and len(before) == len(offer.profiles) and i < len(before):
        reference = before[i]["reference"]
        was = Decimal(before[i]["price"])
        foreign = kept.get("currency", "EUR") != "EUR"
        price = was if foreign or price is None or abs(was - price) <= _STEP else price
        ray = msgspec.structs.replace(ray, least=Decimal(before[i]["factor"]) if ray.whole else ray.least)
    if price is None:
        why = "the offer has no price; the option is free"
        losses.append(Loss(path=f"FlexOffer/OfferOption[{i}]/@Price", kind=Kind.DEFAULTED, value=0, why=why))
    return wire.OfferOption(
        option_reference=reference,
        price=Decimal(0) if price is None else price,
        min_activation_factor=ray.least,
        isps=tuple(wire.Isp(power_w=w, start=start, duration=length) for start, length, w in runs(isps)),
    )


def _price(ray: _Ray, profile: core.Profile, offer: core.FlexOffer) -> Decimal | None:
    """What the deviations cost at full activation, to 4 decimals, half to even."""
    total, priced, at = 0.0, False, min(ray.kwh)
    for piece in profile.slices:
        price = piece.price or offer.price
        moved = sum(ray.kwh[n] for n in range(at, at + piece.min_duration))
        at += piece.min_duration
        if price is not None:
            priced = True
            total += price.cost_eur(moved)
    return Decimal(repr(total)).quantize(_STEP, ROUND_HALF_EVEN).normalize() if priced else None
