"""Answers of a directory elsewhere, kept for a while.

    return CachedDirectory(MyDirectory(...), settings.cache, context.reactor.seconds)

HTTP clients log in with each request, and each message asks for its recipients;
a database or an LDAP server need not hear all of that.  What a directory says is
kept for `cache.ttl.positive` seconds and not a moment longer, so a change there
holds everywhere after that time at the latest; that somebody or something is not
there, for `cache.ttl.negative`.  A failure is never kept, and neither is a wrong
password.  Of a right one a hash is kept, by a key that this process alone has.

Equal questions that are asked while one is being answered share its answer.
"""

import os
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from attrs import evolve, field, frozen
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from zope.interface import alsoProvides, implementer

from mailhive.config.fields import at_least, doc
from mailhive.config.units import Duration
from mailhive.interfaces.directory import IDirectory, IScramLogins
from mailhive.model.principal import Principal
from mailhive.model.scram import ScramLogin

__all__ = ["CacheSettings", "CacheTtl", "CachedDirectory"]

_LONGEST_KEY = 1_000  # characters of a question that is worth keeping


@frozen
class CacheTtl:
    """How long answers are kept."""

    positive: Duration = field(
        default=Duration(60.0),
        validator=at_least(0),
        metadata=doc(
            "An answer that names somebody or something. A change in the directory, a password "
            "and a removal included, holds after this time at the latest. `0` keeps none."
        ),
    )
    negative: Duration = field(
        default=Duration(10.0),
        validator=at_least(0),
        metadata=doc("The answer that there is nobody or nothing. Failures are never kept."),
    )


@frozen
class CacheSettings:
    """Answers that are kept, so that the directory is not asked again."""

    entries: int = field(
        default=10_000,
        validator=at_least(1),
        metadata=doc("Answers kept of each kind; the oldest give way."),
    )
    ttl: CacheTtl = field(factory=CacheTtl, metadata=doc(""))


class _Kept:
    """Values that each stay for `ttl` seconds, the oldest `limit` less many gone before."""

    def __init__(self, ttl: float, limit: int, clock: Callable[[], float]) -> None:
        self._ttl = ttl
        self._limit = limit
        self._clock = clock
        self._values: OrderedDict[Any, tuple[float, Any]] = OrderedDict()

    def clear(self) -> None:
        """Forget all."""
        self._values.clear()

    def get(self, key: Any) -> tuple[Any, ...]:
        """The value in a tuple, which is empty if there is none."""
        until, value = self._values.get(key, (float("-inf"), None))
        return (value,) if until > self._clock() else ()

    def put(self, key: Any, value: Any, asked: float) -> None:
        """Keep an answer, which may be as old as the question: of the time `asked`."""
        now = self._clock()
        if asked + self._ttl <= now:
            return
        self._values[key] = asked + self._ttl, value
        self._values.move_to_end(key)
        while len(self._values) > self._limit or next(iter(self._values.values()))[0] <= now:
            self._values.popitem(last=False)


@implementer(IDirectory)
class CachedDirectory:
    """`directory` behind a cache; `clock()` is the time in seconds."""

    def __init__(self, directory: Any, settings: CacheSettings, clock: Callable[[], float]) -> None:
        self._directory = directory
        self._clock = clock
        self._key = os.urandom(32)
        self._found = _Kept(settings.ttl.positive, settings.entries, clock)
        # Apart, so that questions about nobody do not drive out answers that are needed.
        self._missing = _Kept(settings.ttl.negative, settings.entries, clock)
        self._asked: dict[Any, list[Deferred[Any]]] = {}
        if IScramLogins.providedBy(directory):
            alsoProvides(self, IScramLogins)

    def open(self) -> Any:
        """Open the directory behind, if it can be."""
        return getattr(self._directory, "open", lambda: None)()

    def reload(self) -> Any:
        """Forget every answer."""
        self._found.clear()
        self._missing.clear()
        return getattr(self._directory, "reload", lambda: None)()

    def close(self) -> Any:
        """Close it."""
        return getattr(self._directory, "close", lambda: None)()

    def authenticate(self, login: str, password: str) -> Deferred[Principal | None]:
        state = blake2b(key=self._key, digest_size=32)
        for part in (login, password):
            octets = part.encode("utf-8", "surrogatepass")
            state.update(len(octets).to_bytes(8, "big") + octets)
        key = ("authenticate", state.digest())
        return self._answer(key, self._directory.authenticate, login, password)

    @property
    def offers_scram(self) -> bool:
        """See `IScramLogins`."""
        offered: bool = self._directory.offers_scram
        return offered

    def scram(self, login: str, salt: bytes) -> Deferred[ScramLogin]:
        """See `IScramLogins`; never kept, as each login asks once."""
        found: Deferred[ScramLogin] = self._directory.scram(login, salt)
        return found

    def principal(self, name: str) -> Deferred[Principal | None]:
        return self._answer(("principal", name), self._directory.principal, name)

    def recipients(self, address: str) -> Deferred[tuple[Principal, ...]]:
        return self._answer(("recipients", address), self._directory.recipients, address)

    def is_local_domain(self, domain: str) -> Deferred[bool]:
        return self._answer(("domain", domain), self._directory.is_local_domain, domain)

    def _answer(self, key: tuple[str, Any], ask: Callable[..., Any], *args: Any) -> Deferred[Any]:
        if kept := self._found.get(key) or self._missing.get(key):
            return succeed(kept[0])
        if len(key[1]) > _LONGEST_KEY:
            return maybeDeferred(ask, *args)
        done: Deferred[Any] = Deferred()
        if key in self._asked:
            self._asked[key].append(done)
        else:
            self._asked[key] = [done]
            answer = maybeDeferred(ask, *args).addCallback(self._keep, key, self._clock())
            answer.addBoth(self._tell, key)
        return done

    def _keep(self, answer: Any, key: tuple[str, Any], asked: float) -> Any:
        if answer:
            self._found.put(key, answer, asked)
            if key[0] == "authenticate":  # by a password that may be newer than what is kept
                known = evolve(answer, credential="")
                self._found.put(("principal", answer.name), known, asked)
        elif key[0] != "authenticate":
            self._missing.put(key, answer, asked)
        return answer

    def _tell(self, answer: Any, key: tuple[str, Any]) -> None:
        for done in self._asked.pop(key):
            done.callback(answer)  # a Failure fails it
