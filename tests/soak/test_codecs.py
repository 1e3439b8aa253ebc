"""Mutants of every message that ships, for twenty minutes (or ``SOAK_MINUTES``), through every reader.

Each is read, or refused with an error of ours; in bounded time, and the readers' memory stays. What is read is written
and read again, and comes out the same. A failure names the seed of its mutant: `mutant` makes it again.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random
from time import monotonic, thread_time
from typing import Any, Final, NamedTuple

import pytest

from flexhub.app import convert, erasure
from flexhub.conformance.corpora import corpus
from flexhub.core import documents
from flexhub.core.errors import FlexhubError
from flexhub.protocols.flexoffer.codec import FlexOfferCodec
from flexhub.protocols.openadr2b import signature
from flexhub.protocols.openadr2b.codec import OadrCodec
from flexhub.protocols.openadr2b.rules import findings
from flexhub.protocols.rules import broken
from flexhub.protocols.uftp import envelope
from flexhub.protocols.uftp.codec import UftpCodec
from flexhub.protocols.uftp.envelope import Delivery, Failed, Opened, open_delivery
from flexhub.protocols.uftp.messages import Role
from flexhub.protocols.uftp.rules import RULES
from tests.protocols.test_openadr2b_signature import ECC, NOW
from tests.soak.mutants import Mutate, bytewise, of_json, of_xml

MINUTES: Final = float(os.environ.get("SOAK_MINUTES", "20"))
LONGEST_S: Final = 2.0
"""Of processor time, for one mutant."""
GROWTH_MIB: Final = 32.0
"""How much more memory the readers may hold at the end than after a third of the time."""
SEED: Final = int(os.environ.get("SOAK_SEED", "1"))
KEY: Final = envelope.key_of_seed(bytes(range(32)))
OADR_KEY: Final = signature.signing_key(*ECC)
OADR_NOW: Final = NOW
GOLDEN: Final = Path(__file__).parents[1] / "app" / "golden"

pytestmark = [pytest.mark.soak, pytest.mark.timeout(60 * MINUTES + 600)]


class Reader(NamedTuple):
    """What is read (`seeds`), how it is changed, and who reads it: True where it is taken; raises errors of ours."""

    name: str
    seeds: tuple[bytes, ...]
    mutate: tuple[Mutate, ...]
    read: Callable[[bytes], bool]


def _read_uftp(data: bytes) -> bool:
    codec = UftpCodec()
    message = codec.decode(data)
    broken(RULES, message)
    again = codec.decode(codec.encode(message))
    assert again == message
    return True


def _read_envelope(data: bytes) -> bool:
    delivery = Delivery(content_type="text/xml", content_length=len(data), body=data, key=KEY.public())
    opened = open_delivery(delivery, UftpCodec())  # refusals are what it returns
    assert isinstance(opened, Opened | Failed)
    return isinstance(opened, Opened)


def _read_sealed(data: bytes) -> bool:
    """What a peer has signed itself: nothing of it is trusted."""
    sealed = envelope.seal(data, "agr.example.com", Role.AGR, KEY)
    return _read_envelope(sealed)


def _read_openadr(data: bytes) -> bool:
    """With our reader alone, which the XSD would shield; compared as written, since a number may be none."""
    codec = OadrCodec(check=False)
    message = codec.decode(data)
    findings(message)
    written = codec.encode(message)
    assert codec.encode(codec.decode(written)) == written
    return True


def _read_openadr_signed(data: bytes) -> bool:
    codec = OadrCodec()
    signature.verify(codec.root(data), trusted={OADR_KEY.fingerprint}, now=OADR_NOW)
    return True


def _read_flexoffer(data: bytes) -> bool:
    codec = FlexOfferCodec()
    document = codec.decode(data)
    assert codec.decode(codec.encode(document)) == document
    return True


def _read_core(data: bytes) -> bool:
    """As whichever kind it is; none at all refuses with the errors of one."""
    taken, last = 0, None
    for kind in erasure.KINDS:
        try:
            value: Any = documents.decode(kind, data)
        except FlexhubError as error:
            last = error
            continue
        assert documents.decode(kind, documents.encode(value)) == value
        taken += 1
    if not taken and last is not None:
        raise last
    return True


def _validate(data: bytes) -> bool:
    return not convert.validate(data)


def _signed(messages: Iterable[bytes]) -> tuple[bytes, ...]:
    """Those of them that are messages, signed."""
    codec, found = OadrCodec(check=False), []
    for data in messages:
        try:
            found.append(signature.sign(codec.decode(data), OADR_KEY, now=OADR_NOW, nonce="n"))
        except FlexhubError:
            continue
    return tuple(found)


def readers() -> Iterator[Reader]:
    """Every reader of bytes that others make."""
    data = {
        name: (*(one.data for one in c.accepted), *(one.data for one in c.rejected)) for name, c in _CORPORA.items()
    }
    sealed = tuple(envelope.seal(one, "agr.example.com", Role.AGR, KEY) for one in data["uftp"])
    core = tuple(file.read_bytes() for file in sorted(GOLDEN.glob("*.json")))
    yield Reader("uftp", data["uftp"], (bytewise, of_xml), _read_uftp)
    yield Reader("uftp envelope", sealed, (bytewise, of_xml), _read_envelope)
    yield Reader("uftp, signed", data["uftp"], (bytewise, of_xml), _read_sealed)
    yield Reader("openadr2b", data["openadr2b"], (bytewise, of_xml), _read_openadr)
    yield Reader("openadr2b, signed", _signed(data["openadr2b"]), (bytewise, of_xml), _read_openadr_signed)
    yield Reader("flexoffer", data["flexoffer"], (bytewise, of_json), _read_flexoffer)
    yield Reader("core", core, (bytewise, of_json), _read_core)
    yield Reader(
        "validate",
        (*data["uftp"], *data["openadr2b"], *data["flexoffer"], *core),
        (bytewise, of_json, of_xml),
        _validate,
    )


_CORPORA: Final = {name: corpus(name) for name in ("uftp", "openadr2b", "flexoffer")}


def mutant(reader: Reader, seed: int) -> bytes:
    """The mutant of this number."""
    dice = Random(seed)  # noqa: S311 - to be made again, not a secret
    data = dice.choice(reader.seeds)
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        data = dice.choice(reader.mutate)(data, dice, reader.seeds)
    return data


def resident_mib() -> float:
    """Memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_nothing_but_our_errors_comes_out(record_property: Callable[[str, object], None]) -> None:
    all_, begun, settled, seed = list(readers()), monotonic(), 0.0, SEED
    told: Counter[tuple[str, str]] = Counter()
    longest = (0.0, "", 0)
    while (passed := monotonic() - begun) < 60 * MINUTES:
        if not settled and passed > 20 * MINUTES:
            settled = resident_mib()
        for reader in all_:
            data = mutant(reader, seed)
            at = thread_time()
            try:
                told[reader.name, "taken" if reader.read(data) else "refused"] += 1
            except FlexhubError as error:
                told[reader.name, "refused" if error.fault == "peer" else f"our fault: {error} ({seed})"] += 1
            except BaseException as error:
                error.add_note(f"{reader.name}, mutant {seed}: {data[:500]!r}")
                raise
            took = thread_time() - at
            longest = max(longest, (took, reader.name, seed))
            assert took < LONGEST_S, (reader.name, seed, took, data[:500])
        seed += 1
    grown = resident_mib() - settled
    record_property("mutants", sum(told.values()))
    print(f"\n{dict(told)}\nlongest: {longest}\nmemory: {settled:.0f} MiB, {grown:+.1f} MiB")  # noqa: T201 - for who ran it
    assert {what for _, what in told} == {"taken", "refused"}
    assert grown < GROWTH_MIB
    assert all(told[reader.name, "taken"] for reader in all_), "mutants that are still messages are taken"
