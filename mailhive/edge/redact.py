"""What a wiretap must not show: whatever lets somebody in.

Names decide: of header fields, of variables in a URL and of JSON members.  Rather too
much is hidden than too little.
"""

import json
import re
from collections.abc import Iterator
from urllib.parse import unquote_plus

__all__ = ["REDACTED", "is_secret", "redact_json", "redact_target"]

REDACTED = "[redacted]"

#: Whoever knows the `url` of a PushSubscription may push to it.
_SECRET = re.compile(
    "auth|cookie|credential|key$|keys$|p256dh|passw|secret|signature|ticket|token|verificationcode"
    "|^url$",
    re.IGNORECASE,
)
#: A string, which the end may cut, or what stands between values.
_JSON_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)(?:"|\\?\Z)|[{}\[\]:,]', re.DOTALL)


def is_secret(name: str) -> bool:
    """Does something of this name let somebody in?"""
    return _SECRET.search(name) is not None


def redact_target(target: str) -> str:
    """A path or URL, without the secrets in its query."""
    path, mark, query = target.partition("?")
    return path + mark + "&".join(map(_variable, query.split("&")))


def _variable(pair: str) -> str:
    name, mark, _ = pair.partition("=")
    return f"{name}={REDACTED}" if mark and is_secret(unquote_plus(name)) else pair


def redact_json(text: str) -> str:
    """JSON without the values of secret members; also where it was cut, or is none at all."""
    shown: list[str] = []
    start, name = 0, None
    tokens = _JSON_TOKEN.finditer(text)
    for token in tokens:
        if token[1] is not None:
            name = token[0]
            continue
        if token[0] == ":" and name is not None and is_secret(_plain(name)):
            shown += [text[start : token.end()], f' "{REDACTED}"']
            start = _end_of_value(tokens, len(text))
        name = None
    return "".join([*shown, text[start:]])


def _end_of_value(tokens: Iterator[re.Match[str]], end: int) -> int:
    """Where the value ends whose first token comes next, at the latest at `end`."""
    depth = 0
    for token in tokens:
        first = token[0][0]
        if first in "{[":
            depth += 1
        elif first in "}]":
            if depth == 0:  # a number, and the end of what holds it
                return token.start()
            depth -= 1
        if depth == 0 and first != ":":
            return token.start() if first == "," else token.end()
    return end


def _plain(name: str) -> str:
    """A name without its escapes, which could hide it."""
    try:
        return str(json.loads(name, strict=False))
    except ValueError:
        return name
