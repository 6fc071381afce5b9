"""Which domains vouch for a message by signatures: verifying DKIM (RFC 6376).

    verdicts = await verify(resolver, message, now=…, offload=…)

For long messages that are not to be in memory while the DNS is asked, there are the steps
of that: `signatures` and `judge`, with the keys looked up in between.

Signatures by rsa-sha256 and ed25519-sha256 (RFC 8463) count; those by SHA-1 or by keys
below 1024 bits do not (RFC 8301), nor those that leave a part of the body or a From
field unsigned.
"""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

from attrs import frozen

from mailhive.authn.canonical import Field, canonical_body, split_message
from mailhive.authn.dkim_signature import (
    Keys,
    Signature,
    Unacceptable,
    check,
    look_up,
    parse_signature,
    usable_key,
)
from mailhive.authn.dns import Resolver
from mailhive.authn.tags import TagError, parse_tags

__all__ = ["DkimVerdict", "judge", "signatures", "verify"]

_MOST = 10  # signatures of a message that are looked at


@frozen
class DkimVerdict:
    """The result (RFC 8601 §2.7.1) of one signature.

    `result` is pass, fail, policy, neutral, temperror or permerror; `testing` if the domain
    says of its key that it only tries signing, and so vouches for nothing.
    """

    result: str
    domain: str = ""
    selector: str = ""
    algorithm: str = ""
    why: str = ""
    testing: bool = False


async def verify(
    resolver: Resolver,
    message: bytes,
    *,
    now: int,
    offload: Callable[..., Awaitable[Any]],
) -> tuple[DkimVerdict, ...]:
    """A verdict for each of the first signatures of a message, in their order.

    `now` is in seconds; `offload(function, *arguments)` runs what takes time elsewhere.
    """
    fields, body = split_message(message)
    found = signatures(fields)
    keys = await look_up(resolver, [each.key_name for each in found if isinstance(each, Signature)])
    verdicts: tuple[DkimVerdict, ...] = await offload(judge, fields, body, found, keys, now)
    return verdicts


def signatures(fields: list[Field]) -> list[Signature | DkimVerdict]:
    """The first signatures of a message; for one that cannot be right, the verdict."""
    there = [field for field in fields if field.name == "dkim-signature"]
    return [_read(field) for field in there[:_MOST]]


def judge(
    fields: list[Field],
    body: bytes,
    signatures: list[Signature | DkimVerdict],
    keys: Keys,
    now: int,
) -> tuple[DkimVerdict, ...]:
    """The verdicts, with what was looked up.  Takes time for long messages.

    `signatures` were read from the very same `fields`.
    """
    bodies: dict[str, tuple[int, bytes]] = {}
    verdicts = []
    for signature in signatures:
        if isinstance(signature, DkimVerdict):
            verdicts.append(signature)
            continue
        result, why, testing = "pass", "", False
        try:
            key = usable_key(keys[signature.key_name], signature.algorithm)
            testing = key.testing
            if signature.body_kind not in bodies:
                canonical = canonical_body(body, signature.body_kind)
                bodies[signature.body_kind] = len(canonical), sha256(canonical).digest()
            check(signature, key, fields, *bodies[signature.body_kind], now)
        except Unacceptable as error:
            result, why = error.result, str(error)
        verdicts.append(
            DkimVerdict(
                result, signature.domain, signature.selector, signature.algorithm, why, testing
            )
        )
    return tuple(verdicts)


def _read(field: Field) -> Signature | DkimVerdict:
    try:
        return parse_signature(field)
    except Unacceptable as error:
        return _refused(field, error.result, str(error))
    except TagError as error:
        return _refused(field, "permerror", str(error))


def _refused(field: Field, result: str, why: str) -> DkimVerdict:
    try:
        tags = parse_tags(field.value)
    except TagError:
        tags = {}
    return DkimVerdict(result, tags.get("d", ""), tags.get("s", ""), tags.get("a", ""), why)
