"""The slot of directories that tell a participant's published keys and its endpoint."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Listing(NamedTuple):
    """What is published of a participant.

    Args:
        keys: published keys, each ``cs1.`` and base64; several while one takes the place of another.
        url: where its messages are posted to; None where nothing is said.
        roles: the roles (AGR, CRO, DSO) that the domain is known in; empty where nothing is said.
        lasts_s: seconds for which it may be taken for true; None: as long as the asker likes.
    """

    keys: tuple[str, ...]
    url: str | None = None
    roles: tuple[str, ...] = ()
    lasts_s: float | None = None


class Directory(Protocol):
    """Tells what is published of a participant. It is asked from the event loop, and caches nothing by itself."""

    async def find(self, domain: str, role: str) -> Listing | None:
        """What is published of a domain in a role; None where it is surely not there.

        Raises:
            UnavailableError: it cannot be told now.
        """

    async def close(self) -> None:
        """Let go of connections."""
