"""The store: journal, documents, outbox, questions, timers and tokens in one database."""

from __future__ import annotations

from flexhub.adapters.store.interface import Store
from flexhub.core.errors import ConfigError


def check_url(url: str) -> None:
    """Whether a store may be at this address.

    Raises:
        ConfigError: an address of a kind that we don't serve.
    """
    if not url.startswith("sqlite:///"):
        raise ConfigError("the store is an SQLite file: sqlite:///path/to/hub.db", path="store/url", value=url)


def open_store(url: str) -> Store:
    """The store at this address, its tables up to date. SQLite: ``sqlite:///folder/hub.db``.

    Raises:
        ConfigError: an address of a kind that we don't serve, or a file that is no database of ours.
    """
    from flexhub.adapters.store.sql import SqlStore  # noqa: PLC0415 - SQLAlchemy and alembic only where a hub runs

    check_url(url)
    return SqlStore(url)
