"""`flexhub convert` and `validate`: results on stdout, losses on stderr, the answer in the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from flexhub.app import terminal
from flexhub.core.documents import decode, encode
from flexhub.core.flexoffer import FlexOffer, Profile, TwoMode
from tests.app.cli.conftest import Program
from tests.app.cli.test_show import offer


def two_mode() -> FlexOffer:
    """An offer whose payback V1 has no field for."""
    plain = offer()
    profile: Profile = msgspec.structs.replace(
        plain.profiles[0], total_energy_kwh=None, two_mode=TwoMode(after_time_s=900, after_portion=0.5)
    )
    return msgspec.structs.replace(plain, profiles=(profile,))


@pytest.mark.parametrize("name", ["goflex_SWW.json", "goflex_Cyprus.json"])
def test_published_samples_are_valid_and_convert_there_and_back(flexhub: Program, shared: Path, name: str) -> None:
    sample = shared / "data" / "flexoffer" / name
    judged = flexhub("validate", sample)
    assert (judged.code, judged.out) == (0, "")
    assert judged.err == "flexoffer: FlexOffer, no findings\n"
    core = flexhub("convert", sample, "--to", "core")
    assert core.code == 0
    assert decode(FlexOffer, core.out).profiles
    assert [set(json.loads(line)) for line in core.err.splitlines()] == [{"path", "kind", "value", "why"}]
    back = flexhub("convert", "-", "--to", "goflex", stdin=core.out.encode())
    again = flexhub("convert", "-", "--to", "core", stdin=back.out.encode())
    first, second = decode(FlexOffer, core.out), decode(FlexOffer, again.out)
    assert msgspec.structs.replace(second, id=first.id, extras=first.extras) == first


def test_a_lost_bound_refuses_the_conversion_unless_it_is_allowed(flexhub: Program) -> None:
    plain = flexhub("convert", "-", "--to", "flexoffer-v1", stdin=encode(offer()))
    assert plain.code == 0
    refused = flexhub("convert", "-", "--to", "flexoffer-v1", stdin=encode(two_mode()))
    assert (refused.code, refused.out) == (1, "")
    *losses, sentence = refused.err.splitlines()
    assert any("two_mode" in json.loads(line)["path"] for line in losses)
    assert sentence.startswith("flexhub: ")
    allowed = flexhub("convert", "-", "--to", "flexoffer-v1", "--allow-loss", stdin=encode(two_mode()))
    assert allowed.code == 0
    assert allowed.err.splitlines() == losses
    assert json.loads(allowed.out)


def test_convert_as_json_is_one_object(flexhub: Program) -> None:
    ran = flexhub("convert", "-", "--to", "flexoffer-v1", "--allow-loss", "--json", stdin=encode(two_mode()))
    told = json.loads(ran.out)
    assert ran.err == ""
    assert json.loads(told["result"])
    assert told["losses"][0]["why"]


def test_the_sign_is_turned_where_it_is_said(flexhub: Program) -> None:
    there = flexhub("convert", "-", "--to", "flexoffer-v1", "--sign-out", "production", stdin=encode(offer(1.5, 1.5)))
    back = flexhub("convert", "-", "--to", "core", "--sign-in", "production", stdin=there.out.encode())
    as_it_was = flexhub("convert", "-", "--to", "core", stdin=there.out.encode())
    assert decode(FlexOffer, back.out).profiles == offer().profiles
    assert decode(FlexOffer, as_it_was.out).profiles[0].slices[0].span_kwh() == (-2.0, -1.0)


def test_validate_prints_a_line_for_each_finding(flexhub: Program) -> None:
    good = flexhub("convert", "-", "--to", "goflex", stdin=encode(offer())).out
    assert flexhub("validate", "-", stdin=good.encode()).code == 0
    message = json.loads(good)
    bounds = message["flexOfferProfileConstraints"][0]["energyConstraintList"][0]
    bounds["lower"], bounds["upper"] = bounds["upper"], bounds["lower"]
    bad = flexhub("validate", "-", stdin=json.dumps(message).encode())
    assert bad.code == 1
    findings = [json.loads(line) for line in bad.out.splitlines()]
    assert findings
    assert all(set(one) == {"rule", "clause", "path", "message"} for one in findings)
    assert "energyConstraintList[0]" in findings[0]["path"]
    told = json.loads(flexhub("validate", "-", "--json", stdin=json.dumps(message).encode()).out)
    assert told == {"protocol": "flexoffer", "message": "FlexOffer", "findings": findings}


def test_what_is_no_message_is_a_finding(flexhub: Program) -> None:
    ran = flexhub("validate", "-", stdin=b"{")
    assert ran.code == 1
    assert json.loads(ran.out)["rule"] == "malformed"


def test_a_target_that_is_none_is_wrong_usage(flexhub: Program) -> None:
    ran = flexhub("convert", "-", "--to", "banana", stdin=encode(offer()))
    assert (ran.code, ran.out) == (2, "")
    assert "goflex" in ran.err


def test_input_without_an_end_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "MOST_BYTES", 1000)
    assert terminal.read(Path("/dev/zero")) == bytes(1000)
    (short := tmp_path / "short").write_bytes(b"{}")
    assert terminal.read(short) == b"{}"
