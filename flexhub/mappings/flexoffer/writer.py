"""Core flex-offers as messages, in V1's words or in the GOFLEX form, in the sign that the context asks for.

What was read from a message is written again the way it was written, as long as it still means the same.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from flexhub.core import flexoffer as core
from flexhub.core.price import Price
from flexhub.mappings.fates import Kind, Loss, Mapped
from flexhub.mappings.flexoffer.context import (
    KEPT,
    PROFILE_TYPES,
    QUANTITIES,
    STATES,
    WORDS,
    Context,
    Form,
    carried,
)
from flexhub.mappings.flexoffer.reader import NULLABLE, PROFILE, Scale
from flexhub.mappings.flexoffer.reader import price as read_price
from flexhub.protocols.flexoffer import messages as wire
from flexhub.protocols.flexoffer import reading as read
from flexhub.protocols.unknown import Unknown, shape

ROOT: Final = "FlexOffer"

TIMES: Final = {
    "creation": "created",
    "assignment_before": "assign_before",
    "start_after": "start_after",
    "start_before": "start_before",
    "end_after": "end_after",
    "end_before": "end_before",
}
"""Wire stem -> core field, where they are the same in both forms."""

PRICES: Final = {
    "flex_offer_tariff_constraint": "flexOfferTariffConstraint",
    "flex_offer_price_constraints": "flexOfferPriceConstraints",
}


def to_wire(offer: core.FlexOffer, ctx: Context) -> Mapped[wire.FlexOffer]:
    """One core flex-offer as a message of `ctx.form`; every constraint that the form lacks is a loss."""
    return _Writer(offer, ctx).message()


def text_of(moment: datetime, form: Form) -> str:
    """An instant as the form writes it: ``2020-02-27T20:30:00.000+0000`` in GOFLEX, ``2020-02-27T20:30:00Z`` in V1."""
    if form is Form.V1:
        return moment.isoformat().replace("+00:00", "Z")
    precision = "microseconds" if moment.microsecond % 1000 else "milliseconds"
    return moment.isoformat(timespec=precision).replace("+00:00", "+0000")


class _Writer:
    """One conversion: the offer, the choices, and what was lost so far."""

    __slots__ = ("ctx", "kept", "losses", "offer", "scale", "unknown")

    def __init__(self, offer: core.FlexOffer, ctx: Context) -> None:
        self.offer = offer
        self.ctx = ctx
        self.kept = carried(offer, "kept")
        self.scale = Scale(self.kept.get("multiplier"), ctx.sign)
        self.losses: list[Loss] = []
        known = shape(wire.FlexOffer)
        rest = {name: value for name, value in offer.extras.items() if name != KEPT and name not in known}
        self.unknown: dict[str, Any] = {**rest, **carried(offer, "unknown")}

    def message(self) -> Mapped[wire.FlexOffer]:
        offer = self.offer
        goflex = self.ctx.form is Form.GOFLEX
        fields: dict[str, Any] = {
            "id": self._spelled("id", offer.id),
            "state": self._state(),
            "offered_by_id": self._spelled("offeredById", offer.issuer),
            "num_seconds_per_interval": offer.resolution_s,
        }
        self._optional(fields)
        self._times(fields)
        self._location(fields)
        self._kinds(fields)
        fields["flex_offer_profile_constraints"] = self._profile(fields)
        self._prices(fields)
        if offer.total_cost_eur is not None:
            cost = offer.total_cost_eur
            fields["total_cost_constraint"] = self._bounds(cost.lo_eur, cost.hi_eur)
        if offer.default_schedule is not None:
            fields["default_schedule"] = self._schedule("defaultSchedule", offer.default_schedule)
        if offer.schedule is not None:
            fields["flex_offer_schedule"] = self._schedule("flexOfferSchedule", offer.schedule)
        if goflex or not offer.obligatory or "assignment" in self.kept:
            fields["assignment"] = self._assignment()
        for name in ("recipient", "contract"):
            if getattr(offer, name) is not None:
                self._lose(name, Kind.DROPPED, getattr(offer, name), "the message names its issuer only")
        for name, wire_name in NULLABLE:
            if name not in fields and wire_name in self.kept and self.kept[wire_name] is None:
                fields[name] = None
        if self.unknown:
            fields["unknown"] = Unknown(self.unknown)
        return Mapped(wire.FlexOffer(**fields), tuple(self.losses))

    def _lose(self, path: str, kind: Kind, value: object, why: str) -> None:
        self.losses.append(Loss(path=f"{ROOT}/{path}", kind=kind, value=msgspec.to_builtins(value), why=why))

    def _optional(self, fields: dict[str, Any]) -> None:
        offer = self.offer
        told = {
            "label": offer.label,
            "state_reason": offer.state_reason,
            "assignment_before_start": offer.assign_before_start_s,
            "start_before_duration": offer.start_before_duration_s,
        }
        fields.update({name: value for name, value in told.items() if value is not None})
        if "powerFactorConstraint" in self.kept:
            fields["power_factor_constraint"] = self.kept["powerFactorConstraint"]

    def _spelled(self, name: str, text: str) -> int | str | None:
        """An identifier as it was spelled: an integer, or null where the id was given here."""
        told = self.kept.get(name)
        if isinstance(told, int) and not isinstance(told, bool) and str(told) == text:
            return told
        if self.ctx.null_ids and isinstance(told, dict) and told.get("given") == text:
            return None
        return text

    def _state(self) -> str:
        state = self.offer.state
        told = self.kept.get("state")
        if isinstance(told, str) and STATES.get(told.lower()) is state:
            return told
        word, why = WORDS.get(state, (state.value, ""))
        if state is core.State.EXECUTING and self.ctx.form is Form.V1:
            word, why = "assigned", "V1 does not know an offer in execution"
        if why:
            self._lose("state", Kind.CONVERTED, state.value, f"written as {word}: {why}")
        return word[0].upper() + word[1:] if self.ctx.form is Form.GOFLEX else word

    def _times(self, fields: dict[str, Any]) -> None:
        accept = "acceptance_before" if self.ctx.form is Form.GOFLEX else "accept_before"
        for stem, name in (*TIMES.items(), (accept, "accept_before")):
            moment = getattr(self.offer, name)
            if moment is None:
                continue
            fields[f"{stem}_time"] = text_of(moment, self.ctx.form)
            if self.ctx.form is Form.GOFLEX:
                fields[f"{stem}_interval"] = read.interval_of(moment, self.offer.resolution_s)

    def _location(self, fields: dict[str, Any]) -> None:
        """As it was spelled, unless the offer has moved since."""
        location = self.offer.location
        for name, wire_name in (("location_id", "locationId"), ("location_id_v1", "locationID")):
            told = self.kept.get(wire_name)
            if told is None:
                continue
            plain = isinstance(told, str | int) and not isinstance(told, bool)
            if location is None or (plain and str(told) == location):
                fields[name] = told
        if location is not None and "location_id" not in fields and "location_id_v1" not in fields:
            fields["location_id"] = location

    def _kinds(self, fields: dict[str, Any]) -> None:
        quantity = self.offer.quantity
        told = self.kept.get("flexOfferProfilType")
        if isinstance(told, str) and QUANTITIES.get(told.lower()) is quantity:
            fields["flex_offer_profil_type"] = told
        elif quantity is not core.Quantity.ACTIVE_ENERGY:
            fields["flex_offer_profil_type"] = PROFILE_TYPES[quantity]
        for name in ("unit", "multiplier"):
            if isinstance(self.kept.get(name), str):
                fields[name] = self.kept[name]

    def _assignment(self) -> str:
        told = self.kept.get("assignment")
        if isinstance(told, str) and (told.lower() == "obligatory") is self.offer.obligatory:
            return told
        return "obligatory" if self.offer.obligatory else "optional"

    def _bounds(self, low: float, high: float) -> wire.Bounds:
        if self.ctx.form is Form.GOFLEX:
            return wire.Bounds(lower=low, upper=high)
        return wire.Bounds(lower_bound=low, upper_bound=high)

    def _energy(self, r: core.EnergyRange) -> wire.Bounds:
        low, high = self.scale.amount(r.lo_kwh), self.scale.amount(r.hi_kwh)
        return self._bounds(high, low) if self.scale.production else self._bounds(low, high)

    def _profile(self, fields: dict[str, Any]) -> tuple[wire.Slice, ...] | None:
        if not self.offer.profiles:
            return () if self.kept.get(PROFILE) == [] else None
        profile, *others = self.offer.profiles
        if others:
            self._lose(PROFILE, Kind.BOUND, len(others), "the message holds one profile: alternatives are left out")
        for name, bound in (("polytope", profile.polytope), ("two_mode", profile.two_mode)):
            if bound is not None:
                self._lose(f"{PROFILE}/{name}", Kind.BOUND, bound, "the message has no place for it")
        if profile.total_energy_kwh is not None:
            fields["total_energy_constraint"] = self._energy(profile.total_energy_kwh)
        if profile.subtotal_energy_kwh is not None:
            fields["sub_total_energy_constraint"] = self._energy(profile.subtotal_energy_kwh)
        return tuple(self._slice(i, piece) for i, piece in enumerate(profile.slices))

    def _slice(self, i: int, piece: core.Slice) -> wire.Slice:
        ranges = piece.energy_kwh or tuple(core.EnergyRange(amount, amount) for amount in piece.amounts_kwh)
        fields: dict[str, Any] = {"min_duration": piece.min_duration, "max_duration": piece.max_duration}
        if ranges:
            fields["energy_constraint_list"] = tuple(self._energy(r) for r in ranges)
        if piece.price is not None:
            name = "tariff_constraint" if self.ctx.form is Form.GOFLEX else "price_constraint"
            pair = self._pair(f"{PROFILE}[{i}]/{name}", piece.price)
            if pair is not None:
                fields[name] = pair
        if piece.polygon:
            name = "dependency_energy_constraint_list" + ("" if self.ctx.form is Form.GOFLEX else "_v1")
            fields[name] = tuple(self._row(side) for side in piece.polygon)
        self._uncertainty(i, piece, fields)
        if piece.extras:
            under = self.unknown.setdefault(PROFILE, {}).setdefault(str(i), {})
            known = shape(wire.Slice)
            under.update({name: value for name, value in piece.extras.items() if name not in known})
        return wire.Slice(**fields)

    def _row(self, side: core.HalfPlane) -> tuple[float, float, float]:
        sign = -1.0 if self.scale.production else 1.0
        return sign * side.a + 0.0, sign * side.b + 0.0, side.c_kwh * self.scale.down / self.scale.up

    def _uncertainty(self, i: int, piece: core.Slice, fields: dict[str, Any]) -> None:
        suffix = "" if self.ctx.form is Form.GOFLEX else "_v1"
        raw = self.kept.get("uncertain", {}).get(str(i))
        if piece.uncertainty is not None:
            told = piece.uncertainty
            points = [
                [self.scale.amount(energy), probability]
                for energy, probability in zip(told.energies_kwh, told.probabilities, strict=True)
            ]
            fields[f"uncertain_functions{suffix}"] = points[::-1] if self.scale.production else points
            fields[f"uncertain_threshold{suffix}"] = told.threshold
        elif isinstance(raw, dict):
            fields[f"uncertain_functions{suffix}"] = raw.get("functions")
            fields[f"uncertain_threshold{suffix}"] = raw.get("threshold")

    def _tariffs(self, path: str, price: Price) -> tuple[float, float] | None:
        pair = price.tariffs()
        if pair is None:
            self._lose(path, Kind.PRICE, price, "the message holds one pair of prices, not a curve of more segments")
            return None
        low, high = pair
        return (0.0 - high, 0.0 - low) if self.scale.production else (low, high)

    def _pair(self, path: str, price: Price) -> wire.TariffConstraint | None:
        pair = self._tariffs(path, price)
        if pair is None:
            return None
        if self.ctx.form is Form.GOFLEX:
            return wire.TariffConstraint(min_tariff=pair[0], max_tariff=pair[1])
        return wire.TariffConstraint(min_price=pair[0], max_price=pair[1])

    def _prices(self, fields: dict[str, Any]) -> None:
        """The offer's own price, in the sender's spelling where it still says the same."""
        price = self.offer.price
        restored = False
        for name, wire_name in PRICES.items():
            raw = self.kept.get(wire_name)
            if raw is None:
                continue
            series = msgspec.convert(raw, wire.PriceSeries | tuple[wire.PriceSlice, ...])
            if price is None or self._same(series, price):
                fields[name] = series
                restored = True
        if price is not None and not restored:
            pair = self._tariffs("flexOfferTariffConstraint", price)
            if pair is None:
                return
            if self.ctx.form is Form.GOFLEX:
                fields["flex_offer_tariff_constraint"] = wire.PriceSeries(min_tariff=pair[0], max_tariff=pair[1])
            else:
                constraint = wire.TariffConstraint(min_price=pair[0], max_price=pair[1])
                fields["flex_offer_price_constraints"] = (wire.PriceSlice(price_constraint=constraint),)

    def _same(self, series: wire.PriceSeries | tuple[wire.PriceSlice, ...], price: Price) -> bool:
        pairs: list[wire.TariffConstraint | wire.PriceSeries | None] = [
            read.first(part.tariff_constraint, part.price_constraint) for part in read.price_slices(series)
        ]
        if isinstance(series, wire.PriceSeries):
            pairs.append(series)
        for pair in pairs:
            low, high = read.prices(pair) if pair is not None else (None, None)
            if low is None or high is None:
                continue
            if read_price(low, high, self.scale.production) != price:
                return False
        return True

    def _schedule(self, name: str, told: core.Schedule) -> wire.Schedule:
        if told.profile:
            self._lose(f"{name}/profile", Kind.DROPPED, told.profile, "the message holds one profile")
        kept_id = self.kept.get(f"{name}/scheduleId")
        number = isinstance(kept_id, int) and str(kept_id) == told.id
        goflex = self.ctx.form is Form.GOFLEX
        fields: dict[str, Any] = {
            "schedule_id": kept_id if number else 0 if told.id == "0" else told.id,
            "update_id": told.update,
            "start_time": text_of(told.start, self.ctx.form),
        }
        slices = []
        for piece in told.slices:
            part: dict[str, Any] = {"duration": piece.duration, "energy_amount": self.scale.amount(piece.energy_kwh)}
            if piece.price_eur_per_kwh is not None:
                part["tariff" if goflex else "price"] = piece.price_eur_per_kwh
            slices.append(wire.ScheduleSlice(**part))
        return wire.Schedule(schedule_slices=tuple(slices), **fields)
