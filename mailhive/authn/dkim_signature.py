"""One signature of a message: what its field says, and whether it is right (RFC 6376 §6.1)."""

import re
from base64 import b64decode

from attrs import frozen

from mailhive.authn.canonical import Field, canonical_field, select
from mailhive.authn.dkim_key import DkimKey, KeyUnusable, parse_key
from mailhive.authn.dns import DnsFailure, Resolver
from mailhive.authn.tags import parse_tags, without_space
from mailhive.model.addresses import canonical_domain, is_domain, split

__all__ = [
    "Keys",
    "Signature",
    "Unacceptable",
    "algorithm_of",
    "check",
    "decoded",
    "look_up",
    "named",
    "parse_signature",
    "unsigned",
    "usable_key",
]

_LEAST_BITS = 1024  # RFC 8301 §3.2
_MOST_BITS = 8192  # verifying takes longer the longer a key is
_OWN_VALUE = re.compile(rb"((?:\A|;)[ \t\r\n]*b[ \t\r\n]*=)[^;]*")
_NUMBER = re.compile(r"[0-9]{1,12}", re.ASCII)
_SELECTOR = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", re.ASCII)
_CANONICALIZATION = ("simple", "relaxed")

#: What was found where keys are published.
Keys = dict[str, list[bytes] | DnsFailure]


class Unacceptable(ValueError):
    """What makes a signature not verify, with the result (RFC 8601 §2.7.1) that it has then."""

    def __init__(self, result: str, why: str) -> None:
        super().__init__(why)
        self.result = result


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


def parse_signature(field: Field, *, of_arc: bool = False) -> Signature:
    """What a DKIM-Signature field says; ValueError if it is not to be used.

    An ARC-Message-Signature (RFC 8617 §4.1.2) has no version, and its i= is a number.
    """
    # RFC 6376 §6.1.1
    tags = parse_tags(field.value)
    for name in ("a", "b", "bh", "d", "h", "s"):
        if not tags.get(name):
            raise Unacceptable("permerror", f"{name}= is missing")
    if not of_arc and tags.get("v") != "1":
        raise Unacceptable("permerror", "v= is missing, or of another version")
    domain = named(tags)
    identity = split(tags["i"])[1].lower() if "i" in tags and not of_arc else domain
    if identity != domain and not identity.endswith(f".{domain}"):
        raise Unacceptable("permerror", "i= is not in the domain of d=")
    names = tuple(name.lower() for name in without_space(tags["h"]).split(":"))
    if "from" not in names:
        raise Unacceptable("permerror", "From is not signed")
    header_kind, _, body_kind = tags.get("c", "simple").lower().partition("/")
    body_kind = body_kind or "simple"
    if header_kind not in _CANONICALIZATION or body_kind not in _CANONICALIZATION:
        raise Unacceptable("permerror", "c= is not known")
    if "dns/txt" not in without_space(tags.get("q", "dns/txt")).split(":"):
        raise Unacceptable("permerror", "q= is not known")
    return Signature(
        field=field,
        algorithm=algorithm_of(tags),
        domain=domain,
        selector=tags["s"],
        identity_domain=identity,
        names=names,
        header_kind=header_kind,
        body_kind=body_kind,
        body_hash=decoded(tags, "bh"),
        octets=decoded(tags, "b"),
        length=_number(tags, "l"),
        expires=_number(tags, "x"),
    )


def algorithm_of(tags: dict[str, str]) -> str:
    """The algorithm that a= names, one that is accepted."""
    algorithm = tags["a"].lower()
    if algorithm not in ("rsa-sha256", "ed25519-sha256"):
        # RFC 8301 §3.1
        result = "policy" if algorithm == "rsa-sha1" else "permerror"
        raise Unacceptable(result, f"{algorithm[:30]} is not accepted")
    return algorithm


def named(tags: dict[str, str]) -> str:
    """The domain of d=, which with s= says where the key is."""
    domain = canonical_domain(tags["d"]) or ""
    if not is_domain(domain) or not _SELECTOR.fullmatch(tags["s"]):
        raise Unacceptable("permerror", "d= or s= is no name")
    return domain


async def look_up(resolver: Resolver, names: list[str]) -> Keys:
    """What is found at the names of keys, or that it cannot be looked up now."""
    keys: Keys = {}
    for name in dict.fromkeys(names):
        try:
            keys[name] = await resolver.txt(name)
        except DnsFailure as error:
            keys[name] = error
    return keys


def usable_key(answer: list[bytes] | DnsFailure, algorithm: str) -> DkimKey:
    """The key that was found, if it is one for that algorithm."""
    # RFC 6376 §6.1.2
    if isinstance(answer, DnsFailure):
        raise Unacceptable("temperror", "the key cannot be looked up now")
    if not answer:
        raise Unacceptable("permerror", "there is no key")
    try:
        key = parse_key(answer[0])
    except KeyUnusable as error:
        raise Unacceptable("permerror", str(error)) from error
    if algorithm.partition("-")[0] != key.kind:
        raise Unacceptable("permerror", "the key is of another kind")
    if key.kind == "rsa" and not _LEAST_BITS <= key.bits <= _MOST_BITS:
        raise Unacceptable("policy", f"a key of {key.bits} bits is not accepted")
    return key


def check(
    signature: Signature, key: DkimKey, fields: list[Field], length: int, body_hash: bytes, now: int
) -> None:
    """`Unacceptable` unless all is right.

    `length` and `body_hash` are those of the body by the signature's canonicalization.
    """
    if key.strict and signature.identity_domain != signature.domain:
        raise Unacceptable("permerror", "the key is not for domains below its own")
    if signature.expires is not None and signature.expires < now:
        raise Unacceptable("fail", "the signature has expired")
    # RFC 6376 §8.2: whatever is behind may be anybody's
    if signature.length is not None and signature.length < length:
        raise Unacceptable("policy", "a part of the body is not signed")
    if signature.length is not None and signature.length > length:
        raise Unacceptable("permerror", "l= is more than there is")
    if signature.names.count("from") < sum(field.name == "from" for field in fields):
        raise Unacceptable("policy", "a From field is not signed")
    # RFC 6376 §6.1.3
    if signature.body_hash != body_hash:
        raise Unacceptable("fail", "the body was changed")
    others = [field for field in fields if field is not signature.field]
    kind = signature.header_kind
    # RFC 6376 §3.7
    signed = b"".join(canonical_field(f.raw, kind) for f in select(others, signature.names))
    if not key.verifies(signature.octets, signed + unsigned(signature.field, kind)):
        raise Unacceptable("fail", "the header was changed, or somebody else signed it")


def unsigned(field: Field, kind: str) -> bytes:
    """The field of a signature as it signs itself: without the value of b=, and line end."""
    name, _, value = field.raw.partition(b":")
    own = name + b":" + _OWN_VALUE.sub(rb"\1", value.rstrip(b"\r\n"), count=1)
    return canonical_field(own, kind).removesuffix(b"\r\n")


def decoded(tags: dict[str, str], name: str) -> bytes:
    """A value in base64."""
    try:
        return b64decode(without_space(tags[name]), validate=True)
    except ValueError:
        raise Unacceptable("permerror", f"{name}= is not base64") from None


def _number(tags: dict[str, str], name: str) -> int | None:
    if name not in tags:
        return None
    if not _NUMBER.fullmatch(tags[name]):
        raise Unacceptable("permerror", f"{name}= is no number")
    return int(tags[name])
