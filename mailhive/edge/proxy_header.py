"""The PROXY protocol (haproxy.org, proxy-protocol.txt), versions 1 and 2, without I/O.

A proxy that passes a connection on as it is begins it with a header that says whose it is.
Version 1 is a line of text, version 2 binary; a receiver tells them by the first octets.

What a header says besides the two addresses (TLVs of version 2) is skipped.  A header
without addresses of ours (`LOCAL`, `UNKNOWN`, another family) leaves the connection the
proxy's own, as of its health checks.
"""

import re
from ipaddress import IPv4Address, IPv6Address
from struct import Struct

from attrs import frozen

__all__ = ["MAX_HEADER", "ProxyHeader", "ProxyHeaderError", "parse"]

#: Octets of a header at most, its TLVs included.
MAX_HEADER = 4_096

_V1_START = b"PROXY "
_V1_MAX = 107  # with CRLF: the longest that the specification knows
_V1_TCP = re.compile(rb"TCP([46]) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) (\d{1,5}) (\d{1,5})")

_V2_START = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_HEAD = Struct("!BBH")  # version and command, family and transport, octets that follow
_LOCAL, _PROXY = 0x20, 0x21
_STREAM = 0x01
#: Family and transport: addresses and ports of source and destination, and the address type.
_V2_STREAMS = {
    0x11: (Struct("!4s4sHH"), IPv4Address),
    0x21: (Struct("!16s16sHH"), IPv6Address),
}


class ProxyHeaderError(ValueError):
    """The octets are no PROXY header."""


@frozen
class ProxyHeader:
    """A header of `length` octets; `source` is the client's address and port, if it says so."""

    length: int
    source: tuple[str, int] | None = None


def parse(data: bytes) -> ProxyHeader | None:
    """The header that `data` begins with; None if more of it is to come."""
    if _V1_START.startswith(data[: len(_V1_START)]):
        return _parse_v1(data)
    if _V2_START.startswith(data[: len(_V2_START)]):
        return _parse_v2(data)
    raise ProxyHeaderError("the connection does not begin with a PROXY header")


def _parse_v1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, _V1_MAX)
    if end < 0:
        if len(data) >= _V1_MAX:
            raise ProxyHeaderError("the line is too long")
        return None
    line, length = data[len(_V1_START) : end], end + 2
    if line == b"UNKNOWN" or line.startswith(b"UNKNOWN "):
        return ProxyHeader(length)
    match = _V1_TCP.fullmatch(line)
    if match is None:
        raise ProxyHeaderError("the line is malformed")
    kind = IPv4Address if match[1] == b"4" else IPv6Address
    try:
        source, _destination = kind(match[2].decode()), kind(match[3].decode())
    except ValueError:
        raise ProxyHeaderError("the line has a malformed address") from None
    ports = [int(port) for port in match.group(4, 5)]
    if max(ports) > 65_535:
        raise ProxyHeaderError("the line has a port that does not exist")
    return ProxyHeader(length, (str(source), ports[0]))


def _parse_v2(data: bytes) -> ProxyHeader | None:
    start = len(_V2_START) + _V2_HEAD.size
    if len(data) < start:
        return None
    command, family, rest = _V2_HEAD.unpack_from(data, len(_V2_START))
    if command not in (_LOCAL, _PROXY):
        raise ProxyHeaderError("version or command is not known")
    length = start + rest
    if length > MAX_HEADER:
        raise ProxyHeaderError("the header is too long")
    if len(data) < length:
        return None
    if command == _LOCAL or family not in _V2_STREAMS:
        if command == _PROXY and family & 0x0F not in (0, _STREAM):
            raise ProxyHeaderError("the transport is no stream")
        return ProxyHeader(length)
    layout, kind = _V2_STREAMS[family]
    if rest < layout.size:
        raise ProxyHeaderError("the addresses are cut")
    source, _, port, _ = layout.unpack_from(data, start)
    return ProxyHeader(length, (str(kind(source)), port))
