"""`flexhub replay`: whether the journal leads to what is stored."""

from __future__ import annotations

import tempfile
from pathlib import Path

import typer

from flexhub.app import terminal

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog=terminal.example("flexhub replay", "flexhub replay --config hub.toml --json"))
def replay(*, config: terminal.ConfigFile = terminal.HUB_TOML, as_json: terminal.AsJson = False) -> None:
    """Work a hub's journal again, in a store that is thrown away, and compare.

    Every answer, document, notice, open question and timer must come out as stored, byte by byte. The hub may go on
    meanwhile only if nothing new comes in. Exits with 1 if anything differs.
    """
    configured = terminal.configuration(config)
    from flexhub.adapters.store import open_store  # noqa: PLC0415 - a wrong configuration is told first
    from flexhub.app import wiring  # noqa: PLC0415 - as above
    from flexhub.app.hub import replay as replaying  # noqa: PLC0415 - as above
    from flexhub.app.hub.loop import office  # noqa: PLC0415 - as above

    engine = wiring.engine_of(configured)
    stored = open_store(configured.store.url)
    with tempfile.TemporaryDirectory(prefix="flexhub-replay-") as folder, terminal.progress(as_json=as_json) as watch:
        again = open_store(f"sqlite:///{Path(folder) / 'again.db'}")
        try:
            seen = replaying.replay(stored, again, office(*wiring.deciders(configured, engine), holder=""), watch)
        finally:
            again.close()
            stored.close()
    if as_json:
        terminal.json_line(
            {
                "same": not seen.differences,
                "messages": seen.messages,
                "documents": seen.documents,
                "notices": seen.notices,
                "differences": [d._asdict() for d in seen.differences],
            }
        )
    else:
        told = f"{seen.messages} messages, {seen.documents} documents, {seen.notices} notices"
        if not seen.differences:
            typer.echo(f"{told}: all as stored")
        for d in seen.differences:
            typer.echo(f"{d.what} {d.which}:\n  stored {d.stored}\n  again  {d.again}")
    if seen.differences:
        raise typer.Exit(1)
