"""SCRAM-SHA-256: the RFC's example, another implementation as the client, and what is wrong."""

import re
from base64 import b64decode, b64encode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scramp import ScramClient, ScramException

from mailhive.directory.scram import derived
from mailhive.model.scram import ScramLogin
from mailhive.smtp.events import Authenticate, Lookup
from mailhive.smtp.exchange import Proof, SaslError
from mailhive.smtp.replies import AUTHENTICATION_FAILED
from mailhive.smtp.scram import Scram
from mailhive.smtp.wire import Profile, SmtpServer

SALT = b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
USER = ScramLogin(derived("pencil", SALT, 4096), "user")
BINDINGS = {"tls-exporter": b"e" * 32, "tls-server-end-point": b"p" * 32}


def test_the_example():  # RFC 7677 §3
    exchange = Scram({}, plus=False, nonce="%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
    assert exchange.step(None) == b""
    assert exchange.step(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO") == Lookup("user", exchange.found)
    nonce = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    assert exchange.found(USER) == nonce + b",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    final = b"c=biws," + nonce + b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    proof = exchange.step(final)
    assert isinstance(proof, Proof) and proof.right and proof.login == "user"
    assert exchange.success == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def run(client: ScramClient, user: ScramLogin = USER) -> Proof:
    """What comes of it, with the server's proof checked by the client if its own was right."""
    exchange = Scram(BINDINGS, plus=client.mechanism_name.endswith("-PLUS"))
    asked = exchange.step(client.get_client_first().encode())
    assert isinstance(asked, Lookup)
    client.set_server_first(exchange.found(user).decode())
    proof = exchange.step(client.get_client_final().encode())
    assert isinstance(proof, Proof)
    if proof.right:
        client.set_server_final(exchange.success.decode())
    return proof


PLAIN, PLUS = "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"


def test_another_implementation():
    assert run(ScramClient([PLAIN], "user", "pencil")).right
    assert not run(ScramClient([PLAIN], "user", "pencils")).right
    end_point = ("tls-server-end-point", b"p" * 32)
    assert run(ScramClient([PLUS], "user", "pencil", channel_binding=end_point)).right
    in_the_middle = ("tls-server-end-point", b"q" * 32)
    assert not run(ScramClient([PLUS], "user", "pencil", channel_binding=in_the_middle)).right
    nobody = ScramLogin(USER.verifier)
    assert not run(ScramClient([PLAIN], "nobody", "pencil"), nobody).right


# SASLprep (RFC 4013 §3) and what is escaped
@pytest.mark.parametrize(
    ("login", "seen"),
    [("a,b=c", "a,b=c"), ("I\u00adX", "IX"), ("\u2168", "IX"), ("chloé", "chloé")],
)
def test_names(login, seen):
    exchange = Scram({}, plus=False)
    client = ScramClient([PLAIN], login, "pencil")
    assert exchange.step(client.get_client_first().encode()) == Lookup(seen, exchange.found)


@given(st.text(min_size=1), st.text(min_size=1), st.binary(min_size=12, max_size=40))
@example("us=er,", "p\u00aass\u2168", b"0123456789abcdef")
def test_any_password(login, password, salt):
    try:
        stored = derived(password, salt, 4096)
        client = ScramClient([PLAIN], login, password)
        assert run(client, ScramLogin(stored, "user")).right
    except (ValueError, ScramException) as error:
        assert re.search("prohibit|forbid|bidi|unassigned|RandALCat|empty", str(error))


@pytest.mark.parametrize(
    ("plus", "first"),
    [
        (False, b"y,,n=user,r=abc"),  # somebody took -PLUS out of what the client was offered
        (False, b"p=tls-exporter,,n=user,r=abc"),
        (True, b"n,,n=user,r=abc"),
        (True, b"p=tls-unique,,n=user,r=abc"),
        (False, b"n,a=other,n=user,r=abc"),
        (False, b"n,,m=x,n=user,r=abc"),
        (False, b"n,,n=us=er,r=abc"),
        (False, b"n,,n=,r=abc"),
        (False, b"n,,n=user,r="),
        (False, b"n,,n=us\x07er,r=abc"),
        (False, b"n,,n=\xff,r=abc"),
        (False, b""),
    ],
)
def test_no_client_first_message(plus, first):
    with pytest.raises(SaslError):
        Scram(BINDINGS, plus=plus).step(first)


@pytest.mark.parametrize(
    "final",
    [b"c=biws,r=abcother,p=AAAA", b"c=biws,r=abcown", b"c=biws,r=abcown,p=A", b"", b"\xff"],
)
def test_no_client_final_message(final):
    exchange = Scram({}, plus=False, nonce="own")
    exchange.step(b"n,,n=user,r=abc")
    exchange.found(USER)
    with pytest.raises(SaslError):
        exchange.step(final)


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_octets_of_scram(first, final):
    exchange = Scram(BINDINGS, plus=False)
    try:
        if isinstance(exchange.step(first), Lookup):
            exchange.found(USER)
            assert not exchange.step(final).right
    except SaslError:
        pass


def test_a_binding_that_is_not_the_header():
    exchange = Scram({}, plus=False, nonce="own")
    exchange.step(b"n,,n=user,r=abc")
    exchange.found(USER)
    proof = exchange.step(b"c=eSws,r=abcown,p=" + b64encode(bytes(32)))
    assert isinstance(proof, Proof) and not proof.right


# In the machine


class Session:
    def __init__(self, *, bindings: dict[str, bytes] | None = None, offered: bool = True) -> None:
        profile = Profile("mx.example", submission=True, offers_scram=lambda: offered)
        self.machine = SmtpServer(profile, tls=True, bindings=lambda: bindings or {})
        self.machine.data_to_send()
        self.greeting = self.say("EHLO c.example")

    def say(self, *lines: str) -> str:
        self.machine.receive_data("".join(f"{line}\r\n" for line in lines).encode())
        while (event := self.machine.next_event()) is not None:
            if isinstance(event, Lookup):
                self.machine.answer(USER)
            elif isinstance(event, Authenticate):
                right = isinstance(event.credentials, Proof) and event.credentials.right
                self.machine.answer(None if right else AUTHENTICATION_FAILED)
            elif self.machine.waiting:
                self.machine.answer(None)
        return self.machine.data_to_send().decode()

    def log_in(self, client: ScramClient) -> str:
        def b64(text: str) -> str:
            return b64encode(text.encode()).decode()

        first = self.say(f"AUTH {client.mechanism_name} {b64(client.get_client_first())}")
        if not first.startswith("334 "):
            return first
        client.set_server_first(b64decode(first[4:]).decode())
        final = self.say(b64(client.get_client_final()))
        if not final.startswith("334 "):
            return final
        client.set_server_final(b64decode(final[4:]).decode())
        assert self.say("MAIL FROM:<user@x.example>")[0] == "5"  # it is a response to nobody
        return final


def test_offered_only_where_it_can_be():
    always = "OAUTHBEARER XOAUTH2 PLAIN LOGIN\r\n"
    assert f"AUTH {always}" in Session(offered=False).greeting
    assert f"AUTH SCRAM-SHA-256 {always}" in Session().greeting
    assert f"AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 {always}" in Session(bindings=BINDINGS).greeting
    refused = Session(offered=False).say("AUTH SCRAM-SHA-256 biwsbj11c2VyLHI9YWJj")
    assert refused.startswith("504 5.5.4 ")
    assert Session().say("AUTH SCRAM-SHA-256-PLUS").startswith("504 5.5.4 ")


def test_logging_in():
    session = Session(bindings=BINDINGS)
    end_point = ("tls-server-end-point", b"p" * 32)
    client = ScramClient([PLUS], "user", "pencil", channel_binding=end_point)
    assert session.log_in(client).startswith("334 ")
    session = Session()
    assert session.log_in(ScramClient([PLAIN], "user", "wrong")).startswith("535 5.7.8 ")


def test_who_does_not_believe_the_server_is_not_in():
    session = Session()
    client = ScramClient([PLAIN], "user", "pencil")
    first = b64encode(client.get_client_first().encode()).decode()
    client.set_server_first(b64decode(session.say(f"AUTH {PLAIN} {first}")[4:]).decode())
    assert session.say(b64encode(client.get_client_final().encode()).decode()).startswith("334 dj")
    assert session.say("*").startswith("501 5.7.0 ")
    assert session.say("MAIL FROM:<user@x.example>").startswith("530 ")


def test_the_end_of_a_login():
    session = Session()
    client = ScramClient([PLAIN], "user", "pencil")
    assert session.say(f"AUTH {PLAIN}") == "334 \r\n"
    reply = session.say(b64encode(client.get_client_first().encode()).decode())
    client.set_server_first(b64decode(reply[4:]).decode())
    session.say(b64encode(client.get_client_final().encode()).decode())
    assert session.say("").startswith("235 2.7.0 ")
    assert session.say("MAIL FROM:<user@x.example>").startswith("250 ")
