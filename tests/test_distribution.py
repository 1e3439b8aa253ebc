"""What is installed is what is in the tree."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version

import pytest

from tests.architecture.test_tree import tracked
from tests.conftest import ROOT, need


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.Path:
    """A wheel built from a copy of the tree, without a network."""
    need(int(version("setuptools").split(".")[0]) >= 77, "setuptools 77 or later, to build a wheel")
    copy, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for file in tracked():
        name = file.relative_to(ROOT)
        if name.parts[0] in ("flexhub", "pyproject.toml", "README.md", "LICENSE"):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, copy / name)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", out, copy],
        check=True,
        capture_output=True,
    )
    (built,) = out.glob("*.whl")
    return zipfile.Path(built)


def test_the_wheel_holds_every_file_of_the_package(wheel: zipfile.Path) -> None:
    held = set(wheel.root.namelist())
    missing = [
        str(name)
        for file in tracked()
        if (name := file.relative_to(ROOT)).parts[0] == "flexhub" and name.as_posix() not in held
    ]
    assert missing == []
    assert not [name for name in held if not name.startswith(("flexhub/", "flexhub-"))]


def test_the_wheel_is_typed_licensed_and_has_the_program(wheel: zipfile.Path) -> None:
    held = wheel.root.namelist()
    assert "flexhub/py.typed" in held
    assert any(name.endswith("licenses/LICENSE") for name in held)
    (entry_points,) = (name for name in held if name.endswith("entry_points.txt"))
    assert b"flexhub = flexhub.app.cli:main" in wheel.root.read(entry_points)


def test_every_pin_is_shared_by_the_program_and_its_tools() -> None:
    def pins(name: str) -> set[str]:
        lines = (ROOT / "requirements" / name).read_text("utf-8").splitlines()
        return {line.partition(" ;")[0] for line in lines}

    assert pins("run.txt") <= pins("dev.txt")


def test_the_program_does_not_fetch_the_compiler_that_it_does_without() -> None:
    run, dev = ((ROOT / "requirements" / name).read_text("utf-8") for name in ("run.txt", "dev.txt"))
    assert "numba==" in dev
    assert "numba" not in run
    assert "llvmlite" not in run


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    pinned = {line.split("==")[0] for line in (ROOT / "requirements" / "dev.txt").read_text("utf-8").splitlines()}
    groups = project["dependency-groups"]
    wanted = [
        *project["project"]["dependencies"],
        *(one for extra in project["project"]["optional-dependencies"].values() for one in extra),
        *groups["test"],
        *groups["lint"],
        *groups["docs"],
    ]
    names = {one.split(">")[0].split("[")[0].split(";")[0].strip() for one in wanted}
    assert names <= pinned
