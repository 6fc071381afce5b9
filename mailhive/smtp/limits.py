"""What a server takes within one connection and one transaction (RFC 9422)."""

import re
from collections.abc import Mapping, Sequence

from attrs import frozen

from mailhive.model.addresses import split

__all__ = ["Limits"]

# RFC 9422 §4: six digits, none of which leads with zero.
_LIMIT = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)=([1-9][0-9]{0,5})", re.ASCII)


@frozen
class Limits:
    """None where there is none."""

    transactions: int | None = None  # of a connection
    recipients: int | None = None  # of a transaction
    domains: int | None = None  # of the recipients of a transaction

    @classmethod
    def of(cls, extensions: Mapping[str, str]) -> "Limits":
        """Those that EHLO told; what is no limit that is known is passed over."""
        matches = map(_LIMIT.fullmatch, extensions.get("LIMITS", "").split())
        told = {match[1].upper(): int(match[2]) for match in matches if match}
        return cls(told.get("MAILMAX"), told.get("RCPTMAX"), told.get("RCPTDOMAINMAX"))

    def first(self, addresses: Sequence[str], most: int) -> tuple[str, ...]:
        """Those of the addresses that go together in the next transaction."""
        chosen: list[str] = []
        domains: set[str] = set()
        for address in addresses:
            domain = split(address)[1].lower()
            if len(chosen) == min(most, self.recipients or most):
                break
            if self.domains is None or domain in domains or len(domains) < self.domains:
                domains.add(domain)
                chosen.append(address)
        return tuple(chosen)
