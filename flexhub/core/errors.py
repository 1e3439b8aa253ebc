"""The one exception tree of flexhub. An error says whose fault it is, where, and which clause.

    FlexhubError
    ├── MalformedError          the bytes are not a message of the format (syntax, type, unknown enum, size)
    ├── InvalidError            well-formed, but a field or rule of the model is broken
    ├── IllegalTransitionError  the event may not happen in this state
    ├── DuplicateError          the same id again, with other content
    ├── ReusedError             a message id or key again, for another message
    ├── PreconditionError       meant for another state of what is there
    ├── NotFoundError           a reference to something that is not there, or not yours to see
    ├── ForbiddenError          known to us, but not allowed to do this
    ├── UnauthorizedError       not known to us
    ├── ExpiredError            too late
    ├── LossError               a mapping would lose a bound or a price, and was not allowed to
    ├── InfeasibleError         nothing satisfies the constraints
    ├── EngineError             a plugged-in engine failed or broke its contract (our fault)
    ├── ConfigError             the configuration is wrong
    ├── UnavailableError        flexhub cannot do it now; the same again later may well pass
    └── InternalError           flexhub itself failed; the log says how

Its sentence reads ``path: what is wrong [clause]``, for instance
``FlexOffer/profiles[0]/slices[2]/energy_kwh[0]: lo 3.0 exceeds hi 2.0 kWh [V1 section 2.2]``.
"""

from __future__ import annotations

import re
from typing import Final, Literal

Fault = Literal["peer", "ours"]


class FlexhubError(Exception):
    """Base of all errors of flexhub.

    Args:
        message: one sentence that helps, without the path and the clause.
        path: where, as ``Type/field[index]/...``; empty if the whole message is meant.
        value: the offending value, as text.
        clause: the clause of the standard or document that demands it.
    """

    code: str = "error"
    fault: Fault = "peer"

    def __init__(self, message: str, *, path: str = "", value: str = "", clause: str = "") -> None:
        self.message = message
        self.path = path
        self.value = value
        self.clause = clause
        super().__init__(message)

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        clause = f" [{self.clause}]" if self.clause else ""
        return f"{where}{self.message}{clause}"


class MalformedError(FlexhubError):
    """The bytes are not a message of the format."""

    code = "malformed"


class InvalidError(FlexhubError, ValueError):
    """A field or a rule of the model is broken.

    A ValueError, so that msgspec reports it as a validation error.
    """

    code = "invalid"


class IllegalTransitionError(FlexhubError):
    """The event may not happen in this state."""

    code = "illegal-transition"


class DuplicateError(FlexhubError):
    """The same identifier again, with other content."""

    code = "duplicate"


class ReusedError(FlexhubError):
    """A message's identifier or key again, for a message with other content."""

    code = "reused"


class PreconditionError(FlexhubError):
    """What is there is not in the state that the request is meant for."""

    code = "precondition-failed"


class NotFoundError(FlexhubError):
    """A reference to something that does not exist, or is not the asker's to see."""

    code = "not-found"


class ForbiddenError(FlexhubError):
    """The party is known, but its role does not allow this."""

    code = "forbidden"


class UnauthorizedError(FlexhubError):
    """The party is not known."""

    code = "unauthorized"


class ExpiredError(FlexhubError):
    """A deadline has passed."""

    code = "expired"


class LossError(FlexhubError):
    """A conversion would lose a bound or a price and was not allowed to."""

    code = "loss"


class InfeasibleError(FlexhubError):
    """Nothing satisfies the constraints."""

    code = "infeasible"


class EngineError(FlexhubError):
    """A plugged-in engine failed or broke its contract."""

    code = "engine"
    fault = "ours"


class ConfigError(FlexhubError):
    """The configuration is wrong."""

    code = "config"
    fault = "ours"


class UnavailableError(FlexhubError):
    """Flexhub cannot do this now; the same again later may well pass."""

    code = "unavailable"
    fault = "ours"


class InternalError(FlexhubError):
    """Flexhub itself failed; the log says how."""

    code = "internal"
    fault = "ours"


_WHERE: Final = re.compile(r" - at `\$?(?P<path>[^`]*)`$")


def located(text: str) -> tuple[str, str]:
    """Text of a msgspec error as (sentence, path below the document in our notation): ``/profiles[0]/slices[2]``."""
    where = _WHERE.search(text)
    if where is None:
        return text, ""
    path = where["path"].replace("[...]", "[*]").replace(".", "/")
    return text[: where.start()], path if path.startswith(("/", "[")) or not path else f"/{path}"


def _leaves(cls: type[FlexhubError]) -> list[type[FlexhubError]]:
    return [cls, *(leaf for child in cls.__subclasses__() for leaf in _leaves(child))]


BY_CODE: Final[dict[str, type[FlexhubError]]] = {cls.code: cls for cls in _leaves(FlexhubError)}
