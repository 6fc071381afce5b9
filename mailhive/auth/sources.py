"""Keys that somebody else publishes at a URL and may replace at any time.

They are fetched when first needed, again when they are old, and once more when a
token names a key that is not among them, but not more often than a moment apart:
who invents names of keys must not make us ask without end.  Keys that cannot be
renewed stay good for a day.
"""

from typing import Any

from attrs import define, field
from twisted.logger import Logger

from mailhive.auth.keys import VerifyingKey, read_keys
from mailhive.auth.shared import Shared
from mailhive.errors import MailhiveError, TemporaryFailure

__all__ = ["KeySource"]

#: Seconds between one fetch and the next, however many tokens ask for it.
PAUSE = 30.0
#: Seconds for which keys are used that could not be renewed.
STALE = 86_400.0
_LARGEST = 1_000_000  # octets of what is fetched


@define(eq=False)
class KeySource:
    """The keys at one URL; `fetcher` is a `fetch.Fetcher`, `clock()` the time in seconds.

    Keys older than `cache_time` are fetched again.
    """

    url: str
    fetcher: Any
    clock: Any
    cache_time: float
    _keys: tuple[VerifyingKey, ...] = ()
    _since: float = float("-inf")  # when they were fetched
    _tried: float = float("-inf")
    _failed: bool = False
    _shared: Shared = field(factory=Shared)
    _log = Logger()

    async def keys(self, algorithm: str, kid: str | None) -> tuple[VerifyingKey, ...]:
        """Those that may have signed such a token.

        `TemporaryFailure` when it is not known whether there are any.
        """
        if self._age > self.cache_time:
            await self._renew()
        found = self._fitting(algorithm, kid)
        if not found and kid is not None:
            await self._renew()
            found = self._fitting(algorithm, kid)
        if not found and self._failed:
            raise TemporaryFailure(f"keys cannot be had from {self.url}")
        return found

    @property
    def _age(self) -> float:
        age: float = self.clock() - self._since
        return age

    def _fitting(self, algorithm: str, kid: str | None) -> tuple[VerifyingKey, ...]:
        if self._age > STALE:
            return ()
        return tuple(key for key in self._keys if key.may_verify(algorithm, kid))

    async def _renew(self) -> None:
        """Fetch, unless that was done a moment ago."""
        if self._shared.is_running(self.url) or self.clock() - self._tried >= PAUSE:
            await self._shared.run(self.url, self._fetch)

    async def _fetch(self) -> None:
        self._tried = self.clock()
        try:
            answer = await self.fetcher.request("GET", self.url, max_body=_LARGEST)
            if answer.status != 200:
                raise ValueError(f"was answered with status {answer.status}")
            self._keys = read_keys(answer.body)
        except (MailhiveError, ValueError) as error:
            self._failed = True
            self._log.warn("No keys from {url}: {why}", url=self.url, why=str(error))
        else:
            self._failed = False
            self._since = self.clock()
