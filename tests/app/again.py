"""A hub's journal, worked again."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from flexhub.adapters.store import open_store
from flexhub.app.config import Config
from flexhub.app.hub.loop import office
from flexhub.app.hub.replay import replay
from flexhub.app.wiring import deciders, engine_of


def replayed(told: Config, store: str = "") -> None:
    """A replay of the journal of this configuration's hub comes to what is stored (in `store`, where it is another)."""
    with (
        TemporaryDirectory() as folder,
        closing(open_store(store or told.store.url)) as stored,
        closing(open_store(f"sqlite:///{Path(folder) / 'again.db'}")) as again,
    ):
        assert replay(stored, again, office(*deciders(told, engine_of(told)), holder="")).differences == []
