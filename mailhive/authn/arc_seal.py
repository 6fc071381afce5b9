"""Sealing what is passed on, with what was found of it when it came: ARC (RFC 8617 §5.1)."""

import re

from mailhive.authn.canonical import canonical_field, select, split_message
from mailhive.authn.dkim_sign import SigningKey, body_hash, folded, names_to_sign, signature
from mailhive.authn.results_read import read_results

__all__ = ["seal"]

_MOST = 50  # RFC 8617 §5.2
_OF_ARC = ("arc-authentication-results", "arc-message-signature", "arc-seal")
_INSTANCE = re.compile(rb"[ \t\r\n]*i[ \t\r\n]*=[ \t\r\n]*([1-9][0-9]?)[ \t\r\n]*;")


def seal(message: bytes, key: SigningKey, found: bytes, *, now: int) -> bytes:
    """The three fields to put before a message, with their line ends.

    `found` is what was found when it came, the body of an Authentication-Results field, with
    what was found of its chain.  Nothing is put before one that has no valid chain
    where it has one, and of which nobody can know now.  Takes time for long messages.
    """
    fields, body = split_message(message)
    chain = [field for field in fields if field.name in _OF_ARC]
    status = next((r.result for r in read_results(found) if r.method == "arc"), "none")
    number = len(chain) // len(_OF_ARC) + 1
    if status != ("pass" if chain else "none") or number > _MOST:
        return b""
    try:
        names = names_to_sign(fields, key)
    except ValueError:
        return b""
    names += [field.name for field in fields if field.name == "dkim-signature"]
    named = {"a": key.algorithm, "d": key.domain, "s": key.selector, "t": str(now)}
    # RFC 8617 §4.1.1
    results = b"ARC-Authentication-Results: i=%d; %s\r\n" % (number, found.strip())
    # RFC 8617 §4.1.2
    tags = {"i": str(number), **named, "c": "relaxed/relaxed", "h": ":".join(names)}
    tags |= {"bh": body_hash(body), "b": ""}
    signed = b"".join(canonical_field(field.raw, "relaxed") for field in select(fields, names))
    signed += _unsigned("ARC-Message-Signature", tags)
    tags["b"] = signature(key, signed)
    own = folded("ARC-Message-Signature", tags)
    # RFC 8617 §4.1.3, §5.1.1: all sets in their order
    tags = {"i": str(number), **named, "cv": status, "b": ""}
    by_place = {(_number(field.value), _OF_ARC.index(field.name)): field.raw for field in chain}
    sealed = [by_place[place] for place in sorted(by_place)]
    signed = b"".join(canonical_field(raw, "relaxed") for raw in (*sealed, results, own))
    tags["b"] = signature(key, signed + _unsigned("ARC-Seal", tags))
    return folded("ARC-Seal", tags) + own + results


def _unsigned(name: str, tags: dict[str, str]) -> bytes:
    return canonical_field(folded(name, tags), "relaxed").removesuffix(b"\r\n")


def _number(value: bytes) -> int:
    match = _INSTANCE.match(value)
    return int(match[1]) if match else 0
