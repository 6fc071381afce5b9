"""Command lines (RFC 5321 §4.1.1) and what they carry.

Everything here takes text and returns values, or raises `CommandError`, which
holds the reply that the peer gets.
"""

import re
from collections.abc import Mapping

from attrs import frozen

from mailhive.model.paths import PathError, is_domain, parse_path
from mailhive.model.xtext import ascii_utf8_xtext
from mailhive.smtp import replies
from mailhive.smtp.replies import SmtpReply, peer_error

__all__ = [
    "DSN_MAIL_PARAMETERS",
    "DSN_RCPT_PARAMETERS",
    "MAIL_PARAMETERS",
    "SUBMISSION_MAIL_PARAMETERS",
    "TLS_MAIL_PARAMETERS",
    "BdatCommand",
    "CommandError",
    "Parameters",
    "PathCommand",
    "decode_line",
    "parse_bdat",
    "parse_hello",
    "parse_mail",
    "parse_rcpt",
]

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# RFC 5321 §4.1.2: esmtp-param = esmtp-keyword ["=" esmtp-value]; RFC 6531 §3.3 lets the
# value be UTF-8.
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([^\x00-\x20=\x7f]+))?")
_SIZE = re.compile(r"[0-9]{1,20}", re.ASCII)  # RFC 1870 §4
_BDAT = re.compile(r"([0-9]{1,20})(?: +(LAST))?", re.ASCII | re.IGNORECASE)


#: Parameters to the form of their value, None for those that take none.
Parameters = Mapping[str, re.Pattern[str] | None]


class CommandError(Exception):
    """A command that cannot be carried out as it was written."""

    def __init__(self, reply: SmtpReply) -> None:
        super().__init__(str(reply))
        self.reply = reply


@frozen
class PathCommand:
    """MAIL or RCPT: an address, and ESMTP parameters by upper-case keyword."""

    address: str
    parameters: dict[str, str | None]


@frozen
class BdatCommand:
    """BDAT (RFC 3030 §2): the octets that follow, and whether they are the last."""

    size: int
    last: bool


def decode_line(line: bytes) -> tuple[str, str]:
    """Split a line, its CRLF taken off, into upper-case verb and argument."""
    try:
        # RFC 5321 §4.1.1: receivers SHOULD tolerate trailing white space.
        text = line.decode("utf-8").rstrip(" \t")
    except UnicodeDecodeError:
        raise CommandError(replies.NOT_UTF8) from None
    if _CONTROL.search(text):
        raise CommandError(replies.CONTROL_CHARACTER)
    verb, _, argument = text.partition(" ")
    return verb.upper(), argument.strip(" ")


def parse_hello(argument: str) -> str:
    """The name a client gives itself with EHLO or HELO (RFC 5321 §4.1.1.1)."""
    # The name is not checked against the client's address: RFC 5321 §4.1.4
    # forbids refusing mail for that.
    if not is_domain(argument):
        raise CommandError(
            peer_error(501, "5.5.4", "EHLO and HELO take a domain name or an address literal")
        )
    return argument


def parse_mail(argument: str, known: Parameters, size_limit: int | None) -> PathCommand:
    """MAIL FROM:<reverse-path> with parameters that are `known` (RFC 5321 §4.1.1.2)."""
    address, rest = _path(argument, "FROM:", "5.1.7")
    if address and "@" not in address:
        raise CommandError(peer_error(501, "5.1.7", "Sender address has no domain"))
    parameters = _parameters(rest, known)
    # RFC 6531 §3.4: a non-ASCII address only with the SMTPUTF8 parameter.
    if not address.isascii() and "SMTPUTF8" not in parameters:
        raise CommandError(_NON_ASCII_ADDRESS)
    size = parameters.get("SIZE")
    # RFC 1870 §6.1: refused on its declared size, before any content is sent.
    if size is not None and size_limit is not None and int(size) > size_limit:
        raise CommandError(replies.MESSAGE_TOO_BIG)
    return PathCommand(address, parameters)


def parse_rcpt(argument: str, known: Parameters, utf8: bool, hostname: str) -> PathCommand:
    """RCPT TO:<forward-path> (RFC 5321 §4.1.1.3).  `utf8`: MAIL had SMTPUTF8."""
    address, rest = _path(argument, "TO:", "5.1.3")
    if "@" not in address:
        # RFC 5321 §4.1.1.3, §4.5.1: only postmaster needs no domain.
        if address.lower() != "postmaster":
            raise CommandError(peer_error(501, "5.1.3", "Recipient address has no domain"))
        address = f"{address}@{hostname}"
    if not address.isascii() and not utf8:
        raise CommandError(_NON_ASCII_ADDRESS)
    parameters = _parameters(rest, known)
    original = parameters.get("ORCPT")
    if original is not None and not original.isascii():
        if not utf8:
            raise CommandError(_bad_value("ORCPT"))
        parameters["ORCPT"] = ascii_utf8_xtext(original)  # as servers without SMTPUTF8 take it
    return PathCommand(address, parameters)


def parse_bdat(argument: str) -> BdatCommand:
    """BDAT chunk-size [LAST] (RFC 3030 §2)."""
    match = _BDAT.fullmatch(argument)
    if match is None:
        raise CommandError(peer_error(501, "5.5.4", "Syntax: BDAT size [LAST]"))
    return BdatCommand(int(match[1]), match[2] is not None)


def _path(argument: str, keyword: str, enhanced: str) -> tuple[str, str]:
    """The address after `FROM:` or `TO:`, and the parameters behind it."""
    if argument[: len(keyword)].upper() != keyword:
        raise CommandError(peer_error(501, "5.5.4", f"Syntax: {keyword}<address> [parameters]"))
    try:
        # Deviation from RFC 5321 §3.3: a space after the colon is let through,
        # as clients in daily use send one.
        address, rest = parse_path(argument[len(keyword) :].lstrip(" "))
    except PathError as error:
        raise CommandError(peer_error(501, enhanced, f"Bad address: {error}")) from None
    if rest and not rest.startswith(" "):
        raise CommandError(peer_error(501, "5.5.4", "Unexpected text behind the address"))
    return address, rest


def _parameters(text: str, known: Parameters) -> dict[str, str | None]:
    parameters: dict[str, str | None] = {}
    for word in text.split():
        match = _PARAMETER.fullmatch(word)
        if match is None:
            raise CommandError(peer_error(501, "5.5.4", "Bad parameter syntax"))
        keyword, value = match[1].upper(), match[2]
        if keyword not in known:
            # RFC 5321 §4.1.1.11
            raise CommandError(peer_error(555, "5.5.4", f"Parameter {keyword} not recognized"))
        if keyword in parameters:
            raise CommandError(peer_error(501, "5.5.4", f"Parameter {keyword} given twice"))
        pattern = known[keyword]
        if not (value is None if pattern is None else value and pattern.fullmatch(value)):
            raise CommandError(_bad_value(keyword))
        parameters[keyword] = value
    return parameters


def _bad_value(keyword: str) -> SmtpReply:
    return peer_error(501, "5.5.4", f"Bad value of parameter {keyword}")


MAIL_PARAMETERS: Parameters = {
    "SIZE": _SIZE,
    "BODY": re.compile("7BIT|8BITMIME", re.IGNORECASE),  # RFC 6152 §2
    "SMTPUTF8": None,  # RFC 6531 §3.4
}
TLS_MAIL_PARAMETERS: Parameters = {"REQUIRETLS": None}  # RFC 8689 §2
_XTEXT = r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+"  # RFC 3461 §4
DSN_MAIL_PARAMETERS: Parameters = {
    "RET": re.compile("FULL|HDRS", re.IGNORECASE),  # RFC 3461 §4.3
    "ENVID": re.compile(rf"(?=.{{1,100}}\Z){_XTEXT}"),  # RFC 3461 §4.4
}
SUBMISSION_MAIL_PARAMETERS: Parameters = {
    "AUTH": re.compile(rf"<>|{_XTEXT}"),  # RFC 4954 §5
    "HOLDFOR": re.compile(r"[1-9][0-9]{0,8}", re.ASCII),  # RFC 4865 §5
    "HOLDUNTIL": re.compile(r"[0-9TtZz:+.-]{20,40}", re.ASCII),
}
DSN_RCPT_PARAMETERS: Parameters = {
    # RFC 3461 §4.1, §4.2
    "NOTIFY": re.compile(
        "NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY)){0,2}", re.IGNORECASE
    ),
    # RFC 6533 §3: of the type utf-8 in UTF-8 as well, with SMTPUTF8.
    "ORCPT": re.compile(
        rf"[A-Za-z0-9-]{{1,40}};{_XTEXT}|(?i:utf-8);(?:[!-*,-<>-~]|\+[0-9A-F]{{2}}|[^\x00-\x7f])+"
    ),
}

# RFC 6531 §3.5
_NON_ASCII_ADDRESS = peer_error(553, "5.6.7", "Non-ASCII addresses need the SMTPUTF8 parameter")
