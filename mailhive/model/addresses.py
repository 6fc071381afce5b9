"""Mail addresses in the form in which they are compared."""

import re
import unicodedata

import idna

__all__ = [
    "canonical_address",
    "canonical_domain",
    "canonical_name",
    "domain_forms",
    "is_domain",
    "split",
]

_LONGEST_DOMAIN = 1_000  # characters, more than any name of 253 octets has as U-labels
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)


def split(address: str) -> tuple[str, str]:
    """Local part and domain; both empty if there is no `@`."""
    local, mark, domain = address.rpartition("@")
    return (local, domain) if mark else ("", "")


def canonical_name(name: str) -> str:
    """A name or local part, so that those that differ by case or composition are equal."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def canonical_domain(domain: str) -> str | None:
    """A domain as lower-case A-labels (RFC 5890 §2.3.2.1), or None if it has no such form."""
    if len(domain) > _LONGEST_DOMAIN:
        return None
    if domain.isascii():
        return domain.lower()
    try:
        return idna.encode(domain, uts46=True).decode("ascii").lower()
    except UnicodeError:  # idna.IDNAError is one
        return None


def domain_forms(canonical: str) -> tuple[str, ...]:
    """A canonical domain, and the same in U-labels (RFC 5890 §2.3.2.1) if that differs."""
    if "xn--" not in canonical:
        return (canonical,)
    try:
        return canonical, idna.decode(canonical)
    except UnicodeError:
        return (canonical,)


def canonical_address(address: str) -> str | None:
    """`local@domain` for comparing, or None if this is no address."""
    local, domain = split(address)
    canonical = canonical_domain(domain)
    return f"{canonical_name(local)}@{canonical}" if canonical else None


def is_domain(canonical: str) -> bool:
    """Is this canonical form a domain name that mail can be for?"""
    return len(canonical) <= 253 and all(_LABEL.fullmatch(s) for s in canonical.split("."))
