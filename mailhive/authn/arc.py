"""Who handled a message on its way, and what they found: the Authenticated Received Chain.

    verdict = await verify(resolver, message, now=…, offload=…)     (RFC 8617 §5.2)

A chain that is valid says only that these domains vouch for it, one after the other;
whether to believe them is for whoever asks.
"""

import re
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

from attrs import define, frozen

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

__all__ = ["ArcVerdict", "verify"]

_MOST = 50  # RFC 8617 §5.2
_RESULTS = "arc-authentication-results"
_MESSAGE = "arc-message-signature"
_SEAL = "arc-seal"
_INSTANCE = re.compile(rb"[ \t\r\n]*i[ \t\r\n]*=[ \t\r\n]*([1-9][0-9]?)[ \t\r\n]*;")


@frozen
class ArcVerdict:
    """What is found of the chain.

    `result` is none, pass, fail or temperror; `sealers` are the domains that sealed, the
    last one first, and `results` what the last one says that it found, the body of an
    Authentication-Results field.  Both are empty unless the chain is valid.
    """

    result: str
    why: str = ""
    sealers: tuple[str, ...] = ()
    results: bytes = b""


@frozen
class _Seal:
    """An ARC-Seal field (RFC 8617 §4.1.3)."""

    algorithm: str
    domain: str
    key_name: str
    validation: str  # none, pass or fail
    octets: bytes


@define
class _Set:
    """What one handler has added (RFC 8617 §4.2.1)."""

    results: Field
    message: Signature
    seal: _Seal
    fields: tuple[Field, Field, Field]  # in the order in which they are sealed


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
    try:
        sets = _sets(fields)
    except (Unacceptable, TagError) as error:
        return ArcVerdict("fail", str(error))
    if not sets:
        return ArcVerdict("none")
    names = [each.seal.key_name for each in sets] + [sets[-1].message.key_name]
    keys = await look_up(resolver, names)
    verdict: ArcVerdict = await offload(_judge, fields, body, sets, keys, now)
    return verdict


def _judge(fields: list[Field], body: bytes, sets: list[_Set], keys: Keys, now: int) -> ArcVerdict:
    last = sets[-1]
    try:
        # RFC 8617 §5.2, step 4: of the message signatures the last one has to be right
        canonical = canonical_body(body, last.message.body_kind)
        key = usable_key(keys[last.message.key_name], last.message.algorithm)
        check(last.message, key, fields, len(canonical), sha256(canonical).digest(), now)
        # and step 6: every seal
        for number in range(len(sets), 0, -1):
            _check_seal(sets[:number], keys)
    except Unacceptable as error:
        result = "temperror" if error.result == "temperror" else "fail"
        return ArcVerdict(result, str(error))
    sealers = tuple(each.seal.domain for each in reversed(sets))
    return ArcVerdict("pass", "", sealers, last.results.value.partition(b";")[2].strip())


def _check_seal(sets: list[_Set], keys: Keys) -> None:
    """Is the seal of the last of these sets right?"""
    seal = sets[-1].seal
    key = usable_key(keys[seal.key_name], seal.algorithm)
    # RFC 8617 §5.1.1: of all sets up to its own, in their order
    sealed = [field for each in sets for field in each.fields][:-1]
    signed = b"".join(canonical_field(field.raw, "relaxed") for field in sealed)
    if not key.verifies(seal.octets, signed + unsigned(sets[-1].fields[-1], "relaxed")):
        raise Unacceptable("fail", f"seal {len(sets)} is not right")


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
        sets.append(_Set(results, _message(message), _seal(seal), (results, message, seal)))
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
    domain = named(tags)
    return _Seal(
        algorithm=algorithm_of(tags),
        domain=domain,
        key_name=f"{tags['s']}._domainkey.{domain}",
        validation=tags["cv"].lower(),
        octets=decoded(tags, "b"),
    )
