"""What the commands print: JSON lines, tables, and a bar for work that takes a while. Rich is imported when needed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import msgspec
import typer

from flexhub.core.watch import Watch, unseen

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from flexhub.adapters.store.interface import Store
    from flexhub.app.config import Config

T = TypeVar("T")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
"""The option that every command has."""

File = Annotated[Path, typer.Argument(metavar="FILE", help="The file; - reads from stdin.")]
"""The file that a command reads with `read`."""

MOST_BYTES: Final = 1 << 28
"""More than any message may have; what has no end, such as /dev/zero, is not read for ever."""

PATIENCE_S: Final = 1.0
"""Work longer than this shows a bar."""


def read(file: Path) -> bytes:
    """The bytes of a file, or of stdin for "-", `MOST_BYTES` at most. A file that can't be read is wrong usage."""
    if str(file) == "-":
        return sys.stdin.buffer.read(MOST_BYTES)
    try:
        with file.open("rb") as opened:
            return opened.read(MOST_BYTES)
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="FILE") from error


def configuration(file: Path) -> Config:
    """The configuration in a file. A file that can't be read is wrong usage; ConfigError says what is wrong in it."""
    from flexhub.app.config import load  # noqa: PLC0415 - only commands that work on a hub need it

    try:
        return load(file)
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="FILE") from error


@contextmanager
def store(config: Path) -> Iterator[Store]:
    """The store of the hub that this file configures."""
    from flexhub.adapters.store import open_store  # noqa: PLC0415 - only commands that work on a store need it

    opened = open_store(configuration(config).store.url)
    try:
        yield opened
    finally:
        opened.close()


def example(*lines: str) -> str:
    """The epilog of a command's help."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def json_line(value: object, *, err: bool = False) -> None:
    """Print a value as one line of JSON."""
    typer.echo(msgspec.json.encode(value).decode(), err=err)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None) -> None:
    """Print rows under their columns; numbers, which end in a digit's column, are aligned to the right."""
    from rich.console import Console  # noqa: PLC0415 - rich takes longer to import than most commands to run
    from rich.table import Table  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    cells = [list(row) for row in rows]
    out = Table(
        title=title, title_justify="left", box=None, header_style="bold", pad_edge=False, show_header=any(columns)
    )
    for i, name in enumerate(columns):
        numeric = bool(cells) and all(_is_number(row[i]) for row in cells)
        out.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        out.add_row(*(Text(cell) for cell in row))
    # A pipe has no width: lines are then as long as they need to be.
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 200, highlight=False).print(out)


def _is_number(text: str) -> bool:
    return not text or text == "-" or text.lstrip("+-").replace(".", "", 1).isdigit()


@contextmanager
def progress(*, as_json: bool) -> Iterator[Watch]:
    """What shows a bar on stderr once the work within has taken over a second.

    No bar where stderr is no terminal, or with --json.
    """
    if as_json or not sys.stderr.isatty():
        yield unseen
        return
    bar = _Bar()
    try:
        yield bar.watch
    finally:
        bar.stop()


class _Bar:
    """A bar for each kind of work; stopped, it leaves nothing behind."""

    def __init__(self) -> None:
        self._started = monotonic()
        self._shown: Progress | None = None

    def watch(self, items: Iterable[T], label: str) -> Iterator[T]:
        """The items, and how many of them are done."""
        total = len(items) if isinstance(items, Sized) else None
        task: TaskID | None = None
        for done, item in enumerate(items, 1):
            yield item
            if self._shown is None:
                if monotonic() - self._started <= PATIENCE_S:
                    continue
                self._shown = self._show()
            if task is None:
                task = self._shown.add_task(label, total=total)
            self._shown.update(task, completed=done)

    @staticmethod
    def _show() -> Progress:
        from rich.console import Console  # noqa: PLC0415 - as in table()
        from rich.progress import Progress  # noqa: PLC0415 - as in table()

        bar = Progress(console=Console(stderr=True), transient=True)
        bar.start()
        return bar

    def stop(self) -> None:
        """Take it away."""
        if self._shown is not None:
            self._shown.stop()


HUB_TOML: Final = Path("hub.toml")
"""What the configuration is called unless told."""

ConfigFile = Annotated[Path, typer.Option("--config", "-c", metavar="FILE", help="The hub's configuration.")]
"""The option of commands that work on a hub's store."""
