"""`flexhub run`: one process with what a configuration names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flexhub.app import terminal

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog=terminal.example("flexhub run hub.toml"))
def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The configuration, TOML.")],
    *,
    as_json: terminal.AsJson = False,
) -> None:
    """Run a hub until it is interrupted: the roles and endpoints that the configuration names.

    Says its address once it listens. On SIGHUP it reads its configuration again; SIGTERM stops it once what it has
    taken in is done, a second one at once.
    """
    config = terminal.configuration(file)
    from flexhub.app.config import load  # noqa: PLC0415 - as below
    from flexhub.app.wiring import Running, serve  # noqa: PLC0415 - a wrong configuration is told before the server loads

    def ready(hub: Running) -> None:
        roles = [str(role) for role in config.hub.roles]
        if as_json:
            terminal.json_line({"name": config.hub.name, "url": hub.url, "roles": roles})
        else:
            typer.echo(f"{config.hub.name} listens on {hub.url}")

    serve(config, ready=ready, reread=lambda: load(file))
