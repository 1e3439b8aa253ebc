"""`flexhub db`: the store's tables."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from flexhub.adapters.store import backup as copying
from flexhub.adapters.store import without_password
from flexhub.adapters.store.migrate import current, upgrade
from flexhub.app import terminal
from flexhub.core.errors import ForbiddenError

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)


@app.callback()
def db() -> None:
    """Look after the store: its tables, copies of it, and the way back."""


def _tell(url: str, *, as_json: bool) -> bool:
    here, newest = current(url)
    url = without_password(url)
    if as_json:
        terminal.json_line({"store": url, "revision": here, "newest": newest})
    else:
        typer.echo(f"{url}: {here or 'no tables'}" + ("" if here == newest else f", newest is {newest}"))
    return here == newest


@app.command("upgrade", epilog=terminal.example("flexhub db upgrade"))
def upgrade_(*, config: terminal.ConfigFile = terminal.HUB_TOML, as_json: terminal.AsJson = False) -> None:
    """Bring the tables to the newest shape; makes them where there are none. A hub does so by itself when it starts."""
    url = terminal.configuration(config).store.url
    upgrade(url)
    _tell(url, as_json=as_json)


@app.command(epilog=terminal.example("flexhub db backup hub-$(date +%F).db"))
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The copy; there must be no such file yet.")],
    *,
    config: terminal.ConfigFile = terminal.HUB_TOML,
    as_json: terminal.AsJson = False,
) -> None:
    """Copy the store while the hub runs: one consistent state, checked page by page.

    Of PostgreSQL, pg_dump makes the copy.
    """
    copying.backup(terminal.configuration(config).store.url, file)
    if as_json:
        terminal.json_line({"file": str(file), "bytes": file.stat().st_size})
    else:
        typer.echo(f"{file}: {file.stat().st_size:,} bytes")


@app.command(epilog=terminal.example("flexhub db restore hub-2026-03-01.db"))
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A copy that `flexhub db backup` made.")],
    *,
    replace: Annotated[bool, typer.Option(help="Put it in the place of a store that is there.")] = False,
    config: terminal.ConfigFile = terminal.HUB_TOML,
    as_json: terminal.AsJson = False,
) -> None:
    """Make a copy the store; a file that it replaces stays beside it, *.replaced. A store in use is not touched."""
    url = terminal.configuration(config).store.url
    copying.restore(url, file, replace=replace)
    _tell(url, as_json=as_json)


@app.command(epilog=terminal.example("flexhub db export --party anna > anna.json"))
def export(
    party: Annotated[str, typer.Option(metavar="ID", help="Whose data.")],
    *,
    config: terminal.ConfigFile = terminal.HUB_TOML,
    as_json: terminal.AsJson = False,
) -> None:
    """Print all that is stored about a party, as one JSON object with an index. The hub may run meanwhile.

    With --json it stands on one line, else each thing on its own.
    """
    from flexhub.app import export as exporting  # noqa: PLC0415 - only what is needed is loaded

    with terminal.store(config) as store:
        for piece in exporting.export(store, party, datetime.now(UTC), lines=not as_json):
            typer.echo(piece, nl=False)
    if as_json:
        typer.echo()


@app.command(epilog=terminal.example("flexhub db erase --party anna"))
def erase(
    *,
    party: Annotated[str | None, typer.Option(metavar="ID", help="Who is erased.")] = None,
    config: terminal.ConfigFile = terminal.HUB_TOML,
    as_json: terminal.AsJson = False,
) -> None:
    """Erase a prosumer from the store, and accounts that were kept long enough (without --party: only these).

    The hub must not run meanwhile. Flex-offers that are still going on have to be canceled before.
    """
    from flexhub.app import erasure  # noqa: PLC0415 - only what is needed is loaded

    configured, now = terminal.configuration(config), datetime.now(UTC)
    if party is None:
        forgotten = erasure.forget(configured.store.url, now)
        if as_json:
            terminal.json_line({"forgotten": forgotten})
        else:
            typer.echo(f"{forgotten} accounts were kept long enough")
        return
    if party == configured.hub.name or any(party == one.id for one in configured.party):
        raise ForbiddenError("it is in the configuration, and would be back with the next start", path=str(config))
    name = f"erased-{uuid.uuid4().hex}"
    done = erasure.erase(configured.store.url, party, name, now, configured.retention.accounts_years)
    if as_json:
        terminal.json_line(done)
        return
    typer.echo(f"{done.documents} documents, {done.messages} messages, {done.notices} notices, {done.tokens} tokens")
    if done.until is not None:
        typer.echo(f"kept apart until {done.until:%F}: {done.accounts} documents")
    for reason in done.kept:
        typer.echo(f"kept: {reason}")


@app.command(epilog=terminal.example("flexhub db trim"))
def trim(*, config: terminal.ConfigFile = terminal.HUB_TOML, as_json: terminal.AsJson = False) -> None:
    """Take away what is older than [retention] in the configuration says, and make the store's files smaller.

    A running hub does the first by itself; for the second it must not run meanwhile.
    """
    from flexhub.adapters.store.erasing import alone  # noqa: PLC0415 - only what is needed is loaded
    from flexhub.app import retention  # noqa: PLC0415 - as above

    configured = terminal.configuration(config)
    url = configured.store.url
    with alone(url, compact=False):
        pass  # whoever has it open is told before anything is done
    with terminal.store(config) as store:
        done = retention.trim(store, configured.retention, datetime.now(UTC), pause=lambda _: None)
    with alone(url):
        pass  # writes the files anew
    if as_json:
        terminal.json_line(done)
    else:
        typer.echo(f"{done.documents} documents, {done.messages} messages, {done.notices} notices")


@app.command("current", epilog=terminal.example("flexhub db current"))
def current_(*, config: terminal.ConfigFile = terminal.HUB_TOML, as_json: terminal.AsJson = False) -> None:
    """Print the tables' revision. Exits with 1 if it isn't the newest."""
    if not _tell(terminal.configuration(config).store.url, as_json=as_json):
        raise typer.Exit(1)
