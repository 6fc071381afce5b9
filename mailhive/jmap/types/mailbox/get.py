"""Mailbox/get (RFC 8621 §2.1): documents, kept counts and rights."""

from typing import Any

from mailhive.jmap.context import Account
from mailhive.jmap.types.mailbox.properties import COUNTS, rights, seen_by

__all__ = ["fetch"]


def fetch(
    reader: Any, account: Account, ids: list[str] | None, properties: tuple[str, ...]
) -> dict[str, dict[str, Any]]:
    """The mailboxes with exactly `properties`."""
    records = reader.records("Mailbox", ids)
    counts = {}
    if not set(COUNTS).isdisjoint(properties):
        counts = reader.mailbox_counts(ids)
    return {
        mailbox_id: _view(record, counts.get(mailbox_id), account, properties)
        for mailbox_id, record in records.items()
    }


def _view(
    record: Any, counts: Any, account: Account, properties: tuple[str, ...]
) -> dict[str, Any]:
    view = {"id": record.id, **seen_by(account.user, record.data)}
    if counts is not None:
        view |= {
            "totalEmails": counts.total_emails,
            "unreadEmails": counts.unread_emails,
            "totalThreads": counts.total_threads,
            "unreadThreads": counts.unread_threads,
        }
    if "myRights" in properties:
        view["myRights"] = rights(record.data["role"], read_only=account.is_read_only)
    return {name: view[name] for name in properties}
