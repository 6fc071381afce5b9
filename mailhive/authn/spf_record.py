"""SPF records: what they say, read whole before anything of it is done (RFC 7208 §4.6)."""

import re
from ipaddress import IPv4Network, IPv6Network

from attrs import frozen

__all__ = ["Directive", "Record", "RecordError", "is_record", "parse"]

_MACRO = r"%(?:\{[A-Za-z][0-9]*[rR]?[-.+,/_=]*\}|[%_-])"
_TEXT = re.compile(rf"(?:[!-$&-~]|{_MACRO})*", re.ASCII)
_MACRO_AT_END = re.compile(rf"{_MACRO}\Z", re.ASCII)
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?", re.ASCII)
_ONLY_TO_EXPLAIN = re.compile(r"%\{[crtCRT]", re.ASCII)
_UNKNOWN = re.compile(r"%\{([^slodipvhcrtSLODIPVHCRT])", re.ASCII)
_ZERO = re.compile(r"%\{[A-Za-z]0+[^0-9]", re.ASCII)
_MODIFIER = re.compile(r"([A-Za-z][A-Za-z0-9_.-]*)=(.*)", re.ASCII | re.DOTALL)
_MECHANISM = re.compile(r"([-+?~]?)([A-Za-z][A-Za-z0-9]*)(.*)", re.ASCII | re.DOTALL)
_CIDR = re.compile(r"(?:/(0|[1-9][0-9]{0,2}))?(?://(0|[1-9][0-9]{0,2}))?\Z", re.ASCII)
_RESULTS = {"": "pass", "+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}


class RecordError(ValueError):
    """The record is not one (RFC 7208 §4.6): `permerror`."""


@frozen
class Directive:
    """A mechanism and what it makes of those it fits.

    `domain` is a domain-spec with macros in it, None if there is none; `network` is of
    ip4 and ip6, `prefix4` and `prefix6` of a and mx.
    """

    result: str  # pass, fail, softfail or neutral
    mechanism: str
    domain: str | None = None
    prefix4: int = 32
    prefix6: int = 128
    network: IPv4Network | IPv6Network | None = None


@frozen
class Record:
    """Directives in their order; `redirect` and `explanation` are domain-specs."""

    directives: tuple[Directive, ...]
    redirect: str | None = None
    explanation: str | None = None


def is_record(text: bytes) -> bool:
    """Is that TXT record one of SPF (RFC 7208 §4.5)?"""
    return text[:6].lower() == b"v=spf1" and text[6:7] in (b"", b" ")


def parse(text: bytes) -> Record:
    """What an SPF record says; `RecordError` if any of it is wrong."""
    try:
        terms = text.decode("ascii")[6:].split(" ")
    except UnicodeDecodeError:
        raise RecordError("it is not ASCII") from None
    directives: list[Directive] = []
    modifiers: dict[str, str] = {}
    for term in terms:
        if not term:
            continue
        modifier = _MODIFIER.fullmatch(term)
        if modifier is None:
            directives.append(_directive(term))
            continue
        name = modifier[1].lower()
        if name in ("redirect", "exp"):
            if name in modifiers:
                raise RecordError(f"{name} is there twice")
            modifiers[name] = _domain_spec(modifier[2])
        else:
            _checked(modifier[2])
    return Record(tuple(directives), modifiers.get("redirect"), modifiers.get("exp"))


def _directive(term: str) -> Directive:
    match = _MECHANISM.fullmatch(term)
    if match is None:
        raise RecordError(f"{term[:100]!r} is no term")
    result, name, rest = _RESULTS[match[1]], match[2].lower(), match[3]
    # RFC 7208 §5
    if name == "all" and not rest:
        return Directive(result, name)
    if name in ("include", "exists") and rest.startswith(":"):
        return Directive(result, name, _domain_spec(rest[1:]))
    if name == "ptr" and (not rest or rest.startswith(":")):
        return Directive(result, name, _domain_spec(rest[1:]) if rest else None)
    if name in ("ip4", "ip6") and rest.startswith(":"):
        return Directive(result, name, network=_network(name, rest[1:]))
    if name in ("a", "mx") and (not rest or rest[0] in ":/"):
        spec, prefix4, prefix6 = _cidr(rest)
        domain = _domain_spec(spec[1:]) if spec else None
        return Directive(result, name, domain, prefix4, prefix6)
    raise RecordError(f"{term[:100]!r} is no mechanism")


def _cidr(rest: str) -> tuple[str, int, int]:
    """What comes before the lengths of prefixes, and those."""
    match = _CIDR.search(rest)
    assert match is not None  # it fits nothing at the end
    prefix4 = 32 if match[1] is None else int(match[1])
    prefix6 = 128 if match[2] is None else int(match[2])
    if prefix4 > 32 or prefix6 > 128:
        raise RecordError(f"{rest[:100]!r} has too long a prefix")
    return rest[: match.start()], prefix4, prefix6


def _network(name: str, text: str) -> IPv4Network | IPv6Network:
    address, slash, prefix = text.partition("/")
    if "%" in address or (slash and not re.fullmatch("0|[1-9][0-9]{0,2}", prefix, re.ASCII)):
        raise RecordError(f"{text[:100]!r} is no network")
    try:
        return (IPv4Network if name == "ip4" else IPv6Network)(text, strict=False)
    except ValueError:
        raise RecordError(f"{text[:100]!r} is no network") from None


def _domain_spec(text: str) -> str:
    if not _ends_well(_checked(text)) or _ONLY_TO_EXPLAIN.search(text):
        raise RecordError(f"{text[:100]!r} is no domain")
    return text


def _ends_well(text: str) -> bool:
    """Does a domain-spec end in a macro, or in a top label (RFC 7208 §7.1)?"""
    if _MACRO_AT_END.search(text):
        return True
    _, dot, label = text.removesuffix(".").rpartition(".")
    return bool(dot) and _LABEL.fullmatch(label) is not None and not label.isdecimal()


def _checked(text: str) -> str:
    """`text`, which must be a macro-string (RFC 7208 §7.1)."""
    if not _TEXT.fullmatch(text) or _UNKNOWN.search(text) or _ZERO.search(text):
        raise RecordError(f"{text[:100]!r} has no macros that are known")
    return text
