"""Which TLSA records a server is held to: what has to be secure on the way there.

RFC 7672 §2.2.  All of it counts only as far as the DNS proves it; where it does not,
there is no DANE, and what is left is TLS with whomever.
"""

from attrs import frozen
from twisted.names import dns

from mailhive.names import TLSA
from mailhive.smtp.relay.exchangers import Addresses, Exchangers, Hosts
from mailhive.smtp.relay.tls import Dane
from mailhive.smtp.relay.tlsa import usable

__all__ = ["DaneLookups"]


@frozen(eq=False)
class DaneLookups:
    """`port` is the one that servers are reached at."""

    exchangers: Exchangers
    port: int

    async def dane(self, host: str, addresses: Addresses, hosts: Hosts) -> Dane | None:
        """What one of a domain's hosts is held to; None if to nothing.

        `TemporaryFailure` when that cannot be known: then it is not to be used now
        (RFC 7672 §2.1.2).
        """
        for base in await self._bases(host, addresses):
            answer = await self.exchangers.ask(f"_{self.port}._tcp.{base}", TLSA)
            if answer.records and answer.is_secure:
                break
        else:
            return None
        names = [base, host]
        if hosts.is_secure:  # RFC 7672 §3.2.2: else somebody else may have put the host there
            names += [hosts.domain, hosts.expanded]
        records = usable(record.data for record in answer.records)
        return Dane(base, tuple(dict.fromkeys(names)), records)

    async def _bases(self, host: str, addresses: Addresses) -> tuple[str, ...]:
        """The names under which there may be TLSA records (RFC 7672 §2.2.3)."""
        if addresses.is_secure:
            return tuple(dict.fromkeys((addresses.name, host)))
        # Where addresses are not secure, TLSA records are not asked for, as there are name
        # servers that do not answer (RFC 7672 §2.2.2); but an alias may be while what it
        # leads to is not.
        if addresses.name != host:
            alias = await self.exchangers.ask(host, dns.CNAME)
            if alias.records and alias.is_secure:
                return (host,)
        return ()
