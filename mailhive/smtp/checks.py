"""What a listener asks before it takes mail: at the connection, EHLO, MAIL, RCPT and the message.

A `Check` is one policy at one connection.  What the client does is put to all checks of
the listener, in their order; the first reply is what the client gets, and the checks
behind it are not asked.  What the listener itself requires comes first: a recipient whom
nobody has is refused before any check hears of it.

`Visit` is what is known of the connection.  Checks read it, and write down what they find
out for those behind them.
"""

from collections.abc import Callable

from attrs import define, field, frozen

from mailhive.authn.results import Result
from mailhive.model.envelope import Envelope
from mailhive.model.principal import Principal
from mailhive.smtp.events import MessageStart
from mailhive.smtp.replies import SmtpReply
from mailhive.smtp.spool import Spool

__all__ = ["Check", "CheckFactory", "Encryption", "HeldMessage", "Visit"]


@frozen
class Encryption:
    """TLS of a connection: `version` as in "TLSv1.3", `cipher` by its name, `bits` of its key."""

    version: str
    cipher: str
    bits: int


@define(eq=False)
class Visit:
    """A connection: `peer` is the client's address, "" if it has none, with its `port`.

    `name` is the client's by the DNS, if a check has found and confirmed it; `hello` what it
    calls itself, "" until it has; `user` who has authenticated; `transaction` names what MAIL
    began, in the log; `results` is what checks found out, for the Authentication-Results field.
    One that `is_welcome` is on a list of those who are to be let in.
    """

    listener: str
    connection: str
    peer: str
    port: int = 0
    encryption: Callable[[], Encryption | None] = lambda: None
    name: str = ""
    hello: str = ""
    user: Principal | None = None
    transaction: str = ""
    results: list[Result] = field(factory=list)
    is_welcome: bool = False


@define(eq=False)
class HeldMessage:
    """A message that came in whole and is not stored yet.

    `header` is its header section as octets, behind which `spool` has the rest.  Checks may
    change the header, the body by `spool.replace_body`, and the envelope.  `found` is what
    was found of it, the body of an Authentication-Results field; `is_junk` has it
    filed into the mailbox for junk; one that `is_discarded` is accepted and thrown away.
    """

    start: MessageStart
    spool: Spool
    header: bytes
    envelope: Envelope
    is_junk: bool = False
    found: bytes = b""
    is_discarded: bool = False


class Check:
    """One policy at one connection; each question is answered with None, or why not.

    `TemporaryFailure` is 451 to the client.  A 421 ends the connection.
    """

    #: Is `message` to be asked?  Decides where messages wait until they are stored.
    reads_messages = False

    async def connected(self) -> SmtpReply | None:
        """A client is there and has not been greeted."""

    async def greeted(self, name: str) -> SmtpReply | None:
        """It calls itself that; `Visit.hello` is still what it said before."""

    async def sender(self, address: str, parameters: dict[str, str | None]) -> SmtpReply | None:
        """MAIL with that address, "" for the null reverse-path."""

    async def recipient(self, address: str) -> SmtpReply | None:
        """RCPT; the recipient can get mail here."""

    async def content(self, start: MessageStart) -> SmtpReply | None:
        """The client is going to send the message."""

    async def message(self, message: HeldMessage) -> SmtpReply | None:
        """The message is there, and may be changed."""

    def transaction_ended(self) -> None:
        """What MAIL began is over, or did not begin, as another check refused it."""

    def disconnected(self) -> None:
        """The connection has ended.  Questions may still be open."""


#: Makes the check of one connection; None where it has nothing to say.
CheckFactory = Callable[[Visit], Check | None]
