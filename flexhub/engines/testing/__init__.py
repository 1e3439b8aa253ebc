"""One test set per slot, which every implementation passes, ours and third parties' alike.

Each set is a plain class without any test framework; its ``test_...`` methods raise AssertionError. Run it by
subclassing where your own tests are collected, and say how an engine is made::

    class TestMine(ManagerTests):
        def make(self) -> ManagerEngine:
            return MyManager()

or as data, with `cases`: every method's name with a callable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from flexhub.core.errors import FlexhubError

EngineT = TypeVar("EngineT")


class SlotTests(Generic[EngineT]):
    """Base of the test sets."""

    def make(self) -> EngineT:
        """A new engine to be tested; to be overridden."""
        raise NotImplementedError


def cases(tests: SlotTests[EngineT]) -> dict[str, Callable[[], None]]:
    """Name -> test of every test in the set."""
    return {name: getattr(tests, name) for name in dir(tests) if name.startswith("test_")}


def expect(holds: object, message: str) -> None:
    """Fail with the message unless it holds."""
    if not holds:
        raise AssertionError(message)


@contextmanager
def refused(kind: type[FlexhubError], why: str) -> Iterator[None]:
    """The block must raise this error."""
    try:
        yield
    except kind:
        return
    raise AssertionError(f"{why}: no {kind.__name__}")
