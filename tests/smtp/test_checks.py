"""Checks of a listener: when they are asked, and what follows."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mailhive.errors import TemporaryFailure
from mailhive.smtp.checks import Check, CheckFactory, HeldMessage, Visit
from mailhive.smtp.listener import SmtpFactory
from mailhive.smtp.lmtp import LmtpSession
from mailhive.smtp.policy import SmtpSettings
from mailhive.smtp.protocol import Server
from mailhive.smtp.replies import SmtpReply, peer_error
from mailhive.smtp.session import Session
from mailhive.smtp.wire import Profile

from .conftest import Bench, make_services

NO = peer_error(550, "5.7.1", "No")
LATER = SmtpReply(451, "4.7.1", "Later")
HELLO = b"EHLO c.example\r\n"
MAIL = HELLO + b"MAIL FROM:<a@c.example>\r\n"
OPEN = MAIL + b"RCPT TO:<b@mx.example>\r\nRCPT TO:<c@mx.example>\r\n"
MESSAGE = OPEN + b"DATA\r\nSubject: x\r\n\r\ntext\r\n.\r\n"


@define
class Noting(Check):
    """Notes what it is asked, and answers with what `answers` says."""

    visit: Visit
    answers: dict[str, Any] = field(factory=dict)
    asked: list[str] = field(factory=list)

    async def _note(self, name: str, *told: str) -> SmtpReply | None:
        self.asked.append(" ".join([name, *told]))
        answer = self.answers.get(name)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Deferred):
            await answer
            return None
        return answer

    async def connected(self) -> SmtpReply | None:
        return await self._note("connected", self.visit.peer)

    async def greeted(self, name: str) -> SmtpReply | None:
        return await self._note("greeted", name, self.visit.hello)

    async def sender(self, address: str, parameters: Any) -> SmtpReply | None:
        return await self._note("sender", address)

    async def recipient(self, address: str) -> SmtpReply | None:
        return await self._note("recipient", address)

    async def content(self, start: Any) -> SmtpReply | None:
        return await self._note("content", *start.envelope.recipients)

    def transaction_ended(self) -> None:
        self.asked.append("transaction_ended")

    def disconnected(self) -> None:
        self.asked.append("disconnected")


@define
class Changing(Noting):
    """Changes messages by `change`."""

    reads_messages = True
    change: Any = None

    async def message(self, message: HeldMessage) -> SmtpReply | None:
        self.change(message)
        return await self._note("message")


def bench_of(tmp_path: Path, *checks: CheckFactory, lmtp: bool = False) -> Bench:
    clock = Clock()
    services = make_services()
    services.config = SimpleNamespace(server=SimpleNamespace(data_dir=tmp_path))

    def session(**given: Any) -> Session:
        return (LmtpSession if lmtp else Session)(**given, checks=checks)

    profile = Profile("mx.example", checked=True, lmtp=lmtp)
    server = Server("mx", profile, SmtpSettings(), services, clock, False, None, session)
    return Bench(clock, services, SmtpFactory(server))


def talk(bench: Bench, octets: bytes) -> list[str]:
    """The first word of each reply, for a client that says this and leaves."""
    protocol, transport = bench.connect()
    if octets:
        protocol.dataReceived(octets)
    transport.loseConnection()
    lines = transport.value().decode().split("\r\n")[:-1]
    return [line[:3] for line in lines if line[3] == " "]


def test_checks_hear_what_the_client_does(tmp_path: Path) -> None:
    made: list[Noting] = []

    def check(visit: Visit) -> Check:
        made.append(Noting(visit))
        return made[-1]

    bench = bench_of(tmp_path, check, lambda _: None)
    assert talk(bench, MESSAGE + b"EHLO d.example\r\nMAIL FROM:<>\r\nRSET\r\nQUIT\r\n") == [
        "220", "250", "250", "250", "250", "354", "250", "250", "250", "250", "221",
    ]  # fmt: skip
    assert made[0].asked == [
        "connected 192.0.2.1",
        "greeted c.example ",
        "sender a@c.example",
        "recipient b@mx.example",
        "recipient c@mx.example",
        "content b@mx.example c@mx.example",
        "transaction_ended",
        "greeted d.example c.example",
        "sender ",
        "transaction_ended",
        "disconnected",
    ]


@pytest.mark.parametrize(
    ("answers", "octets", "codes"),
    [
        # RFC 5321 §3.1: only QUIT is carried out
        ({"connected": NO}, OPEN + b"BDAT 3\r\nabcQUIT\r\n", "554 503 503 503 503 503 221"),
        ({"connected": LATER}, MESSAGE, "421"),
        ({"greeted": NO}, MAIL + b"QUIT\r\n", "220 550 503 221"),
        ({"sender": NO}, MAIL + b"RCPT TO:<b@mx.example>\r\nQUIT\r\n", "220 250 550 503 221"),
        ({"recipient": LATER}, OPEN, "220 250 250 451 451"),
        ({"content": LATER}, OPEN + b"DATA\r\nQUIT\r\n", "220 250 250 250 250 451 221"),
        ({"content": LATER}, OPEN + b"BDAT 3 LAST\r\na\r\nQUIT\r\n", "220 250 250 250 250 451 221"),
        ({"sender": TemporaryFailure("x")}, MAIL, "220 250 451"),
        ({"greeted": SmtpReply(421, "4.7.0", "x")}, MAIL, "220 421"),
    ],
)
def test_a_reply_is_told(
    tmp_path: Path, answers: dict[str, Any], octets: bytes, codes: str
) -> None:
    first: list[Noting] = []
    behind: list[Noting] = []

    def noting(kept: list[Noting], **more: Any) -> CheckFactory:
        def make(visit: Visit) -> Check:
            kept.append(Noting(visit, **more))
            return kept[-1]

        return make

    bench = bench_of(tmp_path, noting(first, answers=answers), noting(behind))
    assert " ".join(talk(bench, octets)).startswith(codes)
    (name,) = answers
    assert not any(asked.startswith(name) for asked in behind[0].asked)
    if name == "sender":
        assert first[0].asked[-2:] == ["transaction_ended", "disconnected"]


def test_unknown_recipients_are_not_told_of(tmp_path: Path) -> None:
    made: list[Noting] = []

    def check(visit: Visit) -> Check:
        made.append(Noting(visit))
        return made[-1]

    assert talk(bench_of(tmp_path, check), MAIL + b"RCPT TO:<x@mx.example>\r\n")[-1] == "550"
    assert made[0].asked[-3:] == ["sender a@c.example", "transaction_ended", "disconnected"]


def test_who_leaves_before_the_greeting(tmp_path: Path) -> None:
    gate: Deferred[None] = Deferred()
    bench = bench_of(tmp_path, lambda visit: Noting(visit, {"connected": gate}))
    assert talk(bench, b"") == []
    gate.callback(None)


def change(message: HeldMessage) -> None:
    message.header = b"X-New: 1\r\n" + message.header
    other = message.spool.another()
    other.write(b"other\r\n")
    message.spool.take_body(other)
    message.is_junk = True


@pytest.mark.parametrize("lmtp", [False, True])
def test_messages_may_be_changed(tmp_path: Path, lmtp: bool) -> None:
    def more(message: HeldMessage) -> None:
        assert message.header == b"X-New: 1\r\nSubject: x\r\n"
        envelope = evolve(message.envelope, recipients=("c@mx.example", "postmaster@mx.example"))
        message.envelope = envelope

    bench = bench_of(
        tmp_path,
        lambda visit: Changing(visit, change=change),
        lambda visit: Changing(visit, change=more),
        lmtp=lmtp,
    )
    said = MESSAGE.replace(b"EHLO", b"LHLO") if lmtp else MESSAGE
    assert talk(bench, said)[5:] == ["354", "250", "250"][: 3 if lmtp else 2]
    (delivered,) = bench.services.delivery.delivered
    assert delivered.envelope.recipients == ("c@mx.example", "postmaster@mx.example")
    stored = bench.services.blobs._blobs[delivered.blob_id].content
    assert stored.partition(b"\r\nX-New")[2] == b": 1\r\nSubject: x\r\n\r\nother\r\n"
    assert stored.startswith(b"Return-Path: <a@c.example>\r\nReceived: ")


@pytest.mark.parametrize("lmtp", [False, True])
@pytest.mark.parametrize(
    ("attribute", "answer", "code"),
    [("is_discarded", None, "250"), ("is_junk", NO, "550"), ("is_junk", LATER, "451")],
)
def test_messages_may_be_kept_out(
    tmp_path: Path, lmtp: bool, attribute: str, answer: SmtpReply | None, code: str
) -> None:
    bench = bench_of(
        tmp_path,
        lambda visit: Changing(
            visit, {"message": answer}, change=lambda message: setattr(message, attribute, True)
        ),
        lmtp=lmtp,
    )
    said = MESSAGE.replace(b"EHLO", b"LHLO") if lmtp else MESSAGE
    assert talk(bench, said)[6:] == [code] * (2 if lmtp else 1)
    assert not bench.services.delivery.delivered
    assert not bench.services.blobs._blobs
