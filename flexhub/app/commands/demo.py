"""`flexhub demo`: a day of electric-vehicle charging, from flex-offers to bills."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import date, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final, NamedTuple, Self
from zoneinfo import ZoneInfo

import msgspec
import typer

from flexhub.app import terminal
from flexhub.app.agent.charger import Behaviour
from flexhub.app.config import (
    Config,
    EnergyPrice,
    HubSection,
    PlanSection,
    SettleSection,
    StoreSection,
    TradeSection,
    host_port,
)
from flexhub.app.demo import openadr
from flexhub.app.demo.apart import LOOPBACK as HERE
from flexhub.app.demo.apart import apart, beside
from flexhub.app.demo.day import AGGREGATOR, DIRECT, MARGIN_EUR_PER_KWH, Clock, Day, Together
from flexhub.app.demo.expecting import Expected, ExpectingManager
from flexhub.app.demo.hub import Site
from flexhub.app.demo.processes import AgentProcess
from flexhub.app.demo.results import Result, dump
from flexhub.app.demo.scene import POWER_KW, Scene, set_scene
from flexhub.app.demo.trading import publish, section, told
from flexhub.app.pages import Settings
from flexhub.app.wiring import running
from flexhub.core.errors import ConfigError, InvalidError
from flexhub.core.flexoffer import FlexOffer
from flexhub.core.registry import Role
from flexhub.core.timegrid import TimeGrid
from flexhub.core.units import parse_quantity
from flexhub.engines.reference.manager import FLAT, ReferenceManager

app = typer.Typer(rich_markup_mode=None, add_completion=False)

BEFORE: Final = timedelta(hours=9)
"""So long before its day a demo begins."""

LISTEN: Final = "127.0.0.1:8080"
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


@app.command(
    epilog=terminal.example(
        "flexhub demo",
        "flexhub demo --sessions caltech.csv.gz --day 2019-06-14 --exit --json",
        "flexhub demo --dump out",
    )
)
def demo(  # noqa: PLR0913 - options
    *,
    sessions: Annotated[
        Path | None,
        typer.Option(help="Sessions, CSV with the columns of ACN-Data; without: a built-in table."),
    ] = None,
    day: Annotated[str | None, typer.Option(help="Local day, as 2019-06-14; without: the busiest of the file.")] = None,
    dump_to: Annotated[Path | None, typer.Option("--dump", help="Folder for the documents, as JSON lines.")] = None,
    leave: Annotated[bool, typer.Option("--exit", help="Leave after the day; without, the page stays up.")] = False,
    as_json: terminal.AsJson = False,
    zone: Annotated[str, typer.Option(help="Time zone of the site.")] = "America/Los_Angeles",
    power: Annotated[str, typer.Option(help="Power of a charger.")] = f"{POWER_KW} kW",
    seed: Annotated[int, typer.Option(help="Seed of all chance: the same seed plays the same day.")] = 1,
    agents: Annotated[int, typer.Option(min=1, max=16, help="Number of agent processes.")] = 2,
    store: Annotated[
        str | None, typer.Option(help="Store to keep the day in, as sqlite:///demo.db; without: a temporary one.")
    ] = None,
    in_three: Annotated[
        bool,
        typer.Option("--apart", help="Agent, manager, market and grid operator as hubs apart, over TLS; needs --exit."),
    ] = False,
    listen: Annotated[
        str | None, typer.Option(help=f"Loopback address to serve on; {LISTEN}, with --exit any free port.")
    ] = None,
) -> None:
    """Play a day at a charging site: real sessions become flex-offers, are planned, carried out, metered and billed.

    The hub, its store and the agents are real and speak REST to each other; chargers, meters and time are simulated.
    Exits with 1 if a schedule breaks its offer's bounds, a session gets less than it is due, or the peak doesn't fall.
    """
    if in_three and (not leave or store or listen):
        raise typer.BadParameter("goes with --exit, and without --store and --listen", param_hint="--apart")
    address = listen or ("127.0.0.1:0" if leave else LISTEN)
    with _usage("--listen"):
        if host_port(address)[0] not in LOOPBACK:
            raise InvalidError(f"{address} is not a loopback address")
    with _usage("--power"):
        power_kw = parse_quantity(power, "power")
        if power_kw <= 0:
            raise InvalidError(f"{power!r} is not above zero")
    with _usage("--zone"):
        TimeGrid(zone=zone)
    if dump_to is not None and dump_to.exists() and not dump_to.is_dir():
        raise typer.BadParameter(f"{dump_to} is not a folder", param_hint="--dump")
    if sessions is not None and not sessions.is_file():
        raise typer.BadParameter(f"{sessions}: no such file", param_hint="--sessions")
    scene = set_scene(sessions, _day(day), zone, seed, power_kw)

    wishes = Wishes(address, store, seed, agents, dump_to, leave, as_json)
    file = None if sessions is None else str(sessions)
    site = Site(sessions=file, day=scene.day, zone=zone, seed=seed, power_kw=power_kw)

    import uvloop  # noqa: PLC0415 - not on every platform, and only where a hub runs

    with Bar(ZoneInfo(scene.zone)) as bar, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(_play_apart(scene, site, wishes, bar) if in_three else _play(scene, wishes, bar))
    if result.violations or result.sessions_short or result.peak_after_kw >= result.peak_before_kw:
        raise typer.Exit(1)


class Wishes(NamedTuple):
    """How to play: where to serve and to keep, chance, agents, where to dump, and what to do at the end."""

    listen: str
    store: str | None
    seed: int
    agents: int
    dump: Path | None
    leave: bool
    as_json: bool


@contextmanager
def _usage(option: str) -> Iterator[None]:
    """What is wrong with an option's value is wrong usage."""
    try:
        yield
    except InvalidError as error:
        raise typer.BadParameter(error.message, param_hint=option) from error


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a date such as 2019-06-14", param_hint="--day") from None


async def _play(scene: Scene, wishes: Wishes, bar: Bar) -> Result:
    clock = Clock(scene.start - BEFORE)
    page = Settings(name=f"{scene.site}, demo", zone=scene.zone, version=version("flexhub"), day=scene.day)
    engine = ExpectingManager(ReferenceManager(party=AGGREGATOR, weights=FLAT), Expected(scene), AGGREGATOR)
    # Started first, so that they load while the hub does.
    agents = [await AgentProcess.start() for _ in range(wishes.agents)]
    with tempfile.TemporaryDirectory(prefix="flexhub-demo-") as name:
        folder = Path(name)
        publish(folder, {})
        partial = Config(
            hub=HubSection(
                name=AGGREGATOR,
                roles=(Role.PROSUMER, Role.AGGREGATOR, Role.MARKET_OPERATOR),
                listen=wishes.listen,
                zone=scene.zone,
            ),
            store=StoreSection(url=wishes.store or f"sqlite:///{name}/demo.db"),
            plan=PlanSection(every=None),
            settle=SettleSection(every=None),
            trade=TradeSection(
                market=AGGREGATOR, portfolios=(AGGREGATOR, DIRECT), margin=EnergyPrice(MARGIN_EUR_PER_KWH)
            ),
            uftp=section(told(scene, "AGR", folder, listen=f"{HERE}:0", ca=None)),
        )
        try:
            async with AsyncExitStack() as stack:
                operator = await stack.enter_async_context(beside(folder, scene, clock.now))
                spoken = openadr.section(openadr.aggregator_toml(scene, AGGREGATOR, operator.vtn_url, None, None))
                config = msgspec.structs.replace(partial, openadr=spoken)
                hub = await stack.enter_async_context(
                    running(config, clock=clock, engine=engine, timers=False, page=page)
                )
                publish(folder, {"AGR": str(hub.uftp_url), "DSO": operator.uftp_url})
                if (await hub.hub.documents(FlexOffer, limit=1)).items:
                    raise ConfigError("holds flex-offers already; the demo needs a store of its own", path="--store")
                page.guest = await hub.hub.add_token(AGGREGATOR, Role.AGGREGATOR)
                if not wishes.leave:
                    typer.echo(f"The page is at {hub.url}", err=True)
                world = Together(hub, clock, operator)
                day = Day(scene, world, seed=wishes.seed, behaviour=Behaviour())
                result = await day.play(agents, bar.show)
                for agent in agents:
                    await agent.stop()
                bar.end()
                if wishes.dump is not None:
                    dump(await world.papers(), wishes.dump)
                _tell(result, as_json=wishes.as_json)
                if not wishes.leave:
                    typer.echo(f"\nThe hub stays up: {hub.url} (Ctrl-C ends it)", err=wishes.as_json)
                    await _interrupted()
                return result
        finally:
            for agent in agents:
                await agent.stop()


async def _play_apart(scene: Scene, site: Site, wishes: Wishes, bar: Bar) -> Result:
    agents = [await AgentProcess.start() for _ in range(wishes.agents)]
    try:
        with tempfile.TemporaryDirectory(prefix="flexhub-demo-") as folder:
            async with apart(Path(folder), scene, site, scene.start - BEFORE) as world:
                result = await Day(scene, world, seed=wishes.seed, behaviour=Behaviour()).play(agents, bar.show)
                bar.end()
                if wishes.dump is not None:
                    dump(await world.papers(), wishes.dump)
    finally:
        for agent in agents:
            await agent.stop()
    _tell(result, as_json=wishes.as_json)
    return result


async def _interrupted() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stop.set)
    await stop.wait()


class Bar:
    """Progress on stderr: a bar on a terminal, a line every few simulated hours elsewhere."""

    EVERY: Final = timedelta(hours=6)

    def __init__(self, zone: ZoneInfo) -> None:
        from rich.console import Console  # noqa: PLC0415 - rich is slow to import, and --help needs none of it
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415 - as above

        self._zone = zone
        self._told: datetime | None = None
        console = Console(stderr=True)
        self._live = console.is_terminal
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console, transient=True
        )
        self._task = self._bar.add_task("setting the scene", total=1.0)

    def __enter__(self) -> Self:
        """Show the bar."""
        if self._live:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take it away."""
        self.end()

    def show(self, now: datetime, share: float) -> None:
        """The simulated time, and how much of the day is over."""
        text = now.astimezone(self._zone).strftime("%a %d %b, %H:%M")
        if self._live:
            self._bar.update(self._task, description=text, completed=share)
        elif self._told is None or now - self._told >= self.EVERY:
            self._told = now
            typer.echo(f"{text}  {share:4.0%}", err=True)

    def end(self) -> None:
        """Take it away; more than once does no harm."""
        if self._live:
            self._bar.stop()


def _tell(result: Result, *, as_json: bool) -> None:
    if as_json:
        terminal.json_line(result)
        return
    rows = [
        ("flex-offers", f"{result.offers}, of {result.stations} stations"),
        ("accepted / rejected", f"{result.accepted} / {result.rejected}"),
        ("assigned / settled", f"{result.assigned} / {result.settled}"),
        ("schedules that break a bound", str(result.violations)),
        ("energy due / metered", f"{result.requested_kwh:.1f} / {result.delivered_kwh:.1f} kWh"),
        ("sessions that fell short", str(result.sessions_short)),
        ("peak if all charge at once", f"{result.peak_before_kw:.1f} kW"),
        ("peak as metered", f"{result.peak_after_kw:.1f} kW ({-result.peak_cut:+.0%})"),
        ("limit in the peak hours", f"{result.limit_kw:.1f} kW"),
        ("above it, before / after", f"{result.over_limit_before_kwh:.1f} / {result.over_limit_after_kwh:.1f} kWh"),
        ("readings, estimated", f"{result.readings}, {result.readings_estimated}"),
        ("paid to prosumers", f"{result.billed_eur:.2f} EUR ({result.unpaid_offers} offers not kept, not paid)"),
        ("sold to the market", f"{result.sold_kwh:.1f} kWh, {result.sold_eur:.2f} EUR"),
        ("of that, directly", f"{result.direct_kwh:.1f} kWh, {result.direct_eur:.2f} EUR"),
        ("sold, but not left out", f"{result.sold_missed_kwh:.1f} kWh"),
        (
            "over UFTP",
            f"{result.uftp_messages} messages, {result.uftp_orders} orders, {result.ordered_kwh:.1f} kWh left out",
        ),
        ("the grid operator pays", f"{result.grid_pays_eur} EUR; the aggregator reckons {result.grid_paid_eur} EUR"),
        (
            "over OpenADR",
            f"{result.vens} VENs: {result.ven_offers} offers, {result.ven_events} events, {result.ven_opted_in} optIns",
        ),
        (
            f"the utility calls for {result.call_most_kwh:.1f} kWh",
            f"{result.call_opt}; planned before, after: {result.call_before_kwh:.1f}, {result.call_after_kwh:.1f} kWh",
        ),
        ("messages, wall time", f"{result.messages}, {result.seconds:.1f} s"),
    ]
    terminal.table(("", ""), rows, title=f"{result.site}, {result.day:%A %d %B %Y}")
    for note in result.notes:
        typer.echo(f"note: {note}")
