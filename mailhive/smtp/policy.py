"""The settings of an SMTP listener: where it draws the line."""

from attrs import field, frozen
from attrs.validators import ge, gt

from mailhive.config.units import Duration, Size

__all__ = ["SmtpSettings"]


@frozen
class SmtpSettings:
    """Keys of `[server.listener."…"]` with `protocol = "smtp"`."""

    max_message_size: Size = field(
        default=Size(50_000_000),
        validator=gt(Size(0)),
        metadata={
            "doc": "Largest message taken in. Advertised with SIZE (RFC 1870) and enforced while "
            "the message comes in; `jmap.email.max-size` applies as well if it is smaller."
        },
    )
    max_recipients: int = field(
        default=1000,
        validator=ge(100),  # RFC 5321 §4.5.3.1.8
        metadata={"doc": "Recipients of one message; at least 100 (RFC 5321 §4.5.3.1.8)."},
    )
    max_errors: int = field(
        default=20,
        validator=ge(1),
        metadata={"doc": "Faulty commands of one connection before it is closed with 421."},
    )
    max_connections: int = field(
        default=1000,
        validator=ge(1),
        metadata={"doc": "Connections open at a time; more are answered with 421."},
    )
    max_connections_per_address: int = field(
        default=50,
        validator=ge(1),
        metadata={"doc": "The same per IPv4 address or IPv6 /64 network."},
    )
    command_timeout: Duration = field(
        default=Duration(300.0),
        validator=gt(Duration(0)),
        metadata={
            "doc": "Time to wait for a complete command, and for a client to take its replies "
            "(RFC 5321 §4.5.3.2.7)."
        },
    )
    data_timeout: Duration = field(
        default=Duration(300.0),
        validator=gt(Duration(0)),
        metadata={"doc": "Time to wait for more of a message."},
    )
    session_timeout: Duration = field(
        default=Duration(4 * 3600.0),
        validator=gt(Duration(0)),
        metadata={"doc": "Longest life of a connection, whatever it is doing."},
    )
