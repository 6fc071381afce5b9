"""LMTP (RFC 2033) in the machine, and by smtplib to a real store."""

import smtplib

import pytest_twisted
from twisted.internet.threads import deferToThread

from mailhive.model.principal import Principal
from mailhive.smtp import replies
from mailhive.smtp.listener import LMTP
from mailhive.smtp.wire import Profile
from mailhive.testing.smtp_machine import codes, owner

HELLO = b"LHLO c.example\r\n"
OPEN = HELLO + b"MAIL FROM:<a@c.example>\r\n"
TWO = b"RCPT TO:<b@mx.example>\r\nRCPT TO:<no@mx.example>\r\nRCPT TO:<c@mx.example>\r\n"


def lmtp(**profile):
    return owner(Profile("mx.example", lmtp=True, **profile))


def test_greetings():
    assert codes(lmtp().feed(b"EHLO c.example\r\n", b"HELO c.example\r\n", HELLO)) == [
        500,
        500,
        250,
    ]
    assert codes(owner().feed(HELLO)) == [500]
    assert "LHLO" in lmtp().feed(b"HELP\r\n")[0] and "EHLO" not in lmtp().feed(b"HELP\r\n")[0]


def test_one_reply_for_each_recipient():
    server = lmtp()
    server.feed(OPEN, TWO)
    server.final = (replies.MESSAGE_ACCEPTED, replies.server_error("disk"))
    assert codes(server.feed(b"DATA\r\n", b"x\r\n.\r\n")) == [354, 250, 451]
    (start, content, reply) = server.messages[0]
    assert start.protocol == "LMTP" and content == b"x\r\n" and reply.code == 451
    # A fault of the message is told to each of them.
    server = lmtp(size_limit=10)
    server.feed(OPEN, TWO)
    assert codes(server.feed(b"DATA\r\n", b"x" * 20 + b"\r\n.\r\n")) == [354, 552, 552]


def test_chunks():
    server = lmtp()
    server.feed(OPEN, TWO)
    server.final = (replies.MESSAGE_ACCEPTED, replies.MESSAGE_ACCEPTED)
    assert codes(server.feed(b"BDAT 3\r\nx\r\n", b"BDAT 0 LAST\r\n")) == [250, 250, 250]
    server = lmtp(size_limit=2)
    server.feed(OPEN, TWO)
    assert codes(server.feed(b"BDAT 3\r\nx\r\n", b"BDAT 0 LAST\r\n")) == [552, 503]


def test_nobody():
    server = lmtp()
    server.feed(OPEN, b"RCPT TO:<no@mx.example>\r\n")
    assert codes(server.feed(b"DATA\r\n")) == [554]


@pytest_twisted.ensureDeferred
async def test_who_has_no_room_keeps_nobody_else_from_theirs(stores, new_lmtp):
    await stores.user(Principal("alice", emails=("alice@example.org",)))
    await stores.user(Principal("bob", emails=("bob@example.org",), quota=700))
    port = new_lmtp()

    def send():
        with smtplib.LMTP("127.0.0.1", port) as client:
            client.ehlo_or_helo_if_needed()
            client.mail("x@far.example")
            for name in ("bob", "alice"):
                client.rcpt(f"{name}@example.org")
            client.putcmd("data")
            assert client.getreply()[0] == 354
            client.send(b"Subject: x\r\n\r\n" + b"x" * 800 + b"\r\n.\r\n")
            return [client.getreply()[0] for _ in range(2)]

    assert await deferToThread(send) == [452, 250]


def test_it_is_a_protocol_of_listeners():
    assert LMTP.settings().max_recipients == 1000
