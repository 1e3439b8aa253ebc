"""A directory in DNS, as the standard has it (Appendix 4): keys in TXT records, endpoints by CNAME, both with DNSSEC.

Of a domain ``D`` in a role ``R``: the key is TXT ``_R._usef.D``, else TXT ``_usef.D`` (whatever the text has beside it,
the part that is base64 is the key); the host is where CNAME ``_http._R._usef.D`` leads, and the path there is the
standard's. An answer that DNSSEC does not vouch for (no AD flag) is none, unless the configuration says otherwise: the
resolver that validates has to be trusted, so it is best one on the same machine.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from dns import asyncresolver, exception, flags, nameserver, rdatatype, resolver

from flexhub.adapters.directories.interface import Listing
from flexhub.core.errors import UnavailableError

PATH: Final = "/shapeshifter/api/v3/message"
LIFETIME_S: Final = 5.0
_KEY: Final = re.compile(r"(?:cs1\.)?([A-Za-z0-9+/]{86}==|[A-Za-z0-9+/]{43}=)(?![A-Za-z0-9+/=])")


class DnsDirectory:
    """Asks a resolver.

    Args:
        servers: addresses of resolvers, ``host`` or ``host:port``; those of the system unless told.
        dnssec: whether answers must be vouched for.
        scheme: of endpoints.
        port: of endpoints; the scheme's own unless told.
    """

    def __init__(
        self, servers: Sequence[str] = (), *, dnssec: bool = True, scheme: str = "https", port: int | None = None
    ) -> None:
        self._resolver = asyncresolver.Resolver(configure=not servers)
        if servers:
            self._resolver.nameservers = [_server(text) for text in servers]
        self._resolver.lifetime = LIFETIME_S
        self._resolver.cache = None
        if dnssec:
            # AD in a question says that the answer's is understood (RFC 6840 section 5.7).
            self._resolver.flags = flags.RD | flags.AD
        self._dnssec = dnssec
        self._scheme = scheme
        self._port = port

    async def find(self, domain: str, role: str) -> Listing | None:
        """Key and endpoint.

        Raises:
            UnavailableError: no resolver answers, or DNSSEC vouches for nothing.
        """
        texts, lasts = await self._texts(f"_{role.lower()}._usef.{domain}")
        if not texts:
            texts, lasts = await self._texts(f"_usef.{domain}")
        keys = tuple(found[0] for text in texts if (found := _KEY.search(text)) is not None)
        if not keys:
            return None
        host, host_lasts = await self._host(f"_http._{role.lower()}._usef.{domain}")
        where = host if host is None or self._port is None else f"{host}:{self._port}"
        url = None if where is None else f"{self._scheme}://{where}{PATH}"
        return Listing(keys, url, lasts_s=float(min(lasts, host_lasts)))

    async def _ask(self, name: str, kind: rdatatype.RdataType) -> resolver.Answer | None:
        try:
            answer = await self._resolver.resolve(f"{name}.", kind, raise_on_no_answer=False)
        except resolver.NXDOMAIN as error:
            told = error.response(error.qnames()[0])  # type: ignore[no-untyped-call] # dnspython leaves these open
            self._vouched(told.flags, name)
            return None
        except (exception.DNSException, OSError) as error:
            raise UnavailableError(f"DNS does not answer about {name}: {type(error).__name__}", value=name) from error
        self._vouched(answer.response.flags, name)
        return answer

    def _vouched(self, told: int, name: str) -> None:
        if self._dnssec and not told & flags.AD:
            raise UnavailableError(f"DNSSEC does not vouch for {name}", path="DNS", value=name, clause="Appendix 4")

    async def _texts(self, name: str) -> tuple[list[str], float]:
        answer = await self._ask(name, rdatatype.TXT)
        if answer is None or answer.rrset is None:
            return [], float("inf")
        return [b"".join(item.strings).decode("ascii", "replace") for item in answer.rrset], answer.rrset.ttl

    async def _host(self, name: str) -> tuple[str | None, float]:
        answer = await self._ask(name, rdatatype.CNAME)
        if answer is None or answer.rrset is None:
            return None, float("inf")
        return answer.rrset[0].target.to_text(omit_final_dot=True), answer.rrset.ttl

    async def close(self) -> None:
        """Nothing is held."""


def _server(text: str) -> str | nameserver.Nameserver:
    host, separator, port = text.rpartition(":")
    if (separator and port.isdecimal() and ":" not in host.strip("[]")) or text.startswith("["):
        return nameserver.Do53Nameserver(host.strip("[]"), int(port))
    return text
