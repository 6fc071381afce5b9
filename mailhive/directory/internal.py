"""A directory in a file of its own, which `mailhive account` changes while it is in use.

Each question is a few probes of an index, made at once on the reactor thread, so that
whatever was committed holds from the next request on.  What it says of somebody is kept
in memory for no longer than it is certain that nothing was committed since.  Lists, which
may be long, are followed on a thread.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Lock
from time import time
from typing import Any

from attrs import field, frozen
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mailhive.config.fields import doc
from mailhive.directory.changes import Refused, add_principal
from mailhive.directory.credentials import Used, digest_of, used_app_password, used_token
from mailhive.directory.editor import Editor
from mailhive.directory.password import PasswordVerifier, made_up
from mailhive.directory.resolve import Entry, find_login, find_name, is_local, reached_by
from mailhive.directory.schemes import for_scram, hashed, is_outdated
from mailhive.directory.scram import ScramSecrets, is_possible, new_scram, read_scram
from mailhive.directory.tables import SCHEMA, Tables, Unbounded
from mailhive.errors import TemporaryFailure
from mailhive.interfaces.directory import (
    IAppCredentials,
    IDirectory,
    IProvisioning,
    IRemovals,
    IScramLogins,
)
from mailhive.model.addresses import split
from mailhive.model.principal import Principal
from mailhive.model.scram import ScramLogin
from mailhive.registry import Provider
from mailhive.sqlite.connection import Connection, is_storage_failure

__all__ = ["PROVIDER", "InternalDirectory", "InternalSettings", "build"]

_log = Logger()


def _iterations(_: object, __: object, value: int) -> None:
    if value and not 4_096 <= value <= 10_000_000:  # RFC 7677 §4
        raise ValueError(f"{value} is not possible; allowed are 0 and 4096 to 10000000")


@frozen
class InternalSettings:
    """`type = "internal"`: principals are in a file of our own; see `mailhive account`."""

    path: str = field(
        default="directory.sqlite",
        metadata=doc("The file, relative to `server.data-dir`."),
    )
    scram_iterations: int = field(
        default=0,
        validator=_iterations,
        metadata=doc(
            "Whether users may log in by SCRAM-SHA-256: how often what is kept of a password for "
            "that is hashed, beside its argon2 hash; 0 keeps nothing. Such a hash is easier to "
            "guess from, so 600000 is a good value if devices are not too slow for it. A password "
            "set before has it from the next login by that password; app passwords have none."
        ),
    )


@implementer(IDirectory, IAppCredentials, IProvisioning, IRemovals, IScramLogins)
class InternalDirectory:
    """`offload(function, *arguments)` runs on a thread; `clock()` is the time in seconds."""

    def __init__(
        self,
        path: Path,
        offload: Callable[..., Deferred[Any]],
        clock: Callable[[], float],
        scram_iterations: int = 0,
    ):
        self._path = path
        self._offload = offload
        self._clock = clock
        self._verifier = PasswordVerifier(offload, clock)
        self._iterations = scram_iterations
        self._scram = ScramSecrets(self._verifier.run, scram_iterations)
        self._rehashing: set[str] = set()
        self._decoy = made_up()
        self._lock = Lock()  # of the connection that threads use
        self._waiting: Connection | None = None
        self._inline: Connection | None = None
        self._as_of: tuple[Any, ...] = ()  # see `_look_again`
        self._found: dict[tuple[Any, str], Any] = {}

    def open(self) -> None:
        """Open the file, made if there is none; blocks.  `SchemaError` for one that is not ours."""
        self._waiting = Connection(self._path)
        SCHEMA.apply(self._waiting)
        self._inline = Connection(self._path, busy_timeout=0.0)

    def close(self) -> Deferred[None]:
        """Close it when the thread that uses it has ended."""
        if self._inline is not None:
            self._inline.close()
            self._inline = None
        return self._offload(self._close_waiting)

    # IDirectory

    def authenticate(self, login: str, password: str) -> Deferred[Principal | None]:
        return Deferred.fromCoroutine(self._authenticate(login, password))

    async def _authenticate(self, login: str, password: str) -> Principal | None:
        entry, decoy = await self._look_again(_entry_or_decoy, login)
        if entry is None:
            await self._verifier.verify_nobody(login, password, decoy or self._decoy)
            return None
        principal, secret = entry.principal, entry.secret
        assert secret is not None
        if not await self._verifier.verify(principal.name, password, secret):
            return None
        if self._is_stale(entry, password) and principal.name not in self._rehashing:
            await self._rehash(entry, password)
        return entry.user

    def principal(self, name: str) -> Deferred[Principal | None]:
        return self._look_again(find_name, name)

    def recipients(self, address: str) -> Deferred[tuple[Principal, ...]]:
        return self._look(reached_by, address)

    def is_local_domain(self, domain: str) -> Deferred[bool]:
        return self._look(is_local, domain)

    # IScramLogins

    @property
    def offers_scram(self) -> bool:
        return self._iterations > 0

    def scram(self, login: str, salt: bytes) -> Deferred[ScramLogin]:
        return Deferred.fromCoroutine(self._scram_login(login, salt))

    async def _scram_login(self, login: str, salt: bytes) -> ScramLogin:
        entry, _ = await self._look(_entry_or_decoy, login)
        if entry is None or not self._iterations:
            return await self._scram.nobody(salt)
        usable = for_scram(entry.scram or entry.secret or "")
        return await self._scram.login(entry.principal.name, usable, entry.credential, salt)

    # IAppCredentials and IProvisioning

    def app_password(self, login: str, password: str, service: str) -> Deferred[Principal | None]:
        digest = digest_of(password)
        if digest is None:
            return succeed(None)
        now = self._clock()
        found = self._look(used_app_password, login, digest, service, now)
        return found.addCallback(self._note_use, now)

    def token(self, token_id: str, service: str) -> Deferred[Principal | None]:
        now = self._clock()
        return self._look(used_token, token_id, service, now).addCallback(self._note_use, now)

    def provision(self, name: str) -> Deferred[Principal | None]:
        return self._offload(self._on_thread, partial(_provisioned, name=name), "IMMEDIATE")

    def _note_use(self, used: Used | None, now: float) -> Principal | None:
        if used is None:
            return None
        if used.is_to_be_noted:
            sql = "UPDATE credential SET last_used = ? WHERE number = ?"
            self._offload(self._change, sql, int(now), used.number).addErrback(_unnoted)
        return used.principal

    # IRemovals

    def removals(self) -> Deferred[tuple[str, ...]]:
        return self._look(Tables.removals)

    def removed(self, name: str) -> Deferred[None]:
        return self._offload(self._change, "DELETE FROM removal WHERE name = ?", name)

    # Reading and writing

    def _look_again(self, fn: Callable[..., Any], login: str) -> Deferred[Any]:
        """As `_look`, without it where nothing can be another than it was then.

        That is while no other connection has committed anything, which SQLite tells, and
        within a second, as the credentials of somebody expire by the second.
        """
        if self._inline is None:
            return self._look(fn, login)
        try:
            as_of = self._inline.value("PRAGMA data_version"), int(time())
        except Exception as error:
            if not is_storage_failure(error):
                raise
            return self._look(fn, login)
        if as_of != self._as_of:
            self._as_of, self._found = as_of, {}
        found = self._found
        if (fn, login) in found:
            return succeed(found[fn, login])

        def keep(answer: Any) -> Any:
            found[fn, login] = answer
            return answer

        return self._look(fn, login).addCallback(keep)

    def _look(self, fn: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Fire with `fn(tables, *args)`: at once, or from a thread if it takes long."""
        if self._inline is not None:
            try:
                with self._inline.transaction():
                    return succeed(fn(Tables(self._inline, bounded=True), *args))
            except Unbounded:
                pass
            except Exception as error:
                if not is_storage_failure(error):
                    raise
        return self._offload(self._look_on_thread, fn, *args)

    def _look_on_thread(self, fn: Callable[..., Any], *args: Any) -> Any:
        return self._on_thread(lambda connection: fn(Tables(connection), *args), "DEFERRED")

    def _change(self, sql: str, *parameters: str | int | None) -> None:
        self._on_thread(lambda connection: connection.execute(sql, parameters), "IMMEDIATE")

    def _on_thread(self, fn: Callable[[Connection], Any], kind: str) -> Any:
        with self._lock:
            if self._waiting is None:
                raise TemporaryFailure("The directory is not open")
            try:
                with self._waiting.transaction(kind):
                    return fn(self._waiting)
            except Exception as error:
                if not is_storage_failure(error):
                    raise
                _log.failure("The directory {path} failed", path=str(self._path))
                raise TemporaryFailure("The directory cannot answer now") from error

    def _close_waiting(self) -> None:
        with self._lock:
            if self._waiting is not None:
                self._waiting.close()
                self._waiting = None

    def _is_stale(self, entry: Entry, password: str) -> bool:
        """Is what is kept of the password another thing than would be kept of it now?"""
        if is_outdated(entry.secret or ""):
            return True
        kept = read_scram(entry.scram or "")
        iterations = 0 if kept is None else kept.iterations
        if iterations == self._iterations:
            return False
        return iterations != (self._iterations if is_possible(password) else 0)

    async def _rehash(self, entry: Entry, password: str) -> None:
        """Replace a secret of another scheme or cost, unless it was changed meanwhile.

        The password is the same one, and so is its name as a credential.
        """
        name = entry.principal.name
        self._rehashing.add(name)
        try:
            new = entry.secret
            if is_outdated(entry.secret or ""):
                new = await self._verifier.run(hashed, password)
            scram = None
            if self._iterations and is_possible(password):
                scram = await self._verifier.run(new_scram, password, self._iterations)
            values = (new, scram, entry.credential, name, entry.secret)
            sql = "UPDATE principal SET secret = ?, scram = ?, credential = ?"
            await self._offload(self._change, f"{sql} WHERE name = ? AND secret = ?", *values)
        except TemporaryFailure as error:  # the next login will do
            _log.warn("Password of {name!r} not rehashed: {why}", name=name, why=str(error))
        finally:
            self._rehashing.discard(name)


def _entry_or_decoy(tables: Tables, login: str) -> tuple[Entry | None, str | None]:
    """Who logs in as that and may; else what to check in its place."""
    entry = find_login(tables, login)
    if entry is None or entry.secret is None or not entry.principal.enabled:
        return None, tables.decoy(login)
    return entry, None


def _provisioned(connection: Connection, *, name: str) -> Principal | None:
    """Who is called that, made if that can be."""
    tables = Tables(connection)
    found = find_name(tables, name)
    if found is not None:
        return found
    # An address of a domain that is not ours would make the domain ours.
    emails = (name,) if is_local(tables, split(name)[1]) else ()
    try:
        add_principal(tables, Principal(name, emails=emails), None)
    except Refused as error:
        _log.warn("{name!r} is not provisioned: {why}", name=name, why=str(error))
        return None
    _log.info("{name!r} is provisioned", name=name)
    return find_name(tables, name)


def _unnoted(failure: Failure) -> None:
    """The next use will be."""
    failure.trap(TemporaryFailure)


def build(settings: InternalSettings, context: Any) -> InternalDirectory:
    """The directory in `context.data_dir`."""
    path = context.data_dir / settings.path
    return InternalDirectory(
        path, context.offload, context.reactor.seconds, settings.scram_iterations
    )


def edit(settings: InternalSettings, data_dir: Path) -> Editor:
    """What `mailhive account` changes it with."""
    return Editor(data_dir / settings.path, settings.scram_iterations)


PROVIDER = Provider(settings=InternalSettings, build=build, edit=edit)
