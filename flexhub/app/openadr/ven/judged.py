"""A VEN to judge: our own hub's, or anyone's, which polls the VTN that the suite is.

A file, TOML, tells it of anyone's VEN:

    listen = "127.0.0.1:8083"                   # where the VEN has to find its VTN
    market = "http://market.example/dispatch"   # the market context that it takes events of
    vtn_id = "conformance-vtn"
    ven_id = "conformance-ven"                  # the venID that it is given when it registers
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from flexhub.app import config, wiring
from flexhub.app.config import host_port
from flexhub.app.openadr.sections import OpenadrSection
from flexhub.app.openadr.ven.judging import Counter, Judge, serving
from flexhub.app.openadr.ven.section import Opting, VenReportSection, VenSection
from flexhub.app.serving import utc_now
from flexhub.conformance.openadr.ven import Ven
from flexhub.core.errors import ConfigError, FlexhubError
from flexhub.core.trading import FlexRequest

MARKET: Final = "http://market.example/conformance"
NAME: Final = "conformance"


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    listen: str = "127.0.0.1:8083"
    market: str = MARKET
    vtn_id: str = "conformance-vtn"
    ven_id: str = "conformance-ven"


def _read(file: Path) -> _File:
    try:
        told = msgspec.toml.decode(file.read_bytes(), type=_File)
        host_port(told.listen)
    except (msgspec.DecodeError, UnicodeDecodeError, OSError, FlexhubError) as error:
        raise ConfigError(f"no file about a VEN: {error}", path=str(file)) from error
    return told


@asynccontextmanager
async def given(file: Path) -> AsyncIterator[Callable[[], Ven]]:
    """Anyone's VEN, which polls where the file says.

    Raises:
        ConfigError: the file cannot be read.
        OSError: the address cannot be bound.
    """
    told = _read(file)
    host, port = host_port(told.listen)
    counter = Counter()
    counter.vtn_id, counter.ven_id = told.vtn_id, told.ven_id
    async with serving(counter, host, port):
        line = Judge(counter, told.market, utc_now)
        yield lambda: Ven(line, uuid.uuid4().hex[:8])


@asynccontextmanager
async def own() -> AsyncIterator[Callable[[], Ven]]:
    """A hub of our own on 127.0.0.1, with a store that is thrown away, whose rules can be switched off."""
    counter = Counter()
    off: set[str] = set()

    def switched(rules: Iterable[str]) -> None:
        off.clear()
        off.update(rules)

    with tempfile.TemporaryDirectory(prefix="flexhub-") as folder:
        async with (
            serving(counter) as url,
            wiring.running(_configured(url, Path(folder)), timers=False, off=off) as hub,
        ):
            poller = hub.vens[NAME]

            async def nudge() -> None:
                await poller.round()
                await poller.round()  # one that was told to registers again

            async def seen() -> set[str]:
                page = await hub.hub.documents(FlexRequest, owner=NAME, states=("",), limit=10_000)
                now = utc_now()
                return {r.extras["event_id"] for r in page.items if r.expires > now}

            await poller.round()
            line = Judge(counter, MARKET, utc_now, nudge=nudge, seen=seen, switched=switched)
            yield lambda: Ven(line, uuid.uuid4().hex[:8])


def _configured(url: str, folder: Path) -> config.Config:
    ven = VenSection(
        name=NAME,
        vtn=url,
        markets=(MARKET,),
        levels=("10 kW", "20 kW", "30 kW"),
        opt=Opting.IN,
        report=(VenReportSection(subject="conformance-meter"),),
    )
    return config.Config(
        hub=config.HubSection(name="conformance-hub", listen="127.0.0.1:0"),
        store=config.StoreSection(url=f"sqlite:///{folder / 'hub.db'}"),
        plan=config.PlanSection(every=None),
        settle=config.SettleSection(every=None),
        pages=False,
        openadr=OpenadrSection(ven=(ven,)),
    )
