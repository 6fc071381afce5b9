"""A mailhive, Postfix and OpenSMTPD beside each other, and a world behind them.

What comes to one of the two for example.org goes on to the mailhive, and everything
else to the world, which writes down what it gets.  The mailhive finds the two by the DNS.
"""

import socket
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import treq.client
from attrs import frozen
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.task import deferLater
from twisted.web.client import Agent

from mailhive.testing.certificates import make_certificate
from mailhive.testing.jmap_client import CORE, MAIL, JmapClient
from mailhive.testing.mail_servers import OpenSmtpd, Postfix
from mailhive.testing.names import NameServer
from mailhive.testing.process import DaemonProcess, free_port
from mailhive.testing.smtp_client import SmtpClient
from mailhive.testing.smtp_peer import SmtpPeer

#: Users of the mailhive besides alice, named u0, u1 …
MANY = 300
UNPACKED = Path(__file__).parents[2] / "build/mta/root"
PATIENCE = 120.0  # seconds

_STARTTLS = """\
tls = "starttls"
certificate = "certificate.pem"
private-key = "key.pem"
"""


@frozen
class World:
    """`peer` is where everything goes that is not for the mailhive."""

    daemon: DaemonProcess
    peer: SmtpPeer
    servers: dict[str, Any]

    def user(self, name: str) -> "User":
        http = treq.client.HTTPClient(Agent(reactor))
        using = (CORE, MAIL, "urn:ietf:params:jmap:submission")
        password = self.daemon.users[name]
        return User(JmapClient(self.daemon.session_url, name, password, http, using))

    async def arrived(self, text: bytes) -> bytes:
        """The message out in the world that has this text."""

        def look() -> bytes | None:
            return next((found for found in self.peer.messages if text in found), None)

        found: bytes = await until(look)
        return found

    def recipients(self, mail_from: str) -> list[str]:
        """To whom in the world a sender's messages went, in order."""
        found, is_wanted = [], False
        for line in (line for lines in self.peer.commands for line in lines):
            verb, _, rest = line.partition(":<")
            if verb == "MAIL FROM":
                is_wanted = rest.partition(">")[0] == mail_from
            elif verb == "RCPT TO" and is_wanted:
                found.append(rest.partition(">")[0])
        return found

    async def post(self, by: str, *args: Any, **more: Any) -> None:
        """Give a message to one of the two: arguments are those of `SmtpClient.send`."""
        endpoint = TCP4ClientEndpoint(reactor, *self.servers[by].address)
        client = await SmtpClient.connect(endpoint)
        await client.hello()
        replies = await client.send(*args, **more)
        assert all(reply.code < 400 for reply in replies), [str(reply) for reply in replies]
        await client.quit()


@frozen
class User:
    """Somebody with an account at the mailhive."""

    client: JmapClient

    async def found(self, **condition: str) -> str:
        """The id of the one Email that a filter finds, once it is there."""

        async def look() -> list[str]:
            found = await self.client.call("Email/query", {"filter": condition})
            ids: list[str] = found["ids"]
            return ids

        (email_id,) = await until(look)
        return str(email_id)

    async def message(self, **condition: str) -> bytes:
        """The octets of that Email."""
        email_id = await self.found(**condition)
        found = await self.client.call("Email/get", {"ids": [email_id], "properties": ["blobId"]})
        (email,) = found["list"]
        return (await self.client.download(email["blobId"])).data

    async def submit(
        self, raw: bytes, recipients: dict[str, Any], parameters: dict[str, Any] | None = None
    ) -> str:
        """Send these octets; the id of the EmailSubmission."""
        call = self.client.call
        mailboxes = (await call("Mailbox/get", {"ids": None}))["list"]
        drafts = next(m["id"] for m in mailboxes if m["role"] == "drafts")
        blob = await self.client.upload(raw, "message/rfc822")
        wanted = {"blobId": blob["blobId"], "mailboxIds": {drafts: True}}
        imported = await call("Email/import", {"emails": {"e": wanted}})
        (identity,) = (await call("Identity/get", {"ids": None}))["list"]
        submission = {
            "identityId": identity["id"],
            "emailId": imported["created"]["e"]["id"],
            "envelope": {
                "mailFrom": {"email": identity["email"], "parameters": parameters},
                "rcptTo": [{"email": to, "parameters": p} for to, p in recipients.items()],
            },
        }
        made = await call("EmailSubmission/set", {"create": {"s": submission}})
        assert made["created"], made["notCreated"]
        found: str = made["created"]["s"]["id"]
        return found

    async def submission(self, submission_id: str) -> dict[str, Any]:
        """The EmailSubmission."""
        got = await self.client.call("EmailSubmission/get", {"ids": [submission_id]})
        (found,) = got["list"]
        return dict(found)

    async def settled(self, submission_id: str) -> dict[str, tuple[str, str]]:
        """delivered and smtpReply by recipient, once none is queued."""

        async def look() -> dict[str, tuple[str, str]] | None:
            status = (await self.submission(submission_id))["deliveryStatus"]
            if any(entry["delivered"] == "queued" for entry in status.values()):
                return None
            return {to: (entry["delivered"], entry["smtpReply"]) for to, entry in status.items()}

        found: dict[str, tuple[str, str]] = await until(look)
        return found

    async def put_off(self, submission_id: str, to: str) -> str:
        """Why a recipient has not got it yet, once that was tried."""

        async def look() -> str | None:
            status = (await self.submission(submission_id))["deliveryStatus"][to]
            assert status["delivered"] == "queued"
            reply: str = status["smtpReply"]
            return reply if reply.startswith("4") else None

        found: str = await until(look)
        return found


async def until(look: Any) -> Any:
    """What `look`, awaitable or not, returns, once it is something."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = look()
        if hasattr(found, "__await__"):
            found = await found
        if found:
            return found
        assert time.monotonic() < deadline
        await deferLater(reactor, 0.05)


@pytest_twisted.async_yield_fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    assert UNPACKED.exists(), "Run `tests/mta/unpack build/mta`; see docs/contributing.md"
    directory = tmp_path_factory.mktemp("mta")
    made = make_certificate("mail.example.org")
    (directory / "certificate.pem").write_bytes(made.certificate)
    (directory / "key.pem").write_bytes(made.private_key)
    peer = SmtpPeer(extensions=("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 50000000"))
    others = await peer.start(reactor)
    port = free_port_of("127.0.0.2", "127.0.0.3")
    names = NameServer(
        {
            f"{name}.example": {"MX": [(10, f"mx.{name}.example")]}
            for name in ("postfix", "opensmtpd", "feigned")
        }
        | {
            "mx.postfix.example": {"A": ["127.0.0.2"]},
            "mx.opensmtpd.example": {"A": ["127.0.0.3"]},
            "mx.feigned.example": {"A": ["127.0.0.2"]},
        },
        signed={"postfix.example", "feigned.example"},
    )
    await names.start(reactor)
    daemon = DaemonProcess(
        directory,
        users={"alice": "wonderland"} | {f"u{i}": "secret" for i in range(MANY)},
        keys={
            "server": f'resolvers = ["127.0.0.1:{names.address[1]}"]',
            'server.listener."smtp"': _STARTTLS,
            "relay": f"port = {port}\ndane = true",
        },
    )
    routes = {"example.org": daemon.smtp_port}
    with ExitStack() as stack:
        stack.enter_context(daemon)
        servers = {
            "postfix": stack.enter_context(Postfix(UNPACKED, ("127.0.0.2", port), routes, others)),
            "opensmtpd": stack.enter_context(
                OpenSmtpd(UNPACKED, ("127.0.0.3", port), routes, others)
            ),
        }
        # Whatever goes to Postfix by its domain is held to its key, by another one to other keys.
        key = servers["postfix"].certificate.x509.public_key()
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        for name, digest in (("postfix", sha256(spki).digest()), ("feigned", bytes(32))):
            place = f"_{port}._tcp.mx.{name}.example"
            names.records[place] = {"TLSA": [(3, 1, 1, digest)]}  # type: ignore[index]
        yield World(daemon, peer, servers)
    await peer.stop()
    await names.stop()


def free_port_of(*addresses: str) -> int:
    """A port on which nobody listens at any of these."""
    while True:
        port = free_port()
        try:
            for address in addresses:
                socket.create_server((address, port)).close()
        except OSError:
            continue
        return port
