"""What is tried with a CRO: updates of portfolios, and questions about them."""

from __future__ import annotations

from typing import Final

from flexhub.conformance.suite import NotJudged
from flexhub.conformance.uftp import common
from flexhub.conformance.uftp.drafts import agr_query, agr_update, base, dso_query, dso_update, place
from flexhub.conformance.uftp.probe import Make, Probe, Spoil, at, none_or, put, speaker, without
from flexhub.conformance.uftp.target import Draft, Uftp


async def located(x: Uftp) -> Draft:
    """DSOPortfolioUpdate."""
    return x.draft(dso_update(x, place(x)))


async def agr_asks(x: Uftp) -> Draft:
    """AGRPortfolioQuery, about a connection at a congestion point."""
    there = place(x)
    await x.give(dso_update(x, there))
    await x.give(agr_update(x, there))
    return x.draft(agr_query(x))


async def dso_asks(x: Uftp) -> Draft:
    """DSOPortfolioQuery, about a congestion point with a connection."""
    there = place(x)
    await x.give(dso_update(x, there))
    return x.draft(dso_query(x, there))


async def _unregistered(x: Uftp, draft: Draft) -> None:
    if not x.market.agreed.closed:
        raise NotJudged("that only registered participants are heard was not agreed")
    draft.said_by(speaker(x.market.stranger, "[stranger]"))


async def _without_connections(x: Uftp, draft: Draft) -> None:
    draft.said_by(speaker(x.market.other, "[other]"))


async def _elsewhere(x: Uftp, draft: Draft) -> None:
    """The connection lies at another point already."""
    there = place(x)
    await x.give(dso_update(x, there))
    at(draft, "CongestionPoint/Connection").set("EntityAddress", there.connection)


def _row(name: str, rule: str, sent: str, make: Make, spoil: Spoil) -> Probe:
    return Probe(name=name, rule=rule, sent=sent, make=make, spoil=spoil)


PROBES: Final = (
    *common.DELIVERY,
    *common.address("EntityAddress", "Connection"),
    _row("no-connection", "UFTP-08", "AGRPortfolioUpdate: no Connection", base, without("Connection")),
    _row(
        "no-start",
        "UFTP-08",
        "AGRPortfolioUpdate: a Connection without StartPeriod",
        base,
        put("StartPeriod", None, "Connection"),
    ),
    *common.METADATA,
    *common.by_wrong_role(),
    common.zone_other(),
    _row("not-registered", "UFTP-49a", "AGRPortfolioUpdate: by who is not registered", base, _unregistered),
    Probe(
        name="no-connections",
        rule="UFTP-49b",
        sent="AGRPortfolioQuery: by who has no connections",
        make=agr_asks,
        spoil=_without_connections,
        expected="no answer (the schema demands connections of it), or Rejected: No connections available",
        judge=none_or("UFTP-49b"),
        mute=True,
    ),
    _row(
        "no-such-point",
        "UFTP-49b",
        "DSOPortfolioQuery: about a point that nobody named",
        dso_asks,
        put("EntityAddress", lambda x: place(x).point),
    ),
    _row(
        "connection-elsewhere", "UFTP-49c", "DSOPortfolioUpdate: a connection that lies elsewhere", located, _elsewhere
    ),
    *common.LAST,
)

VALIDS: Final = (*common.VALIDS,)
