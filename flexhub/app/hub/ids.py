"""Ids of messages whose sender gives none."""

from __future__ import annotations

import itertools
import os
import uuid
from functools import cache
from typing import Final

_COUNTER: Final = itertools.count()


@cache
def _process() -> str:
    return uuid.uuid4().hex


os.register_at_fork(after_in_child=_process.cache_clear)


def fresh_id() -> str:
    """An id that is given once, whatever other processes give, also one that was forked from this."""
    return f"{_process()}-{next(_COUNTER)}"
