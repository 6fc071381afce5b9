"""Paths: the grammar of RFC 5321 §4.1.2 with its extension by RFC 6531 §3.3.

    Reverse-path  = Path / "<>"
    Forward-path  = Path / "<Postmaster>"
    Path          = "<" [ A-d-l ":" ] Mailbox ">"
    Mailbox       = Local-part "@" ( Domain / address-literal )
    Local-part    = Dot-string / Quoted-string

RFC 6531 adds every non-ASCII character to atext, qtextSMTP and sub-domain.  The
address of a path is kept as it was written, except that a quoted local part
that needs no quotes loses them and a needless backslash goes (RFC 5321 §4.1.2:
the forms are equivalent), and that a source route is dropped (RFC 5321 §3.6.1).
"""

import ipaddress
import re

__all__ = ["PathError", "is_domain", "is_mailbox", "parse_path"]

_NON_ASCII = "\u00a0-\u2027\u202a-\ud7ff\ue000-\U0010ffff"  # without controls and separators
_ATEXT = rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~\-{_NON_ASCII}]"
# Deviation from RFC 5321 §4.1.2: an underscore in a domain is let through, as
# names with one are in daily use for hosts that send mail.
_LABEL = rf"[A-Za-z0-9_{_NON_ASCII}](?:[A-Za-z0-9_\-{_NON_ASCII}]*[A-Za-z0-9_{_NON_ASCII}])?"
_DOT_STRING = re.compile(rf"{_ATEXT}+(?:\.{_ATEXT}+)*")
_QUOTED_STRING = re.compile(rf'"((?:[\x20\x21\x23-\x5b\x5d-\x7e{_NON_ASCII}]|\\[\x20-\x7e])*)"')
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_LITERAL = re.compile(r"\[([\x21-\x5a\x5e-\x7e]+)\]")
_ROUTE = re.compile(rf"@{_DOMAIN.pattern}(?:,@{_DOMAIN.pattern})*:")
_GENERAL_LITERAL = re.compile(r"[A-Za-z0-9-]*[A-Za-z0-9]:[\x21-\x5a\x5e-\x7e]+")

_DOMAIN_LIMIT = 255  # octets, RFC 5321 §4.5.3.1.2


class PathError(ValueError):
    """Not a path."""


def parse_path(text: str) -> tuple[str, str]:
    """Split `text` into the address of the path it starts with and what follows.

    The address is "" for `<>`, and has no `@` only for a lone local part, which
    the caller allows for postmaster alone.  `PathError` if there is no path.
    """
    if not text.startswith("<"):
        raise PathError("a path is enclosed in angle brackets")
    if text.startswith("<>"):
        return "", text[2:]
    position = 1
    if route := _ROUTE.match(text, position):
        position = route.end()  # RFC 5321 §4.1.1.3: MAY be ignored
    local, position = _local_part(text, position)
    if text.startswith(">", position):
        return local, text[position + 1 :]
    if not text.startswith("@", position):
        raise PathError("no domain")
    domain, position = _domain(text, position + 1)
    if not text.startswith(">", position):
        raise PathError("no closing angle bracket")
    return f"{local}@{domain}", text[position + 1 :]


def is_domain(text: str) -> bool:
    """Is `text` an ASCII Domain or address-literal, as EHLO takes one?"""
    try:
        _, end = _domain(text, 0)
    except PathError:
        return False
    return end == len(text) and text.isascii()


def is_mailbox(text: str) -> bool:
    """Is `text` the Mailbox of a path, as it stands between its angle brackets?"""
    try:
        address, rest = parse_path(f"<{text}>")
    except PathError:
        return False
    return "@" in address and not rest and not text.startswith("@")


def _local_part(text: str, position: int) -> tuple[str, int]:
    if match := _DOT_STRING.match(text, position):
        return match[0], match.end()
    if match := _QUOTED_STRING.match(text, position):
        content = re.sub(r"\\(.)", r"\1", match[1])
        if not content:
            raise PathError("empty local part")
        if _DOT_STRING.fullmatch(content):
            return content, match.end()
        return '"' + re.sub(r'(["\\])', r"\\\1", content) + '"', match.end()
    raise PathError("bad local part")


def _domain(text: str, position: int) -> tuple[str, int]:
    if match := _LITERAL.match(text, position):
        _check_literal(match[1])
        return match[0], match.end()
    match = _DOMAIN.match(text, position)
    if match is None or len(match[0].encode()) > _DOMAIN_LIMIT:
        raise PathError("bad domain")
    return match[0], match.end()


def _check_literal(literal: str) -> None:
    """RFC 5321 §4.1.3: an IPv4 address, `IPv6:` and an IPv6 address, or `tag:` and content."""
    try:
        if literal[:5].upper() == "IPV6:":
            if "%" in literal:
                raise ValueError  # a zone means something on its own host only
            ipaddress.IPv6Address(literal[5:])
        elif not _GENERAL_LITERAL.fullmatch(literal):
            ipaddress.IPv4Address(literal)
    except ValueError:
        raise PathError("bad address literal") from None
