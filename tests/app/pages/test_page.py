"""The page in a real browser, on the demo's hub: what it draws and lists, and who sees what."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from flexhub.app.demo.day import AGGREGATOR
from flexhub.app.demo.results import KW_PER_KWH, metered_kwh
from flexhub.core.flexoffer import FlexOffer
from flexhub.core.timeseries import Measurement
from flexhub.core.trading import Basis, Bill, Contract
from tests import programs
from tests.app.demo.play import COMMAND, LOOPBACK_HEX, dumped, listening
from tests.conftest import need

T = TypeVar("T")

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Demo:
    def __init__(self, folder: Path) -> None:
        self.config = folder / "hub.toml"
        store = f"sqlite:///{folder}/demo.db"
        self.config.write_text(f'[hub]\nname = "aggregator"\n[store]\nurl = "{store}"\n', "utf-8")
        self.process = subprocess.Popen(
            [*COMMAND, "--json", "--listen", "127.0.0.1:0", "--store", store, "--dump", str(folder / "day")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.url = ""
        for line in self.process.stderr:
            if found := re.search(r"stays up: (\S+)", line):
                self.url = found[1]
                break
        assert self.url, "the demo ended early"
        self.result: dict[str, Any] = json.loads(self.process.stdout.readline())
        contracts = dumped(Contract, folder / "day" / "contracts.jsonl")
        self.prosumers = {contract.prosumer for contract in contracts if contract.aggregator == AGGREGATOR}
        """Those of the manager, whose page it is; others trade directly."""
        self.folder = folder / "day"

    def held(self, kind: type[T], file: str, of: Callable[[T], str]) -> list[T]:
        """What the manager holds of the day's documents in a file; `of` tells whose one is."""
        return [item for item in dumped(kind, self.folder / f"{file}.jsonl") if of(item) in self.prosumers]

    def offers(self) -> list[FlexOffer]:
        """Those that were made to the manager."""
        return self.held(FlexOffer, "offers", lambda offer: offer.issuer)

    def paid(self) -> float:
        """What the manager pays to its prosumers, EUR."""
        bills = self.held(Bill, "bills", lambda bill: bill.party)
        return float(sum(bill.total(Basis.FACTUAL) for bill in bills))

    def token(self, party: str) -> str:
        """A new token of a prosumer, as `flexhub keys` makes it."""
        done = programs.run("keys", "add", party, "--role", "prosumer", "--config", self.config, "--json")
        found: str = json.loads(done.out)["token"]
        return found


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    started = Demo(tmp_path_factory.mktemp("demo"))
    try:
        yield started
    finally:
        started.process.send_signal(signal.SIGTERM)
        started.process.communicate(timeout=30)
    assert started.process.returncode == 0


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    need(CHROMIUM.exists(), f"no browser at {CHROMIUM}")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - slow, and only these tests need it

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def page(browser: Any, demo: Demo) -> Iterator[Any]:
    shown = browser.new_page(viewport={"width": 1280, "height": 900})
    faults: list[str] = []
    elsewhere: list[str] = []
    shown.on("pageerror", lambda error: faults.append(str(error)))
    shown.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    shown.on("request", lambda request: elsewhere.append(request.url) if not request.url.startswith(demo.url) else None)
    shown.goto(demo.url)
    shown.wait_for_selector("body[data-ready]", timeout=30_000)
    yield shown
    shown.close()
    assert faults == []
    assert elsewhere == []


def rows(page: Any, table: str) -> list[list[str]]:
    found: list[list[str]] = page.evaluate(
        f"[...document.querySelectorAll('#{table} tbody tr')].map(r => [...r.cells].map(c => c.textContent))"
    )
    return found


def test_it_listens_on_loopback_only(demo: Demo) -> None:
    if not Path("/proc/self/net/tcp").exists():
        pytest.skip("needs Linux's /proc")
    assert listening(demo.process.pid) == {LOOPBACK_HEX}


def test_the_load_is_drawn(page: Any) -> None:
    assert page.locator("#chart svg .scatterlayer .trace").count() == 5
    names = page.locator("#chart svg .legendtext").all_text_contents()
    assert names == ["Baseline", "Measurement", "Schedule", "Limit asked for", "Room offered"]


def test_the_key_figures_are_those_of_the_managers_own_prosumers(page: Any, demo: Demo) -> None:
    measured = metered_kwh(demo.held(Measurement, "measurements", lambda reading: reading.subject))
    assert page.locator("#peak-after").text_content() == f"{KW_PER_KWH * max(measured.values()):.1f} kW"
    offers = demo.offers()
    assert 0 < len(offers) < demo.result["offers"], "some trade directly, past the manager"
    assert page.locator("#count").text_content() == str(len(offers))
    assert page.locator("#paid").text_content() == f"{demo.paid():.2f} EUR"


def test_offers_are_listed_filtered_and_sorted(page: Any, demo: Demo) -> None:
    listed = rows(page, "offers")
    assert sorted(row[-1] for row in listed) == sorted(o.id for o in demo.offers())
    assert {row[1] for row in listed} == {"settled"}
    page.click("#offers th button[data-key=energy]")
    energies = [float(row[4]) for row in rows(page, "offers")]
    assert energies == sorted(energies)
    page.click("#offers th button[data-key=energy]")
    assert [float(row[4]) for row in rows(page, "offers")] == sorted(energies, reverse=True)
    assert page.get_attribute("#offers th:has(button[data-key=energy])", "aria-sort") == "descending"
    station = listed[0][0]
    page.fill("#search", station)
    assert {row[0] for row in rows(page, "offers")} == {station}
    page.fill("#search", "no such thing")
    assert rows(page, "offers") == []
    page.fill("#search", "")
    assert len(rows(page, "offers")) == len(listed)


def test_bills_are_added_up(page: Any, demo: Demo) -> None:
    parties = rows(page, "parties")
    assert {row[0] for row in parties} == {o.issuer for o in demo.offers()}
    assert sum(float(row[3]) for row in parties) == pytest.approx(demo.paid())


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_telephone(browser: Any, demo: Demo, scheme: str) -> None:
    shown = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    shown.goto(demo.url)
    shown.wait_for_selector("body[data-ready]", timeout=30_000)
    assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert shown.evaluate("document.querySelector('#chart svg').clientWidth <= innerWidth")
    shown.close()


def test_a_prosumer_sees_its_own_only(browser: Any, page: Any, demo: Demo) -> None:
    station = rows(page, "offers")[0][0]
    own = [row for row in rows(page, "offers") if row[0] == station]
    shown = browser.new_page()
    shown.goto(f"{demo.url}/#token={demo.token(station)}")
    shown.wait_for_selector("body[data-ready]", timeout=30_000)
    assert sorted(rows(shown, "offers")) == sorted(own)
    assert [row[0] for row in rows(shown, "parties")] == [station]
    names = shown.locator("#chart svg .legendtext").all_text_contents()
    assert names == ["Baseline", "Measurement", "Schedule"]  # what was asked of the aggregator is not the prosumer's
    shown.close()


def test_a_stranger_sees_nothing(browser: Any, demo: Demo) -> None:
    shown = browser.new_page()
    shown.goto(f"{demo.url}/#token=nobody-knows-this")
    shown.wait_for_selector("#problem:not([hidden])", timeout=30_000)
    assert shown.text_content("#problem") == "This token is not known here."
    assert shown.locator("#offers tbody tr").count() == 0
    assert "nobody-knows-this" not in shown.url
    shown.close()


def fetch(url: str, **headers: str) -> tuple[str, dict[str, str]]:
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - our own address
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own address
        return answer.read().decode(), dict(answer.headers)


def test_the_guests_token_is_for_readers_on_this_machine_only(demo: Demo) -> None:
    text, headers = fetch(demo.url)
    assert "data-guest=" in text
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    text, _ = fetch(demo.url, Host="elsewhere.example:80")
    assert "data-guest=" not in text


def test_the_guests_token_is_the_aggregators(demo: Demo) -> None:
    found = re.search(r'data-guest="([^"]+)"', fetch(demo.url)[0])
    assert found is not None
    guest = f"Bearer {found[1]}"
    for path in ("flexoffer", "contract"):
        assert fetch(f"{demo.url}/{path}", Authorization=guest)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        fetch(f"{demo.url}/party/garage-01/export", Authorization=guest)


def test_nothing_but_the_listed_files_is_served(demo: Demo) -> None:
    assert fetch(f"{demo.url}/static/site.css")[0].startswith(":root")
    for name in ("site.py", "..%2fsite.py", "%2e%2e/site.py"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            fetch(f"{demo.url}/static/{name}")
