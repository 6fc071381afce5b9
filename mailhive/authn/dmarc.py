"""What the author's domain wants done with mail that is not from it: DMARC (RFC 7489)."""

import re
from collections.abc import Iterable

from attrs import frozen

from mailhive.authn.dns import DnsFailure, Resolver
from mailhive.authn.domains import are_aligned, organizational_domain
from mailhive.model.addresses import canonical_domain, is_domain

__all__ = ["Authenticated", "DmarcRecord", "DmarcVerdict", "evaluate", "parse"]

_POLICIES = ("none", "quarantine", "reject")
_VERSION = re.compile(rb"v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|\Z)")
_PERCENT = re.compile(r"[0-9]{1,3}", re.ASCII)
_REPORTS = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*:\S", re.ASCII)


@frozen
class Authenticated:
    """A result of SPF or DKIM for a domain, as `Authenticated("dkim", "pass", "example.org")`."""

    method: str  # spf or dkim
    result: str
    domain: str


@frozen
class DmarcRecord:
    """What a record asks for (RFC 7489 §6.3); `percent` of the mail is treated so."""

    policy: str  # none, quarantine or reject
    subdomain_policy: str
    strict_dkim: bool = False
    strict_spf: bool = False
    percent: int = 100


@frozen
class DmarcVerdict:
    """The result (RFC 7489 §11.2) for the author's domain.

    `result` is none, pass, fail, temperror or permerror; `policy` is what the record asks
    for, and `action` what is to be done with this message: none, quarantine or reject.
    """

    result: str
    domain: str
    policy: str = "none"
    action: str = "none"


def parse(text: bytes) -> DmarcRecord | None:
    """What a TXT record says; None if it is no record of DMARC, or asks for nothing."""
    # RFC 7489 §6.4
    if _VERSION.match(text) is None:
        return None
    tags: dict[str, str] = {}
    for tag in text.decode("ascii", "replace").split(";")[1:]:
        name, _, value = tag.partition("=")
        tags.setdefault(name.strip(" \t"), value.strip(" \t"))
    policy = tags.get("p", "").lower()
    subdomain = tags.get("sp", "").lower()
    if policy not in _POLICIES or subdomain not in (*_POLICIES, ""):
        # RFC 7489 §6.6.3: it wants reports at least
        if not _REPORTS.match(tags.get("rua", "")):
            return None
        policy, subdomain = "none", "none"
    percent = tags.get("pct", "")
    return DmarcRecord(
        policy=policy,
        subdomain_policy=subdomain or policy,
        strict_dkim=tags.get("adkim", "").lower() == "s",
        strict_spf=tags.get("aspf", "").lower() == "s",
        percent=min(int(percent), 100) if _PERCENT.fullmatch(percent) else 100,
    )


async def evaluate(
    resolver: Resolver, author: str, results: Iterable[Authenticated], *, draw: int
) -> DmarcVerdict:
    """The verdict on a message whose From field has one domain, `author`.

    `results` are those of SPF, for MAIL FROM or else HELO, and of each signature.
    `draw` is a random number from 0 to 99: it decides for records that want only a part
    of the mail treated so (RFC 7489 §6.6.4).
    """
    domain = canonical_domain(author)
    if not domain or not is_domain(domain):
        return DmarcVerdict("permerror", author)
    try:
        found = await _discover(resolver, domain)
    except DnsFailure:
        return DmarcVerdict("temperror", domain)
    if found is None:
        return DmarcVerdict("none", domain)
    record, is_own = found
    policy = record.policy if is_own else record.subdomain_policy
    aligned = [result for result in results if _vouches(result, domain, record)]
    if any(result.result == "pass" for result in aligned):
        return DmarcVerdict("pass", domain, policy)
    if any(result.result == "temperror" for result in aligned):
        return DmarcVerdict("temperror", domain, policy)
    action = policy
    if draw >= record.percent:  # the next milder one
        action = _POLICIES[max(_POLICIES.index(policy) - 1, 0)]
    return DmarcVerdict("fail", domain, policy, action)


async def _discover(resolver: Resolver, domain: str) -> tuple[DmarcRecord, bool] | None:
    """The record for a domain, and whether it is the domain's own or the one above it."""
    # RFC 7489 §6.6.3
    above = organizational_domain(domain)
    for name in dict.fromkeys((domain, above)):
        texts = await resolver.txt(f"_dmarc.{name}")
        records = [text for text in texts if _VERSION.match(text)]
        if len(records) == 1:
            record = parse(records[0])
            return None if record is None else (record, name == domain)
        if records:
            return None
    return None


def _vouches(result: Authenticated, author: str, record: DmarcRecord) -> bool:
    domain = canonical_domain(result.domain)
    strict = record.strict_dkim if result.method == "dkim" else record.strict_spf
    return bool(domain) and are_aligned(domain or "", author, strict=strict)
