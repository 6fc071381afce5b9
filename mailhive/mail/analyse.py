"""What ingest needs to know of a message, found in one pass over it.

This is the hot path of delivery: the message is scanned once, each text part is
decoded once, and the same text serves the preview and the search index.
"""

import msgspec

from mailhive.mime import structure
from mailhive.mime.body import plain_text
from mailhive.mime.charset import USUAL, Charsets
from mailhive.mime.excerpts import Excerpts
from mailhive.mime.headers import CONVENIENCE, date_form, parse_date_time
from mailhive.mime.part import Part
from mailhive.mime.scan import header_block
from mailhive.mime.subject import base_subject, fold, thread_subject
from mailhive.mime.text import preview
from mailhive.mime.transfer import decode
from mailhive.mime.view import EmailView
from mailhive.model.email import NewEmail, SearchText

__all__ = ["MAX_SEARCH_CHARACTERS", "analyse", "body_words", "word_ranges"]

#: Characters of body text that are indexed.
MAX_SEARCH_CHARACTERS = 1_000_000
#: A character may take several octets, and an octet several in transfer.
_OCTETS_PER_CHARACTER = 6
#: Text parts and attached messages that are looked into.
_MAX_PARTS = 200
#: Levels of attached messages whose words are indexed with the message.
_MAX_ATTACHED = 3
#: Octets of an attached message that are read for its words.
_MAX_ATTACHED_OCTETS = 4_000_000
_MESSAGES = ("message/rfc822", "message/global")
#: Characters of a sort key.
_MAX_SORT_KEY = 255

#: The convenience properties that a summary begins with: all but sentAt, the last one.
_PARSED = tuple(CONVENIENCE)[:-1]

_encoder = msgspec.json.Encoder()


def analyse(raw: bytes, blob_id: str, received_at: int, charsets: Charsets = USUAL) -> NewEmail:
    """The `NewEmail` of a message whose blob is `blob_id`; milliseconds since 1970."""
    email = EmailView.scanned(raw, blob_id, charsets)
    words = _Words()
    texts = words.read(email, raw, 0)
    date = email.headers.last("date")
    sent = parse_date_time(date) if date is not None else None
    summary = {name: email[name] for name in _PARSED}
    summary["sentAt"] = date_form(sent)
    summary["hasAttachment"] = has_attachment = email["hasAttachment"]
    summary["preview"] = next(
        (line for part in email.lists.text if (line := preview(texts.get(part.part_id, "")))), ""
    )
    subject = summary["subject"] or ""
    own_ids = summary["messageId"] or ()
    base = fold(base_subject(subject))
    return NewEmail(
        blob_id=blob_id,
        size=len(raw),
        received_at=received_at,
        sent_at=sent[0] if sent else None,
        message_id=own_ids[0] if own_ids else None,
        # In order, each once: dict keeps both.
        message_ids=tuple(
            dict.fromkeys((*own_ids, *(summary["inReplyTo"] or ()), *(summary["references"] or ())))
        ),
        thread_subject=thread_subject(base),
        has_attachment=has_attachment,
        summary=_encoder.encode(summary),
        headers=header_block(raw, email.root),
        structure=structure.store(email.root),
        sort_from=_sort_address(summary["from"]),
        sort_to=_sort_address(summary["to"]),
        sort_subject=base[:_MAX_SORT_KEY],
        search=SearchText(
            sender=_address_words(summary["from"]),
            to=_address_words(summary["to"]),
            cc=_address_words(summary["cc"]),
            bcc=_address_words(summary["bcc"]),
            subject=subject,
            body=words.body(),
            attachments=" ".join(part.name for part in email.lists.attachments if part.name),
        ),
    )


def body_words(email: EmailView, raw: bytes | Excerpts) -> str:
    """The text that is searched as the body of a message: what `analyse` found in it.

    Of `raw` no more is read than `word_ranges`.
    """
    words = _Words()
    words.read(email, raw, 0)
    return words.body()


def word_ranges(email: EmailView) -> dict[int, int]:
    """Start and length of the ranges of the message that have the words of its body."""
    parts = [part for part in email.root.walk() if part.is_text or part.type in _MESSAGES]
    return {p.body_start: min(p.body_end - p.body_start, _most(p)) for p in parts[:_MAX_PARTS]}


def _most(part: Part) -> int:
    """Octets of a part that are read."""
    return MAX_SEARCH_CHARACTERS * _OCTETS_PER_CHARACTER if part.is_text else _MAX_ATTACHED_OCTETS


class _Words:
    """The words of a message's text parts, and of the messages attached to it."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.room = MAX_SEARCH_CHARACTERS
        self.parts = _MAX_PARTS

    def body(self) -> str:
        text = "\n".join(self.pieces)
        return text.replace("\0", "") if "\0" in text else text

    def read(self, email: EmailView, raw: bytes | Excerpts, depth: int) -> dict[str | None, str]:
        """Take the words of every part; returns the text of each text part by part id."""
        texts: dict[str | None, str] = {}
        for part in email.root.walk():
            attached = part.type in _MESSAGES and depth < _MAX_ATTACHED
            if not (part.is_text or attached) or self.room <= 0 or self.parts <= 0:
                continue
            self.parts -= 1
            if attached:
                self._read_attached(part, raw, depth + 1, email.charsets)
            else:
                text = plain_text(part, raw, self.room * _OCTETS_PER_CHARACTER, email.charsets)
                texts[part.part_id] = text
                self._take(text)
        return texts

    def _read_attached(
        self, part: Part, raw: bytes | Excerpts, depth: int, charsets: Charsets
    ) -> None:
        end = min(part.body_end, part.body_start + _most(part))
        attached_raw = decode(raw[part.body_start : end], part.encoding)
        attached = EmailView.scanned(attached_raw, "", charsets)
        self._take(attached["subject"] or "")
        self._take(_address_words(attached["from"]))
        self.read(attached, attached_raw, depth)

    def _take(self, text: str) -> None:
        if text and self.room > 0:
            self.pieces.append(text[: self.room])
            self.room -= len(text)


def _address_words(addresses: list[dict[str, str | None]] | None) -> str:
    return " ".join(value for address in addresses or () for value in address.values() if value)


def _sort_address(addresses: list[dict[str, str | None]] | None) -> str:
    """The key of the first mailbox: its name, else its address (RFC 8621 §4.4.2)."""
    if not addresses:
        return ""
    return fold(addresses[0]["name"] or addresses[0]["email"] or "")[:_MAX_SORT_KEY]
