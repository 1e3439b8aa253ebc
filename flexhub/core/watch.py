"""Long work lets its caller watch the items go by; what work does never depends on it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Watch(Protocol):
    """Hands the items on, one by one, and sees how far the work is."""

    def __call__(self, items: Iterable[T], label: str) -> Iterable[T]:
        """The items; `label` says in a word what is done with them."""


def unseen(items: Iterable[T], label: str) -> Iterable[T]:  # noqa: ARG001 - as `Watch`
    """Nobody watches."""
    return items
