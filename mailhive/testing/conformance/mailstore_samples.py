"""What the suite of the mail store files: small messages and mailboxes."""

from collections.abc import Iterable
from typing import Any

from attrs import evolve

from mailhive.model.email import Filing, FilterCondition, NewEmail, SearchText

__all__ = ["file", "file_marked", "inbox_of", "new_email", "refile", "where"]


def new_email(number: int = 1, /, **changes: Any) -> NewEmail:
    """A message received `number` seconds into 1970, in a thread of its own."""
    email = NewEmail(
        blob_id=f"blob{number}",
        size=100 + number,
        received_at=number * 1000,
        sent_at=number * 1000,
        message_id=f"{number}@example.org",
        message_ids=(f"{number}@example.org",),
        thread_subject="subject",
        has_attachment=False,
        summary=b'{"subject":"subject %d"}' % number,
        headers=b"Subject: subject %d\r\n" % number,
        structure=b'{"type":"text/plain"}',
        sort_subject="SUBJECT",
        search=SearchText(subject=f"subject {number}", body="body"),
    )
    return evolve(email, **changes)


def inbox_of(writer: Any, role: str | None = "inbox") -> str:
    """A new Mailbox."""
    wire: str = writer.create_record("Mailbox", {"name": str(role), "role": role})
    return wire


def file(writer: Any, mailboxes: Any, *emails: NewEmail) -> list[str]:
    """Add emails; returns their ids."""
    return [writer.add_email(email, mailboxes, ())[0] for email in emails]


def file_marked(writer: Any, mailboxes: Any, email: NewEmail, *keywords: str) -> str:
    """Add an email that has keywords; returns its id."""
    wire: str = writer.add_email(email, mailboxes, keywords)[0]
    return wire


def refile(
    writer: Any,
    email: str,
    mailbox_ids: Iterable[str] | None = None,
    keywords: Iterable[str] | None = None,
) -> None:
    """Replace an email's mailboxes, its keywords, or both."""
    old = writer.filings([email])[email]
    new = Filing(
        old.mailbox_ids if mailbox_ids is None else tuple(mailbox_ids),
        old.keywords if keywords is None else tuple(keywords),
    )
    writer.update_emails({email: new})


def where(**properties: Any) -> FilterCondition:
    return FilterCondition(tuple(properties.items()))
