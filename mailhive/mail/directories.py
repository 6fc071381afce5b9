"""Several directories as one: which of them knows a login, an address, a name.

An address, or a login that is one, is for the directory of its domain; everything
else is for the default one.  No directory is asked about what is another's, so one
that fails disturbs nobody but its own users.

**Names.**  Accounts are kept by the names of principals, so no two directories may
have the same.  Those of the default directory stay as they are.  Of another, a name
that is an address of a domain of that directory stays too; any other gets `@` and
the name of the directory behind it: `alice` of the directory `partners` is
`alice@partners` here.  A principal of the default directory whose name would be
another's is nobody.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import evolve, field, frozen
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.logger import Logger
from zope.interface import directlyProvides, implementer

from mailhive.errors import MailhiveError
from mailhive.interfaces.directory import (
    IAppCredentials,
    IDirectory,
    IProvisioning,
    IRemovals,
    IScramLogins,
)
from mailhive.model.addresses import canonical_domain, canonical_name, split
from mailhive.model.principal import Principal
from mailhive.model.scram import ScramLogin

__all__ = ["Directories", "Routes"]

_log = Logger()


@frozen
class Routes:
    """Directories by their names, the name of the default one, and of that of each domain.

    Domains are in their canonical form.
    """

    directories: Mapping[str, Any]  # IDirectory
    default: str
    domains: Mapping[str, str] = field(factory=dict)
    _marks: Mapping[str, str] = field(init=False)  # what stands behind names of which directory

    @_marks.default
    def _(self) -> Mapping[str, str]:
        return {canonical_name(name): name for name in self.directories if name != self.default}

    def of_domain(self, domain: str) -> str:
        """The name of the directory that addresses of a domain are for."""
        if not self.domains:
            return self.default
        return self.domains.get(canonical_domain(domain) or "", self.default)

    def there(self, name: str) -> tuple[str, str]:
        """The directory of the principal called `name` here, and its name there."""
        local, mark = split(name)
        if local and (owner := self._marks.get(canonical_name(mark))):
            return owner, local
        return self.of_domain(mark), name

    def here(self, directory: str, name: str) -> str | None:
        """What a principal of a directory is called here; None if that is another's name."""
        own = name
        if directory != self.default and self.of_domain(split(name)[1]) != directory:
            own = f"{name}@{directory}"
        return own if self.there(own) == (directory, name) else None


@implementer(IDirectory, IRemovals)
class Directories:
    """`routes` may be replaced at any time; questions under way are not disturbed.

    What only some directories can do, app passwords or removals, is done by those; it
    is an `IAppCredentials`, `IProvisioning` or `IScramLogins` while one of them is.
    """

    def __init__(self, routes: Routes) -> None:
        self.routes = routes

    @property
    def routes(self) -> Routes:
        return self._routes

    @routes.setter
    def routes(self, routes: Routes) -> None:
        self._routes = routes
        self._sources = {name: _Source(routes, name) for name in routes.directories}
        all_of_them = routes.directories.values()
        some = (IAppCredentials, IProvisioning, IScramLogins)
        directlyProvides(self, *(i for i in some if any(map(i.providedBy, all_of_them))))

    # IDirectory

    def authenticate(self, login: str, password: str) -> Deferred[Principal | None]:
        source = self._of_domain(split(login)[1])
        return source.ask_for_one("authenticate", login, password)

    def principal(self, name: str) -> Deferred[Principal | None]:
        source, there = self._of_name(name)
        found = source.ask_for_one("principal", there)
        return found.addCallback(lambda one: one if one and _same(one.name, name) else None)

    def recipients(self, address: str) -> Deferred[tuple[Principal, ...]]:
        source = self._of_domain(split(address)[1])
        return source.ask("recipients", address).addCallback(source.many)

    def is_local_domain(self, domain: str) -> Deferred[bool]:
        if canonical_domain(domain) in self.routes.domains:
            return succeed(True)
        return self._of_domain(domain).ask("is_local_domain", domain)

    # IAppCredentials and IProvisioning

    def app_password(self, login: str, password: str, service: str) -> Deferred[Principal | None]:
        source = self._of_domain(split(login)[1])
        if not IAppCredentials.providedBy(source.directory):
            return succeed(None)
        return source.ask_for_one("app_password", login, password, service)

    def token(self, token_id: str, service: str) -> Deferred[Principal | None]:
        return Deferred.fromCoroutine(self._token(token_id, service))

    async def _token(self, token_id: str, service: str) -> Principal | None:
        """A token does not say whose it is, so each directory is asked."""
        failure = None
        for source in self._providing(IAppCredentials):
            try:
                found = source.one(await source.ask("token", token_id, service))
            except MailhiveError as error:
                failure = error
            else:
                if found is not None:
                    return found
        if failure is not None:
            raise failure
        return None

    def provision(self, name: str) -> Deferred[Principal | None]:
        source, there = self._of_name(name)
        if not IProvisioning.providedBy(source.directory):
            return succeed(None)
        return source.ask_for_one("provision", there)

    # IScramLogins

    @property
    def offers_scram(self) -> bool:
        return bool(self._offering())

    def scram(self, login: str, salt: bytes) -> Deferred[ScramLogin]:
        offering = self._offering()
        own = self._of_domain(split(login)[1])
        for source in offering:
            if source.name == own.name:
                found = source.ask("scram", login, salt)
                return found.addCallback(source.login)
        # Nobody can log in so there; one of the others makes somebody up.
        made_up = offering[0].ask("scram", "", salt)
        return made_up.addCallback(lambda found: ScramLogin(found.verifier))

    def _offering(self) -> "list[_Source]":
        sources = self._providing(IScramLogins)
        return [source for source in sources if source.directory.offers_scram]

    # IRemovals

    def removals(self) -> Deferred[tuple[str, ...]]:
        return Deferred.fromCoroutine(self._removals())

    async def _removals(self) -> tuple[str, ...]:
        names: list[str] = []
        for source in self._providing(IRemovals):
            try:
                names += source.names(await source.ask("removals"))
            except MailhiveError as error:
                _log.warn('Directory "{name}": {why}', name=source.name, why=str(error))
        return tuple(names)

    def removed(self, name: str) -> Deferred[None]:
        source, there = self._of_name(name)
        return source.ask("removed", there)

    def _of_domain(self, domain: str) -> "_Source":
        return self._sources[self._routes.of_domain(domain)]

    def _of_name(self, name: str) -> "tuple[_Source, str]":
        owner, there = self._routes.there(name)
        return self._sources[owner], there

    def _providing(self, interface: Any) -> "list[_Source]":
        sources = self._sources.values()
        return [source for source in sources if interface.providedBy(source.directory)]


def _same(name: str, other: str) -> bool:
    return canonical_name(name) == canonical_name(other)


@frozen
class _Source:
    """The directory that a question is for, by the routes of that moment."""

    routes: Routes
    name: str

    @property
    def directory(self) -> Any:
        return self.routes.directories[self.name]

    def ask(self, method: str, *args: Any) -> Deferred[Any]:
        return maybeDeferred(getattr(self.directory, method), *args)

    def ask_for_one(self, method: str, *args: Any) -> Deferred[Principal | None]:
        """Ask for a principal, and have it as it is called here."""
        found = self.ask(method, *args)
        if len(self.routes.directories) == 1:  # where all names are the same
            return found
        return found.addCallback(self.one)

    def one(self, principal: Principal | None) -> Principal | None:
        """A principal of the directory as it is called here."""
        if principal is None:
            return None
        name = self.routes.here(self.name, principal.name)
        if name is None:
            _log.warn(
                'Directory "{owner}" has {name!r}, which would be a name of another directory',
                owner=self.name,
                name=principal.name,
            )
            return None
        member_of = self.names(principal.member_of)
        if (name, member_of) == (principal.name, principal.member_of):
            return principal
        return evolve(principal, name=name, member_of=member_of)

    def login(self, found: ScramLogin) -> ScramLogin:
        """A login by SCRAM with the name as it is here."""
        return evolve(found, name=next(iter(self.names([found.name] if found.name else [])), None))

    def many(self, principals: tuple[Principal, ...]) -> tuple[Principal, ...]:
        return tuple(p for p in map(self.one, principals) if p is not None)

    def names(self, names: Iterable[str]) -> tuple[str, ...]:
        here = (self.routes.here(self.name, name) for name in names)
        return tuple(name for name in here if name is not None)
