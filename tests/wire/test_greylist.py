"""Greylisting by a complete daemon, which is stopped before the sender comes back."""

import smtplib
import time
from pathlib import Path

from mailhive.testing.process import DaemonProcess

KEYS = {'server.listener."smtp"': "greylist = true\ntrusted-networks = []"}
EXTRA = '[greylist]\ndelay = "1s"\n'


def code(server: DaemonProcess, sender: str) -> int:
    """What the recipient is answered with."""
    with smtplib.SMTP("127.0.0.1", server.smtp_port) as smtp:
        smtp.ehlo("mx.far.example")
        smtp.mail(sender)
        return smtp.rcpt("alice@example.org")[0]


def test_who_comes_back_is_let_in(tmp_path: Path) -> None:
    server = DaemonProcess(tmp_path, keys=KEYS, extra=EXTRA)
    with server:
        assert code(server, "a@far.example") == 451
    with server:
        while code(server, "a@far.example") == 451:
            time.sleep(0.1)
        assert code(server, "a@far.example") == 250
        assert code(server, "b@far.example") == 451
