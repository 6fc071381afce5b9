"""Room in an account: filing an Email within its quota."""

from collections.abc import Iterable
from typing import Any

from mailhive.errors import TemporaryFailure
from mailhive.model.email import NewEmail

__all__ = ["OverQuota", "add_within_quota"]


class OverQuota(TemporaryFailure):
    """The account has no room for the message; it may have later (RFC 3463 §3.3, X.2.2)."""

    def __init__(self) -> None:
        super().__init__("The account is over its quota")


def add_within_quota(
    writer: Any,
    email: NewEmail,
    mailbox_ids: Iterable[str],
    keywords: Iterable[str],
    quota: int | None,
) -> tuple[str, str]:
    """File an Email unless the account's quota, in octets, forbids it; `OverQuota` then."""
    if quota is not None and writer.storage_usage() + email.size > quota:
        raise OverQuota
    email_id, thread_id = writer.add_email(email, tuple(mailbox_ids), tuple(keywords))
    return email_id, thread_id
