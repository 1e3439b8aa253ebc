"""The store: journal, documents, outbox, questions, timers and tokens in one database."""

from __future__ import annotations

from flexhub.adapters.store.interface import Store


def open_store(url: str) -> Store:
    """The store at this address, its tables up to date. SQLite: ``sqlite:///folder/hub.db``.

    Raises:
        ConfigError: an address of a kind that we don't serve.
    """
    from flexhub.adapters.store.sql import SqlStore  # noqa: PLC0415 - SQLAlchemy and alembic only where a hub runs
    from flexhub.core.errors import ConfigError  # noqa: PLC0415 - as above

    if not url.startswith("sqlite:///"):
        raise ConfigError("the store is an SQLite file: sqlite:///path/to/hub.db", path="store/url", value=url)
    return SqlStore(url)
