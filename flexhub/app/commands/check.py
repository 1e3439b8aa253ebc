"""`flexhub check`: whether a configuration is one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flexhub.app import terminal
from flexhub.core.errors import ConfigError

if TYPE_CHECKING:
    from flexhub.app.config import Config

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog=terminal.example("flexhub check hub.toml"))
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The configuration, TOML.")],
    *,
    as_json: terminal.AsJson = False,
) -> None:
    """Validate a configuration: says the line, the key and what is allowed.

    Environment variables such as FLEXHUB__STORE__URL go before the file. Exits with 1 if something is wrong.
    """
    try:
        found = terminal.configuration(file)
        _try(found)
    except ConfigError as error:
        if not as_json:
            typer.echo(str(error), err=True)
        else:
            terminal.json_line({"ok": False, "path": error.path, "message": error.message, "value": error.value})
        raise typer.Exit(1) from error
    roles = [str(role) for role in found.hub.roles]
    if as_json:
        terminal.json_line({"ok": True, "name": found.hub.name, "listen": found.hub.listen, "roles": roles})
    else:
        typer.echo(f"{file} is fine: {found.hub.name} serves {', '.join(roles)} on {found.hub.listen}")


def _try(config: Config) -> None:
    """What a hub would find wrong when it starts: the store's address, the engine, the certificate."""
    from flexhub.adapters.store import check_url  # noqa: PLC0415 - a key that is wrong is told before the hub loads
    from flexhub.app.serving import issuer_of, tls_context  # noqa: PLC0415 - as above
    from flexhub.app.wiring import engine_of, market_of  # noqa: PLC0415 - as above

    check_url(config.store.url)
    engine_of(config)
    market_of(config)
    tls_context(config)
    issuer_of(config.oauth)
