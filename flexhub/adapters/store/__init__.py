"""The store: journal, documents, outbox, questions, timers and tokens in one database."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from flexhub.adapters.store.interface import Store
from flexhub.core.errors import ConfigError


def check_url(url: str) -> None:
    """Whether a store may be at this address.

    Raises:
        ConfigError: an address of a kind that we don't serve.
    """
    if not url.startswith(("sqlite:///", "postgresql+psycopg://")):
        sentence = "the store is sqlite:///path/to/hub.db or postgresql+psycopg://user@host/database"
        raise ConfigError(sentence, path="store/url", value=without_password(url))
    if url.startswith("postgresql") and find_spec("psycopg") is None:
        raise ConfigError("PostgreSQL needs flexhub[postgres]", path="store/url", value=without_password(url))


def without_password(url: str) -> str:
    """An address that may be shown."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)


def store_folder(url: str) -> Path | None:
    """The folder that the store's files are in; None for one that is elsewhere."""
    prefix = "sqlite:///"
    return Path(url.removeprefix(prefix)).absolute().parent if url.startswith(prefix) else None


def open_store(url: str) -> Store:
    """The store at this address, its tables up to date.

    SQLite: ``sqlite:///folder/hub.db``; PostgreSQL: ``postgresql+psycopg://user@host/database``.

    Raises:
        ConfigError: an address of a kind that we don't serve, or a file that is no database of ours.
    """
    from flexhub.adapters.store.sql import SqlStore  # noqa: PLC0415 - SQLAlchemy and alembic only where a hub runs

    check_url(url)
    return SqlStore(url)
