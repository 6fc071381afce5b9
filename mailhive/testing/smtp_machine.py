"""An owner of the SMTP machine for tests without a network: it answers at once."""

from collections.abc import Iterable

from attrs import define, field

from mailhive.smtp.events import (
    MessageData,
    MessageEnd,
    MessageStart,
    Recipient,
    StartTls,
    TransactionEnd,
)
from mailhive.smtp.replies import SmtpReply, peer_error
from mailhive.smtp.wire import Profile, SmtpServer

HOSTNAME = "mx.example"
UNKNOWN = peer_error(550, "5.1.1", "No such recipient here")
OPEN = b"EHLO c.example\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b@mx.example>\r\n"


@define
class Owner:
    """Knows every recipient but those that start with `no`; keeps what comes in."""

    machine: SmtpServer
    messages: list[tuple[MessageStart, bytes, SmtpReply | None]] = field(factory=list)
    events: list[object] = field(factory=list)
    output: bytearray = field(factory=bytearray)
    refuse_start: SmtpReply | None = None
    final: SmtpReply | None = None
    _start: MessageStart | None = None
    _content: bytearray = field(factory=bytearray)

    def feed(self, *pieces: bytes) -> list[str]:
        """Feed pieces one by one; the replies to them, a line each without its CRLF."""
        before = len(self.output)
        for piece in pieces:
            self.machine.receive_data(piece)
            self.run()
        return self.output[before:].decode("ascii").split("\r\n")[:-1]

    def run(self) -> None:
        while (event := self.machine.next_event()) is not None:
            self.events.append(event)
            match event:
                case Recipient(address):
                    unknown = address.startswith("no")
                    self.machine.answer(UNKNOWN if unknown else None)
                case MessageStart():
                    self._start = event
                    self._content.clear()
                    self.machine.answer(self.refuse_start)
                case MessageData(data):
                    self._content += data
                case MessageEnd():
                    self.machine.answer(self.final)
                case TransactionEnd(_, reply) if self._start is not None:
                    self.messages.append((self._start, bytes(self._content), reply))
                    self._start = None
                case StartTls():
                    self.output += self.machine.data_to_send()
                    self.machine.tls_started()
        self.output += self.machine.data_to_send()


def owner(profile: Profile | None = None, *, tls: bool = False) -> Owner:
    """A fresh machine whose greeting is taken."""
    made = Owner(SmtpServer(profile or Profile(HOSTNAME), tls=tls))
    made.run()
    return made


def codes(lines: Iterable[str]) -> list[int]:
    """The code of each reply."""
    return [int(line[:3]) for line in lines if line[3] == " "]
