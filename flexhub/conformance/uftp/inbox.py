"""The suite's inbox: what the target sends, its answers first of all, by conversation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from flexhub.protocols.uftp.codec import MAX_BYTES, UftpCodec
from flexhub.protocols.uftp.envelope import Failed, PublicKey, enveloped, inside, signed
from flexhub.protocols.uftp.messages import Payload, SignedMessage

_CODEC: Final = UftpCodec()


class Came(NamedTuple):
    """A message that the target signed."""

    message: Payload
    envelope: SignedMessage


class Inbox:
    """Takes deliveries and keeps them; whoever waits is told.

    Args:
        keys: what the target signs with.
    """

    def __init__(self, keys: Sequence[PublicKey]) -> None:
        self._keys = keys
        self._came: dict[str, list[Came]] = {}
        self._changed = asyncio.Event()
        self.refused: list[str] = []
        """Of each delivery that could not be read, why."""

    def take(self, body: bytes) -> int:
        """One delivery; what is to be answered by HTTP."""
        opened = self._opened(body)
        if isinstance(opened, Failed):
            self.refused.append(f"{opened.rule} {opened.path}: {opened.message}")
            return opened.status
        self._came.setdefault(opened.message.conversation_id.lower(), []).append(opened)
        self._changed.set()
        self._changed = asyncio.Event()
        return 200

    def _opened(self, body: bytes) -> Came | Failed:
        envelope = enveloped(body, MAX_BYTES)
        if isinstance(envelope, Failed):
            return envelope
        inner = signed(envelope, self._keys)
        if isinstance(inner, Failed):
            return inner
        opened = inside(envelope, inner, _CODEC)
        return opened if isinstance(opened, Failed) else Came(opened.message, envelope)

    def of(self, conversation: str) -> list[Came]:
        """What came in a conversation."""
        return self._came.get(conversation.lower(), [])

    async def find(
        self, conversation: str, wanted: Callable[[Came], bool], seconds: float, after: int = 0
    ) -> Came | None:
        """The first that is wanted, but for the first `after` ones; None where none comes in time."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    changed = self._changed
                    found = next((came for came in self.of(conversation)[after:] if wanted(came)), None)
                    if found is not None:
                        return found
                    await changed.wait()
        except TimeoutError:
            return None
