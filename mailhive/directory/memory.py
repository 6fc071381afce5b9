"""A directory whose principals stand in the configuration, or in a file beside it."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from mailhive.config.problems import ConfigError
from mailhive.directory.password import PasswordVerifier, decoy
from mailhive.directory.principals import MemorySettings, PrincipalSettings
from mailhive.directory.resolve import Entry, find_login, find_name, is_local, reached_by
from mailhive.directory.schemes import credential_of, for_scram
from mailhive.directory.scram import ScramSecrets
from mailhive.interfaces.directory import IDirectory, IScramLogins
from mailhive.model.addresses import canonical_address, canonical_name, split
from mailhive.model.principal import Principal
from mailhive.model.scram import ScramLogin, ScramVerifier
from mailhive.registry import Provider

__all__ = ["PROVIDER", "MemoryDirectory", "MemorySettings", "PrincipalSettings", "build"]


#: Seconds between two looks at the file.
LOOK = 5.0

_log = Logger()


class _Configured:
    """The configured principals as `resolve.Holdings`."""

    def __init__(self, principals: Iterable[PrincipalSettings]) -> None:
        self._entries: dict[str, Entry] = {}
        self._owners: dict[str, str] = {}
        self._reached: dict[str, list[str]] = {}
        self._members: dict[str, list[str]] = {}
        for configured in principals:
            self._add(configured)
        self._domains = {split(address)[1] for address in self._reached}

    def entry(self, name: str) -> Entry | None:
        return self._entries.get(name)

    def owner(self, address: str) -> str | None:
        return self._owners.get(address)

    def reached(self, address: str) -> Sequence[str]:
        return self._reached.get(address, ())

    def members(self, name: str) -> Sequence[str]:
        return self._members.get(name, ())

    def has_domain(self, domain: str) -> bool:
        return domain in self._domains

    def secrets(self) -> list[str]:
        """Every secret that somebody logs in with."""
        return [e.secret for e in self._entries.values() if e.secret is not None]

    def _add(self, configured: PrincipalSettings) -> None:
        name = canonical_name(configured.name)
        secret = configured.secret if configured.type == "individual" else None
        principal = Principal(
            name=configured.name,
            type=configured.type,
            description=configured.description,
            emails=configured.email,
            member_of=configured.member_of,
            quota=configured.quota,
            members_may=configured.members_may,
            mailboxes=configured.mailboxes,
            credentials=frozenset(map(credential_of, [secret] if secret else [])),
        )
        self._entries[name] = Entry(principal, secret, credential_of(secret) if secret else "")
        for address in configured.email:
            self._owners[canonical_address(address) or ""] = name
        for address in (*configured.email, *configured.email_list):
            self._reached.setdefault(canonical_address(address) or "", []).append(name)
        for other in configured.member_of:
            self._members.setdefault(canonical_name(other), []).append(name)


@implementer(IDirectory, IScramLogins)
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
        self._scram = ScramSecrets(self._verifier.run)
        self.replace(settings.principals)

    def replace(self, principals: Iterable[PrincipalSettings]) -> None:
        """Know these and no others from now on."""
        self._configured = _Configured(principals)
        secrets = self._configured.secrets()
        self._decoy = decoy(secrets)
        usable = [for_scram(secret) for secret in secrets]
        #: Only if it works for everybody: mail programs take it for what is always there.
        self.offers_scram = bool(usable) and None not in usable
        self._scram.expect(one if isinstance(one, ScramVerifier) else None for one in usable)

    def authenticate(self, login: str, password: str) -> Deferred[Principal | None]:
        entry = find_login(self._configured, login)
        if entry is None or entry.secret is None:
            nobody = self._verifier.verify_nobody(login, password, self._decoy)
            return nobody.addCallback(lambda _: None)
        user = entry.user
        right = self._verifier.verify(user.name, password, entry.secret)
        return right.addCallback(lambda right: user if right else None)

    def scram(self, login: str, salt: bytes) -> Deferred[ScramLogin]:
        entry = find_login(self._configured, login)
        if entry is None or entry.secret is None:
            return Deferred.fromCoroutine(self._scram.nobody(salt))
        secret = for_scram(entry.secret)
        found = self._scram.login(entry.principal.name, secret, entry.credential, salt)
        return Deferred.fromCoroutine(found)

    def principal(self, name: str) -> Deferred[Principal | None]:
        return succeed(find_name(self._configured, name))

    def recipients(self, address: str) -> Deferred[tuple[Principal, ...]]:
        return succeed(reached_by(self._configured, address))

    def is_local_domain(self, domain: str) -> Deferred[bool]:
        return succeed(is_local(self._configured, domain))


@implementer(IDirectory)
class FileDirectory(MemoryDirectory):
    """Follows the file that `settings.principals_file` names.

    What is wrong with the file later on is told once, and leaves who was there.
    """

    def __init__(
        self, settings: MemorySettings, offload: Callable[..., Deferred[Any]], reactor: Any
    ) -> None:
        super().__init__(settings, offload, reactor.seconds)
        self._settings = settings
        self._read_on_thread = partial(offload, settings.read)
        self._seen: tuple[int, ...] = ()
        self._loop = LoopingCall(self._look)
        self._loop.clock = reactor

    def open(self) -> None:
        """Read the file; `ConfigError` if it cannot be used."""
        self._seen = self._signature()
        self.replace(self._settings.read())
        self._loop.start(LOOK, now=False)

    def close(self) -> None:
        """Look no more."""
        if self._loop.running:
            self._loop.stop()

    def reload(self) -> Deferred[None]:
        """Read the file now."""
        self._seen = self._signature()
        return Deferred.fromCoroutine(self._read())

    def _look(self) -> Deferred[None] | None:
        return None if self._signature() == self._seen else self.reload()

    def _signature(self) -> tuple[int, ...]:
        assert self._settings.principals_file is not None
        try:
            found = self._settings.principals_file.stat()
        except OSError:
            return ()
        return found.st_mtime_ns, found.st_size, found.st_ino

    async def _read(self) -> None:
        path = str(self._settings.principals_file)
        try:
            self.replace(await self._read_on_thread())
        except ConfigError as error:
            why, more = error.problems[0], len(error.problems) - 1
            rest = f" (and {more} more)" if more else ""
            _log.error("Principals stay as they were: {why}{rest}", why=str(why), rest=rest)
        except Exception:
            _log.failure("{path} was not read again", path=path)
        else:
            _log.info("{path} was read again", path=path)


def build(settings: MemorySettings, context: Any) -> MemoryDirectory:
    """The directory of these settings, which have no `problems`."""
    if settings.principals_file is not None:
        return FileDirectory(settings, context.offload, context.reactor)
    return MemoryDirectory(settings, context.offload, context.reactor.seconds)


PROVIDER = Provider(settings=MemorySettings, build=build)
