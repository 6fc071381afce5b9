"""Reports that come back for a message: of its delivery (RFC 3464) and of its display (RFC 8098).

Both are a multipart/report (RFC 6522), whose second part is for programs and whose
third returns the message or its header:

    parts = report_parts(root)               # which parts of the message to read
    delivery_report(octets, returned)        # what they say
    disposition_report(octets)
"""

import re
from collections.abc import Iterator

from attrs import frozen

from mailhive.mime.fields import Headers, parse_fields, strip_comments, unfold
from mailhive.mime.headers import as_message_ids
from mailhive.mime.part import Part
from mailhive.model.xtext import from_utf8_xtext

__all__ = [
    "MAX_RECIPIENTS",
    "DeliveryReport",
    "DispositionReport",
    "RecipientStatus",
    "ReportParts",
    "delivery_report",
    "disposition_report",
    "report_parts",
]

#: Recipients of one report that are read.
MAX_RECIPIENTS = 1_000

_DELIVERY = ("message/delivery-status", "message/global-delivery-status")
_DISPOSITION = (
    "message/disposition-notification",
    "message/global-disposition-notification",
)
_RETURNED = (
    "message/rfc822",
    "message/global",
    "text/rfc822-headers",
    "message/global-headers",
)

_BLANK_LINE = re.compile(rb"(?:\A|\n)\r?\n")
_BLANK_LINES = re.compile(rb"\n(?:[ \t]*+\r?\n)+")
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}", re.ASCII)
_REPLY = re.compile(r"([2-5]\d\d)(?:[ -]|\Z)([245]\.\d{1,3}\.\d{1,3}(?=\s|\Z))?", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_MOST_TEXT = 1_000

#: The reply code that stands for an Action (RFC 3464 §2.3.3) where no server's is told.
_CODES = {"failed": 550, "delayed": 450, "delivered": 250, "relayed": 250, "expanded": 250}


@frozen
class ReportParts:
    """The parts to be read of a report; `returned` is None if no message comes back."""

    is_delivery: bool
    status: Part
    returned: Part | None


@frozen
class RecipientStatus:
    """What a delivery report says of a recipient.

    `addresses` are what it may be known by, that of the sender first; `action` is one
    of RFC 3464 §2.3.3 in lower case, `reply` is a `smtpReply` of RFC 8621 §7.
    """

    addresses: tuple[str, ...]
    action: str
    reply: str


@frozen
class DeliveryReport:
    """`envelope_id` is the ENVID of the message, `message_id` that of its header, if known."""

    envelope_id: str | None
    message_id: str | None
    recipients: tuple[RecipientStatus, ...]


@frozen
class DispositionReport:
    """What a recipient's mail program says it did with the message."""

    message_id: str | None
    addresses: tuple[str, ...]
    is_displayed: bool


def report_parts(root: Part) -> ReportParts | None:
    """What of a message is a report on another one, if anything is."""
    if root.type != "multipart/report" or root.sub_parts is None:
        return None
    parts: list[Part | None] = [*root.sub_parts, None, None]
    status, returned = parts[1:3]  # RFC 6522 §3
    if status is None or status.type not in (*_DELIVERY, *_DISPOSITION):
        return None
    if returned is not None and returned.type not in _RETURNED:
        returned = None
    return ReportParts(status.type in _DELIVERY, status, returned)


def delivery_report(status: bytes, returned: bytes) -> DeliveryReport:
    """Read the body of a delivery-status part, and what the report returned, as much as there is.

    Recipients of whom it says nothing that can be understood are left out.
    """
    message, *groups = [*_groups(status)] or [Headers([])]
    recipients = tuple(filter(None, map(_recipient, groups[:MAX_RECIPIENTS])))
    header = Headers(parse_fields(_BLANK_LINE.split(returned, maxsplit=1)[0]))
    return DeliveryReport(
        _text(message, "original-envelope-id") or None,
        _message_id(header, "message-id"),
        recipients,
    )


def disposition_report(status: bytes) -> DispositionReport:
    """Read the body of a disposition-notification part."""
    fields = next(_groups(status), Headers([]))
    # RFC 8098 §3.2.6: action-mode/sending-mode; disposition-type/modifiers
    _, _, disposition = _text(fields, "disposition").partition(";")
    kind = disposition.partition("/")[0].strip().lower()
    return DispositionReport(
        _message_id(fields, "original-message-id"), _addresses(fields), kind == "displayed"
    )


def _groups(status: bytes) -> Iterator[Headers]:
    """The groups of fields that empty lines part (RFC 3464 §2.1)."""
    for block in _BLANK_LINES.split(status):
        if fields := parse_fields(block):
            yield Headers(fields)


def _recipient(fields: Headers) -> RecipientStatus | None:
    action = _text(fields, "action").lower()
    addresses = _addresses(fields)
    if action not in _CODES or not addresses:
        return None
    return RecipientStatus(addresses, action, _reply(fields, action))


def _reply(fields: Headers, action: str) -> str:
    """What the last server said, or something of that form (RFC 8621 §7)."""
    code = _CODES[action]
    status = _text(fields, "status")
    if _STATUS.fullmatch(status) is None:
        status = f"{code // 100}.0.0"
    kind, _, said = _clean(fields.first("diagnostic-code")).partition(";")
    said = said.strip()
    if kind.strip().lower() == "smtp" and (match := _REPLY.match(said)):
        text = said[match.end() :].strip() or action.capitalize()
        return f"{match[1]} {match[2] or status} {text}"[:_MOST_TEXT]
    return f"{code} {status} {said or action.capitalize()}"[:_MOST_TEXT]


def _addresses(fields: Headers) -> tuple[str, ...]:
    """RFC 3464 §2.3.1, §2.3.2: address-type; address."""
    found = []
    for name in ("original-recipient", "final-recipient"):
        kind, _, address = _text(fields, name).partition(";")
        address = address.strip().removeprefix("<").removesuffix(">")
        if kind.strip().lower() == "utf-8":  # RFC 6533 §3
            address = from_utf8_xtext(address)
        if "@" in address:
            found.append(address)
    return tuple(dict.fromkeys(found))


def _message_id(fields: Headers, name: str) -> str | None:
    ids = as_message_ids(fields.first(name) or "")
    return ids[0] if ids else None


def _text(fields: Headers, name: str) -> str:
    return strip_comments(_clean(fields.first(name))).strip()


def _clean(value: str | None) -> str:
    return _CONTROL.sub(" ", unfold(value or "")).strip()
