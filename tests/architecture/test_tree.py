"""What every file of the tree keeps to."""

from __future__ import annotations

import ast
import re
import subprocess
import tokenize
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from tests.conftest import ROOT, need

CEILING: Final = 700
"""Lines of a source file."""

HOSTS: Final = {
    "127.0.0.1",
    "::1",
    "localhost",
    "www.w3.org",
    "www.apache.org",
    "json-schema.org",
    "spec.openapis.org",
    "www.rfc-editor.org",
    "docs.oasis-open.org",
    "openadr.org",
    "www.opengis.net",
    "naesb.org",
    "etherx.jabber.org",
    "flexhub.example",
}
"""Hosts that a file may name in a URL; so no address of a package registry or of a machine gets in."""

MARK: Final = "#"
REASONED: Final = re.compile(MARK + r" (?:noqa: [A-Z0-9, ]+ - \S|type: ignore\[[\w, -]+\]\s+# \S|pragma: no \w+ - \S)")
SILENCER: Final = re.compile(MARK + r"\s*(?:noqa|type:\s*ignore|pragma:)")

BANNED: Final = {
    "a path of somebody's machine": re.compile(r"(?<![\w.~-])/(?:work|root|home|Users)/"),
    "the number of a ticket": re.compile(r"(?i)\b(?:issue|ticket|pull request|PR) ?#?\d+\b"),
    "work left open": re.compile(r"(?:#|//|<!--|/\*).*\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b"),
    "an option that names a package index": re.compile(r"--(?:extra-)?index-url|--find-links|--trusted-host"),
}

SAID_ABOUT: Final = {"tests/architecture/test_tree.py"}
"""Files that name what is banned in order to ban it."""


def tracked() -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - git from the PATH
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    need(listing.returncode == 0, "the tree is not a git clone, so its files can't be told from others")
    return [f for name in listing.stdout.decode().split("\0") if name and (f := ROOT / name).is_file()]


def texts(suffixes: tuple[str, ...] | None = None) -> list[tuple[str, str]]:
    found = []
    for file in tracked():
        if suffixes is None or file.suffix in suffixes:
            try:
                found.append((str(file.relative_to(ROOT)), file.read_text("utf-8")))
            except UnicodeDecodeError:
                continue
    return found


def unreasoned(source: str) -> list[int]:
    """Lines whose comment silences a check without saying why."""
    comments = (
        token
        for token in tokenize.generate_tokens(iter(source.splitlines(keepends=True)).__next__)
        if token.type == tokenize.COMMENT
    )
    return [c.start[0] for c in comments if SILENCER.search(c.string) and not REASONED.search(c.string)]


def foreign_hosts(text: str) -> set[str]:
    """Hosts of URLs in a text that are not on the list, nor reserved for examples (RFC 2606)."""
    found = {urlsplit(url).hostname or "" for url in re.findall(r"\bhttps?://[^\s\"'`<>)\]}{\\]+", text)}
    return {
        host
        for host in found - HOSTS
        if host and not host.endswith((".example", ".test", ".invalid", "example.org", "example.com"))
    }


def test_files_are_short_enough() -> None:
    long = {name: n for name, text in texts((".py", ".js", ".css", ".html")) if (n := text.count("\n")) > CEILING}
    assert long == {}


def test_every_package_says_what_it_is() -> None:
    silent = [
        name
        for name, text in texts((".py",))
        if name.startswith("flexhub/") and name.endswith("__init__.py") and not ast.get_docstring(ast.parse(text))
    ]
    assert silent == []


def test_every_silenced_check_says_why() -> None:
    assert [f"{name}:{line}" for name, text in texts((".py",)) for line in unreasoned(text)] == []


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("x = 1  # noqa: A001 - the standard's word", "x = 1  # noqa: A001"),
        ("x = 1  # noqa: A001, N816 - the standard's word", "x = 1  # noqa"),
        ("x = 1  # type: ignore[misc]  # the stub is wrong", "x = 1  # type: ignore[misc]"),
        ("x = 1  # pragma: no cover - only on Windows", "x = 1  # pragma: no cover"),
        ("x = '# noqa'", "x = ''  # noqa:A001 - no space"),
    ],
)
def test_a_check_silenced_without_a_reason_is_caught(good: str, bad: str) -> None:
    assert unreasoned(good) == []
    assert unreasoned(bad) == [1]


@pytest.mark.parametrize("what", BANNED)
def test_no_file_holds(what: str) -> None:
    found = [
        f"{name}:{text.count(chr(10), 0, hit.start()) + 1} {hit[0]!r}"
        for name, text in texts()
        if name not in SAID_ABOUT
        for hit in BANNED[what].finditer(text)
    ]
    if what == "an option that names a package index":
        found = [hit for hit in found if not hit.startswith("Makefile:")]  # it tells the compiler to leave them out
    assert found == []


@pytest.mark.parametrize(
    ("what", "good", "bad"),
    [
        ("a path of somebody's machine", "framework/root/x", "cd /root/x"),
        ("the number of a ticket", "issues an order", "see issue 12"),
        ("work left open", '"todo": 0', "# TO" + "DO later"),
        ("an option that names a package index", "the index", "--index-url x"),
    ],
)
def test_what_is_banned_is_found(what: str, good: str, bad: str) -> None:
    assert not BANNED[what].search(good)
    assert BANNED[what].search(bad)


def test_urls_name_known_hosts_only() -> None:
    found = {name: hosts for name, text in texts() if (hosts := foreign_hosts(text))}
    found.pop("LICENSE", None)
    assert {name: hosts for name, hosts in found.items() if name not in SAID_ABOUT} == {}


def test_an_unknown_host_is_caught() -> None:
    assert foreign_hosts("http://127.0.0.1:8080/x and https://hub.example/y") == set()
    assert foreign_hosts("https://packages.nowhere.net/simple") == {"packages.nowhere.net"}


@pytest.mark.parametrize("file", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda f: f.name)
def test_pins_hold_versions_and_no_address(file: Path) -> None:
    for line in file.read_text("utf-8").splitlines():
        if file.name == "debian.txt":
            assert re.fullmatch(r"[a-z0-9.+-]+", line), line
        else:
            assert re.fullmatch(r"[a-z0-9._-]+==[\w.+!]+( ; .+)?", line), line
        assert "://" not in line
