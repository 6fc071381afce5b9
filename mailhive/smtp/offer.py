"""What an SMTP server offers: the lines of EHLO, and the parameters that go with them."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from attrs import frozen

from mailhive.smtp.commands import (
    DSN_MAIL_PARAMETERS,
    DSN_RCPT_PARAMETERS,
    MAIL_PARAMETERS,
    SUBMISSION_MAIL_PARAMETERS,
    TLS_MAIL_PARAMETERS,
    Parameters,
)

__all__ = ["Profile"]


@frozen
class Profile:
    """What a server offers and where it draws the line.  Sizes in octets, None: no limit."""

    hostname: str
    size_limit: int | None = None
    max_recipients: int = 1000
    max_errors: int = 20
    max_unknown_recipients: int = 50
    starttls: bool = False
    submission: bool = False
    lmtp: bool = False
    auth_in_clear: bool = False
    max_hold: int = 0  # seconds that a message may be held back (RFC 4865); 0: not at all
    offers_scram: Callable[[], bool] = lambda: False
    checked: bool = False  # are the connection, EHLO and MAIL questions?
    dsn: bool = True

    def keywords(self, *, tls: bool, mechanisms: Sequence[str]) -> list[str]:
        """The lines of EHLO's answer, on a connection that has TLS or not.

        `mechanisms` are those of SASL that may be used on it now.
        """
        keywords = [
            "PIPELINING",  # RFC 2920
            f"SIZE {self.size_limit or 0}",  # RFC 1870 §4: 0 is no fixed limit
            "8BITMIME",  # RFC 6152
            "SMTPUTF8",  # RFC 6531
            "CHUNKING",  # RFC 3030
            "ENHANCEDSTATUSCODES",  # RFC 2034
            f"LIMITS RCPTMAX={self.max_recipients}",  # RFC 9422
        ]
        if self.dsn:
            keywords.append("DSN")  # RFC 3461
        if tls:
            keywords.append("REQUIRETLS")  # RFC 8689 §2: not before
        elif self.starttls:
            keywords.append("STARTTLS")  # RFC 3207 §4.2: not once TLS is there
        if self.submission and self.max_hold:
            until = datetime.now(UTC) + timedelta(seconds=self.max_hold)
            # RFC 4865 §3
            keywords.append(f"FUTURERELEASE {self.max_hold} {until:%Y-%m-%dT%H:%M:%SZ}")
        if mechanisms:
            keywords.append("AUTH " + " ".join(mechanisms))  # RFC 4954 §3
        return keywords

    def mail_parameters(self, *, tls: bool) -> Parameters:
        """Those of MAIL."""
        return {
            **MAIL_PARAMETERS,
            **(DSN_MAIL_PARAMETERS if self.dsn else {}),
            **(TLS_MAIL_PARAMETERS if tls else {}),
            **(SUBMISSION_MAIL_PARAMETERS if self.submission else {}),
        }

    def rcpt_parameters(self) -> Parameters:
        """Those of RCPT."""
        return DSN_RCPT_PARAMETERS if self.dsn else {}
