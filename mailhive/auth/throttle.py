"""Slowing down those who guess passwords.

Failures are counted by login and by the network that they come from.  Some are
free; after that the next attempt is looked at only when a time has passed that
doubles with each failure.  Whoever logged in from a network within the last day
is counted as that login from that network alone, so that an attacker who tries
somebody's login elsewhere, or somebody else's from the same office, does not lock
them out.

Where several processes take logins, each tells the others what came of an attempt, and
all count alike; only what is being checked at this moment they do not know of each other.

Attempts that are still being checked count as failures, or a burst of them would
be free; but the same attempt made several times at once, as clients do that send
several requests, counts once.  Memory is bounded: who was seen longest ago is
forgotten first.
"""

import os
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from ipaddress import ip_address, ip_network

from attrs import define, field

from mailhive.auth.errors import TooManyAttempts

__all__ = ["Attempt", "Throttle"]

_FREE = {"login": 5, "network": 20, "known": 10}
_LONGEST = 300.0  # seconds that an attempt has to wait
_FORGET = 3_600.0  # seconds after the last failure
_KNOWN_FOR = 86_400.0  # seconds since the last success
_RECORDS = 10_000

_Key = tuple[str, ...]


@define
class _Record:
    failures: int = 0
    last: float = 0.0
    pending: dict[bytes, int] = field(factory=dict)  # how often which attempt is being checked


class Throttle:
    """`clock()` is the time in seconds."""

    def __init__(self, clock: Callable[[], float], *, records: int = _RECORDS):
        self._clock = clock
        self._limit = records
        self._secret = os.urandom(32)
        self._records: OrderedDict[_Key, _Record] = OrderedDict()
        self._known: OrderedDict[tuple[str, str], float] = OrderedDict()
        #: Called with what the `hear` of other processes is to be called with.
        self.tell: Callable[[tuple[str, str], tuple[_Key, ...], bool], None] = _nobody

    def begin(self, login: str | None, password: str, peer: str) -> "Attempt":
        """An attempt that may be looked at, and must be ended; else `TooManyAttempts`.

        Without a login, as of a token, its network alone counts.
        """
        login = login or ""
        text = f"{len(login)} {login}{password}".encode("utf-8", "surrogatepass")
        guess = blake2b(text, key=self._secret, digest_size=16).digest()
        who = (login.casefold(), network(peer))
        keys = self._keys(who)
        wait = max([self._wait(key, guess) for key in keys])
        if wait > 0:
            raise TooManyAttempts(wait)
        for key in keys:
            pending = self._record(key).pending
            pending[guess] = pending.get(guess, 0) + 1
        return Attempt(self, who, keys, guess)

    def end(self, attempt: "Attempt", right: bool | None) -> None:
        """Count an attempt: was it right, or None if nobody can tell?"""
        news = right is False or (right is True and self._is_news(attempt))
        counted = []
        for key in attempt.keys:
            pending = self._record(key).pending
            others = pending.pop(attempt.guess, 0) - 1
            if others > 0:
                pending[attempt.guess] = others
            else:
                counted.append(key)
        self._count(attempt.who, attempt.keys, tuple(counted), right)
        if news and right is not None:
            self.tell(attempt.who, attempt.keys if right else tuple(counted), right)

    def _is_news(self, attempt: "Attempt") -> bool:
        """Does a right attempt change what others know, or was it long since they heard?"""
        if self._known.get(attempt.who, float("-inf")) < self._clock() - _KNOWN_FOR / 2:
            return True
        records = [self._records.get(key) for key in attempt.keys]
        return [one for one in records if one is not None and one.failures] != []

    def hear(self, who: tuple[str, str], keys: tuple[_Key, ...], right: bool) -> None:
        """Count an attempt that another process has looked at."""
        self._count(who, keys, keys, right)

    def _count(
        self,
        who: tuple[str, str],
        keys: tuple[_Key, ...],
        failed: tuple[_Key, ...],
        right: bool | None,
    ) -> None:
        """`failed` are the keys of `keys` at which a failure counts."""
        now = self._clock()
        for key in keys:
            record = self._record(key)
            if right is False and key in failed:
                record.failures = 1 + (record.failures if self._counts(record) else 0)
                record.last = now
            elif right and key[0] != "network":
                record.failures = 0
            if not record.failures and not record.pending:
                del self._records[key]
        if right and who[0]:
            self._known[who] = now
            self._known.move_to_end(who)
            if len(self._known) > self._limit:
                self._known.popitem(last=False)

    def _keys(self, who: tuple[str, str]) -> tuple[_Key, ...]:
        if self._known.get(who, float("-inf")) > self._clock() - _KNOWN_FOR:
            return (("known", *who),)
        own: tuple[_Key, ...] = (("login", who[0]),) if who[0] else ()
        return *own, ("network", who[1])

    def _wait(self, key: _Key, guess: bytes) -> float:
        """Seconds until an attempt of this key may be looked at."""
        record = self._records.get(key)
        if record is None:
            return 0
        failures = record.failures if self._counts(record) else 0
        others = len(record.pending) - (guess in record.pending)
        beyond = failures + others - _FREE[key[0]]
        if beyond < 0:
            return 0
        if others:
            return 1.0
        return min(2.0 ** min(beyond, 20), _LONGEST) - (self._clock() - record.last)

    def _counts(self, record: _Record) -> bool:
        return record.last > self._clock() - _FORGET

    def _record(self, key: _Key) -> _Record:
        record = self._records.get(key)
        if record is not None:
            self._records.move_to_end(key)
            return record
        record = self._records[key] = _Record()
        if len(self._records) > self._limit:
            self._records.popitem(last=False)
        return record


def _nobody(*_: object) -> None:
    """There is no other process."""


@define
class Attempt:
    """One try at a login that is being looked at."""

    _throttle: Throttle
    who: tuple[str, str]
    keys: tuple[_Key, ...]
    guess: bytes = field(repr=False)

    def succeeded(self) -> None:
        """It was right."""
        self._throttle.end(self, True)

    def failed(self) -> None:
        """It was wrong."""
        self._throttle.end(self, False)

    def undecided(self) -> None:
        """Nobody can tell."""
        self._throttle.end(self, None)


@lru_cache(4096)
def network(peer: str) -> str:
    """What one customer of a provider has: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    mapped = getattr(address, "ipv4_mapped", None)
    if address.version == 4 or mapped:
        return str(mapped or address)
    return str(ip_network((address, 64), strict=False))
