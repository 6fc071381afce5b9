"""Whose request it is that a proxy passes on: X-Forwarded-For, Forwarded (RFC 7239), X-Real-IP.

Anybody can send such fields, so they are believed from trusted proxies only.  The two
that are lists grow at their end with each proxy; they are read from there, for as long as
the address that is found is a trusted proxy's too.  The first that is not is the client's.
What lies before it the client may have made up.

A proxy sets the field it was told to and lets others pass, from whoever sent them.  So
when several are there and do not agree, none is believed.
"""

import re
from collections.abc import Callable, Sequence

from attrs import field, frozen

from mailhive.model.networks import Networks, parse_address

__all__ = ["FIELDS", "Proxies"]

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
#: Some send addresses with colons without the quotes that they need.
_VALUE = r"""([!#$%&'*+.^_`|~0-9A-Za-z:\[\]-]+)|"((?:[^"\\]|\\.)*)\""""
_PAIR = re.compile(rf"[ \t]*({_WORD})=(?:{_VALUE})[ \t]*([;,]|$)")
_PORT = re.compile(r"\[([^\[\]]+)\](?::\d{1,5})?|([^:]+):\d{1,5}")


@frozen
class Proxies:
    """Which peers are believed, and what they say it with: names out of `FIELDS`."""

    trusted: Networks = field(factory=Networks)
    fields: tuple[str, ...] = ("X-Forwarded-For", "Forwarded", "X-Real-IP")

    def is_trusted(self, address: str) -> bool:
        """Is this the address of a trusted proxy?"""
        return bool(self.trusted) and self.trusted.contains(address)

    def client(self, peer: str, header: Callable[[bytes], str | None]) -> str:
        """The address of who sent a request that came from `peer`.

        `header(name)` is the value of a field, repeated ones joined by commas.
        """
        if not self.is_trusted(peer):
            return peer
        told = {
            self._last(FIELDS[name](value), peer)
            for name in self.fields
            if (value := header(name.lower().encode()))
        }
        return told.pop() if len(told) == 1 else peer

    def _last(self, addresses: Sequence[str], peer: str) -> str:
        """The nearest address that is no proxy's; the farthest proxy if what is before is none."""
        for text in reversed(addresses):
            address = parse_address(_without_port(text.strip()))
            if address is None:
                return peer
            peer = str(address)
            if not self.trusted.contains(address):
                return peer
        return peer


def _forwarded(value: str) -> list[str]:
    """The `for` of each element of a Forwarded field (RFC 7239 §4); "" where there is none."""
    found, node, position = [], "", 0
    while position < len(value):
        match = _PAIR.match(value, position)
        if match is None:  # malformed: what is behind it cannot be told apart
            return [""]
        if match[1].lower() == "for":
            node = match[2] if match[3] is None else re.sub(r"\\(.)", r"\1", match[3])
        if match[4] != ";":
            found.append(node)
            node = ""
        position = match.end()
    return found


def _without_port(node: str) -> str:
    """The address of a node (RFC 7239 §6), which may have a port."""
    match = _PORT.fullmatch(node)
    return node if match is None else match[1] or match[2]


#: The fields by name, and what takes the addresses out of their values.
FIELDS: dict[str, Callable[[str], list[str]]] = {
    "X-Forwarded-For": lambda value: value.split(","),
    "Forwarded": _forwarded,
    "X-Real-IP": lambda value: [value],
}
