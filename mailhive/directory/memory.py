"""A directory whose principals stand in the configuration."""

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from mailhive.directory.addresses import (
    canonical_address,
    canonical_domain,
    canonical_name,
    split,
)
from mailhive.directory.password import PasswordVerifier, decoy
from mailhive.directory.principals import MemorySettings, PrincipalSettings
from mailhive.interfaces.directory import IDirectory
from mailhive.model.principal import Principal
from mailhive.registry import Provider

__all__ = ["PROVIDER", "MemoryDirectory", "MemorySettings", "PrincipalSettings", "build"]


@implementer(IDirectory)
class MemoryDirectory:
    """Answers at once, but for the check of a hashed password.

    `offload(function, *arguments)` runs something on a thread and returns its
    Deferred; `clock()` is the time in seconds.
    """

    def __init__(
        self,
        settings: MemorySettings,
        offload: Callable[..., Deferred[Any]],
        clock: Callable[[], float],
    ):
        self._verifier = PasswordVerifier(offload, clock)
        self._principals: dict[str, Principal] = {}
        self._secrets: dict[str, str] = {}
        self._logins: dict[str, Principal] = {}
        self._reached: dict[str, list[str]] = {}  # canonical address to names
        self._members: dict[str, list[str]] = {}  # of lists, direct ones
        for configured in settings.principals:
            self._add(configured)
        for name, principal in self._principals.items():
            self._logins[name] = principal  # a name goes before an address
        self._domains = {split(address)[1] for address in self._reached}
        self._decoy = decoy(list(self._secrets.values()))

    def authenticate(self, login: str, password: str) -> Deferred[Principal | None]:
        key = canonical_name(login)
        principal = self._logins.get(key) or self._logins.get(canonical_address(login) or "")
        secret = self._secrets.get(canonical_name(principal.name)) if principal else None
        if principal is None or secret is None:
            nobody = self._verifier.verify_nobody(key, password, self._decoy)
            return nobody.addCallback(lambda _: None)
        right = self._verifier.verify(principal.name, password, secret)
        return right.addCallback(lambda right: principal if right else None)

    def principal(self, name: str) -> Deferred[Principal | None]:
        return succeed(self._principals.get(canonical_name(name)))

    def recipients(self, address: str) -> Deferred[tuple[Principal, ...]]:
        canonical = canonical_address(address)
        if canonical is None:
            return succeed(())
        local, domain = split(canonical)
        base, mark, _ = local.partition("+")
        candidates = [canonical, f"{base}@{domain}" if mark and base else "", f"@{domain}"]
        for candidate in candidates:
            if local and candidate in self._reached:
                return succeed(self._owners(self._reached[candidate]))
        return succeed(())

    def is_local_domain(self, domain: str) -> Deferred[bool]:
        return succeed(canonical_domain(domain) in self._domains)

    def _add(self, configured: PrincipalSettings) -> None:
        name = canonical_name(configured.name)
        principal = Principal(
            name=configured.name,
            type=configured.type,
            description=configured.description,
            emails=configured.email,
            member_of=configured.member_of,
            quota=configured.quota,
            members_may=configured.members_may,
        )
        self._principals[name] = principal
        individual = configured.type == "individual"
        if individual and configured.secret is not None:
            self._secrets[name] = configured.secret
        for address in (*configured.email, *configured.email_list):
            self._reached.setdefault(canonical_address(address) or "", []).append(name)
        if individual:
            for address in configured.email:
                if not address.startswith("@"):
                    self._logins.setdefault(canonical_address(address) or "", principal)
        for other in configured.member_of:
            self._members.setdefault(canonical_name(other), []).append(name)

    def _owners(self, names: Iterable[str]) -> tuple[Principal, ...]:
        """The individuals and groups among `names` and the members of lists among them."""
        found: dict[str, Principal] = {}
        seen: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop(0)
            if name in seen:
                continue
            seen.add(name)
            principal = self._principals[name]
            if principal.type == "list":
                waiting += self._members.get(name, ())
            else:
                found[name] = principal
        return tuple(found.values())


def build(settings: MemorySettings, context: Any) -> MemoryDirectory:
    """The directory of these settings, which have no `problems`."""
    return MemoryDirectory(settings, context.offload, context.reactor.seconds)


PROVIDER = Provider(settings=MemorySettings, build=build)
