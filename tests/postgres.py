"""A PostgreSQL server of the tests' own: its cluster in a temporary folder, on a free port of 127.0.0.1."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg

USER: Final = "postgres"
PATIENCE_S: Final = 60


def programs() -> Path | None:
    """Where the newest server's programs are: Debian has them in a folder of their version, not in the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    if found:
        return found[-1].parent
    elsewhere = shutil.which("initdb")
    return Path(elsewhere).parent if elsewhere else None


class Cluster:
    """A server that runs. `database` makes an empty one and gives its address."""

    def __init__(self, bin_: Path, folder: Path) -> None:
        self._bin = bin_
        self._folder = folder
        self._data = folder / "data"
        self._numbers = itertools.count()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]

    def _as_user(self, *command: object) -> subprocess.CompletedProcess[str]:
        # initdb and postgres refuse to run as root.
        drop = ["runuser", "-u", USER, "--"] if os.geteuid() == 0 else []
        return subprocess.run(
            [*drop, *map(str, command)],
            cwd=self._folder,
            check=True,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE_S,
        )

    def make(self) -> None:
        """Lay the cluster out."""
        if os.geteuid() == 0:
            owner = pwd.getpwnam(USER)
            os.chown(self._folder, owner.pw_uid, owner.pw_gid)
        self._as_user(self._bin / "initdb", "-D", self._data, "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync")

    def start(self) -> None:
        """Run it; it takes connections when this returns."""
        options = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories=''"
        log = self._folder / "log"
        self._as_user(self._bin / "pg_ctl", "-D", self._data, "-l", log, "-o", options, "-w", "start")

    def stop(self, mode: str = "fast") -> None:
        """End it; "immediate" without tidying up, as in a crash."""
        self._as_user(self._bin / "pg_ctl", "-D", self._data, "-m", mode, "-w", "stop")

    def database(self) -> str:
        """The address of an empty database."""
        name = f"t{os.getpid()}_{next(self._numbers)}"
        with psycopg.connect(f"host=127.0.0.1 port={self.port} user={USER}", autocommit=True) as connection:
            # Its words are sorted as in English, not by code points: many a server's are.
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'")
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/{name}"


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A server for as long as the block lasts.

    Raises:
        FileNotFoundError: PostgreSQL is not installed.
    """
    bin_ = programs()
    if bin_ is None:
        raise FileNotFoundError("PostgreSQL's programs")
    with tempfile.TemporaryDirectory(prefix="flexhub-pg-", ignore_cleanup_errors=True) as name:
        made = Cluster(bin_, Path(name))
        made.make()
        made.start()
        try:
            yield made
        finally:
            made.stop("immediate")
