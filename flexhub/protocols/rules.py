"""One rule of a standard is one row: it validates, words the rejection, and is a conformance case and a docs line."""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

M = TypeVar("M")


class Finding(NamedTuple):
    """One place where a message breaks a rule: the path below the message, and what is wrong there."""

    path: str
    message: str


class Rule(msgspec.Struct, Generic[M], frozen=True, kw_only=True):
    """One row of a protocol's rule table.

    Args:
        id: the row's name, unique in flexhub ("FO-01").
        clause: where the standard says so.
        of: the message type that the rule is about, or several.
        check: yields a finding for every place that breaks the rule; never raises.
        reject: the words of the rejection that the standard prescribes, or else our own.
    """

    id: str
    clause: str
    of: type[M] | tuple[type[M], ...]
    check: Callable[[M], Iterator[Finding]]
    reject: str


class Judged(Rule[M], frozen=True, kw_only=True):
    """A rule of a conversation: `judge` sees the message and what was looked up; `needs` names the kinds of look-ups.

    What was not looked up it lets pass, so that `check`, which sees the message alone, is the same row.
    """

    judge: Callable[[Any, Any], Iterator[Finding]]
    needs: tuple[enum.StrEnum, ...] = ()


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """A finding with the rule that it breaks; its JSON form is what ``flexhub validate`` prints."""

    rule: str
    clause: str
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message} [{self.rule}, {self.clause}]"


def judged(
    rules: Iterable[Judged[Any]], message: object, seen: object, *, off: Collection[str] = (), at: str
) -> list[Broken]:
    """As `broken`, given what was looked up."""
    return [
        Broken(rule=rule.id, clause=rule.clause, path=f"{at}/{path}" if path else at, message=text)
        for rule in rules
        if rule.id not in off and isinstance(message, rule.of)
        for path, text in rule.judge(message, seen)
    ]


def broken(
    rules: Iterable[Rule[Any]], message: object, *, off: Collection[str] = (), at: str | None = None
) -> list[Broken]:
    """Every place where `message` breaks one of the rules about its type, in the order of the table.

    Args:
        rules: the table.
        message: a wire message.
        off: ids of rows that are switched off (the conformance self-check does so, one by one).
        at: what the paths begin with; the name of the message's type by default.
    """
    root = type(message).__name__ if at is None else at
    prefix = f"{root}/"
    return [
        Broken(rule=rule.id, clause=rule.clause, path=prefix + path if path else root, message=text)
        for rule in rules
        if rule.id not in off and isinstance(message, rule.of)
        for path, text in rule.check(message)
    ]
