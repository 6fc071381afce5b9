"""What systemd is told of the daemon's state (sd_notify(3))."""

import os
import socket
from collections.abc import Mapping
from time import monotonic_ns

__all__ = ["notify"]


def notify(state: str, environ: Mapping[str, str] = os.environ) -> None:
    """Send `state`, such as `READY=1`, if a service manager listens; else do nothing."""
    address = environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return
    if state == "RELOADING=1":
        state += f"\nMONOTONIC_USEC={monotonic_ns() // 1000}"
    if address[0] == "@":  # an abstract socket
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        try:
            sender.connect(address)
            sender.sendall(state.encode())
        except OSError:  # nobody is listening any more
            pass
