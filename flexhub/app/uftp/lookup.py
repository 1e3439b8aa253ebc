"""Looks participants up in a directory, and remembers them for a while; many who ask at once are one question."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Final, NamedTuple

from flexhub.adapters.directories.interface import Directory, Listing
from flexhub.core.errors import FlexhubError, NotFoundError, UnavailableError
from flexhub.protocols.uftp.envelope import PublicKey, public_key
from flexhub.protocols.uftp.messages import Role

MOST: Final = 50_000
"""So many participants are remembered; the one that was looked up longest ago goes first."""

ABSENT_S: Final = 5.0
"""How long it is remembered that somebody is not there, or that nobody can tell."""

AGAIN_S: Final = 5.0
"""A participant whose signature fails is looked up again, for its key may be new, but no more often than this."""


class Participant(NamedTuple):
    """Who somebody is: keys that its signatures are checked with, endpoint, and the roles it is known in."""

    keys: tuple[PublicKey, ...]
    url: str | None
    roles: frozenset[Role]


class _Known(NamedTuple):
    found: Participant | FlexhubError
    at: float
    until: float


class Lookup:
    """Looks up, with a memory.

    Args:
        directory: who is asked.
        lasts_s: how long an answer is remembered, unless it says that it lasts shorter.
        clock: seconds that go on whatever the clock says.
    """

    def __init__(self, directory: Directory, lasts_s: float = 300.0, clock: Callable[[], float] = monotonic) -> None:
        self._directory = directory
        self._lasts_s = lasts_s
        self._clock = clock
        self._known: dict[tuple[str, Role], _Known] = {}
        self._asking: dict[tuple[str, Role], asyncio.Task[Participant]] = {}

    def known(self, domain: str, role: Role) -> Participant | None:
        """From memory, without waiting; None where it has to be looked up."""
        known = self._known.get((domain, role))
        if known is None or known.until <= self._clock() or isinstance(known.found, FlexhubError):
            return None
        return known.found

    async def find(self, domain: str, role: Role) -> Participant:
        """Who this is.

        Raises:
            NotFoundError: nobody is published under this name.
            UnavailableError: nobody can tell now, or what is published cannot be read.
        """
        known = self._known.get((domain, role))
        if known is not None and known.until > self._clock():
            if isinstance(known.found, FlexhubError):
                raise type(known.found)(known.found.message, path=known.found.path, value=domain)
            return known.found
        return await self._ask(domain, role)

    async def again(self, domain: str, role: Role) -> Participant | None:
        """What is published by now, where the last look was a while ago; None where it was not, or nothing is."""
        known = self._known.get((domain, role))
        if known is not None and self._clock() - known.at < AGAIN_S:
            return None
        try:
            return await self._ask(domain, role)
        except FlexhubError:
            return None

    async def _ask(self, domain: str, role: Role) -> Participant:
        place = (domain, role)
        task = self._asking.get(place)
        if task is None:
            task = asyncio.create_task(self._look(domain, role))
            self._asking[place] = task
            task.add_done_callback(lambda _: self._asking.pop(place, None))
        return await asyncio.shield(task)  # one who goes away takes the answer from nobody else

    async def _look(self, domain: str, role: Role) -> Participant:
        at, lasts = self._clock(), ABSENT_S
        found: Participant | FlexhubError
        try:
            listing = await self._directory.find(domain, role)
            if listing is None:
                found = NotFoundError(f"no participant {role} {domain} is published", value=domain)
            else:
                found = read(listing, role)
                lasts = self._lasts_s if listing.lasts_s is None else min(self._lasts_s, listing.lasts_s)
        except UnavailableError as error:
            found = error
        except FlexhubError as error:
            found = UnavailableError(f"what is published of {role} {domain} cannot be read: {error}")
        self._known.pop((domain, role), None)
        self._known[domain, role] = _Known(found, at, at + lasts)
        if len(self._known) > MOST:
            del self._known[next(iter(self._known))]
        if isinstance(found, FlexhubError):
            raise found
        return found

    async def close(self) -> None:
        """Look up no more."""
        for task in list(self._asking.values()):
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)
        await self._directory.close()


def read(listing: Listing, role: Role) -> Participant:
    """What is published, as it is used; roles that are not told are the one that was asked for.

    Raises:
        InvalidError: a key that is none.
    """
    roles = frozenset(Role(told) for told in listing.roles) or frozenset((role,))
    return Participant(tuple(public_key(text) for text in listing.keys), listing.url, roles)
