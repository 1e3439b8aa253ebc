"""`flexhub validate`: which standard, which message, and every rule that it breaks."""

from __future__ import annotations

import typer

from flexhub.app import terminal
from flexhub.app.convert import recognise
from flexhub.app.convert import validate as findings_of
from flexhub.core.errors import FlexhubError

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog=terminal.example("flexhub validate offer.json"))
def validate(file: terminal.File, *, as_json: terminal.AsJson = False) -> None:
    """Judge a message by its own rules: prints a JSON line for each finding, with rule, clause, path and message.

    Says on stderr which standard and message it is. Exits with 1 if there is a finding. With --json, one object goes to
    stdout instead.
    """
    data = terminal.read(file)
    with terminal.progress(as_json=as_json) as watch:
        findings = findings_of(data, watch)
    try:
        known = recognise(data)
    except FlexhubError:
        known = None
    if as_json:
        protocol, message = (known.protocol, known.message) if known else (None, None)
        terminal.json_line({"protocol": protocol, "message": message, "findings": findings})
    else:
        if known is not None:
            many = f" ({known.offers})" if known.offers != 1 else ""
            typer.echo(f"{known.protocol}: {known.message}{many}, {len(findings) or 'no'} findings", err=True)
        for finding in findings:
            terminal.json_line(finding)
    if findings:
        raise typer.Exit(1)
