"""May this host send mail for that domain?  The Sender Policy Framework (RFC 7208).

    verdict = await check_host(resolver, ip_address("192.0.2.1"), sender="a@example.org",
                               helo="mail.example.org", receiver="mx.example.net", now=1732200000)

Records are read whole before anything is looked up for them.  What a record may
cause is bounded: ten terms that look something up, two lookups that find nothing,
ten names of each mail exchanger list.
"""

import re
from ipaddress import IPv6Address, ip_network
from typing import TypeVar

from attrs import define, evolve, field, frozen

from mailhive.authn.dns import DnsFailure, IpAddress, Resolver
from mailhive.authn.spf_macros import dotted, expand, needs_validated_name
from mailhive.authn.spf_record import Directive, Record, RecordError, is_record, parse
from mailhive.model.addresses import canonical_domain, split

__all__ = ["SpfVerdict", "check_host"]

# RFC 7208 §4.6.4
_TERMS = 10
_VOID = 2
_NAMES = 10
_LOOKING_UP = frozenset({"include", "a", "mx", "ptr", "exists"})
_LABEL = re.compile(r"[^.]{1,63}")
_EXPLANATION = re.compile(rb"[ -~]*")

_Found = TypeVar("_Found")


@frozen
class SpfVerdict:
    """The result (RFC 7208 §2.6) for a domain.

    `result` is none, neutral, pass, fail, softfail, temperror or permerror; `why` says
    of an error what it is, and `explanation` of a fail what the domain says to those
    who sent it.
    """

    result: str
    domain: str
    why: str = ""
    explanation: str | None = None


async def check_host(
    resolver: Resolver,
    address: IpAddress,
    *,
    sender: str,
    helo: str,
    receiver: str,
    now: int,
) -> SpfVerdict:
    """The verdict on `sender`, the address of MAIL FROM; if it is empty, on `helo`.

    `receiver` is the name of this server and `now` the time, for explanations.
    Takes as long as the resolver; who has less time gives up and has a temperror.
    """
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    # RFC 7208 §2.4 and §4.3
    local, domain = split(sender or f"postmaster@{helo}")
    local = local or "postmaster"
    domain = canonical_domain(domain) or domain
    check = _Check(resolver, address, local, domain, helo, receiver, now)
    try:
        # Of whom was asked, wherever its record leads: that is what DMARC wants to know.
        return evolve(await check.run(domain), domain=domain)
    except RecordError as error:
        return SpfVerdict("permerror", domain, str(error))
    except DnsFailure as error:
        return SpfVerdict("temperror", domain, str(error) or "no answer")


@define
class _Check:
    """One check, with what its records have cost so far.

    Raises `RecordError` for a permerror and `DnsFailure` for a temperror.
    """

    resolver: Resolver
    address: IpAddress
    local: str
    sender_domain: str
    helo: str
    receiver: str
    now: int
    _terms: int = 0
    _voids: int = 0
    _validated: list[str] | None = field(default=None)

    async def run(self, domain: str, *, included: bool = False) -> SpfVerdict:
        """The verdict of the record of `domain` (RFC 7208 §4)."""
        if not _is_name(domain):
            return SpfVerdict("none", domain)
        records = [text for text in await self.resolver.txt(domain) if is_record(text)]
        if not records:
            return SpfVerdict("none", domain)
        if len(records) > 1:
            raise RecordError(f"{domain} has {len(records)} records")
        record = parse(records[0])
        for directive in record.directives:
            if directive.mechanism in _LOOKING_UP:
                self._count()
            if await self._fits(directive, domain):
                explanation = None
                if directive.result == "fail" and not included:
                    explanation = await self._explanation(record, domain)
                return SpfVerdict(directive.result, domain, explanation=explanation)
        if record.redirect is None:
            return SpfVerdict("neutral", domain)  # RFC 7208 §4.7
        # RFC 7208 §6.1
        self._count()
        target = await self._expanded(record.redirect, domain)
        verdict = await self.run(target, included=included)
        if verdict.result == "none":
            raise RecordError(f"redirect leads to {target}, which has no record")
        return verdict

    async def _fits(self, directive: Directive, domain: str) -> bool:
        # RFC 7208 §5
        if directive.mechanism == "all":
            return True
        if directive.network is not None:
            return self.address in directive.network
        target = domain
        if directive.domain is not None:
            target = await self._expanded(directive.domain, domain)
        if directive.mechanism == "include":
            return await self._includes(target)
        if directive.mechanism == "ptr":
            names = await self._validated_names()
            return any(_is_below(name, target) for name in names)
        if not _is_name(target):
            return False  # RFC 7208 §4.8
        if directive.mechanism == "exists":
            return bool(self._found(await self.resolver.a(target)))
        names = [target]
        if directive.mechanism == "mx":
            names = self._found(await self.resolver.mx(target))
            if len(names) > _NAMES:
                raise RecordError(f"{target} has more than {_NAMES} mail exchangers")
        for name in names:
            if _is_name(name) and self._is_among(await self._addresses(name), directive):
                return True
        return False

    async def _includes(self, target: str) -> bool:
        # RFC 7208 §5.2
        verdict = await self.run(target, included=True)
        if verdict.result == "none":
            raise RecordError(f"{target} is included and has no record")
        return verdict.result == "pass"

    async def _addresses(self, name: str) -> list[IpAddress]:
        found: list[IpAddress]
        if self.address.version == 4:
            found = list(await self.resolver.a(name))
        else:
            found = list(await self.resolver.aaaa(name))
        return self._found(found)

    def _is_among(self, addresses: list[IpAddress], directive: Directive) -> bool:
        prefix = directive.prefix4 if self.address.version == 4 else directive.prefix6
        return any(
            self.address in ip_network((address, prefix), strict=False) for address in addresses
        )

    async def _validated_names(self) -> list[str]:
        """The names of the host that lead back to it; none if that cannot be told."""
        # RFC 7208 §5.5
        if self._validated is None:
            self._validated = []
            try:
                names = self._found(await self.resolver.ptr(self.address))
            except DnsFailure:
                names = []
            for name in names[:_NAMES]:
                try:
                    if self.address in await self._addresses(name):
                        self._validated.append(name.lower().rstrip("."))
                except DnsFailure:
                    continue
        return self._validated

    async def _explanation(self, record: Record, domain: str) -> str | None:
        # RFC 7208 §6.2: whatever goes wrong, there is none
        if record.explanation is None:
            return None
        try:
            target = await self._expanded(record.explanation, domain)
            [text] = await self.resolver.txt(target) if _is_name(target) else []
            if not _EXPLANATION.fullmatch(text):
                return None
            values = await self._values(text.decode(), domain)
            values |= {"c": str(self.address), "r": self.receiver, "t": str(self.now)}
            return expand(text.decode(), values, is_domain=False)
        except (DnsFailure, ValueError, KeyError):
            return None

    async def _expanded(self, text: str, domain: str) -> str:
        return expand(text, await self._values(text, domain)).rstrip(".")

    async def _values(self, text: str, domain: str) -> dict[str, str]:
        # RFC 7208 §7.2
        values = {
            "s": f"{self.local}@{self.sender_domain}",
            "l": self.local,
            "o": self.sender_domain,
            "d": domain,
            "i": dotted(self.address),
            "p": "unknown",
            "v": "in-addr" if self.address.version == 4 else "ip6",
            "h": self.helo,
        }
        if needs_validated_name(text):
            names = await self._validated_names()
            below = [name for name in names if _is_below(name, domain)]
            exact = [name for name in below if name == domain.lower()]
            values["p"] = next(iter([*exact, *below, *names]), "unknown")
        return values

    def _count(self) -> None:
        self._terms += 1
        if self._terms > _TERMS:
            raise RecordError(f"more than {_TERMS} terms look something up")

    def _found(self, answer: list[_Found]) -> list[_Found]:
        """`answer`; an empty one is counted."""
        if not answer:
            self._voids += 1
            if self._voids > _VOID:
                raise RecordError(f"more than {_VOID} lookups find nothing")
        return answer


def _is_name(domain: str) -> bool:
    """Is it a name of at least two labels that can be looked up (RFC 7208 §4.3)?"""
    labels = domain.removesuffix(".").split(".")
    return (
        len(domain) <= 253
        and domain.isascii()
        and len(labels) > 1
        and all(_LABEL.fullmatch(label) for label in labels)
    )


def _is_below(name: str, domain: str) -> bool:
    """Is `name` that domain, or below it?"""
    domain = domain.lower().rstrip(".")
    return name == domain or name.endswith(f".{domain}")
