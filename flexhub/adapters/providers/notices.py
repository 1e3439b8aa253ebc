"""A notifier that writes: one line for each notice, to a stream or to the log."""

from __future__ import annotations

import logging
from typing import TextIO

from flexhub.core.documents import encode

log = logging.getLogger(__name__)


class NoticeLines:
    """Writes each notice as one line of JSON: an object with `party`, `subject` and `text`.

    With a stream each line is flushed to it; without, it goes to this module's log, at level INFO.
    """

    name = "lines"

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    def notify(self, party: str, subject: str, text: str) -> None:
        """Write one line."""
        line = encode({"party": party, "subject": subject, "text": text}).decode()
        if self._stream is None:
            log.info("%s", line)
        else:
            self._stream.write(f"{line}\n")
            self._stream.flush()
