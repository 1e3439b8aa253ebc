"""Polls a second of our VTN, with its durable store, the XSD check and events pending; openleadr's VTN beside it.

Each VTN is a process of its own; wrk loads it where it is installed, else plain sockets do, from this process. The VENs
are registered, our events are ahead of all of them and answered, so nothing is outstanding: what VENs find nearly
always. Turns of both
alternate, and the best of each counts, so that what else the machine does hits neither alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any, Final, NamedTuple

import uvloop

from benchmarks.figure import Figure
from flexhub.protocols.openadr2b import messages as wire
from flexhub.protocols.openadr2b.codec import OadrCodec
from flexhub.protocols.openadr2b.elements import EiResponse, EventResponse, QualifiedEventID
from flexhub.protocols.openadr2b.messages import OadrPoll
from flexhub.protocols.openadr2b.names import OptType, ProfileName, TransportName

VENS: Final = 50
EVENTS: Final = 20
MANY: Final = 20_000
SECONDS: Final = 2
TURNS: Final = 9
PEER: Final = "openleadr 0.5.36"
CODEC: Final = OadrCodec(check=False)


# -- the servers' processes -------------------------------------------------------------------------------------------


async def ours(folder: Path, vens: int) -> None:
    """Our VTN until stdin closes; says its port, how long an event to all took in s, and its memory in MiB.

    `vens`: so many are registered beforehand.
    """
    from flexhub.app import config as c  # noqa: PLC0415 - the load doesn't need the hub
    from flexhub.app import wiring  # noqa: PLC0415 - as above
    from flexhub.app.hub.contract import Message  # noqa: PLC0415 - as above
    from flexhub.app.openadr.sections import OpenadrSection, VtnSection  # noqa: PLC0415 - as above
    from flexhub.app.openadr.vtn.handlers import RECEIVE, Arrival  # noqa: PLC0415 - as above
    from flexhub.core.documents import encode  # noqa: PLC0415 - as above
    from flexhub.core.registry import Role  # noqa: PLC0415 - as above
    from flexhub.protocols.openadr2b.names import SignalType  # noqa: PLC0415 - as above
    from flexhub.protocols.openadr2b.session.state import (  # noqa: PLC0415 - as above
        EventSpec,
        Signal,
        SignalInterval,
    )

    section = VtnSection(listen="127.0.0.1:0", anyone=True, requests=1e6, requests_at_once=1e6)
    configured = c.Config(
        hub=c.HubSection(name="vtn", listen="127.0.0.1:0", roles=()),
        store=c.StoreSection(url=f"sqlite:///{folder / 'hub.db'}"),
        pages=False,
        openadr=OpenadrSection(vtn=section),
    )
    async with wiring.running(configured) as running:

        async def say(kind: str, id_: str, body: object) -> None:
            await running.hub.handle(
                Message(peer="bench", id=id_, kind=kind, conversation="bench", body=encode(body), role=Role.ADMIN)
            )

        start = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
        arrivals = [
            Message(
                peer="bench",
                id=f"v{n}",
                kind=RECEIVE,
                conversation=f"v{n}",
                body=encode(Arrival(xml=CODEC.encode(registering(n)).decode())),
                role=Role.PROSUMER,
            )
            for n in range(vens)
        ]
        for n in range(0, vens, 500):
            await asyncio.gather(*map(running.hub.handle, arrivals[n : n + 500]))
        took = 0.0
        for n in range(EVENTS):
            context = f"http://bench.example/{n}"
            await say("vtn.program.put", f"p{n}", {"market_context": context})
            intervals = (SignalInterval(duration="PT1H", value=1.0),)
            signal = Signal(signal_name="SIMPLE", signal_type=SignalType.LEVEL, intervals=intervals)
            event = EventSpec(
                market_context=context,
                dtstart=start,
                duration="PT1H",
                signals=(signal,),
            )
            began = perf_counter()
            await say("vtn.event.put", f"e{n}", {"event": event})
            took = max(took, perf_counter() - began)
        mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        await until_closed(int((running.vtn_url or "").rpartition(":")[2]), took, mib)


async def theirs() -> None:
    """Openleadr's VTN until stdin closes; says its port."""
    from tests.ports import free_port  # noqa: PLC0415 - as above

    server: Any = import_module("openleadr.server")
    port = free_port()
    vtn = server.OpenADRServer(vtn_id="VTN", http_host="127.0.0.1", http_port=port)

    async def register(told: dict[str, str]) -> tuple[str, str]:
        return f"ven-{told['ven_name']}", "registration"

    vtn.add_handler("on_create_party_registration", register)
    with contextlib.redirect_stdout(sys.stderr):
        await vtn.run()
    await until_closed(port)
    await vtn.stop()


async def until_closed(port: int, took: float = 0.0, mib: float = 0.0) -> None:
    """Say that, then wait until stdin closes."""
    sys.stdout.write(f"{port} {took} {mib}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


class Served(NamedTuple):
    """Where a VTN is, how long an event to all of its VENs took in s, and its memory in MiB."""

    port: int
    event_s: float
    memory_mib: float


@contextlib.contextmanager
def served(who: str, folder: Path, vens: int = 0) -> Iterator[Served]:
    """A VTN, for as long as the block lasts."""
    (folder / f"{who}-{vens}").mkdir()
    command = [sys.executable, "-m", "benchmarks.openadr_polls", who, str(folder / f"{who}-{vens}"), str(vens)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        began, end = process.stdout, process.stdin
        if began is None or end is None:
            raise AssertionError("both are pipes")
        try:
            port, took, mib = began.readline().split()
            yield Served(int(port), float(took), float(mib))
        finally:
            end.close()
            process.wait(30)


# -- the load ---------------------------------------------------------------------------------------------------------


class Load(NamedTuple):
    """What came of a load: answers a second, and the 99th percentile of how long one took, in ms."""

    per_s: float
    p99_ms: float


def request(service: str, body: bytes) -> bytes:
    """A request, as it goes over the wire."""
    head = f"POST /OpenADR2/Simple/2.0b/{service} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/xml\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def answered(reader: asyncio.StreamReader) -> bytes:
    """The body of an answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in head[:16]:
        raise AssertionError(head.decode())
    length = re.search(rb"content-length: *(\d+)", head.lower())
    return await reader.readexactly(int(length[1]) if length else 0)


async def sockets(port: int, polls: list[bytes]) -> Load:
    """One connection for each VEN, which polls as fast as it is answered."""
    took: list[float] = []
    until = perf_counter() + SECONDS

    async def one(poll: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (began := perf_counter()) < until:
            writer.write(poll)
            await answered(reader)
            took.append(perf_counter() - began)
        writer.close()

    began = perf_counter()
    await asyncio.gather(*map(one, polls))
    return Load(len(took) / (perf_counter() - began), sorted(took)[len(took) * 99 // 100] * 1000)


def wrk(port: int, body: bytes, folder: Path) -> Load:
    """The same by wrk, which is a tenth of the work; all connections are of one VEN."""
    script = folder / "poll.lua"
    told = body.decode().replace("\\", "\\\\").replace("'", "\\'")
    script.write_text(f"wrk.method = 'POST'\nwrk.body = '{told}'\nwrk.headers['Content-Type'] = 'application/xml'\n")
    url = f"http://127.0.0.1:{port}/OpenADR2/Simple/2.0b/OadrPoll"
    command = ["wrk", "-t1", f"-c{VENS}", f"-d{SECONDS}s", "--latency", "-s", str(script), url]
    told = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    rate, p99 = re.search(r"Requests/sec:\s+([\d.]+)", told), re.search(r"99%\s+([\d.]+)(us|ms|s)", told)
    if rate is None or p99 is None:
        raise AssertionError(told)
    return Load(float(rate[1]), float(p99[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[p99[2]])


async def registered(port: int) -> list[str]:
    """Register the VENs; their venIDs."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found = []
    for n in range(VENS):
        writer.write(request("EiRegisterParty", CODEC.encode(registering(n))))
        answer: Any = CODEC.decode(await answered(reader))
        found.append(answer.ven_id)
        writer.write(request("OadrPoll", CODEC.encode(OadrPoll(schema_version="2.0b", ven_id=answer.ven_id))))
        events = CODEC.decode(await answered(reader))
        if isinstance(events, wire.OadrDistributeEvent):
            writer.write(request("EiEvent", CODEC.encode(opted(answer.ven_id, events))))
            await answered(reader)
    writer.close()
    return found


def registering(n: int) -> wire.OadrCreatePartyRegistration:
    """A registration of a VEN that is not known."""
    return wire.OadrCreatePartyRegistration(
        schema_version="2.0b",
        request_id=f"r{n}",
        oadr_profile_name=ProfileName.B,
        oadr_transport_name=TransportName.SIMPLE_HTTP,
        oadr_report_only=False,
        oadr_xml_signature=False,
        oadr_ven_name=f"v{n}",
        oadr_http_pull_model=True,
    )


def opted(ven_id: str, events: wire.OadrDistributeEvent) -> wire.OadrCreatedEvent:
    """OptIn to all events."""
    told = [one.ei_event.event_descriptor for one in events.oadr_events]
    answers = tuple(
        EventResponse(
            response_code="200",
            request_id=events.request_id,
            qualified_event_id=QualifiedEventID(event_id=one.event_id, modification_number=one.modification_number),
            opt_type=OptType.OPT_IN,
        )
        for one in told
    )
    response = EiResponse(response_code="200", request_id="")
    created = wire.EiCreatedEvent(ei_response=response, event_responses=answers, ven_id=ven_id)
    return wire.OadrCreatedEvent(schema_version="2.0b", ei_created_event=created)


def loaded(port: int, folder: Path) -> Load:
    """A turn."""

    async def main() -> list[bytes]:
        return [CODEC.encode(OadrPoll(schema_version="2.0b", ven_id=one)) for one in await registered(port)]

    bodies = uvloop.run(main())
    if shutil.which("wrk") is not None:
        return wrk(port, bodies[0], folder)
    return uvloop.run(sockets(port, [request("OadrPoll", body) for body in bodies]))


def run() -> list[Figure]:
    """Polls a second, and how long one takes."""
    best: dict[str, Load] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with served("ours", folder) as own, served("ours", folder, MANY) as many, served("theirs", folder) as peer:
            for _ in range(TURNS):
                for who, at in (("ours", own), ("many", many), ("theirs", peer)):
                    found = loaded(at.port, folder)
                    if who not in best or found.per_s > best[who].per_s:
                        best[who] = found
    tool = "wrk" if shutil.which("wrk") is not None else "plain sockets of this process"
    return [
        Figure(
            name=f"OpenADR 2.0b polls of {VENS} VENs, {EVENTS} events pending",
            value=best["ours"].per_s,
            unit="polls/s",
            target=2 * best["theirs"].per_s,
            peer_name=PEER,
            peer=best["theirs"].per_s,
            note=f"the target is twice the peer's; load from {tool}; the same bytes are judged by the XSD once",
        ),
        Figure(
            name="OpenADR 2.0b poll, 99th percentile",
            value=best["ours"].p99_ms,
            unit="ms",
            target=50.0,
            at_most=True,
            peer_name=PEER,
            peer=best["theirs"].p99_ms,
        ),
        Figure(
            name=f"OpenADR 2.0b polls, {MANY} VENs registered",
            value=best["many"].per_s,
            unit="polls/s",
            target=0.8 * best["ours"].per_s,
            note="the target is 80% of that of few",
        ),
        Figure(
            name=f"OpenADR 2.0b event to {MANY} VENs, until it waits for all",
            value=many.event_s,
            unit="s",
            target=2.0,
            at_most=True,
        ),
        Figure(
            name=f"OpenADR 2.0b VTN of {MANY} VENs, memory",
            value=many.memory_mib,
            unit="MiB",
            target=1536.0,
            at_most=True,
        ),
    ]


if __name__ == "__main__":
    uvloop.run(ours(Path(sys.argv[2]), int(sys.argv[3])) if sys.argv[1] == "ours" else theirs())
