"""Logging in to servers, by SCRAM to that of another implementation."""

from base64 import b64decode, b64encode
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scramp import ScramException, ScramMechanism

from mailhive.model.scram import ScramKeys
from mailhive.smtp.client import Refused, Session
from mailhive.smtp.client_login import Login, log_in
from mailhive.smtp.replies import SmtpReply
from mailhive.smtp.scram_client import ScramClient, ScramError

MECHANISM = ScramMechanism()
STORED = MECHANISM.make_auth_info("pencil", iteration_count=4096)


async def _inline(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Nothing here waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")


class Wire:
    """Gives what `replies` has, with what came since the last one said to `by_scram` if it is None.

    `spoil(message)` changes what the server says there.
    """

    def __init__(
        self, *replies: SmtpReply | None, spoil: Callable[[str], str] = lambda said: said
    ) -> None:
        self._replies = list(replies)
        self._spoil = spoil
        self._server = MECHANISM.make_server(lambda _: STORED)
        self._said = 0
        self.sent: list[str] = []

    def write(self, octets: bytes) -> None:
        self.sent += octets.decode().removesuffix("\r\n").split("\r\n")

    async def reply(self, _: float) -> SmtpReply:
        given = self._replies.pop(0)
        if given is not None:
            return given
        heard = b64decode(self.sent[-1].rpartition(" ")[2]).decode()
        self._said += 1
        try:
            if self._said == 1:
                self._server.set_client_first(heard)
                said = self._server.get_server_first()
            else:
                self._server.set_client_final(heard)
                said = self._server.get_server_final()
        except ScramException:
            return SmtpReply(535, "5.7.8", "Who?")
        return SmtpReply(334, "", b64encode(self._spoil(said).encode()).decode())


WELCOME, WHO, GO_ON = (
    SmtpReply(235, "2.7.0", "ok"),
    SmtpReply(535, "5.7.8", "Who?"),
    SmtpReply(334, "", "x"),
)
SCRAM = (None, None)
AUTH_PLAIN = "AUTH PLAIN AHVzZXIAcGVuY2ls"


def try_to(wire: Wire, offered: str, login: Login | None = None) -> Session:
    session = Session(wire, "us.example", {"AUTH": offered})
    run(log_in(session, login or Login("user", "pencil"), _inline))
    return session


def test_scram_comes_first() -> None:
    wire = Wire(*SCRAM, WELCOME)
    try_to(wire, "LOGIN PLAIN scram-sha-256 SCRAM-SHA-1")
    assert wire.sent[0].startswith("AUTH SCRAM-SHA-256 ") and wire.sent[2] == ""
    assert len(wire.sent) == 3


def test_a_server_that_has_no_verifier_is_shown_the_password() -> None:
    wire = Wire(None, WHO, WELCOME)
    try_to(wire, "SCRAM-SHA-256 PLAIN")
    assert wire.sent[2] == AUTH_PLAIN
    for reply in (WHO, SmtpReply(454, "4.7.0", "Later")):
        wire = Wire(None, reply)
        with pytest.raises(Refused, match=str(reply.code)):
            try_to(wire, "SCRAM-SHA-256 PLAIN", Login("user", "pencil", only_scram=True))
        assert len(wire.sent) == 2
    wire = Wire()
    with pytest.raises(Refused, match="no way to log in"):
        try_to(wire, "PLAIN LOGIN", Login("user", "pencil", only_scram=True))
    assert not wire.sent


def test_what_scram_cannot_have_goes_by_plain() -> None:
    wire = Wire(WELCOME)
    try_to(wire, "SCRAM-SHA-256 PLAIN", Login("user", "pen\x07cil"))
    assert wire.sent == ["AUTH PLAIN AHVzZXIAcGVuB2NpbA=="]


@pytest.mark.parametrize(
    ("replies", "spoil"),
    [
        ((None,), lambda said: said.replace("r=", "r=x")),
        ((None,), lambda said: said.replace("i=4096", "i=4095")),
        ((None,), lambda said: said.replace("i=4096", "i=90000000")),
        ((None,), lambda said: "m=x," + said),
        ((None,), lambda said: said.replace("s=", "s=?")),
        ((GO_ON,), str),
        (SCRAM, lambda said: said.replace("v=", "v=AA") if said.startswith("v=") else said),
        (SCRAM, lambda said: "e=other-error" if said.startswith("v=") else said),
        ((None, GO_ON), str),
        ((None, WELCOME), str),
    ],
)
def test_a_server_that_is_not_to_be_trusted(replies: Any, spoil: Callable[[str], str]) -> None:
    wire = Wire(*replies, spoil=spoil)
    session = Session(wire, "us.example", {"AUTH": "SCRAM-SHA-256 PLAIN"})
    with pytest.raises(Refused, match="454"):
        run(log_in(session, Login("user", "pencil"), _inline))
    assert not session.is_open and AUTH_PLAIN not in wire.sent


@pytest.mark.parametrize(
    ("mechanisms", "replies", "sent"),
    [
        ("PLAIN LOGIN", [WELCOME], [AUTH_PLAIN]),
        ("LOGIN", [GO_ON, GO_ON, WELCOME], ["AUTH LOGIN", "dXNlcg==", "cGVuY2ls"]),
    ],
)
def test_logging_in(mechanisms: str, replies: list[SmtpReply], sent: list[str]) -> None:
    wire = Wire(*replies)
    try_to(wire, mechanisms)
    assert wire.sent == sent
    with pytest.raises(Refused, match="535"):
        try_to(Wire(WHO), mechanisms)
    with pytest.raises(Refused):
        try_to(Wire(), "CRAM-MD5")


def test_the_example_of_the_rfc() -> None:  # RFC 7677 §3
    scram = ScramClient("user", "pencil", "rOprNGfwEbeRWgbNEkqO")
    assert scram.first() == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    nonce = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    salt, count = scram.challenged(nonce + b",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
    final = scram.final(ScramKeys.of(scram.password, salt, count))
    assert final == b"c=biws," + nonce + b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    assert scram.is_server(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
    assert not scram.is_server(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95Gg=")


@given(st.binary(max_size=200) | st.from_regex(rb"\Ar=n[!-~]{0,9},s=[A-Z=]{0,9},i=[0-9]{0,9}\Z"))
def test_anything_that_a_server_may_say(said: bytes) -> None:
    scram = ScramClient("u=,", "pencil", "n")
    assert scram.first() == b"n,,n=u=3D=2C,r=n"
    assert not scram.is_server(said)
    with suppress(ScramError):
        assert 4_096 <= scram.challenged(said)[1] <= 2_000_000
