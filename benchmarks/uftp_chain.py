"""Conversations of UFTP between two processes: FlexRequest, FlexOffer, FlexOrder of 96 ISPs, each with its response.

Both sides are the whole program, an AGR and a DSO on SQLite with synchronous=FULL: what comes is checked by the
published XSD (where ``shared`` is at hand) beside the codec's own checks, judged by every rule, journalled before it is
answered 200, and made a document of the core; what goes out comes from the outbox. On each side hooks make the next
message, as callbacks do in the peer, and here in the transaction of the message that it follows from; the DSO's
application reads the party's notices, as any would, and begins conversations. Beside it shapeshifter-uftp in two
processes, as its own documentation uses it: it stores nothing and judges nothing. Then the same with many participants
in directory and stores, and trade at 1,000 agreed congestion points.

Messages per second count all six. p99 is the time from the FlexRequest to the FlexOrder's response, of 99 in 100.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import uvloop

from benchmarks.figure import Figure
from benchmarks.uftp_codec import ISPS, PEER
from flexhub.adapters.store import open_store
from flexhub.adapters.store.interface import DocumentRow
from flexhub.app.uftp.hooks import Case, Work
from flexhub.app.uftp.papers import UftpMessage, UftpRevision, paper, place
from flexhub.app.uftp.participants import derived_id, metadata
from flexhub.app.uftp.roles import FileOffer, FileRequest
from flexhub.core.documents import VERSION, decode, encode
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.envelope import PrivateKey, key_of_seed
from flexhub.protocols.uftp.seen import revision_key
from flexhub.protocols.uftp.session import Entry, Stage

if TYPE_CHECKING:
    from flexhub.app.config import Config
    from flexhub.app.hub.loop import Hub
    from flexhub.app.uftp.running import Hooks

CONVERSATIONS: Final = 1000
PEERS_CONVERSATIONS: Final = 240
WARM_UP: Final = 150
MESSAGES: Final = 6
AT_ONCE: Final = 128
"""Conversations that are under way at the same time."""
PARTICIPANTS: Final = 10_000
POINTS: Final = 1000
LONGEST_S: Final = 300

AGR, DSO = "agr.example.com", "dso.example.com"
ROLES: Final = {AGR: wire.Role.AGR, DSO: wire.Role.DSO}
ZONE: Final = "Europe/Amsterdam"
SHARED: Final = Path(os.environ.get("FLEXHUB_SHARED", Path(__file__).parent.parent.parent / "shared"))
SCHEMAS: Final = SHARED / "schemas" / "uftp-3.1.0"
DRIVER: Final = Path(__file__).with_name("_shapeshifter.py")


class Load(msgspec.Struct):
    """What the side that begins saw: seconds for all, and of each conversation."""

    seconds: float
    each_s: list[float]

    @property
    def per_second(self) -> float:
        """Messages, of both sides."""
        return MESSAGES * len(self.each_s) / self.seconds

    @property
    def p99_ms(self) -> float:
        """Time that 99 of 100 conversations keep within."""
        return sorted(self.each_s)[int(len(self.each_s) * 0.99)] * 1e3


class Side(NamedTuple):
    """One of the two processes."""

    domain: str
    folder: Path
    port: int
    many: bool

    @property
    def other(self) -> str:
        """The other one's domain."""
        return DSO if self.domain == AGR else AGR

    @property
    def store(self) -> str:
        """Its store's address."""
        return f"sqlite:///{self.folder / self.domain}.db"


# -- messages ---------------------------------------------------------------------------------------------------------


def point(n: int) -> str:
    """One of the congestion points."""
    return f"ean.8716859000126{n % POINTS:05}"


def _soon(now: datetime) -> str:
    return f"{now + timedelta(hours=24):%FT%TZ}"


def request(n: int, now: datetime, frm: str = DSO, to: str = AGR) -> wire.FlexRequest:
    """A DSO asks for less in every ISP."""
    isps = tuple(
        wire.FlexRequestIsp(disposition=wire.Disposition.REQUESTED, min_power_w=-300_000 - i, max_power_w=0, start=i)
        for i in range(1, ISPS + 1)
    )
    return wire.FlexRequest(
        **metadata(frm, to, now, seed=f"{n} {now.isoformat()}"),
        isp_duration="PT15M",
        time_zone=ZONE,
        period=(now + timedelta(days=3)).date().isoformat(),
        congestion_point=point(n),
        revision=n + 1,
        expiration_date_time=_soon(now),
        isps=isps,
    )


def _following(message: wire.Flex, now: datetime, seed: str) -> dict[str, Any]:
    told = metadata(
        message.recipient_domain, message.sender_domain, now, seed=seed, conversation=message.conversation_id
    )
    return told | {name: getattr(message, name) for name in ("isp_duration", "time_zone", "period", "congestion_point")}


def offer(asked: wire.FlexRequest, now: datetime, seed: str) -> wire.FlexOffer:
    """An AGR offers it."""
    isps = tuple(wire.Isp(power_w=-200_000 - isp.start, start=isp.start) for isp in asked.isps)
    return wire.FlexOffer(
        **_following(asked, now, seed),
        expiration_date_time=_soon(now),
        flex_request_message_id=asked.message_id,
        currency="EUR",
        offer_options=(wire.OfferOption(option_reference="a", price=Decimal("12.5"), isps=isps),),
    )


def order(offered: wire.FlexOffer, now: datetime, seed: str) -> wire.FlexOrder:
    """The DSO orders it."""
    option = offered.offer_options[0]
    return wire.FlexOrder(
        **_following(offered, now, seed),
        flex_offer_message_id=offered.message_id,
        price=option.price,
        currency=offered.currency,
        order_reference=offered.message_id,
        option_reference=option.option_reference,
        isps=option.isps,
    )


# -- one side ---------------------------------------------------------------------------------------------------------


def config_of(side: Side) -> Config:
    """A hub that is this participant."""
    from flexhub.app import config as c  # noqa: PLC0415 - the process that measures doesn't need the hub

    mine = c.UftpParticipantSection(
        domain=side.domain,
        role=ROLES[side.domain],
        key=side.folder / f"{side.domain}.key",
        time_zone=ZONE,
        congestion_points=tuple(map(point, range(POINTS))) if side.many else (),
    )
    return c.Config(
        hub=c.HubSection(name="hub", listen="127.0.0.1:0"),
        store=c.StoreSection(url=side.store),
        plan=c.PlanSection(every=None),
        settle=c.SettleSection(every=None),
        pages=False,
        uftp=c.UftpSection(
            participant=(mine,),
            directory=c.UftpDirectorySection(file=side.folder / "participants.toml"),
            listen=f"127.0.0.1:{side.port}",
            schemas=SCHEMAS if SCHEMAS.is_dir() else None,
        ),
    )


class Offering(FileRequest):
    """A FlexRequest is filed as ever, and offered at once."""

    def work(self, case: Case) -> Work:
        """The offer goes out."""
        assert isinstance(case.message, wire.FlexRequest)  # noqa: S101 - hooks are by type
        return super().work(case)._replace(sends=(offer(case.message, case.now, case.seed),))


class Ordering(FileOffer):
    """A FlexOffer is filed as ever, and ordered at once."""

    def work(self, case: Case) -> Work:
        """The order goes out."""
        assert isinstance(case.message, wire.FlexOffer)  # noqa: S101 - hooks are by type
        return super().work(case)._replace(sends=(order(case.message, case.now, case.seed),))


HOOKS: Final[Hooks] = {wire.FlexRequest: Offering(), wire.FlexOffer: Ordering()}


class Application:
    """What is built on a hub: it has requests sent, and reads the notices."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._begun: dict[str, float] = {}
        self._took: list[float] = []
        self._free = asyncio.Semaphore(AT_ONCE)

    async def _send(self, message: wire.Payload) -> None:
        from flexhub.app.uftp.handlers import outgoing  # noqa: PLC0415 - as in `config_of`

        answer = await self._hub.handle(outgoing(message, peer="application", id=message.message_id))
        if answer.status != 202:
            raise RuntimeError(answer)

    async def follow(self) -> None:
        """See conversations end, until cancelled."""
        async for row in self._hub.notices("hub", 0):
            if row.topic == "uftp.settled" and b'"type":"FlexOrder"' in row.body:
                told = msgspec.json.decode(row.body)
                if told["result"] != "Accepted":
                    raise RuntimeError(row.body)
                self._took.append(perf_counter() - self._begun.pop(told["conversation_id"]))
                self._free.release()

    async def ask(self, first: int, count: int) -> Load:
        """So many conversations."""
        self._took.clear()
        begun = perf_counter()
        async with asyncio.timeout(LONGEST_S), asyncio.TaskGroup() as tasks:
            for n in range(first, first + count):
                await self._free.acquire()
                message = request(n, datetime.now(UTC))
                self._begun[message.conversation_id] = perf_counter()
                tasks.create_task(self._send(message))
            for _ in range(AT_ONCE):
                await self._free.acquire()
        for _ in range(AT_ONCE):
            self._free.release()
        return Load(perf_counter() - begun, list(self._took))


async def serve(side: Side, count: int) -> None:
    """Take part; the DSO begins conversations once it is told to, and says what it saw. Until stdin closes."""
    from flexhub.app import wiring  # noqa: PLC0415 - as in `config_of`

    async with wiring.running(config_of(side), hooks=HOOKS) as running:
        application = Application(running.hub)
        following = asyncio.create_task(application.follow())
        print("ready", flush=True)
        loop = asyncio.get_running_loop()
        if await loop.run_in_executor(None, sys.stdin.readline):
            await application.ask(0, WARM_UP)
            print(encode(await application.ask(WARM_UP, count)).decode(), flush=True)
            await running.hub.sent()
            await loop.run_in_executor(None, sys.stdin.readline)
        await running.hub.sent()
        following.cancel()


# -- both -------------------------------------------------------------------------------------------------------------


def _key(domain: str) -> PrivateKey:
    return key_of_seed(domain.encode().ljust(32, b"."))


def publish(folder: Path, ports: dict[str, int], others: int) -> None:
    """Directory and keys."""
    told = [(domain, ROLES[domain], _key(domain), port) for domain, port in ports.items()]
    more = _key("other")
    told += [(f"agr-{n}.example.com", wire.Role.AGR, more, 9) for n in range(others)]
    lines = (
        f'[[participant]]\ndomain = "{domain}"\nrole = "{role}"\nkey = "{key.public(bytes(32))}"\n'
        f'url = "http://127.0.0.1:{port}/shapeshifter/api/v3/message"\n'
        for domain, role, key, port in told
    )
    (folder / "participants.toml").write_text("\n".join(lines))
    for domain in ports:
        (folder / f"{domain}.key").write_text(_key(domain).text())


def fill(side: Side, count: int) -> None:
    """A request of each of many participants, at the agreed points, as if it had come and been accepted before."""
    store, now = open_store(side.store), datetime.now(UTC)
    asked = request(0, now, side.other, side.domain)
    entry = Entry(message=asked, ours=False, stage=Stage.ACCEPTED, since=now)

    def rows(first: int) -> Iterator[DocumentRow]:
        for n in range(first, min(first + 500, count)):
            other = f"agr-{n}.example.com"
            message = msgspec.structs.replace(
                asked, sender_domain=other, message_id=derived_id("filled", other), congestion_point=point(n)
            )
            kept = paper(msgspec.structs.replace(entry, message=message))
            counted = UftpRevision(revision=1, message=message.message_id)
            for kind, name, value in (
                ("UftpMessage", message.message_id, kept),
                ("UftpRevision", str(revision_key(message)), counted),
            ):
                id_ = place(side.domain, other, name)
                yield DocumentRow(kind, id_, other, "", None, None, VERSION, encode(value))

    for first in range(0, count, 500):
        with store.begin() as transaction:
            transaction.put_documents(list(rows(first)))
    store.close()


def measure(count: int, *, participants: int = 2) -> Load:
    """Two hubs from new stores, warmed up; then `count` conversations, which must be in both stores.

    Raises:
        RuntimeError: a message was rejected, or is not in a store.
    """
    many = participants > len(ROLES)
    with tempfile.TemporaryDirectory() as name, ExitStack() as running:
        sides = [Side(domain, Path(name), port, many) for domain, port in _ports().items()]
        publish(Path(name), {side.domain: side.port for side in sides}, participants - len(ROLES))
        for side in sides if many else ():
            fill(side, participants - len(ROLES))
        command = [sys.executable, "-m", "benchmarks.uftp_chain"]
        agr, dso = (
            running.enter_context(_started([*command, side.domain, name, str(side.port), str(int(many)), str(count)]))
            for side in sides
        )
        found = _told(dso)
        _end(dso)
        _end(agr)
        for side in sides:
            _stored(side, WARM_UP + count)
    return found


def _stored(side: Side, count: int) -> None:
    """Every offer is ordered, in this store too, and everything was sent."""
    store = open_store(side.store)
    waiting = store.sends(0, 1, "waiting")
    ordered, after = 0, ("UftpMessage", "")
    while (rows := store.all_documents(after, 500)) and rows[0].kind == "UftpMessage":
        after = (rows[-1].kind, rows[-1].id)
        kept = (decode(UftpMessage, row.body) for row in rows if row.kind == "UftpMessage")
        ordered += sum(one.type == "FlexOffer" and one.stage is Stage.ORDERED for one in kept)
    store.close()
    if ordered != count or waiting:
        raise RuntimeError(f"{side.domain} has {ordered} of {count} offers as ordered, and {len(waiting)} to send")


def peer(count: int) -> Load | None:
    """The same conversation between two processes of shapeshifter-uftp; None where it is not installed."""
    if not PEER.exists():
        return None
    ports = _ports()
    text = msgspec.json.encode(
        {
            "count": count,
            "warm_up": WARM_UP // 3,
            "at_once": AT_ONCE,
            "isps": ISPS,
            "parties": {
                ROLES[domain]: {
                    "domain": domain,
                    "port": port,
                    "private": _key(domain).text(),
                    "public": str(_key(domain).public()).removeprefix("cs1."),
                }
                for domain, port in ports.items()
            },
        }
    ).decode()
    with ExitStack() as running:
        agr, dso = (
            running.enter_context(_started([PEER, DRIVER, ROLES[domain], text], subprocess.DEVNULL)) for domain in ports
        )
        found = _told(dso)
        _end(dso)
        _end(agr)
    return found


def _ports() -> dict[str, int]:
    with ExitStack() as bound:
        free = [bound.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in ROLES]
        return {domain: one.getsockname()[1] for domain, one in zip(ROLES, free, strict=True)}


def _started(command: list[Any], log: int | None = None) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
    assert process.stdout is not None  # noqa: S101 - a pipe
    if process.stdout.readline() != b"ready\n":
        raise RuntimeError(f"{command} did not start")
    return process


def _told(process: subprocess.Popen[bytes]) -> Load:
    assert process.stdin is not None  # noqa: S101 - a pipe
    assert process.stdout is not None  # noqa: S101 - a pipe
    process.stdin.write(b"go\n")
    process.stdin.flush()
    return msgspec.json.decode(process.stdout.readline(), type=Load)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.communicate(timeout=LONGEST_S)
    if process.returncode:
        raise RuntimeError(f"{process.args!r} ended with {process.returncode}")


def run() -> list[Figure]:
    """Messages per second and latency, beside the peer's; and with many participants beside few."""
    found, beside = measure(CONVERSATIONS), peer(PEERS_CONVERSATIONS)
    many = measure(CONVERSATIONS, participants=PARTICIPANTS)
    name, where = "shapeshifter-uftp 2.4.0", f"{AT_ONCE} conversations at once, both processes on the same cores"
    return [
        Figure(
            name="UFTP conversations, 96 ISPs, two processes, rules and durable stores on",
            value=found.per_second,
            unit="messages/s",
            target=None if beside is None else 5 * beside.per_second,
            peer=None if beside is None else beside.per_second,
            peer_name=f"{name}, which stores and judges nothing",
            note=where,
        ),
        Figure(
            name=f"UFTP conversations, {AT_ONCE} at once, from request to the order's response, p99",
            value=found.p99_ms,
            unit="ms",
            peer=None if beside is None else beside.p99_ms,
            peer_name=name,
            note=where,
        ),
        Figure(
            name="UFTP conversations with 10,000 participants and 1,000 congestion points",
            value=many.per_second,
            unit="messages/s",
            target=0.8 * found.per_second,
            peer=found.per_second,
            peer_name="two participants",
            note=where,
        ),
    ]


if __name__ == "__main__":
    DOMAIN, FOLDER, PORT, MANY, COUNT = sys.argv[1:]
    uvloop.run(serve(Side(DOMAIN, Path(FOLDER), int(PORT), MANY == "1"), int(COUNT)))
