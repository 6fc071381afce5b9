"""Vacation responses: which message gets one, and what it says (RFC 3834, RFC 8621 §8)."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen

from mailhive.mime.build import BuildPart, build, encode_text
from mailhive.mime.fields import Headers, strip_comments, unfold
from mailhive.mime.headers import as_addresses, as_message_ids, as_text, parse_header_property
from mailhive.mime.text import html_to_text
from mailhive.model.addresses import canonical_address, split
from mailhive.model.utcdate import parse_utc_date

__all__ = ["SINGLETON", "VACATION", "Vacation", "address_to_answer_from", "response"]

#: The type and the id of the record that an account keeps.
VACATION = "VacationResponse"
SINGLETON = "singleton"

_DEFAULT_TEXT = "I am away at the moment and will read your message when I am back."
_DEFAULT_SUBJECT = "Automatic reply"
#: Characters of the subject of a message that the subject of the response repeats.
_MAX_SUBJECT = 200
#: Ids of a References field that are repeated besides the first (RFC 5322 §3.6.4).
_MAX_REFERENCES = 30

_DESTINATIONS = ("to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc")
# RFC 3834 §2, RFC 5230 §4.6, and what programs that take no replies are called.
_PROGRAM = re.compile(
    r"mailer-daemon|listserv|majordomo"
    r"|owner-.*|.*-owner|.*-request"
    r"|(.*[-._])?bounces?([-+=].*)?"
    r"|(.*[-._+])?(no|do[-._]?not)[-._]?reply([-._+].*)?"
)


@frozen
class Vacation:
    """What the owner of an account wants to be answered; times in milliseconds."""

    is_enabled: bool
    from_date: int | None
    to_date: int | None
    subject: str | None
    text: str | None
    html: str | None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Vacation":
        """The vacation that a record describes."""
        first, last = data["fromDate"], data["toDate"]
        return cls(
            data["isEnabled"],
            None if first is None else parse_utc_date(first),
            None if last is None else parse_utc_date(last),
            data["subject"],
            data["textBody"],
            data["htmlBody"],
        )

    def is_on(self, now: int) -> bool:
        """Are messages that arrive now to be answered?"""
        return (
            self.is_enabled
            and (self.from_date is None or self.from_date <= now)
            and (self.to_date is None or now < self.to_date)
        )

    def note(self, sender: str) -> str:
        """A name for "this sender has got these words", by which that is remembered."""
        told = repr((canonical_address(sender), self.subject, self.text, self.html))
        return hashlib.blake2b(told.encode("utf-8", "replace"), digest_size=16).hexdigest()


def address_to_answer_from(
    headers: Headers, sender: str, own: Sequence[str], recipients: Iterable[str]
) -> str | None:
    """The address that a message was written to, if it may be answered; else None.

    `sender` and `recipients` are those of its envelope, `own` the addresses of
    the account's owner as a `Principal` has them.  A catch-all is none that mail
    is written to: others have addresses of that domain, lists among them.
    """
    if not _may_be_answered(sender) or not _wants_answer(headers):
        return None
    emails = {canonical_address(email) for email in own}
    if _is_among(emails, sender):
        return None
    # RFC 3834 §2: only mail that names the recipient.
    named = [
        address["email"]
        for field in _DESTINATIONS
        for value in headers.all(field)
        for address in as_addresses(value)
        if _is_among(emails, address["email"])
    ]
    delivered_to = {canonical_address(recipient) for recipient in recipients}
    named.sort(key=lambda address: canonical_address(address) not in delivered_to)
    return named[0] if named else None


def response(
    vacation: Vacation, headers: Headers, sender: str, own: str, name: str, *, host: str, now: int
) -> bytes:
    """The message that answers the one with these headers.

    It goes from `own`, whose owner is called `name`, to `sender`.  `FieldError`
    when an address cannot be written.
    """
    fields: list[tuple[str, Any]] = [
        ("From:asAddresses", [{"name": name or None, "email": own}]),
        ("To:asAddresses", [{"name": None, "email": sender}]),
        ("Subject:asText", _subject(vacation, headers)),
    ]
    original = as_message_ids(headers.last("message-id") or "")
    if original:
        # RFC 3834 §3.1.6, RFC 5322 §3.6.4
        fields += [
            ("In-Reply-To:asMessageIds", original[:1]),
            ("References:asMessageIds", [*_references(headers), original[0]]),
        ]
    fields.append(("Auto-Submitted:asText", "auto-replied"))  # RFC 3834 §3.1.7
    return build(
        [(parse_header_property(f"header:{field}"), value) for field, value in fields],
        _body(vacation),
        host=host,
        now=now,
    )


def _may_be_answered(sender: str) -> bool:
    # The null reverse-path has no local part (RFC 3834 §2).
    local, domain = split(canonical_address(sender) or "")
    return bool(local and domain) and _PROGRAM.fullmatch(local) is None


def _is_among(emails: set[str | None], address: str) -> bool:
    """Is it one of these, or a sub-address of one?"""
    canonical = canonical_address(address)
    if canonical is None:
        return False
    local, domain = split(canonical)
    return canonical in emails or f"{local.partition('+')[0]}@{domain}" in emails


def _wants_answer(headers: Headers) -> bool:
    """Is it neither an automatic message nor one of many copies (RFC 3834 §2)?"""
    if any(word != "no" for word in _words(headers, "auto-submitted", first=True)):
        return False
    if not {"bulk", "junk", "list"}.isdisjoint(_words(headers, "precedence")):
        return False
    if not {"all", "autoreply", "oof"}.isdisjoint(_words(headers, "x-auto-response-suppress")):
        return False
    if "multipart/report" in _words(headers, "content-type", first=True):  # RFC 6522
        return False
    return not any(name.lower().startswith("list-") for name, _ in headers.fields)


def _words(headers: Headers, name: str, *, first: bool = False) -> set[str]:
    """The words of a field, or those before its parameters."""
    words = set()
    for value in headers.all(name):
        text = strip_comments(unfold(value)).lower()
        if first:
            words.add(text.partition(";")[0].strip())
        else:
            words.update(re.split(r"[\s,;]+", text))
    return words


def _subject(vacation: Vacation, headers: Headers) -> str:
    if vacation.subject is not None:
        return vacation.subject
    original = as_text(headers.last("subject") or "").strip()
    if not original:
        return _DEFAULT_SUBJECT
    return f"Auto: {original[:_MAX_SUBJECT]}"  # RFC 3834 §3.1.5


def _references(headers: Headers) -> list[str]:
    ids = as_message_ids(headers.last("references") or "") or []
    if not ids:
        ids = as_message_ids(headers.last("in-reply-to") or "") or []
        ids = ids if len(ids) == 1 else []
    return ids if len(ids) <= _MAX_REFERENCES else [ids[0], *ids[-_MAX_REFERENCES:]]


def _body(vacation: Vacation) -> BuildPart:
    text = vacation.text
    if text is None:
        # RFC 8621 §8: a plain body is made of the other, or a default.
        text = _DEFAULT_TEXT if vacation.html is None else html_to_text(vacation.html)
    plain = _text_part("text/plain", text)
    if vacation.html is None:
        return plain
    return BuildPart("multipart/alternative", parts=(plain, _text_part("text/html", vacation.html)))


def _text_part(media_type: str, text: str) -> BuildPart:
    content = encode_text(text)
    return BuildPart(media_type, content, charset="us-ascii" if content.isascii() else "utf-8")
