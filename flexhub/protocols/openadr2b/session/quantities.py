"""A quantity as a utility says it, and as it goes over the wire."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from flexhub.core.errors import InvalidError
from flexhub.protocols.openadr2b import elements as e
from flexhub.protocols.openadr2b.names import CurrencyItem, RealPowerUnit, TemperatureUnit
from flexhub.protocols.openadr2b.session.state import ItemKind, SignalItem


def _power(told: SignalItem) -> dict[str, Any]:
    attributes = e.PowerAttributes(hertz=Decimal(str(told.hertz)), voltage=Decimal(str(told.voltage)), ac=told.ac)
    return {"si_scale_code": told.scale, "power_attributes": attributes}


def _scaled(told: SignalItem) -> dict[str, Any]:
    return {"si_scale_code": told.scale}


def _money(item: CurrencyItem) -> Callable[[SignalItem], dict[str, Any]]:
    return lambda told: {"item_description": item, "item_units": told.unit, "si_scale_code": told.scale}


_MADE: Final[dict[ItemKind, tuple[type[e.ItemBase], Callable[[SignalItem], dict[str, Any]]]]] = {
    ItemKind.POWER_REAL: (e.PowerReal, lambda told: {"item_units": RealPowerUnit(told.unit or "W")} | _power(told)),
    ItemKind.POWER_REACTIVE: (e.PowerReactive, _power),
    ItemKind.POWER_APPARENT: (e.PowerApparent, _power),
    ItemKind.ENERGY_REAL: (e.EnergyReal, _scaled),
    ItemKind.ENERGY_REACTIVE: (e.EnergyReactive, _scaled),
    ItemKind.ENERGY_APPARENT: (e.EnergyApparent, _scaled),
    ItemKind.VOLTAGE: (e.Voltage, _scaled),
    ItemKind.CURRENT: (e.Current, _scaled),
    ItemKind.FREQUENCY: (e.Frequency, _scaled),
    ItemKind.TEMPERATURE: (
        e.Temperature,
        lambda told: {"item_units": TemperatureUnit(told.unit or "celsius"), "si_scale_code": told.scale},
    ),
    ItemKind.CURRENCY: (e.Currency, _money(CurrencyItem.CURRENCY)),
    ItemKind.CURRENCY_PER_KW: (e.CurrencyPerKW, _money(CurrencyItem.PER_KW)),
    ItemKind.CURRENCY_PER_KWH: (e.CurrencyPerKWh, _money(CurrencyItem.PER_KWH)),
    ItemKind.CUSTOM: (
        e.CustomUnit,
        lambda told: {
            "item_description": told.description,
            "item_units": told.unit,
            "si_scale_code": told.scale,
        },
    ),
}
_NEEDED: Final = {
    ItemKind.CURRENCY: ("unit",),
    ItemKind.CURRENCY_PER_KW: ("unit",),
    ItemKind.CURRENCY_PER_KWH: ("unit",),
    ItemKind.CUSTOM: ("unit", "description"),
}


def item(told: SignalItem) -> Any:  # noqa: ANN401 - one of the structs of `elements.Item`
    """The element that says so.

    Raises:
        InvalidError: something is missing, or no unit of this kind.
    """
    for field in _NEEDED.get(told.kind, ()):
        if getattr(told, field) is None:
            raise InvalidError(f"{told.kind} needs one", path=f"SignalItem/{field}")
    kind, fields = _MADE[told.kind]
    try:
        return kind(**fields(told))
    except ValueError as error:
        raise InvalidError(f"not a unit of {told.kind}", path="SignalItem/unit", value=str(told.unit)) from error
