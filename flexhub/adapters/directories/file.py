"""A directory in a file, TOML or JSON, that is read again when it changes.

    [[participant]]
    domain = "agr.example.com"
    role = "AGR"
    key = "cs1...."                 # or a list, while a new key takes the place of an old one
    url = "https://agr.example.com/shapeshifter/api/v3/message"

In JSON it is ``{"participant": [{"domain": ..., ...}]}``. A domain in several roles stands once for each.
"""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from flexhub.adapters.directories.interface import Listing
from flexhub.core.errors import ConfigError, UnavailableError

ROLES: Final = ("AGR", "CRO", "DSO")


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One participant."""

    domain: str
    role: str
    key: str | tuple[str, ...]
    url: str | None = None

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ValueError(f"role {self.role!r} is none of {', '.join(ROLES)}")


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    participant: tuple[Entry, ...] = ()


class FileDirectory:
    """A file's participants.

    Raises:
        ConfigError: it cannot be read, or is no directory.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = _stamp(path)
        self._listed = _read(path)

    async def find(self, domain: str, role: str) -> Listing | None:
        """As of the file; a change that cannot be read leaves what was known, for those that are in it.

        Raises:
            UnavailableError: the file cannot be read any more, and does not say this participant so far.
        """
        broken: ConfigError | None = None
        try:
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._listed = await asyncio.to_thread(_read, self._path)
                self._stamp = stamp
        except ConfigError as error:
            broken = error
        found = self._listed.get(domain, {})
        listing = found.get(role) or next(iter(found.values()), None)
        if listing is None and broken is not None:
            raise UnavailableError(str(broken)) from broken
        return listing

    async def close(self) -> None:
        """Nothing is held."""


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise ConfigError(f"no directory: {error.strerror}", path="uftp/directory/file", value=str(path)) from error
    return found.st_mtime_ns, found.st_ino


def _read(path: Path) -> Mapping[str, dict[str, Listing]]:
    try:
        data = path.read_bytes()
        if path.suffix == ".json":
            told = msgspec.json.decode(data, type=_File)
        else:
            told = msgspec.convert(tomllib.loads(data.decode()), _File)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError, tomllib.TOMLDecodeError) as error:
        sentence = f"{path} is no directory: {error}"
        raise ConfigError(sentence, path="uftp/directory/file", value=str(path)) from error
    roles: dict[str, tuple[str, ...]] = {}
    for entry in told.participant:
        roles[entry.domain] = (*roles.get(entry.domain, ()), entry.role)
    listed: dict[str, dict[str, Listing]] = {}
    for entry in told.participant:
        keys = (entry.key,) if isinstance(entry.key, str) else entry.key
        listed.setdefault(entry.domain, {})[entry.role] = Listing(keys, entry.url, roles[entry.domain])
    return listed
