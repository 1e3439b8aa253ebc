"""Options on the wire: as the offer that carries them, and as they are read from one.

Every figure is the message's own: whole watts, prices of 4 decimals, factors of 2. So whoever reads the message holds
the same options as its sender.
"""

from __future__ import annotations

from datetime import timedelta

from flexhub.core import flexoffer as core
from flexhub.core.errors import InvalidError
from flexhub.core.options import Option, Options, ray
from flexhub.core.price import Price
from flexhub.core.timeseries import TimeSeries
from flexhub.mappings.uftp.context import META, Context, day
from flexhub.mappings.uftp.offers import KEPT, REFERENCES, baseline_of
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.checks import powers
from flexhub.protocols.uftp.times import instant


def offer_of(options: Options, ctx: Context) -> core.FlexOffer:
    """The flex-offer that `offers.offer_to_wire` writes as a FlexOffer of these options.

    One profile per option, from the first slot that any of them moves to the last; the baseline is the default.

    Args:
        options: what is offered, in whole watts.
        ctx: `kept` holds the message's identity and congestion point, and what it refers to (FlexRequestMessageID,
            D-PrognosisMessageID or BaselineReference).

    Raises:
        InvalidError: there is no option, or one that moves nothing, or an identity that was not told.
    """
    for name in (*META, "congestion_point"):
        if name not in ctx.kept:
            raise InvalidError("is needed to write an offer", path=f"Context/kept/{name}")
    moved = [i for o in options.options for i, kwh in enumerate(o.deviation_kwh) if kwh]
    if not moved or not all(any(o.deviation_kwh) for o in options.options):
        raise InvalidError("an offer has options, and each of them moves something", path="Options/options")
    span = slice(min(moved), max(moved) + 1)
    base = options.baseline_kwh[span]
    profiles = []
    for option in options.options:
        deviation = option.deviation_kwh[span]
        each = float(option.price) / sum(map(abs, deviation))
        price = Price.of_tariffs(-each, each) if option.price > 0 else None
        profiles.append(ray(base, deviation, float(option.min_activation_factor), price))
    start = options.start + span.start * _step(options)
    told = [
        {"reference": o.reference, "price": str(o.price), "factor": str(o.min_activation_factor)}
        for o in options.options
    ]
    kept = {name: ctx.kept[name] for name in REFERENCES if ctx.kept.get(name) is not None}
    return core.FlexOffer(
        id=ctx.kept["message_id"],
        issuer=ctx.kept["sender_domain"],
        recipient=ctx.kept["recipient_domain"],
        contract=ctx.kept.get("contract_id"),
        location=ctx.location(ctx.kept["congestion_point"]),
        created=instant(ctx.kept["time_stamp"]),
        accept_before=options.expires,
        assign_before=options.expires,
        start_after=start,
        start_before=start,
        resolution_s=options.resolution_s,
        profiles=tuple(profiles),
        default_schedule=core.Schedule(start=start, slices=tuple(core.ScheduleSlice(energy_kwh=e) for e in base)),
        extras={KEPT: {**kept, "time_zone": ctx.time_zone, "currency": options.currency, "options": told}},
    )


def _step(options: Options) -> timedelta:
    return timedelta(seconds=options.resolution_s)


def options_of(m: wire.FlexOffer, baseline: TimeSeries | None = None) -> Options:
    """The options of a FlexOffer, for every ISP of its day; without a baseline that is zero.

    Raises:
        InvalidError: an ISP that the day does not have, or an option that an `Option` cannot be.
    """
    whole = day(m.period, m.time_zone, m.isp_duration)
    base = baseline_of(Context(baseline=baseline), whole)
    options = []
    for option in m.offer_options:
        told = powers(option.isps)
        if max(told) > whole.count:
            raise InvalidError(f"ISP {max(told)} is beyond the {whole.count} of {whole.period}", clause="UFTP-22")
        options.append(
            Option(
                reference=option.option_reference,
                deviation_kwh=tuple(whole.kwh(told.get(n, 0)) for n in range(1, whole.count + 1)),
                price=option.price,
                min_activation_factor=option.min_activation_factor,
            )
        )
    return Options(
        start=whole.first,
        baseline_kwh=tuple(base.get(n, 0.0) for n in range(1, whole.count + 1)),
        options=tuple(options),
        expires=instant(m.expiration_date_time),
        request=m.flex_request_message_id,
        currency=m.currency,
        resolution_s=60 * whole.minutes,
    )
