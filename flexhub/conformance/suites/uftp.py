"""Suites ``uftp-agr``, ``uftp-dso`` and ``uftp-cro``: every rule of UFTP, judged over the network at any endpoint.

Beside each delivery that breaks a rule goes its twin, which is valid: that one is refused and the other accepted says
that it is the one thing between them that is noticed. What the market leaves open, and what a target cannot be made
to send, is exempt in the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from flexhub.conformance.exchange import Whole
from flexhub.conformance.suite import Case, Mutant, Requirement, Suite
from flexhub.conformance.uftp import agr, cro, dso
from flexhub.conformance.uftp.inbox import Came
from flexhub.conformance.uftp.market import Market
from flexhub.conformance.uftp.probe import VALID, WAY, Probe
from flexhub.conformance.uftp.status import statuses
from flexhub.conformance.uftp.target import CLASSES, Net, Uftp
from flexhub.core.errors import ConfigError
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.codec import UftpCodec
from flexhub.protocols.uftp.envelope import STATUS, Delivery, Failed, enveloped, open_delivery
from flexhub.protocols.uftp.rules import RULES

_CODEC: Final = UftpCodec()

LAWS: Final = (
    Requirement(WAY, "3.1.0 Appendix 4", "The endpoint takes POST, at its path, and nothing else."),
    Requirement(
        VALID,
        "3.1.0 sections 3.5 to 3.10",
        "What breaks no rule is answered 200, and then accepted, by a message of the target's signature, in the "
        "conversation.",
    ),
)


def _cases(probes: tuple[Probe, ...], valids: tuple[Probe, ...]) -> Iterator[Case[Uftp]]:
    for probe in valids:
        yield _twin(probe)
    for probe in probes:
        yield _twin(probe)
        yield Case(
            id=f"{probe.rule}/{probe.name}",
            requirement=probe.rule,
            sent=probe.sent,
            expected=probe.expected or _expected(probe.rule),
            check=probe.check,
        )


def _twin(probe: Probe) -> Case[Uftp]:
    sent = f"the valid twin of {probe.rule}/{probe.name}" if probe.spoil else probe.sent
    return Case(id=f"{VALID}/{probe.name}", requirement=VALID, sent=sent, expected="200, Accepted", check=probe.twin)


def _expected(rule: str) -> str:
    if rule in STATUS:
        return f"HTTP {STATUS[rule]}"
    return f"Rejected: {' or '.join(CLASSES[rule])}" if rule in CLASSES else "Rejected"


# -- mutants: a target that lacks one rule, or is wrong in one way ----------------------------------------------------


class Lax:
    """A way to a target that seems to lack a rule of HTTP: what breaks it is answered 200.

    Args:
        net: the way to the target.
        market: whose keys are known.
        rule: the one that is lacking.
    """

    def __init__(self, net: Net, market: Market, rule: str) -> None:
        self._net = net
        self._market = market
        self._rule = rule
        self.now, self.until = net.now, net.until

    async def request(
        self, method: str, path: str, headers: dict[str, str], body: bytes, *, chunked: bool = False
    ) -> Whole:
        """As `Net.request`."""
        if method == "POST" and not path and self._broken(headers, body, chunked=chunked) == self._rule:
            return 200, {}, b""
        status, answered, content = await self._net.request(method, path, headers, body, chunked=chunked)
        lacking = {"UFTP-04": (429,), WAY: (404, 405)}.get(self._rule, ())
        return 200 if status in lacking else status, answered, content

    def _broken(self, headers: dict[str, str], body: bytes, *, chunked: bool) -> str:
        envelope = enveloped(body, _CODEC.max_bytes)
        sender = None if isinstance(envelope, Failed) else self._market.published().get(envelope.sender_domain)
        delivery = Delivery(
            content_type=headers["Content-Type"],
            content_length=None if chunked else len(body),
            body=body,
            key=None if sender is None else sender.key.public(),
        )
        found = open_delivery(delivery, _CODEC)
        return found.rule if isinstance(found, Failed) else ""


def _lax(rule: str, x: Uftp) -> Uftp:
    return x.over(net=Lax(x.net, x.market, rule))


def _off(rules: tuple[str, ...], x: Uftp) -> Uftp:
    return x.over(off=rules)


def _refusing(x: Uftp) -> Uftp:
    """Says of the first message, a valid one, that it is rejected."""
    told: list[Came] = []

    def heard(came: Came) -> Came:
        answer = came.message
        if told or not isinstance(answer, wire.Response):
            return came
        told.append(came)
        return came._replace(message=msgspec.structs.replace(answer, result=wire.Result.REJECTED))

    return x.over(heard=heard)


GUARDED: Final = {
    # rule -> (rules that have to go with it for its cases to pass, requirements that fall along)
    "UFTP-08": ((), frozenset({"UFTP-04"})),
    "UFTP-18": ((), frozenset({"UFTP-10", "UFTP-41"})),
    "UFTP-41": (("UFTP-18",), frozenset({"UFTP-10", "UFTP-18"})),
}
"""Where one rule guards what another does.

What is sent too often (4) is no message (8), so that it does no harm. An answer that nobody waited for (10) is seen by
that its offer cannot be ordered (18). Another's offer cannot even be referred to, since what somebody refers to is
looked up among their own (18); so rule 41 is never alone.
"""


def _mutant(rule: str) -> Mutant[Uftp]:
    more, along = GUARDED.get(rule, ((), frozenset[str]()))
    if rule in STATUS or rule == WAY:
        return Mutant(requirement=rule, breaks=partial(_lax, rule), all_cases=True, along=along)
    if rule == VALID:
        return Mutant(requirement=rule, breaks=_refusing)
    every = rule != "UFTP-49b"  # one of its cases is not answered, broken or not
    return Mutant(requirement=rule, breaks=partial(_off, (rule, *more)), all_cases=every, along=along)


def connect(target: str | None, transports: Mapping[str, Any]) -> Uftp:  # noqa: ARG001 - the transport knows it
    """The target that the caller handed in, as ``uftp``.

    Raises:
        ConfigError: it did not.
    """
    found = transports.get("uftp")
    if not isinstance(found, Uftp):
        raise ConfigError("the suite needs a market: who is who, with keys (--market)")
    return found


def _suite(role: str, title: str, probes: tuple[Probe, ...], valids: tuple[Probe, ...]) -> Suite[Uftp]:
    told = statuses()
    tried = {probe.rule for probe in probes}
    rules = tuple(
        Requirement(rule.id, rule.clause, rule.reject) for rule in RULES if rule.id in tried or told.get(rule.id)
    )
    requirements = (*LAWS, *rules)
    return Suite(
        name=f"uftp-{role}",
        title=title,
        requirements=requirements,
        cases=tuple(_cases(probes, valids)),
        mutants=tuple(_mutant(requirement.id) for requirement in requirements),
        connect=connect,
        status={rule: status for rule, status in told.items() if status is not None},
        endpoint=True,
        role=role,
    )


AGR: Final = _suite("agr", "UFTP: an aggregator's endpoint", agr.PROBES, agr.VALIDS)
DSO: Final = _suite("dso", "UFTP: a grid operator's endpoint", dso.PROBES, dso.VALIDS)
CRO: Final = _suite("cro", "UFTP: a common reference operator's endpoint", cro.PROBES, cro.VALIDS)
