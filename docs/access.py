"""The page of who sees what: every call, role by role, from the tables that decide it."""

from __future__ import annotations

from typing import Final

from flexhub.app.api.route import Route
from flexhub.app.api.routes import ROUTES
from flexhub.app.config import PrivacySection
from flexhub.app.exchange.sight import NEEDED, Data, Reach
from flexhub.core.registry import Role
from flexhub.core.trading import Contract

WORDS: Final = {
    Reach.OWN: "what is its own: what it made, what was made for it, or what it is told",
    Reach.PORTFOLIO: "offers that were made to it, and what belongs to them",
    Reach.SUMS: "sums over many prosumers, and those who granted more",
    Reach.ALL: "everything: who runs the hub",
}

ABOUT: Final = f"""\
# Who sees what

Every call is checked twice: whether the caller's role may make it, and what is then its to see or to change. This page
follows from the tables that decide it; a test walks every call in every role with what is the caller's own, somebody
else's, and nobody's. What one may not see is answered like what isn't there.

## Data scopes

A contract says in `scopes` which uses of its data a prosumer grants: unless told otherwise,
{" and ".join(f"`{scope}`" for scope in Contract.__struct_defaults__[-1])}. What counts is the contract that an offer
was taken under, as it was last put; so a scope that is taken back ends what it granted at once.

- What a scope grants is seen as it is, by name.
- Of other offers, readings and bills, an **aggregator** sees energies, times, prices and amounts under *pseudonyms*.
  Offer, issuer, contract, location and meter each have one, the same on lists, series, bills and streams, and another
  one for every aggregator. Labels, reasons and unknown fields, which may hold anything, are left out. By its own name
  such an offer isn't found.
- **Grid operators, utilities and market operators** see series only: the sum over all offers, or over those at a
  congestion point (`subject`). Who granted them nothing counts in a quarter-hour only where at least
  `smallest_group` such prosumers count at the same congestion point (`[privacy]`,
  {PrivacySection().smallest_group} unless told otherwise). Others are left out of every sum, so that none can be had as
  the difference of two. Where offers are follows from the registry, not from requests.

A pseudonym is an HMAC-SHA-256 over viewer and subject; its secret is made by the hub when it is first needed, and kept
in its store. The cursor of an aggregator's next page is sealed in the same way, since the page may end behind an offer
that isn't its own.

What this does not do: a sum tells much about a prosumer who is far bigger than the others of its group, and who watches
a sum while somebody joins or leaves a group learns what that changed. Energies and times stay as they are under a
pseudonym; who knows from elsewhere when a car was charged may recognise it.
"""


def page() -> str:
    """The page, as Markdown."""
    lines = [ABOUT, f"| role | {' | '.join(Data)} |", f"| --- |{' --- |' * len(Data)}"]
    for role, needed in NEEDED.items():
        lines.append(f"| {role} | {' | '.join(f'`{needed[data]}`' if data in needed else 'never' for data in Data)} |")
    lines += ["", "The scope that a contract must grant, for each role to see by name.", "", "## Call by call", ""]
    lines += [f"- *{reach}*: {words}" for reach, words in WORDS.items()]
    lines += ["", f"| call | OAuth scope | {' | '.join(Role)} |", f"| --- | --- |{' --- |' * len(Role)}"]
    for route in ROUTES:
        name = f"[`{route.method} {route.path}`](exchange.md#{route.name.lower()})"
        if not route.roles:
            lines.append(f"| {name} | |{' anyone |' * len(Role)}")
        else:
            lines.append(f"| {name} | `{route.scope}` | {' | '.join(cell(route, role) for role in Role)} |")
    return "\n".join([*lines, ""])


def cell(route: Route, role: Role) -> str:
    """How far a role sees and acts in a call."""
    return route.reach(role) or "no"
