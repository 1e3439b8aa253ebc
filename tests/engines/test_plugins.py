"""Plugins: found by entry points, each once; a broken one is told and stops no other."""

from __future__ import annotations

import tomllib
from importlib.metadata import EntryPoint

import pytest

from flexhub.core.errors import ConfigError, EngineError
from flexhub.engines import plugins
from flexhub.engines.reference.manager import ReferenceManager
from flexhub.engines.slots import GROUPS
from flexhub.protocols.registry import GROUP, PROTOCOLS, protocol
from tests.conftest import ROOT

OURS = "flexhub.engines.reference.manager:ReferenceManager"


PROTOCOL = "flexhub.protocols.flexoffer.protocol:PROTOCOL"


def found(monkeypatch: pytest.MonkeyPatch, *points: tuple[str, str], slot: str = "manager") -> None:
    """Entry points as other installed distributions would declare them."""
    everyone = [EntryPoint(name, target, GROUPS[slot]) for name, target in points]
    monkeypatch.setattr(plugins, "entry_points", lambda group: [p for p in everyone if p.group == group])


def test_the_table_is_what_the_distribution_declares() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]
    assert {GROUPS[slot]: named for slot, named in plugins.BUILT_IN.items()} == {
        group: named for group, named in declared.items() if group in {GROUPS[s] for s in plugins.BUILT_IN}
    }


def test_ours_load_without_errors() -> None:
    assert [p for p in plugins.installed() if p.distribution == "flexhub" and p.error] == []
    assert isinstance(plugins.load("manager", "reference"), ReferenceManager)


def test_the_same_found_twice_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, ("reference", OURS), ("reference", OURS))
    assert [p.name for p in plugins.installed("manager")] == ["reference"]


def test_two_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, ("reference", "builtins:dict"))
    with pytest.raises(ConfigError, match="same name"):
        plugins.load("manager", "reference")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("no.such.module:X", "ModuleNotFoundError"),
        ("math:nothing", "AttributeError"),
        ("builtins:dict", "no ManagerEngine"),
    ],
)
def test_a_broken_plugin_is_told_and_stops_no_other(monkeypatch: pytest.MonkeyPatch, target: str, reason: str) -> None:
    found(monkeypatch, ("broken", target), ("another", OURS))
    errors = {p.name: p.error for p in plugins.installed("manager")}
    assert errors["another"] == errors["reference"] == ""
    assert reason in errors["broken"]
    with pytest.raises(EngineError, match=reason):
        plugins.load("manager", "broken")
    assert isinstance(plugins.load("manager", "another"), ReferenceManager)


def test_a_manager_is_told_whom_it_speaks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, ("another", OURS), ("anonymous", "tests.engines.test_plugins:Anonymous"))
    for name in ("reference", "another"):
        engine = plugins.load("manager", name, party="agr")
        assert isinstance(engine, ReferenceManager)
        assert engine.party == "agr"
    with pytest.raises(EngineError, match="TypeError"):
        plugins.load("manager", "anonymous", party="agr")


class Anonymous(ReferenceManager):
    """Takes no party, so that nobody knew whose aggregates and bids these are."""

    def __init__(self) -> None:
        super().__init__()


def test_a_protocol_is_an_object_and_needs_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, ("flexoffer", PROTOCOL), ("broken", "math:nothing"), slot="protocol")
    assert plugins.load("protocol", "flexoffer") is protocol("flexoffer")
    assert {p.name for p in plugins.installed("protocol") if p.error} == {"broken"}


def test_the_distribution_declares_every_protocol() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]
    assert declared[GROUP] == {name: f"{module}:PROTOCOL" for name, module in PROTOCOLS.items()}
    assert GROUPS["protocol"] == GROUP


def test_says_which_names_there_are() -> None:
    with pytest.raises(ConfigError, match=r"allowed: .*reference"):
        plugins.load("manager", "nonesuch")
    with pytest.raises(ConfigError, match="allowed: manager"):
        plugins.load("nonesuch", "reference")
