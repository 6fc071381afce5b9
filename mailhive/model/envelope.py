"""The SMTP envelope (RFC 5321 §2.3.1)."""

from attrs import field, frozen

__all__ = ["Envelope", "RecipientOutcome"]


@frozen
class Envelope:
    """A reverse-path and forward-paths, as addresses without angle brackets.

    `mail_from` is empty for the null reverse-path.  `parameters` holds the
    ESMTP parameters of MAIL by upper-case keyword (RFC 5321 §4.1.1.11),
    `recipient_parameters` those of RCPT by recipient, where there are any.
    """

    mail_from: str
    recipients: tuple[str, ...]
    parameters: dict[str, str | None] = field(factory=dict)
    recipient_parameters: dict[str, dict[str, str | None]] = field(factory=dict)


@frozen
class RecipientOutcome:
    """What became of one recipient: an SMTP reply code and its enhanced status.

    `host` is the name of the server that said so, if another one did, and
    `notifies` tells that it will send the delivery reports that were asked for
    (RFC 3461 §5.2.2).  `is_expanded` tells that the address stands for several, of whom
    there may be more to say (RFC 3464 §2.3.3).
    """

    recipient: str
    code: int  # 250, 4yz or 5yz
    enhanced: str  # "2.1.5"
    text: str
    host: str = ""
    notifies: bool = False
    is_expanded: bool = False
