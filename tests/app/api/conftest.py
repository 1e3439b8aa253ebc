"""One hub per module: what a test needs for itself are offers of its own ids."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.app.api.live import Live, config, live


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live(config(tmp_path_factory.mktemp("hub"))) as running:
        yield running


@pytest.fixture
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A hub for one test, which may move its clock."""
    with live(config(tmp_path_factory.mktemp("hub"))) as running:
        yield running
