"""The suites of UFTP endpoints: ours passes, each rule that is switched off shows, and nothing is left out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from flexhub.app.uftp.judged import read as read_market
from flexhub.app.uftp.judged_own import own
from flexhub.conformance.registry import suite
from flexhub.conformance.suite import NotJudged, Result, run, self_check
from flexhub.conformance.uftp import agr, cro, drafts, dso
from flexhub.conformance.uftp.inbox import Inbox
from flexhub.conformance.uftp.market import Agreed, Market, Speaker
from flexhub.conformance.uftp.probe import VALID, WAY
from flexhub.conformance.uftp.status import read, statuses
from flexhub.conformance.uftp.target import Draft, Outcome, Uftp
from flexhub.core.errors import ConfigError
from flexhub.protocols.uftp import messages as wire
from flexhub.protocols.uftp.codec import UftpCodec
from flexhub.protocols.uftp.envelope import Delivery, key_of_seed, seal
from flexhub.protocols.uftp.rules import RULES
from flexhub.protocols.uftp.seen import REFERENCES

ROLES = ("agr", "dso", "cro")
PROBES = {"agr": agr.PROBES, "dso": dso.PROBES, "cro": cro.PROBES}


@pytest.mark.parametrize("role", ROLES)
def test_our_endpoint_passes_and_nothing_is_left_out(role: str) -> None:
    async def main() -> None:
        judging = suite(f"uftp-{role}")
        async with own(role) as fresh:
            report = await run(judging, fresh())
        assert [f"{line.id}: {line.came}" for line in report.cases if line.result is not Result.PASSED] == []
        assert report.passed == len(judging.cases)

    asyncio.run(main())


def test_it_passes_a_minute_before_a_day_of_92_isps_too() -> None:
    ahead = datetime(2027, 3, 27, 22, 59, 30, tzinfo=UTC) - datetime.now(UTC)

    async def main() -> None:
        judging = suite("uftp-agr")
        async with own("agr", lambda: datetime.now(UTC) + ahead) as fresh:
            report = await run(judging, fresh())
        assert [f"{line.id}: {line.came}" for line in report.cases if line.result is not Result.PASSED] == []

    asyncio.run(main())


def checked(role: str, *, own_only: bool) -> list[str]:
    async def main() -> list[str]:
        async with own(role) as fresh:
            return await self_check(suite(f"uftp-{role}"), fresh, own_only=own_only)

    return asyncio.run(main())


@pytest.mark.timeout(300)
@pytest.mark.parametrize("role", ROLES)
def test_each_rule_that_is_switched_off_turns_its_cases_red(role: str) -> None:
    assert checked(role, own_only=True) == []


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("role", ROLES)
def test_and_no_others(role: str) -> None:
    assert checked(role, own_only=False) == []


# -- the table of rules -----------------------------------------------------------------------------------------------


def judged_in(rule: Any) -> set[str]:
    """Roles that are sent messages that can break a rule."""
    if rule.of is Delivery:
        return set(ROLES)
    sent = {
        kind: {str(role).lower() for role in to}
        for kind, (_, to) in wire.SENDERS.items()
        if kind is not wire.TestMessage  # its answer cannot say what is wrong
    }
    if rule.id in ("UFTP-19", "UFTP-21"):  # about what is referred to
        sent = {kind: to for kind, to in sent.items() if kind in REFERENCES}
    return {role for kind, to in sent.items() if issubclass(kind, rule.of) for role in to}


def test_the_file_names_every_rule_and_what_is_done_has_a_case_in_every_role_that_can_be_sent_such_a_message() -> None:
    told = statuses()
    assert list(told) == [rule.id for rule in RULES]
    for rule in RULES:
        for role in ROLES:
            tried = rule.id in {probe.rule for probe in PROBES[role]}
            assert tried == (told[rule.id] is None and role in judged_in(rule)), f"{rule.id} of {role}"


def test_a_line_that_says_nothing_is_refused_and_its_twin_is_read() -> None:
    assert read("# rules\n\nUFTP-01: done\nUFTP-02: exempt, it cannot be seen\n")["UFTP-01"] is None
    assert read("UFTP-02: todo, next week")["UFTP-02"] is not None
    for bad in (
        "UFTP-01: banana",
        "UFTP-01 done",
        "UFTP-02: exempt",
        "UFTP-01: done\nUFTP-01: done",
        "UFTP-01: done, ",
    ):
        with pytest.raises(ConfigError):
            read(bad)


@pytest.mark.parametrize("role", ROLES)
def test_beside_every_case_goes_its_valid_twin(role: str) -> None:
    ids = [case.id for case in suite(f"uftp-{role}").cases]
    for probe in PROBES[role]:
        at = ids.index(f"{probe.rule}/{probe.name}")
        assert ids[at - 1] == f"{VALID}/{probe.name}"
        assert probe.spoil is not None


KINDS = {
    "same MessageID same body": "UFTP-14/same-again",
    "same MessageID other body": "UFTP-13/same-id-other-body",
    "content type JSON": "UFTP-02/json",
    "chunked without length": "UFTP-01/no-length",
    "outer garbage": "UFTP-05/garbage",
    "outer without Body": "UFTP-05/no-body",
    "Body not base64": "UFTP-05/not-base64",
    "bad signature": "UFTP-07/tampered",
    "unknown sender key": "UFTP-06/unknown-sender",
    "inner sender other than outer": "UFTP-09/sender-other",
    "sender role other than the domain's": "UFTP-27/role-not-theirs",
    "inner not XML": "UFTP-08/inner-garbage",
    "unknown recipient": "UFTP-11/recipient-unknown",
    "MessageID not a UUID": "UFTP-08/id-no-uuid",
    "Version 9.9.9": "UFTP-26/version-9",
    "bad CongestionPoint": "UFTP-08/address-none",
    "bad TimeZone": "UFTP-08/zone-no-name",
    "ISP Start 0": "UFTP-08/start-zero",
    "ISP 97 on a 92-ISP day": "UFTP-22/isp-97",
    "overlap": "UFTP-23/overlap",
    "min > max": "UFTP-34/min-over-max",
    "no ISP": "UFTP-08/no-isp",
    "Period past": "UFTP-24/period-past",
    "expired": "UFTP-25/expired",
    "ISP-Duration other than agreed": "UFTP-15/duration-other",
    "unknown attribute": "UFTP-08/attribute-unknown",
    "missing Revision": "UFTP-08/no-revision",
    "wrong Disposition": "UFTP-08/disposition",
    "DOCTYPE with internal entity": "UFTP-08/inner-doctype",
    "a response nobody waits for": "UFTP-10/answer-nobody-waits-for",
    "FlexOrder for an unknown offer": "UFTP-18/offer-unknown",
    "FlexRequest by an AGR": "UFTP-27/role-wrong",
    "FlexOffer to an AGR": "UFTP-27/role-not-ours",
    "GET": f"{WAY}/get",
    "wrong path": f"{WAY}/wrong-path",
    "TimeStamp without a time zone": "UFTP-10/time-without-zone",
}
"""What endpoints were found to get wrong, and the case of each."""


def test_every_kind_of_the_probe_list_has_a_case() -> None:
    ids = {case.id for case in suite("uftp-agr").cases}
    assert [kind for kind, case in KINDS.items() if case not in ids] == []
    assert len(set(KINDS.values())) == len(KINDS) == 36


# -- what answers are judged by ---------------------------------------------------------------------------------------

KEY = key_of_seed(b"target".ljust(32))
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Still:
    """No way anywhere, and a clock that stands."""

    def now(self) -> datetime:
        return NOW

    async def until(self, instant: datetime) -> None:
        raise NotImplementedError

    async def request(self, *_: Any, **__: Any) -> Any:
        return 200, {}, b""


def target(role: wire.Role = wire.Role.AGR, **agreed: Any) -> Uftp:
    def speaker(name: str, as_: wire.Role) -> Speaker:
        return Speaker(domain=f"{name}.example.com", role=as_, key=key_of_seed(name.encode().ljust(32)))

    market = Market(
        role=role,
        domain="target.example.com",
        keys=(KEY.public(),),
        agreed=Agreed(congestion_point="ean.871685900012636543", **agreed),
        dso=speaker("dso", wire.Role.DSO),
        agr=speaker("agr", wire.Role.AGR),
    )
    return Uftp(Still(), Inbox(market.keys), market, "test", patience_s=0.01)


def answered(
    x: Uftp, draft: Draft, change: Callable[[wire.FlexRequestResponse], Any] = lambda m: m, **said: Any
) -> None:
    """The target's answer to a request, in the inbox."""
    answer = wire.FlexRequestResponse(
        version="3.1.0",
        sender_domain="target.example.com",
        recipient_domain="dso.example.com",
        time_stamp="2026-03-02T12:00:00Z",
        message_id=x.new_id(),
        conversation_id=draft.conversation,
        flex_request_message_id=draft.root.get("MessageID", ""),
        **{"result": wire.Result.ACCEPTED} | said,
    )
    xml = UftpCodec().encode(change(answer))
    assert x.inbox.take(seal(xml, "target.example.com", wire.Role.AGR, KEY)) == 200


async def outcome(x: Uftp, draft: Draft, **said: Any) -> Outcome:
    """What comes of a delivery whose answer is there by then."""
    asking = asyncio.create_task(x.ask(draft))
    await asyncio.sleep(0)
    answered(x, draft, **said)
    return await asking


REJECTED = {"result": wire.Result.REJECTED}


@pytest.mark.parametrize(
    ("rule", "reason", "fits"),
    [
        ("UFTP-34", "Power discrepancy", True),
        ("UFTP-34", "ISP conflict; POWER  DISCREPANCY: ISP 3", True),
        ("UFTP-34", "ISP conflict", False),
        ("UFTP-34", None, False),
        ("UFTP-18", "Unknown reference FlexOfferMessageID", True),
        ("UFTP-09", "Invalid Message", True),
        ("UFTP-39", "no such money", True),  # the standard has no words for it
        ("UFTP-48", "PeriodEnd rejected", True),
        ("UFTP-48", "rejected", False),
    ],
)
def test_a_rejection_counts_in_the_class_of_its_rule_whatever_its_other_words(
    rule: str, reason: str | None, fits: bool
) -> None:
    async def main() -> None:
        x = target()
        draft = x.draft(drafts.flex_request(x))
        came = await outcome(x, draft, **REJECTED, rejection_reason=reason)
        assert (x.rejected(draft, came, rule) is None) == fits
        assert x.accepted(draft, came) is not None

    asyncio.run(main())


@pytest.mark.parametrize(
    "wrong",
    [
        {"flex_request_message_id": "00000000-0000-4000-8000-000000000001"},
        {"sender_domain": "another.example.com"},
        {"recipient_domain": "another.example.com"},
    ],
)
def test_an_answer_that_is_about_something_else_or_not_the_targets_does_not_count_and_its_twin_does(
    wrong: dict[str, str],
) -> None:
    async def main() -> None:
        x = target()
        draft = x.draft(drafts.flex_request(x))
        assert x.accepted(draft, await outcome(x, draft)) is None
        draft = x.draft(drafts.flex_request(x))
        came = await outcome(x, draft, change=lambda m: msgspec.structs.replace(m, **wrong))
        assert x.accepted(draft, came) is not None

    asyncio.run(main())


def test_what_the_target_did_not_sign_is_told_and_does_not_count() -> None:
    async def main() -> None:
        x = target()
        draft = x.draft(drafts.flex_request(x))
        asking = asyncio.create_task(x.ask(draft))
        await asyncio.sleep(0)
        body = seal(draft.inner_xml(), "target.example.com", wire.Role.AGR, key_of_seed(b"another".ljust(32)))
        assert x.inbox.take(body) == 401
        assert x.inbox.take(b"banana") == 400
        told = x.accepted(draft, await asking)
        assert told is not None
        assert "UFTP-07" in told
        assert "UFTP-05" in told

    asyncio.run(main())


def test_what_was_not_agreed_is_not_judged() -> None:
    async def main() -> None:
        row = next(probe for probe in agr.PROBES if probe.rule == "UFTP-29")
        with pytest.raises(NotJudged, match="power"):
            await row.check(target())
        assert "no answer" in str(await row.check(target(max_power_w=1000)))

    asyncio.run(main())


# -- files of a market ------------------------------------------------------------------------------------------------

MARKET = """
[target]
role = "AGR"
domain = "agr.example.com"
key = "{key}"
congestion_point = "ean.871685900012636543"
[dso]
domain = "dso.example.com"
key = "{folder}/dso.key"
[agr]
domain = "another.example.com"
key = "{folder}/dso.key"
"""


def test_a_file_of_a_market_is_read_and_what_is_wrong_with_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "dso.key").write_text(KEY.text())
    good = MARKET.format(key=KEY.public(), folder=tmp_path)
    file = tmp_path / "market.toml"
    file.write_text(good)
    market, told = read_market(file, "agr")
    assert (market.main.domain, market.other, told.target.url) == ("dso.example.com", None, None)
    assert market.keys == (KEY.public(),)
    with pytest.raises(ConfigError, match="is about a AGR"):
        read_market(file, "dso")
    for bad in (good.replace("dso.key", "no.key"), good.replace("role", "rule"), good + "[banana]\n"):
        file.write_text(bad)
        with pytest.raises(ConfigError):
            read_market(file, "agr")
