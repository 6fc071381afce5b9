"""Listening sockets: opened here, or inherited from systemd.

They are opened before twistd goes into the background and gives up root, so that
a port below 1024 can be had and a mistake is seen where the command was typed.
"""

import errno
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.endpoints import serverFromString

from mailhive.config.endpoints import Inherited, SocketAddress
from mailhive.errors import MailhiveError

__all__ = ["ListenError", "open_sockets"]

_BACKLOG = 1024  # the kernel lowers it to net.core.somaxconn


class ListenError(MailhiveError):
    """Some addresses cannot be listened on; one line says why for each."""


def open_sockets(
    binds: Mapping[str, Sequence[SocketAddress | Inherited]], reactor: Any
) -> dict[str, list[socket.socket]]:
    """Listening, non-blocking sockets for the addresses of each listener, by its name.

    All or none: `ListenError` tells of every address that cannot be had.
    `[::]:port` accepts IPv4 as well, unless an IPv4 address wants the same port.
    """
    taken = {
        a.port for b in binds.values() for a in b if isinstance(a, SocketAddress) and not a.is_ipv6
    }
    opened: dict[str, list[socket.socket]] = {name: [] for name in binds}
    problems = []
    for name, addresses in binds.items():
        for address in addresses:
            try:
                if isinstance(address, Inherited):
                    opened[name].append(_inherited(address, reactor))
                else:
                    opened[name].append(_listen(address, ipv6_only=address.port in taken))
            except (OSError, LookupError) as error:
                problems.append(f'listener "{name}": cannot listen on {address}: {_why(error)}')
    if problems:
        for sock in (sock for sockets in opened.values() for sock in sockets):
            sock.close()
        raise ListenError("\n".join(problems))
    return opened


def _listen(address: SocketAddress, *, ipv6_only: bool) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if address.is_ipv6 else socket.AF_INET)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address.is_ipv6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, ipv6_only)
        sock.bind((address.host, address.port))
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _inherited(address: Inherited, reactor: Any) -> socket.socket:
    by = "index" if address.name.isdecimal() else "name"
    # Twisted takes the environment's word at import; the family is then asked of the socket.
    endpoint: Any = serverFromString(reactor, f"systemd:domain=INET:{by}={address.name}")
    sock = socket.socket(fileno=os.dup(endpoint.fileno))
    sock.setblocking(False)
    return sock


def _why(error: OSError | LookupError) -> str:
    if isinstance(error, LookupError):
        return "systemd passed no such socket"
    if error.errno == errno.EACCES:
        return "Permission denied; ports below 1024 are for root and CAP_NET_BIND_SERVICE"
    return error.strerror or str(error)
