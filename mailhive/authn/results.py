"""The Authentication-Results field: written, and taken from those who feign it (RFC 8601)."""

import re
from collections.abc import Iterable

from attrs import field, frozen

from mailhive.model.addresses import canonical_domain

__all__ = ["Result", "authentication_results", "claims_to_be", "without_claims"]

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]+", re.ASCII)  # RFC 2045 §5.1
_ADDRESS = re.compile(r"(?:[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]*@)?[A-Za-z0-9._-]+", re.ASCII)
# A lone CR ends a line for some who read it.
_LINE = rb"[^\r\n]*(?:\r\n|\n|\r|\Z)"
_FIELD = re.compile(_LINE + rb"(?:[ \t]" + _LINE + rb")*")
_NAME = re.compile(rb"authentication-results[ \t]*:", re.IGNORECASE)
_LONGEST = 300  # characters of a value
_LINE_LENGTH = 78  # RFC 5322 §2.1.1


@frozen
class Result:
    """One result: `Result("spf", "pass", {"smtp.mailfrom": "example.org"})`.

    `properties` are by their type and name (RFC 8601 §2.3); `reason` is for people.
    """

    method: str
    result: str
    properties: dict[str, str] = field(factory=dict)
    reason: str = ""


def authentication_results(server: str, results: Iterable[Result]) -> bytes:
    """The whole field, with its line end; `server` is who says so (RFC 8601 §2.2)."""
    said = [_said(result) for result in results] or ["none"]
    folded = ";\r\n\t".join([f"Authentication-Results: {_value(server)}", *said])
    return f"{folded}\r\n".encode()


def claims_to_be(body: bytes, servers: Iterable[str]) -> bool:
    """Does a field with this body claim to be from one of our servers, or does nobody know?"""
    # RFC 8601 §5
    server = _server(body.decode("utf-8", "replace"))
    return server is None or _folded(server) in {_folded(name) for name in servers}


def without_claims(header: bytes, servers: Iterable[str]) -> bytes:
    """A header section without the fields that claim to be from one of our servers."""
    ours = tuple(servers)

    def kept(match: re.Match[bytes]) -> bytes:
        name = _NAME.match(match[0])
        return b"" if name and claims_to_be(match[0][name.end() :], ours) else match[0]

    return _FIELD.sub(kept, header)


def _said(result: Result) -> str:
    parts = [f"{result.method}={result.result}"]
    if result.reason:
        parts.append(f"reason={_quoted(result.reason)}")
    parts += [f"{name}={_value(value)}" for name, value in result.properties.items()]
    line = " ".join(parts)
    return line if len(line) < _LINE_LENGTH else "\r\n\t ".join(parts)


def _value(text: str) -> str:
    """As a token or an address, else as a quoted string."""
    is_bare = _TOKEN.fullmatch(text) or _ADDRESS.fullmatch(text)
    return text if is_bare and len(text) <= _LONGEST else _quoted(text)


def _quoted(text: str) -> str:
    # RFC 5322 §3.2.4; what comes from outside may have anything in it
    clean = "".join(character if character.isprintable() else "?" for character in text[:_LONGEST])
    return '"' + clean.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _server(body: str) -> str | None:
    """The authserv-id that a field begins with, None if it has none."""
    at = _skip(body, 0)
    if at is None:
        return None
    if body[at : at + 1] == '"':
        match = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL).match(body, at)
        return re.sub(r"\\(.)", r"\1", match[1]) if match else None
    match = re.compile(r"[^\s;()\"]+").match(body, at)
    return match[0] if match else None


def _skip(body: str, at: int) -> int | None:
    """Where white space and comments (RFC 5322 §3.2.2) end; None if a comment does not."""
    depth = 0
    while at < len(body):
        character = body[at]
        if character == "(":
            depth += 1
        elif character == ")" and depth:
            depth -= 1
        elif character == "\\" and depth:
            at += 1
        elif not depth and not character.isspace():
            return at
        at += 1
    return None


def _folded(server: str) -> str:
    name = server.rstrip(".")
    return canonical_domain(name) or name.casefold()
