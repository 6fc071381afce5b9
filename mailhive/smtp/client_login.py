"""Logging in to other servers (RFC 4954), without I/O of its own."""

from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

from attrs import evolve, field, frozen

from mailhive.model.scram import ScramKeys
from mailhive.smtp.client import Refused, Session
from mailhive.smtp.replies import SmtpReply
from mailhive.smtp.scram_client import ScramClient, ScramError

__all__ = ["Login", "log_in"]

_NO_WAY = SmtpReply(454, "4.7.0", "The server offers no way to log in that will do")


@frozen
class Login:
    """With `only_scram` the server never gets the password itself."""

    user: str
    password: str = field(repr=False)
    only_scram: bool = False


async def log_in(session: Session, login: Login, offload: Callable[..., Any]) -> None:
    """By SCRAM-SHA-256, else PLAIN (RFC 4616) or LOGIN, as the server offers.  `Refused`.

    A server may offer SCRAM and not have what it takes for this user; so where it refuses
    that, the others follow.  They do not where it could not prove that it knows the password.
    `offload(function, *arguments)` runs what takes time.
    """
    offered = session.extensions.get("AUTH", "").upper().split()
    reply = _NO_WAY
    if "SCRAM-SHA-256" in offered and (scram := _scram(login)) is not None:
        reply = await _by_scram(session, scram, offload)
        if reply.code == 235:
            return
        if reply.code < 500 or not session.is_open:
            raise Refused(reply)
    if not login.only_scram:
        if "PLAIN" in offered:
            secret = _base64(f"\0{login.user}\0{login.password}".encode())
            reply = await session.command(f"AUTH PLAIN {secret}")
        elif "LOGIN" in offered:
            reply = await session.command("AUTH LOGIN")
            for answer in (login.user, login.password):
                if reply.code != 334:
                    break
                reply = await session.command(_base64(answer.encode()))
    if reply.code != 235:
        raise Refused(reply)


def _scram(login: Login) -> ScramClient | None:
    try:
        return ScramClient(login.user, login.password)
    except ValueError:
        return None


async def _by_scram(session: Session, scram: ScramClient, offload: Callable[..., Any]) -> SmtpReply:
    """The server's last reply."""
    reply = await session.command(f"AUTH SCRAM-SHA-256 {_base64(scram.first())}")
    if reply.code != 334:
        return reply
    try:
        salt, iterations = scram.challenged(_challenge(reply))
        keys: ScramKeys = await offload(ScramKeys.of, scram.password, salt, iterations)
        reply = await session.command(_base64(scram.final(keys)))
        if reply.code == 334 and scram.is_server(_challenge(reply)):  # RFC 4954 §4
            return await session.command("")
    except ScramError as error:
        session.is_open = False
        raise Refused(SmtpReply(454, "4.7.0", f"SCRAM by the server: {error}")) from None
    if reply.code < 400:  # RFC 5802 §3
        session.is_open = False
        raise Refused(evolve(_NO_WAY, text="The server does not prove that it knows the password"))
    return reply


def _challenge(reply: SmtpReply) -> bytes:
    try:
        return b64decode(reply.text.strip(), validate=True)
    except ValueError:
        raise ScramError("not base64") from None


def _base64(octets: bytes) -> str:
    return b64encode(octets).decode("ascii")
