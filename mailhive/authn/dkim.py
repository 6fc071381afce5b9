"""Which domains vouch for a message by signatures: verifying DKIM (RFC 6376).

    verdicts = await verify(resolver, message, now=…, offload=…)

Signatures by rsa-sha256 and ed25519-sha256 (RFC 8463) count; those by SHA-1 or by keys
below 1024 bits do not (RFC 8301), nor those that leave a part of the body or a From
field unsigned.
"""

import re
from base64 import b64decode
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

from attrs import frozen

from mailhive.authn.canonical import Field, canonical_body, canonical_field, select, split_message
from mailhive.authn.dkim_key import KeyUnusable, parse_key
from mailhive.authn.dns import DnsFailure, Resolver
from mailhive.authn.tags import TagError, parse_tags, without_space
from mailhive.model.addresses import canonical_domain, is_domain, split

__all__ = ["DkimVerdict", "Signature", "judge", "parse_signature", "verify"]

_MOST = 10  # signatures of a message that are looked at
_LEAST_BITS = 1024  # RFC 8301 §3.2
_MOST_BITS = 8192  # verifying takes longer the longer a key is
_OWN_VALUE = re.compile(rb"((?:\A|;)[ \t\r\n]*b[ \t\r\n]*=)[^;]*")
_NUMBER = re.compile(r"[0-9]{1,12}", re.ASCII)
_SELECTOR = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", re.ASCII)
_CANONICALIZATION = ("simple", "relaxed")


class _Unacceptable(ValueError):
    """What makes a signature not verify, with the result that it has then."""

    def __init__(self, result: str, why: str) -> None:
        super().__init__(why)
        self.result = result


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


@frozen
class Signature:
    """A DKIM-Signature field (RFC 6376 §3.5) that can be verified."""

    field: Field
    algorithm: str
    domain: str
    selector: str
    identity_domain: str
    names: tuple[str, ...]  # of the fields that are signed, in lower case
    header_kind: str
    body_kind: str
    body_hash: bytes
    octets: bytes
    length: int | None = None
    expires: int | None = None

    @property
    def key_name(self) -> str:
        """Where the key is."""
        return f"{self.selector}._domainkey.{self.domain}"


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
    signatures = [_read(field) for field in fields if field.name == "dkim-signature"][:_MOST]
    keys: dict[str, list[bytes] | DnsFailure] = {}
    for signature in signatures:
        if isinstance(signature, Signature) and signature.key_name not in keys:
            try:
                keys[signature.key_name] = await resolver.txt(signature.key_name)
            except DnsFailure as error:
                keys[signature.key_name] = error
    verdicts: tuple[DkimVerdict, ...] = await offload(judge, fields, body, signatures, keys, now)
    return verdicts


def parse_signature(field: Field) -> Signature:
    """What a DKIM-Signature field says; ValueError if it is not to be used."""
    # RFC 6376 §6.1.1
    tags = parse_tags(field.value)
    for name in ("v", "a", "b", "bh", "d", "h", "s"):
        if not tags.get(name):
            raise _Unacceptable("permerror", f"{name}= is missing")
    if tags["v"] != "1":
        raise _Unacceptable("permerror", "it is of another version")
    algorithm = tags["a"].lower()
    if algorithm not in ("rsa-sha256", "ed25519-sha256"):
        # RFC 8301 §3.1
        result = "policy" if algorithm == "rsa-sha1" else "permerror"
        raise _Unacceptable(result, f"{algorithm[:30]} is not accepted")
    domain = canonical_domain(tags["d"]) or ""
    if not is_domain(domain) or not _SELECTOR.fullmatch(tags["s"]):
        raise _Unacceptable("permerror", "d= or s= is no name")
    identity = split(tags["i"])[1].lower() if "i" in tags else domain
    if identity != domain and not identity.endswith(f".{domain}"):
        raise _Unacceptable("permerror", "i= is not in the domain of d=")
    names = tuple(name.lower() for name in without_space(tags["h"]).split(":"))
    if "from" not in names:
        raise _Unacceptable("permerror", "From is not signed")
    header_kind, _, body_kind = tags.get("c", "simple").lower().partition("/")
    body_kind = body_kind or "simple"
    if header_kind not in _CANONICALIZATION or body_kind not in _CANONICALIZATION:
        raise _Unacceptable("permerror", "c= is not known")
    if "dns/txt" not in without_space(tags.get("q", "dns/txt")).split(":"):
        raise _Unacceptable("permerror", "q= is not known")
    return Signature(
        field=field,
        algorithm=algorithm,
        domain=domain,
        selector=tags["s"],
        identity_domain=identity,
        names=names,
        header_kind=header_kind,
        body_kind=body_kind,
        body_hash=_base64(tags, "bh"),
        octets=_base64(tags, "b"),
        length=_number(tags, "l"),
        expires=_number(tags, "x"),
    )


def judge(
    fields: list[Field],
    body: bytes,
    signatures: list[Signature | DkimVerdict],
    keys: dict[str, list[bytes] | DnsFailure],
    now: int,
) -> tuple[DkimVerdict, ...]:
    """The verdicts, with the answers to what was looked up.  Takes time for long messages."""
    bodies: dict[str, tuple[int, bytes]] = {}
    verdicts = []
    for signature in signatures:
        if isinstance(signature, DkimVerdict):
            verdicts.append(signature)
            continue
        result, why, testing = "pass", "", False
        try:
            if signature.body_kind not in bodies:
                canonical = canonical_body(body, signature.body_kind)
                bodies[signature.body_kind] = len(canonical), sha256(canonical).digest()
            testing = _check(signature, fields, *bodies[signature.body_kind], keys, now)
        except _Unacceptable as error:
            result, why = error.result, str(error)
        verdicts.append(
            DkimVerdict(
                result, signature.domain, signature.selector, signature.algorithm, why, testing
            )
        )
    return tuple(verdicts)


def _check(
    signature: Signature,
    fields: list[Field],
    length: int,
    body_hash: bytes,
    keys: dict[str, list[bytes] | DnsFailure],
    now: int,
) -> bool:
    """Whether the key is one that is tried only; `_Unacceptable` unless all is right."""
    answer = keys[signature.key_name]
    if isinstance(answer, DnsFailure):
        raise _Unacceptable("temperror", "the key cannot be looked up now")
    if not answer:
        raise _Unacceptable("permerror", "there is no key")
    try:
        key = parse_key(answer[0])
    except KeyUnusable as error:
        raise _Unacceptable("permerror", str(error)) from error
    # RFC 6376 §6.1.2
    if signature.algorithm.partition("-")[0] != key.kind:
        raise _Unacceptable("permerror", "the key is of another kind")
    if key.strict and signature.identity_domain != signature.domain:
        raise _Unacceptable("permerror", "the key is not for domains below its own")
    if key.kind == "rsa" and not _LEAST_BITS <= key.bits <= _MOST_BITS:
        raise _Unacceptable("policy", f"a key of {key.bits} bits is not accepted")
    if signature.expires is not None and signature.expires < now:
        raise _Unacceptable("fail", "the signature has expired")
    # RFC 6376 §8.2: whatever is behind may be anybody's
    if signature.length is not None and signature.length < length:
        raise _Unacceptable("policy", "a part of the body is not signed")
    if signature.length is not None and signature.length > length:
        raise _Unacceptable("permerror", "l= is more than there is")
    if signature.names.count("from") < sum(field.name == "from" for field in fields):
        raise _Unacceptable("policy", "a From field is not signed")
    # RFC 6376 §6.1.3
    if signature.body_hash != body_hash:
        raise _Unacceptable("fail", "the body was changed")
    if not key.verifies(signature.octets, _signed(signature, fields)):
        raise _Unacceptable("fail", "the header was changed, or somebody else signed it")
    return key.testing


def _signed(signature: Signature, fields: list[Field]) -> bytes:
    """What the signature is of (RFC 6376 §3.7)."""
    others = [field for field in fields if field is not signature.field]
    chosen = [
        canonical_field(field.raw, signature.header_kind)
        for field in select(others, signature.names)
    ]
    name, _, value = signature.field.raw.partition(b":")
    own = name + b":" + _OWN_VALUE.sub(rb"\1", value.rstrip(b"\r\n"), count=1)
    return b"".join(chosen) + canonical_field(own, signature.header_kind).removesuffix(b"\r\n")


def _read(field: Field) -> Signature | DkimVerdict:
    try:
        return parse_signature(field)
    except _Unacceptable as error:
        return _refused(field, error.result, str(error))
    except TagError as error:
        return _refused(field, "permerror", str(error))


def _refused(field: Field, result: str, why: str) -> DkimVerdict:
    try:
        tags = parse_tags(field.value)
    except TagError:
        tags = {}
    return DkimVerdict(result, tags.get("d", ""), tags.get("s", ""), tags.get("a", ""), why)


def _base64(tags: dict[str, str], name: str) -> bytes:
    try:
        return b64decode(without_space(tags[name]), validate=True)
    except ValueError:
        raise _Unacceptable("permerror", f"{name}= is not base64") from None


def _number(tags: dict[str, str], name: str) -> int | None:
    if name not in tags:
        return None
    if not _NUMBER.fullmatch(tags[name]):
        raise _Unacceptable("permerror", f"{name}= is no number")
    return int(tags[name])
