"""`flexhub conformance`: suites that judge our own endpoint or anyone's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from flexhub.app import terminal
from flexhub.app.suites import transports
from flexhub.conformance import registry, reporters
from flexhub.conformance.suite import Report, Suite, self_check
from flexhub.conformance.suite import run as judge
from flexhub.core.watch import Watch

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)


@app.callback()
def conformance() -> None:
    """Judge an endpoint, ours or anyone's, requirement by requirement."""


@app.command("list", epilog=terminal.example("flexhub conformance list"))
def list_(*, as_json: terminal.AsJson = False) -> None:
    """List the suites."""
    suites = [registry.suite(name) for name in registry.names()]
    if as_json:
        terminal.json_line(
            [
                {"suite": s.name, "title": s.title, "requirements": len(s.requirements), "cases": len(s.cases)}
                for s in suites
            ]
        )
    else:
        terminal.table(
            ("suite", "requirements", "cases", "what it judges"),
            [(s.name, str(len(s.requirements)), str(len(s.cases)), s.title) for s in suites],
        )


@app.command(
    epilog=terminal.example(
        "flexhub conformance run mapping",
        "flexhub conformance run mapping --junit m.xml",
        "flexhub conformance run uftp --role agr",
    )
)
def run(  # noqa: PLR0913 - one argument per option
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="The suite; `flexhub conformance list` names them.")],
    *,
    target: Annotated[str | None, typer.Option(metavar="URL", help="Whom to judge; ourselves if not given.")] = None,
    tokens: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="TOML: [one] and [other], each party and token of a prosumer at the target."),
    ] = None,
    role: Annotated[
        str | None, typer.Option(metavar="ROLE", help="Of suite uftp: the target's role, agr, dso or cro.")
    ] = None,
    market: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Of suite uftp, TOML: the target, and as whom the suite speaks, with keys; of openadr2b-ven: where "
            "the VEN polls.",
        ),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Of suite uftp: a message posted there, as JSON, the target sends as its own."
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--self-check", help="Judge the suite instead: does it notice each requirement?")
    ] = False,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML, too.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page, too.")] = None,
    as_json: terminal.AsJson = False,
) -> None:
    """Run a suite and print what came of each case. Exits with 1 if one failed."""
    if suite == "uftp" and role is None:
        raise typer.BadParameter("suite uftp judges an endpoint in one role: agr, dso or cro", param_hint="--role")
    known = registry.suite(suite if role is None else f"{suite}-{role.lower()}")
    if known.role:
        if market is None and (target or prompt) and suite != "openadr2b-vtn":
            raise typer.BadParameter("--target and --prompt need a --market", param_hint="--market")
    elif known.endpoint and (target is None) != (tokens is None):
        raise typer.BadParameter("--target and --tokens go together", param_hint="--target")
    name = target or ("flexhub" if market is None else str(market))
    reach = partial(transports, known, target, tokens, market, prompt)
    if check:
        with terminal.progress(as_json=as_json) as watch:
            problems = asyncio.run(_self_check(known, target, reach, watch))
        if as_json:
            terminal.json_line({"suite": known.name, "problems": problems})
        else:
            typer.echo("\n".join(problems) or f"{known.name}: every requirement is noticed by exactly its own cases")
        raise typer.Exit(1 if problems else 0)
    with terminal.progress(as_json=as_json) as watch:
        report = asyncio.run(_judge(known, name, target, reach, watch))
    typer.echo(reporters.to_json(report) if as_json else reporters.table(report), nl=False)
    for file, text in ((junit, reporters.junit), (html, reporters.html)):
        if file is not None:
            file.write_text(text(report), encoding="utf-8")
    if report.failed:
        raise typer.Exit(1)


Reach: TypeAlias = Callable[[], AbstractAsyncContextManager[Callable[[], dict[str, Any]]]]


async def _judge(chosen: Suite[Any], name: str, target: str | None, reach: Reach, watch: Watch) -> Report:
    async with reach() as carried:
        return await judge(chosen, chosen.connect(target, carried()), name, watch)


async def _self_check(chosen: Suite[Any], target: str | None, reach: Reach, watch: Watch) -> list[str]:
    async with reach() as carried:
        return await self_check(chosen, lambda: chosen.connect(target, carried()), watch)
