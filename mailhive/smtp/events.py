"""What the SMTP machine tells its owner (see `mailhive.smtp.wire`)."""

from attrs import frozen

from mailhive.model.envelope import Envelope
from mailhive.smtp.exchange import Credentials, Lookup
from mailhive.smtp.replies import SmtpReply

__all__ = [
    "Authenticate",
    "Connected",
    "Event",
    "Hello",
    "Lookup",
    "MessageData",
    "MessageEnd",
    "MessageRefused",
    "MessageStart",
    "Recipient",
    "Sender",
    "StartTls",
    "TransactionEnd",
]


@frozen
class Authenticate:
    """AUTH came to an end.  To be answered: None lets the client in, a reply refuses it."""

    credentials: Credentials


@frozen
class Connected:
    """A client is there.  To be answered: None greets it, a reply turns it away."""


@frozen
class Hello:
    """EHLO, HELO or LHLO.  To be answered: None greets back, a reply refuses the name."""

    name: str


@frozen
class Sender:
    """MAIL.  To be answered: None accepts it, a reply refuses it."""

    address: str
    parameters: dict[str, str | None]


@frozen
class Recipient:
    """RCPT.  To be answered: None accepts the recipient, a reply refuses it.

    `size` is what the client said of the message's (RFC 1870 §6), if it did.
    """

    address: str
    size: int | None = None


@frozen
class MessageStart:
    """DATA or the first BDAT.  To be answered: None goes on, a reply refuses the message.

    `hello` is the name the client gave itself, `protocol` the with-type for the
    Received field (RFC 3848, RFC 6531 §4.3).
    """

    envelope: Envelope
    hello: str
    protocol: str


@frozen
class MessageData:
    """The next octets of the message, never empty."""

    data: bytes


@frozen
class MessageRefused:
    """The machine found fault with the message: what was stored of it can go.

    The rest is read and discarded, and `reply` sent when it has all come.
    """

    reply: SmtpReply


@frozen
class MessageEnd:
    """The message is complete.  To be answered with the reply that decides its fate.

    In LMTP that may be a tuple of replies, one for each recipient.
    """


@frozen
class TransactionEnd:
    """A transaction that MAIL began is over.

    `reply` is what its message was answered with, None if no message came to
    its end.  Comes exactly once for each transaction.
    """

    envelope: Envelope
    reply: SmtpReply | None


@frozen
class StartTls:
    """Send what is to be sent, start TLS, and call `tls_started`."""


Event = (
    Authenticate
    | Lookup
    | Connected
    | Hello
    | Sender
    | Recipient
    | MessageStart
    | MessageData
    | MessageRefused
    | MessageEnd
    | TransactionEnd
    | StartTls
)
