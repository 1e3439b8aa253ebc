"""The public names of `flexhub.core`: each is the thing itself, and none is loaded before it is asked for."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

import flexhub.core
from tests.conftest import ROOT

HEAVY = ("numpy", "highspy", "sqlalchemy", "aiohttp", "msgspec", "rich", "asyncio")


def loaded(script: str) -> list[str]:
    """What of HEAVY, and of flexhub, is loaded after the script."""
    told = f"{script}; import sys; print(*[m for m in sys.modules if m in {HEAVY!r} or m.startswith('flexhub.core.')])"
    done = subprocess.run([sys.executable, "-c", told], cwd=ROOT, capture_output=True, check=True, text=True)
    return done.stdout.splitlines()[-1].split()


def test_importing_the_room_loads_nothing() -> None:
    assert loaded("import flexhub.core") == []


def test_a_name_loads_what_it_needs_and_neither_solver_nor_server() -> None:
    found = loaded("from flexhub.core import FlexOffer, Schedule, violations, decode, encode, InvalidError")
    assert "flexhub.core.judge" in found
    assert set(found) & set(HEAVY) == {"msgspec"}


def test_every_public_name_is_the_one_of_its_home() -> None:
    homes = {name: module for module, names in flexhub.core.HOMES.items() for name in names}
    assert sorted(flexhub.core.__all__) == sorted(homes)
    for name, module in homes.items():
        assert getattr(flexhub.core, name) is getattr(import_module(f"flexhub.core.{module}"), name)
    assert set(homes) <= set(dir(flexhub.core))


def test_no_other_name_is_there() -> None:
    with pytest.raises(AttributeError, match="'nonsense'"):
        flexhub.core.nonsense  # type: ignore[attr-defined] # noqa: B018 - asking is what fails
