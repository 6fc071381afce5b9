"""The SMTP machine, without a network."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhive.smtp import replies
from mailhive.smtp.events import (
    MessageEnd,
    MessageRefused,
    MessageStart,
    Recipient,
    StartTls,
    TransactionEnd,
)
from mailhive.smtp.lines import LONG_LINE_LIMIT
from mailhive.smtp.replies import SmtpReply
from mailhive.smtp.wire import Profile, SmtpServer
from mailhive.testing.smtp_machine import HOSTNAME, OPEN, UNKNOWN, codes, owner

HELLO = b"EHLO c.example\r\n"
MAIL = HELLO + b"MAIL FROM:<a@c.example>\r\n"


def test_greeting_names_the_host():
    assert bytes(owner().output) == b"220 mx.example ESMTP\r\n"


def test_ehlo_offers_what_there_is():
    plain = owner().feed(HELLO)
    assert plain[0].startswith("250-mx.example ")
    assert {line[4:] for line in plain[1:]} == {
        "PIPELINING",
        "SIZE 0",
        "8BITMIME",
        "SMTPUTF8",
        "CHUNKING",
        "ENHANCEDSTATUSCODES",
        "LIMITS RCPTMAX=1000",
        "DSN",
    }
    assert "250-SIZE 1000" in owner(Profile(HOSTNAME, size_limit=1000)).feed(HELLO)


def test_helo_is_one_line_and_without_extensions():
    machine = owner()
    assert machine.feed(b"HELO c.example\r\n") == ["250 mx.example"]
    assert codes(machine.feed(b"MAIL FROM:<a@c.example> SIZE=3\r\n")) == [555]


# Each row: what goes before, the command, its code and enhanced status.
COMMANDS = [
    (b"", b"EHLO", "501 5.5.4"),
    (b"", b"EHLO b\xc3\xbccher.example", "501 5.5.4"),
    (b"", b"EHLO a b", "501 5.5.4"),
    (b"", b"EHLO [192.0.2.1]", "250 "),
    (b"", b"ehlo [IPv6:2001:db8::1]", "250 "),
    (b"", b"EHLO [IPv6:nonsense]", "501 5.5.4"),
    (b"", b"HELO under_score.example", "250 mx"),
    (b"", b"MAIL FROM:<a@c.example>", "503 5.5.1"),
    (b"", b"RCPT TO:<a@c.example>", "503 5.5.1"),
    (b"", b"DATA", "503 5.5.1"),
    (b"", b"BDAT 0 LAST", "503 5.5.1"),
    (b"", b"STARTTLS", "503 5.5.1"),
    (b"", b"RSET", "250 2.0.0"),
    (b"", b"NOOP", "250 2.0.0"),
    (b"", b"NOOP and more", "250 2.0.0"),
    (b"", b"noop   ", "250 2.0.0"),
    (b"", b"VRFY someone", "252 2.5.2"),
    (b"", b"VRFY", "501 5.5.4"),
    (b"", b"EXPN list", "502 5.5.1"),
    (b"", b"AUTH PLAIN", "502 5.5.1"),
    (b"", b"HELP", "214 2.0.0"),
    (b"", b"QUIT", "221 2.0.0"),
    (b"", b"QUIT now", "501 5.5.4"),
    (b"", b"RSET x", "501 5.5.4"),
    (b"", b"XYZZY", "500 5.5.1"),
    (b"", b"", "500 5.5.1"),
    (b"", b"NOOP \x00", "501 5.5.2"),
    (b"", b"NOOP \xff", "501 5.5.2"),
    (b"", b"NOOP a\rb", "500 5.5.2"),
    (HELLO, b"STARTTLS", "502 5.5.1"),
    (HELLO, b"DATA", "503 5.5.1"),
    (HELLO, b"MAIL FROM:<>", "250 2.1.0"),
    (HELLO, b"MAIL FROM: <a@c.example>", "250 2.1.0"),
    (HELLO, b"mail from:<@relay.example,@b.example:a@c.example>", "250 2.1.0"),
    (HELLO, b"MAIL", "501 5.5.4"),
    (HELLO, b"MAIL TO:<a@c.example>", "501 5.5.4"),
    (HELLO, b"MAIL FROM:a@c.example", "501 5.1.7"),
    (HELLO, b"MAIL FROM:<a>", "501 5.1.7"),
    (HELLO, b"MAIL FROM:<a@c.example>x", "501 5.5.4"),
    (HELLO, b"MAIL FROM:<a@c.example> SIZE=10", "250 2.1.0"),
    (HELLO, b"MAIL FROM:<a@c.example> size=1000", "250 2.1.0"),
    (HELLO, b"MAIL FROM:<a@c.example> SIZE=1001", "552 5.3.4"),
    (HELLO, b"MAIL FROM:<a@c.example> SIZE=x", "501 5.5.4"),
    (HELLO, b"MAIL FROM:<a@c.example> SIZE", "501 5.5.4"),
    (HELLO, b"MAIL FROM:<a@c.example> SIZE=1 SIZE=1", "501 5.5.4"),
    (HELLO, b"MAIL FROM:<a@c.example> BODY=8BITMIME SIZE=7", "250 2.1.0"),
    (HELLO, b"MAIL FROM:<a@c.example> BODY=7bit", "250 2.1.0"),
    (HELLO, b"MAIL FROM:<a@c.example> BODY=BINARYMIME", "501 5.5.4"),
    (HELLO, b"MAIL FROM:<a@c.example> RET=HDRS ENVID=x", "250 2.1.0"),
    (HELLO, b"MAIL FROM:<a@c.example> RET=ALL", "501 5.5.4"),
    (HELLO, b"MAIL FROM:<a@c.example> AUTH=<>", "555 5.5.4"),
    (HELLO, b"MAIL FROM:<a@c.example> REQUIRETLS", "555 5.5.4"),  # not in clear
    (HELLO, b"MAIL FROM:<a@c.example> =", "501 5.5.4"),
    (HELLO, b"MAIL FROM:<a@c.example> SMTPUTF8=1", "501 5.5.4"),
    (HELLO, b"MAIL FROM:<\xc3\xa4@c.example>", "553 5.6.7"),
    (HELLO, b"MAIL FROM:<\xc3\xa4@\xc3\xb6.example> SMTPUTF8", "250 2.1.0"),
    (MAIL, b"MAIL FROM:<a@c.example>", "503 5.5.1"),
    (MAIL, b"DATA", "554 5.5.1"),
    (MAIL, b"BDAT 0 LAST", "554 5.5.1"),
    (MAIL, b"STARTTLS", "503 5.5.1"),
    (MAIL, b"RCPT TO:<b@mx.example>", "250 2.1.5"),
    (MAIL, b"RCPT TO:<nobody@mx.example>", "550 5.1.1"),
    (MAIL, b"RCPT TO:<>", "501 5.1.3"),
    (MAIL, b"RCPT TO:<b>", "501 5.1.3"),
    (MAIL, b"RCPT TO:<b@mx.example> NOTIFY=NEVER ORCPT=rfc822;x@y", "250 2.1.5"),
    (MAIL, b"RCPT TO:<b@mx.example> NOTIFY=NEVER,SUCCESS", "501 5.5.4"),
    (MAIL, b"RCPT TO:<b@mx.example> ORCPT=utf-8;\xc3\xa4@y", "501 5.5.4"),  # without SMTPUTF8
    (MAIL, b"RCPT TO:<\xc3\xa4@mx.example>", "553 5.6.7"),
    (OPEN, b"MAIL FROM:<a@c.example>", "503 5.5.1"),
    (OPEN, b"DATA now", "501 5.5.4"),
    (OPEN, b"DATA", "354 Start"),
    (OPEN, b"BDAT 0", "250 2.0.0"),
    (OPEN + b"BDAT 0\r\n", b"DATA", "503 5.5.1"),
    (OPEN + b"BDAT 0\r\n", b"RCPT TO:<b@mx.example>", "503 5.5.1"),
    (OPEN + b"BDAT 0\r\n", b"MAIL FROM:<a@c.example>", "503 5.5.1"),
    (OPEN + b"BDAT 0\r\n", b"RSET", "250 2.0.0"),
    (OPEN + b"RSET\r\n", b"RCPT TO:<b@mx.example>", "503 5.5.1"),
    (OPEN + b"EHLO again.example\r\n", b"RCPT TO:<b@mx.example>", "503 5.5.1"),
]


@pytest.mark.parametrize(("before", "command", "reply"), COMMANDS)
def test_command(before, command, reply):
    machine = owner(Profile(HOSTNAME, size_limit=1000))
    machine.feed(before)
    answer = machine.feed(command + b"\r\n")
    assert answer[-1].replace("-", " ", 1).startswith(reply)
    assert len(codes(answer)) == 1


def test_a_line_that_ends_in_lf_alone_is_refused():
    machine = owner()
    answer = machine.feed(b"EHLO c.example\nNOOP\r\n")
    assert answer == [str(replies.BARE_LINE_ENDING), "250 2.0.0 OK"]


def test_data_is_unstuffed_and_nothing_else():
    machine = owner()
    content = b"Subject: x\r\n\r\n..one\r\n...\r\n. \r\nlast\0\xff\r\n"
    assert codes(machine.feed(OPEN + b"DATA\r\n")) == [250, 250, 250, 354]
    assert machine.feed(content + b".\r\n") == ["250 2.0.0 Message accepted"]
    start, stored, reply = machine.messages[0]
    assert stored == b"Subject: x\r\n\r\n.one\r\n..\r\n \r\nlast\0\xff\r\n"
    assert (start.envelope.mail_from, start.envelope.recipients) == (
        "a@c.example",
        ("b@mx.example",),
    )
    assert reply == replies.MESSAGE_ACCEPTED


@pytest.mark.parametrize("content", [b"", b"\r\n", b".\r\n", b"..\r\n", b"x\r\n"])
def test_small_messages(content):
    machine = owner()
    stuffed = b"." + content if content.startswith(b".") else content
    machine.feed(OPEN + b"DATA\r\n" + stuffed + b".\r\n")
    assert machine.messages[0][1] == content


# What other servers have been made to take for the end of data.
SMUGGLED = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r.\r",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\r.\r\n",
    b"\r\n\x00.\n",
    b"\n\n.\r\n",
    b"\r\r\n.\r\r\n",
]


@pytest.mark.parametrize("end", SMUGGLED)
def test_smuggled_end_of_data_is_content_and_refused(end):
    machine = owner()
    attack = b"Subject: x\r\n\r\ntext" + end + OPEN.removeprefix(HELLO) + b"DATA\r\nevil"
    assert machine.feed(OPEN + b"DATA\r\n" + attack)[-1] == "354 " + replies.START_MAIL_INPUT.text
    answer = machine.feed(b"\r\n.\r\nNOOP\r\n")
    assert answer == [str(replies.BARE_CR_OR_LF), "250 2.0.0 OK"]
    assert [reply for _, _, reply in machine.messages] == [replies.BARE_CR_OR_LF]
    assert machine.events.count(MessageRefused(replies.BARE_CR_OR_LF)) == 1


@pytest.mark.parametrize("content", [b"a\nb\r\n", b"a\rb\r\n", b"a\r\n\r"])
@pytest.mark.parametrize("size", [1, 2, 100])
def test_chunks_hold_lines_too(content, size):
    machine = owner()
    machine.feed(OPEN)
    pieces = [content[i : i + size] for i in range(0, len(content), size)]
    for piece in pieces:
        machine.feed(b"BDAT %d\r\n" % len(piece) + piece)
    machine.feed(b"BDAT 0 LAST\r\n")
    assert machine.messages[0][2] == replies.BARE_CR_OR_LF


def test_crlf_may_be_cut_by_chunks():
    machine = owner()
    answer = machine.feed(OPEN + b"BDAT 2\r\na\rBDAT 3\r\n\nb\rBDAT 1 LAST\r\n\n")
    assert codes(answer)[-3:] == [250, 250, 250]
    assert machine.messages[0][1] == b"a\r\nb\r\n"


def test_chunks_are_not_dot_stuffed():
    machine = owner()
    answer = machine.feed(OPEN + b"BDAT 8\r\n..a\r\n.\r\nBDAT 3 last\r\n.\r\nNOOP\r\n")
    assert answer[-3:] == [
        "250 2.0.0 8 octets received",
        "250 2.0.0 Message accepted",
        "250 2.0.0 OK",
    ]
    assert machine.messages[0][1] == b"..a\r\n.\r\n.\r\n"


def test_refused_bdat_swallows_its_octets():
    machine = owner()
    assert codes(machine.feed(MAIL + b"RCPT TO:<nobody@mx.example>\r\n")) == [250, 250, 550]
    answer = machine.feed(b"BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n")
    assert codes(answer) == [554, 554, 250]


def test_chunks_behind_a_failed_one_are_refused():
    machine = owner(Profile(HOSTNAME, size_limit=10))
    chunk = b"BDAT 8\r\n123456\r\n"
    answer = machine.feed(OPEN + chunk + chunk + chunk + b"BDAT 8 LAST\r\n123456\r\nNOOP\r\n")
    assert codes(answer)[3:] == [250, 552, 503, 503, 250]
    assert [reply for _, _, reply in machine.messages] == [replies.MESSAGE_TOO_BIG]


def test_a_bdat_that_cannot_be_read_closes():
    # What follows it might be content: none of it may be taken for commands.
    machine = owner()
    answer = machine.feed(OPEN + b"BDAT many\r\n" + OPEN)
    assert codes(answer) == [250, 250, 250, 501]
    assert machine.machine.closed
    assert codes(owner().feed(b"BDAT 99999999999999999999\r\nabc")) == []


def test_size_is_enforced_while_streaming():
    machine = owner(Profile(HOSTNAME, size_limit=10))
    machine.feed(OPEN + b"DATA\r\n")
    # Neither the dots that stuffing adds nor the end of data count (RFC 1870 §5).
    assert codes(machine.feed(b"..23456\r\n..\r\n.\r\n")) == [552]
    machine.feed(b"MAIL FROM:<a@c.example>\r\nRCPT TO:<b@mx.example>\r\nDATA\r\n")
    assert codes(machine.feed(b"..2345678\r\n.\r\n")) == [250]
    assert [content for _, content, _ in machine.messages] == [b"", b".2345678\r\n"]


def test_the_owner_can_refuse_content_it_has_seen_all_of():
    for content in (b"DATA\r\nx\r\n.\r\n", b"BDAT 3 LAST\r\nx\r\n", b"BDAT 3\r\nx\r\n"):
        machine = SmtpServer(Profile(HOSTNAME))
        machine.receive_data(OPEN + content)
        ends = []
        while (event := machine.next_event()) is not None:
            if machine.waiting:
                machine.answer()
            elif isinstance(event, TransactionEnd):
                ends.append(event.reply)
            else:
                machine.refuse(replies.TOO_MANY_HOPS)
                machine.refuse(replies.MESSAGE_TOO_BIG)
        assert ends == [replies.TOO_MANY_HOPS]
        assert machine.data_to_send().endswith(replies.TOO_MANY_HOPS.to_bytes())


def test_a_refused_start_ends_the_transaction():
    busy = SmtpReply(451, "4.3.0", "Later")
    machine = owner()
    machine.refuse_start = busy
    assert codes(machine.feed(OPEN + b"DATA\r\nDATA\r\n"))[3:] == [451, 503]
    answer = machine.feed(OPEN.removeprefix(HELLO) + b"BDAT 3 LAST\r\nx\r\nNOOP\r\n")
    assert codes(answer) == [250, 250, 451, 250]
    assert [reply for _, _, reply in machine.messages] == [busy, busy]


def test_recipients_have_a_limit():
    machine = owner(Profile(HOSTNAME, max_recipients=2))
    recipients = b"".join(b"RCPT TO:<b%d@mx.example>\r\n" % n for n in range(4))
    assert codes(machine.feed(MAIL + recipients)) == [250, 250, 250, 250, 452, 452]
    machine.feed(b"DATA\r\n.\r\n")
    assert machine.messages[0][0].envelope.recipients == ("b0@mx.example", "b1@mx.example")


def test_who_looks_for_addresses_is_cut():
    machine = owner(Profile(HOSTNAME, max_unknown_recipients=2))
    unknown, known = b"RCPT TO:<no@mx.example>\r\n", b"RCPT TO:<b@mx.example>\r\n"
    assert codes(machine.feed(MAIL + unknown + known)) == [250, 250, 550, 250]
    assert codes(machine.feed(b"RSET\r\nMAIL FROM:<>\r\n" + unknown)) == [250, 250, 550]
    assert machine.feed(unknown + known) == [str(replies.TOO_MANY_UNKNOWN)]
    assert machine.machine.closed


def test_the_size_that_was_declared_is_told_with_each_recipient():
    machine = owner()
    machine.feed(HELLO + b"MAIL FROM:<> SIZE=77\r\nRCPT TO:<b@mx.example>\r\n")
    machine.feed(b"RSET\r\nMAIL FROM:<>\r\nRCPT TO:<b@mx.example>\r\n")
    asked = [event for event in machine.events if isinstance(event, Recipient)]
    assert asked == [Recipient("b@mx.example", 77), Recipient("b@mx.example", None)]


def test_too_many_errors_close():
    machine = owner(Profile(HOSTNAME, max_errors=3))
    assert codes(machine.feed(b"A\r\nB\r\nC\r\nNOOP\r\nD\r\nNOOP\r\n")) == [500, 500, 500, 250, 421]
    assert machine.machine.closed


@pytest.mark.parametrize("verb", [b"GET", b"POST", b"CONNECT"])
def test_http_is_dropped(verb):
    machine = owner()
    request = verb + b" / HTTP/1.1\r\nHost: mx.example\r\n\r\n" + OPEN
    assert machine.feed(request) == [str(replies.NOT_HTTP)]
    assert machine.machine.closed


@pytest.mark.parametrize(
    ("path", "address"),
    [
        (b"<Postmaster>", "Postmaster@mx.example"),
        (b"<postmaster@mx.example>", "postmaster@mx.example"),
        (b'<"b.c"@mx.example>', "b.c@mx.example"),
        (b'<"b c"@mx.example>', '"b c"@mx.example'),
        (b"<@r.example:b@mx.example>", "b@mx.example"),
    ],
)
def test_recipient_addresses(path, address):
    machine = owner()
    machine.feed(MAIL + b"RCPT TO:" + path + b"\r\n")
    assert machine.events == [Recipient(address)]


@pytest.mark.parametrize(
    ("hello", "parameters", "tls", "protocol"),
    [
        (b"HELO", b"", False, "SMTP"),
        (b"HELO", b"", True, "SMTP"),
        (b"EHLO", b"", False, "ESMTP"),
        (b"EHLO", b"", True, "ESMTPS"),
        (b"EHLO", b" SMTPUTF8", False, "UTF8SMTP"),
        (b"EHLO", b" SMTPUTF8", True, "UTF8SMTPS"),
    ],
)
def test_with_protocol(hello, parameters, tls, protocol):
    machine = owner(tls=tls)
    machine.feed(hello + b" c.example\r\nMAIL FROM:<>" + parameters + b"\r\n")
    machine.feed(b"RCPT TO:<b@mx.example>\r\nDATA\r\n.\r\n")
    assert machine.messages[0][0].protocol == protocol


# STARTTLS


def test_starttls_forgets_everything():
    machine = owner(Profile(HOSTNAME, starttls=True))
    assert "250 STARTTLS" in machine.feed(HELLO)
    assert machine.feed(b"STARTTLS\r\n") == [str(replies.READY_TO_START_TLS)]
    assert StartTls() in machine.events
    assert machine.machine.tls
    assert codes(machine.feed(b"MAIL FROM:<>\r\n")) == [503]
    assert not any("STARTTLS" in line for line in machine.feed(HELLO))
    assert codes(machine.feed(b"STARTTLS\r\n")) == [503]


@pytest.mark.parametrize("behind", [b"N", b"NOOP\r\n", b"RSET\r\nQUIT\r\n", b"\n", b"\x16\x03"])
def test_nothing_may_stand_behind_starttls(behind):
    machine = owner(Profile(HOSTNAME, starttls=True))
    machine.feed(HELLO)
    assert machine.feed(b"STARTTLS\r\n" + behind) == [str(replies.PIPELINED_STARTTLS)]
    assert machine.machine.closed
    assert StartTls() not in machine.events


def test_plaintext_that_slips_in_before_tls_is_not_acted_on():
    machine = SmtpServer(Profile(HOSTNAME, starttls=True))
    machine.receive_data(HELLO + b"STARTTLS\r\n")
    assert machine.next_event() == StartTls()
    machine.data_to_send()
    machine.receive_data(HELLO + b"NOOP\r\n")
    assert machine.next_event() is None
    machine.tls_started()
    assert machine.next_event() is None
    assert machine.data_to_send() == b""


# Time: answers that take long, the end


def test_replies_keep_the_order_of_commands():
    machine = SmtpServer(Profile(HOSTNAME))
    machine.receive_data(OPEN + b"RCPT TO:<no@mx.example>\r\nNOOP\r\nDATA\r\nx\r\n.\r\nQUIT\r\n")
    sent = machine.data_to_send()
    asked = []
    while not machine.closed:
        while (event := machine.next_event()) is not None:
            asked.append(type(event).__name__)
        sent += machine.data_to_send()
        if machine.waiting:
            assert machine.next_event() is None  # nothing moves until the answer comes
            assert machine.data_to_send() == b""
            refuse = asked.count("Recipient") == 2 and asked[-1] == "Recipient"
            machine.answer(UNKNOWN if refuse else None)
    sent += machine.data_to_send()
    assert codes(sent.decode().split("\r\n")[:-1]) == [220, 250, 250, 250, 550, 250, 354, 250, 221]


def test_an_answer_to_no_question_is_the_owners_mistake():
    with pytest.raises(RuntimeError):
        SmtpServer(Profile(HOSTNAME)).answer()


def test_shutdown_lets_a_message_finish():
    machine = owner()
    machine.feed(OPEN + b"DATA\r\nhalf")
    machine.machine.shut_down()
    machine.run()
    assert not machine.machine.closed
    answer = machine.feed(b"\r\n.\r\nNOOP\r\n")
    assert answer == [str(replies.MESSAGE_ACCEPTED), str(replies.SHUTTING_DOWN)]
    assert machine.machine.closed


def test_shutdown_lets_chunks_finish():
    machine = owner()
    machine.feed(OPEN + b"BDAT 2\r\n\r\n")
    machine.machine.shut_down()
    machine.run()
    assert codes(machine.feed(b"BDAT 2 LAST\r\n\r\n")) == [250, 421]


@pytest.mark.parametrize("before", [b"", HELLO, MAIL, OPEN, OPEN + b"NO"])
def test_shutdown_closes_what_is_idle(before):
    machine = owner()
    machine.feed(before)
    machine.machine.shut_down()
    assert machine.feed(b"") == [str(replies.SHUTTING_DOWN)]


@pytest.mark.parametrize(
    "last", [b"", b"DATA\r\nhalf", b"DATA\r\nall\r\n", b"BDAT 5\r\nha", b"RSET", b"RSET\r\n"]
)
def test_every_transaction_ends_once(last):
    machine = owner()
    machine.feed(OPEN + last)
    machine.machine.receive_eof()
    machine.run()
    ends = [event for event in machine.events if isinstance(event, TransactionEnd)]
    assert [end.reply for end in ends] == [None]
    assert machine.machine.closed


def test_eof_comes_after_what_was_sent():
    machine = owner()
    machine.machine.receive_data(OPEN + b"DATA\r\nx\r\n.\r\n")
    machine.machine.receive_eof()
    machine.run()
    assert [reply for _, _, reply in machine.messages] == [replies.MESSAGE_ACCEPTED]


def test_a_close_while_an_answer_is_due_waits_for_it():
    machine = SmtpServer(Profile(HOSTNAME))
    machine.receive_data(OPEN + b"DATA\r\nx\r\n.\r\n")
    while not isinstance(machine.next_event(), MessageEnd):
        if machine.waiting:
            machine.answer()
    machine.data_to_send()
    machine.close()
    assert machine.next_event() is None
    machine.answer()
    end = machine.next_event()
    assert isinstance(end, TransactionEnd)
    assert end.reply == replies.MESSAGE_ACCEPTED
    assert machine.next_event() is None
    assert machine.data_to_send() == b""


# Memory


def test_an_endless_line_is_not_kept():
    machine = owner()
    machine.feed(*[b"x" * 1000] * 1000)
    assert len(machine.machine._input) < LONG_LINE_LIMIT
    assert machine.feed(b"\r\nNOOP\r\n") == [str(replies.LINE_TOO_LONG), "250 2.0.0 OK"]


def test_endless_content_is_not_kept():
    for begin in (b"DATA\r\n", b"BDAT 99999999999\r\n"):
        machine = owner(Profile(HOSTNAME, size_limit=10_000))
        machine.feed(OPEN + begin)
        machine.feed(*[b"x" * 1000] * 1000)
        assert len(machine.machine._input) == 0
        assert len(machine._content) <= 10_000


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"NOOP " + b"x" * 505 + b"\r\n", 250),
        (b"NOOP " + b"x" * 506 + b"\r\n", 500),
        (b"MAIL FROM:<" + b"x" * 2024 + b"@c.example>\r\n", 250),
        (b"MAIL FROM:<" + b"x" * 2025 + b"@c.example>\r\n", 500),
    ],
)
def test_line_limits(line, code):
    whole, bitwise = owner(), owner()
    for machine in (whole, bitwise):
        machine.feed(HELLO)
    assert codes(whole.feed(line)) == [code]
    assert codes(bitwise.feed(*(line[i : i + 1] for i in range(len(line))))) == [code]


# Properties

CONVERSATION = (
    OPEN
    + b"RCPT TO:<nobody@mx.example>\r\nNOOP\r\nDATA\r\n"
    + b"Subject: x\r\n\r\n..dot\r\n.\r\n"
    + b"MAIL FROM:<\xc3\xa4@c.example> SMTPUTF8 BODY=8BITMIME\r\nRCPT TO:<Postmaster>\r\n"
    + b"BDAT 7\r\n\r\nx\r\n.\rBDAT 3 LAST\r\n\ny\nBOGUS\r\nNOOP \n\r\n"
    + b"X" * 3000
    + b"\r\nMAIL FROM:<>\r\nRCPT TO:<b@mx.example>\r\nDATA\r\nevil\n.\nQUIT\r\n\r\n.\r\nQUIT\r\n"
)


def transcript(*pieces: bytes):
    machine = owner()
    answer = machine.feed(*pieces)
    return answer, [(s.envelope, c, r) for s, c, r in machine.messages if r and r.positive]


def test_a_conversation_cut_anywhere_is_the_same_conversation():
    whole = transcript(CONVERSATION)
    assert codes(whole[0])[-2:] == [550, 221]
    for cut in range(len(CONVERSATION)):
        assert transcript(CONVERSATION[:cut], CONVERSATION[cut:]) == whole
    assert transcript(*(CONVERSATION[i : i + 1] for i in range(len(CONVERSATION)))) == whole


@given(st.lists(st.integers(0, len(CONVERSATION)), max_size=20))
def test_a_conversation_cut_into_pieces_is_the_same_conversation(cuts):
    ends = sorted({0, *cuts, len(CONVERSATION)})
    pieces = [CONVERSATION[a:b] for a, b in pairwise(ends)]
    assert transcript(*pieces) == transcript(CONVERSATION)


lines_of_text = st.lists(st.text(".ab \u00e4", max_size=5).map(str.encode), max_size=8).map(
    lambda lines: b"".join(line + b"\r\n" for line in lines)
)


@given(lines_of_text, st.integers(1, 7))
def test_content_comes_through_data_and_bdat(content, size):
    stuffed = b"".join(
        b"." + line if line.startswith(b".") else line for line in content.splitlines(True)
    )
    data, bdat = owner(), owner()
    wire = OPEN + b"DATA\r\n" + stuffed + b".\r\nNOOP\r\n"
    data.feed(*(wire[i : i + size] for i in range(0, len(wire), size)))
    bdat.feed(OPEN)
    for i in range(0, len(content), size):
        chunk = content[i : i + size]
        bdat.feed(b"BDAT %d\r\n" % len(chunk) + chunk)
    bdat.feed(b"BDAT 0 LAST\r\n")
    assert [m[1] for m in data.messages] == [m[1] for m in bdat.messages] == [content]


WORDS = (
    b"EHLO |HELO x|MAIL FROM:|RCPT TO:|<a@b>|<>|DATA|BDAT |5|LAST|RSET|QUIT|STARTTLS| SIZE=|"
    b' SMTPUTF8|\r\n|\r|\n|.|\r\n.\r\n|VRFY |HELP|\xc3\xa4|"|\\|[IPv6:|GET / |@|:'
)
fragments = st.sampled_from([*WORDS.split(b"|"), OPEN])


@given(st.lists(fragments | st.binary(max_size=8), max_size=40), st.booleans())
def test_noise_gets_well_formed_replies(pieces, starttls):
    machine = owner(Profile(HOSTNAME, size_limit=100, starttls=starttls, max_errors=1000))
    machine.feed(*pieces)
    machine.machine.receive_eof()
    machine.run()
    assert machine.machine.closed
    assert_well_formed(bytes(machine.output))
    begun = sum(line.startswith("250 2.1.0") for line in machine.output.decode().split("\r\n"))
    assert sum(isinstance(e, TransactionEnd) for e in machine.events) == begun


def assert_well_formed(output: bytes) -> None:
    """RFC 5321 §4.2: three digits, space or hyphen, text; all lines of a reply one code."""
    assert output.endswith(b"\r\n")
    continued = b""
    for line in output[:-2].split(b"\r\n"):
        assert len(line) <= 510
        assert line.isascii()
        assert b"\r" not in line
        assert b"\n" not in line
        assert line[:1] in b"2345"
        assert line[:3].isdigit()
        assert line[3:4] in b" -"
        assert not continued or line[:3] == continued
        continued = line[:3] if line[3:4] == b"-" else b""
    assert not continued


def test_requiretls_needs_tls():
    # RFC 8689 §2
    machine = owner(Profile("mx.example", starttls=True), tls=True)
    lines = machine.feed(HELLO)
    assert any(line.endswith("REQUIRETLS") for line in lines)
    assert not any(line.endswith("STARTTLS") for line in lines)
    assert codes(machine.feed(b"MAIL FROM:<a@c.example> REQUIRETLS=x\r\n")) == [501]
    assert codes(machine.feed(b"MAIL FROM:<a@c.example> requiretls\r\n")) == [250]
    machine.feed(b"RCPT TO:<b@mx.example>\r\nDATA\r\n")
    (start,) = [event for event in machine.events if isinstance(event, MessageStart)]
    assert start.envelope.parameters == {"REQUIRETLS": None}


def test_reports_may_be_not_for_others():
    machine = owner(Profile("mx.example", dsn=False))
    assert not any("DSN" in line for line in machine.feed(HELLO))
    assert codes(machine.feed(b"MAIL FROM:<a@c.example> RET=HDRS\r\n")) == [555]
