"""A small SMTP client on Twisted: the hand of the tests.

    client = await SmtpClient.connect(endpoint)
    await client.hello("client.example")
    replies = await client.send("a@example.org", ["b@example.org"], b"Subject: x\\r\\n\\r\\n")

It sends what it is told to, right or wrong: replies are values, not errors.  A
connection that ends while a reply is awaited raises `ConnectionError`.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

__all__ = ["Reply", "SmtpClient"]


@frozen
class Reply:
    """A reply: its code and the text of each of its lines."""

    code: int
    lines: tuple[str, ...]

    @property
    def enhanced(self) -> str:
        """The enhanced status code, if the text starts with one (RFC 2034)."""
        return self.lines[-1].partition(" ")[0]

    def __str__(self) -> str:
        return f"{self.code} {' / '.join(self.lines)}"


class SmtpClient(LineReceiver):
    """One connection to an SMTP server."""

    delimiter = b"\r\n"
    MAX_LENGTH = 65536
    transport: Any

    def __init__(self) -> None:
        self._replies: deque[Reply] = deque()
        self._waiting: deque[Deferred[Reply]] = deque()
        self._lines: list[str] = []
        self._lost = False
        #: Fires when the connection has ended.
        self.disconnected: Deferred[None] = Deferred()
        self.greeting: Reply | None = None
        #: Keywords of the last EHLO with their parameters.
        self.extensions: dict[str, str] = {}

    @classmethod
    async def connect(cls, endpoint: Any) -> "SmtpClient":
        """Connect to an `IStreamClientEndpoint` and take the greeting."""
        client = await endpoint.connect(Factory.forProtocol(cls))
        client.greeting = await client.reply()
        return client

    def lineReceived(self, line: bytes) -> None:
        text = line.decode("utf-8")
        if not text[:3].isdigit() or text[3:4] not in ("", " ", "-"):
            raise ValueError(f"not a reply line: {text!r}")
        self._lines.append(text[4:])
        if text[3:4] == "-":
            return
        reply = Reply(int(text[:3]), tuple(self._lines))
        self._lines = []
        if self._waiting:
            self._waiting.popleft().callback(reply)
        else:
            self._replies.append(reply)

    def connectionLost(self, _: Failure = connectionDone) -> None:
        self._lost = True
        while self._waiting:
            self._waiting.popleft().errback(ConnectionError("connection ended"))
        self.disconnected.callback(None)

    def reply(self) -> Deferred[Reply]:
        """The next reply that was not yet asked for."""
        waiter: Deferred[Reply] = Deferred()
        if self._replies:
            waiter.callback(self._replies.popleft())
        elif self._lost:
            waiter.errback(ConnectionError("connection ended"))
        else:
            self._waiting.append(waiter)
        return waiter

    def write(self, data: bytes) -> None:
        """Send octets as they are."""
        self.transport.write(data)

    async def command(self, line: str) -> Reply:
        """Send a command; its reply."""
        self.write(line.encode() + b"\r\n")
        return await self.reply()

    async def hello(self, name: str = "client.example") -> Reply:
        """EHLO, and remember what the server offers."""
        reply = await self.command(f"EHLO {name}")
        pairs = (line.partition(" ") for line in reply.lines[1:])
        self.extensions = {keyword: rest for keyword, _, rest in pairs}
        return reply

    async def start_tls(self, context_factory: Any) -> Reply:
        """STARTTLS; the server forgets what went before, so EHLO comes next (RFC 3207 §4.2)."""
        reply = await self.command("STARTTLS")
        if reply.code == 220:
            self.transport.startTLS(context_factory)
        return reply

    async def send(
        self,
        mail_from: str,
        recipients: Sequence[str],
        message: bytes,
        *,
        parameters: str = "",
        recipient_parameters: str = "",
        pipelining: bool = False,
        chunk_size: int | None = None,
    ) -> list[Reply]:
        """One message; the replies to all of its commands and, last, to its content.

        `parameters` follow the reverse-path, `recipient_parameters` each
        forward-path.  With `pipelining` the envelope goes out at once (RFC 2920).
        With `chunk_size` the message goes by BDAT in chunks of that many octets
        (RFC 3030), else by DATA.
        """
        lines = [f"MAIL FROM:<{mail_from}> {parameters}".rstrip()]
        lines += [f"RCPT TO:<{to}> {recipient_parameters}".rstrip() for to in recipients]
        if chunk_size is None:
            lines.append("DATA")
        if pipelining:
            self.write("".join(line + "\r\n" for line in lines).encode())
            replies = [await self.reply() for _ in lines]
        else:
            replies = [await self.command(line) for line in lines]
        if chunk_size is not None:
            replies += await self._send_chunks(message, chunk_size, pipelining)
        elif replies[-1].code == 354:
            self.write(dot_stuffed(message))
            replies.append(await self.reply())
        return replies

    async def _send_chunks(self, message: bytes, size: int, pipelining: bool) -> list[Reply]:
        starts = range(0, max(len(message), 1), size)
        replies = []
        for start in starts:
            chunk = message[start : start + size]
            last = " LAST" if start == starts[-1] else ""
            self.write(f"BDAT {len(chunk)}{last}\r\n".encode() + chunk)
            if not pipelining:
                replies.append(await self.reply())
        if pipelining:
            replies = [await self.reply() for _ in starts]
        return replies

    async def script(self, data: bytes) -> list[Reply]:
        """Send octets as they are, and every reply until the server closes."""
        self.write(data)
        await self.disconnected
        replies, self._replies = list(self._replies), deque()
        return replies

    async def quit(self) -> Reply:
        """QUIT, and wait for the end of the connection."""
        reply = await self.command("QUIT")
        await self.disconnected
        return reply


def dot_stuffed(message: bytes) -> bytes:
    """A message as DATA sends it (RFC 5321 §4.5.2), with its end."""
    if not message.endswith(b"\r\n") and message:
        message += b"\r\n"
    stuffed = message.replace(b"\r\n.", b"\r\n..")
    if stuffed.startswith(b"."):
        stuffed = b"." + stuffed
    return stuffed + b".\r\n"
