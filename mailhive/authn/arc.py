"""Who handled a message on its way, and what they found: the Authenticated Received Chain.

    verdict = await verify(resolver, message, now=…, offload=…)     (RFC 8617 §5.2)

For long messages that are not to be in memory while the DNS is asked, there are the steps
of that: `read_chain` and `judge`, with the keys looked up in between.

A chain that is valid says only that these domains vouch for it, one after the other;
whether to believe them is for whoever asks (`authn.trust`).
"""

import re
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

from attrs import Factory, frozen

from mailhive.authn.canonical import Field, canonical_body, canonical_field, split_message
from mailhive.authn.dkim_signature import (
    Keys,
    Signature,
    Unacceptable,
    algorithm_of,
    check,
    decoded,
    look_up,
    named,
    parse_signature,
    unsigned,
    usable_key,
)
from mailhive.authn.dns import Resolver
from mailhive.authn.tags import TagError, parse_tags

__all__ = ["ArcVerdict", "Chain", "Handler", "judge", "read_chain", "verify"]

_MOST = 50  # RFC 8617 §5.2
_RESULTS = "arc-authentication-results"
_MESSAGE = "arc-message-signature"
_SEAL = "arc-seal"
_INSTANCE = re.compile(rb"[ \t\r\n]*i[ \t\r\n]*=[ \t\r\n]*([1-9][0-9]?)[ \t\r\n]*;")


@frozen
class Handler:
    """One who sealed, and what it says that it found: the body of an Authentication-Results."""

    domain: str
    selector: str
    results: bytes


@frozen
class ArcVerdict:
    """What is found of the chain.

    `result` is none, pass, fail or temperror; `handlers` those who sealed, the last one
    first, and `oldest_pass` the number of the first one since whom the message was not
    changed, 0 if that is so since the very first.  These are there if the chain is valid.
    """

    result: str
    why: str = ""
    handlers: tuple[Handler, ...] = ()
    oldest_pass: int | None = None


@frozen
class _Seal:
    """An ARC-Seal field (RFC 8617 §4.1.3)."""

    algorithm: str
    domain: str
    selector: str
    validation: str  # none, pass or fail
    octets: bytes

    @property
    def key_name(self) -> str:
        return f"{self.selector}._domainkey.{self.domain}"


@frozen
class _Set:
    """What one handler has added (RFC 8617 §4.2.1)."""

    message: Signature
    seal: _Seal
    fields: tuple[Field, Field, Field]  # in the order in which they are sealed

    @property
    def handler(self) -> Handler:
        results = self.fields[0].value.partition(b";")[2].strip()
        return Handler(self.seal.domain, self.seal.selector, results)


@frozen
class Chain:
    """The sets of a message in their order, unless `fault` says why they are no chain."""

    sets: tuple[_Set, ...] = ()
    fault: str = ""

    @property
    def key_names(self) -> list[str]:
        """Where the keys are."""
        names = [each.seal.key_name for each in self.sets]
        return names + [each.message.key_name for each in self.sets]


async def verify(
    resolver: Resolver,
    message: bytes,
    *,
    now: int,
    offload: Callable[..., Awaitable[Any]],
) -> ArcVerdict:
    """The verdict on the chain of a message.

    `now` is in seconds; `offload(function, *arguments)` runs what takes time elsewhere.
    """
    fields, body = split_message(message)
    chain = read_chain(fields)
    keys = await look_up(resolver, chain.key_names)
    verdict: ArcVerdict = await offload(judge, fields, body, chain, keys, now)
    return verdict


def read_chain(fields: list[Field]) -> Chain:
    """The chain of a message, so far as can be seen without keys."""
    try:
        return Chain(tuple(_sets(fields)))
    except (Unacceptable, TagError) as error:
        return Chain(fault=str(error))


def judge(fields: list[Field], body: bytes, chain: Chain, keys: Keys, now: int) -> ArcVerdict:
    """The verdict, with what was looked up.  Takes time for long messages.

    `chain` was read from the very same `fields`.
    """
    if chain.fault:
        return ArcVerdict("fail", chain.fault)
    if not chain.sets:
        return ArcVerdict("none")
    checker = _Checker(fields, body, keys, now)
    try:
        # RFC 8617 §5.2, step 4: of the message signatures the last one has to be right
        checker.check_message(chain.sets[-1])
        # and step 6: every seal
        checker.check_seals(chain.sets)
    except Unacceptable as error:
        result = "temperror" if error.result == "temperror" else "fail"
        return ArcVerdict(result, str(error))
    handlers = tuple(each.handler for each in reversed(chain.sets))
    return ArcVerdict("pass", "", handlers, checker.oldest_pass(chain.sets))


@frozen
class _Checker:
    fields: list[Field]
    body: bytes
    keys: Keys
    now: int
    _bodies: dict[str, tuple[int, bytes]] = Factory(dict)

    def check_message(self, each: _Set) -> None:
        """Is the message as it was when this set was added?"""
        kind = each.message.body_kind
        if kind not in self._bodies:
            canonical = canonical_body(self.body, kind)
            self._bodies[kind] = len(canonical), sha256(canonical).digest()
        key = usable_key(self.keys[each.message.key_name], each.message.algorithm)
        check(each.message, key, self.fields, *self._bodies[kind], self.now)

    def check_seals(self, sets: tuple[_Set, ...]) -> None:
        # RFC 8617 §5.1.1: each is of all sets up to its own, in their order
        before = b""
        for number, each in enumerate(sets, 1):
            own = [canonical_field(field.raw, "relaxed") for field in each.fields]
            signed = before + own[0] + own[1] + unsigned(each.fields[-1], "relaxed")
            key = usable_key(self.keys[each.seal.key_name], each.seal.algorithm)
            if not key.verifies(each.seal.octets, signed):
                raise Unacceptable("fail", f"seal {number} is not right")
            before += b"".join(own)

    def oldest_pass(self, sets: tuple[_Set, ...]) -> int:
        # RFC 8617 §5.2, step 5
        for number in range(len(sets) - 1, 0, -1):
            try:
                self.check_message(sets[number - 1])
            except Unacceptable:
                return number + 1
        return 0


def _sets(fields: list[Field]) -> list[_Set]:
    """The sets in their order; `Unacceptable` unless they make a chain."""
    # RFC 8617 §5.2, steps 1 to 3
    found: dict[str, dict[int, Field]] = {_RESULTS: {}, _MESSAGE: {}, _SEAL: {}}
    for field in fields:
        if field.name in found:
            match = _INSTANCE.match(field.value)
            if match is None:
                raise Unacceptable("fail", f"{field.name} has no instance")
            if found[field.name].setdefault(int(match[1]), field) is not field:
                raise Unacceptable("fail", f"{field.name} {int(match[1])} is there twice")
    count = len(found[_SEAL])
    if count > _MOST:
        raise Unacceptable("fail", f"there are more than {_MOST} sets")
    if any(set(those) != set(range(1, count + 1)) for those in found.values()):
        raise Unacceptable("fail", "a part of the chain is missing")
    sets = []
    for number in range(1, count + 1):
        results, message, seal = (found[name][number] for name in (_RESULTS, _MESSAGE, _SEAL))
        sets.append(_Set(_message(message), _seal(seal), (results, message, seal)))
        wanted = "none" if number == 1 else "pass"
        if sets[-1].seal.validation != wanted:
            raise Unacceptable("fail", f"set {number} does not say that the chain was valid")
    return sets


def _message(field: Field) -> Signature:
    signature = parse_signature(field, of_arc=True)
    if _SEAL in signature.names:
        raise Unacceptable("fail", "a message signature is of seals")  # RFC 8617 §4.1.2
    return signature


def _seal(field: Field) -> _Seal:
    # RFC 8617 §4.1.3
    tags = parse_tags(field.value)
    for name in ("a", "b", "cv", "d", "s"):
        if not tags.get(name):
            raise Unacceptable("fail", f"{name}= of a seal is missing")
    if "h" in tags or "bh" in tags:
        raise Unacceptable("fail", "a seal has h= or bh=")
    return _Seal(
        algorithm=algorithm_of(tags),
        domain=named(tags),
        selector=tags["s"],
        validation=tags["cv"].lower(),
        octets=decoded(tags, "b"),
    )
