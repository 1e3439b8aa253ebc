"""What the application makes of a UFTP message that was accepted: the one place where something is built on it.

A `Hook` per type of message, in a dict; `flexhub.app.uftp.handlers.build` takes it. It runs inside the decision about
the message, in the same transaction: purely, and with the documents that its `needs` names.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

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
        past: messages that it refers to, by MessageID, and what became of them; of an answer, what it answers, too.
        seed: what ids of messages that follow from this one are derived from (`participants.metadata`).
        view: the documents that `needs` named.
        now: the time.
    """

    own: Own
    message: wire.Payload
    past: dict[str, Entry]
    seed: str
    view: View
    now: datetime


class Work(NamedTuple):
    """What comes of it: documents, effects, fields of the answer that only the application knows, and what it `sends`.

    Messages of ours go out to the sender behind the answer, in the same transaction. They may refer to this message and
    to what is in `Case.past`; whatever else judges them (`Desk.needed`), a revision or a prognosis, `needs` names.
    """

    puts: tuple[Put, ...] = ()
    effects: tuple[Effect, ...] = ()
    content: dict[str, Any] = {}
    sends: tuple[wire.Payload, ...] = ()


class Hook:
    """Works messages of one type, first come and accepted; an answer's type is one, too. Subclasses say how."""

    def needs(self, own: Own, message: wire.Payload) -> Iterable[Key]:  # noqa: ARG002 - for those that need something
        """The documents to look up."""
        return ()

    def further(self, own: Own, message: wire.Payload, view: View) -> Iterable[Key]:  # noqa: ARG002 - as above
        """The documents to look up once those of `needs` are seen."""
        return ()

    def places(self, own: Own, message: wire.Payload, view: View) -> dict[str, str] | None:  # noqa: ARG002 - as above
        """What rule 49 judges by, as `seen.Seen.places`; None: nothing is known about connections here."""
        return None

    def work(self, case: Case) -> Work:
        """What comes of it. It is called before the rules have judged, and what it returns is used if they accept.

        Raises:
            FlexhubError: it cannot be worked; where no rule is broken, it is rejected with this, as Invalid Message.
        """
        raise NotImplementedError
