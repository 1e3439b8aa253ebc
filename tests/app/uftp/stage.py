"""Two hubs, or one and its keys, that speak UFTP on free ports of 127.0.0.1."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
import msgspec
from aiohttp import web

from flexhub.app.config import Config, StoreSection, parse
from flexhub.app.hub.contract import Answer
from flexhub.app.hub.loop import Hub
from flexhub.app.serving import utc_now
from flexhub.app.uftp.handlers import outgoing
from flexhub.app.uftp.papers import UftpMessage, place
from flexhub.app.uftp.participants import metadata
from flexhub.app.wiring import Running, running
from flexhub.core.documents import decode
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.codec import UftpCodec
from flexhub.protocols.uftp.envelope import PrivateKey, key_of_seed, seal

ROLES: Final = {"agr": "AGR", "dso": "DSO", "cro": "CRO"}
CODEC: Final = UftpCodec()
POINT: Final = "ean.871685900012636543"


def key(name: str, generation: int = 0) -> PrivateKey:
    """A participant's key."""
    return key_of_seed(f"{name} {generation}".encode().ljust(32, b".")[:32])


def domain(name: str) -> str:
    """A participant's domain."""
    return f"{name}.example.com"


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port: int = bound.getsockname()[1]
        return port


def publish(folder: Path, ports: dict[str, int], keys: dict[str, list[PrivateKey]] | None = None) -> None:
    """Write the directory, and each hub's private key where it has none."""
    lines = []
    for name, port in ports.items():
        known = (keys or {}).get(name) or [key(name)]
        if not (folder / f"{name}.key").exists():
            (folder / f"{name}.key").write_text(known[0].text())
        listed = ", ".join(f'"{one.public(bytes(32))}"' for one in known)
        lines.append(
            f'[[participant]]\ndomain = "{domain(name)}"\nrole = "{ROLES.get(name, "AGR")}"\nkey = [{listed}]\n'
            f'url = "http://127.0.0.1:{port}/shapeshifter/api/v3/message"\n'
        )
    staged = folder / "participants.new"
    staged.write_text("\n".join(lines))
    staged.rename(folder / "participants.toml")


def text(folder: Path, name: str, port: int, more: str = "", side: str = "") -> str:
    """A hub's configuration; `more` are keys of its participant, `side` of ``[uftp]``."""
    return f"""
pages = false
[hub]
name = "{name}"
listen = "127.0.0.1:0"
[plan]
every = "P1D"
[store]
url = "sqlite:///{folder}/{name}.db"
[uftp]
listen = "127.0.0.1:{port}"
max_bytes = 100000
{side}
[uftp.directory]
file = "{folder}/participants.toml"
[[uftp.participant]]
domain = "{domain(name)}"
role = "{ROLES[name]}"
key = "{folder}/{name}.key"
time_zone = "Europe/Amsterdam"
{more}
"""


def config(folder: Path, name: str, port: int, more: str = "", side: str = "") -> Config:
    """The same, read."""
    return parse(text(folder, name, port, more, side))


class Stage(NamedTuple):
    """Hubs by name, and their ports."""

    hubs: dict[str, Running]
    ports: dict[str, int]
    folder: Path

    def hub(self, name: str) -> Hub:
        """One of them."""
        return self.hubs[name].hub


@asynccontextmanager
async def serving(*routes: web.AbstractRouteDef, port: int = 0) -> AsyncIterator[int]:
    """Somebody who is no hub, on 127.0.0.1: these routes, on this port or a free one, which is told."""
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def stage(
    folder: Path,
    *names: str,
    more: str = "",
    side: str = "",
    others: tuple[str, ...] = (),
    stores: Mapping[str, str] | None = None,
    clocks: Mapping[str, Callable[[], datetime]] | None = None,
) -> AsyncIterator[Stage]:
    """These hubs, and others that are published without being there; stores and clocks are by the hubs' names."""
    ports = {name: free_port() for name in (*names, *others)}
    publish(folder, ports)
    async with AsyncExitStack() as stack:
        hubs = {}
        for name in names:
            told = config(folder, name, ports[name], more, side)
            if stores is not None:
                told = msgspec.structs.replace(told, store=StoreSection(url=stores[name]))
            clock = (clocks or {}).get(name, utc_now)
            hubs[name] = await stack.enter_async_context(running(told, clock=clock))
        yield Stage(hubs, ports, folder)


def day(ahead: int = 3) -> str:
    """A local day so far ahead."""
    return (datetime.now(UTC) + timedelta(days=ahead)).date().isoformat()


def soon(hours: int = 24) -> str:
    """An instant ahead."""
    return (datetime.now(UTC) + timedelta(hours=hours)).strftime("%FT%TZ")


def said(frm: str, to: str, seed: str, **more: Any) -> dict[str, Any]:
    """Metadata of a message."""
    return metadata(domain(frm), domain(to), datetime.now(UTC), seed=seed) | more


def about(**more: Any) -> dict[str, Any]:
    """Fields of messages about a day."""
    told = {"isp_duration": "PT15M", "time_zone": "Europe/Amsterdam", "period": day(), "congestion_point": POINT}
    return told | more


def request(seed: str = "r", frm: str = "dso", to: str = "agr", **more: Any) -> wire.FlexRequest:
    """A DSO asks for less between ten and eleven."""
    isp = wire.FlexRequestIsp(
        disposition=wire.Disposition.REQUESTED, min_power_w=-300_000, max_power_w=0, start=41, duration=4
    )
    fields = said(frm, to, seed) | about(revision=1, expiration_date_time=soon(), isps=(isp,))
    return wire.FlexRequest(**fields | more)


def offer(asked: wire.FlexRequest, seed: str = "o", **more: Any) -> wire.FlexOffer:
    """An AGR offers that."""
    option = wire.OfferOption(
        option_reference="a", price=Decimal("12.5"), isps=(wire.Isp(power_w=-200_000, start=41, duration=4),)
    )
    fields = said("agr", "dso", seed, conversation_id=asked.conversation_id) | about(
        expiration_date_time=soon(),
        flex_request_message_id=asked.message_id,
        currency="EUR",
        offer_options=(option,),
    )
    return wire.FlexOffer(**fields | more)


def order(offered: wire.FlexOffer, seed: str = "d", **more: Any) -> wire.FlexOrder:
    """The DSO orders it."""
    option = offered.offer_options[0]
    fields = said("dso", "agr", seed, conversation_id=offered.conversation_id) | about(
        flex_offer_message_id=offered.message_id,
        price=option.price,
        currency="EUR",
        order_reference="order-1",
        option_reference="a",
        isps=option.isps,
    )
    return wire.FlexOrder(**fields | more)


async def send(hub: Hub, message: wire.Payload, id_: str | None = None) -> Answer:
    """Have a hub send it."""
    return await hub.handle(outgoing(message, peer="test", id=id_ or message.message_id))


async def until(found: Callable[[], Any], seconds: float = 20.0) -> Any:
    """What is found, once there is something."""
    async with asyncio.timeout(seconds):
        while not (value := found()):  # noqa: ASYNC110 - another process or socket moves it, and tells nobody
            await asyncio.sleep(0.01)
    return value


def kept(hub: Hub, own: str, other: str, message: wire.Payload) -> UftpMessage | None:
    """What a hub keeps of a message."""
    row = hub.store.document("UftpMessage", place(domain(own), domain(other), message.message_id))
    return None if row is None else decode(UftpMessage, row.body)


async def answered(hub: Hub, own: str, other: str, message: wire.Payload) -> wire.Payload:
    """The answer to a message of ours, once it is there."""

    def look() -> wire.Payload | None:
        found = kept(hub, own, other, message)
        return None if found is None else found.entry().answer

    found: wire.Payload = await until(look)
    return found


def sealed(message: wire.Payload, frm: str, role: wire.Role | None = None, by: PrivateKey | None = None) -> bytes:
    """As it is posted."""
    return seal(CODEC.encode(message), domain(frm), role or wire.Role(ROLES.get(frm, "AGR")), by or key(frm))


async def post(port: int, body: bytes, *, kind: str = "text/xml; charset=utf-8", path: str | None = None) -> int:
    """One delivery over HTTP; its status."""
    url = f"http://127.0.0.1:{port}{path or '/shapeshifter/api/v3/message'}"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=body, headers={"Content-Type": kind}) as response,
    ):
        return response.status
