"""Organizational domains: what was registered, by the Public Suffix List (RFC 7489 §3.2)."""

from functools import cache

from publicsuffixlist import PublicSuffixList

__all__ = ["are_aligned", "organizational_domain"]


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


def organizational_domain(domain: str) -> str:
    """The registered domain that a canonical domain is or is below; a public suffix is its own."""
    found: str | None = _suffixes().privatesuffix(domain)
    return domain if found is None else found


def are_aligned(domain: str, author: str, *, strict: bool) -> bool:
    """Does a canonical domain that was authenticated vouch for that of the author?"""
    # RFC 7489 §3.1
    if strict:
        return domain == author
    return organizational_domain(domain) == organizational_domain(author)
