"""Signing messages, so that our domains vouch for them: DKIM (RFC 6376 §5)."""

import re
from base64 import b64encode
from collections import Counter
from hashlib import sha256

from attrs import field, frozen
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mailhive.authn.canonical import (
    Field,
    canonical_body,
    canonical_field,
    select,
    split_message,
)

__all__ = [
    "SEALED",
    "SIGNED",
    "SigningKey",
    "body_hash",
    "folded",
    "names_to_sign",
    "published",
    "sign",
    "signature",
]

#: Fields that are signed (RFC 6376 §5.4.1); those that are sealed once more than they are
#: there, so that nobody can add one.
SEALED = ("from", "to", "cc", "subject", "date", "reply-to", "message-id", "mime-version",
    "content-type", "in-reply-to")  # fmt: skip
SIGNED = ("sender", "references", "content-transfer-encoding", "content-disposition",
    "content-id", "content-description", "resent-date", "resent-from", "resent-sender",
    "resent-to", "resent-cc", "resent-message-id", "list-id", "list-help", "list-subscribe",
    "list-unsubscribe", "list-unsubscribe-post", "list-post", "list-owner",
    "list-archive")  # fmt: skip
_LINE_LENGTH = 76


@frozen
class SigningKey:
    """The key of a domain, published below `selector`.

    It signs the fields `signed` that are there and seals the fields `sealed`, both in
    lower case; From is among the latter.
    """

    domain: str  # in A-labels
    selector: str
    private: RSAPrivateKey | Ed25519PrivateKey = field(repr=False)
    sealed: tuple[str, ...] = SEALED
    signed: tuple[str, ...] = SIGNED

    @property
    def algorithm(self) -> str:
        return "rsa-sha256" if isinstance(self.private, RSAPrivateKey) else "ed25519-sha256"


def sign(message: bytes, key: SigningKey, *, now: int) -> bytes:
    """The DKIM-Signature field to put before a message, with its line end.

    ValueError for a message without From.  Takes time for long messages.
    """
    fields, body = split_message(message)
    names = names_to_sign(fields, key)
    tags = {
        "v": "1",
        "a": key.algorithm,
        "c": "relaxed/relaxed",
        "d": key.domain,
        "s": key.selector,
        "t": str(now),
        "h": ":".join(names),
        "bh": body_hash(body),
        "b": "",
    }
    unsigned = folded("DKIM-Signature", tags)
    signed = b"".join(canonical_field(header.raw, "relaxed") for header in select(fields, names))
    signed += canonical_field(unsigned, "relaxed").removesuffix(b"\r\n")
    return folded("DKIM-Signature", {**tags, "b": signature(key, signed)})


def names_to_sign(fields: list[Field], key: SigningKey) -> list[str]:
    """The value of h=, as a list.  ValueError for a message without From."""
    there = Counter(header.name for header in fields)
    if not there["from"]:
        raise ValueError("there is no From field to sign")
    names = [name for name in key.sealed for _ in range(there[name] + 1)]
    return names + [name for name in key.signed for _ in range(there[name])]


def body_hash(body: bytes) -> str:
    """The value of bh=."""
    return b64encode(sha256(canonical_body(body, "relaxed")).digest()).decode()


def published(key: SigningKey) -> str:
    """The text of the TXT record `SELECTOR._domainkey.DOMAIN` (RFC 6376 §3.6.1)."""
    public = key.private.public_key()
    if isinstance(key.private, RSAPrivateKey):
        octets = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return f"v=DKIM1; k=rsa; p={b64encode(octets).decode()}"
    octets = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return f"v=DKIM1; k=ed25519; p={b64encode(octets).decode()}"  # RFC 8463 §4


def signature(key: SigningKey, signed: bytes) -> str:
    """The value of b=."""
    if isinstance(key.private, RSAPrivateKey):
        return b64encode(key.private.sign(signed, PKCS1v15(), SHA256())).decode()
    return b64encode(key.private.sign(sha256(signed).digest())).decode()  # RFC 8463 §3


def folded(field_name: str, tags: dict[str, str]) -> bytes:
    """A field of tags, with lines that are broken only where space means nothing."""
    lines = [f"{field_name}:"]
    for number, (name, value) in enumerate(tags.items(), 1):
        text = f"{name}={value}" + (";" if number < len(tags) else "")
        pieces = [text]
        if name == "h":
            pieces = re.findall(r"[^:]*(?::|\Z)", text)
        elif name in ("b", "bh"):
            pieces = re.findall(rf".{{1,{_LINE_LENGTH - 8}}}", text)
        for place, piece in enumerate(filter(None, pieces)):
            space = "" if place else " "
            if len(lines[-1]) + len(piece) + 1 > _LINE_LENGTH:
                lines.append("")
                space = " "
            lines[-1] += space + piece
    return "\r\n".join(lines).encode() + b"\r\n"
