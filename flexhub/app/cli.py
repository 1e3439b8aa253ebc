"""The command line. A command's module is imported when that command is called, so that `flexhub --help` is quick.

Exit codes: 0 done, 1 the answer is no, 2 wrong usage; 70 is a fault of flexhub itself, 130 an interruption.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from flexhub.core.errors import ConfigError, FlexhubError

COMMANDS: Final[dict[str, str]] = {
    # command       what it does, in the words of `flexhub --help`; its module is flexhub.app.commands.<command>
    "run":          "Run a hub until it is interrupted.",
    "demo":         "Play a day of electric-vehicle charging, from flex-offers to bills.",
    "check":        "Validate a configuration.",
    "keys":         "Make, list and revoke the tokens of participants.",
    "uftp":         "Send a message to a UFTP participant, or look one up.",
    "vtn":          "Run programs, events and reports of a VTN of OpenADR 2.0b.",
    "ven":          "List events of VTNs that the hub is a VEN of, and opt in or out.",
    "certs":        "Make certificates for development.",
    "audit":        "Show and verify the log of who did what.",
    "db":           "Look after the store: its tables, copies of it, and the way back.",
    "replay":       "Work a hub's journal again and compare what comes of it.",
    "convert":      "Write a message as another; every loss is told.",
    "validate":     "Name every rule that a message breaks.",
    "aggregate":    "Merge flex-offers into few, and tell what that loses.",
    "disaggregate": "Split schedules of aggregates into those of their members.",
    "measure":      "Tell how much flexibility offers hold.",
    "conformance":  "Judge an endpoint, ours or anyone's, by a suite.",
    "plugins":      "List the engines that are installed.",
    "show":         "Print a flex-offer as a readable table.",
}  # fmt: skip

EPILOG: Final = """\b
Example:
  flexhub show offer.json

Exit codes: 0 done, 1 the answer is no, 2 wrong usage. `flexhub COMMAND --help` tells more."""

DONE: Final = 0
NO: Final = 1
USAGE: Final = 2
FAULT: Final = 70


class LazyGroup(TyperGroup):
    """A group that knows its commands by name and imports one when it is asked for.

    Contexts and commands are typer's own; they are Any here since typer keeps their classes private.
    """

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401 - passed on to typer
        super().__init__(**attributes)
        self.commands: Any = dict.fromkeys(COMMANDS)  # the names alone, for "did you mean"

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401, ARG002 - typer keeps its classes private
        """The command, imported now; None where there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        command = typer.main.get_command(import_module(f"flexhub.app.commands.{cmd_name}").app)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002 - as above
        """The list of commands in the help, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, add_completion=False, rich_markup_mode=None, epilog=EPILOG)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"flexhub {version('flexhub')}")
        raise typer.Exit


@app.callback()
def flexhub(
    *,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Every dialect of demand flexibility into one flex-offer, and back."""


def explain(error: BaseException) -> tuple[str, int]:
    """One sentence about an error, and the exit code that it stands for."""
    if isinstance(error, ConfigError):
        return str(error), USAGE
    if isinstance(error, FlexhubError):
        return str(error), NO
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}", NO
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("flexhub"):
        return f"this needs the package {error.name!r}, which is not installed", USAGE
    kind = type(error).__name__
    return f"a fault of flexhub: {kind}: {error} (FLEXHUB_DEBUG=1 shows where)", FAULT


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code; errors are one sentence on stderr."""
    try:
        app(args=list(arguments), prog_name="flexhub")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else NO if end.code else DONE
    except Exception as error:
        if os.environ.get("FLEXHUB_DEBUG"):
            raise
        sentence, code = explain(error)
        typer.echo(f"flexhub: {' '.join(sentence.split())}", err=True)
        return code
    return DONE


def main() -> None:
    """Entry point of the `flexhub` program."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
