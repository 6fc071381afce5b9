"""What the wiretap of SMTP tells, and what it never does."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import globalLogPublisher

from mailhive.edge.excerpt import SHOWN
from mailhive.smtp.wiretap import Tap

SECRET = base64.b64encode(b"\0alice\0wonderland")


class Told:
    """What is told while it is there."""

    def __enter__(self):
        self.events = []
        globalLogPublisher.addObserver(self._observe)
        return self

    def __exit__(self, *_):
        globalLogPublisher.removeObserver(self._observe)

    def _observe(self, event):
        if event.get("log_namespace") == "mailhive.wiretap":
            self.events.append(event)

    @property
    def dump(self):
        return "\n".join(f"{event['direction']} {event['dump']}" for event in self.events)


def tap():
    return Tap("mx", "192.0.2.1", "c1")


def test_lines_of_both_sides():
    with Told() as told:
        wire = tap()
        wire.sent(b"220 mx.example\r\n")
        wire.received(b"EHLO cli")
        wire.received(b"ent.example\r\nMAIL FROM:<")
        wire.sent(b"250-mx.example\r\n250 SIZE\r\n")
        wire.received(b"a@example.org>\r\n")
    assert told.dump == (
        "< 220 mx.example\n> EHLO client.example\n< 250-mx.example\n250 SIZE\n"
        "> MAIL FROM:<a@example.org>"
    )
    assert told.events[0]["peer"] == "192.0.2.1"


def test_only_the_beginning_of_a_message():
    with Told() as told:
        wire = tap()
        wire.received(b"DATA\r\n")
        wire.sent(b"354 go\r\n")
        for _ in range(100):
            wire.received(b"x" * 998 + b"\r\n")
        wire.received(b".\r\nQUI")
        wire.sent(b"250 ok\r\n")
        wire.received(b"T\r\nRSET\r\n")
        wire.ended()
    assert len(told.dump) < SHOWN + 1000
    assert f"[{100 * 1000 + 6 - SHOWN} octets more]\n< 250 ok\n> RSET" in told.dump


LINES = st.sampled_from(
    [b"AUTH PLAIN " + SECRET, b"auth plain\t" + SECRET, b"AUTH LOGIN\r\n" + SECRET,
     b"AUTH PLAIN\r\n" + SECRET + b"\r\n" + SECRET, b"EHLO a", b"RSET", b"x" * 5000, b"NOOP",
     b"AUTH X " + SECRET * 400]
)  # fmt: skip


@given(st.lists(LINES, max_size=12), st.lists(st.integers(1, 3000), max_size=40), st.data())
def test_a_password_is_never_told_however_it_comes(lines, sizes, data):
    stream = b"".join(line + b"\r\n" for line in lines)
    with Told() as told:
        wire = tap()
        for size in [*sizes, len(stream) + 1]:
            piece, stream = stream[:size], stream[size:]
            wire.received(piece)
            if data.draw(st.booleans()):
                wire.sent(data.draw(st.sampled_from([b"250 ok\r\n", b"334 \r\n", b"503 no\r\n"])))
        wire.ended()
    assert SECRET.decode()[4:] not in told.dump
    assert all(len(event["dump"]) <= SHOWN + 100 for event in told.events)


@pytest.mark.parametrize("reply", [b"235 welcome\r\n", b"535 no\r\n", b"503 no\r\n"])
def test_what_follows_a_login_is_told(reply):
    with Told() as told:
        wire = tap()
        wire.received(b"AUTH LOGIN\r\n")
        wire.sent(b"334 VXNlcm5hbWU6\r\n")
        wire.received(b"YWxpY2U=\r\n")
        wire.sent(b"334 UGFzc3dvcmQ6\r\n")
        wire.received(SECRET + b"\r\n")
        wire.sent(reply)
        wire.received(b"MAIL FROM:<>\r\n")
    assert told.dump.splitlines() == [
        "> AUTH LOGIN", "< 334 VXNlcm5hbWU6", "> [redacted]", "< 334 UGFzc3dvcmQ6", "> [redacted]",
        f"< {reply.decode().strip()}", "> MAIL FROM:<>",
    ]  # fmt: skip
