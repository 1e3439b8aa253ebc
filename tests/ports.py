"""Ports of 127.0.0.1 for servers that are killed and come back on the same one."""

from __future__ import annotations

import itertools
import os
import socket
from typing import Final

FIRST: Final = 20_000
EACH: Final = 1_000
"""Ports of a worker of pytest-xdist: they run at the same time."""

_NEXT: Final = itertools.count(os.getpid() % EACH)


def free_port() -> int:
    """A port that nobody listens on, and that the system gives to no client.

    A port of its own choice lies among those that clients get: while a server is down, one may get it, even to call
    that very port, and the server cannot come back.
    """
    first = FIRST + EACH * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for n in itertools.islice(_NEXT, EACH):
        port = first + n % EACH
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"no port is free from {first} on")
