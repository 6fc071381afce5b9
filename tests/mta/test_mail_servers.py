"""Mail from and to Postfix and OpenSMTPD, octet for octet."""

import random
import re
from typing import Any

import pytest
from pytest_twisted import ensureDeferred

from mailhive.testing.conformance.outbox import turn, until

pytestmark = pytest.mark.system

MANY = 300
BOTH = pytest.mark.parametrize("by", ["postfix", "opensmtpd"])

#: What is easily lost on the way.
BODY = (
    b".\r\n..\r\n.a line that begins with a dot\r\n\r\n"
    b"Trailing blanks  \t \r\nFrom here\r\n"
    b"8 bits: \xc3\xa9 \xe2\x82\xac \xff\r\n" + b"x" * 998 + b"\r\n"
    b"tab\tand nothing at the end\r\n\r\n.\r\n"
)


def letter(subject: str, body: bytes = BODY, by: str = "alice") -> bytes:
    """A message that no server has a reason to change."""
    header = (
        "Date: Sat, 21 Nov 2026 10:00:00 +0000\r\n"
        f"Message-ID: <{subject.replace(' ', '.')}@far.example>\r\n"
        f"From: <{by}@example.org>\r\nTo: Alice <alice@example.org>\r\n"
        f"Subject: {subject}\r\n"
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: 8bit\r\n\r\n"
    )
    return header.encode() + body


def big() -> bytes:
    """Some megabytes in lines, the same each time."""
    octets = random.Random(6)
    return b"".join(octets.randbytes(38).hex().encode() + b"\r\n" for _ in range(65_536))


# From them to us


@BOTH
@ensureDeferred
async def test_a_message_comes_in(world: Any, by: str) -> None:
    raw = letter(f"in by {by}")
    mail_from, to = "zoe@far.example", ["alice@example.org", "u0@example.org"]
    await world.post(by, mail_from, to, raw, parameters="BODY=8BITMIME")
    for name in ("alice", "u0"):
        got = await world.user(name).message(subject=f"in by {by}")
        assert got.endswith(b"\r\n" + raw)
        trace = got.removesuffix(raw).decode()
        assert trace.startswith(f"Return-Path: <{mail_from}>\r\nReceived: from {by}.example")
        assert "with ESMTPS" in trace.partition("by mail.example.org")[2]  # RFC 3848: by STARTTLS


@BOTH
@ensureDeferred
async def test_a_big_message_comes_in(world: Any, by: str) -> None:
    raw = letter(f"big by {by}", big())
    await world.post(by, "zoe@far.example", ["alice@example.org"], raw)
    assert (await world.user("alice").message(subject=f"big by {by}")).endswith(b"\r\n" + raw)


@BOTH
@ensureDeferred
async def test_a_message_comes_in_for_many(world: Any, by: str) -> None:
    raw = letter(f"many by {by}")
    recipients = [f"u{i}@example.org" for i in range(MANY)]
    await world.post(by, f"{by}@far.example", recipients, raw, pipelining=by == "postfix")
    for i in range(0, MANY, 10):
        got = await world.user(f"u{i}").message(subject=f"many by {by}")
        assert got.endswith(b"\r\n" + raw)

    def told() -> list[str]:
        log = world.daemon.log()
        taken = re.findall(rf"from <{by}@far.example> to \[(.*)\] .*: 250 2.0.0", log)
        return [to.strip("'") for some in taken for to in some.split(", ")]

    await until(lambda: len(told()) >= MANY)
    found = told()
    assert sorted(found) == sorted(recipients)  # each once


@ensureDeferred
async def test_a_message_comes_in_with_utf_8(world: Any) -> None:
    raw = letter("Grüße über alles")
    mail_from = "jürgen@bücher.example"
    await world.post("postfix", mail_from, ["alice@example.org"], raw, parameters="SMTPUTF8")
    got = await world.user("alice").message(subject="Grüße")
    assert got.endswith(b"\r\n" + raw)
    trace = got.removesuffix(raw).decode()
    assert f"Return-Path: <{mail_from}>" in trace and "with UTF8SMTPS" in trace


@BOTH
@ensureDeferred
async def test_a_refusal_goes_back(world: Any, by: str) -> None:
    raw = letter(f"nobody by {by}")
    await world.post(by, f"zoe@{by}-far.example", ["nobody@example.org", "alice@example.org"], raw)
    report = await world.arrived(f"To: zoe@{by}-far.example".encode())
    assert b"nobody@example.org" in report and b"5.1.1" in report
    assert (await world.user("alice").message(subject=f"nobody by {by}")).endswith(b"\r\n" + raw)


@ensureDeferred
async def test_a_report_of_delivery_goes_back(world: Any) -> None:
    raw, mail_from = letter("told of"), "teller@postfix.example"
    await world.post(
        "postfix",
        mail_from,
        ["alice@example.org"],
        raw,
        parameters="RET=FULL ENVID=QQ271828",
        recipient_parameters="NOTIFY=SUCCESS ORCPT=rfc822;the+2Balias@far.example",
    )
    await world.user("alice").found(subject="told of")
    # Postfix leaves it to us, as it was told that we know DSN.
    report = (await world.arrived(b"Original-Envelope-Id: QQ271828")).decode()
    assert "Reporting-MTA: dns; mail.example.org" in report and "Action: delivered" in report
    assert "Original-Recipient: rfc822;the+alias@far.example" in report
    assert "Final-Recipient: rfc822;alice@example.org" in report
    assert "Subject: told of" in report and "8 bits" not in report


# From us to them


@BOTH
@ensureDeferred
async def test_a_message_goes_out(world: Any, by: str) -> None:
    raw, alice = letter(f"out by {by}"), world.user("alice")
    recipients = {f"a@{by}.example": None, f"b@{by}.example": None}
    status = await alice.settled(await alice.submit(raw, recipients))
    assert set(status) == set(recipients)
    for delivered, reply in status.values():
        assert delivered == "unknown" and reply.startswith("250 2.0.0 ")
    got = await world.arrived(f"Subject: out by {by}".encode())
    assert got.endswith(b"\r\n" + raw)
    assert set(world.recipients("alice@example.org")) >= set(recipients)
    # RFC 3848.  OpenSMTPD 6 offers STARTTLS and with OpenSSL 3 fails at it, so it gets its mail
    # without.
    if by == "postfix":
        assert b"with ESMTPS" in got


@BOTH
@ensureDeferred
async def test_a_big_message_goes_out(world: Any, by: str) -> None:
    raw, alice = letter(f"big out by {by}", big()), world.user("alice")
    status = await alice.settled(await alice.submit(raw, {f"big@{by}.example": None}))
    assert status[f"big@{by}.example"][0] == "unknown"
    assert (await world.arrived(f"Subject: big out by {by}".encode())).endswith(b"\r\n" + raw)


@ensureDeferred
async def test_a_message_goes_out_to_many(world: Any) -> None:
    raw, sender = letter("many out", by="u1"), world.user("u1")
    recipients = {
        f"r{i}@{by}.example": None for i in range(MANY) for by in ("postfix", "opensmtpd")
    }
    status = await sender.settled(await sender.submit(raw, recipients))
    assert {delivered for delivered, _ in status.values()} == {"unknown"}
    await until(lambda: len(world.recipients("u1@example.org")) >= len(recipients))
    assert sorted(world.recipients("u1@example.org")) == sorted(recipients)  # each once
    copies = [m for m in world.peer.messages if b"Subject: many out" in m]
    assert copies and all(copy.endswith(b"\r\n" + raw) for copy in copies)


@ensureDeferred
async def test_a_message_goes_out_with_utf_8(world: Any) -> None:
    raw, sender = letter("Grüße hinaus", by="u2"), world.user("u2")
    able, unable = "дима@postfix.example", "дима@opensmtpd.example"
    status = await sender.settled(await sender.submit(raw, {able: None, unable: None}))
    assert status[able][0] == "unknown"
    got = await world.arrived("Subject: Grüße hinaus".encode())
    assert got.endswith(b"\r\n" + raw) and b"with UTF8SMTP" in got
    assert world.recipients("u2@example.org") == [able]
    # OpenSMTPD knows nothing of SMTPUTF8: RFC 6531 §3.2.
    delivered, reply = status[unable]
    assert delivered == "no" and reply.startswith("553 5.6.7 ")
    report = (await sender.message(subject="Undelivered")).decode()
    assert unable in report and able not in report.partition("message/")[0]


@ensureDeferred
async def test_a_report_of_success_comes_back(world: Any) -> None:
    sender, to = world.user("u3"), "confirmed@postfix.example"
    wanted = {"RET": "HDRS", "ENVID": "QQ314159"}
    sent = await sender.submit(letter("confirm", by="u3"), {to: {"NOTIFY": "SUCCESS"}}, wanted)
    assert (await sender.settled(sent))[to][0] == "unknown"
    report = (await sender.message(subject="Successful")).decode()
    assert report.startswith("Return-Path: <>\r\n")
    assert "Original-Envelope-Id: QQ314159" in report and "Action: relayed" in report
    assert f"Final-Recipient: rfc822; {to}" in report
    while not (submission := await sender.submission(sent))["dsnBlobIds"]:
        await turn()
    # Where Postfix has brought it is no mailbox, so that nothing is known of that.
    status = submission["deliveryStatus"][to]
    assert status["delivered"] == "unknown" and status["smtpReply"].startswith("250 2.")


@ensureDeferred
async def test_only_to_the_server_with_the_key_of_the_tlsa_record(world: Any) -> None:
    # It is the same server, reached by a domain with records of its own and by another one.
    raw, sender = letter("held to keys", by="u4"), world.user("u4")
    good, bad = "good@postfix.example", "bad@feigned.example"
    sent = await sender.submit(raw, {good: None, bad: None})

    why = await sender.put_off(sent, bad)
    assert why.startswith("451 4.7.5 ") and "DANE" in why
    assert b"with ESMTPS" in await world.arrived(b"Subject: held to keys")
    assert world.recipients("u4@example.org") == [good]
    assert (await sender.submission(sent))["deliveryStatus"][good]["delivered"] == "unknown"


@ensureDeferred
async def test_not_to_servers_that_do_not_know_requiretls(world: Any) -> None:
    raw, sender, to = letter("sealed", by="u5"), world.user("u5"), "x@postfix.example"
    status = await sender.settled(await sender.submit(raw, {to: None}, {"REQUIRETLS": None}))
    delivered, reply = status[to]
    assert delivered == "no" and reply.startswith("550 5.7.30 ")  # Postfix 3.7
    report = await sender.message(subject="Undelivered")
    assert b"Subject: sealed" in report and b"8 bits" not in report
