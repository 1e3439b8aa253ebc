"""A disk whose power can be cut: what was written and not synced is lost then, whole or in parts.

SQLite reaches the disk through a VFS (apsw), which counts what it is asked to do. At a number that is chosen beforehand
the power goes: nothing is written any more, and what a later start finds is made of what had been synced and of such
sectors of everything since as the dice say, in any order, as a disk with a cache may leave them.

apsw has a SQLite of its own, so the store is given a driver that is made of it (`Driver`). Its VFS shares no memory
between connections; that is why the one connection locks the file for itself, which changes nothing of what is synced.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

import apsw
from sqlalchemy import Engine, create_engine, event

from flexhub.adapters.store.dialects import Sqlite

SECTOR: Final = 512
NAME: Final = "powercut"


class PowerCutError(Exception):
    """The power went."""


class Disk(apsw.VFS):
    """The machine's own disk, seen through a switch.

    Args:
        after: how many writes, syncs and changes of size it does before the power goes.
    """

    def __init__(self, after: int) -> None:
        self.left = after
        self.over = False
        """Nobody counts on it any more: what SQLite still does as it lets go of its files goes nowhere."""
        self.files: dict[str, Stored] = {}
        super().__init__(NAME, "")

    def xOpen(self, name: Any, flags: list[int]) -> Stored:  # noqa: N802 - apsw's
        """A file; what it holds by now is taken for synced."""
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        opened = Stored(self, path, name, flags)
        self.files[path] = opened
        return opened

    def step(self) -> None:
        """One more thing that it is asked to do."""
        self.left -= 1
        if self.left < 0 and not self.over:
            raise PowerCutError

    def left_behind(self, folder: Path, dice: Random) -> None:
        """Put into the folder what a later start finds."""
        for path, stored in self.files.items():
            if not path.endswith("-shm"):
                (folder / Path(path).name).write_bytes(stored.after_the_cut(dice))


class Stored(apsw.VFSFile):
    """A file: what is synced, and what has been asked for since."""

    def __init__(self, disk: Disk, path: str, name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._disk = disk
        self._synced = bytearray(Path(path).read_bytes()) if Path(path).exists() else bytearray()
        self._since: list[tuple[int, bytes] | int] = []

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - apsw's
        """Written, but only into the cache."""
        self._disk.step()
        if self._disk.over:
            return
        self._since.append((offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802 - apsw's
        """As a write."""
        self._disk.step()
        if self._disk.over:
            return
        self._since.append(size)
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802 - apsw's
        """All of it is on the disk."""
        self._disk.step()
        if self._disk.over:
            return
        super().xSync(flags)
        for change in self._since:
            _apply(self._synced, change)
        self._since.clear()

    def after_the_cut(self, dice: Random) -> bytes:
        """What is found: of each change since the last sync nothing, everything, or some sectors."""
        found = bytearray(self._synced)
        kept = dice.choice((0.0, 0.5, 0.9, 1.0))
        for change in self._since:
            if isinstance(change, int):
                if dice.random() < kept:
                    _apply(found, change)
                continue
            for part in _sectors(*change):
                if dice.random() < kept:
                    _apply(found, part)
        return bytes(found)


def _sectors(offset: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        end = at + SECTOR - (offset + at) % SECTOR
        yield offset + at, data[at:end]
        at = end


def _apply(content: bytearray, change: tuple[int, bytes] | int) -> None:
    if isinstance(change, int):
        del content[change:]
        return
    offset, data = change
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


class Cursor:
    """DB-API's, as far as the store needs it."""

    arraysize = 1

    def __init__(self, connection: Connection) -> None:
        self._connection = connection.apsw
        self._rows: list[tuple[Any, ...]] = []
        self.description: Sequence[Any] | None = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Cursor:
        """Run one statement."""
        cursor = self._connection.cursor()
        cursor.execute(sql, tuple(parameters))
        try:
            names: Any = cursor.get_description()
        except apsw.ExecutionCompleteError:
            names = ()
        self.description = [(name, None, None, None, None, None, None) for name, _ in names] or None
        self._rows = list(cursor) if names else []
        self.rowcount = -1 if names else self._connection.changes()
        self.lastrowid = self._connection.last_insert_rowid()
        return self

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> Cursor:
        """Run it for each."""
        done = 0
        for row in rows:
            done += max(self.execute(sql, row).rowcount, 0)
        self.rowcount = done
        return self

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row."""
        return self._rows.pop(0) if self._rows else None

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All other rows."""
        rows, self._rows = self._rows, []
        return rows

    def fetchmany(self, size: int = 1) -> list[tuple[Any, ...]]:
        """Some rows."""
        rows, self._rows = self._rows[:size], self._rows[size:]
        return rows

    def close(self) -> None:
        """Nothing is held."""


class Connection:
    """DB-API's, on the disk whose power can be cut."""

    isolation_level: Any = None

    def __init__(self, file: str, **_options: Any) -> None:
        self.apsw = apsw.Connection(file, vfs=NAME)
        self.execute("PRAGMA locking_mode=EXCLUSIVE")

    def cursor(self) -> Cursor:
        """A new one."""
        return Cursor(self)

    def execute(self, sql: str) -> Cursor:
        """Run one statement."""
        return self.cursor().execute(sql)

    def create_function(self, *_arguments: Any, **_options: Any) -> None:
        """The store uses none."""

    def commit(self) -> None:
        """End the transaction."""
        if self.apsw.in_transaction:
            self.execute("COMMIT")

    def rollback(self) -> None:
        """Undo it."""
        if self.apsw.in_transaction:
            self.execute("ROLLBACK")

    def close(self) -> None:
        """Let go of the file."""
        self.apsw.close()


class Driver:
    """apsw as a DB-API module."""

    paramstyle = "qmark"
    sqlite_version_info = tuple(map(int, apsw.sqlite_lib_version().split(".")))
    Error = DatabaseError = OperationalError = IntegrityError = InterfaceError = apsw.Error
    ProgrammingError = NotSupportedError = DataError = InternalError = Warning = apsw.Error
    Binary = bytes
    connect = Connection


class OnDisk(Sqlite):
    """SQLite as the store has it, but through the driver; `weaker` are settings that promise less."""

    def __init__(self, weaker: str | None = None) -> None:
        self._weaker = weaker

    def engines(self, url: str) -> tuple[Engine, Engine]:
        """One connection for everything."""
        engine = create_engine(url, module=Driver)
        event.listen(engine, "connect", self._prepare)
        event.listen(engine, "connect", self._weaken)
        event.listen(engine, "begin", self._begin)
        return engine, engine

    def _weaken(self, connection: Connection, _record: object) -> None:
        if self._weaker is not None:
            connection.execute(f"PRAGMA {self._weaker}")
