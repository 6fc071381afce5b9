"""What systemd hears."""

import socket
import time
from pathlib import Path

from mailhive.systemd import notify


def test_notify(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        notify("READY=1", {"NOTIFY_SOCKET": path})
        assert receiver.recv(100) == b"READY=1"


def test_a_reload_has_a_time(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        before = time.monotonic_ns() // 1000
        notify("RELOADING=1", {"NOTIFY_SOCKET": path})
        state, _, since = receiver.recv(100).partition(b"\nMONOTONIC_USEC=")
        assert state == b"RELOADING=1"
        assert before <= int(since) <= time.monotonic_ns() // 1000


def test_notify_abstract_socket() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("")  # the system chooses a name in the abstract namespace
        name = receiver.getsockname().decode()
        notify("STOPPING=1", {"NOTIFY_SOCKET": "@" + name[1:]})
        assert receiver.recv(100) == b"STOPPING=1"


def test_nobody_listens(tmp_path: Path) -> None:
    notify("READY=1", {})
    notify("READY=1", {"NOTIFY_SOCKET": "tcp:no"})
    notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "none")})
