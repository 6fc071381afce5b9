"""An account as plain Python: what an `IMailStore` has to answer, computed the simple way.

Nothing is indexed or kept: every answer looks at all emails.
"""

import unicodedata
from collections.abc import Callable, Iterable
from typing import Any

from attrs import define, field

from mailhive.model.email import (
    Comparator,
    EmailQuery,
    FilterCondition,
    FilterOperator,
    MailboxCounts,
    NewEmail,
)

__all__ = ["ModelAccount", "ModelEmail", "text_matches"]


@define
class ModelEmail:
    """An Email; `order` is how many were made before it."""

    id: str
    order: int
    thread: str
    new: NewEmail
    mailboxes: frozenset[str]
    keywords: frozenset[str]

    @property
    def unread(self) -> bool:
        return not self.keywords & {"$seen", "$draft"}


@define
class ModelAccount:
    """Emails, Mailboxes (id to document) and how they hang together."""

    emails: dict[str, ModelEmail] = field(factory=dict)
    mailboxes: dict[str, dict[str, Any]] = field(factory=dict)
    threads_ever: list[str] = field(factory=list)  # oldest first
    created: int = 0

    @property
    def trash(self) -> str | None:
        roles = ((mailbox, data["role"]) for mailbox, data in self.mailboxes.items())
        return next((mailbox for mailbox, role in roles if role == "trash"), None)

    def thread_for(self, new: NewEmail) -> str | None:
        """The thread that a message joins, or None for one of its own."""
        fitting = {
            e.thread
            for e in self.emails.values()
            if e.new.thread_subject == new.thread_subject
            and set(e.new.message_ids) & set(new.message_ids)
        }
        return next((thread for thread in self.threads_ever if thread in fitting), None)

    def add(
        self,
        email: str,
        thread: str,
        new: NewEmail,
        mailboxes: Iterable[str],
        keywords: Iterable[str],
    ) -> None:
        if thread not in self.threads_ever:
            self.threads_ever.append(thread)
        self.created += 1
        self.emails[email] = ModelEmail(
            email, self.created, thread, new, frozenset(mailboxes), frozenset(keywords)
        )

    def threads(self) -> dict[str, tuple[str, ...]]:
        """Thread id to email ids, oldest first."""
        found: dict[str, tuple[str, ...]] = {}
        for email in sorted(self.emails.values(), key=lambda e: (e.new.received_at, e.order)):
            found[email.thread] = (*found.get(email.thread, ()), email.id)
        return found

    def counts(self) -> dict[str, MailboxCounts]:
        return {mailbox: self._counts(mailbox) for mailbox in self.mailboxes}

    def _counts(self, mailbox: str) -> MailboxCounts:
        trash = self.trash
        here = [e for e in self.emails.values() if mailbox in e.mailboxes]
        threads = {e.thread for e in here}
        shown = [
            e
            for e in self.emails.values()
            if (trash in e.mailboxes if mailbox == trash else e.mailboxes != {trash})
        ]
        return MailboxCounts(
            total_emails=len(here),
            unread_emails=sum(e.unread for e in here),
            total_threads=len(threads),
            unread_threads=len(threads & {e.thread for e in shown if e.unread}),
        )

    def query(self, query: EmailQuery) -> list[str]:
        """Every result, in order."""
        found = [e for e in self.emails.values() if self._matches(query.filter, e)]
        found.sort(key=lambda e: (-e.new.received_at, -e.order))
        for comparator in reversed(query.sort):
            found.sort(key=self._key(comparator), reverse=not comparator.ascending)
        seen: set[str] = set()
        ids = []
        for email in found:
            if not (query.collapse_threads and email.thread in seen):
                seen.add(email.thread)
                ids.append(email.id)
        return ids

    def _thread_of(self, email: ModelEmail) -> list[ModelEmail]:
        return [e for e in self.emails.values() if e.thread == email.thread]

    def _matches(self, filter: FilterOperator | FilterCondition | None, email: ModelEmail) -> bool:
        if filter is None:
            return True
        if isinstance(filter, FilterCondition):
            return all(self._holds(name, value, email) for name, value in filter.properties)
        results = [self._matches(part, email) for part in filter.conditions]
        if filter.operator == "AND":
            return all(results)
        return any(results) if filter.operator == "OR" else not any(results)

    def _holds(self, name: str, value: Any, email: ModelEmail) -> bool:
        new = email.new
        thread = [value in e.keywords for e in self._thread_of(email)]
        tests: dict[str, Callable[[], bool]] = {
            "inMailbox": lambda: value in email.mailboxes,
            "inMailboxOtherThan": lambda: bool(email.mailboxes - set(value)),
            "before": lambda: new.received_at < value,
            "after": lambda: new.received_at >= value,
            "minSize": lambda: new.size >= value,
            "maxSize": lambda: new.size < value,
            "allInThreadHaveKeyword": lambda: all(thread),
            "someInThreadHaveKeyword": lambda: any(thread),
            "noneInThreadHaveKeyword": lambda: not any(thread),
            "hasKeyword": lambda: value in email.keywords,
            "notKeyword": lambda: value not in email.keywords,
            "hasAttachment": lambda: new.has_attachment == value,
            "header": lambda: _header_matches(new.headers.decode(), *value),
        }
        if name in tests:
            return tests[name]()
        fields = {
            "from": [new.search.sender],
            "to": [new.search.to],
            "cc": [new.search.cc],
            "bcc": [new.search.bcc],
            "subject": [new.search.subject],
            "body": [new.search.body],
        }
        everything = [text for texts in fields.values() for text in texts]
        return text_matches(value, fields.get(name, [*everything, new.search.attachments]))

    def _key(self, comparator: Comparator) -> Callable[[ModelEmail], Any]:
        keyword = comparator.keyword
        keys: dict[str, Callable[[ModelEmail], Any]] = {
            "receivedAt": lambda e: e.new.received_at,
            "size": lambda e: e.new.size,
            "from": lambda e: e.new.sort_from,
            "to": lambda e: e.new.sort_to,
            "subject": lambda e: e.new.sort_subject,
            "sentAt": lambda e: -(2**60) if e.new.sent_at is None else e.new.sent_at,
            "hasKeyword": lambda e: keyword in e.keywords,
            "allInThreadHaveKeyword": lambda e: all(
                keyword in other.keywords for other in self._thread_of(e)
            ),
            "someInThreadHaveKeyword": lambda e: any(
                keyword in other.keywords for other in self._thread_of(e)
            ),
        }
        return keys[comparator.property]


def _header_matches(headers: str, name: str, text: str = "") -> bool:
    fields = [line.partition(":") for line in headers.split("\r\n")]
    return any(
        found.lower() == name.lower() and text.casefold() in value.casefold()
        for found, mark, value in fields
        if mark
    )


# Text, without escapes in phrases: words in the texts, letter by letter.


def text_matches(wanted: str, texts: list[str]) -> bool:
    """Does every word of `wanted` occur in one of `texts`?"""
    if not wanted.strip():
        return True
    words = [tokens for word in _words(wanted) if (tokens := _tokens(word))]
    scanned = [_tokens(text) for text in texts]
    return bool(words) and all(any(_occurs(word, text) for text in scanned) for word in words)


def _words(wanted: str) -> list[str]:
    words: list[str] = []
    quote = None
    for piece in wanted.split():
        if quote is None:
            words.append("")
            if piece[0] in "\"'" and _closes(piece[0], piece, wanted):
                quote, piece = piece[0], piece[1:]
        words[-1] += " " + piece
        if quote is not None and piece.endswith(quote):
            quote = None
    return words


def _closes(quote: str, piece: str, wanted: str) -> bool:
    rest = wanted[wanted.index(piece) + 1 :]
    return any(word.endswith(quote) for word in rest.split())


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    joined = False
    for char in _plain(text):
        if _stands_alone(char):
            tokens.append(char)
            joined = False
        elif char.isalnum() or unicodedata.category(char).startswith("M"):
            if joined:
                tokens[-1] += char
            else:
                tokens.append(char)
            joined = True
        else:
            joined = False
    return tokens


def _plain(text: str) -> str:
    marks = [*range(10, 36), *range(200, 241)]
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return unicodedata.normalize(
        "NFC", "".join(char for char in text if unicodedata.combining(char) not in marks)
    )


def _stands_alone(char: str) -> bool:
    names = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "THAI", "LAO", "KHMER", "MYANMAR")
    known = unicodedata.name(char, "").startswith(names)
    return known and (char.isalnum() or unicodedata.category(char).startswith("M"))


def _occurs(word: list[str], text: list[str]) -> bool:
    return any(text[i : i + len(word)] == word for i in range(len(text)))
