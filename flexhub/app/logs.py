"""Logs: a line for people or for programs, and on each what it is about: a request, a message, both.

What people sent is in no line: no token, no body, no reading. Errors of the database come without their parameters.
"""

from __future__ import annotations

import enum
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec


class Form(enum.StrEnum):
    """How lines are written: for people, or an object of JSON each."""

    CONSOLE = "console"
    JSON = "json"


class Level(enum.StrEnum):
    """What is written: this, and what is graver. `debug` has a line for every message and every request."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class About(NamedTuple):
    """A message, by what names it."""

    peer: str
    message: str
    kind: str
    conversation: str


request_id: Final[ContextVar[str]] = ContextVar("request_id", default="")
"""The request that is being served; what came as X-Request-Id, or one of ours."""

_about: Final[ContextVar[About | None]] = ContextVar("about", default=None)


@contextmanager
def about(peer: str, message: str, kind: str, conversation: str) -> Iterator[None]:
    """Lines written within are about this message."""
    before = _about.set(About(peer, message, kind, conversation))
    try:
        yield
    finally:
        _about.reset(before)


def fields() -> dict[str, str]:
    """What lines written now are about."""
    found = {"request": request} if (request := request_id.get()) else {}
    message = _about.get()
    return found if message is None else found | message._asdict()


class JsonLines(logging.Formatter):
    """One object a line: at, level, logger, text, what it is about, and what went wrong."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, object] = {
            "at": _instant(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "text": record.getMessage(),
        }
        line |= fields()
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


class ConsoleLines(logging.Formatter):
    """Time, level, text, and what it is about; control characters, which a peer may have sent, are written out."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and below it what went wrong."""
        said = " ".join(f"{name}={value}" for name, value in fields().items())
        text = f"{record.getMessage()}{f' [{said}]' if said else ''}"
        clean = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
        line = f"{_instant(record)} {record.levelname:<7} {clean}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _instant(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


FORMS: Final = {Form.CONSOLE: ConsoleLines, Form.JSON: JsonLines}


def begin(form: Form, level: Level) -> None:
    """Write all logs of this process to stderr; called again, it changes form and level."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(FORMS[form]())
    logging.basicConfig(handlers=[handler], force=True)
    choose(level)


def choose(level: Level) -> None:
    """Let flexhub's own lines through from this level on, and from other packages no less than warnings.

    At their lower levels they may write what they carry.
    """
    logging.getLogger("flexhub").setLevel(level.upper())
    logging.getLogger().setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level.upper()]))
