"""What all commands have in common."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest
import typer
from typer.testing import CliRunner

from flexhub.app import cli
from flexhub.core.errors import ConfigError, InvalidError, NotFoundError
from tests.app.cli.conftest import Program
from tests.conftest import ROOT

COMMANDS = sorted(cli.COMMANDS)


def leaves() -> list[tuple[str, ...]]:
    """Every command and sub-command, as it is typed."""
    found: list[tuple[str, ...]] = []
    for name in COMMANDS:
        command = typer.main.get_command(import_module(f"flexhub.app.commands.{name}").app)
        below = getattr(command, "commands", None)
        found += [(name, sub) for sub in below] if below else [(name,)]
    return found


def test_help_lists_every_command_and_exits_with_0(flexhub: Program) -> None:
    ran = flexhub("--help")
    assert (ran.code, ran.err) == (0, "")
    for name, text in cli.COMMANDS.items():
        assert f"  {name} " in ran.out
        assert text.split()[0] in ran.out


def test_every_module_of_a_command_is_in_the_table() -> None:
    files = (ROOT / "flexhub" / "app" / "commands").glob("*.py")
    assert {f.stem for f in files if not f.stem.startswith("_")} == set(COMMANDS)


@pytest.mark.parametrize("command", leaves(), ids=" ".join)
def test_every_command_has_help_with_an_example_and_json(command: tuple[str, ...]) -> None:
    ran = CliRunner().invoke(cli.app, [*command, "--help"], prog_name="flexhub", env={"COLUMNS": "100"})
    assert ran.exit_code == 0
    assert f"flexhub {' '.join(command)}" in ran.output.partition("Example:")[2]
    assert "--json" in ran.output


def test_version(flexhub: Program) -> None:
    ran = flexhub("--version")
    assert ran.code == 0
    assert ran.out.startswith("flexhub ")


def test_the_package_is_the_program() -> None:
    ran = subprocess.run([sys.executable, "-m", "flexhub", "--version"], cwd=ROOT, capture_output=True, check=False)
    assert ran.returncode == 0
    assert ran.stdout.startswith(b"flexhub ")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("sho",), "Did you mean 'show'?"),
        (("--nonsense",), "No such option"),
        (("show",), "Missing argument"),
        (("show", "absent.json"), "absent.json: No such file"),
        (("show", "--nonsense", "x"), "No such option"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_why_on_stderr(
    flexhub: Program, arguments: tuple[str, ...], says: str
) -> None:
    ran = flexhub(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err


def test_help_imports_neither_the_engines_nor_the_server_nor_rich() -> None:
    script = (
        "import sys; from flexhub.app import cli; cli.run(['--help']); "
        "print([m for m in ('numpy', 'highspy', 'aiohttp', 'sqlalchemy', 'rich', 'asyncio') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("error", "sentence", "code"),
    [
        (InvalidError("too much", path="X/y", clause="V1"), "X/y: too much [V1]", 1),
        (NotFoundError("no such offer"), "no such offer", 1),
        (ConfigError("unknown key", path="hub.toml/x"), "hub.toml/x: unknown key", 2),
        (FileNotFoundError(2, "No such file or directory", "a.toml"), "a.toml: No such file or directory", 1),
        (ModuleNotFoundError("x", name="jinja2"), "this needs the package 'jinja2', which is not installed", 2),
        (ZeroDivisionError("oops"), "a fault of flexhub: ZeroDivisionError: oops (FLEXHUB_DEBUG=1 shows where)", 70),
    ],
)
def test_an_error_is_one_sentence_and_an_exit_code(error: Exception, sentence: str, code: int) -> None:
    assert cli.explain(error) == (sentence, code)
