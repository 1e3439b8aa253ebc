"""What is tried: a valid message, and the one thing that spoils it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from lxml import etree

from flexhub.conformance.suite import NotJudged
from flexhub.conformance.uftp.market import Speaker
from flexhub.conformance.uftp.target import Draft, Outcome, Uftp
from flexhub.protocols.uftp.envelope import STATUS

WAY: Final = "UFTP-N1"
VALID: Final = "UFTP-N2"

Make: TypeAlias = Callable[[Uftp], Awaitable[Draft]]
Spoil: TypeAlias = Callable[[Uftp, Draft], Awaitable[None]]
Judge: TypeAlias = Callable[[Uftp, Draft, Outcome], str | None]


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A row.

    Args:
        name: of it.
        rule: that it breaks.
        sent: in words.
        make: a valid delivery; what it stands on is delivered before.
        spoil: makes it break the rule; None: it stays valid.
        expected: in words, where it isn't what follows from the rule.
        judge: None where it is so; else what came.
        by_http: HTTP's own answer says it, and no other is waited for.
        mute: a rejection cannot be answered (the schema has no way to), so what counts is that no acceptance comes.
    """

    name: str
    rule: str
    sent: str
    make: Make
    spoil: Spoil | None = None
    expected: str = ""
    judge: Judge | None = None
    by_http: bool = False
    mute: bool = False

    async def twin(self, x: Uftp) -> str | None:
        """None where the valid delivery is accepted; else what came."""
        draft = await self.make(x)
        return x.accepted(draft, await x.ask(draft))

    async def check(self, x: Uftp) -> str | None:
        """None where the spoiled delivery meets with what is expected; else what came."""
        draft = await self.make(x)
        if self.spoil is not None:
            await self.spoil(x, draft)
        if self.by_http or self.rule in STATUS:
            outcome = Outcome(await x.post(draft), None)
        elif self.mute:
            outcome = await x.ask_in_vain(draft)
        else:
            outcome = await x.ask(draft)
        if self.judge is not None:
            return self.judge(x, draft, outcome)
        if self.rule in STATUS:
            return http(STATUS[self.rule])(x, draft, outcome)
        return x.rejected(draft, outcome, self.rule)


def http(*statuses: int) -> Judge:
    """HTTP answers with one of these."""

    def judge(_x: Uftp, _draft: Draft, outcome: Outcome) -> str | None:
        return None if outcome.http.status in statuses else f"HTTP {outcome.http}"

    return judge


def none_or(rule: str) -> Judge:
    """No answer, or rejected by the rule."""

    def judge(x: Uftp, draft: Draft, outcome: Outcome) -> str | None:
        unanswered = outcome.http.status == 200 and outcome.came is None
        return None if unanswered else x.rejected(draft, outcome, rule)

    return judge


def refused(rule: str, *statuses: int) -> Judge:
    """Rejected by the rule, or already by HTTP with one of these."""

    def judge(x: Uftp, draft: Draft, outcome: Outcome) -> str | None:
        return None if outcome.http.status in statuses else x.rejected(draft, outcome, rule)

    return judge


def at(draft: Draft, where: str) -> etree._Element:
    """An element below the message ("" is itself)."""
    found = draft.root if not where else draft.root.find(where)
    assert found is not None, f"{draft.root.tag} has no {where}"  # noqa: S101 - a slip in a row of ours
    return found


def put(name: str, value: str | Callable[[Uftp], str] | None, where: str = "") -> Spoil:
    """An attribute is another, or (None) missing."""

    async def spoil(x: Uftp, draft: Draft) -> None:
        element = at(draft, where)
        if value is None:
            del element.attrib[name]
        else:
            element.set(name, value if isinstance(value, str) else value(x))

    return spoil


def changed(change: Callable[[Draft], None]) -> Spoil:
    """The delivery is changed."""

    async def spoil(_x: Uftp, draft: Draft) -> None:
        change(draft)

    return spoil


def without(where: str) -> Spoil:
    """All elements of a name are missing."""

    async def spoil(_x: Uftp, draft: Draft) -> None:
        for element in draft.root.findall(where):
            draft.root.remove(element)

    return spoil


def speaker(told: Speaker | None, what: str) -> Speaker:
    """A participant that the market may have.

    Raises:
        NotJudged: it has none.
    """
    if told is None:
        raise NotJudged(f"the market names no {what}")
    return told
