"""Which hosts take mail for a domain (RFC 5321 §5.1)."""

import random
import socket
from typing import Any

from attrs import frozen
from twisted.names import dns

from mailhive.errors import TemporaryFailure
from mailhive.model.addresses import canonical_domain
from mailhive.names import Answer, ask
from mailhive.smtp.replies import SmtpReply

__all__ = ["Addresses", "Exchangers", "Hosts", "NoMail"]

NO_SUCH_DOMAIN = SmtpReply(550, "5.1.2", "There is no such domain")
NO_ADDRESS = SmtpReply(550, "5.1.2", "The domain has no host that takes mail")
NULL_MX = SmtpReply(556, "5.1.10", "The domain takes no mail")  # RFC 7505 §5
# Perhaps a new policy is on its way (RFC 8461 §5.1).
UNFIT = SmtpReply(451, "4.7.5", "No server of the domain fits its MTA-STS policy")
# RFC 8689 §4.2.1
UNPROVED = SmtpReply(
    550, "5.7.30", "REQUIRETLS: neither DNSSEC nor MTA-STS proves the servers of the domain"
)
LOOP = SmtpReply(554, "5.4.6", "Mail for the domain comes back to this server")

#: Hosts of a domain that are looked at, each of which may take its time.
_MOST_HOSTS = 10


class NoMail(Exception):
    """The domain cannot get mail, now or later; `reply` says why."""

    def __init__(self, reply: SmtpReply) -> None:
        super().__init__(str(reply))
        self.reply = reply


@frozen
class Hosts:
    """The names of the hosts that take mail for a domain, in the order to be tried.

    `expanded` is the name of the domain with its aliases followed.  What has led to the
    hosts `is_secure` if DNSSEC proves it, and `is_implicit` without an MX record.
    """

    names: tuple[str, ...]
    domain: str
    expanded: str
    is_secure: bool
    is_implicit: bool = False


@frozen
class Addresses:
    """The IP addresses of a host, IPv6 first; `name` and `is_secure` as in `names.Answer`."""

    addresses: tuple[str, ...]
    name: str
    is_secure: bool


@frozen(eq=False)
class Exchangers:
    """Looks into the DNS by an `IResolver`.  `hostname` is this server's own name.

    Each method raises `TemporaryFailure` when the DNS does not say.
    """

    resolver: Any
    hostname: str

    async def hosts(self, domain: str) -> Hosts:
        """The hosts to be tried.  `NoMail` if there are none."""
        answer = await self.ask(domain, dns.MX)
        if answer.records is None:
            raise NoMail(NO_SUCH_DOMAIN)
        found = [(record.preference, _text(record.name)) for record in answer.records]
        if not found:  # RFC 5321 §5.1: an implicit MX
            return Hosts((domain,), domain, answer.name, answer.is_secure, is_implicit=True)
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
        names = tuple(dict.fromkeys(name for _, name in found if name))
        return Hosts(names[:_MOST_HOSTS], domain, answer.name, answer.is_secure)

    async def addresses(self, host: str) -> Addresses:
        """The addresses of a host; none if there is no such host."""
        found: list[str] = []
        name, is_secure = host, True
        doubt: TemporaryFailure | None = None
        for kind in (dns.AAAA, dns.A):
            try:
                answer = await self.ask(host, kind)
            except TemporaryFailure as error:
                doubt = error
                continue
            if answer.records:
                found += [_address(record) for record in answer.records]
                name, is_secure = answer.name, is_secure and answer.is_secure
        if not found and doubt is not None:
            raise doubt
        return Addresses(tuple(dict.fromkeys(found)), name, is_secure and bool(found))

    async def ask(self, name: str, kind: int) -> Answer:
        """What the DNS says of a name, which need not be in A-labels."""
        # What starts with an underscore is the name of no host, and in A-labels already.
        ascii_name = name if name.startswith("_") else canonical_domain(name)
        if ascii_name is None:
            return Answer(None, name, is_secure=False)
        return await ask(self.resolver, ascii_name, kind)


def _text(name: dns.Name) -> str:
    return name.name.decode("ascii", "replace").rstrip(".").lower()


def _address(record: Any) -> str:
    family = socket.AF_INET if len(record.address) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, record.address)
