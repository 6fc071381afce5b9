from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhive.smtp.events import Authenticate, MessageStart
from mailhive.smtp.exchange import Password, SaslError, Token
from mailhive.smtp.replies import AUTHENTICATION_FAILED
from mailhive.smtp.sasl import begin, mechanisms
from mailhive.smtp.wire import Profile, SmtpServer

LOGIN = Password("alice", "pass word")


@pytest.mark.parametrize(
    ("mechanism", "responses", "found"),
    [
        ("plain", [None, b"\0alice\0pass word"], LOGIN),
        ("PLAIN", [b"alice\0alice\0pass word"], LOGIN),
        ("LOGIN", [None, b"alice", b"pass word"], LOGIN),
        ("LOGIN", [b"alice", b"pass word"], LOGIN),
        ("OAUTHBEARER", [b"n,a=a=2Cb=3D,\x01host=x\x01auth=Bearer t\x01\x01"], Token("t", "a,b=")),
        ("OAUTHBEARER", [b"y,,\x01auth=bearer  t\x01\x01"], Token("t", None)),
        ("XOAUTH2", [b"user=a@x\x01auth=Bearer t\x01\x01"], Token("t", "a@x")),
    ],
)
def test_exchanges(mechanism: str, responses: list[bytes | None], found: object) -> None:
    exchange = begin(mechanism)
    *before, last = responses
    assert all(isinstance(exchange.step(response), bytes) for response in before)
    assert exchange.step(last) == found


@pytest.mark.parametrize(
    ("mechanism", "response"),
    [
        ("PLAIN", b"alice\0pass"),
        ("PLAIN", b"bob\0alice\0pass"),
        ("PLAIN", b"\0\0pass"),
        ("PLAIN", b"\0alice\0\xff"),
        ("LOGIN", b"al\0ice"),
        ("OAUTHBEARER", b"p=tls-unique,,\x01auth=Bearer t\x01\x01"),
        ("OAUTHBEARER", b"n,,\x01auth=Basic t\x01\x01"),
        ("OAUTHBEARER", b"n,,\x01auth=Bearer t"),
        ("XOAUTH2", b"user=a\x01auth=Bearer \x01\x01"),
    ],
)
def test_what_is_no_response(mechanism: str, response: bytes) -> None:
    with pytest.raises(SaslError):
        begin(mechanism).step(response)


@given(st.sampled_from(mechanisms()), st.lists(st.binary(max_size=40), max_size=3))
def test_any_octets(mechanism: str, responses: list[bytes]) -> None:
    exchange = begin(mechanism)
    try:
        for response in responses:
            if not isinstance(exchange.step(response), bytes):
                break
    except SaslError:
        pass


# In the machine


class Session:
    """Lets alice in."""

    def __init__(self, *, tls: bool = True, **profile: object) -> None:
        made = Profile("mx.example", submission=True, **profile)  # type: ignore[arg-type]
        self.machine = SmtpServer(made, tls=tls)
        self.asked: list[object] = []
        self.machine.data_to_send()
        self.say("EHLO c.example")

    def say(self, *lines: str) -> str:
        self.machine.receive_data("".join(f"{line}\r\n" for line in lines).encode())
        while (event := self.machine.next_event()) is not None:
            self.asked.append(event)
            if isinstance(event, Authenticate):
                good = event.credentials in (LOGIN, Token("good", None))
                self.machine.answer(None if good else AUTHENTICATION_FAILED)
            elif self.machine.waiting:
                self.machine.answer(None)
        return self.machine.data_to_send().decode()


def b64(text: bytes) -> str:
    return b64encode(text).decode()


GOOD, BAD = b64(b"\0alice\0pass word"), b64(b"\0alice\0wrong")


def test_mail_needs_a_login() -> None:
    session = Session()
    assert session.say("MAIL FROM:<a@x.example>").startswith("530 5.7.0 ")
    assert session.say(f"AUTH PLAIN {GOOD}").startswith("235 2.7.0 ")
    assert session.say("MAIL FROM:<a@x.example>").startswith("250 ")
    assert session.say("AUTH PLAIN").startswith("503 ")


def test_keywords() -> None:
    assert "AUTH OAUTHBEARER XOAUTH2 PLAIN LOGIN\r\n" in Session().say("EHLO c.example")
    session = Session(tls=False)
    assert "AUTH" not in session.say("EHLO c.example")
    assert session.say(f"AUTH PLAIN {GOOD}").startswith("538 5.7.11 ")
    assert "250 AUTH " in Session(tls=False, auth_in_clear=True).say("EHLO c.example")
    held = Session(max_hold=3600).say("EHLO c.example")
    assert "FUTURERELEASE 3600 20" in held and "DSN" in held
    assert "FUTURERELEASE" not in Session().say("EHLO c.example")


def test_responses_on_lines_of_their_own() -> None:
    assert Session().say("AUTH PLAIN", GOOD) == "334 \r\n235 2.7.0 Authentication successful\r\n"
    replies = Session().say("AUTH LOGIN", b64(b"alice"), b64(b"pass word")).split("\r\n")
    assert [reply[:3] for reply in replies] == ["334", "334", "235", ""]
    assert replies[0] == "334 " + b64(b"Username:")
    assert Session().say("AUTH PLAIN", "*").startswith("334 \r\n501 5.7.0 ")
    assert Session().say("AUTH PLAIN", "!!!").startswith("334 \r\n501 5.5.2 ")
    assert Session().say("AUTH PLAIN =").startswith("501 5.5.2 ")
    assert Session().say("AUTH CRAM-MD5").startswith("504 5.5.4 ")


def test_long_tokens() -> None:
    token = b64(b"n,,\x01auth=Bearer " + b"x" * 8000 + b"\x01\x01")
    assert Session().say(f"AUTH OAUTHBEARER {token}").startswith("334 ")
    assert Session().say("AUTH OAUTHBEARER", "x" * 20_000).startswith("334 \r\n500 5.5.2 ")
    assert Session().say("MAIL FROM:<" + "x" * 5000 + "@x>").startswith("500 5.5.2 ")


def test_a_refused_token_is_explained_first() -> None:
    # RFC 7628 §3.2.3
    session = Session()
    bad = b64(b"n,,\x01auth=Bearer bad\x01\x01")
    assert (
        session.say(f"AUTH OAUTHBEARER {bad}")
        == "334 " + b64(b'{"status":"invalid_token"}') + "\r\n"
    )
    assert session.say("AQ==").startswith("535 5.7.8 ")
    good = b64(b"n,,\x01auth=Bearer good\x01\x01")
    assert session.say(f"AUTH OAUTHBEARER {good}").startswith("235 ")


def test_guessing_ends() -> None:
    session = Session()
    replies = [session.say(f"AUTH PLAIN {BAD}")[:3] for _ in range(5)]
    assert replies == ["535", "535", "535", "535", "421"]
    assert session.machine.closed


def test_parameters_of_submission() -> None:
    session = Session()
    session.say(f"AUTH PLAIN {GOOD}")
    assert session.say("MAIL FROM:<a@x.example> RET=HDRS ENVID=a+2B1 AUTH=<>")[:3] == "250"
    assert session.say("RCPT TO:<b@y.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b@y")[:3] == "250"
    for bad in ("RET=ALL", "ENVID=a=b", "ENVID=" + "x" * 101, "HOLDFOR=0"):
        assert "\r\n501 5.5.4 " in session.say("RSET", f"MAIL FROM:<a@x.example> {bad}")
    session.say("RSET", "MAIL FROM:<a@x.example>")
    for bad in ("NOTIFY=NEVER,DELAY", "NOTIFY=", "ORCPT=b@y"):
        assert session.say(f"RCPT TO:<b@y.example> {bad}")[:3] == "501"
    # RFC 6533 §3: the original recipient in UTF-8.
    session.say("RSET", "MAIL FROM:<a@x.example> SMTPUTF8")
    assert session.say("RCPT TO:<b@y.example> ORCPT=UTF-8;zo\xeb\\x{2B}x@y.example")[:3] == "250"
    session.say("DATA")
    (start,) = (event for event in session.asked if isinstance(event, MessageStart))
    (given,) = start.envelope.recipient_parameters.values()
    assert given == {"ORCPT": r"UTF-8;zo\x{EB}\x{2B}x@y.example"}
    # The server of a domain does not know all of them.
    machine = SmtpServer(Profile("mx.example"))
    machine.receive_data(b"EHLO c\r\nMAIL FROM:<a@x.example> RET=HDRS AUTH=<>\r\n")
    while machine.next_event():
        pass
    assert b"\r\n555 5.5.4 " in machine.data_to_send()
