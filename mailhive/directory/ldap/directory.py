"""The directory that asks an LDAP server."""

from collections import deque
from collections.abc import Callable, Coroutine
from random import choice
from typing import Any

from attrs import evolve
from sansldap import LDAPResultCode
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mailhive.directory.cache import CachedDirectory
from mailhive.directory.ldap.connection import LdapConnection, Outcome, ServerFailed
from mailhive.directory.ldap.lookup import Lookup
from mailhive.directory.ldap.mapping import Mapped
from mailhive.directory.ldap.pool import Pool, servers_of
from mailhive.directory.ldap.settings import LdapSettings
from mailhive.directory.ldap.templates import DnTemplate, FilterTemplate
from mailhive.directory.ldap.tree import Tree
from mailhive.directory.password import Decoys, PasswordVerifier
from mailhive.directory.resolve import candidates
from mailhive.directory.schemes import LONGEST_PASSWORD, credential_of, for_scram
from mailhive.directory.scram import ScramSecrets
from mailhive.errors import TemporaryFailure
from mailhive.interfaces.directory import IDirectory, IScramLogins
from mailhive.model.addresses import canonical_domain, is_domain, split
from mailhive.model.principal import Principal
from mailhive.model.scram import ScramLogin, ScramVerifier
from mailhive.registry import Provider

__all__ = ["PROVIDER", "LdapDirectory", "build"]

_log = Logger()
_LONGEST = 1_000  # characters of a name or address that the server is asked for
_TIMES = 64  # how many of the last binds are remembered for how long they took
_REFUSED = (
    LDAPResultCode.INVALID_CREDENTIALS.value,
    LDAPResultCode.INAPPROPRIATE_AUTHENTICATION.value,  # has no password
    LDAPResultCode.NO_SUCH_OBJECT.value,  # was removed just now
    LDAPResultCode.CONSTRAINT_VIOLATION.value,  # locked after too many attempts
    LDAPResultCode.UNWILLING_TO_PERFORM.value,  # disabled
    LDAPResultCode.INSUFFICIENT_ACCESS_RIGHTS.value,
)


@implementer(IDirectory, IScramLogins)
class LdapDirectory:
    """`name` is for the log; `offload(function, *arguments)` runs something on a thread."""

    def __init__(
        self,
        name: str,
        settings: LdapSettings,
        reactor: Any,
        offload: Callable[..., Deferred[Any]],
    ) -> None:
        self._name = name
        self._settings = settings
        self._reactor = reactor
        self._user_dn = DnTemplate(settings.user_dn, "name") if settings.user_dn else None
        self._verifier = PasswordVerifier(offload, reactor.seconds)
        self._decoys = Decoys()
        self._scram = ScramSecrets(self._verifier.run)
        self._times: deque[float] = deque(maxlen=_TIMES)  # that binds took
        self._trouble: str | None = None  # what was told of last, until an answer comes
        servers = servers_of(settings, reactor)
        size, timeout = settings.pool.max_connections, settings.timeout
        self._lookups = Pool(servers, size, timeout, reactor, self._introduce)
        # Apart, as those connections belong to whoever was the last to log in.
        self._logins = Pool(servers, size, timeout, reactor, _nothing)
        tree = Tree(
            pool=self._lookups,
            bases=settings.base_dn,
            principals=FilterTemplate(settings.filter.principals).fill(),
            time_limit=max(1, int(timeout) - 1),
            page_size=settings.page_size,
            most=settings.max_entries,
            ignores_references=settings.referrals == "ignore",
        )
        self._lookup = Lookup(settings, tree)

    def close(self) -> Deferred[None]:
        """Fire when every connection has ended; what is asked already is answered."""
        return Deferred.fromCoroutine(self._close())

    # IDirectory

    def authenticate(self, login: str, password: str) -> Deferred[Principal | None]:
        return self._answer(self._authenticate(login, password))

    @property
    def offers_scram(self) -> bool:
        return self._settings.scram

    def scram(self, login: str, salt: bytes) -> Deferred[ScramLogin]:
        return self._answer(self._scram_login(login, salt))

    def principal(self, name: str) -> Deferred[Principal | None]:
        return self._answer(self._principal(name))

    def recipients(self, address: str) -> Deferred[tuple[Principal, ...]]:
        return self._answer(self._recipients(address))

    def is_local_domain(self, domain: str) -> Deferred[bool]:
        return self._answer(self._is_local_domain(domain))

    # Logging in

    async def _authenticate(self, login: str, password: str) -> Principal | None:
        user = await self._lookup.logging_in_as(login) if _can_be_asked(login) else None
        # RFC 4513 §5.1.2: a bind without a password succeeds for everybody.
        usable = _can_be_asked(password, LONGEST_PASSWORD)
        check = self._bind if self._settings.login == "bind" else self._compare
        credential = await check(user if usable else None, login, password)
        if user is None or credential is None:
            return None
        principal = await self._lookup.whole(user)
        return evolve(principal, credential=credential) if principal.enabled else None

    async def _bind(self, user: Mapped | None, _login: str, password: str) -> str | None:
        """The name of the credential if the password is right; else None, as late."""
        if user is None:
            pause = choice(self._times) if self._times else 0.0  # noqa: S311 no secret
            await deferLater(self._reactor, pause)
            return None
        dn = self._user_dn.fill(name=user.principal.name) if self._user_dn else user.dn
        began = self._reactor.seconds()
        result = await self._logins.run(
            lambda connection: connection.bind(dn, password).addCallback(Outcome.unless_busy)
        )
        self._times.append(self._reactor.seconds() - began)
        if result.is_success:
            return ""
        if result.code in _REFUSED:
            return None
        raise TemporaryFailure(f'a bind as "{dn}" failed ({result.text})')

    async def _compare(self, user: Mapped | None, login: str, password: str) -> str | None:
        secrets = user.secrets if user is not None else ()
        for secret in secrets:
            self._decoys.saw(secret)
            if await self._verifier.verify(login, password, secret):
                return credential_of(secret)
        if not secrets:
            await self._verifier.verify_nobody(login, password, self._decoys.secret())
        return None

    async def _scram_login(self, login: str, salt: bytes) -> ScramLogin:
        user = await self._lookup.logging_in_as(login) if _can_be_asked(login) else None
        usable = [(for_scram(one), one) for one in user.secrets] if user is not None else []
        usable.sort(key=lambda pair: not isinstance(pair[0], ScramVerifier))
        if user is None or not usable:
            return await self._scram.nobody(salt)
        found, secret = next((pair for pair in usable if pair[0] is not None), usable[0])
        name, credential = user.principal.name, credential_of(secret)
        return await self._scram.login(name, found, credential, salt)

    # Looking up

    async def _principal(self, name: str) -> Principal | None:
        entry = await self._lookup.called(name) if _can_be_asked(name) else None
        return None if entry is None else await self._lookup.whole(entry)

    async def _recipients(self, address: str) -> tuple[Principal, ...]:
        options = self._settings.options
        wanted = candidates(
            address, subaddressing=options.subaddressing, catch_all=options.catch_all
        )
        if not wanted or not all(map(_can_be_asked, wanted)):
            return ()
        if self._settings.domains and not await self._is_local_domain(split(wanted[0])[1]):
            return ()
        return await self._lookup.with_accounts(await self._lookup.having(wanted))

    async def _is_local_domain(self, domain: str) -> bool:
        canonical = canonical_domain(domain)
        if not canonical or not is_domain(canonical):
            return False
        return await self._lookup.has_domain(canonical)

    # Connections

    def _introduce(self, connection: LdapConnection) -> Deferred[None]:
        """Say who we are, if the settings do."""
        dn, secret = self._settings.bind.dn, self._settings.bind.secret
        if dn is None or secret is None:
            return _nothing(connection)
        return connection.bind(dn, secret).addCallback(_welcome, dn)

    def _answer(self, asked: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        return Deferred.fromCoroutine(asked).addCallbacks(self._answered, self._failed)

    def _answered(self, result: Any) -> Any:
        if self._trouble is not None:
            self._trouble = None
            _log.info('Directory "{name}" answers again', name=self._name)
        return result

    def _failed(self, failure: Failure) -> None:
        failure.trap(TemporaryFailure)
        why = str(failure.value)
        if why != self._trouble:
            self._trouble = why
            _log.warn('Directory "{name}" cannot answer: {why}', name=self._name, why=why)
        raise TemporaryFailure("The directory cannot answer now")

    async def _close(self) -> None:
        await self._lookups.close()
        await self._logins.close()


def _can_be_asked(text: str, longest: int = _LONGEST) -> bool:
    """Is it something that a server can be sent?  What clients send may have lone surrogates."""
    try:
        return 0 < len(text.encode()) <= longest
    except UnicodeEncodeError:
        return False


def _nothing(_: LdapConnection) -> Deferred[None]:
    return succeed(None)


def _welcome(result: Outcome, dn: str) -> None:
    if not result.is_success:
        raise ServerFailed(f'it does not let "{dn}" bind ({result.text})', silent=True)


def build(settings: LdapSettings, context: Any) -> CachedDirectory:
    """The directory of these settings behind its cache."""
    directory = LdapDirectory(context.name, settings, context.reactor, context.offload)
    return CachedDirectory(directory, settings.cache, context.reactor.seconds)


PROVIDER = Provider(settings=LdapSettings, build=build)
