"""Delivery status notifications (RFC 3464), in their international form where needed (RFC 6533)."""

import re
import secrets
from collections.abc import Sequence
from textwrap import wrap

from attrs import frozen

from mailhive.mime.compose import format_date_time
from mailhive.model.xtext import from_utf8_xtext, from_xtext

__all__ = ["RecipientReport", "delivery_status_notification"]

_HEADER_END = re.compile(rb"(?<=\n)\r?\n")
_LINE_END = re.compile(rb"\r\n|\r|\n")
_STATUS = re.compile(r"(\d{3}) (\d\.\d{1,3}\.\d{1,3}) ")
#: Where lines are folded, and words that no line can hold (RFC 5322 §2.1.1).
_WIDTH = 76
_LONG_WORD = re.compile(r"\S{200}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")

_SUBJECTS = {
    "failed": "Undelivered mail returned to sender",
    "delayed": "Mail is delayed",
    "delivered": "Mail was delivered",
    "expanded": "Mail was passed on",
    "relayed": "Mail was handed on",
}
_WORDS = {
    "failed": "Your message could not be delivered to:",
    "delayed": "Your message has not been delivered yet, and will be tried again, to:",
    "delivered": "Your message was delivered to:",
    "expanded": "Your message was passed on, to all who are behind:",
    "relayed": "Your message was handed on to a server that may report no further, for:",
}


@frozen
class RecipientReport:
    """What became of a recipient.

    `action` is as in RFC 3464 §2.3.3 (failed, delayed, delivered, expanded, relayed), `reply` the
    SMTP reply, `host` the server that gave it, if another one did, and
    `original` the value of ORCPT (RFC 3461 §4.2).
    """

    address: str
    action: str
    reply: str
    host: str = ""
    original: str | None = None


def delivery_status_notification(
    *,
    sender: str,
    hostname: str,
    now: int,
    arrived_at: int,
    retry_until: int,
    envelope_id: str | None,
    recipients: Sequence[RecipientReport],
    original: bytes,
    is_full: bool,
) -> bytes:
    """A message that tells `sender` of its recipients.

    Times are milliseconds.  `original` begins with the header of the message it is
    about, and is all of it if `is_full`, which it then returns.
    """
    worst = next(a for a in _SUBJECTS if any(r.action == a for r in recipients))
    boundary = secrets.token_hex(16)
    top = [
        f"From: Mail Delivery System <MAILER-DAEMON@{hostname}>",
        f"To: <{sender}>",
        f"Subject: {_SUBJECTS[worst]}",
        f"Date: {format_date_time(now)}",
        f"Message-ID: <{secrets.token_hex(12)}.dsn@{hostname}>",
        "Auto-Submitted: auto-replied",  # RFC 3834 §5
        "MIME-Version: 1.0",
        "Content-Type: multipart/report; report-type=delivery-status;",
        f'\tboundary="{boundary}"',
    ]
    is_international = not all(report.address.isascii() for report in recipients)
    status = _status(
        hostname, arrived_at, retry_until, envelope_id, recipients, is_international, now
    )
    header = original if is_full else _header(original)
    # RFC 6533 §3: their types in international mail.
    kinds = (
        ("message/global-delivery-status", "message/global-headers", "message/global")
        if is_international or not _header(original).isascii()
        else ("message/delivery-status", "text/rfc822-headers", "message/rfc822")
    )
    parts = (
        ("text/plain; charset=utf-8", _text(hostname, recipients).encode()),
        # RFC 3464 §2.1: of ASCII, whatever servers say.
        (kinds[0], status.encode(*(() if is_international else ("ascii", "replace")))),
        (kinds[2] if is_full else kinds[1], header),
    )
    pieces = ["\r\n".join(top).encode() + b"\r\n\r\n"]
    for kind, content in parts:
        encoding = "7bit" if content.isascii() else "8bit"
        pieces.append(
            f"--{boundary}\r\nContent-Type: {kind}\r\n"
            f"Content-Transfer-Encoding: {encoding}\r\n\r\n".encode()
        )
        pieces.append(_LINE_END.sub(b"\r\n", content) + b"\r\n")
    pieces.append(f"--{boundary}--\r\n".encode())
    return b"".join(pieces)


def _text(hostname: str, recipients: Sequence[RecipientReport]) -> str:
    lines = [f"This is the mail server {hostname}."]
    for action, words in _WORDS.items():
        told = [report for report in recipients if report.action == action]
        if told:
            lines += ["", words]
        for report in told:
            lines += ["", f"  <{report.address}>", *_wrapped(_said(report), "    ", "    ")]
    return "\r\n".join(lines) + "\r\n"


def _wrapped(text: str, first: str, others: str) -> list[str]:
    """Its lines; `first` and `others` go before the first one and those that follow."""
    text = _LONG_WORD.sub(r"\g<0> ", text)
    return wrap(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _said(report: RecipientReport) -> str:
    text = _clean(report.reply)
    return f"{report.host} said: {text}" if report.host else text


def _status(
    hostname: str,
    arrived_at: int,
    retry_until: int,
    envelope_id: str | None,
    recipients: Sequence[RecipientReport],
    is_international: bool,
    now: int,
) -> str:
    groups = [[f"Reporting-MTA: dns; {hostname}"]]
    if envelope_id:  # RFC 3464 §2.2.1, as it was before xtext
        groups[0].append(f"Original-Envelope-Id: {_clean(from_xtext(envelope_id))}")
    groups[0].append(f"Arrival-Date: {format_date_time(arrived_at)}")
    for report in recipients:
        fields = []
        if report.original:  # RFC 3461 §4.2: type;address
            kind, _, address = report.original.partition(";")
            if kind.lower() != "utf-8":
                address = from_xtext(address)
            elif is_international:  # RFC 6533 §4: in ASCII else, as it came
                address = from_utf8_xtext(address)
            fields.append(f"Original-Recipient: {_clean(kind)};{_clean(address)}")
        kind = "utf-8" if is_international else "rfc822"
        match = _STATUS.match(report.reply)
        fields += [
            f"Final-Recipient: {kind};{_clean(report.address)}",
            f"Action: {report.action}",
            f"Status: {match[2] if match else '4.0.0' if report.action == 'delayed' else '5.0.0'}",
        ]
        if report.host:
            fields.append(f"Remote-MTA: dns; {_clean(report.host)}")
            fields += _wrapped(_clean(report.reply), "Diagnostic-Code: smtp; ", "\t")
        fields.append(f"Last-Attempt-Date: {format_date_time(now)}")
        if report.action == "delayed":
            fields.append(f"Will-Retry-Until: {format_date_time(retry_until)}")
        groups.append(fields)
    return "\r\n\r\n".join("\r\n".join(fields) for fields in groups) + "\r\n"


def _header(original: bytes) -> bytes:
    end = _HEADER_END.search(original)
    if end is not None:
        return original[: end.start()]
    # Cut in its midst: whole lines only.
    return original[: original.rfind(b"\n") + 1]


def _clean(text: str) -> str:
    return _CONTROL.sub(" ", text).strip()
