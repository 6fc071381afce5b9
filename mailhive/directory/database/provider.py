"""The directory that asks a database."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from attrs import evolve, fields_dict
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mailhive.directory.cache import CachedDirectory
from mailhive.directory.database.holdings import SqlHoldings
from mailhive.directory.database.pool import Connect, IDatabase, Pool, QueryFailed
from mailhive.directory.database.query import pyformat
from mailhive.directory.database.settings import QuerySettings, SqlSettings
from mailhive.directory.password import Decoys, PasswordVerifier
from mailhive.directory.resolve import find_name, is_local, reached_by
from mailhive.directory.schemes import credential_of, for_scram, is_marked
from mailhive.directory.scram import ScramSecrets
from mailhive.errors import TemporaryFailure
from mailhive.interfaces.directory import IDirectory, IScramLogins
from mailhive.model.addresses import canonical_address, canonical_name
from mailhive.model.principal import Principal
from mailhive.model.scram import ScramLogin
from mailhive.registry import Provider

__all__ = ["PROVIDER", "SqlDirectory", "build"]

_log = Logger()


@implementer(IDirectory, IScramLogins)
class SqlDirectory:
    """`name` is for the log; `offload(function, *arguments)` runs something on a thread."""

    def __init__(
        self,
        name: str,
        settings: SqlSettings,
        reactor: Any,
        offload: Callable[..., Deferred[Any]],
    ) -> None:
        self._name = name
        self._settings = settings
        self._queries = _queries(settings)
        self._verifier = PasswordVerifier(offload, reactor.seconds)
        self._decoys = Decoys()
        self._scram = ScramSecrets(self._verifier.run)
        self._trouble: str | None = None  # what was told of last, until an answer comes
        self._pool = Pool(
            _connect(settings),
            reactor,
            size=settings.pool.max_connections,
            timeout=settings.timeout,
            idle_timeout=settings.pool.idle_timeout,
        )

    def open(self) -> None:
        """Start.  The database need not be there yet."""
        self._pool.open()

    def close(self) -> None:
        """Take no more questions; those under way are answered."""
        self._pool.close()

    # IDirectory

    def authenticate(self, login: str, password: str) -> Deferred[Principal | None]:
        return Deferred.fromCoroutine(self._authenticate(login, password))

    async def _authenticate(self, login: str, password: str) -> Principal | None:
        name, secret = await self._look(_credentials, login)
        if secret is not None and not is_marked(secret):
            _log.warn("The password of {name!r} is not hashed by a known scheme", name=name)
            secret = None
        if secret is None:
            await self._verifier.verify_nobody(login, password, self._decoys.secret())
            return None
        self._decoys.saw(secret)
        if not await self._verifier.verify(name, password, secret):
            return None
        found: Principal | None = await self._look(find_name, name)
        return None if found is None else evolve(found, credential=credential_of(secret))

    @property
    def offers_scram(self) -> bool:
        return self._settings.scram

    def scram(self, login: str, salt: bytes) -> Deferred[ScramLogin]:
        return Deferred.fromCoroutine(self._scram_login(login, salt))

    async def _scram_login(self, login: str, salt: bytes) -> ScramLogin:
        name, secret = await self._look(_credentials, login)
        if secret is None or not is_marked(secret):
            return await self._scram.nobody(salt)
        return await self._scram.login(name, for_scram(secret), credential_of(secret), salt)

    def principal(self, name: str) -> Deferred[Principal | None]:
        return self._look(find_name, name)

    def recipients(self, address: str) -> Deferred[tuple[Principal, ...]]:
        subaddressing = self._settings.options.subaddressing
        return self._look(reached_by, address, subaddressing=subaddressing)

    def is_local_domain(self, domain: str) -> Deferred[bool]:
        return self._look(is_local, domain)

    def _look(self, fn: Callable[..., Any], *args: Any, **options: Any) -> Deferred[Any]:
        """Fire with `fn(holdings, …)`, called on a thread; `TemporaryFailure`."""

        def work(database: IDatabase) -> Any:
            return fn(SqlHoldings(self._settings, self._queries, database), *args, **options)

        return self._pool.run(work).addCallbacks(self._answered, self._failed)

    def _answered(self, result: Any) -> Any:
        if self._trouble is not None:
            self._trouble = None
            _log.info('Directory "{name}" answers again', name=self._name)
        return result

    def _failed(self, failure: Failure) -> None:
        failure.trap(QueryFailed, TemporaryFailure)
        why = str(failure.value)
        if why != self._trouble:
            self._trouble = why
            _log.warn('Directory "{name}" cannot answer: {why}', name=self._name, why=why)
        raise TemporaryFailure("The directory cannot answer now")


def _credentials(holdings: SqlHoldings, login: str) -> tuple[str, str | None]:
    """The name and secret of who logs in as that; no secret if nobody does.

    Asks the same number of queries whether there is somebody or not, so that their
    time does not tell.
    """
    found = holdings.credentials(canonical_name(login))
    address = canonical_address(login)
    if address is not None and address[0] != "@":
        owner = holdings.owner(address)
        owned = holdings.credentials(canonical_name(login) if owner is None else owner)
        found = found or (owned if owner is not None else None)
    return found or (login, None)


def _queries(settings: SqlSettings) -> dict[str, str]:
    """The queries that there are, as the driver wants them."""
    given = {name: getattr(settings.query, name) for name in fields_dict(QuerySettings)}
    queries = {name: sql for name, sql in given.items() if sql is not None}
    if settings.driver == "sqlite":
        return queries
    mysql = settings.driver == "mysql"
    return {name: pyformat(sql, mysql=mysql) for name, sql in queries.items()}


def _connect(settings: SqlSettings) -> Connect:
    """Drivers are imported when they are used: they come with extras of mailhive."""
    if settings.driver == "sqlite":
        from mailhive.directory.database.sqlite import SqliteDatabase

        return partial(SqliteDatabase, settings.path or Path())
    if settings.driver == "postgresql":
        from mailhive.directory.database.postgresql import PostgresqlDatabase

        return partial(PostgresqlDatabase, settings)
    from mailhive.directory.database.mysql import MysqlDatabase

    return partial(MysqlDatabase, settings)


def build(settings: SqlSettings, context: Any) -> CachedDirectory:
    """The directory of these settings behind its cache."""
    directory = SqlDirectory(context.name, settings, context.reactor, context.offload)
    return CachedDirectory(directory, settings.cache, context.reactor.seconds)


PROVIDER = Provider(settings=SqlSettings, build=build)
