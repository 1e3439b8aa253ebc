"""What the application makes of a UFTP message that was accepted: the one place where something is built on it.

A `Hook` per type of message, in a dict; `flexhub.app.uftp.handlers.build` takes it. It runs inside the decision about
the message, in the same transaction: purely, and with the documents that its `needs` names.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from flexhub.app.hub.contract import Key, Put, View
from flexhub.app.uftp.participants import Own
from flexhub.core.effects import Effect
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.session import Entry


class Case(NamedTuple):
    """A message that came, and what is known.

    Args:
        own: who of us it is for.
        message: what came.
        asked: for an answer, the message of ours that it answers, and what became of it.
        seed: what ids of messages that follow from this one are derived from (`participants.metadata`).
        view: the documents that `needs` named.
        now: the time.
    """

    own: Own
    message: wire.Payload
    asked: Entry | None
    seed: str
    view: View
    now: datetime


class Work(NamedTuple):
    """What comes of it: documents, effects, and fields of the answer that only the application knows."""

    puts: tuple[Put, ...] = ()
    effects: tuple[Effect, ...] = ()
    content: dict[str, Any] = {}


class Hook(Protocol):
    """Works messages of one type, first come and accepted; an answer's type is one, too."""

    def needs(self, own: Own, message: wire.Payload) -> Iterable[Key]:
        """The documents to look up."""

    def work(self, case: Case) -> Work:
        """What comes of it.

        Raises:
            FlexhubError: it cannot be worked; it is rejected with this as Invalid Message.
        """
