"""FlexRequest and core request; D-Prognosis and baseline; Metering and measurement; FlexOrder and core order."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from flexhub.core import trading as core
from flexhub.core.errors import InvalidError
from flexhub.core.timeseries import Measurement, Quality, SeriesKind, TimeSeries
from flexhub.core.units import TOLERANCE_KWH
from flexhub.mappings.fates import Kind, Loss, Mapped
from flexhub.mappings.uftp.context import Context, Day, day, day_of, decimal, flex_fields, runs
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.checks import powers
from flexhub.protocols.uftp.times import instant, text_of

_DISPOSITIONS = {
    wire.Disposition.REQUESTED: core.Disposition.REQUESTED,
    wire.Disposition.AVAILABLE: core.Disposition.AVAILABLE,
    None: core.Disposition.AVAILABLE,
}
_WORDS = {
    core.Disposition.REQUESTED: wire.Disposition.REQUESTED,
    core.Disposition.AVAILABLE: wire.Disposition.AVAILABLE,
}


def request_to_core(m: wire.FlexRequest, ctx: Context) -> Mapped[core.FlexRequest]:
    """What a grid operator asks, slot by slot from local midnight, relative to the baseline.

    Raises:
        InvalidError: the message breaks a rule of its own (22, 23, 25, 32 or 34).
    """
    whole = day(m.period, m.time_zone, m.isp_duration)
    intervals = [
        core.RequestInterval(
            slot=number - 1,
            disposition=_DISPOSITIONS[isp.disposition],
            lo_kwh=whole.kwh(isp.min_power_w),
            hi_kwh=whole.kwh(isp.max_power_w),
        )
        for isp in m.isps
        for number in _numbers(isp, whole)
    ]
    value = core.FlexRequest(
        id=m.message_id,
        issuer=m.sender_domain,
        recipient=m.recipient_domain,
        congestion_point=ctx.location(m.congestion_point),
        created=instant(m.time_stamp),
        expires=instant(m.expiration_date_time),
        start=whole.first,
        intervals=tuple(sorted(intervals, key=lambda i: i.slot)),
        resolution_s=60 * whole.minutes,
        revision=max(0, m.revision),
        contract=m.contract_id,
        service_type=m.service_type,
        extras={"conversation_id": m.conversation_id, "time_zone": m.time_zone, "revision": str(m.revision)},
    )
    return Mapped(value)


def _numbers(isp: wire.FlexRequestIsp, whole: Day) -> range:
    last = isp.start + isp.duration - 1
    if last > whole.count:
        raise InvalidError(f"ISP {last} is beyond the {whole.count} of {whole.period}", path="ISP", clause="UFTP-22")
    return range(isp.start, last + 1)


def request_to_wire(r: core.FlexRequest, ctx: Context) -> Mapped[wire.FlexRequest]:
    """A request as a message; bounds to the nearest watt.

    Raises:
        InvalidError: it is about several local days, or absolute, or an identity was not told.
    """
    if r.reference is not core.Reference.BASELINE:
        raise InvalidError("UFTP asks for deviations from the baseline", path="FlexRequest/reference")
    losses = []
    if r.price_eur_per_kwh is not None:
        why = "FlexRequest has no price"
        losses.append(Loss(path="FlexRequest/price_eur_per_kwh", kind=Kind.PRICE, value=r.price_eur_per_kwh, why=why))
    first = r.start + (r.intervals[0].slot * _step(r.resolution_s))
    whole = _fitting(day_of(first, ctx), r.resolution_s)
    told: dict[int, tuple[wire.Disposition, int, int]] = {}
    for i, interval in enumerate(r.intervals):
        if interval.lo_kwh is None or interval.hi_kwh is None:
            raise InvalidError("UFTP needs both bounds", path=f"FlexRequest/intervals[{i}]")
        number = whole.number(r.start + interval.slot * _step(r.resolution_s))
        pair = whole.watts(interval.lo_kwh), whole.watts(interval.hi_kwh)
        told[number] = (_WORDS[interval.disposition], *pair)
        losses += _rounded(f"FlexRequest/intervals[{i}]", whole, (interval.lo_kwh, interval.hi_kwh), pair)
    message = wire.FlexRequest(
        **flex_fields(ctx, whole, r.congestion_point),
        revision=r.revision,
        expiration_date_time=text_of(r.expires),
        contract_id=r.contract,
        service_type=r.service_type,
        isps=tuple(
            wire.FlexRequestIsp(disposition=word, min_power_w=low, max_power_w=high, start=start, duration=length)
            for start, length, (word, low, high) in runs(told)
        ),
    )
    return Mapped(message, tuple(losses))


def _step(resolution_s: int) -> timedelta:
    return timedelta(seconds=resolution_s)


def _fitting(whole: Day, resolution_s: int) -> Day:
    if 60 * whole.minutes != resolution_s:
        raise InvalidError(f"slots of {resolution_s} s are not ISPs of {whole.minutes} minutes", path="resolution_s")
    return whole


def _rounded(path: str, whole: Day, kwh: tuple[float, ...], watts: tuple[int, ...]) -> list[Loss]:
    off = [energy for energy, power in zip(kwh, watts, strict=True) if abs(whole.kwh(power) - energy) > TOLERANCE_KWH]
    return [Loss(path=path, kind=Kind.CONVERTED, value=off, why="rounded to whole watts")] if off else []


def prognosis_to_core(m: wire.DPrognosis, ctx: Context) -> Mapped[TimeSeries]:
    """A prognosis as the baseline of its congestion point, for every ISP of the day; None where it says nothing."""
    whole = day(m.period, m.time_zone, m.isp_duration)
    told = powers(m.isps)
    values = tuple(whole.kwh(told[n]) if n in told else None for n in range(1, whole.count + 1))
    return Mapped(
        TimeSeries(
            subject=ctx.location(m.congestion_point),
            kind=SeriesKind.BASELINE,
            start=whole.first,
            values_kwh=values,
            resolution_s=60 * whole.minutes,
        )
    )


def prognosis_to_wire(series: TimeSeries, ctx: Context) -> Mapped[wire.DPrognosis]:
    """A baseline of one local day as a prognosis; energies to the nearest watt.

    Raises:
        InvalidError: it is no baseline, or of several days, or an identity was not told.
    """
    if series.kind is not SeriesKind.BASELINE:
        raise InvalidError(f"a {series.kind} is no prognosis", path="TimeSeries/kind")
    whole = _fitting(day_of(series.start, ctx), series.resolution_s)
    told = {whole.number(at): whole.watts(energy) for at, energy in series.items() if energy is not None}
    losses = [
        loss
        for i, (at, energy) in enumerate(series.items())
        if energy is not None
        for loss in _rounded(f"TimeSeries/values_kwh[{i}]", whole, (energy,), (told[whole.number(at)],))
    ]
    message = wire.DPrognosis(
        **flex_fields(ctx, whole, series.subject),
        revision=ctx.kept.get("revision", 1),
        isps=tuple(wire.PrognosisIsp(power_w=w, start=start, duration=length) for start, length, w in runs(told)),
    )
    return Mapped(message, tuple(losses))


def metered_kwh(m: wire.Metering, whole: Day) -> dict[int, Decimal]:
    """ISP number -> kWh: of the meter's Power, else of ImportEnergy minus ExportEnergy.

    Raises:
        InvalidError: readings only, or a unit of another profile.
    """
    found = {profile.profile_type: profile for profile in m.profiles}
    for profile in m.profiles:
        if (profile.unit is wire.Unit.KW) is not (profile.profile_type is wire.ProfileType.POWER):
            raise InvalidError(f"{profile.profile_type} in {profile.unit}", path="Metering/Profile/@Unit")
    power = found.get(wire.ProfileType.POWER)
    flows = [(found.get(wire.ProfileType.IMPORT_ENERGY), 1), (found.get(wire.ProfileType.EXPORT_ENERGY), -1)]
    told: dict[int, Decimal] = {}
    if power is not None:
        told = {isp.start: isp.value * whole.minutes / 60 for isp in power.isps}
    else:
        for profile_, sign in flows:
            for isp in profile_.isps if profile_ is not None else ():
                told[isp.start] = told.get(isp.start, Decimal(0)) + sign * isp.value
    if not told:
        raise InvalidError("cumulative readings alone give no energies of a day's first ISP", path="Metering/Profile")
    return told


def metering_to_core(m: wire.Metering, ctx: Context) -> Mapped[Measurement]:
    """What a meter told, as energy per ISP: of its Power, else of ImportEnergy minus ExportEnergy.

    Raises:
        InvalidError: readings only, or a unit of another profile.
    """
    whole = day(m.period, m.time_zone, m.isp_duration)
    told = metered_kwh(m, whole)
    power = any(profile.profile_type is wire.ProfileType.POWER for profile in m.profiles)
    used = (wire.ProfileType.POWER,) if power else wire.ProfileType
    losses = [
        Loss(path=f"Metering/Profile[{i}]", kind=Kind.DROPPED, value=str(p.profile_type), why="another profile is used")
        for i, p in enumerate(m.profiles)
        if p.profile_type not in used or "Reading" in p.profile_type
    ]
    values = tuple(float(told[n]) if n in told else None for n in range(1, whole.count + 1))
    flags = tuple(Quality.MISSING if value is None else Quality.MEASURED for value in values)
    return Mapped(
        Measurement(
            subject=ctx.location(m.ean),
            start=whole.first,
            values_kwh=values,
            quality=flags,
            resolution_s=60 * whole.minutes,
        ),
        tuple(losses),
    )


def metering_to_wire(taken: Measurement, ctx: Context) -> Mapped[wire.Metering]:
    """Readings of one local day as mean power; missing ones are left out, and a quality other than measured is lost.

    Raises:
        InvalidError: several days, nothing but gaps, or an identity was not told.
    """
    whole = _fitting(day_of(taken.start, ctx), taken.resolution_s)
    isps, losses = [], []
    for i, value in enumerate(taken.values_kwh):
        if value is None:
            continue
        number = whole.number(taken.start + i * _step(taken.resolution_s))
        isps.append(wire.MeteringIsp(start=number, value=decimal(value * 60 / whole.minutes)))
        if taken.flag(i) is not Quality.MEASURED:
            why = "Metering has no quality"
            losses.append(Loss(path=f"Measurement/quality[{i}]", kind=Kind.DROPPED, value=str(taken.flag(i)), why=why))
    if not isps:
        raise InvalidError("there is no reading", path="Measurement/values_kwh")
    fields = flex_fields(ctx, whole, "")
    del fields["congestion_point"]
    message = wire.Metering(
        **fields,
        revision=ctx.kept.get("revision", 1),
        currency=ctx.kept.get("currency"),
        ean=ctx.congestion_point(taken.subject),
        profiles=(wire.MeteringProfile(profile_type=wire.ProfileType.POWER, unit=wire.Unit.KW, isps=tuple(isps)),),
    )
    return Mapped(message, tuple(losses))


def was_copied(m: wire.FlexOrder, offer: wire.FlexOffer | None) -> bool:
    """Whether the powers are the option's own, so that the factor is still to be applied.

    Interpretation: where the offer is not at hand they are taken as copied (section 4.2.21). Only the option that is
    ordered counts: half of it may look like another one of the offer.
    """
    options = () if offer is None else offer.offer_options
    own = [powers(o.isps) for o in options if m.option_reference in (None, o.option_reference)]
    return not own or powers(m.isps) in own


def order_to_core(m: wire.FlexOrder, ctx: Context) -> Mapped[core.Order]:
    """What is ordered, from its first to its last ISP, activation factor applied; nothing in between is zero."""
    whole = day(m.period, m.time_zone, m.isp_duration)
    told = powers(m.isps)
    factor = float(m.activation_factor) if was_copied(m, ctx.offer) else 1.0
    first, last = min(told), max(told)
    value = core.Order(
        id=m.message_id,
        issuer=m.sender_domain,
        recipient=m.recipient_domain,
        start=whole.start(first),
        deviation_kwh=tuple(whole.kwh(told.get(n, 0)) * factor for n in range(first, last + 1)),
        resolution_s=60 * whole.minutes,
        offer=m.flex_offer_message_id,
        option=m.option_reference,
        activation_factor=float(m.activation_factor),
        price=m.price,
        currency=m.currency,
    )
    return Mapped(value)


def order_to_wire(order: core.Order, ctx: Context) -> Mapped[wire.FlexOrder]:
    """An order as a message: the option's ISPs copied, or scaled by the factor (`Context.copied`).

    Raises:
        InvalidError: several days, or an identity, place or OrderReference that was not told.
    """
    whole = _fitting(day_of(order.start, ctx), order.resolution_s)
    factor = decimal(order.activation_factor, 2)
    scale = float(factor) if ctx.copied else 1.0
    first = whole.number(order.start)
    told = {first + i: whole.watts(kwh / scale) for i, kwh in enumerate(order.deviation_kwh) if kwh}
    whole.number(order.start + (len(order.deviation_kwh) - 1) * _step(order.resolution_s))
    names = ("unsolicited", "service_type", "contract_id", "d_prognosis_message_id", "baseline_reference")
    for name in ("congestion_point", "order_reference"):
        if name not in ctx.kept:
            raise InvalidError("is needed to write an order", path=f"Context/kept/{name}")
    message = wire.FlexOrder(
        **flex_fields(ctx, whole, ctx.location(ctx.kept["congestion_point"]), *names),
        flex_offer_message_id=order.offer,
        price=order.price,
        currency=order.currency,
        order_reference=ctx.kept["order_reference"],
        option_reference=order.option,
        activation_factor=factor,
        isps=tuple(wire.Isp(power_w=w, start=start, duration=length) for start, length, w in runs(told)),
    )
    return Mapped(message)
