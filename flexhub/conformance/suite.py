"""What a suite is: requirements, cases that show them, and mutants that show that the cases see.

A suite judges a target (a codec with its mapping, somebody's HTTP endpoint). Each requirement is a documented property
with its clause; each case shows one requirement; each mutant is a way to break one requirement in an otherwise good
target. `self_check` runs every mutant: its requirement's cases turn red and no others, and a requirement that no case
notices is a failure. Third parties subclass nothing: they build a `Suite` and register it (`registry`).
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec

from flexhub.core.errors import ConfigError
from flexhub.core.watch import Watch, unseen

T = TypeVar("T")


class Result(enum.StrEnum):
    """What came of a case."""

    PASSED = "passed"
    FAILED = "failed"
    LATER = "todo"
    EXEMPT = "exempt"


class NotJudged(Exception):  # noqa: N818 - it is what came of a case, not an error
    """Raised by a check: this target gives nothing to judge by, so the case is exempt. Its text says why."""


class Requirement(msgspec.Struct, frozen=True):
    """A property that a target must have, and where it is demanded."""

    id: str
    clause: str
    text: str


class Status(msgspec.Struct, frozen=True):
    """Why a requirement is not judged: not done yet (todo), or not applicable (exempt)."""

    result: Result
    reason: str


class Case(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One way to see whether a target meets one requirement.

    `check` gets the target and returns None where it does, otherwise what came instead. An error that it raises is
    what came, too.
    """

    id: str
    requirement: str
    sent: str
    expected: str
    check: Callable[[T], Awaitable[str | None]]


class Mutant(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A target made wrong in one requirement. With `all_cases`, every case of the requirement notices.

    `along` are requirements that cannot but fall with it, since one guards what the other does; their cases may fail.
    """

    requirement: str
    breaks: Callable[[T], T]
    all_cases: bool = False
    along: frozenset[str] = frozenset()


class Suite(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """Requirements with their cases and mutants.

    `connect` makes the target of an address (None: our own), with the transports that the caller hands in; a suite
    that judges an `endpoint` needs some, one that judges the library none. A suite of a UFTP `role` (in lower case) is
    handed its target as ``uftp``, one of a VTN as ``vtn``.

    Raises:
        ConfigError: an id twice, or a case, mutant or status about no requirement.
    """

    name: str
    title: str
    requirements: tuple[Requirement, ...]
    cases: tuple[Case[T], ...]
    mutants: tuple[Mutant[T], ...]
    connect: Callable[[str | None, Mapping[str, Any]], T]
    status: dict[str, Status] = {}
    endpoint: bool = False
    role: str = ""

    def __post_init__(self) -> None:
        known = {r.id for r in self.requirements}
        if len(known) != len(self.requirements) or len({c.id for c in self.cases}) != len(self.cases):
            raise ConfigError("an id stands twice", path=self.name)
        for named in (*(c.requirement for c in self.cases), *(m.requirement for m in self.mutants), *self.status):
            if named not in known:
                raise ConfigError(f"{named!r} is not a requirement", path=self.name, value=named)


class CaseResult(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the report."""

    id: str
    requirement: str
    clause: str
    sent: str
    expected: str
    result: Result
    came: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a suite; its JSON form is what ``flexhub conformance run --json`` prints."""

    suite: str
    target: str
    passed: int
    failed: int
    todo: int
    exempt: int
    cases: tuple[CaseResult, ...]


LONGEST: Final = 500
"""Longest text of what came that a report holds."""


async def _judge(case: Case[T], target: T) -> tuple[Result, str]:
    try:
        came = await case.check(target)
    except NotJudged as reason:
        return Result.EXEMPT, str(reason)
    except Exception as error:
        came = f"{type(error).__name__}: {error}"
    return (Result.PASSED, "") if came is None else (Result.FAILED, came)


async def run(suite: Suite[T], target: T, name: str = "", watch: Watch = unseen) -> Report:
    """Judge the target by every case, in order; cases of a requirement that is todo or exempt are not run."""
    clauses = {r.id: r.clause for r in suite.requirements}
    lines: list[CaseResult] = []
    for case in watch(suite.cases, "judging"):
        status = suite.status.get(case.requirement)
        result, came = await _judge(case, target) if status is None else (status.result, status.reason)
        lines.append(
            CaseResult(
                id=case.id,
                requirement=case.requirement,
                clause=clauses[case.requirement],
                sent=case.sent,
                expected=case.expected,
                result=result,
                came=came[:LONGEST],
            )
        )
    count = {result: sum(line.result is result for line in lines) for result in Result}
    return Report(
        suite=suite.name,
        target=name or "flexhub",
        passed=count[Result.PASSED],
        failed=count[Result.FAILED],
        todo=count[Result.LATER],
        exempt=count[Result.EXEMPT],
        cases=tuple(lines),
    )


async def self_check(
    suite: Suite[T], fresh: Callable[[], T], watch: Watch = unseen, *, own_only: bool = False
) -> list[str]:
    """What is wrong with the suite itself; empty where every requirement is noticed by exactly its own cases.

    `fresh` makes a good target; each mutant gets one of its own. With `own_only` a mutant is judged by the cases of its
    requirement alone: that they notice is seen, that no others do is not.
    """
    problems: list[str] = []
    good = await run(suite, fresh())
    problems += [
        f"{line.id} fails on a good target: {line.came}" for line in good.cases if line.result is Result.FAILED
    ]
    if problems:
        return problems  # mutants of a target that is wrong already tell nothing
    judged = [r.id for r in suite.requirements if r.id not in suite.status]
    for requirement in watch(judged, "breaking"):
        own = {case.id for case in suite.cases if case.requirement == requirement}
        mutants = [mutant for mutant in suite.mutants if mutant.requirement == requirement]
        if not own:
            problems.append(f"{requirement} has no case")
        if not mutants:
            problems.append(f"{requirement} has no mutant, so nothing shows that its cases see")
        for mutant in mutants:
            cases = tuple(case for case in suite.cases if case.id in own) if own_only else suite.cases
            report = await run(msgspec.structs.replace(suite, cases=cases), mutant.breaks(fresh()))
            red = {line.id for line in report.cases if line.result is Result.FAILED}
            along = {case.id for case in suite.cases if case.requirement in mutant.along}
            problems += _noticed(requirement, own, red - (along - own), every=mutant.all_cases)
    return problems


def _noticed(requirement: str, own: set[str], red: set[str], *, every: bool) -> Sequence[str]:
    if not red:
        return [f"{requirement} is broken, and no case notices"]
    problems = [f"{requirement} is broken, and {case} of another requirement fails" for case in sorted(red - own)]
    if every:
        problems += [f"{requirement} is broken, and its case {case} passes" for case in sorted(own - red)]
    return problems
