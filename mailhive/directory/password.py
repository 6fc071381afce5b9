"""Checking passwords beside the reactor: bounded, shared and remembered for a while.

A good hash takes a tenth of a second of a processor and tens of megabytes.  HTTP
clients send their password with each request, and attackers send as many as they
like.  So a password that was right is remembered until it is not used for some
minutes, or its stored hash is another one; equal checks that run at once are one,
only a few run at a time, and only so many may wait.  What is remembered is a keyed
hash: neither the password nor anything it could be told from with the key gone.
"""

import os
from base64 import b64encode
from collections import Counter, OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore, fail, succeed

from mailhive.directory.schemes import COST, is_plain_text, matches, scheme_of
from mailhive.errors import TemporaryFailure

__all__ = ["Decoys", "PasswordVerifier", "decoy", "made_up"]

_REMEMBERED = 10_000  # right passwords
_REMEMBER = 300.0  # seconds
_AT_ONCE = max(1, (os.cpu_count() or 1) - 1)
_WAITING = 200


def decoy(secrets: list[str]) -> str | None:
    """The secret to check when a login does not exist, so that it takes as long.

    One of those of the scheme that most accounts have.
    """
    by_scheme: dict[str | None, list[str]] = {}
    for secret in secrets:
        by_scheme.setdefault(scheme_of(secret), []).append(secret)
    by_scheme.pop(None, None)
    return max(by_scheme.values(), key=len)[0] if by_scheme else None


def made_up() -> str:
    """A hash at our cost that no password has."""
    salt, digest = (b64encode(os.urandom(n)).decode().rstrip("=") for n in (16, 32))
    return (
        f"$argon2id$v=19$m={COST.memory_cost},t={COST.time_cost},p={COST.parallelism}"
        f"${salt}${digest}"
    )


class Decoys:
    """Secrets to check for logins that do not exist, of a directory that shows few at a time.

    One of the scheme that most of those have that were seen.
    """

    def __init__(self) -> None:
        self._first = made_up()
        self._seen: Counter[str] = Counter()
        self._latest: dict[str, str] = {}

    def saw(self, secret: str) -> None:
        """Note the secret of somebody who exists."""
        scheme = scheme_of(secret)
        if scheme is not None:
            self._seen[scheme] += 1
            self._latest.setdefault(scheme, secret)

    def secret(self) -> str:
        """The one to check."""
        usual = self._seen.most_common(1)
        return self._latest[usual[0][0]] if usual else self._first


class PasswordVerifier:
    """`offload(function, *arguments)` runs on a thread; `clock()` is the time in seconds."""

    def __init__(
        self,
        offload: Callable[..., Deferred[Any]],
        clock: Callable[[], float],
        *,
        remember: float = _REMEMBER,
        remembered: int = _REMEMBERED,
    ):
        self._offload = offload
        self._clock = clock
        self._remember = remember
        self._limit = remembered
        self._key = os.urandom(32)
        self._right: OrderedDict[bytes, float] = OrderedDict()  # to when it is forgotten
        self._running: dict[bytes, list[Deferred[bool]]] = {}
        self._slots = DeferredSemaphore(_AT_ONCE)

    def verify(self, login: str, password: str, secret: str) -> Deferred[bool]:
        """Fire with whether `password` fits the stored `secret` of `login`.

        `TemporaryFailure` when too many checks wait already.
        """
        key = self._hash("somebody", login, password, secret)
        if self._right.get(key, 0) > self._clock():
            return succeed(self._note(True, key))
        return self._check(key, password, secret).addCallback(self._note, key)

    def verify_nobody(self, login: str, password: str, secret: str | None) -> Deferred[bool]:
        """Fire with False, after as long as a check of `secret` takes.

        Nothing is remembered: a quicker answer would tell that the guess fits the
        account whose secret it is.
        """
        if secret is None:
            return succeed(False)
        key = self._hash("nobody", login, password, secret)
        return self._check(key, password, secret).addCallback(lambda _: False)

    def run(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Fire with `function(*args)`, which takes as much as a check, when its turn has come."""
        if len(self._slots.waiting) >= _WAITING:
            return fail(TemporaryFailure("too many logins wait to be checked"))
        return self._slots.run(self._offload, function, *args)

    def _check(self, key: bytes, password: str, secret: str) -> Deferred[bool]:
        """One check for all that ask for `key` while it runs."""
        if is_plain_text(secret):
            return succeed(matches(secret, password))
        done: Deferred[bool] = Deferred()
        sharing = self._running.get(key)
        if sharing is not None:
            sharing.append(done)
            return done
        self._running[key] = [done]
        self.run(matches, secret, password).addBoth(self._finish, key)
        return done

    def _finish(self, result: Any, key: bytes) -> None:
        for done in self._running.pop(key):
            done.callback(result)  # a Failure fails it

    def _note(self, right: bool, key: bytes) -> bool:
        """Remember a password that was right."""
        if right:
            now = self._clock()
            self._right[key] = now + self._remember
            self._right.move_to_end(key)
            while len(self._right) > self._limit or next(iter(self._right.values())) <= now:
                self._right.popitem(last=False)
        return right

    def _hash(self, who: str, login: str, password: str, secret: str) -> bytes:
        text = f"{who} {len(login)} {len(password)} {login}{password}{secret}"
        octets = text.encode("utf-8", "surrogatepass")
        return blake2b(octets, key=self._key, digest_size=32).digest()
