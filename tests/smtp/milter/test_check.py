"""Filters at a listener: what they are told, and what follows from what they say."""

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from kilter.protocol.messages import (
    Accept,
    ActionFlags,
    AddHeader,
    AddRecipient,
    AddRecipientPar,
    ChangeHeader,
    ChangeSender,
    Continue,
    Discard,
    InsertHeader,
    Message,
    Negotiate,
    Progress,
    ProtocolFlags,
    Quarantine,
    Reject,
    RemoveRecipient,
    ReplaceBody,
    ReplyCode,
    Skip,
    Stage,
    TemporaryFailure,
)
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from .conftest import LOOPBACK, Filter, Listener

HELLO = b"EHLO c.example\r\n"
OPEN = HELLO + b"MAIL FROM:<a@c.example> SIZE=9\r\nRCPT TO:<b@mx.example>\r\n"
TEXT = b"Subject: x\r\nTo: a,\r\n\tb\r\n\r\ntext\r\n"
MESSAGE = OPEN + b"DATA\r\n" + TEXT + b".\r\n"
GREETED = "220 250"
ENVELOPE = "220 250 250 250"
New = Callable[..., Any]


def _talk(port: int, octets: bytes) -> list[str]:
    with socket.create_connection(("127.0.0.1", port), timeout=100) as connection:
        found = connection.recv(65_536)  # who does not wait for the greeting gets none
        with suppress(OSError):
            connection.sendall(octets)
            connection.shutdown(socket.SHUT_WR)
            while data := connection.recv(65_536):
                found += data
    return [line for line in found.decode().split("\r\n")[:-1] if line[3] == " "]


async def talk(listener: Listener, octets: bytes) -> str:
    """The codes of all replies to a client that says this and leaves."""
    lines = await deferToThread(_talk, listener.port, octets)
    await listener.settle()
    return " ".join(line[:3] for line in lines)


@ensureDeferred
async def test_what_a_filter_is_told(new_listener: New) -> None:
    owner = Filter()
    listener = await new_listener(owner)
    rest = b"MAIL FROM:<>\r\nRCPT TO:<no@mx.example>\r\nRSET\r\nQUIT\r\n"
    codes = "220 250 250 250 354 250 250 550 250 221"
    assert await talk(listener, MESSAGE + rest) == codes
    assert owner.names() == (
        "Negotiate Connect Helo EnvelopeFrom EnvelopeRecipient Data Header Header EndOfHeaders "
        "Body EndOfMessage EnvelopeFrom Abort Close"
    )
    (name, address, port), *_ = owner.told("Connect")
    assert (name, address) == ("[127.0.0.1]", LOOPBACK) and port
    assert owner.told("Helo") == [("c.example",)]
    assert owner.told("EnvelopeFrom") == [(b"<a@c.example>", b"SIZE=9"), (b"<>",)]
    assert owner.told("EnvelopeRecipient") == [(b"<b@mx.example>",)]
    assert owner.told("Header") == [("Subject", b"x"), ("To", b"a,\n\tb")]
    assert owner.told("Body") == [(b"text\r\n",)]
    macros = dict(owner.told("Macro")[:5])
    transaction = macros["M"].pop("i")
    version = macros["C"].pop("v")
    assert version.startswith("mailhive ")
    assert macros == {
        "C": {
            "j": "mx.example",
            "_": "[127.0.0.1]",
            "{daemon_name}": "mx",
            "{client_name}": "[127.0.0.1]",
            "{client_addr}": "127.0.0.1",
            "{client_port}": str(port),
        },
        "H": {},
        "M": {
            "{mail_addr}": "a@c.example",
            "{mail_host}": "c.example",
            "{mail_mailer}": "esmtp",
        },
        "R": {
            "i": transaction,
            "{rcpt_addr}": "b@mx.example",
            "{rcpt_host}": "mx.example",
            "{rcpt_mailer}": "local",
        },
        "T": {"i": transaction},
    }
    ((_, is_junk, stored),) = listener.delivered
    assert not is_junk and stored == TEXT


@ensureDeferred
async def test_a_filter_says_what_it_wants_to_be_told(new_listener: New) -> None:
    owner = Filter(
        protocol=ProtocolFlags.NO_HELO
        | ProtocolFlags.NO_HEADERS
        | ProtocolFlags.NO_EOH
        | ProtocolFlags.NR_CONN
        | ProtocolFlags.NR_MAIL
        | ProtocolFlags.NR_RCPT
        | ProtocolFlags.NR_DATA
        | ProtocolFlags.NR_BODY,
        macros={Stage.CONNECT: ["j", "{if_name}"], Stage.DATA: []},
    )
    listener = await new_listener(owner)
    assert await talk(listener, MESSAGE) == f"{ENVELOPE} 354 250"
    assert owner.names() == (
        "Negotiate Connect EnvelopeFrom EnvelopeRecipient Data Body EndOfMessage Close"
    )
    assert owner.told("Macro")[0] == ("C", {"j": "mx.example"})
    assert dict(owner.told("Macro"))["T"] == {}


@ensureDeferred
async def test_leading_space_is_kept_if_a_filter_wants_it(new_listener: New) -> None:
    owner = Filter(
        protocol=ProtocolFlags.HDR_LEADSPC,
        answers={"EndOfMessage": [AddHeader("X", b"  two"), Continue()]},
    )
    listener = await new_listener(owner)
    assert await talk(listener, MESSAGE) == f"{ENVELOPE} 354 250"
    assert owner.told("Header") == [("Subject", b" x"), ("To", b" a,\n\tb")]
    assert listener.delivered[0][2] == TEXT.replace(b"\r\n\r\n", b"\r\nX:  two\r\n\r\n")


@ensureDeferred
async def test_an_old_filter(new_listener: New) -> None:
    owner = Filter(version=2, actions=ActionFlags(0x3F))
    listener = await new_listener(owner)
    assert await talk(listener, MESSAGE) == f"{ENVELOPE} 354 250"
    assert owner.names() == (
        "Negotiate Connect Helo EnvelopeFrom EnvelopeRecipient Header Header EndOfHeaders "
        "Body EndOfMessage Close"
    )


@pytest.mark.parametrize(
    ("step", "answer", "codes", "delivered"),
    [
        ("Connect", Reject(), "554 503 503 503 503", 0),
        ("Connect", TemporaryFailure(), "421", 0),
        ("Connect", Accept(), f"{ENVELOPE} 354 250", 1),
        ("Helo", Reject(), "220 550 503 503 503", 0),
        ("Helo", ReplyCode(b"550-5.7.9 a\r\n550 5.7.9 100%%\0"), "220 550 503 503", 0),
        ("Helo", Accept(), f"{ENVELOPE} 354 250", 1),
        ("EnvelopeFrom", ReplyCode(b"451 later\0"), "220 250 451 503 503", 0),
        ("EnvelopeFrom", Discard(), f"{ENVELOPE} 354 250", 0),
        ("EnvelopeRecipient", Reject(), "220 250 250 550 554", 0),
        ("EnvelopeRecipient", ReplyCode(b"421 4.3.2 bye\0"), "220 250 250 421", 0),
        ("EnvelopeRecipient", Accept(), f"{ENVELOPE} 354 250", 1),
        ("Data", TemporaryFailure(), f"{ENVELOPE} 451", 0),
        ("Header", Reject(), f"{ENVELOPE} 354 550", 0),
        ("Header", Discard(), f"{ENVELOPE} 354 250", 0),
        ("EndOfHeaders", Accept(), f"{ENVELOPE} 354 250", 1),
        ("Body", TemporaryFailure(), f"{ENVELOPE} 354 451", 0),
        ("Body", Skip(), f"{ENVELOPE} 354 250", 1),
        ("EndOfMessage", Reject(), f"{ENVELOPE} 354 550", 0),
        ("EndOfMessage", Discard(), f"{ENVELOPE} 354 250", 0),
        ("EndOfMessage", Accept(), f"{ENVELOPE} 354 250", 1),
    ],
)
@ensureDeferred
async def test_verdicts(
    new_listener: New, step: str, answer: Message, codes: str, delivered: int
) -> None:
    owner = Filter({step: [answer]}, protocol=ProtocolFlags.SKIP)
    listener = await new_listener(owner)
    assert (await talk(listener, MESSAGE)).startswith(codes)
    assert len(listener.delivered) == delivered
    names = owner.names().split()
    after = names[names.index(step) + 1 :]
    if isinstance(answer, Skip):
        assert after == ["EndOfMessage", "Close"]
    elif step == "EndOfMessage" or step in ("Connect", "Helo"):
        assert after == ["Close"]
    else:
        assert after == ["Abort", "Close"]


@ensureDeferred
async def test_replies_of_several_lines(new_listener: New) -> None:
    answer = ReplyCode(b"550-5.7.9 one\r\n550 5.7.9 100%% sure\0")
    listener = await new_listener(Filter({"EnvelopeFrom": [answer]}))
    with socket.create_connection(("127.0.0.1", listener.port), timeout=100) as connection:
        stream = connection.makefile("rb")
        await deferToThread(stream.readline)
        await deferToThread(connection.sendall, HELLO + b"MAIL FROM:<a@c.example>\r\nQUIT\r\n")
        said = await deferToThread(stream.read)
    assert b"550-5.7.9 one\r\n550 5.7.9 100% sure\r\n221 " in said


CHANGES: list[tuple[list[Message], bytes]] = [
    ([AddHeader("X", b"1\n\t2\n3")], b"Subject: x\r\nTo: a,\r\n\tb\r\nX: 1\r\n\t2\r\n\t3\r\n\r\n"),
    ([InsertHeader(0, "X", b"1")], b"X: 1\r\nSubject: x\r\nTo: a,\r\n\tb\r\n\r\n"),
    ([InsertHeader(1, "X", b"1")], b"Subject: x\r\nX: 1\r\nTo: a,\r\n\tb\r\n\r\n"),
    ([InsertHeader(9, "X", b"1")], b"Subject: x\r\nTo: a,\r\n\tb\r\nX: 1\r\n\r\n"),
    ([ChangeHeader(1, "TO", b"c")], b"Subject: x\r\nTO: c\r\n\r\n"),
    ([ChangeHeader(1, "to", b"")], b"Subject: x\r\n\r\n"),
    ([ChangeHeader(2, "to", b"")], b"Subject: x\r\nTo: a,\r\n\tb\r\n\r\n"),
    ([ChangeHeader(2, "to", b"c")], b"Subject: x\r\nTo: a,\r\n\tb\r\nto: c\r\n\r\n"),
    (
        [AddHeader("X", b"1"), ChangeHeader(1, "X", b"2")],
        b"Subject: x\r\nTo: a,\r\n\tb\r\nX: 2\r\n\r\n",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "header"), CHANGES)
@ensureDeferred
async def test_header_fields_are_changed(
    new_listener: New, changes: list[Message], header: bytes
) -> None:
    listener = await new_listener(Filter({"EndOfMessage": [*changes, Progress(), Accept()]}))
    assert await talk(listener, MESSAGE) == f"{ENVELOPE} 354 250"
    assert listener.delivered[0][2] == header + b"text\r\n"


@ensureDeferred
async def test_all_else_is_changed(new_listener: New) -> None:
    owner = Filter(
        {
            "EndOfMessage": [
                Progress(),
                ReplaceBody(b"x" * 60_000),
                ReplaceBody(b"y\r\n"),
                ChangeSender("<new@c.example>"),
                AddRecipient("<c@mx.example>"),
                AddRecipientPar("<d@mx.example>", "NOTIFY=NEVER"),
                RemoveRecipient("<b@mx.example>"),
                Quarantine("looks bad"),
                Continue(),
            ]
        }
    )
    listener = await new_listener(owner)
    assert await talk(listener, MESSAGE) == f"{ENVELOPE} 354 250"
    ((envelope, is_junk, stored),) = listener.delivered
    assert envelope.mail_from == "new@c.example"
    assert envelope.recipients == ("c@mx.example", "d@mx.example")
    assert envelope.recipient_parameters == {"d@mx.example": {"NOTIFY": "NEVER"}}
    assert is_junk
    header = TEXT.partition(b"text")[0]
    assert stored == header + b"x" * 60_000 + b"y\r\n"


@ensureDeferred
async def test_fields_are_limited(new_listener: New) -> None:
    owner = Filter()
    listener = await new_listener(owner)
    said = OPEN + b"DATA\r\n" + b"a:\r\n" * 10_001 + b"\r\n.\r\n"
    assert await talk(listener, said) == f"{ENVELOPE} 354 552"
    assert owner.names().endswith("Data Abort Close")


@ensureDeferred
async def test_what_becomes_of_who_is_added_is_not_told(new_listener: New) -> None:
    owner = Filter({"EndOfMessage": [AddRecipient("<x@elsewhere.example>"), Continue()]})
    listener = await new_listener(owner)
    assert await talk(listener, MESSAGE) == f"{ENVELOPE} 354 250"
    assert listener.delivered[0][2] == TEXT
    (delivered,) = listener.services.delivery.delivered
    assert delivered.arrival.added == {"x@elsewhere.example"}


@ensureDeferred
async def test_filters_are_asked_in_order(new_listener: New) -> None:
    first = Filter({"EndOfMessage": [AddHeader("First", b"1"), Continue()]})
    changes = [InsertHeader(0, "Second", b"2"), ReplaceBody(b"b\r\n"), Continue()]
    second = Filter({"EndOfMessage": changes})
    listener = await new_listener(first, second, Filter({"EnvelopeFrom": [Reject()]}))
    assert await talk(listener, MESSAGE) == f"{GREETED} 550 503 503 500 500 501 500 500 500"
    assert first.names().endswith("Helo EnvelopeFrom Abort Close")
    listener = await new_listener(first, second)
    assert await talk(listener, MESSAGE) == f"{ENVELOPE} 354 250"
    assert ("First", b"1") in second.told("Header")
    assert listener.delivered[0][2].startswith(b"Second: 2\r\nSubject: x\r\n")
    assert listener.delivered[0][2].endswith(b"First: 1\r\n\r\nb\r\n")


@ensureDeferred
async def test_recipients_of_lmtp(new_listener: New) -> None:
    changes = [RemoveRecipient("<b@mx.example>"), AddRecipient("<d@mx.example>"), Continue()]
    listener = await new_listener(Filter({"EndOfMessage": changes}), lmtp=True)
    said = OPEN.replace(b"EHLO", b"LHLO") + b"RCPT TO:<c@mx.example>\r\nDATA\r\n.\r\n"
    assert await talk(listener, said) == f"{ENVELOPE} 250 354 250 250"
    assert listener.delivered[0][0].recipients == ("c@mx.example", "d@mx.example")


WRONG: list[tuple[str, list[Any], str]] = [
    ("Negotiate", [b""], "connection"),
    ("Negotiate", [b"\0\0\0\1c"], "no options"),
    ("Negotiate", [Negotiate(1, ActionFlags.NONE, ProtocolFlags.NONE)], "an old version"),
    ("Negotiate", [b"\0\0\0\rO\0\0\0\7" + b"\0" * 8], "a new version"),
    ("Negotiate", [b"\0\0\0\rO\0\0\0\6\x80\0\0\0\0\0\0\0"], "what was not offered"),
    ("Connect", [b"\0\0\0\0"], "no packet"),
    ("Connect", [b"\xff\0\0\0"], "a packet without end"),
    ("EnvelopeFrom", [b""], "connection"),
    ("EnvelopeFrom", [b"\0\0\0\1?"], "no verdict"),
    ("EnvelopeFrom", [b"\0\0\0\1f"], "a failure"),
    ("EnvelopeFrom", [b"\0\0\0\5y250\0"], "not a refusal"),
    ("Body", [b""], "connection"),
    ("EndOfMessage", [b"\0\0\0\1?", Continue()], "no change"),
    ("EndOfMessage", [AddHeader("a b", b"c"), Continue()], "no header field"),
    ("EndOfMessage", [AddRecipient("nobody"), Continue()], "no address"),
    ("EndOfMessage", [AddRecipientPar("<b@c>", "X=Y"), Continue()], "no parameter"),
    ("EndOfMessage", [ReplaceBody(b"x" * 60_000)] * 20, "a long body"),
    ("EndOfMessage", [AddHeader("X", b"x" * 60_000)] * 40, "a long header"),
    ("EndOfMessage", [b"\0\0"], "nothing"),
]


@pytest.mark.parametrize(("step", "answers", "_"), WRONG)
@pytest.mark.parametrize("on_failure", ["tempfail", "reject", "accept"])
@ensureDeferred
async def test_filters_that_fail(
    new_listener: New, step: str, answers: list[Any], _: str, on_failure: str
) -> None:
    owner = Filter({step: answers})
    patience = {"message_timeout": 1.0} if answers == [b"\0\0"] else {}
    listener = await new_listener(owner, on_failure=on_failure, **patience)
    codes = await talk(listener, MESSAGE)
    if on_failure == "accept":
        assert codes == f"{ENVELOPE} 354 250"
        ((envelope, _, stored),) = listener.delivered
        assert stored == TEXT and envelope.recipients == ("b@mx.example",)
    else:
        assert not listener.delivered
        refusal = "451" if on_failure == "tempfail" else "550"
        at_first = "421" if on_failure == "tempfail" else "554"
        before = {"Negotiate": at_first, "Connect": at_first, "Helo": f"220 {refusal}",
                  "EnvelopeFrom": f"{GREETED} {refusal}"}  # fmt: skip
        assert codes.startswith(before.get(step, f"{ENVELOPE} 354 {refusal}"))


@pytest.mark.parametrize(("on_failure", "code"), [("tempfail", "421"), ("accept", "220")])
@ensureDeferred
async def test_a_filter_that_is_not_there(
    new_listener: New, tmp_path: Any, on_failure: str, code: str
) -> None:
    listener = await new_listener(address=f"unix:{tmp_path}/none.sock", on_failure=on_failure)
    assert (await talk(listener, MESSAGE)).startswith(code)


@pytest.mark.parametrize("step", ["Negotiate", "EnvelopeFrom"])
@ensureDeferred
async def test_a_connection_is_cut_while_a_filter_thinks(new_listener: New, step: str) -> None:
    owner = Filter({step: [None]})
    listener = await new_listener(owner)
    with socket.create_connection(("127.0.0.1", listener.port)) as connection:
        if step != "Negotiate":
            await deferToThread(connection.recv, 100)
            connection.sendall(HELLO + b"MAIL FROM:<a@c.example>\r\n")
        while step not in owner.names():
            await deferLater(reactor, 0.01)
        await listener.factory.drain(0.01)
        await listener.settle()
    assert owner.names().endswith(step)
