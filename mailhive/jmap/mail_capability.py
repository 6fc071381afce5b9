"""`urn:ietf:params:jmap:mail` (RFC 8621 §1.3.1)."""

from typing import Any

from mailhive.jmap.capabilities import Capability
from mailhive.jmap.context import Account
from mailhive.jmap.limits import Limits

__all__ = ["EMAIL_SORTS", "KEYWORD_SORTS", "MAIL"]

#: Sorts that take a keyword (RFC 8621 §4.4.2).
KEYWORD_SORTS = ("hasKeyword", "allInThreadHaveKeyword", "someInThreadHaveKeyword")
EMAIL_SORTS = ("receivedAt", "size", "from", "to", "subject", "sentAt", *KEYWORD_SORTS)


def _account(limits: Limits, account: Account) -> dict[str, Any]:
    return {
        "maxMailboxesPerEmail": limits.mailboxes_per_email,
        "maxMailboxDepth": limits.mailbox_depth,
        "maxSizeMailboxName": limits.mailbox_name_size,
        "maxSizeAttachmentsPerEmail": limits.email_attachments_size,
        "emailQuerySortOptions": list(EMAIL_SORTS),
        "mayCreateTopLevelMailbox": not account.is_read_only,
    }


MAIL = Capability("urn:ietf:params:jmap:mail", account=_account)
