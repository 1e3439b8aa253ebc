"""Suite ``openadr2b-vtn``: OpenADR 2.0b's rules for a VTN, judged over the network at any endpoint.

Beside each message that breaks a rule goes its twin, which is valid, and which has to be accepted after it, too: a
refusal changes nothing. What needs the utility behind the target is exempt where that cannot be prompted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

from flexhub.conformance.openadr.behaving import BEHAVIOURS
from flexhub.conformance.openadr.bent import BENT, LACKING, Lax, refusing
from flexhub.conformance.openadr.target import Vtn
from flexhub.conformance.openadr.vtn import ID, PROBES, VALID
from flexhub.conformance.suite import Case, Mutant, Requirement, Suite
from flexhub.conformance.uftp.status import statuses
from flexhub.core.errors import ConfigError
from flexhub.protocols.openadr2b.rules import RULES
from flexhub.protocols.openadr2b.session.judging import VTN_RULES

_CLAUSES: Final = {rule.id: (rule.clause, rule.reject) for rule in RULES} | {
    rule.id: (rule.clause, rule.words) for rule in VTN_RULES.values()
}


def _cases() -> Iterator[Case[Vtn]]:
    for probe in PROBES:
        yield Case(
            id=f"{VALID}/{probe.rule}-{probe.name}",
            requirement=VALID,
            sent=f"the valid twin of {probe.rule}/{probe.name}",
            expected="code 2xx, and an answer that breaks no rule",
            check=probe.twin,
        )
    for probe in PROBES:
        yield Case(
            id=f"{probe.rule}/{probe.name}",
            requirement=probe.rule,
            sent=probe.sent,
            expected=f"code {probe.code if probe.code == ID else '4xx'}, and nothing changes",
            check=probe.check,
        )
    for rule, (_, expected, check) in BEHAVIOURS.items():
        yield Case(id=f"{rule}/behaviour", requirement=rule, sent=(check.__doc__ or ""), expected=expected, check=check)


GUARDED: Final = {
    # rule -> (rules that have to go with it for its cases to pass, requirements that fall along)
    "OADR-021": (("OADR-V02",), frozenset({"OADR-V02"})),
}
"""Where one rule guards what another does: nobody has an empty venID."""


def _lax(rule: str, x: Vtn) -> Vtn:
    return x.over(net=Lax(x.net, LACKING[rule]))


def _bent(rule: str, x: Vtn) -> Vtn:
    return x.over(net=BENT[rule](x.net))


def _off(rules: tuple[str, ...], x: Vtn) -> Vtn:
    return x.over(off=rules)


def _refusing(x: Vtn) -> Vtn:
    return x.over(net=refusing(x.net))


def _mutant(rule: str) -> Mutant[Vtn]:
    if rule == VALID:
        return Mutant(requirement=rule, breaks=_refusing)
    if rule in LACKING:
        return Mutant(requirement=rule, breaks=partial(_lax, rule), all_cases=True)
    if rule in BENT:
        return Mutant(requirement=rule, breaks=partial(_bent, rule), all_cases=True)
    off = "OADR-V206" if rule == "OADR-206" else rule
    more, along = GUARDED.get(rule, ((), frozenset[str]()))
    return Mutant(requirement=rule, breaks=partial(_off, (off, *more)), all_cases=True, along=along)


def connect(target: str | None, transports: Mapping[str, Any]) -> Vtn:  # noqa: ARG001 - the transport knows it
    """The target that the caller handed in, as ``vtn``.

    Raises:
        ConfigError: it did not.
    """
    found = transports.get("vtn")
    if not isinstance(found, Vtn):
        raise ConfigError("the suite needs a VTN")
    return found


def _requirements() -> Iterator[Requirement]:
    yield Requirement(VALID, "2.0b services", "What breaks no rule is accepted, and the answer breaks none either.")
    for rule in dict.fromkeys(probe.rule for probe in PROBES):
        yield Requirement(rule, *_CLAUSES[rule])
    for rule, (clause, text, _) in BEHAVIOURS.items():
        yield Requirement(rule, clause, text)

    for rule, status in _STATUS.items():
        if status is not None:
            yield Requirement(rule, f"2.0b rule {int(rule[-3:])}", status.reason)


_STATUS: Final = {
    rule.removeprefix("VTN/"): status for rule, status in statuses("openadr2b").items() if rule.startswith("VTN/")
}
_REQUIREMENTS: Final = tuple(_requirements())

SUITE: Final[Suite[Vtn]] = Suite(
    name="openadr2b-vtn",
    title="OpenADR 2.0b: a VTN",
    requirements=_REQUIREMENTS,
    cases=tuple(_cases()),
    mutants=tuple(_mutant(requirement.id) for requirement in _REQUIREMENTS if _STATUS.get(requirement.id) is None),
    connect=connect,
    status={rule: status for rule, status in _STATUS.items() if status is not None},
    endpoint=True,
    role="vtn",
)
