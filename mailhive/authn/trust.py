"""Whose word on a message counts although its signatures were broken on the way."""

from collections.abc import Collection, Iterable

from mailhive.authn.arc import Handler
from mailhive.authn.results_read import read_results
from mailhive.model.addresses import canonical_domain

__all__ = ["voucher"]


def voucher(handlers: Iterable[Handler], author: str, trusted: Collection[str]) -> str | None:
    """Who is trusted and found that DMARC passed for the author's domain; None if nobody did.

    `handlers` are those of a chain that is valid, the last one first.  As the seal of each
    vouches for those before it, one counts only if all behind it are trusted too.
    """
    # RFC 8617 §7.2.1
    for handler in handlers:
        if handler.domain not in trusted:
            return None
        for result in read_results(handler.results):
            found = canonical_domain(result.properties.get("header.from", ""))
            if (result.method, result.result, found) == ("dmarc", "pass", author):
                return handler.domain
    return None
