"""`flexhub db`: the store's tables."""

from __future__ import annotations

from pathlib import Path

import typer

from flexhub.adapters.store import without_password
from flexhub.adapters.store.migrate import current, upgrade
from flexhub.app import terminal

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)

HUB_TOML = Path("hub.toml")


@app.callback()
def db() -> None:
    """Look after the store's tables."""


def _tell(url: str, *, as_json: bool) -> bool:
    here, newest = current(url)
    url = without_password(url)
    if as_json:
        terminal.json_line({"store": url, "revision": here, "newest": newest})
    else:
        typer.echo(f"{url}: {here or 'no tables'}" + ("" if here == newest else f", newest is {newest}"))
    return here == newest


@app.command("upgrade", epilog=terminal.example("flexhub db upgrade"))
def upgrade_(*, config: terminal.ConfigFile = HUB_TOML, as_json: terminal.AsJson = False) -> None:
    """Bring the tables to the newest shape; makes them where there are none. A hub does so by itself when it starts."""
    url = terminal.configuration(config).store.url
    upgrade(url)
    _tell(url, as_json=as_json)


@app.command("current", epilog=terminal.example("flexhub db current"))
def current_(*, config: terminal.ConfigFile = HUB_TOML, as_json: terminal.AsJson = False) -> None:
    """Print the tables' revision. Exits with 1 if it isn't the newest."""
    if not _tell(terminal.configuration(config).store.url, as_json=as_json):
        raise typer.Exit(1)
