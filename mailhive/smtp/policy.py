"""The settings of an SMTP listener: where it draws the line."""

from typing import ClassVar, Literal

from attrs import Attribute, field, frozen
from attrs.validators import optional

from mailhive.config.fields import at_least, doc
from mailhive.config.units import Duration, Size
from mailhive.model.addresses import canonical_domain, is_domain
from mailhive.model.networks import Networks
from mailhive.smtp.judging.hello import HelloFault
from mailhive.smtp.judging.lists import DnsListSettings

__all__ = ["LmtpSettings", "MxSettings", "SmtpSettings", "SubmissionSettings"]

#: Loopback and private use: RFC 1122 §3.2.1.3, RFC 1918 §3, RFC 4193 §3.1, RFC 4291 §2.5.
_NEARBY = ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1", "fc00::/7",
    "fe80::/10")  # fmt: skip

_FILTERED = doc(
    "Does a filter of yours look at all that comes in here, a milter or a server in front? What "
    "it writes into headers then counts, see `[delivery]`. It has to take out what others write "
    "there."
)


@frozen
class SmtpSettings:
    """Keys of every listener that speaks SMTP."""

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
    connections_per_minute: int | None = field(
        default=None,
        validator=optional(at_least(1)),
        metadata=doc(
            "Connections that one IPv4 address or IPv6 /64 network may open in a minute; more are "
            "answered with 421."
        ),
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
    milters: tuple[str, ...] = field(
        default=(),
        metadata=doc(
            "Names the `[milter.NAME]` tables of the filters that look at what comes in here, in "
            "their order. What this listener judges itself comes before them."
        ),
    )


def _domains(_: object, __: "Attribute[tuple[str, ...]]", values: tuple[str, ...]) -> None:
    for value in values:
        if not is_domain(canonical_domain(value) or ""):
            raise ValueError(f'"{value}" is no domain; allowed is one as in "example.org"')


def _short(_: object, __: "Attribute[Duration]", value: Duration) -> None:
    if value > 60:
        raise ValueError("longer than a minute, and clients give up; allowed is at most 1m")


@frozen
class MxSettings(SmtpSettings):
    """Keys of a listener with `protocol = "smtp"`: mail from the servers of others."""

    judge: bool = field(
        default=False,
        metadata=doc(
            "Is it looked up whether mail comes from where it says, by the name of the client, "
            "SPF, DKIM, ARC and DMARC? What is found stands in an `Authentication-Results` field "
            "by the name `server.hostname`; those that others feign are taken out. What the DNS "
            "does not say in time changes nothing."
        ),
    )
    greylist: bool = field(
        default=False,
        metadata=doc(
            "Are strangers asked to come back later, as `[greylist]` has it? Clients in "
            "`trusted-networks` are none."
        ),
    )
    messages_per_hour: int | None = field(
        default=None,
        validator=optional(at_least(1)),
        metadata=doc(
            "Messages that come from one IPv4 address or IPv6 /64 network; more are put off with "
            "451. Clients in `trusted-networks` are not counted."
        ),
    )
    recipients_per_hour: int | None = field(
        default=None,
        validator=optional(at_least(1)),
        metadata=doc("The same for the recipients of all these messages."),
    )
    delivery_reports: bool = field(
        default=True,
        metadata=doc(
            "Are senders who ask for it told that their mail was delivered (DSN, RFC 3461)? Not "
            "those of what goes to the mailbox for junk. Without, the server that brings the mail "
            "tells them that it has handed it on."
        ),
    )
    filtered: bool = field(default=False, metadata=_FILTERED)
    trusted_networks: Networks = field(
        factory=lambda: Networks.parse(_NEARBY),
        metadata=doc(
            "Clients whose mail is not judged, and who are not looked up.",
            default="those of the loopback and of private use",
        ),
    )
    greeting_delay: Duration = field(
        default=Duration(0.0),
        validator=_short,
        metadata=doc(
            "How long clients that are not trusted wait for the greeting, at most a minute. Who "
            "sends commands before it is refused with 554; many who send junk cannot wait."
        ),
    )
    dmarc_reject: Literal["refuse", "junk", "accept"] = field(
        default="junk",
        metadata=doc(
            "Mail that the domain in From does not vouch for, and wants rejected: it is refused "
            "with 550, filed into the mailbox for junk, or taken like other mail. Mailing lists "
            "and forwarding make such mail of what is none. With `judge`."
        ),
    )
    dmarc_quarantine: Literal["junk", "accept"] = field(
        default="junk",
        metadata=doc("The same for what the domain wants put aside. With `judge`."),
    )
    trusted_sealers: tuple[str, ...] = field(
        default=(),
        validator=_domains,
        metadata=doc(
            "Domains of mailing lists and forwarders, as they seal with (`d=` of `ARC-Seal`), "
            "whose word on mail that they pass on counts: what they found to pass DMARC when "
            "they got it is taken whatever its author's domain wants. With `judge`."
        ),
    )
    client_name: Literal["any", "some", "confirmed"] = field(
        default="any",
        metadata=doc(
            "What the reverse DNS has to say of clients: nothing, some name, or a name that "
            "leads back to the client. Mail of others is refused with 550, whoever they are."
        ),
    )
    refuse_hello: tuple[HelloFault, ...] = field(
        default=(),
        metadata=doc(
            "Names in HELO and EHLO whose mail is refused with 550: an IP address without "
            "brackets, one of a single label, our own, and those of which the DNS knows neither "
            "address nor mail exchanger."
        ),
    )
    dns_lists: tuple[DnsListSettings, ...] = field(
        default=(),
        metadata=doc("Lists of clients in the DNS that are asked; a table each."),
    )

    @property
    def wants_names(self) -> bool:
        """Is the reverse DNS asked?"""
        return self.judge or self.client_name != "any"

    @property
    def looks_at_clients(self) -> bool:
        """Is anything looked at before there is a message?"""
        return self.wants_names or bool(self.dns_lists or self.refuse_hello)


@frozen
class LmtpSettings(SmtpSettings):
    """Keys of a listener with `protocol = "lmtp"`: mail that another server has taken in.

    Only that server should reach it: bind it to the loopback or a network of yours.
    """

    filtered: bool = field(default=False, metadata=_FILTERED)


@frozen
class SubmissionSettings(SmtpSettings):
    """Keys of a listener with `protocol = "submission"`: mail of users (RFC 6409)."""

    save_sent: bool = field(
        default=False,
        metadata=doc(
            "Is a copy of what a user sends put into the Sent mailbox? For mail programs that "
            "cannot do so themselves."
        ),
    )
    auth_in_clear: bool = field(
        default=False,
        metadata=doc(
            "May users log in without TLS, for instance behind a proxy that has it? With "
            '`tls = "none"` nobody can send else.'
        ),
    )
