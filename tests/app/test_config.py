"""The configuration: what is read, and the sentence for what is wrong, with its line and what is allowed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from flexhub.app.config import Config, Duration, Energy, EnergyPrice, Power, load, parse
from flexhub.core.errors import ConfigError
from flexhub.core.registry import Role

WHOLE = """
pages = false

[hub]
name = "agr"
roles = ["aggregator"]
listen = "127.0.0.1:9000"
zone = "Europe/Amsterdam"

[plan]
every = "PT5M"

[[party]]
id = "ann"
roles = ["prosumer"]

[[party.connection]]
id = "meter"

[[party.resource]]
id = "car"
connection = "meter"
kind = "ev"
max_consumption = "11 kW"

[party.contract]
id = "c-ann"
per_deviation = "5 ct/kWh"
imbalance_limit = "500 Wh"
"""


def test_an_empty_file_is_a_configuration() -> None:
    assert parse("") == Config()


def test_durations_and_quantities_are_read_with_their_units(tmp_path: Path) -> None:
    file = tmp_path / "hub.toml"
    file.write_text(WHOLE)
    config = load(file, {})
    assert config.hub.roles == (Role.AGGREGATOR,)
    assert config.plan.every == Duration(minutes=5) == timedelta(minutes=5)
    ann = config.party[0]
    assert ann.resource[0].max_consumption == Power(11)
    assert ann.contract is not None
    assert ann.contract.per_deviation == pytest.approx(EnergyPrice(0.05))
    assert ann.contract.imbalance_limit == Energy(0.5)
    assert config.pages is False


def test_variables_go_before_the_file() -> None:
    config = parse(
        WHOLE,
        environ={"FLEXHUB__STORE__URL": "sqlite:///x.db", "FLEXHUB__PAGES": "true", "FLEXHUB_DEBUG": "1", "HOME": "/"},
    )
    assert (config.store.url, config.pages, config.hub.name) == ("sqlite:///x.db", True, "agr")


WRONG = [
    ('name = "agr"', 'nmae = "agr"', "hub.toml:5: hub.nmae", "unknown key 'nmae'; allowed: name, roles, listen, zone"),
    ('["aggregator"]', '["agregator"]', "hub.toml:6: hub.roles[0]", "allowed: prosumer, aggregator, market_operator"),
    ("127.0.0.1:9000", "127.0.0.1", "hub.toml:7: hub.listen", "not host:port such as '127.0.0.1:8080'"),
    ("Europe/Amsterdam", "Europe/Utrecht", "hub.toml:8: hub", "not a time zone"),
    ('"PT5M"', '"5 minutes"', "hub.toml:11: plan.every", "not an ISO 8601 duration such as 'PT15M'"),
    ('"PT5M"', '"PT0S"', "hub.toml:11: plan.every", "not above zero"),
    ('"PT5M"', "300", "hub.toml:11: plan.every", "a duration is a string such as 'PT15M'"),
    ('id = "ann"\n', "", "hub.toml:13: party[0]", "missing required field `id`"),
    (
        '"11 kW"',
        '"11 kWh"',
        "hub.toml:24: party[0].resource[0].max_consumption",
        "not a unit of power; allowed: W, kW, MW",
    ),
    ('"11 kW"', "11", "hub.toml:24: party[0].resource[0].max_consumption", "a string with a unit such as '11 kW'"),
    ('"500 Wh"', '"much"', "hub.toml:29: party[0].contract.imbalance_limit", "not a number with a unit"),
    ("[plan]", "[plans]", "hub.toml:10: plans", "unknown key 'plans'; allowed: hub, store, plan"),
    ("[plan]", "[plan", "hub.toml", "not TOML"),
]


@pytest.mark.parametrize(("right", "wrong", "where", "what"), WRONG, ids=[f"{r}->{w}" for r, w, _, _ in WRONG])
def test_what_is_wrong_is_told_with_its_line_and_what_is_allowed(right: str, wrong: str, where: str, what: str) -> None:
    parse(WHOLE, "hub.toml")
    with pytest.raises(ConfigError) as caught:
        parse(WHOLE.replace(right, wrong, 1), "hub.toml")
    assert caught.value.path.startswith(where), str(caught.value)
    assert what in caught.value.message, str(caught.value)


def test_a_wrong_variable_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(WHOLE, "hub.toml", {"FLEXHUB__PLAN__EVERY": "often"})
    assert caught.value.path == "FLEXHUB__PLAN__EVERY: plan.every"
    with pytest.raises(ConfigError, match="not lists"):
        parse(WHOLE, "hub.toml", {"FLEXHUB__PARTY__ID": "bob"})
