"""The judgement on a message that comes from outside: SPF, DKIM, ARC and DMARC.

Nothing here refuses mail.  What the DNS does not say in time is a temperror, which
asks for nothing.
"""

import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from attrs import evolve, field, frozen
from twisted.internet import defer
from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults

from mailhive.authn import arc
from mailhive.authn.arc import ArcVerdict, Chain
from mailhive.authn.canonical import Field, split_message
from mailhive.authn.dkim import DkimVerdict, judge, signatures
from mailhive.authn.dkim_signature import Keys, Signature, look_up
from mailhive.authn.dmarc import Authenticated, DmarcVerdict, evaluate
from mailhive.authn.dns import DnsFailure, IpAddress, Resolver
from mailhive.authn.results import Result, authentication_results
from mailhive.authn.spf import SpfVerdict, check_host
from mailhive.authn.trust import voucher
from mailhive.mime.address import parse_addresses
from mailhive.model.addresses import canonical_domain, split
from mailhive.smtp.judging.told import arc_results, dkim_results, dmarc_result, spf_results

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

    `action` is none, quarantine or reject, `author` the domain that wants it so, and
    `results` what the field says.
    """

    field: bytes
    action: str
    author: str
    results: tuple[Result, ...] = ()


@frozen(eq=False)
class Judge:
    """`hostname` is who says so; `offload(function, *arguments)` runs what takes time.

    Of mail that one of the `sealers` vouches for by ARC, DMARC asks nothing.
    """

    resolver: Resolver
    hostname: str
    offload: Callable[..., Deferred[Any]]
    clock: Any  # IReactorTime
    sealers: frozenset[str] = frozenset()
    patience: float = _PATIENCE
    _turns: DeferredSemaphore = field(init=False, factory=lambda: DeferredSemaphore(_AT_ONCE))

    async def judge(
        self,
        origin: Origin,
        header: bytes,
        body: Callable[[], bytes],
        known: Sequence[Result] = (),
    ) -> Judgement:
        """Judge a message by its header section and what `body()` reads, on a thread.

        What is `known` of the client is told with it.
        """
        fields, _ = split_message(header)
        found = signatures(fields)
        chain = arc.read_chain(fields)
        asking: list[Deferred[Any]] = [
            Deferred.fromCoroutine(self._spf(origin, origin.mail_from)),
            Deferred.fromCoroutine(self._spf_of_host(origin)),
            Deferred.fromCoroutine(self._keys(found, chain)),
        ]
        spf, host, keys = await gatherResults(asking, consumeErrors=True)
        dkim: tuple[DkimVerdict, ...] = ()
        sealed = ArcVerdict("none")
        if found or chain.fault or chain.sets:
            async with self._turns:
                dkim, sealed = await self.offload(
                    _verified, fields, body, found, chain, keys, self._now()
                )
        dmarc, who = await self._dmarc(fields, spf, dkim, sealed)
        results = (
            *known,
            *spf_results(spf, host, origin.mail_from, origin.hello),
            *dkim_results(dkim),
            *arc_results(sealed, origin.address),
            dmarc_result(dmarc, who),
        )
        written = authentication_results(self.hostname, results)
        return Judgement(written, dmarc.action, dmarc.domain, results)

    async def _spf(self, origin: Origin, sender: str) -> SpfVerdict:
        check = check_host(
            self.resolver,
            origin.address,
            sender=sender,
            helo=origin.hello,
            receiver=self.hostname,
            now=self._now(),
        )
        sender = sender or origin.hello
        late = SpfVerdict("temperror", split(sender)[1] or sender, "the DNS takes too long")
        return await self._in_time(check, late)

    async def _spf_of_host(self, origin: Origin) -> SpfVerdict | None:
        """Of the name that the client gives itself, if that is not what is looked at anyway."""
        # RFC 7208 §2.3
        return await self._spf(origin, "") if origin.mail_from else None

    async def _keys(self, found: list[Signature | DkimVerdict], chain: Chain) -> Keys:
        names = [each.key_name for each in found if isinstance(each, Signature)]
        names += chain.key_names
        late: Keys = {name: DnsFailure("the DNS takes too long") for name in names}
        return await self._in_time(look_up(self.resolver, names), late)

    async def _dmarc(
        self,
        fields: list[Field],
        spf: SpfVerdict,
        dkim: tuple[DkimVerdict, ...],
        sealed: ArcVerdict,
    ) -> tuple[DmarcVerdict, str | None]:
        """The verdict for the author's domain; if there are several, the worst.

        With it who vouches for the message, if that is why nothing is done about it.
        """
        # RFC 7489 §6.6.1
        authors = _authors(fields)
        if not authors:
            return DmarcVerdict("permerror", ""), None
        if len(authors) > _MOST_AUTHORS:
            return DmarcVerdict("permerror", authors[0], action="quarantine"), None
        results = [Authenticated("spf", spf.result, spf.domain)]
        # Who only tries signing vouches for nothing (RFC 6376 §3.6.1).
        results += [Authenticated("dkim", v.result, v.domain) for v in dkim if not v.testing]
        draw = random.randrange(100)  # noqa: S311
        verdicts = []
        for author in authors:
            evaluation = evaluate(self.resolver, author, results, draw=draw)
            verdict = await self._in_time(evaluation, DmarcVerdict("temperror", author))
            who = None
            if verdict.action != "none":
                who = voucher(sealed.handlers, author, self.sealers)
            verdicts.append((evolve(verdict, action="none") if who else verdict, who))
        return max(verdicts, key=lambda one: _ACTIONS.index(one[0].action))

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
    chain: Chain,
    keys: Keys,
    now: int,
) -> tuple[tuple[DkimVerdict, ...], ArcVerdict]:
    octets = body()
    return (
        judge(fields, octets, found, keys, now),
        arc.judge(fields, octets, chain, keys, now),
    )


def _authors(fields: list[Field]) -> list[str]:
    """The domains in From, each once; "" for an address that has none."""
    values = [each.value.decode("utf-8", "replace") for each in fields if each.name == "from"]
    groups = [group for value in values for group in parse_addresses(value)]
    emails = [address.email for group in groups for address in group.addresses]
    return list(dict.fromkeys(canonical_domain(split(email)[1]) or "" for email in emails))
