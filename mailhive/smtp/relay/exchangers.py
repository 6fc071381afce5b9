"""Which hosts take mail for a domain (RFC 5321 §5.1)."""

import random
import socket
from collections.abc import Sequence
from typing import Any

from attrs import frozen
from twisted.names import dns

from mailhive.errors import TemporaryFailure
from mailhive.model.addresses import canonical_domain
from mailhive.names import look_up
from mailhive.smtp.replies import SmtpReply

__all__ = ["Exchangers", "NoMail"]

NO_SUCH_DOMAIN = SmtpReply(550, "5.1.2", "There is no such domain")
NO_ADDRESS = SmtpReply(550, "5.1.2", "The domain has no host that takes mail")
NULL_MX = SmtpReply(556, "5.1.10", "The domain takes no mail")  # RFC 7505 §5
# Perhaps a new policy is on its way (RFC 8461 §5.1).
UNFIT = SmtpReply(451, "4.7.5", "No server of the domain fits its MTA-STS policy")
LOOP = SmtpReply(554, "5.4.6", "Mail for the domain comes back to this server")


class NoMail(Exception):
    """The domain cannot get mail, now or later; `reply` says why."""

    def __init__(self, reply: SmtpReply) -> None:
        super().__init__(str(reply))
        self.reply = reply


@frozen(eq=False)
class Exchangers:
    """Looks into the DNS by an `IResolver`.  `hostname` is this server's own name.

    Each method raises `TemporaryFailure` when the DNS does not say.
    """

    resolver: Any
    hostname: str

    async def hosts(self, domain: str) -> Sequence[str]:
        """The names of the hosts to be tried, in order.  `NoMail` if there are none."""
        records = await self._look_up(domain, dns.MX)
        if records is None:
            raise NoMail(NO_SUCH_DOMAIN)
        found = [(record.preference, _text(record.name)) for record in records]
        if not found:
            return (domain,)  # RFC 5321 §5.1: an implicit MX
        if all(name == "" for _, name in found):
            raise NoMail(NULL_MX)
        own = [preference for preference, name in found if name == self.hostname.lower()]
        if own:  # RFC 5321 §5.1: only those that are better than ourselves
            found = [(preference, name) for preference, name in found if preference < min(own)]
        if not found:
            raise NoMail(LOOP)
        # RFC 5321 §5.1: MUST randomize among those of the same preference.
        random.shuffle(found)
        found.sort(key=lambda entry: entry[0])
        return tuple(dict.fromkeys(name for _, name in found if name))

    async def addresses(self, host: str) -> Sequence[str]:
        """The IP addresses of a host, IPv6 first; none if there is no such host."""
        found: list[str] = []
        doubt: TemporaryFailure | None = None
        for kind in (dns.AAAA, dns.A):
            try:
                records = await self._look_up(host, kind)
            except TemporaryFailure as error:
                doubt = error
            else:
                found += [_address(record) for record in records or ()]
        if not found and doubt is not None:
            raise doubt
        return tuple(dict.fromkeys(found))

    async def _look_up(self, name: str, kind: int) -> list[Any] | None:
        """The payloads of the records; None if there is no such name."""
        ascii_name = canonical_domain(name)
        if ascii_name is None:
            return None
        return await look_up(self.resolver, ascii_name, kind)


def _text(name: dns.Name) -> str:
    return name.name.decode("ascii", "replace").rstrip(".").lower()


def _address(record: Any) -> str:
    family = socket.AF_INET if len(record.address) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, record.address)
