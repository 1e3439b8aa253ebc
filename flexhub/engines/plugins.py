"""Finding engines: ours by the table below, everyone's through entry points of the slot's group.

A plugin's target is a class, or any callable, that gives an engine when called::

    [project.entry-points."flexhub.manager"]
    mine = "my_package.manager:MyManager"

It is called without arguments; that of a manager with ``party=``, the aggregator that its aggregates and bids are
issued by. That of a protocol is not called: it is the protocol itself (a `flexhub.protocols.registry.Protocol`); and so
is that of ``flexhub.uftp``: it is hooks by type of message (`flexhub.app.uftp.hooks`).
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Final, NamedTuple

from flexhub.core.errors import ConfigError, EngineError
from flexhub.engines.slots import (
    GROUPS,
    Baseline,
    DataProvider,
    Forecaster,
    Generator,
    ManagerEngine,
    MarketEngine,
    Notifier,
)

BUILT_IN: Final[dict[str, dict[str, str]]] = {
    "manager": {"reference": "flexhub.engines.reference.manager:ReferenceManager"},
    "market": {"pool": "flexhub.engines.reference.market:Pool"},
    "generator": {"ev": "flexhub.engines.reference.generator:EvGenerator"},
    "baseline": {
        "median": "flexhub.engines.reference.baseline:MedianOfLikeDays",
        "ten-in-ten": "flexhub.engines.reference.baseline:TenInTen",
    },
    "provider": {
        "like-days": "flexhub.engines.reference.forecaster:LikeDays",
        "series-file": "flexhub.adapters.providers.series_file:SeriesFile",
        "lines": "flexhub.adapters.providers.notices:NoticeLines",
    },
}
"""Slot -> name -> target. They are entry points of the distribution, too; here they work uninstalled as well."""

CONTRACTS: Final[dict[str, tuple[type, ...]]] = {
    "manager": (ManagerEngine,),
    "market": (MarketEngine,),
    "generator": (Generator,),
    "baseline": (Baseline,),
    "provider": (DataProvider, Forecaster, Notifier),
}
"""What an engine of a slot must be one of; protocols and hooks are described by their own rooms."""


PARTY: Final = "aggregator"
"""Whom a manager speaks for where nobody says."""


class Plugin(NamedTuple):
    """One found engine; `error` says why it cannot be used, empty where it can."""

    slot: str
    name: str
    target: str
    distribution: str
    error: str = ""


def _points(slot: str) -> list[EntryPoint]:
    """Entry points of a slot, each target once however often it is found (as a checkout beside an installation is)."""
    group = GROUPS[slot]
    found = [EntryPoint(name, target, group) for name, target in BUILT_IN.get(slot, {}).items()]
    found += entry_points(group=group)
    return sorted({(p.name, p.value): p for p in found}.values(), key=lambda p: (p.name, p.value))


def installed(slot: str | None = None) -> list[Plugin]:
    """All engines of a slot (or of all slots). One that fails to load is listed with its error, and stops no other."""
    plugins = []
    for of in GROUPS if slot is None else (slot,):
        for point in _points(of):
            error = ""
            try:
                load(of, point.name)
            except (ConfigError, EngineError) as failure:
                error = failure.message
            home = point.dist.name if point.dist is not None else "flexhub"
            plugins.append(Plugin(of, point.name, point.value, home, error))
    return plugins


def load(slot: str, name: str, *, party: str = PARTY) -> object:
    """A new engine; a manager issues its aggregates and bids as `party`.

    Raises:
        ConfigError: no such slot, no engine of this name, or two different ones.
        EngineError: it cannot be imported or made, or is not what the slot asks for.
    """
    if slot not in GROUPS:
        raise ConfigError(f"no such slot; allowed: {', '.join(GROUPS)}", path="plugins", value=slot)
    points = _points(slot)
    named = [p for p in points if p.name == name]
    path = f"plugins/{slot}/{name}"
    if not named:
        allowed = ", ".join(sorted({p.name for p in points})) or "none is installed"
        raise ConfigError(f"no {slot} is called {name!r}; allowed: {allowed}", path=path, value=name)
    if len(named) > 1:
        targets = " and ".join(p.value for p in named)
        raise ConfigError(f"{targets} have the same name", path=path, value=name)
    try:
        target = named[0].load()
        engine: object = target
        if slot in CONTRACTS:
            engine = target(party=party) if slot == "manager" else target()
    except Exception as error:
        raise EngineError(f"{named[0].value} cannot be used: {type(error).__name__}: {error}", path=path) from error
    contracts = CONTRACTS.get(slot, (object,))
    if not isinstance(engine, contracts):
        wanted = " or ".join(c.__name__ for c in contracts)
        raise EngineError(f"{named[0].value} is no {wanted}", path=path)
    return engine
