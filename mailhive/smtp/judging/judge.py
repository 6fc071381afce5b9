"""The judgement on a message that comes from outside: SPF, DKIM and DMARC.

Nothing here refuses mail.  What the DNS does not say in time is a temperror, which
asks for nothing.
"""

import random
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from attrs import field, frozen
from twisted.internet import defer
from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults

from mailhive.authn.canonical import Field, split_message
from mailhive.authn.dkim import DkimVerdict, judge, keys_of, signatures
from mailhive.authn.dkim_signature import Keys, Signature
from mailhive.authn.dmarc import Authenticated, DmarcVerdict, evaluate
from mailhive.authn.dns import DnsFailure, IpAddress, Resolver
from mailhive.authn.results import Result, authentication_results
from mailhive.authn.spf import SpfVerdict, check_host
from mailhive.mime.address import parse_addresses
from mailhive.model.addresses import canonical_domain, split

__all__ = ["Judge", "Judgement", "Origin"]

#: Seconds for what one method looks up (RFC 7208 §4.6.4: at least 20).
_PATIENCE = 20.0
#: Messages that are in memory, whole, to be verified.
_AT_ONCE = 4
#: Domains of authors that are looked at.
_MOST_AUTHORS = 5
_ACTIONS = ("none", "quarantine", "reject")

_T = TypeVar("_T")


@frozen
class Origin:
    """Who sends a message: the client's address, its name for itself, and MAIL FROM."""

    address: IpAddress
    hello: str
    mail_from: str


@frozen
class Judgement:
    """What was found, as an Authentication-Results field, and what DMARC asks for.

    `action` is none, quarantine or reject, `author` the domain that wants it so.
    """

    field: bytes
    action: str
    author: str


@frozen(eq=False)
class Judge:
    """`hostname` is who says so; `offload(function, *arguments)` runs what takes time."""

    resolver: Resolver
    hostname: str
    offload: Callable[..., Deferred[Any]]
    clock: Any  # IReactorTime
    patience: float = _PATIENCE
    _turns: DeferredSemaphore = field(init=False, factory=lambda: DeferredSemaphore(_AT_ONCE))

    async def judge(self, origin: Origin, header: bytes, body: Callable[[], bytes]) -> Judgement:
        """Judge a message by its header section and what `body()` reads, on a thread."""
        fields, _ = split_message(header)
        found = signatures(fields)
        asking: list[Deferred[Any]] = [
            Deferred.fromCoroutine(self._spf(origin)),
            Deferred.fromCoroutine(self._keys(found)),
        ]
        spf, keys = await gatherResults(asking, consumeErrors=True)
        dkim: tuple[DkimVerdict, ...] = ()
        if found:
            async with self._turns:
                dkim = await self.offload(_verified, fields, body, found, keys, self._now())
        dmarc = await self._dmarc(fields, spf, dkim)
        results = [_spf_result(spf, origin), *_dkim_results(dkim), _dmarc_result(dmarc)]
        return Judgement(authentication_results(self.hostname, results), dmarc.action, dmarc.domain)

    async def _spf(self, origin: Origin) -> SpfVerdict:
        check = check_host(
            self.resolver,
            origin.address,
            sender=origin.mail_from,
            helo=origin.hello,
            receiver=self.hostname,
            now=self._now(),
        )
        sender = origin.mail_from or origin.hello
        late = SpfVerdict("temperror", split(sender)[1] or sender, "the DNS takes too long")
        return await self._in_time(check, late)

    async def _keys(self, found: list[Signature | DkimVerdict]) -> Keys:
        names = [each.key_name for each in found if isinstance(each, Signature)]
        late: Keys = {name: DnsFailure("the DNS takes too long") for name in names}
        return await self._in_time(keys_of(self.resolver, found), late)

    async def _dmarc(
        self, fields: list[Field], spf: SpfVerdict, dkim: tuple[DkimVerdict, ...]
    ) -> DmarcVerdict:
        """The verdict for the author's domain; if there are several, the worst."""
        # RFC 7489 §6.6.1
        authors = _authors(fields)
        if not authors:
            return DmarcVerdict("permerror", "")
        if len(authors) > _MOST_AUTHORS:
            return DmarcVerdict("permerror", authors[0], action="quarantine")
        results = [Authenticated("spf", spf.result, spf.domain)]
        # Who only tries signing vouches for nothing (RFC 6376 §3.6.1).
        results += [Authenticated("dkim", v.result, v.domain) for v in dkim if not v.testing]
        draw = random.randrange(100)  # noqa: S311
        verdicts = []
        for author in authors:
            evaluation = evaluate(self.resolver, author, results, draw=draw)
            verdicts.append(await self._in_time(evaluation, DmarcVerdict("temperror", author)))
        return max(verdicts, key=lambda verdict: _ACTIONS.index(verdict.action))

    async def _in_time(self, waiting: Coroutine[Any, Any, _T], otherwise: _T) -> _T:
        result: Deferred[_T] = Deferred.fromCoroutine(waiting)
        result.addTimeout(self.patience, self.clock)
        try:
            return await result
        except defer.TimeoutError:
            return otherwise

    def _now(self) -> int:
        return int(self.clock.seconds())


def _verified(
    fields: list[Field],
    body: Callable[[], bytes],
    found: list[Signature | DkimVerdict],
    keys: Keys,
    now: int,
) -> tuple[DkimVerdict, ...]:
    return judge(fields, body(), found, keys, now)


def _authors(fields: list[Field]) -> list[str]:
    """The domains in From, each once; "" for an address that has none."""
    values = [each.value.decode("utf-8", "replace") for each in fields if each.name == "from"]
    groups = [group for value in values for group in parse_addresses(value)]
    emails = [address.email for group in groups for address in group.addresses]
    return list(dict.fromkeys(canonical_domain(split(email)[1]) or "" for email in emails))


def _spf_result(verdict: SpfVerdict, origin: Origin) -> Result:
    # RFC 8601 §2.7.2
    if origin.mail_from:
        return Result("spf", verdict.result, {"smtp.mailfrom": origin.mail_from}, verdict.why)
    return Result("spf", verdict.result, {"smtp.helo": origin.hello}, verdict.why)


def _dkim_results(verdicts: tuple[DkimVerdict, ...]) -> list[Result]:
    # RFC 8601 §2.7.1
    if not verdicts:
        return [Result("dkim", "none")]
    results = []
    for verdict in verdicts:
        tags = {"d": verdict.domain, "s": verdict.selector, "a": verdict.algorithm}
        properties = {f"header.{name}": value for name, value in tags.items() if value}
        why = "the key is for testing" if verdict.testing and not verdict.why else verdict.why
        results.append(Result("dkim", verdict.result, properties, why))
    return results


def _dmarc_result(verdict: DmarcVerdict) -> Result:
    # RFC 7489 §11.1
    properties = {"header.from": verdict.domain} if verdict.domain else {}
    if verdict.result in ("pass", "fail"):
        properties["policy.dmarc"] = verdict.policy
    return Result("dmarc", verdict.result, properties)
