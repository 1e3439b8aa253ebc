"""What suites are handed to reach their target: HTTP and two prosumers; without a target, at a hub of our own."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from flexhub.conformance.suite import Suite
from flexhub.core.errors import ConfigError

Transports = dict[str, Any]


class Participants(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a file of tokens holds, TOML: two prosumers with a contract, each ``party`` and ``token``."""

    one: dict[str, str]
    other: dict[str, str]


@asynccontextmanager
async def transports(
    chosen: Suite[Any], target: str | None, tokens: Path | None, market: Path | None = None, prompt: str | None = None
) -> AsyncIterator[Callable[[], Transports]]:
    """What makes the transports of one run of the suite, each under a name of its own.

    A suite that judges the library gets none. For the others a hub is started where no target is given.

    Raises:
        ConfigError: the file of tokens can't be read.
    """
    if not chosen.endpoint:
        yield dict
        return
    if chosen.role == "ven":
        from flexhub.app.openadr.ven import judged  # noqa: PLC0415 - only where a VEN is judged

        async with judged.own() if market is None else judged.given(market) as made:
            yield lambda: {"ven": made()}
        return
    if chosen.role:
        from flexhub.app.uftp.judged import given as others  # noqa: PLC0415 - only where an endpoint of UFTP is judged
        from flexhub.app.uftp.judged_own import own  # noqa: PLC0415 - as above

        ours = own(chosen.role) if market is None else others(chosen.role, market, target, prompt)
        async with ours as fresh:
            yield lambda: {"uftp": fresh()}
        return
    from flexhub.adapters.http.client import HttpClient  # noqa: PLC0415 - HTTP is loaded for endpoints only
    from flexhub.app.serving import utc_now  # noqa: PLC0415 - as above

    @asynccontextmanager
    async def given() -> AsyncIterator[tuple[str, tuple[Any, Any]]]:
        if target is None or tokens is None:
            raise ConfigError("a target needs the tokens of two prosumers there", path="--tokens")
        yield target, _participants(tokens)

    async with _own() if target is None else given() as (url, participants), HttpClient(url) as http:
        yield lambda: {
            "http": http,
            "participants": participants,
            "now": utc_now(),
            "run": f"conf-{uuid.uuid4().hex[:10]}",
        }


def _participants(file: Path) -> tuple[Any, Any]:
    from flexhub.conformance.exchange import Participant  # noqa: PLC0415 - only for suites of an endpoint

    try:
        told = msgspec.toml.decode(file.read_bytes(), type=Participants)
        return (msgspec.convert(told.one, Participant), msgspec.convert(told.other, Participant))
    except (msgspec.DecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{error}; [one] and [other] each hold party and token", path=str(file)) from error


@asynccontextmanager
async def _own() -> AsyncIterator[tuple[str, tuple[Any, Any]]]:
    """A hub of our own on 127.0.0.1, with a store that is thrown away, and its two prosumers."""
    from flexhub.app import config, wiring  # noqa: PLC0415 - only where a hub is started
    from flexhub.conformance.exchange import Participant  # noqa: PLC0415 - as above
    from flexhub.core.registry import Role  # noqa: PLC0415 - as above

    parties = ("conformance-one", "conformance-other")
    with tempfile.TemporaryDirectory(prefix="flexhub-") as folder:
        configured = config.Config(
            hub=config.HubSection(name="conformance-hub", listen="127.0.0.1:0"),
            store=config.StoreSection(url=f"sqlite:///{Path(folder) / 'hub.db'}"),
            plan=config.PlanSection(every=None),
            settle=config.SettleSection(every=None),
            party=tuple(
                config.PartySection(
                    id=party, roles=(Role.PROSUMER,), contract=config.ContractSection(id=f"contract-{party}")
                )
                for party in parties
            ),
        )
        async with wiring.running(configured) as hub:
            tokens = [await hub.hub.add_token(party, Role.PROSUMER) for party in parties]
            one, other = (Participant(party=p, token=t) for p, t in zip(parties, tokens, strict=True))
            yield hub.url, (one, other)
