"""A hub of our own to judge: on 127.0.0.1, with a store that is thrown away, in one role of UFTP."""

from __future__ import annotations

import itertools
import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import aiohttp

from flexhub.app import config, wiring
from flexhub.app.serving import utc_now
from flexhub.app.uftp.handlers import outgoing
from flexhub.app.uftp.judging import PATIENCE_S, Net, connections, inbox_at
from flexhub.conformance.uftp.inbox import Inbox
from flexhub.conformance.uftp.market import MALFORMED_POINT, Agreed, Market, Speaker
from flexhub.conformance.uftp.target import CODEC, Uftp
from flexhub.protocols.uftp.envelope import PrivateKey, key_of_seed
from flexhub.protocols.uftp.messages import Role

RUNS: Final = 100
"""So many runs one hub serves, since whom it knows is configured."""
AT_ONCE: Final = 250
"""Messages that a participant may send in a run."""
POINT: Final = "ean.871685900012636543"
ZONE: Final = "Europe/Amsterdam"
MAX_KW: Final = 10_000
RELEASE_MINUTES: Final = 720
DOMAIN: Final = "conformance.example.com"


class Leaping(Net):
    """The same, by a clock that leaps instead of waiting; the target goes by it, too."""

    def __init__(self, session: aiohttp.ClientSession, clock: Callable[[], datetime]) -> None:
        super().__init__(session, "")
        self._clock = clock
        self._leapt = timedelta()

    def at(self, url: str) -> None:
        """The target listens by now."""
        self._url = url

    def now(self) -> datetime:
        """What time it is."""
        return self._clock() + self._leapt

    async def until(self, instant: datetime) -> None:
        """Leap to it."""
        self._leapt += max(timedelta(), instant - self.now())


def _domain(name: str, run: int) -> str:
    return f"{name}-{run}.example.com"


def _configured(role: Role, folder: Path) -> config.Config:
    """A hub that agreed as much as can be agreed with one in this role."""
    participant = config.UftpParticipantSection(
        domain=DOMAIN,
        role=role,
        key=folder / "own.key",
        time_zone=ZONE,
        currencies=("EUR",),
        congestion_points=(POINT, MALFORMED_POINT),  # so that only rule 50 refuses the latter
        max_power=config.Power(MAX_KW),
        mutex_offers=role is not Role.DSO,
        prognoses=True if role is Role.DSO else None,
        release_before=config.Duration(minutes=RELEASE_MINUTES),
        closed=role is Role.CRO,
    )
    known = [_domain(name, run) for run in range(RUNS) for name in ("dso", "agr", "other", "barred", "busy")]
    return config.Config(
        hub=config.HubSection(name="conformance-hub", listen="127.0.0.1:0"),
        store=config.StoreSection(url=f"sqlite:///{folder / 'hub.db'}"),
        plan=config.PlanSection(every=None),
        settle=config.SettleSection(every=None),
        limits=config.LimitsSection(requests=0.001, requests_at_once=AT_ONCE, failures=1e6, failures_at_once=1e6),
        pages=False,
        uftp=config.UftpSection(
            participant=(participant,),
            directory=config.UftpDirectorySection(file=folder / "participants.toml"),
            listen="127.0.0.1:0",
            barred=tuple(_domain("barred", run) for run in range(RUNS)),
            registered=tuple(known),
        ),
    )


class _Everybody:
    """The participants of all runs, new ones in each, published in a file."""

    def __init__(self, role: Role, own: PrivateKey, folder: Path, url: str) -> None:
        self._role = role
        self._own = own
        self._file = folder / "participants.toml"
        self._url = url
        self._runs = itertools.count()
        self._told: list[str] = []
        self._publish()

    def market(self) -> Market:
        """That of the next run."""
        run = next(self._runs)
        main = Role.DSO if self._role is Role.AGR else Role.AGR
        roles = {"dso": Role.DSO, "agr": Role.AGR, "stranger": Role.AGR, "other": main, "barred": main, "busy": main}
        speakers = {name: Speaker(domain=_domain(name, run), role=role, key=_new_key()) for name, role in roles.items()}
        for one in speakers.values():
            self._told.append(
                f'[[participant]]\ndomain = "{one.domain}"\nrole = "{one.role}"\n'
                f'key = "{one.key.public()}"\nurl = "{self._url}"\n'
            )
        self._publish()
        agreed = Agreed(
            congestion_point=POINT,
            time_zone=ZONE,
            max_power_w=1000 * MAX_KW,
            release_minutes=RELEASE_MINUTES,
            prognoses=True if self._role is Role.DSO else None,
            mutex_offers=self._role is not Role.DSO,
            closed=self._role is Role.CRO,
            rate=AT_ONCE,
        )
        return Market(role=self._role, domain=DOMAIN, keys=(self._own.public(),), agreed=agreed, **speakers)

    def _publish(self) -> None:
        staged = self._file.with_suffix(".new")
        staged.write_text("\n".join(self._told))
        staged.rename(self._file)


def _new_key() -> PrivateKey:
    return key_of_seed(os.urandom(32))


@asynccontextmanager
async def own(role: str, clock: Callable[[], datetime] = utc_now) -> AsyncIterator[Callable[[], Uftp]]:
    """A hub of our own in this role, whose rules can be switched off; every call makes the target of another run."""
    key = _new_key()
    inbox = Inbox((key.public(),))
    off: set[str] = set()

    def switch(rules: Iterable[str]) -> None:
        off.clear()
        off.update(rules)

    acting = Role(role.upper())
    with tempfile.TemporaryDirectory(prefix="flexhub-") as name:
        folder = Path(name)
        (folder / "own.key").write_text(key.text())
        async with connections(kept=True) as session, inbox_at("127.0.0.1:0", inbox) as address:
            net, everybody = Leaping(session, clock), _Everybody(acting, key, folder, address)
            async with wiring.running(_configured(acting, folder), clock=net.now, off=off) as hub:
                net.at(f"{hub.uftp_url}/shapeshifter/api/v3/message")
                prompt = _prompting(hub)
                yield lambda: Uftp(
                    net,
                    inbox,
                    everybody.market(),
                    uuid.uuid4().hex,
                    patience_s=PATIENCE_S,
                    prompt=prompt,
                    switch=switch,
                )


def _prompting(hub: wiring.Running) -> Callable[[bytes], Awaitable[None]]:
    async def prompt(xml: bytes) -> None:
        message = CODEC.decode(xml)
        await hub.hub.handle(outgoing(message, peer="flexhub:conformance", id=message.message_id))

    return prompt
