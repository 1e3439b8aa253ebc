"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres as pg
from tests import prosody as xmpp

ROOT = Path(__file__).parent.parent


def pytest_configure() -> None:
    """Deterministic property tests in CI, so that a red build can be repeated; programs that start quickly."""
    # The program is started hundreds of times; where nothing may be cached, each start compiles all of it anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    from hypothesis import settings  # noqa: PLC0415 - only where tests run

    settings.register_profile("ci", derandomize=True, deadline=None)
    settings.register_profile("dev", deadline=None)
    settings.register_profile("soak", deadline=None, max_examples=5000)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))


def examples(few: int) -> int:
    """How many examples of a costly property are tried: so few, and fifty times as many by `make soak`."""
    return few * 50 if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else few


def need(present: bool, reason: str) -> None:
    """Skip with the reason where something is missing; in CI that is a failure instead."""
    if present:
        return
    if os.environ.get("CI"):
        pytest.fail(f"missing in CI: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with schemas and data for tests: ``FLEXHUB_SHARED``, or ``shared`` beside the project."""
    folder = Path(os.environ.get("FLEXHUB_SHARED", ROOT.parent / "shared"))
    need(folder.is_dir(), f"no folder of schemas and data at {folder}; set FLEXHUB_SHARED")
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[pg.Cluster]:
    """A PostgreSQL server of this run's own."""
    need(pg.programs() is not None, "no PostgreSQL server here; Debian's package postgresql")
    with pg.cluster() as running:
        yield running


@pytest.fixture(scope="session")
def prosody() -> Iterator[xmpp.Server]:
    """An XMPP server of this run's own."""
    need(xmpp.program() is not None, "no XMPP server here; Debian's package prosody")
    with xmpp.server() as running:
        yield running
