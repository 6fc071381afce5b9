"""Conversations with a scripted wire."""

from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

import pytest
from attrs import Factory, define

from mailhive.model.envelope import Envelope
from mailhive.smtp import client
from mailhive.smtp.answers import ReplyReader
from mailhive.smtp.client import Disconnected, Refused, Session, TlsFailed
from mailhive.smtp.replies import SmtpReply

ALL = "250-peer\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n250 SIZE 1000\r\n"
PLAIN = "250 peer\r\n"
GREETING = "220 peer ESMTP\r\n"


@define
class Wire:
    """Replies as they come; the connection ends after the last."""

    script: list[SmtpReply]
    sent: bytearray = Factory(bytearray)
    tls_works: bool = True

    def write(self, octets: bytes) -> None:
        self.sent += octets

    async def drained(self) -> None:
        pass

    async def reply(self, seconds: float) -> SmtpReply:
        if not self.script:
            raise Disconnected("Connection lost")
        return self.script.pop(0)

    async def start_tls(self) -> None:
        if not self.tls_works:
            raise Disconnected("bad certificate")

    def lines(self) -> list[str]:
        return self.sent.decode().split("\r\n")[:-1]


@define
class Text:
    octets: bytes = b"Subject: x\r\n\r\n.dot\r\n"

    @property
    def size(self) -> int:
        return len(self.octets)

    @property
    def is_8bit(self) -> bool:
        return not self.octets.isascii()

    @property
    def has_utf8_header(self) -> bool:
        return not self.octets.partition(b"\r\n\r\n")[0].isascii()

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self.octets


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Nothing here waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")


def wire_of(*replies: str) -> Wire:
    return Wire(ReplyReader().receive("".join(replies).encode()))


def session_of(*replies: str, hello: str = ALL) -> tuple[Wire, Session]:
    wire = wire_of(GREETING, hello, *replies)
    session = run(client.greet(wire, "us.example"))
    wire.sent.clear()
    return wire, session


def envelope(*recipients: str, **more: Any) -> Envelope:
    return Envelope("a@us.example", recipients or ("b@peer.example",), **more)


def codes(outcomes: Sequence[Any]) -> list[int]:
    return [outcome.code for outcome in outcomes]


def test_greeting() -> None:
    _, session = session_of()
    assert session.extensions["SIZE"] == "1000" and session.extensions["DSN"] == ""
    with pytest.raises(Refused, match="554"):
        run(client.greet(wire_of("554 Go away\r\n"), "us.example"))
    with pytest.raises(Disconnected):
        run(client.greet(wire_of(), "us.example"))


def test_helo_for_old_servers() -> None:
    wire = wire_of(GREETING, "502 What?\r\n", "250 hi\r\n")
    session = run(client.greet(wire, "us.example"))
    assert wire.lines() == ["EHLO us.example", "HELO us.example"]
    assert session.extensions == {}


def test_commands_go_together() -> None:
    wire, session = session_of("250 ok\r\n", "250 ok\r\n", "550 5.1.1 who\r\n", "354 go\r\n")
    wire.script += ReplyReader().receive(b"250 2.0.0 taken\r\n")
    outcomes = run(client.transfer(session, envelope("b@peer.example", "c@peer.example"), Text()))
    assert [(o.recipient, o.code, o.enhanced, o.text) for o in outcomes] == [
        ("b@peer.example", 250, "2.0.0", "taken"),
        ("c@peer.example", 550, "5.1.1", "who"),
    ]
    assert wire.lines() == [
        "MAIL FROM:<a@us.example> SIZE=20",
        "RCPT TO:<b@peer.example>",
        "RCPT TO:<c@peer.example>",
        "DATA",
        "Subject: x",
        "",
        "..dot",
        ".",
    ]


def test_nothing_is_sent_to_nobody() -> None:
    # Pipelined, the server asks for the message though it took no recipient.
    wire, session = session_of("250 ok\r\n", "550 who\r\n", "354 go\r\n", "554 nobody\r\n")
    assert codes(run(client.transfer(session, envelope(), Text()))) == [550]
    assert wire.lines()[-2:] == ["DATA", "."]
    # One by one, DATA is not even said; the transaction is ended before the next.
    wire, session = session_of("250 ok\r\n", "450 later\r\n", hello=PLAIN)
    assert codes(run(client.transfer(session, envelope(), Text()))) == [450]
    assert wire.lines() == ["MAIL FROM:<a@us.example>", "RCPT TO:<b@peer.example>"]
    wire.script += ReplyReader().receive(b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n")
    assert codes(run(client.transfer(session, envelope(), Text()))) == [250]
    assert wire.lines()[2] == "RSET"


@pytest.mark.parametrize("hello", [ALL, PLAIN])
def test_a_refused_sender_is_the_answer_for_everybody(hello: str) -> None:
    rest = ["503 x\r\n"] * 3 if hello is ALL else []
    _, session = session_of("451 4.7.1 slowly\r\n", *rest, hello=hello)
    outcomes = run(client.transfer(session, envelope("b@x.example", "c@x.example"), Text()))
    assert [(o.code, o.text) for o in outcomes] == [(451, "slowly")] * 2


def test_an_end_before_the_answer_says_nothing() -> None:
    _, session = session_of("250 ok\r\n", "250 ok\r\n", "354 go\r\n")
    with pytest.raises(Disconnected):
        run(client.transfer(session, envelope(), Text()))
    assert not session.is_open


def test_what_421_said_is_the_reason() -> None:
    _, session = session_of("421 4.3.2 closing\r\n")
    with pytest.raises(Refused, match="closing"):
        run(client.transfer(session, envelope(), Text()))
    assert not session.is_open


def test_what_a_server_cannot_take_is_not_sent() -> None:
    wire, session = session_of(hello="250-peer\r\n250 SIZE 10\r\n")
    assert codes(run(client.transfer(session, envelope(), Text()))) == [552]
    for text, recipient, code in (
        (Text("Subject: ä\r\n\r\nx".encode()), "b@peer.example", 553),
        (Text(), "bä@peer.example", 553),
        (Text("Subject: a\r\n\r\nä".encode()), "b@peer.example", 554),
    ):
        wire, session = session_of(hello=PLAIN)
        assert codes(run(client.transfer(session, envelope(recipient), text))) == [code]
        assert wire.lines() == []
        replies = ["250 ok\r\n", "250 ok\r\n", "354 go\r\n", "250 ok\r\n"]
        wire, session = session_of(*replies)
        assert codes(run(client.transfer(session, envelope(recipient), text))) == [250]
        assert ("SMTPUTF8" in wire.lines()[0]) == (code == 553)
        assert ("BODY=8BITMIME" in wire.lines()[0]) == (not text.octets.isascii())


def test_domains_go_in_ascii_where_they_must() -> None:
    replies = ["250 ok\r\n", "250 ok\r\n", "354 go\r\n", "250 ok\r\n"]
    wire, session = session_of(*replies, hello=PLAIN)
    run(client.transfer(session, envelope("b@exämple.org"), Text()))
    assert wire.lines()[1] == "RCPT TO:<b@xn--exmple-cua.org>"


def test_reports_are_asked_of_servers_that_give_them() -> None:
    given = envelope(
        parameters={"RET": "HDRS", "ENVID": "x1"},
        recipient_parameters={"b@peer.example": {"NOTIFY": "SUCCESS", "ORCPT": "rfc822;b@x"}},
    )
    replies = ["250 ok\r\n", "250 ok\r\n", "354 go\r\n", "250 ok\r\n"]
    wire, session = session_of(*replies)
    run(client.transfer(session, given, Text()))
    assert wire.lines()[0].endswith(" RET=HDRS ENVID=x1")
    assert wire.lines()[1] == "RCPT TO:<b@peer.example> NOTIFY=SUCCESS ORCPT=rfc822;b@x"
    wire, session = session_of(*replies, hello=PLAIN)
    run(client.transfer(session, given, Text()))
    assert wire.lines()[:2] == ["MAIL FROM:<a@us.example>", "RCPT TO:<b@peer.example>"]


def test_tls() -> None:
    offer = "250-peer\r\n250 STARTTLS\r\n"
    wire, session = session_of("220 go\r\n", ALL, hello=offer)
    run(client.start_tls(session))
    assert session.is_encrypted and "STARTTLS" not in session.extensions
    _, session = session_of(hello=ALL)
    with pytest.raises(Refused):
        run(client.start_tls(session))
    wire, session = session_of("220 go\r\n", hello=offer)
    wire.tls_works = False
    with pytest.raises(TlsFailed, match="bad certificate"):
        run(client.start_tls(session))
