"""The settings of an SMTP listener: where it draws the line."""

from typing import ClassVar

from attrs import field, frozen

from mailhive.config.fields import at_least, doc
from mailhive.config.units import Duration, Size

__all__ = ["LmtpSettings", "SmtpSettings", "SubmissionSettings"]


@frozen
class SmtpSettings:
    """Keys of a listener with `protocol = "smtp"`."""

    tls_modes: ClassVar[tuple[str, ...]] = ("none", "implicit", "starttls")

    max_message_size: Size = field(
        default=Size(50_000_000),
        validator=at_least(1_000),
        metadata=doc(
            "Largest message taken in. Advertised with SIZE (RFC 1870) and enforced while the "
            "message comes in; `jmap.email.max-size` counts as well if it is smaller."
        ),
    )
    max_recipients: int = field(
        default=1000,
        validator=at_least(100),  # RFC 5321 §4.5.3.1.8
        metadata=doc("Recipients of one message."),
    )
    max_errors: int = field(
        default=20,
        validator=at_least(1),
        metadata=doc("Faulty commands of one connection; one more closes it with 421."),
    )
    max_unknown_recipients: int = field(
        default=50,
        validator=at_least(1),
        metadata=doc(
            "Recipients of one connection that nobody here has; one more closes it with 421, as "
            "it may be looking for addresses."
        ),
    )
    max_connections: int = field(
        default=1000,
        validator=at_least(1),
        metadata=doc("Connections open at a time; more are answered with 421."),
    )
    max_connections_per_address: int = field(
        default=50,
        validator=at_least(1),
        metadata=doc("The same for one IPv4 address or one IPv6 /64 network."),
    )
    command_timeout: Duration = field(
        default=Duration(300.0),  # RFC 5321 §4.5.3.2.7
        validator=at_least(1),
        metadata=doc("Time a client has for a complete command, and to take its replies."),
    )
    data_timeout: Duration = field(
        default=Duration(300.0),
        validator=at_least(1),
        metadata=doc("Time a client has to go on with a message."),
    )
    session_timeout: Duration = field(
        default=Duration(4 * 3600.0),
        validator=at_least(1),
        metadata=doc("Longest life of a connection, whatever it is doing."),
    )


@frozen
class LmtpSettings(SmtpSettings):
    """Keys of a listener with `protocol = "lmtp"`: mail that another server has taken in.

    Only that server should reach it: bind it to the loopback or a network of yours.
    """


@frozen
class SubmissionSettings(SmtpSettings):
    """Keys of a listener with `protocol = "submission"`: mail of users (RFC 6409)."""

    auth_in_clear: bool = field(
        default=False,
        metadata=doc(
            "May users log in without TLS, for instance behind a proxy that has it? With "
            '`tls = "none"` nobody can send else.'
        ),
    )
