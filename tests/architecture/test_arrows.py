"""The direction of dependencies, as drawn in docs/architecture.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture.arrows import ARROWS, Import, against, imports, modules
from tests.conftest import ROOT


def test_no_import_runs_against_the_arrows() -> None:
    assert against(ROOT) == []


def test_every_room_of_the_table_is_there() -> None:
    assert {name.split(".")[1] for name, _ in modules(ROOT) if "." in name} == set(ARROWS)


@pytest.mark.parametrize(
    ("room", "good", "bad"),
    [
        ("core", "from flexhub.core.units import money", "from flexhub.protocols import wire"),
        ("core", "import msgspec", "import flexhub.app"),
        ("core", "from .units import money", "from ..engines import slots"),
        ("core", "from . import units", "from .. import app"),
        ("protocols", "from flexhub.core.errors import InvalidError", "from flexhub.core.flexoffer import FlexOffer"),
        ("protocols", "from flexhub.core import units", "from flexhub.core import judge"),
        ("mappings", "from flexhub.protocols import wire", "from flexhub.engines.slots import Plan"),
        ("engines", "from flexhub.core.judge import violations", "from flexhub.adapters import store"),
        ("adapters", "from flexhub.core.documents import encode", "from flexhub.mappings import flexoffer"),
        ("adapters", "import flexhub.core", "import flexhub.coreutils"),
        ("conformance", "from flexhub.mappings import flexoffer", "from flexhub.app import config"),
        ("app", "from flexhub.adapters import store", "import flexhub"),
        ("core", "def f():\n    from flexhub.core import units", "def f():\n    from flexhub.engines import slots"),
        ("core", "if TYPE_CHECKING:\n    import flexhub.core", "if TYPE_CHECKING:\n    import flexhub.engines"),
        ("core", "import_module('json')", "importlib.import_module('flexhub.app.cli')"),
    ],
)
def test_an_import_against_the_arrows_is_caught_and_its_twin_passes(
    tmp_path: Path, room: str, good: str, bad: str
) -> None:
    package = tmp_path / "flexhub"
    (package / room).mkdir(parents=True)
    (package / "__init__.py").write_text("")
    module = package / room / "thing.py"
    module.write_text(good)
    assert against(tmp_path) == []
    module.write_text(bad)
    assert len(against(tmp_path)) == 1


def test_a_room_without_a_row_is_caught(tmp_path: Path) -> None:
    (tmp_path / "flexhub" / "cellar").mkdir(parents=True)
    (tmp_path / "flexhub" / "cellar" / "__init__.py").write_text("")
    assert against(tmp_path) == ["flexhub.cellar: no row for this room in the table of arrows"]


def test_relative_imports_of_a_package_start_at_the_package() -> None:
    found = list(imports("flexhub.core", "from .units import money", is_package=True))
    assert found == [Import("flexhub.core", 1, "flexhub.core.units.money")]
